//! Epochs: the numbers that order everything which must never be done twice or by two.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ApplicationName, Incarnation};

/// How many times the primary role of one pair was given out. 0 is "never". Raised durably before it is used, never lowered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Nobody was ever primary.
    pub const NONE: Epoch = Epoch(0);

    /// The epoch after this one. No pair lives long enough to reach the last one.
    pub fn next(self) -> Epoch {
        Epoch(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An epoch together with the member that may be primary in it. Every comparison of roles is of both together
/// (`docs/safety.md`): the same epoch with another holder is another role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoleEpoch {
    /// The number.
    pub epoch: Epoch,
    /// Who may be primary in it.
    pub holder: ApplicationName,
}

impl RoleEpoch {
    /// The role of `holder` in `epoch`.
    pub fn new(epoch: Epoch, holder: ApplicationName) -> Self {
        Self { epoch, holder }
    }
}

impl fmt::Display for RoleEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.epoch, self.holder)
    }
}

/// How many times leadership among the control servers was taken. Agents refuse orders of a lower one (invariant S2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ControllerEpoch(pub u64);

/// One leadership: its number, and a random identity that no other one has. A store that is older than it should be counts to
/// a number a second time; agents tell the two by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeadershipId {
    /// Its number.
    pub epoch: ControllerEpoch,
    /// Drawn when it was taken.
    pub incarnation: Incarnation,
}

impl fmt::Display for ControllerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
