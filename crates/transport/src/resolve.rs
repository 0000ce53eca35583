//! From a TCP address to the socket addresses behind it.
//!
//! Remembers nothing: a name is resolved again every time. The law: without TLS, one address that is not loopback refuses
//! the name, because plain bytes never leave the machine.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::address::stays_here;
use crate::security::Security;

/// The most addresses of one name that are tried.
const MOST_RESOLVED: usize = 16;

/// Why a host gave no address to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("its name is not resolved")]
    Unresolved(#[source] io::Error),
    #[error("{0} is not a loopback address")]
    NotLocal(IpAddr),
}

/// Every address of the host, in the resolver's order; never an empty list. An IP address needs no resolver.
pub(crate) async fn resolve(
    host: &str,
    port: u16,
    security: &Security,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => {
            let answer = tokio::net::lookup_host((host, port)).await.map_err(ResolveError::Unresolved)?;
            answer.take(MOST_RESOLVED).collect()
        }
    };
    if found.is_empty() {
        return Err(ResolveError::Unresolved(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )));
    }
    let plain = matches!(security, Security::Plain);
    match found.iter().find(|socket| plain && !stays_here(socket.ip())) {
        Some(away) => Err(ResolveError::NotLocal(away.ip())),
        None => Ok(found),
    }
}
