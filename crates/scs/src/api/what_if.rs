//! What would happen if ...: asks a copy of the deciding machine. Nothing is done, stored or told for it.
//!
//! It decides nothing. The law: the copy is played on another thread than the machine's, a bounded number at a time.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use understudy_decide::control::{Foreseen, ForeseenPair, Foresight, SupposeError, Supposed};

use super::Seat;
use super::error::ApiError;
use super::input::Asked;
use super::shapes;

/// The most nights that are played at a time.
const MOST_AT_A_TIME: usize = 2;
static ROOM: Semaphore = Semaphore::const_new(MOST_AT_A_TIME);

/// The words for what can be supposed, each with the names that it takes.
pub const SUPPOSITIONS: &[&str] = &["host-lost", "app-crashed", "link-cut", "scs-lost", "agent-lost"];

/// What is supposed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Supposition {
    what: Option<String>,
    name: Option<String>,
    other: Option<String>,
}

impl Supposition {
    fn read(self) -> Result<Supposed, ApiError> {
        let what = self.what.unwrap_or_default();
        let bad = |message: String| ApiError::bad_request(message).try_next("scsctl what-if --help");
        match (what.as_str(), self.name, self.other) {
            ("host-lost", Some(host), None) => Ok(Supposed::HostLost { host }),
            ("app-crashed", Some(application), None) => Ok(Supposed::AppCrashed { application }),
            ("link-cut", Some(one), Some(other)) => Ok(Supposed::LinkCut { one, other }),
            ("scs-lost", None, None) => Ok(Supposed::ScsLost),
            ("agent-lost", Some(host), None) => Ok(Supposed::AgentLost { host }),
            (word, ..) if SUPPOSITIONS.contains(&word) => {
                let takes = match word {
                    "link-cut" => "takes `name` and `other`, its two ends",
                    "scs-lost" => "takes no name",
                    _ => "takes `name` alone",
                };
                Err(bad(format!("{word} {takes}")))
            }
            (word, ..) => {
                Err(bad(format!("{word:?} cannot be supposed: `what` is one of {}", SUPPOSITIONS.join(", "))))
            }
        }
    }
}

/// What would happen.
pub(super) async fn foresee(
    State(seat): State<Seat>,
    Asked(supposition): Asked<Supposition>,
) -> Result<Json<Value>, ApiError> {
    let supposed = supposition.read()?;
    let Ok(_room) = ROOM.try_acquire() else {
        let message =
            format!("{MOST_AT_A_TIME} such questions are being answered, and no more are at a time");
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many", message)
            .try_next("the same again in a moment"));
    };
    let copied = seat.inbox.look(|control| (control.clone(), understudy_drive::now())).await;
    let (control, now) = copied.ok_or_else(ApiError::ending)?;
    let foreseen = tokio::task::spawn_blocking(move || control.foresee(now, &supposed)).await;
    let foreseen = foreseen.map_err(|error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "not-foreseen", format!("the copy ended: {error}"))
            .try_next("the log of scs")
    })?;
    Ok(Json(shape(&foreseen.map_err(refused)?)))
}

fn refused(error: SupposeError) -> ApiError {
    match error {
        SupposeError::Unknown { kind, name } => {
            let command = if kind == "host" { "scsctl hosts" } else { "scsctl apps" };
            ApiError::not_found(kind, &name, command)
        }
        SupposeError::OneEnd(name) => {
            ApiError::bad_request(format!("a link has two ends, and both are {name:?}"))
                .try_next("scsctl what-if link-cut HOST scs")
        }
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

fn shape(foreseen: &Foreseen) -> Value {
    json!({
        "supposed": foreseen.supposed,
        "assumed": foreseen.assumed,
        "steps": foreseen.steps.iter().map(step).collect::<Vec<_>>(),
        "pairs": foreseen.pairs.iter().map(pair).collect::<Vec<_>>(),
        "warnings": foreseen.warnings,
        "looked_ahead_ms": ms(foreseen.looked_ahead),
        "cut_short": foreseen.cut_short,
    })
}

fn step(step: &Foresight) -> Value {
    json!({
        "after_ms": ms(step.after),
        "who": step.who,
        "host": step.about.host,
        "application": step.about.application,
        "pair": step.about.pair,
        "severity": step.severity,
        "what": step.what,
        "because": step.because.as_ref().map(shapes::because),
    })
}

fn pair(pair: &ForeseenPair) -> Value {
    json!({
        "name": pair.pair,
        "policy": pair.policy,
        "primary_now": pair.primary_now,
        "primary_then": pair.primary_then,
        "changed_after_ms": pair.changed_after.map(ms),
        "two_may_act": pair.two_may_act,
        "holds": pair.holds,
        "because": shapes::because(&pair.because),
    })
}
