//! The figures of the control server, for Prometheus.
//!
//! The law: a route in a figure is one of the table, so that no stranger makes new ones.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use understudy_drive::exposition::CONTENT_TYPE;

use super::error::ApiError;
use super::{Seat, shapes};
use crate::figures::Figures;

/// Everything as text.
pub(super) async fn text(State(seat): State<Seat>) -> Result<Response, ApiError> {
    let (view, _) = seat.view().await?;
    let wrong = shapes::wrong(&view, &seat.standing.beside()).len();
    let text = seat.figures.text(&view, wrong, &seat.links.tallies());
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Counts each request with its answer.
pub(super) async fn count(State(figures): State<Figures>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let response = next.run(request).await;
    figures.answered(&method, &route, response.status().as_u16(), began.elapsed());
    response
}
