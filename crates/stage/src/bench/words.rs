//! What the parts of a bench tell it: one datagram a moment, with the time at which it happened.
//!
//! It knows a Unix datagram socket and no meaning. The law: the time is taken by the teller before anything is sent.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Interrupt, StageError};

/// The variable that names the socket.
pub const SOCKET_VARIABLE: &str = "BENCH_SOCKET";
/// How long one look for a datagram takes, so that an interruption is noticed.
const LOOK: Duration = Duration::from_millis(100);
const LONGEST_WORD_BYTES: usize = 256;

/// One moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What happened.
    pub kind: String,
    /// To whom.
    pub name: String,
    /// In which process.
    pub pid: u32,
    /// On the boot clock.
    pub at_ns: u64,
}

impl Word {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (kind, name) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(Self { kind, name, pid: parts.next()?.parse().ok()?, at_ns: parts.next()?.parse().ok()? })
    }
}

/// The teller's side.
#[derive(Debug)]
pub struct Mouth {
    socket: UnixDatagram,
    name: String,
}

impl Mouth {
    /// Tells as `name` to the bench at `path`.
    pub fn to(path: &Path, name: &str) -> Result<Self, StageError> {
        let socket = UnixDatagram::unbound().map_err(StageError::system("make a socket"))?;
        socket.connect(path).map_err(StageError::file("connect to", path))?;
        Ok(Self { socket, name: name.to_owned() })
    }

    /// Tells that `kind` happened at `at_ns`. If nobody hears it, the bench misses it and says so.
    pub fn tell(&self, kind: &str, at_ns: u64) {
        let _ = self.socket.send(format!("{kind} {} {} {at_ns}", self.name, std::process::id()).as_bytes());
    }
}

/// The bench's side.
#[derive(Debug)]
pub struct Ear {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Ear {
    /// Listens in that directory.
    pub fn in_directory(directory: &Path) -> Result<Self, StageError> {
        let path = directory.join("bench.sock");
        let socket = UnixDatagram::bind(&path).map_err(StageError::file("bind", &path))?;
        socket.set_read_timeout(Some(LOOK)).map_err(StageError::system("set a time limit"))?;
        Ok(Self { socket, path })
    }

    /// The socket, for [`SOCKET_VARIABLE`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets everything that was told until now.
    pub fn forget(&self) -> Result<(), StageError> {
        let failed = StageError::system("listen without waiting");
        self.socket.set_nonblocking(true).map_err(failed)?;
        while self.socket.recv(&mut [0; LONGEST_WORD_BYTES]).is_ok() {}
        self.socket.set_nonblocking(false).map_err(StageError::system("listen"))
    }

    /// Waits for a word that `wanted` is content with; others are passed over.
    pub fn hear(
        &self,
        interrupt: &Interrupt,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Word) -> bool,
    ) -> Result<Word, StageError> {
        let deadline = Instant::now() + limit;
        let mut last = "nothing was told".to_owned();
        let mut buffer = [0; LONGEST_WORD_BYTES];
        while Instant::now() < deadline {
            interrupt.check()?;
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
                {
                    continue;
                }
                Err(source) => return Err(StageError::System { act: "listen", source }),
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let word = Word::parse(&text);
            let word = word.ok_or_else(|| StageError::Unexpected(format!("a part said {text:?}")))?;
            if wanted(&word) {
                return Ok(word);
            }
            last = format!("{word:?}");
        }
        Err(StageError::InVain { what: what.to_owned(), limit_s: limit.as_secs_f64(), last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard_once() {
        let directory = tempfile::tempdir().unwrap();
        let ear = Ear::in_directory(directory.path()).unwrap();
        let mouth = Mouth::to(ear.path(), "b-1").unwrap();
        let interrupt = Interrupt::default();
        let hear =
            |kind: &'static str| ear.hear(&interrupt, kind, Duration::from_secs(5), |word| word.kind == kind);
        mouth.tell("old", 1);
        ear.forget().unwrap();
        mouth.tell("main", 2);
        mouth.tell("promote", 3);
        let word = hear("promote").unwrap();
        assert_eq!((word.name.as_str(), word.pid, word.at_ns), ("b-1", std::process::id(), 3));
        let limit = Duration::from_millis(1);
        let missed = ear.hear(&interrupt, "an old word", limit, |word| word.kind == "old");
        assert!(matches!(missed, Err(StageError::InVain { .. })), "{missed:?}");
    }

    #[test]
    fn what_is_cut_is_no_word() {
        for cut in ["", "promote", "promote a", "promote a 1", "promote a x 1", "promote a 1 -1"] {
            assert_eq!(Word::parse(cut), None, "{cut}");
        }
    }
}
