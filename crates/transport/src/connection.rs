//! A connected stream and who is at its other end.
//!
//! Knows nothing of how it came to be. The law: a connection is split once, into one sending and one receiving end, each
//! of which has one owner.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, ServerConnection};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use understudy_addp::{Addp, Settings};
use understudy_model::Identity;
use understudy_wire::Message;

use crate::certificate::Certified;
use crate::pulse::Pulse;
use crate::receive::Receiver;
use crate::security::Security;
use crate::send::{self, Sender};
use crate::stream::{Socket, Stream};

/// A peer whose machine vanished is found by the system after about two minutes, where ADDP does not find it sooner.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// A link that was dialed and on which nothing was said yet. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Peer,
    certified: Option<Certified>,
}

/// Which end of a connection this is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Dialed,
    Accepted,
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
    /// Readies a TCP stream: small frames leave at once. With TLS, the handshake is still to be done.
    pub(crate) fn over_tcp(stream: tokio::net::TcpStream, security: &Security, end: End) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE)?;
        let address = stream.peer_addr()?;
        let socket = Socket::Tcp(stream);
        let stream = match security {
            Security::Plain => Stream::plain(socket),
            Security::Tls(credentials) => {
                let tls = match end {
                    // The name plays no part: peers are known by the identity in their certificates.
                    End::Dialed => {
                        let name = ServerName::IpAddress(address.ip().into());
                        ClientConnection::new(credentials.client(), name).map(Into::into)
                    }
                    End::Accepted => ServerConnection::new(credentials.server()).map(Into::into),
                };
                Stream::with_tls(socket, tls.map_err(io::Error::other)?)
            }
        };
        Ok(Self { stream, peer: Peer::Tcp(address), certified: None })
    }

    /// Readies a Unix stream.
    pub(crate) fn over_unix(stream: tokio::net::UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        let peer = Peer::Unix { pid, uid: credentials.uid(), gid: credentials.gid() };
        Ok(Self { stream: Stream::plain(Socket::Unix(stream)), peer, certified: None })
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Does the handshake of TLS, if there is TLS, and learns who the peer is. Takes as long as the peer does.
    pub(crate) async fn shake_hands(&mut self) -> io::Result<()> {
        self.stream.shake_hands().await?;
        let certified = self.stream.look(|tls| {
            let chain = tls.peer_certificates().unwrap_or_default();
            chain.first().map(|own| Certified::read(own).map_err(io::Error::other))
        });
        self.certified = certified.flatten().transpose()?;
        Ok(())
    }

    /// Lets a peer whose handshake failed hear why.
    pub(crate) async fn let_down(&self) {
        self.stream.finish();
        // Nothing depends on it: a peer that does not listen has had its chance.
        let _ = tokio::time::timeout(Duration::from_millis(200), self.stream.drain(64 * 1024)).await;
    }

    /// Who is at the other end, as its certificate says; `None` on a plain link.
    pub fn identity(&self) -> Option<&Identity> {
        self.certified.as_ref().map(|certified| &certified.identity)
    }

    /// Both ends. Starts the writer task, so it must be called inside a tokio runtime.
    pub fn split<Out: Message, In: Message>(self) -> (Sender<Out>, Receiver<In>) {
        self.ends()
    }

    /// The same while it is not known yet what will be said.
    pub(crate) fn ends<Out, In>(self) -> (Sender<Out>, Receiver<In>) {
        let (link, _) = Addp::new(understudy_drive::now(), Settings::OFF);
        let pulse = Pulse::of(&link);
        let stream = Arc::new(self.stream);
        let (sender, outbox) = send::start(Arc::clone(&stream), pulse.clone());
        (sender, Receiver::new(stream, outbox, (link, pulse), (self.peer, self.certified)))
    }
}
