//! Questions that only look: status, hosts, applications, pairs, operations, health.
//!
//! The law: every answer is made from one picture of the machine, so its parts agree.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use understudy_decide::control::{ClusterView, OperationState, OperationView, PairView};

use super::Seat;
use super::ends::add_end;
use super::error::ApiError;
use super::input::Asked;
use super::shapes::{self, listed};
use crate::wall::Wall;

/// The longest that a question about an operation is kept open.
const LONGEST_POLL: Duration = Duration::from_secs(30);

type Answer = Result<Json<Value>, ApiError>;

pub(super) async fn status(State(seat): State<Seat>) -> Result<Response, ApiError> {
    let (view, wall) = seat.view().await?;
    Ok(Json(shapes::status(&view, wall, &seat.standing.beside())).into_response())
}

pub(super) async fn hosts(State(seat): State<Seat>) -> Result<Response, ApiError> {
    let (view, wall) = seat.view().await?;
    Ok(Json(listed("hosts", &view.hosts, |one| shapes::host(one, wall))).into_response())
}

pub(super) async fn host(State(seat): State<Seat>, Path(name): Path<String>) -> Answer {
    let name = name.to_ascii_lowercase();
    let (view, wall) = seat.view().await?;
    let host = view.hosts.iter().find(|host| host.name.as_str() == name);
    let host = host.ok_or_else(|| ApiError::not_found("host", &name, "scsctl hosts"))?;
    let mut answer = shapes::host(host, wall);
    let on_it = view.applications.iter().filter(|application| application.host == host.name);
    answer["applications"] = on_it.map(|one| shapes::application(one, wall)).collect();
    Ok(Json(answer))
}

pub(super) async fn applications(State(seat): State<Seat>) -> Result<Response, ApiError> {
    let (view, wall) = seat.view().await?;
    let applications = listed("applications", &view.applications, |one| shapes::application(one, wall));
    Ok(Json(applications).into_response())
}

pub(super) async fn application(State(seat): State<Seat>, Path(name): Path<String>) -> Answer {
    let name = name.to_ascii_lowercase();
    let (view, wall) = seat.view().await?;
    let found = view.applications.iter().find(|application| application.name.as_str() == name);
    let found = found.ok_or_else(|| ApiError::not_found("application", &name, "scsctl apps"))?;
    let mut answer = shapes::application(found, wall);
    add_end(&seat, &name, &mut answer).await?;
    Ok(Json(answer))
}

pub(super) async fn pairs(State(seat): State<Seat>) -> Result<Response, ApiError> {
    let (view, wall) = seat.view().await?;
    Ok(Json(listed("pairs", &view.pairs, |one| shapes::pair(one, wall))).into_response())
}

pub(super) async fn pair(State(seat): State<Seat>, Path(name): Path<String>) -> Answer {
    let name = name.to_ascii_lowercase();
    let (view, wall) = seat.view().await?;
    let pair = find_pair(&view, &name).ok_or_else(|| ApiError::not_found("pair", &name, "scsctl pairs"))?;
    let mut answer = shapes::pair(pair, wall);
    let members =
        view.applications.iter().filter(|application| application.pair.as_ref() == Some(&pair.name));
    answer["members"] = members.map(|one| shapes::application(one, wall)).collect();
    Ok(Json(answer))
}

/// The pair with that name, or with a member of that name.
pub(super) fn find_pair<'a>(view: &'a ClusterView, name: &str) -> Option<&'a PairView> {
    let of_member = || {
        let member = view.applications.iter().find(|application| application.name.as_str() == name)?;
        view.pairs.iter().find(|pair| Some(&pair.name) == member.pair.as_ref())
    };
    view.pairs.iter().find(|pair| pair.name.as_str() == name).or_else(of_member)
}

pub(super) async fn operations(State(seat): State<Seat>) -> Result<Response, ApiError> {
    let (view, wall) = seat.view().await?;
    Ok(Json(listed("operations", &view.operations, |one| shapes::operation(one, wall))).into_response())
}

/// How long a question about an operation may be kept open, and what the asker has seen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Poll {
    wait_ms: Option<u64>,
    steps: Option<usize>,
}

/// One operation; with `wait_ms` as soon as it has ended or has more than `steps` steps.
pub(super) async fn operation(
    State(seat): State<Seat>,
    Path(id): Path<String>,
    Asked(poll): Asked<Poll>,
) -> Answer {
    let id: u64 =
        id.parse().map_err(|_| ApiError::bad_request(format!("{id:?} is not an operation's number")))?;
    let wait = Duration::from_millis(poll.wait_ms.unwrap_or(0)).min(LONGEST_POLL);
    let deadline = Instant::now() + wait;
    let mut steps = seat.steps.clone();
    loop {
        steps.mark_unchanged();
        let (operation, wall) = find_operation(&seat, id).await?;
        let more = poll.steps.is_some_and(|seen| operation.steps.len() > seen);
        if operation.state != OperationState::Running || more || Instant::now() >= deadline {
            return Ok(Json(shapes::operation(&operation, wall)));
        }
        // Whether it was the deadline or a step, the operation is looked at once more.
        if let Ok(Err(_)) = tokio::time::timeout_at(deadline, steps.changed()).await {
            return Err(ApiError::ending());
        }
    }
}

async fn find_operation(seat: &Seat, id: u64) -> Result<(OperationView, Wall), ApiError> {
    let (view, wall) = seat.view().await?;
    let found = view.operations.into_iter().find(|operation| operation.id.0 == id);
    let found = found.ok_or_else(|| {
        ApiError::not_found("operation", &id.to_string(), "scsctl events")
            .because("operations of an earlier life of the control server are kept as events only")
    })?;
    Ok((found, wall))
}

/// One operation as the machine shows it now, or only its number if it is gone already.
pub(super) async fn operation_now(seat: &Seat, id: u64) -> Value {
    match find_operation(seat, id).await {
        Ok((operation, wall)) => shapes::operation(&operation, wall),
        Err(_) => json!({ "id": id, "state": "running" }),
    }
}

/// The program runs and its machine answers.
pub(super) async fn health(State(seat): State<Seat>) -> Answer {
    seat.leading().await?;
    Ok(Json(json!({ "ok": true })))
}

/// It leads and has a configuration.
pub(super) async fn readiness(State(seat): State<Seat>) -> Answer {
    let leading = seat.leading().await?;
    if leading.revision == 0 {
        let message = "the control server does not lead yet";
        return Err(
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not-leading", message).try_next("scsctl status")
        );
    }
    Ok(Json(json!({ "ready": true, "controller": leading.controller, "epoch": leading.epoch })))
}
