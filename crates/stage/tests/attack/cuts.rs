//! Hosts that are cut off, in both directions and in one, and come back. What is promoted without proof is played with
//! policy `available`; the same cuts with `strict` are in `strict`.
//!
//! Every host has a network of its own; cuts are made by the switch between them and by the hosts' own firewalls. The law:
//! who cannot be heard is replaced in bounded time, who was not lost keeps its role, and at the end the higher epoch alone
//! serves.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use understudy_model::Policy;
use understudy_stage::net::{Lane, Network, Station};
use understudy_stage::{Daemon, Host, Interrupt, Plan};

use crate::play::{Play, assert_in_order, assert_nothing_changed, pair, role};

const ALPHA: Station = Station::Host(Host::Alpha);
/// Two timeouts, a call that nobody answers, and what a busy machine adds.
const REPLACED_LIMIT: Duration = Duration::from_secs(12);

/// Shorter timers, for stories that wait for a loss.
fn quick(plan: &mut Plan) {
    let timeout = "\"400ms\"";
    plan.timers.push(format!("addp-timeout = {timeout}\naddp-remote-timeout = {timeout}"));
}

/// The same, with pairs whose lost hosts are failed over without proof.
fn available(plan: &mut Plan) {
    quick(plan);
    plan.set_policy(Policy::Available);
}

/// Whose host is meant by the name of a member.
fn host_of(member: &str) -> Host {
    if member.ends_with("-1") { Host::Alpha } else { Host::Beta }
}

/// Cuts something at the host of the primary, and waits until its backup serves and both may act. Answers who was primary,
/// who is, and how long that took.
fn replaced(play: &mut Play, how: &str, cut: impl Fn(&Network, Station)) -> (String, String) {
    let before = play.until_well();
    let now = pair(&before, "t").clone();
    let (primary, backup) = (now.primary.unwrap(), now.backup.unwrap());
    let began = Instant::now();
    cut(play.network(), Station::Host(host_of(&primary)));
    play.until(&format!("{backup} is primary: {how}"), |status| match pair(status, "t").primary.as_deref() {
        Some(now) if now == backup => Ok(()),
        _ => Err(format!("{:?} {:?}", status.pairs, status.hosts)),
    });
    let took = began.elapsed();
    eprintln!("{how}: {backup} was primary after {took:?}");
    assert!(took < REPLACED_LIMIT, "{how}: {took:?}");
    (primary, backup)
}

#[test]
fn a_host_that_is_cut_off_is_replaced_and_the_higher_epoch_wins_when_it_is_back() {
    let Some(mut play) = Play::networked(available) else { return };
    play.stage.start_all().unwrap();
    let seen = play.last_event_when_well();
    let (primary, backup) = replaced(&mut play, "cut off from all", |net, at| net.set_around(at, Lane::CUT));
    assert_eq!(play.why("t").0, "host-lost");
    let status = play.scsctl_json(&["status"]);
    assert_eq!(status["hosts"][0]["status"], "unreachable", "{status}");
    assert!(play.serves(&primary) && play.serves(&backup), "the price of policy available");
    play.network().heal();
    play.until_well();
    assert!(!play.serves(&primary) && play.serves(&backup));
    assert_eq!(play.scsctl_json(&["pair", "t"])["two_acted"], 1);
    let events = play.events_after(seen, &["--pair", "t"]);
    assert_in_order(&events, &[("promotion-ordered", ""), ("role-changed", "t-2"), ("anomaly", "t-1")]);
    let returned = events.iter().find(|event| event["rule"] == "host-returned").unwrap();
    let told = returned["reason"].as_str().unwrap();
    assert!(told.contains("two may have acted for"), "{told}");
    eprintln!("policy available: {told}");
}

#[test]
fn a_cut_in_one_direction_is_a_cut() {
    let Some(mut play) = Play::networked(available) else { return };
    play.stage.start_all().unwrap();
    for (how, rules) in [
        ("the host's words are lost", &[("output", "oifname \"eth0\" drop")][..]),
        ("the host hears nothing", &[("input", "iifname \"eth0\" drop")]),
        (
            "only the control server is cut off from it",
            &[("input", "ip saddr 10.77.0.1 drop"), ("output", "ip daddr 10.77.0.1 drop")],
        ),
    ] {
        let (primary, backup) = replaced(&mut play, how, |net, at| net.firewall(at, rules).unwrap());
        play.network().firewall(Station::Host(host_of(&primary)), &[]).unwrap();
        play.until_primary(&backup);
        play.until_well();
        assert!(!play.serves(&primary) && play.serves(&backup), "{how}");
    }
    assert_eq!(play.scsctl_json(&["pair", "t"])["two_acted"], 3);
}

#[test]
fn a_cut_that_heals_in_time_changes_nothing() {
    let Some(mut play) = Play::networked(|_| ()) else { return };
    play.stage.start_all().unwrap();
    let before = play.until_well();
    let seen = play.last_event();
    let epoch = before.controllers[0].epoch;
    // What is sent again after twice the time each round must fit into two timeouts: agents have always something to ask.
    for cut in [Duration::from_millis(300), Duration::from_millis(600)] {
        play.network().set_around(ALPHA, Lane::CUT);
        Interrupt::default().let_pass(cut).unwrap();
        play.network().heal();
        // Frames that were lost are sent again within their own time; silence would be noticed within this one.
        Interrupt::default().let_pass(Duration::from_millis(2_500)).unwrap();
        assert_nothing_changed(&before, &play.until_well());
    }
    assert_eq!(play.status().controllers[0].epoch, epoch);
    assert!(play.events_after(seen, &["--host", "alpha"]).iter().all(|event| event["kind"] != "host-lost"));
}

#[test]
fn a_control_server_that_is_cut_off_stops_nothing_and_comes_back_to_what_it_knew() {
    let Some(mut play) = Play::networked(quick) else { return };
    play.stage.start_all().unwrap();
    play.until_well();
    // One pair on each host, so that each host could be taken for the other's only witness.
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    let before = play.until_well();
    assert_eq!(role(&before, "t").0.as_deref(), Some("t-2"));
    for first_back in Host::ALL {
        play.network().set_around(Station::Server, Lane::CUT);
        play.until("nobody is heard", |status| {
            let silent = status.hosts.iter().filter(|host| host.status == "unreachable").count();
            if silent == 2 { Ok(()) } else { Err(format!("{:?}", status.hosts)) }
        });
        // Longer than two timeouts and every call.
        Interrupt::default().let_pass(Duration::from_secs(3)).unwrap();
        assert!(play.serves("t-2") && play.serves("calm-1"), "who serves needs no control server");
        assert!(!play.serves("t-1") && !play.serves("calm-2"));
        // One host is back before the other, which is no proof that the other is lost.
        play.network().set_between(Station::Server, Station::Host(first_back), Lane::default());
        play.until("the first is back", |status| {
            let back = status.hosts.iter().find(|host| host.name == first_back.name());
            if back.is_some_and(|host| host.status == "running") {
                Ok(())
            } else {
                Err(format!("{:?}", status.hosts))
            }
        });
        Interrupt::default().let_pass(Duration::from_millis(1_500)).unwrap();
        play.network().heal();
        assert_nothing_changed(&before, &play.until_well());
        assert_eq!(role(&before, "t"), role(&play.status(), "t"));
    }
}

#[test]
fn a_control_server_that_was_stopped_for_longer_than_all_timers_fails_nothing_over() {
    let Some(mut play) = Play::networked(quick) else { return };
    play.stage.start_all().unwrap();
    let before = play.until_well();
    play.signal(Daemon::Server, Signal::STOP);
    Interrupt::default().let_pass(Duration::from_secs(12)).unwrap();
    play.signal(Daemon::Server, Signal::CONT);
    assert_nothing_changed(&before, &play.until_well());
    assert!(play.scsctl(&["events"]).text.contains("own-sleep"));
}

#[test]
fn an_agent_that_is_gone_and_a_host_that_is_silent_are_kept_apart() {
    let Some(mut play) = Play::networked(|plan| {
        available(plan);
        plan.timers.push("agent-restart-grace = \"3s\"".to_owned());
    }) else {
        return;
    };
    play.stage.start_all().unwrap();
    let before = play.until_well();
    // The machine lives and says that nobody listens.
    play.stage.kill(Daemon::Agent(Host::Alpha)).unwrap();
    let refused = Instant::now();
    until_host(&mut play, "alpha", "inaccessible");
    assert_eq!(role(&play.status(), "t"), role(&before, "t"));
    play.until("t-2 is primary", |status| match pair(status, "t").primary.as_deref() {
        Some("t-2") => Ok(()),
        _ => Err(format!("{:?}", status.pairs)),
    });
    let took = refused.elapsed();
    eprintln!("refused: replaced after {took:?} with agent-restart-grace 3 s");
    assert!(took >= Duration::from_secs(3), "an agent has its grace to come back: {took:?}");
    play.stage.start(Daemon::Agent(Host::Alpha)).unwrap();
    play.until_primary("t-2");
    play.until_well();
    // The other host falls silent: that is not waited for.
    let (_, now) = replaced(&mut play, "silent", |net, at| net.set_around(at, Lane::CUT));
    assert_eq!(now, "t-1");
    until_host(&mut play, "beta", "unreachable");
    play.network().heal();
    play.until_well();
}

/// Waits until status shows the host like this.
fn until_host(play: &mut Play, host: &str, wanted: &str) {
    play.until(&format!("{host} is {wanted}"), |status| {
        let now = status.hosts.iter().find(|one| one.name == host);
        if now.is_some_and(|one| one.status == wanted) { Ok(()) } else { Err(format!("{:?}", status.hosts)) }
    });
}
