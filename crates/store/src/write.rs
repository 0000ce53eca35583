//! Writes changes and rows within one transaction.
//!
//! Knows when nothing was written and when that is unknown. The law: a role changes only if leadership and stored role
//! are what the caller believes, judged within the same transaction.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;
use understudy_model::{ApplicationName, ControllerEpoch, Epoch, Event, PairName, RoleEpoch};

use crate::backup::{JUMPS, LEAST_JUMP};
use crate::in_sync;
use crate::queue::Row;
use crate::{Batch, Change, CommitError, EntryKind, JournalEntry, LONGEST_TEXT_BYTES};

/// So many of the newest leaderships are remembered, as many as agents are told.
const LEADERSHIPS_KEPT: i64 = 64;

/// Refuses what is longer than is kept, before anything is written or queued.
pub(crate) fn check_bounds(batch: &Batch) -> Result<(), CommitError> {
    let out = |what: String| Err(CommitError::OutOfBounds { what });
    for entry in &batch.journal {
        if entry.text.len() > LONGEST_TEXT_BYTES {
            return out(format!("a journal row of {} bytes", entry.text.len()));
        }
        number(entry.at_boot.0, "a moment")?;
    }
    for (_, event) in &batch.events {
        if event_bytes(event) > LONGEST_TEXT_BYTES {
            return out(format!("an event of {} bytes", event_bytes(event)));
        }
        number(event.epoch.unwrap_or_default().0, "an epoch")?;
    }
    Ok(())
}

/// Writes rows and then changes in one transaction; on the disk when it returns. Returns the newest event's number.
pub(crate) fn commit<'r>(
    connection: &mut Connection,
    rows: impl Iterator<Item = &'r Row>,
    changes: &[Change],
) -> Result<Option<i64>, CommitError> {
    let transaction = begin(connection)?;
    for change in changes {
        apply(&transaction, change)?;
    }
    let mut last_event = None;
    for row in rows {
        match row {
            Row::Entry(entry) => write_entry(&transaction, entry).map_err(CommitError::before_commit)?,
            Row::Event(at_wall_ms, event) => {
                last_event = Some(write_event(&transaction, *at_wall_ms, event)?)
            }
        }
    }
    transaction.commit().map_err(CommitError::at_commit)?;
    Ok(last_event)
}

/// Begins to write.
pub(crate) fn begin(connection: &mut Connection) -> Result<Transaction<'_>, CommitError> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(CommitError::before_commit)
}

/// Counts leadership up by one, for `name`, and draws what tells this leadership from every other of that number.
pub(crate) fn take_leadership(
    connection: &mut Connection,
    name: &str,
) -> Result<ControllerEpoch, CommitError> {
    let transaction = begin(connection)?;
    let epoch = transaction
        .query_row(
            "UPDATE control SET leadership = leadership + 1, leader = ?1 RETURNING leadership",
            [name],
            |row| row.get::<_, i64>(0),
        )
        .map_err(CommitError::before_commit)?;
    transaction
        .execute("INSERT INTO leadership VALUES (?1, randomblob(16))", [epoch])
        .and_then(|_| {
            transaction.execute("DELETE FROM leadership WHERE epoch <= ?1 - ?2", [epoch, LEADERSHIPS_KEPT])
        })
        .map_err(CommitError::before_commit)?;
    transaction.commit().map_err(CommitError::at_commit)?;
    Ok(ControllerEpoch(epoch.unsigned_abs()))
}

fn apply(transaction: &Transaction<'_>, change: &Change) -> Result<(), CommitError> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        transaction
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map(drop)
            .map_err(CommitError::before_commit)
    };
    match change {
        Change::RaiseEpoch { pair, expected, next, controller_epoch } => {
            raise_epoch(transaction, pair, expected.as_ref(), next, *controller_epoch)
        }
        Change::SetGoal { application, goal } => run(
            "INSERT INTO goal VALUES (?1, ?2) ON CONFLICT (application) DO UPDATE SET goal = excluded.goal",
            &[&application.as_str(), &goal.as_str()],
        ),
        Change::ForgetGoal(application) => {
            run("DELETE FROM goal WHERE application = ?1", &[&application.as_str()])
        }
        Change::SetMaintenance { subject, on: true, until_wall_ms } => run(
            "INSERT INTO maintenance VALUES (?1, ?2)
             ON CONFLICT (subject) DO UPDATE SET until_wall_ms = excluded.until_wall_ms",
            &[subject, until_wall_ms],
        ),
        Change::SetMaintenance { subject, on: false, .. } => {
            run("DELETE FROM maintenance WHERE subject = ?1", &[subject])
        }
        Change::UseOperation(id) => run(
            "UPDATE control SET last_operation = max(last_operation, ?1)",
            &[&number(id.0, "an operation's number")?],
        ),
        Change::SetFlap { pair, boot, text } => run(
            "INSERT INTO flap VALUES (?1, ?2, ?3)
             ON CONFLICT (pair) DO UPDATE SET boot = excluded.boot, text = excluded.text",
            &[&pair.as_str(), boot, text],
        ),
        Change::SetHold { host, boot, text: Some(text) } => run(
            "INSERT INTO hold VALUES (?1, ?2, ?3)
             ON CONFLICT (host) DO UPDATE SET boot = excluded.boot, text = excluded.text",
            &[&host.as_str(), boot, text],
        ),
        Change::SetHold { host, text: None, .. } => {
            run("DELETE FROM hold WHERE host = ?1", &[&host.as_str()])
        }
        Change::SetConfiguration(text) => run(
            "INSERT INTO configuration VALUES (1, ?1) ON CONFLICT (only) DO UPDATE SET text = excluded.text",
            &[text],
        ),
        Change::ForgetConfiguration => run("DELETE FROM configuration", &[]),
        Change::SetLease { pair, lease, controller_epoch } => {
            check_leadership(transaction, *controller_epoch)?;
            let lease_ns = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
            run(
                "INSERT INTO lease VALUES (?1, ?2)
                 ON CONFLICT (pair) DO UPDATE SET lease_ns = excluded.lease_ns",
                &[&pair.as_str(), &number(lease_ns, "a lease")?],
            )
        }
        // Another agent may have obeyed the number above this one, of a leadership that this store does not know.
        Change::RaiseLeadership(to) => run(
            "UPDATE control SET leadership = ?1 + ?2 + abs(random() % ?3) WHERE leadership <= ?1",
            &[&number(to.0, "a leadership")?, &LEAST_JUMP, &JUMPS],
        ),
        Change::SetInSync { pair, role, expected, next, controller_epoch } => {
            in_sync::set(transaction, pair, role.as_ref(), expected.as_ref(), next, *controller_epoch)
        }
        Change::KeepInSyncOf(pairs) => in_sync::keep_only(transaction, pairs),
        Change::SetClusterId(id) => run("UPDATE control SET cluster_id = ?1", &[id]),
        Change::AddToken(token) => run(
            "INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &[
                &token.name.as_str(),
                &token.role,
                &token.hash,
                &token.made_by,
                &token.made_wall_ms,
                &token.expires_wall_ms,
                &token.last_used_wall_ms,
            ],
        ),
        Change::RemoveToken(name) => run("DELETE FROM token WHERE name = ?1", &[&name.as_str()]),
        Change::UseToken { name, at_wall_ms } => {
            run("UPDATE token SET last_used_wall_ms = ?2 WHERE name = ?1", &[&name.as_str(), at_wall_ms])
        }
    }
}

fn raise_epoch(
    transaction: &Transaction<'_>,
    pair: &PairName,
    expected: Option<&RoleEpoch>,
    next: &RoleEpoch,
    given: ControllerEpoch,
) -> Result<(), CommitError> {
    check_leadership(transaction, given)?;
    let stored = stored_role(transaction, pair)?;
    if stored.as_ref() != expected {
        return Err(CommitError::NotAsExpected { pair: pair.clone(), stored });
    }
    let lowest = stored.map_or(Epoch::NONE, |role| role.epoch);
    if next.epoch <= lowest {
        return Err(CommitError::NotRaised { pair: pair.clone(), stored: lowest, next: next.epoch });
    }
    in_sync::check_holder(transaction, pair, &next.holder)?;
    let epoch = number(next.epoch.0, "an epoch")?;
    let leadership = number(given.0, "a leadership")?;
    transaction
        .prepare_cached(
            "INSERT INTO role VALUES (?1, ?2, ?3, ?4) ON CONFLICT (pair)
             DO UPDATE SET epoch = excluded.epoch, holder = excluded.holder, leadership = excluded.leadership",
        )
        .and_then(|mut statement| {
            statement.execute(params![pair.as_str(), epoch, next.holder.as_str(), leadership])
        })
        .map(drop)
        .map_err(CommitError::before_commit)
}

/// Refuses what another leadership than the stored one asks for.
pub(crate) fn check_leadership(
    transaction: &Transaction<'_>,
    given: ControllerEpoch,
) -> Result<(), CommitError> {
    let leadership: i64 = transaction
        .prepare_cached("SELECT leadership FROM control")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(CommitError::before_commit)?;
    let leadership = ControllerEpoch(leadership.unsigned_abs());
    if leadership != given {
        return Err(CommitError::NotLeading { given, stored: leadership });
    }
    Ok(())
}

/// The stored role of a pair, if it ever had one.
pub(crate) fn stored_role(
    transaction: &Transaction<'_>,
    pair: &PairName,
) -> Result<Option<RoleEpoch>, CommitError> {
    let stored = transaction
        .prepare_cached("SELECT epoch, holder FROM role WHERE pair = ?1")
        .and_then(|mut statement| {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
            statement.query_row([pair.as_str()], read).optional()
        })
        .map_err(CommitError::before_commit)?;
    // A holder that is no name was not written by us; it then matches nothing that anyone expects.
    Ok(stored.and_then(|(epoch, holder)| {
        ApplicationName::new(&holder).ok().map(|holder| RoleEpoch::new(Epoch(epoch.unsigned_abs()), holder))
    }))
}

fn write_entry(transaction: &Transaction<'_>, entry: &JournalEntry) -> rusqlite::Result<()> {
    let kind = match entry.kind {
        EntryKind::Observation => 0,
        EntryKind::Decision => 1,
    };
    let at_boot = i64::try_from(entry.at_boot.0).unwrap_or(i64::MAX);
    transaction
        .prepare_cached("INSERT INTO journal (at_boot, at_wall_ms, kind, text) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![at_boot, entry.at_wall_ms, kind, entry.text])
        .map(drop)
}

fn write_event(transaction: &Transaction<'_>, at_wall_ms: i64, event: &Event) -> Result<i64, CommitError> {
    let epoch = event.epoch.map(|epoch| number(epoch.0, "an epoch")).transpose()?;
    let severity = json(&event.severity)?;
    let because = json(&event.because.facts)?;
    let nearly = json(&event.because.nearly)?;
    transaction
        .prepare_cached(
            "INSERT INTO event (at_wall_ms, kind, severity, host, application, pair, before, after, epoch, rule,
             reason, because, nearly, actor) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )
        .and_then(|mut statement| {
            statement.insert(params![
                at_wall_ms,
                event.kind.as_str(),
                severity.trim_matches('"'),
                event.about.host.as_ref().map(|name| name.as_str()),
                event.about.application.as_ref().map(|name| name.as_str()),
                event.about.pair.as_ref().map(|name| name.as_str()),
                event.from,
                event.to,
                epoch,
                event.because.rule.id(),
                event.because.reason,
                because,
                nearly,
                event.actor,
            ])
        })
        .map_err(CommitError::before_commit)
}

/// A number that SQLite can hold.
pub(crate) fn number(value: u64, what: &str) -> Result<i64, CommitError> {
    i64::try_from(value).map_err(|_| CommitError::OutOfBounds { what: format!("{what}, {value},") })
}

fn json(value: &impl Serialize) -> Result<String, CommitError> {
    serde_json::to_string(value).map_err(|why| CommitError::OutOfBounds { what: format!("a value ({why})") })
}

/// About how long an event is as text.
fn event_bytes(event: &Event) -> usize {
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let facts: usize = event.because.facts.iter().map(|fact| fact.what.len() + fact.is.len()).sum();
    let nearly: usize = event.because.nearly.iter().map(|nearly| nearly.missed.len()).sum();
    optional(&event.from)
        + optional(&event.to)
        + optional(&event.actor)
        + event.because.reason.len()
        + facts
        + nearly
}
