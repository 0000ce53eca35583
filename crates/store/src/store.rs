//! The store, as one blocking value with one owner.
//!
//! Knows no threads and no clocks. The law: a durable batch is on the disk when `commit` returns, and after an unknown
//! outcome nothing more is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};
use understudy_model::{
    ApplicationName, ControllerEpoch, ControllerName, Goal, HostName, InSync, LeadershipId, OperationId,
    PairName, RoleEpoch,
};

use crate::lock::DirectoryLock;
use crate::open::{empty_log, fill_log, open_writer};
use crate::queue::{Queue, Row, rows};
use crate::{
    Batch, CommitError, DATABASE_FILE, Forgotten, LOCK_FILE, Leadership, Maintenance, OpenError, QueryError,
    Receipt, forget, in_sync, queries, write,
};

/// Pages that a commit of one row touches, about; for an estimate of the log's length.
const PAGES_A_COMMIT: u64 = 4;

/// Bytes of a page.
pub(crate) const PAGE_BYTES: u64 = 4_096;

/// An open store. One process at a time has one, by a lock on its directory.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    queue: Queue,
    last_event: i64,
    /// About how much the log has grown since it was emptied, in bytes.
    logged_bytes: u64,
    /// Why nothing more may be written.
    unknown: Option<String>,
    path: PathBuf,
    // Dropped last: the directory is free only once the connection is closed.
    _lock: DirectoryLock,
}

impl Store {
    /// Opens the store in `directory`; makes both, private to their owner, if they are missing.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        make_directory(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        let lock = DirectoryLock::take(&directory.join(LOCK_FILE))?;
        let path = directory.join(DATABASE_FILE);
        let mut connection = open_writer(&path)?;
        let log = directory.join(format!("{DATABASE_FILE}-wal"));
        // On a full disk the store still opens: what is remembered can be read, and the first commit says so.
        if let Err(source) = fill_log(&mut connection, &log)
            && source.sqlite_error_code() != Some(ErrorCode::DiskFull)
        {
            return Err(OpenError::of_sqlite(&path, source));
        }
        let last_event =
            queries::newest_event(&connection).map_err(|source| OpenError::of_sqlite(&path, source))?;
        Ok(Self {
            connection,
            queue: Queue::default(),
            last_event,
            logged_bytes: 0,
            unknown: None,
            path,
            _lock: lock,
        })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Counts leadership up by one, durably. Orders of lower leaderships are refused from then on.
    pub fn take_leadership(&mut self, name: &ControllerName) -> Result<ControllerEpoch, CommitError> {
        self.check_known()?;
        let taken = write::take_leadership(&mut self.connection, name.as_str());
        self.remember(taken)
    }

    /// The newest leaderships, this one the last of them; at most 64. None that an earlier version took.
    pub fn lineage(&self) -> Result<Vec<LeadershipId>, QueryError> {
        queries::lineage(&self.connection)
    }

    /// Writes a durable batch, with everything that waits, in order; or accepts another one.
    ///
    /// Errors: see [`CommitError`]; rows that waited go on waiting. If the disk is full or rows cannot be written, a durable
    /// batch is tried once more without the rows that wait, and then without its own, which wait too: no row keeps an epoch
    /// from being written.
    pub fn commit(&mut self, batch: Batch) -> Result<Receipt, CommitError> {
        self.check_known()?;
        write::check_bounds(&batch)?;
        if !batch.is_durable() {
            self.queue.add(batch);
            return Ok(Receipt { durable: false, last_event: self.last_event });
        }
        let mut batch = batch;
        let changes = std::mem::take(&mut batch.changes);
        let mut own: Vec<Row> = rows(batch).collect();
        let all = write::commit(&mut self.connection, self.queue.rows().chain(&own), &changes);
        let (mut written, with_queue) = match all {
            // A flush has nothing of its own: its failure is the answer.
            Err(error)
                if error.is_of_the_disk()
                    && self.queue.len() > 0
                    && !(own.is_empty() && changes.is_empty()) =>
            {
                (write::commit(&mut self.connection, own.iter(), &changes), false)
            }
            other => (other, true),
        };
        let mut waits = Vec::new();
        if written.as_ref().is_err_and(CommitError::is_of_the_disk) && !own.is_empty() && !changes.is_empty()
        {
            // Who is primary matters more than the reason, which waits until there is room for it.
            written = write::commit(&mut self.connection, std::iter::empty(), &changes);
            waits = std::mem::take(&mut own);
        }
        let last_event = self.remember(written)?;
        self.count(&own);
        if with_queue {
            self.clear_queue();
        }
        self.queue.extend(waits);
        self.last_event = last_event.unwrap_or(self.last_event);
        Ok(Receipt { durable: true, last_event: self.last_event })
    }

    /// Writes everything that waits.
    pub fn flush(&mut self) -> Result<Receipt, CommitError> {
        if self.queue.len() == 0 {
            return Ok(Receipt { durable: true, last_event: self.last_event });
        }
        self.commit(Batch { durable: true, ..Batch::default() })
    }

    /// How many rows wait to be written.
    pub fn queued_rows(&self) -> usize {
        self.queue.len()
    }

    /// How many rows were dropped since the store was opened, because too many waited.
    pub fn dropped_rows(&self) -> u64 {
        self.queue.dropped()
    }

    /// The number of the newest event on the disk; 0 if there is none.
    pub fn last_event(&self) -> i64 {
        self.last_event
    }

    /// Forgets rows older than `wall_ms`, at most `most` of journal and events each.
    pub fn forget_before(&mut self, wall_ms: i64, most: u32) -> Result<Forgotten, CommitError> {
        self.check_known()?;
        let forgotten = forget::forget_before(&mut self.connection, wall_ms, most);
        let forgotten = self.remember(forgotten)?;
        self.logged_bytes += (PAGES_A_COMMIT + forgotten.rows / 8) * PAGE_BYTES;
        Ok(forgotten)
    }

    /// About how many bytes the log has taken since it was last emptied. The file stays at its full size.
    pub fn logged_bytes(&self) -> u64 {
        self.logged_bytes
    }

    /// Empties the log into the database file and begins it anew. Takes some milliseconds: for quiet moments. False if
    /// somebody reads from the log just now: then it goes on where it is, and this is worth trying again.
    pub fn checkpoint(&mut self) -> Result<bool, CommitError> {
        self.check_known()?;
        if !empty_log(&self.connection).map_err(CommitError::before_commit)? {
            return Ok(false);
        }
        self.logged_bytes = 0;
        // The first commit after a restart syncs the log twice: this one, not the next epoch.
        let first = self.connection.execute("UPDATE control SET checkpoints = checkpoints + 1", []);
        self.remember(first.map(|_| true).map_err(CommitError::at_commit))
    }

    /// Bounds the database file, in bytes. Commits beyond it are refused as [`CommitError::Full`].
    pub fn limit_size(&mut self, bytes: u64) -> Result<(), CommitError> {
        let pages = i64::try_from((bytes / PAGE_BYTES).max(1)).unwrap_or(i64::MAX);
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .map_err(CommitError::before_commit)
    }

    /// Who leads, or led last.
    pub fn leadership(&self) -> Result<Leadership, QueryError> {
        queries::leadership(&self.connection)
    }

    /// The stored role of every pair that ever had a primary.
    pub fn roles(&self) -> Result<BTreeMap<PairName, RoleEpoch>, QueryError> {
        queries::roles(&self.connection)
    }

    /// The lease that the stored epoch of a pair was given, where one was.
    pub fn leases(&self) -> Result<BTreeMap<PairName, Duration>, QueryError> {
        queries::leases(&self.connection)
    }

    /// Which members have everything that was acknowledged, of every pair that has a record of it.
    pub fn in_sync(&self) -> Result<BTreeMap<PairName, InSync>, QueryError> {
        in_sync::all(&self.connection)
    }

    /// If this store was made from a backup: the pairs whose role was stored since. What it holds of any other pair may be
    /// older than what agents have promised.
    pub fn stored_since_restore(&self) -> Result<Option<BTreeSet<PairName>>, QueryError> {
        queries::stored_since_restore(&self.connection)
    }

    /// The goal of every application that ever got one.
    pub fn goals(&self) -> Result<BTreeMap<ApplicationName, Goal>, QueryError> {
        queries::goals(&self.connection)
    }

    /// Maintenance that is on, by its subject.
    pub fn maintenance(&self) -> Result<BTreeMap<String, Maintenance>, QueryError> {
        queries::maintenance(&self.connection)
    }

    /// The highest operation number that was used; 0 if none was.
    pub fn last_operation(&self) -> Result<OperationId, QueryError> {
        queries::last_operation(&self.connection)
    }

    /// The cluster's identity, if it was set.
    pub fn cluster_id(&self) -> Result<Option<String>, QueryError> {
        queries::cluster_id(&self.connection)
    }

    /// What is remembered of each pair's changes of roles: the boot whose clock it is of, and the text.
    pub fn flaps(&self) -> Result<BTreeMap<PairName, (String, String)>, QueryError> {
        queries::flaps(&self.connection)
    }

    /// The hosts that are held for planned work: the boot whose clock it is of, and the text.
    pub fn holds(&self) -> Result<BTreeMap<HostName, (String, String)>, QueryError> {
        queries::holds(&self.connection)
    }

    /// The configuration that was last accepted, if one was.
    pub fn configuration(&self) -> Result<Option<String>, QueryError> {
        queries::configuration(&self.connection)
    }

    /// Writes what waits, empties the log, and frees the directory.
    pub fn close(mut self) -> Result<(), CommitError> {
        self.flush()?;
        self.checkpoint().map(drop)
    }

    fn check_known(&self) -> Result<(), CommitError> {
        match &self.unknown {
            Some(why) => Err(CommitError::Unknown { why: format!("an earlier write failed: {why}") }),
            None => Ok(()),
        }
    }

    /// Remembers an unknown outcome, which ends all writing.
    fn remember<T>(&mut self, outcome: Result<T, CommitError>) -> Result<T, CommitError> {
        if let Err(CommitError::Unknown { why }) = &outcome {
            self.unknown = Some(why.clone());
        }
        outcome
    }

    fn count(&mut self, rows: &[Row]) {
        let texts: u64 = rows.iter().map(row_bytes).sum();
        self.logged_bytes += PAGES_A_COMMIT * PAGE_BYTES + texts * 2;
    }

    fn clear_queue(&mut self) {
        let texts: u64 = self.queue.rows().map(row_bytes).sum();
        self.logged_bytes += texts * 2;
        self.queue.clear();
    }
}

fn row_bytes(row: &Row) -> u64 {
    match row {
        Row::Entry(entry) => entry.text.len() as u64 + 32,
        Row::Event(..) => 512,
    }
}

fn make_directory(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}
