//! Opens the database file: refuses what is not ours, brings it to the present schema, and makes commits cheap.
//!
//! Knows no rows. The law: a file that was not written by a version we know is refused by name and left as it is.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, FileControl, OpenFlags};

use crate::OpenError;
use crate::lock::private;
use crate::schema::{APPLICATION_ID, STEPS};

/// The write-ahead log is kept at this size, so that a commit overwrites it: a growing file costs a second write of the
/// file system's own records with every sync.
pub(crate) const LOG_BYTES: u64 = 4 * 1024 * 1024;

/// Length of the header that every SQLite file begins with.
const HEADER_BYTES: usize = 16;

/// Patience with another connection, such as one that makes a backup.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The writing connection on the file at `path`, made if missing.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    check_header(path)?;
    let failed = |source| OpenError::of_sqlite(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(failed)?;
    check_origin(&connection, path)?;
    set_mode(&connection).map_err(failed)?;
    migrate(&mut connection).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Makes the file if it is missing, private to its owner, and refuses one that is not SQLite's.
fn check_header(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    let file: File =
        private().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(failed)?;
    if header.is_empty() || header == b"SQLite format 3\0" {
        return Ok(());
    }
    let found = "it does not begin as a SQLite file does".to_owned();
    Err(OpenError::Foreign { path: path.to_owned(), found })
}

fn check_origin(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::of_sqlite(path, source);
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let origin = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if origin != APPLICATION_ID && (origin != 0 || tables != 0 || version != 0) {
        let found = format!("a SQLite file with {tables} tables and application id {origin}");
        return Err(OpenError::Foreign { path: path.to_owned(), found });
    }
    if version > STEPS.len() as i64 {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known: STEPS.len() as i64 });
    }
    Ok(())
}

fn set_mode(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Checkpoints are made when there is time for them, never within a commit.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |row| row.get::<_, i64>(0))?;
    let mut persist = 1;
    connection.file_control(Some(c"main"), FileControl::PersistWal(&mut persist))
}

/// Brings a file to the present schema.
pub(crate) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(0);
    if done >= STEPS.len() {
        return Ok(());
    }
    for (step, text) in STEPS.iter().enumerate().skip(done) {
        transaction.execute_batch(text)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.commit()
}

/// Brings the log to its size and empties it, so that the commits to come overwrite it.
pub(crate) fn fill_log(connection: &mut Connection, log: &Path) -> rusqlite::Result<()> {
    let length = std::fs::metadata(log).map_or(0, |file| file.len());
    if length < LOG_BYTES {
        let transaction = connection.transaction()?;
        // One may be left from a start that was killed here.
        transaction
            .execute_batch("DROP TABLE IF EXISTS filler; CREATE TABLE filler (bytes BLOB NOT NULL) STRICT")?;
        transaction.execute("INSERT INTO filler VALUES (zeroblob(?1))", [LOG_BYTES as i64])?;
        transaction.commit()?;
        // Its pages stay in the file, free for the rows to come.
        connection.execute_batch("DROP TABLE filler")?;
    }
    // Nobody else has the file open for writing yet, so waiting for readers is short.
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
}

/// Writes the log's rows to their place. True if that was all of it, so that the next commit begins at its start;
/// false if somebody still reads from it. Never waits for readers.
pub(crate) fn empty_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (logged, written): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(logged == written)
    })
}
