//! What is read back: plain values with the numbers and times that the store added.
//!
//! Knows no SQL. The law: words are read back as text, so that a row of an earlier or later version is still shown.

use serde::Serialize;
use understudy_model::{ControllerEpoch, EventKind, Fact, Moment, OperatorName};

use crate::EntryKind;

/// Who leads, or led last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// How often leadership was taken; 0 is never.
    pub epoch: ControllerEpoch,
    /// By whom last; empty if never.
    pub name: String,
}

/// Maintenance that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// When it ends by itself, in wall milliseconds.
    pub until_wall_ms: Option<i64>,
}

/// One token of the operators' API. The token itself is stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Whose; no other token has that name.
    pub name: OperatorName,
    /// The word of what it may.
    pub role: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Who made it.
    pub made_by: String,
    /// When, in wall milliseconds.
    pub made_wall_ms: i64,
    /// From when it opens nothing, in wall milliseconds; absent: never.
    pub expires_wall_ms: Option<i64>,
    /// When it last opened something, in wall milliseconds, to within some minutes; absent: never.
    pub last_used_wall_ms: Option<i64>,
}

/// One event as stored. Serialises to the form of `events -o json`, but for the time, which is a number here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredEvent {
    /// Its number; later ones are higher, and none is used twice.
    pub id: i64,
    /// When, in wall milliseconds.
    pub at_wall_ms: i64,
    /// The word of its kind.
    pub kind: String,
    /// The word of its severity.
    pub severity: String,
    /// About which host.
    pub host: Option<String>,
    /// About which application.
    pub application: Option<String>,
    /// About which pair.
    pub pair: Option<String>,
    /// The state or holder before.
    pub from: Option<String>,
    /// The state or holder after.
    pub to: Option<String>,
    /// The role epoch.
    pub epoch: Option<u64>,
    /// The rule that fired.
    pub rule: String,
    /// One sentence.
    pub reason: String,
    /// What the rule saw.
    pub because: Vec<Fact>,
    /// The rules that did not fire.
    pub nearly: Vec<StoredNearly>,
    /// Who asked.
    pub actor: Option<String>,
}

/// A rule that did not fire, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct StoredNearly {
    /// Which.
    pub rule: String,
    /// What was missing.
    pub missed: String,
}

/// Which events are wanted. All conditions hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those with a higher number.
    pub after_id: Option<i64>,
    /// Only those with a lower number.
    pub before_id: Option<i64>,
    /// Only those from this wall time on.
    pub since_wall_ms: Option<i64>,
    /// Only those about this host.
    pub host: Option<String>,
    /// Only those about this application.
    pub application: Option<String>,
    /// Only those about this pair.
    pub pair: Option<String>,
    /// Only those of these kinds; empty: of every kind.
    pub kinds: Vec<EventKind>,
    /// At most so many; never more than [`EventQuery::MOST`].
    pub limit: u32,
    /// The newest first; else the oldest first.
    pub newest_first: bool,
}

impl EventQuery {
    /// Most events of one answer.
    pub const MOST: u32 = 10_000;
}

impl Default for EventQuery {
    fn default() -> Self {
        Self {
            after_id: None,
            before_id: None,
            since_wall_ms: None,
            host: None,
            application: None,
            pair: None,
            kinds: Vec::new(),
            limit: 1_000,
            newest_first: false,
        }
    }
}

/// Which journal rows are wanted, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalQuery {
    /// Only those with a higher number.
    pub after_id: i64,
    /// Only those from this wall time on.
    pub since_wall_ms: i64,
    /// At most so many; never more than [`EventQuery::MOST`].
    pub limit: u32,
}

/// One journal row as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its number.
    pub id: i64,
    /// When, on the boot clock of then.
    pub at_boot: Moment,
    /// When, in wall milliseconds.
    pub at_wall_ms: i64,
    /// Seen or decided.
    pub kind: EntryKind,
    /// JSON.
    pub text: String,
}
