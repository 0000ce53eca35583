//! Which members of a pair have everything that was acknowledged, and how a primary has that changed (G14).
//!
//! Knows no rules and no data. The law: a member is named together with its host, as its data stays where it was when the
//! member moves.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ApplicationName, Epoch, HostName, Incarnation, PairName, RoleEpoch};

/// The record of one pair: these members have everything that was acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InSync {
    /// The epoch whose primary said so, or that was given out by force; whoever is not named is out since then.
    pub since: Epoch,
    /// Each with the host where its data is. Nobody: nobody is known to have everything.
    pub members: BTreeMap<ApplicationName, HostName>,
}

impl InSync {
    /// These members, since that epoch.
    pub fn of<'m>(
        since: Epoch,
        members: impl IntoIterator<Item = (&'m ApplicationName, &'m HostName)>,
    ) -> Self {
        let members = members.into_iter().map(|(name, host)| (name.clone(), host.clone())).collect();
        Self { since, members }
    }

    /// That member, on that host, has everything.
    pub fn has(&self, application: &ApplicationName, host: &HostName) -> bool {
        self.members.get(application) == Some(host)
    }

    /// What is certain if nobody knows which of two records is stored: only who is named by both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let both = self.members.iter().filter(|(name, host)| other.has(name, host));
        Self::of(self.since.min(other.since), both)
    }
}

impl fmt::Display for InSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.members.is_empty() {
            return write!(f, "nobody is known to");
        }
        for (at, name) in self.members.keys().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
        }
        write!(f, " (since epoch {})", self.since)
    }
}

/// What a primary wants the record of its pair to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InSyncWish {
    /// It alone: it is about to acknowledge what the other one does not have.
    LeaveOut,
    /// Both: the other one has everything, and nothing is acknowledged any more that it does not have.
    CaughtUp,
}

impl InSyncWish {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::LeaveOut, Self::CaughtUp];
}

/// A primary's wish, as its agent brings it to the control server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InSyncAsk {
    /// Of which pair.
    pub pair: PairName,
    /// The life of the agent that asks; the answer repeats it.
    pub incarnation: Incarnation,
    /// Rises with every wish of that life; one that is overtaken on its way is refused. The answer repeats it.
    pub number: u64,
    /// The role in which the member acts.
    pub role: RoleEpoch,
    /// What it wants.
    pub wish: InSyncWish,
}

/// The answer to an [`InSyncAsk`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InSyncAnswer {
    /// Of the wish.
    pub pair: PairName,
    /// Of the wish.
    pub incarnation: Incarnation,
    /// Of the wish.
    pub number: u64,
    /// Why it is not so, for people, bounded. Absent: it is durable.
    pub refused: Option<String>,
}
