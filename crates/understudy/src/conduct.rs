//! What an application does when its role changes: the trait it implements, and what the library hands to it.
//!
//! Knows no sockets. The law: every call comes from the library's one thread, in the order of the agent's words, and
//! the next word is not read before a call has returned.

use std::fmt;
use std::sync::Weak;

use understudy_model::Epoch;

use crate::truth::Truth;

/// What the application does when it is told to change. All calls come from one thread that belongs to the library.
///
/// A call should return fast: the time from an order to the return of `promote` is part of every failover. A panic in
/// any of them ends the whole process: nobody could say any more whether it serves, and an agent that sees a process
/// end fails over at once, while one that sees a silent thread has to wait.
pub trait Conduct: Send + 'static {
    /// Begin to serve, with `epoch` as the fencing token of everything written from now on.
    ///
    /// `Ok` means "I serve from now" and is told to the agent at once. `Err` refuses, with a reason for people; the
    /// application stays a backup and is never asked to serve in this epoch again.
    ///
    /// Called for a primary too, when its epoch was raised: go on serving, with the new token. If it cannot, it says
    /// `Err`, and `demote` is called before the refusal is told, since a refused member is a backup.
    ///
    /// At the start of a process that is to be primary this is the first call, before `Understudy::start` returns.
    fn promote(&mut self, epoch: Epoch) -> Result<(), String>;

    /// Serve no more; `epoch` is the one to know as backup. When this returns, nothing is acknowledged any more by
    /// any thread, and the agent is told so. An application that is too slow here is killed.
    fn demote(&mut self, epoch: Epoch);

    /// Refuse new work, finish what there is, then call [`SuspendDone::finished`], from any thread and at any time.
    /// Called at most once in the life of a process. The default has nothing to finish.
    fn suspend(&mut self, done: SuspendDone) {
        done.finished();
    }

    /// The link to the agent changed. Nothing has to be done: the role stays what it is and the library reconnects by
    /// itself. For logs; repeated failures of the same kind are told once.
    fn hear_link(&mut self, change: LinkChange) {
        let _ = change;
    }
}

/// What happened to the link, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// The agent accepted this process.
    Attached,
    /// The link ended or could not be opened, for this reason. It is tried again for ever.
    Lost(String),
    /// The agent does not accept this process, for this reason. It is tried again for ever.
    Refused(String),
}

impl fmt::Display for LinkChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkChange::Attached => write!(f, "attached to the agent"),
            LinkChange::Lost(why) => write!(f, "link to the agent lost: {why}"),
            LinkChange::Refused(why) => write!(f, "the agent refused this process: {why}"),
        }
    }
}

/// Said once by an application that was asked to suspend and has finished what it had. Dropping it says nothing, and
/// the agent stops the process when its patience is over.
#[derive(Debug)]
pub struct SuspendDone {
    pub(crate) truth: Weak<Truth>,
}

impl SuspendDone {
    /// Everything is finished. The agent hears it now, or when it is back. Never blocks for longer than
    /// [`crate::LONGEST_SAYING`].
    pub fn finished(self) {
        if let Some(truth) = self.truth.upgrade() {
            truth.finish_suspension();
        }
    }
}
