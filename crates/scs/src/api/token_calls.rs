//! Questions about tokens: which there are, a new one, one taken back. For admins.
//!
//! The law: a token is in one answer, the one to whoever made it, and in no log and no event.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use understudy_model::{Because, Event, EventKind, OperatorName, Rule, Severity, Subject};
use understudy_store::StoredToken;

use super::Seat;
use super::actor::Actor;
use super::caller::Role;
use super::error::ApiError;
use super::input::Sent;
use super::shapes;
use super::tokens::TokenError;
use crate::journal::now_ms;
use crate::wall::show_unix_ms;

/// The longest life of a token, in seconds: ten years.
const LONGEST_LIFE_S: u64 = 3_650 * 86_400;

type Answer = Result<(StatusCode, Json<Value>), ApiError>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    name: String,
    role: String,
    expires_in_s: Option<u64>,
}

impl NewToken {
    /// Whose it is, what that one may, and from when it opens nothing, in wall milliseconds.
    pub(super) fn check(&self, now_ms: i64) -> Result<(OperatorName, Role, Option<i64>), ApiError> {
        let name = OperatorName::new(&self.name).map_err(|error| ApiError::bad_request(error.to_string()))?;
        let words = Role::ALL.map(Role::as_str).join(", ");
        let role = Role::from_word(&self.role)
            .ok_or_else(|| ApiError::bad_request(format!("{:?} is no role; roles are {words}", self.role)))?;
        let expires = match self.expires_in_s {
            None => None,
            Some(seconds) if (1..=LONGEST_LIFE_S).contains(&seconds) => {
                Some(now_ms.saturating_add_unsigned(seconds.saturating_mul(1_000)))
            }
            Some(_) => {
                return Err(ApiError::bad_request(format!(
                    "a token lives from 1 to {LONGEST_LIFE_S} seconds"
                )));
            }
        };
        Ok((name, role, expires))
    }
}

pub(super) async fn all(State(seat): State<Seat>) -> Json<Value> {
    Json(json!({ "tokens": shapes::all(&seat.guard.tokens.all(), |token| show(token, now_ms())) }))
}

pub(super) async fn make(
    State(seat): State<Seat>,
    Extension(Actor(actor)): Extension<Actor>,
    Sent(wished): Sent<NewToken>,
) -> Answer {
    let now = now_ms();
    let (name, role, expires) = wished.check(now)?;
    let made = seat.guard.tokens.make(name, role, &actor, now, expires).await;
    let (secret, token) = made.map_err(refusal)?;
    tell(&seat, EventKind::TokenChanged, Rule::TokenMade, &token, &actor);
    let mut shown = show(&token, now);
    shown["secret"] = secret.reveal().into();
    Ok((StatusCode::CREATED, Json(json!({ "token": shown }))))
}

pub(super) async fn revoke(
    State(seat): State<Seat>,
    Extension(Actor(actor)): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let name =
        OperatorName::new(&name).map_err(|_| ApiError::not_found("token", &name, "scsctl token list"))?;
    let token = seat.guard.tokens.revoke(&name).await.map_err(refusal)?;
    tell(&seat, EventKind::TokenChanged, Rule::TokenRevoked, &token, &actor);
    Ok(Json(json!({ "done": format!("the token {name} opens nothing any more") })))
}

fn show(token: &StoredToken, now_ms: i64) -> Value {
    json!({
        "name": token.name,
        "role": token.role,
        "made_by": token.made_by,
        "made": show_unix_ms(token.made_wall_ms),
        "expires": token.expires_wall_ms.map(show_unix_ms),
        "expired": token.expires_wall_ms.is_some_and(|expires| expires <= now_ms),
        "last_used": token.last_used_wall_ms.map(show_unix_ms),
    })
}

fn refusal(error: TokenError) -> ApiError {
    let new = |status, code, next: &str| ApiError::new(status, code, error.to_string()).try_next(next);
    match &error {
        TokenError::Exists(name) => {
            new(StatusCode::CONFLICT, "exists", &format!("scsctl token revoke {name}, or another name"))
        }
        TokenError::TooMany => new(StatusCode::CONFLICT, "too-many", "scsctl token list"),
        TokenError::None(_) => new(StatusCode::NOT_FOUND, "not-found", "scsctl token list"),
        TokenError::Random(_) => new(StatusCode::SERVICE_UNAVAILABLE, "no-random", "the same again"),
        TokenError::NotStored(_) => new(StatusCode::SERVICE_UNAVAILABLE, "not-durable", "scsctl status"),
        TokenError::NotForgotten { name, .. } => {
            let next =
                format!("scsctl token revoke {name}, when scsctl status says that the store can be written");
            new(StatusCode::SERVICE_UNAVAILABLE, "not-durable", &next)
        }
    }
}

fn tell(seat: &Seat, kind: EventKind, rule: Rule, token: &StoredToken, actor: &str) {
    let reason = match rule {
        Rule::TokenMade => format!("{actor} made the token {}, which is {}", token.name, token.role),
        _ => format!("{actor} took the token {} back, which was {}", token.name, token.role),
    };
    let because = Because::new(rule, reason).fact("token", &token.name).fact("role", &token.role);
    let told = Event::new(kind, Severity::Info, Subject::default(), because);
    seat.journal.tell(vec![Event { actor: Some(actor.to_owned()), ..told }]);
}
