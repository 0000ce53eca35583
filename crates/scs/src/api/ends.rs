//! When the last process of an application ended, and why it was killed if it was: what its agent's reports leave out, and the
//! journal has.
//!
//! It decides nothing. The law: what the journal does not hold any more is null, never guessed.

use serde_json::{Value, json};
use understudy_model::{EventKind, Rule};
use understudy_store::{EventQuery, StoredEvent};

use super::Seat;
use super::error::ApiError;
use crate::wall::show_unix_ms;

/// How far back an end is looked for, in events: a question to the journal is short.
const WITHIN: i64 = 20_000;

/// How many of the newest events about ends are looked through.
const SEEN: u32 = 16;

/// Adds to the last exit of an application, as it is shown, when that was and why it was killed.
pub(super) async fn add_end(seat: &Seat, name: &str, shown: &mut Value) -> Result<(), ApiError> {
    let Some(exit) = shown.get_mut("last_exit").and_then(Value::as_object_mut) else { return Ok(()) };
    let newest = seat.journal.progress().borrow().last_event;
    let query = EventQuery {
        after_id: Some(newest.saturating_sub(WITHIN)),
        application: Some(name.to_owned()),
        kinds: vec![EventKind::ApplicationExited, EventKind::Anomaly, EventKind::Fenced],
        limit: SEEN,
        newest_first: true,
        ..EventQuery::default()
    };
    let events = seat.journal.events(query).await.map_err(|error| error.into_api())?;
    let text = exit.get("text").and_then(Value::as_str).unwrap_or_default();
    let (ended, killed) = end_of(&events, text);
    exit.insert("at".to_owned(), json!(ended.map(|event| show_unix_ms(event.at_wall_ms))));
    let killed = killed.map(|event| {
        json!({ "rule": event.rule, "reason": event.reason, "at": show_unix_ms(event.at_wall_ms), "event": event.id })
    });
    exit.insert("killed_because".to_owned(), json!(killed));
    Ok(())
}

/// Of events about one application, oldest first: the newest end, if it is the one with this text, and what it was killed for.
fn end_of<'a>(events: &'a [StoredEvent], text: &str) -> (Option<&'a StoredEvent>, Option<&'a StoredEvent>) {
    let is_end = |event: &StoredEvent| event.kind == EventKind::ApplicationExited.as_str();
    let Some(place) = events.iter().rposition(is_end) else { return (None, None) };
    let Some(ended) = events.get(place).filter(|event| event.reason.ends_with(text)) else {
        return (None, None);
    };
    let before = events.iter().take(place).rposition(is_end).map_or(0, |before| before + 1);
    // Word of a guard's kill may come after the end.
    let killed = events
        .iter()
        .skip(before)
        .rfind(|event| event.kind == EventKind::Fenced.as_str() || event.rule == Rule::Hung.id());
    (Some(ended), killed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: i64, kind: EventKind, rule: Rule, reason: &str) -> StoredEvent {
        StoredEvent {
            id,
            at_wall_ms: id,
            kind: kind.as_str().to_owned(),
            severity: String::new(),
            host: None,
            application: None,
            pair: None,
            from: None,
            to: None,
            epoch: None,
            rule: rule.id().to_owned(),
            reason: reason.to_owned(),
            because: Vec::new(),
            nearly: Vec::new(),
            actor: None,
        }
    }

    #[test]
    fn an_end_has_its_time_and_what_it_was_killed_for_and_another_one_has_neither() {
        let hung = |id| event(id, EventKind::Anomaly, Rule::Hung, "no sign of life: killed");
        let ended = |id, how: &str| event(id, EventKind::ApplicationExited, Rule::ProcessExited, how);
        let ids = |events: &[StoredEvent], text: &str| {
            let (ended, killed) = end_of(events, text);
            (ended.map(|event| event.id), killed.map(|event| event.id))
        };
        let killed = [hung(1), ended(2, "after 4 s: signal 9 (KILL)")];
        assert_eq!(ids(&killed, "signal 9 (KILL)"), (Some(2), Some(1)));
        assert_eq!(ids(&killed, "exit code 3"), (None, None), "that end is not in the journal");
        let then = [hung(1), ended(2, "after 4 s: signal 9 (KILL)"), ended(3, "after 1 s: exit code 3")];
        assert_eq!(ids(&then, "exit code 3"), (Some(3), None), "the one before was killed, this one was not");
        let fenced = event(4, EventKind::Fenced, Rule::GuardFired, "its guard");
        let guarded = [ended(3, "after 1 s: signal 9 (KILL)"), fenced];
        assert_eq!(ids(&guarded, "signal 9 (KILL)"), (Some(3), Some(4)));
        assert_eq!(ids(&[], "x"), (None, None));
    }
}
