//! How the agent can end. The numbers are a promise to scripts and service units.
//!
//! Refuses to know why. The law: 78 means that a start without a person's help is pointless.

use std::process::ExitCode;

/// Exit codes of `lca`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was asked to end and ended; or `--check` found nothing wrong.
    Done = 0,
    /// It could not begin, or could not go on.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No agent answers.
    Unreachable = 4,
    /// Settings are wrong, or state was refused.
    BadConfiguration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
