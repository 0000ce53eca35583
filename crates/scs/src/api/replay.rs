//! Replays: what was recorded is decided again, and compared. Nothing is done or changed.
//!
//! It knows no rows. The law: the journal is read in pieces, so that nobody waits long behind it; one replay at a time, and
//! none for ever.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use understudy_store::JournalQuery;

use super::Seat;
use super::error::ApiError;
use super::events::parse_since;
use super::input::Asked;
use crate::replay::{Difference, Replay, Replayed, is_beginning};
use crate::wall::show_unix_ms;

/// Rows that are read and played at a time.
const ROWS_AT_A_TIME: u32 = 500;
/// The most leaderships of one answer.
const MOST_LEADERSHIPS: u32 = 100;
/// How long it may take in all.
const LONGEST: Duration = Duration::from_secs(30);
static ROOM: Semaphore = Semaphore::const_new(1);

/// Which span.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    from: Option<String>,
    to: Option<String>,
}

impl Span {
    /// Both ends in wall milliseconds.
    pub(super) fn read(&self, now: Timestamp) -> Result<(Option<i64>, i64), ApiError> {
        let read = |text: &Option<String>| text.as_deref().map(|text| parse_since(text, now)).transpose();
        let (from, to) = (read(&self.from)?, read(&self.to)?);
        let to = to.map_or(i64::MAX, Timestamp::as_millisecond);
        let from = from.map(Timestamp::as_millisecond);
        if from.is_some_and(|from| from > to) {
            return Err(ApiError::bad_request("`from` is after `to`"));
        }
        Ok((from, to))
    }
}

/// Plays every leadership of that span from its beginning; without `from` the newest one.
pub(super) async fn replay(
    State(seat): State<Seat>,
    Asked(span): Asked<Span>,
) -> Result<Json<Value>, ApiError> {
    let now = Timestamp::now();
    let (from, to) = span.read(now)?;
    if let Some(from) = from.filter(|from| *from > now.as_millisecond()) {
        let message = format!("nothing is recorded from {} on: that is to come", show_unix_ms(from));
        return Err(
            ApiError::new(StatusCode::NOT_FOUND, "not-found", message).try_next("scsctl replay --from 1h")
        );
    }
    let Ok(_room) = ROOM.try_acquire() else {
        let message = "a replay is under way, and one is made at a time";
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many", message)
            .try_next("the same again in a moment"));
    };
    let deadline = Instant::now() + LONGEST;
    let beginnings = seat.journal.beginnings(to, MOST_LEADERSHIPS).await.map_err(|error| error.into_api())?;
    let mut chosen = Vec::new();
    for beginning in beginnings.into_iter().filter(is_beginning) {
        let covers = from.is_none_or(|from| beginning.at_wall_ms <= from);
        chosen.push(beginning);
        if covers {
            break;
        }
    }
    if chosen.is_empty() {
        return Err(ApiError::not_found("leadership in the journal until then", "recorded", "scsctl events")
            .because("only leaderships that began with a version that records everything can be replayed"));
    }
    let mut all = Vec::new();
    for beginning in chosen.into_iter().rev() {
        let found = play(&seat, beginning.id, to, deadline).await?;
        all.push(shape(&found, beginning.at_wall_ms));
    }
    let same = all.iter().all(|one| one["difference"].is_null());
    Ok(Json(json!({ "leaderships": all, "same": same })))
}

async fn play(seat: &Seat, first: i64, to: i64, deadline: Instant) -> Result<Replayed, ApiError> {
    let mut replay = Replay::default();
    let mut after_id = first - 1;
    loop {
        let query = JournalQuery { after_id, since_wall_ms: i64::MIN, limit: ROWS_AT_A_TIME };
        let rows = seat.journal.rows(query).await.map_err(|error| error.into_api())?;
        let Some(last) = rows.last().map(|row| row.id) else { return Ok(replay.finish()) };
        after_id = last;
        let played = tokio::task::spawn_blocking(move || {
            let more = rows.into_iter().all(|row| row.at_wall_ms <= to && replay.feed(row));
            (replay, more)
        });
        let more;
        (replay, more) = played.await.map_err(|error| {
            let message = format!("the replay broke off: {error}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "not-replayed", message)
                .try_next("the log of scs")
        })?;
        if !more {
            return Ok(replay.finish());
        }
        if Instant::now() > deadline {
            replay.stop(format!("it took longer than {LONGEST:?}; everything until then was compared"));
            return Ok(replay.finish());
        }
    }
}

fn shape(found: &Replayed, began_wall_ms: i64) -> Value {
    json!({
        "controller": found.controller,
        "epoch": found.controller_epoch,
        "version": found.version,
        "began": show_unix_ms(began_wall_ms),
        "steps": found.steps,
        "decisions": found.decisions,
        "difference": found.difference.as_ref().map(difference),
        "stopped": found.stopped,
    })
}

fn difference(found: &Difference) -> Value {
    json!({
        "step": found.step,
        "at": show_unix_ms(found.at_wall_ms),
        "saw": found.saw,
        "recorded": found.recorded,
        "replayed": found.replayed,
    })
}
