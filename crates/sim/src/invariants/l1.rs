//! L1: when faults stop, every pair with a live member has exactly one primary soon.
//!
//! Soon: what the terms and the settings let every wait last, after the last fault has ended; see [`bound`]. It must come, and
//! stay so until the end of the run.

use super::Objection;
use super::s1::Acting;
use super::strain::Strain;
use crate::cast::Cast;
use crate::climate::{Climate, SECOND};

/// The longest that healing may take: the way back of links and daemons, restarts that wait, refusals that wait, changes
/// under way that are too slow and are rolled back, and the leases.
pub fn bound(climate: &Climate) -> u64 {
    let timers = climate.options.preset.timers();
    let change = u64::try_from(timers.switchover_timeout.as_nanos()).unwrap_or(u64::MAX);
    let grace = u64::try_from(timers.agent_restart_grace.as_nanos()).unwrap_or(u64::MAX);
    let lease = u64::try_from(timers.lease.as_nanos()).unwrap_or(u64::MAX);
    // A dial and a Hello that get no answer, a start that is too slow, the longest wait after refusals.
    let waits = (2 + 5 + 5 + 30) * SECOND;
    waits + 3 * change + grace + 2 * lease
}

/// L1.
#[derive(Debug)]
pub struct L1 {
    pub(super) objection: Objection,
    /// By pair: since when it has had exactly one primary.
    well_since: Vec<Option<u64>>,
    calm_from: u64,
    due: u64,
    /// By pair: when it was first well after the faults.
    healed: Vec<Option<u64>>,
}

impl L1 {
    pub(super) fn new(climate: &Climate, cast: &Cast) -> Self {
        let count = cast.pairs.len();
        Self {
            objection: Objection::default(),
            well_since: vec![None; count],
            calm_from: climate.stormy,
            due: climate.stormy + bound(climate),
            healed: vec![None; count],
        }
    }

    pub(super) fn judge(&mut self, now: u64, pair: usize, acting: &Acting, strain: &Strain) {
        let sole = acting.sole();
        let wanted = acting.parts.iter().any(|part| !strain.for_good[*part]);
        if sole.is_some() || !wanted {
            self.well_since[pair].get_or_insert(now);
        } else {
            self.well_since[pair] = None;
        }
        if now <= self.calm_from {
            return;
        }
        if let Some(since) = self.well_since[pair] {
            self.healed[pair].get_or_insert(since.max(self.calm_from));
        } else if now > self.due {
            let acts = acting.acts;
            let what = || format!("pair {pair} has not exactly one primary after the faults: {acts:?}");
            self.objection.raise("L1", now, what);
        }
    }

    /// Every pair has been well for that long.
    pub fn is_well_for(&self, now: u64, span: u64) -> bool {
        self.well_since.iter().all(|since| since.is_some_and(|since| now - since.max(self.calm_from) >= span))
    }

    /// The last moment at which all must be well.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// How long the slowest pair took, from the end of the faults.
    pub fn slowest(&self) -> Option<u64> {
        let spans = self.healed.iter().map(|healed| Some((*healed)?.saturating_sub(self.calm_from)));
        spans.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}
