//! L1: when faults stop, every pair with a live member has exactly one primary soon. A process that was killed and cannot end
//! is none.
//!
//! Soon: `Lc + L` (under `strict`), and what this world itself needs when its last fault has ended; see [`bound`]. It must
//! come, and stay so until the end of the run. What a pair waited for is kept once a second, for the slowest.

use std::collections::BTreeMap;

use understudy_model::{Policy, Rule};

use super::Objection;
use super::s1::Acting;
use super::strain::Strain;
use crate::cast::Cast;
use crate::climate::{CALLS, Climate, SECOND};
use crate::world::reloads::longest_lease;

/// The longest that healing may take. `Lc + L`, if the pair has leases; a call under way when the faults end, which may wait
/// for its dial, its Hello and its turn ([`CALLS`]); a change of roles under way, which may be too slow; and the looks of
/// operators who take back what they asked for ([`LOOKS`]).
pub fn bound(climate: &Climate) -> u64 {
    let timers = climate.options.preset.timers();
    let nanos = |span: std::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let leases = match climate.options.policy {
        Policy::Strict => 2 * nanos(longest_lease(climate)),
        Policy::Available => 0,
    };
    leases + CALLS + nanos(timers.switchover_timeout) + LOOKS
}

/// Operators look once a second, and their first wish may be refused.
const LOOKS: u64 = 2 * SECOND;

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
    /// By pair: how often which rule stood in the way, once a second until it was well.
    waited: Vec<BTreeMap<&'static str, u32>>,
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
            waited: vec![BTreeMap::new(); count],
        }
    }

    /// It has not been well since the faults ended.
    pub fn awaits(&self, pair: usize) -> bool {
        self.healed[pair].is_none()
    }

    /// What a pair waits for, as the control server explains it.
    pub fn waits_for(&mut self, pair: usize, rule: Option<Rule>) {
        let word = rule.map_or("no-control-server", Rule::id);
        *self.waited[pair].entry(word).or_default() += 1;
    }

    /// What the slowest pair waited for, and how often that was seen.
    pub fn waits_of_slowest(&self) -> Vec<(&'static str, u32)> {
        let slowest = (0..self.healed.len()).max_by_key(|pair| self.healed[*pair].unwrap_or(u64::MAX));
        slowest
            .map(|pair| self.waited[pair].iter().map(|(word, count)| (*word, *count)).collect())
            .unwrap_or_default()
    }

    pub(super) fn judge(&mut self, now: u64, pair: usize, acting: &Acting, strain: &Strain) {
        let sole = acting.sole_that_runs();
        // Whose disk still hangs now is not waited for.
        let wanted = acting.parts.iter().any(|part| !strain.for_good[*part] && strain.clings[*part] == 0);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::climate::Options;

    #[test]
    fn a_pair_that_has_not_healed_by_the_bound_is_objected_to_and_not_before() {
        let climate = Climate::of(1, Options { policy: Policy::Strict, ..Options::default() });
        assert_eq!(
            bound(&climate),
            27 * SECOND,
            "two leases of 3 s, 9 s for a call, 10 s for a change, two looks"
        );
        let cast = Cast::of(&climate);
        let (mut l1, strain) = (L1::new(&climate, &cast), Strain::new(&climate, &cast));
        let acting = Acting { parts: cast.pairs[0].members, ..Acting::default() };
        l1.judge(l1.due(), 0, &acting, &strain);
        assert!(l1.objection.0.is_none());
        l1.judge(l1.due() + 1, 0, &acting, &strain);
        assert!(l1.objection.0.is_some());
    }
}
