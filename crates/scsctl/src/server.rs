//! The control server's API as this program sees it: one request, one answer.
//!
//! It knows HTTP and the one error body, and nothing of what the answers mean. The law: a request that may have
//! been carried out is never reported as not done.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::exit::{Exit, Failure};
use crate::place::{Place, Wire};
use crate::stream::{EventReader, Heard};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// The longest line of a stream, in bytes.
const LONGEST_LINE_BYTES: usize = 1024 * 1024;

/// Where the API is, and how long it may take.
#[derive(Clone)]
pub struct Server {
    place: Place,
    time_limit: Duration,
}

/// The one body of every error.
#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: ErrorSaid,
}

#[derive(Debug, Deserialize)]
struct ErrorSaid {
    #[serde(default)]
    code: String,
    message: String,
    #[serde(default)]
    because: Vec<String>,
    #[serde(default, rename = "try")]
    try_next: Option<String>,
}

impl Server {
    /// The server at a place.
    pub fn new(place: Place, time_limit: Duration) -> Self {
        Self { place, time_limit }
    }

    /// Asks and reads the answer.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.get_within(path, self.time_limit).await
    }

    /// As [`Server::get`], for an answer that the server may keep back for a while.
    pub async fn get_within(&self, path: &str, time_limit: Duration) -> Result<Value, Failure> {
        let answer = tokio::time::timeout(time_limit, async {
            let response = self.send(Method::GET, path, None).await?;
            read(response).await
        });
        answer.await.unwrap_or_else(|_| Err(self.silent(time_limit)))
    }

    /// Asks for something to be done. From the moment the request is sent, a missing answer is an unknown outcome; until
    /// then nothing was asked.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let deadline = Instant::now() + self.time_limit;
        let connected = tokio::time::timeout_at(deadline, self.place.connect()).await;
        let stream = connected.unwrap_or_else(|_| Err(self.silent(self.time_limit)))?;
        let answer = tokio::time::timeout_at(deadline, async {
            let response = self.send_over(stream, method, path, Some(body), None).await?;
            read(response).await.map_err(|failure| match failure.exit() {
                Exit::Unreachable => unknown(&failure.message),
                _ => failure,
            })
        });
        answer.await.unwrap_or_else(|_| {
            Err(unknown(&format!("the control server did not answer within {:?}", self.time_limit)))
        })
    }

    /// Opens a stream of lines, each one JSON value.
    pub async fn lines(&self, path: &str) -> Result<Lines, Failure> {
        let opened = tokio::time::timeout(self.time_limit, self.send(Method::GET, path, None)).await;
        let response = opened.unwrap_or_else(|_| Err(self.silent(self.time_limit)))?;
        if response.status().is_success() {
            Ok(Lines { body: response.into_body(), pending: Vec::new() })
        } else {
            read(response).await.map(|_| unreachable_answer("an error without a body")).and_then(Err)
        }
    }

    /// Opens a stream of events behind the one with number `after`, if that is given.
    pub async fn events(&self, path: &str, after: Option<i64>) -> Result<Events, Failure> {
        let asked = self.send_after(Method::GET, path, None, after);
        let opened = tokio::time::timeout(self.time_limit, asked).await;
        let response = opened.unwrap_or_else(|_| Err(self.silent(self.time_limit)))?;
        if response.status().is_success() {
            Ok(Events { body: response.into_body(), reader: EventReader::default() })
        } else {
            read(response).await.map(|_| unreachable_answer("an error without a body")).and_then(Err)
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, Failure> {
        self.send_after(method, path, body, None).await
    }

    async fn send_after(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        after: Option<i64>,
    ) -> Result<Response<Incoming>, Failure> {
        let stream = self.place.connect().await?;
        self.send_over(stream, method, path, body, after).await
    }

    async fn send_over(
        &self,
        stream: Box<dyn Wire>,
        method: Method,
        path: &str,
        body: Option<&Value>,
        after: Option<i64>,
    ) -> Result<Response<Incoming>, Failure> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| {
                Failure::new(Exit::Unreachable, format!("the connection ended at once: {error}"))
            })?;
        tokio::spawn(async move {
            // How the connection ended is seen by whoever reads the answer.
            let _ = connection.await;
        });
        let changes_something = method != Method::GET;
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.place.host_header())
            .header("content-type", "application/json");
        if let Some(token) = self.place.token() {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
                .map_err(|_| Failure::new(Exit::Usage, "the token holds what no token holds"))?;
            value.set_sensitive(true);
            request = request.header("authorization", value);
        }
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = request
            .body(Full::new(bytes))
            .map_err(|error| Failure::new(Exit::Usage, format!("the request cannot be made: {error}")))?;
        sender.send_request(request).await.map_err(|error| {
            // With TLS 1.3 a server that refuses our certificate says so only now; it has read nothing.
            if let Some(failure) = self.place.tls_failure(&error) {
                return failure;
            }
            let message = format!("the control server ended the connection without an answer: {error}");
            if changes_something { unknown(&message) } else { Failure::new(Exit::Unreachable, message) }
        })
    }

    fn silent(&self, time_limit: Duration) -> Failure {
        let place = self.place.shown();
        Failure::new(
            Exit::Unreachable,
            format!("the control server at {place} did not answer in {time_limit:?}"),
        )
        .try_next("systemctl status scs, or wait longer with --timeout")
    }
}

fn unknown(message: &str) -> Failure {
    Failure::new(Exit::Unknown, message)
        .because("the request was sent, so it may have been carried out")
        .try_next("scsctl status")
}

fn unreachable_answer(what: &str) -> Failure {
    Failure::new(Exit::Unreachable, format!("the answer is not one of a control server: {what}"))
        .try_next("scsctl version, and compare with the version of scs")
}

async fn read(response: Response<Incoming>) -> Result<Value, Failure> {
    let status = response.status();
    let collected = Limited::new(response.into_body(), LONGEST_ANSWER_BYTES).collect().await;
    let bytes = collected.map_err(|error| unreachable_answer(&format!("it broke off: {error}")))?.to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(|error| unreachable_answer(&error.to_string()));
    }
    match serde_json::from_slice::<ErrorBody>(&bytes) {
        Ok(body) => Err(refusal(status, body.error)),
        Err(_) => Err(unreachable_answer(&format!("status {status} without a reason"))),
    }
}

fn refusal(status: StatusCode, said: ErrorSaid) -> Failure {
    let exit = match said.code.as_str() {
        "outcome-unknown" => Exit::Unknown,
        "bad-configuration" => Exit::BadConfiguration,
        "ending" => Exit::Unreachable,
        // Refused by the deciding machine, whatever the status: nothing was done.
        "not-durable" | "not-leading" | "unreachable" => Exit::Refused,
        _ if status.is_client_error() => Exit::Refused,
        _ => Exit::Failed,
    };
    let mut failure = Failure::new(exit, said.message);
    failure.because = said.because;
    failure.try_next = said.try_next.unwrap_or_default();
    failure
}

/// Lines of a stream, as they come.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    pending: Vec<u8>,
}

impl Lines {
    /// The next line; `None` at the end of the stream. Empty lines, which only keep it alive, are left out.
    pub async fn next(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                    let value = serde_json::from_slice(&line);
                    return value.map(Some).map_err(|error| unreachable_answer(&error.to_string()));
                }
            }
            if self.pending.len() > LONGEST_LINE_BYTES {
                return Err(unreachable_answer("a line without an end"));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(unreachable_answer(&format!("it broke off: {error}"))),
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.pending.extend_from_slice(bytes);
                    }
                }
            }
        }
    }
}

/// Events of a stream, as they come.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    reader: EventReader,
}

impl Events {
    /// The next one; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Heard>, Failure> {
        loop {
            if let Some(heard) = self.reader.next()? {
                return Ok(Some(heard));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(unreachable_answer(&format!("it broke off: {error}"))),
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.reader.take(bytes)?;
                    }
                }
            }
        }
    }
}

/// A name or value as one part of a path or query, with everything else escaped.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_no_plain_character_is_escaped() {
        assert_eq!(escape("tserver-1"), "tserver-1");
        assert_eq!(escape("a/b?c&d e"), "a%2Fb%3Fc%26d%20e");
    }

    #[test]
    fn refusals_keep_their_reason_and_get_their_exit_code() {
        let said = |code: &str| ErrorSaid {
            code: code.to_owned(),
            message: "m".to_owned(),
            because: vec!["b".to_owned()],
            try_next: Some("t".to_owned()),
        };
        let failure = refusal(StatusCode::CONFLICT, said("not-ready"));
        assert_eq!(
            (failure.exit(), failure.because.as_slice()),
            (Exit::Refused, ["b".to_owned()].as_slice())
        );
        assert_eq!(refusal(StatusCode::SERVICE_UNAVAILABLE, said("not-durable")).exit(), Exit::Refused);
        assert_eq!(refusal(StatusCode::SERVICE_UNAVAILABLE, said("unreachable")).exit(), Exit::Refused);
        assert_eq!(refusal(StatusCode::SERVICE_UNAVAILABLE, said("ending")).exit(), Exit::Unreachable);
        assert_eq!(refusal(StatusCode::GATEWAY_TIMEOUT, said("outcome-unknown")).exit(), Exit::Unknown);
        assert_eq!(
            refusal(StatusCode::UNPROCESSABLE_ENTITY, said("bad-configuration")).exit(),
            Exit::BadConfiguration
        );
        assert_eq!(refusal(StatusCode::INTERNAL_SERVER_ERROR, said("broken")).exit(), Exit::Failed);
    }
}
