//! Attacks on the control server: what it asks again, what it answers, and whom it hears.

use understudy_decide::control::{ControlSaw, OperationState, Reply};
use understudy_model::*;

use crate::wide::*;
use crate::{maintenance, ms, settled, start, stop};

#[test]
fn a_pair_that_waits_for_nobody_does_not_spin() {
    let mut world = settled(small_cluster());
    world.ask(stop("p"));
    // The world panics if a machine asks again and again to be woken at once.
    world.settle(100);
    assert!(!world.runs("one") && !world.runs("two"));
}

#[test]
fn an_operators_start_after_giving_up_is_not_failed_by_the_old_report() {
    let mut world = settled(small_cluster());
    world.sites[1].cannot_start = true;
    world.die("two", false);
    world.settle(1000);
    assert!(world.view().applications.iter().any(|known| known.gave_up), "{}", world.told());
    world.sites[1].cannot_start = false;
    world.ask(start("two"));
    world.settle(20);
    assert!(world.runs("two"));
    let operation = world.view().operations.pop().unwrap();
    assert_eq!(operation.state, OperationState::Done, "{}", world.told());
}

#[test]
fn at_the_very_first_start_a_backup_that_is_heard_first_waits_for_the_configured_primary() {
    let mut world = Wide::new(small_cluster());
    world.start_control();
    world.start_agent(1);
    world.connect(1);
    world.deliver_all();
    world.pass(ms(1000));
    assert!(world.runs("two"));
    assert_eq!(world.primaries("p"), Vec::<String>::new(), "{}", world.told());
    world.settle(20);
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
}

#[test]
fn at_the_very_first_start_a_configured_primary_that_never_comes_is_not_waited_for_for_ever() {
    let mut world = Wide::new(small_cluster());
    world.start_control();
    world.start_agent(1);
    world.connect(1);
    for _ in 0..20 {
        world.deliver_all();
        world.pass(ms(500));
    }
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}

/// The goal was set while the agent was not heard. When it is, the same decision raises an epoch and cannot be stored.
#[test]
fn what_an_agent_should_know_is_told_although_an_epoch_in_the_same_decision_was_not_stored() {
    let mut world = settled(wide_cluster());
    world.cut(0);
    world.ask(stop("five"));
    world.die("one", false);
    world.kill_agent(0);
    world.start_agent(0);
    world.store = Disk::Full;
    world.connect(0);
    world.deliver_report(0);
    world.store = Disk::Works;
    world.settle(100);
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
    assert!(!world.runs("five"), "its stop was never told:\n{}", world.told());
}

/// The goal is durable, and whoever asked need not wait for an agent that is not there.
#[test]
fn a_stop_on_a_silent_host_is_not_done_yet_and_is_told_so_at_once() {
    let mut world = settled(wide_cluster());
    world.silence(0);
    world.deliver_all();
    world.ask(stop("five"));
    let OperationState::Pending(why) = last_state(&world) else { panic!("{}", world.told()) };
    assert_eq!(
        why,
        "not done yet: alpha is not heard; five will be stopped as soon as it is; take it back: scsctl start five"
    );
    let warnings = world.view().warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("take it back: scsctl start five")),
        "{warnings:?}"
    );
    world.ask(start("five"));
    let OperationState::Pending(why) = last_state(&world) else { panic!("{}", world.told()) };
    assert!(why.contains("five will be started") && why.ends_with("scsctl stop five"), "{why}");
    world.ask(stop("five"));
    world.unsilence(0);
    world.settle(50);
    assert!(!world.runs("five"), "{}", world.told());
}

#[test]
fn a_stop_of_a_pair_with_one_silent_member_waits_for_the_other_one_alone() {
    let mut world = settled(small_cluster());
    world.silence(1);
    world.deliver_all();
    world.ask(stop("p"));
    assert_eq!(last_state(&world), OperationState::Running);
    world.settle(10);
    assert!(!world.runs("one"), "{}", world.told());
}

#[test]
fn a_link_that_just_broke_is_waited_for() {
    let mut world = settled(wide_cluster());
    world.cut(0);
    world.ask(stop("five"));
    assert_eq!(last_state(&world), OperationState::Running);
    world.settle(50);
    assert_eq!(last_state(&world), OperationState::Done, "{}", world.told());
    world.cut(0);
    world.ask(start("five"));
    world.pass(ms(1_999));
    assert_eq!(last_state(&world), OperationState::Running, "{}", world.told());
    world.pass(ms(2));
    assert!(matches!(last_state(&world), OperationState::Pending(_)), "{}", world.told());
}

#[test]
fn settings_that_wait_for_a_restart_are_named_until_it_is_made() {
    let mut world = settled(wide_cluster());
    let pending = |world: &Wide| {
        let five = world.view().applications.into_iter().find(|known| known.name == app("five"));
        five.expect("it is configured").restart_pending
    };
    let former = world.cluster.clone();
    world.cluster.applications.get_mut(&app("five")).unwrap().command.push("--more".into());
    world.configure();
    world.settle(10);
    assert_eq!(pending(&world), ["command"]);
    let changed = std::mem::replace(&mut world.cluster, former);
    world.configure();
    world.settle(10);
    assert_eq!(pending(&world), [""; 0], "what it was started with holds again");
    world.cluster = changed;
    world.configure();
    world.settle(10);
    assert_eq!(pending(&world), ["command"]);
    world.ask(understudy_decide::control::Ask::Restart { name: "five".into() });
    world.settle(20);
    assert_eq!(pending(&world), [""; 0], "{}", world.told());
}

#[test]
fn an_application_without_a_pair_is_said_to_be_in_none() {
    let mut world = settled(wide_cluster());
    world.ask(crate::switchover("Five"));
    let Some(Reply::Refused { code, message, .. }) = world.replies.last() else {
        panic!("{:?}", world.replies)
    };
    assert_eq!((code.as_str(), message.as_str()), ("not-found", "five is in no pair"));
}

#[test]
fn a_restart_of_a_program_that_ends_at_once_is_not_done() {
    let mut world = settled(wide_cluster());
    world.ask(understudy_decide::control::Ask::Restart { name: "six".into() });
    world.deliver_all();
    while !world.runs("six") {
        world.pass(ms(10));
        world.deliver_all();
    }
    assert_eq!(last_state(&world), OperationState::Running, "a plain program is ready as soon as it runs");
    world.die("six", false);
    world.deliver_all();
    let OperationState::Failed(why) = last_state(&world) else { panic!("{}", world.told()) };
    assert!(why.starts_with("six was started, and ended by itself after"), "{why}");
    world.settle(20);
    world.ask(understudy_decide::control::Ask::Restart { name: "six".into() });
    world.settle(20);
    assert_eq!(last_state(&world), OperationState::Done, "{}", world.told());
}

#[test]
fn a_start_of_a_program_that_ends_at_once_is_not_done() {
    let mut world = settled(wide_cluster());
    world.ask(stop("six"));
    world.settle(20);
    world.ask(start("six"));
    world.deliver_all();
    while !world.runs("six") {
        world.pass(ms(10));
        world.deliver_all();
    }
    assert_eq!(last_state(&world), OperationState::Running, "{}", world.told());
    world.die("six", false);
    world.deliver_all();
    assert_eq!(last_state(&world), OperationState::Running, "its agent tries again: {}", world.told());
    world.settle(20);
    assert_eq!(last_state(&world), OperationState::Done, "{}", world.told());
}

#[test]
fn what_is_about_to_start_counts_as_running_and_is_known_to_have_no_process() {
    let mut world = settled(wide_cluster());
    let about_to_start = |world: &Wide| world.control.as_ref().unwrap().about_to_start();
    assert!(about_to_start(&world).is_empty());
    world.sites[0].cannot_start = true;
    world.die("five", false);
    world.deliver_all();
    assert_eq!(about_to_start(&world), [app("five")].into(), "{}", world.told());
    assert!(world.control.as_ref().unwrap().running().contains(&app("five")));
    world.settle(1000);
    assert!(about_to_start(&world).is_empty(), "its agent gave up: {}", world.told());
}

fn last_state(world: &Wide) -> OperationState {
    world.view().operations.pop().expect("an operation").state
}

#[test]
fn a_change_of_roles_that_was_dropped_with_another_pairs_epoch_is_made_later() {
    let mut world = settled(wide_cluster());
    assert_eq!(world.primaries("q"), ["three"]);
    world.cut(0);
    let three = world.tree("three").unwrap();
    three.ready = Readiness::Unavailable("no line".into());
    three.says.push_back(FromApplication::Readiness(three.ready.clone()));
    world.die("one", false);
    world.kill_agent(0);
    world.start_agent(0);
    while world.notice(0) {}
    world.store = Disk::Full;
    world.connect(0);
    world.deliver_report(0);
    world.store = Disk::Works;
    world.settle(100);
    assert_eq!(world.primaries("q"), ["four"], "{}", world.told());
}

#[test]
fn a_store_that_works_again_is_not_warned_of_when_nobody_needs_an_epoch() {
    let mut world = settled(small_cluster());
    world.store = Disk::Full;
    world.die("one", false);
    world.deliver_all();
    assert!(world.view().warnings.iter().any(|warning| warning.contains("durable")));
    world.store = Disk::Works;
    world.ask(maintenance("p", true));
    world.settle(50);
    let warnings = world.view().warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("durable")), "{warnings:?}");
}

#[test]
fn an_operator_is_answered_although_an_epoch_in_the_same_decision_was_not_stored() {
    let mut world = settled(small_cluster());
    world.store = Disk::Full;
    world.die("one", false);
    world.deliver_all();
    // The next try of the epoch is due when the question comes; the world wants one answer for each question.
    world.pass_late(ms(1100));
    world.ask(start("two"));
    assert_eq!(world.replies.len(), 1);
}

#[test]
fn an_application_that_a_reload_adds_is_heard_at_once() {
    let mut world = settled(small_cluster());
    world.cluster = wide_cluster();
    world.configure();
    world.settle(20);
    assert_eq!(world.primaries("q"), ["three"], "{}", world.told());
    let view = world.view();
    let five = view.applications.iter().find(|known| known.name == app("five")).unwrap();
    assert_eq!(five.status, ApplicationStatus::Started);
}

/// It is removed while it is not heard of, runs on as the removal cannot be stored, and is added again.
#[test]
fn an_application_that_is_added_again_while_it_still_runs_is_heard() {
    let mut world = settled(wide_cluster());
    let without = small_cluster();
    let with = std::mem::replace(&mut world.cluster, without);
    world.sites[0].disk = Disk::Full;
    world.configure();
    world.deliver_all();
    assert!(world.runs("five"));
    world.cluster = with;
    world.configure();
    world.sites[0].disk = Disk::Works;
    world.settle(40);
    let view = world.view();
    let five = view.applications.iter().find(|known| known.name == app("five")).unwrap();
    assert_eq!(five.status, ApplicationStatus::Started, "{}", world.told());
    assert_eq!(world.primaries("q"), ["three"]);
}

#[test]
fn an_application_that_is_added_again_while_it_is_being_stopped_stays_removed_if_that_is_not_stored() {
    let mut world = settled(wide_cluster());
    let with = world.cluster.clone();
    world.cluster.applications.remove(&app("five"));
    world.configure();
    while world.deliver_order(0) {}
    world.tree("five").unwrap().slow_end = true;
    world.cluster = with;
    world.configure();
    world.sites[0].disk = Disk::Full;
    while world.deliver_order(0) {}
    world.die("five", false);
    // The world refuses to start what is not assigned.
    while world.notice(0) {}
    world.sites[0].disk = Disk::Works;
    world.settle(40);
    assert!(world.runs("five"));
}

#[test]
fn a_stop_is_kept_by_the_agent_although_an_earlier_start_was_stored_unknown_to_it() {
    let mut world = settled(wide_cluster());
    world.ask(stop("six"));
    world.settle(20);
    world.sites[1].disk = Disk::SilentlyStores;
    world.ask(start("six"));
    while world.deliver_order(1) {}
    world.sites[1].disk = Disk::Works;
    world.ask(stop("six"));
    world.settle(40);
    world.kill_control();
    world.kill_agent(1);
    world.start_agent(1);
    world.deliver_all();
    assert!(!world.runs("six"), "{}", world.told());
}

#[test]
fn a_stop_is_not_done_before_the_agent_has_heard_of_it() {
    let mut world = Wide::new(wide_cluster());
    world.start_control();
    world.start_agent(1);
    world.connect(1);
    while world.deliver_report(1) {}
    world.deliver_order(1);
    world.ask(stop("six"));
    // What is reported first is that it does not run yet.
    world.deliver_report(1);
    let state = world.view().operations.pop().unwrap().state;
    assert_eq!(state, OperationState::Running, "{}", world.told());
    world.settle(20);
    assert!(!world.runs("six"));
}

/// The order is on its way to beta when alpha, which was never asked, says that it refuses.
#[test]
fn only_the_host_that_was_ordered_can_answer() {
    let mut world = settled(small_cluster());
    world.die("one", false);
    let promotion = loop {
        assert!(world.notice(0) || world.deliver_report(0), "{}", world.told());
        let (_, orders, _) = world.sites[1].link.as_ref().unwrap();
        if let Some(order) = orders.iter().find(|order| matches!(order.work, Work::Promote { .. })) {
            break order.id;
        }
    };
    let answer = |site, outcome| ControlSaw::Answered {
        host: host(site),
        answer: Answer { order: promotion, outcome },
    };
    let mut alone = world.control.clone().unwrap();
    let mut disturbed = alone.clone();
    disturbed.step(world.now, answer(0, Outcome::Refused(Refusal::TooSlow)));
    let refused = || answer(1, Outcome::Refused(Refusal::TooSlow));
    let decision = alone.step(world.now, refused());
    assert!(!decision.is_empty(), "the true answer says something");
    assert_eq!(disturbed.step(world.now, refused()), decision);
}
