//! L1 to L3: from any state, once faults stop and everybody does what is due, exactly one member acts; and it stays so when one
//! voter, or the whole control plane, is gone.
//!
//! The policy here is fair and simple: in every tick everything that can be said is said and heard, in a fixed order, until
//! nothing changes. A control server acts on what it could know: which member acts, and what was refused, that is, closed.

use understudy_decide::grants::Vote;
use understudy_model::{Epoch, RoleEpoch};

use crate::steps::Step;
use crate::tally::Tally;
use crate::world::{NOW, Scope, World};

/// More rounds than anything takes within a tick.
const MOST_ROUNDS: usize = 24;

/// Who is there.
#[derive(Clone, Copy)]
struct Present {
    controllers: bool,
    agents: [bool; 2],
}

/// How a state settled.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// After so many ticks.
    pub ticks: usize,
    /// A member acted when the faults stopped, and another does now.
    pub replaced: bool,
}

const ALL: Present = Present { controllers: true, agents: [true, true] };

/// How many ticks it takes from `world` until one member acts in the stored role and all three voters have promised it, and
/// what does not hold after that. Faults have stopped: clocks go on, messages arrive.
///
/// A member that acts may be replaced by that, if it was not known to all three voters: L2 promises nothing to it.
pub fn settles(world: &World, scope: &Scope) -> Result<Settled, String> {
    // What a run may reach is bounded; what comes after it is not.
    let scope = Scope { epochs: u64::MAX, leaderships: u64::MAX, ..scope.clone() };
    let most = most_ticks(&scope);
    let mut world = world.clone();
    let was_acting = acting(&world);
    for ticks in 0..=most {
        world.everybody_does_what_is_due(&scope, ALL)?;
        if let Some(holder) = world.settled() {
            stays(&world, &scope, holder)?;
            let replaced = was_acting.is_some_and(|before| before != holder);
            return Ok(Settled { ticks, replaced });
        }
        step(&mut world, &scope, Step::Tick)?;
    }
    Err(format!("L1: not one primary that all voters know after {most} ticks without faults"))
}

/// Lc + L on the slowest clock, and as much as rounding to ticks may add to each.
fn most_ticks(scope: &Scope) -> usize {
    let slowest = scope.rates.iter().min().copied().unwrap_or(1).max(1);
    let units = |span: std::time::Duration| span.as_nanos().div_ceil(crate::world::UNIT.as_nanos());
    let ticks = |span| units(span).div_ceil(u128::from(slowest));
    usize::try_from(ticks(scope.longest_lease()) + ticks(scope.store_lease)).unwrap_or(usize::MAX) + 1
}

/// L2 and L3, from a settled state: the control plane is gone, also with a restart of the holder's agent; the other agent is
/// gone. Each for three leases.
fn stays(world: &World, scope: &Scope, holder: usize) -> Result<(), String> {
    let mut other_gone = ALL;
    other_gone.agents[1 - holder] = false;
    let no_control = Present { controllers: false, ..ALL };
    for (what, present, restart) in [
        ("L3: the control plane is gone", no_control, false),
        ("L3: the control plane is gone and the holder's agent restarts", no_control, true),
        ("L2: the other agent is gone", other_gone, false),
    ] {
        let mut world = world.clone();
        if restart {
            step(&mut world, scope, Step::Restart(holder))?;
        }
        for _ in 0..3 * most_ticks(scope) {
            world.everybody_does_what_is_due(scope, present)?;
            if acting(&world) != Some(holder) {
                return Err(format!("{what}, and a healthy primary was stopped"));
            }
            step(&mut world, scope, Step::Tick)?;
        }
    }
    Ok(())
}

fn acting(world: &World) -> Option<usize> {
    (0..2).find(|a| world.agents[*a].page.may_act(NOW))
}

fn step(world: &mut World, scope: &Scope, step: Step) -> Result<bool, String> {
    world.take(scope, step, &mut Tally::default())
}

impl World {
    fn settled(&self) -> Option<usize> {
        let holder = acting(self)?;
        let role = self.agents[holder].page.role.as_ref();
        let leader = self.leading()?;
        let promised = self.controllers[leader].pair.as_ref().and_then(|pair| pair.promised());
        let all = self.agents.iter().map(|agent| agent.voter.promised()).chain([promised]);
        all.into_iter().all(|promised| promised == role).then_some(holder)
    }

    fn leading(&self) -> Option<usize> {
        (0..2).find(|c| self.controllers[*c].leadership.as_ref().is_some_and(|it| it.leads(NOW)))
    }

    fn everybody_does_what_is_due(&mut self, scope: &Scope, present: Present) -> Result<(), String> {
        let mut before = self.upright(scope);
        for _ in 0..MOST_ROUNDS {
            if present.controllers {
                self.control_works(scope, present)?;
            }
            for a in (0..2).filter(|a| present.agents[*a]) {
                self.agent_works(scope, present, a)?;
            }
            let after = self.upright(scope);
            if after == before {
                return Ok(());
            }
            before = after;
        }
        Err(format!("L1: no end of it within a tick after {MOST_ROUNDS} rounds"))
    }

    fn control_works(&mut self, scope: &Scope, present: Present) -> Result<(), String> {
        for index in 0..self.store.writes.len() {
            step(self, scope, Step::StoreApplies(index))?;
        }
        let Some(c) = self.leading().or((self.store.leased == NOW).then_some(self.store.leader)) else {
            return Ok(());
        };
        for it in [Step::Lead(c), Step::Extend(c), Step::Read(c), Step::Outcome(c)] {
            step(self, scope, it)?;
        }
        for a in (0..2).filter(|a| present.agents[*a]) {
            step(self, scope, Step::AgentSays(c, a))?;
            step(self, scope, Step::ControlHearsRelease(c, a))?;
        }
        step(self, scope, Step::DeviceAnswers(c))?;
        if let Some(a) = self.wanted(c, present) {
            step(self, scope, Step::Promote(c, a))?;
        }
        for index in 0..self.store.writes.len() {
            step(self, scope, Step::StoreApplies(index))?;
        }
        step(self, scope, Step::Outcome(c))?;
        step(self, scope, Step::Order(c))?;
        Ok(())
    }

    /// Whom a leader stores: the member that acts, if not in the stored role; nobody else while one acts, or while the stored
    /// holder may yet take its order; then whoever is there.
    fn wanted(&self, c: usize, present: Present) -> Option<usize> {
        let stored = self.controllers[c].pair.as_ref()?.stored().cloned();
        if let Some(a) = acting(self) {
            let role = self.agents[a].page.role.clone();
            return (present.agents[a] && role != stored).then_some(a);
        }
        let holder = stored.as_ref().and_then(|role| self.member(role));
        let gave_up = |role: &RoleEpoch, a: usize| self.agents[a].voter.kept().closed >= role.epoch;
        match (stored.as_ref(), holder) {
            (Some(role), Some(a)) if present.agents[a] && !gave_up(role, a) => None,
            (_, holder) => {
                // Advice before anything is stored: would its own agent grant the next epoch (pre-vote)?
                let next = stored.as_ref().map_or(Epoch(1), |role| role.epoch.next());
                let others_first = [holder.map_or(0, |a| 1 - a), holder.unwrap_or(1)];
                others_first.into_iter().find(|a| present.agents[*a] && self.would_grant(*a, next))
            }
        }
    }

    fn would_grant(&self, a: usize, next: Epoch) -> bool {
        let agent = &self.agents[a];
        let next = next.max(agent.voter.kept().closed.next());
        agent.voter.clone().ordered(NOW, &agent.role(next), std::time::Duration::ZERO, None).given().is_some()
    }

    fn member(&self, role: &RoleEpoch) -> Option<usize> {
        (0..2).find(|a| self.agents[*a].name == role.holder)
    }

    fn agent_works(&mut self, scope: &Scope, present: Present, a: usize) -> Result<(), String> {
        step(self, scope, Step::Learn(a))?;
        let finished = |world: &World| {
            let holder = &world.agents[a].holder;
            holder.held().is_some() && NOW >= holder.order_until().unwrap_or_else(|| holder.may_act_until())
        };
        if finished(self) {
            step(self, scope, Step::CloseOwn(a))?;
        }
        if present.agents[1 - a] {
            step(self, scope, Step::PeerHearsRelease(1 - a))?;
        }
        for index in 0..self.agents[a].orders.len() {
            // What was refused takes others with it; they are looked at in the next round.
            let Some(ordered) = self.agents[a].orders.get(index) else { break };
            let role = &ordered.order.role;
            let open = role.epoch > self.agents[a].voter.kept().closed;
            let newest = self.agents[a].holder.held().is_none_or(|held| held.epoch < role.epoch);
            if open && newest && !step(self, scope, Step::TakeOrder(a, index))? {
                // A refusal is a release.
                step(self, scope, Step::RefuseOrder(a, index))?;
            }
        }
        step(self, scope, Step::Ask(a))?;
        for index in 0..self.agents[a].asked.len() {
            if present.agents[1 - a] {
                step(self, scope, Step::PeerVotes(a, index))?;
            }
            if let Some(c) = self.leading().filter(|_| present.controllers) {
                step(self, scope, Step::ControlVotes(c, a, index))?;
            }
        }
        for index in (0..self.agents[a].answered.len()).rev() {
            step(self, scope, Step::Hear(a, index))?;
        }
        if present.agents[1 - a] && self.overtaken(a) {
            step(self, scope, Step::CloseOwn(a))?;
        }
        Ok(())
    }

    /// The other agent would name a higher epoch of its own member (G5).
    fn overtaken(&self, a: usize) -> bool {
        let Some(role) = self.agents[a].holder.held() else { return false };
        match self.agents[1 - a].voter.clone().asked(NOW, role, self.agents[a].holder.lease()) {
            Vote::Refused(refused) => self.agents[a].holder.hear_refusal(NOW, &refused),
            Vote::Given(_) => false,
        }
    }
}
