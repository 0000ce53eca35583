//! The API's edges: refusals and their one body, bounds, streams, reloads, and agents who are not who they should be.

mod support;

use serde_json::{Value, json};
use support::{Bench, http, until};

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.start();
    bench
}

#[track_caller]
fn refused(bench: &Bench, method: &str, path: &str, body: &str, expected: (u16, &str)) -> Value {
    let (status, answer) = bench.ask(method, path, body);
    let error = answer["error"].clone();
    assert_eq!((status, error["code"].as_str().unwrap_or("")), expected, "{method} {path}: {answer}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
    assert!(error["because"].is_array() && error["try"].is_string(), "{answer}");
    error
}

#[test]
fn every_error_has_the_one_body() {
    let bench = bench();
    let not_found = (404, "not-found");
    for path in [
        "/nothing",
        "/v1/hosts/x",
        "/v1/applications/x",
        "/v1/pairs/x",
        "/v1/operations/9",
        "/v1/why/x",
        "/v1/why?event=999999",
        "/v1/what-if?what=host-lost&name=x",
        "/v1/what-if?what=link-cut&name=alpha&other=x",
        "/v1/what-if?what=app-crashed&name=alpha",
    ] {
        refused(&bench, "GET", path, "", not_found);
    }
    refused(&bench, "POST", "/v1/pairs/x/switchover", "{}", not_found);
    refused(&bench, "DELETE", "/v1/status", "", (405, "method-not-allowed"));
    for path in [
        "/v1/operations/x",
        "/v1/events?since=yesterday",
        "/v1/events?colour=red",
        "/v1/why",
        "/v1/what-if",
        "/v1/what-if?what=rain",
        "/v1/what-if?what=host-lost",
        "/v1/what-if?what=scs-lost&name=alpha",
        "/v1/what-if?what=link-cut&name=alpha",
        "/v1/what-if?what=link-cut&name=alpha&other=alpha",
    ] {
        refused(&bench, "GET", path, "", (400, "bad-request"));
    }
    for body in ["{", "[]", "{\"too\": \"tserver-2\"}", "{\"to\": 7}"] {
        refused(&bench, "POST", "/v1/pairs/tserver/switchover", body, (400, "bad-request"));
    }
    refused(&bench, "PUT", "/v1/maintenance/tserver", "{}", (400, "bad-request"));
    let long = format!("{{\"reason\": \"{}\"}}", "x".repeat(20_000));
    refused(&bench, "POST", "/v1/pairs/tserver/switchover", &long, (413, "too-large"));
    let error = refused(&bench, "GET", "/v1/pairs/x", "", not_found);
    assert_eq!(error["try"], "scsctl pairs");
}

#[test]
fn an_agent_that_cannot_be_asked_for_output_is_named_with_its_version() {
    let mut bench = Bench::new();
    let _agents = bench.start_with_agents();
    until("the agents are heard", || {
        let (status, answer) = bench.ask("GET", "/v1/applications/tserver-1/logs", "");
        let error = &answer["error"];
        let told = error["message"].as_str().unwrap_or("");
        (status == 409 && told.contains("too old") && told.contains("version 1")).then_some(())
    });
    refused(&bench, "GET", "/v1/applications/x/logs", "", (404, "not-found"));
    for query in ["since=yesterday", "lines=-1", "follow=perhaps", "colour=red"] {
        let path = format!("/v1/applications/tserver-1/logs?{query}");
        refused(&bench, "GET", &path, "", (400, "bad-request"));
    }
}

#[test]
fn an_operation_that_cannot_be_is_refused_with_reasons() {
    let bench = bench();
    let (status, answer) = bench.ask("POST", "/v1/pairs/tserver/switchover", "{}");
    assert!((400..=503).contains(&status) && status != 404, "{answer}");
    assert!(!answer["error"]["because"].as_array().unwrap().is_empty(), "{answer}");
}

#[test]
fn what_would_happen_is_told_and_nothing_of_it_happens() {
    let mut bench = Bench::new();
    let (alpha, beta) = bench.start_with_agents();
    let told = (alpha.told().len(), beta.told().len());
    let events = bench.get("/v1/events")["events"].clone();
    let foreseen = bench.get("/v1/what-if?what=app-crashed&name=tserver-1");
    let pair = &foreseen["pairs"][0];
    assert_eq!((&pair["primary_now"], &pair["primary_then"]), (&json!("tserver-1"), &json!("tserver-2")));
    assert_eq!(pair["changed_after_ms"], 0.0, "{foreseen}");
    let rules: Vec<&Value> =
        foreseen["steps"].as_array().unwrap().iter().map(|step| &step["because"]["rule"]).collect();
    assert!(rules.contains(&&json!("primary-exited")), "{foreseen}");
    bench.get("/v1/what-if?what=host-lost&name=alpha");
    assert_eq!(bench.pair()["primary"], "tserver-1");
    assert_eq!((alpha.told().len(), beta.told().len()), told, "an agent was told of it");
    assert_eq!(bench.get("/v1/events")["events"], events);
}

#[test]
fn the_socket_is_open_to_owner_and_group_only() {
    use std::os::unix::fs::PermissionsExt;
    let bench = bench();
    let mode = std::fs::metadata(bench.path("scs.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn events_are_followed_from_the_past_into_the_present() {
    let bench = bench();
    let mut followed = http::lines(&bench.path("scs.sock"), "/v1/events?follow=true");
    assert_eq!(followed.next().unwrap()["kind"], "controller-started");
    let (status, answer) = bench.ask("PUT", "/v1/maintenance/tserver", "{\"on\": true}");
    assert_eq!(status, 200, "{answer}");
    let seen = followed.find(|event| event["kind"] == "maintenance-changed").unwrap();
    assert_eq!(seen["pair"], "tserver");
    let after = seen["id"].as_i64().unwrap();
    let later = bench.get(&format!("/v1/events?after={after}"));
    assert!(later["events"].as_array().unwrap().iter().all(|event| event["id"].as_i64().unwrap() > after));
}

#[test]
fn the_newest_events_are_given_oldest_first() {
    let bench = bench();
    for on in ["true", "false", "true"] {
        bench.ask("PUT", "/v1/maintenance/tserver", &format!("{{\"on\": {on}}}"));
    }
    let events = bench.get("/v1/events?limit=2")["events"].clone();
    let ids: Vec<i64> =
        events.as_array().unwrap().iter().map(|event| event["id"].as_i64().unwrap()).collect();
    assert!(ids.len() == 2 && ids[0] < ids[1], "{events}");
    assert_eq!(events[1]["kind"], "maintenance-changed");
}

#[test]
fn a_wrong_cluster_file_changes_nothing_and_is_shown_until_it_is_right() {
    let bench = bench();
    let good = bench.cluster();
    bench.write("cluster.toml", &good.replace("host = \"beta\"", "host = \"gamma\""));
    let error = refused(&bench, "POST", "/v1/config/reload", "", (422, "bad-configuration"));
    assert!(error["because"].to_string().contains("gamma"), "{error}");
    let warnings = bench.get("/v1/status")["warnings"].to_string();
    assert!(warnings.contains("older configuration is in use"), "{warnings}");
    assert_eq!(bench.get("/v1/status")["revision"], 1);
    bench.write("cluster.toml", &format!("{good}[[host]]\nname = \"gamma\"\naddresses = [\"127.0.0.1\"]\n"));
    bench.signal("-HUP");
    let status = until("the new configuration is in use", || {
        let status = bench.get("/v1/status");
        (status["revision"] == 2).then_some(status)
    });
    assert_eq!(status["hosts"].as_array().unwrap().len(), 3);
    assert!(!status["warnings"].to_string().contains("older configuration"), "{status}");
}

#[test]
fn what_may_not_change_while_it_runs_is_refused_whole() {
    let mut bench = Bench::new();
    let _agents = bench.start_with_agents();
    bench.write("cluster.toml", &bench.cluster().replace("hot-standby", "warm-standby"));
    let error = refused(&bench, "POST", "/v1/config/reload", "", (409, "not-possible"));
    assert!(error["because"].to_string().contains("redundancy"), "{error}");
    assert_eq!(bench.pair()["redundancy"], "hot-standby");
    let events = bench.get("/v1/events")["events"].to_string();
    assert!(events.contains("the configuration was refused"), "{events}");
}

fn problem_of_alpha(bench: &Bench) -> String {
    bench.get("/v1/hosts/alpha")["problem"].as_str().unwrap().to_owned()
}

#[test]
fn an_agent_of_another_host_is_refused_by_name() {
    let mut bench = Bench::new();
    let alpha = bench.agent("alpha");
    alpha.claim_host("gamma");
    bench.start();
    until("the wrong host is named", || problem_of_alpha(&bench).contains("gamma").then_some(()));
    assert!(alpha.told().is_empty(), "it was given orders");
    let refused = bench.figure("understudy_scs_link_refusals_total{host=\"alpha\",reason=\"other-host\"}");
    assert!(refused >= Some(1.0), "{refused:?}");
    assert_eq!(bench.figure("understudy_scs_link_connects_total{host=\"alpha\"}"), Some(0.0));
}

#[test]
fn a_host_whose_first_address_leads_to_somebody_else_is_found_at_its_second() {
    let mut bench = Bench::new();
    let stranger = bench.agent("alpha");
    stranger.claim_host("gamma");
    let second = bench.path("second.sock");
    let _alpha = support::agent::FakeAgent::start("alpha", &second, &bench.path("state"));
    let first = format!("unix:{}", bench.path("alpha.sock").display());
    let both = format!("{first}\", \"unix:{}", second.display());
    bench.write("cluster.toml", &bench.cluster().replace(&first, &both));
    bench.start();
    until("it is found", || (bench.get("/v1/hosts/alpha")["status"] == "running").then_some(()));
    assert!(stranger.told().is_empty(), "a stranger was given orders");
}

#[test]
fn a_changed_agent_is_refused_until_an_operator_accepts_it() {
    let mut bench = Bench::new();
    let (alpha, _beta) = bench.start_with_agents();
    alpha.change_identity();
    alpha.drop_link();
    until("the change is named", || problem_of_alpha(&bench).contains("identity").then_some(()));
    // A reload has another purpose: it believes no stranger.
    assert_eq!(bench.ask("POST", "/v1/config/reload", "").0, 200);
    let hellos = alpha.hellos().len();
    until("it was tried again", || (alpha.hellos().len() > hellos + 1).then_some(()));
    assert_ne!(bench.get("/v1/hosts/alpha")["status"], "running");
    let (status, answer) = bench.ask("POST", "/v1/hosts/alpha/rejoin", "{\"dry_run\": true}");
    assert!(status == 200 && answer["plan"]["steps"].to_string().contains("is forgotten"), "{answer}");
    assert_ne!(bench.get("/v1/hosts/alpha")["status"], "running");
    let (status, answer) = bench.ask("POST", "/v1/hosts/alpha/rejoin", "{}");
    assert_eq!(status, 200, "{answer}");
    until("it is accepted", || (bench.get("/v1/hosts/alpha")["status"] == "running").then_some(()));
    let events = bench.get("/v1/events?host=alpha")["events"].clone();
    let told = events.as_array().unwrap().iter().find(|event| event["rule"] == "agent-accepted").unwrap();
    assert!(told["actor"].is_string() && told["severity"] == "warning", "{told}");
    let error = refused(&bench, "POST", "/v1/hosts/alpha/rejoin", "{}", (409, "not-possible"));
    assert!(error["because"].to_string().contains("is the one that is known"), "{error}");
    refused(&bench, "POST", "/v1/hosts/moon/rejoin", "{}", (404, "not-found"));
}

#[test]
fn a_dry_run_of_a_reload_says_what_it_would_do_and_does_nothing() {
    let mut bench = Bench::new();
    let _agents = bench.start_with_agents();
    bench.until_primary("tserver-1");
    let file = bench.path("cluster.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let dry = |bench: &Bench| bench.ask("POST", "/v1/config/reload", "{\"dry_run\": true}");
    let (status, answer) = dry(&bench);
    assert_eq!((status, &answer["changes"]), (200, &json!([])), "{answer}");

    std::fs::write(&file, text.replacen("[[pair]]", "[[pair]]\nswitchover-timeout = \"4s\"", 1)).unwrap();
    let (status, answer) = dry(&bench);
    assert_eq!(
        (status, &answer["changes"]),
        (200, &json!(["pair tserver: switchover-timeout changed"])),
        "{answer}"
    );
    let revision = bench.get("/v1/status")["revision"].clone();
    assert!(!bench.get("/v1/config")["text"].as_str().unwrap().contains("switchover-timeout = \"4s\""));
    let (_, done) = bench.ask("POST", "/v1/config/reload", "");
    assert_eq!(done["changes"], answer["changes"], "the same as it was said to be");
    assert_ne!(bench.get("/v1/status")["revision"], revision);
    let shown = bench.get("/v1/config");
    assert!(shown["text"].as_str().unwrap().contains("switchover-timeout = \"4s\""), "{shown}");

    std::fs::write(&file, "[cluster]\nname = \"demo\"\n").unwrap();
    let (status, refused) = dry(&bench);
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("not-possible")), "{refused}");
    assert!(refused["error"]["message"].to_string().contains("would be refused"), "{refused}");
    let warnings = bench.get("/v1/status")["warnings"].to_string();
    assert!(!warnings.contains("was refused"), "a dry run leaves nothing behind: {warnings}");
}

#[test]
fn events_are_asked_for_by_names_that_are_known() {
    let mut bench = Bench::new();
    let _agents = bench.start_with_agents();
    bench.until_primary("tserver-1");
    for (path, near) in [("app=tserver-9", "tserver-1"), ("pair=tservr", "tserver"), ("host=alhpa", "alpha")]
    {
        for path in [format!("/v1/events?{path}"), format!("/v1/events/stream?{path}")] {
            let error = refused(&bench, "GET", &path, "", (404, "not-found"));
            assert!(error["because"].to_string().contains(&format!("the nearest name is {near}")), "{error}");
        }
    }
    let error = refused(&bench, "GET", "/v1/events?pair=nothing-like-it", "", (404, "not-found"));
    assert_eq!(error["because"], json!([]));
    let of_pair = bench.get("/v1/events?pair=tserver");
    assert!(!of_pair["events"].as_array().unwrap().is_empty());
    assert_eq!(of_pair["gone"], json!([]));
    assert_eq!(
        bench.get("/v1/events?pair=Tserver-2")["events"],
        of_pair["events"],
        "of the pair of a member"
    );
    let refused_replay =
        refused(&bench, "GET", "/v1/replay?from=2130-01-01T00:00:00Z", "", (404, "not-found"));
    assert!(
        refused_replay["message"].to_string().contains("nothing is recorded from 2130"),
        "{refused_replay}"
    );
}

#[test]
fn a_lost_link_is_said_once_and_made_again() {
    let mut bench = Bench::new();
    let (alpha, _beta) = bench.start_with_agents();
    alpha.drop_link();
    until("it is connected again", || (alpha.hellos().len() == 2).then_some(()));
    bench.until_primary("tserver-1");
    assert_eq!(alpha.roles_told(), ["promote 1"], "a lost link is no reason to change roles");
    assert_eq!(bench.log().matches("no link to the agent host=alpha").count(), 1, "{}", bench.log());
    assert_eq!(json!(1), bench.pair()["epoch"]);
    let alpha = |figure: &str| bench.figure(&format!("understudy_scs_link_{figure}"));
    assert_eq!(alpha("connects_total{host=\"alpha\"}"), Some(2.0));
    assert_eq!(alpha("losses_total{host=\"alpha\",reason=\"closed\"}"), Some(1.0));
    assert_eq!((alpha("up{host=\"alpha\"}"), alpha("up{host=\"beta\"}")), (Some(1.0), Some(1.0)));
    assert_eq!(alpha("connects_total{host=\"beta\"}"), Some(1.0));
    assert_eq!(bench.figure("understudy_scs_pair_two_primaries{pair=\"tserver\"}"), Some(0.0));
}

#[test]
fn a_new_pair_that_keeps_its_data_is_said_to_begin_with_nothing_known_of_it() {
    let mut bench = Bench::new();
    let (_alpha, _beta) = bench.start_with_agents();
    let member = |name: &str, host: &str| {
        format!(
            "[[application]]\nname = \"{name}\"\nhost = \"{host}\"\ninterface = \"library\"\ncommand = [\"/bin/true\"]\n\
             autostart = false\n"
        )
    };
    let pair = |name: &str| {
        let members = "primary = \"d-1\"\nbackup = \"d-2\"\npolicy = \"available\"\nkeep-data = true\n";
        let (one, two) = (member("d-1", "alpha"), member("d-2", "beta"));
        format!("{}{one}{two}[[pair]]\nname = \"{name}\"\n{members}", bench.cluster())
    };
    bench.write("cluster.toml", &pair("d"));
    let (status, answer) = bench.ask("POST", "/v1/config/reload", "");
    let warnings = answer["warnings"].to_string();
    assert!(status == 200 && warnings.contains("d-1 and d-2 both count as having everything"), "{answer}");
    bench.write("cluster.toml", &pair("e"));
    let error = refused(&bench, "POST", "/v1/config/reload", "", (409, "not-possible"));
    assert!(error["because"].to_string().contains("keep the name d"), "{error}");
    bench.write("cluster.toml", &bench.cluster());
    let (status, answer) = bench.ask("POST", "/v1/config/reload", "");
    let warnings = answer["warnings"].to_string();
    assert!(status == 200 && warnings.contains("pair d keeps its data no more"), "{answer}");
}

#[test]
fn a_host_with_another_address_is_connected_to_anew() {
    let mut bench = Bench::new();
    let (alpha, _beta) = bench.start_with_agents();
    let elsewhere = bench.path("elsewhere.sock");
    let moved = bench
        .cluster()
        .replace(&bench.path("alpha.sock").display().to_string(), &elsewhere.display().to_string());
    bench.write("cluster.toml", &moved);
    let (status, answer) = bench.ask("POST", "/v1/config/reload", "");
    assert_eq!((status, &answer["changes"]), (200, &json!(["host alpha: addresses changed"])), "{answer}");
    until("the loss of the former link was observed", || {
        (bench.get("/v1/hosts/alpha")["status"] != "running").then_some(())
    });
    std::fs::hard_link(bench.path("alpha.sock"), &elsewhere).unwrap();
    until("the agent is heard at its new address", || (alpha.hellos().len() == 2).then_some(()));
    bench.until_primary("tserver-1");
    assert_eq!(alpha.roles_told(), ["promote 1"]);
}
