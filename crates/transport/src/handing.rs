//! Listeners and plain links that go on when a program becomes another one under the same process number.
//!
//! Knows nothing of what is said on them. The law: only what can be handed over whole is: a link over which something is
//! still to be written, or that has TLS, is not. The descriptors made here are copies; this program's own go on as they are,
//! so that nothing is lost if it stays after all.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use understudy_wire::Message;

use crate::address::Address;
use crate::connection::Connection;
use crate::listen::{Listener, Socket as Listening};
use crate::receive::Receiver;
use crate::security::Security;
use crate::send::Sender;
use crate::stream::{Socket, Stream};

/// A link between two frames, or with the beginning of one.
#[derive(Debug)]
pub struct Handed {
    /// A copy of its descriptor; closed when one program becomes another, unless it is told not to be.
    pub descriptor: OwnedFd,
    /// What was read and is not a whole frame yet.
    pub unread: Vec<u8>,
}

impl Listener {
    /// A copy of its descriptor.
    pub fn copy(&self) -> io::Result<OwnedFd> {
        match &self.socket {
            Listening::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
            Listening::Unix(socket) => socket.as_fd().try_clone_to_owned(),
        }
    }

    /// Listens on with a descriptor that [`Listener::copy`] made in an earlier program. Only inside a tokio runtime.
    pub fn from_copy(address: &Address, copy: OwnedFd, security: Security) -> io::Result<Self> {
        let (socket, address) = match address {
            Address::Tcp { .. } => {
                let socket = std::net::TcpListener::from(copy);
                socket.set_nonblocking(true)?;
                let local = socket.local_addr()?;
                (Listening::Tcp(TcpListener::from_std(socket)?), local.into())
            }
            Address::Unix(_) => {
                let socket = std::os::unix::net::UnixListener::from(copy);
                socket.set_nonblocking(true)?;
                (Listening::Unix(UnixListener::from_std(socket)?), address.clone())
            }
        };
        Ok(Self::of(socket, address, security))
    }
}

impl<Out: Message> Sender<Out> {
    /// Whether everything that was accepted has left this program.
    pub fn has_written_all(&self) -> bool {
        self.waits() == 0 && !self.is_closed()
    }
}

impl<In: Message> Receiver<In> {
    /// What another program needs to go on with this link; none if it has TLS, or has ended. While it is in use the other
    /// program's, [`Receiver::next`] must not be called here.
    pub fn hand(&self) -> io::Result<Option<Handed>> {
        let Some((stream, unread)) = self.parts() else { return Ok(None) };
        let Some(socket) = stream.plain_socket() else { return Ok(None) };
        Ok(Some(Handed { descriptor: socket.try_clone_to_owned()?, unread: unread.to_vec() }))
    }
}

impl Handed {
    /// Goes on with a link to a process of this machine. Only inside a tokio runtime.
    pub fn take_up<Out: Message, In: Message>(self) -> io::Result<(Sender<Out>, Receiver<In>)> {
        let stream = StdUnixStream::from(self.descriptor);
        stream.set_nonblocking(true)?;
        let connection = Connection::over_unix(UnixStream::from_std(stream)?)?;
        let (sender, mut receiver) = connection.split();
        receiver.prepend(&self.unread);
        Ok((sender, receiver))
    }
}

impl Stream {
    /// The socket, if nothing but it makes up the stream.
    pub(crate) fn plain_socket(&self) -> Option<BorrowedFd<'_>> {
        match self.socket_without_tls()? {
            Socket::Tcp(stream) => Some(stream.as_fd()),
            Socket::Unix(stream) => Some(stream.as_fd()),
        }
    }
}
