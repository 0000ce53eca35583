//! One direction between two stations: what becomes of a frame that goes there.
//!
//! It knows moments and dice, and no frames. The law: frames of one lane stay in their order, whatever their delays.

use std::time::{Duration, Instant};

use crate::dice::Dice;

/// How a lane treats its frames. The default lets everything pass at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lane {
    /// Nothing passes.
    pub cut: bool,
    /// Every frame takes so long.
    pub delay: Duration,
    /// And up to so much longer, each another time.
    pub jitter: Duration,
    /// So many of a thousand frames are lost.
    pub loss_permille: u16,
}

impl Lane {
    /// Nothing passes.
    pub const CUT: Lane = Lane { cut: true, delay: Duration::ZERO, jitter: Duration::ZERO, loss_permille: 0 };

    /// Everything passes, each frame after `delay` and up to `jitter`.
    pub const fn slow(delay: Duration, jitter: Duration) -> Self {
        Lane { cut: false, delay, jitter, loss_permille: 0 }
    }

    /// The same with losses.
    pub const fn losing(self, loss_permille: u16) -> Self {
        Lane { loss_permille, ..self }
    }

    /// When a frame that came at `now` arrives, if it does; none before `last`, the one before it.
    pub(super) fn arrival(&self, now: Instant, last: Option<Instant>, dice: &mut Dice) -> Option<Instant> {
        if self.cut || dice.below(1_000) < u64::from(self.loss_permille) {
            return None;
        }
        let at = now + self.delay + dice.span(self.jitter);
        Some(last.map_or(at, |last| at.max(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_lane_passes_nothing_and_a_plain_one_everything_at_once() {
        let (now, mut dice) = (Instant::now(), Dice::new(1));
        assert_eq!(Lane::CUT.arrival(now, None, &mut dice), None);
        assert_eq!(Lane::default().arrival(now, None, &mut dice), Some(now));
    }

    #[test]
    fn frames_keep_their_order_within_their_bounds() {
        let (now, mut dice, mut last) = (Instant::now(), Dice::new(7), None);
        let (delay, jitter) = (Duration::from_millis(20), Duration::from_millis(30));
        for _ in 0..1_000 {
            let at = Lane::slow(delay, jitter).arrival(now, last, &mut dice).unwrap();
            assert!(Some(at) >= last && at >= now + delay && at < now + delay + jitter);
            last = Some(at);
        }
    }

    #[test]
    fn as_many_are_lost_as_was_asked_for() {
        let (now, mut dice) = (Instant::now(), Dice::new(3));
        let lane = Lane::default().losing(200);
        let lost = (0..10_000).filter(|_| lane.arrival(now, None, &mut dice).is_none()).count();
        assert!((1_700..2_300).contains(&lost), "{lost}");
    }
}
