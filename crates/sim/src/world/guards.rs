//! Guards: one tiny process a host that kills at a time, and outlives its agent.
//!
//! Refuses to know why. The law: it does what it was told last, if it runs; one that is stopped or dead kills nobody.

use understudy_decide::agent::{AgentSaw, StartId};
use understudy_model::{ApplicationName, Moment};

use super::World;
use crate::climate::MS;
use crate::queue::Event;

/// What a guard watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Of which application.
    pub part: usize,
    /// Which start.
    pub start: StartId,
    /// When it is killed.
    pub kill_at: Moment,
}

/// A host's guard.
#[derive(Debug, Default)]
pub struct Guard {
    /// It lives.
    pub alive: bool,
    /// The present life of the agent wants one.
    pub needed: bool,
    /// How many stops it is under.
    pub frozen: u32,
    /// What happened to it meanwhile.
    pub put_off: Vec<Event>,
    /// What it knows.
    pub watched: Vec<Watched>,
    /// What its agent's hands told it, in this life of the agent.
    pub told: Vec<Watched>,
    /// What its agent's hands were told of what is not made yet.
    pub coming: Vec<Watched>,
    /// What it was told and has not read, while it is frozen.
    unread: Vec<Result<Watched, StartId>>,
    /// When it was last dead or stopped.
    pub away_until: u64,
    /// When it wakes; 0 if it does not.
    wakes: u64,
}

fn put(list: &mut Vec<Watched>, watched: Watched) {
    match list.iter_mut().find(|known| known.start == watched.start) {
        Some(known) => *known = watched,
        None => list.push(watched),
    }
}

impl Guard {
    /// It knows that start.
    pub fn knows(&self, start: StartId) -> bool {
        self.watched.iter().any(|known| known.start == start)
    }

    /// When a start that lives, or waits, is killed, as the agent's hands know it.
    pub fn told_of(&self, start: StartId) -> Option<Moment> {
        self.told.iter().find(|known| known.start == start).map(|known| known.kill_at)
    }

    /// Somebody tells it to watch something.
    fn hear(&mut self, watched: Watched) {
        put(&mut self.told, watched.clone());
        match (self.alive, self.frozen > 0) {
            (true, false) => put(&mut self.watched, watched),
            (true, true) => self.unread.push(Ok(watched)),
            (false, _) => {}
        }
    }
}

impl World {
    /// An agent finds the guard of its former life, or starts another.
    pub(super) fn guard_is_needed(&mut self, host: usize) {
        self.agents[host].guard.needed = true;
        let guard = &mut self.agents[host].guard;
        if guard.alive {
            guard.told = guard.watched.clone();
            self.notice(host, AgentSaw::GuardChanged { up: true });
        } else {
            self.start_guard(host);
        }
    }

    fn start_guard(&mut self, host: usize) {
        let span = self.dice.member.between(2 * MS, 20 * MS);
        let life = self.agents[host].daemon.life;
        self.queue.put(self.now + span, Event::GuardStarts { host: host as u8, life });
    }

    pub(super) fn guard_starts(&mut self, host: usize, life: u32) -> bool {
        let site = &mut self.agents[host];
        if site.daemon.life != life || site.guard.alive {
            return false;
        }
        site.guard.alive = true;
        site.guard.away_until = self.now;
        site.guard.watched = site.guard.told.clone();
        self.notice(host, AgentSaw::GuardChanged { up: true });
        self.plan_guard(host);
        self.look_at_held(host);
        true
    }

    /// It is killed; its agent sees that and starts another.
    pub(super) fn guard_dies(&mut self, host: usize) {
        let guard = &mut self.agents[host].guard;
        if !std::mem::take(&mut guard.alive) {
            return;
        }
        guard.watched.clear();
        guard.unread.clear();
        guard.wakes = 0;
        guard.put_off.clear();
        if self.agents[host].guard.needed {
            self.notice(host, AgentSaw::GuardChanged { up: false });
            self.start_guard(host);
        }
    }

    pub(super) fn guard(&mut self, host: usize, name: &ApplicationName, start: StartId, kill_at: Moment) {
        let Some(part) = self.cast.part(name) else { return };
        let watched = Watched { part, start, kill_at };
        let is_made = self.is_made(host, start);
        let guard = &mut self.agents[host].guard;
        if !is_made {
            return put(&mut guard.coming, watched);
        }
        guard.hear(watched);
        self.plan_guard(host);
    }

    /// There is a process of it, which may wait.
    fn is_made(&self, host: usize, start: StartId) -> bool {
        let site = &self.agents[host];
        site.hooks.iter().any(|hook| hook.run.hook == start)
            || site.starting.iter().any(|starting| starting.waits && starting.spawn.start == start)
            || self.member_by_start(host, start).is_some()
    }

    /// What was said of a start that is made now is told to the guard.
    pub(super) fn tell_guard_of(&mut self, host: usize, start: StartId) {
        let guard = &mut self.agents[host].guard;
        let Some(index) = guard.coming.iter().position(|known| known.start == start) else { return };
        let watched = guard.coming.remove(index);
        guard.hear(watched);
        self.plan_guard(host);
    }

    pub(super) fn unguard_start(&mut self, host: usize, start: StartId) {
        let guard = &mut self.agents[host].guard;
        guard.coming.retain(|known| known.start != start);
        guard.told.retain(|known| known.start != start);
        if guard.frozen > 0 {
            guard.unread.push(Err(start));
        } else {
            guard.watched.retain(|known| known.start != start);
        }
    }

    /// It runs again: it reads what it was told before it looks at the time.
    pub(super) fn guard_thaws(&mut self, host: usize) {
        let guard = &mut self.agents[host].guard;
        guard.away_until = self.now;
        for told in std::mem::take(&mut guard.unread) {
            match told {
                Ok(watched) => put(&mut guard.watched, watched),
                Err(start) => guard.watched.retain(|known| known.start != start),
            }
        }
        let list = std::mem::take(&mut guard.put_off);
        self.thaw(list);
        self.plan_guard(host);
        self.look_at_held(host);
    }

    fn plan_guard(&mut self, host: usize) {
        let clock = &self.machines[host].clock;
        let due = self.agents[host].guard.watched.iter().map(|watched| clock.when(watched.kill_at)).min();
        let Some(due) = due.filter(|due| *due < u64::MAX / 2) else { return };
        let due = due.max(self.now);
        let guard = &mut self.agents[host].guard;
        // One that comes too early plans the next.
        if guard.wakes == 0 || due < guard.wakes {
            guard.wakes = due;
            self.queue.put(due, Event::GuardWakes { host: host as u8 });
        }
    }

    pub(super) fn guard_wakes(&mut self, host: usize) -> bool {
        let now = self.clock(host);
        let guard = &mut self.agents[host].guard;
        if guard.wakes <= self.now {
            guard.wakes = 0;
        }
        if !guard.alive {
            return false;
        }
        let mut killed = Vec::new();
        guard.watched.retain(|watched| {
            let over = watched.kill_at <= now;
            if over {
                killed.push((watched.part, watched.start));
            }
            !over
        });
        for (part, start) in &killed {
            self.sometimes.guard_kills += 1;
            self.sometimes.guard_kills_hook += u64::from(start.is_hook());
            self.kill_tree(host, *start);
            let application = self.cast.parts[*part].name.clone();
            self.tell_at(host, |world| format!("{}'s guard kills {application}", world.cast.machine(host)));
            self.notice(host, AgentSaw::GuardFired { application, start: *start });
            self.agents[host].guard.told.retain(|known| known.start != *start);
        }
        self.plan_guard(host);
        !killed.is_empty()
    }
}
