//! Events, one a line: number, time, about what, what happened, why. It sorts and drops nothing.
//! The law: one event is one line.

use super::Show;
use super::ago::{clock, day};
use crate::answers::Event;
use crate::out::Tone;

/// What stands above events: of which day and in which zone their times are.
pub fn events_heading(show: Show) -> String {
    format!("{}\n", show.paint.tone(Tone::Faint, &day(show.now, show.zone)))
}

/// One event as a line.
pub fn event_line(event: &Event, show: Show) -> String {
    let tone = match event.severity.as_str() {
        "critical" => Tone::Bad,
        "warning" => Tone::Warn,
        _ => Tone::Plain,
    };
    let about = [&event.pair, &event.application, &event.host];
    let about: Vec<&str> = about.iter().filter_map(|part| part.as_deref()).collect();
    let mut text = format!(
        "{} {} {} {}",
        show.paint.tone(Tone::Faint, &format!("#{:<5}", event.id)),
        clock(show.now, &event.at, show.zone),
        show.paint.tone(tone, &format!("{:<20}", event.kind)),
        if about.is_empty() { "cluster".to_owned() } else { about.join("/") },
    );
    match (&event.from, &event.to) {
        (Some(from), Some(to)) => text.push_str(&format!(" {from} -> {to}")),
        (None, Some(to)) => text.push_str(&format!(" -> {to}")),
        (Some(from), None) => text.push_str(&format!(" {from} -> -")),
        (None, None) => {}
    }
    if let Some(epoch) = event.epoch {
        text.push_str(&format!(" epoch {epoch}"));
    }
    if let Some(actor) = &event.actor {
        text.push_str(&format!(" by {actor}"));
    }
    // A reason from outside may hold line ends; one event stays one line.
    let reason = event.reason.reason.replace(['\n', '\r'], " ");
    text.push_str(&format!(
        "  {reason} {}\n",
        show.paint.tone(Tone::Faint, &format!("[{}]", event.reason.rule))
    ));
    text
}
