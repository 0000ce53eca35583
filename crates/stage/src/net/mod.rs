//! Hosts with networks of their own on one machine: each in a network namespace without a name, joined by a switch in this
//! program that cuts, delays and loses, each direction for itself.
//!
//! It knows addresses and interfaces, and nothing of clusters. The law: the machine's own network is never touched, and the
//! kernel takes everything away when this program and what it started have ended, however they end.

mod kernel;
mod lane;
mod place;
mod switch;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use lane::Lane;
pub use place::Place;
use switch::Switch;
use tempfile::TempDir;

use crate::stage::GROUND_PREFIX;
use crate::{Host, StageError};

/// Each station's only interface, beside its loopback.
const INTERFACE: &str = "eth0";

/// Who has a network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Station {
    /// A host with an agent.
    Host(Host),
    /// The host of the control server.
    Server,
    /// Where clients are.
    Client,
}

impl Station {
    /// All of them.
    pub const ALL: [Station; 4] =
        [Station::Host(Host::Alpha), Station::Host(Host::Beta), Station::Server, Station::Client];

    fn index(self) -> usize {
        match self {
            Station::Host(Host::Alpha) => 0,
            Station::Host(Host::Beta) => 1,
            Station::Server => 2,
            Station::Client => 3,
        }
    }

    /// Its name, which every other station can resolve with a domain: see [`Station::domain_name`].
    pub fn name(self) -> &'static str {
        match self {
            Station::Host(host) => host.name(),
            Station::Server => "server",
            Station::Client => "client",
        }
    }

    /// The name by which it is found in every station's `/etc/hosts`.
    pub fn domain_name(self) -> String {
        format!("{}.stage.test", self.name())
    }

    fn number(self) -> u8 {
        match self {
            Station::Host(Host::Alpha) => 11,
            Station::Host(Host::Beta) => 12,
            Station::Server => 1,
            Station::Client => 2,
        }
    }

    /// Its IPv4 address.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.number())
    }

    /// Its IPv6 address.
    pub fn address6(self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, u16::from(self.number()))
    }
}

/// Four stations that hear each other.
#[derive(Debug)]
pub struct Network {
    // First, so that it stands still before the places are gone.
    switch: Switch,
    places: [Arc<Place>; 4],
    names: PathBuf,
    // Last, as it holds the names.
    _directory: TempDir,
}

impl Network {
    /// Why there can be no such networks here; none if there can.
    pub fn is_impossible() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("only root may make network namespaces".to_owned());
        }
        if !Path::new(kernel::TUN).exists() {
            return Some(format!("there is no {}, with which interfaces are made", kernel::TUN));
        }
        let found = |program: &str| {
            std::env::var_os("PATH")
                .is_some_and(|path| std::env::split_paths(&path).any(|one| one.join(program).is_file()))
        };
        let missing: Vec<&str> = ["ip", "nft", "mount"].into_iter().filter(|name| !found(name)).collect();
        if !missing.is_empty() {
            return Some(format!("{} not found; on Debian: iproute2, nftables, mount", missing.join(", ")));
        }
        std::thread::spawn(kernel::leave_for_own_network).join().map_or_else(
            |_| Some("a thread has panicked".to_owned()),
            |left| left.err().map(|e| e.to_string()),
        )
    }

    /// Sets it up; `seed` is for losses and delays.
    pub fn set_up(seed: u64) -> Result<Self, StageError> {
        let directory = tempfile::Builder::new().prefix(GROUND_PREFIX).tempdir();
        let directory = directory.map_err(StageError::system("make a directory for names"))?;
        let names = directory.path().join("hosts");
        fs::write(&names, "").map_err(StageError::file("write", &names))?;
        let mut ports = Vec::new();
        let mut open = |station: Station| -> Result<Arc<Place>, StageError> {
            let place = Place::open(station.name(), &names)?;
            let made = place.run(|| kernel::make_interface(INTERFACE))?;
            ports.push(made.map_err(StageError::system("make an interface"))?);
            place.command("ip", &["link", "set", "lo", "up"])?;
            let addresses = [format!("{}/24", station.address()), format!("{}/64", station.address6())];
            place.command("ip", &["address", "add", &addresses[0], "dev", INTERFACE])?;
            // Nobody else can have it, so it is not asked for first.
            place.command("ip", &["address", "add", &addresses[1], "dev", INTERFACE, "nodad"])?;
            place.command("ip", &["link", "set", INTERFACE, "up"])?;
            Ok(Arc::new(place))
        };
        let [alpha, beta, server, client] = Station::ALL.map(&mut open);
        let places = [alpha?, beta?, server?, client?];
        let network = Self { switch: Switch::between(ports, seed)?, places, names, _directory: directory };
        network.name_all(&[])?;
        Ok(network)
    }

    /// Where something can be done or started.
    pub fn place(&self, station: Station) -> &Arc<Place> {
        &self.places[station.index()]
    }

    /// Moves frames in time also where no core is free.
    pub fn make_urgent(&self) -> Result<(), StageError> {
        self.switch.make_urgent()
    }

    /// How frames from the one to the other fare from now on.
    pub fn set(&self, from: Station, to: Station, lane: Lane) {
        self.switch.set(from.index(), to.index(), lane);
    }

    /// The same in both directions.
    pub fn set_between(&self, one: Station, other: Station, lane: Lane) {
        self.set(one, other, lane);
        self.set(other, one, lane);
    }

    /// The same between one and all others, in both directions.
    pub fn set_around(&self, station: Station, lane: Lane) {
        for other in Station::ALL.into_iter().filter(|other| *other != station) {
            self.set_between(station, other, lane);
        }
    }

    /// Everything passes again.
    pub fn heal(&self) {
        for station in Station::ALL {
            self.set_around(station, Lane::default());
        }
    }

    /// A firewall at one station in place of the one that was there. Each rule is in the words of `nft`, after the hook at which
    /// it stands (`input`, `output`); none: no firewall.
    pub fn firewall(&self, station: Station, rules: &[(&str, &str)]) -> Result<(), StageError> {
        let mut text = "flush ruleset\n".to_owned();
        if !rules.is_empty() {
            text += "table inet stage {\n";
            for (number, (hook, rule)) in rules.iter().enumerate() {
                text += &format!("chain c{number} {{\ntype filter hook {hook} priority 0\n{rule}\n}}\n");
            }
            text += "}\n";
        }
        self.place(station).command_with("nft", &["-f", "-"], &text).map(drop)
    }

    /// Writes everybody's names anew. `other` says what a name means otherwise: several addresses are tried in their order.
    pub fn name_all(&self, other: &[(Station, Vec<IpAddr>)]) -> Result<(), StageError> {
        let mut text = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
        for station in Station::ALL {
            let said =
                other.iter().find(|(named, _)| *named == station).map(|(_, addresses)| addresses.clone());
            let addresses = said.unwrap_or_else(|| vec![station.address().into(), station.address6().into()]);
            for address in addresses {
                text += &format!("{address} {}\n", station.domain_name());
            }
        }
        // In its place, as it is this file that every station sees.
        fs::write(&self.names, text).map_err(StageError::file("write", &self.names))
    }
}

#[cfg(test)]
mod tests;
