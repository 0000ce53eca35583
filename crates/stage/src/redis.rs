//! A client of Redis, as far as tests and benches of its recipe need one: one command, one answer, blocking.
//!
//! It knows the protocol RESP version 2 and no pairs. The law: every call ends within its patience, an answer is bounded,
//! and a write counts as accepted only when the server said so.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest line or text of an answer.
const LONGEST_BYTES: u64 = 1024 * 1024;
/// The most texts of a list.
const MOST_TEXTS: usize = 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A simple text, such as `OK`, or a text of bytes.
    Text(String),
    /// A number.
    Number(i64),
    /// There is no such thing.
    Nothing,
    /// Several texts.
    List(Vec<String>),
    /// The server refused: its words.
    Refused(String),
}

/// A connection to one server.
#[derive(Debug)]
pub struct RedisClient {
    stream: BufReader<TcpStream>,
}

impl RedisClient {
    /// Connects and says the password. A server that refuses it is an error of the kind `PermissionDenied`.
    pub fn connect(address: SocketAddr, password: &str, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut client = Self { stream: BufReader::new(stream) };
        match client.ask(&["AUTH", password])? {
            Reply::Text(_) => Ok(client),
            other => Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{other:?}"))),
        }
    }

    /// Says one command and hears its answer. After an error the connection is of no use.
    pub fn ask(&mut self, words: &[&str]) -> io::Result<Reply> {
        let mut said = format!("*{}\r\n", words.len());
        for word in words {
            said += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.get_mut().write_all(said.as_bytes())?;
        read_reply(&mut self.stream)
    }

    /// Whether the server acknowledged a write.
    pub fn set(&mut self, key: &str, value: &str) -> io::Result<bool> {
        Ok(self.ask(&["SET", key, value])? == Reply::Text("OK".to_owned()))
    }

    /// One line of `INFO replication`, if it is there.
    pub fn replication(&mut self, name: &str) -> io::Result<Option<String>> {
        let Reply::Text(text) = self.ask(&["INFO", "replication"])? else { return Ok(None) };
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        Ok(lines.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned()))
    }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.take(LONGEST_BYTES).read_line(&mut line)?;
    line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn odd(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an answer: {line:?}"))
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<Reply> {
    let line = read_line(stream)?;
    let Some(count) = line.strip_prefix('*') else { return read_one(stream, &line) };
    let count = count.parse().ok().filter(|count| *count <= MOST_TEXTS).ok_or_else(|| odd(&line))?;
    let text = |_| {
        let line = read_line(stream)?;
        match read_one(stream, &line)? {
            Reply::Text(text) => Ok(text),
            _ => Err(odd(&line)),
        }
    };
    (0..count).map(text).collect::<io::Result<_>>().map(Reply::List)
}

/// An answer that is no list, whose first line was read.
fn read_one(stream: &mut impl BufRead, line: &str) -> io::Result<Reply> {
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| odd(line))?;
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        "-" => Ok(Reply::Refused(rest.to_owned())),
        ":" => rest.parse().map(Reply::Number).map_err(|_| odd(line)),
        "$" if rest == "-1" => Ok(Reply::Nothing),
        "$" => {
            let length: u64 = rest.parse().map_err(|_| odd(line))?;
            if length > LONGEST_BYTES {
                return Err(odd(line));
            }
            let mut text = Vec::new();
            stream.take(length).read_to_end(&mut text)?;
            // The end of the line behind it; a text that was cut has none.
            read_line(stream)?;
            Ok(Reply::Text(String::from_utf8_lossy(&text).into_owned()))
        }
        _ => Err(odd(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str) -> io::Result<Reply> {
        read_reply(&mut bytes.as_bytes())
    }

    #[test]
    fn every_kind_of_answer_is_read() {
        assert_eq!(read("+OK\r\n").unwrap(), Reply::Text("OK".to_owned()));
        assert_eq!(read("$4\r\na\r\nb\r\n").unwrap(), Reply::Text("a\r\nb".to_owned()));
        assert_eq!(read(":-3\r\n").unwrap(), Reply::Number(-3));
        let list = Reply::List(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(read("*2\r\n$1\r\na\r\n+b\r\n").unwrap(), list);
        assert_eq!(read("$-1\r\n").unwrap(), Reply::Nothing);
        assert_eq!(read("-READONLY no\r\n").unwrap(), Reply::Refused("READONLY no".to_owned()));
    }

    #[test]
    fn what_is_cut_or_no_answer_is_an_error() {
        for bad in [
            "",
            "+",
            "+OK",
            "$4\r\nab",
            "$2\r\nab",
            "$x\r\n",
            "$9999999999\r\n",
            "?\r\n",
            "*2\r\n+a\r\n",
            "*9999\r\n",
            "\r\n",
            "é\r\n",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
