//! Starts that wait at the gate until a guard has confirmed that it guards them.

use std::time::Duration;

use understudy_guard::guards::{Gate, GateError, GuardEvent};
use understudy_guard::now;
use understudy_model::Moment;

use crate::bench::{self, AWAY, Bench, Prey, SOON, start_of, until};

/// What is told of a start that is not made yet.
fn expect(bench: &Bench, prey: &Prey, kill_at: Moment) -> Gate {
    bench.guards.guard(&prey.application, prey.start, kill_at, || Ok(None)).unwrap();
    bench.guards.gate()
}

#[test]
fn a_start_passes_when_its_guard_has_confirmed_it_and_is_killed_at_the_last_moment_that_was_told() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let gate = expect(&bench, &prey, now() + Duration::from_secs(3_600));
    let kill_at = now() + AWAY;
    bench.guards.guard(&prey.application, prey.start, kill_at, || panic!("it is known")).unwrap();
    gate.arm(prey.start, prey.grip()).unwrap();
    gate.pass(&[prey.start]).unwrap();
    assert!(bench.guards.is_armed(prey.start) && prey.lives());
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    assert!(now() >= kill_at);
    prey.was_killed();
    assert_eq!(gate.pass(&[prey.start]), Err(GateError::NotWanted));
}

#[test]
fn nobody_passes_while_the_guard_is_stopped_and_whoever_waits_passes_with_the_next_one() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    bench.guards.need();
    let first = bench.up_pid();
    bench.settle();
    bench::stop(first);
    let gate = expect(&bench, &prey, now() + SOON);
    gate.arm(prey.start, prey.grip()).unwrap();
    assert_eq!(gate.pass(&[prey.start]), Err(GateError::Over), "its time is over first");
    gate.release(prey.start);
    let gate = expect(&bench, &prey, now() + Duration::from_secs(3_600));
    gate.arm(prey.start, prey.grip()).unwrap();
    gate.pass(&[prey.start]).unwrap();
    assert_ne!(bench.up_pid(), first, "it hung, and was replaced");
    assert!(prey.lives());
}

#[test]
fn what_is_not_expected_or_not_wanted_any_more_does_not_pass() {
    let bench = Bench::new();
    let (prey, other) = (Prey::start(1, "sleep 1000"), Prey::start(2, "sleep 1000"));
    let gate = bench.guards.gate();
    assert_eq!(gate.arm(prey.start, prey.grip()), Err(GateError::NotWanted), "nobody has said when");
    assert_eq!(gate.pass(&[prey.start]), Err(GateError::NotWanted));
    bench.guards.need();
    bench::stop(bench.up_pid());
    let gate = expect(&bench, &prey, now() + Duration::from_secs(3_600));
    gate.arm(prey.start, prey.grip()).unwrap();
    let waits = std::thread::spawn({
        let (gate, start) = (gate.clone(), prey.start);
        move || gate.pass(&[start])
    });
    bench.guards.release(prey.start);
    assert_eq!(waits.join().unwrap(), Err(GateError::NotWanted));
    // One alone is not enough where two are asked for.
    expect(&bench, &prey, now() + Duration::from_secs(3_600));
    gate.arm(prey.start, prey.grip()).unwrap();
    assert_eq!(gate.pass(&[prey.start, other.start]), Err(GateError::NotWanted));
}

#[test]
fn what_was_made_before_anybody_said_that_it_is_to_be_guarded_is_guarded_all_the_same() {
    let bench = Bench::new();
    let prey = Prey::start(1, "sleep 1000");
    let asked = std::cell::Cell::new(0);
    let grip = || {
        asked.set(asked.get() + 1);
        // Made between the two looks.
        Ok((asked.get() > 1).then(|| prey.grip()))
    };
    bench.guards.guard(&prey.application, prey.start, now() + Duration::from_secs(3_600), grip).unwrap();
    until("it is armed", || bench.guards.is_armed(prey.start));
}

#[test]
fn an_agent_that_ends_keeps_nobody_waiting() {
    let bench = Bench::new();
    let prey = Prey::start(1, "sleep 1000");
    bench.guards.need();
    bench::stop(bench.up_pid());
    let gate = expect(&bench, &prey, now() + Duration::from_secs(3_600));
    gate.arm(prey.start, prey.grip()).unwrap();
    let waits = std::thread::spawn({
        let (gate, start) = (gate.clone(), prey.start);
        move || gate.pass(&[start])
    });
    let Bench { guards, events, .. } = bench;
    drop(guards);
    assert_eq!(waits.join().unwrap(), Err(GateError::Ended));
    assert!(!events.try_iter().any(|event| matches!(event, GuardEvent::Fired { .. })));
}
