//! The control server: its life, its store, what it hears and does.
//!
//! Refuses to decide. The law: a leadership reads the store after it has taken it; one whose last write has an unknown
//! outcome is over.

use std::collections::BTreeSet;

use understudy_decide::control::{
    Control, ControlDo, ControlMemory, ControlRecord, ControlSaw, Reply, RequestId,
};
use understudy_model::*;

use super::dialing::{Call, Why};
use super::links::{Letter, Party};
use super::reloads::Reload;
use super::{ControlDaemon, World, stores};
use crate::climate::{MS, SECOND};
use crate::daemon::{Turn, Writing};
use crate::fault::Disk;
use crate::queue::Event;
use crate::story::words;

/// The control server and its store.
pub struct ControlSite {
    /// The program.
    pub daemon: ControlDaemon,
    /// What is durable.
    pub store: ControlMemory,
    /// On which boot the moments in it are.
    store_boot: u32,
    /// How its disk answers.
    pub disk: Disk,
    /// It is kept down by so many faults.
    pub held_down: u32,
    /// Questions of operators so far.
    pub requests: u64,
    /// The last answer to one.
    pub replies: u64,
    /// By host: the agent that is known there, once it was heard, and until when another one is turned away.
    pub known_agents: Vec<(Option<AgentId>, u64)>,
    /// The accepted configuration, as the store holds it.
    pub cluster: Cluster,
    /// A reload under way, and how many there were.
    pub reload: Option<Reload>,
    /// The reloads of all lives.
    pub reloads: u64,
}

impl ControlSite {
    /// One with a store that was never used.
    pub fn new(store: ControlMemory, hosts: usize, cluster: Cluster) -> Self {
        Self {
            daemon: ControlDaemon::default(),
            store,
            store_boot: 1,
            disk: Disk::Works,
            held_down: 0,
            requests: 0,
            replies: 0,
            known_agents: vec![(None, 0); hosts],
            cluster,
            reload: None,
            reloads: 0,
        }
    }
}

impl World {
    pub(super) fn control_starts(&mut self, life: u32) -> bool {
        let machine = self.climate.control_on;
        let daemon = &self.control.daemon;
        if daemon.machine.is_some()
            || daemon.life != life
            || self.control.held_down > 0
            || !self.is_up(machine)
        {
            return false;
        }
        if !matches!(self.control.disk, Disk::Works | Disk::Slow) {
            // Leadership cannot be taken: the service is started again.
            self.queue.put(self.now + SECOND, Event::ControlStarts { life });
            return true;
        }
        let store = &mut self.control.store;
        store.controller_epoch.0 += 1;
        let boot = self.machines[machine].boots;
        if std::mem::replace(&mut self.control.store_boot, boot) != boot {
            let now = self.machines[machine].clock.at(self.now);
            store.flaps = std::mem::take(&mut store.flaps)
                .into_iter()
                .map(|(pair, flap)| (pair, flap.moved_to(now)))
                .collect();
            store.holds = std::mem::take(&mut store.holds)
                .into_iter()
                .map(|(host, hold)| (host, hold.moved_to(now)))
                .collect();
        }
        self.control.daemon.begin(Control::new(self.control.store.clone()));
        self.sometimes.leaderships += 1;
        self.tell_at(machine, |world| {
            format!("the control server starts, controller epoch {}", world.control.store.controller_epoch)
        });
        let configured = self.configured();
        self.control_mail(configured);
        self.begin_dialing(Party::Control);
        true
    }

    /// What the store holds of the configuration.
    pub(super) fn configured(&self) -> ControlSaw {
        let machine = self.climate.control_on;
        let own_hosts: BTreeSet<HostName> = self.cast.hosts.get(machine).cloned().into_iter().collect();
        ControlSaw::Configured { cluster: self.control.cluster.clone(), own_hosts }
    }

    /// It is killed, or ends itself.
    pub(super) fn control_dies(&mut self) {
        if self.control.daemon.machine.is_none() {
            return;
        }
        self.reload_dies();
        let unwritten = self.control.daemon.end();
        if let Some(Writing { decision, .. }) = unwritten {
            // One transaction: all of it, or nothing.
            if self.dice.disk.chance(500) {
                self.keep_control(&decision.persist);
            }
        }
        self.tell_at(self.climate.control_on, |_| "the control server ends".to_owned());
        self.close_all_of(Party::Control);
        for dialer in &mut self.dialers {
            if dialer.from == Party::Control {
                dialer.call = Call::Rests;
            }
        }
    }

    /// Something is put into its inbox.
    pub(super) fn control_mail(&mut self, saw: ControlSaw) {
        if self.control.daemon.machine.is_some() {
            let now = self.clock(self.climate.control_on);
            self.control.daemon.mail.push_back((now, saw));
            self.pump_control();
        }
    }

    pub(super) fn control_wakes(&mut self, life: u32) -> bool {
        let daemon = &mut self.control.daemon;
        if daemon.life != life || daemon.wakes > self.now {
            return false;
        }
        daemon.wakes = u64::MAX;
        let before = daemon.steps;
        self.pump_control();
        self.control.daemon.steps > before
    }

    /// Its loop, until it sleeps or waits.
    pub(super) fn pump_control(&mut self) {
        let machine = self.climate.control_on;
        let now = self.clock(machine);
        let mut turns = 0;
        loop {
            match self.control.daemon.turn(now) {
                Turn::Sees(at, saw) => {
                    turns = if saw == ControlSaw::DeadlinePassed { turns + 1 } else { 0 };
                    if turns > super::agents::MOST_TURNS {
                        self.laws.spins(self.now, "the control server");
                        return;
                    }
                    self.control_sees(at, saw);
                }
                Turn::Aside(_, saw, decision) => {
                    turns += u32::from(saw.is_none());
                    if turns > super::agents::MOST_TURNS {
                        self.laws.spins(self.now, "the control server, while it writes,");
                        return;
                    }
                    self.control.daemon.steps += 1;
                    self.control_decided(decision);
                }
                Turn::Sleeps(due) => {
                    let Some(due) = due else { return };
                    let at = self.machines[machine].clock.when(due).max(self.now);
                    let at = at + self.dice.net.below(MS);
                    let daemon = &mut self.control.daemon;
                    if daemon.wakes > at {
                        daemon.wakes = at;
                        self.queue.put(at, Event::ControlWakes { life: daemon.life });
                    }
                    return;
                }
                Turn::Waits => return,
            }
        }
    }

    fn control_sees(&mut self, at: Moment, saw: ControlSaw) {
        if self.story.is_told() {
            let text = words::control_saw(&saw);
            self.tell_at(self.climate.control_on, |_| format!("control server sees {text}"));
        }
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.take(&(at, &saw));
        }
        let began = self.metered();
        let Some(machine) = &mut self.control.daemon.machine else { return };
        let decision = machine.step(at, saw);
        self.spent_since(began);
        self.control.daemon.steps += 1;
        self.control_decided(decision);
    }

    fn control_decided(&mut self, decision: Decision<ControlRecord, ControlDo>) {
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.take(&decision);
        }
        if self.story.is_told() {
            for line in words::control_decision(&decision) {
                self.tell_at(self.climate.control_on, |_| line);
            }
        }
        if decision.persist.is_empty() {
            return self.control_acts(decision);
        }
        let disk = self.control.disk;
        let span = self.write_span(disk);
        let life = self.control.daemon.life;
        self.control.daemon.writing = Some(Writing { decision, disk });
        self.queue.put(self.now + span, Event::ControlWrote { life });
    }

    pub(super) fn control_wrote(&mut self, life: u32) -> bool {
        if self.control.daemon.life != life {
            return false;
        }
        let Some(Writing { decision, disk }) = self.control.daemon.writing.take() else { return false };
        let (stored, failed) = stores(disk);
        if stored {
            self.keep_control(&decision.persist);
        }
        let overtaken = |record: &ControlRecord| matches!(record, ControlRecord::RaiseLeadership { .. });
        match failed {
            None if decision.persist.iter().any(overtaken) => {
                self.control_acts(decision);
                self.control_starts_anew();
                return true;
            }
            None => self.control_acts(decision),
            Some(definite) => {
                self.sometimes.store_failures += 1;
                let at = self.clock(self.climate.control_on);
                let saw = Control::store_failed(decision.persist, "the disk failed".to_owned(), definite);
                self.control_sees(at, saw);
                if !definite {
                    // Only a new leadership can know what is stored.
                    self.control_starts_anew();
                    return true;
                }
            }
        }
        self.pump_control();
        true
    }

    /// It ends itself, and the system starts it again.
    pub(super) fn control_starts_anew(&mut self) {
        self.control_dies();
        let life = self.control.daemon.life;
        let wait = self.dice.disk.between(50 * MS, SECOND);
        self.queue.put(self.now + wait, Event::ControlStarts { life });
    }

    fn keep_control(&mut self, records: &[ControlRecord]) {
        for record in records.iter().cloned() {
            let store = &mut self.control.store;
            match record {
                ControlRecord::RaiseEpoch { pair, expected, next } => {
                    self.laws.compare_and_set(self.now, store.roles.get(&pair), expected.as_ref(), &next);
                    self.sometimes.epochs += 1;
                    if store.grants.restored {
                        store.grants.trusted.insert(pair.clone());
                    }
                    self.laws.kept.role_stored(self.now, &self.cast, &next);
                    store.roles.insert(pair, next);
                }
                ControlRecord::SetInSync { pair, role, expected, next } => {
                    let as_expected = store.in_sync.get(&pair) == expected.as_ref();
                    self.laws.records_compare(self.now, as_expected, &pair);
                    self.laws.kept.record_stored(self.now, store, &pair, role.as_ref());
                    store.in_sync.insert(pair, next);
                }
                ControlRecord::SetLease { pair, lease } => drop(store.grants.leases.insert(pair, lease)),
                ControlRecord::RaiseLeadership { highest } => {
                    store.controller_epoch = store.controller_epoch.max(highest);
                }
                ControlRecord::SetGoal { application, goal } => drop(store.goals.insert(application, goal)),
                ControlRecord::SetMaintenance { of, on } => {
                    store.maintenance.retain(|known| *known != of);
                    if on {
                        store.maintenance.push(of);
                    }
                }
                ControlRecord::UseOperation(id) => store.last_operation = id,
                ControlRecord::SetFlap { pair, flap } => drop(store.flaps.insert(pair, flap)),
                ControlRecord::SetHold { host, hold: Some(hold) } => drop(store.holds.insert(host, hold)),
                ControlRecord::SetHold { host, hold: None } => drop(store.holds.remove(&host)),
                ControlRecord::SetDrained { host, on: true } => drop(store.drained.insert(host)),
                ControlRecord::SetDrained { host, on: false } => drop(store.drained.remove(&host)),
            }
        }
    }

    fn control_acts(&mut self, decision: Decision<ControlRecord, ControlDo>) {
        for event in &decision.events {
            self.control_tells(event);
        }
        for because in &decision.quiet {
            self.sometimes.count_rule(because.rule);
        }
        for action in decision.actions {
            match action {
                ControlDo::Send { host, order } => self.send(&host, order),
                ControlDo::Vote { host, answer } => {
                    self.laws.s3.control_votes(self.now, &answer, &self.control.store);
                    if let Some(link) = self.control_link(&host) {
                        self.post(link, 1, self.vote(self.climate.control_on, answer));
                    }
                }
                ControlDo::AnswerInSync { host, answer } => {
                    self.laws.kept.answered(self.now, &answer, &self.control.store);
                    if let Some(link) = self.control_link(&host) {
                        self.post(link, 1, Letter::WordDone(answer));
                    }
                }
                ControlDo::Fence { host } => {
                    if let Some(host) = self.cast.host(&host) {
                        self.device_called(host);
                    }
                }
                ControlDo::Reply { reply, .. } => {
                    self.control.replies += 1;
                    if matches!(reply, Reply::Begun(_) | Reply::Done { .. }) {
                        self.sometimes.wishes_granted += 1;
                    }
                }
            }
        }
    }

    /// What it tells people is how a campaign knows what its run has reached.
    fn control_tells(&mut self, event: &understudy_model::Event) {
        let rule = event.because.rule;
        self.sometimes.count_rule(rule);
        if event.kind == EventKind::PromotionOrdered
            && let Some(pair) = event.about.pair.as_ref().and_then(|pair| self.cast.pair(pair))
        {
            self.laws.promotion_because(pair, rule);
        }
    }

    fn control_link(&self, host: &HostName) -> Option<usize> {
        let host = self.cast.host(host)?;
        match self.dialers[host].call {
            Call::Talks(link) => Some(link),
            Call::Rests | Call::Dials(_) | Call::Introduces(..) => None,
        }
    }

    fn send(&mut self, host: &HostName, order: Order) {
        self.laws.s3.order_leaves(self.now, &order, &self.control.store);
        if let Some(link) = self.control_link(host) {
            self.post(link, 1, Letter::Order(order));
        }
    }

    /// An agent's letter arrives.
    pub(super) fn control_gets(&mut self, link: usize, letter: Letter) {
        let number = self.links[link].dialer;
        let host = self.cast.hosts[self.dialers[number].to].clone();
        match letter {
            Letter::Welcome(inventory) if !self.knows(self.dialers[number].to, inventory.agent) => {
                self.dialed_link_ends(link, Why::Unwelcome);
            }
            Letter::Welcome(inventory) => {
                self.welcomed(link);
                self.control_mail(ControlSaw::LinkUp { host, inventory });
            }
            Letter::TurnedAway(highest) => {
                if highest > self.control.store.controller_epoch {
                    self.control_mail(ControlSaw::Outranked { host, highest });
                }
                self.dialed_link_ends(link, Why::Unwelcome);
            }
            Letter::Report(report) => self.control_mail(ControlSaw::Reported { host, report }),
            Letter::Answer(answer) => self.control_mail(ControlSaw::Answered { host, answer }),
            Letter::Leaving(leaving) => self.control_mail(ControlSaw::Leaving { host, leaving }),
            Letter::Word(ask) => {
                self.laws.kept.asked(&ask);
                self.control_mail(ControlSaw::InSyncAsked { host, ask });
            }
            Letter::Ask(ask) => self.control_mail(ControlSaw::VoteAsked { host, ask }),
            Letter::Finish | Letter::Reset => self.dialed_link_ends(link, Why::Closed),
            Letter::Signal(_) => {}
            Letter::Hello(_)
            | Letter::Order(_)
            | Letter::PeerHello
            | Letter::PeerWelcome
            | Letter::Vote(_)
            | Letter::WordDone(_)
            | Letter::Release(_)
            | Letter::Remembered(_) => self.dialed_link_ends(link, Why::Unwelcome),
        }
    }

    /// The agent of a host is the one that it was, or operators have said that another one is welcome.
    fn knows(&mut self, host: usize, agent: AgentId) -> bool {
        let now = self.now;
        let (known, strangers_until) = &mut self.control.known_agents[host];
        let welcome = known.is_none_or(|known| known == agent) || *strangers_until <= now;
        if welcome {
            *known = Some(agent);
        }
        welcome
    }

    /// An operator asks. False if nobody answers.
    pub(super) fn ask(&mut self, ask: understudy_decide::control::Ask) -> bool {
        if !self.control.daemon.runs() {
            return false;
        }
        self.control.requests += 1;
        let request = RequestId(self.control.requests);
        self.control_mail(ControlSaw::Asked { request, actor: "sim".to_owned(), ask });
        true
    }

    /// What the control server makes of every pair, for whoever reads the story.
    pub fn tell_all(&mut self) {
        let now = self.clock(self.climate.control_on);
        let Some(view) = self.control.daemon.machine.as_ref().map(|machine| machine.view(now)) else {
            return;
        };
        for pair in view.pairs {
            let (name, state, considered) = (pair.name, pair.state, pair.considered);
            let stored = pair.stored.map_or_else(|| "nothing".to_owned(), |stored| stored.to_string());
            let nearly: Vec<_> = considered
                .nearly
                .iter()
                .map(|nearly| format!("[{}] {}", nearly.rule, nearly.missed))
                .collect();
            self.tell(|_| {
                let (rule, reason) = (considered.rule, &considered.reason);
                format!("pair {name} is {state}, stored {stored}: [{rule}] {reason}; nearly {nearly:?}")
            });
        }
    }
}
