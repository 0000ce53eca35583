//! A control server's API that says what a test tells it to: one socket, one answer for each method and path.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What was asked: method and path with query, and the body.
pub type Asked = (String, String);

/// Answers of one path, given in turn; the last one again and again. Status 0 closes the connection instead.
pub type Answers = Vec<(u16, String)>;

pub struct FakeServer {
    pub socket: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
    _directory: tempfile::TempDir,
}

impl FakeServer {
    pub fn start(answers: &[(&str, Answers)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("scs.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut answers: BTreeMap<String, Answers> =
            answers.iter().map(|(path, answers)| ((*path).to_owned(), answers.clone())).collect();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &mut answers, &log);
            }
        });
        Self { socket, asked, _directory: directory }
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        scsctl(&format!("unix:{}", self.socket.display()), arguments)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub fn scsctl(server: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scsctl"))
        .args(["--server", server])
        .args(arguments)
        .env("TZ", "UTC")
        .env_remove("SCSCTL_SERVER")
        .output()
        .unwrap()
}

pub fn ok(value: Value) -> (u16, String) {
    (200, value.to_string())
}

pub fn error(status: u16, code: &str, message: &str) -> (u16, String) {
    let body = json!({ "error": { "code": code, "message": message, "because": ["of a reason"], "try": "scsctl status" }});
    (status, body.to_string())
}

fn serve(stream: UnixStream, answers: &mut BTreeMap<String, Answers>, log: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut words = head.split_whitespace();
    let asked = format!("{} {}", words.next().unwrap_or(""), words.next().unwrap_or(""));
    log.lock().unwrap().push((asked.clone(), String::from_utf8(body).unwrap()));
    let key = asked.split('?').next().unwrap().to_owned();
    let missing = vec![error(404, "not-found", "there is no such thing")];
    let turns = answers.entry(key).or_insert(missing);
    let (status, text) = if turns.len() > 1 { turns.remove(0) } else { turns[0].clone() };
    if status != 0 {
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
        // A client that has gone away is part of some tests.
        let _ = reader.get_mut().write_all(answer.as_bytes());
    }
}
