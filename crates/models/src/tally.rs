//! What a run reached: a run that reached nothing proves nothing.

use crate::world::Scope;

/// How often each was seen, counted over transitions.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// A page became primary.
    pub acting: u64,
    /// A second holder acts, and the first one released.
    pub by_release: u64,
    /// A second holder acts, and the first one never released.
    pub by_expiry: u64,
    /// A role of another holder was stored by a later leadership.
    pub after_leader_change: u64,
    /// A member that acts took a higher epoch.
    pub reaffirmed: u64,
    /// An order for an epoch that was closed or overtaken was refused.
    pub stale_refused: u64,
    /// The former leader refused a vote because its own clock had run out.
    pub deposed_silent: u64,
    /// An agent started again and adopted a member that acts.
    pub adopted: u64,
    /// A promise ended by a device was followed by an order that says so.
    pub by_device: u64,
    /// A store that was restored took a new role.
    pub after_restore: u64,
    /// An agent without memory voted again.
    pub remembered: u64,
}

impl Tally {
    fn all(&mut self) -> [&mut u64; 11] {
        [
            &mut self.acting,
            &mut self.by_release,
            &mut self.by_expiry,
            &mut self.after_leader_change,
            &mut self.reaffirmed,
            &mut self.stale_refused,
            &mut self.deposed_silent,
            &mut self.adopted,
            &mut self.by_device,
            &mut self.after_restore,
            &mut self.remembered,
        ]
    }

    /// What was reached by a single step, which reaches each thing once: a bit for each.
    pub fn reached(mut self) -> u16 {
        let bits = self.all().into_iter().enumerate();
        bits.fold(0, |reached, (bit, count)| reached | u16::from(*count > 0) << bit)
    }

    /// Counts what a single step reached.
    pub fn count(&mut self, reached: u16) {
        if reached > 0 {
            let bits = self.all().into_iter().enumerate();
            bits.for_each(|(bit, count)| *count += u64::from(reached >> bit & 1));
        }
    }

    /// Each with its name, and whether a run within `scope` has to reach it.
    pub fn lines(&self, scope: &Scope) -> Vec<(&'static str, u64, bool)> {
        vec![
            ("acting primaries", self.acting, true),
            ("failovers by release", self.by_release, true),
            ("failovers by expiry", self.by_expiry, true),
            ("promotions after a leader change", self.after_leader_change, scope.leaderships > 1),
            ("reaffirmed while acting", self.reaffirmed, true),
            ("stale orders refused", self.stale_refused, true),
            ("votes refused after the leader's lease", self.deposed_silent, true),
            ("members adopted", self.adopted, true),
            ("orders after a fencing device", self.by_device, scope.fencing),
            ("roles stored after a restore", self.after_restore, scope.restores),
            ("memories regained", self.remembered, scope.wipes),
        ]
    }

    /// What a run within `scope` should have reached and did not.
    pub fn missing(&self, scope: &Scope) -> Vec<&'static str> {
        let lines = self.lines(scope).into_iter();
        lines.filter(|(_, count, needed)| *needed && *count == 0).map(|(name, ..)| name).collect()
    }
}
