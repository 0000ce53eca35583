//! The store on a thread of its own, so that nobody who decides ever waits for a disk.
//!
//! Knows the time only to write what waits soon and to use quiet moments. The law: every batch that was handed over is
//! answered exactly once, also if the thread dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Batch, CommitError, Forgotten, Receipt, Store};

/// Most batches that wait for the thread.
const MOST_WAITING: usize = 4_096;

/// Places among them that only durable batches may take: a flood of what is merely noted must stop no decision.
const KEPT_FOR_DURABLE: usize = 256;

/// The longest that an accepted row waits.
const FLUSH_WITHIN: Duration = Duration::from_millis(50);

/// After a failed flush: the disk is full, and asking at once would change nothing.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long nothing must have come for a moment to count as quiet.
const QUIET: Duration = Duration::from_millis(200);

/// Below this the log is left as it is.
const WORTH_EMPTYING_BYTES: u64 = 1024 * 1024;

/// Above this the log is emptied without waiting for a quiet moment: beyond its full size commits get slower.
const MUST_BE_EMPTIED_BYTES: u64 = crate::open::LOG_BYTES - 512 * 1024;

/// What the thread did or could not do by itself.
#[derive(Debug)]
pub enum Notice {
    /// Rows are on the disk; the number of the newest event.
    Written {
        /// The newest event; 0 if there is none.
        last_event: i64,
    },
    /// Rows that were accepted could not be written; they wait, up to a bound.
    Waiting {
        /// How many.
        rows: usize,
        /// How many were dropped since the store was opened.
        dropped: u64,
        /// Why.
        why: CommitError,
    },
    /// The log could not be emptied; it is tried again.
    NotEmptied {
        /// Why.
        why: CommitError,
    },
}

type Answer<T> = Box<dyn FnOnce(Result<T, CommitError>) + Send>;

/// Answers once; if nobody did, with `otherwise`.
struct Pending<T>(Option<Answer<T>>);

impl<T> Pending<T> {
    fn answer(mut self, outcome: Result<T, CommitError>) {
        if let Some(answer) = self.0.take() {
            answer(outcome);
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if let Some(answer) = self.0.take() {
            answer(Err(CommitError::Unknown {
                why: "the store's writer ended while it had this batch".to_owned(),
            }));
        }
    }
}

enum Job {
    Commit(Batch, Pending<Receipt>),
    /// A batch that is not durable at once, which takes a place of those that are not kept.
    Note(Batch, Pending<Receipt>),
    Forget(i64, u32, Pending<Forgotten>),
    Close,
}

/// A handle on the writing thread. Dropping it writes what waits and ends the thread.
#[derive(Debug)]
pub struct StoreThread {
    jobs: SyncSender<Job>,
    /// Notes that wait, or are just about to.
    notes: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Result<(), CommitError>>>,
}

impl StoreThread {
    /// Hands the store to a new thread. `notice` is called there and must not block.
    pub fn start(store: Store, notice: impl FnMut(Notice) + Send + 'static) -> std::io::Result<Self> {
        let (jobs, received) = sync_channel(MOST_WAITING);
        let notes = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&notes);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            let (flush_at, leave_log_until) = (None, None);
            Writer { store, notice, flush_at, failing: false, leave_log_until, waiting }.run(&received)
        })?;
        Ok(Self { jobs, notes, thread: Some(thread) })
    }

    /// Hands a batch over. `done` is called once, on the writing thread, and must not block: when a durable batch is
    /// on the disk or failed, when another one is accepted. If the thread is too far behind or has ended, it is called
    /// at once, here; that comes to batches that are not durable while there still are places for durable ones.
    pub fn commit(&self, batch: Batch, done: impl FnOnce(Result<Receipt, CommitError>) + Send + 'static) {
        let pending: Pending<Receipt> = Pending(Some(Box::new(done)));
        if batch.is_durable() {
            return self.send(Job::Commit(batch, pending));
        }
        if self.notes.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING - KEPT_FOR_DURABLE {
            self.notes.fetch_sub(1, Ordering::Relaxed);
            return pending.answer(Err(CommitError::Behind { waiting: MOST_WAITING - KEPT_FOR_DURABLE }));
        }
        self.send(Job::Note(batch, pending));
    }

    /// Forgets rows older than `wall_ms`, at most `most` of journal and events each. `done` as for a commit.
    pub fn forget_before(
        &self,
        wall_ms: i64,
        most: u32,
        done: impl FnOnce(Result<Forgotten, CommitError>) + Send + 'static,
    ) {
        self.send(Job::Forget(wall_ms, most, Pending(Some(Box::new(done)))));
    }

    /// Writes what waits, empties the log and ends the thread.
    pub fn close(mut self) -> Result<(), CommitError> {
        self.end()
    }

    fn send(&self, job: Job) {
        let (job, why) = match self.jobs.try_send(job) {
            Ok(()) => return,
            Err(TrySendError::Full(job)) => (job, CommitError::Behind { waiting: MOST_WAITING }),
            Err(TrySendError::Disconnected(job)) => (job, CommitError::Closed),
        };
        match job {
            Job::Commit(_, pending) => pending.answer(Err(why)),
            Job::Note(_, pending) => {
                self.notes.fetch_sub(1, Ordering::Relaxed);
                pending.answer(Err(why));
            }
            Job::Forget(_, _, pending) => pending.answer(Err(why)),
            Job::Close => {}
        }
    }

    fn end(&mut self) -> Result<(), CommitError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // Blocks while the thread is behind, so that the end comes after everything that was handed over.
        let sent = self.jobs.send(Job::Close);
        match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => Err(CommitError::Unknown { why: "the store's writer panicked".to_owned() }),
        }
        .and(sent.map_err(|_| CommitError::Closed))
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        // Whoever wants to know how it ended calls `close`.
        let _ = self.end();
    }
}

struct Writer<N> {
    store: Store,
    notice: N,
    /// When the rows that wait are written, if any wait.
    flush_at: Option<Instant>,
    /// The last flush failed.
    failing: bool,
    /// The log is left alone until then, as it could not be emptied.
    leave_log_until: Option<Instant>,
    /// Notes that were handed over and not received.
    waiting: Arc<AtomicUsize>,
}

impl<N: FnMut(Notice)> Writer<N> {
    fn run(mut self, jobs: &Receiver<Job>) -> Result<(), CommitError> {
        loop {
            let received = match self.patience() {
                Some(patience) => jobs.recv_timeout(patience),
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(Job::Commit(batch, pending)) => self.commit(batch, pending),
                Ok(Job::Note(batch, pending)) => {
                    self.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.commit(batch, pending);
                }
                Ok(Job::Forget(wall_ms, most, pending)) => {
                    pending.answer(self.store.forget_before(wall_ms, most));
                }
                Ok(Job::Close) | Err(RecvTimeoutError::Disconnected) => return self.store.close(),
                Err(RecvTimeoutError::Timeout) if self.flush_at.is_none() => self.empty_log(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.flush_at.is_some_and(|at| at <= Instant::now()) {
                self.flush();
            }
            if self.store.logged_bytes() >= MUST_BE_EMPTIED_BYTES {
                self.empty_log();
            }
        }
    }

    /// How long to wait for a job before there is something else to do; for ever if there is nothing.
    fn patience(&self) -> Option<Duration> {
        match self.flush_at {
            Some(at) => Some(at.saturating_duration_since(Instant::now())),
            None => (self.store.logged_bytes() >= WORTH_EMPTYING_BYTES).then_some(QUIET),
        }
    }

    fn commit(&mut self, batch: Batch, pending: Pending<Receipt>) {
        let outcome = self.store.commit(batch);
        let durable =
            outcome.as_ref().ok().filter(|receipt| receipt.durable).map(|receipt| receipt.last_event);
        // First the one who waits, then everybody else.
        pending.answer(outcome);
        if let Some(last_event) = durable {
            (self.notice)(Notice::Written { last_event });
        }
        self.plan_flush();
    }

    fn plan_flush(&mut self) {
        if self.store.queued_rows() == 0 {
            self.flush_at = None;
            self.failing = false;
        } else if self.flush_at.is_none() {
            self.flush_at = Some(Instant::now() + if self.failing { RETRY_AFTER } else { FLUSH_WITHIN });
        }
    }

    fn flush(&mut self) {
        self.flush_at = None;
        match self.store.flush() {
            Ok(receipt) => (self.notice)(Notice::Written { last_event: receipt.last_event }),
            Err(why) => {
                self.failing = true;
                let (rows, dropped) = (self.store.queued_rows(), self.store.dropped_rows());
                (self.notice)(Notice::Waiting { rows, dropped, why });
            }
        }
        self.plan_flush();
    }

    fn empty_log(&mut self) {
        if self.leave_log_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        self.leave_log_until = match self.store.checkpoint() {
            Ok(true) => None,
            Ok(false) => Some(Instant::now() + QUIET),
            Err(why) => {
                (self.notice)(Notice::NotEmptied { why });
                Some(Instant::now() + RETRY_AFTER)
            }
        };
    }
}
