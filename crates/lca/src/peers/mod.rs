//! The links to the agents of other hosts: whom this agent keeps one with, and where what is said to them goes.
//!
//! Refuses to know what a vote means; the machine decides that. The law: one link for each unordered pair of hosts, dialed by
//! the agent whose host's name sorts first; of two links of one peer the newer one stays, and what the older one still
//! brings is not heard. Nothing waits for a peer: one that does not read is let go.

mod expected;
mod meet;
mod talk;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use understudy_decide::agent::{Agent, Peer};
use understudy_drive::{BootClock, Inbox};
use understudy_model::{
    AddpSettings, AgentId, HostName, Incarnation, Release, Remembered, VoteAnswer, VoteAsk,
};
use understudy_transport::{Address, LinkTally, Security, SendError, Sender};
use understudy_wire::{PeerSaid, SPOKEN, VOTES_SINCE, VersionRange};

use crate::accepting::Refusals;
use crate::gate::Welcomed;

use expected::Expected;

/// Most peers of one agent. Each costs a link and a task.
pub const MOST_PEERS: usize = 1024;
/// What agents speak with one another: the versions before have no words for it.
const PEERS_SPEAK: VersionRange = VersionRange { min: VOTES_SINCE, max: SPOKEN.max };

/// All links to other agents.
pub struct Peers {
    me: Me,
    security: Security,
    inbox: Inbox<Agent>,
    clock: BootClock,
    table: Mutex<Table>,
    next: AtomicU64,
    refusals: Refusals,
    welcomed: Welcomed,
    tally: Mutex<LinkTally>,
}

/// Who this agent is.
#[derive(Debug, Clone)]
pub struct Me {
    /// Its host.
    pub host: HostName,
    /// Its identity.
    pub agent: AgentId,
    /// Its life.
    pub incarnation: Incarnation,
}

/// Where a peer is, and how its link is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    addresses: Vec<Address>,
    addp: AddpSettings,
    /// How long one address may take to answer.
    patience: Duration,
}

/// Held by the link of a peer that is heard, so that the next one begins after everything that it brought.
type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Default)]
struct Table {
    slots: BTreeMap<HostName, Slot>,
    /// One for each peer, and for each former one whose last link has not ended yet.
    turns: BTreeMap<HostName, Turn>,
    /// Where they may come from.
    expected: Expected,
}

/// One peer. Dropping it ends its tasks.
struct Slot {
    place: watch::Sender<Place>,
    open: Option<Open>,
}

/// A link on which both ends know each other.
struct Open {
    number: u64,
    sender: Sender<PeerSaid>,
    /// Ends the link from this side, for that reason; dropping it does so too.
    end: oneshot::Sender<&'static str>,
}

impl Peers {
    /// No peers yet.
    pub fn new(me: Me, security: Security, inbox: Inbox<Agent>) -> Arc<Self> {
        Arc::new(Self {
            me,
            security,
            inbox,
            clock: BootClock::own(),
            table: Mutex::default(),
            next: AtomicU64::new(1),
            refusals: Refusals::new("peer link"),
            welcomed: Welcomed::new(MOST_PEERS),
            tally: Mutex::default(),
        })
    }

    /// Keeps a link to each of these and to nobody else; others are let go. A link that is open stays open, whatever is new of
    /// its peer.
    pub fn keep(self: &Arc<Self>, peers: Vec<Peer>) {
        if peers.len() > MOST_PEERS {
            let count = peers.len();
            tracing::error!(count, "there are more peers than {MOST_PEERS}; the last ones have no link");
        }
        let wanted: BTreeMap<HostName, Place> =
            peers.into_iter().take(MOST_PEERS).map(|peer| (peer.host.clone(), place_of(peer))).collect();
        let mut table = self.table();
        let Table { slots, turns, expected } = &mut *table;
        if expected.expect(wanted.values().flat_map(|place| &place.addresses)) {
            let names = expected.names();
            let asks = (!names.is_empty()).then(|| tokio::spawn(Arc::clone(self).resolve_on(names)));
            expected.ask_by(asks.map(|task| task.abort_handle()));
        }
        slots.retain(|host, _| wanted.contains_key(host));
        turns.retain(|host, turn| wanted.contains_key(host) || Arc::strong_count(turn) > 1);
        for (host, place) in wanted {
            if let Some(slot) = slots.get(&host) {
                slot.place.send_if_modified(|known| std::mem::replace(known, place.clone()) != place);
                continue;
            }
            let (sender, place) = watch::channel(place);
            if self.me.host < host {
                tokio::spawn(Arc::clone(self).dial_on(host.clone(), place));
            }
            slots.insert(host, Slot { place: sender, open: None });
        }
    }

    /// Asks a peer for its vote; lost if there is no link.
    pub fn ask(&self, host: &HostName, ask: VoteAsk) {
        self.say(host, &PeerSaid::Ask(ask));
    }

    /// Answers a peer, and says what the clock of this host shows; lost if there is no link.
    pub fn answer(&self, host: &HostName, answer: VoteAnswer) {
        self.say(host, &PeerSaid::Vote(VoteAnswer { clock: self.clock.reading(), ..answer }));
    }

    /// Tells a peer that a role was given up; lost if there is no link.
    pub fn tell(&self, host: &HostName, release: Release) {
        self.say(host, &PeerSaid::Release(release));
    }

    /// Tells a peer what is remembered of it; lost if there is no link.
    pub fn remember(&self, host: &HostName, remembered: Remembered) {
        self.say(host, &PeerSaid::Remembered(remembered));
    }

    /// How many peers are linked.
    pub fn linked(&self) -> usize {
        self.table().slots.values().filter(|slot| slot.open.is_some()).count()
    }

    /// Whether a peer may come from there: it is its address, or it came from there before.
    pub fn knows(&self, ip: IpAddr) -> bool {
        self.table().expected.contains(ip) || self.welcomed.knows(ip)
    }

    /// What was refused since the start, and how often.
    pub fn refused(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.refusals.totals()
    }

    /// What happened on these links since the start.
    pub fn tally(&self) -> LinkTally {
        self.lock_tally().clone()
    }

    /// Written by whoever calls, in this moment: a vote wakes no other task on its way out.
    fn say(&self, host: &HostName, message: &PeerSaid) {
        let mut table = self.table();
        let Some(slot) = table.slots.get_mut(host) else { return };
        let Some(open) = &slot.open else { return };
        match open.sender.try_send(message) {
            // Its own task meets the end of the link too, and tells it.
            Ok(()) | Err(SendError::Closed) => {}
            Err(error @ SendError::Encode(_)) => tracing::error!(%host, %error, "a message is left out"),
            Err(error @ SendError::Full { .. }) => {
                tracing::warn!(%host, %error, "the agent there does not read; its link is ended");
                slot.end("slow-reader");
            }
        }
    }

    /// Notes a new link in place of an older one, which is told to end; none if the peer was let go meanwhile.
    fn take_in(&self, host: &HostName, sender: Sender<PeerSaid>) -> Option<TakenIn> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        let mut table = self.table();
        let slot = table.slots.get_mut(host)?;
        slot.end("replaced");
        slot.open = Some(Open { number, sender, end });
        let turn = Arc::clone(table.turns.entry(host.clone()).or_default());
        Some(TakenIn { number, ended, turn })
    }

    /// Forgets a link, unless a newer one has its place.
    fn take_out(&self, host: &HostName, number: u64) {
        if let Some(slot) = self.table().slots.get_mut(host)
            && slot.open.as_ref().is_some_and(|open| open.number == number)
        {
            slot.open = None;
        }
    }

    /// How and where a peer is reached, now and after every change; none if it is no peer.
    fn place(&self, host: &HostName) -> Option<watch::Receiver<Place>> {
        self.table().slots.get(host).map(|slot| slot.place.subscribe())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change is one insertion, replacement or removal.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change is one addition, so a poisoned lock still guards whole counts.
    fn lock_tally(&self) -> MutexGuard<'_, LinkTally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a link must know that is in the table.
struct TakenIn {
    number: u64,
    ended: oneshot::Receiver<&'static str>,
    /// To be waited for.
    turn: Turn,
}

impl Slot {
    fn end(&mut self, reason: &'static str) {
        if let Some(open) = self.open.take() {
            // Without a listener it has ended already.
            let _ = open.end.send(reason);
        }
    }
}

/// An address that cannot be one is left out, and said: the others may lead there.
fn place_of(peer: Peer) -> Place {
    let addresses = peer.addresses.iter().filter_map(|text| {
        let address = text.parse::<Address>();
        if let Err(error) = &address {
            tracing::error!(host = %peer.host, %error, "an address of a peer is left out");
        }
        address.ok()
    });
    Place { addresses: addresses.collect(), addp: peer.addp, patience: peer.patience }
}
