//! Operations and plans. It waits for nothing; the law: every step is shown with the time it was reached.

use super::Show;
use super::ago::{ago, took};
use super::table::{Table, cell, toned};
use crate::answers::{Operation, Plan, Step};
use crate::out::Tone;

/// One step of an operation as a line.
pub fn step(step: &Step) -> String {
    format!("  {:>10}  {}\n", took(step.after_ms), step.what)
}

fn state_tone(state: &str) -> Tone {
    match state {
        "done" => Tone::Good,
        "failed" | "unknown" => Tone::Bad,
        _ => Tone::Warn,
    }
}

/// How an operation stands, in one line, after its steps.
pub fn operation(operation: &Operation, show: Show) -> String {
    if let Some(why) = operation.why.as_ref().filter(|_| operation.state == "pending") {
        let why = show.paint.tone(Tone::Warn, why);
        return format!("{} of {}: {why} (operation {})\n", operation.kind, operation.subject, operation.id);
    }
    let state = show.paint.tone(state_tone(&operation.state), &operation.state);
    let mut text = format!("{} of {} {state}", operation.kind, operation.subject);
    if let Some(ms) = operation.took_ms {
        text.push_str(&format!(" after {}", took(ms)));
    }
    if let Some(why) = &operation.why {
        text.push_str(&format!(": {why}"));
    }
    text.push_str(&format!(" (operation {})\n", operation.id));
    text
}

/// All operations.
pub fn operations(operations: &[Operation], show: Show) -> String {
    let mut table =
        Table::new(&["ID", "KIND", "SUBJECT", "STATE", "TOOK", "BEGAN", "BY", "REASON", "PROBLEM"]);
    for operation in operations {
        table.row(vec![
            cell(operation.id.to_string()),
            cell(operation.kind.clone()),
            cell(operation.subject.clone()),
            toned(operation.state.clone(), state_tone(&operation.state)),
            cell(operation.took_ms.map_or_else(|| "-".to_owned(), took)),
            cell(ago(show.now, operation.began.as_deref())),
            cell(operation.actor.clone()),
            cell(operation.reason.clone().unwrap_or_default()),
            cell(operation.why.clone().unwrap_or_default()),
        ]);
    }
    if operations.is_empty() {
        return "no operations since this control server began to lead; earlier ones: scsctl events\n"
            .to_owned();
    }
    table.text(show.paint)
}

/// A dry run.
pub fn plan(plan: &Plan, show: Show) -> String {
    let mut text = format!("{}\n", show.paint.tone(Tone::Heading, "checks"));
    for check in &plan.checks {
        let mark =
            if check.ok { show.paint.tone(Tone::Good, "ok") } else { show.paint.tone(Tone::Bad, "no") };
        text.push_str(&format!("  {mark}  {} ({})\n", check.what, check.found));
    }
    text.push_str(&format!("{}\n", show.paint.tone(Tone::Heading, "steps")));
    for (number, step) in plan.steps.iter().enumerate() {
        text.push_str(&format!("  {}. {step}\n", number + 1));
    }
    text.push_str("nothing was done: this was a dry run\n");
    text
}
