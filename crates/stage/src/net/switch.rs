//! The switch between the stations: one thread that moves frames, with a lane for each direction between two of them.
//!
//! It knows Ethernet addresses and lanes, and nothing of what the frames carry. The law: a frame that is not delivered
//! was dropped by a lane, or by a queue that is full; nothing is made up and nothing is changed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::gettid;

use super::lane::Lane;
use crate::StageError;
use crate::dice::Dice;

/// The longest frame: an Ethernet header and what the interface carries at most.
const LONGEST_FRAME_BYTES: usize = 2048;
/// Both addresses and the type.
const HEADER_BYTES: usize = 14;
/// Frames under way at once; further ones are dropped, as a real queue would.
const MOST_UNDER_WAY: usize = 10_000;
/// Frames that are taken from one station before the next one has its turn.
const MOST_AT_ONCE: usize = 64;

type Hardware = [u8; 6];

/// What passes from the station with the first number to that with the second.
#[derive(Debug, Default)]
struct Lanes {
    set: BTreeMap<(usize, usize), Lane>,
}

/// The running switch. Dropped, it stands still.
#[derive(Debug)]
pub(super) struct Switch {
    lanes: Arc<Mutex<Lanes>>,
    /// The thread ends when this end is closed.
    wake: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
    /// Of the thread, as the system knows it.
    number: i32,
}

impl Switch {
    /// Connects these interfaces; the number of a station is its place in the list.
    pub(super) fn between(ports: Vec<File>, seed: u64) -> Result<Self, StageError> {
        let (wake, woken) = UnixStream::pair().map_err(StageError::system("make a pair of sockets"))?;
        let lanes = Arc::<Mutex<Lanes>>::default();
        let mut work = Work {
            ports,
            lanes: Arc::clone(&lanes),
            woken,
            dice: Dice::new(seed),
            known: BTreeMap::new(),
            last: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            sequence: 0,
        };
        let (told, heard) = channel();
        let thread = std::thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || {
                if told.send(gettid().as_raw_nonzero()).is_ok() {
                    work.run();
                }
            })
            .map_err(StageError::system("start a thread"))?;
        let number =
            heard.recv().map_err(|_| StageError::Unexpected("the switch did not begin".to_owned()))?;
        Ok(Self { lanes, wake: Some(wake), thread: Some(thread), number: number.get() })
    }

    /// A real-time thread from now on: busy processes of this machine are no part of the network.
    pub(super) fn make_urgent(&self) -> Result<(), StageError> {
        let program = || "chrt".into();
        let number = self.number.to_string();
        let done = Command::new("chrt").args(["--rr", "--pid", "20", &number]).output();
        let done = done.map_err(|source| StageError::Start { program: program(), source })?;
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        if done.status.success() { Ok(()) } else { Err(StageError::Unexpected(format!("chrt: {said}"))) }
    }

    /// From now on.
    pub(super) fn set(&self, from: usize, to: usize, lane: Lane) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).set.insert((from, to), lane);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the switch has panicked");
        }
    }
}

/// A frame that is under way; the earliest first, and of two at once the one that came first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    at: Instant,
    sequence: u64,
    to: usize,
    frame: Vec<u8>,
}

/// What the thread owns.
struct Work {
    ports: Vec<File>,
    lanes: Arc<Mutex<Lanes>>,
    woken: UnixStream,
    dice: Dice,
    known: BTreeMap<Hardware, usize>,
    last: BTreeMap<(usize, usize), Instant>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    sequence: u64,
}

impl Work {
    fn run(&mut self) {
        let mut buffer = [0; LONGEST_FRAME_BYTES];
        loop {
            match self.wait() {
                Ok(false) => {}
                Ok(true) => return,
                Err(error) => {
                    eprintln!("the switch cannot wait for frames: {error}");
                    return;
                }
            }
            for from in 0..self.ports.len() {
                for _ in 0..MOST_AT_ONCE {
                    // An interface that is not up yet, or has nothing more to say.
                    let Ok(length) = self.ports[from].read(&mut buffer) else { break };
                    if length < HEADER_BYTES {
                        break;
                    }
                    self.forward(from, &buffer[..length]);
                }
            }
            self.deliver();
        }
    }

    /// Until there is a frame or one is due. True: it is over.
    fn wait(&self) -> io::Result<bool> {
        let due =
            self.under_way.peek().map(|Reverse(next)| next.at.saturating_duration_since(Instant::now()));
        let timeout = due.map(|due| Timespec { tv_sec: seconds(due), tv_nsec: due.subsec_nanos().into() });
        let ports = self.ports.iter().map(|port| PollFd::from_borrowed_fd(port.as_fd(), PollFlags::IN));
        let mut watched: Vec<PollFd<'_>> = ports.collect();
        watched.push(PollFd::new(&self.woken, PollFlags::IN));
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(watched.last().is_some_and(|woken| !woken.revents().is_empty()))
    }

    /// To the station that has shown its address, else to all others.
    fn forward(&mut self, from: usize, frame: &[u8]) {
        let hardware = |at: usize| -> Option<Hardware> { frame.get(at..at + 6)?.try_into().ok() };
        let (Some(destination), Some(source)) = (hardware(0), hardware(6)) else { return };
        self.known.insert(source, from);
        match self.known.get(&destination) {
            Some(&to) if to != from => self.send(from, to, frame),
            Some(_) => {}
            None => {
                let others = (0..self.ports.len()).filter(|to| *to != from);
                others.for_each(|to| self.send(from, to, frame));
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, frame: &[u8]) {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.set.get(&(from, to)).copied().unwrap_or_default();
        drop(lanes);
        let last = self.last.get(&(from, to)).copied();
        let Some(at) = lane.arrival(Instant::now(), last, &mut self.dice) else { return };
        if self.under_way.len() >= MOST_UNDER_WAY {
            return;
        }
        self.last.insert((from, to), at);
        self.sequence += 1;
        let frame = frame.to_vec();
        self.under_way.push(Reverse(UnderWay { at, sequence: self.sequence, to, frame }));
    }

    fn deliver(&mut self) {
        let now = Instant::now();
        while self.under_way.peek().is_some_and(|Reverse(next)| next.at <= now) {
            let Some(Reverse(next)) = self.under_way.pop() else { return };
            // An interface that takes nothing loses it, as a full queue of a real one would.
            let _ = self.ports[next.to].write(&next.frame);
        }
    }
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}
