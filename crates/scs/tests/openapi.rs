//! The OpenAPI document is true: every question that it describes is asked, and every answer has the shape that it says.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use serde_json::{Value, json};
use support::{Bench, http};
use understudy_scs::api::openapi;
use understudy_scs::api::routes::routes;

/// Everything in which a value differs from a schema. Knows the words that our document uses, and no others.
fn differences(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().trim_start_matches('#');
                let named =
                    document.pointer(pointer).unwrap_or_else(|| panic!("{rule} is not in the document"));
                found.extend(differences(document, named, value, at));
            }
            "type" => {
                let kinds = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !kinds.iter().any(|kind| is_of(kind.as_str().unwrap(), value)) {
                    found.push(format!("{at} is {value}, not {rule}"));
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => {
                found.push(format!("{at}: {value} is not in {rule}"))
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                        found.push(format!("{at} has no {name}"));
                    }
                }
            }
            "properties" => {
                for (name, inner) in rule.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        found.extend(differences(document, inner, member, &format!("{at}.{name}")));
                    }
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(differences(document, rule, item, &format!("{at}[{index}]")));
                }
            }
            "anyOf" => {
                let all: Vec<_> = rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| differences(document, one, value, at))
                    .collect();
                if !all.iter().any(Vec::is_empty) {
                    found.push(format!("{at} is none of these: {all:?}"));
                }
            }
            "allOf" => {
                for one in rule.as_array().unwrap() {
                    found.extend(differences(document, one, value, at));
                }
            }
            "enum" | "description" | "additionalProperties" | "minimum" => {}
            other => panic!("the word {other} is not known here"),
        }
    }
    found
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}

/// How each question is asked, in an order in which each has an answer that is no error.
const QUESTIONS: &[(&str, &str, &str, &str)] = &[
    ("GET", "/healthz", "/healthz", ""),
    ("GET", "/readyz", "/readyz", ""),
    ("GET", "/v1/status", "/v1/status", ""),
    ("GET", "/v1/hosts", "/v1/hosts", ""),
    ("GET", "/v1/hosts/{name}", "/v1/hosts/alpha", ""),
    ("GET", "/v1/applications", "/v1/applications", ""),
    ("GET", "/v1/applications/{name}", "/v1/applications/tserver-1", ""),
    ("GET", "/v1/pairs", "/v1/pairs", ""),
    ("GET", "/v1/pairs/{name}", "/v1/pairs/tserver", ""),
    ("POST", "/v1/pairs/{name}/switchover", "/v1/pairs/tserver/switchover", "{\"dry_run\": true}"),
    ("POST", "/v1/pairs/{name}/switchover", "/v1/pairs/tserver/switchover", "{\"to\": \"tserver-1\"}"),
    ("POST", "/v1/pairs/{name}/switchover", "/v1/pairs/tserver/switchover", "{\"to\": \"tserver-2\"}"),
    ("GET", "/v1/operations", "/v1/operations", ""),
    ("GET", "/v1/operations/{id}", "/v1/operations/1?wait_ms=5000", ""),
    ("GET", "/v1/applications/{name}/logs", "/v1/applications/tserver-1/logs", ""),
    ("POST", "/v1/applications/{name}/start", "/v1/applications/tserver-1/start", "{}"),
    ("POST", "/v1/applications/{name}/restart", "/v1/applications/tserver-1/restart", "{}"),
    ("POST", "/v1/pairs/{name}/start", "/v1/pairs/tserver/start", "{}"),
    ("POST", "/v1/pairs/{name}/restart", "/v1/pairs/tserver/restart", "{\"dry_run\": true}"),
    ("POST", "/v1/pairs/{name}/failover", "/v1/pairs/tserver/failover", "{\"dry_run\": true}"),
    ("POST", "/v1/hosts/{name}/drain", "/v1/hosts/alpha/drain", "{\"dry_run\": true}"),
    ("POST", "/v1/hosts/{name}/drain", "/v1/hosts/alpha/drain", "{}"),
    ("POST", "/v1/hosts/{name}/rejoin", "/v1/hosts/alpha/rejoin", "{\"dry_run\": true}"),
    ("POST", "/v1/hosts/{name}/hold", "/v1/hosts/alpha/hold", "{\"span_ms\": 60000, \"dry_run\": true}"),
    ("POST", "/v1/hosts/{name}/return", "/v1/hosts/alpha/return", "{}"),
    ("POST", "/v1/pairs/{name}/flap/acknowledge", "/v1/pairs/tserver/flap/acknowledge", "{}"),
    ("PUT", "/v1/maintenance/{name}", "/v1/maintenance/alpha", "{\"on\": true}"),
    ("POST", "/v1/applications/{name}/stop", "/v1/applications/tserver-1/stop", "{\"graceful\": true}"),
    ("POST", "/v1/pairs/{name}/stop", "/v1/pairs/tserver/stop", "{}"),
    ("GET", "/v1/events", "/v1/events", ""),
    ("GET", "/v1/why", "/v1/why?event=1", ""),
    ("GET", "/v1/why/{name}", "/v1/why/tserver", ""),
    ("GET", "/v1/why/{name}", "/v1/why/alpha", ""),
    ("GET", "/v1/why/{name}", "/v1/why/tserver-1", ""),
    ("GET", "/v1/what-if", "/v1/what-if?what=host-lost&name=alpha", ""),
    ("GET", "/v1/what-if", "/v1/what-if?what=scs-lost", ""),
    ("GET", "/v1/replay", "/v1/replay", ""),
    ("GET", "/v1/replay", "/v1/replay?from=1h&to=0s", ""),
    ("GET", "/metrics", "/metrics", ""),
    ("GET", "/v1/openapi.json", "/v1/openapi.json", ""),
    ("GET", "/v1/config", "/v1/config", ""),
    ("POST", "/v1/config/reload", "/v1/config/reload", "{}"),
    ("POST", "/v1/config/reload", "/v1/config/reload", "{\"dry_run\": true}"),
    ("POST", "/v1/tokens", "/v1/tokens", "{\"name\": \"ann\", \"role\": \"viewer\"}"),
    ("GET", "/v1/tokens", "/v1/tokens", ""),
    ("DELETE", "/v1/tokens/{name}", "/v1/tokens/ann", ""),
    ("GET", "/v1/events/stream", "/v1/events/stream?limit=1", ""),
];

/// What is refused here: nobody is silent whose proof could be given up, the played agents keep no output, each is who it was,
/// and nothing acts that a hold could be for.
const REFUSED_HERE: &[&str] = &[
    "/v1/pairs/{name}/failover",
    "/v1/applications/{name}/logs",
    "/v1/hosts/{name}/rejoin",
    "/v1/hosts/{name}/hold",
];

/// Status, content type and body.
fn ask(bench: &Bench, method: &str, path: &str, body: &str) -> (u16, String, String) {
    let mut reader = http::send(&bench.path("scs.sock"), method, path, "", body).unwrap();
    let mut text = String::new();
    if path.ends_with("/stream?limit=1") {
        // It never ends: its first event is enough.
        while !text.contains("data: ") {
            assert!(reader.read_line(&mut text).unwrap() > 0, "the stream ended: {text}");
        }
    } else {
        reader.read_to_string(&mut text).unwrap();
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    (status, kind.split(';').next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn every_question_is_answered_as_the_document_says() {
    let mut bench = Bench::new();
    let _agents = bench.start_with_agents();
    let document = bench.get("/v1/openapi.json");
    let mut asked = BTreeSet::new();
    for (method, template, path, body) in QUESTIONS {
        asked.insert(((*method).to_owned(), (*template).to_owned()));
        let operation = &document["paths"][template][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {template} is not in the document");
        if !body.is_empty() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let sent: Value = serde_json::from_str(body).unwrap();
            assert_eq!(differences(&document, schema, &sent, "body"), [""; 0], "{method} {path}");
        }
        let (status, kind, text) = ask(&bench, method, path, body);
        let content = match (status, REFUSED_HERE.contains(template)) {
            (400..=499, true) => &document["components"]["responses"]["Error"]["content"],
            _ => &operation["responses"][status.to_string()]["content"],
        };
        let schema = &content[&kind]["schema"];
        assert!(schema.is_object(), "{method} {path}: {status} {kind} is not in the document: {text}");
        let answer =
            if kind == "application/json" { serde_json::from_str(&text).unwrap() } else { json!(text) };
        assert_eq!(differences(&document, schema, &answer, "answer"), [""; 0], "{method} {path}: {answer}");
    }
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    assert_eq!(asked, described, "each is asked here, and nothing else is described");
}

#[test]
fn every_error_has_the_shape_that_the_document_says() {
    let mut bench = Bench::new();
    bench.start();
    let document = openapi::make();
    let error = json!({ "$ref": "#/components/schemas/Error" });
    for route in routes() {
        // A name that nobody has, a body that is none, a method that is not there.
        let path = route.path.replace("{name}", "nobody%2e").replace("{id}", "x");
        for (method, path, body) in [
            (route.method.as_str(), format!("{path}?nonsense=1"), "[]"),
            ("PATCH", path.clone(), ""),
            (route.method.as_str(), format!("{path}/nothing"), ""),
        ] {
            let (status, kind, text) = ask(&bench, method, &path, body);
            if status < 400 {
                continue;
            }
            assert!(status < 500 && kind == "application/json", "{method} {path}: {status} {kind} {text}");
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(differences(&document, &error, &answer, "error"), [""; 0], "{method} {path}: {text}");
        }
    }
}

/// The judge is judged: what is wrong is seen.
#[test]
fn differences_are_seen() {
    let document = openapi::make();
    let schema = json!({ "$ref": "#/components/schemas/Readiness" });
    let good = json!({ "ready": true, "controller": "a", "epoch": 1 });
    assert_eq!(differences(&document, &schema, &good, "x"), [""; 0]);
    for wrong in [json!({}), json!([]), json!({ "ready": 1, "controller": "a", "epoch": 1 }), Value::Null] {
        assert!(!differences(&document, &schema, &wrong, "x").is_empty(), "{wrong}");
    }
}
