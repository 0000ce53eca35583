//! Why promises cannot be read or written, each with what to do.
//!
//! Refuses to know how the file is laid out. The law: a file that may be wrong is never repaired here; a person decides.

use std::io;
use std::path::PathBuf;

use crate::exit::needs_a_person;

/// Why an agent cannot begin with this promise file. The file is as it was, except for [`OpenError::Create`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There was none, and none could be made.
    #[error("cannot make the promise file {}: {source}; make room or set the rights, then start again", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is there and cannot be read.
    #[error("cannot read the promise file {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What it holds cannot be brought to the disk.
    #[error("cannot flush the promise file {}: {source}; look at the disk, then start again", path.display())]
    Flush {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another kind of file.
    #[error("{} is not a promise file (wrong first bytes); {}", path.display(), START_ANEW)]
    WrongMagic {
        /// Which.
        path: PathBuf,
    },
    /// Another version wrote it.
    #[error("the promise file {} has format {found}, this agent knows format {known}; use the agent version that wrote it", path.display())]
    WrongFormat {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Both copies of the header are damaged.
    #[error("both headers of the promise file {} are damaged; {}", path.display(), START_ANEW)]
    DamagedHeader {
        /// Which.
        path: PathBuf,
    },
    /// Both copies of a slot are damaged.
    #[error("both copies of slot {slot} of the promise file {} are damaged; {}", path.display(), START_ANEW)]
    DamagedSlot {
        /// Which.
        path: PathBuf,
        /// Which slot.
        slot: usize,
    },
    /// Something is missing at its end.
    #[error("the promise file {} is truncated: {found} bytes, {expected} are expected; {}", path.display(), START_ANEW)]
    Truncated {
        /// Which.
        path: PathBuf,
        /// Its length, in bytes.
        found: u64,
        /// What its header says.
        expected: u64,
    },
    /// Configured for another host.
    #[error("the promise file {} belongs to host {found}, this agent is host {configured}; correct `host` or use that host's own state directory", path.display())]
    OtherHost {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who we are.
        configured: String,
    },
    /// Copied from another machine.
    #[error("the promise file {} was made on machine {found}, this is machine {here}; a copied state directory could vote twice: {}", path.display(), START_ANEW)]
    OtherMachine {
        /// Which.
        path: PathBuf,
        /// Where it was made.
        found: String,
        /// Where we are.
        here: String,
    },
    /// Two slots hold the same pair, which this program never writes.
    #[error("the promise file {} holds pair {pair} twice; {}", path.display(), START_ANEW)]
    Twice {
        /// Which.
        path: PathBuf,
        /// Which pair.
        pair: String,
    },
}

impl OpenError {
    /// Whether a person must act before another start can succeed.
    pub fn needs_a_person(&self) -> bool {
        match self {
            OpenError::Create { source, .. }
            | OpenError::Read { source, .. }
            | OpenError::Flush { source, .. } => needs_a_person(source),
            OpenError::WrongMagic { .. }
            | OpenError::WrongFormat { .. }
            | OpenError::DamagedHeader { .. }
            | OpenError::DamagedSlot { .. }
            | OpenError::Truncated { .. }
            | OpenError::OtherHost { .. }
            | OpenError::OtherMachine { .. }
            | OpenError::Twice { .. } => true,
        }
    }
}

/// The way out when a state is lost, in one place.
const START_ANEW: &str = "stop this host's applications, remove the whole state directory, start again as a new \
     agent, and run: scsctl host rejoin HOST (see the runbook host-rejoin)";

/// Why something is not durable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A promise may be raised, never lowered. Nothing was written.
    #[error("{what} would be lowered from {known} to {asked}")]
    Lowered {
        /// Of what.
        what: String,
        /// What is durable.
        known: String,
        /// What was asked.
        asked: String,
    },
    /// There was no room for another pair. What is durable is as it was.
    #[error("cannot make room in the promise file {}: {source}", path.display())]
    Grow {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It may be durable or not; the last acknowledged copy is untouched.
    #[error("cannot write the promise file {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether certainly nothing was stored.
    pub fn is_definite(&self) -> bool {
        !matches!(self, StoreError::Write { .. })
    }
}
