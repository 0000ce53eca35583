//! What was so before this leadership, as the journal tells: since when a member is primary, and an application as it is.
//!
//! It decides nothing. The law: it is used only for what this leadership found as it is and has not seen change.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use understudy_decide::control::ClusterView;
use understudy_model::{EventKind, Moment};
use understudy_store::{EventQuery, StoredEvent};

use crate::journal::Journal;
use crate::wall::Wall;

/// How many events before this leadership are looked through: a question to the journal is short.
const MOST_EVENTS: u32 = 5_000;
/// And how far back, in events of every kind.
const WITHIN: i64 = 50_000;

/// Read once, when a leadership begins; until then, and where the journal cannot be read, nothing is known. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Before(Arc<OnceLock<Known>>);

/// Times are wall milliseconds.
#[derive(Debug, Default)]
struct Known {
    /// Of each pair: who was primary last, and since when.
    primaries: BTreeMap<String, (String, i64)>,
    /// Of each application: its last status, and since when.
    statuses: BTreeMap<String, (String, i64)>,
    /// Of each application: when it last became or ceased to be primary.
    changed: BTreeMap<String, i64>,
}

impl Before {
    /// Reads what the journal holds now, beside everything else: a disk that hangs keeps no question waiting.
    pub fn read(&self, journal: &Journal) {
        let (known, journal) = (Arc::clone(&self.0), journal.clone());
        let newest = journal.progress().borrow().last_event;
        tokio::spawn(async move {
            let query = EventQuery {
                after_id: Some(newest.saturating_sub(WITHIN)),
                before_id: Some(newest.saturating_add(1)),
                kinds: vec![EventKind::RoleChanged, EventKind::StatusChanged],
                newest_first: true,
                limit: MOST_EVENTS,
                ..EventQuery::default()
            };
            match journal.events(query).await {
                // Whoever was first read the same.
                Ok(events) => drop(known.set(Known::from(&events))),
                Err(error) => tracing::warn!(%error, "since when what runs is as it is was not read"),
            }
        });
    }

    /// Puts the true beginnings in the place of the moments at which this leadership found things as they are.
    pub(super) fn correct(&self, view: &mut ClusterView, wall: Wall) {
        if let Some(known) = self.0.get() {
            known.correct(view, wall);
        }
    }
}

impl Known {
    /// From events, oldest first. That an agent went and came tells nothing of its applications, and neither does that a
    /// leadership began: what is found as it was before did not change.
    fn from(events: &[StoredEvent]) -> Self {
        let mut known = Self::default();
        for event in events {
            let (Some(to), at) = (&event.to, event.at_wall_ms) else { continue };
            if event.kind == EventKind::RoleChanged.as_str() {
                let Some(pair) = &event.pair else { continue };
                known.primaries.insert(pair.clone(), (to.clone(), at));
                let members = [event.from.clone(), Some(to.clone())];
                known.changed.extend(members.into_iter().flatten().map(|member| (member, at)));
            } else if let Some(application) = &event.application {
                let same = known.statuses.get(application).is_some_and(|(status, _)| status == to);
                // An earlier leadership found it so as well.
                if !(same && event.from.as_deref() == Some("unknown")) {
                    known.statuses.insert(application.clone(), (to.clone(), at));
                }
            }
        }
        known
    }

    fn correct(&self, view: &mut ClusterView, wall: Wall) {
        for pair in view.pairs.iter_mut().filter(|pair| pair.as_found) {
            let known = self.primaries.get(pair.name.as_str());
            let known =
                known.filter(|(holder, _)| pair.primary.as_ref().is_some_and(|one| one.as_str() == holder));
            if let Some((_, at)) = known {
                pair.since = pair.since.min(moment(wall, *at));
            }
        }
        for application in view.applications.iter_mut().filter(|application| application.as_found) {
            let name = application.name.as_str();
            let known = self.statuses.get(name).filter(|(status, _)| status == application.status.as_str());
            if let Some((_, at)) = known {
                let at = self.changed.get(name).map_or(*at, |changed| (*changed).max(*at));
                application.since = application.since.min(moment(wall, at));
            }
        }
    }
}

/// On the boot clock; of what was before this boot, its beginning.
fn moment(wall: Wall, at_wall_ms: i64) -> Moment {
    let ago = wall.unix_ms().saturating_sub(at_wall_ms).max(0).unsigned_abs();
    wall.moment() - Duration::from_millis(ago)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: i64, kind: EventKind, about: &str, from: &str, to: &str) -> StoredEvent {
        let role = kind == EventKind::RoleChanged;
        StoredEvent {
            id: at,
            at_wall_ms: at,
            kind: kind.as_str().to_owned(),
            severity: String::new(),
            host: None,
            application: (!role).then(|| about.to_owned()),
            pair: role.then(|| about.to_owned()),
            from: Some(from.to_owned()),
            to: Some(to.to_owned()),
            epoch: None,
            rule: String::new(),
            reason: String::new(),
            because: Vec::new(),
            nearly: Vec::new(),
            actor: None,
        }
    }

    #[test]
    fn the_newest_change_counts_and_finding_a_thing_as_it_was_is_none() {
        let status = |at, from: &str, to: &str| event(at, EventKind::StatusChanged, "a", from, to);
        let known = Known::from(&[
            status(1, "unknown", "stopped"),
            status(2, "stopped", "started"),
            event(3, EventKind::RoleChanged, "p", "b", "a"),
            status(4, "unknown", "started"),
        ]);
        assert_eq!(known.statuses["a"], ("started".to_owned(), 2));
        assert_eq!(known.primaries["p"], ("a".to_owned(), 3));
        assert_eq!((known.changed["a"], known.changed["b"]), (3, 3));
    }
}
