//! Every step that can be taken in a state, one by one, and a sentence for each.
//!
//! No step is ever forced, so whoever is slow, frozen or cut off is simply not chosen.

use std::fmt;

use understudy_decide::grants::holder::OtherVoter;
use understudy_model::Epoch;

use crate::agents::Taken;
use crate::looks::Look;
use crate::tally::Tally;
use crate::world::{CLOCKS, NOW, Scope, UNIT, World};
use crate::wrong::Wrong;

/// A step. Indices are of agents (0 is A), control servers (0 is C1), or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each has its sentence below
pub enum Step {
    Tick,
    TickAt(usize),
    TickButPaused(usize),
    Lead(usize),
    Extend(usize),
    Read(usize),
    Promote(usize, usize),
    PromoteOther(usize, usize),
    Shorten(usize),
    StoreApplies(usize),
    Outcome(usize),
    Order(usize),
    Crash(usize),
    ControlVotes(usize, usize, usize),
    ControlHearsRelease(usize, usize),
    PeerVotes(usize, usize),
    PeerHearsRelease(usize),
    Ask(usize),
    Hear(usize, usize),
    TakeOrder(usize, usize),
    TakeOrderAndCrash(usize, usize),
    AskAndCrash(usize, usize),
    RefuseOrder(usize, usize),
    CloseOwn(usize),
    Restart(usize),
    Reboot(usize),
    LoseMemory(usize),
    Learn(usize),
    Fence(usize),
    SwitchOff,
    DeviceAnswers(usize),
    Restore,
    AgentSays(usize, usize),
}

impl Step {
    /// A number that no other step has.
    pub(crate) fn code(self) -> u32 {
        let (kind, [x, y, z]): (usize, [usize; 3]) = match self {
            Step::Tick => (1, [0, 0, 0]),
            Step::TickAt(y) => (29, [0, y, 0]),
            Step::TickButPaused(x) => (2, [x, 0, 0]),
            Step::Lead(x) => (3, [x, 0, 0]),
            Step::Extend(x) => (4, [x, 0, 0]),
            Step::Read(x) => (5, [x, 0, 0]),
            Step::Promote(x, y) => (6, [x, y, 0]),
            Step::PromoteOther(x, y) => (31, [x, y, 0]),
            Step::Shorten(x) => (32, [x, 0, 0]),
            Step::StoreApplies(x) => (7, [x, 0, 0]),
            Step::Outcome(x) => (8, [x, 0, 0]),
            Step::Order(x) => (9, [x, 0, 0]),
            Step::Crash(x) => (10, [x, 0, 0]),
            Step::ControlVotes(x, y, z) => (11, [x, y, z]),
            Step::ControlHearsRelease(x, y) => (12, [x, y, 0]),
            Step::PeerVotes(x, y) => (13, [x, y, 0]),
            Step::PeerHearsRelease(x) => (14, [x, 0, 0]),
            Step::Ask(x) => (15, [x, 0, 0]),
            Step::Hear(x, y) => (16, [x, y, 0]),
            Step::TakeOrder(x, y) => (17, [x, y, 0]),
            Step::TakeOrderAndCrash(x, y) => (30, [x, y, 0]),
            Step::AskAndCrash(x, y) => (33, [x, y, 0]),
            Step::RefuseOrder(x, y) => (18, [x, y, 0]),
            Step::CloseOwn(x) => (19, [x, 0, 0]),
            Step::Restart(x) => (20, [x, 0, 0]),
            Step::Reboot(x) => (21, [x, 0, 0]),
            Step::LoseMemory(x) => (22, [x, 0, 0]),
            Step::Learn(x) => (23, [x, 0, 0]),
            Step::Fence(x) => (24, [x, 0, 0]),
            Step::SwitchOff => (25, [0, 0, 0]),
            Step::DeviceAnswers(x) => (26, [x, 0, 0]),
            Step::Restore => (27, [0, 0, 0]),
            Step::AgentSays(x, y) => (28, [x, y, 0]),
        };
        assert!(x < 16 && y < 64 && z < 64, "more than sixty-four of a kind are on their way");
        (kind << 16 | x << 12 | y << 6 | z) as u32
    }

    /// What happens, as one sentence about `before`.
    pub fn says(self, before: &World) -> String {
        let agent = |a: usize| ["A", "B"][a];
        let control = |c: usize| ["C1", "C2"][c];
        let role = |a: usize, epoch: &dyn fmt::Display| format!("(e{epoch}, {})", agent(a));
        let asked = |a: usize, i: usize| role(a, &before.agents[a].asked[i].epoch);
        let ordered = |a: usize, i: usize| role(a, &before.agents[a].orders[i].order.role.epoch);
        match self {
            Step::Tick => "time passes".to_owned(),
            Step::TickAt(fast) => {
                let clocks = ["A", "B", "C1", "C2", "the store"].into_iter().enumerate();
                let fast: Vec<_> = clocks.filter(|(bit, _)| fast >> bit & 1 == 1).map(|it| it.1).collect();
                let quicker = if fast.is_empty() { "nobody".to_owned() } else { fast.join(", ") };
                format!("time passes, more of it on the clock of {quicker}")
            }
            Step::TickButPaused(a) => {
                format!("time passes, but the clock of {}'s host stands still", agent(a))
            }
            Step::Lead(c) => {
                format!(
                    "{} takes the leadership, controller epoch {}",
                    control(c),
                    before.store.controller_epoch.0 + 1
                )
            }
            Step::Extend(c) => format!("{} renews its leadership", control(c)),
            Step::Read(c) => format!("{} reads the store", control(c)),
            Step::Promote(c, a) => format!("{} begins to store a new epoch of {}", control(c), agent(a)),
            Step::PromoteOther(c, a) => {
                format!("{} begins to store a new epoch of {} with the other lease", control(c), agent(a))
            }
            Step::Shorten(c) => {
                format!("the store takes the shorter lease that {} was asked with", control(c))
            }
            Step::StoreApplies(i) => {
                let way = &before.store.writes[i];
                format!("the store decides on {}'s write of {}", control(way.controller), way.write.role)
            }
            Step::Outcome(c) => format!("{} learns what became of its write", control(c)),
            Step::Order(c) => format!("{} orders the stored role again", control(c)),
            Step::Crash(c) => format!("{} crashes, or gives its leadership up", control(c)),
            Step::ControlVotes(c, a, i) => format!("{} votes on the request of {}", control(c), asked(a, i)),
            Step::ControlHearsRelease(c, a) => {
                format!(
                    "{} hears that {} released epochs up to {}",
                    control(c),
                    agent(a),
                    before.agents[a].released
                )
            }
            Step::PeerVotes(a, i) => format!("{} votes on the request of {}", agent(1 - a), asked(a, i)),
            Step::PeerHearsRelease(a) => {
                format!(
                    "{} hears that {} released epochs up to {}",
                    agent(1 - a),
                    agent(a),
                    before.agents[a].released
                )
            }
            Step::Ask(a) => format!("{} asks for votes, its own promise renewed", agent(a)),
            Step::Hear(a, i) => {
                let answered = &before.agents[a].answered[i];
                format!("{} receives a yes for {}", agent(a), role(a, &answered.epoch))
            }
            Step::TakeOrder(a, i) => format!("{} receives the order {}", agent(a), ordered(a, i)),
            Step::AskAndCrash(a, i) => {
                format!(
                    "{} asks for votes on the order {} while its promise is written, and crashes before it is there",
                    agent(a),
                    ordered(a, i)
                )
            }
            Step::TakeOrderAndCrash(a, i) => {
                format!(
                    "{} stores the promise that the order {} wants, crashes, and restarts",
                    agent(a),
                    ordered(a, i)
                )
            }
            Step::RefuseOrder(a, i) => {
                format!("{} refuses the order {}: closes it and says released", agent(a), ordered(a, i))
            }
            Step::CloseOwn(a) => {
                format!("the member of {} exits or is demoted: its epoch is closed and released", agent(a))
            }
            Step::Restart(a) => format!("agent {} crashes and restarts", agent(a)),
            Step::Reboot(a) => format!("host {} reboots", agent(a)),
            Step::LoseMemory(a) => format!("agent {} is reinstalled: its state file is empty", agent(a)),
            Step::Learn(a) => format!("agent {} learns what the store holds", agent(a)),
            Step::Fence(c) => {
                format!("{} stops voting for the holder and calls the fencing device", control(c))
            }
            Step::SwitchOff => "the device switches the host off; it comes on again".to_owned(),
            Step::DeviceAnswers(c) => format!("{} hears that the host was switched off", control(c)),
            Step::Restore => "the store is replaced by an older backup".to_owned(),
            Step::AgentSays(c, a) => {
                format!("{} hears from {} what it promised and closed", control(c), agent(a))
            }
        }
    }
}

/// All steps that may change something in a state that looks like this.
pub fn steps(look: &Look<'_>, scope: &Scope, into: &mut Vec<Step>) {
    into.clear();
    if scope.varies {
        let fast = look.uneven();
        into.extend((0..1 << CLOCKS).filter(|bits| bits & !fast == 0).map(Step::TickAt));
    } else {
        into.push(Step::Tick);
    }
    for a in 0..2 {
        let agent = look.agents[a];
        if agent.held.is_some() {
            into.push(Step::Ask(a));
        }
        if agent.held.is_some() || agent.may_close {
            into.push(Step::CloseOwn(a));
        }
        if agent.released > Epoch::NONE {
            into.push(Step::PeerHearsRelease(a));
        }
        into.push(Step::Restart(a));
        into.extend((0..agent.asked.len()).map(|i| Step::PeerVotes(a, i)));
        into.extend((0..agent.answered).map(|i| Step::Hear(a, i)));
        into.extend((0..agent.orders).flat_map(|i| [Step::TakeOrder(a, i), Step::RefuseOrder(a, i)]));
        if scope.crashes_within {
            let within = |i| [Step::TakeOrderAndCrash(a, i), Step::AskAndCrash(a, i)];
            into.extend((0..agent.orders).flat_map(within));
        }
        if scope.is(Wrong::ClockStops) {
            into.push(Step::TickButPaused(a));
        }
        if scope.reboots {
            into.push(Step::Reboot(a));
        }
        if scope.wipes && !look.rest.wiped {
            into.push(Step::LoseMemory(a));
        }
        if agent.unread {
            into.push(Step::Learn(a));
        }
    }
    for c in 0..2 {
        control_steps(look, scope, c, into);
    }
    into.extend((0..look.store.writes.len()).map(Step::StoreApplies));
    if scope.fencing {
        into.push(Step::SwitchOff);
    }
    if scope.restores || scope.is(Wrong::StoreRolledBack) {
        into.push(Step::Restore);
    }
}

fn control_steps(look: &Look<'_>, scope: &Scope, c: usize, into: &mut Vec<Step>) {
    let store = look.store;
    if store.leased == NOW && store.controller_epoch.0 < scope.leaderships {
        into.push(Step::Lead(c));
    }
    let it = look.controllers[c];
    if it.leads_in.0 == 0 {
        return;
    }
    into.extend([Step::Extend(c), Step::Crash(c)]);
    if !it.has_read {
        into.push(Step::Read(c));
        return;
    }
    if store.writes.iter().any(|way| way.controller == c && way.stored.is_some()) {
        into.push(Step::Outcome(c));
    }
    into.push(Step::Order(c));
    if scope.other_lease.is_some() {
        into.push(Step::Shorten(c));
    }
    for a in 0..2 {
        into.push(Step::Promote(c, a));
        if scope.other_lease.is_some() {
            into.push(Step::PromoteOther(c, a));
        }
        into.push(Step::ControlHearsRelease(c, a));
        into.extend((0..look.agents[a].asked.len()).map(|i| Step::ControlVotes(c, a, i)));
        if scope.restores {
            into.push(Step::AgentSays(c, a));
        }
    }
    if scope.fencing {
        into.extend([Step::Fence(c), Step::DeviceAnswers(c)]);
    }
}

impl World {
    /// Takes a step. False if it changes nothing; an error if an invariant does not hold.
    pub fn take(&mut self, scope: &Scope, step: Step, tally: &mut Tally) -> Taken {
        let taken = self.does(scope, step, tally)?;
        if taken {
            let current = self.store.controller_epoch;
            for it in &mut self.controllers {
                it.forget_deposed(scope, current);
            }
            let leads_in = [0, 1].map(|c| self.controllers[c].leads_in());
            self.store.forget_writes(scope, leads_in);
            let lowest = self.look(scope, |look| look.still_granted(scope));
            for (agent, lowest) in self.agents.iter_mut().zip(lowest) {
                agent.forget_worthless(scope);
                agent.forget_asked(lowest);
            }
        }
        Ok(taken)
    }

    /// A step without what is forgotten after it.
    pub(crate) fn does(&mut self, scope: &Scope, step: Step, tally: &mut Tally) -> Taken {
        match step {
            Step::Tick => self.tick(self.rates, None),
            Step::TickAt(fast) => self.tick(scope.rates_of(fast), None),
            Step::TickButPaused(a) => self.tick(self.rates, Some(a)),
            Step::Lead(c) => self.lead(scope, c),
            Step::Extend(c) => self.extend(scope, c),
            Step::Read(c) => self.read(scope, c),
            Step::Promote(c, a) => self.promote(scope, c, a, scope.terms.lease),
            Step::PromoteOther(c, a) => {
                self.promote(scope, c, a, scope.other_lease.unwrap_or(scope.terms.lease))
            }
            Step::Shorten(c) => self.shorten(c),
            Step::StoreApplies(i) => self.store_applies(scope, i, tally),
            Step::Outcome(c) => self.outcome(scope, c),
            Step::Order(c) => self.order(scope, c),
            Step::Crash(c) => self.crash(c),
            Step::ControlVotes(c, a, i) => {
                let Some(asked) = self.agents[a].asked.get(i).cloned() else { return Ok(false) };
                let role = self.agents[a].role(asked.epoch);
                let vote = self.controllers[c].votes(scope, &role, asked.lease, tally);
                let Some(changed) = vote else { return Ok(false) };
                Ok(self.agents[a].answer(scope, &asked, OtherVoter::Control) || changed)
            }
            Step::ControlHearsRelease(c, a) => {
                let (name, epoch) = (&self.agents[a].name, self.agents[a].released);
                self.controllers[c].hears_release(scope, name, epoch)
            }
            Step::PeerVotes(a, i) => {
                let Some(asked) = self.agents[a].asked.get(i).cloned() else { return Ok(false) };
                let role = self.agents[a].role(asked.epoch);
                let vote = self.agents[1 - a].votes(scope, &role, asked.lease)?;
                let Some(changed) = vote else { return Ok(false) };
                Ok(self.agents[a].answer(scope, &asked, OtherVoter::Peer) || changed)
            }
            Step::PeerHearsRelease(a) => {
                let (name, epoch) = (self.agents[a].name.clone(), self.agents[a].released);
                self.agents[1 - a].hears_release(scope, &name, epoch)
            }
            Step::Ask(a) => self.agents[a].ask(scope),
            Step::Hear(a, i) => {
                let acted = self.agents[a].page.may_act(NOW);
                let extended = self.agents[a].hear(scope, i)?;
                self.look(scope, |look| look.begins_to_act(a, acted, tally));
                Ok(extended)
            }
            Step::TakeOrder(a, i) => self.agents[a].take_order(scope, i, tally),
            Step::TakeOrderAndCrash(a, i) => self.agents[a].take_order_and_crash(scope, i),
            Step::AskAndCrash(a, i) => self.agents[a].ask_and_crash(scope, i),
            Step::RefuseOrder(a, i) => self.agents[a].refuse_order(scope, i),
            Step::CloseOwn(a) => self.agents[a].close_own(scope),
            Step::Restart(a) => self.agents[a].restart(scope, tally),
            Step::Reboot(a) => self.agents[a].reboot(scope),
            Step::LoseMemory(a) => {
                self.wiped = true;
                self.agents[a].lose_memory(scope)
            }
            Step::Learn(a) => {
                let stored = self.store.stored.as_ref().map(|role| role.epoch).unwrap_or_default();
                let covers = self.store.covers;
                self.agents[a].learn(scope, stored, covers, tally)
            }
            Step::Fence(c) => self.fence(scope, c),
            Step::SwitchOff => self.switch_off(scope),
            Step::DeviceAnswers(c) => self.device_answers(scope, c),
            Step::Restore => self.restore(scope),
            Step::AgentSays(c, a) => {
                let (highest, lease) = (self.agents[a].highest(), self.agents[a].longest());
                self.controllers[c].hears_word(&self.agents[a].name, highest, lease)
            }
        }
    }

    /// Every clock advances by its own rate.
    fn tick(&mut self, rates: [u32; CLOCKS], paused: Option<usize>) -> Taken {
        for a in (0..2).filter(|a| paused != Some(*a)) {
            self.agents[a].tick(UNIT * rates[a]);
        }
        for c in 0..2 {
            self.controllers[c].tick(UNIT * rates[2 + c]);
        }
        self.store.tick(UNIT * rates[4]);
        Ok(true)
    }
}
