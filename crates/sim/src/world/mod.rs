//! The invented world around the deciding machines: true time, machines with clocks, daemons, links, disks, processes.
//!
//! Refuses to decide anything that a machine of `decide` decides. The law: whatever happens comes out of the queue at its
//! true time, and every chance is thrown with the dice of the seed.

mod acknowledging;
mod agents;
mod clinging;
mod control;
mod devices;
mod dialing;
mod disks;
mod forgetting;
pub mod guards;
mod held;
mod links;
pub mod members;
mod network;
mod obeying;
mod pages;
mod processes;
pub mod reloads;
mod strikes;
mod wishes;

use std::collections::VecDeque;

use understudy_decide::agent::{Agent, AgentMemory};
use understudy_decide::control::{Control, ControlMemory};
use understudy_model::*;

pub use agents::AgentSite;
pub use control::ControlSite;
pub use dialing::Dialer;
pub use links::{Letter, Link, Party};
pub use members::{Hook, Member};
pub use network::Lane;

use crate::cast::Cast;
use crate::climate::{Climate, MS, Options};
use crate::clock::Clock;
use crate::daemon::Daemon;
use crate::fault::{Disk, Planned};
use crate::fingerprint::Fingerprint;
use crate::invariants::Laws;
use crate::queue::{Event, Queue};
use crate::random::Dice;
use crate::sometimes::Sometimes;
use crate::story::Story;

/// One computer.
#[derive(Debug, Clone)]
pub struct Machinery {
    /// Its boot clock.
    pub clock: Clock,
    /// Without power until told otherwise, if above 0.
    pub down: u32,
    /// Frozen as a whole, if above 0.
    pub frozen: u32,
    /// Since when it is frozen.
    pub frozen_since: u64,
    /// Boots so far.
    pub boots: u32,
}

/// The dice of the world's parts.
#[derive(Debug)]
pub struct AllDice {
    /// Networks.
    pub net: Dice,
    /// Disks.
    pub disk: Dice,
    /// Members and their hooks.
    pub member: Dice,
    /// Whose turn is first when many run again.
    pub turns: Dice,
    /// What members acknowledge.
    pub data: Dice,
    /// What is seen of silent processes.
    pub evidence: Dice,
    /// How long reloads take.
    pub reload: Dice,
    /// What fencing commands do.
    pub device: Dice,
}

/// Everything.
pub struct World {
    /// True time, in nanoseconds.
    pub now: u64,
    /// What is going to happen.
    pub queue: Queue,
    /// What kind of world it is.
    pub climate: Climate,
    /// Who plays.
    pub cast: Cast,
    /// The faults.
    pub plan: Vec<Planned>,
    /// Chance.
    pub dice: AllDice,
    /// Every computer; hosts first.
    pub machines: Vec<Machinery>,
    /// By host.
    pub agents: Vec<AgentSite>,
    /// The control server.
    pub control: ControlSite,
    /// Control server to host, by host; then agent to agent, by pair.
    pub dialers: Vec<Dialer>,
    /// Connections.
    pub links: Vec<Link>,
    /// From, to.
    pub lanes: Vec<Vec<Lane>>,
    /// Processes.
    pub members: Vec<Member>,
    /// What must hold.
    pub laws: Laws,
    /// What was reached.
    pub sometimes: Sometimes,
    /// What happened, for people.
    pub story: Story,
    /// Of all observations and decisions, if wanted.
    pub fingerprint: Option<Fingerprint>,
    /// Events so far.
    pub events: u64,
    /// Measures what the machines cost, if wanted.
    pub meter: Option<Meter>,
    serials: u32,
}

/// What the machines themselves cost; the clock is handed in by whoever may read one.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    /// Nanoseconds since whenever.
    pub clock: fn() -> u64,
    /// The machines' share so far.
    pub spent: u64,
}

/// What is in the files of an agent that was installed so often before.
fn empty_memory(host: usize, installed: u32) -> AgentMemory {
    AgentMemory {
        agent: AgentId(host as u128 + 1 + 100 * u128::from(installed)),
        controller_epoch: ControllerEpoch(0),
        obeyed: None,
        assignments: Vec::new(),
        roles: Default::default(),
    }
}

/// What a store holds that was never used.
fn empty_store() -> ControlMemory {
    ControlMemory {
        controller: match ControllerName::new("scs-1") {
            Ok(name) => name,
            Err(error) => unreachable!("{error}"),
        },
        controller_epoch: ControllerEpoch(0),
        roles: Default::default(),
        goals: Default::default(),
        maintenance: Vec::new(),
        last_operation: OperationId(0),
        flaps: Default::default(),
        drained: Default::default(),
        in_sync: Default::default(),
        holds: Default::default(),
        grants: Default::default(),
        asked: Default::default(),
    }
}

/// The name of a machine's clock: each boot begins another one.
fn clock_of(machine: usize, boots: u32) -> ClockId {
    ClockId((u128::from(boots) << 32) + machine as u128)
}

impl World {
    /// Begins the agent of a host in a new life, with what its files hold.
    fn begin_mind(&mut self, host: usize, incarnation: Incarnation) {
        let clock = clock_of(host, self.machines[host].boots);
        let memory = self.agents[host].memory.clone();
        let mind = Agent::new(self.cast.hosts[host].clone(), incarnation, memory).on_clock(Some(clock));
        self.agents[host].daemon.begin(mind);
    }

    /// A vote as it leaves a machine: with what its clock shows.
    fn vote(&self, machine: usize, answer: VoteAnswer) -> Letter {
        let known = &self.machines[machine];
        let clock = ClockReading { clock: clock_of(machine, known.boots), at: known.clock.at(self.now) };
        Letter::Vote(VoteAnswer { clock: Some(clock), ..answer })
    }

    /// A world in which nothing has happened yet.
    pub fn new(seed: u64, options: Options, plan: impl Fn(&Climate, &Cast) -> Vec<Planned>) -> Self {
        let climate = Climate::of(seed, options);
        let cast = Cast::of(&climate);
        let plan = plan(&climate, &cast);
        let count = climate.hosts.max(climate.control_on + 1);
        let machine = |number: usize| Machinery {
            // Each was switched on at another time.
            clock: Clock::new(0, 1_000 * MS * (number as u64 + 1), climate.drifts[number]),
            down: 0,
            frozen: 0,
            frozen_since: 0,
            boots: 1,
        };
        let lane = |from, to| if from == to { Lane::loopback() } else { Lane::new(climate.delay) };
        let mut world = Self {
            now: 0,
            queue: Queue::default(),
            machines: (0..count).map(machine).collect(),
            agents: (0..climate.hosts).map(|host| AgentSite::new(empty_memory(host, 0))).collect(),
            control: ControlSite::new(empty_store(), climate.hosts, cast.cluster.clone()),
            dialers: Vec::new(),
            links: Vec::new(),
            lanes: (0..count).map(|from| (0..count).map(|to| lane(from, to)).collect()).collect(),
            members: Vec::new(),
            laws: Laws::new(&climate, &cast),
            sometimes: Sometimes::default(),
            story: Story::default(),
            fingerprint: None,
            events: 0,
            meter: None,
            serials: 0,
            dice: AllDice {
                net: Dice::new(seed, 3),
                disk: Dice::new(seed, 4),
                member: Dice::new(seed, 5),
                turns: Dice::new(seed, 7),
                data: Dice::new(seed, 9),
                evidence: Dice::new(seed, 10),
                reload: Dice::new(seed, 12),
                device: Dice::new(seed, 15),
            },
            climate,
            cast,
            plan,
        };
        world.dialers = world.all_dialers();
        for host in 0..world.climate.hosts {
            world.queue.put(host as u64 * MS, Event::AgentStarts { host: host as u8, life: 0 });
        }
        world.queue.put(3 * MS, Event::ControlStarts { life: 0 });
        for (number, planned) in world.plan.clone().iter().enumerate() {
            let fault = number as u16;
            world.queue.put(planned.at, Event::FaultBegins { fault });
            world.queue.put(planned.until.max(planned.at), Event::FaultEnds { fault });
        }
        world
    }

    /// The moment at which a machine begins or ends a step, if that is measured.
    fn metered(&self) -> u64 {
        self.meter.as_ref().map_or(0, |meter| (meter.clock)())
    }

    fn spent_since(&mut self, began: u64) {
        if let Some(meter) = &mut self.meter {
            meter.spent += (meter.clock)().saturating_sub(began);
        }
    }

    fn serial(&mut self) -> u32 {
        self.serials += 1;
        self.serials
    }

    /// What a machine's clock shows now.
    pub fn clock(&self, machine: usize) -> Moment {
        self.machines[machine].clock.at(self.now)
    }

    /// It has power and is not frozen.
    pub fn is_up(&self, machine: usize) -> bool {
        self.machines[machine].down == 0
    }

    /// The next thing happens, unless it is after `until`. False if there is none.
    pub fn step(&mut self, until: u64) -> bool {
        let Some((time, event)) = self.queue.take(until) else { return false };
        self.now = time;
        if self.queue.grows_without_end() {
            self.laws.spins(time, "the simulation itself");
            return false;
        }
        if self.put_off(event) {
            return true;
        }
        if self.happen(event) {
            self.events += 1;
            crate::invariants::check(self);
        }
        true
    }

    /// What is done by somebody who is frozen waits for the end of that.
    fn put_off(&mut self, event: Event) -> bool {
        let list = match event {
            Event::AgentWakes { host, .. }
            | Event::AgentWrote { host, .. }
            | Event::Noticed { host, .. }
            | Event::Spawns { host, .. }
            | Event::GoesOn { host, .. }
            | Event::GuardStarts { host, .. } => {
                let daemon = &mut self.agents[host as usize].daemon;
                (daemon.frozen > 0).then_some(&mut daemon.put_off)
            }
            Event::GuardWakes { host } => {
                let guard = &mut self.agents[host as usize].guard;
                (guard.frozen > 0).then_some(&mut guard.put_off)
            }
            Event::ControlWakes { .. }
            | Event::ControlWrote { .. }
            | Event::Reloads { .. }
            | Event::DeviceAnswers { .. } => {
                let daemon = &mut self.control.daemon;
                (daemon.frozen > 0).then_some(&mut daemon.put_off)
            }
            Event::Dials { dialer, .. }
            | Event::DialLate { dialer, .. }
            | Event::Connects { dialer, .. }
            | Event::Refused { dialer, .. } => match self.dialers[dialer as usize].from {
                Party::Control => {
                    let daemon = &mut self.control.daemon;
                    (daemon.frozen > 0).then_some(&mut daemon.put_off)
                }
                Party::Agent(host) => {
                    let daemon = &mut self.agents[host].daemon;
                    (daemon.frozen > 0).then_some(&mut daemon.put_off)
                }
            },
            Event::Delivers { link, serial, to: side } | Event::Looks { link, serial, side } => {
                let link = &self.links[link as usize];
                if link.serial != serial {
                    return true;
                }
                match link.ends[side as usize].party {
                    Party::Control => {
                        let daemon = &mut self.control.daemon;
                        (daemon.frozen > 0).then_some(&mut daemon.put_off)
                    }
                    Party::Agent(host) => {
                        let daemon = &mut self.agents[host].daemon;
                        (daemon.frozen > 0).then_some(&mut daemon.put_off)
                    }
                }
            }
            Event::Lives { member, serial } | Event::Acknowledges { member, serial } => {
                let member = &mut self.members[member as usize];
                (member.serial == serial && member.frozen > 0).then_some(&mut member.put_off)
            }
            Event::Speaks { member, serial, .. }
            | Event::LooksAt { member, serial }
            | Event::SeesEvidence { member, serial } => {
                let member = &self.members[member as usize];
                if member.serial != serial {
                    return true;
                }
                let daemon = &mut self.agents[member.host].daemon;
                (daemon.frozen > 0).then_some(&mut daemon.put_off)
            }
            // A kill needs nobody who runs; starts and ends of programs are the system's.
            Event::Ends { .. }
            | Event::HookEnds { .. }
            | Event::AgentStarts { .. }
            | Event::ControlStarts { .. }
            | Event::FaultBegins { .. }
            | Event::FaultEnds { .. }
            | Event::DevicePulls { .. }
            | Event::PowerReturns { .. }
            | Event::OperatorLooks => None,
        };
        match list {
            Some(list) => {
                list.push(event);
                true
            }
            None => false,
        }
    }

    /// Whoever was frozen does now what was put off.
    fn thaw(&mut self, list: Vec<Event>) {
        for event in list {
            self.queue.put(self.now, event);
        }
    }

    /// True if something happened: what belongs to a life that is over does not.
    fn happen(&mut self, event: Event) -> bool {
        match event {
            Event::AgentWakes { host, life } => self.agent_wakes(host as usize, life),
            Event::ControlWakes { life } => self.control_wakes(life),
            Event::AgentWrote { host, life } => self.agent_wrote(host as usize, life),
            Event::ControlWrote { life } => self.control_wrote(life),
            Event::Reloads { life } => self.reloads(life),
            Event::AgentStarts { host, life } => self.agent_starts(host as usize, life),
            Event::ControlStarts { life } => self.control_starts(life),
            Event::Dials { dialer, life } => self.dials(dialer as usize, life),
            Event::DialLate { dialer, life, serial } => self.dial_late(dialer as usize, life, serial),
            Event::Connects { dialer, life, serial } => self.connects(dialer as usize, life, serial),
            Event::Refused { dialer, life, serial } => self.refused(dialer as usize, life, serial),
            Event::Delivers { link, serial, to } => self.delivers(link as usize, serial, to as usize),
            Event::Looks { link, serial, side } => self.looks(link as usize, serial, side as usize),
            Event::Spawns { host, life, number } => self.spawns(host as usize, life, number),
            Event::GoesOn { host, life } => self.goes_on(host as usize, life),
            Event::Lives { member, serial } => self.member_lives(member as usize, serial),
            Event::Acknowledges { member, serial } => self.member_acknowledges(member as usize, serial),
            Event::Speaks { member, serial, link } => self.member_speaks(member as usize, serial, link),
            Event::Ends { member, serial, all } => self.member_is_ended(member as usize, serial, all),
            Event::Noticed { host, life } => self.agent_notices(host as usize, life),
            Event::HookEnds { host, number } => self.hook_ends(host as usize, number),
            Event::GuardWakes { host } => self.guard_wakes(host as usize),
            Event::GuardStarts { host, life } => self.guard_starts(host as usize, life),
            Event::LooksAt { member, serial } => self.look_at(member as usize, serial),
            Event::SeesEvidence { member, serial } => self.sees_evidence(member as usize, serial),
            Event::FaultBegins { fault } => self.fault_begins(fault as usize),
            Event::FaultEnds { fault } => self.fault_ends(fault as usize),
            Event::DevicePulls { host, until } => self.device_pulls(host as usize, until),
            Event::PowerReturns { host } => self.power_returns(host as usize),
            Event::DeviceAnswers { life, host, confirmed } => {
                self.device_answers(life, host as usize, confirmed)
            }
            Event::OperatorLooks => self.operator_looks(),
        }
    }

    /// Tells the story, if anybody wants to hear it; the words are made only then.
    pub fn tell(&mut self, words: impl FnOnce(&Self) -> String) {
        if self.story.is_told() {
            let words = words(self);
            self.story.line(self.now, None, words);
        }
    }

    /// The same, with what the clock of that machine shows.
    pub fn tell_at(&mut self, machine: usize, words: impl FnOnce(&Self) -> String) {
        if self.story.is_told() {
            let words = words(self);
            let clock = self.clock(machine);
            self.story.line(self.now, Some(clock), words);
        }
    }

    /// Every fault has ended.
    pub fn is_calm(&self) -> bool {
        self.now > self.climate.stormy
    }
}

/// A queue of something, of one side to the other.
pub type Mailbag<T> = VecDeque<T>;

/// The daemons of this world.
pub type AgentDaemon = Daemon<Agent>;
/// The daemons of this world.
pub type ControlDaemon = Daemon<Control>;

/// Whether a disk says that it stored something.
pub(crate) fn stores(disk: Disk) -> (bool, Option<bool>) {
    match disk {
        Disk::Works | Disk::Slow => (true, None),
        Disk::Full => (false, Some(true)),
        Disk::StoresUnseen => (true, Some(false)),
        Disk::LosesUnseen => (false, Some(false)),
    }
}
