//! Whether an address belongs to this machine.
//!
//! It knows no peers and resolves no names. The law: a loopback address says nothing, as every machine has it.

use std::net::{IpAddr, UdpSocket};

use crate::address::Address;

/// Whether this machine has the address. Loopback addresses and names that are not addresses say nothing: false. A
/// system that lets programs bind foreign addresses answers true for those as well.
pub fn is_of_this_machine(address: &Address) -> bool {
    let Address::Tcp { host, .. } = address else { return false };
    let Ok(ip) = host.parse::<IpAddr>() else { return false };
    // A datagram socket sends nothing by being bound.
    !ip.is_loopback() && !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_and_foreign_addresses_are_not_of_this_machine() {
        for text in ["127.0.0.1:4999", "[::1]:4999", "no-such-name.example:4999", "192.0.2.1:4999", "unix:/x"]
        {
            assert!(!is_of_this_machine(&text.parse().unwrap()), "{text}");
        }
    }
}
