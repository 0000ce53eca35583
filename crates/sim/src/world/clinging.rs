//! What was killed and does not end, as it waits for a disk that hangs; and what can be seen of a process that is silent.
//!
//! Refuses to know what is made of it. The laws: a process that was sent its end runs no more of its code (A4), and is there
//! until what it waits for has come; so is a hook.

use understudy_decide::agent::{AgentSaw, StartId};
use understudy_model::ApplicationName;

use super::World;
use crate::climate::MS;
use crate::queue::Event;

/// Looking at what a process does takes so long: two looks, and what lies between them. The longest is later than it may be.
const LOOK: (u64, u64) = (8 * MS, 30 * MS);

impl World {
    /// Nothing on that disk comes back, or everything does. Whoever hangs with it says nothing meanwhile.
    pub(super) fn disk_hangs(&mut self, part: usize, hangs: bool, begins: bool) {
        if hangs {
            self.freeze_member_of(part, begins);
        }
        if begins || self.laws.strain.clings[part] > 0 {
            return;
        }
        for number in 0..self.members.len() {
            let member = &self.members[number];
            let Some(all) = member.doomed.filter(|_| member.lives && member.part == part) else { continue };
            let event = Event::Ends { member: number as u16, serial: member.serial, all };
            self.queue.put(self.now + MS, event);
        }
    }

    /// The same for hooks of a host.
    pub(super) fn hooks_cling(&mut self, host: usize, begins: bool) {
        self.hooks_hang(host, begins);
        if begins || self.laws.strain.hooks_cling[host] > 0 {
            return;
        }
        for index in 0..self.agents[host].hooks.len() {
            if self.agents[host].hooks[index].doomed {
                let number = self.agents[host].hooks[index].number;
                self.queue.put(self.now + MS, Event::HookEnds { host: host as u8, number });
            }
        }
    }

    /// A process is ended, by itself or by force: it does, or clings to what it waits for.
    pub(super) fn member_is_ended(&mut self, number: usize, serial: u32, all: bool) -> bool {
        let member = &mut self.members[number];
        if member.serial != serial || !member.lives {
            return false;
        }
        if !member.main || self.laws.strain.clings[member.part] == 0 {
            return self.member_ends(number, serial, all);
        }
        let first = member.doomed.is_none();
        member.doomed = Some(all || member.doomed == Some(true));
        let (part, host) = (member.part, member.host);
        self.sometimes.clung += u64::from(first);
        self.tell_at(host, |world| format!("{} was killed, and does not end", world.cast.parts[part].name));
        true
    }

    /// The other member of a pair was killed, is still there, and somebody is primary in its place.
    pub(super) fn follows_one_that_clings(&self, part: usize) -> bool {
        let other = self.cast.other(part);
        self.members.iter().any(|member| member.lives && member.part == other && member.doomed.is_some())
    }

    /// An agent wants to know what a silent process does.
    pub(super) fn keep_evidence(&mut self, host: usize, start: StartId) {
        let Some(number) = self.member_by_start(host, start) else { return };
        let span = self.dice.evidence.between(LOOK.0, LOOK.1);
        let member = &mut self.members[number];
        member.evidence = Some(self.agents[host].daemon.life);
        self.queue.put(self.now + span, Event::SeesEvidence { member: number as u16, serial: member.serial });
    }

    /// It is told, to the life that asked.
    pub(super) fn sees_evidence(&mut self, number: usize, serial: u32) -> bool {
        let member = &mut self.members[number];
        let Some(life) = member.evidence.filter(|_| member.serial == serial) else { return false };
        member.evidence = None;
        let (host, start, part) = (member.host, member.start, member.part);
        if self.agents[host].daemon.life != life || self.agents[host].daemon.machine.is_none() {
            return false;
        }
        let application: ApplicationName = self.cast.parts[part].name.clone();
        let waits_for_core = self.dice.evidence.chance(300);
        let text = "what it was doing".to_owned();
        self.agent_mail(host, AgentSaw::Evidence { application, start, text, waits_for_core });
        true
    }
}
