//! The record of which members of a pair have everything that was acknowledged (G14).
//!
//! Knows no rules of promotion but one. The law: the record changes only if leadership, stored role and record are what the
//! caller believes, and while there is one no role is stored for a member that it does not name, all judged within the same
//! transaction.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use understudy_model::{ApplicationName, ControllerEpoch, Epoch, InSync, PairName, RoleEpoch};

use crate::queries::{counter, parsed, rows};
use crate::write::{check_leadership, number, stored_role};
use crate::{CommitError, QueryError};

/// The record of every pair that has one.
pub(crate) fn all(connection: &Connection) -> Result<BTreeMap<PairName, InSync>, QueryError> {
    let rows: Vec<(String, i64, String)> =
        rows(connection, "SELECT pair, since, members FROM in_sync", "records of data", |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    rows.into_iter()
        .map(|(pair, since, members)| {
            let since = Epoch(counter(since, "an epoch")?);
            let named = parsed(serde_json::from_str(&members), "members of a record of data", &members)?;
            Ok((parsed(PairName::new(&pair), "a pair", &pair)?, InSync { since, members: named }))
        })
        .collect()
}

/// Writes a record, if leadership, role and the record before are the expected ones.
pub(crate) fn set(
    transaction: &Transaction<'_>,
    pair: &PairName,
    role: Option<&RoleEpoch>,
    expected: Option<&InSync>,
    next: &InSync,
    given: ControllerEpoch,
) -> Result<(), CommitError> {
    check_leadership(transaction, given)?;
    let stored = stored_role(transaction, pair)?;
    if stored.as_ref() != role {
        return Err(CommitError::NotAsExpected { pair: pair.clone(), stored });
    }
    if read(transaction, pair)?.as_ref() != expected {
        return Err(CommitError::OtherInSync { pair: pair.clone() });
    }
    let since = number(next.since.0, "an epoch")?;
    let members = serde_json::to_string(&next.members)
        .map_err(|why| CommitError::OutOfBounds { what: format!("a record of data ({why})") })?;
    transaction
        .prepare_cached(
            "INSERT INTO in_sync VALUES (?1, ?2, ?3) ON CONFLICT (pair)
             DO UPDATE SET since = excluded.since, members = excluded.members",
        )
        .and_then(|mut statement| statement.execute(params![pair.as_str(), since, members]))
        .map(drop)
        .map_err(CommitError::before_commit)
}

/// Refuses a role for a member that the record of its pair leaves out.
pub(crate) fn check_holder(
    transaction: &Transaction<'_>,
    pair: &PairName,
    holder: &ApplicationName,
) -> Result<(), CommitError> {
    match read(transaction, pair)? {
        Some(record) if !record.members.contains_key(holder) => {
            Err(CommitError::NotInSync { pair: pair.clone(), holder: holder.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Forgets the records of all pairs but these.
pub(crate) fn keep_only(
    transaction: &Transaction<'_>,
    pairs: &BTreeSet<PairName>,
) -> Result<(), CommitError> {
    let mut there =
        transaction.prepare_cached("SELECT pair FROM in_sync").map_err(CommitError::before_commit)?;
    let there = there
        .query_map([], |row| row.get::<_, String>(0))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .map_err(CommitError::before_commit)?;
    for pair in there.iter().filter(|pair| !pairs.iter().any(|kept| kept.as_str() == pair.as_str())) {
        transaction
            .execute("DELETE FROM in_sync WHERE pair = ?1", [pair])
            .map_err(CommitError::before_commit)?;
    }
    Ok(())
}

/// Of what a record says, nothing is known any more: the store was restored from a backup.
pub(crate) const DOUBT_ALL: &str = "UPDATE in_sync SET members = '{}'";

/// A record that cannot be read names nobody: it then matches nothing that anyone expects, and nobody is promoted by it.
fn read(transaction: &Transaction<'_>, pair: &PairName) -> Result<Option<InSync>, CommitError> {
    let found = transaction
        .prepare_cached("SELECT since, members FROM in_sync WHERE pair = ?1")
        .and_then(|mut statement| {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
            statement.query_row([pair.as_str()], read).optional()
        })
        .map_err(CommitError::before_commit)?;
    Ok(found.map(|(since, members)| InSync {
        since: Epoch(since.unsigned_abs()),
        members: serde_json::from_str(&members).unwrap_or_default(),
    }))
}
