//! What questions take and answers hold, as JSON schemas for the OpenAPI document.
//!
//! It knows no routes. The law: what is named here is there in every answer; more may be.

use serde_json::{Map, Value, json};

use super::caller::Role;
use understudy_model::{ApplicationStatus, Goal, HostStatus, Policy, Redundancy, RunMode};

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn integer() -> Value {
    json!({ "type": "integer" })
}

fn boolean() -> Value {
    json!({ "type": "boolean" })
}

fn maybe(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn words(words: impl Iterator<Item = &'static str>) -> Value {
    json!({ "type": "string", "enum": words.collect::<Vec<_>>() })
}

fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

fn the(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn or_null(name: &str) -> Value {
    json!({ "anyOf": [the(name), { "type": "null" }] })
}

/// An object with these members, and perhaps more.
fn object(members: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> =
        members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

/// A body: these members and no others, of which the first `needed` must be there.
fn body(needed: usize, members: &[(&str, Value)]) -> Value {
    let mut schema = object(members);
    let names: Vec<&str> = members.iter().take(needed).map(|(name, _)| *name).collect();
    schema["required"] = json!(names);
    schema["additionalProperties"] = json!(false);
    schema
}

/// An object that holds a list under its name.
fn listing(name: &str, of: &str) -> Value {
    object(&[(name, list(the(of)))])
}

/// Every schema, by name.
pub fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    for (name, schema) in bodies().into_iter().chain(objects()).chain(answers()) {
        all.insert(name.to_owned(), schema);
    }
    all
}

fn bodies() -> Vec<(&'static str, Value)> {
    let role = words(Role::ALL.map(Role::as_str).into_iter());
    let seconds = json!({ "type": ["integer", "null"], "minimum": 1 });
    let span = seconds.clone();
    vec![
        ("Nothing", body(0, &[])),
        ("Reason", body(0, &[("reason", maybe("string"))])),
        ("Stop", body(0, &[("graceful", boolean()), ("reason", maybe("string"))])),
        (
            "Switchover",
            body(0, &[("to", maybe("string")), ("dry_run", boolean()), ("reason", maybe("string"))]),
        ),
        ("DryRun", body(0, &[("dry_run", boolean())])),
        ("Planned", body(0, &[("dry_run", boolean()), ("reason", maybe("string"))])),
        (
            "Failover",
            body(
                0,
                &[
                    ("force", boolean()),
                    ("dry_run", boolean()),
                    ("given_up", or_null("GivenUp")),
                    ("reason", maybe("string")),
                ],
            ),
        ),
        ("GivenUp", body(2, &[("epoch", integer()), ("member", text()), ("loses_data", boolean())])),
        ("Hold", body(0, &[("span_ms", span), ("dry_run", boolean()), ("reason", maybe("string"))])),
        ("Maintenance", body(1, &[("on", boolean()), ("reason", maybe("string"))])),
        ("NewToken", body(2, &[("name", text()), ("role", role), ("expires_in_s", seconds)])),
    ]
}

fn host_members() -> Vec<(&'static str, Value)> {
    vec![
        ("name", text()),
        ("address", text()),
        ("status", words(HostStatus::ALL.iter().map(|status| status.as_str()))),
        ("since", text()),
        ("heard_ms_ago", maybe("integer")),
        ("loss_survivable", boolean()),
        ("problem", text()),
        ("only_here", list(text())),
        ("clock_doubts", list(text())),
    ]
}

fn pair_members() -> Vec<(&'static str, Value)> {
    vec![
        ("name", text()),
        ("redundancy", words(Redundancy::ALL.iter().map(|one| one.as_str()))),
        ("policy", words(Policy::ALL.iter().map(|one| one.as_str()))),
        ("policy_means", text()),
        ("primary", maybe("string")),
        ("primary_heard", boolean()),
        ("backup", text()),
        ("epoch", integer()),
        ("holder", maybe("string")),
        ("state", text()),
        ("since", text()),
        ("ready", boolean()),
        ("not_ready_because", list(text())),
        ("promised_to", maybe("string")),
        ("promised_epoch", maybe("integer")),
        ("promise_left_ms", maybe("number")),
        ("alive_through", maybe("string")),
        ("in_sync", json!({ "type": ["array", "null"], "items": text() })),
        ("in_sync_since", maybe("integer")),
        ("waits_for_data", maybe("string")),
        ("votes_given", integer()),
        ("votes_refused", integer()),
        ("because", or_null("Because")),
        ("considered", the("Because")),
        ("held_back", or_null("Nearly")),
    ]
}

fn objects() -> Vec<(&'static str, Value)> {
    let with = |mut members: Vec<(&'static str, Value)>, more: (&'static str, Value)| {
        members.push(more);
        object(&members)
    };
    let fact = object(&[("what", text()), ("is", text())]);
    vec![
        ("Nearly", object(&[("rule", text()), ("missed", text())])),
        ("Host", object(&host_members())),
        ("HostDetails", with(host_members(), ("applications", list(the("Application"))))),
        ("Pair", object(&pair_members())),
        ("PairDetails", with(pair_members(), ("members", list(the("Application"))))),
        (
            "Application",
            object(&[
                ("name", text()),
                ("host", text()),
                ("pair", maybe("string")),
                ("pid", maybe("integer")),
                ("status", words(ApplicationStatus::ALL.iter().map(|one| one.as_str()))),
                ("goal", words(Goal::ALL.iter().map(|one| one.as_str()))),
                ("run_mode", words(RunMode::ALL.iter().map(|one| one.as_str()))),
                ("epoch", maybe("integer")),
                ("restarts", integer()),
                ("gave_up", boolean()),
                ("hands_off", boolean()),
                ("restart_pending", list(text())),
                ("problem", text()),
                ("last_exit", or_null("LastExit")),
                ("since", text()),
            ]),
        ),
        (
            "LastExit",
            // Asked for by itself, an application also says when that was, and what it was killed for.
            object(&[("text", text()), ("cause", json!({})), ("wanted", boolean()), ("ran_ms", integer())]),
        ),
        (
            "Because",
            object(&[
                ("rule", text()),
                ("says", maybe("string")),
                ("reason", text()),
                ("because", list(fact.clone())),
                ("nearly", list(the("Nearly"))),
            ]),
        ),
        (
            "Foresight",
            object(&[
                ("after_ms", number()),
                ("who", text()),
                ("host", maybe("string")),
                ("application", maybe("string")),
                ("pair", maybe("string")),
                ("severity", words(["info", "warning", "critical"].into_iter())),
                ("what", text()),
                ("because", or_null("Because")),
            ]),
        ),
        (
            "ForeseenPair",
            object(&[
                ("name", text()),
                ("policy", words(Policy::ALL.iter().map(|one| one.as_str()))),
                ("primary_now", maybe("string")),
                ("primary_then", maybe("string")),
                ("changed_after_ms", maybe("number")),
                ("two_may_act", boolean()),
                ("holds", list(text())),
                ("because", the("Because")),
            ]),
        ),
        (
            "Operation",
            object(&[
                ("id", integer()),
                ("kind", text()),
                ("subject", text()),
                ("actor", text()),
                ("state", words(["running", "done", "failed", "unknown", "pending"].into_iter())),
                ("why", maybe("string")),
                ("steps", list(object(&[("after_ms", number()), ("what", text())]))),
                ("began", text()),
                ("ended", maybe("string")),
                ("took_ms", maybe("number")),
            ]),
        ),
        (
            "Event",
            object(&[
                ("id", integer()),
                ("at", text()),
                ("kind", text()),
                ("severity", words(["info", "warning", "critical"].into_iter())),
                ("host", maybe("string")),
                ("application", maybe("string")),
                ("pair", maybe("string")),
                ("from", maybe("string")),
                ("to", maybe("string")),
                ("epoch", maybe("integer")),
                ("rule", text()),
                ("says", maybe("string")),
                ("reason", text()),
                ("because", list(fact)),
                ("nearly", list(the("Nearly"))),
                ("actor", maybe("string")),
            ]),
        ),
        (
            "Token",
            object(&[
                ("name", text()),
                ("role", text()),
                ("made_by", text()),
                ("made", text()),
                ("expires", maybe("string")),
                ("expired", boolean()),
                ("last_used", maybe("string")),
            ]),
        ),
    ]
}

fn answers() -> Vec<(&'static str, Value)> {
    let error = object(&[("code", text()), ("message", text()), ("because", list(text())), ("try", text())]);
    let controller = object(&[("name", text()), ("leading", boolean()), ("epoch", integer())]);
    let mut plan = object(&[("checks", json!({ "type": "array" })), ("steps", list(text()))]);
    // Only of a failover by force.
    plan["properties"]["given_up"] = the("GivenUp");
    let secret = json!({ "allOf": [the("Token"), object(&[("secret", text())])] });
    vec![
        ("Error", object(&[("error", error)])),
        (
            "Status",
            object(&[
                ("cluster", object(&[("name", text()), ("id", maybe("string"))])),
                ("revision", integer()),
                ("at", text()),
                ("controllers", list(controller)),
                ("hosts", list(the("Host"))),
                ("applications", list(the("Application"))),
                ("pairs", list(the("Pair"))),
                ("operations", list(the("Operation"))),
                ("maintenance", list(text())),
                ("warnings", list(text())),
                ("wrong", list(text())),
                ("alarms", json!({ "type": "array" })),
            ]),
        ),
        ("Hosts", listing("hosts", "Host")),
        ("Applications", listing("applications", "Application")),
        ("Pairs", listing("pairs", "Pair")),
        ("Operations", listing("operations", "Operation")),
        ("Events", object(&[("events", list(the("Event"))), ("last", integer()), ("gone", list(text()))])),
        (
            "EventStream",
            json!({ "type": "string", "description": "`id` is an event's number, `data` an Event." }),
        ),
        ("WhyEvent", object(&[("event", the("Event"))])),
        (
            "Why",
            object(&[
                ("name", text()),
                ("kind", words(["pair", "application", "host"].into_iter())),
                ("now", text()),
                ("because", or_null("Because")),
                ("decided_event", maybe("integer")),
                ("decided_at", maybe("string")),
                ("considered", or_null("Because")),
                ("held_back", or_null("Nearly")),
                ("events", list(the("Event"))),
            ]),
        ),
        (
            "Foreseen",
            object(&[
                ("supposed", text()),
                ("assumed", list(text())),
                ("steps", list(the("Foresight"))),
                ("pairs", list(the("ForeseenPair"))),
                ("warnings", list(text())),
                ("looked_ahead_ms", number()),
                ("cut_short", boolean()),
            ]),
        ),
        (
            "Replayed",
            object(&[
                ("same", boolean()),
                (
                    "leaderships",
                    list(object(&[
                        ("controller", text()),
                        ("epoch", integer()),
                        ("version", text()),
                        ("began", text()),
                        ("steps", integer()),
                        ("decisions", integer()),
                        ("difference", json!({})),
                        ("stopped", maybe("string")),
                    ])),
                ),
            ]),
        ),
        ("Begun", object(&[("operation", object(&[("id", integer()), ("state", text())]))])),
        ("Done", json!({ "anyOf": [object(&[("done", text())]), object(&[("plan", plan)])] })),
        ("Reloaded", object(&[("done", text()), ("changes", list(text())), ("warnings", list(text()))])),
        ("Configuration", object(&[("revision", integer()), ("file", text()), ("text", text())])),
        ("Tokens", listing("tokens", "Token")),
        ("TokenMade", object(&[("token", secret)])),
        ("Health", object(&[("ok", boolean())])),
        ("Readiness", object(&[("ready", boolean()), ("controller", text()), ("epoch", integer())])),
        (
            "LogPiece",
            json!({ "type": "string", "description": "Lines of JSON: `text` and `missing`, or at last a `problem`." }),
        ),
        ("Text", text()),
        ("Document", object(&[("openapi", text()), ("paths", json!({ "type": "object" }))])),
    ]
}
