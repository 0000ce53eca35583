//! The links to the agents: one task a host, and the table of where orders go.
//!
//! It knows what is said, not what it means. The law: an order leaves only over the link that the deciding machine
//! knows of, so a link carries orders from the moment its inventory was observed until its loss is.

mod asked;
mod coming;
mod talk;
mod told;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use understudy_decide::control::{Control, ControlSaw};
use understudy_drive::{BootClock, Inbox};
use understudy_model::{
    AddpSettings, AgentId, Answer, Cluster, ClusterId, ControllerEpoch, ControllerName, HostName, HostSpec,
    InSyncAnswer, LeadershipId, Moment, Order, Outcome, Refusal, VoteAnswer,
};
use understudy_transport::{Certified, Health, LinkTally, Pulse, Security, SendError, Sender};
use understudy_wire::{IN_SYNC_SINCE, ToAgent, VOTES_SINCE, control};

pub use asked::NotAsked;

use self::coming::{Coming, Open};
use crate::journal::Journal;

/// How this control server introduces itself.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// Its name.
    pub controller: ControllerName,
    /// Its leadership.
    pub controller_epoch: ControllerEpoch,
    /// The cluster's name.
    pub cluster_name: String,
    /// The cluster's identity.
    pub cluster: Option<ClusterId>,
    /// The newest leaderships of its store.
    pub lineage: Arc<[LeadershipId]>,
}

/// All links. Clones share them.
#[derive(Clone)]
pub struct Links {
    table: Arc<Mutex<BTreeMap<HostName, Slot>>>,
    inbox: Inbox<Control>,
    journal: Journal,
    security: Security,
    clock: BootClock,
    asked: asked::Asked,
    coming: Coming,
    /// Of the slots that were made.
    slots: Arc<AtomicU64>,
    /// What happened on the links to each configured host.
    tallies: Arc<Mutex<BTreeMap<HostName, LinkTally>>>,
}

/// One host's place in the table.
#[derive(Default)]
struct Slot {
    addresses: Vec<String>,
    /// How the link is watched; told to the live one when it changes.
    addp: Option<watch::Sender<AddpSettings>>,
    task: Option<tokio::task::JoinHandle<()>>,
    /// Tells this slot from a former one of the same host.
    number: u64,
    /// The machine has observed it.
    open: Option<Open>,
    /// When anything came over a link that is open no more.
    heard: Option<Moment>,
    /// The agent that was heard there.
    agent: Option<AgentId>,
    /// The one that answered there since, and was refused as it is another.
    refused: Option<AgentId>,
    /// What its certificate says.
    certified: Option<Certified>,
}

impl Links {
    /// No links yet.
    pub fn new(inbox: Inbox<Control>, journal: Journal, security: Security) -> Self {
        Self {
            table: Arc::default(),
            inbox,
            journal,
            security,
            clock: BootClock::own(),
            asked: asked::Asked::default(),
            coming: Coming::default(),
            slots: Arc::default(),
            tallies: Arc::default(),
        }
    }

    /// Makes the links those of this cluster: new hosts are dialed, hosts that are gone are left, hosts with other
    /// addresses are dialed anew. An agent whose identity was refused stays refused: see [`Links::accept_agent`].
    pub fn reconcile(&self, cluster: &Cluster, introduction: &Introduction) {
        let mut table = self.table();
        table.retain(|host, slot| {
            let stays = cluster.hosts.contains_key(host);
            if !stays {
                slot.end();
            }
            stays
        });
        // Whose names are configured is bounded; of others nothing is kept.
        self.lock_tallies().retain(|host, _| cluster.hosts.contains_key(host));
        for (host, spec) in &cluster.hosts {
            let slot = table.entry(host.clone()).or_default();
            if slot.task.is_none() || slot.addresses != spec.addresses {
                // The machine may believe in the former task's link, or be about to.
                let replaces = slot.task.is_some();
                let observed = slot.end();
                if let Some(sender) = self.coming.newest(host, slot.number).or(observed) {
                    self.tell_tally(host, |tally| tally.end(sender.pulse(), "reconfigured"));
                }
                let (addp, watched) = watch::channel(spec.addp);
                *slot = Slot {
                    addresses: spec.addresses.clone(),
                    addp: Some(addp),
                    number: self.slots.fetch_add(1, Ordering::Relaxed) + 1,
                    heard: slot.heard,
                    agent: slot.agent,
                    refused: slot.refused,
                    ..Slot::default()
                };
                let task = self.task(host, spec, introduction, slot, watched, replaces);
                slot.task = Some(tokio::spawn(task.run()));
            } else if let Some(addp) = &slot.addp {
                addp.send_if_modified(|known| std::mem::replace(known, spec.addp) != spec.addp);
            }
        }
    }

    fn task(
        &self,
        host: &HostName,
        spec: &HostSpec,
        introduction: &Introduction,
        slot: &Slot,
        addp: watch::Receiver<AddpSettings>,
        replaces: bool,
    ) -> talk::Talk {
        talk::Talk {
            host: host.clone(),
            addresses: spec.addresses.clone(),
            introduction: introduction.clone(),
            links: self.clone(),
            slot: slot.number,
            first: 0,
            told: told::Told::new(host.clone(), understudy_drive::now()),
            addp,
            replaces,
        }
    }

    /// What the machine is about to observe decides which link carries its orders.
    pub fn observed(&self, saw: &ControlSaw) {
        match saw {
            ControlSaw::LinkUp { host, .. } => self.use_next(host),
            ControlSaw::LinkDown { host, .. } => {
                self.use_next(host);
                self.asked.lost(host);
            }
            _ => {}
        }
    }

    fn use_next(&self, host: &HostName) {
        let Some((number, link)) = self.coming.observed(host) else { return };
        if let Some(slot) = self.table().get_mut(host).filter(|slot| slot.number == number) {
            slot.note_heard();
            slot.open = link;
        }
    }

    /// Sends an order, at once and without waiting. An order for a host without a link is lost, and so is one that a
    /// full queue refuses; then the link is dropped. The machine observes the loss of the link in both cases.
    pub fn send(&self, host: &HostName, order: Order) {
        let mut table = self.table();
        let Some(slot) = table.get_mut(host) else {
            tracing::debug!(%host, order = %order.id, "an order for a host that is not configured any more was dropped");
            return;
        };
        let Some(link) = &slot.open else {
            tracing::debug!(%host, order = %order.id, "an order was dropped: its link is down");
            return;
        };
        let since = control::understood_since(&order.work);
        if link.version < since {
            self.answer_for(host, link.version, since, order);
            return;
        }
        let id = order.id;
        if let Err(error) = link.sender.try_send(&ToAgent::Order(order)) {
            tracing::warn!(%host, order = %id, %error, "an order could not be sent: the link is dropped");
            slot.give_up(&error);
        }
    }

    /// Refuses an order in place of an agent that does not know its words, and would pass over what makes it safe. It was never
    /// sent, so nothing of it will be carried out.
    fn answer_for(&self, host: &HostName, version: u16, since: u16, order: Order) {
        tracing::warn!(%host, order = %order.id, version, since, "an order was not sent: the agent is too old for it");
        let why = format!(
            "it speaks protocol version {version}, and votes are spoken of from version {since} on: update the agent of \
             host {host}"
        );
        let answer = Answer { order: order.id, outcome: Outcome::Refused(Refusal::NotVoting(why)) };
        let (inbox, host) = (self.inbox.clone(), host.clone());
        tokio::spawn(async move { inbox.saw(ControlSaw::Answered { host, answer }).await });
    }

    /// Answers a request for this server's vote, and says what the clock of its machine shows. Whoever asked and is gone, or does not read, asks again.
    pub fn vote(&self, host: &HostName, answer: VoteAnswer) {
        let mut table = self.table();
        let Some(slot) = table.get_mut(host) else { return };
        let Some(link) = slot.open.as_ref().filter(|link| link.version >= VOTES_SINCE) else { return };
        let answer = VoteAnswer { clock: self.clock.reading(), ..answer };
        if let Err(error) = link.sender.try_send(&ToAgent::Vote(answer)) {
            tracing::warn!(%host, %error, "a vote could not be sent: the link is dropped");
            slot.give_up(&error);
        }
    }

    /// Answers a primary's word on who has everything. Only who speaks of it asked; one that is gone waits for no answer.
    pub fn answer_in_sync(&self, host: &HostName, answer: InSyncAnswer) {
        let mut table = self.table();
        let Some(slot) = table.get_mut(host) else { return };
        let Some(link) = slot.open.as_ref().filter(|link| link.version >= IN_SYNC_SINCE) else { return };
        if let Err(error) = link.sender.try_send(&ToAgent::InSync(answer)) {
            tracing::warn!(%host, %error, "an answer on data could not be sent: the link is dropped");
            slot.give_up(&error);
        }
    }

    /// Ends all links. Nothing that runs on a host is touched.
    pub fn end(&self) {
        for slot in self.table().values_mut() {
            slot.end();
        }
    }

    /// Notes who was welcomed at a host.
    fn welcomed(&self, host: &HostName, pulse: &Pulse, agent: AgentId, certified: Option<Certified>) {
        self.tell_tally(host, |tally| tally.begin(pulse));
        if let Some(slot) = self.table().get_mut(host) {
            slot.agent = Some(agent);
            slot.refused = None;
            slot.certified = certified;
        }
    }

    /// What the certificates of the agents say that were heard.
    pub fn certificates(&self) -> Vec<Certified> {
        self.table().values().filter_map(|slot| slot.certified.clone()).collect()
    }

    /// The connected agents that have been silent for their timeout and are being asked whether they live; how each link fares
    /// at this moment, and a view on it.
    fn asked(&self, now: Moment) -> Vec<(HostName, Health, Pulse)> {
        let table = self.table();
        let open = table.iter().filter_map(|(host, slot)| {
            let pulse = slot.open.as_ref()?.sender.pulse();
            Some((host.clone(), pulse.health(), pulse.clone()))
        });
        open.filter(|(_, health, _)| !health.timeout.is_zero() && now.since(health.heard) >= health.timeout)
            .collect()
    }

    /// When each host was last heard at all, over a link that is open or over one that was.
    pub fn heard(&self) -> BTreeMap<HostName, Moment> {
        let table = self.table();
        table.iter().filter_map(|(host, slot)| Some((host.clone(), slot.last_heard()?))).collect()
    }

    /// How the link to each connected agent fares.
    pub fn health(&self) -> BTreeMap<HostName, Health> {
        let table = self.table();
        let open = table
            .iter()
            .filter_map(|(host, slot)| Some((host.clone(), slot.open.as_ref()?.sender.pulse().health())));
        open.collect()
    }

    /// What happened so far on the links to each configured host.
    pub fn tallies(&self) -> BTreeMap<HostName, LinkTally> {
        self.lock_tallies().clone()
    }

    fn tell_tally(&self, host: &HostName, what: impl FnOnce(&mut LinkTally)) {
        what(self.lock_tallies().entry(host.clone()).or_default());
    }

    /// Every change is one addition, so a poisoned lock still guards whole counts.
    fn lock_tallies(&self) -> MutexGuard<'_, BTreeMap<HostName, LinkTally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that another agent than the known one answered at a host, and was refused.
    fn refuse_agent(&self, host: &HostName, found: AgentId) {
        if let Some(slot) = self.table().get_mut(host) {
            slot.refused = Some(found);
        }
    }

    /// Which agent is known at a host, and which other one was refused there since; none if no such host is configured.
    pub fn agents_of(&self, host: &HostName) -> Option<(Option<AgentId>, Option<AgentId>)> {
        self.table().get(host).map(|slot| (slot.agent, slot.refused))
    }

    /// The agent of a host is this one from now on, which was refused there; false if it was not. It connects by itself.
    pub fn accept_agent(&self, host: &HostName, agent: AgentId) -> bool {
        let mut table = self.table();
        let Some(slot) = table.get_mut(host).filter(|slot| slot.refused == Some(agent)) else { return false };
        slot.refused = None;
        slot.agent = Some(agent);
        true
    }

    fn known_agent(&self, host: &HostName) -> Option<AgentId> {
        self.table().get(host).and_then(|slot| slot.agent)
    }

    /// Changes of the table are whole before the lock is given back, so a poisoned lock still guards a whole table.
    fn table(&self) -> MutexGuard<'_, BTreeMap<HostName, Slot>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// When anything came from there last, over whichever link.
    fn last_heard(&self) -> Option<Moment> {
        self.heard.max(self.open.as_ref().map(|link| link.sender.pulse().health().heard))
    }

    /// Keeps in mind when anything came over the link that is about to go.
    fn note_heard(&mut self) {
        self.heard = self.last_heard();
    }

    /// Ends a link over which something could not be sent.
    fn give_up(&mut self, error: &SendError) {
        self.note_heard();
        // One that has ended already says so itself.
        if let Some(link) = self.open.take().filter(|_| !matches!(error, SendError::Closed)) {
            link.drop_link.notify_one();
        }
    }

    /// Ends its task, and gives back the link that it had, if it had one.
    fn end(&mut self) -> Option<Sender<ToAgent>> {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.note_heard();
        self.open.take().map(|link| link.sender)
    }
}
