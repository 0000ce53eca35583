//! The processes of this agent: started, watched, signalled, killed, and every end observed once.
//!
//! Refuses to know which system it is on and what is decided. The law: for every `Spawn` there is one `Spawned` or
//! `SpawnFailed`, after `Spawned` one `Ended`, and after `Ended` with others alive one `TreeGone`, in this order.

mod held;
mod hooks;
mod launching;
mod members;
pub mod notices;
mod signs;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use understudy_decide::agent::{Agent, AgentSaw, Found, Spawn, StartId};
use understudy_drive::Inbox;
use understudy_guard::guards::Gate;
use understudy_guard::watch::{Rank, hurry, hurry_as_usual};
use understudy_model::{ApplicationName, Epoch, ExitCause, Interface, RunMode, Signal, Telling};
use understudy_settings::HostPolicy;

use self::hooks::Hooks;
use self::members::Warned;
use self::notices::Heard;
use self::table::{Known, Table};
use crate::accepting::Refusals;
use crate::aside::aside_within;
use crate::doors::Doors;
use crate::environment::{self, Surroundings};
use crate::log_files::LogFiles;
use crate::output;
use crate::pages::Pages;
use crate::permission::Own;
use crate::platform::{Platform, Survivor, TreeEnd};
use crate::secrets::Secrets;
use crate::starts::{StartNote, Starts};

/// Between two tries to kill a tree that the system would not let us kill.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// How long a search for what an ended process left behind may take, where there are no control groups.
const SEARCH_LIMIT: Duration = Duration::from_secs(1);
/// How long the end of a process is kept back for what it printed last: a disk that hangs must not keep its failover waiting.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(20);
/// Most threads that read last words: on a disk that hangs they do not end.
const MOST_READERS: usize = 4;
/// Stack of a thread that starts or kills; the system's name services may load modules that need much.
const STACK_BYTES: usize = 1024 * 1024;

/// Where things lie.
#[derive(Debug, Clone)]
pub struct Places {
    /// Working directories of applications that name none.
    pub applications: PathBuf,
    /// The same for applications of other users, who cannot pass the agent's state directory.
    pub of_others: PathBuf,
    /// Options files.
    pub options: PathBuf,
    /// Where the journal of the system takes streams, if it has one.
    pub journal: Option<PathBuf>,
    /// What hung processes were doing.
    pub evidence: PathBuf,
}

/// All processes of this agent.
pub struct Processes<P: Platform> {
    platform: Arc<P>,
    table: Table<P::Tree>,
    inbox: Inbox<Agent>,
    runtime: Handle,
    starts: Starts,
    boot: String,
    places: Places,
    around: Surroundings,
    doors: Doors,
    logs: Arc<LogFiles>,
    own: Own,
    policy: Mutex<HostPolicy>,
    pages: Arc<Pages>,
    warned: Mutex<BTreeSet<(ApplicationName, Warned)>>,
    /// Told to the machine and not in the table yet.
    launched: Mutex<BTreeMap<StartId, Arc<P::Tree>>>,
    /// What is needed to tell the last words of a start whose output goes to a file.
    printed: Mutex<BTreeMap<StartId, Printed>>,
    /// One more of these is kept by each thread that reads last words.
    readers: Arc<()>,
    hooks: Hooks<P::Tree>,
    heard: Heard,
    refusals: Refusals,
}

/// What a start may have printed.
#[derive(Clone)]
struct Printed {
    /// How long the output of earlier starts was when it began.
    from: u64,
    /// What must not be told of it.
    secrets: Arc<Secrets>,
}

/// Everything that [`Processes`] stands on.
pub struct Footing<P> {
    /// The system.
    pub platform: Arc<P>,
    /// Where ends are observed.
    pub inbox: Inbox<Agent>,
    /// Notes for the next life.
    pub starts: Starts,
    /// This boot of the machine.
    pub boot: String,
    /// Where things lie.
    pub places: Places,
    /// What applications are told.
    pub around: Surroundings,
    /// Sockets of applications that run as other users.
    pub doors: Doors,
    /// Output of applications that goes to files.
    pub logs: Arc<LogFiles>,
    /// Role pages of members.
    pub pages: Arc<Pages>,
    /// What may be started.
    pub policy: HostPolicy,
}

impl<P: Platform> Processes<P> {
    /// Nothing runs yet. Must be called inside a tokio runtime.
    pub fn new(footing: Footing<P>) -> Arc<Self> {
        let Footing { platform, inbox, starts, boot, places, around, doors, logs, pages, policy } = footing;
        let own = Own::look();
        let runtime = Handle::current();
        let table = Table::default();
        let policy = Mutex::new(policy);
        let printed = Mutex::default();
        Arc::new(Self {
            platform,
            table,
            inbox,
            runtime,
            starts,
            boot,
            places,
            around,
            doors,
            logs,
            own,
            policy,
            pages,
            warned: Mutex::default(),
            launched: Mutex::default(),
            printed,
            readers: Arc::default(),
            hooks: Hooks::default(),
            heard: Heard::default(),
            refusals: Refusals::new("notice"),
        })
    }

    /// Takes over what survived earlier lives, and says what the machine must know of it. One start of an application
    /// is told; any other of the same application is a leftover that no decision names, and is killed.
    pub fn adopt(self: &Arc<Self>, survivors: Vec<Survivor<P::Tree>>, notes: &[StartNote]) -> Vec<Found> {
        for survivor in &survivors {
            // If its output goes to a file, all of that may be its own.
            let options = environment::read_options(&self.options_of(&survivor.application));
            let secrets = Arc::new(Secrets::of(&self.platform.environment(&survivor.tree), &options));
            self.printed().insert(survivor.start, Printed { from: 0, secrets });
        }
        let mut found: Vec<Found> = Vec::new();
        let mut survivors = survivors;
        // The ones with a main process first, then those that this agent wrote down, then the latest.
        let noted = |start| notes.iter().any(|note| note.start == start);
        survivors.sort_by_key(|one| (!one.main_lives, !noted(one.start), one.running_for));
        for Survivor { application, start, tree, main_lives, running_for } in survivors {
            let pid = self.platform.pid(&tree).filter(|_| main_lives);
            let note = notes.iter().find(|note| note.start == start);
            let known = Found {
                application: application.clone(),
                start,
                pid,
                running_for,
                restarts: note.map_or(0, |note| note.restarts),
                acts: note.and_then(|note| note.acts),
                half: note.and_then(|note| note.half),
                ready: note.is_some_and(|note| note.ready),
            };
            if start.is_hook() {
                self.hooks.insert_left(start, Arc::new(tree));
                found.push(known);
                continue;
            }
            self.check_clock(&application, &tree);
            self.table.insert_running(start, application.clone(), Arc::new(tree), !main_lives);
            if note.is_some_and(|note| note.notifies) {
                match self.bind_notices(start, None) {
                    Ok(socket) => self.hear_notices(&application, start, socket),
                    Err(why) => tracing::error!(%application, why, "it is not heard"),
                }
            }
            if main_lives {
                self.runtime.spawn(Arc::clone(self).watch(application.clone(), start));
            } else {
                self.runtime.spawn(Arc::clone(self).await_gone(application.clone(), start));
            }
            if found.iter().any(|other| other.application == application && !other.start.is_hook()) {
                tracing::warn!(%application, ?pid, "more than one start survived; this one is killed");
                self.kill_tree(&application, start);
                continue;
            }
            found.push(known);
        }
        found
    }

    /// What may be started from now on; what runs is not touched.
    pub fn set_policy(&self, policy: HostPolicy) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Begins a start. Its outcome is observed. One that is to be held waits at the gate.
    pub fn spawn(self: &Arc<Self>, spawn: Spawn, gate: Gate) {
        let (application, start) = (spawn.application.clone(), spawn.start);
        self.table.insert_starting(start, application.clone());
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("start".to_owned()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(move || this.launch(&spawn, &gate)) {
            self.table.remove(start);
            self.observe(AgentSaw::SpawnFailed {
                application,
                start,
                why: format!("cannot make a thread to start it: {error}"),
            });
        }
    }

    /// On a thread of its own: loading a program takes as long as its disk takes.
    fn launch(self: Arc<Self>, spawn: &Spawn, gate: &Gate) {
        let (application, start) = (spawn.application.clone(), spawn.start);
        let (tree, socket) = match self.try_launch(spawn, gate) {
            Ok((tree, socket)) => (Arc::new(tree), socket),
            Err(why) => {
                self.table.remove(start);
                self.printed().remove(&start);
                self.inbox.saw_blocking(AgentSaw::SpawnFailed { application, start, why });
                return;
            }
        };
        let note = StartNote {
            agent: self.starts.agent(),
            application: application.clone(),
            start,
            boot: self.boot.clone(),
            restarts: spawn.restarts,
            tree: self.platform.note(&tree),
            acts: acts_by_start(spawn),
            half: None,
            ready: false,
            notifies: spawn.spec.interface == Interface::Notify,
        };
        if let Err(error) = self.starts.note(&note) {
            // It is found by its mark or group then.
            tracing::warn!(%application, %error, "cannot note the start");
        }
        // Whoever hears of it may have it guarded at once. Its link is heard only after it was told: what it says before would
        // be about nothing.
        self.launched().insert(start, Arc::clone(&tree));
        // What was just launched always has one.
        if let Some(pid) = self.platform.pid(&tree) {
            self.inbox.saw_blocking(AgentSaw::Spawned { application: application.clone(), start, pid });
        }
        let asked = self.table.now_running(start, Arc::clone(&tree));
        if !spawn.held {
            self.guard_if_wanted(&application, start, gate, &tree);
        }
        self.launched().remove(&start);
        self.check_clock(&application, &tree);
        for signal in asked.signals {
            self.deliver(&application, &tree, signal);
        }
        if asked.kill {
            self.kill_tree(&application, start);
        }
        if let Some(socket) = socket {
            self.hear_notices(&application, start, socket);
        }
        self.runtime.clone().spawn(self.watch(application, start));
    }

    /// What a start printed last, if its output goes to a file and can be read at once.
    async fn last_words(&self, application: &ApplicationName, start: StartId) -> String {
        // What went to the journal is read there; a look at it would keep the news of the end waiting.
        let Some(Printed { from, secrets }) = self.printed().get(&start).cloned() else {
            return String::new();
        };
        let (path, reader) = (self.logs.path(application), Arc::clone(&self.readers));
        if Arc::strong_count(&reader) > MOST_READERS + 1 {
            tracing::warn!(%application, "its last output is not looked at: earlier looks hang");
            return String::new();
        }
        let read = move || {
            // The news of an end waits for it.
            hurry(Rank::Agent);
            let words = output::last_words(&path, from, &secrets);
            drop(reader);
            words
        };
        aside_within(LAST_WORDS_WITHIN, "words", read).await.unwrap_or_else(|| {
            tracing::warn!(%application, "its last output could not be read in time; its end is told without");
            String::new()
        })
    }

    /// Where the options of an application are.
    fn options_of(&self, application: &ApplicationName) -> PathBuf {
        self.places.options.join(format!("{application}.json"))
    }

    fn printed(&self) -> MutexGuard<'_, BTreeMap<StartId, Printed>> {
        // Every change is one insertion or removal.
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end of a main process and tells it; then for the end of what it left, if anything.
    async fn watch(self: Arc<Self>, application: ApplicationName, start: StartId) {
        let end = loop {
            let Some((tree, replaced)) = self.table.watched(start) else { return };
            let end = tokio::select! {
                biased;
                // Another of its processes is the main one from now on.
                () = replaced.notified() => continue,
                end = self.end_of(&tree) => end,
            };
            // It may have said so with its last breath, and then this was not its end.
            self.hear_unread(start).await;
            if self.table.tree(start).is_some_and(|now| Arc::ptr_eq(&now, &tree)) {
                break end;
            }
        };
        let end = end.unwrap_or_else(|error| {
            // What cannot be watched must not run: nobody would hear of its end.
            tracing::error!(%application, %error, "the process cannot be watched; it is killed");
            TreeEnd { cause: ExitCause::Unknown, others_live: true }
        });
        let TreeEnd { cause, others_live } = end;
        if others_live {
            self.kill_tree(&application, start);
        }
        let last_words = match cause {
            ExitCause::Code(code) if code != 0 => self.last_words(&application, start).await,
            _ => String::new(),
        };
        let ended =
            AgentSaw::Ended { application: application.clone(), start, cause, others_live, last_words };
        self.inbox.saw(ended).await;
        if others_live {
            self.await_gone(application, start).await;
        } else {
            // Whoever waits for this end goes first: a group and a note are removed after it is told.
            tokio::task::yield_now().await;
            self.forget(&application, start);
        }
    }

    /// Waits for the end of a main process and looks whether others of its tree live.
    async fn end_of(&self, tree: &Arc<P::Tree>) -> io::Result<TreeEnd> {
        let cause = self.platform.ended(tree).await?;
        if !self.platform.must_search(tree) {
            return Ok(TreeEnd { cause, others_live: self.platform.others_live(tree) });
        }
        let (platform, tree) = (Arc::clone(&self.platform), Arc::clone(tree));
        let search = move || {
            // Not in real time: it takes long, and would keep out whom it is to keep free.
            hurry_as_usual();
            platform.others_live(&tree)
        };
        // What is not known to be gone is killed; one stuck process may hold up the search for ever, and no end waits for that.
        let others_live = aside_within(SEARCH_LIMIT, "search", search).await.unwrap_or(true);
        Ok(TreeEnd { cause, others_live })
    }

    async fn await_gone(self: Arc<Self>, application: ApplicationName, start: StartId) {
        let Some(gone) = self.table.gone(start) else { return };
        gone.notified().await;
        self.inbox.saw(AgentSaw::TreeGone { application: application.clone(), start }).await;
        self.forget(&application, start);
    }

    fn forget(&self, application: &ApplicationName, start: StartId) {
        self.end_notices(start);
        self.printed().remove(&start);
        if let Some(Known::Running { tree, .. }) = self.table.remove(start) {
            self.platform.release(&tree);
        }
        if let Err(error) = self.starts.forget(application, start) {
            tracing::warn!(%application, %error, "cannot remove the note of an ended start");
        }
    }

    /// Signals a main process; one that is just being started gets it as soon as it runs.
    pub fn signal(&self, application: &ApplicationName, start: StartId, signal: Signal) {
        if let Some(tree) = self.table.signal(start, signal) {
            self.deliver(application, &tree, signal);
        }
    }

    /// Hands out new options and tells the process. A small file in the runtime directory, so it is written at once.
    pub fn reload(
        &self,
        application: &ApplicationName,
        start: StartId,
        options: &BTreeMap<String, BTreeMap<String, String>>,
        signal: Signal,
    ) {
        let path = self.options_of(application);
        match environment::write_options(&path, options) {
            Ok(()) => self.signal(application, start, signal),
            Err(error) => {
                tracing::error!(%application, path = %path.display(), %error, "cannot write its new options");
            }
        }
    }

    fn deliver(&self, application: &ApplicationName, tree: &P::Tree, signal: Signal) {
        if let Err(error) = self.platform.signal(tree, signal) {
            tracing::error!(%application, %signal, %error, "cannot signal");
        }
    }

    /// Begins to kill a whole tree. Asking again while that is under way changes nothing.
    pub fn kill_tree(self: &Arc<Self>, application: &ApplicationName, start: StartId) {
        if start.is_hook() {
            return self.kill_hook(application, start);
        }
        let Some((tree, gone)) = self.table.kill(start) else { return };
        let (this, name) = (Arc::clone(self), application.clone());
        let kill = move || {
            while let Err(error) = this.platform.kill(&tree) {
                tracing::error!(application = %name, %error, "cannot kill all of its processes; trying again");
                std::thread::sleep(KILL_AGAIN);
            }
            gone.notify_one();
        };
        let thread = std::thread::Builder::new().name("kill".to_owned()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(kill) {
            tracing::error!(%application, %error, "cannot make a thread to kill; trying again");
            self.table.kill_failed(start);
            let (this, name) = (Arc::clone(self), application.clone());
            self.runtime.spawn(async move {
                tokio::time::sleep(KILL_AGAIN).await;
                this.kill_tree(&name, start);
            });
        }
    }

    /// The start that a process belongs to, once its `Spawned` was observed; `None` if it is none of ours.
    pub async fn start_of(&self, pid: u32) -> Option<(ApplicationName, StartId)> {
        let start = self.platform.start_of(pid)?;
        let application = self.table.running(start).await?;
        // Asked again: while a start is being made, nobody can know what it will look like.
        (self.platform.start_of(pid) == Some(start)).then_some((application, start))
    }

    /// An observation from a place that must not wait.
    fn observe(&self, saw: AgentSaw) {
        let inbox = self.inbox.clone();
        self.runtime.spawn(async move { inbox.saw(saw).await });
    }
}

/// The epoch in which a start is primary by being started so, if nothing else tells it.
fn acts_by_start(spawn: &Spawn) -> Option<Epoch> {
    let told_by_start = spawn.spec.interface != Interface::Library
        && spawn.pair.is_some()
        && spawn.spec.conduct.promotes() == Telling::Restart;
    (told_by_start && spawn.run_mode == RunMode::Primary).then_some(spawn.epoch)
}
