//! What is broken at present, and since when what was broken is whole again.
//!
//! Refuses to know how the world carries faults out. The law: what is counted as whole has been so for the whole span that is
//! asked for.

use crate::cast::Cast;
use crate::climate::Climate;
use crate::fault::{Fault, Wish};

/// How often something is broken now, and until when it last was.
#[derive(Debug, Clone, Default)]
pub struct Wound {
    count: u32,
    /// Since when it is broken, or whole.
    since: u64,
}

impl Wound {
    fn change(&mut self, now: u64, begins: bool) {
        let before = self.count;
        self.count = if begins { self.count + 1 } else { self.count.saturating_sub(1) };
        if before == 0 || self.count == 0 {
            self.since = now;
        }
    }

    /// It has been whole for that long.
    pub fn whole_for(&self, now: u64, span: u64) -> bool {
        self.count == 0 && now.saturating_sub(self.since) >= span
    }

    /// It has been broken for that long.
    pub fn broken_for(&self, now: u64, span: u64) -> bool {
        self.count > 0 && now.saturating_sub(self.since) >= span
    }
}

/// Everything that may be broken.
#[derive(Debug, Clone)]
pub struct Strain {
    /// It says that it cannot serve, by part.
    pub unready: Vec<u32>,
    /// It refuses promotions, by part.
    pub refuses: Vec<u32>,
    /// It ends slowly, by part.
    pub lingers: Vec<u32>,
    /// It does not end whatever is done, by part.
    pub clings: Vec<u32>,
    /// The same of hooks, by host.
    pub hooks_cling: Vec<u32>,
    /// An operator stopped it for good, by part.
    pub for_good: Vec<bool>,
    /// Anything of a host: its machine, agent, disk, guard, hooks.
    pub hosts: Vec<Wound>,
    /// Anything of a member, by part.
    pub parts: Vec<Wound>,
    /// The control server, its machine, its store.
    pub control: Wound,
    /// The control server is dead or frozen.
    pub control_gone: Wound,
    /// The ways between two machines, lower number first.
    pub ways: Vec<Vec<Wound>>,
    /// Operators asked for something.
    pub wishes: Wound,
    control_on: usize,
    hosts_of_parts: Vec<usize>,
}

impl Strain {
    /// Nothing is broken.
    pub fn new(climate: &Climate, cast: &Cast) -> Self {
        let parts = cast.parts.len();
        let machines = climate.hosts.max(climate.control_on + 1);
        Self {
            unready: vec![0; parts],
            refuses: vec![0; parts],
            lingers: vec![0; parts],
            clings: vec![0; parts],
            hooks_cling: vec![0; climate.hosts],
            for_good: vec![false; parts],
            hosts: vec![Wound::default(); climate.hosts],
            parts: vec![Wound::default(); parts],
            control: Wound::default(),
            control_gone: Wound::default(),
            ways: vec![vec![Wound::default(); machines]; machines],
            wishes: Wound::default(),
            control_on: climate.control_on,
            hosts_of_parts: cast.parts.iter().map(|part| part.host).collect(),
        }
    }

    /// A fault begins.
    pub fn begins(&mut self, now: u64, fault: Fault) {
        self.change(now, fault, true);
    }

    /// A fault ends.
    pub fn ends(&mut self, now: u64, fault: Fault) {
        self.change(now, fault, false);
    }

    /// The ways between two machines.
    pub fn way(&self, one: usize, other: usize) -> &Wound {
        &self.ways[one.min(other)][one.max(other)]
    }

    fn change(&mut self, now: u64, fault: Fault, begins: bool) {
        let count =
            |counter: &mut u32| *counter = if begins { *counter + 1 } else { counter.saturating_sub(1) };
        match fault {
            Fault::AgentDies { host }
            | Fault::AgentFreezes { host }
            | Fault::GuardFreezes { host }
            | Fault::GuardDies { host }
            | Fault::AgentDisk { host, .. }
            | Fault::CannotStart { host }
            | Fault::HooksFail { host, .. }
            | Fault::FilesSetBack { host }
            | Fault::HooksHang { host } => self.hosts[host].change(now, begins),
            Fault::ControlDies | Fault::ControlFreezes => {
                self.control.change(now, begins);
                self.control_gone.change(now, begins);
            }
            Fault::StoreDisk { .. } => self.control.change(now, begins),
            Fault::MachineDies { machine }
            | Fault::MachineFreezes { machine }
            | Fault::Reinstalled { host: machine } => {
                if let Some(host) = self.hosts.get_mut(machine) {
                    host.change(now, begins);
                }
                if machine == self.control_on {
                    self.control.change(now, begins);
                }
            }
            Fault::MemberFreezes { part } | Fault::MemberDies { part, .. } | Fault::Leaves { part } => {
                self.parts[part].change(now, begins);
            }
            Fault::Unready { part } => {
                count(&mut self.unready[part]);
                self.parts[part].change(now, begins);
            }
            Fault::Refuses { part } => {
                count(&mut self.refuses[part]);
                self.parts[part].change(now, begins);
            }
            Fault::Clings { part, .. } => {
                count(&mut self.clings[part]);
                self.parts[part].change(now, begins);
            }
            Fault::HooksCling { host } => {
                count(&mut self.hooks_cling[host]);
                self.hosts[host].change(now, begins);
            }
            Fault::Lingers { part } => {
                count(&mut self.lingers[part]);
                self.parts[part].change(now, begins);
            }
            Fault::Cut { from, to } | Fault::Slow { from, to } => {
                self.ways[from.min(to)][from.max(to)].change(now, begins);
            }
            Fault::Lonely { machine } => {
                for other in 0..self.ways.len() {
                    self.ways[machine.min(other)][machine.max(other)].change(now, begins);
                }
            }
            Fault::Reset { .. } => {
                for way in self.ways.iter_mut().flatten() {
                    way.change(now, begins);
                }
            }
            Fault::Wish(wish) => self.wished(now, wish, begins),
        }
    }

    fn wished(&mut self, now: u64, wish: Wish, begins: bool) {
        match wish {
            Wish::Switchover { .. }
            | Wish::Stop { .. }
            | Wish::StopForGood { .. }
            | Wish::Restart { .. }
            | Wish::Maintenance { .. }
            | Wish::MaintenanceOfPair { .. }
            | Wish::Drain { .. }
            | Wish::Rolling { .. }
            | Wish::SayOff { .. }
            | Wish::HostLeaves { .. } => self.wishes.change(now, begins),
            // A healthy primary goes on in its new epoch.
            Wish::Lease { .. } | Wish::Hold { .. } => {}
        }
    }

    /// A member's own side of things has been whole for that long: its host and itself, and nobody wished anything.
    pub fn own_side_whole(&self, now: u64, part: usize, span: u64) -> bool {
        self.hosts[self.hosts_of_parts[part]].whole_for(now, span)
            && self.parts[part].whole_for(now, span)
            && self.wishes.whole_for(now, span)
    }

    /// The control server, and the way to it from a host, have been whole for that long.
    pub fn control_whole(&self, now: u64, host: usize, span: u64) -> bool {
        self.control.whole_for(now, span) && self.way(host, self.control_on).whole_for(now, span)
    }

    /// The other member's agent, and the way to it, have been whole for that long.
    pub fn peer_whole(&self, now: u64, host: usize, peer: usize, span: u64) -> bool {
        self.hosts[peer].whole_for(now, span) && (host == peer || self.way(host, peer).whole_for(now, span))
    }

    /// The control server, or the way to it from a host, has been broken for that long.
    pub fn control_hurt(&self, now: u64, host: usize, span: u64) -> bool {
        self.control.broken_for(now, span) || self.way(host, self.control_on).broken_for(now, span)
    }

    /// The other member's host, or the way to it, has been broken for that long.
    pub fn peer_hurt(&self, now: u64, host: usize, peer: usize, span: u64) -> bool {
        self.hosts[peer].broken_for(now, span) || self.way(host, peer).broken_for(now, span)
    }

    /// Nothing but the control plane has been broken for that long.
    pub fn all_but_control_whole(&self, now: u64, span: u64) -> bool {
        self.hosts.iter().chain(&self.parts).all(|wound| wound.whole_for(now, span))
            && self.wishes.whole_for(now, span)
            && (0..self.hosts.len())
                .all(|one| (0..one).all(|other| self.way(one, other).whole_for(now, span)))
    }

    /// The ways to the control server have been whole for that long.
    pub fn ways_to_control_whole(&self, now: u64, span: u64) -> bool {
        (0..self.hosts.len()).all(|host| self.way(host, self.control_on).whole_for(now, span))
    }

    /// The host of a part.
    pub fn host_of(&self, part: usize) -> usize {
        self.hosts_of_parts[part]
    }
}
