//! What a caller may send: bounded bodies and queries, refused with the one error body.
//!
//! It knows no meaning. The law: an unknown field is an error, never passed over.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
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
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let parsed = serde_json::from_slice(bytes);
        parsed
            .map(Sent)
            .map_err(|error| ApiError::bad_request(format!("the body is not as expected: {error}")))
    }
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
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(error) => Err(ApiError::bad_request(format!("the query is not as expected: {error}"))),
        }
    }
}
