//! Events that happened while no control server was welcome, kept for the first one that is.
//!
//! Refuses to know links. The law: at most [`MOST_UNTOLD`] are kept, the newest; whoever hears them late hears how
//! late, and how many are lost.

use std::collections::VecDeque;

use understudy_model::{Event, Moment};

/// Most events that wait. The log of the agent has all of them.
pub const MOST_UNTOLD: usize = 512;

/// What nobody has heard yet.
#[derive(Debug, Default)]
pub struct Untold {
    events: VecDeque<(Moment, Event)>,
    lost: u64,
}

impl Untold {
    /// Keeps events that happened now.
    pub fn keep(&mut self, events: &[Event], now: Moment) {
        for event in events {
            if self.events.len() == MOST_UNTOLD {
                self.events.pop_front();
                self.lost += 1;
            }
            self.events.push_back((now, event.clone()));
        }
    }

    /// Everything that was kept, oldest first; nothing is kept from then on.
    pub fn take(&mut self, now: Moment) -> Vec<Event> {
        let lost = std::mem::take(&mut self.lost);
        let told = |(at, mut event): (Moment, Event)| {
            let late = format!("{:.1} s late: no control server was heard", now.since(at).as_secs_f64());
            event.because = event.because.fact("told", late);
            event
        };
        let mut events: Vec<Event> = self.events.drain(..).map(told).collect();
        if lost > 0
            && let Some(first) = events.first_mut()
        {
            first.because =
                first.because.clone().fact("events before this one that are only in the log", lost);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use understudy_model::{Because, EventKind, Rule, Severity, Subject};

    use super::*;

    fn event(reason: usize) -> Event {
        let because = Because::new(Rule::Adopted, reason.to_string());
        Event::new(EventKind::StatusChanged, Severity::Info, Subject::default(), because)
    }

    #[test]
    fn what_waited_is_told_once_in_order_and_says_how_late_it_is() {
        let (mut untold, began) = (Untold::default(), Moment(0));
        untold.keep(&[event(1), event(2)], began);
        let told = untold.take(began + Duration::from_millis(1_500));
        let reasons: Vec<&str> = told.iter().map(|event| event.because.reason.as_str()).collect();
        assert_eq!(reasons, ["1", "2"]);
        assert!(told.iter().all(|event| event.because.facts[0].is.starts_with("1.5 s late")), "{told:?}");
        assert_eq!(untold.take(began), []);
    }

    #[test]
    fn the_newest_are_kept_and_the_lost_are_counted() {
        let mut untold = Untold::default();
        let all: Vec<Event> = (0..MOST_UNTOLD + 3).map(event).collect();
        untold.keep(&all, Moment(0));
        let told = untold.take(Moment(0));
        assert_eq!((told.len(), told[0].because.reason.as_str()), (MOST_UNTOLD, "3"));
        assert!(told[0].because.facts.iter().any(|fact| fact.is == "3"), "{:?}", told[0]);
        assert_eq!(told[1].because.facts.len(), 1);
    }
}
