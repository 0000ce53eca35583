//! Counts what strangers and peers sent that was refused, and says when a log line about it is due.
//!
//! Knows no clock and writes no log. The law: everything is counted, the first of a reason is told at once, and each
//! reason is told at most once a minute, so that a flood cannot fill a disk.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::Moment;

/// From one line about a reason to the next, at the least.
pub const TALLY_INTERVAL: Duration = Duration::from_secs(60);

/// Refused frames and links by reason. The reasons are words of the program, so there are only a few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalTally {
    reasons: BTreeMap<&'static str, Count>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    total: u64,
    untold: u64,
    told_at: Moment,
}

impl RefusalTally {
    /// Nothing refused yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one refusal. If a log line is due now, gives how many of that reason it stands for, this one included.
    pub fn count(&mut self, reason: &'static str, now: Moment) -> Option<u64> {
        let Some(count) = self.reasons.get_mut(reason) else {
            self.reasons.insert(reason, Count { total: 1, untold: 0, told_at: now });
            return Some(1);
        };
        count.total = count.total.saturating_add(1);
        count.untold = count.untold.saturating_add(1);
        if now.since(count.told_at) < TALLY_INTERVAL {
            return None;
        }
        count.told_at = now;
        Some(std::mem::take(&mut count.untold))
    }

    /// How many were refused for each reason since the start, in the order of the words.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.reasons.iter().map(|(reason, count)| (*reason, count.total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(0) + Duration::from_secs(seconds)
    }

    #[test]
    fn each_reason_is_told_at_once_and_then_once_a_minute() {
        let mut tally = RefusalTally::new();
        assert_eq!(tally.count("bad-magic", at(100)), Some(1));
        assert_eq!(tally.count("bad-magic", at(100)), None);
        assert_eq!(tally.count("oversized", at(101)), Some(1), "another reason has its own minute");
        assert_eq!(tally.count("bad-magic", at(159)), None);
        assert_eq!(tally.count("bad-magic", at(160)), Some(3));
        assert_eq!(tally.count("bad-magic", at(161)), None);
        assert_eq!(tally.totals().collect::<Vec<_>>(), [("bad-magic", 5), ("oversized", 1)]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_told_and_what_waits_is_everything(gaps in proptest::collection::vec(0u64..40, 1..200)) {
            let (mut tally, mut now, mut told, mut last) = (RefusalTally::new(), 0, 0, None);
            for gap in &gaps {
                now += gap;
                if let Some(count) = tally.count("truncated", at(now)) {
                    told += count;
                    proptest::prop_assert!(last.is_none_or(|last| now - last >= 60));
                    last = Some(now);
                }
            }
            proptest::prop_assert_eq!(told + tally.reasons["truncated"].untold, gaps.len() as u64);
        }
    }
}
