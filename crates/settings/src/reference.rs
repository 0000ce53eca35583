//! The reference of every settings key, as Markdown, made from the schema.
//!
//! Knows no values. The law: what the parsers take is what the reference lists, as both read the same tables.

use std::fmt::Write;

use crate::schema::application::APPLICATION;
use crate::schema::cluster::CLUSTER_FILE;
use crate::schema::daemons::{AGENT_FILE, SERVER_FILE};
use crate::schema::{Key, Keys, Shape, Since};

/// The text of `docs/reference/settings.md`.
pub fn reference_markdown() -> String {
    let mut text = String::from(
        "# Settings\n\nMade from the program; a test keeps it so. Durations are whole seconds, or a text such as \
         `\"250ms\"`, `\"3s\"`, `\"5m\"`, `\"12h\"`, `\"90d\"`. A key that this version does not take is refused by name.\n",
    );
    for (file, keys) in [("cluster.toml", CLUSTER_FILE), ("lca.toml", AGENT_FILE), ("scs.toml", SERVER_FILE)]
    {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n## `{file}`\n");
        write_tables(&mut text, "", keys);
    }
    text
}

/// Every table of a file, outer ones first.
fn write_tables(text: &mut String, path: &str, keys: Keys) {
    let all = || keys.iter().flat_map(|group| group.iter());
    let is_leaf = |key: &&Key| !matches!(key.shape, Shape::Table(_) | Shape::Tables(_) | Shape::Named(_));
    if all().any(|key| is_leaf(&key)) {
        text.push_str("\n| key | type | default | what for |\n|---|---|---|---|\n");
    }
    for key in all().filter(is_leaf) {
        let default = match (key.since, key.default) {
            (Since::Later(_), _) => "*not in this version*",
            (Since::Now, "") => "none",
            (Since::Now, default) => default,
        };
        let _ = writeln!(text, "| `{}` | {} | {default} | {} |", key.name, kind(key.shape), key.says);
    }
    for key in all() {
        let name = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        let (heading, inner) = match key.shape {
            Shape::Table(inner) => (format!("[{name}]"), inner),
            Shape::Tables(inner) => (format!("[[{name}]]"), inner),
            Shape::Named(inner) => (format!("[{name}.NAME]"), inner),
            _ => continue,
        };
        let later = if key.since == Since::Now { "" } else { " *Not in this version.*" };
        let _ = write!(text, "\n### `{heading}`\n\n{}{later}\n", key.says);
        // A template has the keys of an application, which stand there.
        if matches!(key.shape, Shape::Named(_)) && std::ptr::eq(inner[0], APPLICATION[1]) {
            text.push_str(
                "\nTakes every key of `[[application]]` but `name`, `template`, `backup` and `redundancy`.\n",
            );
        } else {
            write_tables(text, &name, inner);
        }
    }
}

fn kind(shape: Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Integer => "integer".to_owned(),
        Shape::Size => "bytes, or text such as `64M`".to_owned(),
        Shape::Limit => "integer, or `unlimited`".to_owned(),
        Shape::Boolean => "true or false".to_owned(),
        Shape::Duration => "duration".to_owned(),
        Shape::Word(words) => words().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::Texts => "list of texts".to_owned(),
        Shape::Integers => "list of integers".to_owned(),
        Shape::Free(what) => format!("table of {}", what.trim_start_matches("tables of ")),
        Shape::Table(_) | Shape::Named(_) => "table".to_owned(),
        Shape::Tables(_) => "repeated table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, path: &str, keys: Keys) -> usize {
        let mut seen = 0;
        for key in keys.iter().flat_map(|group| group.iter()) {
            let name = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            assert!(key.says.ends_with('.'), "{name} is described in a sentence");
            let (wanted, inner) = match key.shape {
                Shape::Table(inner) => (format!("### `[{name}]`"), inner),
                Shape::Tables(inner) => (format!("### `[[{name}]]`"), inner),
                Shape::Named(_) => (format!("### `[{name}.NAME]`"), [].as_slice()),
                _ => (format!("| `{}` | {} |", key.name, kind(key.shape)), [].as_slice()),
            };
            assert!(text.contains(&wanted), "{wanted} is missing");
            assert!(text.contains(key.says), "{name} is not described");
            seen += 1 + check(text, &name, inner);
        }
        seen
    }

    #[test]
    fn every_key_is_listed_and_described() {
        let text = reference_markdown();
        let seen: usize =
            [CLUSTER_FILE, AGENT_FILE, SERVER_FILE].into_iter().map(|keys| check(&text, "", keys)).sum();
        assert!(seen > 90, "{seen} keys");
    }
}
