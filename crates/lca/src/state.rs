//! Everything of an agent that outlives its process, opened in the right order.
//!
//! Refuses to know processes and links. The law: the lock comes before the first read; one agent at a time knows a
//! state directory.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use understudy_model::{AgentId, Assignment};

use crate::assignments_file::{AssignmentsError, AssignmentsFile};
use crate::promise_file::{OpenError, Owner, PromiseFile, Promises};

/// How long another process may still hold the state directory: a life that ends, or what it was just starting.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// Why an agent cannot begin on a state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is missing and could not be made.
    #[error("cannot make the state directory {}: {source}", path.display())]
    MakeDirectory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The lock file.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent has it.
    #[error("another agent is running on the state directory {}; one agent is enough for a host", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// The system's source of randomness.
    #[error("cannot draw a random identity: {0}")]
    Random(#[source] io::Error),
    /// The promises.
    #[error(transparent)]
    Promises(#[from] OpenError),
    /// The assignments.
    #[error(transparent)]
    Assignments(#[from] AssignmentsError),
}

/// The open state.
#[derive(Debug)]
pub struct State {
    /// Held as long as the agent lives.
    pub lock: File,
    /// The promise file, to be written.
    pub promise_file: PromiseFile,
    /// What it held.
    pub promises: Promises,
    /// The assignments file, to be written.
    pub assignments_file: AssignmentsFile,
    /// What it held.
    pub assignments: Vec<Assignment>,
}

impl State {
    /// Locks and reads everything; makes what a first start finds missing.
    pub fn open(directory: &Path, owner: &Owner) -> Result<Self, StateError> {
        make_directory(directory)
            .map_err(|source| StateError::MakeDirectory { path: directory.to_owned(), source })?;
        let lock = lock(directory)?;
        let identity = AgentId(random().map_err(StateError::Random)?);
        let (promise_file, promises) = PromiseFile::open(&directory.join("promises"), owner, identity)?;
        let (assignments_file, assignments) =
            AssignmentsFile::open(&directory.join("assignments.json"), promises.agent)?;
        Ok(Self { lock, promise_file, promises, assignments_file, assignments })
    }
}

/// Makes a directory and what is missing above it, for this user only.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn lock(directory: &Path) -> Result<File, StateError> {
    let path = directory.join("lock");
    let failed = |source| StateError::Lock { path: path.clone(), source };
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A process that a former life was making a moment ago, or what is left of that life, lets go of it soon.
            Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_WITHIN => {
                std::thread::sleep(LOCK_WITHIN / 100);
            }
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse { path: directory.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

/// A number that nobody else has.
pub fn random() -> io::Result<u128> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u128::from_le_bytes(bytes))
}

/// What the system calls this machine; empty if it does not say.
pub fn machine_id() -> String {
    let candidates = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    let read = candidates.iter().find_map(|path| fs::read_to_string(path).ok());
    read.map(|text| text.trim().chars().take(63).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As by a process that a former life was about to make.
    #[test]
    fn who_lets_go_of_the_lock_soon_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let held = lock(directory.path()).unwrap();
        let path = directory.path().to_owned();
        let waits = std::thread::spawn(move || lock(&path));
        std::thread::sleep(LOCK_WITHIN / 20);
        assert!(!waits.is_finished());
        drop(held);
        let second = waits.join().unwrap().unwrap();
        assert!(matches!(lock(directory.path()), Err(StateError::InUse { .. })));
        drop(second);
    }
}
