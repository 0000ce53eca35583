//! How the control server can end. The numbers are a promise to scripts and service units.

use std::process::ExitCode;

/// Exit codes of `scs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was asked to end and ended; or `--check` found nothing wrong.
    Done = 0,
    /// It could not start, or could not go on.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// It was refused; nothing was changed.
    Refused = 3,
    /// It needs a word of consent.
    NeedsYes = 6,
    /// A settings file is wrong.
    BadConfiguration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
