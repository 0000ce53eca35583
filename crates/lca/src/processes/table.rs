//! What is known of each start, shared by the threads that start and kill and by the runtime.
//!
//! Refuses to know processes beyond their names. The law: a question about a start that is gone has the answer
//! "nothing", never another start's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use understudy_decide::agent::StartId;
use understudy_model::{ApplicationName, Signal};

/// One start.
pub enum Known<T> {
    /// Its process is being made.
    Starting {
        /// Of which application.
        application: ApplicationName,
        /// What is to be done as soon as it runs.
        asked: Asked,
    },
    /// It runs, or something of it does.
    Running {
        /// Of which application.
        application: ApplicationName,
        /// What runs.
        tree: Arc<T>,
        /// A kill is under way.
        killing: bool,
        /// Its main process was gone when it was found.
        remains: bool,
        /// Told once when a kill has left nothing alive.
        gone: Arc<Notify>,
        /// Told when another process became the main one.
        replaced: Arc<Notify>,
    },
}

/// What was asked of a start while its process was being made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Signals, in order; more than a few make no sense and are dropped.
    pub signals: Vec<Signal>,
    /// To be killed.
    pub kill: bool,
}

/// Most signals that wait for a process that is being made.
const MOST_WAITING_SIGNALS: usize = 8;

/// All starts.
pub struct Table<T> {
    starts: Mutex<BTreeMap<StartId, Known<T>>>,
    changed: watch::Sender<()>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { starts: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl<T> Table<T> {
    fn starts(&self) -> MutexGuard<'_, BTreeMap<StartId, Known<T>>> {
        // Every change is one insertion or assignment, so a panic elsewhere leaves nothing half done.
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process is about to be made.
    pub fn insert_starting(&self, start: StartId, application: ApplicationName) {
        self.starts().insert(start, Known::Starting { application, asked: Asked::default() });
    }

    /// Something of an earlier life runs; `remains` if only without its main process.
    pub fn insert_running(&self, start: StartId, application: ApplicationName, tree: Arc<T>, remains: bool) {
        let (gone, replaced) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let running = Known::Running { application, tree, killing: false, remains, gone, replaced };
        self.starts().insert(start, running);
    }

    /// It runs now; what was asked meanwhile.
    pub fn now_running(&self, start: StartId, tree: Arc<T>) -> Asked {
        let mut starts = self.starts();
        let asked = match starts.remove(&start) {
            Some(Known::Starting { application, asked }) => {
                let (gone, replaced) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
                let running =
                    Known::Running { application, tree, killing: false, remains: false, gone, replaced };
                starts.insert(start, running);
                asked
            }
            Some(other @ Known::Running { .. }) => {
                starts.insert(start, other);
                Asked::default()
            }
            None => Asked::default(),
        };
        drop(starts);
        self.changed.send_replace(());
        asked
    }

    /// Nothing of it is left, or it never ran.
    pub fn remove(&self, start: StartId) -> Option<Known<T>> {
        let removed = self.starts().remove(&start);
        self.changed.send_replace(());
        removed
    }

    /// Whether there is such a start.
    pub fn knows(&self, start: StartId) -> bool {
        self.starts().contains_key(&start)
    }

    /// Another process is its main one.
    pub fn replace(&self, start: StartId, other: Arc<T>) {
        if let Some(Known::Running { tree, replaced, .. }) = self.starts().get_mut(&start) {
            *tree = other;
            replaced.notify_one();
        }
    }

    /// What runs of it, and what is told when another process becomes the main one.
    pub fn watched(&self, start: StartId) -> Option<(Arc<T>, Arc<Notify>)> {
        match self.starts().get(&start)? {
            Known::Running { tree, replaced, .. } => Some((Arc::clone(tree), Arc::clone(replaced))),
            Known::Starting { .. } => None,
        }
    }

    /// What runs of it.
    pub fn tree(&self, start: StartId) -> Option<Arc<T>> {
        match self.starts().get(&start)? {
            Known::Running { tree, .. } => Some(Arc::clone(tree)),
            Known::Starting { .. } => None,
        }
    }

    /// Told when a kill has left nothing alive.
    pub fn gone(&self, start: StartId) -> Option<Arc<Notify>> {
        match self.starts().get(&start)? {
            Known::Running { gone, .. } => Some(Arc::clone(gone)),
            Known::Starting { .. } => None,
        }
    }

    /// What to signal now; a start that is being made keeps the signal.
    pub fn signal(&self, start: StartId, signal: Signal) -> Option<Arc<T>> {
        match self.starts().get_mut(&start)? {
            Known::Running { tree, .. } => Some(Arc::clone(tree)),
            Known::Starting { asked, .. } => {
                if asked.signals.len() < MOST_WAITING_SIGNALS {
                    asked.signals.push(signal);
                }
                None
            }
        }
    }

    /// What to kill now; nothing if that is under way, and later if it is being made.
    pub fn kill(&self, start: StartId) -> Option<(Arc<T>, Arc<Notify>)> {
        match self.starts().get_mut(&start)? {
            Known::Running { killing: true, .. } => None,
            Known::Running { tree, killing, gone, .. } => {
                *killing = true;
                Some((Arc::clone(tree), Arc::clone(gone)))
            }
            Known::Starting { asked, .. } => {
                asked.kill = true;
                None
            }
        }
    }

    /// It is being made, and is to be killed as soon as it runs.
    pub fn is_to_be_killed(&self, start: StartId) -> bool {
        matches!(self.starts().get(&start), Some(Known::Starting { asked, .. }) if asked.kill)
    }

    /// A kill that was taken was not begun.
    pub fn kill_failed(&self, start: StartId) {
        if let Some(Known::Running { killing, .. }) = self.starts().get_mut(&start) {
            *killing = false;
        }
    }

    /// The application of a start once its main process runs; `None` if there is no such start, or it never ran.
    pub async fn running(&self, start: StartId) -> Option<ApplicationName> {
        let mut changed = self.changed.subscribe();
        loop {
            match self.starts().get(&start) {
                Some(Known::Running { application, remains: false, .. }) => return Some(application.clone()),
                Some(Known::Starting { .. }) => {}
                Some(Known::Running { .. }) | None => return None,
            }
            // The sender is part of this table, so waiting ends by a change.
            changed.changed().await.ok()?;
        }
    }
}
