//! Agents that become their next program while everything runs: `lca reexec`, as packages use it.
//!
//! The law: same process numbers everywhere, same roles, same links of applications, and no refused connection; an agent whose
//! next program is not fit goes on as it is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use understudy_stage::{Daemon, Host};

use crate::play::{Play, app, assert_nothing_changed};

const ALPHA: Daemon = Daemon::Agent(Host::Alpha);

/// The sockets that a process has open.
fn sockets(pid: u32) -> BTreeSet<String> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .map(|path| path.to_string_lossy().into_owned())
        .filter(|path| path.starts_with("socket:"))
        .collect()
}

/// Connects to the agent of alpha without pause until told to end; answers how often, and how often it was refused.
fn knock(play: &Play, ends: &Arc<AtomicBool>) -> std::thread::JoinHandle<(u64, u64)> {
    let text = fs::read_to_string(play.stage.directory().join("lca-alpha.toml")).unwrap();
    let listen = text
        .lines()
        .find_map(|line| line.strip_prefix("listen = [\""))
        .unwrap()
        .trim_end_matches("\"]")
        .to_owned();
    let (ends, refused) = (Arc::clone(ends), AtomicU64::new(0));
    std::thread::spawn(move || {
        let mut knocks = 0;
        while !ends.load(Ordering::Relaxed) {
            knocks += 1;
            if TcpStream::connect(&listen).is_err() {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        (knocks, refused.into_inner())
    })
}

#[test]
fn an_agent_becomes_its_next_program_and_nobody_notices() {
    let mut play = Play::well();
    let before = play.status();
    let (agent, last) = (play.stage.daemon_pid(ALPHA).unwrap(), play.last_event());
    let links = ["t-1", "calm-1", "single"].map(|name| (name, sockets(app(&before, name).pid.unwrap())));
    let ends = Arc::new(AtomicBool::new(false));
    let knocking = knock(&play, &ends);
    for round in 1..=5 {
        play.lca(Host::Alpha, &["reexec"]).expect(0, &["the agent is", "now"]);
        play.until_so("the next program has begun", || {
            let log = play.log(ALPHA);
            if log.matches("agent begins").count() == 1 + round { Ok(()) } else { Err(log) }
        });
    }
    ends.store(true, Ordering::Relaxed);
    let (knocks, refused) = knocking.join().unwrap();
    assert_eq!(refused, 0, "of {knocks} connections");
    assert_nothing_changed(&before, &play.until_well());
    assert_eq!(play.stage.daemon_pid(ALPHA), Some(agent));
    for (name, links) in links {
        assert_eq!(sockets(app(&before, name).pid.unwrap()), links, "{name} has the link that it had");
        assert!(play.ask(name, "HELLO").is_ok());
    }
    // The link of the control server is made again: that is no silence, no refusal, and nothing was decided for it.
    let story = play.events_after(last, &[]);
    let moved = ["promotion-ordered", "demotion-ordered", "role-changed", "application-exited", "anomaly"];
    assert!(!story.iter().any(|event| moved.contains(&event["kind"].as_str().unwrap())), "{story:#?}");
    for event in story.iter().filter(|event| event["kind"] == "host-lost") {
        assert!(event.to_string().contains("it closed the link"), "{event}");
    }
    // And it is a whole agent: an end is seen, a change of roles is done over the kept links.
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    play.until_primary("t-2");
    play.stage.kill_application("single").unwrap();
    play.until("single is another process", |status| {
        let pid = app(status, "single").pid;
        if pid.is_some() && pid != app(&before, "single").pid { Ok(()) } else { Err(format!("{pid:?}")) }
    });
}

#[test]
fn in_the_middle_of_a_change_of_roles_it_waits_for_what_the_application_says() {
    let play = Play::well();
    play.fault("t-1", "slow-demotion 800");
    play.scsctl(&["switchover", "t", "--to", "t-2", "--no-wait"]).expect(0, &[]);
    play.until_so("the pair is demoting", || {
        let now = play.scsctl_json(&["pair", "t"])["state"].clone();
        if now == "demoting" { Ok(()) } else { Err(now.to_string()) }
    });
    play.lca(Host::Alpha, &["reexec"]).expect(0, &[]);
    play.until_so("one of both serves, and is who is primary", || {
        let status = play.stage.api().status().map_err(|error| error.to_string())?;
        let serve: Vec<&str> = ["t-1", "t-2"].into_iter().filter(|name| play.serves(name)).collect();
        let primary = status.pair("t").and_then(|pair| pair.primary.clone());
        let well = status.unwell();
        if serve.len() == 1 && primary.as_deref() == serve.first().copied() && well.is_empty() {
            Ok(())
        } else {
            Err(format!("{serve:?} {primary:?} {well:?}"))
        }
    });
}

#[test]
fn an_agent_whose_next_program_is_not_fit_goes_on_as_it_is() {
    // A program of its own, as it is replaced by something else.
    let mut play = Play::set_up();
    let own = play.stage.directory().join("lca-alpha");
    fs::copy(play.program("lca"), &own).unwrap();
    // Its guard lies beside it; without one it asks for no votes.
    fs::copy(play.program("lca-guard"), own.with_file_name("lca-guard")).unwrap();
    play.stage.set_program(ALPHA, own.clone());
    play.stage.start_all().unwrap();
    play.until_well();
    let agent = play.stage.daemon_pid(ALPHA).unwrap();
    let put = |text: &str| {
        let next = own.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&next, &own).unwrap();
    };
    put("#!/bin/sh\necho this one does not know your settings >&2\nexit 78\n");
    play.lca(Host::Alpha, &["reexec"])
        .expect(1, &["--check failed", "does not know your settings", "as it is"]);
    // Fit to be checked by its word, and no program at all for the system.
    put("#!/no/such/interpreter\n");
    play.lca(Host::Alpha, &["reexec"]).expect(1, &["--check failed"]);
    // Whoever asks the agent itself, without trying it first, finds that it stays.
    let mut asked = UnixStream::connect(play.stage.sockets().join("run/alpha/agent.sock")).unwrap();
    asked.write_all(b"replace\n").unwrap();
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("failed cannot become") && answer.contains("this program goes on"), "{answer}");
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    let before = play.until_well();
    assert_eq!(play.stage.daemon_pid(ALPHA), Some(agent));
    assert_nothing_changed(&before, &play.until_well());
    // A good one, put there as a package does it.
    let next = own.with_extension("next");
    fs::copy(play.program("lca"), &next).unwrap();
    fs::rename(&next, &own).unwrap();
    play.lca(Host::Alpha, &["reexec"]).expect(0, &["now"]);
    assert_eq!(fs::read_link(format!("/proc/{agent}/exe")).unwrap(), own, "it is the new one");
    assert_nothing_changed(&before, &play.until_well());
}
