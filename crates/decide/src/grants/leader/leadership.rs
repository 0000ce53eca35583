//! Whether a control server leads, by its own clock.
//!
//! Refuses to know pairs. The law (G7): whoever does not lead by its own clock votes, writes and orders nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{ControllerEpoch, Moment};

use crate::grants::terms::Terms;

/// The leadership of one control server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leadership {
    /// Counts leaderships; every write is bound to it.
    pub controller_epoch: ControllerEpoch,
    /// It leads before this moment.
    until: Moment,
}

impl Leadership {
    /// The store is this process's own while it lives, by a lock that the system takes back when it ends: no lease runs out.
    pub fn held_by_lock(controller_epoch: ControllerEpoch) -> Self {
        Self { controller_epoch, until: Moment(u64::MAX) }
    }

    /// The store gave the lease to a request that was sent at `sent`.
    pub fn acquired(controller_epoch: ControllerEpoch, sent: Moment, terms: &Terms) -> Self {
        Self { controller_epoch, until: sent + terms.leader_share() }
    }

    /// The store renewed the lease on a request that was sent at `sent`.
    pub fn renewed(&mut self, sent: Moment, terms: &Terms) {
        self.until = self.until.max(sent + terms.leader_share());
    }

    /// True while it may vote, write and order.
    pub fn leads(&self, now: Moment) -> bool {
        now < self.until
    }

    /// It is over, whatever the clock says: nobody knows what the store holds, or somebody else leads (G2).
    pub fn give_up(&mut self) {
        self.until = Moment::default();
    }

    /// As of the other machines.
    pub fn shift(&mut self, by: Duration) {
        self.until = self.until - by;
    }
}
