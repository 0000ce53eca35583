//! Finds and ends the processes of one stage, by the mark in their environment.
//!
//! It knows nothing of agents and pairs. The law: a process is killed only through a descriptor that was opened before
//! its mark was read, so that a number that was given to another process can never be hit.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::plan::STAGE_MARK;
use crate::{Interrupt, StageError};

/// How long killed processes may take to be gone.
const GONE_LIMIT: Duration = Duration::from_secs(10);
/// Rounds of looking: a process that is being started while others are killed is found in the next one.
const MOST_ROUNDS: u32 = 20;

/// A process that is held by a descriptor, so that its number cannot come to mean another one.
#[derive(Debug)]
pub struct Held {
    /// Its number.
    pub pid: u32,
    descriptor: OwnedFd,
}

impl Held {
    /// Takes hold of a process.
    pub fn open(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(Self { pid, descriptor: pidfd_open(number, PidfdFlags::empty())? })
    }

    /// Kill -9. A process that has ended already is as good.
    pub fn kill(&self) -> Result<(), StageError> {
        self.signal(Signal::KILL, "kill")
    }

    /// SIGSTOP. A process that has ended already is as good.
    pub fn stop(&self) -> Result<(), StageError> {
        self.signal(Signal::STOP, "stop")
    }

    /// SIGCONT. A process that has ended already is as good.
    pub fn resume(&self) -> Result<(), StageError> {
        self.signal(Signal::CONT, "continue")
    }

    fn signal(&self, signal: Signal, act: &'static str) -> Result<(), StageError> {
        match pidfd_send_signal(&self.descriptor, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => {
                let what = format!("process {}", self.pid);
                Err(StageError::Process { act, what, source: error.into() })
            }
        }
    }
}

/// Takes hold of a process that has the mark of the stage in `directory`, and of no other.
pub fn open_marked(pid: u32, directory: &Path) -> Option<Held> {
    // Looked at before as well: a descriptor for each process of the machine would be a waste.
    if !is_marked(pid, directory) {
        return None;
    }
    let held = Held::open(pid).ok()?;
    (is_marked(pid, directory) && is_alive(pid)).then_some(held)
}

/// Every living process with the mark of the stage in `directory`, this one apart.
pub fn find(directory: &Path) -> Result<Vec<Held>, StageError> {
    let entries = fs::read_dir("/proc").map_err(StageError::file("list", "/proc"))?;
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let own = std::process::id();
    let others = entries.filter_map(number).filter(|pid| *pid != own);
    Ok(others.filter_map(|pid| open_marked(pid, directory)).collect())
}

/// The living processes of one application of the stage, whether or not anybody else knows them.
pub fn find_application(directory: &Path, name: &str) -> Result<Vec<Held>, StageError> {
    let mut found = find(directory)?;
    found.retain(|one| has_variable(one.pid, "UNDERSTUDY_APPLICATION", name.as_bytes()));
    Ok(found)
}

/// The living processes of every application that runs on a host of the stage.
pub fn find_on_host(directory: &Path, host: &str) -> Result<Vec<Held>, StageError> {
    let mut found = find(directory)?;
    found.retain(|one| has_variable(one.pid, "UNDERSTUDY_HOST", host.as_bytes()));
    Ok(found)
}

/// The guard whose agent has that runtime directory. It has no environment, and so no mark: the directory is its mark.
pub fn find_guard(runtime: &Path) -> Result<Option<Held>, StageError> {
    let is_ours = |pid: u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        words.next().is_some_and(|program| program.ends_with(b"/lca-guard"))
            && words.any(|word| word == runtime.as_os_str().as_encoded_bytes())
    };
    let entries = fs::read_dir("/proc").map_err(StageError::file("list", "/proc"))?;
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<u32>().ok();
    let mut pids = entries.filter_map(number).filter(|pid| is_ours(*pid));
    Ok(pids.find_map(|pid| Held::open(pid).ok().filter(|_| is_ours(pid))))
}

fn is_marked(pid: u32, directory: &Path) -> bool {
    has_variable(pid, STAGE_MARK, directory.as_os_str().as_encoded_bytes())
}

/// A process that vanishes while it is read, or belongs to another user, has no variables.
fn has_variable(pid: u32, name: &str, value: &[u8]) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let wanted = [name.as_bytes(), b"=", value].concat();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
}

/// Whether that process runs: exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rfind(')').and_then(|end| stat[end + 1..].trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X' | 'x'))
}

/// Kills every process of the stage in `directory` and waits until none is left. Answers how many there were.
pub fn end_all(directory: &Path) -> Result<u32, StageError> {
    // Not interruptible: this is what an interruption leads to.
    let patience = Interrupt::default();
    let mut killed = 0;
    for _ in 0..MOST_ROUNDS {
        let found = find(directory)?;
        if found.is_empty() {
            return Ok(killed);
        }
        for one in &found {
            one.kill()?;
            killed += 1;
        }
        patience.until("the processes of the stage are gone", GONE_LIMIT, || {
            let left: Vec<u32> = found.iter().map(|one| one.pid).filter(|pid| is_alive(*pid)).collect();
            Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
        })?;
    }
    Err(StageError::Unexpected(format!("processes of {} come back again and again", directory.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_processes_with_the_whole_mark_are_ended() {
        let (own, other) = (Path::new("/nonexistent/stage-one"), Path::new("/nonexistent/stage-one-b"));
        let sleeper = |mark: &Path| Command::new("sleep").arg("60").env(STAGE_MARK, mark).spawn().unwrap();
        let (mut ours, mut theirs) = (sleeper(own), sleeper(other));
        // Until it has become the program, a new process has the environment of this one.
        let both_run = || {
            Ok((is_marked(ours.id(), own) && is_marked(theirs.id(), other))
                .then_some(())
                .ok_or_else(String::new))
        };
        Interrupt::default().until("both run", Duration::from_secs(10), both_run).unwrap();
        // The zombie that is left until `wait` counts as gone.
        assert_eq!(end_all(own).unwrap(), 1);
        assert!(!ours.wait().unwrap().success());
        assert!(theirs.try_wait().unwrap().is_none(), "another stage's process was hit");
        theirs.kill().unwrap();
        theirs.wait().unwrap();
    }
}
