//! One run: a storm of faults, then calm, in which all must heal.
//!
//! Refuses to read a clock: how long it takes is measured by whoever asked. The law: a run is its seed, its options, and the
//! faults that are left out of its plan.

use crate::climate::{Options, SECOND};
use crate::fault::{Planned, plan};
use crate::fingerprint::Fingerprint;
use crate::invariants::Violation;
use crate::sometimes::Sometimes;
use crate::world::{Meter, World};

/// What is wanted of a run.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Told line by line.
    pub story: bool,
    /// One number for everything.
    pub fingerprint: bool,
    /// Faults that are left out, by their numbers in the plan.
    pub without: Vec<usize>,
    /// A clock, to measure what the machines themselves cost.
    pub meter: Option<fn() -> u64>,
}

/// What became of it.
#[derive(Debug)]
pub struct Outcome {
    /// Of it.
    pub seed: u64,
    /// Events that happened.
    pub events: u64,
    /// Steps of the machines.
    pub steps: u64,
    /// True time that passed, in nanoseconds.
    pub time: u64,
    /// How many faults were planned.
    pub faults: usize,
    /// What must not be, if it was.
    pub violation: Option<Violation>,
    /// What was reached.
    pub sometimes: Sometimes,
    /// From the end of the faults until all was well; absent if that did not come.
    pub healed: Option<u64>,
    /// What the slowest pair waited for meanwhile: rules, and how often each was seen, once a second.
    pub waited: Vec<(&'static str, u32)>,
    /// Nanoseconds that the machines themselves took, if that was wanted.
    pub spent: u64,
    /// If it was wanted.
    pub story: Vec<String>,
    /// If it was wanted.
    pub fingerprint: Option<u64>,
}

/// How long all must be well before a run ends.
const TAIL: u64 = 4 * SECOND;

/// Runs one seed.
pub fn run(seed: u64, options: Options, wanted: &Wanted) -> Outcome {
    let left_out = |(number, _): &(usize, Planned)| !wanted.without.contains(number);
    let mut world = World::new(seed, options, |climate, cast| {
        let whole = plan(seed, climate, cast);
        whole.into_iter().enumerate().filter(left_out).map(|(_, planned)| planned).collect()
    });
    if wanted.story {
        world.story.listen();
    }
    if wanted.fingerprint {
        world.fingerprint = Some(Fingerprint::default());
    }
    world.meter = wanted.meter.map(|clock| Meter { clock, spent: 0 });
    let stormy = world.climate.stormy;
    while world.laws.broken().is_none() && world.step(stormy) {}
    if world.laws.broken().is_none() {
        world.now = stormy + 1;
        world.begin_calm();
    }
    let due = world.laws.l1.due() + SECOND;
    while world.laws.broken().is_none() && !world.laws.l1.is_well_for(world.now, TAIL) && world.step(due) {}
    if world.laws.broken().is_some() {
        world.tell_all();
    }
    let mut sometimes = world.sometimes.clone();
    sometimes.spared_by_peer += world.laws.l2.spared;
    sometimes.judged_l2 += world.laws.l2.judged;
    sometimes.judged_l3 += world.laws.l3.judged;
    Outcome {
        seed,
        events: world.events,
        steps: world.agents.iter().map(|site| site.daemon.steps).sum::<u64>() + world.control.daemon.steps,
        time: world.now,
        faults: world.plan.len(),
        violation: world.laws.broken().cloned(),
        sometimes,
        spent: world.meter.map_or(0, |meter| meter.spent),
        healed: world.laws.l1.slowest(),
        waited: world.laws.l1.waits_of_slowest(),
        fingerprint: world.fingerprint.as_ref().map(Fingerprint::value),
        story: world.story.lines().to_vec(),
    }
}

/// The shortest plan that still breaks the same law: faults are left out as long as that is so, many at a time first.
pub fn shrink(seed: u64, options: Options, law: &str) -> Vec<usize> {
    let fails = |without: &[usize]| {
        let wanted = Wanted { without: without.to_vec(), ..Wanted::default() };
        run(seed, options, &wanted).violation.is_some_and(|violation| violation.law == law)
    };
    let count = run(seed, options, &Wanted::default()).faults;
    let mut without: Vec<usize> = Vec::new();
    let mut size = count.div_ceil(2).max(1);
    loop {
        let mut begin = 0;
        while begin < count {
            let mut more = without.clone();
            more.extend((begin..count.min(begin + size)).filter(|number| !without.contains(number)));
            if more.len() > without.len() && fails(&more) {
                without = more;
            }
            begin += size;
        }
        if size == 1 {
            without.sort_unstable();
            return without;
        }
        size = size.div_ceil(2);
    }
}
