//! The role page: run mode, role epoch and expiry of one member, in one cache line of a file that its agent writes and every
//! process of its host may read (`docs/protocols/role-page.md`). And numbers that a process shares with those that it forks.
//!
//! It knows no agents and no links, and nothing of who gives roles. The laws: a reader never waits, allocates nothing, and
//! says no to everything that it cannot prove; a writer never truncates a page and never puts another file in the place of
//! one, as a member may have it mapped.
//!
//! ```
//! use understudy_model::{Epoch, Moment, RunMode};
//! use understudy_page::{Page, PageWriter, Standing, now};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("tserver-1");
//! let writer = PageWriter::open(&path)?;
//! let page = Page::open(&path)?;
//! assert!(!page.may_act());
//! let until = Moment(now().0 + 60_000_000_000);
//! writer.set(Standing { run_mode: RunMode::Primary, epoch: Epoch(7), until });
//! assert!(page.may_act());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod forked;
mod mapping;
mod origin;
mod reader;
mod words;
mod writer;

use understudy_model::{Epoch, Moment, RunMode};

pub use forked::ForkShared;
pub use reader::{OpenError, Page};
pub use words::{BYTES, MAGIC, TRIES, VERSION};
pub use writer::{PageWriter, WriteError};

/// The expiry of a page that runs out never: of pairs without leases (`policy = "available"`).
pub const NEVER: Moment = Moment(u64::MAX);

/// What a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Only `Primary` lets anybody act.
    pub run_mode: RunMode,
    /// The fencing token of that role.
    pub epoch: Epoch,
    /// On the boot clock: from this moment on the answer is no, whatever else is said. [`NEVER`] runs out never.
    pub until: Moment,
}

impl Standing {
    /// What a new page says: not primary.
    pub const NOBODY: Standing =
        Standing { run_mode: RunMode::Unknown, epoch: Epoch::NONE, until: Moment(0) };

    /// The check, at `now`.
    pub fn may_act(&self, now: Moment) -> bool {
        self.run_mode == RunMode::Primary && now < self.until
    }
}

/// This moment on the boot clock (`CLOCK_BOOTTIME`), without a system call where the kernel lets programs read it themselves.
pub fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The boot clock is never negative and its nanoseconds are below one thousand million.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Moment(seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0)))
}
