//! Which link belongs to which observation that the machine has still to make.
//!
//! Links go on while the machine waits for its disk: several may have come and gone before it observes the first. The law: each
//! observation of a link opens or closes exactly the link that it tells of, in the order in which they are told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use understudy_model::HostName;
use understudy_transport::Sender;
use understudy_wire::ToAgent;

/// A link over which orders go.
pub(super) struct Open {
    pub(super) sender: Sender<ToAgent>,
    /// The version that both speak.
    pub(super) version: u16,
    /// Ends this link and no later one.
    pub(super) drop_link: Arc<Notify>,
}

struct Told {
    number: u64,
    /// The slot for which it was told: a host with other addresses has another one.
    slot: u64,
    /// None: there is no link any more.
    link: Option<Open>,
}

#[derive(Default)]
struct Inner {
    last: u64,
    hosts: BTreeMap<HostName, VecDeque<Told>>,
}

/// See the file. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Coming(Arc<Mutex<Inner>>);

/// The machine is being told. If that does not happen, what was to be observed is forgotten.
#[must_use]
pub(super) struct Telling {
    coming: Coming,
    host: HostName,
    number: u64,
    told: bool,
}

impl Coming {
    /// To be called before the machine is told of a link, or that there is none.
    pub(super) fn tell(&self, host: &HostName, slot: u64, link: Option<Open>) -> Telling {
        let mut inner = self.lock();
        inner.last += 1;
        let number = inner.last;
        inner.hosts.entry(host.clone()).or_default().push_back(Told { number, slot, link });
        Telling { coming: self.clone(), host: host.clone(), number, told: false }
    }

    /// The machine observes the next of them: of which slot it was, and the link, if it is of one.
    pub(super) fn observed(&self, host: &HostName) -> Option<(u64, Option<Open>)> {
        let mut inner = self.lock();
        let queue = inner.hosts.get_mut(host)?;
        let told = queue.pop_front();
        if queue.is_empty() {
            inner.hosts.remove(host);
        }
        told.map(|told| (told.slot, told.link))
    }

    /// The newest link of a slot that the machine has not observed yet.
    pub(super) fn newest(&self, host: &HostName, slot: u64) -> Option<Sender<ToAgent>> {
        let inner = self.lock();
        let newest = inner.hosts.get(host)?.iter().rev().find(|told| told.slot == slot)?;
        newest.link.as_ref().map(|link| link.sender.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling {
    /// The machine will observe it.
    pub(super) fn told(mut self) {
        self.told = true;
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let mut inner = self.coming.lock();
        if let Some(queue) = inner.hosts.get_mut(&self.host) {
            queue.retain(|told| told.number != self.number);
        }
    }
}
