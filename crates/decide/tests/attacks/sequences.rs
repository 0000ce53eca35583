//! Hosts that are drained, pairs that are restarted member by member, failovers by force.

use understudy_decide::control::{Ask, OperationState, Reply};
use understudy_model::*;

use crate::hosts::{holder, settled, wait};
use crate::ms;
use crate::wide::*;

fn drain(name: &str) -> Ask {
    Ask::Drain { name: name.into(), back: false, dry_run: false }
}

fn give_back(name: &str) -> Ask {
    Ask::Drain { name: name.into(), back: true, dry_run: false }
}

fn rolling(name: &str) -> Ask {
    Ask::RestartRolling { name: name.into(), dry_run: false }
}

fn force(name: &str) -> Ask {
    Ask::Failover { name: name.into(), dry_run: false, given_up: None, reason: None }
}

fn last_state(world: &Wide) -> OperationState {
    world.view().operations.pop().expect("an operation").state
}

/// `p` and `r`, both with their primary on alpha and their backup on beta.
fn two_pairs() -> Cluster {
    let mut cluster = small_cluster();
    add(&mut cluster, "seven", 0, Interface::Library);
    add(&mut cluster, "eight", 1, Interface::Library);
    add_pair(&mut cluster, "r", "seven", "eight");
    cluster
}

fn refusal(world: &Wide) -> (String, Vec<String>) {
    match world.replies.last() {
        Some(Reply::Refused { code, because, .. }) => (code.clone(), because.clone()),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_drained_host_has_no_primary_until_it_is_given_back() {
    let mut world = settled(two_pairs());
    world.ask(drain("alpha"));
    wait(&mut world, ms(2_000));
    assert_eq!(last_state(&world), OperationState::Done, "{}", world.told());
    assert_eq!((world.primaries("p"), world.primaries("r")), (vec!["two".into()], vec!["eight".into()]));
    assert!(world.view().hosts[0].drained && world.runs("one"), "its members stay as backups");

    // Nothing there is promoted, whatever happens, and whoever leads.
    world.kill_control();
    world.start_control();
    wait(&mut world, ms(1_000));
    world.sites[1].cannot_start = true;
    world.die("two", false);
    wait(&mut world, ms(3_000));
    assert_eq!(world.primaries("p"), Vec::<String>::new(), "{}", world.told());
    let reasons = format!("{:?}", world.view().pairs[0]);
    assert!(reasons.contains("scsctl drain alpha --return"), "{reasons}");
    world.ask(give_back("alpha"));
    wait(&mut world, ms(2_000));
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
    assert_eq!(world.primaries("r"), ["eight"], "roles stay where they are");
}

#[test]
fn a_drain_that_cannot_succeed_is_refused_by_name_and_does_nothing() {
    let mut world = settled(wide_cluster());
    world.ask(drain("alpha"));
    let (code, because) = refusal(&world);
    assert_eq!(code, "not-ready");
    assert!(
        because.iter().any(|why| why.contains("pair q: its other member is on another host")),
        "{because:?}"
    );
    assert!(!because.iter().any(|why| why.contains("pair p")), "{because:?}");
    wait(&mut world, ms(1_000));
    assert_eq!(holder(&world).epoch, Epoch(1));
    world.ask(Ask::Drain { name: "alpha".into(), back: false, dry_run: true });
    let Some(Reply::Plan { checks, steps, .. }) = world.replies.last() else { panic!("{:?}", world.replies) };
    assert!(
        checks.iter().any(|check| !check.ok) && steps.iter().any(|step| step.contains("five")),
        "{steps:?}"
    );
}

#[test]
fn a_drain_whose_pair_rolls_back_fails_and_drains_nothing() {
    let mut world = settled(two_pairs());
    world.tree("eight").unwrap().refuses = true;
    world.ask(drain("alpha"));
    wait(&mut world, ms(3_000));
    let OperationState::Failed(why) = last_state(&world) else { panic!("{}", world.told()) };
    assert!(why.contains("not today") && why.contains("1 pair(s) were switched"), "{why}");
    assert_eq!((world.primaries("p"), world.primaries("r")), (vec!["two".into()], vec!["seven".into()]));
    assert!(!world.view().hosts[0].drained && world.stored.drained.is_empty());
}

/// Found by the simulator: the pair had no primary until the drain ran out of time, and none after that.
#[test]
fn a_drain_whose_other_member_is_lost_on_the_way_is_over_and_the_former_primary_serves() {
    let mut world = settled(small_cluster());
    world.ask(drain("alpha"));
    while holder(&world).holder == app("one") {
        let _ = world.deliver_order(0) | world.run(0) | world.notice(0) | world.deliver_report(0);
    }
    world.silence(1);
    wait(&mut world, ms(500));
    let OperationState::Failed(why) = last_state(&world) else { panic!("{}", world.told()) };
    assert!(why.contains("two: the agent of host beta is not heard"), "{why}");
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
}

#[test]
fn a_drain_that_cannot_be_stored_has_failed() {
    let mut world = settled(small_cluster());
    world.ask(Ask::Switchover { name: "p".into(), to: None, dry_run: false, reason: None });
    wait(&mut world, ms(1_000));
    world.ask(drain("alpha"));
    assert_eq!(last_state(&world), OperationState::Done, "nothing to switch");
    world.ask(give_back("alpha"));
    world.store = Disk::Full;
    world.ask(drain("alpha"));
    assert_eq!(refusal(&world).0, "not-durable");
    world.store = Disk::Works;
    // The store fails after the operation began.
    world.ask(Ask::Switchover { name: "p".into(), to: None, dry_run: false, reason: None });
    wait(&mut world, ms(1_000));
    world.ask(drain("alpha"));
    while holder(&world).holder == app("one") {
        let _ = world.deliver_order(0) | world.run(0) | world.notice(0) | world.deliver_report(0);
    }
    world.store = Disk::Full;
    wait(&mut world, ms(1_000));
    let OperationState::Failed(why) = last_state(&world) else { panic!("{}", world.told()) };
    assert!(why.contains("durable"), "{why}");
    assert!(!world.view().hosts[0].drained, "{}", world.told());
}

#[test]
fn a_rolling_restart_restarts_both_and_changes_roles_once() {
    let mut world = settled(small_cluster());
    let before = (world.tree("one").unwrap().pid, world.tree("two").unwrap().pid);
    world.ask(rolling("p"));
    wait(&mut world, ms(5_000));
    assert_eq!(last_state(&world), OperationState::Done, "{}", world.told());
    let after = (world.tree("one").unwrap().pid, world.tree("two").unwrap().pid);
    assert!(before.0 != after.0 && before.1 != after.1, "{before:?} {after:?}");
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
    let steps: Vec<String> =
        world.view().operations.pop().unwrap().steps.into_iter().map(|(_, text)| text).collect();
    let first = steps.iter().position(|step| step.contains("restart two")).unwrap();
    let switched = steps.iter().position(|step| step.contains("two confirmed that it is primary")).unwrap();
    let second = steps.iter().position(|step| step.contains("restart one")).unwrap();
    assert!(first < switched && switched < second, "{steps:?}");
}

#[test]
fn a_rolling_restart_stops_where_a_step_fails() {
    let mut world = settled(small_cluster());
    world.sites[1].cannot_start = true;
    world.ask(rolling("p"));
    wait(&mut world, ms(60_000));
    let OperationState::Failed(why) = last_state(&world) else { panic!("{}", world.told()) };
    assert!(why.contains("restarting the first member"), "{why}");
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(1), app("one")), "{}", world.told());
    world.ask(rolling("p"));
    let (code, because) = refusal(&world);
    assert!(code == "not-ready" && because.iter().any(|why| why.contains("two is ready: no")), "{because:?}");
}

#[test]
fn a_failover_by_force_promotes_for_a_host_that_does_not_count_as_lost_and_says_what_it_gives_up() {
    let mut world = settled(small_cluster());
    world.ask(force("p"));
    assert_eq!(refusal(&world).0, "not-possible", "the primary is heard");
    // The agent answers and is not welcome: only an operator can know that the host is to be given up.
    world.cut(0);
    world.no_link(0, understudy_decide::control::LinkEnd::Unwelcome);
    world.two_allowed.insert(pair_name("p"));
    world.forced.insert(pair_name("p"));
    world.ask(force("p"));
    world.deliver_all();
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
    assert_eq!(last_state(&world), OperationState::Done, "{}", world.told());
    let started = world.events.iter().rfind(|event| event.kind == EventKind::OperationStarted).unwrap();
    let facts = format!("{:?}", started.because.facts);
    assert!(facts.contains("one") && facts.contains("alpha has not said that it ended"), "{facts}");
    wait(&mut world, ms(1_000));
    assert_eq!(world.primaries("p"), ["two"], "it is demoted when it is heard: {}", world.told());
}
