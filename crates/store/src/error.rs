//! What can go wrong with the store, one enum for each public operation.
//!
//! Knows no SQL. The law: every error of a commit says whether anything changed, or that nobody can know.

use std::path::{Path, PathBuf};

use understudy_model::{ApplicationName, ControllerEpoch, Epoch, PairName, RoleEpoch};

/// Why a store could not be opened. Nothing changed but, at most, an empty directory and a lock file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory could not be made or is none.
    #[error("cannot use state directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in it could not be opened or made.
    #[error("cannot open {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by {holder}: a control server already runs with this state directory; stop it, or set another state-directory", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
        /// `process N`, or `another process`.
        holder: String,
    },
    /// Not a store of ours.
    #[error("{} is not a store of this program: {found}; move it away, or set another state-directory", path.display())]
    Foreign {
        /// The database file.
        path: PathBuf,
        /// What it seems to be.
        found: String,
    },
    /// Written by a later version.
    #[error("{} has schema {found}, this version knows schemas up to {known}; run the version that wrote it, or restore a backup", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The latest one known here.
        known: i64,
    },
    /// Ours, and damaged.
    #[error("{} is damaged: {source}; restore a backup, and keep this file for whoever looks into it", path.display())]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// SQLite could not open it or bring it to this version's schema.
    #[error("cannot prepare {}: {source}", path.display())]
    Prepare {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// Sorts what SQLite said about the file at `path`.
    pub(crate) fn of_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, source }
            }
            _ => Self::Prepare { path, source },
        }
    }
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The stored role is not the expected one. Nothing changed.
    #[error("the stored role of pair {pair} is {}, not the expected one; nothing was written", shown(stored))]
    NotAsExpected {
        /// The pair.
        pair: PairName,
        /// What is stored; none if nobody ever was primary.
        stored: Option<RoleEpoch>,
    },
    /// The stored record of who has everything that was acknowledged is not the expected one. Nothing changed.
    #[error(
        "the stored record of who has the data of pair {pair} is not the expected one; nothing was written"
    )]
    OtherInSync {
        /// The pair.
        pair: PairName,
    },
    /// The next holder lacks what was acknowledged, as the record of its pair says. Nothing changed.
    #[error("{holder} lacks what was acknowledged in pair {pair}, as its record says; nothing was written")]
    NotInSync {
        /// The pair.
        pair: PairName,
        /// Who was to be its next holder.
        holder: ApplicationName,
    },
    /// Another leadership was taken since. Nothing changed.
    #[error("leadership {given} is over, the stored one is {stored}; nothing was written")]
    NotLeading {
        /// The one that asked.
        given: ControllerEpoch,
        /// The one in the store.
        stored: ControllerEpoch,
    },
    /// The next epoch is not above the stored one, which is never lowered. Nothing changed.
    #[error("epoch {next} of pair {pair} is not above {stored}; nothing was written")]
    NotRaised {
        /// The pair.
        pair: PairName,
        /// What is stored.
        stored: Epoch,
        /// What was asked.
        next: Epoch,
    },
    /// A value is beyond what is kept. Nothing changed.
    #[error("{what} is beyond its bound; nothing was written")]
    OutOfBounds {
        /// Which value.
        what: String,
    },
    /// The disk, or the bound set on the file, is full. Nothing changed.
    #[error("the disk of the store is full: {source}; nothing was written; free some space")]
    Full {
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// It could not be written. Nothing changed.
    #[error("the store cannot be written: {source}; nothing was written")]
    Unwritable {
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// More is waiting to be written than is kept waiting. Nothing changed.
    #[error("the store's writer is {waiting} batches behind; nothing was written")]
    Behind {
        /// How many.
        waiting: usize,
    },
    /// The writer has ended. Nothing changed.
    #[error("the store's writer has ended; nothing was written")]
    Closed,
    /// It may have been written or not, now or after a crash. The store takes no more until it is opened again.
    #[error("nobody can know whether this was written: {why}; the store must be opened again")]
    Unknown {
        /// What happened.
        why: String,
    },
}

impl CommitError {
    /// True if the batch certainly changed nothing.
    pub fn is_definite(&self) -> bool {
        !matches!(self, CommitError::Unknown { .. })
    }

    /// True if rows did not fit, or could not be written: without them it may go.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
        match self {
            CommitError::Full { .. } => true,
            // Whoever holds the lock does so without them too.
            CommitError::Unwritable { source } => {
                !matches!(source.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
            }
            _ => false,
        }
    }

    /// Sorts an error of a statement before the commit itself: nothing changed.
    pub(crate) fn before_commit(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { source },
            _ => Self::Unwritable { source },
        }
    }

    /// Sorts an error of the commit itself. A full disk is definite: the frame that makes a transaction valid is
    /// written last. Anything else may have come after that frame.
    pub(crate) fn at_commit(source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull};
        match source.sqlite_error_code() {
            Some(DiskFull) => Self::Full { source },
            Some(DatabaseBusy | DatabaseLocked) => Self::Unwritable { source },
            _ => Self::Unknown { why: source.to_string() },
        }
    }
}

fn shown(role: &Option<RoleEpoch>) -> String {
    role.as_ref().map_or_else(|| "none".to_owned(), RoleEpoch::to_string)
}

/// Why a question got no answer. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// SQLite could not read.
    #[error("cannot read {what} from the store: {source}")]
    Read {
        /// Which part.
        what: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A stored value is none that this version wrote.
    #[error("the store holds {found:?} as {what}, which no version wrote; restore a backup")]
    Nonsense {
        /// Which part.
        what: &'static str,
        /// The value.
        found: String,
    },
}
