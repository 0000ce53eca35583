//! What takes the power of hosts, and who says that it is gone: fencing commands, and operators who went and looked.
//!
//! Refuses to lie, unless the campaign is about that: a command that confirms has taken the power before, and an operator
//! speaks of a machine that is off while they speak. Everything else is allowed: commands that fail, that work and say nothing
//! of it, or answer when the power is back.

use understudy_decide::control::{Ask, ControlSaw, GivenUp};

use super::World;
use crate::climate::MS;
use crate::fault::Fault;
use crate::queue::Event;

impl World {
    /// The control server runs the fencing command of a host.
    pub(super) fn device_called(&mut self, host: usize) {
        let life = self.control.daemon.life;
        let longest = self.climate.longest;
        let (dice, number) = (&mut self.dice.device, host as u8);
        let pulls_at = self.now + dice.scaled(5 * MS, longest / 8);
        let answers_at = pulls_at + dice.scaled(MS, longest / 4);
        let returns_at = pulls_at + dice.scaled(longest / 100, longest / 2);
        let works = dice.chance(750);
        // A command whose answer is lost, or that takes too long, may have worked.
        let says_so = dice.chance(850);
        // When everything is to be whole again nobody takes power any more.
        let in_time = returns_at < self.climate.stormy;
        if works && in_time {
            self.queue.put(pulls_at, Event::DevicePulls { host: number, until: returns_at });
        }
        let confirmed = says_so && ((works && in_time) || self.climate.options.lies);
        self.queue.put(answers_at, Event::DeviceAnswers { life, host: number, confirmed });
    }

    pub(super) fn device_pulls(&mut self, host: usize, until: u64) -> bool {
        self.tell(|world| format!("a fencing command takes the power of {}", world.cast.machine(host)));
        self.sometimes.devices_pulled += 1;
        self.laws.strain.begins(self.now, Fault::MachineDies { machine: host });
        self.power(host, true);
        self.queue.put(until, Event::PowerReturns { host: host as u8 });
        true
    }

    pub(super) fn power_returns(&mut self, host: usize) -> bool {
        self.tell(|world| format!("somebody gives {} its power again", world.cast.machine(host)));
        self.laws.strain.ends(self.now, Fault::MachineDies { machine: host });
        self.power(host, false);
        true
    }

    /// A command ends with the control server that ran it, as far as anybody hears of it.
    pub(super) fn device_answers(&mut self, life: u32, host: usize, confirmed: bool) -> bool {
        if self.control.daemon.life != life {
            return false;
        }
        let host = self.cast.hosts[host].clone();
        let said = if confirmed { "off" } else { "no answer" }.to_owned();
        self.control_mail(ControlSaw::FenceEnded { host, confirmed, said });
        true
    }

    /// An operator who sees that the machine of a pair's primary is off says so, and of which role.
    pub(super) fn say_off(&mut self, pair: usize) {
        let Some(role) = self.control.store.roles.get(&self.cast.pairs[pair].name).cloned() else { return };
        let off = self.cast.part(&role.holder).is_some_and(|part| !self.is_up(self.cast.parts[part].host));
        if !off && !self.climate.options.lies {
            return;
        }
        let name = role.holder.to_string();
        let given_up = Some(GivenUp { epoch: role.epoch, member: role.holder, loses_data: false });
        if self.ask(Ask::Failover { name, dry_run: false, given_up, reason: None }) {
            self.sometimes.said_off += 1;
        }
    }
}
