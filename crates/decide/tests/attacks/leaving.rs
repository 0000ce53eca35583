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
