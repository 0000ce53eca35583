//! Both machines together, with a pair whose policy is `strict`: agents that vote, and the control server.

use understudy_decide::control::LinkEnd;
use understudy_model::*;

use crate::wide::*;
use crate::{ms, switchover};

/// The small cluster with a strict pair, after the silence of agents that have no memory yet.
fn strict() -> Wide {
    let mut cluster = small_cluster();
    cluster.pairs.get_mut(&pair_name("p")).unwrap().policy = Policy::Strict;
    let mut world = Wide::new(cluster);
    world.settle(20);
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
    assert_eq!(world.stored.roles[&pair_name("p")].epoch, Epoch(1), "no epoch was wasted: {}", world.told());
    world
}

#[test]
fn a_strict_primary_that_dies_is_followed_without_a_wait() {
    let mut world = strict();
    world.die("one", false);
    world.deliver_all();
    world.pass(ms(30));
    world.deliver_all();
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
    assert_eq!(world.stored.roles[&pair_name("p")].epoch, Epoch(2), "{}", world.told());
    world.settle(40);
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}

#[test]
fn a_release_that_the_other_agent_did_not_hear_comes_with_the_order() {
    let mut world = strict();
    world.peers_cut = true;
    world.die("one", false);
    world.deliver_all();
    world.pass(ms(30));
    world.deliver_all();
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
    assert_eq!(world.stored.roles[&pair_name("p")].epoch, Epoch(2), "{}", world.told());
}

#[test]
fn strict_roles_go_there_and_back_by_an_operator() {
    let mut world = strict();
    for expected in ["two", "one", "two"] {
        world.ask(switchover("p"));
        world.settle(10);
        assert_eq!(world.primaries("p"), [expected], "{}", world.told());
    }
    assert_eq!(world.stored.roles[&pair_name("p")].epoch, Epoch(4));
}

#[test]
fn a_strict_primary_outlives_its_control_server_and_is_kept_by_the_next() {
    let mut world = strict();
    world.kill_control();
    for _ in 0..40 {
        world.deliver_all();
        world.pass(ms(50));
    }
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
    world.settle(40);
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
    assert_eq!(world.stored.roles[&pair_name("p")].epoch, Epoch(1), "{}", world.told());
}

#[test]
fn a_strict_primary_that_only_the_control_server_cannot_hear_stays_and_is_shown_alive() {
    let mut world = strict();
    world.silence(0);
    for _ in 0..40 {
        world.no_link(0, LinkEnd::Silent);
        world.deliver_all();
        world.pass(ms(50));
    }
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
    assert_eq!(world.stored.roles[&pair_name("p")].epoch, Epoch(1), "{}", world.told());
    assert_eq!(world.view().pairs[0].alive_through, Some(app("two")), "{}", world.told());
}

#[test]
fn a_strict_primary_that_nobody_hears_steps_down_and_is_followed() {
    let mut world = strict();
    world.peers_cut = true;
    world.silence(0);
    for _ in 0..40 {
        world.deliver_all();
        world.pass(ms(50));
        assert!(world.primaries("p").len() <= 1, "{}", world.told());
    }
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}
