//! Pairs that change roles too often: what is held, what never is, and what outlives a control server.

use understudy_decide::control::{Ask, OperationState, Reply};
use understudy_model::*;

use crate::hosts::{holder, settled, wait};
use crate::wide::*;
use crate::{ms, start, stop, switchover};

/// The primary ends, and everything comes to rest.
fn crash(world: &mut Wide) {
    let primary = world.primaries("p").pop().expect("a primary");
    world.die(&primary, false);
    wait(world, ms(2_000));
}

fn held(world: &Wide) -> bool {
    world.view().pairs[0].held_because.is_some()
}

/// Three crashes within a minute: the third change is one too many to go on by itself.
fn flapping() -> Wide {
    let mut world = settled(small_cluster());
    for round in 1..=3 {
        assert!(!held(&world), "before crash {round}");
        crash(&mut world);
        assert_eq!(holder(&world).epoch, Epoch(1 + round), "{}", world.told());
    }
    assert!(held(&world), "{}", world.told());
    world
}

fn unready(world: &mut Wide, name: &str) {
    let tree = world.tree(name).unwrap();
    tree.ready = Readiness::Unavailable("no line".into());
    tree.says.push_back(FromApplication::Readiness(tree.ready.clone()));
}

#[test]
fn too_many_changes_are_held_loudly() {
    let world = flapping();
    let told = world.events.iter().rfind(|event| event.kind == EventKind::FlapHold).unwrap();
    assert_eq!((told.severity, told.because.rule), (Severity::Critical, Rule::FlapHold));
    let view = world.view();
    assert!(view.warnings.iter().any(|warning| warning.contains("scsctl flap acknowledge p")), "{view:?}");
    let why = format!("{:?}", view.pairs[0].considered);
    assert!(why.contains("3 automatic changes of roles within 60 s"), "{why}");
}

#[test]
fn the_first_confirmed_end_after_a_hold_fails_over_at_once_and_the_next_is_restarted_first() {
    let mut world = flapping();
    assert_eq!(world.primaries("p"), ["two"]);
    world.die("two", false);
    world.deliver_all();
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(5), app("one")), "at once: {}", world.told());
    wait(&mut world, ms(2_000));
    crash(&mut world);
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(6), app("one")), "restarted first: {}", world.told());
    assert!(held(&world));
}

#[test]
fn damping_never_leaves_a_pair_without_a_primary_for_good() {
    let mut world = flapping();
    crash(&mut world);
    assert_eq!(world.primaries("p"), ["one"]);
    world.sites[0].cannot_start = true;
    world.die("one", false);
    wait(&mut world, ms(20_000));
    assert_eq!(world.primaries("p"), ["two"], "it does not come back: {}", world.told());
}

#[test]
fn readiness_and_silence_are_held_until_somebody_acknowledges() {
    let mut world = flapping();
    unready(&mut world, "two");
    wait(&mut world, ms(2_000));
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
    world.ask(Ask::AcknowledgeFlapping { name: "p".into() });
    wait(&mut world, ms(2_000));
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());

    let mut world = flapping();
    world.silence(1);
    wait(&mut world, ms(10_000));
    assert_eq!(holder(&world).epoch, Epoch(4), "{}", world.told());
    world.ask(Ask::AcknowledgeFlapping { name: "two".into() });
    wait(&mut world, ms(100));
    assert_eq!(holder(&world).epoch, Epoch(5), "{}", world.told());
}

#[test]
fn a_quiet_pair_goes_on_by_itself() {
    let mut world = flapping();
    unready(&mut world, "two");
    wait(&mut world, ms(50_000));
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
    wait(&mut world, ms(10_000));
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
}

#[test]
fn planned_changes_do_not_count_and_are_never_held() {
    let mut world = settled(small_cluster());
    for _ in 0..8 {
        world.ask(switchover("p"));
        wait(&mut world, ms(1_000));
    }
    assert!(!held(&world), "{}", world.told());
    let mut world = flapping();
    world.ask(switchover("p"));
    wait(&mut world, ms(1_000));
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
}

#[test]
fn a_change_that_an_operators_restart_or_stop_caused_is_not_counted_and_is_told_as_its_step() {
    let mut world = settled(small_cluster());
    for _ in 0..4 {
        let primary = world.primaries("p").pop().unwrap();
        world.ask(Ask::Restart { name: primary.clone() });
        wait(&mut world, ms(2_000));
        assert_ne!(world.primaries("p"), [primary.as_str()], "{}", world.told());
        let operation = world.view().operations.pop().unwrap();
        assert_eq!(operation.state, OperationState::Done, "{}", world.told());
        let steps: Vec<&str> = operation.steps.iter().map(|(_, text)| text.as_str()).collect();
        let said = |text: &str| steps.iter().any(|step| step.contains(text));
        assert!(said(&format!("{primary} is the primary of pair p: its role goes to ")), "{steps:?}");
        assert!(said("confirmed that it is primary"), "{steps:?}");
    }
    for _ in 0..4 {
        let primary = world.primaries("p").pop().unwrap();
        world.ask(stop(&primary));
        wait(&mut world, ms(2_000));
        world.ask(start(&primary));
        wait(&mut world, ms(2_000));
    }
    assert_eq!(holder(&world).epoch, Epoch(9), "{}", world.told());
    assert!(!held(&world), "{}", world.told());
    assert!(world.events.iter().all(|event| event.kind != EventKind::FlapHold), "{}", world.told());
}

#[test]
fn a_crash_after_an_operators_restart_is_counted() {
    let mut world = settled(small_cluster());
    world.ask(Ask::Restart { name: "one".into() });
    wait(&mut world, ms(2_000));
    for _ in 0..3 {
        crash(&mut world);
    }
    assert!(held(&world), "{}", world.told());
}

#[test]
fn a_hold_outlives_the_control_server_and_a_failover_that_was_not_confirmed_does_not_count() {
    let mut world = flapping();
    world.kill_control();
    world.start_control();
    wait(&mut world, ms(1_000));
    assert!(held(&world), "{}", world.told());
    unready(&mut world, "two");
    wait(&mut world, ms(2_000));
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());

    let mut world = settled(small_cluster());
    for _ in 0..4 {
        // Each control server dies after it has stored the new epoch and before it hears of the new primary.
        let primary = world.primaries("p").pop().unwrap();
        let (from, to) = if primary == "one" { (0, 1) } else { (1, 0) };
        let before = holder(&world);
        world.die(&primary, false);
        while holder(&world) == before {
            let _ = world.notice(from) | world.deliver_report(from) | world.deliver_report(to);
        }
        world.kill_control();
        world.start_control();
        wait(&mut world, ms(2_000));
    }
    assert!(!held(&world), "{}", world.told());
    let before = holder(&world);
    crash(&mut world);
    assert_ne!(holder(&world).holder, before.holder, "the real one is not blocked: {}", world.told());
}

#[test]
fn what_was_remembered_on_another_clock_is_moved_to_this_one_without_counting_twice() {
    let flap =
        understudy_decide::control::Flap { changes: vec![Moment(100), Moment(500), Moment(700)], held: None };
    let moved = flap.moved_to(Moment(10_000));
    assert_eq!(moved.changes, [Moment(9_400), Moment(9_800), Moment(10_000)]);
}

#[test]
fn an_acknowledgement_that_cannot_be_stored_changes_nothing() {
    let mut world = flapping();
    world.store = Disk::Full;
    world.ask(Ask::AcknowledgeFlapping { name: "p".into() });
    assert!(matches!(world.replies.last(), Some(Reply::Refused { code, .. }) if code == "not-durable"));
    assert!(held(&world));
    world.store = Disk::Works;
    world.ask(Ask::AcknowledgeFlapping { name: "p".into() });
    assert!(!held(&world) && matches!(world.replies.last(), Some(Reply::Done { .. })));
}
