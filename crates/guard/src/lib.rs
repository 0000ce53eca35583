//! The guard: a tiny program beside an agent that kills a member of a pair when its time is over, whatever the agent does
//! (`docs/protocols/guard.md`). This library is both sides of the talk between them.
//!
//! It knows process descriptors, control groups and moments of the boot clock, and nothing of roles, pairs or votes. The laws:
//! what is armed and not moved in time is killed; nothing else is ever signalled; nothing that anybody sends undoes what is
//! armed, but for words of the agent that armed it, whole and about exactly that start.

pub mod group;
pub mod guards;
pub mod message;
pub mod socket;
pub mod watch;

use std::fmt;
use std::path::Path;

use understudy_model::{AgentId, ApplicationName, Incarnation, Moment};

/// The guard's socket in the runtime directory.
pub const SOCKET: &str = "guard.sock";
/// The file that it holds a lock on: one guard for a runtime directory.
pub const LOCK: &str = "guard.lock";
/// Most starts that are guarded at once.
pub const MOST_SLOTS: usize = 256;

/// One start of an application, as its agent numbers it. No two starts have the same, on any host, ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Start {
    /// Whose.
    pub agent: AgentId,
    /// The life of the agent that made it.
    pub incarnation: Incarnation,
    /// Which start of that life.
    pub number: u64,
}

impl fmt::Display for Start {
    /// As in the mark that every process of a start has in its environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.agent, self.incarnation, self.number)
    }
}

impl Start {
    /// The variable of the mark.
    pub const MARK: &str = "UNDERSTUDY_START";

    /// What the control group of this start is called: no other group is ever killed for it.
    pub fn group_name(&self, application: &ApplicationName) -> String {
        format!("{application}@{}.{}", self.incarnation, self.number)
    }

    /// Whether a path leads to the control group of this start.
    pub fn owns_group(&self, application: &ApplicationName, path: &Path) -> bool {
        let plain = path.is_absolute() && !path.iter().any(|part| part == "..");
        plain && path.file_name().is_some_and(|name| *name == *self.group_name(application))
    }
}

/// This moment on the boot clock.
pub fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The boot clock is never negative and its nanoseconds are below one thousand million.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Moment(seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0)))
}
