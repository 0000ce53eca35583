//! The API against questions that a machine makes from its own OpenAPI document: none may break it, and every answer
//! has the described shape. Needs the program `schemathesis`; says so where it is not installed.

mod support;

use std::process::Command;

use serde_json::Value;
use support::net::Net;

/// Parameters that keep an answer back on purpose, which the tool would take for a broken server.
const SLOW: [&str; 2] = ["follow", "wait_ms"];

#[test]
fn no_generated_question_breaks_the_api() {
    let known = Command::new("schemathesis").arg("--version").output();
    if !known.is_ok_and(|known| known.status.success()) {
        eprintln!("skipped: schemathesis is not installed; run: pip install schemathesis");
        return;
    }
    let net = Net::start();
    let _agents = (net.bench.agent("alpha"), net.bench.agent("beta"));
    net.bench.until_primary("tserver-1");
    let mut document = net.bench.get("/v1/openapi.json");
    for methods in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in methods.as_object_mut().unwrap().values_mut() {
            let parameters = operation["parameters"].as_array_mut().unwrap();
            let is_slow = |one: &Value| SLOW.iter().any(|slow| one["name"] == *slow);
            parameters.retain(|one| !is_slow(one));
        }
    }
    net.bench.write("openapi.json", &document.to_string());
    let token = net.token("schemathesis", "admin", None);
    let judged = Command::new("schemathesis")
        .current_dir(net.bench.directory.path())
        .args(["run", "openapi.json", "--url", &format!("https://localhost:{}", net.address.port())])
        .args(["--header", token.trim(), "--tls-verify", "ca.pem", "--max-examples", "20", "--seed", "1"])
        // A stream never ends, and a token that is taken back may be the tool's own.
        .args(["--exclude-path", "/v1/events/stream", "--exclude-path", "/v1/tokens/{name}"])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .output()
        .unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
    assert_eq!(net.bench.ask("GET", "/healthz", "").0, 200);
}
