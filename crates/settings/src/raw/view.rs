//! Typed reading of one raw table, with a shared table (a template) behind it.
//!
//! Knows no topology. The law: a value of the wrong type or out of bounds is reported with what is allowed, and then
//! reads as absent, so that one mistake is one problem.

use std::time::Duration;

use super::{Report, Table, Value};
use crate::nearest::nearest;
use crate::problem::{Problem, ProblemKind};
use crate::span;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    /// The value.
    pub(crate) value: T,
    /// Its byte offset.
    pub(crate) at: usize,
    /// The dotted path of its key.
    pub(crate) key: String,
}

impl<T> Found<T> {
    /// The same place with another value.
    pub(crate) fn with<U>(&self, value: U) -> Found<U> {
        Found { value, at: self.at, key: self.key.clone() }
    }
}

/// A table that is being read.
#[derive(Clone, Copy)]
pub(crate) struct View<'t> {
    path: &'t str,
    own: &'t Table,
    shared: Option<(&'t str, &'t Table)>,
}

impl<'t> View<'t> {
    /// Reads `own`, whose keys are shown behind `path`.
    pub(crate) fn new(path: &'t str, own: &'t Table) -> Self {
        Self { path, own, shared: None }
    }

    /// Reads `shared` wherever the own table is silent.
    pub(crate) fn or(self, path: &'t str, shared: &'t Table) -> Self {
        Self { shared: Some((path, shared)), ..self }
    }

    /// Only the shared table.
    pub(crate) fn shared_only(self) -> Option<View<'t>> {
        self.shared.map(|(path, table)| View::new(path, table))
    }

    /// Only the own table.
    pub(crate) fn own_only(self) -> View<'t> {
        View { shared: None, ..self }
    }

    /// Where the own table starts.
    pub(crate) fn at(&self) -> usize {
        self.own.at
    }

    /// The dotted path of a key of this table.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The raw value of a key.
    pub(crate) fn raw(&self, name: &str) -> Option<Found<&'t Value>> {
        let own = self.own.entries.get(name).map(|entry| (self.path, entry));
        let shared =
            || self.shared.and_then(|(path, table)| table.entries.get(name).map(|entry| (path, entry)));
        let (path, entry) = own.or_else(shared)?;
        let key = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        Some(Found { value: &entry.node.value, at: entry.key_at, key })
    }

    /// A text that is not empty and has no control characters.
    pub(crate) fn text(&self, report: &mut Report, name: &str) -> Option<Found<&'t str>> {
        let found = self.raw(name)?;
        let Value::Text(text) = found.value else { return wrong(report, &found, "a text") };
        if text.is_empty() || text.chars().any(char::is_control) {
            return wrong(report, &found, "a text that is not empty and has no control characters");
        }
        Some(found.with(text.as_str()))
    }

    /// True or false.
    pub(crate) fn boolean(&self, report: &mut Report, name: &str) -> Option<Found<bool>> {
        let found = self.raw(name)?;
        let Value::Boolean(value) = found.value else { return wrong(report, &found, "true or false") };
        Some(found.with(*value))
    }

    /// An integer from `least` to `most`.
    pub(crate) fn integer(
        &self,
        report: &mut Report,
        name: &str,
        least: i64,
        most: i64,
    ) -> Option<Found<i64>> {
        let found = self.raw(name)?;
        match found.value {
            Value::Integer(Some(number)) if (least..=most).contains(number) => Some(found.with(*number)),
            _ => wrong(report, &found, &format!("an integer from {least} to {most}")),
        }
    }

    /// A duration from `least` to `most`.
    pub(crate) fn duration(
        &self,
        report: &mut Report,
        name: &str,
        bounds: (Duration, Duration),
    ) -> Option<Found<Duration>> {
        self.span(report, name, bounds, false)
    }

    /// The same, where zero switches something off.
    pub(crate) fn duration_or_off(
        &self,
        report: &mut Report,
        name: &str,
        bounds: (Duration, Duration),
    ) -> Option<Found<Duration>> {
        self.span(report, name, bounds, true)
    }

    fn span(
        &self,
        report: &mut Report,
        name: &str,
        (least, most): (Duration, Duration),
        or_off: bool,
    ) -> Option<Found<Duration>> {
        let found = self.raw(name)?;
        let read = match found.value {
            Value::Integer(Some(seconds)) => span::from_seconds(*seconds),
            Value::Text(text) => span::from_text(text),
            _ => None,
        };
        match read {
            None => wrong(report, &found, span::ALLOWED),
            Some(Duration::ZERO) if or_off => Some(found.with(Duration::ZERO)),
            Some(value) if value < least || value > most => {
                let off = if or_off { "0 (off), or " } else { "" };
                let bounds = format!("{off}{} to {}", span::to_text(least), span::to_text(most));
                wrong(report, &found, &bounds)
            }
            Some(value) => Some(found.with(value)),
        }
    }

    /// One of the words of an enumeration.
    pub(crate) fn word<T>(
        &self,
        report: &mut Report,
        name: &str,
        words: &[&'static str],
        from_word: impl Fn(&str) -> Option<T>,
    ) -> Option<Found<T>> {
        let found = self.raw(name)?;
        let Value::Text(text) = found.value else { return wrong(report, &found, &words.join(", ")) };
        match from_word(text) {
            Some(value) => Some(found.with(value)),
            None => {
                let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), "not an allowed value")
                    .found(found.value.shown())
                    .allowed(words.join(", "))
                    .nearest(nearest(text, words.iter().copied()));
                report.problem(found.at, problem);
                None
            }
        }
    }

    /// A list of texts, each with its own place; a text that is none is reported and left out.
    pub(crate) fn texts(&self, report: &mut Report, name: &str) -> Option<Found<Vec<Found<&'t str>>>> {
        let found = self.raw(name)?;
        let Value::List(list) = found.value else { return wrong(report, &found, "a list of texts") };
        let mut texts = Vec::with_capacity(list.len());
        for node in list {
            let item = Found { value: &node.value, at: node.at, key: found.key.clone() };
            match &node.value {
                Value::Text(text) if !text.contains('\0') => texts.push(item.with(text.as_str())),
                _ => refuse(report, &item, "a text without NUL characters"),
            }
        }
        Some(found.with(texts))
    }

    /// A list of integers, each from `least` to `most`.
    pub(crate) fn integers(
        &self,
        report: &mut Report,
        name: &str,
        least: i64,
        most: i64,
    ) -> Option<Vec<i64>> {
        let found = self.raw(name)?;
        let Value::List(list) = found.value else { return wrong(report, &found, "a list of integers") };
        let mut integers = Vec::with_capacity(list.len());
        for node in list {
            match &node.value {
                Value::Integer(Some(number)) if (least..=most).contains(number) => integers.push(*number),
                value => {
                    let item = Found { value, at: node.at, key: found.key.clone() };
                    refuse(report, &item, &format!("integers from {least} to {most}"));
                }
            }
        }
        Some(integers)
    }

    /// A table; a wrong type was reported when the keys were checked.
    pub(crate) fn table(&self, name: &str) -> Option<Found<&'t Table>> {
        let found = self.raw(name)?;
        match found.value {
            Value::Table(table) => Some(found.with(table)),
            _ => None,
        }
    }

    /// Repeated tables; a wrong type was reported when the keys were checked.
    pub(crate) fn tables(&self, name: &str) -> Vec<&'t Table> {
        let Some(Found { value: Value::List(list), .. }) = self.raw(name) else { return Vec::new() };
        list.iter()
            .filter_map(|node| match &node.value {
                Value::Table(table) => Some(table),
                _ => None,
            })
            .collect()
    }
}

/// Reports the value, which then reads as absent.
fn wrong<T>(report: &mut Report, found: &Found<&Value>, allowed: &str) -> Option<T> {
    refuse(report, found, allowed);
    None
}

fn refuse(report: &mut Report, found: &Found<&Value>, allowed: &str) {
    let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), "not an allowed value")
        .found(found.value.shown())
        .allowed(allowed);
    report.problem(found.at, problem);
}
