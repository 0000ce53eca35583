//! What is written together: changes, journal rows and events of one decision.
//!
//! Knows no SQL. The law: a batch is written as a whole or not at all, and one with changes is always durable.

use std::collections::BTreeSet;
use std::time::Duration;

use understudy_model::{
    ApplicationName, ControllerEpoch, Event, Goal, HostName, InSync, Moment, OperationId, OperatorName,
    PairName, RoleEpoch,
};

use crate::StoredToken;

/// One change of what must be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new role, if this leadership is still the stored one and the stored role is the expected one.
    RaiseEpoch {
        /// Of which pair.
        pair: PairName,
        /// What must be stored now; none if nobody ever was primary.
        expected: Option<RoleEpoch>,
        /// What is stored then; its epoch is above the expected one.
        next: RoleEpoch,
        /// The leadership that asks.
        controller_epoch: ControllerEpoch,
    },
    /// The longest that a holder of a pair may count on, if this leadership is still the stored one: in the batch of an epoch, or
    /// alone when it got shorter.
    SetLease {
        /// Of which pair.
        pair: PairName,
        /// Above zero.
        lease: Duration,
        /// The leadership that asks.
        controller_epoch: ControllerEpoch,
    },
    /// Who has everything that was acknowledged, if leadership, stored role and the record before are the expected ones. While
    /// a pair has a record, no role of it is stored for a member that the record does not name.
    SetInSync {
        /// Of which pair.
        pair: PairName,
        /// What must be stored as its role now.
        role: Option<RoleEpoch>,
        /// What must be recorded now; none if it has no record.
        expected: Option<InSync>,
        /// What is recorded then.
        next: InSync,
        /// The leadership that asks.
        controller_epoch: ControllerEpoch,
    },
    /// Forgets the records of all pairs but these: nobody promises anything of their data any more.
    KeepInSyncOf(BTreeSet<PairName>),
    /// The next leadership is far above this one, as after a restore. Never lowers the stored one; every write of the present one fails from then on.
    RaiseLeadership(ControllerEpoch),
    /// What somebody wants an application to be.
    SetGoal {
        /// Which.
        application: ApplicationName,
        /// To run or not.
        goal: Goal,
    },
    /// Maintenance on or off.
    SetMaintenance {
        /// What it is about, as text of the caller's choice, such as `pair tserver`.
        subject: String,
        /// On or off.
        on: bool,
        /// When it ends by itself, in wall milliseconds.
        until_wall_ms: Option<i64>,
    },
    /// This and all lower operation numbers are used. Never lowers the stored one.
    UseOperation(OperationId),
    /// The cluster's identity, as text.
    SetClusterId(String),
    /// Forgets the goal of an application that is configured no more.
    ForgetGoal(ApplicationName),
    /// What is remembered of a pair's changes of roles.
    SetFlap {
        /// Of which pair.
        pair: PairName,
        /// The boot whose clock its moments are of.
        boot: String,
        /// Text of the caller's choice.
        text: String,
    },
    /// A host that is held for planned work.
    SetHold {
        /// Which.
        host: HostName,
        /// The boot whose clock its moments are of.
        boot: String,
        /// Text of the caller's choice; nothing: it is held no longer.
        text: Option<String>,
    },
    /// The configuration that was last accepted, as text of the caller's choice.
    SetConfiguration(String),
    /// Forgets it.
    ForgetConfiguration,
    /// A new token. Fails if its name or its hash is there already.
    AddToken(StoredToken),
    /// Forgets a token, if there is one of that name.
    RemoveToken(OperatorName),
    /// When a token last opened something.
    UseToken {
        /// Whose.
        name: OperatorName,
        /// When, in wall milliseconds.
        at_wall_ms: i64,
    },
}

/// What a journal row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// What was seen.
    Observation,
    /// What was decided.
    Decision,
}

/// One row of the journal, which a replay reads in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// When, on the boot clock.
    pub at_boot: Moment,
    /// When, for people.
    pub at_wall_ms: i64,
    /// Seen or decided.
    pub kind: EntryKind,
    /// JSON, at most [`crate::LONGEST_TEXT_BYTES`].
    pub text: String,
}

/// What is written together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must be remembered. Not empty: the batch is durable, whatever `durable` says.
    pub changes: Vec<Change>,
    /// What was seen and decided.
    pub journal: Vec<JournalEntry>,
    /// What is told to people, each with its wall milliseconds.
    pub events: Vec<(i64, Event)>,
    /// Written and synced before it is acknowledged. Otherwise it is accepted at once, and written in order with the
    /// next durable batch or soon.
    pub durable: bool,
}

impl Batch {
    /// True if the acknowledgement means that it is on the disk.
    pub fn is_durable(&self) -> bool {
        self.durable || !self.changes.is_empty()
    }
}

/// The acknowledgement of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// On the disk; false: accepted.
    pub durable: bool,
    /// The number of the newest event on the disk; 0 if there is none.
    pub last_event: i64,
}
