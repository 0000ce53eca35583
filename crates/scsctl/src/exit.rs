//! How a command can end: the one list of exit codes, and the failures that lead to them.
//!
//! It knows no commands. The law: scripts may rely on every number here.

use std::fmt;
use std::process::ExitCode;

/// Exit codes of `scsctl`. The numbers are a promise to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or already so.
    Done = 0,
    /// It was tried and failed, or a condition that was asked for does not hold.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The server refused it, with a reason; nothing was done.
    Refused = 3,
    /// The server could not be reached; nothing was done.
    Unreachable = 4,
    /// It was sent, and what became of it is not known, or it waits for an agent that is not heard.
    Unknown = 5,
    /// It would interrupt service: say `--yes` if that is meant.
    NeedsYes = 6,
    /// A configuration file is wrong.
    BadConfiguration = 78,
}

impl Exit {
    /// Every code with its sentence, in the order of the numbers.
    pub const ALL: &'static [(Exit, &'static str)] = &[
        (Exit::Done, "done, or already so"),
        (Exit::Failed, "it was tried and failed, or a condition that was asked for does not hold"),
        (Exit::Usage, "the command line is wrong"),
        (Exit::Refused, "the server refused it, with a reason; nothing was done"),
        (Exit::Unreachable, "the server could not be reached; nothing was done"),
        (
            Exit::Unknown,
            "it was sent, and what became of it is not known, or it waits for an agent that is not heard",
        ),
        (Exit::NeedsYes, "it would interrupt service: say `--yes` if that is meant"),
        (Exit::BadConfiguration, "a configuration file is wrong"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command ended without success. Each becomes one message on the error stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    exit: Exit,
    /// One sentence: what was found.
    pub message: String,
    /// Each reason.
    pub because: Vec<String>,
    /// The command to run next; empty if there is none.
    pub try_next: String,
}

impl Failure {
    /// A failure that ends with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), because: Vec::new(), try_next: String::new() }
    }

    /// Adds a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.because.push(reason.into());
        self
    }

    /// Adds the command to run next.
    #[must_use]
    pub fn try_next(mut self, command: impl Into<String>) -> Self {
        self.try_next = command.into();
        self
    }

    /// The code to end with.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for reason in &self.because {
            write!(f, "\n  because {reason}")?;
        }
        if !self.try_next.is_empty() {
            write!(f, "\n  try: {}", self.try_next)?;
        }
        Ok(())
    }
}
