//! A bound on how often something is begun for strangers: at once while that is rare, and evenly when it is not.
//!
//! Reads no clock. The law: over any time, no more is begun than the burst and the pace allow, and nothing is refused.

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

    /// One more is begun: for how long to wait before the next.
    pub fn after_one(&mut self, now: Moment) -> Duration {
        self.paid = self.paid.max(now) + self.each;
        self.paid.since(now).saturating_sub(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_waits_for_nothing_and_a_flood_goes_evenly() {
        let mut pace = Pace::new(10, 100);
        let begin = Moment(5_000_000_000);
        assert!((0..10).all(|_| pace.after_one(begin).is_zero()));
        let mut now = begin;
        for _ in 0..200 {
            now = now + pace.after_one(now);
        }
        assert_eq!(now.since(begin), Duration::from_secs(2));
    }

    #[test]
    fn who_was_quiet_has_the_burst_again_and_no_more() {
        let mut pace = Pace::new(3, 10);
        for second in [10, 20, 1_000] {
            let now = Moment(second * 1_000_000_000);
            assert!((0..3).all(|_| pace.after_one(now).is_zero()));
            assert_eq!(pace.after_one(now), Duration::from_millis(100));
        }
    }
}
