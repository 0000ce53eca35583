//! Operators: what they ask for, what they take back, and that somebody looks after the cluster when the faults have ended.
//!
//! Refuses to know what becomes of a wish. The law: what is meant for good is never taken back; everything else is, sooner or
//! later.

use understudy_decide::agent::AgentSaw;
use understudy_decide::control::{Ask, MaintenanceOf};
use understudy_model::*;

use super::World;
use super::reloads::longest_lease;
use crate::climate::{MS, SECOND};
use crate::fault::Wish;
use crate::queue::Event;

impl World {
    fn name_of(&self, part: usize) -> String {
        self.cast.parts[part].name.to_string()
    }

    pub(super) fn wish(&mut self, wish: Wish, begins: bool) {
        let pair_name = |world: &Self, pair: usize| world.cast.pairs[pair].name.to_string();
        match wish {
            Wish::Switchover { pair } if begins => {
                let name = pair_name(self, pair);
                self.ask(Ask::Switchover { name, to: None, dry_run: false, reason: None });
            }
            Wish::Restart { part } if begins => {
                let name = self.name_of(part);
                self.ask(Ask::Restart { name });
            }
            Wish::Rolling { pair } if begins => {
                let name = pair_name(self, pair);
                self.ask(Ask::RestartRolling { name, dry_run: false });
            }
            Wish::StopForGood { part } if begins => {
                let name = self.name_of(part);
                // Never both members of a pair: somebody has to serve; and never the only one that has its data.
                if !self.climate.options.keep_data
                    && !self.laws.strain.for_good[self.cast.other(part)]
                    && self.ask(Ask::Stop { name, graceful: false })
                {
                    self.laws.strain.for_good[part] = true;
                }
            }
            Wish::Switchover { .. }
            | Wish::Restart { .. }
            | Wish::Rolling { .. }
            | Wish::StopForGood { .. } => {}
            Wish::Stop { part, graceful } => {
                let name = self.name_of(part);
                if begins {
                    self.ask(Ask::Stop { name, graceful });
                } else if !self.laws.strain.for_good[part] {
                    self.ask(Ask::Start { name });
                }
            }
            Wish::Maintenance { part } => {
                let name = self.name_of(part);
                self.ask(Ask::Maintenance { name, on: begins });
            }
            Wish::MaintenanceOfPair { pair } => {
                let name = pair_name(self, pair);
                self.ask(Ask::Maintenance { name, on: begins });
            }
            Wish::Drain { host } => {
                let name = self.cast.hosts[host].to_string();
                self.ask(Ask::Drain { name, back: !begins, dry_run: false });
            }
            Wish::Hold { host } => {
                let name = self.cast.hosts[host].to_string();
                let span = begins.then(|| longest_lease(&self.climate));
                self.ask(Ask::Hold { name, span, dry_run: false, reason: None });
            }
            Wish::SayOff { pair } if begins => self.say_off(pair),
            Wish::SayOff { .. } => {}
            Wish::Lease { pair, longer } => self.change_lease(pair, longer, begins),
            Wish::HostLeaves { host } => {
                if begins {
                    let limit = self.climate.options.preset.timers().switchover_timeout;
                    self.agent_mail(host, AgentSaw::LeaveAsked { limit });
                } else {
                    self.agent_mail(host, AgentSaw::LeaveTakenBack);
                }
            }
        }
    }

    /// The faults have ended: somebody looks after what is left of wishes.
    pub fn begin_calm(&mut self) {
        self.tell(|_| "The faults have ended.".to_owned());
        for host in 0..self.climate.hosts {
            self.agent_mail(host, AgentSaw::LeaveTakenBack);
        }
        self.queue.put(self.now + MS, Event::OperatorLooks);
    }

    /// What each pair that is not well waits for, as the control server explains it.
    fn note_waits(&mut self) {
        let now = self.clock(self.climate.control_on);
        let pairs: Vec<usize> =
            (0..self.cast.pairs.len()).filter(|pair| self.laws.l1.awaits(*pair)).collect();
        if pairs.is_empty() {
            return;
        }
        let view = self.control.daemon.machine.as_ref().map(|machine| machine.view(now));
        for pair in pairs {
            let name = &self.cast.pairs[pair].name;
            let known = view.as_ref().and_then(|view| view.pairs.iter().find(|known| known.name == *name));
            self.laws.l1.waits_for(pair, known.map(|known| known.considered.rule));
        }
    }

    pub(super) fn operator_looks(&mut self) -> bool {
        self.note_waits();
        self.reload_as_before();
        let mut asks = Vec::new();
        for of in &self.control.store.maintenance {
            let name = match of {
                MaintenanceOf::Host(name) => name.to_string(),
                MaintenanceOf::Application(name) => name.to_string(),
                MaintenanceOf::Pair(name) => name.to_string(),
            };
            asks.push(Ask::Maintenance { name, on: false });
        }
        for host in self.control.store.holds.keys() {
            asks.push(Ask::Hold { name: host.to_string(), span: None, dry_run: false, reason: None });
        }
        for host in &self.control.store.drained {
            asks.push(Ask::Drain { name: host.to_string(), back: true, dry_run: false });
        }
        for (application, goal) in &self.control.store.goals {
            let part = self.cast.part(application);
            let for_good = part.is_none_or(|part| self.laws.strain.for_good[part]);
            if *goal == Goal::Stopped && !for_good {
                asks.push(Ask::Start { name: application.to_string() });
            }
        }
        for ask in asks {
            self.ask(ask);
        }
        self.queue.put(self.now + SECOND, Event::OperatorLooks);
        true
    }
}
