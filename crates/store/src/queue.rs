//! Rows that were accepted and are not written yet.
//!
//! Knows no SQL. The law: bounded; when it is full the oldest rows go, and are counted.

use std::collections::VecDeque;

use understudy_model::Event;

use crate::{Batch, JournalEntry};

/// Most rows that wait; on a full disk the oldest beyond that are dropped.
pub const MOST_QUEUED_ROWS: usize = 10_000;

/// One row.
#[derive(Debug, Clone)]
pub(crate) enum Row {
    /// Of the journal.
    Entry(JournalEntry),
    /// Of the events, with its wall milliseconds.
    Event(i64, Box<Event>),
}

/// Rows that wait, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    rows: VecDeque<Row>,
    dropped: u64,
}

impl Queue {
    /// Adds the rows of a batch.
    pub(crate) fn add(&mut self, batch: Batch) {
        self.extend(rows(batch));
    }

    /// Adds rows.
    pub(crate) fn extend(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.rows.extend(rows);
        while self.rows.len() > MOST_QUEUED_ROWS {
            self.rows.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Those that wait.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many were dropped since the store was opened.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets those that are written now.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }
}

/// The rows of a batch: what was seen and decided first, then what is told of it.
pub(crate) fn rows(batch: Batch) -> impl Iterator<Item = Row> {
    let events = batch.events.into_iter().map(|(at_wall_ms, event)| Row::Event(at_wall_ms, Box::new(event)));
    batch.journal.into_iter().map(Row::Entry).chain(events)
}
