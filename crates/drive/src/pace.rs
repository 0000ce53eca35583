//! A bound on how often something is begun for others: who comes too fast is turned away at once, and nobody waits.
//!
//! Reads no clock and knows nobody by name. The law: over any time, no more is begun than the burst and the pace allow; what is
//! refused costs those that come later nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::Moment;

/// So many at once, and one each so often.
#[derive(Debug, Clone)]
pub struct Pace {
    each: Duration,
    burst: Duration,
    /// When all that was begun would have been, evenly.
    paid: Moment,
}

impl Pace {
    /// At most `burst` at once, and `a_second` in the long run. Both are above zero.
    pub fn new(burst: u32, a_second: u32) -> Self {
        let each = Duration::from_secs(1) / a_second.max(1);
        Self { each, burst: each * burst.max(1), paid: Moment::default() }
    }

    /// Whether one more may begin now; one that may not is not counted.
    pub fn allows(&mut self, now: Moment) -> bool {
        let paid = self.paid.max(now) + self.each;
        let allowed = paid.since(now) <= self.burst;
        if allowed {
            self.paid = paid;
        }
        allowed
    }

    /// Whether it has the whole burst again, so that nothing is lost if it is forgotten.
    fn is_rested(&self, now: Moment) -> bool {
        self.paid <= now
    }
}

/// A pace for each of many, so that one who comes too fast takes nothing from the others.
#[derive(Debug)]
pub struct Paces<K> {
    of: BTreeMap<K, Pace>,
    most: usize,
    fresh: Pace,
    /// Shared by those for whom there is no room.
    rest: Pace,
}

impl<K: Ord> Paces<K> {
    /// `fresh` is the pace of each. At most `most` are told apart at a time; those above that share `rest`.
    pub fn new(most: usize, fresh: Pace, rest: Pace) -> Self {
        Self { of: BTreeMap::new(), most, fresh, rest }
    }

    /// Whether one more of that one may begin now; one that may not is not counted.
    pub fn allows(&mut self, who: K, now: Moment) -> bool {
        if let Some(pace) = self.of.get_mut(&who) {
            return pace.allows(now);
        }
        if self.of.len() >= self.most {
            // Who is still counted after this has come a moment ago, so this is done seldom or finds somebody.
            if !self.rest.allows(now) {
                return false;
            }
            self.of.retain(|_, pace| !pace.is_rested(now));
            if self.of.len() >= self.most {
                return true;
            }
        }
        self.of.entry(who).or_insert_with(|| self.fresh.clone()).allows(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many are allowed of so many a second, evenly, for ten seconds.
    fn allowed(pace: &mut Pace, a_second: u64) -> usize {
        let each = SECOND / a_second;
        (0..10 * a_second).filter(|number| pace.allows(Moment(5 * SECOND + number * each))).count()
    }

    #[test]
    fn what_stays_below_is_never_refused_and_a_flood_gets_the_pace_and_the_burst() {
        assert_eq!(allowed(&mut Pace::new(10, 100), 99), 990);
        let flood = allowed(&mut Pace::new(10, 100), 10_000);
        assert!((1_000..=1_011).contains(&flood), "{flood}");
    }

    #[test]
    fn who_was_quiet_has_the_burst_again_and_no_more() {
        let mut pace = Pace::new(3, 10);
        for second in [10, 20, 1_000] {
            let now = Moment(second * SECOND);
            assert_eq!((0..5).filter(|_| pace.allows(now)).count(), 3);
            assert!(pace.allows(now + Duration::from_millis(100)), "what was refused was not counted");
        }
    }

    #[test]
    fn who_floods_takes_nothing_from_others_and_many_are_forgotten_when_they_rest() {
        let mut paces = Paces::new(2, Pace::new(2, 10), Pace::new(1, 10));
        let now = Moment(5 * SECOND);
        assert_eq!((0..100).filter(|_| paces.allows("flood", now)).count(), 2);
        assert!(paces.allows("quiet", now));
        // There is no room for more: they share one pace.
        assert_eq!((0..10).filter(|_| paces.allows("third", now)).count(), 1);
        assert!(!paces.allows("fourth", now));
        assert!(paces.allows("quiet", now));
        let later = now + Duration::from_secs(10);
        assert_eq!((0..10).filter(|_| paces.allows("fourth", later)).count(), 2, "the others rest");
    }
}
