//! The program as scripts see it: exit codes, what is asked of the server, what is printed.

mod support;

use serde_json::{Value, json};
use support::{FakeServer, error, ok, scsctl};

fn application(name: &str, mode: &str, status: &str) -> Value {
    json!({"name": name, "host": "alpha", "pair": "tserver", "pid": 7, "status": status, "goal": "started",
           "run_mode": mode, "epoch": 7, "restarts": 0, "since": "2026-11-20T08:00:00Z", "problem": ""})
}

fn status(ready: bool) -> Value {
    json!({
        "cluster": {"name": "demo", "id": null}, "revision": 1,
        "controllers": [{"name": "scs-1", "leading": true, "epoch": 3}],
        "hosts": [{"name": "alpha", "address": "127.0.0.11:4999", "status": "running", "heard_ms_ago": 12,
                   "loss_survivable": false}],
        "applications": [application("tserver-1", "primary", "started"), application("tserver-2", "backup", "started")],
        "pairs": [{"name": "tserver", "redundancy": "hot-standby", "policy": "available", "primary": "tserver-1",
                   "backup": "tserver-2", "epoch": 7, "ready": ready, "not_ready_because": []}],
        "warnings": ["both members are on one host"], "alarms": [], "wrong": (!ready).then_some("tserver-2 is not ready").into_iter().collect::<Vec<_>>(),
        "of_a_later_version": {"x": 1}
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn status_is_shown_and_checked() {
    let server =
        FakeServer::start(&[("GET /v1/status", vec![ok(status(true)), ok(status(true)), ok(status(false))])]);
    let shown = server.run(&["status"]);
    assert_eq!(shown.status.code(), Some(0));
    let shown = text(&shown.stdout);
    assert!(shown.contains("tserver-1") && shown.contains("primary") && !shown.contains('\x1b'), "{shown}");
    assert_eq!(server.run(&["status", "--check"]).status.code(), Some(0));
    assert_eq!(
        server.run(&["status", "--check"]).status.code(),
        Some(1),
        "a backup that is not ready is wrong"
    );
}

#[test]
fn json_is_exactly_what_the_server_said() {
    let server = FakeServer::start(&[("GET /v1/status", vec![ok(status(true))])]);
    let printed = server.run(&["-o", "json", "status"]);
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), status(true));
}

#[test]
fn what_would_happen_is_asked_in_the_words_of_the_server() {
    let answer = json!({"supposed": "host alpha is lost", "assumed": [], "steps": [], "pairs": [], "warnings": [],
                        "looked_ahead_ms": 1.0, "cut_short": false});
    let unknown = error(404, "not-found", "there is no host");
    let mut answers = vec![ok(answer.clone()); 6];
    answers.push(unknown);
    let server = FakeServer::start(&[("GET /v1/what-if", answers)]);
    for words in [
        &["host-lost", "alpha"][..],
        &["link-cut", "alpha", "scs"],
        &["app-crashed", "x y"],
        &["agent-lost", "alpha"],
        &["scs-lost"],
    ] {
        let ended = server.run(&[&["what-if"], words].concat());
        assert_eq!(ended.status.code(), Some(0), "{words:?}: {}", text(&ended.stderr));
        assert!(text(&ended.stdout).contains("if host alpha is lost"));
    }
    let printed = server.run(&["-o", "json", "what-if", "scs-lost"]);
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), answer);
    assert_eq!(server.run(&["what-if", "host-lost", "moon"]).status.code(), Some(3));
    assert_eq!(server.run(&["what-if", "host-lost"]).status.code(), Some(2));
    let asked = server.asked();
    let paths: Vec<&str> = asked.iter().map(|(path, _)| path.split('?').next_back().unwrap()).collect();
    let expected = [
        "what=host-lost&name=alpha",
        "what=link-cut&name=alpha&other=scs",
        "what=app-crashed&name=x%20y",
        "what=agent-lost&name=alpha",
        "what=scs-lost",
        "what=scs-lost",
        "what=host-lost&name=moon",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn a_replay_ends_with_one_if_a_decision_is_not_the_same_or_not_all_was_played() {
    let one = |difference: Value, stopped: Value| {
        let same = difference.is_null();
        let one = json!({"controller": "scs-1", "epoch": 3, "version": "0.1.0", "began": "2026-11-20T08:00:00.000Z",
                         "steps": 900, "decisions": 41, "difference": difference, "stopped": stopped});
        ok(json!({"same": same, "leaderships": [one]}))
    };
    let other =
        json!({"step": 7, "at": "2026-11-20T08:00:01.000Z", "saw": "x", "recorded": null, "replayed": "y"});
    let answers =
        vec![one(Value::Null, Value::Null), one(other, Value::Null), one(Value::Null, json!("a gap"))];
    let server = FakeServer::start(&[("GET /v1/replay", answers)]);
    for (code, expected) in
        [(0, "41 decisions, all the same"), (1, "recorded  nothing"), (1, "it stopped: a gap")]
    {
        let ended = server.run(&["replay", "--from", "2h"]);
        assert_eq!(ended.status.code(), Some(code));
        assert!(text(&ended.stdout).contains(expected), "{}", text(&ended.stdout));
    }
    assert!(server.asked()[0].0.ends_with("?from=2h"));
}

#[test]
fn a_host_rejoins_only_with_a_yes_after_it_was_said_what_that_gives_up() {
    let plan = json!({"plan": {"checks": [], "steps": ["accept the agent 8 of host alpha", "agent 7 is forgotten"]}});
    let done = json!({"done": "ann accepted the agent 8 of host alpha"});
    let server = FakeServer::start(&[
        ("POST /v1/hosts/alpha/rejoin", vec![ok(plan), ok(done)]),
        ("GET /v1/hosts/alpha", vec![ok(json!({"name": "alpha"}))]),
    ]);
    let ended = server.run(&["host", "rejoin", "alpha"]);
    assert_eq!(ended.status.code(), Some(6));
    let said = text(&ended.stderr);
    for part in ["agent 7 is forgotten", "nothing was done", "scsctl host rejoin alpha --yes"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let ended = server.run(&["host", "rejoin", "alpha", "--yes"]);
    assert_eq!((ended.status.code(), text(&ended.stdout).contains("accepted the agent 8")), (Some(0), true));
    let sent: Vec<String> = server.asked().into_iter().map(|(_, body)| body).collect();
    assert_eq!(sent, ["{\"dry_run\":true}", "{}"]);
    assert_eq!(server.run(&["host", "alpha"]).status.code(), Some(0), "a host is still shown by its name");
    assert_eq!(server.run(&["host"]).status.code(), Some(2));
}

#[test]
fn refusals_end_with_three_and_say_why_and_what_next() {
    let refused = error(409, "not-ready", "the backup is not ready");
    let server = FakeServer::start(&[("POST /v1/pairs/tserver/switchover", vec![refused])]);
    let ended = server.run(&["switchover", "tserver", "--to", "tserver-2", "--reason", "test"]);
    assert_eq!(ended.status.code(), Some(3));
    let said = text(&ended.stderr);
    for part in ["the backup is not ready", "because of a reason", "try: scsctl status"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let sent: Value = serde_json::from_str(&server.asked()[0].1).unwrap();
    assert_eq!(sent, json!({"to": "tserver-2", "dry_run": false, "reason": "test"}));
    assert_eq!(server.run(&["app", "nothing"]).status.code(), Some(3));
}

fn operation(state: &str, steps: &[&str]) -> Value {
    let steps: Vec<Value> = steps.iter().map(|what| json!({"after_ms": 0.4, "what": what})).collect();
    json!({"id": 5, "kind": "switchover", "subject": "tserver", "actor": "root", "state": state, "steps": steps,
           "why": (state == "failed").then_some("the new primary refused"), "took_ms": 1.25})
}

fn following(end: Value) -> FakeServer {
    FakeServer::start(&[
        (
            "POST /v1/pairs/tserver/switchover",
            vec![(202, json!({"operation": operation("running", &[])}).to_string())],
        ),
        ("GET /v1/operations/5", vec![ok(operation("running", &["demote"])), ok(end)]),
    ])
}

#[test]
fn what_a_failover_by_force_gives_up_is_said_first_and_is_what_is_ordered() {
    let shown = json!({"epoch": 7, "member": "tserver-1", "loses_data": false});
    let plan =
        json!({"plan": {"checks": [], "steps": ["give up the role (7, tserver-1)"], "given_up": shown}});
    let refused = error(409, "not-possible", "(7, tserver-1) was shown");
    let path = "POST /v1/pairs/tserver/failover";
    let server = FakeServer::start(&[(path, vec![ok(plan.clone()), refused])]);
    let ended = server.run(&["failover", "tserver", "--force", "--reason", "off"]);
    assert_eq!(ended.status.code(), Some(3));
    assert!(text(&ended.stdout).contains("give up the role (7, tserver-1)"), "{}", text(&ended.stdout));
    assert!(text(&ended.stderr).contains("was shown"), "{}", text(&ended.stderr));
    let bodies = |server: &FakeServer| -> Vec<Value> {
        server.asked().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect()
    };
    assert_eq!(
        bodies(&server),
        [
            json!({"force": true, "dry_run": true, "reason": "off"}),
            json!({"force": true, "dry_run": false, "reason": "off", "given_up": shown}),
        ]
    );
    // Nothing is ordered where nothing could be shown; and a server of an earlier version is asked in its words.
    let nothing = FakeServer::start(&[(path, vec![error(409, "not-possible", "nothing to force")])]);
    assert_eq!(nothing.run(&["failover", "tserver", "--force"]).status.code(), Some(3));
    assert_eq!(nothing.asked().len(), 1);
    let earlier = json!({"plan": {"checks": [], "steps": ["give up the role"]}});
    let earlier = FakeServer::start(&[(path, vec![ok(earlier), ok(json!({"done": "so"}))])]);
    assert_eq!(earlier.run(&["failover", "tserver", "--force"]).status.code(), Some(0));
    assert_eq!(bodies(&earlier)[1], json!({"force": true, "dry_run": false, "reason": null}));
    let looks = FakeServer::start(&[(path, vec![ok(plan)])]);
    assert_eq!(looks.run(&["failover", "tserver", "--force", "--dry-run"]).status.code(), Some(0));
    assert_eq!(looks.asked().len(), 1);
}

#[test]
fn a_switchover_is_followed_to_its_end_step_by_step() {
    let server = following(operation("done", &["demote", "promote"]));
    let ended = server.run(&["switchover", "tserver"]);
    assert_eq!(ended.status.code(), Some(0));
    let said = text(&ended.stdout);
    assert_eq!(said.matches("demote").count(), 1, "{said}");
    assert!(said.contains("promote") && said.contains("done after 1.25 ms"), "{said}");
    assert!(server.asked()[2].0.ends_with("&steps=1"), "{:?}", server.asked());
}

#[test]
fn failed_and_unknown_operations_have_their_own_codes() {
    assert_eq!(
        following(operation("failed", &["demote"])).run(&["switchover", "tserver"]).status.code(),
        Some(1)
    );
    assert_eq!(
        following(operation("unknown", &["demote"])).run(&["switchover", "tserver"]).status.code(),
        Some(5)
    );
    let still =
        following(operation("running", &["demote"])).run(&["--timeout", "50ms", "switchover", "tserver"]);
    assert_eq!(still.status.code(), Some(5));
}

#[test]
fn no_wait_prints_only_the_number() {
    let server = following(operation("done", &[]));
    let ended = server.run(&["switchover", "tserver", "--no-wait"]);
    assert_eq!((ended.status.code(), text(&ended.stdout).as_str()), (Some(0), "5\n"));
}

#[test]
fn a_dry_run_prints_the_plan_and_is_refused_if_a_check_fails() {
    let plan = |ok| {
        json!({"plan": {"checks": [{"what": "the backup is ready", "ok": ok, "found": "started"}],
                        "steps": ["demote tserver-1", "promote tserver-2"]}})
    };
    let server =
        FakeServer::start(&[("POST /v1/pairs/tserver/switchover", vec![ok(plan(true)), ok(plan(false))])]);
    let planned = server.run(&["switchover", "tserver", "--dry-run"]);
    assert_eq!(planned.status.code(), Some(0));
    assert!(text(&planned.stdout).contains("2. promote tserver-2"));
    assert_eq!(server.run(&["switchover", "tserver", "--dry-run"]).status.code(), Some(3));
}

#[test]
fn stopping_a_primary_or_a_pair_needs_yes() {
    let pair = status(true)["pairs"][0].clone();
    let server = FakeServer::start(&[
        ("GET /v1/applications/tserver-1", vec![ok(application("tserver-1", "primary", "started"))]),
        ("GET /v1/applications/tserver-2", vec![ok(application("tserver-2", "backup", "started"))]),
        ("GET /v1/pairs/tserver", vec![ok(pair)]),
        ("POST /v1/applications/tserver-1/stop", vec![ok(json!({"done": "it is stopped"}))]),
        ("POST /v1/applications/tserver-2/stop", vec![ok(json!({"done": "it is stopped"}))]),
        ("POST /v1/pairs/tserver/stop", vec![ok(json!({"done": "both are stopped"}))]),
    ]);
    let refused = server.run(&["stop", "tserver-1"]);
    assert_eq!(refused.status.code(), Some(6));
    let said = text(&refused.stderr);
    assert!(said.contains("tserver-2 would take over") && said.contains("--yes"), "{said}");
    assert_eq!(server.run(&["stop", "tserver"]).status.code(), Some(6));
    assert!(!server.asked().iter().any(|(asked, _)| asked.starts_with("POST")), "something was done");
    assert_eq!(server.run(&["stop", "tserver-2"]).status.code(), Some(0));
    assert_eq!(server.run(&["stop", "tserver-1", "--graceful", "--yes"]).status.code(), Some(0));
    assert_eq!(server.asked().last().unwrap().1, "{\"graceful\":true}");
    assert_eq!(server.run(&["stop", "tserver", "-y"]).status.code(), Some(0));
}

#[test]
fn restarting_a_primary_needs_yes_and_a_backup_does_not() {
    let pair = status(true)["pairs"][0].clone();
    let server = FakeServer::start(&[
        ("GET /v1/applications/tserver-1", vec![ok(application("tserver-1", "primary", "started"))]),
        ("GET /v1/applications/tserver-2", vec![ok(application("tserver-2", "backup", "started"))]),
        ("GET /v1/pairs/tserver", vec![ok(pair)]),
        ("POST /v1/applications/tserver-1/restart", vec![ok(json!({"done": "it is restarted"}))]),
        ("POST /v1/applications/tserver-2/restart", vec![ok(json!({"done": "it is restarted"}))]),
    ]);
    let refused = server.run(&["restart", "tserver-1"]);
    assert_eq!(refused.status.code(), Some(6));
    let said = text(&refused.stderr);
    assert!(said.contains("tserver-1 is the primary of pair tserver: tserver-2 would take over"), "{said}");
    assert!(
        said.contains("try: scsctl restart tserver --rolling, or scsctl restart tserver-1 --yes"),
        "{said}"
    );
    assert!(!server.asked().iter().any(|(asked, _)| asked.starts_with("POST")), "something was done");
    assert_eq!(server.run(&["restart", "tserver-2"]).status.code(), Some(0));
    assert_eq!(server.run(&["restart", "tserver-1", "--yes"]).status.code(), Some(0));
}

#[test]
fn what_is_not_heard_and_may_act_is_not_stopped_without_yes_and_is_not_done_yet() {
    let mut silent = application("tserver-1", "unknown", "unknown");
    silent["epoch"] = json!(7);
    let mut pair = status(true)["pairs"][0].clone();
    pair["primary"] = json!("tserver-2");
    let pending = json!({"id": 5, "kind": "stop", "subject": "tserver-1", "state": "pending", "steps": [],
                         "why": "not done yet: alpha is not heard; tserver-1 will be stopped as soon as it is"});
    let server = FakeServer::start(&[
        ("GET /v1/applications/tserver-1", vec![ok(silent)]),
        ("GET /v1/pairs/tserver", vec![ok(pair)]),
        (
            "POST /v1/applications/tserver-1/stop",
            vec![ok(json!({"operation": {"id": 5, "state": "running"}}))],
        ),
        ("GET /v1/operations/5", vec![ok(pending)]),
    ]);
    let refused = server.run(&["stop", "tserver-1"]);
    assert_eq!(refused.status.code(), Some(6));
    assert!(text(&refused.stderr).contains("may be primary of pair tserver where it is"));
    let told = server.run(&["stop", "tserver-1", "--yes"]);
    assert_eq!(told.status.code(), Some(5));
    let said = text(&told.stdout);
    assert!(said.contains("stop of tserver-1: not done yet: alpha is not heard"), "{said}");
}

#[test]
fn events_that_are_none_or_of_what_is_gone_are_remarked_on() {
    let none = json!({"events": [], "last": 0, "gone": []});
    let gone = json!({"events": [], "last": 0, "gone": ["pair old is in the configuration no more"]});
    let server =
        FakeServer::start(&[("GET /v1/events", vec![ok(none), ok(gone), ok(json!({"events": []}))])]);
    let nothing = server.run(&["events", "--since", "2026-11-21 11:30"]);
    assert_eq!((nothing.status.code(), text(&nothing.stdout).as_str()), (Some(0), ""));
    assert!(text(&nothing.stderr).contains("no events"));
    assert!(server.asked()[0].0.contains("since=2026-11-21T11%3A30%3A00Z"), "{:?}", server.asked());
    let gone = server.run(&["events", "--pair", "old"]);
    assert!(text(&gone.stderr).contains("in the configuration no more"));
    let printed = server.run(&["-o", "json", "events"]);
    assert_eq!((printed.status.code(), text(&printed.stdout).as_str()), (Some(0), ""), "an older server");
    assert_eq!(server.run(&["events", "--since", "noon"]).status.code(), Some(2));
}

#[test]
fn a_server_of_the_environment_is_no_part_of_the_usage() {
    let run = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_scsctl"))
            .args(arguments)
            .env("SCSCTL_SERVER", "unix:/nonexistent/scs.sock")
            .output()
            .unwrap()
    };
    let wrong = run(&["maintenance", "on"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(!text(&wrong.stderr).contains("--server"), "{}", text(&wrong.stderr));
    let absent = run(&["status"]);
    assert_eq!(absent.status.code(), Some(4));
    assert!(text(&absent.stderr).contains("/nonexistent/scs.sock"));
}

#[test]
fn words_that_people_try_lead_somewhere() {
    let held = json!({"name": "p", "held_because": "3 automatic changes of roles within 300 s"});
    let server = FakeServer::start(&[
        ("GET /v1/why/tserver", vec![ok(json!({"name": "tserver", "kind": "pair", "now": "it is well"}))]),
        ("GET /v1/applications", vec![ok(json!({"applications": []}))]),
        ("GET /v1/events", vec![ok(json!({"events": []}))]),
        ("POST /v1/config/reload", vec![ok(json!({"done": "it was read"}))]),
        (
            "GET /v1/pairs",
            vec![ok(json!({"pairs": [held, {"name": "q", "held_because": null}]})), ok(json!({"pairs": []}))],
        ),
    ]);
    for words in [&["explain", "tserver"][..], &["list"], &["history"], &["reload"], &["help", "switchover"]]
    {
        let ended = server.run(words);
        assert_eq!(ended.status.code(), Some(0), "{words:?}: {}", text(&ended.stderr));
    }
    let number = server.run(&["why", "55"]);
    assert_eq!(number.status.code(), Some(3));
    assert!(text(&number.stderr).contains("try: scsctl why --event 55"), "{}", text(&number.stderr));
    let held = text(&server.run(&["flap"]).stdout);
    assert!(held.contains("scsctl flap acknowledge p") && !held.contains("pair q"), "{held}");
    assert!(text(&server.run(&["flap"]).stdout).contains("no pair is held"));
}

#[test]
fn a_dry_run_of_a_reload_and_a_diff_are_the_same_question() {
    let answer = json!({"done": "nothing was done: a reload would make 1 change(s)", "changes": ["pair p: lease changed"]});
    let server = FakeServer::start(&[
        ("POST /v1/config/reload", vec![ok(answer)]),
        ("GET /v1/config", vec![ok(json!({"revision": 1, "file": "/c", "text": "[cluster]\n"}))]),
    ]);
    for words in [&["config", "diff"][..], &["config", "reload", "--dry-run"], &["config", "reload"]] {
        let said = text(&server.run(words).stdout);
        assert!(said.contains("  pair p: lease changed\n"), "{said}");
    }
    let bodies: Vec<String> = server.asked().into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, ["{\"dry_run\":true}", "{\"dry_run\":true}", "{}"]);
    assert_eq!(text(&server.run(&["config", "show"]).stdout), "[cluster]\n");
}

#[test]
fn an_absent_server_is_unreachable_and_a_lost_answer_is_unknown() {
    let absent = scsctl("unix:/nonexistent/scs.sock", &["status"]);
    assert_eq!(absent.status.code(), Some(4));
    assert!(text(&absent.stderr).contains("/nonexistent/scs.sock"));
    let server = FakeServer::start(&[
        ("POST /v1/applications/a/restart", vec![(0, String::new())]),
        ("GET /v1/status", vec![(0, String::new())]),
    ]);
    assert_eq!(server.run(&["restart", "a"]).status.code(), Some(5), "it may have been done");
    assert_eq!(server.run(&["status"]).status.code(), Some(4), "nothing was asked to be done");
}

#[test]
fn bad_usage_ends_with_two_and_help_with_zero() {
    assert_eq!(scsctl("unix:/x", &["dance"]).status.code(), Some(2));
    assert_eq!(scsctl("http://x", &["status"]).status.code(), Some(2));
    assert_eq!(scsctl("unix:/x", &["--help"]).status.code(), Some(0));
    assert_eq!(scsctl("unix:/x", &["version"]).status.code(), Some(0));
    let completions = scsctl("unix:/x", &["completions", "bash"]);
    assert!(text(&completions.stdout).contains("switchover"));
}

#[test]
fn wait_ends_when_it_is_so_or_says_what_is_so_instead() {
    let server = FakeServer::start(&[(
        "GET /v1/status",
        vec![ok(status(false)), ok(status(false)), ok(status(true))],
    )]);
    assert_eq!(server.run(&["wait", "tserver", "--for", "ready"]).status.code(), Some(0));
    assert_eq!(server.asked().len(), 3);
    let late = server.run(&["wait", "tserver-1", "--for", "stopped", "--timeout", "2s"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(text(&late.stderr).contains("tserver-1 is started"), "{}", text(&late.stderr));
    assert_eq!(server.run(&["wait", "nothing", "--for", "ready"]).status.code(), Some(3));
}

#[test]
fn a_closed_pipe_is_success() {
    use std::process::{Command, Stdio};
    let server = FakeServer::start(&[("GET /v1/status", vec![ok(status(true))])]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_scsctl"))
        .args(["--server", &format!("unix:{}", server.socket.display()), "status", "--watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), text(&ended.stderr).as_str()), (Some(0), ""));
}

#[test]
fn followed_events_are_printed_one_a_line() {
    let event = json!({"id": 41, "at": "2020-01-02T03:04:05.678Z", "kind": "role-changed", "severity": "info",
                       "host": null, "application": "tserver-2", "pair": "tserver", "from": "backup", "to": "primary",
                       "epoch": 8, "rule": "primary-exited", "reason": "the primary\nended", "because": [],
                       "nearly": [], "actor": null});
    let stream = format!(": still here\n\nid: 41\ndata: {event}\n\n");
    let gone = (0, String::new());
    let server = FakeServer::start(&[("GET /v1/events/stream", vec![(200, stream), gone])]);
    let followed =
        server.run(&["events", "--follow", "--pair", "tserver", "--since", "10m", "--timeout", "100ms"]);
    let told = text(&followed.stdout);
    let (heading, line) = told.split_once('\n').expect("two lines");
    assert!(heading.starts_with("times are of 20"), "{heading}");
    assert_eq!(
        line,
        "#41    2020-01-02 03:04:05.678 role-changed         tserver/tserver-2 backup -> primary epoch 8  \
         the primary ended [primary-exited]\n"
    );
    assert_eq!(followed.status.code(), Some(4), "the stream ended");
    assert_eq!(server.asked()[0].0, "GET /v1/events/stream?limit=50&since=10m&pair=tserver");
}

#[test]
fn a_wrong_cluster_file_ends_with_78_and_a_right_one_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.toml");
    std::fs::write(&file, "[cluster]\nnam = \"demo\"\n").unwrap();
    let path = file.to_str().unwrap();
    let wrong = scsctl("unix:/x", &["config", "validate", path]);
    assert_eq!(wrong.status.code(), Some(78));
    assert!(text(&wrong.stdout).contains(":2"), "{}", text(&wrong.stdout));
    assert_eq!(scsctl("unix:/x", &["config", "validate", "/nonexistent"]).status.code(), Some(78));
    let right = "[cluster]\nname = \"demo\"\n[[host]]\nname = \"alpha\"\naddresses = [\"127.0.0.1\"]\n\
                 [[application]]\nname = \"a\"\nhost = \"alpha\"\ncommand = [\"/bin/true\"]\n";
    std::fs::write(&file, right).unwrap();
    let valid = scsctl("unix:/x", &["config", "validate", path]);
    assert_eq!(valid.status.code(), Some(0), "{}", text(&valid.stdout));
    // Each policy says what it gives up, whoever reads it.
    let pair = |name: &str, policy: &str| {
        let member =
            |name: &str| format!("[[application]]\nname='{name}'\nhost='alpha'\ncommand=['/bin/true']\n");
        let (one, two) = (format!("{name}-1"), format!("{name}-2"));
        let members = format!("{}{}", member(&one), member(&two));
        format!("{members}[[pair]]\nname='{name}'\nprimary='{one}'\nbackup='{two}'\npolicy='{policy}'\n")
    };
    std::fs::write(&file, format!("{right}{}{}", pair("p", "strict"), pair("q", "available"))).unwrap();
    let valid = text(&scsctl("unix:/x", &["config", "validate", path]).stdout);
    assert!(valid.contains("policy   strict (p): one member acts at any moment"), "{valid}");
    assert!(valid.contains("policy   available (q): ") && valid.contains("two may act until"), "{valid}");
    let json = scsctl("unix:/x", &["config", "validate", path, "-o", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["policies"][1]["policy"], "available", "{json}");
    assert!(json["policies"][0]["means"].as_str().unwrap().contains("lease"), "{json}");
}

#[test]
fn certificates_are_made_shown_and_revoked_without_a_server() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("pki");
    let run = |arguments: &[&str]| {
        let mut all = vec!["pki"];
        all.extend(arguments);
        all.extend(["--directory", directory.to_str().unwrap()]);
        scsctl("unix:/nowhere", &all)
    };
    assert_eq!(run(&["issue", "agent:alpha"]).status.code(), Some(3), "there is no authority yet");
    let made = run(&["init", "--name", "demo"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert!(text(&made.stdout).contains("scsctl pki issue"), "{}", text(&made.stdout));
    let made = run(&["issue", "agent:alpha", "--ip", "10.0.0.1", "--days", "20"]);
    assert!(text(&made.stdout).contains("alpha.key") && !text(&made.stdout).contains("PRIVATE"));
    assert_eq!(run(&["issue", "agent:alpha"]).status.code(), Some(3), "nothing is overwritten");
    assert_eq!(run(&["issue", "root:alpha"]).status.code(), Some(2));
    assert_eq!(run(&["issue", "agent:beta", "--days", "0"]).status.code(), Some(2));
    assert_eq!(run(&["show", "--check"]).status.code(), Some(1), "it ends within thirty days");
    assert_eq!(run(&["renew", "agent:alpha"]).status.code(), Some(0));
    assert_eq!(run(&["show", "--check"]).status.code(), Some(0), "the one that ends is not in use any more");
    let revoked = run(&["revoke", "agent:alpha", "-o", "json"]);
    let revoked: Value = serde_json::from_slice(&revoked.stdout).unwrap();
    assert_eq!(revoked["revoked"].as_array().unwrap().len(), 2);
    let shown: Value = serde_json::from_slice(&run(&["show", "-o", "json"]).stdout).unwrap();
    let standings: Vec<_> =
        shown["certificates"].as_array().unwrap().iter().map(|one| &one["standing"]).collect();
    assert_eq!(standings, ["revoked", "revoked"]);
}
