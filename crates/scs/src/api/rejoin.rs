//! A host whose agent is another one than before, as it was reinstalled or lost its memory: accepted by name, by a person.
//!
//! It decides nothing about roles. The law: exactly the identity that was refused is accepted, and what that gives up is said
//! first.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::json;
use understudy_model::{AgentId, Because, Event, EventKind, HostName, Rule, Severity, Subject};

use super::Seat;
use super::actor::Actor;
use super::ask::Answer;
use super::error::ApiError;
use super::input::Sent;
use super::sequences::DryRunBody;

/// Accepts the agent that was refused at a host, or says what that would give up.
pub(super) async fn rejoin(
    State(seat): State<Seat>,
    Extension(Actor(actor)): Extension<Actor>,
    Path(name): Path<String>,
    Sent(body): Sent<DryRunBody>,
) -> Answer {
    let unknown = || ApiError::not_found("host", &name, "scsctl hosts");
    let host = HostName::new(&name.to_ascii_lowercase()).map_err(|_| unknown())?;
    let (known, refused) = seat.links.agents_of(&host).ok_or_else(unknown)?;
    let Some(found) = refused else { return Err(nothing_refused(&host, known)) };
    let given_up = given_up(&host, known);
    if body.dry_run {
        let check = json!({ "what": "another agent answered and was refused", "ok": true, "found": found.to_string() });
        let steps = [format!("accept the agent {found} of host {host}"), given_up];
        return Ok((StatusCode::OK, Json(json!({ "plan": { "checks": [check], "steps": steps } }))));
    }
    if !seat.links.accept_agent(&host, found) {
        let message = format!("meanwhile another agent answered at host {host}; nothing was accepted");
        return Err(ApiError::new(StatusCode::CONFLICT, "not-possible", message)
            .because("two agents may have this host's name")
            .try_next(format!("scsctl host {host}")));
    }
    let text = format!("{actor} accepted the agent {found} of host {host}: {given_up}");
    let mut because = Because::new(Rule::AgentAccepted, text.clone()).fact("agent", found);
    if let Some(known) = known {
        because = because.fact("agent before", known);
    }
    let about = Subject { host: Some(host), ..Subject::default() };
    let told = Event::new(EventKind::ConfigurationChanged, Severity::Warning, about, because);
    seat.journal.tell(vec![Event { actor: Some(actor), ..told }]);
    Ok((StatusCode::OK, Json(json!({ "done": text }))))
}

fn given_up(host: &HostName, known: Option<AgentId>) -> String {
    let known = known.map_or_else(|| "the former agent".to_owned(), |known| format!("agent {known}"));
    format!(
        "{known} of host {host} is not waited for any more, and what it promised is forgotten: it, and the members that it \
         started, must not run any more; the new one votes for nobody for a lease"
    )
}

fn nothing_refused(host: &HostName, known: Option<AgentId>) -> ApiError {
    let message = format!("no other agent was refused at host {host}: there is nothing to accept");
    let reason = match known {
        Some(known) => format!("agent {known} is the one that is known there"),
        None => "no agent was heard there by this life of the control server: the first one is believed"
            .to_owned(),
    };
    ApiError::new(StatusCode::CONFLICT, "not-possible", message)
        .because(reason)
        .try_next(format!("scsctl host {host}"))
}
