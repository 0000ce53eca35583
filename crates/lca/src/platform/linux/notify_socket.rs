//! The socket of the notify interface: datagrams, and the process that the kernel says sent each.
//!
//! Refuses to know what is said. The law: a datagram without credentials, or longer than may be, is an error of its
//! sender; descriptors that come with one are closed when it was dealt with, as senders wait for exactly that.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tokio::io::Interest;
use tokio::net::UnixDatagram as Socket;
use understudy_wire::LONGEST_NOTICE_BYTES;

use super::pidfd;

/// One datagram.
#[derive(Debug)]
pub struct Datagram {
    /// Who sent it, as the kernel says; absent if it does not say.
    pub pid: Option<u32>,
    /// What, if it was short enough to be read whole.
    pub bytes: Option<Vec<u8>>,
    /// Closed with it.
    _descriptors: Vec<OwnedFd>,
}

/// A bound socket.
#[derive(Debug)]
pub struct NotifySocket {
    socket: Socket,
}

impl NotifySocket {
    /// Binds it for a user, in place of whatever an earlier life of this agent bound there; `None` is the user whose that
    /// was. Only inside a runtime. Nobody else may send to it and take the few places of its queue; only what begins as
    /// root may become anybody, and then everybody may. The credentials of each datagram say who is heard.
    pub fn bind(path: &Path, user: Option<u32>) -> io::Result<Self> {
        let own = rustix::process::geteuid().as_raw();
        // The directory is the agent's own: what lies there was put there by a life of it.
        let user = user.or_else(|| fs::symlink_metadata(path).ok().map(|found| found.uid())).unwrap_or(own);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(path)?;
        socket.set_nonblocking(true)?;
        rustix::net::sockopt::set_socket_passcred(&socket, true)?;
        fs::set_permissions(path, Permissions::from_mode(if user == 0 { 0o666 } else { 0o600 }))?;
        if user != own {
            lchown(path, Some(user), None)?;
        }
        Ok(Self { socket: Socket::from_std(socket)? })
    }

    /// Returns when there may be a datagram.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// The next datagram, if one is there. Without one, [`readable`](Self::readable) waits again.
    pub fn receive(&self) -> io::Result<Option<Datagram>> {
        unless_empty(self.socket.try_io(Interest::READABLE, || receive(&self.socket)))
    }

    /// The same, asked of the system itself and not of what the runtime has heard from it so far.
    pub fn receive_now(&self) -> io::Result<Option<Datagram>> {
        unless_empty(receive(&self.socket))
    }
}

fn unless_empty(received: io::Result<Datagram>) -> io::Result<Option<Datagram>> {
    match received {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        received => received.map(Some),
    }
}

fn receive(socket: &Socket) -> io::Result<Datagram> {
    let mut bytes = vec![0; LONGEST_NOTICE_BYTES];
    let received = pidfd::receive(socket.as_fd(), &mut bytes)?;
    bytes.truncate(received.length);
    let bytes = received.whole.then_some(bytes);
    Ok(Datagram { pid: received.pid, bytes, _descriptors: received.descriptors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_open_to_its_user_alone_also_in_the_next_life() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n");
        let own = rustix::process::geteuid();
        let bound = |user| {
            drop(NotifySocket::bind(&path, user).unwrap());
            let found = fs::symlink_metadata(&path).unwrap();
            (found.uid(), found.mode() & 0o777)
        };
        if !own.is_root() {
            assert_eq!(bound(Some(own.as_raw())), (own.as_raw(), 0o600));
            return;
        }
        assert_eq!(bound(Some(1)), (1, 0o600));
        assert_eq!(bound(None), (1, 0o600));
        assert_eq!(bound(Some(0)), (0, 0o666), "what begins as root may be anybody later");
    }
}
