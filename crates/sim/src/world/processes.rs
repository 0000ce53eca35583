//! What an agent's hands do to processes: start, signal, kill, look, run hooks; and what the next agent finds.
//!
//! Refuses to decide whose time has come. The law: every act takes time, goes on when the agent is gone, and is told only to
//! the life that asked.

use std::time::Duration;

use understudy_decide::agent::{AgentSaw, Found, HookAct, HookKind, HookRun, Spawn, StartId};
use understudy_model::*;

use super::World;
use super::members::{Hook, Starting};
use crate::climate::{MS, SECOND, Way};
use crate::queue::Event;

impl World {
    pub(super) fn spawn(&mut self, host: usize, spawn: Spawn) {
        let number = self.serial();
        let span = self.dice.member.scaled(MS / 2, 20 * MS);
        if let Some(part) = self.cast.part(&spawn.application) {
            self.laws.s4.spawned(self.now, host, part, &spawn, &self.agents[host].memory);
        }
        self.sometimes.count_spawn(&spawn);
        let site = &mut self.agents[host];
        site.starting.push(Starting { number, spawn, killed: false, signalled: false, waits: false });
        let event = Event::Spawns { host: host as u8, life: site.daemon.life, number };
        self.queue.put(self.now + span, event);
    }

    pub(super) fn spawns(&mut self, host: usize, life: u32, number: u32) -> bool {
        let site = &mut self.agents[host];
        let index = site.starting.iter().position(|starting| starting.number == number);
        let Some(index) = index.filter(|_| site.daemon.life == life) else { return false };
        let starting = site.starting.remove(index);
        let (application, start) = (starting.spawn.application.clone(), starting.spawn.start);
        if site.cannot_start > 0 {
            let why = "no such file".to_owned();
            self.agent_mail(host, AgentSaw::SpawnFailed { application, start, why });
            return true;
        }
        if starting.spawn.held {
            self.holds(host, Starting { waits: true, ..starting });
            return true;
        }
        self.comes_to_life(host, starting)
    }

    /// It runs from now on.
    pub(super) fn comes_to_life(&mut self, host: usize, starting: Starting) -> bool {
        let Starting { spawn, killed, signalled, .. } = starting;
        let (application, start) = (spawn.application.clone(), spawn.start);
        let Some(member) = self.make(host, &spawn) else { return false };
        if self.members[member].mode == RunMode::Primary {
            self.role_changed(self.members[member].part, RunMode::Primary);
        }
        let pid = self.members[member].pid;
        self.agent_mail(host, AgentSaw::Spawned { application, start, pid });
        if signalled {
            self.signal(host, start);
        }
        if killed {
            self.kill_tree(host, start);
        }
        true
    }

    /// Its stop signal.
    pub(super) fn signal(&mut self, host: usize, start: StartId) {
        if let Some(starting) =
            self.agents[host].starting.iter_mut().find(|starting| starting.spawn.start == start)
        {
            starting.signalled = true;
        }
        let Some(number) = self.member_by_start(host, start) else { return };
        self.members[number].signalled = true;
        if self.members[number].frozen == 0 {
            self.end_by_signal(number);
        }
    }

    /// It ends by its own doing, soon or late.
    pub(super) fn end_by_signal(&mut self, number: usize) {
        let part = self.members[number].part;
        let lingers = self.laws.strain.lingers[part] > 0;
        let dice = &mut self.dice.member;
        let span = if lingers { dice.scaled(SECOND / 2, 4 * SECOND) } else { dice.scaled(MS / 5, 20 * MS) };
        let others = lingers && dice.chance(300);
        let member = &mut self.members[number];
        if !member.main {
            return;
        }
        member.others |= others;
        let event = Event::Ends { member: number as u16, serial: member.serial, all: false };
        self.queue.put(self.now + span, event);
    }

    /// Everything of a start, whatever it is doing.
    pub(super) fn kill_tree(&mut self, host: usize, start: StartId) {
        if start.is_hook() {
            return self.kill_hook(host, start);
        }
        if let Some(starting) =
            self.agents[host].starting.iter_mut().find(|starting| starting.spawn.start == start)
        {
            starting.killed = true;
            if starting.waits {
                self.look_at_held(host);
            }
        }
        let Some(number) = self.member_by_start(host, start) else { return };
        let span = self.dice.member.between(MS / 20, 4 * MS);
        let event = Event::Ends { member: number as u16, serial: self.members[number].serial, all: true };
        self.queue.put(self.now + span, event);
    }

    pub(super) fn begin_to_look(&mut self, host: usize, start: StartId, limit: Duration) {
        let Some(number) = self.member_by_start(host, start) else { return };
        let member = &mut self.members[number];
        let first = member.looked.replace((limit, false)).is_none();
        if first && member.frozen > 0 {
            self.plan_look_at(number);
        }
    }

    /// It was stopped or runs again, and is looked at a few times in its limit.
    pub(super) fn plan_look_at(&mut self, number: usize) {
        let Some((limit, _)) = self.members[number].looked else { return };
        let quarter = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX) / 4;
        let span = self.dice.member.below(quarter + 1);
        let serial = self.members[number].serial;
        self.queue.put(self.now + span, Event::LooksAt { member: number as u16, serial });
    }

    pub(super) fn look_at(&mut self, number: usize, serial: u32) -> bool {
        let member = &mut self.members[number];
        let stopped = member.frozen > 0;
        let Some((_, told)) = member.looked.as_mut().filter(|_| member.serial == serial && member.main)
        else {
            return false;
        };
        if std::mem::replace(told, stopped) == stopped {
            return false;
        }
        let (host, start, part) = (member.host, member.start, member.part);
        let application = self.cast.parts[part].name.clone();
        let running = self.clock(host);
        self.agent_mail(host, AgentSaw::Looked { application, start, stopped, running });
        true
    }

    // ---- hooks --------------------------------------------------------------------------------------------------

    pub(super) fn run_hook(&mut self, host: usize, run: HookRun) {
        let member = self.member_by_start(host, run.start);
        if let Some(member) = member {
            let member = &mut self.members[member];
            match run.kind {
                HookKind::Promote => member.half = Some(run.epoch),
                HookKind::Demote => (member.noted, member.half) = (None, Some(run.epoch)),
                _ => {}
            }
        }
        let command = matches!(run.act, HookAct::Command(_));
        if !command && let Some(member) = member {
            if run.act != HookAct::Note {
                self.hook_changes(member, &run);
            }
            self.members[member].epoch = run.epoch;
            self.members[member].note_end(&run);
        }
        if !command {
            let failed = member.is_none().then(|| "its process is gone".to_owned());
            let (application, hook) = (run.application, run.hook);
            return self.notice(host, AgentSaw::HookEnded { application, hook, failed, said: String::new() });
        }
        let span = self.dice.member.scaled(MS, 40 * MS);
        let site = &mut self.agents[host];
        site.hook_count += 1;
        let number = site.hook_count;
        let hangs = site.hooks_fail[2] > 0;
        let (hook, waits) = (run.hook, run.held);
        let life = site.daemon.life;
        site.hooks.push(Hook { number, run, killed: false, doomed: false, life, waits });
        if waits {
            return self.holds_hook(host, hook);
        }
        self.tell_guard_of(host, hook);
        if !hangs {
            self.queue.put(self.now + span, Event::HookEnds { host: host as u8, number });
        }
    }

    pub(super) fn kill_hook(&mut self, host: usize, hook: StartId) {
        let span = self.dice.member.between(MS / 20, 4 * MS);
        for known in self.agents[host].hooks.iter_mut().filter(|known| known.run.hook == hook) {
            known.killed = true;
            self.queue.put(self.now + span, Event::HookEnds { host: host as u8, number: known.number });
        }
    }

    pub(super) fn hook_ends(&mut self, host: usize, number: u32) -> bool {
        let site = &mut self.agents[host];
        let Some(index) = site.hooks.iter().position(|hook| hook.number == number) else { return false };
        let known = &mut site.hooks[index];
        if known.killed && !known.waits && self.laws.strain.hooks_cling[host] > 0 {
            self.sometimes.hooks_clung += u64::from(!std::mem::replace(&mut known.doomed, true));
            return true;
        }
        let Hook { run, killed, doomed, life, waits, .. } = site.hooks.remove(index);
        let [fails, half, _] = site.hooks_fail.map(|count| count > 0);
        let same_life = site.daemon.machine.is_some() && site.daemon.life == life;
        let failed = killed || fails || half;
        let member = self.member_by_start(host, run.start).filter(|member| self.members[*member].main);
        if let Some(member) = member
            && (!failed || (half && !doomed))
            && !waits
        {
            self.hook_changes(member, &run);
            self.members[member].epoch = run.epoch;
            if !failed && same_life {
                self.members[member].note_end(&run);
            }
        }
        let why = failed.then(|| if killed { "killed".to_owned() } else { "exit code 1".to_owned() });
        let (application, hook) = (run.application, run.hook);
        if self.agents[host].daemon.machine.is_some() {
            self.notice(host, AgentSaw::HookEnded { application, hook, failed: why, said: String::new() });
        }
        true
    }

    fn hook_changes(&mut self, member: usize, run: &HookRun) {
        let mode = match run.kind {
            HookKind::Promote => RunMode::Primary,
            HookKind::Demote => RunMode::Backup,
            HookKind::Before | HookKind::Start | HookKind::Stop | HookKind::Probe => return,
        };
        if std::mem::replace(&mut self.members[member].mode, mode) != mode {
            let (part, host, epoch) = (self.members[member].part, self.members[member].host, run.epoch);
            self.role_changed(part, mode);
            self.tell_at(host, |world| format!("{} is {mode} in epoch {epoch}", world.cast.parts[part].name));
        }
    }

    // ---- the next life ------------------------------------------------------------------------------------------

    /// What an agent that starts finds running on its host.
    pub(super) fn found_on(&self, host: usize) -> Vec<Found> {
        let members = self.members.iter().filter(|member| member.lives && member.host == host);
        let of_member = |member: &super::Member| {
            let library = self.cast.parts[member.part].way == Way::Library;
            Found {
                application: self.cast.parts[member.part].name.clone(),
                start: member.start,
                pid: member.main.then_some(member.pid),
                running_for: Duration::from_nanos(self.now - member.born),
                restarts: member.restarts,
                acts: member.noted.filter(|_| !library),
                half: member.half.filter(|_| !library),
                ready: false,
            }
        };
        let hooks = self.agents[host].hooks.iter().map(|hook| Found {
            application: hook.run.application.clone(),
            start: hook.run.hook,
            pid: None,
            running_for: Duration::from_millis(1),
            restarts: 0,
            acts: None,
            half: None,
            ready: false,
        });
        hooks.chain(members.map(of_member)).collect()
    }
}
