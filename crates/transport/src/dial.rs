//! Connecting to a peer: its addresses in turn, each with its own result.
//!
//! Remembers nothing between two calls: names are resolved again every time. The law: *refused* is kept apart from
//! *silent*. A machine that refuses lives, and only its program does not listen; silence says nothing of the machine.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::address::Address;
use crate::connection::{Connection, End};
use crate::resolve::{ResolveError, resolve};
use crate::security::{Security, TlsFailure};

/// Why no address gave a connection.
#[derive(Debug)]
pub struct DialError {
    /// Each address that was tried, in order, and what became of it. Empty if there was none to try.
    pub tried: Vec<(Address, DialFailure)>,
}

/// What became of one address.
#[derive(Debug, thiserror::Error)]
pub enum DialFailure {
    /// The machine answered that nobody listens there. For a Unix socket also: there is none.
    #[error("refused")]
    Refused(#[source] io::Error),
    /// Nothing was heard in time.
    #[error("no answer within {limit:?}")]
    Silent {
        /// How long was waited.
        limit: Duration,
    },
    /// The network knows no way there now.
    #[error("unreachable")]
    Unreachable(#[source] io::Error),
    /// The host's name gave no address.
    #[error("its name is not resolved")]
    Unresolved(#[source] io::Error),
    /// The machine and a program there answer, but TLS failed.
    #[error("{0}")]
    Tls(TlsFailure),
    /// Plain links never leave the machine.
    #[error(
        "{ip} is not a loopback address, and links without TLS never leave the machine: add [tls] to the settings"
    )]
    NotLocal {
        /// What the host resolved to.
        ip: IpAddr,
    },
    /// Something else, on this machine: no permission, no free port.
    #[error("not tried to the end")]
    Failed(#[source] io::Error),
}

impl DialError {
    /// Whether some address refused: the machine lives, the program does not listen.
    pub fn is_refused(&self) -> bool {
        self.tried.iter().any(|(_, failure)| matches!(failure, DialFailure::Refused(_)))
    }

    /// Whether some address answered, and TLS failed there: the program runs, and one of the two ends does not believe the
    /// other.
    pub fn is_unwelcome(&self) -> bool {
        self.tried.iter().any(|(_, failure)| matches!(failure, DialFailure::Tls(_)))
    }

    /// Whether there were addresses, and nothing at all was heard from any.
    pub fn is_silent(&self) -> bool {
        let silent = |failure: &DialFailure| {
            matches!(failure, DialFailure::Silent { .. } | DialFailure::Unreachable(_))
        };
        !self.tried.is_empty() && self.tried.iter().all(|(_, failure)| silent(failure))
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tried.is_empty() {
            return write!(f, "there is no address to connect to");
        }
        write!(f, "not connected:")?;
        for (index, (address, failure)) in self.tried.iter().enumerate() {
            write!(f, "{} {address}: {failure}", if index == 0 { "" } else { ";" })?;
            let mut cause = std::error::Error::source(failure);
            while let Some(error) = cause {
                write!(f, " ({error})")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

impl std::error::Error for DialError {}

/// Connects to the first address that answers. Each address has `limit` to itself, its name's resolution and the handshake of
/// TLS included.
pub async fn dial(
    addresses: &[Address],
    limit: Duration,
    security: &Security,
) -> Result<Connection, DialError> {
    let mut tried = Vec::new();
    for address in addresses {
        let result = tokio::time::timeout(limit, dial_one(address, security)).await;
        match result.unwrap_or(Err(DialFailure::Silent { limit })) {
            Ok(connection) => return Ok(connection),
            Err(failure) => tried.push((address.clone(), failure)),
        }
    }
    Err(DialError { tried })
}

async fn dial_one(address: &Address, security: &Security) -> Result<Connection, DialFailure> {
    match address {
        Address::Tcp { host, port } => dial_tcp(host, *port, security).await,
        Address::Unix(path) => dial_unix(path).await,
    }
}

async fn dial_tcp(host: &str, port: u16, security: &Security) -> Result<Connection, DialFailure> {
    let sockets = resolve(host, port, security).await.map_err(|error| match error {
        ResolveError::Unresolved(source) => DialFailure::Unresolved(source),
        ResolveError::NotLocal(ip) => DialFailure::NotLocal { ip },
    })?;
    let mut last = None;
    for socket in sockets {
        match connect_tcp(socket, security).await {
            Ok(connection) => return Ok(connection),
            // One refusal of a name with several addresses says more than another's failure.
            Err(_) if matches!(last, Some(DialFailure::Refused(_) | DialFailure::Tls(_))) => {}
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.unwrap_or_else(|| DialFailure::Unresolved(io::ErrorKind::NotFound.into())))
}

async fn connect_tcp(socket: SocketAddr, security: &Security) -> Result<Connection, DialFailure> {
    let stream = TcpStream::connect(socket).await.map_err(classify)?;
    // With nobody listening, a local port that the system happens to pick for the call may be the one that is called;
    // TCP then connects the socket with itself.
    if stream.local_addr().map_err(DialFailure::Failed)? == socket {
        return Err(DialFailure::Refused(io::Error::other("the call only reached itself")));
    }
    let connection = Connection::over_tcp(stream, security, End::Dialed);
    let mut connection = connection.map_err(DialFailure::Failed)?;
    connection.shake_hands().await.map_err(|error| match TlsFailure::behind(&error) {
        Some(failure) => DialFailure::Tls(failure),
        // It took the call and hung up: something lives there.
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            let text = "the peer hung up during the handshake of TLS".to_owned();
            DialFailure::Tls(TlsFailure { word: "tls-hung-up", text })
        }
        None => classify(error),
    })?;
    Ok(connection)
}

async fn dial_unix(path: &Path) -> Result<Connection, DialFailure> {
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DialFailure::Refused(error),
        _ => classify(error),
    })?;
    Connection::over_unix(stream).map_err(DialFailure::Failed)
}

fn classify(error: io::Error) -> DialFailure {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused | Kind::ConnectionReset => DialFailure::Refused(error),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown | Kind::TimedOut => {
            DialFailure::Unreachable(error)
        }
        _ => DialFailure::Failed(error),
    }
}
