//! Compares the keys of a file with the schema.
//!
//! Knows no values. The law: a key that no version knows is a problem with the nearest known key; a key of a later
//! version is refused by name, because ignoring it would promise what is not there.

use super::{Report, Table, Value};
use crate::nearest::nearest;
use crate::problem::{Problem, ProblemKind};
use crate::schema::{Key, Keys, Shape, Since};

/// Most keys that are listed as allowed; beyond that the list hides more than it tells.
const MOST_LISTED: usize = 8;

/// Reports every key of `table` that this version does not take, also inside its tables.
pub(crate) fn check_keys(report: &mut Report, path: &str, table: &Table, keys: Keys) {
    check(report, path, table, keys, false);
}

fn check(report: &mut Report, path: &str, table: &Table, keys: Keys, refused_above: bool) {
    for (name, entry) in &table.entries {
        let key_path = join(path, name);
        let Some(key) = keys.iter().flat_map(|group| group.iter()).find(|key| key.name == name) else {
            report.problem(entry.key_at, unknown(key_path, name, keys));
            continue;
        };
        let refused = match key.since {
            Since::Now => refused_above,
            Since::Later(advice) => {
                if !refused_above {
                    report.problem(entry.key_at, later(key_path.clone(), advice));
                }
                true
            }
        };
        check_inside(report, &key_path, &entry.node.value, entry.key_at, key, refused);
    }
}

fn check_inside(report: &mut Report, path: &str, value: &Value, key_at: usize, key: &Key, refused: bool) {
    match (key.shape, value) {
        (Shape::Table(keys), Value::Table(table)) => check(report, path, table, keys, refused),
        (Shape::Tables(keys), Value::List(list)) => {
            for node in list {
                match &node.value {
                    Value::Table(table) => check(report, path, table, keys, refused),
                    other => report.problem(node.at, wrong(path, other, "a table")),
                }
            }
        }
        (Shape::Named(keys), Value::Table(tables)) => {
            for (name, entry) in &tables.entries {
                match &entry.node.value {
                    Value::Table(table) => check(report, &join(path, name), table, keys, refused),
                    other => report.problem(entry.key_at, wrong(&join(path, name), other, "a table")),
                }
            }
        }
        (Shape::Tables(_), other) if !refused => {
            let problem = wrong(path, other, &format!("repeated tables, each under [[{path}]]"));
            report.problem(key_at, problem);
        }
        (Shape::Table(_) | Shape::Named(_), other) if !refused => {
            report.problem(key_at, wrong(path, other, "a table"));
        }
        _ => {}
    }
}

fn unknown(path: String, name: &str, keys: Keys) -> Problem {
    let names = || keys.iter().flat_map(|group| group.iter()).map(|key| key.name);
    let guess = nearest(name, names());
    let problem = Problem::new(ProblemKind::UnknownKey, path, "unknown key").nearest(guess);
    if guess.is_some() {
        return problem;
    }
    let now: Vec<_> = keys
        .iter()
        .flat_map(|group| group.iter())
        .filter(|key| key.since == Since::Now)
        .map(|key| key.name)
        .collect();
    if now.len() > MOST_LISTED { problem } else { problem.allowed(now.join(", ")) }
}

fn later(path: String, advice: &str) -> Problem {
    Problem::new(ProblemKind::NotInThisVersion, path, "known, but not in this version").advise(advice)
}

fn wrong(path: &str, value: &Value, allowed: &str) -> Problem {
    Problem::new(ProblemKind::BadValue, path, "the value has the wrong type")
        .found(value.shown())
        .allowed(allowed)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
