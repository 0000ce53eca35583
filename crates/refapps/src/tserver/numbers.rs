//! A set of numbers, kept as ranges, for writes that are counted upwards.
//!
//! Knows nothing of who writes. The law: ranges never touch or overlap, and there are never more than [`MOST_RANGES`].

use std::collections::BTreeMap;

/// The most gaps that are remembered; a number that would need another range is refused.
pub const MOST_RANGES: usize = 10_000;

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    /// First number of each range to its last.
    ranges: BTreeMap<u64, u64>,
}

impl Numbers {
    /// Puts a number in. Answers `false` if there is no room for another range; a number that is in is no news.
    #[must_use]
    pub fn insert(&mut self, number: u64) -> bool {
        let below = self.ranges.range(..=number).next_back().map(|(&first, &last)| (first, last));
        if below.is_some_and(|(_, last)| last >= number) {
            return true;
        }
        let joins_below = below.filter(|&(_, last)| last + 1 == number);
        let above = number.checked_add(1).and_then(|next| self.ranges.get(&next).copied());
        if joins_below.is_none() && above.is_none() && self.ranges.len() >= MOST_RANGES {
            return false;
        }
        if above.is_some() {
            self.ranges.remove(&(number + 1));
        }
        let first = joins_below.map_or(number, |(first, _)| first);
        self.ranges.insert(first, above.unwrap_or(number));
        true
    }

    /// How many of the numbers from `first` to `last`, both included, are in.
    pub fn count(&self, first: u64, last: u64) -> u64 {
        self.ranges()
            .filter(|&(from, to)| from <= last && to >= first)
            .map(|(from, to)| to.min(last) - from.max(first) + 1)
            .sum()
    }

    /// The ranges, first and last included, from low to high.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(&first, &last)| (first, last))
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.ranges.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_set(
            numbers in proptest::collection::vec(prop_oneof![0u64..60, u64::MAX - 5..=u64::MAX], 0..80),
            first in 0u64..60,
            length in 0u64..60,
        ) {
            let mut ours = Numbers::default();
            let mut model = BTreeSet::new();
            for number in numbers {
                prop_assert!(ours.insert(number));
                model.insert(number);
            }
            prop_assert_eq!(ours.count(first, first + length), model.range(first..=first + length).count() as u64);
            prop_assert_eq!(ours.count(0, u64::MAX - 1), model.range(..u64::MAX).count() as u64);
            let ranges: Vec<_> = ours.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", ranges);
        }
    }

    #[test]
    fn too_many_gaps_are_refused_and_gaps_still_close() {
        let mut numbers = Numbers::default();
        for number in 0..MOST_RANGES as u64 {
            assert!(numbers.insert(number * 2));
        }
        assert!(!numbers.insert(1_000_000));
        assert!(numbers.insert(1));
        assert!(numbers.insert(1_000_000));
    }
}
