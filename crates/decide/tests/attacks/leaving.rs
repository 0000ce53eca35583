//! Hosts that leave: roles first, then everything, the latest start first; and none of it is remembered.
//!
//! The law: nothing is stopped while its role may still be handed over, and nobody waits for what will not come.

use std::time::Duration;

use understudy_decide::agent::AgentSaw;
use understudy_model::*;

use crate::hosts::{holder, settled, wait};
use crate::ms;
use crate::wide::*;

const LIMIT: Duration = Duration::from_millis(10_000);

fn leave(world: &mut Wide, site: usize) {
    world.agent_sees(site, AgentSaw::LeaveAsked { limit: LIMIT });
}

fn is_down(world: &Wide, site: usize) -> bool {
    world.sites[site]
        .agent
        .as_ref()
        .and_then(|agent| agent.leaving())
        .is_some_and(|leaving| leaving.is_over())
}

/// Everything of the small cluster, and a single application on alpha that was started after the member.
fn with_single() -> Cluster {
    let mut cluster = small_cluster();
    add(&mut cluster, "zeta", 0, Interface::Library);
    cluster
}

#[test]
fn a_host_that_leaves_hands_over_before_anything_is_stopped() {
    let mut world = settled(with_single());
    leave(&mut world, 0);
    let mut handed_over = false;
    for _ in 0..200 {
        let any = world.deliver_report(0)
            | world.deliver_report(1)
            | world.deliver_order(0)
            | world.deliver_order(1);
        let runs = world.runs("one") && world.runs("zeta");
        handed_over |= world.primaries("p") == ["two"];
        assert!(handed_over || runs, "stopped before it was handed over:\n{}", world.told());
        for site in 0..2 {
            world.notice(site);
            world.run(site);
            world.reap(site);
        }
        world.check();
        if !any {
            world.pass(ms(10));
        }
    }
    assert!(handed_over && is_down(&world, 0), "{}", world.told());
    assert!(!world.runs("one") && !world.runs("zeta"));
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")));
    let let_go = world.events.iter().filter(|event| event.kind == EventKind::HostLeaving).count();
    assert_eq!(let_go, 3, "asked, heard, let go: {:#?}", world.events);
    let demoted = world.events.iter().rfind(|event| event.kind == EventKind::DemotionOrdered).unwrap();
    assert_eq!(demoted.because.rule, Rule::HostLeaves);
    let promoted = world.events.iter().rfind(|event| event.kind == EventKind::PromotionOrdered).unwrap();
    assert_eq!(
        promoted.because.rule,
        Rule::HostLeaves,
        "and so it is none of the changes that damping counts"
    );
}

#[test]
fn what_nobody_can_take_over_is_stopped_at_once_and_not_after_the_whole_time() {
    let mut world = settled(small_cluster());
    world.sites[1].cannot_start = true;
    world.die("two", false);
    wait(&mut world, ms(5_000));
    let began = world.now;
    leave(&mut world, 0);
    while !is_down(&world, 0) {
        wait(&mut world, ms(50));
        assert!(world.now.since(began) < ms(2_000), "{}", world.told());
    }
    let event = world.events.iter().rfind(|event| event.kind == EventKind::HostLeaving).unwrap();
    assert!(format!("{:?}", event.because.facts).contains("still there"), "{event:?}");
    assert!(world.primaries("p").is_empty());
    // The other one takes over as soon as it can: the role was given up.
    world.sites[1].cannot_start = false;
    world.ask(understudy_decide::control::Ask::Start { name: "two".into() });
    wait(&mut world, ms(5_000));
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}

#[test]
fn a_backup_that_is_coming_up_is_waited_for_within_the_time() {
    let mut world = settled(small_cluster());
    world.tree("two").unwrap().ready = Readiness::NotYet;
    world.die("two", false);
    for _ in 0..40 {
        world.deliver_order(1);
        world.notice(1);
        world.deliver_report(1);
    }
    world.tree("two").unwrap().hung = true;
    leave(&mut world, 0);
    world.deliver_all();
    assert_eq!(world.primaries("p"), ["one"], "it waits");
    world.tree("two").unwrap().hung = false;
    wait(&mut world, ms(1_000));
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
    assert!(is_down(&world, 0));
}

#[test]
fn without_a_control_server_everything_is_just_stopped_the_latest_start_first() {
    let mut world = settled(with_single());
    world.die("one", false);
    wait(&mut world, ms(1_000));
    world.kill_control();
    leave(&mut world, 0);
    // "one" was started again after "zeta", so it goes first.
    assert!(world.runs("zeta") && world.runs("one"));
    let mut first_gone = None;
    for _ in 0..200 {
        for site in 0..2 {
            world.notice(site);
            world.run(site);
            world.reap(site);
        }
        world.pass(ms(10));
        if first_gone.is_none() {
            first_gone = match (world.runs("one"), world.runs("zeta")) {
                (true, true) => None,
                (false, true) => Some("one"),
                (_, false) => Some("zeta"),
            };
        }
    }
    assert_eq!(first_gone, Some("one"), "{}", world.told());
    assert!(is_down(&world, 0), "{}", world.told());
}

#[test]
fn what_others_came_after_is_stopped_last_although_it_was_started_again_since() {
    let mut cluster = with_single();
    cluster.applications.get_mut(&app("zeta")).unwrap().process.after = vec![app("one")];
    let mut world = settled(cluster);
    world.die("one", false);
    wait(&mut world, ms(1_000));
    world.kill_control();
    leave(&mut world, 0);
    while world.runs("zeta") {
        assert!(world.runs("one"), "zeta came after one, so one goes last:\n{}", world.told());
        for site in 0..2 {
            world.notice(site);
            world.run(site);
            world.reap(site);
        }
        world.pass(ms(10));
    }
    for _ in 0..50 {
        world.deliver_all();
        world.pass(ms(10));
    }
    assert!(is_down(&world, 0), "{}", world.told());
}

#[test]
fn a_host_that_stays_after_all_runs_what_it_should_again() {
    let mut world = settled(with_single());
    leave(&mut world, 0);
    wait(&mut world, ms(3_000));
    assert!(is_down(&world, 0) && world.view().warnings.iter().any(|text| text.contains("is leaving")));
    world.agent_sees(0, AgentSaw::LeaveTakenBack);
    wait(&mut world, ms(3_000));
    assert!(world.runs("one") && world.runs("zeta"), "{}", world.told());
    assert_eq!(world.primaries("p"), ["two"], "roles stay where they are");
    assert!(world.view().pairs[0].ready, "{}", world.told());
    assert!(!world.view().warnings.iter().any(|text| text.contains("is leaving")));
}

#[test]
fn the_next_life_of_an_agent_does_not_leave() {
    let mut world = settled(small_cluster());
    leave(&mut world, 0);
    wait(&mut world, ms(3_000));
    assert!(is_down(&world, 0));
    world.kill_agent(0);
    world.start_agent(0);
    wait(&mut world, ms(3_000));
    assert!(world.runs("one") && world.view().pairs[0].ready, "{}", world.told());
    assert_eq!(world.primaries("p"), ["two"]);
}

#[test]
fn what_an_agent_told_to_finish_before_it_was_killed_is_started_again_by_its_next_life() {
    let mut world = settled(small_cluster());
    leave(&mut world, 0);
    // "one" is a backup by now, was told to finish and has; its agent does not hear of that.
    while !world.tree("one").is_some_and(|tree| tree.suspended) {
        for site in 0..2 {
            world.deliver_report(site);
            world.deliver_order(site);
            world.notice(site);
            world.run(site);
        }
    }
    let pid = world.tree("one").unwrap().pid;
    world.kill_agent(0);
    world.start_agent(0);
    wait(&mut world, ms(3_000));
    let one = world.tree("one").unwrap();
    assert!(one.pid != pid && !one.suspended, "{}", world.told());
    assert!(world.view().pairs[0].ready, "{}", world.told());
    world.ask(crate::switchover("p"));
    wait(&mut world, ms(3_000));
    assert_eq!(world.primaries("p"), ["one"], "and it takes its role again");
}

#[test]
fn a_new_control_server_is_told_that_the_host_leaves() {
    let mut world = settled(small_cluster());
    leave(&mut world, 0);
    world.kill_control();
    world.start_control();
    wait(&mut world, ms(3_000));
    assert!(is_down(&world, 0), "{}", world.told());
    assert!(
        world.view().warnings.iter().any(|text| text.contains("host alpha is leaving")),
        "{:?}",
        world.view().warnings
    );
}

/// A host in the second half of its leave: zeta does not end, so "one", a backup by now, waits for its turn.
fn stopping_slowly() -> Wide {
    let mut world = settled(with_single());
    let zeta = world.tree("zeta").unwrap();
    zeta.hung = true;
    zeta.slow_end = true;
    leave(&mut world, 0);
    for _ in 0..100 {
        world.deliver_report(0);
        world.deliver_report(1);
        world.deliver_order(0);
        world.deliver_order(1);
        for site in 0..2 {
            world.notice(site);
            world.run(site);
        }
    }
    let leaving = world.sites[0].agent.as_ref().unwrap().leaving().unwrap();
    assert!(leaving.stops && world.runs("one"), "{leaving:?}\n{}", world.told());
    assert_eq!(world.primaries("p"), ["two"]);
    world
}

#[test]
fn nothing_on_a_host_that_leaves_is_promoted_although_nobody_else_is_there() {
    let mut world = stopping_slowly();
    world.die("two", false);
    world.sites[1].cannot_start = true;
    for _ in 0..100 {
        for site in 0..2 {
            world.deliver_report(site);
            world.deliver_order(site);
            world.notice(site);
        }
        world.pass(ms(2));
    }
    assert!(world.runs("one"), "it still runs, and could be asked");
    assert_eq!(holder(&world).holder, app("two"), "{}", world.told());
    let why = &world.view().pairs[0];
    assert!(format!("{why:?}").contains("host alpha is leaving"), "{why:?}");
}

#[test]
fn a_promotion_that_comes_when_everything_is_being_stopped_is_refused_and_its_epoch_closed() {
    let mut world = stopping_slowly();
    let agent = world.sites[0].agent.as_ref().unwrap().inventory();
    let link = world.sites[0].link.as_ref().unwrap().0;
    let role = RoleEpoch::new(Epoch(9), app("one"));
    let work = Work::Promote { pair: pair_name("p"), role, time_limit: ms(1_000), grant: None };
    let (id, controller_epoch) = (OrderId(9_999), agent.controller_epoch);
    let order = Order { id, incarnation: agent.incarnation, controller_epoch, work };
    world.agent_sees(0, AgentSaw::Ordered { link, order });
    world.pass(ms(50));
    let answers = &world.sites[0].link.as_ref().unwrap().2;
    let refused = answers.iter().any(|saw| {
        let text = format!("{saw:?}");
        text.contains("OrderId(9999)") && text.contains("its host is leaving")
    });
    assert!(refused, "{answers:?}");
    assert_eq!(world.sites[0].memory.roles[&pair_name("p")].closed, Epoch(9));
    assert_eq!(world.primaries("p"), ["two"]);
}

#[test]
fn a_pair_whose_change_failed_is_not_tried_again_while_another_is_waited_for() {
    let mut cluster = small_cluster();
    add(&mut cluster, "seven", 0, Interface::Library);
    add(&mut cluster, "eight", 1, Interface::Library);
    add_pair(&mut cluster, "r", "seven", "eight");
    let mut world = settled(cluster);
    world.die("eight", false);
    for _ in 0..40 {
        world.deliver_order(1);
        world.notice(1);
        world.deliver_report(1);
    }
    world.tree("eight").unwrap().hung = true;
    leave(&mut world, 0);
    for _ in 0..60 {
        if let Some(two) = world.tree("two") {
            two.refuses = true;
        }
        wait(&mut world, ms(50));
    }
    assert!(!is_down(&world, 0), "eight is waited for:\n{}", world.told());
    let about_p = |event: &&Event| event.about.pair == Some(pair_name("p"));
    let demotions = world.events.iter().filter(|event| event.kind == EventKind::DemotionOrdered);
    assert_eq!(demotions.filter(about_p).count(), 1, "{}", world.told());
    assert_eq!(world.primaries("p"), ["one"], "and it is primary again until it is stopped");
}
