//! A process that ends what belongs to a stage if the play itself is killed, and takes its files away.
//!
//! It knows the program `understudy-heir` and nothing of clusters. Agents leave what they started alone when they end, and so
//! would it stay for ever; only the mark in the environment finds it. The law: it acts when this program has ended, however
//! that came, and is gone when the stage is.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::stage::Ground;
use crate::{Programs, StageError};

/// What an heir is told by a stage that ends by itself: its files are the stage's own affair.
const ORDERLY: &[u8] = b"orderly";

/// The waiting process. Dropped, it looks once more after what is left, and ends.
#[derive(Debug)]
pub(crate) struct Heir {
    child: Child,
}

impl Heir {
    /// Waits from now on for the end of this program.
    pub fn appoint(programs: &Programs, ground: &Ground) -> Result<Self, StageError> {
        let program = programs.path("understudy-heir");
        let mut command = Command::new(&program);
        // In a group of its own: whoever kills a group of tests must not reach it.
        command.arg(ground.directory()).arg(ground.sockets()).stdin(Stdio::piped()).process_group(0);
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
        if let Some(mut stdin) = self.child.stdin.take() {
            // One that has ended already needs to know nothing.
            let _ = stdin.write_all(ORDERLY);
        }
        if let Err(error) = self.child.wait() {
            eprintln!("the heir of a stage cannot be waited for: {error}");
        }
    }
}
