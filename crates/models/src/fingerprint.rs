//! Sixty-four bits of a state, equal for states that differ only by which of two equals is called which.
//!
//! The law: what is fed decides what counts as the same state, so `world.rs` says for each part why that is enough.

use std::hash::Hasher;

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Folds what a state feeds it. Names of members can be swapped on the way: the two hosts are equals, and a state and its
/// mirror image need to be visited once.
pub struct Fold {
    bits: u64,
    mirrored: bool,
}

impl Fold {
    /// Begins; `mirrored` swaps the members `a` and `b`.
    pub fn new(mirrored: bool) -> Self {
        Self { bits: 0x243f_6a88_85a3_08d3, mirrored }
    }

    fn mix(&mut self, word: u64) {
        let product = u128::from(self.bits ^ word) * u128::from(MULTIPLIER | 1);
        // Both halves count, and what came before is turned, so that order matters.
        self.bits = (product as u64) ^ ((product >> 64) as u64) ^ self.bits.rotate_left(23);
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        let mut bits = self.bits;
        bits ^= bits >> 33;
        bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
        bits ^= bits >> 33;
        bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        bits ^ (bits >> 33)
    }

    fn write(&mut self, bytes: &[u8]) {
        match (bytes, self.mirrored) {
            (b"a", true) => self.mix(u64::from(b'b')),
            (b"b", true) => self.mix(u64::from(b'a')),
            _ => bytes.chunks(8).for_each(|chunk| {
                self.mix(chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
            }),
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.mix(n as u64);
    }
}

/// For keys of a few small numbers.
#[derive(Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, n: u64) {
        let product = u128::from(self.0 ^ n ^ 0x243f_6a88_85a3_08d3) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn write_u128(&mut self, n: u128) {
        self.write_u64((n >> 64) as u64);
        self.write_u64(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hash;
    use understudy_model::ApplicationName;

    fn fold(names: &[&str], mirrored: bool) -> u64 {
        let mut fold = Fold::new(mirrored);
        names.iter().for_each(|name| ApplicationName::new(name).unwrap().hash(&mut fold));
        fold.finish()
    }

    #[test]
    fn a_mirror_image_is_the_same_and_order_matters() {
        assert_eq!(fold(&["a", "b", "a"], false), fold(&["b", "a", "b"], true));
        assert_ne!(fold(&["a", "b"], false), fold(&["b", "a"], false));
        assert_ne!(fold(&["a", "a"], false), fold(&["a"], false));
    }

    #[test]
    fn few_words_do_not_collide() {
        let mut seen = std::collections::BTreeSet::new();
        for one in 0..300_u64 {
            for two in 0..300_u64 {
                let mut fold = Fold::new(false);
                fold.write_u64(one * 1_000_000);
                fold.write_u64(two * 1_000_000);
                seen.insert(fold.finish());
            }
        }
        assert_eq!(seen.len(), 90_000);
    }
}
