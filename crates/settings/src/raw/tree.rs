//! TOML text to a tree of values, each with its byte offset.
//!
//! The only file that names the TOML library. The law: a text that is not TOML, or too long, is a problem with a line.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Report;
use crate::LONGEST_FILE_BYTES;
use crate::problem::{Problem, ProblemKind};

/// A value and where it starts.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// The values of TOML.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    /// None if it does not fit in 64 bits.
    Integer(Option<i64>),
    Float(String),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a fraction",
            Value::Boolean(_) => "true or false",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// It, or what it is, for messages.
    pub(crate) fn shown(&self) -> String {
        match self {
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(Some(number)) => number.to_string(),
            Value::Integer(None) => "an integer beyond 64 bits".to_owned(),
            Value::Float(text) | Value::Date(text) => text.clone(),
            Value::Boolean(value) => value.to_string(),
            Value::List(_) | Value::Table(_) => self.noun().to_owned(),
        }
    }
}

/// A table: where it starts and what stands in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) at: usize,
    pub(crate) entries: BTreeMap<String, Entry>,
}

/// One key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where the key starts.
    pub(crate) key_at: usize,
    /// What it is set to.
    pub(crate) node: Node,
}

/// The tree of a text; none, with problems, if it is not TOML.
pub(crate) fn parse(report: &mut Report, text: &str) -> Option<Table> {
    if text.len() > LONGEST_FILE_BYTES {
        let why = format!("the file has {} bytes; it is not read", text.len());
        let problem = Problem::new(ProblemKind::Syntax, "", why);
        report.problem(0, problem.allowed(format!("at most {LONGEST_FILE_BYTES} bytes")));
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        let why = format!("not TOML: {}", error.message().replace('\n', ", "));
        report.problem(at, Problem::new(ProblemKind::Syntax, "", why));
    }
    errors.is_empty().then(|| convert_table(table.span().start, table.get_ref()))
}

fn convert_table(at: usize, table: &DeTable<'_>) -> Table {
    let entries = table.iter().map(|(key, value)| {
        let entry = Entry { key_at: key.span().start, node: convert(value) };
        (key.get_ref().to_string(), entry)
    });
    Table { at, entries: entries.collect() }
}

fn convert(value: &Spanned<DeValue<'_>>) -> Node {
    let at = value.span().start;
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Value::Float(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(list) => Value::List(list.iter().map(convert).collect()),
        DeValue::Table(table) => Value::Table(convert_table(at, table)),
    };
    Node { at, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_table_knows_its_line() {
        let text =
            "[cluster]\nname = 'x'\n\n[[host]]\nname = 'a'\n[host.addp]\nx = 1\n[[host]]\nname = 'b'\n";
        let mut report = Report::new("f", text);
        let tree = parse(&mut report, text).unwrap();
        let Value::List(hosts) = &tree.entries["host"].node.value else { panic!("hosts are a list") };
        let lines: Vec<_> = hosts.iter().map(|host| report.line(host.at)).collect();
        assert_eq!(lines, [4, 8]);
        let Value::Table(first) = &hosts[0].value else { panic!("a host is a table") };
        assert_eq!(report.line(first.entries["name"].key_at), 5);
        assert_eq!(report.line(first.entries["addp"].key_at), 6);
    }
}
