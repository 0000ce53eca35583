//! The OpenAPI document, made from the table of routes.
//!
//! It knows no answers. The law: it describes exactly what the router serves, as both are made from one table.

use axum::Json;
use axum::http::Method;
use serde_json::{Map, Value, json};

use super::input::LONGEST_BODY_BYTES;
use super::repeats::{KEY_HEADER, LONGEST_KEY_BYTES};
use super::routes::{Route, STREAM, routes};
use super::schemas::schemas;

/// The answer to `GET /v1/openapi.json`.
pub(super) async fn document() -> Json<Value> {
    Json(make())
}

/// The document.
pub fn make() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Understudy, the operators' API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Served on a Unix socket, where the system says who asks, and over the network with TLS, \
                            where a token or an operator's certificate does.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "certificate": { "type": "mutualTLS" },
            },
            "responses": {
                "Error": {
                    "description": "Refused or failed; every reason is said, and what to do next.",
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut responses = Map::new();
    for (status, content_type, schema) in &route.answers {
        let response = responses
            .entry(status.to_string())
            .or_insert_with(|| json!({ "description": "As asked.", "content": {} }));
        response["content"][*content_type] = content(schema);
    }
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Error" }));
    let mut operation = json!({
        "operationId": name(route),
        "summary": route.says,
        "parameters": parameters(route),
        "responses": responses,
    });
    match route.needs {
        Some(role) => {
            operation["description"] = format!("Needs the role {}.", role.as_str()).into();
            operation["security"] = json!([{ "token": [] }, { "certificate": [] }]);
        }
        None => operation["security"] = json!([]),
    }
    if let Some(schema) = route.body {
        let says = format!("At most {LONGEST_BODY_BYTES} bytes. None at all counts as `{{}}`.");
        operation["requestBody"] =
            json!({ "description": says, "content": { "application/json": content(schema) } });
    }
    operation
}

fn content(schema: &str) -> Value {
    json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } })
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        let kind = if name == "id" { "integer" } else { "string" };
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": kind } })
    });
    let in_query = route.query.iter().map(|(name, kind, says)| {
        json!({ "name": name, "in": "query", "description": says, "schema": { "type": kind } })
    });
    let mut all: Vec<Value> = in_path.chain(in_query).collect();
    let header = |name: &str, says: &str, longest: usize| {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": longest });
        json!({ "name": name, "in": "header", "description": says, "schema": schema })
    };
    if route.method != Method::GET && route.repeats {
        let says = "The same key and the same request are done once, however often they are sent.";
        all.push(header(KEY_HEADER, says, LONGEST_KEY_BYTES));
    }
    if route.answers.iter().any(|(_, content_type, _)| *content_type == STREAM) {
        all.push(header("last-event-id", "The stream goes on behind this event.", 20));
    }
    all
}

/// A word for programs that are made from the document, such as `post_pairs_name_switchover`.
fn name(route: &Route) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let path = route.path.trim_start_matches("/v1").replace(['{', '}'], "");
    format!("{}{}", route.method.as_str().to_ascii_lowercase(), path.chars().map(plain).collect::<String>())
}
