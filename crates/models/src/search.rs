//! The search: breadth first, so that the first objection found has the fewest steps.
//!
//! Visited states are kept as 64-bit fingerprints. Two different states with one fingerprint would hide what is behind the
//! second: with 10 million states the chance is below one in three hundred thousand, with 300 million one in four hundred.
//! How a state was reached is kept only if a rule is broken; if a sound run objects, it is run again, which gives the same.

use std::ops::ControlFlow;

use crate::collapse::{Collapse, State};
use crate::settle::settles;
use crate::steps::{Step, steps};
use crate::tally::Tally;
use crate::visited::Visited;
use crate::world::{CLOCKS, Scope, World};

/// What became of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Distinct states, mirror images counted once.
    pub states: usize,
    /// Steps that were taken, from all states together.
    pub transitions: u64,
    /// The longest shortest way.
    pub depth: usize,
    /// The most ticks that a state without faults took to settle, if that was asked.
    pub slowest: usize,
    /// From so many states another member became primary than the one that acted, which not all voters knew.
    pub replaced: usize,
    /// What was reached.
    pub tally: Tally,
    /// What did not hold.
    pub objection: Option<Objection>,
    /// All states within the bounds were visited.
    pub exhausted: bool,
}

/// An invariant that did not hold.
#[derive(Debug, Clone)]
pub struct Objection {
    /// Which, and what was seen.
    pub what: String,
    /// How it came to that, one sentence a step.
    pub trace: Vec<String>,
}

/// How far a run has come, after each step away from the beginning.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Steps from the beginning.
    pub depth: usize,
    /// States so far.
    pub states: usize,
    /// Steps taken so far.
    pub transitions: u64,
    /// States that were found with the last step, and have to be looked at.
    pub waiting: usize,
    /// Distinct agents, control servers, stores; and outcomes that are remembered.
    pub parts: [usize; 4],
}

/// Every combination of the rates, clock by clock.
fn combinations(rates: &[u32], uneven: usize) -> Vec<[u32; CLOCKS]> {
    let mut all = vec![[0; CLOCKS]];
    for clock in 0..CLOCKS {
        all = all
            .into_iter()
            .flat_map(|so_far| {
                let rates = if clock < uneven { rates } else { &rates[..1] };
                rates.iter().map(move |rate| {
                    let mut next = so_far;
                    next[clock] = *rate;
                    next
                })
            })
            .collect();
    }
    all
}

/// A layer of states that are equally many steps away, and for each the place of its parent in the layer before.
#[derive(Default)]
struct Layer {
    states: Vec<State>,
    parents: Vec<u32>,
}

/// Where an invariant does not hold: in the last layer, from this state, by this step or without one.
struct Found {
    what: String,
    place: usize,
    step: Option<Step>,
}

/// A state that was reached, and may be new.
#[derive(Clone, Copy)]
struct Reached {
    fingerprint: u64,
    state: State,
    parent: u32,
}

/// So many states are looked up at a time.
const AT_ONCE: usize = 512;

struct Search<'s> {
    scope: &'s Scope,
    collapse: Collapse<'s>,
    visited: Visited,
    /// Not looked up yet.
    reached: Vec<Reached>,
    outcome: Outcome,
    steps: Vec<Step>,
    /// The layers before the present one, if ways are kept.
    behind: Option<Vec<Layer>>,
}

/// Explores everything within `scope`, or until an invariant does not hold, or `most` states were seen.
pub fn explore(scope: &Scope, most: usize) -> Outcome {
    explore_and_tell(scope, most, |_| {})
}

/// As [`explore`], and tells after each layer how far it has come.
pub fn explore_and_tell(scope: &Scope, most: usize, mut tell: impl FnMut(Progress)) -> Outcome {
    let outcome = Search::new(scope, scope.wrong.is_some()).run(most, &mut tell);
    match &outcome.objection {
        Some(objection) if objection.trace.is_empty() => Search::new(scope, true).run(most, &mut tell),
        Some(_) | None => outcome,
    }
}

impl<'s> Search<'s> {
    fn new(scope: &'s Scope, keeps_ways: bool) -> Self {
        let outcome = Outcome {
            states: 0,
            transitions: 0,
            depth: 0,
            slowest: 0,
            replaced: 0,
            tally: Tally::default(),
            objection: None,
            exhausted: false,
        };
        Self {
            scope,
            collapse: Collapse::new(scope),
            visited: Visited::default(),
            reached: Vec::new(),
            outcome,
            steps: Vec::new(),
            behind: keeps_ways.then(Vec::new),
        }
    }

    fn run(mut self, most: usize, tell: &mut impl FnMut(Progress)) -> Outcome {
        let mut layer = self.beginning();
        loop {
            let next = match self.step_on(&layer) {
                Ok(next) => next,
                Err(found) => return self.objects(layer, found),
            };
            self.outcome.states = self.visited.len();
            self.outcome.exhausted = next.states.is_empty();
            tell(Progress {
                depth: self.outcome.depth,
                states: self.outcome.states,
                transitions: self.outcome.transitions,
                waiting: next.states.len(),
                parts: self.collapse.sizes(),
            });
            if self.outcome.exhausted || self.outcome.states >= most {
                return self.outcome;
            }
            self.outcome.depth += 1;
            let former = std::mem::replace(&mut layer, next);
            if let Some(behind) = &mut self.behind {
                behind.push(former);
            }
        }
    }

    fn beginning(&mut self) -> Layer {
        let mut layer = Layer::default();
        let combinations = match self.scope.fixed {
            Some(rates) => vec![rates],
            None if self.scope.varies => vec![self.scope.rates_of(0)],
            None => combinations(self.scope.rates, self.scope.uneven_clocks),
        };
        for rates in combinations {
            let state = self.collapse.state(&World::new(self.scope, rates));
            if self.visited.insert(self.collapse.fingerprint(&state)) {
                layer.states.push(state);
            }
        }
        layer
    }

    /// Takes every step from every state of a layer.
    fn step_on(&mut self, layer: &Layer) -> Result<Layer, Found> {
        let mut next = Layer::default();
        for (place, state) in layer.states.iter().enumerate() {
            if self.scope.live {
                let settled = settles(&self.collapse.world(state), self.scope);
                let settled = settled.map_err(|what| Found { what, place, step: None })?;
                self.outcome.slowest = self.outcome.slowest.max(settled.ticks);
                self.outcome.replaced += usize::from(settled.replaced);
            }
            let mut all = std::mem::take(&mut self.steps);
            steps(&self.collapse.look(state), self.scope, &mut all);
            let stopped = all.iter().try_for_each(|step| self.take(state, place, *step, &mut next));
            self.steps = all;
            if let ControlFlow::Break(found) = stopped {
                self.keep_new(&mut next);
                return Err(found);
            }
        }
        self.keep_new(&mut next);
        Ok(next)
    }

    fn take(&mut self, state: &State, place: usize, step: Step, next: &mut Layer) -> ControlFlow<Found> {
        let taken = self.collapse.take(state, step, &mut self.outcome.tally);
        let (found, what) = match taken {
            Ok(None) => return ControlFlow::Continue(()),
            Ok(Some(found)) => (Some(found), self.collapse.look(&found).objection()),
            Err(what) => (None, Some(what)),
        };
        self.outcome.transitions += 1;
        if let Some(what) = what {
            return ControlFlow::Break(Found { what, place, step: Some(step) });
        }
        if let Some(state) = found {
            let fingerprint = self.collapse.fingerprint(&state);
            let parent = u32::try_from(place).expect("a layer of fewer states");
            self.reached.push(Reached { fingerprint, state, parent });
            if self.reached.len() == AT_ONCE {
                self.keep_new(next);
            }
        }
        ControlFlow::Continue(())
    }

    /// Of what was reached, keeps what is new.
    fn keep_new(&mut self, next: &mut Layer) {
        // Memory is slow when it is jumped about in, but many places can be on their way at once.
        self.visited.fetch(self.reached.iter().map(|reached| reached.fingerprint));
        for reached in self.reached.drain(..) {
            if self.visited.insert(reached.fingerprint) {
                next.states.push(reached.state);
                if self.behind.is_some() {
                    next.parents.push(reached.parent);
                }
            }
        }
    }

    fn objects(mut self, layer: Layer, found: Found) -> Outcome {
        self.outcome.states = self.visited.len();
        self.outcome.depth += usize::from(found.step.is_some());
        let trace = match self.behind.take() {
            Some(mut behind) => {
                behind.push(layer);
                self.way(&behind, &found)
            }
            None => Vec::new(),
        };
        self.outcome.objection = Some(Objection { what: found.what, trace });
        self.outcome
    }

    /// How it came to what was found, walked again from the beginning.
    fn way(&mut self, layers: &[Layer], found: &Found) -> Vec<String> {
        let mut way = Vec::new();
        let mut place = found.place;
        for layer in layers.iter().rev() {
            way.push(layer.states[place]);
            place = layer.parents.get(place).map_or(0, |parent| *parent as usize);
        }
        way.reverse();
        let rates = self.collapse.world(&way[0]).rates;
        let mut told = vec![format!("clocks of A, B, C1, C2 and the store advance by {rates:?} a tick")];
        let mut ignored = Tally::default();
        for pair in way.windows(2) {
            let mut all = Vec::new();
            steps(&self.collapse.look(&pair[0]), self.scope, &mut all);
            let leads =
                |step: &&Step| self.collapse.take(&pair[0], **step, &mut ignored) == Ok(Some(pair[1]));
            let step =
                all.iter().find(leads).expect("the state was found from its parent by one of its steps");
            told.push(step.says(&self.collapse.world(&pair[0])));
        }
        if let (Some(step), Some(last)) = (found.step, way.last()) {
            told.push(step.says(&self.collapse.world(last)));
        }
        told
    }
}
