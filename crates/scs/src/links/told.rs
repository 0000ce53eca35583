//! What an agent may tell of itself: as much as a host needs, of the kinds that are an agent's, about its own host.
//!
//! It knows no links and no journal. The law: whatever one agent says, the journal has room for everybody else, and no
//! event says that another host or a person did it.

use std::time::Duration;

use understudy_model::{Because, Event, EventKind, HostName, Moment, Rule, Severity, Subject};

/// The time for which the bounds below hold.
const WITHIN: Duration = Duration::from_secs(60);
/// Most events of one host in that time: several for each application of a large host that starts.
const MOST_EVENTS: usize = 4_096;
/// Most bytes of text in these events.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// What one host told in the present minute.
#[derive(Debug)]
pub(super) struct Told {
    host: HostName,
    began: Moment,
    events: usize,
    bytes: usize,
    /// Left out in this minute.
    left_out: u64,
}

/// What is kept of one message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// For the journal, with one word on what was left out if there was none in this minute.
    pub(super) events: Vec<Event>,
    /// How many events were left out.
    pub(super) left_out: u64,
}

impl Told {
    /// Nothing told yet.
    pub(super) fn new(host: HostName, now: Moment) -> Self {
        Self { host, began: now, events: 0, bytes: 0, left_out: 0 }
    }

    /// What is kept of events that came now.
    pub(super) fn keep(&mut self, now: Moment, events: Vec<Event>) -> Kept {
        if now.since(self.began) >= WITHIN {
            *self = Self::new(self.host.clone(), now);
        }
        let before = self.left_out;
        let came = events.len();
        let mut kept: Vec<Event> = events.into_iter().filter(|event| self.has_room(event)).collect();
        for event in &mut kept {
            event.about.host = Some(self.host.clone());
            // Nobody gives orders to an agent but the control server, which says itself who asked.
            event.actor = None;
        }
        let left_out = (came - kept.len()) as u64;
        self.left_out += left_out;
        if before == 0 && left_out > 0 {
            kept.push(self.too_much());
        }
        Kept { events: kept, left_out }
    }

    fn has_room(&mut self, event: &Event) -> bool {
        let bytes = self.bytes + bytes(event);
        let room = is_an_agents(event.kind) && self.events < MOST_EVENTS && bytes <= MOST_BYTES;
        if room {
            self.events += 1;
            self.bytes = bytes;
        }
        room
    }

    fn too_much(&self) -> Event {
        let reason = format!(
            "events of host {}'s agent are left out for up to a minute; its own log has them, and \
             understudy_scs_link_events_left_out_total counts them",
            self.host
        );
        let because = Because::new(Rule::ToldTooMuch, reason)
            .fact("events kept in this minute", self.events)
            .fact("most events in a minute", MOST_EVENTS)
            .fact("most bytes of them", MOST_BYTES);
        let about = Subject { host: Some(self.host.clone()), ..Subject::default() };
        Event::new(EventKind::Anomaly, Severity::Warning, about, because)
    }
}

/// The text of an event, in bytes.
fn bytes(event: &Event) -> usize {
    let ends = [&event.from, &event.to].into_iter().flatten().map(String::len);
    let facts = event.because.facts.iter().map(|fact| fact.what.len() + fact.is.len());
    let nearly = event.because.nearly.iter().map(|nearly| nearly.missed.len());
    event.because.reason.len() + ends.chain(facts).chain(nearly).sum::<usize>()
}

/// Whether an agent sees such a thing by itself; all others are the control server's own words.
fn is_an_agents(kind: EventKind) -> bool {
    match kind {
        EventKind::StatusChanged
        | EventKind::ApplicationExited
        | EventKind::GaveUp
        | EventKind::PromotionFailed
        | EventKind::DemotionFailed
        | EventKind::Fenced
        | EventKind::StoreFailed
        | EventKind::Anomaly
        | EventKind::HostLeaving
        | EventKind::ClockDoubted => true,
        EventKind::ControllerStarted
        | EventKind::HostRunning
        | EventKind::HostLost
        | EventKind::PromotionOrdered
        | EventKind::DemotionOrdered
        | EventKind::RoleChanged
        | EventKind::RoleKept
        | EventKind::NoPrimary
        | EventKind::OperationStarted
        | EventKind::OperationDone
        | EventKind::OperationFailed
        | EventKind::OperationRefused
        | EventKind::GoalChanged
        | EventKind::MaintenanceChanged
        | EventKind::ConfigurationChanged
        | EventKind::FlapHold
        | EventKind::SwitchoverRefused
        | EventKind::DrainChanged
        | EventKind::HoldChanged
        | EventKind::NotifyFailed
        | EventKind::CertificateExpiring
        | EventKind::AccessRefused
        | EventKind::InSyncChanged
        | EventKind::TokenChanged => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    fn event(kind: EventKind, reason: &str) -> Event {
        let about = Subject { host: Some(host("beta")), ..Subject::default() };
        let mut event = Event::new(kind, Severity::Info, about, Because::new(Rule::AgentReported, reason));
        event.actor = Some("operator ann".to_owned());
        event
    }

    #[test]
    fn an_event_is_about_the_host_that_tells_it_and_nobody_asked_for_it() {
        let kept = Told::new(host("alpha"), Moment(0))
            .keep(Moment(0), vec![event(EventKind::StatusChanged, "it runs")]);
        assert_eq!((kept.events.len(), kept.left_out), (1, 0));
        assert_eq!((&kept.events[0].about.host, &kept.events[0].actor), (&Some(host("alpha")), &None));
    }

    #[test]
    fn the_control_server_s_own_words_are_left_out_and_said_so_once() {
        let mut told = Told::new(host("alpha"), Moment(0));
        let forged = [EventKind::OperationDone, EventKind::TokenChanged, EventKind::RoleChanged];
        let forged = forged.map(|kind| event(kind, "done")).to_vec();
        let kept = told.keep(Moment(0), forged.clone());
        let said: Vec<Rule> = kept.events.iter().map(|event| event.because.rule).collect();
        assert_eq!((said, kept.left_out), (vec![Rule::ToldTooMuch], 3));
        assert_eq!(told.keep(Moment(1), forged), Kept { events: Vec::new(), left_out: 3 });
    }

    #[test]
    fn a_flood_is_counted_said_once_a_minute_and_ends_with_the_minute() {
        let mut told = Told::new(host("alpha"), Moment(0));
        let flood = vec![event(EventKind::Anomaly, "again"); MOST_EVENTS];
        assert_eq!(told.keep(Moment(0), flood.clone()).left_out, 0);
        let kept = told.keep(Moment(1), flood.clone());
        assert_eq!((kept.events.len(), kept.left_out), (1, MOST_EVENTS as u64));
        assert!(told.keep(Moment(2), flood.clone()).events.is_empty());
        assert_eq!(told.keep(Moment(0) + WITHIN, flood).left_out, 0);
    }

    #[test]
    fn long_words_fill_the_minute_as_well() {
        let mut told = Told::new(host("alpha"), Moment(0));
        let long = "x".repeat(MOST_BYTES / 4);
        let kept = told.keep(Moment(0), vec![event(EventKind::Anomaly, &long); 5]);
        assert_eq!(kept.left_out, 1);
    }
}
