//! Puts observations of several threads into the order in which they were received.
//!
//! Knows no clock: the caller says how late it is. The law: what was received earlier comes out earlier, unless it
//! arrives here more than the hold after it was received.

use std::collections::BTreeMap;

use super::measure::Observation;

/// Observations that wait for earlier ones.
#[derive(Debug)]
pub struct Reorder {
    hold_ns: u64,
    count: u64,
    waiting: BTreeMap<(u64, u64), Observation>,
}

impl Reorder {
    /// Keeps every observation back until it is `hold_ns` old.
    pub fn new(hold_ns: u64) -> Self {
        Self { hold_ns, count: 0, waiting: BTreeMap::new() }
    }

    /// Takes one in.
    pub fn push(&mut self, observation: Observation) {
        self.count += 1;
        self.waiting.insert((observation.received_ns, self.count), observation);
    }

    /// The earliest one that is old enough at `now_ns`.
    pub fn pop(&mut self, now_ns: u64) -> Option<Observation> {
        let first = self.waiting.first_entry()?;
        (first.key().0.saturating_add(self.hold_ns) <= now_ns).then(|| first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::{Ask, Said};
    use super::*;

    #[test]
    fn earlier_ones_come_first_and_none_before_its_time() {
        let mut reorder = Reorder::new(10);
        for received_ns in [30, 20, 20, 40] {
            reorder.push(Observation {
                member: 0,
                sent_ns: 0,
                received_ns,
                ask: Ask::Role,
                said: Said::Nothing,
            });
        }
        let mut out =
            |now| std::iter::from_fn(|| reorder.pop(now)).map(|seen| seen.received_ns).collect::<Vec<_>>();
        assert_eq!(out(29), Vec::<u64>::new());
        assert_eq!(out(40), [20, 20, 30]);
        assert_eq!(out(u64::MAX), [40]);
    }
}
