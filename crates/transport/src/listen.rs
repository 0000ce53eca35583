//! Listening, and what a stranger may cost before it has said who it is.
//!
//! Knows nothing of who is welcome. The law: at most [`MOST_STRANGERS`] at once, each with [`FIRST_MESSAGE_TIMEOUT`] and
//! [`FIRST_MESSAGE_LIMIT_BYTES`] for its first message; for whoever comes above that the one that has been silent for
//! longest makes room, so that a crowd of silent ones keeps nobody waiting; those who are known have as much room of their own. A Unix socket is never open to others than its owner, and what is not a dead socket is never removed.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};
use tokio::sync::Notify;
use understudy_wire::{Frame, Kind, Message};

use crate::address::Address;
use crate::connection::{Connection, End, Peer};
use crate::receive::{ReceiveError, Receiver};
use crate::resolve::{ResolveError, resolve};
use crate::security::Security;
use crate::send::Sender;

/// The most connections of one listener whose first message has not come yet.
pub const MOST_STRANGERS: usize = 64;
/// How long a stranger has for its first message.
pub const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a first message may be, in bytes with its header. Smaller than other frames may be, so that many strangers
/// together cannot take much memory.
pub const FIRST_MESSAGE_LIMIT_BYTES: usize = 16 * 1024;
/// How many connections the system keeps while none is accepted.
const BACKLOG: u32 = 128;
/// Who may connect to a Unix socket: its owner.
const SOCKET_MODE: u32 = 0o600;

/// A place where peers can connect. Dropped, it refuses them; the file of a Unix socket stays, and the next `bind`
/// replaces it.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: Socket,
    address: Address,
    security: Security,
    strangers: Arc<Room>,
    known: Arc<Room>,
}

/// How somebody who connects is taken, before anything is spent on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// They are heard, in the room of those whom nobody knows.
    Stranger,
    /// They are heard, in a room of their own, out of which no stranger pushes them.
    Known,
    /// The connection is closed at once.
    TurnedAway,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why nothing listens. If anything was changed, it is only that a dead socket's file is gone.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Plain links never leave the machine.
    #[error(
        "{address} is {ip}, which is not a loopback address, and links without TLS never leave the machine: add [tls] to the settings"
    )]
    NotLocal {
        /// Where it should have listened.
        address: Address,
        /// What its host resolved to.
        ip: IpAddr,
    },
    /// The host's name gave no address.
    #[error("{address} cannot be listened at: its name is not resolved")]
    Unresolved {
        /// Where it should have listened.
        address: Address,
        /// What the resolver said.
        source: io::Error,
    },
    /// Another program listens there.
    #[error("{address} is in use by another program")]
    InUse {
        /// Where it should have listened.
        address: Address,
    },
    /// The path of a Unix socket is taken by something else, which was left alone.
    #[error("{address} cannot be listened at: the file there is not a socket")]
    NotSocket {
        /// Where it should have listened.
        address: Address,
    },
    /// The file of a dead socket is in the way.
    #[error("the dead socket at {address} cannot be removed")]
    RemoveDead {
        /// Where it should have listened.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused.
    #[error("{address} cannot be listened at")]
    Listen {
        /// Where it should have listened.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
}

/// Why no connection could be taken; the listener goes on. Usually no file descriptor is free: the caller should wait a
/// little ([`crate::Backoff`]) before it calls again.
#[derive(Debug, thiserror::Error)]
#[error("no connection can be accepted at {address}")]
pub struct AcceptError {
    /// Where it listens.
    pub address: Address,
    /// What the system said.
    pub source: io::Error,
}

/// A connection whose peer has said nothing yet. Dropping it closes it.
#[derive(Debug)]
pub struct Stranger {
    connection: Connection,
    place: Place,
}

/// The strangers of one listener, the one that came first in front.
#[derive(Debug, Default)]
struct Room {
    waiting: Mutex<VecDeque<Arc<Notify>>>,
}

impl Room {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        // A panic elsewhere leaves a list that is still right.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in; if there is no room, the first one has to leave.
    fn enter(self: &Arc<Self>) -> Place {
        let leave = Arc::new(Notify::new());
        let mut waiting = self.waiting();
        if waiting.len() >= MOST_STRANGERS
            && let Some(first) = waiting.pop_front()
        {
            first.notify_one();
        }
        waiting.push_back(Arc::clone(&leave));
        Place { room: Arc::clone(self), leave }
    }
}

/// A stranger's place in the room; dropped, it is free.
#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    /// Told when it has to leave.
    leave: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.waiting().retain(|other| !Arc::ptr_eq(other, &self.leave));
    }
}

impl Listener {
    /// Listens. Port 0 is any free port: [`Listener::address`] says which. A name is listened at under its first address
    /// that the system accepts. A Unix socket is plain, whatever `security` says.
    pub async fn bind(address: &Address, security: Security) -> Result<Self, BindError> {
        let (socket, address) = match address {
            Address::Tcp { host, port } => bind_tcp(address, host, *port, &security).await?,
            Address::Unix(path) => (Socket::Unix(bind_unix(address, path).await?), address.clone()),
        };
        Ok(Self::of(socket, address, security))
    }

    pub(crate) fn of(socket: Socket, address: Address, security: Security) -> Self {
        Self { socket, address, security, strangers: Arc::default(), known: Arc::default() }
    }

    /// Where it listens, with the port that the system chose.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next peer that connects. If [`MOST_STRANGERS`] have not said anything yet, the first of them has to leave.
    /// May be dropped while it waits.
    pub async fn accept(&self) -> Result<Stranger, AcceptError> {
        self.accept_as(|_| Admission::Stranger).await
    }

    /// As [`Listener::accept`], and `admit` says how each is taken. Goes on until one is.
    pub async fn accept_as(
        &self,
        mut admit: impl FnMut(&Peer) -> Admission,
    ) -> Result<Stranger, AcceptError> {
        let failed = |source| AcceptError { address: self.address.clone(), source };
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(socket) => socket.accept().await.map(|(stream, from)| {
                    let room = self.room(admit(&Peer::Tcp(from)))?;
                    Some((Connection::over_tcp(stream, &self.security, End::Accepted).ok()?, room))
                }),
                Socket::Unix(socket) => socket.accept().await.map(|(stream, _)| {
                    let connection = Connection::over_unix(stream).ok()?;
                    let room = self.room(admit(connection.peer()))?;
                    Some((connection, room))
                }),
            };
            match accepted {
                Ok(Some((connection, room))) => return Ok(Stranger { connection, place: room.enter() }),
                // Turned away; or it was gone before it could be readied: nothing of ours is wrong, so the next one is taken.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn room(&self, admission: Admission) -> Option<&Arc<Room>> {
        match admission {
            Admission::Stranger => Some(&self.strangers),
            Admission::Known => Some(&self.known),
            Admission::TurnedAway => None,
        }
    }
}

impl Stranger {
    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        self.connection.peer()
    }

    /// Hears its first message, as [`Stranger::first_frame`] does, and understands it.
    pub async fn first_message<In: Message, Out: Message>(
        self,
    ) -> Result<(In, Sender<Out>, Receiver<In>), ReceiveError> {
        self.first_frame().await?.understand()
    }

    /// Hears its first message, within the bounds on strangers; with TLS, after the handshake. Must be called inside a tokio
    /// runtime, and not from the task that accepts: a silent stranger would hold up the next. After an error the link is
    /// closed.
    pub async fn first_frame(self) -> Result<FirstFrame, ReceiveError> {
        let limit = FIRST_MESSAGE_TIMEOUT;
        let Self { connection, place } = self;
        let heard = tokio::select! {
            biased;
            heard = tokio::time::timeout(limit, hear_first(connection)) => heard,
            () = place.leave.notified() => return Err(ReceiveError::Crowded),
        };
        heard.map_err(|_| ReceiveError::FirstMessageLate { limit })?
    }
}

/// The first message of a stranger, not yet understood: where several conversations begin at one place, its kind says which
/// one this is. Dropping it closes the link.
#[derive(Debug)]
pub struct FirstFrame {
    frame: Frame,
    sender: Sender<()>,
    receiver: Receiver<()>,
}

impl FirstFrame {
    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        self.receiver.peer()
    }

    /// Which conversation it begins.
    pub fn kind(&self) -> Kind {
        self.frame.kind
    }

    /// Understands it, and goes on in its conversation. After an error the link is closed.
    pub fn understand<In: Message, Out: Message>(
        mut self,
    ) -> Result<(In, Sender<Out>, Receiver<In>), ReceiveError> {
        match In::from_frame(&self.frame) {
            Ok(first) => Ok((first, self.sender.of(), self.receiver.of())),
            Err(error) => {
                self.receiver.end();
                Err(error.into())
            }
        }
    }
}

async fn hear_first(mut connection: Connection) -> Result<FirstFrame, ReceiveError> {
    if let Err(error) = connection.shake_hands().await {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Err(ReceiveError::LeftSilently);
        }
        connection.let_down().await;
        return Err(error.into());
    }
    let (sender, mut receiver) = connection.ends::<(), ()>();
    let frame = receiver.next_frame(FIRST_MESSAGE_LIMIT_BYTES).await?;
    Ok(FirstFrame { frame: frame.ok_or(ReceiveError::LeftSilently)?, sender, receiver })
}

async fn bind_tcp(
    address: &Address,
    host: &str,
    port: u16,
    security: &Security,
) -> Result<(Socket, Address), BindError> {
    let address = address.clone();
    let sockets = match resolve(host, port, security).await {
        Ok(sockets) => sockets,
        Err(ResolveError::Unresolved(source)) => return Err(BindError::Unresolved { address, source }),
        Err(ResolveError::NotLocal(ip)) => return Err(BindError::NotLocal { address, ip }),
    };
    let bound = TcpListener::bind(&sockets[..]).await.and_then(|socket| Ok((socket.local_addr()?, socket)));
    match bound {
        Ok((local, socket)) => Ok((Socket::Tcp(socket), local.into())),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(BindError::InUse { address }),
        Err(source) => Err(BindError::Listen { address, source }),
    }
}

/// Nobody can connect before `listen`, so there is no moment in which the socket is open to others.
async fn bind_unix(address: &Address, path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source| BindError::Listen { address: address.clone(), source };
    remove_dead_socket(address, path).await?;
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(path).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address: address.clone() },
        _ => failed(error),
    })?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(SOCKET_MODE)).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)
}

/// Makes way at `path`, if what is there is a socket on which nobody answers.
async fn remove_dead_socket(address: &Address, path: &Path) -> Result<(), BindError> {
    let address = || address.clone();
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotSocket { address: address() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BindError::Listen { address: address(), source }),
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Somebody answered, or was too busy to: either way, somebody is there.
        Ok(_) => return Err(BindError::InUse { address: address() }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(BindError::InUse { address: address() });
        }
        Err(source) => return Err(BindError::Listen { address: address(), source }),
    }
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BindError::RemoveDead { address: address(), source })
        }
        _ => Ok(()),
    }
}
