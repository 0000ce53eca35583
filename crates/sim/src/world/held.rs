//! What waits until its guard has confirmed that it guards it: starts that act as soon as they run, and hooks that may make
//! something act.
//!
//! Refuses to know what a guard does with what it knows. The laws: what waits ends with its agent, and nothing of it has run;
//! what was let go on is known to the guard.

use understudy_decide::agent::{AgentSaw, StartId};
use understudy_model::Moment;

use super::World;
use super::members::{Hook, Starting};
use crate::climate::MS;
use crate::queue::Event;

/// Whether something that waits may go on.
enum Leave {
    /// Its guard has not confirmed it.
    NotYet,
    Yes,
    /// Nobody says any more when it is killed, or its time is over.
    Never,
}

/// From the word to the guard to the process that hears of its answer.
const CONFIRMED: (u64, u64) = (40_000, 2 * MS);

impl World {
    /// A start is made, and waits.
    pub(super) fn holds(&mut self, host: usize, starting: Starting) {
        let start = starting.spawn.start;
        self.agents[host].starting.push(starting);
        self.tell_guard_of(host, start);
        self.look_at_held(host);
    }

    /// A hook is made, and waits.
    pub(super) fn holds_hook(&mut self, host: usize, hook: StartId) {
        self.tell_guard_of(host, hook);
        self.look_at_held(host);
    }

    /// Somebody may go on, or must not wait any more: looked at in a moment, and when its time is over.
    pub(super) fn look_at_held(&mut self, host: usize) {
        let site = &self.agents[host];
        let life = site.daemon.life;
        let starts = site.starting.iter().filter(|starting| starting.waits).map(|one| one.spawn.start);
        let hooks = site.hooks.iter().filter(|hook| hook.waits).map(|hook| hook.run.hook);
        let waiting: Vec<StartId> = starts.chain(hooks).collect();
        for start in waiting {
            let soon = self.now + self.dice.member.between(CONFIRMED.0, CONFIRMED.1);
            let told = self.agents[host].guard.told_of(start);
            let over =
                told.map(|kill_at| self.machines[host].clock.when(kill_at)).filter(|over| *over > soon);
            for at in [Some(soon), over].into_iter().flatten().filter(|at| *at < u64::MAX / 2) {
                self.queue.put(at, Event::GoesOn { host: host as u8, life });
            }
        }
    }

    /// Everything of a host that waits is looked at.
    pub(super) fn goes_on(&mut self, host: usize, life: u32) -> bool {
        if self.agents[host].daemon.life != life || self.agents[host].daemon.machine.is_none() {
            return false;
        }
        let mut happened = false;
        let mut moved = false;
        let starts: Vec<(u32, StartId)> = {
            let waiting = self.agents[host].starting.iter().filter(|starting| starting.waits);
            waiting.map(|starting| (starting.number, starting.spawn.start)).collect()
        };
        for (number, start) in starts {
            let leave = self.leave(host, &[start]);
            moved |= matches!(leave, Leave::NotYet) && self.agents[host].guard.knows(start);
            happened |= self.start_goes_on(host, number, &leave);
        }
        let hooks: Vec<(u32, StartId, StartId)> = {
            let waiting = self.agents[host].hooks.iter().filter(|hook| hook.waits);
            waiting.map(|hook| (hook.number, hook.run.hook, hook.run.start)).collect()
        };
        for (number, hook, start) in hooks {
            let leave = match self.member_by_start(host, start) {
                Some(_) => self.leave(host, &[hook, start]),
                None => self.leave(host, &[hook]),
            };
            happened |= self.hook_goes_on(host, number, &leave);
        }
        if moved {
            self.look_at_held(host);
        }
        happened
    }

    fn leave(&self, host: usize, starts: &[StartId]) -> Leave {
        let now = self.clock(host);
        let guard = &self.agents[host].guard;
        let told: Option<Vec<Moment>> = starts.iter().map(|start| guard.told_of(*start)).collect();
        let Some(told) = told else { return Leave::Never };
        if told.iter().any(|kill_at| *kill_at <= now) {
            return Leave::Never;
        }
        let confirmed = guard.alive && guard.frozen == 0 && starts.iter().all(|start| guard.knows(*start));
        if confirmed { Leave::Yes } else { Leave::NotYet }
    }

    fn start_goes_on(&mut self, host: usize, number: u32, leave: &Leave) -> bool {
        let site = &mut self.agents[host];
        let Some(index) = site.starting.iter().position(|starting| starting.number == number) else {
            return false;
        };
        let never = site.starting[index].killed || matches!(leave, Leave::Never);
        if matches!(leave, Leave::NotYet) && !never {
            return false;
        }
        let starting = site.starting.remove(index);
        if never {
            self.sometimes.not_let_go += 1;
            self.unguard_start(host, starting.spawn.start);
            let (application, start) = (starting.spawn.application, starting.spawn.start);
            let why = "it was made and not let go on".to_owned();
            self.agent_mail(host, AgentSaw::SpawnFailed { application, start, why });
            return true;
        }
        self.comes_to_life(host, starting)
    }

    fn hook_goes_on(&mut self, host: usize, number: u32, leave: &Leave) -> bool {
        let site = &mut self.agents[host];
        let hangs = site.hooks_fail[2] > 0;
        let Some(hook) = site.hooks.iter_mut().find(|hook| hook.number == number) else { return false };
        let never = hook.killed || matches!(leave, Leave::Never);
        if never {
            hook.killed = true;
            self.sometimes.not_let_go += 1;
            self.queue.put(self.now, Event::HookEnds { host: host as u8, number });
            return true;
        }
        if matches!(leave, Leave::NotYet) {
            return false;
        }
        hook.waits = false;
        if !hangs {
            let span = self.dice.member.scaled(MS, 40 * MS);
            self.queue.put(self.now + span, Event::HookEnds { host: host as u8, number });
        }
        true
    }

    /// The agent of a host is gone: what waited for it has read the end of its pipe.
    pub(super) fn held_end(&mut self, host: usize) {
        let site = &mut self.agents[host];
        let before = site.starting.len() + site.hooks.len();
        // From its first moment on it reads that pipe, whether it was seen to be made or not.
        site.starting.retain(|starting| !starting.spawn.held);
        site.hooks.retain(|hook: &Hook| !hook.waits);
        self.sometimes.held_with_agent += (before - site.starting.len() - site.hooks.len()) as u64;
    }
}
