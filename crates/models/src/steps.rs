//! Every step that can be taken in a state, one by one, and a sentence for each.
//!
//! No step is ever forced, so whoever is slow, frozen or cut off is simply not chosen.

use std::fmt;

use understudy_model::{Epoch, Moment};

use crate::agents::Taken;
use crate::tally::Tally;
use crate::world::{NOW, Scope, UNIT, World};
use crate::wrong::Wrong;

/// A step. Indices are of agents (0 is A), control servers (0 is C1), or messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each has its sentence below
pub enum Step {
    Tick,
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
    /// What happens, as one sentence about `before`.
    pub fn says(self, before: &World) -> String {
        let agent = |a: usize| ["A", "B"][a];
        let control = |c: usize| ["C1", "C2"][c];
        let role = |a: usize, epoch: &dyn fmt::Display| format!("(e{epoch}, {})", agent(a));
        let asked = |a: usize, i: usize| role(a, &before.agents[a].asked[i].epoch);
        let ordered = |a: usize, i: usize| role(a, &before.agents[a].orders[i].order.role.epoch);
        match self {
            Step::Tick => "time passes".to_owned(),
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

impl World {
    /// All steps that may change something.
    pub fn steps(&self, scope: &Scope, into: &mut Vec<Step>) {
        into.clear();
        into.push(Step::Tick);
        for a in 0..2 {
            let agent = &self.agents[a];
            if agent.holder.held().is_some() {
                into.push(Step::Ask(a));
            }
            if agent.holder.held().is_some() || agent.voter.own_role().is_some() {
                into.push(Step::CloseOwn(a));
            }
            if agent.released > Epoch::NONE {
                into.push(Step::PeerHearsRelease(a));
            }
            into.push(Step::Restart(a));
            into.extend((0..agent.asked.len()).map(|i| Step::PeerVotes(a, i)));
            into.extend((0..agent.answered.len()).map(|i| Step::Hear(a, i)));
            into.extend(
                (0..agent.orders.len()).flat_map(|i| [Step::TakeOrder(a, i), Step::RefuseOrder(a, i)]),
            );
            if scope.is(Wrong::ClockStops) {
                into.push(Step::TickButPaused(a));
            }
            if scope.reboots {
                into.push(Step::Reboot(a));
            }
            if scope.wipes && !self.wiped {
                into.push(Step::LoseMemory(a));
            }
            if agent.voter.is_unread() {
                into.push(Step::Learn(a));
            }
        }
        for c in 0..2 {
            if self.store.leased == NOW && self.store.controller_epoch.0 < scope.leaderships {
                into.push(Step::Lead(c));
            }
            let it = &self.controllers[c];
            if it.leadership.is_none() {
                continue;
            }
            into.extend([Step::Extend(c), Step::Crash(c)]);
            if it.pair.is_none() {
                into.push(Step::Read(c));
                continue;
            }
            if self.store.writes.iter().any(|way| way.controller == c && way.stored.is_some()) {
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
                into.extend((0..self.agents[a].asked.len()).map(|i| Step::ControlVotes(c, a, i)));
                if scope.restores {
                    into.push(Step::AgentSays(c, a));
                }
            }
            if scope.fencing {
                into.extend([Step::Fence(c), Step::DeviceAnswers(c)]);
            }
        }
        into.extend((0..self.store.writes.len()).map(Step::StoreApplies));
        if scope.fencing {
            into.push(Step::SwitchOff);
        }
        if scope.restores || scope.is(Wrong::StoreRolledBack) {
            into.push(Step::Restore);
        }
    }

    /// Takes a step. False if it changes nothing; an error if an invariant does not hold.
    pub fn take(&mut self, scope: &Scope, step: Step, tally: &mut Tally) -> Taken {
        let taken = match step {
            Step::Tick => self.tick(None),
            Step::TickButPaused(a) => self.tick(Some(a)),
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
            Step::Order(c) => self.order(c),
            Step::Crash(c) => self.crash(c),
            Step::ControlVotes(c, a, i) => self.control_votes(scope, c, a, i, tally),
            Step::ControlHearsRelease(c, a) => self.control_hears_release(scope, c, a),
            Step::PeerVotes(a, i) => self.peer_votes(scope, a, i),
            Step::PeerHearsRelease(a) => self.peer_hears_release(scope, a),
            Step::Ask(a) => self.agents[a].ask(scope),
            Step::Hear(a, i) => self.hear(scope, a, i, tally),
            Step::TakeOrder(a, i) => self.agents[a].take_order(scope, i, tally),
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
            Step::AgentSays(c, a) => self.agent_says(c, a),
        }?;
        if taken {
            self.forget_deposed(scope);
            for agent in self.agents.iter_mut().filter(|agent| agent.has_worthless(scope)) {
                agent.forget_worthless(scope);
            }
        }
        Ok(taken)
    }

    fn hear(&mut self, scope: &Scope, a: usize, index: usize, tally: &mut Tally) -> Taken {
        let acted = self.agents[a].page.may_act(NOW);
        let extended = self.agents[a].hear(scope, index)?;
        let (agent, other) = (&self.agents[a], &self.agents[1 - a]);
        if let Some(role) = agent.page.role.as_ref().filter(|_| !acted && agent.page.may_act(NOW)) {
            tally.acting += 1;
            let former = Epoch(role.epoch.0.saturating_sub(1));
            // An agent closes only epochs of its own member, and asks only for those.
            let released = former > Epoch::NONE && other.disk.closed >= former;
            let asked = other.asked.iter().any(|asked| asked.epoch == former);
            tally.by_release += u64::from(released);
            tally.by_expiry += u64::from(asked && !released);
        }
        Ok(extended)
    }

    /// Every clock advances by its own rate.
    fn tick(&mut self, paused: Option<usize>) -> Taken {
        for a in 0..2 {
            let by = UNIT * self.rates[a];
            let agent = &mut *self.agents[a];
            if paused == Some(a) {
                continue;
            }
            agent.voter.shift(by);
            if agent.behind {
                agent.behind = false;
                continue;
            }
            agent.holder.shift(by);
            agent.page.until = agent.page.until - by;
        }
        for c in 0..2 {
            let by = UNIT * self.rates[2 + c];
            let it = &mut *self.controllers[c];
            it.early = it.early - by;
            if let Some(leadership) = &mut it.leadership {
                leadership.shift(by);
            }
            if let Some(pair) = &mut it.pair {
                pair.shift(by);
            }
        }
        self.store.leased = self.store.leased - UNIT * self.rates[4];
        Ok(true)
    }

    /// S1: at most one member can pass the check, each on its own clock.
    pub fn two_primaries(&self) -> Option<(Moment, Moment)> {
        let [a, b] = &self.agents;
        (a.page.may_act(NOW) && b.page.may_act(NOW)).then_some((a.page.until, b.page.until))
    }
}
