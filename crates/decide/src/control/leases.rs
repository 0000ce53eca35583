//! Leases of `strict` pairs that change: which one the next epoch has, when the acting member is given one for it, and what the
//! store is told when nobody counts on the longer one any more.
//!
//! Refuses to know why somebody wants another lease, and what a promise is: `grants::leader` decides that. The law (G13): a
//! lease holds for one whole epoch, and what the store holds is never shorter than what any holder counts on.

use std::time::Duration;

use understudy_model::{Moment, PairName};

use super::state::Pair;
use super::{Control, ControlDo, ControlRecord, Out, RETRY};

/// What waits for another decision waits so long: it is the next one.
const NEXT_DECISION: Duration = Duration::from_millis(1);

impl Control {
    /// The acting member's epoch has another lease than the pair has now.
    pub(super) fn lease_is_another(&self, pair: &Pair) -> bool {
        pair.granting.as_ref().is_some_and(|granting| {
            granting.leader.lease_differs()
                && !granting.leader.is_restored()
                && granting.leader.writing().is_none()
        })
    }

    /// The longest that anything of this pair may be promised for.
    pub(super) fn longest_lease(&self, pair: &Pair) -> Duration {
        let covers = pair.granting.as_ref().map_or(Duration::ZERO, |granting| granting.leader.covers());
        pair.spec.timers.lease.max(covers)
    }

    /// The holder asked in an epoch of a shorter lease: the next leader need not wait for the longer one. Until that is stored
    /// it does, which costs time only.
    pub(super) fn store_shorter_lease(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(granting) = self.pairs.get_mut(name).and_then(|pair| pair.granting.as_mut()) else { return };
        let lease = granting.leader.covers();
        let shorter = self.memory.grants.leases.get(name).is_some_and(|stored| *stored > lease);
        let settled = granting.leader.writing().is_none() && !granting.leader.is_restored();
        if !shorter || !settled || now < granting.shorten_from {
            return;
        }
        // No vote is in one decision with something to store: it would be lost with it.
        if out.actions.iter().any(|action| matches!(action, ControlDo::Vote { .. })) {
            granting.shorten_from = now + NEXT_DECISION;
            return;
        }
        granting.shorten_from = now + RETRY;
        self.shortened.insert(name.clone(), lease);
        out.persist.push(ControlRecord::SetLease { pair: name.clone(), lease });
    }

    /// When a shorter lease that waits is to be stored.
    pub(super) fn shortens_at(&self, name: &PairName) -> Option<Moment> {
        let granting = self.pairs.get(name)?.granting.as_ref()?;
        let stored = self.memory.grants.leases.get(name)?;
        (*stored > granting.leader.covers() && !self.shortened.contains_key(name))
            .then_some(granting.shorten_from)
    }

    /// This observation is not that the records of the decision before could not be stored, so they were.
    pub(super) fn acknowledge_shortened(&mut self) {
        self.memory.grants.leases.append(&mut self.shortened);
    }
}
