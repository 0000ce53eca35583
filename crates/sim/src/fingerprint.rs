//! One number for everything that was observed and decided in a run, in order.
//!
//! Refuses to know what it is made of. The law: it depends on nothing but the values, so that two runs of one seed can be
//! compared bit for bit.

use std::hash::{Hash, Hasher};

/// The number so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    state: u64,
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self { state: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Fingerprint {
    /// Takes one more value in.
    pub fn take(&mut self, value: &impl Hash) {
        value.hash(self);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.state
    }
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = (self.state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
