//! How long the guard has for an answer, seen by one who may himself have been kept from looking.
//!
//! Knows no sockets and reads no clock. The law: a limit that is over says nothing by itself, as whoever stood still until then
//! kept the guard from nothing, and what stopped both has taken the guard's time too. One is judged only after a last wait that
//! began and ended when it should, so that whatever was said by then was heard.

use std::time::Duration;

use understudy_model::Moment;

/// A wait that ends later than this was disturbed: everything else of this machine may have been.
const IN_TIME: Duration = Duration::from_millis(20);
/// And after this, what is waited for has all of its time once more.
const LATE: Duration = Duration::from_millis(500);
/// The last wait before a judgement.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// A wait that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// When it began.
    pub(super) began: Moment,
    /// When it was to end; nothing is never.
    pub(super) until: Option<Moment>,
    /// When it did, perhaps before that.
    pub(super) ended: Moment,
}

impl Wait {
    fn late(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| self.ended.since(until))
    }
}

/// Something that has a while to come.
#[derive(Debug)]
pub(super) struct Patience {
    within: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is waited for.
    Idle,
    /// It has until then.
    Until(Moment),
    /// It had its time, and has the last wait.
    Last { began: Moment, until: Moment },
}

impl Patience {
    /// For something that has so long.
    pub(super) fn new(within: Duration) -> Self {
        Self { within, state: State::Idle }
    }

    /// It is waited for, from now on if it was not before.
    pub(super) fn begin(&mut self, now: Moment) {
        if !self.waits() {
            self.state = State::Until(now + self.within);
        }
    }

    /// It has come, or nobody wants it any more.
    pub(super) fn end(&mut self) {
        self.state = State::Idle;
    }

    /// Something is waited for.
    pub(super) fn waits(&self) -> bool {
        self.state != State::Idle
    }

    /// When it is to be looked at again.
    pub(super) fn until(&self) -> Option<Moment> {
        match self.state {
            State::Idle => None,
            State::Until(until) | State::Last { until, .. } => Some(until),
        }
    }

    /// Whether it is too late, asked after everything was heard that was there when the wait ended, and [`Self::end`] was said if
    /// it was among it.
    pub(super) fn is_over(&mut self, wait: Wait) -> bool {
        let Some(until) = self.until() else { return false };
        if wait.late() > LATE {
            self.state = State::Until(wait.ended + self.within);
            return false;
        }
        if wait.ended < until {
            return false;
        }
        let was_last = match self.state {
            // One that was interrupted is as good, if it went on at once.
            State::Last { began, until } => wait.began >= began && wait.began <= until,
            State::Idle | State::Until(_) => false,
        };
        if was_last && wait.late() <= IN_TIME {
            return true;
        }
        self.state = State::Last { began: wait.ended, until: wait.ended + LAST_WAIT };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    fn at(milliseconds: u64) -> Moment {
        Moment(milliseconds * 1_000_000)
    }

    fn wait(began: u64, until: u64, ended: u64) -> Wait {
        Wait { began: at(began), until: Some(at(until)), ended: at(ended) }
    }

    fn asked() -> Patience {
        let mut patience = Patience::new(WITHIN);
        patience.begin(at(0));
        assert_eq!(patience.until(), Some(at(5_000)));
        patience
    }

    #[test]
    fn one_that_does_not_answer_is_judged_after_its_time_and_a_last_wait() {
        let mut patience = asked();
        assert!(!patience.is_over(wait(0, 5_000, 3_000)), "something else was heard");
        assert!(!patience.is_over(wait(3_000, 5_000, 5_001)));
        assert_eq!(patience.until(), Some(at(5_251)));
        assert!(!patience.is_over(wait(5_001, 5_251, 5_100)), "something else was heard");
        assert!(patience.is_over(wait(5_100, 5_251, 5_252)));
    }

    #[test]
    fn a_stall_that_ends_at_any_moment_around_the_limit_is_no_judgement() {
        for ended in 5_000..=5_500 {
            let mut patience = asked();
            assert!(!patience.is_over(wait(0, 5_000, ended)), "{ended}");
            // The guard, which stood still as well, answers now.
            assert_eq!(patience.until(), Some(at(ended + 250)));
            patience.end();
            assert!(!patience.is_over(wait(ended, ended + 250, ended + 1)));
        }
        let mut patience = asked();
        assert!(!patience.is_over(wait(0, 5_000, 5_501)));
        assert_eq!(patience.until(), Some(at(10_501)), "all of its time");
    }

    #[test]
    fn the_last_wait_is_made_again_until_nothing_disturbs_it() {
        let mut patience = asked();
        assert!(!patience.is_over(wait(0, 5_000, 5_000)));
        assert!(!patience.is_over(wait(5_000, 5_250, 5_300)), "it ended late");
        assert_eq!(patience.until(), Some(at(5_550)));
        // Something was heard, and then whoever looks stood still: the next wait began after the last one should have ended.
        assert!(!patience.is_over(wait(5_560, 5_550, 5_560)));
        assert!(patience.is_over(wait(5_560, 5_810, 5_810)));
    }

    #[test]
    fn what_comes_is_waited_for_no_more() {
        let mut patience = asked();
        patience.begin(at(4_000));
        assert_eq!(patience.until(), Some(at(5_000)), "since it was asked for first");
        patience.end();
        assert!(!patience.waits() && !patience.is_over(wait(0, 5_000, 5_001)));
        patience.begin(at(6_000));
        assert_eq!(patience.until(), Some(at(11_000)));
    }
}
