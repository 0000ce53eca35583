//! Attacks on the deciding machines: each story failed once, and long random sequences in the wide world look for more.

#[path = "attacks/chance.rs"]
mod chance;
#[path = "attacks/flapping.rs"]
mod flapping;
#[path = "attacks/hosts.rs"]
mod hosts;
#[path = "attacks/leaving.rs"]
mod leaving;
#[path = "attacks/many.rs"]
mod many;
#[path = "attacks/on_control.rs"]
mod on_control;
#[path = "attacks/on_order.rs"]
mod on_order;
#[path = "attacks/sequences.rs"]
mod sequences;
#[path = "attacks/strict.rs"]
mod strict;
#[path = "attacks/voters.rs"]
mod voters;
#[path = "world/wide/mod.rs"]
mod wide;

use std::time::Duration;

use understudy_decide::control::{Ask, OperationState};
use understudy_model::*;
use wide::*;

fn settled(cluster: Cluster) -> Wide {
    let mut world = Wide::new(cluster);
    world.settle(20);
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
    world
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn start(name: &str) -> Ask {
    Ask::Start { name: name.into() }
}

fn stop(name: &str) -> Ask {
    Ask::Stop { name: name.into(), graceful: false }
}

fn switchover(name: &str) -> Ask {
    Ask::Switchover { name: name.into(), to: None, dry_run: false, reason: None }
}

fn maintenance(name: &str, on: bool) -> Ask {
    Ask::Maintenance { name: name.into(), on }
}

// ---- the agent: trees ---------------------------------------------------------------------------------------------

#[test]
fn a_role_is_not_given_up_while_others_of_the_tree_live_although_the_agent_was_restarted() {
    let mut world = settled(small_cluster());
    world.die("one", true);
    world.kill_agent(0);
    world.start_agent(0);
    world.connect(0);
    for _ in 0..100 {
        let any = world.deliver_order(0)
            | world.deliver_report(0)
            | world.deliver_order(1)
            | world.deliver_report(1)
            | world.notice(1)
            | world.run(1);
        world.check();
        if !any {
            break;
        }
    }
    world.settle(50);
    assert_eq!(world.primaries("p").len(), 1, "{}", world.told());
}

#[test]
fn a_demotion_that_is_overdue_while_the_rest_of_a_tree_is_killed_does_not_forget_the_tree() {
    let mut world = settled(small_cluster());
    world.tree("one").unwrap().hung = true;
    world.ask(switchover("p"));
    while world.deliver_order(0) {}
    world.die("one", true);
    world.notice(0);
    // Killing takes its time, and the demotion's time runs out meanwhile.
    for _ in 0..100 {
        world.pass(ms(50));
    }
    world.settle(50);
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
    assert!(world.runs("one"), "{}", world.told());
}

// ---- the agent: restarted in place --------------------------------------------------------------------------------

/// `one` waits for its restart delay, in its role, as no control server was there when it ended.
fn waiting_in_place() -> Wide {
    let mut world = settled(small_cluster());
    world.kill_control();
    for _ in 0..4 {
        world.die("one", false);
        while world.notice(0) {}
        if world.sites[0].starting.is_empty() && !world.runs("one") {
            break;
        }
    }
    world.start_control();
    world.connect(0);
    world.connect(1);
    assert!(!world.runs("one"));
    world
}

#[test]
fn a_primary_that_is_stopped_while_it_waits_to_be_restarted_in_place_gives_its_role_up() {
    let mut world = waiting_in_place();
    while world.deliver_report(0) {}
    world.ask(stop("one"));
    world.settle(50);
    assert!(!world.runs("one"));
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}

#[test]
fn a_demotion_of_a_primary_that_waits_to_be_restarted_in_place_is_done_at_once() {
    let mut world = waiting_in_place();
    while world.deliver_report(0) {}
    let role = world.stored.roles[&pair_name("p")].clone();
    let work = Work::Demote { pair: pair_name("p"), role, time_limit: ms(50) };
    let controller_epoch = world.stored.controller_epoch;
    let order = Order { id: OrderId(9999), incarnation: Incarnation(1), controller_epoch, work };
    world.sites[0].link.as_mut().unwrap().1.push_back(order);
    while world.deliver_order(0) {}
    world.pass(ms(60));
    world.settle(50);
    assert!(world.runs("one"), "{}", world.told());
    assert_eq!(world.primaries("p").len(), 1, "{}", world.told());
}

#[test]
fn maintenance_is_not_undone_by_a_restart_delay_that_ends() {
    let mut world = settled(small_cluster());
    for _ in 0..3 {
        world.die("two", false);
        while world.notice(1) {}
    }
    assert!(!world.runs("two") && world.sites[1].starting.is_empty(), "{}", world.told());
    world.ask(maintenance("two", true));
    while world.deliver_order(1) {}
    world.settle(50);
    assert!(!world.runs("two"), "{}", world.told());
    world.ask(maintenance("two", false));
    world.settle(50);
    assert!(world.runs("two"), "{}", world.told());
}

#[test]
fn a_stop_that_comes_with_the_end_of_a_restart_delay_starts_nothing() {
    let mut world = settled(small_cluster());
    for _ in 0..3 {
        world.die("two", false);
        while world.notice(1) {}
    }
    assert!(!world.runs("two") && world.sites[1].starting.is_empty(), "{}", world.told());
    world.ask(stop("two"));
    world.pass_late(ms(5000));
    // The order is observed before the deadline; the world refuses a start that should be stopped.
    while world.deliver_order(1) {}
    world.settle(20);
    assert!(!world.runs("two"));
}

// ---- the agent: goals ---------------------------------------------------------------------------------------------

#[test]
fn a_start_that_comes_while_it_is_being_stopped_is_carried_out_whatever_the_restart_policy() {
    let mut cluster = wide_cluster();
    cluster.applications.get_mut(&app("five")).unwrap().restart = RestartPolicy::Never;
    let mut world = settled(cluster);
    world.ask(stop("five"));
    while world.deliver_order(0) {}
    assert!(world.runs("five"));
    world.ask(start("five"));
    while world.deliver_order(0) {}
    world.settle(20);
    assert!(world.runs("five"), "{}", world.told());
    let operation = world.view().operations.pop().unwrap();
    assert_eq!(operation.state, OperationState::Done, "{}", world.told());
}

#[test]
fn a_firm_stop_ends_a_graceful_one_that_takes_too_long() {
    let mut world = settled(wide_cluster());
    world.tree("five").unwrap().heard.clear();
    world.ask(Ask::Stop { name: "five".into(), graceful: true });
    while world.deliver_order(0) {}
    world.ask(stop("five"));
    while world.deliver_order(0) {}
    assert!(world.tree("five").unwrap().signalled, "{}", world.told());
}

#[test]
fn a_process_that_was_not_ready_in_time_says_so() {
    let mut world = settled(wide_cluster());
    world.die("five", false);
    while world.notice(0) {}
    while world.sites[0].starting.front().is_some() {
        world.notice(0);
    }
    world.tree("five").unwrap().hung = true;
    world.pass(ms(5100));
    world.reap(0);
    while world.notice(0) {}
    while world.deliver_report(0) {}
    let five = world.view().applications.into_iter().find(|known| known.name == app("five")).unwrap();
    assert!(five.problem.contains("not ready within"), "{five:?}");
    assert!(!five.last_exit.unwrap().wanted);
}

#[test]
fn an_application_whose_removal_could_not_be_stored_is_still_known() {
    let mut world = settled(wide_cluster());
    world.ask(stop("five"));
    world.settle(20);
    world.sites[0].disk = Disk::Full;
    world.cluster.applications.remove(&app("five"));
    world.configure();
    while world.deliver_order(0) {}
    world.sites[0].disk = Disk::Works;
    world.settle(50);
    let left = world.sites[0].memory.assignments.iter().any(|known| known.application == app("five"));
    assert!(!left, "it would be there again after a restart of the agent:\n{}", world.told());
}

#[test]
fn a_primary_whose_pair_was_removed_is_a_single_application_after_its_restart() {
    let mut world = settled(small_cluster());
    world.ask(stop("two"));
    world.settle(20);
    world.cluster.pairs.clear();
    world.configure();
    world.settle(20);
    assert!(world.runs("one"));
    world.die("one", false);
    world.settle(50);
    let one = world.tree("one").expect("it runs again");
    assert_eq!(one.mode, RunMode::Primary, "a single application is always primary");
}

// ---- the agent: decisions that share what may fail -------------------------------------------------------------------

/// Decision record 2: the control server hears of the exit before the closed epoch is stored.
#[test]
fn a_proven_exit_is_reported_before_anything_is_stored() {
    let mut world = settled(small_cluster());
    world.die("one", false);
    world.sites[0].disk = Disk::Full;
    let before = world.events.len();
    world.notice(0);
    while world.deliver_report(0) {}
    let told = world.events[before..].iter().any(|event| event.kind == EventKind::ApplicationExited);
    assert!(told, "the exit is told although the end of the epoch was not stored:\n{}", world.told());
}

/// Both members on one host close an epoch each in one decision, the lower one first, and nothing is stored.
#[test]
fn no_epoch_is_reported_closed_that_is_not_durable() {
    let mut cluster = wide_cluster();
    let pair = cluster.pairs.get_mut(&pair_name("q")).unwrap();
    (pair.primary, pair.backup) = (app("four"), app("three"));
    let mut world = settled(cluster);
    assert_eq!(world.primaries("q"), ["four"]);
    world.sites[0].disk = Disk::Full;
    world.die("four", false);
    world.notice(0);
    world.deliver_all();
    for _ in 0..3 {
        world.pass_late(ms(1100));
        world.deliver_all();
        world.observe_deadlines();
        let durable = world.sites[0].memory.roles[&pair_name("q")].closed;
        let told = world.sites[0].agent.as_ref().unwrap().inventory().applications;
        let told =
            told.into_iter().filter_map(|report| report.role).filter(|role| role.pair == pair_name("q"));
        assert!(told.into_iter().all(|role| role.closed <= durable), "{}", world.told());
    }
}

#[test]
fn a_refused_reaffirmation_leaves_a_backup_in_every_report() {
    let mut world = settled(small_cluster());
    world.kill_control();
    // The store was put back from a copy that names an epoch which was never ordered.
    world.stored.roles.insert(pair_name("p"), RoleEpoch::new(Epoch(7), app("one")));
    world.tree("one").unwrap().refuses = true;
    world.settle(10);
    let view = world.view();
    let mode = |name: &str| view.applications.iter().find(|known| known.name == app(name)).unwrap().run_mode;
    assert_eq!((mode("one"), mode("two")), (RunMode::Backup, RunMode::Primary), "{}", world.told());
}

#[test]
fn a_reaffirmed_primary_whose_agent_dies_in_between_goes_on() {
    let mut world = settled(small_cluster());
    world.kill_control();
    // The store was put back from a copy that names an epoch which was never ordered.
    world.stored.roles.insert(pair_name("p"), RoleEpoch::new(Epoch(7), app("one")));
    world.start_control();
    world.connect(0);
    world.connect(1);
    while world.deliver_report(1) | world.deliver_report(0) {}
    while world.deliver_order(0) {}
    assert!(world.sites[0].memory.roles[&pair_name("p")].promised.as_ref().unwrap().epoch > Epoch(7));
    world.tree("one").unwrap().heard.clear();
    world.kill_agent(0);
    world.settle(50);
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
    assert!(world.stored.roles[&pair_name("p")].holder == app("one"), "{}", world.told());
}

#[test]
fn a_holder_that_will_not_be_restarted_is_not_waited_for() {
    let mut cluster = small_cluster();
    cluster.pairs.get_mut(&pair_name("p")).unwrap().on_crash = OnCrash::RestartFirst;
    cluster.applications.get_mut(&app("one")).unwrap().restart = RestartPolicy::Never;
    let mut world = settled(cluster);
    world.die("one", false);
    world.settle(4);
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}
