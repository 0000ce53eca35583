//! The operators' API: HTTP and JSON under `/v1/`, on a Unix socket and over the network with TLS.
//!
//! It asks the deciding machine and shows its answers; it decides nothing. The law: it runs on a thread of its own, so
//! that no question delays a decision, and everything that a caller can send or hold open is bounded.

pub mod actor;
pub mod addressed;
mod ask;
pub mod before;
pub mod caller;
mod configuration;
mod ends;
pub mod error;
mod events;
mod figures_call;
pub mod guard;
mod input;
pub mod logs;
mod look;
mod names;
pub mod openapi;
pub mod reading;
mod rejoin;
mod repeats;
mod replay;
pub mod routes;
pub mod schemas;
mod sequences;
mod serve;
pub mod shapes;
pub mod shared;
mod tcp;
pub mod tls;
mod token_calls;
pub mod tokens;
mod what_if;
mod why;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tokio::sync::{mpsc, oneshot, watch};
use understudy_decide::control::{ClusterView, Control};
use understudy_drive::Inbox;
use understudy_model::{ControllerEpoch, ControllerName};

pub use serve::{Api, ApiSocketError};
pub use tcp::{DoorChange, Doors, NetworkSide, TcpBindError};

use crate::figures::Figures;
use crate::journal::Journal;
use crate::links::Links;
use crate::reload::Reloaded;
use crate::replies::Replies;
use crate::standing::Standing;
use crate::wall::Wall;
use error::ApiError;
use guard::Guard;
use routes::Route;
use shared::Shared;

/// The longest that any request may take until its answer begins.
const REQUEST_LIMIT: Duration = Duration::from_secs(35);

/// A request to read the configuration again.
#[derive(Debug)]
pub struct ReloadAsked {
    /// Who asks; nobody is known behind a signal.
    pub actor: Option<String>,
    /// Only say what it would change, or why it would be refused.
    pub dry_run: bool,
    /// Where the outcome goes.
    pub answer: oneshot::Sender<Reloaded>,
}

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
    /// Who is let in.
    pub guard: Guard,
    /// What is counted.
    pub figures: Figures,
    /// To ask agents.
    pub links: Links,
    /// Room for readers of output.
    pub readers: logs::Readers,
    /// What those who are known see of the machine.
    pub views: Shared<(ClusterView, Wall)>,
    /// What was so before this leadership.
    pub before: before::Before,
    /// What anybody may see of it.
    pub pulse: Shared<Leading>,
}

/// Whether it leads, as anybody may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leading {
    controller: ControllerName,
    epoch: ControllerEpoch,
    /// Counts configurations that took effect.
    revision: u64,
}

/// How old what anybody is told may be: whoever is not known makes the machine look up a few times a second at most.
const PULSE_AGE: Duration = Duration::from_millis(250);

impl Seat {
    /// What the machine shows after this question, with both clocks.
    async fn view(&self) -> Result<(ClusterView, Wall), ApiError> {
        let (inbox, links) = (self.inbox.clone(), self.links.clone());
        let before = self.before.clone();
        let look = || async move {
            let seen = inbox.look(|control| {
                let wall = Wall::now();
                (control.view(wall.moment()), wall)
            });
            let (mut view, wall) = seen.await?;
            // The machine hears of reports alone; the links know of every byte, also of the answer to a poll, and of the last
            // one before a link ended.
            let heard = links.heard();
            for host in &mut view.hosts {
                host.heard = host.heard.max(heard.get(&host.name).copied());
            }
            before.correct(&mut view, wall);
            Some((view, wall))
        };
        let seen = self.views.see(Duration::ZERO, look).await.ok_or_else(ApiError::ending)?;
        Ok((*seen).clone())
    }

    /// Whether the machine answers, and leads: a moment ago, and at next to no cost to it.
    async fn leading(&self) -> Result<Arc<Leading>, ApiError> {
        let inbox = self.inbox.clone();
        let look = || async move {
            let seen = inbox.look(|control| {
                let (controller, epoch) = control.leadership();
                Leading { controller: controller.clone(), epoch, revision: control.revision() }
            });
            seen.await
        };
        self.pulse.see(PULSE_AGE, look).await.ok_or_else(ApiError::ending)
    }
}

/// Every path of the API, behind its door.
pub fn router(seat: Seat) -> Router {
    let (guard, figures) = (seat.guard.clone(), seat.figures.clone());
    let repeats = repeats::Repeats::default();
    let mut router = Router::new();
    for Route { method, path, needs, repeats: repeatable, doing, .. } in routes::routes() {
        let mut doing: MethodRouter<Seat> = doing;
        if repeatable && method != Method::GET {
            doing = doing.route_layer(middleware::from_fn_with_state(repeats.clone(), repeats::once));
        }
        if let Some(needs) = needs {
            doing = doing.route_layer(middleware::from_fn_with_state((guard.clone(), needs), guard::admit));
        }
        // Several methods of one path stand in several rows; each keeps its own role.
        router = router.route(path, doing);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(guard, guard::identify))
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn_with_state(figures, figures_call::count))
        .layer(middleware::map_response(add_headers))
        .with_state(seat)
}

/// Answers are for this asker and this moment, and are what they say they are.
async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn no_such_path(uri: axum::http::Uri) -> ApiError {
    ApiError::not_found("path", uri.path(), "scsctl status -o json")
}

async fn no_such_method(method: Method, uri: axum::http::Uri) -> ApiError {
    let message = format!("{} cannot be asked with {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", message)
}

async fn limit_time(request: axum::extract::Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::outcome_unknown(format!("no answer within {REQUEST_LIMIT:?}")).into_response(),
    }
}
