//! The order of starts on one host.

use understudy_model::*;

use crate::ms;
use crate::wide::*;

/// A pair, and on its first host `a` after `b` after `c`; by name they would start the other way round.
fn ordered() -> Cluster {
    let mut cluster = small_cluster();
    for name in ["a", "b", "c"] {
        add(&mut cluster, name, 0, Interface::Library);
    }
    after(&mut cluster, "a", &["b"]);
    after(&mut cluster, "b", &["c"]);
    cluster
}

fn after(cluster: &mut Cluster, name: &str, first: &[&str]) {
    let spec = cluster.applications.get_mut(&app(name)).unwrap();
    spec.process.after = first.iter().map(|name| app(name)).collect();
}

fn awake(cluster: Cluster) -> Wide {
    let mut world = Wide::new(cluster);
    world.start_control();
    world.start_agent(0);
    world.connect(0);
    world
}

fn order(world: &Wide) -> Vec<String> {
    let mut order: Vec<String> = world.spawned.iter().map(|name| name.as_str().to_owned()).collect();
    order.retain(|name| ["a", "b", "c"].contains(&name.as_str()));
    order
}

fn problem(world: &Wide, name: &str) -> String {
    let view = world.view();
    let found = view.applications.iter().find(|known| known.name == app(name)).unwrap();
    found.problem.clone()
}

#[test]
fn what_starts_first_is_ready_before_the_next_is_started() {
    let mut world = awake(ordered());
    for _ in 0..100 {
        world.deliver_order(0);
        world.deliver_report(0);
        world.notice(0);
        assert!(order(&world).iter().all(|name| name == "c"), "c is not ready yet:\n{}", world.told());
    }
    assert!(problem(&world, "a").contains("waits for b"), "{}", problem(&world, "a"));
    world.settle(100);
    assert_eq!(order(&world), ["c", "b", "a"], "{}", world.told());
    assert_eq!(problem(&world, "a"), "");
}

#[test]
fn nobody_waits_for_what_is_not_wanted_or_gave_up() {
    let mut cluster = ordered();
    cluster.applications.get_mut(&app("c")).unwrap().autostart = false;
    let mut world = awake(cluster);
    world.settle(100);
    assert_eq!(order(&world), ["b", "a"], "{}", world.told());
    let mut world = awake(ordered());
    world.sites[0].cannot_start = true;
    world.settle(50);
    world.pass(ms(600_000));
    world.settle(1000);
    assert!(
        world.view().applications.iter().any(|known| known.name == app("c") && known.gave_up),
        "{}",
        world.told()
    );
    assert!(order(&world).contains(&"b".to_owned()), "c is not coming:\n{}", world.told());
}

#[test]
fn a_circle_that_settings_would_refuse_is_not_waited_in() {
    let mut cluster = ordered();
    after(&mut cluster, "c", &["a", "c"]);
    let mut world = awake(cluster);
    world.settle(100);
    let mut all = order(&world);
    all.sort();
    assert_eq!(all, ["a", "b", "c"], "{}", world.told());
}

#[test]
fn one_that_waits_can_be_stopped_and_forgets_that_it_waited() {
    let mut world = awake(ordered());
    for _ in 0..10 {
        world.deliver_order(0);
        world.deliver_report(0);
        world.notice(0);
    }
    world.ask(crate::stop("a"));
    for _ in 0..10 {
        world.deliver_order(0);
        world.deliver_report(0);
    }
    assert_eq!(problem(&world, "a"), "");
    world.settle(100);
    assert_eq!(order(&world), ["c", "b"], "{}", world.told());
}
