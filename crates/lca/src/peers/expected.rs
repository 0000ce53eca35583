//! From which addresses the agents of peers may come, before any of them came.
//!
//! Refuses to believe anything because of it: who comes from there is only let in sooner. The law: a name that is not resolved
//! now keeps what it was before, and is asked for again; nobody waits for a resolver.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use understudy_transport::Address;

use super::Peers;

/// How often names are resolved again.
const RESOLVE_EVERY: Duration = Duration::from_secs(60);
/// Most addresses of one name.
const MOST_RESOLVED: usize = 16;

/// The addresses of all peers.
#[derive(Debug, Default)]
pub(super) struct Expected {
    addresses: BTreeSet<IpAddr>,
    /// Those that are names, and what each last meant.
    names: BTreeMap<String, Vec<IpAddr>>,
    /// What asks for them.
    asking: Option<AbortHandle>,
}

impl Expected {
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.addresses.contains(&ip) || self.names.values().flatten().any(|known| *known == ip)
    }

    /// Expects these and no others. True if there are other names than before, which are to be resolved.
    pub(super) fn expect<'a>(&mut self, addresses: impl Iterator<Item = &'a Address>) -> bool {
        let (before, mut names) = (self.names(), BTreeMap::new());
        self.addresses.clear();
        for address in addresses {
            let Address::Tcp { host, .. } = address else { continue };
            match host.parse::<IpAddr>() {
                Ok(ip) => drop(self.addresses.insert(ip.to_canonical())),
                Err(_) => drop(names.insert(host.clone(), self.names.remove(host).unwrap_or_default())),
            }
        }
        self.names = names;
        before != self.names()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// The task that resolves names from now on, in place of the former one.
    pub(super) fn ask_by(&mut self, task: Option<AbortHandle>) {
        if let Some(former) = std::mem::replace(&mut self.asking, task) {
            former.abort();
        }
    }
}

impl Peers {
    /// Resolves these names now and ever again, until it is aborted.
    pub(super) async fn resolve_on(self: Arc<Self>, names: Vec<String>) {
        loop {
            for name in &names {
                match tokio::net::lookup_host((name.as_str(), 0)).await {
                    Ok(found) => {
                        let found =
                            found.take(MOST_RESOLVED).map(|socket| socket.ip().to_canonical()).collect();
                        if let Some(known) = self.table().expected.names.get_mut(name) {
                            *known = found;
                        }
                    }
                    // The dialing end says so, too, and more loudly.
                    Err(error) => tracing::debug!(name, %error, "the name of a peer is not resolved"),
                }
            }
            tokio::time::sleep(RESOLVE_EVERY).await;
        }
    }
}
