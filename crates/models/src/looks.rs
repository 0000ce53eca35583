//! What has to be known of each part of a state to say which steps there are and whether an invariant holds.
//!
//! Refuses to know how a part came to be so. The law: a look is worked out of its part alone.

use std::time::Duration;

use understudy_decide::grants::holder::{Answer, Heard, OtherVoter, Page};
use understudy_model::{ControllerEpoch, Epoch, RoleEpoch};

use crate::tally::Tally;
use crate::world::{Agent, Asked, Controller, NOW, Scope, Store, THIS_LIFE, UNIT, World};

/// Of an agent.
#[derive(Debug, Clone)]
pub struct AgentLook {
    /// What its holder holds.
    pub held: Option<Epoch>,
    /// Its own member's role may be closed.
    pub may_close: bool,
    /// The highest epoch that it released.
    pub released: Epoch,
    /// The highest epoch that it closed, durably.
    pub closed: Epoch,
    /// What it promised, to whomever.
    pub promised: Epoch,
    /// The highest epoch that it promised or closed.
    pub highest: Epoch,
    /// The epochs of its requests that are on their way.
    pub asked: Vec<Epoch>,
    /// And the lease that each of them says.
    pub leases: Vec<Duration>,
    /// The longest lease that it may have counted on or promised.
    pub longest: Duration,
    /// So many answers are on their way to it.
    pub answered: usize,
    /// So many orders are.
    pub orders: usize,
    /// It has to learn what the store holds.
    pub unread: bool,
    /// Its page, if that says primary now.
    pub acts: Option<Page>,
    /// It makes a difference whether its clock is quick or slow in the next tick.
    pub uneven: bool,
    /// An invariant of this agent alone does not hold.
    pub objection: Option<String>,
}

/// Of a control server.
#[derive(Debug, Clone)]
pub struct ControlLook {
    /// The leadership in which it believes to be; zero for none.
    pub leads_in: ControllerEpoch,
    /// It has read the store.
    pub has_read: bool,
    /// What it promised; the highest there is if it has nothing to vote with.
    pub promised: Epoch,
    /// It makes a difference whether its clock is quick or slow in the next tick.
    pub uneven: bool,
}

/// Of the store, which is otherwise small enough to be looked at as it is.
#[derive(Debug, Clone)]
pub struct StoreLook {
    /// It makes a difference whether its clock is quick or slow in the next tick.
    pub uneven: bool,
}

/// Of what belongs to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestLook {
    /// An agent lost its memory.
    pub wiped: bool,
}

/// Of a state.
pub struct Look<'a> {
    /// A and B.
    pub agents: [&'a AgentLook; 2],
    /// C1 and C2.
    pub controllers: [&'a ControlLook; 2],
    /// The store.
    pub store: &'a Store,
    /// And of its clock.
    pub store_look: &'a StoreLook,
    /// The rest.
    pub rest: RestLook,
}

fn epoch(role: Option<&RoleEpoch>) -> Epoch {
    role.map_or(Epoch::NONE, |role| role.epoch)
}

impl Agent {
    pub(crate) fn look(&self, scope: &Scope) -> AgentLook {
        let after = |rate: u32| {
            let mut agent = self.clone();
            agent.tick(UNIT * rate);
            agent.forget_worthless(scope);
            agent.likeness(scope)
        };
        AgentLook {
            uneven: differs(scope, after),
            held: self.holder.held().map(|role| role.epoch),
            may_close: self.voter.own_role().is_some(),
            released: self.released,
            closed: self.disk.closed,
            promised: epoch(self.voter.promised()),
            highest: self.highest(),
            asked: self.asked.iter().map(|asked| asked.epoch).collect(),
            leases: self.asked.iter().map(|asked| asked.lease).collect(),
            longest: self.longest(),
            answered: self.answered.len(),
            orders: self.orders.len(),
            unread: self.voter.is_unread(),
            acts: Some(self.page.clone()).filter(|page| page.may_act(NOW)),
            objection: self.objection(),
        }
    }

    /// An invariant that does not hold for this agent, whatever the others are.
    fn objection(&self) -> Option<String> {
        let own = self.voter.promised().filter(|role| role.holder == self.name);
        let given_up = own.is_some_and(|role| role.epoch <= self.voter.kept().closed);
        if given_up && self.voter.bound_until(NOW).is_some() {
            return Some(format!(
                "L2: the agent of {} is bound by a promise that its member gave up",
                self.name
            ));
        }
        let acting = self.page.role.as_ref().filter(|_| self.page.may_act(NOW));
        let covers = |promised: Option<&RoleEpoch>, acting: &RoleEpoch| {
            promised.is_some_and(|role| role.holder == acting.holder && role.epoch >= acting.epoch)
        };
        let kept = self.disk.promised.as_ref().map(|promise| &promise.role);
        let unkept = |role: &&RoleEpoch| covers(self.voter.promised(), role) && !covers(kept, role);
        if let Some(role) = acting.filter(unkept) {
            return Some(format!("S3: the page says primary in {role}, and that promise is not durable"));
        }
        // Answers for what was given up are not kept on their way, so each is tried as soon as it could be there.
        let late = |asked: &&Asked| asked.this_life && asked.epoch <= self.holder.given_up();
        let counts = self.asked.iter().filter(late).any(|asked| {
            let answer =
                Answer { incarnation: THIS_LIFE, number: asked.number, role: self.role(asked.epoch) };
            self.holder.clone().hear(NOW, OtherVoter::Peer, &answer) != Heard::GivenUp
        });
        counts.then(|| format!("G3: {} takes an answer for an epoch that it gave up", self.name))
    }
}

impl Controller {
    pub(crate) fn look(&self, scope: &Scope) -> ControlLook {
        let after = |rate: u32| {
            let mut it = self.clone();
            it.tick(UNIT * rate);
            it.likeness()
        };
        ControlLook {
            uneven: differs(scope, after),
            leads_in: self.leads_in(),
            has_read: self.pair.is_some(),
            promised: self.pair.as_ref().map_or(Epoch(u64::MAX), |pair| epoch(pair.promised())),
        }
    }
}

impl Store {
    pub(crate) fn look(&self, scope: &Scope) -> StoreLook {
        let after = |rate: u32| {
            let mut store = self.clone();
            store.tick(UNIT * rate);
            store.likeness()
        };
        StoreLook { uneven: differs(scope, after) }
    }
}

/// Whether a part comes to something else with the highest rate than with the lowest.
fn differs<T: PartialEq>(scope: &Scope, after: impl Fn(u32) -> T) -> bool {
    let [slowest, fastest] = scope.extremes();
    scope.varies && after(slowest) != after(fastest)
}

impl World {
    /// Looks at this state.
    pub fn look<T>(&self, scope: &Scope, asked: impl FnOnce(&Look<'_>) -> T) -> T {
        let [a, b] = [0, 1].map(|a| self.agents[a].look(scope));
        let [c1, c2] = [0, 1].map(|c| self.controllers[c].look(scope));
        let store_look = &self.store.look(scope);
        let rest = RestLook { wiped: self.wiped };
        asked(&Look { agents: [&a, &b], controllers: [&c1, &c2], store: &self.store, store_look, rest })
    }
}

impl Look<'_> {
    /// The clocks that make a difference, a bit for each.
    pub fn uneven(&self) -> usize {
        let [a, b] = self.agents.map(|agent| agent.uneven);
        let [c1, c2] = self.controllers.map(|it| it.uneven);
        let clocks = [a, b, c1, c2, self.store_look.uneven].into_iter().enumerate();
        clocks.fold(0, |bits, (bit, uneven)| bits | usize::from(uneven) << bit)
    }

    /// For each agent the lowest epoch of a request that any voter, of now or later, may grant: the others have promised
    /// something higher, and so has the store, and no leader's promise is still one so low.
    pub fn still_granted(&self, scope: &Scope) -> [Epoch; 2] {
        if scope.can_go_back(self.rest.wiped) {
            return [Epoch::NONE; 2];
        }
        let leaders = self.controllers[0].promised.min(self.controllers[1].promised);
        let others = leaders.min(epoch(self.store.stored.as_ref()));
        [1, 0].map(|peer: usize| others.min(self.agents[peer].promised))
    }

    /// Counts that the member of agent `a` acts, if it did not before.
    pub fn begins_to_act(&self, a: usize, acted: bool, tally: &mut Tally) {
        let Some(role) = self.agents[a].acts.as_ref().and_then(|page| page.role.as_ref()).filter(|_| !acted)
        else {
            return;
        };
        let other = self.agents[1 - a];
        tally.acting += 1;
        let former = Epoch(role.epoch.0.saturating_sub(1));
        // An agent closes only epochs of its own member, and asks only for those.
        let released = former > Epoch::NONE && other.closed >= former;
        let held = former > Epoch::NONE && other.held == Some(former);
        tally.by_release += u64::from(released);
        tally.by_expiry += u64::from(held && !released);
    }

    /// S1, each page on its own clock, and what has to hold for each agent.
    pub fn objection(&self) -> Option<String> {
        if let Some(objection) = self.agents.iter().find_map(|agent| agent.objection.clone()) {
            return Some(objection);
        }
        let (a, b) = (self.agents[0].acts.as_ref()?, self.agents[1].acts.as_ref()?);
        let units = |page: &Page| page.until.0 as f64 / UNIT.as_nanos() as f64;
        Some(format!("S1: both pages say primary, A's for {:.1} more, B's for {:.1}", units(a), units(b)))
    }
}
