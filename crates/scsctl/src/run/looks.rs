//! The commands that only look. Nothing here changes anything in the cluster; that is the law.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Session;
use crate::answers::{self, read};
use crate::args;
use crate::exit::{Exit, Failure};
use crate::server::escape;
use crate::show::{self, Show};
use crate::stream::Heard;
use crate::when;

/// Pause between two pictures of `status --watch`.
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// Pause before each try to follow a server that has gone.
const COME_BACK_PAUSE: Duration = Duration::from_millis(500);

/// Asks, and prints the answer as it is or as `text` makes it.
async fn look<T: DeserializeOwned>(
    mut session: Session<'_>,
    path: &str,
    text: impl FnOnce(&T, Show) -> String,
) -> Result<Exit, Failure> {
    let answer = session.server.get(path).await?;
    if session.wants_json() {
        session.json(&answer)?;
    } else {
        let text = text(&read::<T>(&answer)?, session.show());
        session.out.print(&text)?;
    }
    Ok(Exit::Done)
}

pub(super) async fn status(mut session: Session<'_>, watch: bool, check: bool) -> Result<Exit, Failure> {
    loop {
        let answer = session.server.get("/v1/status").await;
        if watch {
            session.out.clear()?;
        }
        let wrong = match answer {
            // Whoever watches wants to see the server come back.
            Err(failure) if watch && failure.exit() == Exit::Unreachable => {
                session.out.line(&failure.to_string())?;
                true
            }
            Err(failure) => return Err(failure),
            Ok(answer) => {
                let status: answers::Status = read(&answer)?;
                if session.wants_json() {
                    session.json(&answer)?;
                } else {
                    let text = show::status(&status, session.show());
                    session.out.print(&text)?;
                }
                !status.wrong.is_empty()
            }
        };
        if !watch {
            return Ok(if check && wrong { Exit::Failed } else { Exit::Done });
        }
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

pub(super) async fn hosts(session: Session<'_>) -> Result<Exit, Failure> {
    look(session, "/v1/hosts", |all: &answers::Hosts, show| show::hosts(&all.hosts, show)).await
}

pub(super) async fn host(session: Session<'_>, name: &str) -> Result<Exit, Failure> {
    look(session, &format!("/v1/hosts/{}", escape(name)), show::host).await
}

pub(super) async fn applications(session: Session<'_>) -> Result<Exit, Failure> {
    look(session, "/v1/applications", |all: &answers::Applications, show| {
        show::applications(&all.applications, show)
    })
    .await
}

pub(super) async fn application(session: Session<'_>, name: &str) -> Result<Exit, Failure> {
    look(session, &format!("/v1/applications/{}", escape(name)), show::application).await
}

pub(super) async fn pairs(session: Session<'_>) -> Result<Exit, Failure> {
    look(session, "/v1/pairs", |all: &answers::Pairs, show| show::pairs(&all.pairs, show)).await
}

pub(super) async fn pair(session: Session<'_>, name: &str) -> Result<Exit, Failure> {
    look(session, &format!("/v1/pairs/{}", escape(name)), show::pair).await
}

pub(super) async fn operations(session: Session<'_>, id: Option<u64>) -> Result<Exit, Failure> {
    match id {
        None => {
            look(session, "/v1/operations", |all: &answers::Operations, show| {
                show::operations(&all.operations, show)
            })
            .await
        }
        Some(id) => {
            look(session, &format!("/v1/operations/{id}"), |one: &answers::Operation, show| {
                let steps: String = one.steps.iter().map(show::step).collect();
                steps + &show::operation(one, show)
            })
            .await
        }
    }
}

pub(super) async fn why(
    session: Session<'_>,
    name: Option<&str>,
    event: Option<u64>,
) -> Result<Exit, Failure> {
    let path = match (name, event) {
        (Some(name), _) => format!("/v1/why/{}", escape(name)),
        (None, Some(id)) => format!("/v1/why?event={id}"),
        (None, None) => return Err(Failure::new(Exit::Usage, "name something, or an event with --event")),
    };
    let event = name.filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()));
    look(session, &path, show::why).await.map_err(|failure| match event {
        // Events are what has numbers.
        Some(number) if failure.exit() == Exit::Refused => {
            failure.try_next(format!("scsctl why --event {number}"))
        }
        _ => failure,
    })
}

/// The pairs whose automatic changes of roles are held.
pub(super) async fn held(mut session: Session<'_>) -> Result<Exit, Failure> {
    let answer = session.server.get("/v1/pairs").await?;
    let mut pairs = answer.get("pairs").and_then(Value::as_array).cloned().unwrap_or_default();
    pairs.retain(|pair| pair.get("held_because").is_some_and(Value::is_string));
    if session.wants_json() {
        session.json(&json!({ "pairs": pairs }))?;
        return Ok(Exit::Done);
    }
    if pairs.is_empty() {
        session.out.line("no pair is held: automatic changes of roles go on everywhere")?;
    }
    for pair in pairs {
        let pair: answers::Pair = read(&pair)?;
        let (name, why) = (&pair.name, pair.held_because.unwrap_or_default());
        session
            .out
            .line(&format!("pair {name}: {why}; find out why, then run: scsctl flap acknowledge {name}"))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn what_if(session: Session<'_>, supposed: &args::WhatIf) -> Result<Exit, Failure> {
    let (what, name, other) = supposed.words();
    let mut path = format!("/v1/what-if?what={what}");
    for (key, value) in [("name", name), ("other", other)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", escape(value)));
        }
    }
    look(session, &path, show::what_if).await
}

pub(super) async fn replay(
    mut session: Session<'_>,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Exit, Failure> {
    let span = [("from", when::since(from)?), ("to", when::since(to)?)].into_iter();
    let span = span.filter_map(|(key, value)| value.map(|value| format!("{key}={}", escape(&value))));
    let answer = session.server.get(&format!("/v1/replay?{}", span.collect::<Vec<_>>().join("&"))).await?;
    let replayed: answers::Replayed = read(&answer)?;
    if session.wants_json() {
        session.json(&answer)?;
    } else {
        let text = show::replay(&replayed, session.show());
        session.out.print(&text)?;
    }
    let stopped = replayed.leaderships.iter().any(|one| one.stopped.is_some());
    Ok(if replayed.same && !stopped { Exit::Done } else { Exit::Failed })
}

pub(super) async fn events(mut session: Session<'_>, which: &args::Events) -> Result<Exit, Failure> {
    let mut query = format!("limit={}", which.limit);
    let since = when::since(which.since.as_deref())?;
    let parts = [("since", &since), ("app", &which.app), ("pair", &which.pair), ("host", &which.host)];
    for (key, value) in parts {
        if let Some(value) = value {
            query.push_str(&format!("&{key}={}", escape(value)));
        }
    }
    if which.follow {
        return follow(session, &format!("/v1/events/stream?{query}")).await;
    }
    let answer = session.server.get(&format!("/v1/events?{query}")).await?;
    let events = answer.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
    if !events.is_empty() {
        events_heading(&mut session)?;
    }
    for event in &events {
        print_event(&mut session, event)?;
    }
    let gone = answer.get("gone").and_then(Value::as_array).cloned().unwrap_or_default();
    for remark in gone.iter().filter_map(Value::as_str) {
        session.out.remark(remark);
    }
    if events.is_empty() {
        session.out.remark("no events");
    }
    Ok(Exit::Done)
}

/// Follows until the server says that this ends, or until it has not been there for too long. A server that comes back
/// is followed on behind the last event that it told.
async fn follow(mut session: Session<'_>, path: &str) -> Result<Exit, Failure> {
    let mut events = session.server.events(path, None).await?;
    events_heading(&mut session)?;
    let mut last = None;
    loop {
        let broken = loop {
            match events.next().await {
                Ok(Some(Heard::Event(id, event))) => {
                    print_event(&mut session, &event)?;
                    last = Some(id);
                }
                Ok(Some(Heard::End(because))) => {
                    let message = "the control server ended the stream of events";
                    return Err(Failure::new(Exit::Refused, message).because(because));
                }
                Ok(None) => {
                    break Failure::new(Exit::Unreachable, "the control server ended the stream of events");
                }
                Err(failure) => break failure,
            }
        };
        let deadline = Instant::now() + session.wait_limit;
        events = loop {
            tokio::time::sleep(COME_BACK_PAUSE).await;
            match session.server.events(path, last).await {
                Ok(events) => break events,
                Err(failure) if failure.exit() != Exit::Unreachable => return Err(failure),
                Err(_) if Instant::now() >= deadline => {
                    let waited = format!("it was waited for during {:?}", session.wait_limit);
                    return Err(broken.because(waited).try_next("scsctl events --follow, when it is back"));
                }
                Err(_) => {}
            }
        };
    }
}

/// Above events for people; scripts read them as JSON.
fn events_heading(session: &mut Session<'_>) -> Result<(), Failure> {
    if session.wants_json() {
        return Ok(());
    }
    let text = show::events_heading(session.show());
    session.out.print(&text)
}

/// One event, one line, also as JSON.
fn print_event(session: &mut Session<'_>, event: &Value) -> Result<(), Failure> {
    if session.wants_json() {
        session.json(event)
    } else {
        let text = show::event_line(&read(event)?, session.show());
        session.out.print(&text)
    }
}

pub(super) async fn logs(mut session: Session<'_>, which: &args::Logs) -> Result<Exit, Failure> {
    let mut query = format!("/v1/applications/{}/logs?follow={}", escape(&which.name), which.follow);
    if let Some(lines) = which.lines {
        query.push_str(&format!("&lines={lines}"));
    }
    if let Some(since) = &when::since(which.since.as_deref())? {
        query.push_str(&format!("&since={}", escape(since)));
    }
    let mut pieces = session.server.lines(&query).await?;
    while let Some(piece) = pieces.next().await? {
        if session.wants_json() {
            session.json(&piece)?;
        }
        let piece: answers::LogPiece = read(&piece)?;
        if let Some(problem) = piece.problem {
            return Err(Failure::new(Exit::Unreachable, format!("the output broke off: {problem}"))
                .try_next(format!("scsctl logs {}", which.name)));
        }
        if session.wants_json() {
            continue;
        }
        if piece.missing {
            session.out.remark("-- the log was rotated here; something may be missing --");
        }
        let text = if session.out.is_terminal() { show::harmless(&piece.text) } else { piece.text };
        session.out.print(&text)?;
    }
    if which.follow {
        return Err(Failure::new(Exit::Unreachable, "the control server ended the stream of output")
            .try_next(format!("scsctl logs {} --follow, when it is back", which.name)));
    }
    Ok(Exit::Done)
}
