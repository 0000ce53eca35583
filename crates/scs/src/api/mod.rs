//! The operators' API: HTTP and JSON under `/v1/` on a Unix socket.
//!
//! It asks the deciding machine and shows its answers; it decides nothing. The law: it runs on a thread of its own, so
//! that no question delays a decision, and everything that a caller can send or hold open is bounded.

pub mod actor;
mod ask;
pub mod error;
mod events;
mod input;
pub mod logs;
mod look;
mod repeats;
mod sequences;
mod serve;
pub mod shapes;
mod why;

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use tokio::sync::{mpsc, oneshot, watch};
use understudy_decide::control::{ClusterView, Control};
use understudy_drive::Inbox;

pub use serve::{Api, ApiSocketError};

use crate::journal::Journal;
use crate::links::Links;
use crate::reload::Reloaded;
use crate::replies::Replies;
use crate::standing::Standing;
use crate::wall::Wall;
use error::ApiError;

/// The longest that any request may take until its answer begins.
const REQUEST_LIMIT: Duration = Duration::from_secs(35);

/// A request to read the configuration again, and where its outcome goes.
pub type ReloadAsked = oneshot::Sender<Reloaded>;

/// What every request can reach.
#[derive(Clone)]
pub struct Seat {
    /// The way to the deciding machine.
    pub inbox: Inbox<Control>,
    /// Where its answers come.
    pub replies: Replies,
    /// What happened.
    pub journal: Journal,
    /// Warnings of the program itself, and the configuration in use.
    pub standing: Standing,
    /// Counts the machine's steps.
    pub steps: watch::Receiver<u64>,
    /// To have the configuration read again.
    pub reload: mpsc::Sender<ReloadAsked>,
    /// To ask agents.
    pub links: Links,
    /// Room for readers of output.
    pub readers: logs::Readers,
}

impl Seat {
    /// What the machine shows now, with both clocks.
    async fn view(&self) -> Result<(ClusterView, Wall), ApiError> {
        let seen = self.inbox.look(|control| {
            let wall = Wall::now();
            (control.view(wall.moment()), wall)
        });
        seen.await.ok_or_else(ApiError::ending)
    }
}

/// Every path of the API.
pub fn router(seat: Seat) -> Router {
    Router::new()
        .route("/v1/status", get(look::status))
        .route("/v1/hosts", get(look::hosts))
        .route("/v1/hosts/{name}", get(look::host))
        .route("/v1/applications", get(look::applications))
        .route("/v1/applications/{name}", get(look::application))
        .route("/v1/applications/{name}/start", post(ask::start))
        .route("/v1/applications/{name}/stop", post(ask::stop))
        .route("/v1/applications/{name}/restart", post(ask::restart))
        .route("/v1/applications/{name}/logs", get(logs::logs))
        .route("/v1/pairs", get(look::pairs))
        .route("/v1/pairs/{name}", get(look::pair))
        .route("/v1/pairs/{name}/start", post(ask::start))
        .route("/v1/pairs/{name}/stop", post(ask::stop))
        .route("/v1/pairs/{name}/switchover", post(ask::switchover))
        .route("/v1/maintenance/{name}", put(ask::maintenance))
        .route("/v1/pairs/{name}/restart", post(sequences::restart))
        .route("/v1/pairs/{name}/failover", post(sequences::failover))
        .route("/v1/pairs/{name}/flap/acknowledge", post(sequences::acknowledge))
        .route("/v1/hosts/{name}/drain", post(sequences::drain))
        .route("/v1/hosts/{name}/return", post(sequences::give_back))
        .route("/v1/operations", get(look::operations))
        .route("/v1/operations/{id}", get(look::operation))
        .route("/v1/events", get(events::events))
        .route("/v1/why", get(why::event))
        .route("/v1/why/{name}", get(why::object))
        .route("/v1/config/reload", post(ask::reload))
        .route("/healthz", get(look::health))
        .route("/readyz", get(look::readiness))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(repeats::Repeats::default(), repeats::once))
        .layer(middleware::from_fn(limit_time))
        .with_state(seat)
}

async fn no_such_path(uri: axum::http::Uri) -> ApiError {
    ApiError::not_found("path", uri.path(), "scsctl status -o json")
}

async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    let message = format!("{} cannot be asked with {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message)
}

async fn limit_time(request: axum::extract::Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::outcome_unknown(format!("no answer within {REQUEST_LIMIT:?}")).into_response(),
    }
}
