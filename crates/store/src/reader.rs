//! A second, read-only connection, so that questions never delay commits.
//!
//! Knows no writing. The law: it sees what was committed, and nothing else; each question is short, as a long one
//! would keep the log from being emptied.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use understudy_model::{ApplicationName, Goal, PairName, RoleEpoch};

use crate::open::PATIENCE;
use crate::{
    DATABASE_FILE, EventQuery, JournalQuery, Leadership, Maintenance, OpenError, QueryError, StoredEntry,
    StoredEvent, StoredToken, queries,
};

/// Answers questions about a store that somebody has open. Can be sent to another thread, not shared by two.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the store in `directory` for reading.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(DATABASE_FILE);
        let failed = |source| OpenError::of_sqlite(&path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        Ok(Self { connection })
    }

    /// The events that `query` wants.
    pub fn events(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, QueryError> {
        queries::events(&self.connection, query)
    }

    /// The event with that number, if there is one.
    pub fn event(&self, id: i64) -> Result<Option<StoredEvent>, QueryError> {
        let query = EventQuery {
            after_id: Some(id.saturating_sub(1)),
            before_id: Some(id.saturating_add(1)),
            limit: 1,
            ..EventQuery::default()
        };
        Ok(self.events(&query)?.pop())
    }

    /// The number of the newest event; 0 if there is none.
    pub fn last_event(&self) -> Result<i64, QueryError> {
        queries::last_event(&self.connection)
    }

    /// The journal rows that `query` wants.
    pub fn journal(&self, query: &JournalQuery) -> Result<Vec<StoredEntry>, QueryError> {
        queries::journal(&self.connection, query)
    }

    /// At most so many of the journal rows with which leaderships began until that wall time, the newest first: those whose
    /// text begins with `{"n":0,`.
    pub fn beginnings(&self, until_wall_ms: i64, limit: u32) -> Result<Vec<StoredEntry>, QueryError> {
        queries::beginnings(&self.connection, until_wall_ms, limit)
    }

    /// Who leads, or led last.
    pub fn leadership(&self) -> Result<Leadership, QueryError> {
        queries::leadership(&self.connection)
    }

    /// The stored role of every pair that ever had a primary.
    pub fn roles(&self) -> Result<BTreeMap<PairName, RoleEpoch>, QueryError> {
        queries::roles(&self.connection)
    }

    /// The goal of every application that ever got one.
    pub fn goals(&self) -> Result<BTreeMap<ApplicationName, Goal>, QueryError> {
        queries::goals(&self.connection)
    }

    /// Maintenance that is on, by its subject.
    pub fn maintenance(&self) -> Result<BTreeMap<String, Maintenance>, QueryError> {
        queries::maintenance(&self.connection)
    }

    /// The tokens of the operators' API, by name.
    pub fn tokens(&self) -> Result<Vec<StoredToken>, QueryError> {
        queries::tokens(&self.connection)
    }

    /// Reads the whole file and says what is damaged: nothing if all is well. Takes as long as reading it takes.
    pub fn check(&self) -> Result<Vec<String>, QueryError> {
        queries::quick_check(&self.connection)
    }
}
