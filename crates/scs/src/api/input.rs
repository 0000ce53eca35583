//! What a caller may send: bounded bodies and queries, refused with the one error body.
//!
//! It knows no meaning. The law: an unknown field is an error, never passed over.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The longest body of a request, in bytes.
pub const LONGEST_BODY_BYTES: usize = 16 * 1024;

/// A JSON body. An empty one counts as `{}`.
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read_body(request.into_body()).await?;
        parse_body(&bytes).map(Sent)
    }
}

/// Reads a whole body.
pub(super) fn parse_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not as expected: {error}")))
}

/// A whole body.
pub async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    to_bytes(body, LONGEST_BODY_BYTES).await.map_err(|error| {
        let message = format!("the body is longer than {LONGEST_BODY_BYTES} bytes or broke off: {error}");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message)
    })
}

/// The part of a path behind `?`.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse_query(&parts.uri).map(Asked)
    }
}

/// Reads what stands behind the `?`.
pub(super) fn parse_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    match Query::try_from_uri(uri) {
        Ok(Query(asked)) => Ok(asked),
        Err(error) => Err(ApiError::bad_request(format!("the query is not as expected: {error}"))),
    }
}
