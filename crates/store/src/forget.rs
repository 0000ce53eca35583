//! Retention: old rows go in small batches.
//!
//! Knows no clock: the caller says what is old. The law: the newest row always stays, so that no number is used twice.

use rusqlite::Connection;

use crate::CommitError;
use crate::store::PAGE_BYTES;
use crate::write::begin;

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// Rows that are gone.
    pub rows: u64,
    /// There may be more: the same call is worth repeating.
    pub more: bool,
    /// What the database takes without what is free within it, in bytes.
    pub used_bytes: u64,
}

/// As the moment before which rows are old: all of them are, and only those of the journal go, as they are what takes the room.
/// Events are few, and people ask for them.
pub const BY_SIZE: i64 = i64::MAX;

/// Deletes rows older than `wall_ms`, of the `most` oldest of each table.
pub(crate) fn forget_before(
    connection: &mut Connection,
    wall_ms: i64,
    most: u32,
) -> Result<Forgotten, CommitError> {
    let transaction = begin(connection)?;
    let mut forgotten = Forgotten { rows: 0, more: false, used_bytes: 0 };
    let tables = if wall_ms == BY_SIZE { 1 } else { 2 };
    for sql in [
        "DELETE FROM journal WHERE id IN (SELECT id FROM journal ORDER BY id LIMIT ?1) AND at_wall_ms < ?2
         AND id < (SELECT max(id) FROM journal)",
        "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?1) AND at_wall_ms < ?2
         AND id < (SELECT max(id) FROM event)",
    ]
    .into_iter()
    .take(tables)
    {
        let gone = transaction
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute((most, wall_ms)))
            .map_err(CommitError::before_commit)?;
        forgotten.rows += gone as u64;
        forgotten.more |= gone > 0 && gone >= most as usize;
    }
    let pages = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let used = pages("page_count")
        .and_then(|all| Ok(all - pages("freelist_count")?))
        .map_err(CommitError::before_commit)?;
    forgotten.used_bytes = u64::try_from(used).unwrap_or(0) * PAGE_BYTES;
    transaction.commit().map_err(CommitError::at_commit)?;
    Ok(forgotten)
}
