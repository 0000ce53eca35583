//! How long to wait before the next attempt to connect.
//!
//! Knows no clock and draws no randomness of its own: the seed is passed in. The law: delays double from the shortest to
//! the longest, each shortened by up to half so that many who lost the same peer do not come back together.

use std::time::Duration;

/// The first delay is at most this.
pub const SHORTEST_DELAY: Duration = Duration::from_millis(10);
/// No delay is longer than this.
pub const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// The delays of one address, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    ceiling: Duration,
    jitter: u64,
}

impl Backoff {
    /// Starts with the shortest delay. The same seed gives the same delays.
    pub fn new(seed: u64) -> Self {
        Self { ceiling: SHORTEST_DELAY, jitter: seed }
    }

    /// How long to wait now; the one after it is about twice as long. Between half of and the whole ceiling.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(LONGEST_DELAY);
        let half = ceiling / 2;
        half + half.mul_f64(self.next_fraction())
    }

    /// Starts again with the shortest delay: the peer was heard.
    pub fn reset(&mut self) {
        self.ceiling = SHORTEST_DELAY;
    }

    /// A number from 0 to 1, from a Weyl sequence whose bits are mixed (the splitmix construction).
    fn next_fraction(&mut self) -> f64 {
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.jitter ^ (self.jitter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_to_the_longest_and_start_again_after_reset() {
        let mut backoff = Backoff::new(7);
        for ceiling_ms in [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000] {
            let (delay, ceiling) = (backoff.next_delay(), Duration::from_millis(ceiling_ms));
            assert!(delay >= ceiling / 2 && delay <= ceiling, "{delay:?} of {ceiling:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= SHORTEST_DELAY);
    }

    #[test]
    fn seeds_spread_and_repeat() {
        let delays = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(delays(1), delays(1));
        assert_ne!(delays(1), delays(2));
    }
}
