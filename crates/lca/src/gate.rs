//! Who is let in where the agent listens, before anything is spent on them: everybody at once, until they come too fast.
//!
//! Refuses to know what is spoken, and reads no clock. The law: nobody waits for others who come too fast. Who is known by
//! address has a pace of its own; strangers have one each and one together; a process of this host has one of its own.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use understudy_drive::{Pace, Paces};
use understudy_model::Moment;
use understudy_transport::{Admission, Peer};

/// Most addresses and processes that are told apart at one place.
const MOST_TOLD_APART: usize = 1_024;

/// The paces at one place.
#[derive(Debug)]
pub struct Gate {
    known: Paces<IpAddr>,
    stranger: Paces<IpAddr>,
    strangers: Pace,
    process: Paces<u32>,
}

impl Default for Gate {
    fn default() -> Self {
        // Those for whom there is no room to be told apart share what one of them would have.
        let paces = |each: Pace| (MOST_TOLD_APART, each.clone(), each);
        let (most, each, rest) = paces(Pace::new(256, 250));
        let known = Paces::new(most, each, rest);
        let (most, each, rest) = paces(Pace::new(128, 50));
        let stranger = Paces::new(most, each, rest);
        let (most, each, rest) = paces(Pace::new(64, 25));
        let process = Paces::new(most, each, rest);
        Self { known, stranger, strangers: Pace::new(256, 250), process }
    }
}

impl Gate {
    /// How whoever connects now is taken; `knows` says which addresses are known.
    pub fn admit(&mut self, peer: &Peer, knows: impl FnOnce(IpAddr) -> bool, now: Moment) -> Admission {
        let (allowed, as_whom) = match peer {
            Peer::Tcp(from) => {
                let ip = from.ip().to_canonical();
                if knows(ip) {
                    (self.known.allows(ip, now), Admission::Known)
                } else {
                    // First its own, so that one who floods takes nothing of what all strangers share.
                    let allowed = self.stranger.allows(network(ip), now) && self.strangers.allows(now);
                    (allowed, Admission::Stranger)
                }
            }
            Peer::Unix { pid, .. } => (self.process.allows(pid.unwrap_or(0), now), Admission::Stranger),
        };
        if allowed { as_whom } else { Admission::TurnedAway }
    }
}

/// All that one holder of addresses has at its choice counts as one.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

/// The addresses from which somebody came who was welcome, the latest last.
#[derive(Debug)]
pub struct Welcomed {
    most: usize,
    addresses: Mutex<VecDeque<IpAddr>>,
}

impl Welcomed {
    /// None yet; the last `most` are remembered.
    pub fn new(most: usize) -> Self {
        Self { most, addresses: Mutex::default() }
    }

    /// Remembers where somebody came from who has shown who it is.
    pub fn remember(&self, peer: &Peer) {
        let Peer::Tcp(from) = peer else { return };
        let ip = from.ip().to_canonical();
        // Every change is one removal or insertion, so a poisoned lock still guards a whole list.
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.retain(|known| *known != ip);
        if addresses.len() >= self.most {
            addresses.pop_front();
        }
        addresses.push_back(ip);
    }

    /// Whether somebody came from there.
    pub fn knows(&self, ip: IpAddr) -> bool {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).contains(&ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn from(ip: &str) -> Peer {
        Peer::Tcp((ip.parse::<IpAddr>().unwrap(), 40_000).into())
    }

    /// The moments of ten seconds, so many a second.
    fn moments(a_second: u64) -> impl Iterator<Item = Moment> {
        let begin = Moment(5_000_000_000);
        (0..10 * a_second).map(move |number| begin + Duration::from_secs(1) / a_second as u32 * number as u32)
    }

    #[test]
    fn a_known_peer_is_taken_in_while_strangers_flood() {
        let (mut gate, peer) = (Gate::default(), "10.0.0.2".parse::<IpAddr>().unwrap());
        let knows = |ip: IpAddr| ip == peer;
        let mut taken = 0;
        for (number, now) in moments(10_000).enumerate() {
            // From more addresses than are told apart.
            let stranger = from(&format!("10.1.{}.{}", number / 250 % 250, number % 250));
            taken += usize::from(gate.admit(&stranger, knows, now) == Admission::Stranger);
            if number % 100 == 0 {
                assert_eq!(gate.admit(&from("10.0.0.2"), knows, now), Admission::Known, "{number}");
            }
        }
        assert!((2_000..=2_760).contains(&taken), "{taken}");
    }

    #[test]
    fn one_stranger_who_floods_keeps_no_other_out() {
        let mut gate = Gate::default();
        let mut taken = 0;
        for (number, now) in moments(1_000).enumerate() {
            let flood = from(&format!("fd00::{:x}", number + 1));
            taken += usize::from(gate.admit(&flood, |_| false, now) == Admission::Stranger);
            if number % 500 == 0 {
                assert_eq!(gate.admit(&from("10.0.0.3"), |_| false, now), Admission::Stranger, "{number}");
            }
        }
        assert!((490..=640).contains(&taken), "{taken}");
    }

    #[test]
    fn a_process_that_connects_in_a_loop_keeps_no_other_out() {
        let mut gate = Gate::default();
        let process = |pid| Peer::Unix { pid: Some(pid), uid: 0, gid: 0 };
        let mut taken = 0;
        for (number, now) in moments(1_000).enumerate() {
            taken += usize::from(gate.admit(&process(7), |_| false, now) == Admission::Stranger);
            if number % 100 == 0 {
                assert_eq!(gate.admit(&process(8), |_| false, now), Admission::Stranger, "{number}");
            }
        }
        assert!((240..=320).contains(&taken), "{taken}");
    }

    #[test]
    fn the_last_who_were_welcome_are_known() {
        let welcomed = Welcomed::new(2);
        for ip in ["10.0.0.1", "10.0.0.2", "::ffff:10.0.0.1", "10.0.0.3"] {
            welcomed.remember(&from(ip));
        }
        let known = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|ip| welcomed.knows(ip.parse().unwrap()));
        assert_eq!(known, [true, false, true]);
    }
}
