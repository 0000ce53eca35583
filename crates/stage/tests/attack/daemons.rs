//! Agents and the control server killed alone, together, with members, and in the middle of a change of roles.
//!
//! The law: what runs goes on and is found again; a role moves only for a reason of its own; what an operator said
//! holds.

use std::time::Duration;

use understudy_stage::{Daemon, Host, Status};

use crate::play::{Play, app, assert_in_order, assert_nothing_changed, assert_undisturbed, pair, role};

const ALPHA: Daemon = Daemon::Agent(Host::Alpha);
const BETA: Daemon = Daemon::Agent(Host::Beta);

fn bring_back(play: &mut Play, daemons: &[Daemon]) {
    for daemon in daemons {
        play.stage.start(*daemon).unwrap();
    }
}

fn kill(play: &mut Play, daemons: &[Daemon]) {
    for daemon in daemons {
        assert!(play.stage.kill(*daemon).unwrap());
    }
}

fn until_not_heard(play: &mut Play, host: Host) -> Status {
    play.until(&format!("host {} is not heard", host.name()), |status| {
        let found = status.hosts.iter().find(|one| one.name == host.name()).unwrap();
        if found.status == "running" { Err("it is".to_owned()) } else { Ok(status.clone()) }
    })
}

#[test]
fn any_daemon_may_be_killed_while_nothing_happens_and_nothing_happens() {
    let mut play = Play::well();
    let before = play.status();
    for killed in [
        &[ALPHA][..],
        &[BETA],
        &[Daemon::Server],
        &[ALPHA, Daemon::Server],
        &[ALPHA, BETA],
        &[Daemon::Server, ALPHA, BETA],
    ] {
        kill(&mut play, killed);
        for name in ["t-1", "calm-1"] {
            assert!(play.serves(name), "{name} noticed the end of {killed:?}");
        }
        bring_back(&mut play, killed);
        assert_nothing_changed(&before, &play.until_well());
    }
    // No second life of any process was needed, and the history says what was found.
    let adopted = play.until_so("the last agent told that it adopted t-1", || {
        let story = play.events(&["--app", "t-1"]);
        if story.iter().any(|event| event["rule"] == "adopted") {
            Ok(story)
        } else {
            Err(format!("{story:?}"))
        }
    });
    assert!(!adopted.iter().any(|event| event["kind"] == "application-exited"), "{adopted:?}");
}

#[test]
fn a_silent_agent_is_told_and_its_primary_keeps_its_role_until_the_agent_is_back() {
    let mut play = Play::well();
    let before = play.status();
    kill(&mut play, &[ALPHA]);
    let away = until_not_heard(&mut play, Host::Alpha);
    assert_eq!(role(&away, "t"), role(&before, "t"));
    play.scsctl(&["status", "--check"]).expect(1, &["alpha"]);
    play.scsctl(&["switchover", "t"]).expect(3, &["nothing was done"]);
    play.scsctl(&["restart", "t-1"]).expect(3, &["the agent of host alpha is not heard"]);
    play.scsctl(&["stop", "t-1"]).expect(6, &["t-1", "--yes"]);
    play.scsctl(&["wait", "alpha", "--for", "ready", "--timeout", "300ms"]).expect(1, &["alpha"]);
    bring_back(&mut play, &[ALPHA]);
    play.scsctl(&["wait", "alpha", "--for", "ready"]).expect(0, &["running"]);
    assert_nothing_changed(&before, &play.until_well());
}

/// One that has just gone may be back in a moment: that takes longer than its primaries' votes may last.
#[test]
fn a_start_on_a_host_that_is_away_is_said_to_be_not_done_yet() {
    let mut play = Play::well();
    kill(&mut play, &[ALPHA]);
    until_not_heard(&mut play, Host::Alpha);
    play.until_so("an agent that is away is not waited for", || {
        let asked = play.scsctl(&["start", "t-1"]);
        if asked.code == 5 { Ok(asked.text) } else { Err(asked.text) }
    });
    play.scsctl(&["start", "t-1"]).expect(5, &["not done yet: alpha is not heard", "scsctl stop t-1"]);
    bring_back(&mut play, &[ALPHA]);
    play.scsctl(&["wait", "alpha", "--for", "ready"]).expect(0, &["running"]);
    play.until_well();
}

#[test]
fn an_agent_killed_with_its_primary_hands_the_role_over_when_it_is_back() {
    let mut play = Play::well();
    let before = play.status();
    kill(&mut play, &[ALPHA]);
    play.stage.kill_application("t-1").unwrap();
    let away = until_not_heard(&mut play, Host::Alpha);
    // Nobody can know from afar that it is dead: nobody else is promoted.
    assert_eq!(role(&away, "t"), role(&before, "t"));
    assert!(!play.serves("t-2"));
    bring_back(&mut play, &[ALPHA]);
    let end = play.until_primary("t-2");
    assert!(pair(&end, "t").epoch > pair(&before, "t").epoch);
    assert_ne!(app(&end, "t-1").pid, app(&before, "t-1").pid);
    assert_undisturbed(&before, &end, &["t-1"]);
}

#[test]
fn an_agent_killed_with_its_backup_starts_it_again() {
    let mut play = Play::well();
    let before = play.status();
    kill(&mut play, &[BETA]);
    play.stage.kill_application("t-2").unwrap();
    bring_back(&mut play, &[BETA]);
    let end = play.until("t-2 is another process and ready", |status| {
        let fresh = app(status, "t-2").pid.is_some() && app(status, "t-2").pid != app(&before, "t-2").pid;
        if fresh && status.unwell().is_empty() {
            Ok(status.clone())
        } else {
            Err(format!("{:?}", status.unwell()))
        }
    });
    assert_eq!(role(&end, "t"), role(&before, "t"));
    assert_undisturbed(&before, &end, &["t-2"]);
}

/// In the middle of a switchover to t-2, in which `slow` is slow, `killed` are killed and come back.
fn kill_within_a_switchover(slow: &str, fault: &str, state: &str, killed: &[Daemon]) {
    let mut play = Play::well();
    let before = play.status();
    play.fault(slow, fault);
    play.scsctl(&["switchover", "t", "--to", "t-2", "--no-wait"]).expect(0, &[]);
    play.until_so(&format!("the pair is {state}"), || {
        let now = play.scsctl_json(&["pair", "t"])["state"].clone();
        if now == state { Ok(()) } else { Err(now.to_string()) }
    });
    kill(&mut play, killed);
    bring_back(&mut play, killed);
    // Either end is right; somewhere between is not.
    until_one_serves(&mut play);
    play.until_so("another switchover is done", || {
        let told = play.scsctl(&["switchover", "t"]);
        if told.code == 0 { Ok(()) } else { Err(told.text) }
    });
    let end = until_one_serves(&mut play);
    assert!(pair(&end, "t").epoch > pair(&before, "t").epoch);
    // Not one process was lost.
    assert_undisturbed(&before, &end, &[]);
}

/// Waits until all is well and who serves is who is primary.
fn until_one_serves(play: &mut Play) -> Status {
    play.until_so("who serves is who is primary", || {
        let status = play.stage.api().status().map_err(|error| error.to_string())?;
        let unwell = status.unwell();
        let primary = pair(&status, "t").primary.clone();
        let serve: Vec<&str> = ["t-1", "t-2"].into_iter().filter(|name| play.serves(name)).collect();
        let so = unwell.is_empty() && serve.len() == 1 && primary.as_deref() == serve.first().copied();
        if so { Ok(status) } else { Err(format!("{serve:?} serve, {primary:?} is primary, {unwell:?}")) }
    })
}

#[test]
fn a_control_server_killed_within_a_switchover_finds_its_end() {
    kill_within_a_switchover("t-2", "slow-promotion 700", "promoting", &[Daemon::Server]);
    kill_within_a_switchover("t-1", "slow-demotion 300", "demoting", &[Daemon::Server]);
}

#[test]
fn an_agent_killed_within_a_switchover_finds_its_end() {
    kill_within_a_switchover("t-2", "slow-promotion 700", "promoting", &[BETA]);
    kill_within_a_switchover("t-1", "slow-demotion 300", "demoting", &[ALPHA]);
}

#[test]
fn everything_killed_within_a_switchover_finds_its_end() {
    kill_within_a_switchover("t-2", "slow-promotion 700", "promoting", &[Daemon::Server, BETA, ALPHA]);
    kill_within_a_switchover("t-1", "slow-demotion 300", "demoting", &[ALPHA, Daemon::Server, BETA]);
}

#[test]
fn a_primary_that_dies_while_nobody_leads_is_restarted_in_its_role() {
    let mut play = Play::well();
    let before = play.status();
    let began = play.ask("t-1", "HELLO").unwrap();
    assert!(play.serves("t-1"));
    kill(&mut play, &[Daemon::Server]);
    let pid = app(&before, "t-1").pid.unwrap();
    understudy_stage::sweep::open_marked(pid, play.stage.directory()).unwrap().kill().unwrap();
    play.until_so("it serves again, in the same epoch", || {
        let lives = understudy_stage::sweep::is_alive(pid);
        match play.ask("t-1", "HELLO") {
            Ok(answer) if answer == began && !lives => Ok(()),
            other => Err(format!("{other:?}, the former process lives: {lives}")),
        }
    });
    assert!(!play.serves("t-2"));
    bring_back(&mut play, &[Daemon::Server]);
    let end = play.until_well();
    assert_eq!(role(&end, "t"), role(&before, "t"));
    assert_ne!(app(&end, "t-1").pid, app(&before, "t-1").pid);
    assert_undisturbed(&before, &end, &["t-1"]);
    // What happened while nobody listened is in the history all the same, and says that it comes late.
    let told = play.until_so("the agent told its story", || {
        let mut story = play.events(&["--app", "t-1"]);
        story.retain(|event| event["because"].to_string().contains("no control server was heard"));
        if story.is_empty() { Err("it did not".to_owned()) } else { Ok(story) }
    });
    assert_in_order(&told, &[("application-exited", "t-1")]);
    assert!(told.iter().any(|event| event["rule"] == "restart-in-place"), "{told:?}");
}

#[test]
fn what_an_operator_stopped_stays_stopped_through_every_kill() {
    let mut play = Play::well();
    let before = play.status();
    play.scsctl(&["stop", "t-2"]).expect(0, &[]);
    play.scsctl(&["stop", "single"]).expect(0, &[]);
    play.scsctl(&["wait", "single", "--for", "stopped"]).expect(0, &["single is stopped"]);
    for killed in [&[BETA, ALPHA][..], &[Daemon::Server], &[Daemon::Server, ALPHA, BETA]] {
        kill(&mut play, killed);
        bring_back(&mut play, killed);
        let after = play.until("both agents are heard again", |status| {
            let heard = status.hosts.iter().all(|host| host.status == "running");
            let known = status.applications.iter().all(|one| one.status == one.goal);
            if heard && known { Ok(status.clone()) } else { Err(format!("{:?}", status.unwell())) }
        });
        for name in ["t-2", "single"] {
            let now = app(&after, name);
            assert_eq!((now.pid, now.goal.as_str(), now.status.as_str()), (None, "stopped", "stopped"));
        }
        assert_eq!(role(&after, "t"), role(&before, "t"));
    }
    // A crash of the primary brings nobody back whom the operator stopped.
    play.stage.kill_application("t-1").unwrap();
    let after = play.until("t-1 is primary again", |status| {
        let (now, first) = (pair(status, "t"), app(status, "t-1"));
        let so = now.primary.as_deref() == Some("t-1") && first.pid != app(&before, "t-1").pid;
        if so { Ok(status.clone()) } else { Err(format!("{now:?} {first:?}")) }
    });
    assert_eq!(app(&after, "t-2").pid, None);
    play.scsctl(&["start", "t-2"]).expect(0, &[]);
    play.scsctl(&["start", "single"]).expect(0, &[]);
    let end = play.until_well();
    assert_undisturbed(&before, &end, &["t-1", "t-2", "single"]);
}

#[test]
fn maintenance_keeps_hands_off_through_crashes_and_kills() {
    let mut play = Play::well();
    let before = play.status();
    play.scsctl(&["maintenance", "on", "t"]).expect(0, &["maintenance of pair t is on"]);
    play.scsctl(&["maintenance", "on", "t"]).expect(0, &["already"]);
    play.scsctl(&["switchover", "t"]).expect(3, &["scsctl maintenance off t"]);
    play.stage.kill_application("t-1").unwrap();
    let left = |status: &Status| {
        let (first, now) = (app(status, "t-1"), pair(status, "t"));
        let so = first.pid.is_none() && first.status == "stopped" && now.primary.is_none();
        if so { Ok(status.clone()) } else { Err(format!("{first:?} {now:?}")) }
    };
    play.until("t-1 is left as it is", left);
    // What it held is given up on its agent's disk first.
    play.until_so("the reason is maintenance", || {
        let why = play.why("t").0;
        if why == "hands-off" { Ok(()) } else { Err(why) }
    });
    for killed in [&[ALPHA][..], &[Daemon::Server], &[Daemon::Server, ALPHA, BETA]] {
        kill(&mut play, killed);
        bring_back(&mut play, killed);
        let heard = |status: &Status| match status.hosts.iter().find(|host| host.status != "running") {
            Some(host) => Err(format!("{host:?}")),
            None => left(status),
        };
        let after = play.until("everything is heard again, and t-1 left as it is", heard);
        assert!(app(&after, "t-2").pid.is_some() && !play.serves("t-2"), "somebody was promoted");
    }
    play.scsctl(&["maintenance", "off", "t"]).expect(0, &["off"]);
    let end = play.until_well();
    assert_undisturbed(&before, &end, &["t-1"]);
    assert_eq!(app(&end, "t-2").pid, app(&before, "t-2").pid);
    assert!(pair(&end, "t").epoch > pair(&before, "t").epoch);
}

#[test]
fn a_daemon_asked_to_end_leaves_everything_running() {
    let mut play = Play::well();
    let before = play.status();
    for daemon in [ALPHA, Daemon::Server, BETA] {
        play.signal(daemon, rustix::process::Signal::TERM);
        // It ends by itself: reaping it is all that is left to do.
        play.until_so("it has ended", || {
            let pid = play.stage.daemon_pid(daemon).unwrap();
            if understudy_stage::sweep::is_alive(pid) { Err(format!("{pid} lives")) } else { Ok(()) }
        });
        kill(&mut play, &[daemon]);
        assert!(play.serves("t-1") && play.serves("calm-1"));
        bring_back(&mut play, &[daemon]);
        assert_nothing_changed(&before, &play.until_well());
    }
}

#[test]
fn a_pair_switched_while_an_agent_was_away_is_known_to_it_again() {
    let mut play = Play::well();
    play.stage.switch_over("t", "t-2", Duration::from_secs(20)).unwrap();
    let before = play.until_primary("t-2");
    kill(&mut play, &[BETA, Daemon::Server]);
    bring_back(&mut play, &[Daemon::Server]);
    // The server is back first and must wait for the agent of the holder.
    let alone = play.until("alpha is heard", |status| {
        let heard = status.hosts.iter().any(|host| host.name == "alpha" && host.status == "running");
        if heard { Ok(status.clone()) } else { Err(format!("{:?}", status.hosts)) }
    });
    assert!(!play.serves("t-1"), "{alone:?}");
    assert_eq!(role(&alone, "t").1, role(&before, "t").1);
    bring_back(&mut play, &[BETA]);
    assert_nothing_changed(&before, &play.until_well());
}
