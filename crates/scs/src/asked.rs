//! Who asked for what is stored and lasts, as the journal tells: a stopped application, a drained host, maintenance.
//!
//! It changes nothing of what is stored. The law: the newest event on each is the one that made it so, and where none is found
//! nobody is named.

use std::time::Duration;

use understudy_decide::control::{AllAsked, AskedBy, AskedOf, ControlMemory, MaintenanceOf};
use understudy_model::{Cluster, EventKind, Goal, Moment};
use understudy_store::{EventQuery, StoredEvent};

use crate::journal::{Journal, now_ms};

/// How long leadership may wait for it: a disk that hangs names nobody.
const LIMIT: Duration = Duration::from_millis(500);
/// How many events on what operators asked for are looked through.
const MOST_EVENTS: u32 = 500;
/// And how far back, in events of every kind.
const WITHIN: i64 = 50_000;

/// Who asked for what this memory holds. Nothing is read where it holds nothing that anybody asked for.
pub async fn asked(journal: &Journal, memory: &ControlMemory, cluster: &Cluster, now: Moment) -> AllAsked {
    let stopped = memory.goals.values().any(|goal| *goal == Goal::Stopped);
    if !stopped && memory.drained.is_empty() && memory.maintenance.is_empty() {
        return AllAsked::new();
    }
    let newest = journal.progress().borrow().last_event;
    let query = EventQuery {
        after_id: Some(newest.saturating_sub(WITHIN)),
        kinds: vec![EventKind::GoalChanged, EventKind::DrainChanged, EventKind::MaintenanceChanged],
        newest_first: true,
        limit: MOST_EVENTS,
        ..EventQuery::default()
    };
    match tokio::time::timeout(LIMIT, journal.events(query)).await {
        Ok(Ok(events)) => from(&events, memory, cluster, (now, now_ms())),
        Ok(Err(error)) => {
            tracing::warn!(%error, "who asked for what is stopped, drained or under maintenance was not read");
            AllAsked::new()
        }
        Err(_) => AllAsked::new(),
    }
}

/// From events, oldest first; both clocks show the present.
fn from(
    events: &[StoredEvent],
    memory: &ControlMemory,
    cluster: &Cluster,
    clocks: (Moment, i64),
) -> AllAsked {
    let newest = |kind: EventKind, about: &dyn Fn(&StoredEvent) -> bool| {
        let event = events.iter().rfind(|event| event.kind == kind.as_str() && about(event))?;
        let reason = event.because.iter().find(|fact| fact.what == "reason given");
        Some(AskedBy {
            actor: event.actor.clone()?,
            at: moment(event.at_wall_ms, clocks),
            reason: reason.map(|fact| fact.is.clone()),
        })
    };
    let mut all = AllAsked::new();
    for name in memory.goals.iter().filter(|(_, goal)| **goal == Goal::Stopped).map(|(name, _)| name) {
        let pair = cluster.pair_of(name).map(|(pair, _)| pair.as_str());
        let about = |event: &StoredEvent| match &event.application {
            Some(application) => application == name.as_str(),
            None => event.pair.as_deref() == pair && pair.is_some(),
        };
        let by = newest(EventKind::GoalChanged, &about);
        all.extend(by.map(|by| (AskedOf::Goal(name.clone()).to_string(), by)));
    }
    for host in &memory.drained {
        let by = newest(EventKind::DrainChanged, &|event| event.host.as_deref() == Some(host.as_str()));
        all.extend(by.map(|by| (AskedOf::Drain(host.clone()).to_string(), by)));
    }
    for of in &memory.maintenance {
        let about = |event: &StoredEvent| {
            let named = match of {
                MaintenanceOf::Host(_) => &event.host,
                MaintenanceOf::Application(_) => &event.application,
                MaintenanceOf::Pair(_) => &event.pair,
            };
            named.as_deref() == Some(of.name())
        };
        let by = newest(EventKind::MaintenanceChanged, &about);
        all.extend(by.map(|by| (AskedOf::Maintenance(of.clone()).to_string(), by)));
    }
    all
}

/// On the boot clock; none if that was before this boot.
fn moment(at_wall_ms: i64, (now, now_wall_ms): (Moment, i64)) -> Option<Moment> {
    let ago = Duration::from_millis(now_wall_ms.saturating_sub(at_wall_ms).max(0).unsigned_abs());
    (now.since(Moment(0)) > ago).then(|| now - ago)
}
