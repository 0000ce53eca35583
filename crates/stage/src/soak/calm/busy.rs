//! Processes that do nothing but take every core from everybody else.
//!
//! It knows no cluster. The law: each carries the mark of the stage, so that whatever ends the stage ends it too.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::StageError;
use crate::plan::STAGE_MARK;

/// Each in a session of its own: a kernel that gives every session its share of a core would otherwise have them fight with
/// the programs of this stage alone.
const SESSION: &str = "setsid";
const FOR_EVER: [&str; 3] = ["/bin/sh", "-c", "while :; do :; done"];

/// Busy processes. Dropped, they are killed.
#[derive(Debug)]
pub(super) struct Busy {
    children: Vec<Child>,
}

impl Busy {
    /// Starts one for each core of this machine, for the stage in `directory`.
    pub fn on_every_core(directory: &Path) -> Result<Self, StageError> {
        let cores = std::thread::available_parallelism().map_err(StageError::system("count the cores"))?;
        let mut busy = Self { children: Vec::new() };
        for _ in 0..cores.get() {
            let mut command = Command::new(SESSION);
            command.args(FOR_EVER).env(STAGE_MARK, directory).stdin(Stdio::null());
            let failed = |source| StageError::Start { program: SESSION.into(), source };
            busy.children.push(command.spawn().map_err(failed)?);
        }
        Ok(busy)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.children.len()
    }

    /// An error if one has ended: then the machine was not as busy as was said.
    pub fn check(&mut self) -> Result<(), StageError> {
        for child in &mut self.children {
            let looked = child.try_wait().map_err(StageError::system("look at a busy process"))?;
            if let Some(status) = looked {
                return Err(StageError::Unexpected(format!("a busy process ended by itself: {status}")));
            }
        }
        Ok(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended already; then both only say so.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_for_each_core_is_busy_until_it_is_dropped() {
        let mut busy = Busy::on_every_core(Path::new("/nonexistent/stage")).unwrap();
        assert!(busy.count() >= 1 && busy.check().is_ok());
        let pids: Vec<u32> = busy.children.iter().map(Child::id).collect();
        busy.children[0].kill().unwrap();
        busy.children[0].wait().unwrap();
        assert!(busy.check().is_err(), "one that ended is noticed");
        drop(busy);
        assert!(pids.iter().all(|pid| !crate::sweep::is_alive(*pid)));
    }
}
