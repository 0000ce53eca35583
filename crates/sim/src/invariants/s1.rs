//! S1: at any instant at most one member of a pair can pass the "may I act?" check; of members that do not read a page, at
//! most one that was told that it is primary lives, or is being made one by a hook.
//!
//! Under `policy = "available"` it is counted and not demanded. A plain member cannot look: one that lives on because its
//! guard was dead or stopped together with its agent is counted apart, as the documents say. What was killed and cannot end
//! runs no more of its code (A4): it lives, and does not act.

use understudy_decide::agent::HookKind;
use understudy_model::{Policy, RunMode};

use super::Objection;
use crate::cast::Cast;
use crate::climate::{MS, Way};
use crate::sometimes::Sometimes;
use crate::world::World;
use crate::world::guards::Guard;
use crate::world::members::Hook;

/// Who of a pair acts, and why it may be excused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acting {
    /// By member: it passes the check, or lives as one that was told.
    pub acts: [bool; 2],
    /// By member: its page names a role whose time is over.
    pub ran_out: [bool; 2],
    /// By member: it has no library, its time is over, and its guard could not run a moment ago.
    pub unguarded: [bool; 2],
    /// By member: a hook that is to make it primary runs, and may do so at any moment.
    pub made: [bool; 2],
    /// By member: it was killed, and cannot end.
    pub doomed: [bool; 2],
    /// By member: the part.
    pub parts: [usize; 2],
}

impl Acting {
    /// Both, or hooks for them.
    pub fn two(&self) -> bool {
        (self.acts[0] || self.made[0]) && (self.acts[1] || self.made[1])
    }

    /// The only one.
    pub fn sole(&self) -> Option<usize> {
        match self.acts {
            [true, false] => Some(self.parts[0]),
            [false, true] => Some(self.parts[1]),
            [true, true] | [false, false] => None,
        }
    }

    /// The only one, if it runs.
    pub fn sole_that_runs(&self) -> Option<usize> {
        self.sole().filter(|part| !self.doomed[usize::from(self.parts[1] == *part)])
    }
}

/// A guard that runs again has so long to kill what is overdue.
const CATCHES_UP: u64 = 10 * MS;

/// Who of a pair acts now.
pub fn acting(world: &World, pair: usize) -> Acting {
    let parts = world.cast.pairs[pair].members;
    let mut found = Acting { parts, ..Acting::default() };
    for member in &world.members {
        if !member.lives || (member.part != parts[0] && member.part != parts[1]) {
            continue;
        }
        let place = usize::from(member.part == parts[1]);
        let site = &world.agents[member.host];
        found.doomed[place] |= !member.acts_on();
        let reads = world.cast.parts[member.part].way == Way::Library;
        if world.climate.options.policy == Policy::Strict && reads {
            let page = site.pages.get(member.part).and_then(Option::as_ref);
            let may = page.is_some_and(|shown| shown.may_act(world.clock(member.host)));
            found.acts[place] |= may;
            found.ran_out[place] |= !may && page.is_some_and(|shown| shown.role.is_some());
            continue;
        }
        found.acts[place] |= member.mode == RunMode::Primary && member.acts_on();
        // What its agent and guard go by: one whose time is not over is no one to excuse.
        let page = site.pages.get(member.part).and_then(Option::as_ref);
        let in_time = page.is_some_and(|shown| shown.may_act(world.clock(member.host)));
        let away = was_away(world.now, &site.guard);
        found.unguarded[place] |= !reads && !in_time && away;
    }
    for (host, site) in world.agents.iter().enumerate() {
        let run = |hook: &&Hook| hook.run.kind == HookKind::Promote && !hook.waits && !hook.doomed;
        for hook in site.hooks.iter().filter(run) {
            let Some(place) =
                (0..2).find(|place| world.cast.parts[parts[*place]].name == hook.run.application)
            else {
                continue;
            };
            found.made[place] = true;
            let page = site.pages.get(parts[place]).and_then(Option::as_ref);
            let in_time = page.is_some_and(|shown| shown.may_act(world.clock(host)));
            found.unguarded[place] |= !in_time && was_away(world.now, &site.guard);
        }
    }
    found
}

/// A guard could not run a moment ago.
fn was_away(now: u64, guard: &Guard) -> bool {
    !guard.alive || guard.frozen > 0 || now < guard.away_until + CATCHES_UP
}

/// S1.
#[derive(Debug)]
pub struct S1 {
    pub(super) objection: Objection,
    /// Since when two act, by pair.
    since: Vec<Option<u64>>,
    excused: Vec<bool>,
    /// By pair: an agent whose files were set back voted before the other one could remind it, which is outside of what is
    /// assumed (A3): two that act are counted.
    unsure: Vec<bool>,
    /// By pair and member: its page had run out when it was last looked at.
    ran_out: Vec<[bool; 2]>,
}

impl S1 {
    pub(super) fn new(cast: &Cast) -> Self {
        let count = cast.pairs.len();
        Self {
            objection: Objection::default(),
            since: vec![None; count],
            excused: vec![false; count],
            unsure: vec![false; count],
            ran_out: vec![[false; 2]; count],
        }
    }

    /// What is assumed of disks (A3) does not hold for this pair. True if it did before.
    pub fn is_unsure(&mut self, pair: usize) -> bool {
        !std::mem::replace(&mut self.unsure[pair], true)
    }

    pub(super) fn judge(
        &mut self,
        now: u64,
        pair: usize,
        acting: &Acting,
        strict: bool,
        sometimes: &mut Sometimes,
    ) {
        let before = std::mem::replace(&mut self.ran_out[pair], acting.ran_out);
        let ran_out = acting.ran_out.iter().zip(before).filter(|(now, before)| **now && !before);
        sometimes.expiries += ran_out.count() as u64;
        if !acting.two() {
            if let Some(since) = self.since[pair].take() {
                let span = now - since;
                if self.excused[pair] {
                    sometimes.excused_longest_ns = sometimes.excused_longest_ns.max(span);
                } else {
                    sometimes.two_acted_ns += span;
                }
            }
            return;
        }
        // Looked at after every event: an excuse ends with its reason.
        let excused = strict && acting.unguarded.contains(&true);
        if strict && !excused && !self.unsure[pair] {
            self.objection.raise("S1", now, || format!("both members of pair {pair} can act"));
        }
        if self.since[pair].is_some() {
            return;
        }
        self.since[pair] = Some(now);
        self.excused[pair] = excused;
        if excused {
            sometimes.excused += 1;
        } else {
            sometimes.two_acted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::climate::{Climate, Options};

    #[test]
    fn an_excuse_ends_with_its_reason() {
        let cast = Cast::of(&Climate::of(1, Options::default()));
        let mut s1 = S1::new(&cast);
        let mut sometimes = Sometimes::default();
        let mut acting = Acting { acts: [true, true], unguarded: [false, true], ..Acting::default() };
        s1.judge(1, 0, &acting, true, &mut sometimes);
        s1.judge(2, 0, &acting, true, &mut sometimes);
        assert!(s1.objection.0.is_none());
        acting.unguarded = [false, false];
        s1.judge(3, 0, &acting, true, &mut sometimes);
        assert_eq!(s1.objection.0.map(|violation| (violation.law, violation.at)), Some(("S1", 3)));
    }
}
