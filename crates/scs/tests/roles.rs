//! Roles through the whole program: first start, failover, switchover, restart of the server itself.

mod support;

use serde_json::{Value, json};
use support::{Bench, until};
use understudy_model::Work;

fn running() -> (Bench, support::agent::FakeAgent, support::agent::FakeAgent) {
    let mut bench = Bench::new();
    let (alpha, beta) = bench.start_with_agents();
    (bench, alpha, beta)
}

#[test]
fn the_first_primary_is_ordered_only_when_its_epoch_is_durable() {
    let (bench, alpha, beta) = running();
    assert_eq!(alpha.roles_told(), ["promote 1"]);
    assert!(beta.roles_told().is_empty());
    let told = alpha.told();
    let promotion = told.iter().find(|told| matches!(told.order.work, Work::Promote { .. })).unwrap();
    let stored = promotion.stored.as_ref().expect("nothing was stored when the order came");
    assert_eq!((stored.epoch.0, stored.holder.as_str()), (1, "tserver-1"));
    assert_eq!(promotion.order.controller_epoch.0, 1);
    let why = bench.get("/v1/why/tserver");
    assert!(
        why["now"].as_str().unwrap().contains("tserver-1 is primary of pair tserver in epoch 1"),
        "{why}"
    );
    let story: Vec<&Value> = why["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert!(story.contains(&&json!("role-changed")), "{story:?}");
}

#[test]
fn status_has_every_promised_field() {
    let (bench, _alpha, _beta) = running();
    let status = bench.get("/v1/status");
    let promised = json!({
        "": ["cluster", "revision", "controllers", "hosts", "applications", "pairs", "warnings", "alarms"],
        "cluster": ["name", "id"],
        "controllers": ["name", "leading", "epoch"],
        "hosts": ["name", "address", "status", "heard_ms_ago", "loss_survivable"],
        "applications": ["name", "host", "pair", "pid", "status", "goal", "run_mode", "epoch", "restarts", "since"],
        "pairs": ["name", "redundancy", "policy", "primary", "backup", "epoch", "ready", "not_ready_because"],
    });
    for (part, fields) in promised.as_object().unwrap() {
        let part = if part.is_empty() { &status } else { &status[part] };
        let object = part.get(0).unwrap_or(part).as_object().unwrap();
        for field in fields.as_array().unwrap() {
            assert!(object.contains_key(field.as_str().unwrap()), "{field} is missing in {object:?}");
        }
    }
    let first = &status["applications"][0];
    assert_eq!(
        (&first["run_mode"], &first["epoch"], &first["status"]),
        (&json!("primary"), &json!(1), &json!("started"))
    );
    assert_eq!(status["pairs"][0]["redundancy"], "hot-standby");
    assert!(first["since"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_crash_of_the_primary_promotes_the_backup_and_the_story_is_told() {
    let (bench, alpha, beta) = running();
    alpha.crash("tserver-1");
    until("tserver-2 is primary", || (bench.pair()["primary"] == "tserver-2").then_some(()));
    assert_eq!(beta.roles_told(), ["promote 2"]);
    alpha.recover("tserver-1");
    bench.until_primary("tserver-2");
    assert_eq!(alpha.roles_told(), ["promote 1"], "nobody fails back by itself");
    let why = bench.get("/v1/why/tserver");
    let rules: Vec<&str> =
        why["events"].as_array().unwrap().iter().filter_map(|event| event["rule"].as_str()).collect();
    assert!(rules.contains(&"primary-exited"), "{rules:?}");
    let ordered =
        why["events"].as_array().unwrap().iter().find(|event| event["rule"] == "primary-exited").unwrap();
    let one = bench.get(&format!("/v1/why?event={}", ordered["id"]));
    assert_eq!(&one["event"], ordered);
    assert!(!one["event"]["because"].as_array().unwrap().is_empty(), "{one}");
}

#[test]
fn a_switchover_is_an_operation_that_can_be_followed() {
    let (bench, alpha, beta) = running();
    let (status, begun) = bench.ask("POST", "/v1/pairs/tserver-2/switchover", "{\"reason\": \"a test\"}");
    assert_eq!(status, 202, "{begun}");
    let id = &begun["operation"]["id"];
    let ended = bench.get(&format!("/v1/operations/{id}?wait_ms=20000"));
    assert_eq!(ended["state"], "done", "{ended}");
    assert!(ended["steps"].as_array().unwrap().len() >= 2, "{ended}");
    assert!(!ended["actor"].as_str().unwrap().is_empty());
    assert_eq!(
        (alpha.roles_told(), beta.roles_told()),
        (vec!["promote 1".into(), "demote 1".into()], vec!["promote 2".to_owned()])
    );
    let (status, again) = bench.ask("POST", "/v1/pairs/tserver/switchover", "{\"to\": \"tserver-2\"}");
    assert_eq!(status, 200, "{again}");
    assert!(again["done"].is_string(), "{again}");
    let (status, plan) = bench.ask("POST", "/v1/pairs/tserver/switchover", "{\"dry_run\": true}");
    assert_eq!(status, 200, "{plan}");
    assert!(!plan["plan"]["checks"].as_array().unwrap().is_empty(), "{plan}");
}

#[test]
fn a_repeated_request_with_the_same_key_is_done_once() {
    let (bench, _alpha, beta) = running();
    let again = || {
        let socket = bench.path("scs.sock");
        support::http::ask_with(
            &socket,
            "POST",
            "/v1/pairs/tserver/switchover",
            "idempotency-key: k-1\r\n",
            "",
        )
    };
    let (status, first) = again();
    assert_eq!(status, 202, "{first}");
    bench.get(&format!("/v1/operations/{}?wait_ms=20000", first["operation"]["id"]));
    assert_eq!(again(), (202, first));
    bench.until_primary("tserver-2");
    assert_eq!(beta.roles_told(), ["promote 2"]);
}

#[test]
fn an_asker_who_left_finds_the_answer_by_its_key() {
    let (bench, _alpha, beta) = running();
    let (socket, path) = (bench.path("scs.sock"), "/v1/pairs/tserver/switchover");
    let key = "idempotency-key: k-2\r\n";
    drop(support::http::send(&socket, "POST", path, key, "").unwrap());
    until("the answer is there", || {
        let (status, _) = support::http::ask_with(&socket, "POST", path, key, "");
        assert!([202, 409].contains(&status), "{status}");
        (status == 202).then_some(())
    });
    bench.until_primary("tserver-2");
    assert_eq!(beta.roles_told(), ["promote 2"]);
    assert_eq!(bench.get("/v1/operations")["operations"].as_array().unwrap().len(), 1);
}

#[test]
fn a_failover_by_force_gives_up_what_was_shown_and_nothing_else() {
    let (bench, alpha, beta) = running();
    // Its agent is not heard, and its host does not count as lost: only an operator can say that it is off.
    alpha.change_identity();
    alpha.drop_link();
    let path = |name: &str| format!("/v1/pairs/{name}/failover");
    let plan = until("there is something to force", || {
        let (status, plan) = bench.ask("POST", &path("tserver"), "{\"dry_run\": true}");
        (status == 200).then_some(plan)
    });
    let shown = json!({"epoch": 1, "member": "tserver-1", "loses_data": false});
    assert_eq!(plan["plan"]["given_up"], shown);
    let force = |name: &str, given_up: Value| {
        let body = json!({"force": true, "given_up": given_up}).to_string();
        bench.ask("POST", &path(name), &body)
    };
    let (status, unshown) = bench.ask("POST", &path("tserver"), "{\"force\": true}");
    let said = unshown["error"]["message"].as_str().unwrap();
    assert!(status == 400 && said.contains("dry_run") && said.contains("given_up"), "{unshown}");
    for (name, given_up, because) in [
        ("tserver", json!({"epoch": 2, "member": "tserver-1"}), "(2, tserver-1) was shown"),
        ("tserver", json!({"epoch": 1, "member": "tserver-2"}), "it would be (1, tserver-1)"),
        ("tserver-2", shown.clone(), "tserver-2 is not the member"),
    ] {
        let (status, refused) = force(name, given_up);
        let said = refused["error"]["message"].as_str().unwrap();
        assert!(status == 409 && said.contains(because), "{refused}");
    }
    assert_eq!(force("tserver", json!({"epoch": 1, "member": "tserver-1", "of": 1})).0, 400);
    assert!(beta.roles_told().is_empty());
    let (status, begun) = force("tserver-1", shown);
    assert_eq!(status, 202, "{begun}");
    until("tserver-2 is promoted", || (beta.roles_told() == ["promote 2"]).then_some(()));
}

#[test]
fn a_second_switchover_meanwhile_is_refused() {
    let (bench, alpha, _beta) = running();
    alpha.be_silent();
    let (status, begun) = bench.ask("POST", "/v1/pairs/tserver/switchover", "");
    assert_eq!(status, 202, "{begun}");
    let (status, second) = bench.ask("POST", "/v1/pairs/tserver/switchover", "");
    assert_eq!(status, 409, "{second}");
    let error = &second["error"];
    assert!(error["message"].is_string() && error["try"].is_string(), "{second}");
    assert!(!error["because"].as_array().unwrap().is_empty(), "{second}");
}

#[test]
fn a_refused_promotion_is_rolled_back_and_said() {
    let (bench, _alpha, beta) = running();
    beta.refuse_promotions();
    let (_, begun) = bench.ask("POST", "/v1/pairs/tserver/switchover", "");
    let ended = bench.get(&format!("/v1/operations/{}?wait_ms=20000", begun["operation"]["id"]));
    assert_eq!(ended["state"], "failed", "{ended}");
    assert!(ended["why"].as_str().unwrap().contains("not today"), "{ended}");
    until("the former primary is primary again", || (bench.pair()["primary"] == "tserver-1").then_some(()));
    assert_eq!(bench.pair()["epoch"], 3);
}

#[test]
fn a_killed_server_comes_back_and_changes_nothing() {
    let (mut bench, alpha, beta) = running();
    let (status, _) = bench.ask("PUT", "/v1/maintenance/beta", "{\"on\": true}");
    assert_eq!(status, 200);
    alpha.forget_told();
    beta.forget_told();
    bench.signal("-KILL");
    assert!(!bench.wait().success());
    bench.start();
    until("both agents were heard again", || {
        (alpha.hellos().len() == 2 && beta.hellos().len() == 2).then_some(())
    });
    let pair = until("the primary is known again", || {
        let pair = bench.pair();
        (pair["primary"] == "tserver-1").then_some(pair)
    });
    assert_eq!(pair["epoch"], 1);
    assert!(alpha.roles_told().is_empty() && beta.roles_told().is_empty());
    assert!(alpha.hellos()[1].controller_epoch > alpha.hellos()[0].controller_epoch);
    let maintenance = bench.get("/v1/status")["maintenance"].clone();
    assert_eq!(maintenance, json!(["host beta"]));
    assert!(
        bench.get("/v1/events?pair=tserver")["events"].as_array().unwrap().len() > 1,
        "the journal was kept"
    );
}

#[test]
fn the_end_of_the_server_touches_nothing_that_runs() {
    let (mut bench, alpha, beta) = running();
    alpha.forget_told();
    beta.forget_told();
    bench.signal("-TERM");
    assert_eq!(bench.wait().code(), Some(0));
    assert!(!bench.path("scs.sock").exists());
    assert!(alpha.told().is_empty() && beta.told().is_empty());
}

#[test]
fn why_names_the_last_decision_with_its_time_also_after_a_restart_and_leaves_passing_states_out() {
    let (mut bench, alpha, beta) = running();
    alpha.crash("tserver-1");
    until("tserver-2 is primary", || (bench.pair()["primary"] == "tserver-2").then_some(()));
    for _ in 0..4 {
        alpha.recover("tserver-1");
        bench.until_primary("tserver-2");
        alpha.crash("tserver-1");
        until("it is down", || (bench.pair()["ready"] == false).then_some(()));
    }
    alpha.recover("tserver-1");
    bench.until_primary("tserver-2");
    let check = |why: &Value| {
        assert_eq!(why["because"]["rule"], "primary-exited", "{why}");
        let story = why["events"].as_array().unwrap();
        let decided =
            story.iter().find(|event| event["id"] == why["decided_event"]).expect("it is in the story");
        assert_eq!((&decided["kind"], &decided["at"]), (&json!("promotion-ordered"), &why["decided_at"]));
        let passing = |event: &&Value| event["to"] == "start-pending" || event["to"] == "initializing";
        assert!(!story.iter().any(|event| passing(&event)), "{story:?}");
        assert_eq!(why["held_back"], Value::Null);
    };
    check(&bench.get("/v1/why/tserver"));
    let changed = bench.get("/v1/events?pair=tserver&limit=1000")["events"].clone();
    let changed =
        changed.as_array().unwrap().iter().rfind(|event| event["kind"] == "role-changed").unwrap().clone();
    bench.signal("-TERM");
    assert_eq!(bench.wait().code(), Some(0));
    bench.start();
    let pair = bench.until_primary("tserver-2");
    check(&bench.get("/v1/why/tserver"));
    let second = |text: &Value| text.as_str().unwrap()[..19].to_owned();
    assert_eq!(second(&pair["since"]), second(&changed["at"]), "it is primary since then");
    drop(beta);
}

#[test]
fn when_a_host_was_heard_does_not_jump_back_when_its_link_ends() {
    let mut bench = Bench::new();
    let application = "[[application]]\nname = \"tserver-1\"";
    let watched = format!("[host.addp]\naddp-timeout = \"500ms\"\n{application}");
    bench.write("cluster.toml", &bench.cluster().replacen(application, &watched, 1));
    let alpha = bench.agent("alpha");
    alpha.speak(understudy_wire::LIVENESS_SINCE);
    bench.start();
    until("it is heard", || (bench.get("/v1/applications/tserver-1")["status"] == "started").then_some(()));
    let heard = || bench.get("/v1/hosts/alpha")["heard_ms_ago"].as_u64().unwrap();
    // Nothing is reported here; the link alone says that the agent lives.
    until("its last report is old", || {
        let last = bench.get("/v1/why/tserver-1")["considered"].to_string();
        (5..9).any(|seconds| last.contains(&format!("last report came {seconds}"))).then_some(())
    });
    assert!(heard() < 3_000, "{} ms", heard());
    alpha.drop_link();
    until("its link is down", || (bench.get("/v1/hosts/alpha")["status"] != "running").then_some(()));
    assert!(heard() < 3_000, "{} ms", heard());
}

#[test]
fn who_stopped_a_member_and_why_is_known_after_a_restart_of_the_server_too() {
    let (mut bench, _alpha, _beta) = running();
    let body = "{\"reason\": \"a new disk\"}";
    let (status, begun) = bench.ask("POST", "/v1/applications/tserver-2/stop", body);
    assert_eq!(status, 202, "{begun}");
    let id = &begun["operation"]["id"];
    let ended = bench.get(&format!("/v1/operations/{id}?wait_ms=20000"));
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("done"), &json!("a new disk")), "{ended}");
    let why_not = |bench: &Bench| {
        until("the primary is heard", || (bench.pair()["primary_heard"] == true).then_some(()));
        bench.pair()["not_ready_because"].to_string()
    };
    let who = format!("{} stopped it ", ended["actor"].as_str().unwrap());
    let told = why_not(&bench);
    assert!(told.contains(&who) && told.contains("ago (a new disk); run: scsctl start tserver-2"), "{told}");
    bench.signal("-TERM");
    assert_eq!(bench.wait().code(), Some(0));
    bench.start();
    let told = why_not(&bench);
    assert!(told.contains(&who) && told.contains("ago (a new disk)"), "{told}");
}
