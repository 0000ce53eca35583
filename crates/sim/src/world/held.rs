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
        let life = self.agents[host].daemon.life;
        for _ in 0..self.held(host).count() {
            let soon = self.now + self.dice.member.between(CONFIRMED.0, CONFIRMED.1);
            self.queue.put(soon, Event::GoesOn { host: host as u8, life });
        }
        self.plan_end_of_held(host);
    }

    /// Everything of a host that waits is looked at.
    pub(super) fn goes_on(&mut self, host: usize, life: u32) -> bool {
        if self.agents[host].daemon.life != life || self.agents[host].daemon.machine.is_none() {
            return false;
        }
        let mut happened = false;
        if self.agents[host].held_over <= self.now {
            self.agents[host].held_over = 0;
        }
        let starts: Vec<(u32, StartId)> = {
            let waiting = self.agents[host].starting.iter().filter(|starting| starting.waits);
            waiting.map(|starting| (starting.number, starting.spawn.start)).collect()
        };
        for (number, start) in starts {
            let leave = self.leave(host, &[start]);
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
        self.plan_end_of_held(host);
        happened
    }

    /// What still waits is looked at when the first of their times is over, which may have been moved on since.
    fn plan_end_of_held(&mut self, host: usize) {
        let clock = &self.machines[host].clock;
        let over = self.held(host).filter_map(|start| self.agents[host].guard.told_of(start));
        let over = over.map(|kill_at| clock.when(kill_at)).min().filter(|over| *over < u64::MAX / 2);
        let Some(over) = over.filter(|over| *over > self.now) else { return };
        let site = &mut self.agents[host];
        // One look at a time: each plans the next.
        if site.held_over == 0 || over < site.held_over {
            site.held_over = over;
            let life = site.daemon.life;
            self.queue.put(over, Event::GoesOn { host: host as u8, life });
        }
    }

    /// Everything of a host that waits.
    fn held(&self, host: usize) -> impl Iterator<Item = StartId> {
        let site = &self.agents[host];
        let starts = site.starting.iter().filter(|starting| starting.waits).map(|one| one.spawn.start);
        let hooks = site.hooks.iter().filter(|hook| hook.waits).map(|hook| hook.run.hook);
        starts.chain(hooks)
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
        site.held_over = 0;
        self.sometimes.held_with_agent += (before - site.starting.len() - site.hooks.len()) as u64;
    }
}
