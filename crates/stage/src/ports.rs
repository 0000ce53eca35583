//! Ports that nobody uses.
//!
//! It knows addresses and nothing of what will listen there. The law: only below the range from which systems take
//! ports for outgoing connections, so that a daemon that comes back finds its port free.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use crate::StageError;

const LOWEST: u16 = 20_000;
const COUNT: u16 = 12_000;
const MOST_TRIES: u32 = 1_000;

/// Gives out ports, none of them twice.
#[derive(Debug, Default)]
pub struct Ports {
    given: BTreeSet<u16>,
}

impl Ports {
    /// A port that was free on `address` a moment ago.
    pub fn free_on(&mut self, address: Ipv4Addr) -> Result<u16, StageError> {
        for _ in 0..MOST_TRIES {
            let random = getrandom::u32().map_err(|error| {
                StageError::Unexpected(format!("the system has no random number: {error}"))
            })?;
            // A remainder below `COUNT` fits.
            let port = LOWEST + u16::try_from(random % u32::from(COUNT)).unwrap_or(0);
            if !self.given.contains(&port) && TcpListener::bind((address, port)).is_ok() {
                self.given.insert(port);
                return Ok(port);
            }
        }
        Err(StageError::NoPort { address: address.to_string(), tries: MOST_TRIES })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_different() {
        let mut ports = Ports::default();
        let given: BTreeSet<u16> = (0..20).map(|_| ports.free_on(Ipv4Addr::LOCALHOST).unwrap()).collect();
        assert_eq!(given.len(), 20);
        assert!(given.iter().all(|port| (LOWEST..LOWEST + COUNT).contains(port)));
    }
}
