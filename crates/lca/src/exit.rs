//! How the agent can end. The numbers are a promise to scripts and service units.
//!
//! Refuses to know why. The law: 78 means that a start without a person's help is pointless.

use std::io::{self, ErrorKind};
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

/// Whether the system refuses a file for a reason that only a person can mend. A disk that is full, cannot be written to or
/// fails may be well again, so that another start is worth a try.
pub fn needs_a_person(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}
