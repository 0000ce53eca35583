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
use understudy_model::Identity;

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
    /// Somebody else answers there than who was called.
    #[error("{why}")]
    Stranger {
        /// Who, and who was expected.
        why: String,
    },
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

    /// Whether some address answered, and TLS failed there or somebody else answered: a program runs, and one of the two ends
    /// does not want the other.
    pub fn is_unwelcome(&self) -> bool {
        let unwelcome =
            |failure: &DialFailure| matches!(failure, DialFailure::Tls(_) | DialFailure::Stranger { .. });
        self.tried.iter().any(|(_, failure)| unwelcome(failure))
    }

    /// One word for counters: the most that some address said of it.
    pub fn word(&self) -> &'static str {
        let tls = self.tried.iter().find_map(|(_, failure)| match failure {
            DialFailure::Tls(tls) => Some(tls.word),
            DialFailure::Stranger { .. } => Some("other-certificate"),
            _ => None,
        });
        match tls {
            Some(word) => word,
            None if self.is_refused() => "nobody-listens",
            None if self.is_silent() => "silent",
            None => "not-dialed",
        }
    }

    /// Whether some address was silent, and nothing at all was heard from any. A name that is not resolved says nothing, and
    /// takes nothing from what the others say.
    pub fn is_silent(&self) -> bool {
        let silent = |failure: &DialFailure| {
            matches!(failure, DialFailure::Silent { .. } | DialFailure::Unreachable(_))
        };
        let mute = |failure: &DialFailure| silent(failure) || matches!(failure, DialFailure::Unresolved(_));
        self.tried.iter().any(|(_, failure)| silent(failure))
            && self.tried.iter().all(|(_, failure)| mute(failure))
    }

    /// Whether no name gave an address, and nothing else was tried: nothing was asked of the host.
    pub fn is_unresolved(&self) -> bool {
        let unresolved = |failure: &DialFailure| matches!(failure, DialFailure::Unresolved(_));
        !self.tried.is_empty() && self.tried.iter().all(|(_, failure)| unresolved(failure))
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

/// Connects to the first address that answers. Each has `limit` to itself, the handshake of TLS included, and so has every
/// address behind a name, and the name's resolution: an address at which nobody answers does not stand before the next.
pub async fn dial(
    addresses: &[Address],
    limit: Duration,
    security: &Security,
) -> Result<Connection, DialError> {
    dial_whom(addresses, limit, security, |_| None).await.map(|(_, connection)| connection)
}

/// As [`dial`], and whoever is not wanted, as `stranger` says of the identity in the peer's certificate, only ends the try of
/// that address. Gives the index of the address that answered, too.
pub async fn dial_whom(
    addresses: &[Address],
    limit: Duration,
    security: &Security,
    stranger: impl Fn(Option<&Identity>) -> Option<String>,
) -> Result<(usize, Connection), DialError> {
    let welcome = |connection: Connection| match stranger(connection.identity()) {
        None => Ok(connection),
        Some(why) => Err(DialFailure::Stranger { why }),
    };
    let mut tried = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        match dial_one(address, limit, security, &welcome).await {
            Ok(connection) => return Ok((index, connection)),
            Err(failure) => tried.push((address.clone(), failure)),
        }
    }
    Err(DialError { tried })
}

async fn dial_one(
    address: &Address,
    limit: Duration,
    security: &Security,
    welcome: &impl Fn(Connection) -> Result<Connection, DialFailure>,
) -> Result<Connection, DialFailure> {
    match address {
        Address::Tcp { host, port } => dial_tcp(host, *port, limit, security, welcome).await,
        Address::Unix(path) => within(limit, dial_unix(path)).await,
    }
}

/// Nothing heard in time is a failure of its own.
async fn within<T>(
    limit: Duration,
    act: impl Future<Output = Result<T, DialFailure>>,
) -> Result<T, DialFailure> {
    tokio::time::timeout(limit, act).await.unwrap_or(Err(DialFailure::Silent { limit }))
}

async fn dial_tcp(
    host: &str,
    port: u16,
    limit: Duration,
    security: &Security,
    welcome: &impl Fn(Connection) -> Result<Connection, DialFailure>,
) -> Result<Connection, DialFailure> {
    // A resolver that does not answer says nothing of the host.
    let resolved = tokio::time::timeout(limit, resolve(host, port, security));
    let slow = |_| DialFailure::Unresolved(io::ErrorKind::TimedOut.into());
    let sockets = resolved.await.map_err(slow)?.map_err(|error| match error {
        ResolveError::Unresolved(source) => DialFailure::Unresolved(source),
        ResolveError::NotLocal(ip) => DialFailure::NotLocal { ip },
    })?;
    let mut last = None;
    for socket in sockets {
        match within(limit, connect_tcp(socket, security)).await.and_then(welcome) {
            Ok(connection) => return Ok(connection),
            // One refusal of a name with several addresses says more than another's failure.
            Err(_) if last.as_ref().is_some_and(says_much) => {}
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.unwrap_or_else(|| DialFailure::Unresolved(io::ErrorKind::NotFound.into())))
}

/// Whether somebody was heard there.
fn says_much(failure: &DialFailure) -> bool {
    matches!(failure, DialFailure::Refused(_) | DialFailure::Tls(_) | DialFailure::Stranger { .. })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_resolved_is_no_silence_and_hides_none() {
        let address: Address = "192.0.2.1:1".parse().unwrap();
        let silent = || DialFailure::Silent { limit: Duration::from_secs(2) };
        let unresolved = || DialFailure::Unresolved(io::ErrorKind::NotFound.into());
        let refused = || DialFailure::Refused(io::ErrorKind::ConnectionRefused.into());
        let is_silent = |failures: Vec<DialFailure>| {
            DialError { tried: failures.into_iter().map(|one| (address.clone(), one)).collect() }.is_silent()
        };
        assert!(is_silent(vec![silent(), unresolved()]));
        assert!(!is_silent(vec![unresolved()]));
        assert!(!is_silent(vec![silent(), refused()]));
        assert!(!is_silent(Vec::new()));
        let is_unresolved = |failures: Vec<DialFailure>| {
            DialError { tried: failures.into_iter().map(|one| (address.clone(), one)).collect() }
                .is_unresolved()
        };
        assert!(is_unresolved(vec![unresolved(), unresolved()]));
        assert!(!is_unresolved(vec![unresolved(), silent()]) && !is_unresolved(Vec::new()));
    }
}
