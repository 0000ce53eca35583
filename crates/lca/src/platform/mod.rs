//! What a system must be able to do with the processes of an application, as one small trait.
//!
//! Refuses to know which system it is on, what an application is told, and what is decided. The law: outside of an
//! implementation nobody does arithmetic on process numbers; a number is for people and for reports, a [`Tree`] is
//! what is watched, signalled and killed. (A job object and its handles fit the same words.)
//!
//! [`Tree`]: Platform::Tree

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};
use understudy_decide::agent::StartId;
use understudy_guard::guards::Grip;
use understudy_model::{ApplicationName, ExitCause, OutputKind, ProcessSpec, Signal};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::accounts::{Account, AccountError, find as find_account};
#[cfg(target_os = "linux")]
pub use linux::{BoundError, Datagram, Linux, NotifySocket, PlatformError, with_rights_of};
#[cfg(target_os = "linux")]
#[cfg(test)]
pub(crate) use linux::{group_name, mark_text};

/// Everything that a process needs to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Of which application.
    pub application: ApplicationName,
    /// Which start of it.
    pub start: StartId,
    /// Program and arguments; the program is searched in the `PATH` of `environment` if it has no `/`.
    pub command: Vec<String>,
    /// All of its environment, apart from the mark that the platform adds to find it again.
    pub environment: Vec<(String, String)>,
    /// Where it begins; made if it is missing.
    pub directory: PathBuf,
    /// Who gets `directory` if it is made: the account of the application, whoever a hook of it is.
    pub directory_of: Account,
    /// It begins in `/` if its own account may not enter `directory`.
    pub may_begin_outside: bool,
    /// Where its output goes.
    pub output: Output,
    /// How it is made and bounded.
    pub spec: ProcessSpec,
    /// Whose rights it gets.
    pub account: Account,
    /// `directory` lies in a place of the agent's own, where the agent makes it for whomever it is.
    pub own_directory: bool,
}

/// Where the output of a process goes, without a way through the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Appended to this file; its directory is made if it is missing.
    File(PathBuf),
    /// To the journal of the system.
    Journal {
        /// Where it takes streams.
        socket: PathBuf,
        /// Under which name.
        identifier: String,
    },
}

impl Output {
    /// Of which kind it is: as configured, else the journal where there is one.
    pub fn of(spec: &ProcessSpec, has_journal: bool) -> OutputKind {
        spec.output.unwrap_or(if has_journal { OutputKind::Journal } else { OutputKind::File })
    }
}

/// Why a process was not started. Nothing of it runs; directories may have been made.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Without a program there is nothing to run.
    #[error("the command is empty")]
    NoCommand,
    /// A zero byte in a text that the system takes as ended by one.
    #[error("{0} contains a zero byte")]
    ZeroByte(&'static str),
    /// The program has no `/` and is in no directory of `PATH`.
    #[error("{program} was not found in PATH ({path})")]
    NotInPath {
        /// As configured.
        program: String,
        /// Where it was searched.
        path: String,
    },
    /// A directory could not be made.
    #[error("cannot make the {purpose} {}: {source}", path.display())]
    MakeDirectory {
        /// `working directory`.
        purpose: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its output has nowhere to go.
    #[error("cannot append to the log {}: {source}", path.display())]
    OpenOutput {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The journal takes no stream.
    #[error("cannot connect its output to the journal at {}: {source}", socket.display())]
    JoinJournal {
        /// Where.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system made no new process.
    #[error("cannot make a process: {0}")]
    Fork(#[source] io::Error),
    /// The new process could not enter its working directory.
    #[error("cannot enter the working directory {}: {source}", path.display())]
    EnterDirectory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new process was made, waited, and was not let go on.
    #[error("it was made and not let go on: {0}")]
    NotLetGo(String),
    /// The new process could not be set up.
    #[error("cannot set up the new process ({step}): {source}")]
    Prepare {
        /// Which step of it.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A bound for its whole tree cannot be kept here.
    #[error(transparent)]
    Bound(#[from] BoundError),
    /// The program could not be run.
    #[error("cannot run {}: {why}{source}", program.display())]
    Execute {
        /// The file.
        program: PathBuf,
        /// What a look at the file adds, ending in `: `; empty if nothing.
        why: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Whether a process that waits may become its program, given what it can be killed with; and if not, why not.
pub type LetGo<'a> = &'a dyn Fn(Grip) -> Result<(), String>;

/// What is written down about a running start, so that the next life of the agent knows its processes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeNote {
    /// Its main process; none if only what it left behind was ever found.
    pub pid: Option<u32>,
    /// When that began, in the system's own unit; tells it from a later process with the same number.
    pub began: u64,
    /// What the system keeps its processes together with (a control group's path, a job's name), if it does.
    pub container: Option<String>,
}

/// A start of an earlier life of which something still lives.
pub struct Survivor<T> {
    /// Of which application.
    pub application: ApplicationName,
    /// Which start.
    pub start: StartId,
    /// What lives.
    pub tree: T,
    /// Whether the main process lives; if not, the others should not.
    pub main_lives: bool,
    /// How long the main process has run.
    pub running_for: std::time::Duration,
}

/// How a main process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEnd {
    /// Code or signal.
    pub cause: ExitCause,
    /// Whether others of its tree live.
    pub others_live: bool,
}

/// What a silent process was doing.
#[derive(Debug)]
pub struct Evidence {
    /// In one line; bounded.
    pub summary: String,
    /// In full; bounded.
    pub all: String,
    /// A thread of it could have run all the time that it was looked at, and got no processor.
    pub waits_for_core: bool,
}

/// A system's hands. Calls that may take time are named so; all others return at once.
pub trait Platform: Send + Sync + 'static {
    /// One start: its main process and whatever that left behind.
    type Tree: Send + Sync + 'static;

    /// Starts a process; takes as long as the system takes to load the program. Not for the runtime's thread.
    fn launch(&self, launch: &Launch) -> Result<Self::Tree, LaunchError>;

    /// The same for a command that is run for an application: its output goes to `output`.
    fn launch_hook(&self, launch: &Launch, output: BorrowedFd<'_>) -> Result<Self::Tree, LaunchError>;

    /// The same for either, but for this: when the process is made it waits, and becomes its program only when `let_go` has
    /// returned. If that says no, or if this agent ends first, the process ends and nothing of the program has run.
    fn launch_held(
        &self,
        launch: &Launch,
        output: Option<BorrowedFd<'_>>,
        let_go: LetGo<'_>,
    ) -> Result<Self::Tree, LaunchError>;

    /// The number of its main process, for people; none if that was gone when the tree was found.
    fn pid(&self, tree: &Self::Tree) -> Option<u32>;

    /// What must be written down to know it again.
    fn note(&self, tree: &Self::Tree) -> TreeNote;

    /// Searches what earlier lives of this agent left running: what is noted, and what is not. Takes time.
    fn survivors(
        &self,
        notes: &[(ApplicationName, StartId, TreeNote)],
    ) -> io::Result<Vec<Survivor<Self::Tree>>>;

    /// Returns when the main process has ended. An error means that it cannot be watched; nothing is known of it then.
    fn ended(&self, tree: &Self::Tree) -> impl Future<Output = io::Result<ExitCause>> + Send;

    /// Whether anything of the tree lives, apart from a main process that has ended. Where [`Self::must_search`] says so it
    /// takes as long as there are processes; not for the runtime's thread then.
    fn others_live(&self, tree: &Self::Tree) -> bool;

    /// Whether all processes of the system have to be looked at to know which are of this tree.
    fn must_search(&self, tree: &Self::Tree) -> bool;

    /// Signals the main process. A process that has ended is no error.
    fn signal(&self, tree: &Self::Tree, signal: Signal) -> io::Result<()>;

    /// Kills every process of the tree and returns when none lives. Takes time; not for the runtime's thread.
    fn kill(&self, tree: &Self::Tree) -> io::Result<()>;

    /// The environment that its main process was started with, as far as it can be read.
    fn environment(&self, tree: &Self::Tree) -> Vec<(String, String)>;

    /// Whether its main process is stopped by a signal. Reads little, and does not wait.
    fn is_stopped(&self, tree: &Self::Tree) -> bool;

    /// What its main process is doing. Takes a few milliseconds; not for the runtime's thread.
    fn evidence(&self, tree: &Self::Tree) -> Evidence;

    /// The same start with another main process, if that is one of its own and lives. The former one is waited for as
    /// any other of its processes.
    fn other_main(&self, tree: &Self::Tree, pid: u32) -> io::Result<Option<Self::Tree>>;

    /// What a guard needs to kill all of it. An error if its main process was gone when the tree was found.
    fn grip(&self, tree: &Self::Tree) -> io::Result<Grip>;

    /// Whether its main process is known to read another boot clock than this one does.
    fn has_other_clock(&self, tree: &Self::Tree) -> bool;

    /// Where a guard is kept apart from the agent, if that can be had; made if it is missing.
    fn guard_container(&self) -> Option<PathBuf>;

    /// Starts a guard; its number. It is never taken for a process of an application.
    fn launch_guard(&self, command: &mut Command) -> io::Result<u32>;

    /// The same goes for one that lives already.
    fn know_guard(&self, pid: u32);

    /// Gives back what the system keeps for a tree of which nothing lives.
    fn release(&self, tree: &Self::Tree);

    /// Which start a process that connected to us belongs to, if any.
    fn start_of(&self, pid: u32) -> Option<StartId>;

    /// What the system wants done as long as the agent lives (waiting for adopted orphans, say); never returns
    /// unless it cannot be done.
    fn serve(&self) -> impl Future<Output = io::Result<()>> + Send;
}
