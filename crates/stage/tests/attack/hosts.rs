//! Hosts that fall silent, are drained, and pairs that flap or are restarted member by member.
//!
//! The law: what an operator asked for is confirmed step by step, and what nobody can know is said.

use std::fs;

use rustix::process::Signal;
use understudy_stage::{Daemon, Host};

use crate::play::{Play, app, assert_in_order, assert_nothing_changed, pair};

#[test]
fn a_stopped_host_is_failed_over_and_its_member_demoted_when_it_goes_on() {
    let mut play = Play::set_up();
    play.set_in_pair("t", "policy = \"available\"");
    play.stage.start_all().unwrap();
    play.until_well();
    let seen = play.last_event();
    // Stopped, not closed: links stay open and nothing is said. Its applications run on, as on a host that is cut off.
    play.signal(Daemon::Agent(Host::Alpha), Signal::STOP);
    play.until("t-2 is primary", |status| match pair(status, "t").primary.as_deref() {
        Some("t-2") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(play.why("t").0, "host-lost");
    let status = play.scsctl_json(&["status"]);
    assert_eq!(status["hosts"][0]["status"], "unreachable", "{status}");
    assert!(status["warnings"].to_string().contains("t-1 was left behind on a lost host"), "{status}");
    assert!(play.serves("t-1") && play.serves("t-2"), "the price of policy available");
    play.signal(Daemon::Agent(Host::Alpha), Signal::CONT);
    play.until_well();
    assert!(!play.serves("t-1") && play.serves("t-2"));
    assert_eq!(play.scsctl_json(&["pair", "t"])["two_acted"], 1);
    let events = play.events_after(seen, &["--pair", "t"]);
    assert_in_order(&events, &[("promotion-ordered", ""), ("role-changed", "t-2"), ("anomaly", "t-1")]);
    let told = serde_json::to_string(&events).unwrap();
    assert!(told.contains("two may have acted for"), "{told}");
}

#[test]
fn an_agent_that_is_away_for_less_than_its_grace_changes_nothing() {
    let mut play = Play::well();
    let before = play.status();
    play.stage.kill(Daemon::Agent(Host::Alpha)).unwrap();
    play.until_so("the agent of alpha is known to be away", || {
        let status = play.scsctl_json(&["host", "alpha"])["status"].clone();
        if status == "inaccessible" { Ok(()) } else { Err(status.to_string()) }
    });
    play.stage.start(Daemon::Agent(Host::Alpha)).unwrap();
    assert_nothing_changed(&before, &play.until_well());
}

#[test]
fn a_control_server_that_was_frozen_fails_nothing_over() {
    let mut play = Play::well();
    let before = play.status();
    play.signal(Daemon::Server, Signal::STOP);
    for host in Host::ALL {
        play.until_so("the agent has lost its control server", || {
            let log = play.log(Daemon::Agent(host));
            if log.contains("control server left") { Ok(()) } else { Err(log) }
        });
    }
    play.signal(Daemon::Server, Signal::CONT);
    assert_nothing_changed(&before, &play.until_well());
    let told = play.scsctl(&["events"]).text;
    assert!(told.contains("own-sleep"), "{told}");
}

#[test]
fn a_host_is_drained_and_given_back() {
    let mut play = Play::well();
    let before = play.status();
    play.scsctl(&["drain", "alpha", "--dry-run"]).expect(0, &["switch pair t from t-1 to t-2", "single"]);
    assert_nothing_changed(&before, &play.status());
    play.scsctl(&["drain", "alpha"]).expect(0, &["t-2", "calm-2", "nothing on host alpha is primary"]);
    let after = play.status();
    assert_eq!(pair(&after, "t").primary.as_deref(), Some("t-2"));
    assert_eq!(pair(&after, "calm").primary.as_deref(), Some("calm-2"));
    play.scsctl(&["drain", "alpha"]).expect(0, &["drained already"]);
    play.scsctl(&["host", "alpha"]).expect(0, &["nothing on it is promoted"]);
    play.scsctl(&["switchover", "t"]).expect(3, &["host alpha is drained", "scsctl drain alpha --return"]);
    // It is durable.
    play.stage.kill(Daemon::Server).unwrap();
    play.stage.start(Daemon::Server).unwrap();
    play.until_so("the new leadership knows everything", || {
        let said = play.scsctl(&["switchover", "t"]);
        let drained = said.code == 3 && said.text.contains("host alpha is drained");
        if drained { Ok(()) } else { Err(said.text) }
    });
    play.scsctl(&["drain", "alpha", "--return"]).expect(0, &["may have primaries again"]);
    play.until_well();
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    play.scsctl(&["drain", "gamma"]).expect(3, &["no host called"]);
}

#[test]
fn a_pair_is_restarted_member_by_member() {
    let mut play = Play::well();
    let before = play.status();
    play.scsctl(&["restart", "t"]).expect(3, &["scsctl restart t --rolling"]);
    play.scsctl(&["restart", "t", "--rolling", "--dry-run"]).expect(0, &["restart t-2", "restart t-1"]);
    play.scsctl(&["restart", "t", "--rolling"]).expect(0, &["t-2", "t-1"]);
    let after = play.until_well();
    for name in ["t-1", "t-2"] {
        assert_ne!(app(&before, name).pid, app(&after, name).pid, "{name} was restarted");
    }
    assert_eq!(pair(&after, "t").primary.as_deref(), Some("t-2"));
    assert_eq!(pair(&after, "calm").epoch, pair(&before, "calm").epoch);
}

#[test]
fn a_pair_that_flaps_is_held_and_an_acknowledgement_lets_it_go_on() {
    let mut play = Play::set_up();
    play.set_in_pair("t", "flap-damping = \"2 in 10m\"");
    play.stage.start_all().unwrap();
    play.until_well();
    for primary in ["t-1", "t-2"] {
        let other = if primary == "t-1" { "t-2" } else { "t-1" };
        play.stage.kill_application(primary).unwrap();
        play.until_primary(other);
    }
    play.scsctl(&["pair", "t"]).expect(0, &["changes held", "2 automatic changes of roles within 600 s"]);
    play.scsctl(&["why", "t"]).expect(0, &["automatic changes"]);
    play.scsctl(&["status"]).expect(0, &["scsctl flap acknowledge t"]);
    play.scsctl(&["status", "--check"]).expect(1, &["further ones are held"]);
    // The first confirmed end fails over all the same, the next one is restarted first. It outlives the server.
    play.stage.kill_application("t-1").unwrap();
    play.until_primary("t-2");
    play.stage.kill(Daemon::Server).unwrap();
    play.stage.start(Daemon::Server).unwrap();
    let before = play.until_primary("t-2");
    play.stage.kill_application("t-2").unwrap();
    play.until("t-2 is primary again in a new epoch", |status| {
        let now = pair(status, "t");
        let again = now.primary.as_deref() == Some("t-2") && now.epoch > pair(&before, "t").epoch;
        if again && now.ready { Ok(()) } else { Err(format!("{now:?}")) }
    });
    play.scsctl(&["flap", "acknowledge", "t"]).expect(0, &["automatic changes go on"]);
    play.scsctl(&["flap", "acknowledge", "t"]).expect(0, &["no automatic change"]);
    play.stage.kill_application("t-2").unwrap();
    play.until_primary("t-1");
}

#[test]
fn a_failover_by_force_is_asked_for_twice_and_only_of_a_silent_primary() {
    let play = Play::well();
    play.scsctl(&["failover", "t"]).expect(6, &["gives up the proof", "--dry-run"]);
    play.scsctl(&["failover", "t", "--force"]).expect(3, &["nothing to force", "scsctl switchover t"]);
}

#[test]
fn a_server_started_with_another_file_keeps_what_was_accepted_where_the_rules_say_so() {
    let mut play = Play::well();
    let before = play.status();
    let whole = fs::read_to_string(play.cluster_file()).unwrap();
    play.set_in_pair("t", "redundancy = \"hot-standby\"");
    play.stage.kill(Daemon::Server).unwrap();
    play.stage.start(Daemon::Server).unwrap();
    play.until_so("the new leadership knows everything", || {
        let said = play.scsctl(&["wait", "t", "--for", "ready"]);
        if said.code == 0 { Ok(()) } else { Err(said.text) }
    });
    play.scsctl(&["status", "--check"]).expect(1, &["was refused and an older configuration is in use"]);
    assert_eq!(play.scsctl_json(&["pair", "t"])["redundancy"], "warm-standby");
    play.until_logged(Daemon::Server, "its redundancy cannot change");
    fs::write(play.cluster_file(), whole).unwrap();
    play.scsctl(&["config", "reload"]).expect(0, &[]);
    assert_nothing_changed(&before, &play.until_well());
    play.scsctl(&["status", "--check"]).expect(0, &[]);
}

#[test]
fn a_command_is_told_of_a_change_of_roles() {
    let mut play = Play::set_up();
    let file = play.stage.directory().join("told");
    let script = format!("echo \"$UNDERSTUDY_EVENT $UNDERSTUDY_PAIR $UNDERSTUDY_TO\" >> {}", file.display());
    let config = play.stage.directory().join("scs.toml");
    let mut text = fs::read_to_string(&config).unwrap();
    let kinds = "on = [\"role-changed\", \"switchover-refused\"]";
    text += &format!("\n[notify]\n{kinds}\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n");
    fs::write(&config, text).unwrap();
    play.stage.start_all().unwrap();
    play.until_well();
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    play.scsctl(&["switchover", "t", "--to", "calm-1"]).expect(3, &[]);
    play.until_so("the command was told of both", || {
        let told = fs::read_to_string(&file).unwrap_or_default();
        let both = told.contains("role-changed t t-2\n") && told.contains("switchover-refused");
        if both { Ok(()) } else { Err(told) }
    });
}
