//! A process that ends what belongs to a stage if the play itself is killed.
//!
//! It knows the program `understudy-heir` and nothing of clusters. The law: it acts when this program has ended, however
//! that came, and is gone when the stage is.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::{Programs, StageError};

/// The waiting process. Dropped, it looks once more after what is left, and ends.
#[derive(Debug)]
pub(crate) struct Heir {
    child: Child,
}

impl Heir {
    /// Waits from now on for the end of this program.
    pub fn appoint(programs: &Programs, directory: &Path) -> Result<Self, StageError> {
        let program = programs.path("understudy-heir");
        let mut command = Command::new(&program);
        command.arg(directory).stdin(Stdio::piped()).process_group(0);
        let child = command.spawn().map_err(|source| StageError::Start { program, source })?;
        Ok(Self { child })
    }

    /// It waits no longer: everything may run on.
    pub fn dismiss(&mut self) {
        // It may have ended already, and is waited for when it is dropped.
        let _ = self.child.kill();
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("the heir of a stage cannot be waited for: {error}");
        }
    }
}
