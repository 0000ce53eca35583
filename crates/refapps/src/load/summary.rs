//! What the load client prints: moments as they happen, and one summary at the end.
//!
//! Knows only how they look as JSON. The law: a figure that cannot be had is `null`, never made up.

use serde::Serialize;

/// Something worth a line while it happens.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happening {
    /// Whoever served refused a write or cannot be reached.
    OutageBegan {
        /// The member that served, counted from 0.
        member: usize,
        /// Its epoch.
        epoch: u64,
    },
    /// A write was acknowledged after an outage.
    ServedAgain {
        /// By whom.
        member: usize,
        /// In which epoch.
        epoch: u64,
        /// From the last acknowledged write before to this one, in milliseconds.
        outage_ms: f64,
    },
    /// A higher epoch than ever before was in an answer.
    EpochChanged {
        /// By whom.
        member: usize,
        /// The new one.
        epoch: u64,
    },
    /// A member says something else of itself than before.
    MemberSays {
        /// Who.
        member: usize,
        /// `primary`, `backup`, or `silent` if it cannot be reached.
        role: &'static str,
        /// Its epoch, if it says one.
        epoch: Option<u64>,
    },
    /// Proof of two primaries; see `Measure`.
    Dual {
        /// Who acted although it must not.
        member: usize,
        /// In which epoch.
        epoch: u64,
        /// The epoch in which the other member had acted before.
        other_epoch: u64,
    },
}

/// A happening with its time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// Since the start, in milliseconds.
    pub at_ms: f64,
    /// What.
    #[serde(flatten)]
    pub happening: Happening,
}

/// A span in which no write was acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outage {
    /// The last acknowledged write before, since the start, in milliseconds.
    pub from_ms: f64,
    /// From there to the first acknowledged write after, or to the end of the run, in milliseconds.
    pub ms: f64,
    /// The epoch of the write before.
    pub epoch_before: u64,
    /// The epoch of the write after; `null` if the run ended first.
    pub epoch_after: Option<u64>,
}

/// Everything, at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Writes that a member acknowledged.
    pub writes_acknowledged: u64,
    /// Writes handed to the network, whatever became of them; a refused one that is sent again counts again.
    pub writes_sent: u64,
    /// Writes that a member refused, most of them because it is the backup, and those whose answer was rejected.
    pub writes_refused: u64,
    /// Writes whose fate is not known: the connection ended, or no answer came in time.
    pub writes_unanswered: u64,
    /// How many acknowledged writes could be looked up at the end: those of the present primary's epoch. `null` without
    /// `--verify`, or if nobody serves at the end.
    pub acknowledged_checked: Option<u64>,
    /// How many of those are gone. `null` likewise.
    pub acknowledged_lost: Option<u64>,
    /// In the order in which they began.
    pub outages: Vec<Outage>,
    /// Outages beyond the list's bound.
    pub outages_not_listed: u64,
    /// Of all outages; 0 if there was none.
    pub longest_outage_ms: f64,
    /// Answers that prove two primaries; see `Measure`.
    pub dual_primary_observations: u64,
    /// Every epoch in which somebody acted, from low to high.
    pub epochs_seen: Vec<u64>,
    /// Acts in an epoch below one in which somebody had acted before they were asked for.
    pub lower_epoch_answers: u64,
    /// Acts that the client rejected, as it had seen a higher epoch: they count as refused.
    pub stale_rejected: u64,
    /// Acts in an epoch below one in which somebody had acted before they were asked for, which the client accepted all
    /// the same. Anything but 0 is a mistake of the client.
    pub stale_accepted: u64,
}
