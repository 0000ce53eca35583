//! The cluster at a glance. It judges nothing but what deserves a colour; the law: whatever is wrong is in sight.

use super::Show;
use super::ago::{ago, clock};
use super::objects::{application_row, host_table, mode_tone, pair_row};
use super::table::Table;
use crate::answers::{Application, Pair, Status};
use crate::out::Tone;

const APPLICATION_COLUMNS: [&str; 9] =
    ["NAME", "HOST", "MODE", "STATUS", "EPOCH", "PID", "RESTARTS", "SINCE", "PROBLEM"];

/// Everything, the most important first.
pub fn status(status: &Status, show: Show) -> String {
    let mut text = heading(status, show);
    if !status.pairs.is_empty() {
        let mut table = Table::new(&APPLICATION_COLUMNS);
        for pair in &status.pairs {
            table.row(pair_row(pair, show));
            for member in members(pair, &status.applications) {
                table.row(application_row(member, "  ", show));
            }
        }
        section(&mut text, "PAIRS", &table, show);
    }
    let mut single = Table::new(&APPLICATION_COLUMNS);
    for application in status.applications.iter().filter(|application| application.pair.is_none()) {
        single.row(application_row(application, "", show));
    }
    section(&mut text, "APPLICATIONS", &single, show);
    section(&mut text, "HOSTS", &host_table(&status.hosts, show), show);
    running_operations(&mut text, status, show);
    if !status.maintenance.is_empty() {
        text.push_str(&format!(
            "\n{} {}\n",
            show.paint.tone(Tone::Heading, "MAINTENANCE"),
            status.maintenance.join(", ")
        ));
    }
    changes(&mut text, status, show);
    if status.warnings.is_empty() {
        if status.wrong.is_empty() {
            text.push_str(&format!("\n{}\n", show.paint.tone(Tone::Good, "Nothing is wrong.")));
        }
    } else {
        text.push_str(&format!("\n{}\n", show.paint.tone(Tone::Heading, "WARNINGS")));
        for warning in &status.warnings {
            text.push_str(&format!("{} {warning}\n", show.paint.tone(Tone::Warn, "!")));
        }
    }
    text
}

/// For how long a change of roles is news, in seconds.
const NEWS: i64 = 600;

/// What changed a moment ago, and what is stopped as somebody asked: well, and yet no everyday state.
fn changes(text: &mut String, status: &Status, show: Show) {
    let lines: Vec<String> = status.pairs.iter().filter_map(|pair| change(status, pair, show)).collect();
    if !lines.is_empty() {
        text.push_str(&format!("\n{}\n", show.paint.tone(Tone::Heading, "CHANGES")));
        text.extend(lines);
    }
}

fn change(status: &Status, pair: &Pair, show: Show) -> Option<String> {
    let (because, since) = (pair.because.as_ref()?, pair.since.as_deref()?);
    let told = |since| format!("{} ({} ago)", clock(show.now, since, show.zone), ago(show.now, Some(since)));
    let name = &pair.name;
    let by = because.because.iter().find(|fact| fact.what == "asked by").map(|fact| &fact.is);
    match (&pair.primary, because.rule.as_str()) {
        (None, "pair-stopped") => {
            // A control server that began since knows of its members alone since when that is so.
            let stopped =
                members(pair, &status.applications).filter_map(|member| member.since.as_deref()).max();
            let (at, by) =
                (told(stopped.unwrap_or(since)), by.map(|by| format!(" by {by}")).unwrap_or_default());
            Some(format!("pair {name} is stopped since {at}, as asked{by}; run: scsctl start {name}\n"))
        }
        // Found as it was by a new leadership, or never changed.
        (None, _) | (_, "acting-holder-kept" | "first-start") => None,
        (Some(primary), rule) => {
            let began: jiff::Timestamp = since.parse().ok()?;
            let news = show.now.as_second().saturating_sub(began.as_second()) < NEWS;
            // Who asked says more than that a step of what they asked for went on.
            let reason = by.map_or_else(|| because.reason.clone(), |by| format!("asked by {by}"));
            let reason = reason.replace(['\n', '\r'], " ");
            let (at, why) = (told(since), show.paint.tone(Tone::Faint, &format!("[{rule}]")));
            news.then(|| {
                format!("pair {name}: {primary} is primary since {at}: {reason} {why}; scsctl why {name}\n")
            })
        }
    }
}

fn heading(status: &Status, show: Show) -> String {
    let name = show.paint.tone(Tone::Heading, &status.cluster.name);
    let mut text = format!("cluster {name}   revision {}", status.revision);
    if let Some(id) = &status.cluster.id {
        text.push_str(&format!("   id {id}"));
    }
    text.push('\n');
    for controller in &status.controllers {
        let (word, tone) =
            if controller.leading { ("leading", Tone::Good) } else { ("standing by", Tone::Faint) };
        let word = show.paint.tone(tone, word);
        text.push_str(&format!("controller {} {word}, epoch {}\n", controller.name, controller.epoch));
    }
    text
}

fn members<'a>(pair: &'a Pair, applications: &'a [Application]) -> impl Iterator<Item = &'a Application> {
    applications.iter().filter(|application| application.pair.as_deref() == Some(pair.name.as_str()))
}

fn section(text: &mut String, title: &str, table: &Table, show: Show) {
    if !table.is_empty() {
        text.push_str(&format!("\n{}\n{}", show.paint.tone(Tone::Heading, title), table.text(show.paint)));
    }
}

fn running_operations(text: &mut String, status: &Status, show: Show) {
    for operation in status.operations.iter().filter(|operation| operation.state == "running") {
        let age = ago(show.now, operation.began.as_deref());
        text.push_str(&format!(
            "\n{} {} of {} (operation {}, asked by {}, {age})\n",
            show.paint.tone(mode_tone("primary"), "RUNNING"),
            operation.kind,
            operation.subject,
            operation.id,
            operation.actor
        ));
    }
}
