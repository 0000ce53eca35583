//! The journal of the system, as a place for the output of applications.
//!
//! Refuses to know applications. The law: what an application prints goes from it to the journal, never through the
//! agent; the end of the agent is not the end of its words.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Where the journal takes streams.
pub const SOCKET: &str = "/run/systemd/journal/stdout";
/// How long a journal that does not answer may keep a start waiting.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of which priority lines are that name none: "informational".
const PRIORITY: u8 = 6;

/// Where the journal of this system takes streams, if it has one.
pub fn socket() -> Option<PathBuf> {
    let path = Path::new(SOCKET);
    path.exists().then(|| path.to_owned())
}

/// A stream into the journal whose lines stand under `identifier`. Takes two seconds at most.
pub fn connect(socket: &Path, identifier: &str) -> io::Result<OwnedFd> {
    let stream =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&stream, Timeout::Send, Some(PATIENCE))?;
    rustix::net::connect(&stream, &SocketAddrUnix::new(socket)?)?;
    let mut stream = UnixStream::from(stream);
    // Identifier, unit, priority, whether lines begin with a priority of their own, and three places that they are
    // not handed on to.
    stream.write_all(format!("{identifier}\n\n{PRIORITY}\n1\n0\n0\n0\n").as_bytes())?;
    stream.shutdown(std::net::Shutdown::Read)?;
    // The application waits for its journal as any other does.
    stream.set_write_timeout(None)?;
    Ok(stream.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_stream_says_whose_lines_follow() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stdout");
        let listener = UnixListener::bind(&path).unwrap();
        let stream = connect(&path, "tserver-1").unwrap();
        let (mut taken, _) = listener.accept().unwrap();
        let mut child = std::process::Command::new("/bin/echo").arg("hello").stdout(stream).spawn().unwrap();
        child.wait().unwrap();
        let mut text = String::new();
        taken.read_to_string(&mut text).unwrap();
        assert_eq!(text, "tserver-1\n\n6\n1\n0\n0\n0\nhello\n");
    }

    #[test]
    fn a_journal_that_does_not_take_streams_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let refused = connect(&directory.path().join("stdout"), "x").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
    }
}
