//! What one program hands to the next when an agent replaces itself: descriptors, and a description of them.
//!
//! Knows nothing of what a link means. The law: nothing here is trusted to be complete; what is not handed over is opened
//! again, as after any other restart. A description of another form than this one's is left alone.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::MemfdFlags;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use serde::{Deserialize, Serialize};
use understudy_decide::agent::StartId;
use understudy_model::{ApplicationName, FromApplication};

/// Names the descriptor of the description.
pub const VARIABLE: &str = "UNDERSTUDY_INHERITED";
/// The form of the description. Another one is not read: then the next program begins as after any restart.
const FORM: u32 = 1;
/// Longest description, in bytes.
const LONGEST_BYTES: u64 = 16 * 1024 * 1024;

/// A listener and a link of a start, as numbers of descriptors.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    form: u32,
    /// Which process it is for: the same that wrote it.
    pid: u32,
    listeners: Vec<(String, RawFd)>,
    links: Vec<(LinkDescription, RawFd)>,
}

/// The link of one start, but for its descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDescription {
    /// Whose it is.
    pub application: ApplicationName,
    /// Of which start.
    pub start: StartId,
    /// What the application would say of itself if it connected now.
    pub attach: FromApplication,
    /// What was read and is not a whole frame yet.
    pub unread: Vec<u8>,
}

/// What is handed over.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// Listeners by address.
    pub listeners: Vec<(String, OwnedFd)>,
    /// Links of applications.
    pub links: Vec<(LinkDescription, OwnedFd)>,
}

impl Inheritance {
    /// What an earlier program of this process left; nothing if there was none. Once read it is gone. Only before this
    /// program has opened anything: on an error, all that the earlier one left open is closed, as nobody would accept
    /// from it, and its places would stay taken.
    pub fn take() -> Result<Self, String> {
        let Some(number) = std::env::var_os(VARIABLE) else { return Ok(Self::default()) };
        Self::read(&number).map_err(|why| match close_what_is_left() {
            Ok(0) => why,
            Ok(closed) => format!("{why}; {closed} sockets that were left open are closed"),
            Err(error) => format!("{why}; what was left open cannot be closed: {error}"),
        })
    }

    fn read(number: &OsStr) -> Result<Self, String> {
        let number: Option<RawFd> = number.to_str().and_then(|text| text.parse().ok());
        let number =
            number.filter(|number| *number > 2).ok_or_else(|| format!("{VARIABLE} is no descriptor"))?;
        let mut memory = std::fs::File::from(adopt(number).map_err(|error| format!("{VARIABLE}: {error}"))?);
        let failed = |error: io::Error| format!("what was handed over cannot be read: {error}");
        memory.rewind().map_err(failed)?;
        let mut text = Vec::new();
        memory.take(LONGEST_BYTES).read_to_end(&mut text).map_err(failed)?;
        let description: Description = serde_json::from_slice(&text)
            .map_err(|error| format!("what was handed over has another form: {error}"))?;
        if description.form != FORM {
            return Err(format!("what was handed over has form {}, and {FORM} is known", description.form));
        }
        if description.pid != std::process::id() {
            return Err(format!("what was handed over is for process {}", description.pid));
        }
        let mut inheritance = Self::default();
        for (address, number) in description.listeners {
            inheritance.listeners.push((address, adopt(number).map_err(failed)?));
        }
        for (link, number) in description.links {
            inheritance.links.push((link, adopt(number).map_err(failed)?));
        }
        Ok(inheritance)
    }

    /// The listener of an address, if there is one.
    pub fn listener(&mut self, address: &str) -> Option<OwnedFd> {
        let index = self.listeners.iter().position(|(known, _)| known == address)?;
        Some(self.listeners.swap_remove(index).1)
    }

    /// Becomes `program`. Only returns if that failed; then nothing has changed.
    pub fn exec(&self, program: &Path, arguments: &[OsString]) -> io::Result<Infallible> {
        let description = Description {
            form: FORM,
            pid: std::process::id(),
            listeners: self.listeners.iter().map(|(address, fd)| (address.clone(), fd.as_raw_fd())).collect(),
            links: self.links.iter().map(|(link, fd)| (link.clone(), fd.as_raw_fd())).collect(),
        };
        let memory = rustix::fs::memfd_create("understudy-inherited", MemfdFlags::CLOEXEC)?;
        let mut memory = std::fs::File::from(memory);
        memory.write_all(&serde_json::to_vec(&description).map_err(io::Error::from)?)?;
        let all = || {
            let handed = self.listeners.iter().map(|(_, fd)| fd).chain(self.links.iter().map(|(_, fd)| fd));
            handed.map(AsRawFd::as_raw_fd).chain([memory.as_raw_fd()])
        };
        let keep = |kept: bool| all().try_for_each(|fd| keep(fd, kept));
        keep(true)?;
        let mut command = Command::new(program);
        command.args(arguments).env(VARIABLE, memory.as_raw_fd().to_string());
        let error = command.exec();
        // Still here: what is started from now on must not get them.
        keep(false)?;
        Err(error)
    }
}

/// Closes every socket that outlived a change of program, but for standard input and output; how many. What no
/// description names can be found only so: this program itself keeps nothing open across such a change.
fn close_what_is_left() -> io::Result<usize> {
    let mut numbers: Vec<RawFd> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_socket = std::fs::read_link(entry.path())
            .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        let number: Option<RawFd> = entry.file_name().to_str().and_then(|number| number.parse().ok());
        numbers.extend(number.filter(|number| is_socket && *number > 2));
    }
    let mut closed = 0;
    for number in numbers {
        // SAFETY: only borrowed to ask how it was opened; it was open a moment ago, and the only other thread yet, that of the log, neither opens nor closes any.
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        if !fcntl_getfd(borrowed)?.contains(FdFlags::CLOEXEC) {
            drop(adopt(number)?);
            closed += 1;
        }
    }
    Ok(closed)
}

/// The path of this program as it was when it began: a package puts the next one there.
pub fn own_program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    // A program that was replaced while it ran is shown like this.
    let shown = path.to_string_lossy();
    Ok(shown.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

/// Owns a descriptor that an earlier program left open, and does not hand it on by itself.
fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: only borrowed to ask whether it is open; nothing of it is used if it is not.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed)?;
    // SAFETY: it is open, and the earlier program left it open for exactly this: nobody else in this process knows its
    // number, as descriptors of this program are made after this one and never have a number that is in use.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&owned, flags | FdFlags::CLOEXEC)?;
    Ok(owned)
}

/// Whether a descriptor outlives the change of program.
fn keep(number: RawFd, kept: bool) -> io::Result<()> {
    // SAFETY: the caller owns it and keeps it open during this call.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed)?;
    let wanted = if kept { flags - FdFlags::CLOEXEC } else { flags | FdFlags::CLOEXEC };
    Ok(fcntl_setfd(borrowed, wanted)?)
}
