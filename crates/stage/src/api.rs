//! The operators' API, asked as `scsctl` asks it: one request a connection over the Unix socket, blocking.
//!
//! It knows HTTP as far as this API needs it. The law: every call ends, and an answer is bounded.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Status;

/// The longest that a call may take between two bytes.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer.
const LONGEST_ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// Why a call has no answer. After [`ApiError::Refused`] and [`ApiError::Connect`] nothing was done; after the others
/// that is not known.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody listens.
    #[error("cannot connect to {}: {source}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("{request}: the conversation broke off: {source}")]
    Talk {
        /// Method and path.
        request: String,
        /// What the system said.
        source: io::Error,
    },
    /// What came is not what this API says.
    #[error("{request}: the answer makes no sense: {why}")]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong.
        why: String,
    },
    /// The server refused.
    #[error("{request}: {code}: {message} {because:?}")]
    Refused {
        /// Method and path.
        request: String,
        /// The word for scripts.
        code: String,
        /// The sentence for people.
        message: String,
        /// The reasons.
        because: Vec<String>,
    },
}

/// An operation, as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Operation {
    /// Its number.
    pub id: u64,
    /// `running`, `done`, `failed` or `unknown`.
    pub state: String,
    /// Why it failed, or why its outcome is not known.
    #[serde(default)]
    pub why: Option<String>,
    /// From beginning to end, in milliseconds.
    #[serde(default)]
    pub took_ms: Option<f64>,
}

/// The API behind one socket.
#[derive(Debug, Clone)]
pub struct Api {
    socket: PathBuf,
    patience: Duration,
}

impl Api {
    /// The API at that socket; nothing is connected yet.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), patience: PATIENCE }
    }

    /// The same for whoever cannot wait: no more than `patience` between two bytes.
    pub fn hurried(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything at a glance.
    pub fn status(&self) -> Result<Status, ApiError> {
        let path = "/v1/status";
        serde_json::from_value(self.get(path)?)
            .map_err(|error| ApiError::Answer { request: path.to_owned(), why: error.to_string() })
    }

    /// Asks.
    pub fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.call("GET", path, None)
    }

    /// Asks for something to be done.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call("POST", path, Some(body))
    }

    /// Begins a planned switchover; answers its operation. Number 0: nothing had to be done.
    pub fn switch_over(&self, pair: &str, to: &str) -> Result<Operation, ApiError> {
        let path = format!("/v1/pairs/{pair}/switchover");
        let answer = self.post(&path, &json!({ "to": to }))?;
        match answer.get("operation") {
            Some(operation) => read_operation(&path, operation.clone()),
            None => Ok(Operation { id: 0, state: "done".to_owned(), why: None, took_ms: None }),
        }
    }

    /// The operation when it has ended, or as it is after at most ten seconds.
    pub fn follow(&self, id: u64) -> Result<Operation, ApiError> {
        let path = format!("/v1/operations/{id}?wait_ms=10000");
        read_operation(&path, self.get(&path)?)
    }

    /// Asks for what is no JSON, such as figures.
    pub fn text(&self, path: &str) -> Result<String, ApiError> {
        text_of(&format!("GET {path}"), &self.talk("GET", path, None)?)
    }

    /// Says one request and hears everything until the connection ends.
    fn talk(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>, ApiError> {
        let request = || format!("{method} {path}");
        let talk = |source| ApiError::Talk { request: request(), source };
        let mut stream = UnixStream::connect(&self.socket)
            .map_err(|source| ApiError::Connect { socket: self.socket.clone(), source })?;
        stream.set_read_timeout(Some(self.patience)).map_err(talk)?;
        stream.set_write_timeout(Some(self.patience)).map_err(talk)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).map_err(talk)?;
        let mut answer = Vec::new();
        stream.take(LONGEST_ANSWER_BYTES).read_to_end(&mut answer).map_err(talk)?;
        Ok(answer)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let request = format!("{method} {path}");
        let answer = self.talk(method, path, body)?;
        let (status, body) = whole(&request, &answer)?;
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| ApiError::Answer { request: request.clone(), why: error.to_string() })?;
        if (200..300).contains(&status) { Ok(value) } else { Err(refusal(request, status, &value)) }
    }
}

/// The text of a whole answer to `request`, which must be a good one.
pub(crate) fn text_of(request: &str, answer: &[u8]) -> Result<String, ApiError> {
    let (status, body) = whole(request, answer)?;
    let wrong = |why: String| ApiError::Answer { request: request.to_owned(), why };
    if status != 200 {
        return Err(wrong(format!("status {status}")));
    }
    String::from_utf8(body.to_vec()).map_err(|error| wrong(error.to_string()))
}

/// Status and body of a whole answer; an error if it is cut or none.
fn whole<'a>(request: &str, answer: &'a [u8]) -> Result<(u16, &'a [u8]), ApiError> {
    split(answer).map_err(|odd| match odd {
        Odd::Cut => {
            ApiError::Talk { request: request.to_owned(), source: io::ErrorKind::UnexpectedEof.into() }
        }
        Odd::Wrong(why) => ApiError::Answer { request: request.to_owned(), why: why.to_owned() },
    })
}

fn read_operation(request: &str, value: Value) -> Result<Operation, ApiError> {
    serde_json::from_value(value)
        .map_err(|error| ApiError::Answer { request: request.to_owned(), why: error.to_string() })
}

fn refusal(request: String, status: u16, value: &Value) -> ApiError {
    let error = &value["error"];
    let because = error["because"].as_array().map_or(&[][..], Vec::as_slice);
    ApiError::Refused {
        request,
        code: error["code"].as_str().map_or_else(|| status.to_string(), str::to_owned),
        message: error["message"].as_str().unwrap_or_default().to_owned(),
        because: because.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
    }
}

/// Why an answer has no status and body.
enum Odd {
    /// It ended too early: whoever answered was ended.
    Cut,
    /// It is none.
    Wrong(&'static str),
}

/// Status and body of a whole answer whose body ends with the connection.
fn split(answer: &[u8]) -> Result<(u16, &[u8]), Odd> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(Odd::Cut)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| Odd::Wrong("its head is no text"))?;
    let (first, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = first.split(' ');
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        return Err(Odd::Wrong("it is not HTTP"));
    }
    let status = words.next().and_then(|word| word.parse().ok()).ok_or(Odd::Wrong("it has no status"))?;
    let body = &answer[end + 4..];
    for field in fields.split("\r\n") {
        let Some((name, value)) = field.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Odd::Wrong("it comes in pieces, which this client does not read"));
        }
        if name.eq_ignore_ascii_case("content-length") && value.trim().parse() != Ok(body.len()) {
            return Err(Odd::Cut);
        }
    }
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn asked(answer: &'static str) -> Result<Value, ApiError> {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked[..length].to_vec()).unwrap()
        });
        let got = Api::at(&socket).get("/v1/status");
        assert!(server.join().unwrap().starts_with("GET /v1/status HTTP/1.1\r\n"));
        got
    }

    #[test]
    fn an_answer_is_read_whole() {
        let got = asked("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 1}").unwrap();
        assert_eq!(got["a"], 1);
    }

    #[test]
    fn a_refusal_keeps_its_reasons() {
        let body = "HTTP/1.1 409 Conflict\r\n\r\n{\"error\":{\"code\":\"busy\",\"message\":\"m\",\"because\":[\"b\"]}}";
        let error = asked(body);
        let Err(ApiError::Refused { code, because, .. }) = error else { panic!("{error:?}") };
        assert_eq!((code.as_str(), because), ("busy", vec!["b".to_owned()]));
    }

    #[test]
    fn an_answer_that_is_cut_or_none_is_an_error() {
        let short = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}";
        for cut in ["", "HTTP/1.1 200 OK\r\n", short] {
            assert!(matches!(asked(cut), Err(ApiError::Talk { .. })), "{cut:?}");
        }
        let pieces = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}";
        for wrong in ["x y\r\n\r\n{}", "HTTP/1.1 x\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n{", pieces] {
            assert!(matches!(asked(wrong), Err(ApiError::Answer { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn nobody_there_is_told_apart() {
        let error = Api::at("/nonexistent/s").get("/v1/status");
        assert!(matches!(error, Err(ApiError::Connect { .. })), "{error:?}");
    }
}
