//! Linux: process descriptors, control groups where they can be had, and `/proc`.
//!
//! Refuses to know what is decided. The law: only processes that this agent started, or that carry its mark or lie in
//! its control groups, are ever signalled.

pub mod accounts;
mod adopt;
mod bounds;
mod conditions;
mod control_group;
mod directory;
mod fork;
mod guard;
mod launch;
mod membership;
mod notify_socket;
mod pidfd;
mod proc;
mod rights;
mod signs;
mod tree;
mod whose;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use tokio::signal::unix::{SignalKind, signal};
use understudy_decide::agent::StartId;
use understudy_guard::guards::Grip;
use understudy_model::{AgentId, ApplicationName, ExitCause, Signal};

pub use self::bounds::BoundError;
use self::control_group::{Group, Hierarchy};
pub use self::notify_socket::{Datagram, NotifySocket};
pub use self::rights::with_rights_of;
pub use self::tree::Tree;
#[cfg(test)]
pub(crate) use self::{control_group::name_of as group_name, proc::mark_text};
use super::{Evidence, Launch, LaunchError, LetGo, Platform, Survivor, TreeNote};

/// How long the end of a process that is not our child may take to be told by the kernel: its parent waits for it first.
const TELL_END_WITHIN: Duration = Duration::from_millis(20);

/// Why the processes of this machine cannot be looked after. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// A file of the kernel that must be there.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Descendants would go to somebody else when their parents end.
    #[error("cannot become the reaper of descendants: {0}")]
    Reaper(#[source] io::Error),
    /// The standard input of applications.
    #[error("cannot open /dev/null: {0}")]
    Null(#[source] io::Error),
}

/// This machine.
#[derive(Debug)]
pub struct Linux {
    agent: AgentId,
    boot_id: String,
    hierarchy: Option<Hierarchy>,
    /// Why there is none.
    no_hierarchy: String,
    null: OwnedFd,
    children: Mutex<Children>,
}

#[derive(Debug, Default)]
struct Children {
    /// Main processes by number, as long as the number is kept for them.
    mains: BTreeMap<u32, Main>,
    /// Launches begun, ever.
    begun: u64,
    /// Launches ended, ever.
    done: u64,
    /// The guard, which is no application's: its number and when it began.
    guard: Option<(u32, u64)>,
}

#[derive(Debug)]
struct Main {
    start: StartId,
    /// What its processes are kept together in, if they are.
    group: Option<Group>,
}

/// Whose child an adopted process without a mark must have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orphans {
    /// There is only one start that can have left it.
    Of(StartId),
    /// There are several, or a start is being made.
    Unclear,
}

impl Linux {
    /// Prepares this process to look after others. `Ok` carries what cannot be had here, as a sentence for people.
    pub fn new(agent: AgentId) -> Result<(Self, Option<String>), PlatformError> {
        let name = format!("understudy-{}", &agent.to_string()[..12]);
        let (hierarchy, missing) = match Hierarchy::prepare(&name) {
            Ok(hierarchy) => (Some(hierarchy), None),
            Err(error) => {
                let told =
                    format!("no control groups ({error}): processes are found by session, parent and mark");
                (None, Some((error.to_string(), told)))
            }
        };
        let why = missing.as_ref().map(|(why, _)| why.clone()).unwrap_or_default();
        let platform = Self::with_hierarchy(agent, hierarchy, why)?;
        Ok((platform, missing.map(|(_, told)| told)))
    }

    /// The same without control groups, as on a machine that has none.
    pub fn without_control_groups(agent: AgentId) -> Result<Self, PlatformError> {
        Self::with_hierarchy(agent, None, "it was told to do without".to_owned())
    }

    fn with_hierarchy(
        agent: AgentId,
        hierarchy: Option<Hierarchy>,
        no_hierarchy: String,
    ) -> Result<Self, PlatformError> {
        const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
        let boot_id =
            fs::read_to_string(BOOT_ID).map_err(|source| PlatformError::Read { path: BOOT_ID, source })?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| PlatformError::Reaper(error.into()))?;
        let null = fs::File::open("/dev/null").map_err(PlatformError::Null)?;
        Ok(Self {
            agent,
            boot_id: boot_id.trim().to_owned(),
            hierarchy,
            no_hierarchy,
            null: null.into(),
            children: Mutex::default(),
        })
    }

    /// This boot of this machine.
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Gives back what the system keeps for applications that do not run.
    pub fn remove_leftovers(&self) {
        if let Some(hierarchy) = &self.hierarchy {
            hierarchy.remove_empty();
        }
    }

    fn children(&self) -> MutexGuard<'_, Children> {
        // A panic elsewhere leaves a map of numbers that is still right.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mains(&self) -> BTreeSet<u32> {
        self.children().mains.keys().copied().collect()
    }

    fn know(&self, tree: &Tree) {
        let Some(number) = tree.number else { return };
        let main = Main { start: tree.start, group: tree.group.clone() };
        self.children().mains.insert(number, main);
    }

    fn orphans(&self, start: StartId) -> Orphans {
        let children = self.children();
        let alone = children.mains.values().all(|main| main.group.is_some() || main.start == start);
        if alone && children.begun == children.done { Orphans::Of(start) } else { Orphans::Unclear }
    }

    fn launch_to(
        &self,
        launch: &Launch,
        output: Option<BorrowedFd<'_>>,
        let_go: Option<LetGo<'_>>,
    ) -> Result<Tree, LaunchError> {
        self.children().begun += 1;
        let launched = launch::launch(self, launch, output, let_go);
        if let Ok(tree) = &launched {
            self.know(tree);
        }
        // Only now: until its number is known, it must not be taken for an orphan.
        self.children().done += 1;
        self.reap_orphans();
        launched
    }

    /// Waits for the ends of adopted orphans, never for a main process: those have their own watch.
    fn reap_orphans(&self) {
        loop {
            let children = self.children();
            if children.begun != children.done {
                return; // asked again when the launch is done
            }
            let Ok(Some(pid)) = pidfd::ended_child() else { return };
            if children.mains.contains_key(&pid) {
                return; // asked again when that one is released
            }
            if pidfd::reap(pid).is_err() {
                return;
            }
        }
    }

    /// Waits until the process behind a descriptor has ended.
    async fn watch(&self, tree: &Tree, main: &OwnedFd) -> io::Result<ExitCause> {
        let watch = pidfd::watch(main.as_fd())?;
        let mut readable = watch.readable().await?;
        // Left in place: its number is not given to another while its tree is searched. One that was not our child may
        // have become it, when the one that made it ended.
        match pidfd::child_end(main, true) {
            Ok(Some(cause)) => return Ok(cause),
            Ok(None) if tree.child => return Ok(ExitCause::Unknown),
            Err(error) if tree.child => return Err(error),
            Ok(None) | Err(_) => {}
        }
        let told = async {
            loop {
                if let Some(cause) = pidfd::stranger_end(main) {
                    return cause;
                }
                // Readable again when its parent has waited for it.
                readable.clear_ready();
                match watch.readable().await {
                    Ok(again) => readable = again,
                    Err(_) => return ExitCause::Unknown,
                }
            }
        };
        Ok(tokio::time::timeout(TELL_END_WITHIN, told).await.unwrap_or(ExitCause::Unknown))
    }
}

impl Platform for Linux {
    type Tree = Tree;

    fn launch(&self, launch: &Launch) -> Result<Tree, LaunchError> {
        self.launch_to(launch, None, None)
    }

    fn launch_hook(&self, launch: &Launch, output: BorrowedFd<'_>) -> Result<Tree, LaunchError> {
        self.launch_to(launch, Some(output), None)
    }

    fn launch_held(
        &self,
        launch: &Launch,
        output: Option<BorrowedFd<'_>>,
        let_go: LetGo<'_>,
    ) -> Result<Tree, LaunchError> {
        self.launch_to(launch, output, Some(let_go))
    }

    fn pid(&self, tree: &Tree) -> Option<u32> {
        tree.number
    }

    fn note(&self, tree: &Tree) -> TreeNote {
        let container = tree.group.as_ref().and_then(|group| group.path().to_str()).map(str::to_owned);
        TreeNote { pid: tree.number, began: tree.began, container }
    }

    fn survivors(&self, notes: &[(ApplicationName, StartId, TreeNote)]) -> io::Result<Vec<Survivor<Tree>>> {
        let survivors = adopt::survivors(self, notes)?;
        for survivor in survivors.iter().filter(|survivor| survivor.main_lives) {
            self.know(&survivor.tree);
        }
        Ok(survivors)
    }

    async fn ended(&self, tree: &Tree) -> io::Result<ExitCause> {
        match &tree.main {
            Some(main) => self.watch(tree, main).await,
            None => Ok(ExitCause::Unknown),
        }
    }

    fn others_live(&self, tree: &Tree) -> bool {
        self.anything_else_lives(tree)
    }

    fn must_search(&self, tree: &Tree) -> bool {
        tree.group.is_none()
    }

    fn signal(&self, tree: &Tree, signal: Signal) -> io::Result<()> {
        let Some(main) = &tree.main else { return Ok(()) };
        let signal = match signal {
            Signal::Hup => rustix::process::Signal::HUP,
            Signal::Int => rustix::process::Signal::INT,
            Signal::Quit => rustix::process::Signal::QUIT,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Usr1 => rustix::process::Signal::USR1,
            Signal::Usr2 => rustix::process::Signal::USR2,
            Signal::Term => rustix::process::Signal::TERM,
        };
        match rustix::process::pidfd_send_signal(main, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn kill(&self, tree: &Tree) -> io::Result<()> {
        self.kill_all(tree)
    }

    fn grip(&self, tree: &Tree) -> io::Result<Grip> {
        guard::grip(tree)
    }

    fn has_other_clock(&self, tree: &Tree) -> bool {
        tree.number.is_some_and(guard::has_other_clock)
    }

    fn guard_container(&self) -> Option<PathBuf> {
        self.hierarchy.as_ref()?.guard_group()
    }

    fn launch_guard(&self, command: &mut Command) -> io::Result<u32> {
        guard::launch(self, command)
    }

    fn know_guard(&self, pid: u32) {
        guard::know(self, pid);
    }

    fn release(&self, tree: &Tree) {
        self.children().mains.retain(|_, main| main.start != tree.start);
        if let Some(main) = &tree.main
            && tree.child
        {
            // It has ended, and how is known already.
            let _ = pidfd::child_end(main, false);
        }
        if let Some(group) = &tree.group {
            group.remove();
        }
        self.reap_orphans();
    }

    fn environment(&self, tree: &Tree) -> Vec<(String, String)> {
        let number =
            tree.number.filter(|number| proc::look(*number).is_some_and(|now| now.began == tree.began));
        let all = number.and_then(proc::environment).unwrap_or_default();
        let variables = all.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        variables
            .filter_map(|one| one.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect()
    }

    fn is_stopped(&self, tree: &Tree) -> bool {
        signs::is_stopped(tree).unwrap_or(false)
    }

    fn evidence(&self, tree: &Tree) -> Evidence {
        signs::evidence(tree)
    }

    fn other_main(&self, tree: &Tree, pid: u32) -> io::Result<Option<Tree>> {
        if self.start_of(pid) != Some(tree.start) {
            return Ok(None);
        }
        let Some(seen) = proc::look(pid).filter(|seen| !seen.ended) else { return Ok(None) };
        let Some(main) = tree::open(seen)? else { return Ok(None) };
        let other = Tree {
            application: tree.application.clone(),
            start: tree.start,
            number: Some(pid),
            began: seen.began,
            main: Some(main),
            child: seen.parent == std::process::id(),
            group: tree.group.clone(),
        };
        {
            let mut children = self.children();
            children.mains.retain(|_, main| main.start != tree.start);
            children.mains.insert(pid, Main { start: tree.start, group: tree.group.clone() });
        }
        // The former one may have ended already.
        self.reap_orphans();
        Ok(Some(other))
    }

    fn start_of(&self, pid: u32) -> Option<StartId> {
        whose::start_of(self, pid)
    }

    async fn serve(&self) -> io::Result<()> {
        let mut child_ended = signal(SignalKind::child())?;
        self.reap_orphans();
        while child_ended.recv().await.is_some() {
            self.reap_orphans();
        }
        Ok(())
    }
}
