//! Chance from a seed: every run can be had again from one number.
//!
//! Refuses to know a clock, an address or any other source of randomness. The law: the same seed gives the same numbers on
//! every machine; each part of the world has dice of its own, so that one fault more or less leaves the others' throws alone.

/// A pair of dice (xoshiro256**, seeded by splitmix64).
#[derive(Debug, Clone)]
pub struct Dice {
    state: [u64; 4],
}

fn splitmix(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Dice {
    /// Dice of one seed, for one part of the world.
    pub fn new(seed: u64, part: u64) -> Self {
        let mut state = seed ^ part.wrapping_mul(0xd134_2543_de82_ef95);
        Self { state: std::array::from_fn(|_| splitmix(&mut state)) }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.any()) * u128::from(bound)) >> 64) as u64
    }

    /// An index below `bound`.
    pub fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// From `low` to `high`, short ones as likely as long ones: each doubling has the same chance.
    pub fn scaled(&mut self, low: u64, high: u64) -> u64 {
        let (low, high) = (low.max(1), high.max(1));
        let doublings = u64::from(63 - (high / low).max(1).leading_zeros());
        let base = low << self.between(0, doublings);
        self.between(base, base.saturating_mul(2)).min(high)
    }

    /// True in `per_mille` of a thousand throws.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_throws_and_parts_differ() {
        let throws = |seed, part| {
            let mut dice = Dice::new(seed, part);
            [dice.any(), dice.any(), dice.any()]
        };
        assert_eq!(throws(7, 1), throws(7, 1));
        assert_ne!(throws(7, 1), throws(7, 2));
        assert_ne!(throws(7, 1), throws(8, 1));
    }

    #[test]
    fn throws_stay_within_their_bounds() {
        let mut dice = Dice::new(1, 1);
        for _ in 0..10_000 {
            assert!((3..=9).contains(&dice.between(3, 9)));
            assert!((10..=10_000).contains(&dice.scaled(10, 10_000)));
            assert!(dice.below(5) < 5);
        }
        assert_eq!((dice.below(0), dice.chance(0), dice.chance(1000)), (0, false, true));
    }
}
