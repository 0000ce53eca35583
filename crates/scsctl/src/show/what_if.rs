//! What would happen: step by step, pair by pair, and what was taken for granted. It adds nothing; the law: every sentence
//! here was said by the server.

use super::Show;
use super::ago::took;
use super::table::{Cell, Table, cell, toned};
use crate::answers::{Foreseen, ForeseenPair, Foresight};
use crate::out::Tone;

/// The whole answer.
pub fn what_if(foreseen: &Foreseen, show: Show) -> String {
    let title = |text: &str| show.paint.tone(Tone::Heading, text);
    let mut text = format!("{}\n\n", title(&format!("if {}", foreseen.supposed)));
    if foreseen.steps.is_empty() {
        text.push_str("nothing would be decided\n");
    } else {
        let mut table = Table::new(&["AFTER", "WHO", "ABOUT", "WHAT", "RULE"]);
        foreseen.steps.iter().for_each(|step| table.row(step_row(step)));
        text.push_str(&table.text(show.paint));
    }
    if !foreseen.pairs.is_empty() {
        let mut table =
            Table::new(&["PAIR", "POLICY", "PRIMARY NOW", "PRIMARY THEN", "AFTER", "TWO MAY ACT"]);
        foreseen.pairs.iter().for_each(|pair| table.row(pair_row(pair)));
        text.push_str(&format!("\n{}", table.text(show.paint)));
        for pair in &foreseen.pairs {
            for hold in &pair.holds {
                text.push_str(&format!("  {}: {hold}\n", pair.name));
            }
            if pair.primary_then.is_none() {
                let why = &pair.because;
                text.push_str(&format!("  {}: {} [{}]\n", pair.name, why.reason, why.rule));
            }
        }
    }
    for (heading, lines) in [("shown as at risk then", &foreseen.warnings), ("assumed", &foreseen.assumed)] {
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n", title(heading)));
            lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    }
    let short =
        if foreseen.cut_short { ", and not everything is told: there was too much of it" } else { "" };
    text.push_str(&format!("\nlooked {} ahead{short}; nothing was done\n", took(foreseen.looked_ahead_ms)));
    text
}

fn step_row(step: &Foresight) -> Vec<Cell> {
    let tone = match step.severity.as_str() {
        "critical" => Tone::Bad,
        "warning" => Tone::Warn,
        _ => Tone::Plain,
    };
    let about = [&step.pair, &step.application, &step.host];
    let about: Vec<&str> = about.iter().filter_map(|part| part.as_deref()).collect();
    let rule = step.because.as_ref().map(|because| because.rule.clone()).unwrap_or_default();
    let after = if step.after_ms == 0.0 { "at once".to_owned() } else { took(step.after_ms) };
    vec![
        cell(after),
        cell(step.who.clone()),
        cell(about.join("/")),
        toned(step.what.replace(['\n', '\r'], " "), tone),
        cell(rule),
    ]
}

fn pair_row(pair: &ForeseenPair) -> Vec<Cell> {
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "nobody".to_owned());
    let tone = if pair.primary_then.is_none() { Tone::Bad } else { Tone::Plain };
    let after = match pair.changed_after_ms {
        Some(ms) if ms > 0.0 => took(ms),
        Some(_) => "at once".to_owned(),
        None => "-".to_owned(),
    };
    let two = if pair.two_may_act { toned("yes", Tone::Bad) } else { cell("no") };
    vec![
        cell(pair.name.clone()),
        cell(pair.policy.clone()),
        cell(name(&pair.primary_now)),
        toned(name(&pair.primary_then), tone),
        cell(after),
        two,
    ]
}
