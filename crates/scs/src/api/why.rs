//! Why something is as it is. It retells decisions; it makes none.
//! The law: the rule, the facts and the near misses are those of the machine, word for word.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use understudy_decide::control::{ApplicationState, ClusterView, HostState, PairView};
use understudy_model::{ApplicationStatus, EventKind, Rule};
use understudy_store::{EventQuery, StoredEvent};

use super::Seat;
use super::error::ApiError;
use super::input::Asked;
use super::look::find_pair;
use super::shapes;
use crate::wall::show_unix_ms;

/// How many of an object's last events belong to its story.
const STORY_EVENTS: u32 = 12;

/// How many of its last events are looked through for them: most of a busy time are states on the way to another.
const SEEN_EVENTS: u32 = 80;

/// How far back is looked for what is rare, in events of every kind: a question to the journal is short.
const RECENT: i64 = 20_000;

/// The kinds of events that tell a decision on who is primary.
const DECISIONS: [EventKind; 3] =
    [EventKind::PromotionOrdered, EventKind::DemotionOrdered, EventKind::NoPrimary];

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
    let mut query = EventQuery { newest_first: true, ..EventQuery::default() };
    match subject {
        Subject::Pair(_) => query.pair = Some(name.clone()),
        Subject::Application(_) => query.application = Some(name.clone()),
        Subject::Host(_) => query.host = Some(name.clone()),
    }
    let recent = Some(seat.journal.progress().borrow().last_event.saturating_sub(RECENT));
    let near = EventQuery { after_id: recent, limit: SEEN_EVENTS, ..query.clone() };
    let mut story = events(&seat, near).await?;
    if story.len() < STORY_EVENTS as usize {
        // Little happened to it lately: what was long ago is its story too.
        story = events(&seat, EventQuery { limit: 2 * STORY_EVENTS, ..query }).await?;
    }
    story.retain(|event| !is_passing(event));
    let hosts = hosts_of(&view, &subject);
    for query in around(&hosts) {
        let found = events(&seat, EventQuery { after_id: recent, ..query }).await?;
        story.extend(found.into_iter().filter(|event| is_around(event, &hosts)));
    }
    story.sort_by_key(|event| event.id);
    story.dedup_by_key(|event| event.id);
    let first = story.len().saturating_sub(STORY_EVENTS as usize);
    let mut story = story.split_off(first);
    let decided = match subject.pair(&view) {
        Some(pair) => last_decision(&seat, pair).await?,
        None => None,
    };
    // However much happened since: what made the roles what they are begins the story.
    if let Some(decided) = decided.iter().find(|decided| story.iter().all(|event| event.id != decided.id)) {
        story.insert(0, decided.clone());
        story.sort_by_key(|event| event.id);
    }
    Ok(Json(explain(&view, &name, &subject, &story, decided.as_ref())))
}

/// The last decision on who is primary of a pair, as it was told; none if that was long ago.
async fn last_decision(seat: &Seat, pair: &PairView) -> Result<Option<StoredEvent>, ApiError> {
    let newest = seat.journal.progress().borrow().last_event;
    let kept = pair.because.as_ref().is_none_or(|because| because.rule == Rule::ActingHolderKept);
    // Why nobody was primary for a while is no reason for who is now.
    let kinds =
        if kept && pair.primary.is_some() { vec![EventKind::PromotionOrdered] } else { DECISIONS.to_vec() };
    let query = EventQuery {
        after_id: Some(newest.saturating_sub(RECENT)),
        pair: Some(pair.name.to_string()),
        kinds,
        limit: 1,
        newest_first: true,
        ..EventQuery::default()
    };
    Ok(events(seat, query).await?.pop())
}

async fn events(seat: &Seat, query: EventQuery) -> Result<Vec<StoredEvent>, ApiError> {
    seat.journal.events(query).await.map_err(|error| error.into_api())
}

/// The hosts that an object stands on.
fn hosts_of(view: &ClusterView, subject: &Subject<'_>) -> BTreeSet<String> {
    match subject {
        Subject::Pair(pair) => {
            let members = view.applications.iter().filter(|one| one.pair.as_ref() == Some(&pair.name));
            members.map(|one| one.host.to_string()).collect()
        }
        Subject::Application(application) => [application.host.to_string()].into(),
        Subject::Host(_) => BTreeSet::new(),
    }
}

/// Where else the story of an object is told: by the hosts that it stands on, and by control servers that began.
fn around(hosts: &BTreeSet<String>) -> Vec<EventQuery> {
    let newest = || EventQuery {
        limit: AROUND_EVENTS,
        newest_first: true,
        kinds: AROUND.to_vec(),
        ..EventQuery::default()
    };
    let of_hosts = hosts.iter().map(|host| EventQuery { host: Some(host.clone()), ..newest() });
    of_hosts.chain([EventQuery { kinds: vec![EventKind::ControllerStarted], ..newest() }]).collect()
}

/// What is told of a host or of nothing, and concerns whatever stands there: agents and control servers that came and went, and
/// what operators asked for.
const AROUND: [EventKind; 9] = [
    EventKind::HostLost,
    EventKind::HostRunning,
    EventKind::HostLeaving,
    EventKind::DrainChanged,
    EventKind::HoldChanged,
    EventKind::MaintenanceChanged,
    EventKind::OperationStarted,
    EventKind::OperationDone,
    EventKind::OperationFailed,
];

/// Not of one application or pair there, and of no other host.
fn is_around(event: &StoredEvent, hosts: &BTreeSet<String>) -> bool {
    event.application.is_none()
        && event.pair.is_none()
        && event.host.as_ref().is_none_or(|host| hosts.contains(host))
}

/// A state that an application passes on its way to another: where it came to is told as well.
fn is_passing(event: &StoredEvent) -> bool {
    let passing = [
        ApplicationStatus::StartPending,
        ApplicationStatus::Initializing,
        ApplicationStatus::StopPending,
        ApplicationStatus::Suspending,
    ];
    event.kind == EventKind::StatusChanged.as_str()
        && event.to.as_deref().is_some_and(|to| passing.iter().any(|status| status.as_str() == to))
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

    /// The pair that it is, or is a member of.
    fn pair(&self, view: &'a ClusterView) -> Option<&'a PairView> {
        match self {
            Subject::Pair(pair) => Some(pair),
            Subject::Application(application) => find_pair(view, application.name.as_str()),
            Subject::Host(_) => None,
        }
    }
}

fn explain(
    view: &ClusterView,
    name: &str,
    subject: &Subject<'_>,
    story: &[StoredEvent],
    told: Option<&StoredEvent>,
) -> Value {
    let pair = subject.pair(view);
    let (kind, now) = match subject {
        Subject::Pair(pair) => ("pair", pair_sentence(pair)),
        Subject::Application(application) => ("application", application_sentence(application)),
        Subject::Host(host) => ("host", host_sentence(host)),
    };
    // That a new leadership found the roles as they were is no reason for them: what was decided before is.
    let own = pair.and_then(|pair| pair.because.as_ref());
    let own = own.filter(|because| because.rule != Rule::ActingHolderKept || told.is_none());
    let told = told.filter(|told| own.is_none_or(|because| because.rule.id() == told.rule));
    let decided = own.map(shapes::because).or(told.map(shapes::event_reason));
    // What is no member of a pair is explained by the last thing that happened to it.
    let last = story.last().map(shapes::event_reason);
    json!({
        "name": name,
        "kind": kind,
        "now": now,
        "because": decided.or(last),
        "decided_event": told.map(|told| told.id),
        "decided_at": told.map(|told| show_unix_ms(told.at_wall_ms)),
        "considered": pair.map(|pair| shapes::because(&pair.considered)),
        "held_back": pair.and_then(|pair| pair.held_back.as_ref()),
        "events": shapes::all(story, shapes::event),
    })
}

fn pair_sentence(pair: &PairView) -> String {
    let epoch = pair.stored.as_ref().map_or(0, |role| role.epoch.0);
    let promise = pair.promise.as_ref().and_then(|promise| Some((&promise.role.holder, promise.left?)));
    let backup = if let Some(held) = pair.held_back.as_ref().filter(|_| pair.ready) {
        match promise.filter(|_| held.rule == Rule::PromiseRuns) {
            Some((holder, left)) => format!(
                "{} can take over when the promise to {holder} ends, {:.1} s from now [{}]",
                pair.backup,
                left.as_secs_f64(),
                held.rule
            ),
            None => format!(
                "{} is ready and does not take over now: {} [{}]",
                pair.backup, held.missed, held.rule
            ),
        }
    } else if pair.ready {
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
