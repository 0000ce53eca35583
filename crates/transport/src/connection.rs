//! A connected stream and who is at its other end.
//!
//! Knows nothing of how it came to be. The law: a connection is split once, into one sending and one receiving end, each
//! of which has one owner.

use std::net::SocketAddr;

use understudy_wire::Message;

use crate::receive::Receiver;
use crate::send::{self, Sender};
use crate::stream::Stream;

/// A link that was dialed and on which nothing was said yet. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Peer,
}

/// Who is at the other end, as the system says it; not as the peer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A process of this machine, as it was when it connected.
    Unix {
        /// Its process id, where the system tells it.
        pid: Option<u32>,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Peer::Tcp(socket) => write!(f, "{socket}"),
            Peer::Unix { pid: Some(pid), uid, .. } => write!(f, "process {pid} of user {uid}"),
            Peer::Unix { pid: None, uid, .. } => write!(f, "a process of user {uid}"),
        }
    }
}

impl Connection {
    /// Readies a TCP stream: small frames leave at once.
    pub(crate) fn over_tcp(stream: tokio::net::TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        let peer = Peer::Tcp(stream.peer_addr()?);
        Ok(Self { stream: Stream::Tcp(stream), peer })
    }

    /// Readies a Unix stream.
    pub(crate) fn over_unix(stream: tokio::net::UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        let peer = Peer::Unix { pid, uid: credentials.uid(), gid: credentials.gid() };
        Ok(Self { stream: Stream::Unix(stream), peer })
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Both ends. Starts the writer task, so it must be called inside a tokio runtime.
    pub fn split<Out: Message, In: Message>(self) -> (Sender<Out>, Receiver<In>) {
        let (read, write) = self.stream.into_split();
        let (sender, outbox) = send::start(write);
        (sender, Receiver::new(read, outbox))
    }
}
