//! Starts that fail, and processes that do not end as they should.
//!
//! The law: the cause stands in status, the other member serves, and no process of an ended member lives when somebody
//! else is primary.

use std::fs;
use std::net::TcpListener;

use understudy_stage::sweep::{self, is_alive};

use crate::play::{Play, app, assert_in_order, assert_undisturbed, pair};

#[test]
fn a_member_that_cannot_start_is_given_up_with_its_cause_and_the_other_one_serves() {
    let mut play = Play::set_up_with(&["missing", "exits", "port", "place"]);
    for first in ["missing-1", "exits-1", "port-1", "place-1"] {
        play.set_in_application(first, "restart-limit = 2");
    }
    let program = format!("command = [\"{}\", ", play.program("tserver").display());
    let head = "name = \"missing-1\"\nrestart-limit = 2\nhost = \"alpha\"\ninterface = \"library\"\n";
    play.set(&format!("{head}{program}"), &format!("{head}command = [\"/nonexistent/tserver\", "));
    play.add_arguments("exits-1", &["--fail-start"]);
    let file = play.stage.directory().join("file");
    fs::write(&file, "not a directory").unwrap();
    play.set_in_application("place-1", &format!("working-directory = \"{}/below\"", file.display()));
    let taken = TcpListener::bind(play.address("port-1")).unwrap();
    play.stage.start_all().unwrap();

    let causes = [
        ("missing", "/nonexistent/tserver"),
        ("exits", "exit code 1"),
        ("port", "exit code 1"),
        ("place", "file/below"),
    ];
    for (name, cause) in causes {
        let (first, second) = (format!("{name}-1"), format!("{name}-2"));
        let after = play.until(&format!("{second} serves alone"), |status| {
            let now = pair(status, name);
            if now.primary.as_deref() == Some(&second) { Ok(status.clone()) } else { Err(format!("{now:?}")) }
        });
        let failed = app(&after, &first);
        assert!(failed.problem.contains(cause), "{failed:?}");
        assert_eq!((failed.pid, failed.status.as_str()), (None, "stopped"));
        assert!(!pair(&after, name).ready);
        play.scsctl(&["app", &first]).expect(0, &[cause, "gave up"]);
        play.scsctl(&["status"]).expect(0, &[cause]);
        assert_in_order(&play.events(&["--app", &first]), &[("gave-up", &first)]);
        assert_eq!(play.why(name).0, "other-member-instead");
    }
    play.scsctl(&["status", "--check"]).expect(1, &[]);
    let calm = play.status();
    assert!(pair(&calm, "calm").ready && pair(&calm, "t").ready);

    // Asked for by an operator it is tried again, and the operator hears how it went.
    play.scsctl(&["start", "missing-1"]).expect(1, &["/nonexistent/tserver"]);
    drop(taken);
    play.scsctl(&["start", "port-1"]).expect(0, &[]);
    let end = play.until_primary("port-2");
    assert_undisturbed(&calm, &end, &["port-1"]);
}

/// The process that a member left outside its own session.
fn left_child(play: &Play, member: &str) -> u32 {
    play.until_so("the left child runs", || {
        let marked = sweep::find(play.stage.directory()).map_err(|error| error.to_string())?;
        let read = |pid: u32, what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let has = |bytes: &[u8], part: &str| bytes.split(|byte| *byte == 0).any(|one| one == part.as_bytes());
        let own = format!("UNDERSTUDY_APPLICATION={member}");
        let found = marked.iter().map(|held| held.pid);
        let mut found = found.filter(|pid| {
            has(&read(*pid, "cmdline"), "--be-left-child") && has(&read(*pid, "environ"), &own)
        });
        found.next().ok_or_else(|| "there is none".to_owned())
    })
}

#[test]
fn what_a_member_hid_from_its_session_is_gone_before_the_other_one_serves() {
    let mut play = Play::set_up();
    play.add_arguments("t-1", &["--leave-child"]);
    play.stage.start_all().unwrap();
    let before = play.until_well();
    let hidden = left_child(&play, "t-1");
    play.stage.kill_application("t-1").unwrap();
    play.until_so("t-2 serves", || {
        // Asked first, looked at after: if it serves, the hidden process must be gone already.
        let serves = play.serves("t-2");
        assert!(!serves || !is_alive(hidden), "t-2 serves while process {hidden} of t-1 lives");
        if serves { Ok(()) } else { Err("it does not".to_owned()) }
    });
    let after = play.until_primary("t-2");
    // The agent's restart brought its own child.
    assert_ne!(left_child(&play, "t-1"), hidden);
    // An operator's stop ends it as well.
    let hidden = left_child(&play, "t-1");
    play.scsctl(&["stop", "t-1"]).expect(0, &[]);
    assert!(!is_alive(hidden), "process {hidden} outlived the stop of t-1");
    assert_undisturbed(&before, &after, &["t-1"]);
}

#[test]
fn who_ignores_the_signal_to_end_is_ended_firmly() {
    let mut play = Play::set_up();
    play.set_in_application("t-1", "shutdown-timeout = \"300ms\"");
    play.add_arguments("t-1", &["--ignore-term"]);
    play.stage.start_all().unwrap();
    let before = play.until_well();
    let pid = app(&before, "t-1").pid.unwrap();
    let seen = play.last_event();
    play.scsctl(&["stop", "t-1"])
        .expect(6, &["t-1 is the primary of pair t", "t-2 would take over", "--yes"]);
    play.scsctl(&["stop", "t-1", "--yes"]).expect(0, &[]);
    assert!(!is_alive(pid));
    let after = play.until("t-2 serves", |status| match pair(status, "t") {
        now if now.primary.as_deref() == Some("t-2") => Ok(status.clone()),
        now => Err(format!("{now:?}")),
    });
    assert_eq!(app(&after, "t-1").goal, "stopped");
    let events = play.events_after(seen, &["--app", "t-1"]);
    let told = |event: &serde_json::Value| event["reason"].as_str().is_some_and(|text| text.contains("KILL"));
    assert!(events.iter().any(|event| event["kind"] == "application-exited" && told(event)), "{events:?}");
    let (rule, text) = play.why("t");
    assert_eq!(rule, "primary-stopped", "{text}");
    assert_undisturbed(&before, &after, &["t-1"]);
}

#[test]
fn a_member_that_hangs_at_its_start_is_killed_and_waited_for_no_longer() {
    let mut play = Play::set_up();
    play.set_in_application("t-1", "startup-timeout = \"400ms\"\nrestart-limit = 2");
    play.add_arguments("t-1", &["--slow-start", "60000"]);
    play.stage.start_all().unwrap();
    let after = play.until("t-2 serves and t-1 is given up", |status| {
        let (now, failed) = (pair(status, "t"), app(status, "t-1"));
        let so = now.primary.as_deref() == Some("t-2") && failed.pid.is_none() && !failed.problem.is_empty();
        if so { Ok(status.clone()) } else { Err(format!("{now:?} {failed:?}")) }
    });
    assert!(!pair(&after, "t").ready);
    let events = play.until_so("the agent gave up", || {
        let events = play.events(&["--app", "t-1"]);
        if events.iter().any(|event| event["kind"] == "gave-up") {
            Ok(events)
        } else {
            Err(format!("{events:?}"))
        }
    });
    assert!(events.iter().any(|event| event["rule"] == "startup-timeout"), "{events:?}");
}
