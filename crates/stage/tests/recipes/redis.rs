//! The recipe for Redis under kill -9, the loss of a host, planned switchovers and refused promotions, with a client that
//! writes all the time.
//!
//! The law: what the recipe promises is shown with real servers, and what it cannot promise is counted, not hidden.

use std::time::Duration;

use understudy_model::Policy;
use understudy_stage::redis::Reply;
use understudy_stage::{Daemon, Host, Status, sweep};

use crate::ground::{LIMIT, RedisGround, has};
use crate::writer::Writer;

/// Enough that a change of roles falls into the middle of writing.
const SOME: u64 = 200;

#[test]
fn a_killed_primary_is_failed_over_and_comes_back_as_a_replica() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut ground = RedisGround::well(|_| ());
    let writer = Writer::start(ground.addresses());
    writer.until_more(SOME);
    let (killed, _) = ground.stage.kill_application("redis-1").unwrap();
    ground.until_primary("redis-2");
    writer.until_more(SOME);
    assert_eq!(ground.why("redis")["because"]["rule"], "primary-exited");
    let written = writer.finish();
    // Replication is asynchronous: this figure is not promised to be 0.
    let lost = written.lost_on(ground.address("redis-2"));
    eprintln!("kill -9: {written:?}, acknowledged and lost: {lost}");
    let status = ground.until_primary("redis-2");
    let back = status.application("redis-1").unwrap();
    assert!(back.pid.is_some_and(|pid| pid != killed) && back.run_mode == "backup", "{back:?}");
    ground.until_in_step("redis-1");
    assert_eq!(written.lost_on(ground.address("redis-1")), lost, "it caught up");
    assert!(!ground.client("redis-1").set("a", "b").unwrap(), "a backup takes no writes");
}

#[test]
fn planned_switchovers_there_and_back_lose_no_acknowledged_write() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut ground = RedisGround::well(|_| ());
    let before = ground.stage.api().status().unwrap().pids();
    let writer = Writer::start(ground.addresses());
    for to in ["redis-2", "redis-1", "redis-2", "redis-1"] {
        writer.until_more(SOME);
        ground.stage.switch_over("redis", to, LIMIT).unwrap();
        ground.until_primary(to);
        let other = if to == "redis-1" { "redis-2" } else { "redis-1" };
        assert!(!ground.client(other).set("a", "b").unwrap(), "{other} takes no writes any more");
    }
    writer.until_more(SOME);
    let written = writer.finish();
    eprintln!("switchovers: {written:?}");
    assert_eq!(written.lost_on(ground.address("redis-1")), 0);
    assert_eq!(ground.stage.api().status().unwrap().pids(), before, "nobody was killed for being slow");
}

#[test]
fn a_lost_host_is_failed_over_and_its_member_follows_when_it_is_back() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut ground = RedisGround::well(|plan| {
        plan.timers.extend(["addp-timeout", "addp-remote-timeout"].map(|name| format!("{name} = \"200ms\"")));
        plan.set_policy(Policy::Available);
    });
    let writer = Writer::start(ground.addresses());
    writer.until_more(SOME);
    let (held, _) = ground.stage.freeze(Host::Alpha).unwrap();
    ground.until_acting("redis-2");
    assert_eq!(ground.why("redis")["because"]["rule"], "host-lost");
    writer.until_more(SOME);
    ground.stage.thaw(&held).unwrap();
    ground.until_primary("redis-2");
    ground.until_in_step("redis-1");
    writer.until_more(SOME);
    let written = writer.finish();
    assert!(written.longest_gap > Duration::from_millis(200), "it was felt: {written:?}");
    let lost = written.lost_on(ground.address("redis-2"));
    eprintln!("host loss: {written:?}, acknowledged and lost: {lost}");
    ground.until_in_step("redis-1");
    assert_eq!(written.lost_on(ground.address("redis-1")), lost, "it caught up");
}

#[test]
fn without_a_control_server_a_killed_primary_is_started_in_place_with_all_of_its_data() {
    if !has("redis-server", "redis-server") {
        return;
    }
    // Settings of an operator, read last: what is acknowledged is on the disk.
    let own = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(own.path(), "appendfsync always\n").unwrap();
    let mut ground = RedisGround::well(|plan| {
        for one in &mut plan.applications {
            one.environment.push(("REDIS_CONFIG".to_owned(), own.path().to_string_lossy().into_owned()));
        }
    });
    let writer = Writer::start(ground.addresses());
    writer.until_more(SOME);
    let pid = ground.stage.api().status().unwrap().application("redis-1").unwrap().pid.unwrap();
    ground.kill(Daemon::Server);
    sweep::open_marked(pid, ground.stage.directory()).unwrap().kill().unwrap();
    writer.until_more(SOME);
    ground.stage.start(Daemon::Server).unwrap();
    let status = ground.until_primary("redis-1");
    let now = status.application("redis-1").unwrap();
    assert_ne!(now.pid, Some(pid));
    ground.until_in_step("redis-2");
    let written = writer.finish();
    eprintln!("restart in place: {written:?}");
    assert_eq!(written.lost_on(ground.address("redis-1")), 0);
}

#[test]
fn a_promotion_whose_hook_fails_is_refused_and_says_why() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut ground = RedisGround::well(|_| ());
    let before = ground.until_primary("redis-1");
    let epoch = before.pair("redis").unwrap().epoch;
    // A server whose operator took the right away that the hook needs.
    let forbidden = ground.client("redis-2").ask(&["ACL", "SETUSER", "default", "-replicaof"]).unwrap();
    assert_eq!(forbidden, Reply::Text("OK".to_owned()));
    ground.client("redis-1").set("kept", "1").unwrap();
    ground.until_in_step("redis-2");
    ground.stage.kill_application("redis-1").unwrap();
    let again = |status: &Status| match status.pair("redis") {
        Some(pair) if pair.primary.as_deref() == Some("redis-1") && pair.epoch > epoch + 1 => Ok(()),
        other => Err(format!("{other:?}")),
    };
    ground.stage.until("redis-1 is primary again, in an epoch above the refused one", LIMIT, again).unwrap();
    ground.until_primary("redis-1");
    let events = ground.stage.api().get("/v1/events?limit=100").unwrap().to_string();
    assert!(events.contains("on-promote") && events.contains("NOPERM"), "{events}");
    let why = ground.why("redis").to_string();
    assert!(why.contains("refused"), "{why}");
    let kept = ground.client("redis-1").ask(&["GET", "kept"]).unwrap();
    assert_eq!(kept, Reply::Text("1".to_owned()));
}

#[test]
fn an_agent_that_is_killed_finds_its_server_again() {
    if !has("redis-server", "redis-server") {
        return;
    }
    let mut ground = RedisGround::well(|_| ());
    let before = ground.stage.api().status().unwrap();
    let writer = Writer::start(ground.addresses());
    writer.until_more(SOME);
    for host in Host::ALL {
        ground.kill(Daemon::Agent(host));
        writer.until_more(SOME);
        ground.stage.start(Daemon::Agent(host)).unwrap();
        let after = ground.until_primary("redis-1");
        assert_eq!(before.pids(), after.pids());
        assert_eq!(before.pair("redis").unwrap().epoch, after.pair("redis").unwrap().epoch);
    }
    let written = writer.finish();
    assert_eq!(written.lost_on(ground.address("redis-1")), 0);
}
