//! The real load client watches two real call servers whose agents are a test's own hands.

#[path = "../../understudy/tests/agent/mod.rs"]
mod agent;
mod running;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use agent::Agent;
use running::{Tserver, wait};
use serde_json::Value;
use understudy_model::{Epoch, FromApplication, RunMode, ToApplication};

/// A running load client.
struct Load {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn start(servers: &[&Tserver]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tserver-load"))
            .args(["--until-stdin-closes", "--verify", "--pause-us", "100"])
            .args(servers.iter().map(|server| server.address.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { stdin: child.stdin.take(), lines, child }
    }

    /// Reads until a line is so; the pipe ends if the client does, so this ends too.
    fn until(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.next().expect("the client ended").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if is_so(&value) {
                return value;
            }
        }
    }

    fn finish(mut self) -> Value {
        drop(self.stdin.take());
        let summary = self.until(|line| line.get("writes_sent").is_some());
        assert!(wait(&mut self.child).success());
        summary
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It has ended unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set(session: &mut agent::Session, run_mode: RunMode, epoch: u64) {
    session.say(ToApplication::SetRunMode { run_mode, epoch: Epoch(epoch) });
    let wanted = FromApplication::RunModeDone { run_mode, epoch: Epoch(epoch) };
    while session.hear() != wanted {}
}

fn event<'a>(name: &'a str, epoch: u64) -> impl Fn(&Value) -> bool + use<'a> {
    move |line| line["event"] == name && line["epoch"] == epoch
}

#[test]
fn a_switchover_and_a_crash_are_measured_and_nobody_acts_twice() {
    let agents = [Agent::new(), Agent::new()];
    let mut first = Tserver::start(&agents[0].variables("primary", 1), &[]);
    let second = Tserver::start(&agents[1].variables("backup", 1), &[]);
    let (mut to_first, mut to_second) = (agents[0].attach().0, agents[1].attach().0);
    let mut load = Load::start(&[&first, &second]);
    load.until(event("epoch-changed", 1));
    set(&mut to_first, RunMode::Backup, 1);
    load.until(event("outage-began", 1));
    set(&mut to_second, RunMode::Primary, 2);
    load.until(event("served-again", 2));
    set(&mut to_second, RunMode::Backup, 2);
    set(&mut to_first, RunMode::Primary, 3);
    load.until(event("served-again", 3));
    first.child.kill().unwrap();
    first.wait();
    load.until(event("outage-began", 3));
    set(&mut to_second, RunMode::Primary, 4);
    load.until(event("served-again", 4));
    let summary = load.finish();
    let epochs: Vec<_> =
        summary["outages"].as_array().unwrap().iter().map(|o| o["epoch_after"].as_u64()).collect();
    assert_eq!(epochs, [Some(2), Some(3), Some(4)], "{summary}");
    assert_eq!(summary["epochs_seen"], serde_json::json!([1, 2, 3, 4]));
    assert_eq!(
        (&summary["dual_primary_observations"], &summary["lower_epoch_answers"]),
        (&0.into(), &0.into())
    );
    assert_eq!(summary["acknowledged_lost"], 0, "{summary}");
    assert!(summary["acknowledged_checked"].as_u64().unwrap() > 0, "{summary}");
    assert!(summary["writes_sent"].as_u64() >= summary["writes_acknowledged"].as_u64());
}

#[test]
fn two_primaries_are_seen() {
    let agents = [Agent::new(), Agent::new()];
    let stale = Tserver::start(&agents[0].variables("primary", 1), &[]);
    let newer = Tserver::start(&agents[1].variables("backup", 1), &[]);
    let (_to_stale, mut to_newer) = (agents[0].attach().0, agents[1].attach().0);
    let mut load = Load::start(&[&stale, &newer]);
    load.until(event("epoch-changed", 1));
    // Nobody demoted the first.
    set(&mut to_newer, RunMode::Primary, 2);
    let dual = load.until(event("dual", 1));
    assert_eq!((&dual["member"], &dual["other_epoch"]), (&0.into(), &2.into()));
    let summary = load.finish();
    assert!(summary["dual_primary_observations"].as_u64().unwrap() > 0, "{summary}");
    assert!(summary["lower_epoch_answers"].as_u64().unwrap() > 0, "{summary}");
    // What was answered in the lower epoch is seen, and rejected.
    assert!(summary["stale_rejected"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["stale_accepted"], 0, "{summary}");
}

#[test]
fn a_restart_in_place_loses_what_only_memory_knew_and_that_is_told() {
    let alone = BTreeMap::new();
    let mut server = Tserver::start(&alone, &[]);
    let port = server.address.port().to_string();
    let mut load = Load::start(&[&server]);
    load.until(event("epoch-changed", 0));
    server.child.kill().unwrap();
    server.wait();
    load.until(event("outage-began", 0));
    let _again = Tserver::start_at(&alone, &port, &[]);
    load.until(event("served-again", 0));
    let summary = load.finish();
    assert!(summary["acknowledged_lost"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["outages"].as_array().unwrap().len(), 1, "{summary}");
}

#[test]
fn without_a_primary_at_the_end_nothing_is_made_up() {
    let mut server = Tserver::start(&BTreeMap::new(), &[]);
    let mut load = Load::start(&[&server]);
    load.until(event("epoch-changed", 0));
    server.child.kill().unwrap();
    server.wait();
    load.until(event("outage-began", 0));
    let summary = load.finish();
    assert_eq!(
        (&summary["acknowledged_lost"], &summary["acknowledged_checked"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(summary["outages"][0]["epoch_after"], Value::Null);
    assert!(summary["longest_outage_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn once_says_who_serves() {
    let (agent, alone) = (Agent::new(), BTreeMap::new());
    let backup = Tserver::start(&agent.variables("backup", 1), &[]);
    let primary = Tserver::start(&alone, &[]);
    agent.attach();
    let once = |servers: &[&Tserver]| {
        let addresses = servers.iter().map(|server| server.address.to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_tserver-load"));
        command.arg("--once").args(addresses).output().unwrap()
    };
    let found = once(&[&backup, &primary]);
    let line = format!("{{\"member\":1,\"address\":\"{}\",\"epoch\":0}}\n", primary.address);
    assert_eq!((found.status.code(), String::from_utf8(found.stdout).unwrap()), (Some(0), line));
    assert_eq!(once(&[&backup]).status.code(), Some(1));
}
