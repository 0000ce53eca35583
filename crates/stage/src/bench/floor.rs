//! The floor under a failover: the same steps on the same machine and disk, without any of our code between them.
//!
//! Kill to pidfd in a first process, overwrite 512 bytes of a preallocated file and fdatasync, TCP to a second, append 128
//! bytes and fdatasync, TCP to a third, overwrite 512 bytes and fdatasync as the first, Unix socket to a fourth, which tells
//! the time. The three writes are the end of the former epoch, the new one in the store, and its promise. It knows no
//! cluster. The law: simple blocking calls, nothing checked that the steps do not need, so that nothing can be faster for a
//! good reason.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::PART;
use super::words::{Ear, Mouth};
use crate::clock::boot_ns;
use crate::plan::STAGE_MARK;
use crate::sweep::Held;
use crate::{Interrupt, StageError};

/// What goes over each connection: about as much as an order.
const MESSAGE_BYTES: usize = 64;
const RECORD_BYTES: usize = 128;
const SLOT_BYTES: usize = 512;
/// How long one measurement may take.
const LIMIT: Duration = Duration::from_secs(20);

const WATCHER: &str = "floor-watcher";
const JOURNAL: &str = "floor-journal";
const SLOT: &str = "floor-slot";
const LAST: &str = "floor-last";
const VICTIM: &str = "floor-victim";

/// The four processes. They carry the stage's mark and end with it.
#[derive(Debug)]
pub struct Floor {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended already; then both only say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Part {
    fn start(mark: &Path, arguments: &[&str]) -> Result<Self, StageError> {
        let own = std::env::current_exe().map_err(StageError::file("find", "this program"))?;
        let mut child = Command::new(&own)
            .arg(PART)
            .args(arguments)
            .env(STAGE_MARK, mark)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| StageError::Start { program: own, source })?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok(Self { child, stdin, stdout: BufReader::new(stdout) }),
            _ => Err(StageError::Unexpected("a part of the floor has no pipes".to_owned())),
        }
    }

    fn read_line(&mut self) -> Result<String, StageError> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(StageError::system("hear a part of the floor"))?;
        match line.trim() {
            "" => Err(StageError::Unexpected("a part of the floor has ended".to_owned())),
            line => Ok(line.to_owned()),
        }
    }
}

impl Floor {
    /// Starts the four, the last one first. Files lie in `directory`, which is also the mark.
    pub fn start(directory: &Path, bench: &Path, interrupt: &Interrupt) -> Result<Self, StageError> {
        interrupt.check()?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let socket = bench.with_file_name("floor.sock");
        let mut last = Part::start(directory, &[LAST, &text(&socket), &text(bench)])?;
        last.read_line()?;
        let mut slot = Part::start(directory, &[SLOT, &text(&directory.join("floor-slot")), &text(&socket)])?;
        let slot_port = slot.read_line()?;
        let mut journal =
            Part::start(directory, &[JOURNAL, &text(&directory.join("floor-journal")), &slot_port])?;
        let journal_port = journal.read_line()?;
        let ends = text(&directory.join("floor-ends"));
        let mut watcher = Part::start(directory, &[WATCHER, &ends, &journal_port])?;
        watcher.read_line()?;
        Ok(Self { parts: vec![watcher, journal, slot, last] })
    }

    /// Once through all of it, in nanoseconds.
    pub fn measure(&mut self, ear: &Ear, interrupt: &Interrupt) -> Result<u64, StageError> {
        let watcher = &mut self.parts[0];
        watcher.stdin.write_all(b"next\n").map_err(StageError::system("tell a part of the floor"))?;
        let line = watcher.read_line()?;
        let pid = line.parse().map_err(|_| StageError::Unexpected(format!("the watcher said {line:?}")))?;
        let victim = Held::open(pid).map_err(StageError::system("take hold of the victim"))?;
        let before_ns = boot_ns();
        victim.kill()?;
        let word = ear.hear(interrupt, "the floor has ended", LIMIT, |word| word.kind == "floor")?;
        Ok(word.at_ns.saturating_sub(before_ns))
    }
}

/// Plays one part; it ends when its connection or its standard input does.
pub fn be(part: &str, arguments: &[String]) -> Result<(), StageError> {
    match (part, arguments) {
        (WATCHER, [file, port]) => watch(Path::new(file), port),
        (JOURNAL, [file, port]) => keep_journal(Path::new(file), port),
        (SLOT, [file, socket]) => keep_slot(Path::new(file), Path::new(socket)),
        (LAST, [socket, bench]) => be_last(Path::new(socket), Path::new(bench)),
        (VICTIM, []) => be_victim(),
        _ => Err(StageError::Unexpected(format!("there is no part {part:?} with {arguments:?}"))),
    }
}

fn say(line: &str) -> Result<(), StageError> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(StageError::system("say a line"))
}

fn connect(port: &str) -> Result<TcpStream, StageError> {
    let port: u16 = port.parse().map_err(|_| StageError::Unexpected(format!("{port:?} is not a port")))?;
    let stream =
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(StageError::system("connect on loopback"))?;
    stream.set_nodelay(true).map_err(StageError::system("set a connection's options"))?;
    Ok(stream)
}

/// Listens, says the port, and accepts the one connection.
fn accept() -> Result<TcpStream, StageError> {
    let failed = || StageError::system("listen on loopback");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed())?;
    say(&listener.local_addr().map_err(failed())?.port().to_string())?;
    let (stream, _) = listener.accept().map_err(failed())?;
    stream.set_nodelay(true).map_err(StageError::system("set a connection's options"))?;
    Ok(stream)
}

fn watch(path: &Path, port: &str) -> Result<(), StageError> {
    let own = std::env::current_exe().map_err(StageError::file("find", "this program"))?;
    let mut ends = Slot::prepare(path)?;
    let mut next = connect(port)?;
    say("ready")?;
    for line in std::io::stdin().lines() {
        line.map_err(StageError::system("read a line"))?;
        let start = |source| StageError::Start { program: own.clone(), source };
        let mut victim =
            Command::new(&own).args([PART, VICTIM]).stdout(Stdio::piped()).spawn().map_err(start)?;
        // Its one byte: it is up.
        if let Some(stdout) = &mut victim.stdout {
            stdout.read_exact(&mut [0]).map_err(StageError::system("hear the victim"))?;
        }
        let number = i32::try_from(victim.id()).ok().and_then(rustix::process::Pid::from_raw);
        let number = number.ok_or_else(|| StageError::Unexpected("the victim has no number".to_owned()))?;
        let descriptor = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty())
            .map_err(|error| StageError::System { act: "open a pidfd", source: error.into() })?;
        say(&victim.id().to_string())?;
        poll(&mut [PollFd::new(&descriptor.as_fd(), PollFlags::IN)], None)
            .map_err(|error| StageError::System { act: "wait for the victim's end", source: error.into() })?;
        ends.overwrite(1)?;
        next.write_all(&[1; MESSAGE_BYTES]).map_err(StageError::system("send on loopback"))?;
        victim.wait().map_err(StageError::system("wait for the victim"))?;
    }
    Ok(())
}

fn keep_journal(path: &Path, port: &str) -> Result<(), StageError> {
    let mut file =
        OpenOptions::new().create(true).append(true).open(path).map_err(StageError::file("open", path))?;
    let mut next = connect(port)?;
    let mut before = accept()?;
    while before.read_exact(&mut [0; MESSAGE_BYTES]).is_ok() {
        let written = file.write_all(&[2; RECORD_BYTES]).and_then(|()| file.sync_data());
        written.map_err(StageError::file("write", path))?;
        next.write_all(&[2; MESSAGE_BYTES]).map_err(StageError::system("send on loopback"))?;
    }
    Ok(())
}

/// A preallocated file of which the first bytes are overwritten, durably, again and again.
struct Slot<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Slot<'a> {
    fn prepare(path: &'a Path) -> Result<Self, StageError> {
        let mut file = File::create(path).map_err(StageError::file("make", path))?;
        let prepared = file.write_all(&[0; 8 * SLOT_BYTES]).and_then(|()| file.sync_all());
        prepared.map_err(StageError::file("write", path))?;
        Ok(Self { path, file })
    }

    fn overwrite(&mut self, with: u8) -> Result<(), StageError> {
        let file = &mut self.file;
        let written = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&[with; SLOT_BYTES]))
            .and_then(|()| file.sync_data());
        written.map_err(StageError::file("write", self.path))
    }
}

fn keep_slot(path: &Path, socket: &Path) -> Result<(), StageError> {
    let mut slot = Slot::prepare(path)?;
    let mut next = UnixStream::connect(socket).map_err(StageError::file("connect to", socket))?;
    let mut before = accept()?;
    while before.read_exact(&mut [0; MESSAGE_BYTES]).is_ok() {
        slot.overwrite(3)?;
        next.write_all(&[3; MESSAGE_BYTES]).map_err(StageError::file("send to", socket))?;
    }
    Ok(())
}

fn be_last(socket: &Path, bench: &Path) -> Result<(), StageError> {
    let listener = UnixListener::bind(socket).map_err(StageError::file("bind", socket))?;
    let mouth = Mouth::to(bench, "floor")?;
    say("ready")?;
    let (mut before, _) = listener.accept().map_err(StageError::file("listen at", socket))?;
    while before.read_exact(&mut [0; MESSAGE_BYTES]).is_ok() {
        mouth.tell("floor", boot_ns());
    }
    Ok(())
}

/// As many threads as the bench's member has.
fn be_victim() -> Result<(), StageError> {
    std::thread::Builder::new()
        .spawn(|| {
            loop {
                std::thread::park();
            }
        })
        .map_err(StageError::system("start a thread"))?;
    say("")?;
    loop {
        std::thread::park();
    }
}
