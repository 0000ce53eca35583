//! The smallest client: one request a connection, the answer whole or line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::LIMIT;

/// Sends a request and leaves the answer to whoever reads it.
pub fn send(
    socket: &Path,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    // In one piece: a server that refuses after the head ends the connection, and the rest would find it reset.
    let said = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(said.as_bytes())?;
    Ok(BufReader::new(stream))
}

/// Status and JSON; status 0 if there is no server.
pub fn ask(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    ask_with(socket, method, path, "", body)
}

/// As [`ask`], with further headers, each with its line end.
pub fn ask_with(socket: &Path, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let Ok(mut reader) = send(socket, method, path, headers, body) else { return (0, Value::Null) };
    let mut text = String::new();
    if reader.read_to_string(&mut text).is_err() {
        return (0, Value::Null);
    }
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The figures, as text.
pub fn figures(socket: &Path) -> String {
    let mut text = String::new();
    send(socket, "GET", "/metrics", "", "").unwrap().read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Lines of a stream that are JSON objects, as they come.
pub fn lines(socket: &Path, path: &str) -> impl Iterator<Item = Value> + use<> {
    let reader = send(socket, "GET", path, "", "").unwrap();
    reader
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.starts_with('{').then(|| serde_json::from_str(&line).unwrap()))
}
