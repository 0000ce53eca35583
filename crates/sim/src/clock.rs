//! A boot clock of an invented machine: it runs a little fast or slow, and begins anew with every boot.
//!
//! Refuses to know wall time, which decides nothing. The law: it never goes back within one boot, and what is due at a
//! moment is not yet due a nanosecond of true time before [`Clock::when`].

use understudy_model::Moment;

/// Parts per million in one.
const WHOLE: u64 = 1_000_000;

/// One machine's boot clock. True time is in nanoseconds since the beginning of the run.
#[derive(Debug, Clone)]
pub struct Clock {
    /// What it showed at `origin`.
    shown: u64,
    origin: u64,
    /// Millionths of a true second that it counts as one.
    rate: u64,
}

impl Clock {
    /// A clock that shows `shown` at `origin` and runs fast by `ppm`, or slow if that is negative.
    pub fn new(origin: u64, shown: u64, ppm: i64) -> Self {
        Self { shown, origin, rate: WHOLE.saturating_add_signed(ppm) }
    }

    /// What it shows at a true time.
    pub fn at(&self, time: u64) -> Moment {
        let passed = u128::from(time.saturating_sub(self.origin)) * u128::from(self.rate) / u128::from(WHOLE);
        Moment(self.shown + passed as u64)
    }

    /// The first true time at which it shows `moment` or more.
    pub fn when(&self, moment: Moment) -> u64 {
        let wanted = u128::from(moment.0.saturating_sub(self.shown)) * u128::from(WHOLE);
        self.origin.saturating_add(u64::try_from(wanted.div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX))
    }

    /// The machine starts again: the clock begins at nothing.
    pub fn reboot(&mut self, time: u64, shown: u64) {
        (self.shown, self.origin) = (shown, time);
    }

    /// It stood still for `span` until now. Outside of what is assumed of clocks (A1).
    pub fn stood_still(&mut self, time: u64, span: u64) {
        let shown = self.at(time).0;
        let lost = u128::from(span) * u128::from(self.rate) / u128::from(WHOLE);
        (self.shown, self.origin) = (shown.saturating_sub(lost as u64), time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_when_it_is_due_and_not_before() {
        for ppm in [-500, -1, 0, 1, 77, 500] {
            let clock = Clock::new(1_000, 5_000_000, ppm);
            for moment in [5_000_001, 6_000_003, 900_000_000_007] {
                let due = clock.when(Moment(moment));
                assert!(clock.at(due) >= Moment(moment), "{ppm} {moment}");
                assert!(clock.at(due - 1) < Moment(moment), "{ppm} {moment}");
            }
        }
    }

    #[test]
    fn a_clock_that_stood_still_shows_as_much_less() {
        let mut clock = Clock::new(0, 0, 0);
        clock.stood_still(1_000, 400);
        assert_eq!((clock.at(1_000), clock.at(1_100)), (Moment(600), Moment(700)));
    }
}
