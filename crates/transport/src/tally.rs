//! What happened on links that come and go: how many began, how they ended, what ADDP did on all of them.
//!
//! Knows no peers. The law: a count never falls, also when a link ends; the reasons are words of the program, so there are
//! only a few.

use std::collections::BTreeMap;

use understudy_addp::Counts;

use crate::pulse::Pulse;

/// The counts of some links. The live ones are bounded by whoever opens links.
#[derive(Debug, Clone, Default)]
pub struct LinkTally {
    begun: u64,
    ended: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
    left_out: u64,
    past: Counts,
    live: Vec<Pulse>,
}

impl LinkTally {
    /// A link began.
    pub fn begin(&mut self, pulse: &Pulse) {
        self.begun += 1;
        self.live.push(pulse.clone());
    }

    /// A link ended, for that reason. One that did not begin, or has ended already, is not counted.
    pub fn end(&mut self, pulse: &Pulse, reason: &'static str) {
        let Some(at) = self.live.iter().position(|live| live.is(pulse)) else { return };
        self.past = self.past.and(self.live.swap_remove(at).health().counts);
        *self.ended.entry(reason).or_default() += 1;
    }

    /// One of both ends does not want the other.
    pub fn refuse(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// So many events of the peer were not kept.
    pub fn leave_out(&mut self, events: u64) {
        self.left_out = self.left_out.saturating_add(events);
    }

    /// How many events of the peer were not kept.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many began.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// How many live.
    pub fn live(&self) -> u64 {
        self.live.len() as u64
    }

    /// How many ended, by reason.
    pub fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.ended.iter().map(|(reason, count)| (*reason, *count))
    }

    /// How many were refused, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.refused.iter().map(|(reason, count)| (*reason, *count))
    }

    /// What ADDP did, on those that ended and those that live.
    pub fn addp(&self) -> Counts {
        self.live.iter().fold(self.past, |all, pulse| all.and(pulse.health().counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use understudy_addp::{Addp, Outcome, Settings, Signal, Trace};
    use understudy_model::Moment;

    #[test]
    fn what_was_counted_on_a_link_stays_counted_when_it_has_ended() {
        let settings =
            Settings { timeout: Duration::from_secs(1), remote_timeout: Duration::ZERO, trace: Trace::Off };
        let (mut link, _) = Addp::new(Moment(0), settings);
        let (first, second) = (Pulse::of(&link), Pulse::of(&link));
        let mut tally = LinkTally::default();
        tally.begin(&first);
        assert!(matches!(link.look(Moment(0) + Duration::from_secs(1)), Outcome::Send(Signal::Poll { .. })));
        first.write(&link);
        assert_eq!((tally.begun(), tally.live(), tally.addp().polls_sent), (1, 1, 1));
        tally.end(&first, "silent");
        tally.end(&first, "closed");
        tally.begin(&second);
        second.write(&link);
        assert_eq!((tally.begun(), tally.live(), tally.addp().polls_sent), (2, 1, 2));
        tally.refuse("other-host");
        assert_eq!(tally.ended().collect::<Vec<_>>(), [("silent", 1)]);
        assert_eq!(tally.refused().collect::<Vec<_>>(), [("other-host", 1)]);
    }
}
