//! The service manager that started this program, if one did: what it is told, and how often it wants to hear that the
//! machine steps.
//!
//! The protocol is systemd's: datagrams of `NAME=value` lines to the socket in `NOTIFY_SOCKET`. Knows nothing of any
//! machine beyond that it can be looked at. The law: the watchdog is fed only by the loop in which the machine runs, through its
//! inbox; a program whose loop is stuck is not alive, however well its timers run. One that waits for a disk turns, and lives.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use understudy_model::Machine;

use crate::inbox::Inbox;

/// How often the status line is made anew, at least; one that has not changed is not told.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// Longest status line, in bytes.
const LONGEST_STATUS_BYTES: usize = 512;

/// What a service manager can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does its work.
    Ready,
    /// It reads its settings again; `Ready` follows.
    Reloading,
    /// It is about to end.
    Stopping,
    /// It is about to become another program under the same number; whoever comes next says `Ready`.
    Replacing,
}

/// Why the service manager cannot be told anything. Nothing was told.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// Not a path and not an abstract name.
    #[error("NOTIFY_SOCKET is {found:?}, which is neither an absolute path nor an abstract name (@...)")]
    Address {
        /// What it is.
        found: String,
    },
    /// A socket to speak with.
    #[error("cannot make a socket to speak to the service manager: {0}")]
    Socket(#[source] io::Error),
}

/// This program as a unit of a service manager. Cloned freely. Without a service manager it says nothing to nobody.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    line: Option<Arc<Line>>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
    /// The status that was told last.
    status: Mutex<String>,
}

impl Unit {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say. The variables stay as they are: this program never hands
    /// its own environment on.
    pub fn from_environment() -> Result<Self, UnitError> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let variable = |name| env::var(name).ok();
        Self::at(&name, watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id()))
    }

    /// A service manager that listens at `name`, a path or an abstract name (`@...`), and wants a sign of life within every
    /// `watchdog`.
    pub fn at(name: &OsStr, watchdog: Option<Duration>) -> Result<Self, UnitError> {
        let found = || UnitError::Address { found: name.to_string_lossy().into_owned() };
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
            [b'/', ..] => SocketAddr::from_pathname(name),
            _ => return Err(found()),
        };
        let address = address.map_err(|_| found())?;
        let socket = UnixDatagram::unbound().map_err(UnitError::Socket)?;
        // A service manager that does not read must not stop who is supervised.
        socket.set_nonblocking(true).map_err(UnitError::Socket)?;
        let line = Line { socket, address, status: Mutex::default() };
        Ok(Self { line: Some(Arc::new(line)), watchdog })
    }

    /// Tells what it is now.
    pub fn tell(&self, state: State) {
        match state {
            State::Ready => self.say("READY=1"),
            State::Stopping => self.say("STOPPING=1"),
            State::Reloading | State::Replacing => {
                self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()));
            }
        }
    }

    /// Tells people one line, if it is another one than before.
    pub fn show(&self, status: &str) {
        let Some(line) = &self.line else { return };
        let status = one_line(status);
        {
            let mut told = line.status.lock().unwrap_or_else(PoisonError::into_inner);
            if *told == status {
                return;
            }
            told.clone_from(&status);
        }
        self.say(&format!("STATUS={status}"));
    }

    /// Says `Ready` after the machine's first step, and from then on, at least at half of the time that the service manager
    /// allows, that the machine lives, as long as its loop turns: one that waits for a disk renews what needs none, and to end
    /// it would cost more than it mends. `status` is the line for people. Ends with the machine.
    pub async fn attend<M: Machine>(
        self,
        inbox: Inbox<M>,
        status: impl Fn(&M) -> String + Send + Sync + 'static,
    ) {
        if self.line.is_none() {
            return;
        }
        let status = Arc::new(status);
        let every = self.watchdog.map_or(STATUS_EVERY, |allowed| STATUS_EVERY.min(allowed / 2));
        let mut first = true;
        // One at a time, however long it takes.
        let mut seeing = None;
        loop {
            let next = tokio::time::Instant::now() + every;
            // A machine whose loop does not turn is waited for here, and nobody is told that it lives.
            if !inbox.turns().await {
                return;
            }
            if self.watchdog.is_some() && !first {
                self.say("WATCHDOG=1");
            }
            let seen = seeing.get_or_insert_with(|| {
                let status = Arc::clone(&status);
                Box::pin(inbox.look(move |machine| status(machine)))
            });
            match tokio::time::timeout_at(next, seen).await {
                Ok(None) => return,
                Err(_) if first => {}
                Err(_) => self.show("waits for a disk"),
                Ok(Some(line)) => {
                    seeing = None;
                    self.show(&line);
                    if std::mem::take(&mut first) {
                        self.tell(State::Ready);
                        if self.watchdog.is_some() {
                            self.say("WATCHDOG=1");
                        }
                    }
                    tokio::time::sleep_until(next).await;
                }
            }
        }
    }

    fn say(&self, words: &str) {
        let Some(line) = &self.line else { return };
        // What cannot be said is not said twice: a sign of life follows, and a service manager that hears none acts.
        let _ = line.socket.send_to_addr(words.as_bytes(), &line.address);
    }
}

/// The time that the service manager allows between two signs of life; none if it does not ask this process.
fn watchdog(usec: Option<String>, pid: Option<String>, own_pid: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own_pid)) {
        return None;
    }
    let usec: u64 = usec?.parse().ok().filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec))
}

/// The clock that the protocol asks for; not the one that decides.
fn monotonic_usec() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000 + nanos.unwrap_or(0) / 1_000
}

/// A line break would begin another variable.
fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while line.len() > LONGEST_STATUS_BYTES {
        line.pop();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(watchdog(text("3000000"), text("7"), 7), Some(Duration::from_secs(3)));
        assert_eq!(watchdog(text("3000000"), None, 7), Some(Duration::from_secs(3)));
        assert_eq!(watchdog(text("3000000"), text("8"), 7), None, "the variables of somebody else");
        assert_eq!(watchdog(text("0"), None, 7), None);
        assert_eq!(watchdog(text("soon"), None, 7), None);
        assert_eq!(watchdog(None, None, 7), None);
    }

    #[test]
    fn a_status_is_one_bounded_line() {
        assert_eq!(one_line("a\nREADY=1"), "a READY=1");
        assert!(one_line(&"é".repeat(1_000)).len() <= LONGEST_STATUS_BYTES);
    }
}
