//! What a caller can write, read by the same code as in an answer, and then let go: for those who make up requests.
//!
//! It asks nobody and answers nothing. The law: every body and every query of the table of routes is read here, so none
//! is left out of fuzzing.

use axum::http::{HeaderMap, Uri, header};
use jiff::Timestamp;

use super::error::ApiError;
use super::input::{parse_body, parse_query};
pub use super::repeats::LONGEST_KEY_BYTES;
use super::{ask, events, guard, logs, look, repeats, replay, sequences, token_calls, what_if, why};

/// The body of a request.
pub type ReadsBody = fn(&[u8]) -> Result<(), ApiError>;
/// The part of a path behind `?`.
pub type ReadsQuery = fn(&Uri) -> Result<(), ApiError>;

/// Every body, by the name of its schema.
pub const BODIES: &[(&str, ReadsBody)] = &[
    ("Nothing", |bytes| parse_body::<ask::Nothing>(bytes).map(drop)),
    ("Stop", |bytes| parse_body::<ask::StopBody>(bytes).map(drop)),
    ("Switchover", |bytes| parse_body::<ask::SwitchoverBody>(bytes)?.check()),
    ("Maintenance", |bytes| parse_body::<ask::MaintenanceBody>(bytes).map(drop)),
    ("DryRun", |bytes| parse_body::<sequences::DryRunBody>(bytes).map(drop)),
    ("Reason", |bytes| parse_body::<ask::ReasonBody>(bytes)?.check()),
    ("Planned", |bytes| parse_body::<sequences::PlannedBody>(bytes)?.check()),
    ("Hold", |bytes| parse_body::<sequences::HoldBody>(bytes)?.check()),
    ("Failover", |bytes| parse_body::<sequences::FailoverBody>(bytes)?.check("any")),
    ("NewToken", |bytes| parse_body::<token_calls::NewToken>(bytes)?.check(0).map(drop)),
];

/// Every query, by the path that it belongs to.
pub const QUERIES: &[(&str, ReadsQuery)] = &[
    ("/v1/operations/{id}", |uri| parse_query::<look::Poll>(uri).map(drop)),
    ("/v1/events", |uri| parse_query::<events::Which>(uri)?.query(Timestamp::UNIX_EPOCH).map(drop)),
    ("/v1/events/stream", |uri| parse_query::<events::Which>(uri)?.query(Timestamp::UNIX_EPOCH).map(drop)),
    ("/v1/why", |uri| parse_query::<why::WhichEvent>(uri).map(drop)),
    ("/v1/replay", |uri| parse_query::<replay::Span>(uri)?.read(Timestamp::UNIX_EPOCH).map(drop)),
    // Which names go with which word is checked when it is known what is asked.
    ("/v1/what-if", |uri| parse_query::<what_if::Supposition>(uri).map(drop)),
    ("/v1/applications/{name}/logs", |uri| {
        parse_query::<logs::Which>(uri)?.place(Timestamp::UNIX_EPOCH).map(drop)
    }),
];

/// What headers say beside host and origin, which `addressed::check` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// The key of a request that is done only once.
    pub key: Option<String>,
    /// The event behind which a stream goes on.
    pub last_event: Option<i64>,
    /// The token in the Authorization header, if there is such a header; not compared with any.
    pub token: Option<String>,
}

/// Reads the headers that the API looks at.
pub fn headers(headers: &HeaderMap) -> Result<Headers, ApiError> {
    let token = match headers.get(header::AUTHORIZATION) {
        Some(value) => Some(guard::secret_of(value).map_err(ApiError::bad_request)?.to_owned()),
        None => None,
    };
    Ok(Headers { key: repeats::key_of(headers)?, last_event: events::last_event_id(headers)?, token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::routes;
    use std::collections::BTreeSet;

    #[test]
    fn every_body_and_every_query_of_the_table_is_read_here() {
        let bodies: BTreeSet<&str> = routes().iter().filter_map(|route| route.body).collect();
        assert_eq!(BODIES.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), bodies);
        let asked: BTreeSet<&str> =
            routes().iter().filter(|route| !route.query.is_empty()).map(|route| route.path).collect();
        assert_eq!(QUERIES.iter().map(|(path, _)| *path).collect::<BTreeSet<_>>(), asked);
    }

    #[test]
    fn every_name_of_a_query_that_is_described_is_read() {
        for route in routes() {
            let Some((_, reads)) = QUERIES.iter().find(|(path, _)| *path == route.path) else { continue };
            for (name, kind, _) in route.query {
                let value = match *kind {
                    "integer" => "7",
                    "boolean" => "false",
                    _ => "10m",
                };
                let uri: Uri = format!("/x?{name}={value}").parse().unwrap();
                assert_eq!(reads(&uri), Ok(()), "{} {name}", route.path);
            }
            assert!(reads(&Uri::from_static("/x?nobody=7")).is_err(), "{}", route.path);
        }
    }
}
