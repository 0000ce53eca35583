//! Why something is as it is: the rule, what it saw, which rules did not fire, and the story until now.
//! It invents nothing; the law: every sentence here was said by the deciding machine.

use super::Show;
use super::ago::{ago, clock, day};
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
        let title = format!("the story, oldest first; {}", day(show.now, show.zone));
        text.push_str(&format!("\n{}\n", show.paint.tone(Tone::Heading, &title)));
        for event in &why.events {
            text.push_str(&format!("  {}", event_line(event, show)));
        }
    }
    text
}

/// What holds a change back now comes first; then the last decision as it was made, and what the rules see now.
fn reasons(why: &Why, show: Show) -> String {
    let decided = decided_title(why, show);
    match (&why.because, &why.considered) {
        (last, Some(now)) if why.held_back.is_some() => {
            let now = reason_lines("nothing changes now, because", now, show);
            let last = last.as_ref().map(|last| format!("\n{}", reason_lines(&decided, last, show)));
            format!("{now}{}", last.unwrap_or_default())
        }
        (Some(last), Some(now)) if last.rule == now.rule && last.reason == now.reason => {
            let last = reason_lines(&decided, last, show);
            let title = show.paint.tone(Tone::Heading, "nothing changes now");
            format!("{last}\n{title}\n{}", fact_lines(now, "the rules see", show))
        }
        (Some(last), Some(now)) => {
            let last = reason_lines(&decided, last, show);
            format!("{last}\n{}", reason_lines("as things are now", now, show))
        }
        (Some(last), None) => reason_lines(&decided, last, show),
        (None, Some(now)) => reason_lines("as things are now", now, show),
        (None, None) => String::new(),
    }
}

/// The last decision with its time, where the server says it.
fn decided_title(why: &Why, show: Show) -> String {
    let Some(at) = why.decided_at.as_deref() else { return "last decision".to_owned() };
    let event = why.decided_event.map(|id| format!(", #{id}")).unwrap_or_default();
    format!("last decision, {} ({} ago{event})", clock(show.now, at, show.zone), ago(show.now, Some(at)))
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
    text.push_str(&fact_lines(reason, "it saw", show));
    text
}

/// The facts of a reason under this title, and the rules that did not fire.
fn fact_lines(reason: &Reason, facts: &str, show: Show) -> String {
    let mut text = String::new();
    if !reason.because.is_empty() {
        text.push_str(&format!("  {facts}\n"));
        for fact in &reason.because {
            text.push_str(&format!("    {}: {}\n", fact.what, fact.is));
        }
    }
    if !reason.nearly.is_empty() {
        text.push_str("  rules that did not fire\n");
        for nearly in &reason.nearly {
            text.push_str(&format!("    {}: {}\n", show.paint.tone(Tone::Warn, &nearly.rule), nearly.missed));
        }
    }
    text
}
