//! What agents and control servers say to one another about grants: requests for votes, their answers, releases.
//!
//! Knows no rules. The law: a request carries no moments, as clocks are not shared; the one who asks keeps them under the
//! number (`docs/safety.md`, G3).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    AddpSettings, ClockDoubt, ClockReading, Epoch, HostName, Incarnation, PairName, RoleEpoch, Terms,
};

/// A request for a vote, new or again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VoteAsk {
    /// Of which pair.
    pub pair: PairName,
    /// The life of the agent that asks; the answer repeats it.
    pub incarnation: Incarnation,
    /// Rises with every request of that life; the answer repeats it.
    pub number: u64,
    /// What is asked for.
    pub role: RoleEpoch,
    /// How long the voter is bound by a yes, if the epoch is new to it (G13).
    pub lease: Duration,
}

/// The answer to a [`VoteAsk`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VoteAnswer {
    /// Of the request.
    pub pair: PairName,
    /// Of the request.
    pub incarnation: Incarnation,
    /// Of the request.
    pub number: u64,
    /// What was asked for.
    pub role: RoleEpoch,
    /// Yes or no.
    pub verdict: Verdict,
    /// What the clock of whoever answers shows; filled in when it is sent. No vote depends on it: see [`crate::clock`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockReading>,
}

/// Yes or no.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Granted or renewed.
    Given,
    /// Nothing changed.
    Refused {
        /// What the voter has promised: a higher role of another holder overtakes the one who asked (G5).
        promised: Option<RoleEpoch>,
        /// For people.
        why: String,
    },
}

/// The holder never acts again in `role` or a lower epoch: its page says no, it is gone or demoted, and that is durable (G5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Release {
    /// Of which pair.
    pub pair: PairName,
    /// The holder, and the highest epoch that it gave up.
    pub role: RoleEpoch,
}

/// What one agent remembers of the other, said when they meet: an agent whose memory was set back learns of it (A3, G11).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Remembered {
    /// Of which pair.
    pub pair: PairName,
    /// The highest role that the other agent voted for.
    pub voted: Option<RoleEpoch>,
    /// The highest epoch that the other agent released.
    pub released: Epoch,
    /// The longest that the one who says this counts on, of what was voted for it (G13); zero from who does not know.
    #[serde(default)]
    pub lease: Duration,
}

/// What a member of a pair with `policy = "strict"` needs beyond its [`crate::PairPlace`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StrictPlace {
    /// The spans of its grants.
    pub terms: Terms,
    /// The host of the other member; the own host if both are there (G12).
    pub peer_host: HostName,
    /// Where that host's agent listens, tried in turn: `ADDRESS:PORT`, or `unix:/PATH`.
    pub peer_addresses: Vec<String>,
    /// How the link between both agents is watched.
    pub peer_addp: AddpSettings,
}

/// What comes with an order to be primary under `strict`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GrantTold {
    /// The lease of this epoch.
    pub lease: Duration,
    /// What a fencing device has ended (G10).
    pub fenced: Option<RoleEpoch>,
}

/// How an agent's vote in a pair stands; part of its report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GrantReport {
    /// Its memory was empty: it has to be told what the store holds before it may vote (G11).
    pub unread: bool,
    /// Its memory was empty a moment ago: it votes for nobody for a lease (G7).
    pub silent: bool,
    /// The link to the other member's agent is open.
    pub peer_heard: bool,
    /// The highest epoch that it heard the other member's agent release.
    pub peer_released: Epoch,
    /// Clocks of the pair's voters that did not run within the allowed drift of the agent's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<ClockDoubt>,
    /// The longest that it has promised for, or that its own member counts on (G13); zero if nothing, or from who does not know.
    #[serde(default)]
    pub lease: Duration,
}
