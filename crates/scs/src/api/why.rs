//! Why something is as it is. It retells decisions; it makes none.
//! The law: the rule, the facts and the near misses are those of the machine, word for word.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use understudy_decide::control::{ApplicationState, ClusterView, HostState, PairView};
use understudy_model::EventKind;
use understudy_store::{EventQuery, StoredEvent};

use super::Seat;
use super::error::ApiError;
use super::input::Asked;
use super::look::find_pair;
use super::shapes;

/// How many of an object's last events belong to its story.
const STORY_EVENTS: u32 = 12;

/// How many of the last events of a host, and of all, are looked through for agents and control servers that came and went.
const AROUND_EVENTS: u32 = 40;

/// Which event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichEvent {
    event: Option<i64>,
}

/// The reasons of one event.
pub(super) async fn event(
    State(seat): State<Seat>,
    Asked(which): Asked<WhichEvent>,
) -> Result<Json<Value>, ApiError> {
    let id = which.event.ok_or_else(|| {
        ApiError::bad_request("name an object in the path, or an event with ?event=ID")
            .try_next("scsctl why NAME")
    })?;
    let found = seat.journal.event(id).await.map_err(|error| error.into_api())?;
    let found = found.ok_or_else(|| ApiError::not_found("event", &id.to_string(), "scsctl events"))?;
    Ok(Json(json!({ "event": shapes::event(&found) })))
}

/// The reasons of a pair, an application or a host.
pub(super) async fn object(
    State(seat): State<Seat>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let name = name.to_ascii_lowercase();
    let (view, _) = seat.view().await?;
    let subject = Subject::find(&view, &name)
        .ok_or_else(|| ApiError::not_found("pair, application or host", &name, "scsctl status"))?;
    let mut query = EventQuery { limit: STORY_EVENTS, newest_first: true, ..EventQuery::default() };
    match subject {
        Subject::Pair(_) => query.pair = Some(name.clone()),
        Subject::Application(_) => query.application = Some(name.clone()),
        Subject::Host(_) => query.host = Some(name.clone()),
    }
    let mut story = seat.journal.events(query).await.map_err(|error| error.into_api())?;
    for query in around(&view, &subject) {
        let found = seat.journal.events(query).await.map_err(|error| error.into_api())?;
        story.extend(found.into_iter().filter(is_of_machinery));
    }
    story.sort_by_key(|event| event.id);
    story.dedup_by_key(|event| event.id);
    let first = story.len().saturating_sub(STORY_EVENTS as usize);
    let story = story.split_off(first);
    Ok(Json(explain(&view, &name, &subject, &story)))
}

/// Where else the story of an object is told: by the hosts that it stands on, and by control servers that began.
fn around(view: &ClusterView, subject: &Subject<'_>) -> Vec<EventQuery> {
    let hosts: BTreeSet<&str> = match subject {
        Subject::Pair(pair) => {
            let members = view.applications.iter().filter(|one| one.pair.as_ref() == Some(&pair.name));
            members.map(|one| one.host.as_str()).collect()
        }
        Subject::Application(application) => [application.host.as_str()].into(),
        Subject::Host(_) => BTreeSet::new(),
    };
    let newest = || EventQuery { limit: AROUND_EVENTS, newest_first: true, ..EventQuery::default() };
    let of_hosts = hosts.into_iter().map(|host| EventQuery { host: Some(host.to_owned()), ..newest() });
    of_hosts.chain([newest()]).collect()
}

/// Agents and control servers that came and went: told of a host or of nothing, never of an application.
fn is_of_machinery(event: &StoredEvent) -> bool {
    event.application.is_none()
        && event.pair.is_none()
        && [EventKind::HostLost, EventKind::HostRunning, EventKind::ControllerStarted]
            .iter()
            .any(|kind| event.kind == kind.as_str())
}

enum Subject<'a> {
    Pair(&'a PairView),
    Application(&'a ApplicationState),
    Host(&'a HostState),
}

impl<'a> Subject<'a> {
    fn find(view: &'a ClusterView, name: &str) -> Option<Self> {
        let pair = || view.pairs.iter().find(|one| one.name.as_str() == name).map(Subject::Pair);
        let application =
            || view.applications.iter().find(|one| one.name.as_str() == name).map(Subject::Application);
        let host = || view.hosts.iter().find(|one| one.name.as_str() == name).map(Subject::Host);
        pair().or_else(application).or_else(host)
    }
}

fn explain(view: &ClusterView, name: &str, subject: &Subject<'_>, story: &[StoredEvent]) -> Value {
    let (kind, now, pair) = match subject {
        Subject::Pair(pair) => ("pair", pair_sentence(pair), Some(*pair)),
        Subject::Application(application) => {
            ("application", application_sentence(application), find_pair(view, name))
        }
        Subject::Host(host) => ("host", host_sentence(host), None),
    };
    let decided = pair.and_then(|pair| pair.because.as_ref()).map(shapes::because);
    // What is no member of a pair is explained by the last thing that happened to it.
    let last = story.last().map(shapes::event_reason);
    json!({
        "name": name,
        "kind": kind,
        "now": now,
        "because": decided.or(last),
        "considered": pair.map(|pair| shapes::because(&pair.considered)),
        "events": shapes::all(story, shapes::event),
    })
}

fn pair_sentence(pair: &PairView) -> String {
    let epoch = pair.stored.as_ref().map_or(0, |role| role.epoch.0);
    let backup = if pair.ready {
        format!("{} could take over now", pair.backup)
    } else {
        format!("{} could not take over: {}", pair.backup, pair.not_ready_because.join("; "))
    };
    match &pair.primary {
        Some(primary) if pair.primary_heard => {
            format!("{primary} is primary of pair {} in epoch {epoch}; {backup}", pair.name)
        }
        Some(primary) => format!(
            "{primary} holds the role of pair {} in epoch {epoch} and may act, but its agent is not heard; {backup}",
            pair.name
        ),
        None => format!("nobody is primary of pair {} (last epoch {epoch}); {backup}", pair.name),
    }
}

fn application_sentence(application: &ApplicationState) -> String {
    let mut text = format!("{} is {} on {}", application.name, application.status, application.host);
    if application.pair.is_some() {
        text.push_str(&format!(", run mode {}", application.run_mode));
    }
    if application.status.as_str() != application.goal.as_str() {
        text.push_str(&format!("; it should be {}", application.goal));
    }
    if application.gave_up {
        text.push_str("; its agent gave up restarting it");
    }
    if !application.problem.is_empty() {
        text.push_str(&format!("; {}", application.problem));
    }
    text
}

fn host_sentence(host: &HostState) -> String {
    let mut text = format!("host {} is {}", host.name, host.status);
    if !host.problem.is_empty() {
        text.push_str(&format!(": {}", host.problem));
    }
    text
}
