//! The search: breadth first, so that the first objection found has the fewest steps.
//!
//! Visited states are kept as 64-bit fingerprints, each with that of its parent, so that a way to a state can be told. Two
//! different states with one fingerprint would hide what is behind the second: with 10 million states the chance is below
//! one in three hundred thousand.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::fingerprint::AsItIs;
use crate::settle::settles;
use crate::steps::Step;
use crate::tally::Tally;
use crate::world::{CLOCKS, NOW, Scope, UNIT, World};

type Visited = HashMap<u64, u64, BuildHasherDefault<AsItIs>>;

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

fn objection(world: &World) -> Option<String> {
    let binds_for_nothing = world.agents.iter().find(|agent| {
        let own = agent.voter.promised().filter(|role| role.holder == agent.name);
        own.is_some_and(|role| role.epoch <= agent.voter.kept().closed)
            && agent.voter.bound_until(NOW).is_some()
    });
    if let Some(agent) = binds_for_nothing {
        return Some(format!(
            "L2: the agent of {} is bound by a promise that its member gave up",
            agent.name
        ));
    }
    let (a, b) = world.two_primaries()?;
    let units = |left: understudy_model::Moment| left.0 as f64 / UNIT.as_nanos() as f64;
    Some(format!("S1: both pages say primary, A's for {:.1} more, B's for {:.1}", units(a), units(b)))
}

/// Explores everything within `scope`, or until an invariant does not hold, or `most` states were seen.
pub fn explore(scope: &Scope, most: usize) -> Outcome {
    let mut visited = Visited::default();
    let mut tally = Tally::default();
    let (mut transitions, mut depth) = (0, 0);
    let (mut slowest, mut replaced) = (0, 0);
    let mut layer = Vec::new();
    let combinations = match scope.fixed {
        Some(rates) => vec![rates],
        None => combinations(scope.rates, scope.uneven_clocks),
    };
    for rates in combinations {
        let world = World::new(scope, rates);
        let fingerprint = world.fingerprint(scope);
        if visited.insert(fingerprint, 0).is_none() {
            layer.push((fingerprint, world));
        }
    }
    let mut steps = Vec::new();
    loop {
        let mut next_layer = Vec::new();
        for (parent, world) in layer.drain(..) {
            if scope.live {
                match settles(&world, scope) {
                    Ok(settled) => {
                        slowest = slowest.max(settled.ticks);
                        replaced += usize::from(settled.replaced);
                    }
                    Err(what) => {
                        let trace = tell(scope, &visited, parent, &world);
                        let objection = Some(Objection { what, trace });
                        let states = visited.len();
                        return Outcome {
                            states,
                            transitions,
                            depth,
                            slowest,
                            replaced,
                            tally,
                            objection,
                            exhausted: false,
                        };
                    }
                }
            }
            world.steps(scope, &mut steps);
            for &step in &steps {
                let mut next = world.clone();
                let failed = match next.take(scope, step, &mut tally) {
                    Ok(false) => continue,
                    Ok(true) => objection(&next),
                    Err(what) => Some(what),
                };
                transitions += 1;
                if let Some(what) = failed {
                    let mut trace = tell(scope, &visited, parent, &world);
                    trace.push(step.says(&world));
                    let objection = Some(Objection { what, trace });
                    let states = visited.len();
                    return Outcome {
                        states,
                        transitions,
                        depth: depth + 1,
                        slowest,
                        replaced,
                        tally,
                        objection,
                        exhausted: false,
                    };
                }
                let fingerprint = next.fingerprint(scope);
                if let std::collections::hash_map::Entry::Vacant(vacant) = visited.entry(fingerprint) {
                    vacant.insert(parent);
                    next_layer.push((fingerprint, next));
                }
            }
        }
        let exhausted = next_layer.is_empty();
        if exhausted || visited.len() >= most {
            return Outcome {
                states: visited.len(),
                transitions,
                depth,
                slowest,
                replaced,
                tally,
                objection: None,
                exhausted,
            };
        }
        depth += 1;
        layer = next_layer;
    }
}

/// How `last` was reached, walked again from the beginning along the fingerprints.
fn tell(scope: &Scope, visited: &Visited, last: u64, world: &World) -> Vec<String> {
    let mut way = vec![last];
    while let Some(parent) = way.last().and_then(|it| visited.get(it)).filter(|parent| **parent != 0) {
        way.push(*parent);
    }
    way.reverse();
    let mut told = vec![format!("clocks of A, B, C1, C2 and the store advance by {:?} a tick", world.rates)];
    let mut at = World::new(scope, world.rates);
    let mut steps = Vec::<Step>::new();
    let mut ignored = Tally::default();
    for fingerprint in &way[1..] {
        at.steps(scope, &mut steps);
        let next = steps.iter().find_map(|&step| {
            let mut next = at.clone();
            let taken = next.take(scope, step, &mut ignored) == Ok(true);
            (taken && next.fingerprint(scope) == *fingerprint).then(|| (step.says(&at), next))
        });
        let Some((sentence, next)) = next else {
            told.push("(the way cannot be told further)".to_owned());
            return told;
        };
        told.push(sentence);
        at = next;
    }
    told
}
