//! Requests for something to be done: each becomes one observation of the machine, and its reply the answer.
//!
//! The law: once the machine was asked, a missing reply is an unknown outcome, never a refusal.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use understudy_decide::control::{Ask, ControlSaw, Reply};

use super::actor::Actor;
use super::error::{ApiError, refusal_of};
use super::input::Sent;
use super::look::operation_now;
use super::sequences::DryRunBody;
use super::{ReloadAsked, Seat};
use crate::reload::Reloaded;

/// How long the machine may take to its first answer.
const REPLY_LIMIT: Duration = Duration::from_secs(10);
/// The longest reason that an operator may give for the record, in characters.
const LONGEST_REASON: usize = 500;

pub(super) type Answer = Result<(StatusCode, Json<Value>), ApiError>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwitchoverBody {
    to: Option<String>,
    #[serde(default)]
    dry_run: bool,
    reason: Option<String>,
}

impl SwitchoverBody {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_reason(self.reason.as_deref())
    }
}

/// What is asked for needs no more than its name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    reason: Option<String>,
}

impl ReasonBody {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_reason(self.reason.as_deref())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StopBody {
    #[serde(default)]
    graceful: bool,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaintenanceBody {
    on: bool,
    reason: Option<String>,
}

/// Refuses a reason that is longer than is kept.
pub(super) fn check_reason(reason: Option<&str>) -> Result<(), ApiError> {
    if reason.is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        return Err(ApiError::bad_request(format!("a reason has at most {LONGEST_REASON} characters")));
    }
    Ok(())
}

pub(super) async fn switchover(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<SwitchoverBody>,
) -> Answer {
    body.check()?;
    let ask = Ask::Switchover { name, to: body.to, dry_run: body.dry_run, reason: body.reason };
    ask_machine(&seat, actor, ask).await
}

pub(super) async fn start(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<ReasonBody>,
) -> Answer {
    ask_because(&seat, actor, Ask::Start { name }, body.reason).await
}

pub(super) async fn stop(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<StopBody>,
) -> Answer {
    ask_because(&seat, actor, Ask::Stop { name, graceful: body.graceful }, body.reason).await
}

pub(super) async fn restart(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<ReasonBody>,
) -> Answer {
    ask_because(&seat, actor, Ask::Restart { name }, body.reason).await
}

pub(super) async fn maintenance(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<MaintenanceBody>,
) -> Answer {
    ask_because(&seat, actor, Ask::Maintenance { name, on: body.on }, body.reason).await
}

/// Asks, with the reason that was given for the record.
pub(super) async fn ask_because(seat: &Seat, actor: Actor, ask: Ask, reason: Option<String>) -> Answer {
    check_reason(reason.as_deref())?;
    ask_machine(seat, actor, ask.because(reason)).await
}

pub(super) async fn ask_machine(seat: &Seat, Actor(actor): Actor, ask: Ask) -> Answer {
    let (request, answer) = seat.replies.open().map_err(|error| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many", error.to_string())
            .try_next("the same again in a moment")
    })?;
    if !seat.inbox.saw(ControlSaw::Asked { request, actor, ask }).await {
        return Err(ApiError::ending());
    }
    let reply = match tokio::time::timeout(REPLY_LIMIT, answer).await {
        Ok(Ok(reply)) => refusal_of(reply)?,
        Ok(Err(_)) => return Err(ApiError::outcome_unknown("the control server ended before it answered")),
        Err(_) => return Err(ApiError::outcome_unknown(format!("no answer within {REPLY_LIMIT:?}"))),
    };
    match reply {
        Reply::Begun(id) => {
            let operation = operation_now(seat, id.0).await;
            Ok((StatusCode::ACCEPTED, Json(json!({ "operation": operation }))))
        }
        Reply::Plan { checks, steps, given_up } => {
            let mut plan = json!({ "checks": checks, "steps": steps });
            if let Some(given_up) = given_up {
                plan["given_up"] = json!(given_up);
            }
            Ok((StatusCode::OK, Json(json!({ "plan": plan }))))
        }
        Reply::Done { text } => Ok((StatusCode::OK, Json(json!({ "done": text })))),
        Reply::Refused { code, message, because, try_next } => {
            Err(ApiError::refused(code, message, because, try_next))
        }
    }
}

/// Has the configuration read again: all of it takes effect, or nothing.
pub(super) async fn reload(
    State(seat): State<Seat>,
    Extension(Actor(actor)): Extension<Actor>,
    Sent(body): Sent<DryRunBody>,
) -> Answer {
    let (asked, answer) = oneshot::channel();
    let dry_run = body.dry_run;
    if seat.reload.send(ReloadAsked { actor: Some(actor), dry_run, answer: asked }).await.is_err() {
        return Err(ApiError::ending());
    }
    match answer.await {
        Err(_) => Err(ApiError::outcome_unknown("the control server ended before it answered")),
        Ok(Reloaded::Accepted { changes, warnings }) => {
            let done = match changes.len() {
                0 if dry_run => "nothing was done: a reload would change nothing".to_owned(),
                count if dry_run => format!("nothing was done: a reload would make {count} change(s)"),
                0 => "the configuration was read; nothing in it changed".to_owned(),
                count => format!("the configuration was read; {count} change(s) took effect"),
            };
            Ok((StatusCode::OK, Json(json!({ "done": done, "changes": changes, "warnings": warnings }))))
        }
        Ok(Reloaded::Wrong { problems }) => {
            let message = "the configuration is wrong; what ran before goes on";
            let mut error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-configuration", message)
                .try_next(format!("scsctl config validate {}", seat.standing.cluster_file()));
            error.because = problems;
            Err(error)
        }
        Ok(Reloaded::Forbidden { reasons }) => {
            let message = if dry_run {
                "a reload would be refused: the configuration cannot take effect while these things run"
            } else {
                "the configuration cannot take effect while these things run; what ran before goes on"
            };
            let mut error =
                ApiError::new(StatusCode::CONFLICT, "not-possible", message).try_next("scsctl status");
            error.because = reasons;
            Err(error)
        }
    }
}
