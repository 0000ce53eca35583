//! The agent's side: what is to be guarded, and a guard that always is there for it.
//!
//! Refuses to know why a start is guarded, and until when it should be. The laws: what the agent wants guarded is written down
//! here before it is sent, so that it outlives any guard; a guard is "up" only when it has confirmed all of that; moving a kill
//! is one small packet that nobody waits for.

mod attend;
mod patience;
mod table;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use understudy_model::{ApplicationName, Moment};

use self::attend::Attendant;
use self::table::Shared;
use crate::{MOST_SLOTS, Start};

/// Stack of the thread that attends to the guard.
const STACK_BYTES: usize = 128 * 1024;

/// What a guard is given to kill a start with.
#[derive(Debug)]
pub struct Grip {
    /// The descriptor of its main process.
    pub process: OwnedFd,
    /// The control group of everything that belongs to it.
    pub group: Option<PathBuf>,
}

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardEvent {
    /// A guard is there, and has confirmed everything that is to be guarded.
    Up {
        /// Its process.
        pid: u32,
        /// It lies in memory that is never swapped out.
        locked: bool,
        /// It goes before others when processors are short.
        hurried: bool,
    },
    /// There is none, or it has not confirmed something in time. Another one is started at once.
    Down {
        /// For people.
        why: String,
    },
    /// It has begun to kill a start, as its time was over; that is guarded no more.
    Fired {
        /// Of which application.
        application: ApplicationName,
        /// Which start.
        start: Start,
        /// When it was to be killed.
        kill_at: Moment,
        /// When that was begun.
        at: Moment,
    },
}

/// Something that an earlier life of the agent had armed, and that nobody has claimed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Of which application.
    pub application: ApplicationName,
    /// Which start.
    pub start: Start,
    /// When it is killed.
    pub kill_at: Moment,
}

/// What an agent lends to [`Guards`].
pub trait Ground: Send + 'static {
    /// Starts a guard; its number. The agent must never take that process for one of an application.
    fn start(&self, command: &mut Command) -> io::Result<u32>;
    /// A guard that lives already was met: the same goes for it.
    fn met(&self, pid: u32);
    /// Something happened. Called without any lock, from a thread of its own; may wait.
    fn tell(&self, event: GuardEvent);
}

/// Where a guard is started.
#[derive(Debug, Clone)]
pub struct GuardPlace {
    /// The agent's runtime directory.
    pub directory: PathBuf,
    /// The program.
    pub program: PathBuf,
    /// A control group of its own, if there is one.
    pub group: Option<PathBuf>,
}

/// Why a start is not guarded. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Too many.
    #[error("{MOST_SLOTS} starts are guarded already, which is the most that a guard takes")]
    Full,
    /// It has no process to be guarded.
    #[error("there is no process to guard: {0}")]
    NoProcess(#[source] io::Error),
}

/// Why a start may not go on. It is not guarded, and must not act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Nobody has said when it is killed, or it was said since that it need not be guarded.
    #[error("it is not wanted any more")]
    NotWanted,
    /// Too many.
    #[error("{MOST_SLOTS} starts are guarded already, which is the most that a guard takes")]
    Full,
    /// The guard has not confirmed it in time, or has killed it.
    #[error("its time was over before a guard had confirmed that it guards it")]
    Over,
    /// The agent ends.
    #[error("the agent ends")]
    Ended,
}

/// Where a start waits until it is guarded, before it may act. For threads that may wait.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

impl Gate {
    /// The start is made: it is armed, at the moment that was last told to [`Guards::guard`]. Never waits.
    pub fn arm(&self, start: Start, grip: Grip) -> Result<(), GateError> {
        match self.shared.arm_coming(start, grip) {
            Ok(true) => Ok(()),
            Ok(false) => Err(GateError::NotWanted),
            Err(_) => Err(GateError::Full),
        }
    }

    /// Returns when a guard has confirmed that it guards all of these. Waits no longer than until the first one's time is over;
    /// a guard that hangs is replaced meanwhile.
    pub fn pass(&self, starts: &[Start]) -> Result<(), GateError> {
        self.shared.await_confirmed(starts)
    }

    /// It did not come to anything: it need not be guarded.
    pub fn release(&self, start: Start) {
        self.shared.release(start);
    }
}

/// Why there is nobody to attend to a guard.
#[derive(Debug, thiserror::Error)]
pub enum GuardsError {
    /// The thread, or what wakes it.
    #[error("cannot start the thread that attends to the guard: {0}")]
    Thread(#[source] io::Error),
}

/// The guard of an agent, whichever process it is at the moment.
#[derive(Debug)]
pub struct Guards {
    shared: Arc<Shared>,
    attendant: Option<JoinHandle<()>>,
}

impl Guards {
    /// Looks for a guard that an earlier life of the agent left, waits until it has said what it holds, and attends to it from
    /// then on. If there is none, none is started before [`Guards::need`] or [`Guards::guard`].
    pub fn start(place: GuardPlace, ground: impl Ground) -> Result<Self, GuardsError> {
        let shared = Arc::new(Shared::new().map_err(GuardsError::Thread)?);
        let attendant = Attendant::new(Arc::clone(&shared), place, Box::new(ground));
        let attendant = std::thread::Builder::new()
            .name("guard".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || attendant.attend())
            .map_err(GuardsError::Thread)?;
        shared.wait_for_first_look();
        Ok(Self { shared, attendant: Some(attendant) })
    }

    /// There will be something to guard: a guard is started if none is there. [`GuardEvent::Up`] says that it stands ready.
    pub fn need(&self) {
        self.shared.need();
    }

    /// Whether a guard is there that has confirmed everything.
    pub fn is_up(&self) -> bool {
        self.shared.is_up()
    }

    /// Kills that start at `kill_at`, unless told otherwise by then. For a start that is guarded already this is one small
    /// packet, and `grip` is not asked for. Never waits. While there is no guard it is remembered, and armed when there is one.
    /// A start that is not made yet has no grip: it is armed by [`Gate::arm`].
    pub fn guard(
        &self,
        application: &ApplicationName,
        start: Start,
        kill_at: Moment,
        grip: impl Fn() -> io::Result<Option<Grip>>,
    ) -> Result<(), GuardError> {
        if self.shared.move_to(start, kill_at) {
            return Ok(());
        }
        match grip().map_err(GuardError::NoProcess)? {
            Some(grip) => return self.shared.arm(application.clone(), start, kill_at, grip),
            None => self.shared.expect(application.clone(), start, kill_at)?,
        }
        // It may have been made meanwhile, before anybody knew that it is to be guarded.
        if let Some(grip) = grip().map_err(GuardError::NoProcess)? {
            self.shared.arm_coming(start, grip)?;
        }
        Ok(())
    }

    /// Where starts wait until they are guarded.
    pub fn gate(&self) -> Gate {
        Gate { shared: Arc::clone(&self.shared) }
    }

    /// Another of its processes is the main one from now on.
    pub fn replace_grip(&self, start: Start, grip: Grip) {
        self.shared.replace_grip(start, grip);
    }

    /// Guards that start no more, whoever armed it.
    pub fn release(&self, start: Start) {
        self.shared.release(start);
    }

    /// Whether the guard that is there has confirmed that it guards that start.
    pub fn is_armed(&self, start: Start) -> bool {
        self.shared.is_armed(start)
    }

    /// When that start is killed, as far as this life of the agent has armed it.
    pub fn kill_at(&self, start: Start) -> Option<Moment> {
        self.shared.kill_at(start)
    }

    /// What earlier lives had armed and nobody has claimed by [`Guards::guard`] or released. It is killed at its time.
    pub fn left(&self) -> Vec<Left> {
        self.shared.left()
    }
}

impl Drop for Guards {
    /// The guard lives on, and kills what is not moved in time.
    fn drop(&mut self) {
        self.shared.end();
        if let Some(attendant) = self.attendant.take() {
            // If it panicked, that was printed; there is nothing to be done about it.
            let _ = attendant.join();
        }
    }
}

/// The guard's program: beside the agent's own.
pub fn program_beside(agent: &Path) -> PathBuf {
    agent.with_file_name("lca-guard")
}
