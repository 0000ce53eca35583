//! Requests for operations of several steps, and for what an operator alone may decide.
//!
//! The law: see `ask`; what gives up a proof is done only if the request says so in words, and names what was shown to be given up.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use serde::Deserialize;
use understudy_decide::control::{Ask, GivenUp};

use super::Seat;
use super::actor::Actor;
use super::ask::{Answer, Nothing, ask_because, ask_machine, check_reason};
use super::error::ApiError;
use super::input::Sent;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DryRunBody {
    #[serde(default)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlannedBody {
    #[serde(default)]
    dry_run: bool,
    reason: Option<String>,
}

impl PlannedBody {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_reason(self.reason.as_deref())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailoverBody {
    #[serde(default)]
    force: bool,
    #[serde(default)]
    dry_run: bool,
    /// What the answer to a dry run said of it.
    given_up: Option<GivenUp>,
    reason: Option<String>,
}

impl FailoverBody {
    /// `name` is what is asked about.
    pub(super) fn check(&self, name: &str) -> Result<(), ApiError> {
        check_reason(self.reason.as_deref())?;
        if !self.force && !self.dry_run {
            let message =
                "a failover gives up the proof that the former primary has ended: say \"force\": true";
            return Err(ApiError::bad_request(message).try_next(format!("scsctl failover {name} --dry-run")));
        }
        if !self.dry_run && self.given_up.is_none() {
            let message = "a failover by force gives up what was shown, and nothing else: ask with \"dry_run\": true first, and send \
                           the \"given_up\" of its answer";
            return Err(ApiError::bad_request(message).try_next(format!("scsctl failover {name} --dry-run")));
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBody {
    /// Nothing: the hold ends.
    span_ms: Option<u64>,
    #[serde(default)]
    dry_run: bool,
    reason: Option<String>,
}

impl HoldBody {
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_reason(self.reason.as_deref())
    }
}

pub(super) async fn hold(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<HoldBody>,
) -> Answer {
    body.check()?;
    let span = body.span_ms.map(Duration::from_millis);
    ask_machine(&seat, actor, Ask::Hold { name, span, dry_run: body.dry_run, reason: body.reason }).await
}

pub(super) async fn drain(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<PlannedBody>,
) -> Answer {
    ask_because(&seat, actor, Ask::Drain { name, back: false, dry_run: body.dry_run }, body.reason).await
}

pub(super) async fn give_back(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<PlannedBody>,
) -> Answer {
    ask_because(&seat, actor, Ask::Drain { name, back: true, dry_run: body.dry_run }, body.reason).await
}

pub(super) async fn restart(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<PlannedBody>,
) -> Answer {
    ask_because(&seat, actor, Ask::RestartRolling { name, dry_run: body.dry_run }, body.reason).await
}

pub(super) async fn failover(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<FailoverBody>,
) -> Answer {
    body.check(&name)?;
    let FailoverBody { dry_run, given_up, reason, .. } = body;
    ask_machine(&seat, actor, Ask::Failover { name, dry_run, given_up, reason }).await
}

pub(super) async fn acknowledge(
    State(seat): State<Seat>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Sent(Nothing {}): Sent<Nothing>,
) -> Answer {
    ask_machine(&seat, actor, Ask::AcknowledgeFlapping { name }).await
}
