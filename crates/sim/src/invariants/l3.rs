//! L3: with only the control plane gone, nothing that runs stops.
//!
//! Judged where it is certain: for a long span nothing but the control server, its store and the ways to it was broken, and
//! nobody wished anything.

use super::Objection;
use super::strain::Strain;
use crate::climate::{Climate, SECOND};

/// How long nothing else was broken.
const LONG: u64 = 40 * SECOND;

/// L3.
#[derive(Debug)]
pub struct L3 {
    pub(super) objection: Objection,
}

impl L3 {
    pub(super) fn new(_: &Climate) -> Self {
        Self { objection: Objection::default() }
    }

    /// A member has ended.
    pub fn ended(&mut self, now: u64, part: usize, strain: &Strain) {
        if strain.all_but_control_whole(now, LONG) {
            self.objection.raise("L3", now, || format!("part {part} ended, and only the control plane was gone"));
        }
    }
}
