//! A conversation with one member: one line out, one line in, with a limit on everything.
//!
//! Knows the line protocol from the client's side and nothing of pairs. The law: an answer that is cut, late or too long
//! ends the connection, since the next line could not be told from its rest.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::measure::Said;
use crate::tserver::lines::{LONGEST_LINE_BYTES, field};

/// The longest wait for a connection or an answer.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// An open connection.
#[derive(Debug)]
pub struct Conversation {
    reader: BufReader<TcpStream>,
}

impl Conversation {
    /// Connects. Errors are the system's.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Says `line` (with its end) and waits for the answer, given without its end. After an error the connection is
    /// of no more use.
    pub fn ask(&mut self, line: &str) -> io::Result<String> {
        self.reader.get_mut().write_all(line.as_bytes())?;
        let mut answer = String::new();
        let most = u64::try_from(LONGEST_LINE_BYTES).unwrap_or(u64::MAX);
        self.reader.by_ref().take(most).read_line(&mut answer)?;
        if answer.pop() != Some('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(answer)
    }
}

/// What an answer to `WRITE` means.
pub fn judge_write(answer: &str) -> Said {
    let epoch = epoch_of(answer);
    match epoch {
        Some(epoch) if answer.starts_with("OK ") => Said::Serving(epoch),
        _ => Said::NotServing(epoch),
    }
}

/// What an answer to `HELLO` means.
pub fn judge_role(answer: &str) -> Said {
    match (epoch_of(answer), field(answer, "run-mode")) {
        (Some(epoch), Some("primary")) if answer.starts_with("OK ") => Said::Serving(epoch),
        (epoch, _) => Said::NotServing(epoch),
    }
}

/// The epoch in an answer.
pub fn epoch_of(answer: &str) -> Option<u64> {
    field(answer, "epoch").and_then(|epoch| epoch.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_what_they_say() {
        assert_eq!(judge_write("OK epoch=7"), Said::Serving(7));
        assert_eq!(judge_write("ERR not-primary run-mode=backup epoch=6"), Said::NotServing(Some(6)));
        assert_eq!(judge_write("ERR line-too-long"), Said::NotServing(None));
        assert_eq!(judge_write("OK"), Said::NotServing(None));
        assert_eq!(judge_role("OK epoch=7 name=a run-mode=primary"), Said::Serving(7));
        assert_eq!(judge_role("OK epoch=6 name=a run-mode=backup"), Said::NotServing(Some(6)));
        assert_eq!(judge_role("ERR run-mode=primary epoch=1"), Said::NotServing(Some(1)));
    }
}
