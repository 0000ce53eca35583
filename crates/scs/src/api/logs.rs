//! What an application printed: pulled from its agent piece by piece, and streamed as lines of JSON.
//!
//! The law: a reader costs one piece of memory and a little more; the next piece is asked for when the last one was
//! taken, and one who takes nothing for too long is dropped with a word.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use understudy_model::logs::MOST_LOG_LINES;
use understudy_model::{ApplicationName, HostName, LogPiece, LogPlace};

use super::Seat;
use super::caller::Caller;
use super::error::ApiError;
use super::events::parse_since;
use super::guard::Guard;
use super::input::Asked;
use crate::links::{Links, NotAsked};

/// Lines unless it says otherwise.
const USUAL_LINES: u32 = 100;
/// Readers at a time.
const MOST_READERS: usize = 32;
/// Pieces that wait for a reader; one more place is kept for the last word.
const PIECES_WAITING: usize = 2;
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an agent may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Between two questions for what is new.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// Room for readers.
#[derive(Clone)]
pub struct Readers(Arc<Semaphore>);

impl Default for Readers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_READERS)))
    }
}

/// Which output.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    lines: Option<u32>,
    since: Option<String>,
    #[serde(default)]
    follow: bool,
}

impl Which {
    /// From where on output is asked for.
    pub(super) fn place(&self, now: Timestamp) -> Result<LogPlace, ApiError> {
        let since = self.since.as_deref().map(|text| parse_since(text, now)).transpose()?;
        let lines = self.lines.unwrap_or(if since.is_some() { MOST_LOG_LINES } else { USUAL_LINES });
        Ok(LogPlace::Last {
            lines: lines.min(MOST_LOG_LINES),
            since_wall_ms: since.map(Timestamp::as_millisecond),
        })
    }
}

pub(super) async fn logs(
    State(seat): State<Seat>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Asked(which): Asked<Which>,
) -> Result<Response, ApiError> {
    let name = name.to_ascii_lowercase();
    let (view, _) = seat.view().await?;
    let found = view.applications.iter().find(|application| application.name.as_str() == name);
    let found = found.ok_or_else(|| ApiError::not_found("application", &name, "scsctl apps"))?;
    let from = which.place(Timestamp::now())?;
    let room = Arc::clone(&seat.readers.0).try_acquire_owned().map_err(|_| {
        ApiError::refused(
            "busy".to_owned(),
            format!("{MOST_READERS} readers of output are served already"),
            Vec::new(),
            None,
        )
    })?;
    let (host, application) = (found.host.clone(), found.name.clone());
    let (links, guard) = (seat.links.clone(), seat.guard.clone());
    let reading = Reading { links, guard, caller, host, application, _room: room };
    // The first piece before the answer begins, so that a refusal is one.
    let first = reading.ask(from).await?;
    let (sender, lines) = mpsc::channel(PIECES_WAITING + 1);
    tokio::spawn(reading.stream(first, which.follow, sender));
    let body = Body::from_stream(ReceiverStream::new(lines));
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

type Line = Result<Bytes, Infallible>;

/// One reader.
struct Reading {
    links: Links,
    guard: Guard,
    caller: Caller,
    host: HostName,
    application: ApplicationName,
    _room: OwnedSemaphorePermit,
}

impl Reading {
    async fn ask(&self, from: LogPlace) -> Result<LogPiece, ApiError> {
        let unreachable = |message: String| {
            ApiError::refused("unreachable".to_owned(), message, Vec::new(), Some("scsctl hosts".to_owned()))
        };
        let answer = match self.links.read_logs(&self.host, &self.application, from) {
            Ok(answer) => answer,
            Err(error @ NotAsked::TooOld { .. }) => {
                let advice = format!("on {}: journalctl -t {} or its log file", self.host, self.application);
                return Err(ApiError::refused(
                    "not-possible".to_owned(),
                    error.to_string(),
                    Vec::new(),
                    Some(advice),
                ));
            }
            Err(error @ NotAsked::Busy) => {
                return Err(ApiError::refused("busy".to_owned(), error.to_string(), Vec::new(), None));
            }
            Err(error @ NotAsked::NoLink(_)) => return Err(unreachable(error.to_string())),
        };
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(Ok(piece))) => Ok(piece),
            Ok(Ok(Err(problem))) => {
                Err(ApiError::refused("not-possible".to_owned(), problem, Vec::new(), None))
            }
            Ok(Err(_)) => Err(unreachable(format!("the link to host {} ended before the answer", self.host))),
            Err(_) => Err(unreachable(format!(
                "the agent of host {} did not answer within {ANSWER_LIMIT:?}",
                self.host
            ))),
        }
    }

    /// Hands on piece after piece until there is no more, or nobody reads.
    async fn stream(self, first: LogPiece, follow: bool, sender: mpsc::Sender<Line>) {
        let Ok(last_word) = sender.clone().reserve_owned().await else { return };
        let mut text = Text::default();
        let mut piece = first;
        loop {
            let line =
                json!({ "text": text.take(&piece.bytes, !follow && !piece.more), "missing": piece.missing });
            if !piece.bytes.is_empty() || piece.missing {
                match tokio::time::timeout(PATIENCE, sender.send(Ok(line_of(&line)))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => {
                        let word = "dropped: nothing was read for a while; ask again";
                        last_word.send(Ok(line_of(&json!({ "problem": word }))));
                        return;
                    }
                }
            }
            if !piece.more {
                if !follow {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(FOLLOW_PAUSE) => {}
                    () = sender.closed() => return,
                }
            }
            if !self.guard.may_go_on(&self.caller) {
                last_word.send(Ok(line_of(&json!({ "problem": "this is open to you no more" }))));
                return;
            }
            piece = match self.ask(LogPlace::After(piece.next)).await {
                Ok(next) => next,
                Err(error) => {
                    last_word.send(Ok(line_of(&json!({ "problem": error.message }))));
                    return;
                }
            };
        }
    }
}

fn line_of(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

/// Bytes to text: what is not UTF-8 is replaced, but a character that two pieces share is not.
#[derive(Debug, Default)]
struct Text {
    rest: Vec<u8>,
}

impl Text {
    /// The text so far; `last` if nothing follows that could end a character.
    fn take(&mut self, bytes: &[u8], last: bool) -> String {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() - if last { 0 } else { unfinished(&self.rest) };
        let text = String::from_utf8_lossy(&self.rest[..whole]).into_owned();
        self.rest.drain(..whole);
        text
    }
}

/// How many bytes at the end are the beginning of a character that is longer.
fn unfinished(bytes: &[u8]) -> usize {
    for (back, byte) in (1..4).zip(bytes.iter().rev()) {
        let needs = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if needs > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_on_two_pieces_is_one_and_nonsense_is_replaced() {
        let mut text = Text::default();
        assert_eq!(text.take(b"a\xc3", false), "a");
        assert_eq!(text.take(b"\xa4b\xe2\x82", false), "\u{e4}b");
        assert_eq!(text.take(b"\xac\n", false), "\u{20ac}\n");
        assert_eq!(text.take(b"\xff\xfeok\xc3", false), "\u{fffd}\u{fffd}ok");
        assert_eq!(text.take(b"x\xf0\x9f", true), "\u{fffd}x\u{fffd}");
        assert_eq!(text.take(b"\x80\x80\x80\x80", false), "\u{fffd}".repeat(4));
    }
}
