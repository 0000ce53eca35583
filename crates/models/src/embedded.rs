//! The whole agent of `decide`, not its grant machines alone, through every short history of what can happen to it.
//!
//! The other explorations hold the machines by hand. Here an agent embeds them, with its pages, its orders of doing things and
//! its restarts, and what it keeps, says and shows is judged by the laws of the rules alone: no machine of ours is asked
//! what should be. Histories are bounded by their length; two that came to the same are gone on from once.

mod hands;
mod laws;
mod lies;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

pub use lies::Lie;
use understudy_decide::agent::{Agent, AgentMemory, AgentSaw, DurableRole, Found, LinkId, StartId};
use understudy_decide::grants::holder::Page;
use understudy_model::{
    AgentId, ApplicationName, ControllerEpoch, ControllerName, Epoch, ExitCause, FromApplication, GrantTold,
    Incarnation, Machine, Moment, Order, OrderId, Readiness, Release, RoleEpoch, RunMode, Verdict,
    VoteAnswer, VoteAsk, Work,
};

use crate::small_host::{self, LEASE, ms};

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each has its sentence below
pub enum Happening {
    Passes(u64),
    Promote(usize, u64),
    Demote,
    PeerAsks(u64),
    PeerReleases(u64),
    Yes(usize, bool),
    Exits(usize),
    DiskFails,
    CrashesWithin,
    Restarts,
    CutOff(bool),
}

/// One member, as its process and its page are.
#[derive(Debug, Clone, Hash)]
struct Member {
    name: ApplicationName,
    process: Option<(StartId, RunMode, Epoch)>,
    page: Page,
    /// What the page of a life before was worth when this one began.
    adopted: Moment,
}

/// What becomes of the next decision that has something to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fate {
    Kept,
    DiskFails,
    Crashes,
}

/// A host with its agent, and what is known of it from outside.
#[derive(Debug, Clone, Hash)]
struct Host {
    agent: Agent,
    life: u128,
    now: Moment,
    disk: DurableRole,
    members: Vec<Member>,
    fate: Fate,
    cut_off: bool,
    /// Requests and when each was sent; those of earlier lives too.
    asked: Vec<(VoteAsk, Moment)>,
    /// Yes to requests of this life: until when each may be counted on.
    heard: Vec<(RoleEpoch, Moment)>,
    /// Nobody but its holder may be promised anything before this moment.
    word: Moment,
    /// An epoch that this life gave up, and could not close durably: it ends the own promise, and is not released.
    given_up: Epoch,
    votes: u64,
    orders: u64,
}

/// What became of all histories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// So many different situations.
    pub situations: usize,
    /// And so many things that happened in them.
    pub happened: u64,
    /// How often a page began to say primary; a vote was given; one was refused; a release was said; a member was adopted.
    pub reached: [u64; 5],
    /// A law that was broken, and what had happened.
    pub objection: Option<(String, Vec<String>)>,
}

/// The names of what is counted in [`Told::reached`].
pub const REACHED: [&str; 5] =
    ["pages that say primary", "votes given", "votes refused", "releases", "members adopted"];

type Lawful = Result<(), String>;

/// All histories of at most `most` happenings, of a host with one member or with both.
pub fn explore(both_here: bool, lie: Option<Lie>, most: usize) -> Told {
    let mut told = Told::default();
    let mut seen = BTreeSet::new();
    let mut layer = Vec::new();
    for scene in [Host::backup(both_here, lie, &mut told), Host::primary(both_here, lie, &mut told)] {
        match scene {
            Ok(host) => layer.push((host, Vec::new())),
            Err(what) => told.objection = Some((what, vec!["in the beginning".to_owned()])),
        }
    }
    for _ in 0..most {
        let mut next = Vec::new();
        for (host, way) in std::mem::take(&mut layer) {
            for happening in host.happenings() {
                let mut after = host.clone();
                let lawful = after.lives_through(happening, lie, &mut told);
                told.happened += 1;
                let told_so_far = |way: &Vec<Happening>| {
                    way.iter().chain([&happening]).map(|it| format!("{it:?}")).collect::<Vec<_>>()
                };
                if let Err(what) = lawful {
                    told.objection = Some((what, told_so_far(&way)));
                    return told;
                }
                let mut bits = DefaultHasher::new();
                after.hash(&mut bits);
                if seen.insert(bits.finish()) {
                    let mut way: Vec<Happening> = way.clone();
                    way.push(happening);
                    next.push((after, way));
                }
            }
        }
        told.situations = seen.len();
        layer = next;
    }
    told
}

impl Host {
    /// Its member, or both, run as backups; the promise to another is over.
    fn backup(both_here: bool, lie: Option<Lie>, told: &mut Told) -> Result<Self, String> {
        let names = small_host::members(both_here);
        let assignments = small_host::assignments(both_here);
        let disk = DurableRole { promised: Some(role(1, "former")), lease: LEASE, closed: Epoch::NONE };
        let no = Page { role: None, until: Moment::default() };
        let member = |name| Member { name, process: None, page: no.clone(), adopted: Moment::default() };
        let memory = AgentMemory {
            agent: AgentId(1),
            controller_epoch: ControllerEpoch(1),
            obeyed: None,
            assignments,
            roles: BTreeMap::from([(small_host::pair(), disk.clone())]),
        };
        let now = Moment(100_000_000_000);
        let mut host = Self {
            agent: Agent::new(small_host::host("alpha"), Incarnation(7), memory),
            life: 7,
            now,
            disk,
            members: names.into_iter().map(member).collect(),
            fate: Fate::Kept,
            cut_off: false,
            asked: Vec::new(),
            heard: Vec::new(),
            word: now + LEASE,
            given_up: Epoch::NONE,
            votes: 0,
            orders: 0,
        };
        host.sees(AgentSaw::Awake { found: Vec::new(), pages: BTreeMap::new() }, lie, told)?;
        host.joins(lie, told)?;
        host.passes(3_000, lie, told)?;
        Ok(host)
    }

    /// Its first member acts in epoch 2, on a vote of the other agent.
    fn primary(both_here: bool, lie: Option<Lie>, told: &mut Told) -> Result<Self, String> {
        let mut host = Self::backup(both_here, lie, told)?;
        for happening in [Happening::Promote(0, 2), Happening::Yes(0, true)] {
            if happening == Happening::Promote(0, 2) || !host.asked.is_empty() {
                host.lives_through(happening, lie, told)?;
            }
        }
        Ok(host)
    }

    fn happenings(&self) -> Vec<Happening> {
        let mut all = vec![Happening::Passes(100), Happening::Passes(750), Happening::Passes(3_000)];
        let newest = self.disk.promised.as_ref().map_or(Epoch::NONE, |role| role.epoch).0;
        for (index, member) in self.members.iter().enumerate() {
            all.extend(
                [2, 3, 4]
                    .into_iter()
                    .filter(|epoch| *epoch <= newest + 1)
                    .map(|epoch| Happening::Promote(index, epoch)),
            );
            all.extend(member.process.is_some().then_some(Happening::Exits(index)));
        }
        if self.members.iter().any(|member| member.page.role.is_some()) {
            all.push(Happening::Demote);
        }
        if self.members.len() == 1 {
            let epochs = [2, 3, 4].into_iter().filter(|epoch| *epoch <= newest + 1);
            all.extend(epochs.flat_map(|epoch| [Happening::PeerAsks(epoch), Happening::PeerReleases(epoch)]));
        }
        // The youngest request, the oldest one, and the last one of the life before.
        let mut requests: Vec<usize> =
            [0, self.asked.len().saturating_sub(1)].into_iter().filter(|i| *i < self.asked.len()).collect();
        let before = |(ask, _): &(VoteAsk, Moment)| ask.incarnation != Incarnation(self.life);
        requests.extend(self.asked.iter().rposition(before));
        requests.sort_unstable();
        requests.dedup();
        all.extend(requests.into_iter().flat_map(|i| [Happening::Yes(i, true), Happening::Yes(i, false)]));
        if self.fate == Fate::Kept {
            all.extend([Happening::DiskFails, Happening::CrashesWithin]);
        }
        all.extend([Happening::Restarts, Happening::CutOff(!self.cut_off)]);
        all
    }

    fn lives_through(&mut self, happening: Happening, lie: Option<Lie>, told: &mut Told) -> Lawful {
        match happening {
            Happening::Passes(milliseconds) => return self.passes(milliseconds, lie, told),
            Happening::Promote(index, epoch) => {
                let role = RoleEpoch::new(Epoch(epoch), self.members[index].name.clone());
                let grant = Some(GrantTold { lease: LEASE, fenced: None });
                self.ordered(
                    Work::Promote { pair: small_host::pair(), role, time_limit: ms(10_000), grant },
                    lie,
                    told,
                )?;
            }
            Happening::Demote => {
                let acting = self.members.iter().find_map(|member| member.page.role.clone());
                let Some(role) = acting else { return Ok(()) };
                self.ordered(
                    Work::Demote { pair: small_host::pair(), role, time_limit: ms(1_000) },
                    lie,
                    told,
                )?;
            }
            Happening::PeerAsks(epoch) => {
                self.votes += 1;
                let (incarnation, role) = (Incarnation(9), role(epoch, "two"));
                let ask =
                    VoteAsk { pair: small_host::pair(), incarnation, number: self.votes, role, lease: LEASE };
                self.sees(AgentSaw::PeerAsked { host: small_host::host("beta"), ask }, lie, told)?;
            }
            Happening::PeerReleases(epoch) => {
                let released = role(epoch, "two");
                if self
                    .disk
                    .promised
                    .as_ref()
                    .is_some_and(|role| role.holder == released.holder && role.epoch <= released.epoch)
                {
                    self.word = Moment::default();
                }
                let release = Release { pair: small_host::pair(), role: released };
                self.sees(AgentSaw::PeerReleased { host: small_host::host("beta"), release }, lie, told)?;
            }
            Happening::Yes(index, of_peer) => self.hears_yes(index, of_peer, lie, told)?,
            Happening::Exits(index) => self.ends(index, lie, told)?,
            Happening::DiskFails => self.fate = Fate::DiskFails,
            Happening::CrashesWithin => self.fate = Fate::Crashes,
            Happening::Restarts => self.restarts(lie, told)?,
            Happening::CutOff(true) => {
                self.cut_off = true;
                self.sees(AgentSaw::PeerLeft { host: small_host::host("beta") }, lie, told)?;
                self.sees(AgentSaw::ControllerLeft { link: LinkId(self.life as u64) }, lie, told)?;
            }
            Happening::CutOff(false) => self.joins(lie, told)?,
        }
        self.passes(0, lie, told)
    }

    fn ordered(&mut self, work: Work, lie: Option<Lie>, told: &mut Told) -> Lawful {
        self.orders += 1;
        let order = Order {
            id: OrderId(self.orders),
            incarnation: Incarnation(self.life),
            controller_epoch: ControllerEpoch(1),
            work,
        };
        self.sees(AgentSaw::Ordered { link: LinkId(self.life as u64), order }, lie, told)
    }

    fn hears_yes(&mut self, index: usize, of_peer: bool, lie: Option<Lie>, told: &mut Told) -> Lawful {
        let (VoteAsk { pair, incarnation, number, role, .. }, sent) = self.asked[index].clone();
        // The law counts lives by their number, whatever the agent is told.
        let this_life = self.asked[index].0.lease == LEASE;
        if this_life {
            self.heard.push((role.clone(), sent + LEASE));
            self.heard.sort();
            self.heard.dedup();
        }
        let answer = VoteAnswer { pair, incarnation, number, role, verdict: Verdict::Given, clock: None };
        let saw = if of_peer {
            AgentSaw::PeerVoted { host: small_host::host("beta"), answer }
        } else {
            AgentSaw::ControllerVoted { link: LinkId(self.life as u64), answer }
        };
        self.sees(saw, lie, told)
    }

    fn ends(&mut self, index: usize, lie: Option<Lie>, told: &mut Told) -> Lawful {
        let Some((start, ..)) = self.members[index].process.take() else { return Ok(()) };
        let application = self.members[index].name.clone();
        self.sees(ended(application, start), lie, told)
    }

    fn joins(&mut self, lie: Option<Lie>, told: &mut Told) -> Lawful {
        self.cut_off = false;
        let controller = ControllerName::new("scs-1").expect("a good name");
        let (link, controller_epoch) = (LinkId(self.life as u64), ControllerEpoch(1));
        self.sees(
            AgentSaw::ControllerJoined { link, controller, controller_epoch, lineage: Vec::new() },
            lie,
            told,
        )?;
        if self.members.len() == 1 {
            self.sees(AgentSaw::PeerJoined { host: small_host::host("beta") }, lie, told)?;
        }
        self.sees(AgentSaw::GuardChanged { up: true }, lie, told)
    }

    /// The agent crashes; the next one finds the files, the pages and the processes (G7).
    fn restarts(&mut self, lie: Option<Lie>, told: &mut Told) -> Lawful {
        if lie != Some(Lie::SameLife) {
            self.life += 1;
        }
        self.fate = Fate::Kept;
        self.heard.clear();
        self.given_up = Epoch::NONE;
        self.word = self.now + self.disk.lease;
        // Marks the requests of the lives before: see `hears_yes`.
        self.asked.iter_mut().for_each(|(ask, _)| ask.lease = ms(0));
        let memory = AgentMemory {
            agent: AgentId(1),
            controller_epoch: ControllerEpoch(1),
            obeyed: None,
            assignments: small_host::assignments(self.members.len() > 1),
            roles: BTreeMap::from([(small_host::pair(), self.disk.clone())]),
        };
        self.agent = Agent::new(small_host::host("alpha"), Incarnation(self.life), memory);
        let mut pages = BTreeMap::new();
        for member in &mut self.members {
            let mut page = member.page.clone();
            member.adopted = page.until;
            if lie == Some(Lie::YesterdaysPage) && page.role.is_some() {
                page.until = self.now + LEASE;
            }
            pages.insert(member.name.clone(), page);
        }
        let found = self.members.iter().filter_map(|member| {
            let (start, ..) = member.process?;
            let application = member.name.clone();
            Some(Found {
                application,
                start,
                pid: Some(100),
                running_for: ms(9_000),
                restarts: 0,
                acts: None,
                half: None,
                ready: true,
            })
        });
        let found = found.collect();
        let acted = self.members.iter().any(|member| member.page.may_act(self.now));
        self.sees(AgentSaw::Awake { found, pages }, lie, told)?;
        for index in 0..self.members.len() {
            self.attaches(index, lie, told)?;
        }
        let acts = self.members.iter().any(|member| member.page.may_act(self.now));
        told.reached[4] += u64::from(acted && acts);
        if self.cut_off {
            self.sees(AgentSaw::GuardChanged { up: true }, lie, told)
        } else {
            self.joins(lie, told)
        }
    }

    fn attaches(&mut self, index: usize, lie: Option<Lie>, told: &mut Told) -> Lawful {
        let Some((start, run_mode, epoch)) = self.members[index].process else { return Ok(()) };
        let application = self.members[index].name.clone();
        self.sees(attach(application, start, run_mode, epoch), lie, told)
    }

    fn passes(&mut self, milliseconds: u64, lie: Option<Lie>, told: &mut Told) -> Lawful {
        let end = self.now + ms(milliseconds);
        let mut steps = 0;
        while let Some(due) = self.agent.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.sees(AgentSaw::DeadlinePassed, lie, told)?;
            steps += 1;
            if steps > 1_000 {
                return Err("it asks for its next deadline for ever".to_owned());
            }
        }
        self.now = end;
        self.lawful()
    }
}

fn role(epoch: u64, holder: &str) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), ApplicationName::new(holder).expect("a good name"))
}

/// What a process with the library says first.
fn attach(application: ApplicationName, start: StartId, run_mode: RunMode, epoch: Epoch) -> AgentSaw {
    let said = FromApplication::Attach {
        application: application.clone(),
        pid: 100,
        run_mode,
        epoch,
        readiness: Readiness::Ready,
        suspended: false,
        heartbeat: false,
    };
    AgentSaw::Said { application, start, said }
}

/// Its main process was killed, and nothing else of it lives.
fn ended(application: ApplicationName, start: StartId) -> AgentSaw {
    let (cause, last_words) = (ExitCause::Signal(9), String::new());
    AgentSaw::Ended { application, start, cause, others_live: false, last_words }
}
