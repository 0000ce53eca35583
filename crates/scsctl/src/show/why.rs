//! Why something is as it is: the rule, what it saw, what nearly happened instead, and the story until now.
//! It invents nothing; the law: every sentence here was said by the deciding machine.

use super::Show;
use super::events::event_line;
use crate::answers::{Reason, Why};
use crate::out::Tone;

/// The whole explanation.
pub fn why(why: &Why, show: Show) -> String {
    let mut text = String::new();
    if let Some(event) = &why.event {
        text.push_str(&format!("{}\n\n", event_line(event, show).trim_end()));
        text.push_str(&reason_lines("why", &event.reason, show));
    }
    if !why.now.is_empty() {
        text.push_str(&format!("{}\n\n", show.paint.tone(Tone::Heading, &why.now)));
    }
    text.push_str(&reasons(why, show));
    if !why.events.is_empty() {
        text.push_str(&format!("\n{}\n", show.paint.tone(Tone::Heading, "the story, oldest first")));
        for event in &why.events {
            text.push_str(&format!("  {}", event_line(event, show)));
        }
    }
    text
}

/// The last decision as it was made, and what the rules see now; what would be decided now if that is another thing.
fn reasons(why: &Why, show: Show) -> String {
    match (&why.because, &why.considered) {
        (Some(last), Some(now)) if last.rule == now.rule && last.reason == now.reason => {
            let last = reason_lines("decided", last, show);
            let title = show.paint.tone(Tone::Heading, "and still so, as things are now");
            format!(
                "{last}\n{title}\n{}",
                fact_lines(now, ["it sees", "what would have to be otherwise"], show)
            )
        }
        (Some(last), Some(now)) => {
            let last = reason_lines("last decision", last, show);
            format!("{last}\n{}", reason_lines("if it were decided now", now, show))
        }
        (Some(last), None) => reason_lines("last decision", last, show),
        (None, Some(now)) => reason_lines("if it were decided now", now, show),
        (None, None) => String::new(),
    }
}

/// One reason: sentence, rule, facts, near misses.
pub fn reason_lines(title: &str, reason: &Reason, show: Show) -> String {
    let mut text = format!("{}: {}\n", show.paint.tone(Tone::Heading, title), reason.reason);
    if !reason.rule.is_empty() {
        let rule = show.paint.tone(Tone::Good, &reason.rule);
        // Some reasons are the rule's own sentence; it is not said twice.
        let known = reason.says.is_empty() || reason.says == reason.reason;
        let says = if known { String::new() } else { format!(" - {}", reason.says) };
        text.push_str(&format!("  rule {rule}{says}\n"));
    }
    text.push_str(&fact_lines(reason, ["it saw", "what nearly happened instead"], show));
    text
}

/// The facts and near misses of a reason, under these two titles.
fn fact_lines(reason: &Reason, [facts, nearly]: [&str; 2], show: Show) -> String {
    let mut text = String::new();
    if !reason.because.is_empty() {
        text.push_str(&format!("  {facts}\n"));
        for fact in &reason.because {
            text.push_str(&format!("    {}: {}\n", fact.what, fact.is));
        }
    }
    if !reason.nearly.is_empty() {
        text.push_str(&format!("  {nearly}\n"));
        for nearly in &reason.nearly {
            text.push_str(&format!("    {}: {}\n", show.paint.tone(Tone::Warn, &nearly.rule), nearly.missed));
        }
    }
    text
}
