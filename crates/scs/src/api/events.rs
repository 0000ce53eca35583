//! What happened: a list, or a stream of lines that goes on.
//!
//! The law: a follower that reads too slowly loses nothing, it reads on from the journal; and it holds up nobody.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use understudy_store::{EventQuery, StoredEvent};

use super::Seat;
use super::caller::Caller;
use super::error::ApiError;
use super::input::Asked;
use super::names;
use super::routes::{LINES, STREAM};
use super::shapes;
use super::tokens::Ticket;
use crate::journal::{Progress, now_ms};

/// Events in one answer unless it says otherwise, and at most.
const USUAL_EVENTS: u32 = 100;
const MOST_EVENTS: u32 = 1_000;
/// Lines that wait for a slow follower.
const LINES_WAITING: usize = 64;
/// A follower that takes nothing for this long is let go.
const SLOW_READER: Duration = Duration::from_secs(30);
/// The number of the event that a stream goes on behind.
const LAST_EVENT_ID: &str = "last-event-id";
/// An empty line at least this often, so that a follower who has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Which events.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    since: Option<String>,
    after: Option<i64>,
    app: Option<String>,
    pair: Option<String>,
    host: Option<String>,
    limit: Option<u32>,
    #[serde(default)]
    follow: bool,
}

impl Which {
    pub(super) fn query(&self, now: Timestamp) -> Result<EventQuery, ApiError> {
        let since = self.since.as_deref().map(|text| parse_since(text, now)).transpose()?;
        let lower = |name: &Option<String>| name.as_ref().map(|name| name.to_ascii_lowercase());
        Ok(EventQuery {
            after_id: self.after,
            since_wall_ms: since.map(Timestamp::as_millisecond),
            application: lower(&self.app),
            pair: lower(&self.pair),
            host: lower(&self.host),
            limit: self.limit.unwrap_or(USUAL_EVENTS).clamp(1, MOST_EVENTS),
            // With a number to go on from, the next ones are meant; else the newest ones.
            newest_first: self.after.is_none(),
            ..EventQuery::default()
        })
    }
}

/// A time, or how long ago: `90s`, `10m`, `2h`, `7d`.
pub(super) fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = || {
        ApiError::bad_request(format!("{text:?} is no time"))
            .because("a time is 2026-11-20T08:00:00Z, or how long ago: 90s, 10m, 2h, 7d")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds =
        number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_seconds)).ok_or_else(wrong)?;
    now.checked_sub(SignedDuration::from_secs(seconds)).map_err(|_| wrong())
}

/// Events, oldest first; with `follow` a stream of them, one JSON value a line.
pub(super) async fn events(
    State(seat): State<Seat>,
    Extension(caller): Extension<Caller>,
    Asked(which): Asked<Which>,
) -> Result<Response, ApiError> {
    let mut query = which.query(Timestamp::now())?;
    let gone = names::check(&seat, &mut query).await?;
    if which.follow {
        return follow(seat, caller, query, Form::Lines).await;
    }
    let found = seat.journal.events(query).await.map_err(|error| error.into_api())?;
    let last = found.last().map_or(which.after.unwrap_or(0), |event| event.id);
    let events = shapes::all(&found, shapes::event);
    Ok(Json(json!({ "events": events, "last": last, "gone": gone })).into_response())
}

/// What happens, as server-sent events. Without any wish for the past it begins now.
pub(super) async fn stream(
    State(seat): State<Seat>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Asked(mut which): Asked<Which>,
) -> Result<Response, ApiError> {
    if which.follow {
        return Err(ApiError::bad_request("a stream follows anyway; leave `follow` out"));
    }
    if let Some(seen) = last_event_id(&headers)? {
        which.after = Some(seen);
    }
    if which.after.is_none() && which.since.is_none() && which.limit.is_none() {
        which.after = Some(seat.journal.progress().borrow().last_event);
    }
    if which.after.is_some() {
        // Whoever goes on from a number wants everything behind it.
        which.limit = Some(MOST_EVENTS);
    }
    let mut query = which.query(Timestamp::now())?;
    names::check(&seat, &mut query).await?;
    follow(seat, caller, query, Form::Stream).await
}

/// Behind which event a stream goes on, if the header says so.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(seen) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = seen.to_str().ok().and_then(|text| text.trim().parse::<i64>().ok());
    let message = "the header Last-Event-ID is not the number of an event";
    id.map(Some).ok_or_else(|| ApiError::bad_request(message))
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One JSON value a line.
    Lines,
    /// As server-sent events.
    Stream,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Form::Lines => LINES,
            Form::Stream => STREAM,
        }
    }

    fn write(self, event: &StoredEvent) -> String {
        let value = shapes::event(event);
        match self {
            Form::Lines => format!("{value}\n"),
            Form::Stream => format!("id: {}\ndata: {value}\n\n", event.id),
        }
    }

    fn still_there(self) -> &'static [u8] {
        match self {
            Form::Lines => b"\n",
            Form::Stream => b": still here\n\n",
        }
    }

    /// Said last to somebody who may not go on.
    fn end(self) -> &'static [u8] {
        match self {
            Form::Lines => b"",
            Form::Stream => b"event: end\ndata: {\"because\": \"this is open to you no more\"}\n\n",
        }
    }
}

async fn follow(seat: Seat, caller: Caller, query: EventQuery, form: Form) -> Result<Response, ApiError> {
    let room = seat.journal.room_for_follower().ok_or_else(|| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many followers of events already")
            .try_next("scsctl events")
    })?;
    let mut progress = seat.journal.progress();
    // Where the past ends is noted before it is read: what is written meanwhile is read as news.
    let seen = progress.borrow_and_update().last_event;
    let past = seat.journal.events(query.clone()).await.map_err(|error| error.into_api())?;
    let (lines, body) = mpsc::channel(LINES_WAITING);
    let last = past.last().map_or(seen, |event| event.id).max(query.after_id.unwrap_or(0));
    let revocations = seat.guard.tokens.revocations();
    let follower = Follower { seat, caller, form, query, progress, revocations, lines, last };
    tokio::spawn(async move {
        follower.run(past).await;
        drop(room);
    });
    let body = Body::from_stream(ReceiverStream::new(body));
    Ok(([(header::CONTENT_TYPE, form.content_type())], body).into_response())
}

/// What ended a wait.
enum Happened {
    Events,
    Silence,
    Nothing,
}

struct Follower {
    seat: Seat,
    caller: Caller,
    form: Form,
    revocations: watch::Receiver<u64>,
    query: EventQuery,
    progress: watch::Receiver<Progress>,
    lines: mpsc::Sender<Result<Bytes, Infallible>>,
    /// The newest event that was written or passed over.
    last: i64,
}

impl Follower {
    /// Writes until the follower has gone or the program ends.
    async fn run(mut self, past: Vec<StoredEvent>) {
        for event in &past {
            if !self.write(event).await {
                return;
            }
        }
        let mut going_on = self.catch_up().await;
        while going_on {
            let patience = self.patience();
            let happened = tokio::select! {
                progress = self.progress.changed() => match progress {
                    Ok(()) => Happened::Events,
                    Err(_) => return,
                },
                // The other end is the seat's own, so it is there.
                _ = self.revocations.changed() => Happened::Nothing,
                () = tokio::time::sleep(patience) => Happened::Silence,
            };
            if !self.seat.guard.may_go_on(&self.caller) {
                self.send(Bytes::from_static(self.form.end())).await;
                return;
            }
            going_on = match happened {
                Happened::Events => self.catch_up().await,
                Happened::Silence => self.send(Bytes::from_static(self.form.still_there())).await,
                Happened::Nothing => true,
            };
        }
    }

    /// Until the next sign of life, or the end of the caller's token if that is sooner.
    fn patience(&self) -> Duration {
        let expires = self.caller.ticket.as_ref().and_then(Ticket::expires_wall_ms);
        let left = expires.map(|expires| expires.saturating_sub(now_ms()).max(0).unsigned_abs());
        left.map_or(KEEP_ALIVE, |left| KEEP_ALIVE.min(Duration::from_millis(left)))
    }

    /// False if there is nobody to write for, or nobody who reads.
    async fn send(&self, bytes: Bytes) -> bool {
        let sent = tokio::time::timeout(SLOW_READER, self.lines.send(Ok(bytes))).await;
        sent.is_ok_and(|sent| sent.is_ok())
    }

    /// Writes what the journal holds since the last event. False if there is nobody to write for.
    async fn catch_up(&mut self) -> bool {
        let newest = self.progress.borrow_and_update().last_event;
        while newest > self.last {
            let query = EventQuery {
                after_id: Some(self.last),
                since_wall_ms: None,
                limit: MOST_EVENTS,
                newest_first: false,
                ..self.query.clone()
            };
            let Ok(found) = self.seat.journal.events(query).await else { return false };
            for event in &found {
                if !self.write(event).await {
                    return false;
                }
            }
            // Nothing more that fits: everything up to the newest was passed over.
            if found.len() < MOST_EVENTS as usize {
                self.last = self.last.max(newest);
            }
        }
        true
    }

    async fn write(&mut self, event: &StoredEvent) -> bool {
        self.last = self.last.max(event.id);
        self.send(Bytes::from(self.form.write(event))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_times_or_as_how_long_ago() {
        let now: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
        let read = |text| parse_since(text, now).map(|time| time.to_string());
        assert_eq!(read("10m").unwrap(), "2026-11-20T07:50:00Z");
        assert_eq!(read("2026-11-20T01:02:03Z").unwrap(), "2026-11-20T01:02:03Z");
        for wrong in ["", "10", "m", "10x", "99999999999999999999d", "9223372036854775807d", "-1h"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
