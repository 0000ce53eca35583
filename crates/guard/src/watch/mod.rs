//! The guard itself: one thread that waits for its agent's words and for the next moment, and one that searches for what is left
//! of what it has killed.
//!
//! Refuses to know why a start is killed. The laws: whatever waits on the sockets is heard before anything is killed, so that
//! a guard that slept does not kill what was moved meanwhile; and it ends only when nobody is connected and nothing is armed.

mod footing;
mod kill;
mod priority;
mod search;
mod slots;

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use understudy_model::Moment;

use self::footing::Footing;
pub use self::priority::{Rank, hurry, hurry_as_usual};
use self::search::Searcher;
use self::slots::Slots;
use crate::message::{Answer, LONGEST_BYTES, Request};
use crate::socket::{self, Arrived, Packet};
use crate::{LOCK, SOCKET, now};

/// Connections at once: the agent's, the one of its next life, and whoever looks.
const MOST_CONNECTIONS: usize = 4;
/// Most packets of one connection that are read before the clock is looked at again.
const MOST_AT_ONCE: usize = 4096;
/// How long a guard that nobody connected to waits for somebody.
const WAIT_FOR_FIRST: Duration = Duration::from_secs(10);
/// How long nobody is accepted after that failed.
const DEAF_FOR: Duration = Duration::from_millis(100);
/// How long it is remembered what was killed while no agent was there to be told.
const REMEMBER: Duration = Duration::from_secs(600);

/// Where a guard stands.
#[derive(Debug, Clone)]
pub struct Place {
    /// The runtime directory of its agent.
    pub directory: PathBuf,
    /// The control group that it goes into, if any: not its agent's, so that nothing that ends the agent ends it too.
    pub group: Option<PathBuf>,
}

/// Why there is no guard. Nothing is armed, and nothing was killed.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is one.
    #[error("another guard watches over {}", directory.display())]
    InUse {
        /// Which directory.
        directory: PathBuf,
    },
    /// The file of the lock.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket.
    #[error("cannot listen at {}: {source}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that every system has.
    #[error("cannot {act}: {source}")]
    System {
        /// What was tried.
        act: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

struct Connection {
    socket: OwnedFd,
    /// It has said hello: it is the agent, or its next life.
    greeted: bool,
    /// It is of no more use.
    over: bool,
}

/// A guard that stands ready.
pub struct Watch {
    listener: OwnedFd,
    timer: OwnedFd,
    /// When the timer goes off; nothing if it does not.
    timer_at: Option<Moment>,
    connections: Vec<Connection>,
    slots: Slots,
    footing: Footing,
    path: PathBuf,
    /// When it ends if nobody is connected and nothing is armed.
    ends_at: Moment,
    /// An agent was here.
    was_met: bool,
    /// Nobody is accepted before this, as that failed.
    deaf_until: Option<Moment>,
    bytes: Vec<u8>,
    /// Held until the end.
    _lock: File,
}

impl Watch {
    /// Takes the lock, listens, and makes itself hard to disturb. Standard input is the first connection, if it is one.
    pub fn begin(place: &Place) -> Result<Self, WatchError> {
        let lock = lock(place)?;
        let system = |act| move |source: io::Error| WatchError::System { act, source };
        let footing = Footing::take(place);
        let path = place.directory.join(SOCKET);
        let listener =
            socket::listen(&path).map_err(|source| WatchError::Listen { path: path.clone(), source })?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)
            .map_err(|error| system("make a timer")(error.into()))?;
        let mut connections = Vec::with_capacity(MOST_CONNECTIONS);
        if let Some(socket) = footing::first_connection().map_err(system("take its standard input"))? {
            connections.push(Connection { socket, greeted: false, over: false });
        }
        footing::be_quiet().map_err(system("close its output"))?;
        let ends_at = now() + WAIT_FOR_FIRST;
        // Where no thread can be had it is done without: it is searched between two words then.
        let (slots, bytes) = (Slots::new(Searcher::begin().ok()), Vec::with_capacity(LONGEST_BYTES));
        let (timer_at, was_met, deaf_until) = (None, false, None);
        Ok(Self {
            listener,
            timer,
            timer_at,
            connections,
            slots,
            footing,
            path,
            ends_at,
            was_met,
            deaf_until,
            bytes,
            _lock: lock,
        })
    }

    /// Keeps watch until nobody is connected and nothing is armed.
    pub fn keep(mut self) -> io::Result<()> {
        loop {
            self.hear();
            let fired = self.slots.fire(now());
            for answer in fired {
                self.tell_all(&answer);
            }
            self.connections.retain(|connection| !connection.over);
            if self.is_over() {
                // Before the lock is given up: the next guard makes its own.
                return std::fs::remove_file(&self.path);
            }
            self.set_timer()?;
            self.wait()?;
        }
    }

    /// Whoever waits at the door.
    fn accept(&mut self) {
        self.deaf_until = None;
        for _ in 0..socket::BACKLOG {
            match socket::accept(&self.listener) {
                Ok(Some(socket)) if socket::peer(&socket).is_ok() => self.take_in(socket),
                // Another user's: hung up on by not being kept.
                Ok(Some(_)) => {}
                Ok(None) => return,
                // Short of memory or descriptors. A guard goes on, and does not ask all the time.
                Err(_) => {
                    self.deaf_until = Some(now() + DEAF_FOR);
                    return;
                }
            }
        }
    }

    /// Who has not said hello makes room for who comes later.
    fn take_in(&mut self, socket: OwnedFd) {
        if self.connections.len() >= MOST_CONNECTIONS
            && let Some(first) = self.connections.iter().position(|connection| !connection.greeted)
        {
            self.connections.remove(first);
        }
        if self.connections.len() < MOST_CONNECTIONS {
            self.connections.push(Connection { socket, greeted: false, over: false });
        }
    }

    /// Everything that was sent until now.
    fn hear(&mut self) {
        self.accept();
        for index in 0..self.connections.len() {
            for _ in 0..MOST_AT_ONCE {
                if self.connections[index].over || !self.hear_one(index) {
                    break;
                }
            }
        }
    }

    /// The next packet of one connection; false if there is none.
    fn hear_one(&mut self, index: usize) -> bool {
        let mut bytes = [0; LONGEST_BYTES];
        let connection = &mut self.connections[index];
        let packet = match socket::receive(&connection.socket, &mut bytes) {
            Ok(Arrived::Packet(packet)) => packet,
            Ok(Arrived::Nothing) => return false,
            Ok(Arrived::Garbage | Arrived::End) | Err(_) => {
                connection.over = true;
                return false;
            }
        };
        let Packet { length, descriptor } = packet;
        let request = Request::read(&bytes[..length]);
        // Who has not said what it speaks is not obeyed.
        match request.filter(|request| connection.greeted || *request == Request::Hello) {
            None => self.connections[index].over = true,
            Some(Request::Hello) => self.greet(index),
            Some(Request::List) => {
                let all: Vec<Answer> = self.slots.list().collect();
                all.iter().chain([&Answer::End]).for_each(|answer| self.tell(index, answer));
            }
            Some(Request::Arm { post, kill_at, application, group }) => {
                let answer = self.slots.arm(post, kill_at, application, group, descriptor);
                self.tell(index, &answer);
            }
            Some(Request::Move { post, kill_at }) => self.slots.move_to(&post, kill_at),
            Some(Request::Disarm { post }) => self.slots.disarm(&post),
        }
        true
    }

    /// Whoever said hello last is the agent: one agent lives at a time, and words of an earlier life must not follow
    /// those of a later one.
    fn greet(&mut self, index: usize) {
        for (other, connection) in self.connections.iter_mut().enumerate() {
            connection.over |= connection.greeted && other != index;
        }
        (self.connections[index].greeted, self.was_met) = (true, true);
        let Footing { locked, hurried } = self.footing;
        self.tell(index, &Answer::Welcome { pid: std::process::id(), locked, hurried });
    }

    fn tell_all(&mut self, answer: &Answer) {
        for index in 0..self.connections.len() {
            if self.connections[index].greeted {
                self.tell(index, answer);
            }
        }
    }

    /// Tells one connection. Who does not read is hung up on, and hears it from a list when it is back.
    fn tell(&mut self, index: usize, answer: &Answer) {
        answer.write(&mut self.bytes);
        let connection = &mut self.connections[index];
        if !connection.over && socket::send(&connection.socket, &self.bytes, None).is_err() {
            connection.over = true;
        }
    }

    fn is_over(&mut self) -> bool {
        let now = now();
        if !self.is_idle() {
            // What was killed is remembered for a while when no agent is there.
            self.ends_at = now + REMEMBER;
            return false;
        }
        now >= self.ends_at || (self.was_met && !self.slots.remembers())
    }

    /// No agent is connected, and nothing is armed or being killed.
    fn is_idle(&self) -> bool {
        !self.slots.is_busy() && !self.connections.iter().any(|connection| connection.greeted)
    }

    /// When something is to be done whoever says nothing.
    fn next(&self) -> Option<Moment> {
        let end = self.is_idle().then_some(self.ends_at);
        [self.slots.next(), end, self.deaf_until].into_iter().flatten().min()
    }

    fn set_timer(&mut self) -> io::Result<()> {
        let next = self.next();
        if next == self.timer_at {
            return Ok(());
        }
        // Zero would stop the timer; and one that lies in the past goes off at once.
        let nanoseconds = next.map_or(0, |next| next.0.max(1));
        let value = Timespec {
            tv_sec: i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(nanoseconds % 1_000_000_000).unwrap_or(0),
        };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &setting)?;
        self.timer_at = next;
        Ok(())
    }

    fn wait(&mut self) -> io::Result<()> {
        let mut waiting = Vec::with_capacity(MOST_CONNECTIONS + 3);
        let ask = if self.deaf_until.is_none() { PollFlags::IN } else { PollFlags::empty() };
        waiting.push(PollFd::new(&self.listener, ask));
        waiting.push(PollFd::new(&self.timer, PollFlags::IN));
        waiting.extend(self.connections.iter().map(|one| PollFd::new(&one.socket, PollFlags::IN)));
        // What was found is dealt with after what was heard, as everything is.
        waiting.extend(self.slots.bell().map(|bell| PollFd::from_borrowed_fd(bell, PollFlags::IN)));
        socket::wait(&mut waiting, None)?;
        let went_off = !waiting[1].revents().is_empty();
        if went_off {
            // Readable until it is set again; what it counts is of no use.
            let mut count = [0_u8; 8];
            match rustix::io::read(&self.timer, &mut count) {
                Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => self.timer_at = None,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn lock(place: &Place) -> Result<File, WatchError> {
    let path = place.directory.join(LOCK);
    let failed = |source| WatchError::Lock { path: path.clone(), source };
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WatchError::InUse { directory: place.directory.clone() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
