//! The journal: what was seen, decided and told, through the store's own thread, and read back through a connection of
//! its own.
//!
//! It knows no HTTP and no roles. The law: writing never waits here, except for what must be durable; and what could
//! not be written is counted and shown, never silently gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use understudy_model::{Event, Severity};
use understudy_settings::NotifySettings;
use understudy_store::{
    Batch, CommitError, EventQuery, Forgotten, JournalQuery, Notice, QueryError, Reader, Store, StoreThread,
    StoredEntry, StoredEvent,
};

use crate::api::error::ApiError;
use crate::notify::{self, Notifier};
use crate::standing::{Concern, Standing};

/// The most followers of events at a time.
const MOST_FOLLOWERS: usize = 64;
/// How long a reader waits for what was told a moment ago to be written.
const WRITTEN_WITHIN: Duration = Duration::from_millis(250);

/// How far writing has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many batches of events are on the disk.
    batches: u64,
    /// The newest event on the disk.
    pub last_event: i64,
}

/// The journal. Clones share it.
#[derive(Debug, Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: StoreThread,
    reader: Arc<Mutex<Reader>>,
    /// Batches of events that were handed over.
    told: AtomicU64,
    counts: Arc<Counts>,
    progress: watch::Receiver<Progress>,
    followers: Arc<Semaphore>,
    standing: Standing,
    /// The command that is told as well.
    notifier: OnceLock<Notifier>,
}

/// Counted on the store's thread.
#[derive(Debug, Default)]
struct Counts {
    /// Batches of events that the store has accepted.
    accepted: AtomicU64,
    /// Batches that it has not.
    lost: AtomicU64,
}

/// Why a question to the journal got no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadJournalError {
    /// The store could not read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The thread that reads has ended.
    #[error("the journal's reader has ended")]
    Ended,
}

impl ReadJournalError {
    /// As an answer of the API.
    pub fn into_api(self) -> ApiError {
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        ApiError::new(status, "journal-unreadable", format!("the journal cannot be read: {self}"))
            .try_next("the log of scs")
    }
}

impl Journal {
    /// Hands the store to its thread. Fails if that cannot be started.
    pub fn start(store: Store, reader: Reader, standing: Standing) -> std::io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let first = Progress { batches: 0, last_event: store.last_event() };
        let (progress, seen) = watch::channel(first);
        let mut notices =
            Notices { progress, counts: Arc::clone(&counts), standing: standing.clone(), failing: false };
        let store = StoreThread::start(store, move |notice| notices.heed(notice))?;
        let inner = Inner {
            store,
            reader: Arc::new(Mutex::new(reader)),
            told: AtomicU64::new(0),
            counts,
            progress: seen,
            followers: Arc::new(Semaphore::new(MOST_FOLLOWERS)),
            standing,
            notifier: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Has this command told of events from now on, or none; its own failures come back here. Fails if there is no thread
    /// for the first one, and cannot fail after that.
    pub fn notify(&self, settings: Option<NotifySettings>) -> std::io::Result<()> {
        if settings.is_some() {
            self.prepare_notices()?;
        }
        if let Some(notifier) = self.inner.notifier.get() {
            notifier.change(settings);
        }
        Ok(())
    }

    /// Starts the thread for notices, if there is none yet; nobody is told of anything by that.
    pub fn prepare_notices(&self) -> std::io::Result<()> {
        if self.inner.notifier.get().is_some() {
            return Ok(());
        }
        let inner = Arc::downgrade(&self.inner);
        let notifier = Notifier::start(notify::TIME_LIMIT, move |events| {
            // After the end nobody is told any more.
            if let Some(inner) = inner.upgrade() {
                Journal { inner }.tell(events);
            }
        })?;
        // Reloads come one at a time; a second one here would find no command and tell nobody.
        let _ = self.inner.notifier.set(notifier);
        Ok(())
    }

    /// Writes a batch durably and says what became of it.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        let (done, outcome) = oneshot::channel();
        self.inner.store.commit(batch, move |written| {
            // Whoever asked waits until this is answered, unless the program is ending.
            let _ = done.send(written.map(drop));
        });
        let ended = || Err(CommitError::Unknown { why: "the store's writer gave no answer".to_owned() });
        outcome.await.unwrap_or_else(|_| ended())
    }

    /// Notes something that need not be durable at once. Never waits.
    pub fn note(&self, batch: Batch) {
        let has_events = !batch.events.is_empty();
        if has_events {
            self.inner.told.fetch_add(1, Ordering::Relaxed);
        }
        let counts = Arc::clone(&self.inner.counts);
        let standing = self.inner.standing.clone();
        self.inner.store.commit(batch, move |accepted| {
            if has_events {
                counts.accepted.fetch_add(1, Ordering::Relaxed);
            }
            if let Err(error) = accepted {
                let lost = counts.lost.fetch_add(1, Ordering::Relaxed) + 1;
                let warning =
                    format!("{lost} journal entries were lost since the start, the last one because {error}");
                standing.set(Concern::Journal, vec![warning]);
            }
        });
    }

    /// Tells people: one line of the log for each event, and the journal.
    pub fn tell(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        for event in &events {
            log(event);
        }
        let at_wall_ms = now_ms();
        if let Some(notifier) = self.inner.notifier.get() {
            notifier.notice(at_wall_ms, &events);
        }
        let events = events.into_iter().map(|event| (at_wall_ms, event)).collect();
        self.note(Batch { events, ..Batch::default() });
    }

    /// The events that fit, oldest first. What was told before this call is among them, unless writing is stuck.
    pub async fn events(&self, query: EventQuery) -> Result<Vec<StoredEvent>, ReadJournalError> {
        let newest_first = query.newest_first;
        let mut found = self.read(move |reader| reader.events(&query)).await?;
        if newest_first {
            found.reverse();
        }
        Ok(found)
    }

    /// The event with that number.
    pub async fn event(&self, id: i64) -> Result<Option<StoredEvent>, ReadJournalError> {
        self.read(move |reader| reader.event(id)).await
    }

    /// Journal rows, oldest first.
    pub async fn rows(&self, query: JournalQuery) -> Result<Vec<StoredEntry>, ReadJournalError> {
        self.read(move |reader| reader.journal(&query)).await
    }

    /// The rows with which leaderships began until that wall time, the newest first.
    pub async fn beginnings(
        &self,
        until_wall_ms: i64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, ReadJournalError> {
        self.read(move |reader| reader.beginnings(until_wall_ms, limit)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, ReadJournalError> {
        let told = self.inner.told.load(Ordering::Relaxed);
        let mut progress = self.inner.progress.clone();
        // Late writing makes an answer incomplete, not wrong; status shows why it is late.
        let _ = tokio::time::timeout(WRITTEN_WITHIN, progress.wait_for(|now| now.batches >= told)).await;
        let reader = Arc::clone(&self.inner.reader);
        let answer = tokio::task::spawn_blocking(move || {
            // A reader holds no half-done change, so a poisoned lock still guards a whole one.
            question(&reader.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Ok(answer.await.map_err(|_| ReadJournalError::Ended)??)
    }

    /// How far writing has come, and its changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.inner.progress.clone()
    }

    /// Room for one more follower, given back when it is dropped; `None` if there are too many.
    pub fn room_for_follower(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.followers).try_acquire_owned().ok()
    }

    /// Forgets at most `most` rows of each sort that are older than a wall time.
    pub async fn forget_before(&self, wall_ms: i64, most: u32) -> Result<Forgotten, CommitError> {
        let (done, outcome) = oneshot::channel();
        self.inner.store.forget_before(wall_ms, most, move |forgotten| {
            // As in `commit`.
            let _ = done.send(forgotten);
        });
        outcome.await.unwrap_or(Err(CommitError::Closed))
    }

    /// Writes what waits and closes the store. Call it on the last clone; on another one nothing happens yet.
    pub fn close(self) -> Result<(), CommitError> {
        match Arc::into_inner(self.inner) {
            Some(inner) => inner.store.close(),
            None => Ok(()),
        }
    }
}

/// What the store's thread says by itself.
struct Notices {
    progress: watch::Sender<Progress>,
    counts: Arc<Counts>,
    standing: Standing,
    failing: bool,
}

impl Notices {
    fn heed(&mut self, notice: Notice) {
        match notice {
            Notice::Written { last_event } => {
                // What was accepted before this was said is written now: both happen on this thread.
                let batches = self.counts.accepted.load(Ordering::Relaxed);
                self.progress.send_replace(Progress { batches, last_event });
                if std::mem::take(&mut self.failing) {
                    self.standing.set(Concern::Journal, Vec::new());
                    tracing::info!("the journal is written again");
                }
            }
            Notice::Waiting { rows, dropped, why } => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(rows, dropped, error = %why, "the journal cannot be written");
                }
                let warning = format!(
                    "the journal cannot be written: {why}; {rows} entries wait and {dropped} were dropped: make room \
                     under the state directory"
                );
                self.standing.set(Concern::Journal, vec![warning]);
            }
            Notice::NotEmptied { why } => {
                tracing::warn!(error = %why, "the store's log was not emptied; it is tried again");
            }
        }
    }
}

/// One line of the log, in the order in which people ask: about what, what, why.
fn log(event: &Event) {
    let about = [
        event.about.pair.as_ref().map(|name| name.as_str()),
        event.about.application.as_ref().map(|name| name.as_str()),
        event.about.host.as_ref().map(|name| name.as_str()),
    ];
    let mut about = about.into_iter().flatten().collect::<Vec<_>>().join("/");
    if about.is_empty() {
        about.push_str("cluster");
    }
    let (kind, rule, reason) = (event.kind.as_str(), event.because.rule.id(), event.because.reason.as_str());
    let epoch = event.epoch.map(|epoch| epoch.0);
    match event.severity {
        Severity::Info => tracing::info!(rule, epoch, "{about}: {kind}: {reason}"),
        Severity::Warning => tracing::warn!(rule, epoch, "{about}: {kind}: {reason}"),
        Severity::Critical => tracing::error!(rule, epoch, "{about}: {kind}: {reason}"),
    }
}

/// Wall milliseconds since 1970.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
