//! The command line against a real server: every exit code, waiting, and the reasons after each kind of change.
//!
//! The law: a script can tell from the code what happened, and a person from the text why.

use std::fs;
use std::process::Command;

use crate::play::{Play, app, assert_in_order, pair, said};

#[test]
fn every_exit_code_is_what_it_says() {
    let mut play = Play::well();
    play.scsctl(&["status", "--check"]).expect(0, &["Nothing is wrong"]);
    play.scsctl(&["no-such-command"]).expect(2, &["no-such-command"]);
    play.scsctl(&["wait", "alpha", "--for", "primary"]).expect(2, &["a host is never primary"]);
    play.scsctl(&["app", "nobody"]).expect(3, &["nobody"]);
    play.scsctl(&["wait", "nobody", "--for", "ready"]).expect(3, &["nobody"]);
    play.scsctl(&["stop", "t-1"]).expect(6, &["t-1 is the primary of pair t", "--yes"]);
    play.scsctl(&["stop", "t"]).expect(6, &["nobody would serve"]);
    play.scsctl(&["wait", "t-1", "--for", "stopped", "--timeout", "200ms"]).expect(1, &["t-1 is started"]);

    let bad = play.stage.directory().join("bad.toml");
    fs::write(&bad, "[cluster]\nname = \"x\"\n[[host]]\nname = \"alpha\"\nadresses = [\"127.0.0.11\"]\n")
        .unwrap();
    let validated = play.scsctl(&["config", "validate", &bad.display().to_string()]);
    validated.expect(78, &["bad.toml:5", "adresses", "addresses"]);
    play.scsctl(&["config", "validate", &play.cluster_file().display().to_string()]).expect(0, &["valid"]);

    let nowhere = format!("unix:{}", play.stage.directory().join("nowhere.sock").display());
    let mut command = Command::new(play.program("scsctl"));
    said(command.args(["--server", &nowhere, "status"])).expect(4, &["no control server answers"]);
    let seen = play.status();
    assert!(seen.applications.iter().all(|one| one.status == "started"), "something was done: {seen:?}");

    // A server that ends between question and answer leaves an unknown outcome, never a false one.
    play.fault("t-2", "slow-promotion 4000");
    let operation = play.scsctl(&["switchover", "t", "--timeout", "300ms"]);
    operation.expect(5, &["operation", "still runs", "scsctl operations"]);
    play.until_primary("t-2");
}

#[test]
fn wait_ends_as_soon_as_it_is_so() {
    let mut play = Play::set_up();
    for daemon in understudy_stage::Daemon::ALL {
        play.stage.start(daemon).unwrap();
    }
    // From the very start, before the server answers.
    play.scsctl(&["wait", "t", "--for", "ready"]).expect(0, &["t-1 is primary of pair t"]);
    play.scsctl(&["wait", "t-2", "--for", "started"]).expect(0, &["t-2 is started, backup"]);
    play.scsctl(&["stop", "t", "--yes", "--no-wait"]).expect(0, &[]);
    play.scsctl(&["wait", "t", "--for", "stopped"]).expect(0, &["t-1 is stopped", "t-2 is stopped"]);
    play.scsctl(&["start", "t", "--no-wait"]).expect(0, &[]);
    play.scsctl(&["wait", "t", "--for", "primary"]).expect(0, &["is primary of pair t"]);
    play.scsctl(&["wait", "t-1", "--for", "primary"]).expect(0, &["t-1 is started, primary"]);
}

#[test]
fn a_restart_brings_another_process_and_moves_the_role_of_a_primary() {
    let mut play = Play::well();
    let before = play.status();
    play.scsctl(&["restart", "single"]).expect(0, &["restart of single done"]);
    assert_ne!(app(&play.status(), "single").pid, app(&before, "single").pid);
    play.scsctl(&["restart", "t-1"]).expect(6, &["t-2 would take over", "scsctl restart t --rolling"]);
    let told =
        ["t-1 is the primary of pair t: its role goes to t-2", "t-2 confirmed that it is primary", "done"];
    play.scsctl(&["restart", "t-1", "--yes"]).expect(0, &told);
    let end = play.until_well();
    assert_ne!(app(&end, "t-1").pid, app(&before, "t-1").pid);
    assert_eq!(usize::from(play.serves("t-1")) + usize::from(play.serves("t-2")), 1);
    play.scsctl(&["restart", "t"]).expect(3, &["restarted one by one"]);
    play.scsctl(&["stop", "single"]).expect(0, &[]);
    play.scsctl(&["restart", "single"]).expect(3, &["scsctl start single"]);
    assert_eq!(app(&play.status(), "t-2").pid, app(&before, "t-2").pid);
}

#[test]
fn every_reason_is_told_with_its_facts_and_what_nearly_happened() {
    let mut play = Play::well();
    play.scsctl(&["switchover", "t", "--reason", "new line cards"]).expect(0, &[]);
    play.until_primary("t-2");
    let (rule, text) = play.why("t");
    assert_eq!(rule, "switchover-step", "{text}");
    let why = play.scsctl_json(&["why", "t"]);
    assert!(why["because"]["because"].as_array().is_some_and(|facts| !facts.is_empty()), "{why}");
    assert!(why["considered"]["nearly"].as_array().is_some_and(|nearly| !nearly.is_empty()), "{why}");
    let asked = play.events(&["--pair", "t"]);
    let asked = asked.iter().find(|event| event["kind"] == "operation-started").unwrap();
    assert!(asked["because"].to_string().contains("new line cards"), "{asked}");
    assert!(asked["actor"].is_string());

    let seen = play.last_event();
    play.stage.kill_application("t-2").unwrap();
    let end = play.until_primary("t-1");
    play.scsctl(&["why", "t"]).expect(0, &["t-1", "primary-exited"]);
    play.scsctl(&["why", "t-2"]).expect(0, &["t-2 is started"]);
    play.scsctl(&["why", "alpha"]).expect(0, &["host alpha is running"]);
    play.scsctl(&["why", "nobody"]).expect(3, &["nobody"]);
    let story = play.events_after(seen, &[]);
    // The successor comes up beside the failover, before or after it is done.
    assert_in_order(
        &story,
        &[("application-exited", "t-2"), ("promotion-ordered", ""), ("role-changed", "t-1")],
    );
    assert_in_order(&story, &[("application-exited", "t-2"), ("status-changed", "t-2")]);
    let changed = story.iter().find(|event| event["kind"] == "role-changed" && event["to"] == "t-1").unwrap();
    assert_eq!(changed["epoch"].as_u64(), Some(pair(&end, "t").epoch));
    let id = changed["id"].to_string();
    play.scsctl(&["why", "--event", &id]).expect(0, &["t-1 is primary", "primary-exited"]);
    play.scsctl(&["why", "--event", "999999"]).expect(3, &["999999"]);
}
