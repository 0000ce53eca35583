//! L3: with only the control plane gone, nothing that runs stops.
//!
//! Judged where it is certain: for a long span nothing but the control server, its store and the ways to it was broken, and
//! nobody wished anything; and the control server has been dead or frozen for two leases. Under `policy = "available"` the ways to it must have been whole too.

use understudy_model::Policy;

use super::Objection;
use super::strain::Strain;
use crate::climate::Climate;
use crate::world::reloads::longest_lease;

/// L3.
#[derive(Debug)]
pub struct L3 {
    pub(super) objection: Objection,
    /// How long nothing else was broken.
    long: u64,
    strict: bool,
    /// A lease, in nanoseconds.
    lease: u64,
    tested: bool,
    /// How often what is demanded was put to the test.
    pub judged: u64,
}

impl L3 {
    pub(super) fn new(climate: &Climate) -> Self {
        let strict = climate.options.policy == Policy::Strict;
        let lease = longest_lease(climate);
        let lease = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
        Self {
            objection: Objection::default(),
            long: climate.long(),
            strict,
            lease,
            tested: false,
            judged: 0,
        }
    }

    /// Nothing but the control plane is gone, and has been for long enough to be judged.
    fn is_tested(&self, now: u64, strain: &Strain) -> bool {
        // Whoever accepts two primaries promotes the other member of a host that is cut off.
        strain.control_gone.broken_for(now, self.lease * 2)
            && (self.strict || strain.ways_to_control_whole(now, self.long))
            && strain.all_but_control_whole(now, self.long)
    }

    pub(super) fn judge(&mut self, now: u64, strain: &Strain) {
        let tested = self.is_tested(now, strain);
        self.judged += u64::from(tested && !self.tested);
        self.tested = tested;
    }

    /// A member has ended. `begun_anew`: it is to be primary by a new start, as was ordered before.
    pub fn ended(&mut self, now: u64, part: usize, begun_anew: bool, strain: &Strain) {
        if self.is_tested(now, strain) && !begun_anew {
            self.objection
                .raise("L3", now, || format!("part {part} ended, and only the control plane was gone"));
        }
    }
}
