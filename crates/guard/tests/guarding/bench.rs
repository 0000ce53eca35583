//! What the stories share: a runtime directory with an agent's side, and processes to be guarded.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use understudy_guard::guards::{Grip, Ground, GuardError, GuardEvent, GuardPlace, Guards};
use understudy_guard::{Start, now};
use understudy_model::{AgentId, ApplicationName, Incarnation, Moment};

/// Long enough for everything that comes at all.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// A moment that is near, and far enough to say something before.
pub const SOON: Duration = Duration::from_millis(150);
/// A moment before which a busy machine can do what a story needs.
pub const AWAY: Duration = Duration::from_secs(3);

/// The guard's program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_lca-guard");

/// Waits until `is` holds.
pub fn until(what: &str, is: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::yield_now();
    }
}

/// How many tests of this process have asked for starts.
static TESTS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// This test: each has a thread of its own.
    static TEST: u64 = TESTS.fetch_add(1, Ordering::Relaxed);
}

/// A start of this test: no other test, here or in another process, has one like it.
pub fn start(number: u64) -> Start {
    let test = u128::from(TEST.with(|test| *test));
    Start { agent: AgentId(7), incarnation: Incarnation(u128::from(std::process::id()) << 64 | test), number }
}

/// The start that was killed.
pub fn start_of(event: &GuardEvent) -> Option<Start> {
    match event {
        GuardEvent::Fired { start, .. } => Some(*start),
        _ => None,
    }
}

/// Sends its events on.
struct Player(Sender<GuardEvent>);

impl Ground for Player {
    fn start(&self, command: &mut Command) -> io::Result<u32> {
        Ok(command.spawn()?.id())
    }

    fn met(&self, pid: u32) {
        assert!(status(pid, "VmRSS") > 0, "it lives");
    }

    fn tell(&self, event: GuardEvent) {
        // Whoever listened may have ended.
        let _ = self.0.send(event);
    }
}

/// A runtime directory. When its story is over, so is its guard, whatever that still holds.
pub struct Directory(tempfile::TempDir);

impl Directory {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let guard = understudy_guard::socket::connect(&self.path().join(understudy_guard::SOCKET));
        if let Some(pid) = guard.ok().and_then(|guard| understudy_guard::socket::peer(guard).ok()) {
            kill(pid, Signal::KILL);
        }
    }
}

/// The agent's side, in this process.
pub struct Bench {
    pub guards: Guards,
    pub events: Receiver<GuardEvent>,
    pub directory: Directory,
}

impl Bench {
    pub fn new() -> Self {
        Self::at(Directory::new())
    }

    pub fn at(directory: Directory) -> Self {
        let (guards, events) = guards_at(directory.path());
        Self { guards, events, directory }
    }

    /// Another agent's side on the same directory, as the next life of an agent.
    pub fn next_life(self) -> Self {
        let Bench { guards, events, directory } = self;
        drop((guards, events));
        Self::at(directory)
    }

    pub fn guard(&self, prey: &Prey, kill_at: Moment) -> Result<(), GuardError> {
        self.guards.guard(&prey.application, prey.start, kill_at, || Ok(Some(prey.grip())))
    }

    pub fn next(&self) -> GuardEvent {
        self.events.recv_timeout(PATIENCE).expect("something happens")
    }

    /// The next kill.
    pub fn fired(&self) -> GuardEvent {
        loop {
            match self.next() {
                fired @ GuardEvent::Fired { .. } => return fired,
                GuardEvent::Up { .. } => {}
                down @ GuardEvent::Down { .. } => panic!("{down:?}"),
            }
        }
    }

    /// The guard that stands ready next.
    pub fn up_pid(&self) -> u32 {
        loop {
            match self.next() {
                GuardEvent::Up { pid, .. } => return pid,
                GuardEvent::Down { .. } => {}
                fired @ GuardEvent::Fired { .. } => panic!("{fired:?}"),
            }
        }
    }

    /// Waits until everything is confirmed.
    pub fn settle(&self) {
        until("the guard is up", || self.guards.is_up());
    }

    /// For so long, nothing happens but that a guard stands ready.
    pub fn is_quiet(&self, span: Duration) {
        let limit = Instant::now() + span;
        loop {
            match self.events.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => return,
                Ok(GuardEvent::Up { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The agent's side on that directory.
pub fn guards_at(directory: &Path) -> (Guards, Receiver<GuardEvent>) {
    let (tell, events) = channel();
    let place = GuardPlace { directory: directory.to_owned(), program: PathBuf::from(PROGRAM), group: None };
    (Guards::start(place, Player(tell)).unwrap(), events)
}

/// A process that may be killed, with the mark of its start and a session of its own.
pub struct Prey {
    pub child: Child,
    pub application: ApplicationName,
    pub start: Start,
    pub group: Option<PathBuf>,
}

impl Prey {
    pub fn start(number: u64, script: &str) -> Self {
        let start = start(number);
        let child = Command::new("setsid")
            .args(["sh", "-c", script])
            .env(Start::MARK, start.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let application = ApplicationName::new("app").unwrap();
        Self { child, application, start, group: None }
    }

    pub fn grip(&self) -> Grip {
        let pid = Pid::from_child(&self.child);
        Grip { process: pidfd_open(pid, PidfdFlags::empty()).unwrap(), group: self.group.clone() }
    }

    /// Every living process with its mark.
    pub fn marked(&self) -> Vec<u32> {
        marked(self.start)
    }

    /// Waits for its end, which was a kill.
    pub fn was_killed(&mut self) {
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }

    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Prey {
    fn drop(&mut self) {
        for pid in self.marked() {
            kill(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn marked(start: Start) -> Vec<u32> {
    let mark = format!("{}={start}", Start::MARK);
    let carries = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(carries).collect()
}

/// A number in what the system says of a process; 0 if there is none.
pub fn status(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A descriptor of a process: two processes may have had the same number, one after the other.
pub fn handle(pid: u32) -> OwnedFd {
    pidfd_open(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), PidfdFlags::empty()).unwrap()
}

/// Waits until that process has ended.
pub fn ended(handle: &OwnedFd) {
    until("it ends", || understudy_guard::socket::is_readable(handle));
}

/// Whether a process is stopped.
pub fn is_stopped(pid: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines().any(|line| line.starts_with("State:\tT"))
}

/// Whether a process is there and has not ended.
pub fn lives(pid: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

pub fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, signal);
}

pub fn stop(pid: u32) {
    kill(pid, Signal::STOP);
    until("it is stopped", || is_stopped(pid));
}

/// Waits until that moment is over.
pub fn pass(moment: Moment) {
    until("its time is over", || now() > moment);
}
