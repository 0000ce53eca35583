//! Questions for what an application printed, and the answers, one bounded piece at a time.
//!
//! Knows no files and no journal. The law: whoever asks pulls: nothing is sent that was not asked for, so that a slow
//! reader costs nobody anything.

use serde::{Deserialize, Serialize};

use crate::ApplicationName;

/// The most bytes of one piece.
pub const MOST_LOG_BYTES: usize = 32 * 1024;
/// The most lines that a first question may ask for.
pub const MOST_LOG_LINES: u32 = 10_000;
/// The longest place, in bytes.
pub const LONGEST_LOG_PLACE_BYTES: usize = 1024;

/// A question for the next piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuestion {
    /// Tells questions apart; the answer repeats it.
    pub id: u64,
    /// Whose output.
    pub application: ApplicationName,
    /// Where it begins.
    pub from: LogPlace,
}

/// Where a piece begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogPlace {
    /// So many lines before the end, and not before that time (milliseconds of the Unix clock) if one is given.
    Last {
        /// At most [`MOST_LOG_LINES`].
        lines: u32,
        /// Not older than this.
        since_wall_ms: Option<i64>,
    },
    /// Where an earlier piece ended, in the agent's own words.
    After(String),
}

/// The answer to a [`LogQuestion`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAnswer {
    /// That of the question.
    pub id: u64,
    /// The piece, or why there is none, for people.
    pub outcome: Result<LogPiece, String>,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPiece {
    /// As it was printed; at most [`MOST_LOG_BYTES`].
    pub bytes: Vec<u8>,
    /// Where the next piece begins.
    pub next: String,
    /// There is more already.
    pub more: bool,
    /// Something between the last piece and this one is gone.
    pub missing: bool,
}
