//! What makes a guard hard to disturb: a session, a control group and a place in memory of its own, and priority.
//!
//! Refuses to know what it guards. The law: what cannot be had is done without, and the agent is told.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::net::SocketType;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Place;
use super::priority::{Rank, hurry};
use crate::socket;

/// Enough for every slot.
const DESCRIPTORS: u64 = 1024;

/// What could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footing {
    /// Nothing of this process is ever swapped out, or has to be read before it can run.
    pub(super) locked: bool,
    /// It goes before others when processors are short.
    pub(super) hurried: bool,
}

impl Footing {
    /// Takes all of it that can be had.
    pub(super) fn take(place: &Place) -> Self {
        // Fails for the leader of a group, whom a terminal started: then it is in a session of its own, or a person's.
        let _ = rustix::process::setsid();
        // Nothing that is mounted there is held. It fails nowhere that this program can run.
        let _ = rustix::process::chdir("/");
        if let Some(group) = &place.group {
            // In its agent's group it is as safe as its agent.
            if let Err(error) = std::fs::write(group.join("cgroup.procs"), "0") {
                // Said to whoever started it, who may be gone.
                let _ = writeln!(io::stderr(), "lca-guard: cannot enter {}: {error}", group.display());
            }
        }
        allow_descriptors();
        Self { locked: lock_memory(), hurried: hurry(Rank::Guard) }
    }
}

/// Two for each slot, and a few; where the limit cannot be raised, what does not fit is refused.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|now| now < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

/// With a limit, memory that is asked for later could be refused because it cannot be locked, which would end the guard:
/// then only what there is is locked.
fn lock_memory() -> bool {
    let is_unlimited = getrlimit(Resource::Memlock).current.is_none();
    let root = rustix::process::geteuid().is_root();
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE;
    let flags = if is_unlimited || root { all } else { MlockAllFlags::CURRENT };
    mlockall(flags).is_ok()
}

/// The connection that is standard input, if it is one; standard input is nothing from then on.
pub(super) fn first_connection() -> io::Result<Option<OwnedFd>> {
    let input = io::stdin();
    let is_connection = rustix::net::sockopt::socket_type(&input)
        .is_ok_and(|kind| kind == SocketType::SEQPACKET)
        && socket::peer(&input).is_ok();
    let kept = match is_connection {
        true => Some(rustix::io::fcntl_dupfd_cloexec(&input, 3)?),
        false => None,
    };
    let nothing = nothing()?;
    rustix::stdio::dup2_stdin(nothing.as_fd())?;
    Ok(kept)
}

/// From now on nothing that is printed can keep this process waiting.
pub(super) fn be_quiet() -> io::Result<()> {
    let nothing = nothing()?;
    rustix::stdio::dup2_stdout(nothing.as_fd())?;
    rustix::stdio::dup2_stderr(nothing.as_fd())?;
    Ok(())
}

fn nothing() -> io::Result<OwnedFd> {
    Ok(std::fs::File::options().read(true).write(true).open("/dev/null")?.into())
}
