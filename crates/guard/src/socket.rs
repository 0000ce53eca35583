//! The socket between agent and guard: packets, one descriptor beside one of them, and whose end the other one is.
//!
//! Knows no messages. The laws: nobody but the own user is listened to; nothing here waits but where a limit is given; a
//! packet that is too long, or brings more than one descriptor, is nothing.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use understudy_model::Moment;

use crate::message::LONGEST_BYTES;
use crate::now;

/// Most connections that wait to be accepted.
pub const BACKLOG: i32 = 8;

/// A packet that arrived.
#[derive(Debug)]
pub struct Packet {
    /// How many bytes were written.
    pub length: usize,
    /// What came beside it.
    pub descriptor: Option<OwnedFd>,
}

/// What was found on a socket.
#[derive(Debug)]
pub enum Arrived {
    /// A packet, whole.
    Packet(Packet),
    /// Something that no agent and no guard sends.
    Garbage,
    /// Nothing, now.
    Nothing,
    /// The other end is closed.
    End,
}

fn make() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Two ends of one connection.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Listens at `path`, for the own user only. What lies there is removed: the caller holds the lock of the directory.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = make()?;
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = rustix::net::bind(&socket, &SocketAddrUnix::new(path)?);
    rustix::process::umask(before);
    bound?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// The next connection, if one waits.
pub fn accept(listener: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(connection) => Ok(Some(connection)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Connects to a guard that listens.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = make()?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// The process at the other end, if it is of the own user; an error if it is of another one.
pub fn peer(socket: impl AsFd) -> io::Result<u32> {
    let found = rustix::net::sockopt::socket_peercred(socket)?;
    if found.uid != rustix::process::geteuid() {
        let text = format!("the other end is of user {}", found.uid.as_raw());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    u32::try_from(found.pid.as_raw_pid()).map_err(io::Error::other)
}

/// Sends a packet, or fails: it does not wait.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut room);
    let descriptors = descriptor.map(|descriptor| [descriptor]);
    if let Some(descriptors) = &descriptors {
        beside.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, flags)?;
    Ok(())
}

/// The next packet, if there is one.
pub fn receive(socket: impl AsFd, bytes: &mut [u8; LONGEST_BYTES]) -> io::Result<Arrived> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut room);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut parts = [IoSliceMut::new(bytes)];
    let received = match rustix::net::recvmsg(socket, &mut parts, &mut beside, flags) {
        Ok(received) => received,
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(Arrived::Nothing),
        Err(rustix::io::Errno::CONNRESET) => return Ok(Arrived::End),
        Err(error) => return Err(error.into()),
    };
    let mut descriptors = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            descriptors.extend(some);
        }
    }
    // The room for one is enough for two where a word is as long as two descriptors.
    let descriptor = descriptors.pop();
    let too_much = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    if too_much || !descriptors.is_empty() {
        return Ok(Arrived::Garbage);
    }
    // A packet without bytes looks like the end; nobody here sends one.
    if received.bytes == 0 {
        return Ok(Arrived::End);
    }
    Ok(Arrived::Packet(Packet { length: received.bytes, descriptor }))
}

/// Waits until one of the descriptors can be read, or `until`; nothing is for ever.
pub fn wait(waiting: &mut [PollFd<'_>], until: Option<Moment>) -> io::Result<()> {
    let limit = until.map(|until| {
        let left = until.since(now());
        // A wait that ends a little early only looks once more.
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        Timespec { tv_sec: seconds, tv_nsec: i64::from(left.subsec_nanos()) }
    });
    match poll(waiting, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether something is to be read, or the other end is closed, now.
pub fn is_readable(descriptor: impl AsFd) -> bool {
    let mut waiting = [PollFd::new(&descriptor, PollFlags::IN)];
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut waiting, Some(&zero)).is_ok_and(|ready| ready > 0)
}
