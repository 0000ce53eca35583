//! What people see, word for word: each picture is kept as a file and compared.

use serde_json::{Value, json};

use super::Show;
use crate::answers::read;
use crate::out::Paint;

fn show(wide: bool) -> Show {
    static UTC: jiff::tz::TimeZone = jiff::tz::TimeZone::UTC;
    Show { now: "2026-11-20T08:00:00Z".parse().unwrap(), zone: &UTC, paint: Paint::OFF, wide }
}

#[track_caller]
fn assert_looks(found: &str, expected: &str) {
    assert!(found == expected, "--- found ---\n{found}\n--- expected ---\n{expected}");
}

fn application(name: &str, host: &str, pair: Option<&str>, mode: &str) -> Value {
    json!({"name": name, "host": host, "pair": pair, "pid": 4711, "status": "started", "goal": "started",
           "run_mode": mode, "epoch": (mode == "primary").then_some(7), "restarts": 0, "gave_up": false,
           "hands_off": false, "problem": "", "since": "2026-11-20T07:56:55Z"})
}

fn cluster() -> Value {
    let mut ivr = application("ivr-1", "alpha", None, "unknown");
    ivr["status"] = json!("stopped");
    ivr["pid"] = Value::Null;
    ivr["gave_up"] = json!(true);
    ivr["problem"] =
        json!("not started: /usr/bin/ivr: no such file or directory, or something else that is long");
    ivr["last_exit"] = json!({"text": "exit code 3", "wanted": false, "ran_ms": 1500});
    json!({
        "cluster": {"name": "demo", "id": "00000000000000000000000000000abc"}, "revision": 12,
        "controllers": [{"name": "scs-1", "leading": true, "epoch": 3}],
        "hosts": [
            {"name": "alpha", "address": "127.0.0.11:4999", "status": "running", "heard_ms_ago": 12,
             "since": "2026-11-20T05:55:30Z", "loss_survivable": false, "problem": ""},
            {"name": "beta", "address": "127.0.0.12:4999", "status": "inaccessible", "heard_ms_ago": 61000,
             "since": "2026-11-20T07:59:00Z", "loss_survivable": false, "problem": "refused"}],
        "applications": [ivr, application("tserver-1", "alpha", Some("tserver"), "primary"),
                         application("tserver-2", "beta", Some("tserver"), "backup")],
        "pairs": [{"name": "tserver", "redundancy": "hot-standby", "policy": "available",
                   "policy_means": "two may act until its agent is heard again", "primary": "tserver-1",
                   "backup": "tserver-2", "epoch": 7, "state": "settled", "since": "2026-11-20T07:56:55Z",
                   "ready": false, "not_ready_because": ["host beta is not heard"]}],
        "operations": [{"id": 9, "kind": "restart", "subject": "ivr-1", "actor": "ann", "state": "running",
                        "began": "2026-11-20T07:59:58Z", "steps": []}],
        "maintenance": ["host beta"],
        "warnings": ["host beta: its agent is not heard; on that host run: systemctl status lca"], "alarms": []
    })
}

fn reason() -> Value {
    json!({"rule": "primary-exited", "says": "The primary's process ended.", "reason": "tserver-1 was killed",
           "because": [{"what": "tserver-1", "is": "ended by signal 9 (KILL)"}, {"what": "tserver-2", "is": "ready"}],
           "nearly": [{"rule": "nobody-ready", "missed": "tserver-2 is ready"}]})
}

fn event() -> Value {
    json!({"id": 41, "at": "2026-11-19T07:59:59.123Z", "kind": "promotion-ordered", "severity": "info", "host": null,
           "application": "tserver-2", "pair": "tserver", "from": "tserver-1", "to": "tserver-2", "epoch": 8,
           "rule": "primary-exited", "reason": "tserver-1 was killed", "because": [], "nearly": [], "actor": "ann"})
}

#[test]
fn the_cluster_at_a_glance() {
    let text = super::status(&read(&cluster()).unwrap(), show(false));
    assert_looks(&text, include_str!("golden/status.txt"));
}

#[test]
fn what_runs_on_one_host_only_is_named_and_a_silent_host_promises_nothing() {
    let host = |status: &str, only: Value| {
        let host = json!({"name": "alpha", "status": status, "loss_survivable": true, "only_here": only});
        super::hosts(&[read(&host).unwrap()], show(false))
    };
    assert!(host("running", json!([])).trim_end().ends_with(" yes"));
    assert!(host("running", json!(["cron"])).contains("cron runs only here"));
    assert!(host("running", json!(["cron", "ivr", "x"])).contains("cron and 2 more run only here"));
    let silent = host("unreachable", json!(["cron"]));
    assert!(!silent.contains("yes") && !silent.contains("cron"), "{silent}");
}

#[test]
fn applications_with_room() {
    let all: crate::answers::Status = read(&cluster()).unwrap();
    assert_looks(
        &super::applications(&all.applications, show(true)),
        include_str!("golden/applications-wide.txt"),
    );
}

#[test]
fn one_application() {
    let text = super::application(&read(&cluster()["applications"][0]).unwrap(), show(false));
    assert_looks(&text, include_str!("golden/application.txt"));
}

#[test]
fn what_waits_for_a_restart_is_marked() {
    let mut waiting = application("ivr-1", "alpha", None, "unknown");
    waiting["restart_pending"] = json!(["command", "environment"]);
    let one = read(&waiting).unwrap();
    let said =
        "a restart is pending: command, environment changed since it was started; run: scsctl restart ivr-1";
    assert!(super::application(&one, show(false)).contains(said));
    assert!(super::applications(&[one], show(false)).trim_end().ends_with("a restart is pending"));
}

#[test]
fn one_pair_and_why_it_is_so() {
    let mut pair = cluster()["pairs"][0].clone();
    pair["because"] = reason();
    pair["members"] = json!([cluster()["applications"][1]]);
    assert_looks(&super::pair(&read(&pair).unwrap(), show(false)), include_str!("golden/pair.txt"));
}

#[test]
fn the_reasons_and_the_story() {
    let why = json!({"name": "tserver", "kind": "pair", "now": "tserver-2 is primary of pair tserver in epoch 8",
                     "because": reason(), "considered": {"rule": "acting-holder-kept", "reason": "tserver-2 acts",
                     "says": "A member acts.", "because": [], "nearly": []}, "events": [event()]});
    assert_looks(&super::why(&read(&why).unwrap(), show(false)), include_str!("golden/why.txt"));
    let same = json!({"now": "x", "because": reason(), "considered": reason(), "events": []});
    let text = super::why(&read(&same).unwrap(), show(false));
    assert_eq!(text.matches("it saw").count(), 1, "the same reason is told once: {text}");
}

#[test]
fn what_would_happen() {
    let step = |after_ms: f64, who: &str, what: &str, because: Value| {
        json!({"after_ms": after_ms, "who": who, "host": null, "application": null, "pair": "tserver",
               "severity": "info", "what": what, "because": because})
    };
    let pair = |name: &str, then: Option<&str>, after: Option<f64>, hold: &str| {
        json!({"name": name, "policy": "strict", "primary_now": "tserver-1", "primary_then": then,
               "changed_after_ms": after, "two_may_act": false, "holds": [hold], "because": reason()})
    };
    let foreseen = json!({
        "supposed": "host alpha is lost",
        "assumed": ["the silence of host alpha is found after two ADDP timeouts, 2s"],
        "steps": [step(0.0, "host alpha", "tserver-1 is gone with its host", Value::Null),
                  step(3000.0, "control server", "epoch 8 is stored for tserver-2", reason()),
                  step(3000.0, "agent of beta", "tserver-2 is primary", Value::Null)],
        "pairs": [pair("tserver", Some("tserver-2"), Some(3000.0), "tserver-1 is gone with its host"),
                  pair("other", None, None, "x is gone with its host")],
        "warnings": ["host alpha: its agent is not heard"], "looked_ahead_ms": 31000.0, "cut_short": false
    });
    assert_looks(&super::what_if(&read(&foreseen).unwrap(), show(false)), include_str!("golden/what-if.txt"));
    let nothing = super::what_if(&read(&json!({"supposed": "x"})).unwrap(), show(false));
    assert!(nothing.contains("nothing would be decided"), "{nothing}");
}

#[test]
fn a_plan_and_an_operation() {
    let plan = json!({"checks": [{"what": "the backup is ready", "ok": true, "found": "started"},
                                 {"what": "no maintenance", "ok": false, "found": "host beta"}],
                      "steps": ["demote tserver-1", "promote tserver-2"]});
    let operation = json!({"id": 5, "kind": "switchover", "subject": "tserver", "actor": "ann", "state": "failed",
                           "why": "tserver-2 refused", "took_ms": 12.3456,
                           "steps": [{"after_ms": 0.4123, "what": "demotion of tserver-1 ordered"}]});
    let operation: crate::answers::Operation = read(&operation).unwrap();
    let mut text = super::plan(&read(&plan).unwrap(), show(false));
    text.extend(operation.steps.iter().map(super::step));
    text.push_str(&super::operation(&operation, show(false)));
    assert_looks(&text, include_str!("golden/operation.txt"));
}

#[test]
fn a_cluster_without_trouble_says_so() {
    let status = json!({"cluster": {"name": "demo"}, "warnings": [], "wrong": []});
    assert!(super::status(&read(&status).unwrap(), show(false)).ends_with("\nNothing is wrong.\n"));
    let status = json!({"cluster": {"name": "demo"}, "warnings": [], "wrong": ["host beta is unreachable"]});
    assert!(!super::status(&read(&status).unwrap(), show(false)).contains("Nothing is wrong"));
}

#[test]
fn a_change_of_a_moment_ago_and_a_stop_that_was_asked_for_are_in_sight() {
    let mut pair = cluster()["pairs"][0].clone();
    pair["because"] = reason();
    let mut stopped = pair.clone();
    stopped["name"] = json!("other");
    stopped["primary"] = Value::Null;
    stopped["because"] = json!({"rule": "pair-stopped", "reason": "Both should be stopped.",
                                "because": [{"what": "asked by", "is": "ann (a new disk)"}]});
    let status = json!({"cluster": {"name": "demo"}, "pairs": [pair, stopped]});
    let text = super::status(&read(&status).unwrap(), show(false));
    let since = "since 07:56:55.000 (3m5s ago)";
    let changed =
        format!("pair tserver: tserver-1 is primary {since}: tserver-1 was killed [primary-exited]");
    assert!(text.contains(&changed), "{text}");
    let stopped =
        format!("pair other is stopped {since}, as asked by ann (a new disk); run: scsctl start other");
    assert!(text.contains(&stopped), "{text}");
    let mut asked = cluster()["pairs"][0].clone();
    asked["because"] = reason();
    asked["because"]["because"] =
        json!([{"what": "asked by", "is": "ann (drain of alpha, operation 1): a new disk"}]);
    let told = json!({"cluster": {"name": "demo"}, "pairs": [asked]});
    let told = super::status(&read(&told).unwrap(), show(false));
    assert!(told.contains("ago): asked by ann (drain of alpha, operation 1): a new disk ["), "{told}");
    let mut later = cluster()["pairs"][0].clone();
    later["because"] = reason();
    later["since"] = json!("2026-11-20T05:55:30Z");
    let status = json!({"cluster": {"name": "demo"}, "pairs": [later]});
    assert!(!super::status(&read(&status).unwrap(), show(false)).contains("CHANGES"), "hours ago is no news");
}

#[test]
fn what_holds_a_change_back_comes_before_the_last_decision_which_has_its_time() {
    let held =
        json!({"rule": "promise-runs", "missed": "alpha is silent, and its promise runs for 0.9 s more"});
    let now = json!({"rule": "promise-runs", "reason": "alpha is silent, and its promise runs for 0.9 s more",
                     "says": "A promise runs.", "because": [], "nearly": []});
    let why = json!({"now": "tserver-1 holds the role", "because": reason(), "decided_event": 76,
                     "decided_at": "2026-11-20T07:59:12.000Z", "considered": now, "held_back": held, "events": []});
    let text = super::why(&read(&why).unwrap(), show(false));
    assert_looks(&text, include_str!("golden/why-held-back.txt"));
}

#[test]
fn a_kill_is_told_as_that_and_no_span_is_made_up() {
    let mut killed = application("tserver-2", "beta", Some("tserver"), "backup");
    killed["last_exit"] = json!({
        "text": "signal 9 (KILL)", "wanted": false, "ran_ms": 4500, "at": "2026-11-20T07:31:16.000Z",
        "killed_because": {"rule": "hung", "reason": "its library said nothing for 3 s", "event": 41}
    });
    let told = |value: &Value| super::application(&read(value).unwrap(), show(false));
    let text = told(&killed);
    assert!(text.contains("killed by its agent as hung at 07:31:16.000, after 4.5 s\n"), "{text}");
    assert!(text.contains("its library said nothing for 3 s (scsctl why --event 41)"), "{text}");
    killed["last_exit"]["killed_because"]["rule"] = json!("guard-fired");
    killed["last_exit"]["ran_ms"] = json!(0);
    let text = told(&killed);
    assert!(text.contains("killed by its guard at 07:31:16.000\n"), "{text}");
}
