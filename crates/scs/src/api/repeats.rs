//! Requests that carry a key: asked again with the same key, they are answered again and not done again.
//!
//! It knows no meaning of a request. The law: a key stands for one request of one user, in this life of the program;
//! the newest [`MOST_KEYS`] are known, and none is longer than [`LONGEST_KEY_BYTES`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Extension;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::actor::Actor;
use super::error::ApiError;
use super::input::read_body;

/// The header that carries the key.
pub const KEY_HEADER: &str = "idempotency-key";
/// The most keys that are known at a time.
pub const MOST_KEYS: usize = 256;
/// The longest key, in bytes.
pub const LONGEST_KEY_BYTES: usize = 128;
/// The longest answer that is kept, in bytes.
const LONGEST_ANSWER_BYTES: usize = 256 * 1024;

/// The known keys. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Repeats {
    known: Arc<Mutex<VecDeque<Known>>>,
}

#[derive(Debug)]
struct Known {
    key: String,
    asked: Asked,
    /// Absent while it is being done.
    answer: Option<(StatusCode, Bytes)>,
}

/// Who asked for what.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    by: String,
    what: String,
    body: Bytes,
}

/// What a key stands for.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    New,
    Again(StatusCode, Bytes),
    Running,
    Other,
}

impl Repeats {
    fn meet(&self, key: &str, asked: &Asked) -> Met {
        let mut known = self.lock();
        if let Some(one) = known.iter().find(|one| one.key == key) {
            return match &one.answer {
                _ if one.asked != *asked => Met::Other,
                Some((status, body)) => Met::Again(*status, body.clone()),
                None => Met::Running,
            };
        }
        if known.len() >= MOST_KEYS {
            known.pop_front();
        }
        known.push_back(Known { key: key.to_owned(), asked: asked.clone(), answer: None });
        Met::New
    }

    fn answered(&self, key: &str, status: StatusCode, body: Bytes) {
        if let Some(one) = self.lock().iter_mut().find(|one| one.key == key) {
            one.answer = Some((status, body));
        }
    }

    fn forget(&self, key: &str) {
        self.lock().retain(|one| one.key != key);
    }

    /// Every change here is one step, so a poisoned lock still guards a whole list.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does a request that has no key, or a new one; answers any other as it was answered before.
pub(super) async fn once(
    State(repeats): State<Repeats>,
    Extension(Actor(actor)): Extension<Actor>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let changes_something = matches!(*request.method(), Method::POST | Method::PUT | Method::DELETE);
    let Some(key) = key_of(request.headers())?.filter(|_| changes_something) else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = read_body(body).await?;
    let asked = Asked { by: actor, what: format!("{} {}", parts.method, parts.uri), body: body.clone() };
    let request = Request::from_parts(parts, Body::from(body));
    match repeats.meet(&key, &asked) {
        Met::Again(status, body) => return Ok(answer(status, body)),
        Met::Running => {
            let message = "the request with this key is being done";
            return Err(
                ApiError::new(StatusCode::CONFLICT, "busy", message).try_next("the same again in a moment")
            );
        }
        Met::Other => {
            let message = "this key was used for another request";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", message)
                .try_next("the same with a new key"));
        }
        Met::New => {}
    }
    // On a task of its own: whoever asked may be gone before the answer, and it is for that case that a key is there.
    let doing = tokio::spawn(async move { do_once(&repeats, &key, next.run(request).await).await });
    doing.await.unwrap_or_else(|_| Err(ApiError::outcome_unknown("the request was not done to its end")))
}

async fn do_once(repeats: &Repeats, key: &str, response: Response) -> Result<Response, ApiError> {
    let status = response.status();
    let body = to_bytes(response.into_body(), LONGEST_ANSWER_BYTES)
        .await
        .map_err(|error| ApiError::outcome_unknown(format!("the answer broke off: {error}")))?;
    if status.is_success() || status == StatusCode::GATEWAY_TIMEOUT {
        repeats.answered(key, status, body.clone());
    } else {
        // What was certainly not done may be asked again with the same key.
        repeats.forget(key);
    }
    Ok(answer(status, body))
}

pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= LONGEST_KEY_BYTES => Ok(Some(key.to_owned())),
        _ => Err(ApiError::bad_request(format!("a key has 1 to {LONGEST_KEY_BYTES} plain characters"))),
    }
}

fn answer(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(by: &str, what: &str, body: &'static str) -> Asked {
        Asked { by: by.to_owned(), what: what.to_owned(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn a_key_stands_for_one_request() {
        let repeats = Repeats::default();
        assert_eq!(repeats.meet("k", &asked("root", "POST /a", "{}")), Met::New);
        assert_eq!(repeats.meet("k", &asked("root", "POST /a", "{}")), Met::Running);
        assert_eq!(repeats.meet("k", &asked("ann", "POST /a", "{}")), Met::Other);
        assert_eq!(repeats.meet("k", &asked("root", "POST /a", "{\"to\":1}")), Met::Other);
        repeats.answered("k", StatusCode::ACCEPTED, Bytes::from_static(b"{}"));
        assert_eq!(
            repeats.meet("k", &asked("root", "POST /a", "{}")),
            Met::Again(StatusCode::ACCEPTED, Bytes::from_static(b"{}"))
        );
        repeats.forget("k");
        assert_eq!(repeats.meet("k", &asked("root", "POST /b", "{}")), Met::New);
    }

    #[test]
    fn the_number_of_known_keys_is_bounded() {
        let repeats = Repeats::default();
        for number in 0..=MOST_KEYS {
            assert_eq!(repeats.meet(&number.to_string(), &asked("x", "", "")), Met::New);
        }
        assert_eq!(repeats.lock().len(), MOST_KEYS);
        assert_eq!(repeats.meet("0", &asked("x", "", "")), Met::New, "the oldest one was forgotten");
    }
}
