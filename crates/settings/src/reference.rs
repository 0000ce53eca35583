//! The reference of every settings key, as Markdown, made from the schema.
//!
//! Knows no values. The law: what the parsers take is what the reference lists, as both read the same tables.

use std::fmt::Write;
use std::time::Duration;

use understudy_model::Preset;

use crate::schema::application::APPLICATION;
use crate::schema::cluster::CLUSTER_FILE;
use crate::schema::daemons::{AGENT_FILE, SERVER_FILE};
use crate::schema::{Key, Keys, Shape, Since};
use crate::span::to_text;

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
    write_presets(&mut text);
    text
}

/// What each preset gives, where a key has it as its default.
fn write_presets(text: &mut String) {
    text.push_str("\n## Presets\n\n`timers` of `[cluster]` names one; what a key has as its default, `preset`, is this.\n\n| key |");
    Preset::ALL.iter().for_each(|preset| text.push_str(&format!(" `{}` |", preset.as_str())));
    text.push_str("\n|---|");
    Preset::ALL.iter().for_each(|_| text.push_str("---|"));
    text.push('\n');
    for (key, value) in PRESET_KEYS {
        let _ = write!(text, "| `{key}` |");
        Preset::ALL.iter().for_each(|preset| text.push_str(&format!(" {} |", value(*preset))));
        text.push('\n');
    }
}

/// A timer of the presets: its key, and how a preset has it.
type PresetKey = (&'static str, fn(Preset) -> String);

const PRESET_KEYS: &[PresetKey] = &[
    ("addp-timeout", |preset| to_text(preset.addp().timeout)),
    ("addp-remote-timeout", |preset| to_text(preset.addp().remote_timeout)),
    ("lease", |preset| to_text(preset.timers().lease)),
    ("renew", |preset| to_text(preset.timers().renew)),
    ("fence-budget", |preset| to_text(preset.timers().fence_budget)),
    ("kill-budget", |preset| to_text(preset.timers().kill_budget)),
    ("switchover-timeout", |preset| to_text(preset.timers().switchover_timeout)),
    ("link-grace", |preset| to_text(preset.timers().link_grace)),
    ("agent-restart-grace", |preset| to_text(preset.timers().agent_restart_grace)),
    ("disconnect-switchover-timeout", |preset| match preset.timers().disconnect_switchover_timeout {
        Duration::ZERO => "0".to_owned(),
        span => to_text(span),
    }),
    ("hang-limit", |preset| preset.hang_limit().map_or_else(|| "0 (never)".to_owned(), to_text)),
    ("flap-damping", |preset| {
        let damping = preset.timers().flap_damping;
        format!("{} in {}", damping.changes, to_text(damping.within))
    }),
];

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
    use crate::schema::cluster::{ADDP, TIMERS};

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

    #[test]
    fn every_key_that_a_preset_gives_is_in_its_table() {
        let of_preset = TIMERS.iter().chain(ADDP).filter(|key| key.default == "preset").map(|key| key.name);
        let mut wanted: Vec<&str> = of_preset.collect();
        let mut found: Vec<&str> = PRESET_KEYS.iter().map(|(key, _)| *key).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted);
    }
}
