//! The agent's own lateness: a time in which the agent itself did not run is counted against nobody.
//!
//! Refuses to know why it did not run. The law: while somebody is silent the agent looks at its own clock at least every
//! [`PULSE`]; a look that is late is taken out of every silence that is judged. That is bounded: a process that hangs is
//! found, however late its agent always is. Whoever is not silent costs no look.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{ApplicationName, Because, Moment, Rule};

use super::Agent;
use super::hang::limits;
use super::out::Out;

/// How often the agent looks at its own clock while somebody is silent. A shorter stall may not be seen.
const PULSE: Duration = Duration::from_millis(50);
/// A look that is later than this was late; timers of a machine that does not stall are met within a few milliseconds.
pub(super) const LATE: Duration = Duration::from_millis(20);
/// So many times its limit is given in one silence at most. One stall counts as one limit at most: the machine may have
/// been suspended.
const MOST_LIMITS: u32 = 2;

/// A silence: since when, without the time in which the agent was late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Silence {
    /// Its beginning, moved on by what was given.
    since: Moment,
    /// What was given, of what may be given.
    given: Duration,
}

impl Silence {
    /// One that begins with a sign of life at `since`.
    pub fn new(since: Moment) -> Self {
        Self { since, given: Duration::ZERO }
    }

    /// Since when.
    pub fn since(self) -> Moment {
        self.since
    }

    /// How much of the agent's own lateness was given in it; a stall longer than the limit is counted as one limit.
    pub fn given(self) -> Duration {
        self.given
    }

    /// It counts for `longest` until `now` at most.
    pub fn at_most(&mut self, now: Moment, longest: Duration) {
        self.since = self.since + now.since(self.since).saturating_sub(longest);
    }

    /// Another sign of life; observations may come in out of order.
    pub fn broken_at(&mut self, at: Moment) {
        *self = Self::new(self.since.max(at));
    }

    /// Takes out of it that the agent was `late` until `now`, and leaves as long again to speak (`limit` at most).
    pub fn give(&mut self, now: Moment, late: Duration, limit: Duration) -> bool {
        // One that has not begun has not lasted.
        let late = late.min(now.since(self.since));
        let over = self.since + limit;
        let moved = (over + late).max(now + late.min(limit));
        let counted = self.given + moved.since(over).min(limit);
        if late.is_zero() || counted > limit * MOST_LIMITS {
            return false;
        }
        self.given = counted;
        self.since = self.since + moved.since(over);
        true
    }
}

impl Agent {
    /// Notices that it did not run for a while, before anybody is blamed for the same time.
    pub(super) fn notice_own_lateness(&mut self, now: Moment, out: &mut Out) {
        let late = self.pulse.map_or(Duration::ZERO, |pulse| now.since(pulse));
        if late <= LATE {
            return;
        }
        // It is counted once.
        self.pulse = None;
        let given = self.applications.iter_mut().filter_map(|(name, known)| {
            let mut given = false;
            for limit in limits(known).into_iter().flatten() {
                if let Some(silence) = known.life.silence_mut(limit.what) {
                    given |= silence.give(now, late, limit.limit);
                }
            }
            known.life.probe_late |= known.life.probe_asked();
            given.then(|| name.clone())
        });
        let given: Vec<ApplicationName> = given.collect();
        for name in given {
            let reason = format!(
                "this agent was {} ms late itself: that is not held against {name}",
                late.as_millis()
            );
            out.quiet.push(Because::new(Rule::OwnDelay, reason));
        }
    }

    /// Sets when it looks at its own clock next, if anybody is silent.
    pub(super) fn set_pulse(&mut self) {
        let regular = self.clock + PULSE;
        let wanted = self.applications.values().flat_map(|known| {
            let silences = limits(known).into_iter().flatten();
            let looks = silences.map(move |limit| regular.max(limit.looked_at_from).min(limit.over));
            looks.chain(known.life.probe_asked().then_some(regular))
        });
        self.pulse = wanted.min();
    }
}
