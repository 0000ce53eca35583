//! Least, middle, highest of a set of measured times.
//!
//! It knows no clocks. The law: every figure is one that was measured; nothing is interpolated.

use serde::Serialize;

/// Measured times in milliseconds, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    sorted_ms: Vec<f64>,
}

/// What is printed of them, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summed {
    /// How many were measured.
    pub n: usize,
    /// The shortest.
    pub min: f64,
    /// The 50th percentile.
    pub median: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Figures {
    /// Of times in nanoseconds.
    #[allow(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    pub fn of_ns(times_ns: &[u64]) -> Self {
        let mut sorted_ns = times_ns.to_vec();
        sorted_ns.sort_unstable();
        Self { sorted_ms: sorted_ns.into_iter().map(|ns| (ns / 1000) as f64 / 1000.0).collect() }
    }

    /// Of times in milliseconds, cut to microseconds; what is no number is left out.
    pub fn of_ms(times_ms: &[f64]) -> Self {
        let numbers = times_ms.iter().filter(|ms| ms.is_finite());
        let mut sorted_ms: Vec<f64> = numbers.map(|ms| (ms * 1000.0).floor() / 1000.0).collect();
        sorted_ms.sort_by(f64::total_cmp);
        Self { sorted_ms }
    }

    /// The nearest rank: the smallest measured time that is at least as long as `percent` (0 to 100) of all. `None`
    /// if nothing was measured.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let rank = (percent / 100.0 * self.sorted_ms.len() as f64).ceil() as usize;
        self.sorted_ms.get(rank.max(1) - 1).copied()
    }

    /// All of it, or `None` if nothing was measured.
    pub fn summed(&self) -> Option<Summed> {
        Some(Summed {
            n: self.sorted_ms.len(),
            min: *self.sorted_ms.first()?,
            median: self.percentile(50.0)?,
            p99: self.percentile(99.0)?,
            max: *self.sorted_ms.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_rank_is_a_measured_one() {
        let times: Vec<u64> = (1..=200).map(|ms| ms * 1_000_000).collect();
        let summed = Figures::of_ns(&times).summed().unwrap();
        assert_eq!(summed, Summed { n: 200, min: 1.0, median: 100.0, p99: 198.0, max: 200.0 });
        let one = Figures::of_ns(&[1_500]).summed().unwrap();
        assert_eq!((one.min, one.median, one.p99, one.max), (0.001, 0.001, 0.001, 0.001));
        assert_eq!(Figures::of_ns(&[]).summed(), None);
    }

    proptest! {
        #[test]
        fn figures_are_in_order_and_do_not_depend_on_it(mut times in proptest::collection::vec(0u64..1 << 50, 1..300)) {
            let summed = Figures::of_ns(&times).summed().unwrap();
            prop_assert!(summed.min <= summed.median && summed.median <= summed.p99 && summed.p99 <= summed.max);
            times.reverse();
            prop_assert_eq!(Figures::of_ns(&times).summed().unwrap(), summed);
        }
    }
}
