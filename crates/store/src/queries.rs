//! Questions to the store, for the writing and the reading connection alike.
//!
//! Knows no transactions: each question is one. The law: a value that no version wrote is an error, not a guess.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use understudy_model::{
    ApplicationName, ControllerEpoch, Epoch, Goal, HostName, Incarnation, LeadershipId, Moment, OperationId,
    OperatorName, PairName, RoleEpoch,
};

use crate::{
    EntryKind, EventQuery, JournalQuery, Leadership, Maintenance, QueryError, StoredEntry, StoredEvent,
    StoredToken,
};

pub(crate) fn leadership(connection: &Connection) -> Result<Leadership, QueryError> {
    let sql = "SELECT leadership, leader FROM control";
    let (epoch, name) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(read("leadership"))?;
    Ok(Leadership { epoch: ControllerEpoch(counter(epoch, "a leadership")?), name })
}

/// The newest leaderships in their order.
pub(crate) fn lineage(connection: &Connection) -> Result<Vec<LeadershipId>, QueryError> {
    let what = "the newest leaderships";
    let mut statement =
        connection.prepare("SELECT epoch, incarnation FROM leadership ORDER BY epoch").map_err(read(what))?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?)))
        .map_err(read(what))?;
    rows.map(|row| {
        let (epoch, incarnation) = row.map_err(read(what))?;
        let epoch = ControllerEpoch(counter(epoch, "a leadership")?);
        Ok(LeadershipId { epoch, incarnation: Incarnation(u128::from_be_bytes(incarnation)) })
    })
    .collect()
}

pub(crate) fn last_operation(connection: &Connection) -> Result<OperationId, QueryError> {
    let sql = "SELECT last_operation FROM control";
    let id = connection.query_row(sql, [], |row| row.get(0)).map_err(read("the last operation"))?;
    Ok(OperationId(counter(id, "an operation's number")?))
}

pub(crate) fn cluster_id(connection: &Connection) -> Result<Option<String>, QueryError> {
    connection
        .query_row("SELECT cluster_id FROM control", [], |row| row.get(0))
        .map_err(read("the cluster's identity"))
}

pub(crate) fn roles(connection: &Connection) -> Result<BTreeMap<PairName, RoleEpoch>, QueryError> {
    let rows: Vec<(String, i64, String)> =
        rows(connection, "SELECT pair, epoch, holder FROM role", "roles", |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    rows.into_iter()
        .map(|(pair, epoch, holder)| {
            let pair = parsed(PairName::new(&pair), "a pair", &pair)?;
            let holder = parsed(ApplicationName::new(&holder), "a holder", &holder)?;
            Ok((pair, RoleEpoch::new(Epoch(counter(epoch, "an epoch")?), holder)))
        })
        .collect()
}

/// The lease that the epoch of a pair was given, where one was.
pub(crate) fn leases(connection: &Connection) -> Result<BTreeMap<PairName, Duration>, QueryError> {
    let rows: Vec<(String, i64)> =
        rows(connection, "SELECT pair, lease_ns FROM lease", "leases", |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.into_iter()
        .map(|(pair, lease_ns)| {
            let pair = parsed(PairName::new(&pair), "a pair", &pair)?;
            Ok((pair, Duration::from_nanos(counter(lease_ns, "a lease")?)))
        })
        .collect()
}

/// If the file was restored from a backup: the pairs whose role was stored since.
pub(crate) fn stored_since_restore(
    connection: &Connection,
) -> Result<Option<BTreeSet<PairName>>, QueryError> {
    let sql = "SELECT restored FROM control";
    let marker: Option<i64> =
        connection.query_row(sql, [], |row| row.get(0)).map_err(read("the marker of a restore"))?;
    if marker.is_none() {
        return Ok(None);
    }
    let sql = "SELECT pair FROM role WHERE leadership > (SELECT restored FROM control)";
    let pairs: Vec<String> = rows(connection, sql, "roles", |row| row.get(0))?;
    pairs.iter().map(|pair| parsed(PairName::new(pair), "a pair", pair)).collect::<Result<_, _>>().map(Some)
}

pub(crate) fn goals(connection: &Connection) -> Result<BTreeMap<ApplicationName, Goal>, QueryError> {
    let rows: Vec<(String, String)> =
        rows(connection, "SELECT application, goal FROM goal", "goals", |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    rows.into_iter()
        .map(|(application, goal)| {
            let name = parsed(ApplicationName::new(&application), "an application", &application)?;
            Ok((name, parsed(Goal::from_word(&goal).ok_or(()), "a goal", &goal)?))
        })
        .collect()
}

pub(crate) fn maintenance(connection: &Connection) -> Result<BTreeMap<String, Maintenance>, QueryError> {
    let sql = "SELECT subject, until_wall_ms FROM maintenance";
    let rows = rows(connection, sql, "maintenance", |row| {
        Ok((row.get(0)?, Maintenance { until_wall_ms: row.get(1)? }))
    })?;
    Ok(rows.into_iter().collect())
}

/// For each pair the boot and the text that were stored.
pub(crate) fn flaps(connection: &Connection) -> Result<BTreeMap<PairName, (String, String)>, QueryError> {
    let rows: Vec<(String, String, String)> =
        rows(connection, "SELECT pair, boot, text FROM flap", "changes of roles", |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    rows.into_iter()
        .map(|(pair, boot, text)| Ok((parsed(PairName::new(&pair), "a pair", &pair)?, (boot, text))))
        .collect()
}

/// For each held host the boot and the text that were stored.
pub(crate) fn holds(connection: &Connection) -> Result<BTreeMap<HostName, (String, String)>, QueryError> {
    let rows: Vec<(String, String, String)> =
        rows(connection, "SELECT host, boot, text FROM hold", "held hosts", |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    rows.into_iter()
        .map(|(host, boot, text)| Ok((parsed(HostName::new(&host), "a host", &host)?, (boot, text))))
        .collect()
}

pub(crate) fn configuration(connection: &Connection) -> Result<Option<String>, QueryError> {
    connection
        .query_row("SELECT text FROM configuration", [], |row| row.get(0))
        .optional()
        .map_err(read("the configuration"))
}

pub(crate) fn tokens(connection: &Connection) -> Result<Vec<StoredToken>, QueryError> {
    type Columns = (String, String, [u8; 32], String, i64, Option<i64>, Option<i64>);
    let sql = "SELECT name, role, hash, made_by, made_wall_ms, expires_wall_ms, last_used_wall_ms
               FROM token ORDER BY name";
    let rows: Vec<Columns> = rows(connection, sql, "tokens", |row| row.try_into())?;
    rows.into_iter()
        .map(|(name, role, hash, made_by, made_wall_ms, expires_wall_ms, last_used_wall_ms)| {
            let name = parsed(OperatorName::new(&name), "a token's name", &name)?;
            Ok(StoredToken { name, role, hash, made_by, made_wall_ms, expires_wall_ms, last_used_wall_ms })
        })
        .collect()
}

pub(crate) fn last_event(connection: &Connection) -> Result<i64, QueryError> {
    newest_event(connection).map_err(read("the last event"))
}

/// The number of the newest event; 0 if there is none.
pub(crate) fn newest_event(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT id FROM event ORDER BY id DESC LIMIT 1";
    Ok(connection.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

pub(crate) fn events(connection: &Connection, query: &EventQuery) -> Result<Vec<StoredEvent>, QueryError> {
    let mut sql = String::from(
        "SELECT id, at_wall_ms, kind, severity, host, application, pair, before, after, epoch, rule, reason,
         because, nearly, actor FROM event WHERE 1",
    );
    let mut values: Vec<Value> = Vec::new();
    let mut add = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    };
    add(" AND id > ?", query.after_id.map(Value::from));
    add(" AND id < ?", query.before_id.map(Value::from));
    add(" AND at_wall_ms >= ?", query.since_wall_ms.map(Value::from));
    add(" AND host = ?", query.host.clone().map(Value::from));
    add(" AND application = ?", query.application.clone().map(Value::from));
    add(" AND pair = ?", query.pair.clone().map(Value::from));
    if !query.kinds.is_empty() {
        let places = vec!["?"; query.kinds.len()].join(", ");
        sql.push_str(&format!(" AND kind IN ({places})"));
        values.extend(query.kinds.iter().map(|kind| Value::from(kind.as_str().to_owned())));
    }
    sql.push_str(if query.newest_first { " ORDER BY id DESC LIMIT ?" } else { " ORDER BY id LIMIT ?" });
    values.push(Value::from(i64::from(query.limit.min(EventQuery::MOST))));
    let what = "events";
    let mut statement = connection.prepare_cached(&sql).map_err(read(what))?;
    let found = statement.query_map(params_from_iter(values), read_event).map_err(read(what))?;
    found.map(|event| event.map_err(read(what))?).collect()
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<Result<StoredEvent, QueryError>> {
    let (because, nearly): (String, String) = (row.get(12)?, row.get(13)?);
    let (Ok(because), Ok(nearly)) = (serde_json::from_str(&because), serde_json::from_str(&nearly)) else {
        return Ok(Err(QueryError::Nonsense { what: "the facts of an event", found: because }));
    };
    Ok(Ok(StoredEvent {
        id: row.get(0)?,
        at_wall_ms: row.get(1)?,
        kind: row.get(2)?,
        severity: row.get(3)?,
        host: row.get(4)?,
        application: row.get(5)?,
        pair: row.get(6)?,
        from: row.get(7)?,
        to: row.get(8)?,
        epoch: row.get::<_, Option<i64>>(9)?.map(i64::unsigned_abs),
        rule: row.get(10)?,
        reason: row.get(11)?,
        because,
        nearly,
        actor: row.get(14)?,
    }))
}

pub(crate) fn journal(connection: &Connection, query: &JournalQuery) -> Result<Vec<StoredEntry>, QueryError> {
    let what = "the journal";
    let sql = "SELECT id, at_boot, at_wall_ms, kind, text FROM journal
               WHERE id > ?1 AND at_wall_ms >= ?2 ORDER BY id LIMIT ?3";
    let limit = query.limit.min(EventQuery::MOST);
    let mut statement = connection.prepare_cached(sql).map_err(read(what))?;
    let found =
        statement.query_map((query.after_id, query.since_wall_ms, limit), read_entry).map_err(read(what))?;
    found.map(|entry| entry.map_err(read(what))).collect()
}

/// The rows with which leaderships begin, the newest first.
pub(crate) fn beginnings(
    connection: &Connection,
    until_wall_ms: i64,
    limit: u32,
) -> Result<Vec<StoredEntry>, QueryError> {
    let what = "the beginnings of leaderships";
    let sql = "SELECT id, at_boot, at_wall_ms, kind, text FROM journal INDEXED BY journal_beginning
               WHERE substr(text, 1, 7) = '{\"n\":0,' AND at_wall_ms <= ?1 ORDER BY at_wall_ms DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(read(what))?;
    let found =
        statement.query_map((until_wall_ms, limit.min(EventQuery::MOST)), read_entry).map_err(read(what))?;
    found.map(|entry| entry.map_err(read(what))).collect()
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    Ok(StoredEntry {
        id: row.get(0)?,
        at_boot: Moment(row.get::<_, i64>(1)?.unsigned_abs()),
        at_wall_ms: row.get(2)?,
        kind: if row.get::<_, i64>(3)? == 0 { EntryKind::Observation } else { EntryKind::Decision },
        text: row.get(4)?,
    })
}

/// What SQLite says of the whole file: empty if it is sound. Reads all of it.
pub(crate) fn quick_check(connection: &Connection) -> Result<Vec<String>, QueryError> {
    let mut found = rows(connection, "PRAGMA quick_check(20)", "the file", |row| row.get::<_, String>(0))?;
    found.retain(|line| line != "ok");
    Ok(found)
}

pub(crate) fn rows<T>(
    connection: &Connection,
    sql: &str,
    what: &'static str,
    map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, QueryError> {
    let mut statement = connection.prepare_cached(sql).map_err(read(what))?;
    let found = statement.query_map([], map).map_err(read(what))?;
    found.map(|row| row.map_err(read(what))).collect()
}

fn read(what: &'static str) -> impl Fn(rusqlite::Error) -> QueryError {
    move |source| QueryError::Read { what, source }
}

pub(crate) fn parsed<T, E>(
    value: Result<T, E>,
    what: &'static str,
    found: &impl Display,
) -> Result<T, QueryError> {
    value.map_err(|_| QueryError::Nonsense { what, found: found.to_string() })
}

pub(crate) fn counter(value: i64, what: &'static str) -> Result<u64, QueryError> {
    u64::try_from(value).map_err(|_| QueryError::Nonsense { what, found: value.to_string() })
}
