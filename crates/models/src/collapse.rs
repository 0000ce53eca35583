//! States as six numbers: each part is kept once, and what comes of a deed is worked out once for the parts that it concerns.
//!
//! `World::take` says what a step is. Here the same step is taken apart into deeds of one part, or of two that are looked at
//! together, and every outcome is remembered; a test compares both, transition by transition. The law: whatever an outcome
//! depends on is part of what it is remembered by.

mod deeds;

use std::rc::Rc;

pub use deeds::State;
use deeds::{Deed, Did, Effect, Place, Rest};
use understudy_decide::grants::holder::OtherVoter;

use crate::agents::Taken;
use crate::likeness::{Both, Likeness, Marked, of_rest};
use crate::looks::{AgentLook, ControlLook, Look, RestLook, StoreLook};
use crate::pool::{Memo, Number, Pool};
use crate::steps::Step;
use crate::tally::Tally;
use crate::world::{Agent, CLOCKS, Controller, Ordered, Part, Scope, Store, UNIT, World};

/// All parts of all states within a scope, and all that came of what was done to them.
pub struct Collapse<'s> {
    scope: &'s Scope,
    agents: Pool<Agent, AgentLook, Both>,
    controllers: Pool<Controller, ControlLook, Both>,
    stores: Pool<Store, StoreLook, Marked>,
    rests: Pool<Rest, (), Marked>,
    rates: Vec<[u32; CLOCKS]>,
    orders: Vec<(usize, Ordered)>,
    faults: Vec<String>,
    memo: Memo<Effect>,
    blank: World,
}

impl<'s> Collapse<'s> {
    /// Nothing is known yet.
    pub fn new(scope: &'s Scope) -> Self {
        Self {
            scope,
            agents: Pool::default(),
            controllers: Pool::default(),
            stores: Pool::default(),
            rests: Pool::default(),
            rates: Vec::new(),
            orders: Vec::new(),
            faults: Vec::new(),
            memo: Memo::default(),
            blank: World::new(scope, [1; CLOCKS]),
        }
    }

    /// How many agents, control servers, stores and outcomes are kept.
    pub fn sizes(&self) -> [usize; 4] {
        [self.agents.len(), self.controllers.len(), self.stores.len(), self.memo.len()]
    }

    /// The state of `world`.
    pub fn state(&mut self, world: &World) -> State {
        let rest = Rest { call: world.call.clone(), wiped: world.wiped };
        let rates = self.rates.iter().position(|known| *known == world.rates).unwrap_or_else(|| {
            self.rates.push(world.rates);
            self.rates.len() - 1
        });
        State {
            rates: u16::try_from(rates).expect("few combinations of rates"),
            agents: [0, 1].map(|a| self.agent_number(world.agents[a].0.clone())),
            controllers: [0, 1].map(|c| self.control_number(world.controllers[c].0.clone())),
            store: self.store_number(world.store.0.clone()),
            rest: self.rest_number(rest),
        }
    }

    /// The state as it is.
    pub fn world(&self, state: &State) -> World {
        let rest = &self.rests.get(u32::from(state.rest)).part;
        World {
            rates: self.rates[usize::from(state.rates)],
            agents: state.agents.map(|number| Part(self.agents.get(number).part.clone())),
            controllers: state.controllers.map(|number| Part(self.controllers.get(number).part.clone())),
            store: Part(self.stores.get(state.store).part.clone()),
            call: rest.call.clone(),
            wiped: rest.wiped,
        }
    }

    /// As `World::fingerprint`.
    pub fn fingerprint(&self, state: &State) -> u64 {
        let likeness = Likeness {
            rates: self.rates[usize::from(state.rates)],
            agents: state.agents.map(|number| self.agents.get(number).likeness),
            controllers: state.controllers.map(|number| self.controllers.get(number).likeness),
            store: self.stores.get(state.store).likeness,
            rest: self.rests.get(u32::from(state.rest)).likeness,
        };
        likeness.fingerprint(self.scope)
    }

    /// As `World::look`.
    pub fn look(&self, state: &State) -> Look<'_> {
        Look {
            agents: state.agents.map(|number| &self.agents.get(number).look),
            controllers: state.controllers.map(|number| &self.controllers.get(number).look),
            store: &self.stores.get(state.store).part,
            store_look: &self.stores.get(state.store).look,
            rest: RestLook { wiped: self.rests.get(u32::from(state.rest)).part.wiped },
        }
    }

    fn agent_number(&mut self, part: Rc<Agent>) -> Number {
        let likeness = part.likeness(self.scope);
        self.agents.number(part, likeness, |part| part.look(self.scope))
    }

    fn control_number(&mut self, part: Rc<Controller>) -> Number {
        let likeness = part.likeness();
        self.controllers.number(part, likeness, |part| part.look(self.scope))
    }

    fn store_number(&mut self, part: Rc<Store>) -> Number {
        let likeness = part.likeness();
        self.stores.number(part, likeness, |part| part.look(self.scope))
    }

    fn rest_number(&mut self, rest: Rest) -> u16 {
        let likeness = of_rest(rest.call.as_ref(), rest.wiped);
        let number = self.rests.number(Rc::new(rest), likeness, |_| ());
        u16::try_from(number).expect("few calls of a device")
    }

    fn effect(&mut self, taken: Taken, tally: &Tally, one: Number, two: Number) -> Effect {
        let did = match taken {
            Ok(false) => Did::Nothing,
            Ok(true) => Did::Something,
            Err(what) => {
                self.faults.push(what);
                Did::Fault(u16::try_from(self.faults.len() - 1).expect("the first fault ends a run"))
            }
        };
        Effect { did, reached: tally.clone().reached(), one, two, order: 0 }
    }

    /// Does something to one agent.
    fn agent(
        &mut self,
        deed: Deed,
        number: Number,
        act: impl FnOnce(&mut Agent, &Scope, &mut Tally) -> Taken,
    ) -> Effect {
        if let Some(known) = self.memo.get(deed.code(), number, 0) {
            return known;
        }
        let mut tally = Tally::default();
        let mut agent = (*self.agents.get(number).part).clone();
        let taken = act(&mut agent, self.scope, &mut tally);
        agent.forget_worthless(self.scope);
        let next = self.agent_number(Rc::new(agent));
        let effect = self.effect(taken, &tally, next, 0);
        self.memo.keep(deed.code(), number, 0, effect);
        effect
    }

    /// Does something to one control server.
    fn control(
        &mut self,
        deed: Deed,
        number: Number,
        act: impl FnOnce(&mut Controller, &Scope, &mut Tally) -> Taken,
    ) -> Effect {
        if let Some(known) = self.memo.get(deed.code(), number, 0) {
            return known;
        }
        let mut tally = Tally::default();
        let mut it = (*self.controllers.get(number).part).clone();
        let taken = act(&mut it, self.scope, &mut tally);
        let next = self.control_number(Rc::new(it));
        let effect = self.effect(taken, &tally, next, 0);
        self.memo.keep(deed.code(), number, 0, effect);
        effect
    }

    /// Does something to the store; `with` is what it depends on besides.
    fn store(
        &mut self,
        deed: Deed,
        number: Number,
        with: u32,
        act: impl FnOnce(&mut Store, &Scope) -> Taken,
    ) -> Effect {
        if let Some(known) = self.memo.get(deed.code(), number, with) {
            return known;
        }
        let mut store = (*self.stores.get(number).part).clone();
        let taken = act(&mut store, self.scope);
        let next = self.store_number(Rc::new(store));
        let effect = self.effect(taken, &Tally::default(), next, 0);
        self.memo.keep(deed.code(), number, with, effect);
        effect
    }

    /// A step that concerns two parts, in a world where everything else is as in the beginning. An order that it sends is
    /// taken out of that world: who gets it is another matter.
    fn together(&mut self, step: Step, one: Place, two: Place) -> Effect {
        let number = |place: Place| match place {
            Place::Agent(_, number) | Place::Control(_, number) | Place::Store(number) => number,
            Place::Rest(number) => u32::from(number),
        };
        let (first, second) = (number(one), number(two));
        if let Some(known) = self.memo.get(step.code(), first, second) {
            return known;
        }
        let mut world = self.blank.clone();
        for place in [one, two] {
            match place {
                Place::Agent(a, number) => world.agents[a] = Part(self.agents.get(number).part.clone()),
                Place::Control(c, number) => {
                    world.controllers[c] = Part(self.controllers.get(number).part.clone());
                }
                Place::Store(number) => world.store = Part(self.stores.get(number).part.clone()),
                Place::Rest(number) => {
                    let rest = &self.rests.get(u32::from(number)).part;
                    (world.call, world.wiped) = (rest.call.clone(), rest.wiped);
                }
            }
        }
        let mut tally = Tally::default();
        let taken = world.does(self.scope, step, &mut tally);
        let [first_now, second_now] = [one, two].map(|place| match place {
            Place::Agent(a, _) => {
                world.agents[a].forget_worthless(self.scope);
                self.agent_number(world.agents[a].0.clone())
            }
            Place::Control(c, _) => self.control_number(world.controllers[c].0.clone()),
            Place::Store(_) => self.store_number(world.store.0.clone()),
            Place::Rest(_) => {
                u32::from(self.rest_number(Rest { call: world.call.clone(), wiped: world.wiped }))
            }
        });
        let mut effect = self.effect(taken, &tally, first_now, second_now);
        let is_agent = matches!(one, Place::Agent(..)) || matches!(two, Place::Agent(..));
        let sent = (0..2).find_map(|a| Some((a, world.agents[a].orders.first()?.clone())));
        if let Some(sent) = sent.filter(|_| !is_agent) {
            effect.order = self.order_number(sent) + 1;
        }
        self.memo.keep(step.code(), first, second, effect);
        effect
    }

    fn order_number(&mut self, sent: (usize, Ordered)) -> u32 {
        let at = self.orders.iter().position(|known| *known == sent).unwrap_or_else(|| {
            self.orders.push(sent);
            self.orders.len() - 1
        });
        u32::try_from(at).expect("few orders")
    }

    /// Takes a step; nothing if it changes nothing, an error if an invariant does not hold.
    pub fn take(&mut self, state: &State, step: Step, tally: &mut Tally) -> Result<Option<State>, String> {
        let mut next = *state;
        let did = self.does(&mut next, step, tally);
        match did {
            Did::Nothing => return Ok(None),
            Did::Fault(number) => return Err(self.faults[usize::from(number)].clone()),
            Did::Something | Did::YesAgain => {}
        }
        self.forget(&mut next);
        Ok(Some(next))
    }

    /// What `World::take` forgets after a step.
    fn forget(&mut self, state: &mut State) {
        let current = self.stores.get(state.store).part.controller_epoch;
        for number in &mut state.controllers {
            if self.controllers.get(*number).look.leads_in.0 > 0 {
                let deed = Deed::Deposed(current);
                *number = self
                    .control(deed, *number, |it, scope, _| {
                        it.forget_deposed(scope, current);
                        Ok(true)
                    })
                    .one;
            }
        }
        if !self.stores.get(state.store).part.writes.is_empty() {
            let leads_in = state.controllers.map(|number| self.controllers.get(number).look.leads_in);
            let with = (leads_in[0].0 << 16 | leads_in[1].0) as u32;
            let forget = |store: &mut Store, scope: &Scope| {
                store.forget_writes(scope, leads_in);
                Ok(true)
            };
            state.store = self.store(Deed::ForgetsWrites, state.store, with, forget).one;
        }
        let lowest = self.look(state).still_granted(self.scope);
        for (number, lowest) in state.agents.iter_mut().zip(lowest) {
            if self.agents.get(*number).look.asked.first().is_some_and(|asked| *asked < lowest) {
                let forget = |agent: &mut Agent, _: &Scope, _: &mut Tally| {
                    agent.forget_asked(lowest);
                    Ok(true)
                };
                *number = self.agent(Deed::ForgetsAsked(lowest), *number, forget).one;
            }
        }
    }

    fn does(&mut self, state: &mut State, step: Step, tally: &mut Tally) -> Did {
        match step {
            Step::Tick => self.tick(state, self.rates[usize::from(state.rates)], None),
            Step::TickAt(fast) => self.tick(state, self.scope.rates_of(fast), None),
            Step::TickButPaused(a) => self.tick(state, self.rates[usize::from(state.rates)], Some(a)),
            Step::Lead(c) | Step::Extend(c) | Step::Read(c) | Step::Crash(c) | Step::Shorten(c) => {
                self.with_store(state, c, step, tally).did
            }
            Step::Promote(c, _) | Step::PromoteOther(c, _) | Step::Outcome(c) => {
                let effect = self.with_store(state, c, step, tally);
                self.send(state, effect);
                effect.did
            }
            Step::Order(c) => {
                let effect = self.with_store(state, c, step, tally);
                if effect.order == 0 { effect.did } else { self.send(state, effect) }
            }
            Step::StoreApplies(_) | Step::Restore => {
                let effect = self.together(step, Place::Store(state.store), Place::Rest(state.rest));
                state.store = effect.one;
                count(effect, tally)
            }
            Step::Fence(c) | Step::DeviceAnswers(c) => {
                let place = Place::Control(c, state.controllers[c]);
                let effect = self.together(step, place, Place::Rest(state.rest));
                (state.controllers[c], state.rest) = (effect.one, effect.two as u16);
                count(effect, tally)
            }
            Step::SwitchOff => self.switch_off(state, step, tally),
            Step::ControlVotes(c, a, i) => self.control_votes(state, [c, a, i], tally),
            Step::PeerVotes(a, i) => self.peer_votes(state, a, i, tally),
            Step::ControlHearsRelease(c, a) => {
                let released = self.agents.get(state.agents[a]).look.released;
                let name = self.blank.agents[a].name.clone();
                let deed = Deed::ControlHearsRelease(a, released);
                let effect = self.control(deed, state.controllers[c], |it, scope, _| {
                    it.hears_release(scope, &name, released)
                });
                state.controllers[c] = effect.one;
                count(effect, tally)
            }
            Step::AgentSays(c, a) => {
                let look = &self.agents.get(state.agents[a]).look;
                let (highest, lease) = (look.highest, look.longest);
                let name = self.blank.agents[a].name.clone();
                let deed = Deed::ControlHearsWord(a, highest, lease);
                let effect =
                    self.control(deed, state.controllers[c], |it, _, _| it.hears_word(&name, highest, lease));
                state.controllers[c] = effect.one;
                count(effect, tally)
            }
            Step::PeerHearsRelease(a) => {
                let released = self.agents.get(state.agents[a]).look.released;
                let name = self.blank.agents[a].name.clone();
                let hear =
                    |it: &mut Agent, scope: &Scope, _: &mut Tally| it.hears_release(scope, &name, released);
                self.one_agent(state, 1 - a, Deed::AgentHearsRelease(released), tally, hear)
            }
            Step::Hear(a, i) => self.hear(state, a, i, tally),
            Step::Ask(a) => self.one_agent(state, a, Deed::Taken(step), tally, |it, scope, _| it.ask(scope)),
            Step::TakeOrder(a, i) => {
                self.one_agent(state, a, Deed::Taken(step), tally, |it, scope, tally| {
                    it.take_order(scope, i, tally)
                })
            }
            Step::TakeOrderAndCrash(a, i) => {
                let crash = |it: &mut Agent, scope: &Scope, _: &mut Tally| it.take_order_and_crash(scope, i);
                self.one_agent(state, a, Deed::Taken(step), tally, crash)
            }
            Step::AskAndCrash(a, i) => {
                self.one_agent(state, a, Deed::Taken(step), tally, |it, scope, _| it.ask_and_crash(scope, i))
            }
            Step::RefuseOrder(a, i) => {
                self.one_agent(state, a, Deed::Taken(step), tally, |it, scope, _| it.refuse_order(scope, i))
            }
            Step::CloseOwn(a) => {
                self.one_agent(state, a, Deed::Taken(step), tally, |it, scope, _| it.close_own(scope))
            }
            Step::Restart(a) => self
                .one_agent(state, a, Deed::Taken(step), tally, |it, scope, tally| it.restart(scope, tally)),
            Step::Reboot(a) => {
                self.one_agent(state, a, Deed::Taken(step), tally, |it, scope, _| it.reboot(scope))
            }
            Step::LoseMemory(a) => {
                let rest = Rest { wiped: true, ..(*self.rests.get(u32::from(state.rest)).part).clone() };
                state.rest = self.rest_number(rest);
                self.one_agent(state, a, Deed::Taken(step), tally, |it, scope, _| it.lose_memory(scope))
            }
            Step::Learn(a) => {
                let store = &self.stores.get(state.store).part;
                let covers = store.covers;
                let stored = store.stored.as_ref().map(|role| role.epoch).unwrap_or_default();
                let learn =
                    |it: &mut Agent, scope: &Scope, tally: &mut Tally| it.learn(scope, stored, covers, tally);
                self.one_agent(state, a, Deed::Learns(stored, covers), tally, learn)
            }
        }
    }

    fn tick(&mut self, state: &mut State, rates: [u32; CLOCKS], paused: Option<usize>) -> Did {
        for a in (0..2).filter(|a| paused != Some(*a)) {
            let by = UNIT * rates[a];
            let deed = Deed::TickAgent(rates[a]);
            let tick = |it: &mut Agent, _: &Scope, _: &mut Tally| {
                it.tick(by);
                Ok(true)
            };
            state.agents[a] = self.agent(deed, state.agents[a], tick).one;
        }
        for c in 0..2 {
            let by = UNIT * rates[2 + c];
            let deed = Deed::TickControl(rates[2 + c]);
            let tick = |it: &mut Controller, _: &Scope, _: &mut Tally| {
                it.tick(by);
                Ok(true)
            };
            state.controllers[c] = self.control(deed, state.controllers[c], tick).one;
        }
        let by = UNIT * rates[4];
        state.store = self
            .store(Deed::TickStore(rates[4]), state.store, 0, |store, _| {
                store.tick(by);
                Ok(true)
            })
            .one;
        Did::Something
    }

    fn one_agent(
        &mut self,
        state: &mut State,
        a: usize,
        deed: Deed,
        tally: &mut Tally,
        act: impl FnOnce(&mut Agent, &Scope, &mut Tally) -> Taken,
    ) -> Did {
        let effect = self.agent(deed, state.agents[a], act);
        state.agents[a] = effect.one;
        count(effect, tally)
    }

    fn with_store(&mut self, state: &mut State, c: usize, step: Step, tally: &mut Tally) -> Effect {
        let effect = self.together(step, Place::Control(c, state.controllers[c]), Place::Store(state.store));
        (state.controllers[c], state.store) = (effect.one, effect.two);
        count(effect, tally);
        effect
    }

    /// The order of `effect` is on its way; that changes nothing if it was already.
    fn send(&mut self, state: &mut State, effect: Effect) -> Did {
        let Some(number) = effect.order.checked_sub(1) else { return Did::Nothing };
        let (a, ordered) = self.orders[number as usize].clone();
        let sent = self
            .agent(Deed::Ordered(number), state.agents[a], |it, scope, _| Ok(it.put_order(scope, ordered)));
        state.agents[a] = sent.one;
        sent.did
    }

    fn switch_off(&mut self, state: &mut State, step: Step, tally: &mut Tally) -> Did {
        let holder =
            self.rests.get(u32::from(state.rest)).part.call.as_ref().map(|call| call.role.holder.clone());
        let found = (0..2).find(|a| Some(&self.blank.agents[*a].name) == holder.as_ref());
        let Some(a) = found else { return Did::Nothing };
        let effect = self.together(step, Place::Agent(a, state.agents[a]), Place::Rest(state.rest));
        (state.agents[a], state.rest) = (effect.one, effect.two as u16);
        count(effect, tally)
    }

    fn control_votes(&mut self, state: &mut State, [c, a, i]: [usize; 3], tally: &mut Tally) -> Did {
        let look = &self.agents.get(state.agents[a]).look;
        let (epoch, lease) = (look.asked[i], look.leases[i]);
        let role = self.blank.agents[a].role(epoch);
        let mut again = false;
        let mut effect =
            self.control(Deed::ControlVotes(a, epoch, lease), state.controllers[c], |it, scope, tally| {
                let vote = it.votes(scope, &role, lease, tally);
                again = vote == Some(false);
                Ok(vote.is_some())
            });
        if again {
            effect.did = Did::YesAgain;
            self.memo.keep(Deed::ControlVotes(a, epoch, lease).code(), state.controllers[c], 0, effect);
        }
        state.controllers[c] = effect.one;
        self.voted(state, [a, i], effect, OtherVoter::Control, tally)
    }

    fn peer_votes(&mut self, state: &mut State, a: usize, i: usize, tally: &mut Tally) -> Did {
        let look = &self.agents.get(state.agents[a]).look;
        let (epoch, lease) = (look.asked[i], look.leases[i]);
        let role = self.blank.agents[a].role(epoch);
        let mut again = false;
        let peer = state.agents[1 - a];
        let mut effect = self.agent(Deed::AgentVotes(epoch, lease), peer, |it, scope, _| {
            let vote = it.votes(scope, &role, lease)?;
            again = vote == Some(false);
            Ok(vote.is_some())
        });
        if again {
            effect.did = Did::YesAgain;
            self.memo.keep(Deed::AgentVotes(epoch, lease).code(), peer, 0, effect);
        }
        state.agents[1 - a] = effect.one;
        self.voted(state, [a, i], effect, OtherVoter::Peer, tally)
    }

    fn voted(
        &mut self,
        state: &mut State,
        [a, i]: [usize; 2],
        effect: Effect,
        voter: OtherVoter,
        tally: &mut Tally,
    ) -> Did {
        let did = count(effect, tally);
        if !matches!(did, Did::Something | Did::YesAgain) {
            return did;
        }
        let answered = self.agent(Deed::Answered(i, voter), state.agents[a], |it, scope, _| {
            let asked = it.asked[i].clone();
            Ok(it.answer(scope, &asked, voter))
        });
        state.agents[a] = answered.one;
        if did == Did::Something { did } else { answered.did }
    }

    fn hear(&mut self, state: &mut State, a: usize, i: usize, tally: &mut Tally) -> Did {
        let acted = self.agents.get(state.agents[a]).look.acts.is_some();
        let step = Deed::Taken(Step::Hear(a, i));
        let did = self.one_agent(state, a, step, tally, |it, scope, _| it.hear(scope, i));
        self.look(state).begins_to_act(a, acted, tally);
        did
    }
}

/// Counts what was reached, and says what was done.
fn count(effect: Effect, tally: &mut Tally) -> Did {
    tally.count(effect.reached);
    effect.did
}
