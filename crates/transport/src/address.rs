//! Where a program listens, as text in settings: `HOST:PORT`, `[IPV6]:PORT` or `unix:/PATH`.
//!
//! Knows nothing of whether a name resolves. The law: what is displayed can be parsed again and means the same.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// The longest path of a Unix socket, in bytes: what the system's address has room for, less its final zero.
pub const LONGEST_SOCKET_PATH_BYTES: usize = 107;

/// The longest host name, in bytes.
const LONGEST_HOST_BYTES: usize = 253;

/// One place to listen at, or to dial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// TCP. The host is a name or an IP address without brackets.
    Tcp {
        /// Name or IP address.
        host: String,
        /// 0 only for listening: any free port.
        port: u16,
    },
    /// A Unix socket, by absolute path.
    Unix(PathBuf),
}

/// Why a text is not an address. Nothing was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No colon and number at its end.
    #[error("{text:?} has no port; HOST:PORT, [IPV6]:PORT or unix:/PATH is expected")]
    NoPort {
        /// What was found.
        text: String,
    },
    /// Not 0 to 65535.
    #[error("{port:?} in {text:?} is not a port, 0 to 65535")]
    BadPort {
        /// The whole address.
        text: String,
        /// The port in it.
        port: String,
    },
    /// Empty, too long, or with characters that no host has.
    #[error(
        "{host:?} in {text:?} is not a host: a name, an IPv4 address or an IPv6 address in brackets is expected"
    )]
    BadHost {
        /// The whole address.
        text: String,
        /// The host in it.
        host: String,
    },
    /// Relative, empty, or with a control character in it.
    #[error("the path in {text:?} must be absolute, without control characters")]
    BadPath {
        /// The whole address.
        text: String,
    },
    /// Longer than the system allows.
    #[error("the path in {text:?} has {bytes} bytes, at most {LONGEST_SOCKET_PATH_BYTES} are allowed")]
    LongPath {
        /// The whole address.
        text: String,
        /// Length of the path.
        bytes: usize,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some(path) => parse_unix(text, path),
            None => parse_tcp(text),
        }
    }
}

fn parse_unix(text: &str, path: &str) -> Result<Address, AddressError> {
    if !path.starts_with('/') || path.ends_with('/') || path.contains(char::is_control) {
        return Err(AddressError::BadPath { text: text.to_owned() });
    }
    if path.len() > LONGEST_SOCKET_PATH_BYTES {
        return Err(AddressError::LongPath { text: text.to_owned(), bytes: path.len() });
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

fn parse_tcp(text: &str) -> Result<Address, AddressError> {
    let bad_host = |host: &str| AddressError::BadHost { text: text.to_owned(), host: host.to_owned() };
    let (host, port) = text.rsplit_once(':').ok_or_else(|| AddressError::NoPort { text: text.to_owned() })?;
    // `[::1]` alone splits at its last colon: it is a host whose port is missing.
    if port.ends_with(']') {
        return Err(AddressError::NoPort { text: text.to_owned() });
    }
    let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(Some(inner)) => inner.parse::<Ipv6Addr>().map_err(|_| bad_host(host))?.to_string(),
        Some(None) => return Err(bad_host(host)),
        None if is_host(host) => host.to_owned(),
        None => return Err(bad_host(host)),
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits => Ok(Address::Tcp { host, port }),
        _ => Err(AddressError::BadPort { text: text.to_owned(), port: port.to_owned() }),
    }
}

fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.len() <= LONGEST_HOST_BYTES && host.bytes().all(plain)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.parse::<Ipv6Addr>().is_ok() => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(socket: std::net::SocketAddr) -> Self {
        Address::Tcp { host: socket.ip().to_string(), port: socket.port() }
    }
}

/// Whether plain bytes to this address stay on this machine. An IPv4 address inside an IPv6 one counts as itself.
pub(crate) fn stays_here(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_shown_as_they_were_written() {
        for text in ["127.0.0.11:4999", "[::1]:4999", "localhost:0", "unix:/run/understudy/lca.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[0:0::1]:7".parse::<Address>().unwrap().to_string(), "[::1]:7");
    }

    #[test]
    fn each_fault_is_named() {
        let fault = |text: &str| text.parse::<Address>().unwrap_err();
        assert!(matches!(fault("localhost"), AddressError::NoPort { .. }));
        assert!(matches!(fault("[::1]"), AddressError::NoPort { .. }));
        assert!(matches!(fault("localhost:65536"), AddressError::BadPort { .. }));
        assert!(matches!(fault("localhost:+1"), AddressError::BadPort { .. }));
        assert!(matches!(fault("localhost:"), AddressError::BadPort { .. }));
        assert!(matches!(fault(":1"), AddressError::BadHost { .. }));
        assert!(matches!(fault("::1:4999"), AddressError::BadHost { .. }));
        assert!(matches!(fault("[::1:4999"), AddressError::BadHost { .. }));
        assert!(matches!(fault("[localhost]:1"), AddressError::BadHost { .. }));
        assert!(matches!(fault("a b:1"), AddressError::BadHost { .. }));
        assert!(matches!(fault("unix:relative"), AddressError::BadPath { .. }));
        assert!(matches!(fault("unix:"), AddressError::BadPath { .. }));
        // Found by changing kept inputs: it would be shown in logs as it is.
        assert!(matches!(fault("unix:/run/\u{1b}[2J"), AddressError::BadPath { .. }));
        let long = format!("unix:/{}", "a".repeat(LONGEST_SOCKET_PATH_BYTES));
        assert!(matches!(fault(&long), AddressError::LongPath { bytes: 108, .. }));
    }

    #[test]
    fn only_loopback_stays_here() {
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(stays_here(here.parse().unwrap()), "{here}");
        }
        for away in ["0.0.0.0", "::", "10.77.0.11", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!stays_here(away.parse().unwrap()), "{away}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_address_that_reads_back_or_an_error(text in "(unix:)?[\\[\\]:./a-z0-9]{0,24}") {
            if let Ok(address) = text.parse::<Address>() {
                proptest::prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
            }
        }
    }
}
