//! Who has everything that this primary acknowledged: what it may have recorded, and why that may fail.
//!
//! Knows no data and no other member. The law: whatever is not certainly recorded counts as not recorded.

use std::time::Duration;

/// Why it is not certain that the record says so. It may all the same: see [`crate::Understudy::peer_caught_up`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InSyncError {
    /// This application may not act as primary now, or stopped to while it waited.
    #[error("this application does not act as primary, or did not for all of the time that this took")]
    NotActing,
    /// There is no link to the agent.
    #[error("the agent is not there: nothing was recorded")]
    NoAgent,
    /// The agent's version has no words for it.
    #[error("the agent is of a version that carries no such word: update the agent")]
    OldAgent,
    /// It was not recorded, or nobody can know: what the agent or the control server said.
    #[error("it is not certain to be recorded: {0}")]
    Refused(String),
    /// Nobody answered in time.
    #[error("nobody answered within {0:?}: nobody can know what is recorded")]
    Late(Duration),
}
