//! Hosts that leave on purpose: `lca handover`, as a shutdown runs it, and back.
//!
//! The law: what is primary is handed over before anything is stopped, what nobody can take over does not delay the rest,
//! and whoever is not of that host does not notice.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use understudy_stage::{Daemon, Host, Status};

use crate::play::{Play, app, assert_nothing_changed, pair, role};

/// Waits until this member is primary; the other one need not be there.
fn until_serves(play: &mut Play, name: &str, member: &str) -> Status {
    play.until(&format!("{member} is primary"), |status| match &pair(status, name).primary {
        Some(primary) if primary == member => Ok(status.clone()),
        other => Err(format!("{other:?}")),
    })
}

#[test]
fn a_host_hands_over_stops_everything_and_takes_it_back() {
    let mut play = Play::well();
    let before = play.status();
    let last = play.last_event();
    let told = play.lca(Host::Alpha, &["handover", "--timeout", "20"]);
    told.expect(0, &["handing over: ", "nothing runs on this host", "lca handover --return"]);
    let after = play.until("t-2 and calm-2 serve alone", |status| {
        let primaries = ["t", "calm"].map(|name| pair(status, name).primary.clone());
        let gone = ["t-1", "calm-1", "single"].iter().all(|name| app(status, name).pid.is_none());
        if primaries == [Some("t-2".to_owned()), Some("calm-2".to_owned())] && gone {
            Ok(status.clone())
        } else {
            Err(format!("{primaries:?} {gone}"))
        }
    });
    for name in ["t-2", "calm-2"] {
        assert!(play.serves(name));
        assert_eq!(app(&before, name).pid, app(&after, name).pid, "{name} was not restarted");
        assert_eq!(app(&after, name).restarts, app(&before, name).restarts);
    }
    // A change of roles, not a failover: the demotion was ordered before any process ended.
    let story = play.events_after(last, &[]);
    let first_end = story.iter().position(|event| event["kind"] == "application-exited").unwrap();
    let demotions = story[..first_end].iter().filter(|event| event["kind"] == "demotion-ordered");
    assert!(demotions.clone().all(|event| event["rule"] == "host-leaves"), "{story:?}");
    assert_eq!(demotions.count(), 2, "{story:#?}");
    play.scsctl(&["status"]).expect(0, &["host alpha is leaving"]);

    play.lca(Host::Alpha, &["handover", "--return"]).expect(0, &["this host stays"]);
    let back = play.until_well();
    assert_eq!(role(&back, "t"), role(&after, "t"), "roles stay where they are");
    assert!(app(&back, "single").pid.is_some());
}

#[test]
fn without_a_control_server_a_host_just_stops_what_runs() {
    let mut play = Play::well();
    assert!(play.stage.kill(Daemon::Server).unwrap());
    play.until_logged(Daemon::Agent(Host::Alpha), "control server left");
    let began = Instant::now();
    play.lca(Host::Alpha, &["handover", "--timeout", "60"]).expect(0, &["nothing runs on this host"]);
    assert!(began.elapsed() < Duration::from_secs(20), "nobody was waited for: {:?}", began.elapsed());
    assert!(!play.serves("t-1") && !play.serves("t-2"), "an agent promotes nobody by itself");
    play.stage.start(Daemon::Server).unwrap();
    let end = until_serves(&mut play, "t", "t-2");
    assert!(app(&end, "t-1").pid.is_none());
}

#[test]
fn nobody_to_hand_over_to_delays_nothing() {
    let mut play = Play::well();
    play.scsctl(&["stop", "t-2"]).expect(0, &[]);
    let began = Instant::now();
    play.lca(Host::Alpha, &["handover", "--timeout", "60"]).expect(0, &["nothing runs on this host"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    until_serves(&mut play, "calm", "calm-2");
    let told = play.events(&[]);
    let stays =
        told.iter().any(|event| event["kind"] == "host-leaving" && event.to_string().contains("still there"));
    assert!(stays, "{told:#?}");
}

#[test]
fn whoever_talks_nonsense_to_the_door_of_local_commands_is_told_so_and_nothing_happens() {
    let mut play = Play::well();
    let before = play.status();
    let door = play.stage.sockets().join("run/alpha/agent.sock");
    assert_eq!(std::fs::metadata(&door).unwrap().permissions().mode() & 0o777, 0o600);
    let long = "x".repeat(4_096);
    for nonsense in ["", "\n", "leave\n", "leave -1\n", "replace /bin/sh\n", "\u{fffd}\0\n", long.as_str()] {
        let mut asked = UnixStream::connect(&door).unwrap();
        asked.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        asked.write_all(nonsense.as_bytes()).unwrap();
        asked.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // A reset instead of an end, if more was said than is read, is an answer too.
        let _ = asked.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("failed "), "{nonsense:?}: {answer}");
    }
    assert_nothing_changed(&before, &play.until_well());
}

#[test]
fn an_agent_that_does_not_run_is_said_to_be_unreachable() {
    let mut play = Play::well();
    assert!(play.stage.kill(Daemon::Agent(Host::Beta)).unwrap());
    play.lca(Host::Beta, &["handover"]).expect(4, &["no agent answers", "systemctl status lca"]);
    play.lca(Host::Beta, &["reexec"]).expect(4, &["no agent answers"]);
    play.lca(Host::Beta, &["handover", "--timeout", "0"]).expect(2, &["1..=3600"]);
}
