//! Faults, as they strike and as they end.
//!
//! Refuses to choose them: that is the plan's. The law: what a fault began its end undoes, whatever other fault of its kind
//! goes on beside it.

use understudy_model::{FromApplication, Readiness};

use super::World;
use super::dialing::{Call, Why};
use super::links::Party;
use crate::climate::MS;
use crate::fault::{Disk, Fault, Words};
use crate::queue::Event;

impl World {
    pub(super) fn fault_begins(&mut self, number: usize) -> bool {
        let fault = self.plan[number].fault;
        self.tell(|world| format!("FAULT {number} begins: {}", Words(&world.cast, fault)));
        self.laws.strain.begins(self.now, fault);
        self.sometimes.faults += 1;
        self.strike(fault, true);
        true
    }

    pub(super) fn fault_ends(&mut self, number: usize) -> bool {
        let fault = self.plan[number].fault;
        self.tell(|world| format!("FAULT {number} is over: {}", Words(&world.cast, fault)));
        self.laws.strain.ends(self.now, fault);
        if matches!(fault, Fault::ControlDies | Fault::ControlFreezes) {
            self.laws.l2.control_back(self.now, self.plan[number].at);
        }
        self.strike(fault, false);
        true
    }

    fn strike(&mut self, fault: Fault, begins: bool) {
        match fault {
            Fault::AgentDies { host } => self.agent_held_down(host, begins),
            Fault::ControlDies => self.control_held_down(begins),
            Fault::MachineDies { machine } => self.power(machine, begins),
            Fault::AgentFreezes { host } => self.freeze_agent(host, begins),
            Fault::ControlFreezes => self.freeze_control(begins),
            Fault::MemberFreezes { part } => self.freeze_member_of(part, begins),
            Fault::GuardFreezes { host } => self.freeze_guard(host, begins),
            Fault::MachineFreezes { machine } => self.freeze_machine(machine, begins),
            Fault::MemberDies { part, others } if begins => self.member_dies(part, others),
            Fault::GuardDies { host } if begins => self.guard_dies(host),
            Fault::Reset { dialer } if begins => self.reset(dialer % self.dialers.len()),
            Fault::Leaves { part } if begins => self.member_leaves(part),
            Fault::MemberDies { .. }
            | Fault::GuardDies { .. }
            | Fault::Reset { .. }
            | Fault::Leaves { .. } => {}
            Fault::Cut { from, to } => self.cut_lane(from, to, begins),
            Fault::Lonely { machine } => {
                for other in (0..self.machines.len()).filter(|other| *other != machine) {
                    self.cut_lane(machine, other, begins);
                    self.cut_lane(other, machine, begins);
                }
            }
            Fault::Slow { from, to } => count(&mut self.lanes[from][to].slow, begins),
            Fault::AgentDisk { host, disk } => {
                self.agents[host].disk = if begins { disk } else { Disk::Works };
            }
            Fault::StoreDisk { disk } => self.control.disk = if begins { disk } else { Disk::Works },
            Fault::Unready { part } => self.unready(part),
            // Counted by the strain alone.
            Fault::Refuses { .. } | Fault::Lingers { .. } => {}
            Fault::Clings { part, hangs } => self.disk_hangs(part, hangs, begins),
            Fault::HooksCling { host } => self.hooks_cling(host, begins),
            Fault::CannotStart { host } => count(&mut self.agents[host].cannot_start, begins),
            Fault::HooksFail { host, half } => {
                count(&mut self.agents[host].hooks_fail[usize::from(half)], begins);
            }
            Fault::HooksHang { host } => self.hooks_hang(host, begins),
            Fault::Reinstalled { host } => self.reinstall(host, begins),
            Fault::FilesSetBack { host } => self.set_back(host, begins),
            Fault::Wish(wish) => self.wish(wish, begins),
        }
    }

    pub(super) fn agent_held_down(&mut self, host: usize, begins: bool) {
        count(&mut self.agents[host].held_down, begins);
        if begins {
            return self.agent_dies(host);
        }
        let life = self.agents[host].daemon.life;
        self.queue.put(self.now, Event::AgentStarts { host: host as u8, life });
    }

    fn control_held_down(&mut self, begins: bool) {
        count(&mut self.control.held_down, begins);
        if begins {
            return self.control_dies();
        }
        let life = self.control.daemon.life;
        self.queue.put(self.now, Event::ControlStarts { life });
    }

    pub(super) fn power(&mut self, machine: usize, begins: bool) {
        count(&mut self.machines[machine].down, begins);
        if begins {
            if self.machines[machine].down > 1 {
                return;
            }
            if machine < self.climate.hosts {
                self.agent_dies(machine);
                self.host_forgets(machine);
            }
            if machine == self.climate.control_on {
                self.control_dies();
            }
            return;
        }
        if self.machines[machine].down > 0 {
            return;
        }
        self.machines[machine].boots += 1;
        let now = self.now;
        self.machines[machine].clock.reboot(now, 5_000 * MS);
        let wait = self.dice.member.between(MS, 500 * MS);
        if machine < self.climate.hosts {
            let life = self.agents[machine].daemon.life;
            self.queue.put(self.now + wait, Event::AgentStarts { host: machine as u8, life });
        }
        if machine == self.climate.control_on {
            let life = self.control.daemon.life;
            self.queue.put(self.now + wait, Event::ControlStarts { life });
        }
    }

    /// Processes, pages and the guard are gone with the power.
    fn host_forgets(&mut self, host: usize) {
        for number in 0..self.members.len() {
            if self.members[number].lives && self.members[number].host == host {
                let serial = self.members[number].serial;
                self.member_ends(number, serial, true);
            }
        }
        self.guard_dies(host);
        let site = &mut self.agents[host];
        site.hooks.clear();
        site.pages.iter_mut().for_each(|page| *page = None);
    }

    fn freeze_agent(&mut self, host: usize, begins: bool) {
        let daemon = &mut self.agents[host].daemon;
        count(&mut daemon.frozen, begins);
        if daemon.frozen == 0 && !begins {
            let list = std::mem::take(&mut daemon.put_off);
            self.thaw(list);
            self.pump_agent(host);
        }
    }

    fn freeze_control(&mut self, begins: bool) {
        let daemon = &mut self.control.daemon;
        count(&mut daemon.frozen, begins);
        if daemon.frozen == 0 && !begins {
            let list = std::mem::take(&mut daemon.put_off);
            self.thaw(list);
            self.pump_control();
        }
    }

    fn freeze_guard(&mut self, host: usize, begins: bool) {
        let guard = &mut self.agents[host].guard;
        count(&mut guard.frozen, begins);
        if guard.frozen == 0 && !begins {
            self.guard_thaws(host);
        }
    }

    /// Whichever start of it lives now; a stop ends with the process that was stopped.
    pub(super) fn freeze_member_of(&mut self, part: usize, begins: bool) {
        if let Some(number) = self.member_of(part) {
            let born_since = self.members[number].frozen == self.machines[self.members[number].host].frozen;
            if begins || !born_since {
                self.freeze_member(number, begins);
            }
        }
    }

    fn freeze_member(&mut self, number: usize, begins: bool) {
        let member = &mut self.members[number];
        count(&mut member.frozen, begins);
        if member.frozen == 0 && !begins {
            let list = std::mem::take(&mut member.put_off);
            let signalled = member.signalled;
            self.thaw(list);
            if signalled {
                self.end_by_signal(number);
            }
        }
        self.plan_look_at(number);
    }

    fn freeze_machine(&mut self, machine: usize, begins: bool) {
        let now = self.now;
        let known = &mut self.machines[machine];
        count(&mut known.frozen, begins);
        if begins && known.frozen == 1 {
            known.frozen_since = now;
        }
        if !begins && known.frozen == 0 && self.climate.options.clocks_stop {
            known.clock.stood_still(now, now - known.frozen_since);
        }
        if machine < self.climate.hosts {
            self.freeze_all_on(machine, begins);
        }
        if machine == self.climate.control_on {
            self.freeze_control(begins);
        }
    }

    /// Whose turn is first on a machine that runs again is chance: guard, members, agent in any order.
    fn freeze_all_on(&mut self, host: usize, begins: bool) {
        let mut order = [0, 1, 2];
        order.swap(0, self.dice.turns.index(3));
        order.swap(1, 1 + self.dice.turns.index(2));
        for who in order {
            match who {
                0 => self.freeze_guard(host, begins),
                1 => self.freeze_agent(host, begins),
                _ => {
                    for number in 0..self.members.len() {
                        if self.members[number].lives && self.members[number].host == host {
                            self.freeze_member(number, begins);
                        }
                    }
                }
            }
        }
    }

    fn member_dies(&mut self, part: usize, others: bool) {
        // What waits for a disk is killed by its agent and its guard, who know what they killed.
        let runs = |number: &usize| self.members[*number].main && self.laws.strain.clings[part] == 0;
        let Some(number) = self.member_of(part).filter(runs) else { return };
        self.members[number].others |= others;
        self.members[number].signalled = false;
        let serial = self.members[number].serial;
        self.member_ends(number, serial, false);
    }

    fn reset(&mut self, number: usize) {
        match self.dialers[number].call {
            Call::Talks(link) | Call::Introduces(_, link) => {
                if let Party::Agent(host) = self.links[link].ends[1].party
                    && self.links[link].ends[1].open
                {
                    self.accepted_link_ends(host, link);
                }
                self.dialed_link_ends(link, Why::Closed);
            }
            Call::Rests | Call::Dials(_) => {}
        }
    }

    fn unready(&mut self, part: usize) {
        let Some(number) = self.member_of(part) else { return };
        let member = &mut self.members[number];
        if !member.runs() || member.ready == Readiness::NotYet {
            return;
        }
        let unready = self.laws.strain.unready[part] > 0;
        let ready = if unready { Readiness::Unavailable("chance".to_owned()) } else { Readiness::Ready };
        member.ready = ready.clone();
        self.speak(number, FromApplication::Readiness(ready));
    }

    pub(super) fn hooks_hang(&mut self, host: usize, begins: bool) {
        count(&mut self.agents[host].hooks_fail[2], begins);
        if self.agents[host].hooks_fail[2] == 0 {
            // Whatever they waited for has come.
            for index in 0..self.agents[host].hooks.len() {
                if self.agents[host].hooks[index].waits {
                    continue;
                }
                let number = self.agents[host].hooks[index].number;
                self.queue.put(self.now + MS, Event::HookEnds { host: host as u8, number });
            }
        }
    }
}

fn count(counter: &mut u32, begins: bool) {
    *counter = if begins { *counter + 1 } else { counter.saturating_sub(1) };
}
