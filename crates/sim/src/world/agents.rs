//! Agents: their lives, their files, what they hear and do.
//!
//! Refuses to decide. The law: the order of `lca`: state is read, then what still runs is looked for, then the machine's first
//! observation, and only then does anybody hear it; the end of an agent is never the end of a member.

use std::collections::VecDeque;

use understudy_decide::agent::{Agent, AgentDo, AgentMemory, AgentRecord, AgentSaw, LinkId};
use understudy_decide::grants::holder::Page;
use understudy_model::*;

use super::guards::Guard;
use super::links::{Letter, Party};
use super::members::{Hook, Starting};
use super::{AgentDaemon, World, stores};
use crate::climate::MS;
use crate::daemon::{Turn, Writing};
use crate::fault::Disk;
use crate::queue::Event;
use crate::story::words;

/// A machine that looks at its deadlines so often without anything new never comes to rest.
pub const MOST_TURNS: u32 = 64;

/// So many orders are kept until they are answered.
const MOST_ORDERS: usize = 64;

/// One host's agent, and what it leaves behind.
pub struct AgentSite {
    /// The program.
    pub daemon: AgentDaemon,
    /// What is durable.
    pub memory: AgentMemory,
    /// How its disk answers.
    pub disk: Disk,
    /// It is kept down by so many faults.
    pub held_down: u32,
    /// Links that were taken, and the numbers that the machine knows them by.
    pub doors: Vec<(LinkId, usize)>,
    /// The last orders that it saw in this life, each with the link that it came by: every control server counts from one.
    pub orders: VecDeque<(LinkId, Order)>,
    /// Hosts whose agents it keeps links to.
    pub peers: Vec<usize>,
    /// What the system is about to tell it.
    pub notices: VecDeque<AgentSaw>,
    /// The last of these.
    pub noticed_last: u64,
    /// Starts under way.
    pub starting: Vec<Starting>,
    /// When what waits is looked at, as the first of their times is over; 0 if it is not.
    pub held_over: u64,
    /// Hooks under way.
    pub hooks: Vec<Hook>,
    /// Hooks so far.
    pub hook_count: u32,
    /// Role pages, by part; they outlive the agent.
    pub pages: Vec<Option<Page>>,
    /// The guard; it outlives the agent too.
    pub guard: Guard,
    /// Nothing can be started, if above 0.
    pub cannot_start: u32,
    /// Hooks fail, do half and fail, hang: each if above 0.
    pub hooks_fail: [u32; 3],
    /// What its files will be set back to.
    pub earlier: Option<AgentMemory>,
    /// Pairs of which it may have forgotten something, until the other agent has said what it remembers.
    pub unreminded: Vec<PairName>,
    /// How often it was installed anew.
    pub installed: u32,
    lives: u128,
}

impl AgentSite {
    /// One without a process and with this on its disk.
    pub fn new(memory: AgentMemory) -> Self {
        Self {
            daemon: AgentDaemon::default(),
            memory,
            disk: Disk::Works,
            held_down: 0,
            doors: Vec::new(),
            orders: VecDeque::new(),
            peers: Vec::new(),
            notices: VecDeque::new(),
            noticed_last: 0,
            starting: Vec::new(),
            held_over: 0,
            hooks: Vec::new(),
            hook_count: 0,
            pages: Vec::new(),
            guard: Guard::default(),
            cannot_start: 0,
            hooks_fail: [0; 3],
            earlier: None,
            unreminded: Vec::new(),
            installed: 0,
            lives: 0,
        }
    }
}

impl World {
    pub(super) fn agent_starts(&mut self, host: usize, life: u32) -> bool {
        let up = self.is_up(host);
        let parts = self.cast.parts.len();
        let site = &mut self.agents[host];
        if site.daemon.machine.is_some() || site.daemon.life != life || site.held_down > 0 || !up {
            return false;
        }
        site.lives += 1;
        site.pages.resize(parts, None);
        let incarnation = Incarnation(site.lives + 1_000_000 * (host as u128 + 1));
        self.begin_mind(host, incarnation);
        self.sometimes.agent_lives += 1;
        self.tell_at(host, |world| format!("{}'s agent starts", world.cast.machine(host)));
        let found = self.found_on(host);
        let shown = self.agents[host].pages.iter().enumerate();
        let pages = shown.filter_map(|(part, shown)| Some((part, shown.as_ref()?)));
        let pages = pages.map(|(part, shown)| (self.cast.parts[part].name.clone(), shown.clone())).collect();
        self.agent_mail(host, AgentSaw::Awake { found, pages });
        self.begin_dialing(Party::Agent(host));
        true
    }

    /// It is killed.
    pub(super) fn agent_dies(&mut self, host: usize) {
        if self.agents[host].daemon.machine.is_none() {
            return;
        }
        self.tell_at(host, |world| format!("{}'s agent is gone", world.cast.machine(host)));
        if let Some(Writing { decision, .. }) = self.agents[host].daemon.end() {
            self.keep_some(host, &decision.persist);
        }
        let site = &mut self.agents[host];
        site.doors.clear();
        site.orders.clear();
        self.laws.s3.agent_ended(host);
        let site = &mut self.agents[host];
        site.peers.clear();
        site.notices.clear();
        site.guard.told.clear();
        site.guard.coming.clear();
        site.guard.needed = false;
        self.held_end(host);
        let starting = std::mem::take(&mut self.agents[host].starting);
        self.close_all_of(Party::Agent(host));
        for dialer in &mut self.dialers {
            if dialer.from == Party::Agent(host) {
                dialer.call = super::dialing::Call::Rests;
                dialer.wanted = false;
            }
        }
        for starting in starting {
            // What was being started may run already, unseen.
            if self.is_up(host) && self.dice.member.chance(500) {
                self.make(host, &starting.spawn);
            }
        }
        self.links_of_members_end(host);
    }

    /// Something is put into its inbox.
    pub(super) fn agent_mail(&mut self, host: usize, saw: AgentSaw) {
        let now = self.clock(host);
        let daemon = &mut self.agents[host].daemon;
        if daemon.machine.is_some() {
            daemon.mail.push_back((now, saw));
            self.pump_agent(host);
        }
    }

    /// The system tells it something a moment later, in order.
    pub(super) fn notice(&mut self, host: usize, saw: AgentSaw) {
        let span = self.dice.member.between(30_000, 300_000);
        let site = &mut self.agents[host];
        if site.daemon.machine.is_none() {
            return;
        }
        let at = (self.now + span).max(site.noticed_last + 1);
        site.noticed_last = at;
        site.notices.push_back(saw);
        self.queue.put(at, Event::Noticed { host: host as u8, life: site.daemon.life });
    }

    pub(super) fn agent_notices(&mut self, host: usize, life: u32) -> bool {
        if self.agents[host].daemon.life != life {
            return false;
        }
        let Some(saw) = self.agents[host].notices.pop_front() else { return false };
        if let AgentSaw::Ended { start, others_live: true, .. } = &saw {
            // Its hands kill what is left of the tree by themselves.
            let start = *start;
            self.kill_tree(host, start);
        }
        self.agent_mail(host, saw);
        true
    }

    pub(super) fn agent_wakes(&mut self, host: usize, life: u32) -> bool {
        let daemon = &mut self.agents[host].daemon;
        if daemon.life != life || daemon.wakes > self.now {
            return false;
        }
        daemon.wakes = u64::MAX;
        let before = daemon.steps;
        self.pump_agent(host);
        self.agents[host].daemon.steps > before
    }

    /// Its loop, until it sleeps or waits.
    pub(super) fn pump_agent(&mut self, host: usize) {
        let now = self.clock(host);
        let mut turns = 0;
        loop {
            match self.agents[host].daemon.turn(now) {
                Turn::Sees(at, saw) => {
                    turns = if saw == AgentSaw::DeadlinePassed { turns + 1 } else { 0 };
                    if turns > MOST_TURNS {
                        self.tell_at(host, |world| format!("it is: {:?}", world.agents[host].daemon.machine));
                        self.laws.spins(self.now, "an agent");
                        return;
                    }
                    self.agent_sees(host, at, saw);
                }
                Turn::Aside(at, saw, decision) => {
                    turns += u32::from(saw.is_none());
                    if turns > MOST_TURNS {
                        self.laws.spins(self.now, "an agent, while it writes,");
                        return;
                    }
                    self.agent_aside(host, at, saw, decision);
                }
                Turn::Sleeps(due) => {
                    let Some(due) = due else { return };
                    let at = self.machines[host].clock.when(due).max(self.now);
                    let at = at + self.dice.net.below(MS);
                    let daemon = &mut self.agents[host].daemon;
                    if daemon.wakes > at {
                        daemon.wakes = at;
                        self.queue.put(at, Event::AgentWakes { host: host as u8, life: daemon.life });
                    }
                    return;
                }
                Turn::Waits => return,
            }
        }
    }

    fn agent_sees(&mut self, host: usize, at: Moment, saw: AgentSaw) {
        if self.story.is_told() {
            let text = words::agent_saw(&saw);
            self.tell_at(host, |world| format!("{}'s agent sees {text}", world.cast.machine(host)));
        }
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.take(&(host, at, &saw));
        }
        let order = match &saw {
            AgentSaw::Ordered { link, order } => Some((*link, order.clone())),
            _ => None,
        };
        match &saw {
            AgentSaw::Ended { application, .. } => {
                if let Some(part) = self.cast.part(application) {
                    self.laws.s4.ended(host, part, &self.agents[host].memory);
                }
            }
            AgentSaw::LeaveAsked { .. } => {
                let here = |(_, part): &(usize, &crate::cast::Part)| part.host == host;
                for (part, _) in self.cast.parts.iter().enumerate().filter(here) {
                    self.laws.s4.to_end(part);
                }
            }
            _ => {}
        }
        let began = self.metered();
        let Some(machine) = &mut self.agents[host].daemon.machine else { return };
        let decision = machine.step(at, saw);
        self.spent_since(began);
        self.agents[host].daemon.steps += 1;
        if let Some((link, order)) = order {
            let seen = &mut self.agents[host].orders;
            seen.push_back((link, order.clone()));
            if seen.len() > MOST_ORDERS {
                seen.pop_front();
            }
            self.laws.s2.obeyed(self.now, host, &order, &self.agents[host].memory, &decision);
            self.laws.s4.ordered(&self.cast, &order);
        }
        self.agent_decided(host, decision);
    }

    /// It does something while an earlier decision is being written.
    fn agent_aside(
        &mut self,
        host: usize,
        at: Moment,
        saw: Option<AgentSaw>,
        decision: Decision<AgentRecord, AgentDo>,
    ) {
        self.agents[host].daemon.steps += 1;
        self.sometimes.asides += 1;
        if self.story.is_told() {
            let text = saw.as_ref().map_or_else(|| "that it has to ask".to_owned(), words::agent_saw);
            self.tell_at(host, |world| {
                format!("{}'s agent, while it writes, sees {text}", world.cast.machine(host))
            });
        }
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.take(&(host, at, &saw));
        }
        if !decision.persist.is_empty() {
            self.laws.s3.aside(self.now, &decision.persist);
        }
        self.agent_decided(host, decision);
    }

    fn agent_decided(&mut self, host: usize, decision: Decision<AgentRecord, AgentDo>) {
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.take(&(host, &decision));
        }
        if self.story.is_told() {
            for line in words::agent_decision(&decision) {
                self.tell_at(host, |_| line);
            }
        }
        if decision.persist.is_empty() {
            return self.agent_acts(host, decision);
        }
        let disk = self.agents[host].disk;
        let span = self.write_span(disk);
        let daemon = &mut self.agents[host].daemon;
        daemon.writing = Some(Writing { decision, disk });
        self.queue.put(self.now + span, Event::AgentWrote { host: host as u8, life: daemon.life });
    }

    pub(super) fn agent_wrote(&mut self, host: usize, life: u32) -> bool {
        if self.agents[host].daemon.life != life {
            return false;
        }
        let Some(Writing { decision, disk }) = self.agents[host].daemon.writing.take() else { return false };
        let (stored, failed) = stores(disk);
        if stored {
            self.keep(host, &decision.persist);
        }
        match failed {
            None => self.agent_acts(host, decision),
            Some(definite) => {
                self.sometimes.disk_failures += 1;
                let at = self.clock(host);
                self.laws.s4.table_unknown(host, &decision.persist);
                self.laws.s3.not_kept(host, &decision.persist);
                let saw = Agent::store_failed(decision.persist, "the disk failed".to_owned(), definite);
                self.agent_sees(host, at, saw);
            }
        }
        self.pump_agent(host);
        true
    }

    fn agent_acts(&mut self, host: usize, decision: Decision<AgentRecord, AgentDo>) {
        self.laws.s4.table_known(host, &decision.persist);
        for because in decision.events.iter().map(|event| &event.because).chain(&decision.quiet) {
            self.sometimes.count_rule(because.rule);
            self.laws.a1.told(self.now, host, because.rule, &because.reason);
        }
        for action in decision.actions {
            let site = &self.agents[host];
            self.laws.s3.agent_acts(self.now, host, &action, &site.memory, site.daemon.writes());
            self.laws.s4.agent_acts(&action);
            self.sometimes.count_act(&action);
            self.forgetful_acts(host, &action);
            if let AgentDo::Answer { link, answer } = &action {
                let site = &self.agents[host];
                let mut answered =
                    site.orders.iter().filter(|(by, order)| by == link && order.id == answer.order);
                if let Some((_, order)) = answered.next_back() {
                    self.laws.s3.order_answered(self.now, host, order, answer, &site.memory);
                    self.sometimes.count_answer(order, answer);
                }
            }
            self.agent_does(host, action);
        }
    }

    fn agent_does(&mut self, host: usize, action: AgentDo) {
        match action {
            AgentDo::Welcome { link, inventory } => {
                if let Some(number) = self.door(host, link) {
                    self.links[number].ends[1].welcomed = true;
                    self.post(number, 0, Letter::Welcome(inventory));
                }
            }
            AgentDo::TurnAway { link, controller_epoch, .. } => {
                if let Some(number) = self.door(host, link) {
                    self.sometimes.turned_away += 1;
                    self.post(number, 0, Letter::TurnedAway(controller_epoch));
                    self.close_end(number, 1);
                    self.agents[host].doors.retain(|(known, _)| *known != link);
                    self.agent_mail(host, AgentSaw::ControllerLeft { link });
                }
            }
            AgentDo::Report(report) => self.tell_every(host, |_| Letter::Report(report.clone())),
            AgentDo::TellLeaving { leaving } => self.tell_every(host, |_| Letter::Leaving(leaving)),
            AgentDo::Answer { link, answer } => self.tell_one(host, link, Letter::Answer(answer)),
            AgentDo::AskController { link, ask } => self.tell_one(host, link, Letter::Ask(ask)),
            AgentDo::SayInSync { link, ask } => self.tell_one(host, link, Letter::Word(ask)),
            AgentDo::KeepPeers(peers) => self.keep_peers(host, &peers),
            AgentDo::AskPeer { host: to, ask } => self.tell_peer(host, &to, Letter::Ask(ask)),
            AgentDo::AnswerPeer { host: to, answer } => self.tell_peer(host, &to, self.vote(host, answer)),
            AgentDo::RemindPeer { host: to, remembered } => {
                self.tell_peer(host, &to, Letter::Remembered(remembered));
            }
            AgentDo::TellPeer { host: to, release } => self.tell_peer(host, &to, Letter::Release(release)),
            AgentDo::ShowPage { application, page } => self.show_page(host, &application, page),
            AgentDo::ForgetPage { application } => self.forget_page(host, &application),
            AgentDo::NeedGuard => self.guard_is_needed(host),
            AgentDo::Guard { application, start, kill_at } => self.guard(host, &application, start, kill_at),
            AgentDo::Unguard { start, .. } => self.unguard_start(host, start),
            AgentDo::Spawn(spawn) => self.spawn(host, spawn),
            AgentDo::Signal { application, start, .. } => {
                self.ended_by_agent(&application);
                self.signal(host, start);
            }
            AgentDo::KillTree { start, .. } if start.is_hook() => self.kill_hook(host, start),
            AgentDo::KillTree { application, start } => {
                self.ended_by_agent(&application);
                self.kill_tree(host, start);
            }
            AgentDo::RunHook(run) => self.run_hook(host, run),
            AgentDo::Look { start, limit, .. } => self.begin_to_look(host, start, limit),
            AgentDo::KeepEvidence { start, .. } => self.keep_evidence(host, start),
            // No options change and no probes are configured.
            AgentDo::Reload { .. } | AgentDo::Probe { .. } => {}
            AgentDo::Say { start, message, .. } => self.say(host, start, message),
        }
    }

    fn ended_by_agent(&mut self, application: &ApplicationName) {
        if let Some(part) = self.cast.part(application) {
            self.laws.s4.to_end(part);
        }
    }

    /// A control server's letter arrives.
    pub(super) fn agent_gets(&mut self, host: usize, number: usize, letter: Letter) {
        let link = self.links[number].ends[1].number;
        match letter {
            Letter::Hello(controller_epoch) => {
                self.agents[host].doors.push((link, number));
                self.watch(number, 1, AddpSettings::OFF);
                let controller = self.control.store.controller.clone();
                self.agent_mail(
                    host,
                    AgentSaw::ControllerJoined { link, controller, controller_epoch, lineage: Vec::new() },
                );
            }
            Letter::Order(order) => self.agent_mail(host, AgentSaw::Ordered { link, order }),
            Letter::WordDone(answer) => self.agent_mail(host, AgentSaw::InSyncAnswered { link, answer }),
            Letter::Vote(answer) => self.agent_mail(host, AgentSaw::ControllerVoted { link, answer }),
            Letter::Finish | Letter::Reset => self.accepted_link_ends(host, number),
            Letter::Signal(_) => {}
            Letter::Welcome(_)
            | Letter::TurnedAway(_)
            | Letter::Report(_)
            | Letter::Answer(_)
            | Letter::Leaving(_)
            | Letter::Word(_)
            | Letter::PeerHello
            | Letter::PeerWelcome
            | Letter::Ask(_)
            | Letter::Release(_)
            | Letter::Remembered(_) => self.accepted_link_ends(host, number),
        }
    }

    /// A link that was accepted here is over.
    pub(super) fn accepted_link_ends(&mut self, host: usize, number: usize) {
        let end = &self.links[number].ends[1];
        let (link, from, welcomed) = (end.number, self.links[number].ends[0].party, end.welcomed);
        self.close_end(number, 1);
        match from {
            Party::Control => {
                self.agents[host].doors.retain(|(known, _)| *known != link);
                self.agent_mail(host, AgentSaw::ControllerLeft { link });
            }
            Party::Agent(peer) if welcomed => {
                let peer = self.cast.hosts[peer].clone();
                self.agent_mail(host, AgentSaw::PeerLeft { host: peer });
            }
            Party::Agent(_) => {}
        }
    }

    /// Links to these agents, and to no others.
    fn keep_peers(&mut self, host: usize, peers: &[understudy_decide::agent::Peer]) {
        let kept: Vec<usize> = peers.iter().filter_map(|peer| self.cast.host(&peer.host)).collect();
        for other in 0..self.climate.hosts {
            let Some(number) = self.peer_dialer(host, other).filter(|_| other != host) else { continue };
            let wanted = kept.contains(&other);
            if self.dialers[number].from == Party::Agent(host) {
                let was = std::mem::replace(&mut self.dialers[number].wanted, wanted);
                if let Some(peer) = peers.iter().find(|peer| self.cast.host(&peer.host) == Some(other)) {
                    self.dialers[number].addp = peer.addp;
                }
                if wanted && !was {
                    let life = self.agents[host].daemon.life;
                    self.queue.put(self.now, Event::Dials { dialer: number as u8, life });
                }
            }
            if !wanted && let Some(link) = self.peer_link(host, other) {
                let side = usize::from(self.links[link].ends[1].party == Party::Agent(host));
                if side == 0 {
                    self.dialed_link_ends(link, super::dialing::Why::Closed);
                } else {
                    self.accepted_link_ends(host, link);
                }
            }
        }
        self.agents[host].peers = kept;
    }

    /// The open connection of two agents, as the first of them sees it.
    fn peer_link(&self, host: usize, other: usize) -> Option<usize> {
        let (own, its) = (Party::Agent(host), Party::Agent(other));
        self.links.iter().position(|link| {
            let side = if link.ends[0].party == own && link.ends[1].party == its {
                0
            } else if link.ends[1].party == own && link.ends[0].party == its {
                1
            } else {
                return false;
            };
            let end = &link.ends[side];
            end.open && end.welcomed && self.life_of(own) == Some(end.life)
        })
    }

    fn tell_peer(&mut self, host: usize, to: &HostName, letter: Letter) {
        let Some(other) = self.cast.host(to) else { return };
        if let Some(link) = self.peer_link(host, other) {
            let side = usize::from(self.links[link].ends[0].party == Party::Agent(host));
            self.post(link, side, letter);
        }
    }

    /// Another agent's letter arrives.
    pub(super) fn peer_gets(&mut self, host: usize, number: usize, side: usize, letter: Letter) {
        let Party::Agent(other) = self.links[number].ends[1 - side].party else { return };
        let peer = self.cast.hosts[other].clone();
        match letter {
            Letter::PeerHello if !self.agents[host].peers.contains(&other) => {
                self.close_end(number, side);
            }
            Letter::PeerHello => {
                // The newer one takes the place of one that may be half open.
                while let Some(former) = self.peer_link(host, other) {
                    self.accepted_link_ends(host, former);
                }
                self.links[number].ends[side].welcomed = true;
                self.watch(number, side, AddpSettings::OFF);
                self.post(number, 1 - side, Letter::PeerWelcome);
                self.agent_mail(host, AgentSaw::PeerJoined { host: peer });
            }
            Letter::PeerWelcome => {
                self.welcomed(number);
                self.agent_mail(host, AgentSaw::PeerJoined { host: peer });
            }
            Letter::Ask(ask) => self.agent_mail(host, AgentSaw::PeerAsked { host: peer, ask }),
            Letter::Vote(answer) => self.agent_mail(host, AgentSaw::PeerVoted { host: peer, answer }),
            Letter::Release(release) => self.agent_mail(host, AgentSaw::PeerReleased { host: peer, release }),
            Letter::Remembered(remembered) => {
                self.agents[host].unreminded.retain(|pair| *pair != remembered.pair);
                self.agent_mail(host, AgentSaw::PeerRemembers { host: peer, remembered });
            }
            Letter::Finish | Letter::Reset if side == 0 => {
                self.dialed_link_ends(number, super::dialing::Why::Closed);
            }
            Letter::Finish | Letter::Reset => self.accepted_link_ends(host, number),
            Letter::Signal(_) => {}
            Letter::Hello(_)
            | Letter::Welcome(_)
            | Letter::TurnedAway(_)
            | Letter::Order(_)
            | Letter::Report(_)
            | Letter::Answer(_)
            | Letter::Leaving(_)
            | Letter::Word(_)
            | Letter::WordDone(_) => self.close_end(number, side),
        }
    }
}
