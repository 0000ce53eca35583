//! Hosts that fall silent, refuse, come back, and control servers that were asleep: stories with policy `available`.
//!
//! The law: nobody is promoted while the holder may act, unless its host counts as lost by the written rules.

use std::time::Duration;

use understudy_decide::control::{Ask, ControlSaw, LinkEnd};
use understudy_model::*;

use crate::ms;
use crate::wide::*;

pub fn settled(cluster: Cluster) -> Wide {
    let mut world = Wide::new(cluster);
    world.shadowed = true;
    world.settle(20);
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
    world
}

/// Time passes while links are tried again, and everything that can be delivered is.
pub fn wait(world: &mut Wide, span: Duration) {
    let until = world.now + span;
    while world.now < until {
        for site in 0..2 {
            world.connect(site);
        }
        world.deliver_all();
        world.pass(ms(50).min(until.since(world.now)));
        world.check();
    }
    world.deliver_all();
}

pub fn holder(world: &Wide) -> RoleEpoch {
    world.stored.roles[&pair_name("p")].clone()
}

fn slow(timeout: Duration) -> Cluster {
    let mut cluster = small_cluster();
    for pair in cluster.pairs.values_mut() {
        pair.timers.disconnect_switchover_timeout = timeout;
    }
    cluster
}

fn rules(world: &Wide) -> Vec<Rule> {
    world.events.iter().map(|event| event.because.rule).collect()
}

#[test]
fn a_silent_host_is_failed_over_at_once_and_its_member_demoted_when_it_is_heard_again() {
    let mut world = settled(small_cluster());
    world.silence(0);
    world.deliver_all();
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
    assert_eq!(world.primaries("p"), ["one", "two"], "the price of policy available");
    let promoted = world.events.iter().rfind(|event| event.kind == EventKind::PromotionOrdered).unwrap();
    assert_eq!(promoted.because.rule, Rule::HostLost);
    let facts = format!("{:?}", promoted.because.facts);
    assert!(facts.contains("alpha: it is silent for 0.0 s; lost after 0.0 s"), "{facts}");
    assert!(world.view().warnings.iter().any(|warning| warning.contains("left behind")));
    let at_risk = world.view().pairs.remove(0);
    assert!(at_risk.second_may_act && !at_risk.two_act, "{at_risk:?}");
    wait(&mut world, ms(3_000));
    world.unsilence(0);
    world.connect(0);
    assert!(world.deliver_report(0), "what the agent says when it is connected");
    let before = world.view().pairs.remove(0);
    let why = before.not_ready_because.join("; ");
    assert!(!before.ready && why.contains("still acts in the older role"), "{before:?}");
    assert!(before.two_act && !before.second_may_act, "{before:?}");
    world.deliver_all();
    let after = world.view().pairs.remove(0);
    assert!(after.ready && !after.two_act && !after.second_may_act, "{after:?}");
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
    assert_eq!(
        holder(&world).epoch,
        Epoch(2),
        "the one that was left behind is demoted, nothing else changes"
    );
    let demoted = world.events.iter().rfind(|event| event.because.rule == Rule::TwoActing).unwrap();
    let facts = format!("{:?}", demoted.because.facts);
    assert!(facts.contains("two may have acted for") && facts.contains("3.0 s"), "{facts}");
    assert_eq!(world.view().pairs[0].two_acted, 1);
    assert!(rules(&world).contains(&Rule::HostReturned));
    assert!(!world.view().warnings.iter().any(|warning| warning.contains("left behind")));
}

#[test]
fn a_host_that_is_back_before_its_time_is_over_changes_nothing() {
    let mut world = settled(slow(ms(2_000)));
    world.silence(0);
    wait(&mut world, ms(1_900));
    world.unsilence(0);
    wait(&mut world, ms(5_000));
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(1), app("one")), "{}", world.told());
    world.silence(0);
    wait(&mut world, ms(2_100));
    assert_eq!(
        holder(&world),
        RoleEpoch::new(Epoch(2), app("two")),
        "its time begins anew: {}",
        world.told()
    );
}

#[test]
fn a_closed_link_is_no_loss_and_a_refusal_is_one_after_the_grace_of_an_agent() {
    let mut world = settled(small_cluster());
    world.cut(0);
    world.pass(ms(60_000));
    assert_eq!(holder(&world).epoch, Epoch(1), "a close alone says nothing: {}", world.told());
    wait(&mut world, ms(100));
    world.kill_agent(0);
    wait(&mut world, ms(4_900));
    assert_eq!(holder(&world).epoch, Epoch(1), "the agent may be restarting: {}", world.told());
    assert_eq!(world.view().hosts[0].status, HostStatus::Inaccessible);
    wait(&mut world, ms(200));
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
    world.settle(20);
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}

#[test]
fn an_agent_that_accepts_and_closes_at_once_has_not_come_back() {
    let mut world = settled(small_cluster());
    world.kill_agent(0);
    wait(&mut world, ms(3_000));
    world.no_link(0, LinkEnd::Closed);
    wait(&mut world, ms(1_900));
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    wait(&mut world, ms(200));
    assert_eq!(holder(&world).epoch, Epoch(2), "its grace does not begin anew: {}", world.told());
}

#[test]
fn an_agent_that_answers_and_is_not_welcome_never_loses_its_host() {
    let mut world = settled(small_cluster());
    world.cut(0);
    world.no_link(0, LinkEnd::Unwelcome);
    world.pass(ms(3_600_000));
    world.deliver_all();
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    assert_eq!(world.view().hosts[0].status, HostStatus::Inaccessible);
    assert!(rules(&world).contains(&Rule::AgentUnwelcome));
}

#[test]
fn silence_after_a_close_counts_from_the_close() {
    let mut world = settled(slow(ms(3_000)));
    world.silence(0);
    world.unsilence(0);
    world.connect(0);
    world.deliver_all();
    world.cut(0);
    world.pass(ms(2_000));
    world.silence(0);
    wait(&mut world, ms(900));
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    wait(&mut world, ms(200));
    assert_eq!(holder(&world).epoch, Epoch(2), "{}", world.told());
}

/// A resolver that died with the host, say: what it does not answer says nothing of the host.
#[test]
fn a_name_that_is_not_resolved_takes_nothing_back_and_proves_nothing() {
    // What was known is as old as before.
    let mut world = settled(slow(ms(3_000)));
    world.silence(0);
    for _ in 0..29 {
        world.pass(ms(100));
        world.no_link(0, LinkEnd::Unresolved);
        world.deliver_all();
    }
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    assert_eq!(world.view().hosts[0].status, HostStatus::Unreachable);
    world.pass(ms(200));
    world.deliver_all();
    assert_eq!(holder(&world).epoch, Epoch(2), "it was silent for its whole time: {}", world.told());
    // A link that was closed before says nothing, and neither does this.
    let mut world = settled(slow(ms(3_000)));
    world.cut(0);
    world.no_link(0, LinkEnd::Unresolved);
    world.pass(ms(3_600_000));
    world.deliver_all();
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    // A new leadership that never could ask for it.
    let mut world = settled(slow(ms(3_000)));
    world.kill_control();
    world.start_control();
    world.connect(1);
    world.no_link(0, LinkEnd::Unresolved);
    world.deliver_all();
    world.pass(ms(3_600_000));
    world.deliver_all();
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    assert_eq!(world.view().hosts[0].status, HostStatus::Unknown);
}

/// The other host's agent, with an ADDP timeout of 400 ms, is being asked whether it lives when the primary's host is lost.
fn lost_while_the_other_is_asked() -> Wide {
    let mut cluster = small_cluster();
    let other = HostName::new("beta").unwrap();
    cluster.hosts.get_mut(&other).unwrap().addp.timeout = ms(400);
    let mut world = settled(cluster);
    world.control_sees(ControlSaw::LinkPolled { host: other });
    world.silence(0);
    world.deliver_all();
    assert_eq!(holder(&world).epoch, Epoch(1), "its word is not worth anything yet: {}", world.told());
    let why = format!("{:?}", world.events.iter().rfind(|event| event.kind == EventKind::HostLost).unwrap());
    assert!(why.contains("WaitForAgents") && why.contains("is being asked"), "{why}");
    world
}

#[test]
fn a_control_server_that_loses_one_link_after_the_other_promotes_nobody() {
    let mut world = lost_while_the_other_is_asked();
    world.pass(ms(390));
    world.silence(1);
    wait(&mut world, ms(20_000));
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
}

#[test]
fn an_agent_that_was_asked_and_answers_is_a_witness_at_once() {
    let mut world = lost_while_the_other_is_asked();
    world.control_sees(ControlSaw::LinkAnswered { host: HostName::new("beta").unwrap() });
    world.deliver_all();
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
}

#[test]
fn an_agent_that_was_asked_and_is_not_lost_is_a_witness_after_its_timeout() {
    let mut world = lost_while_the_other_is_asked();
    world.pass(ms(490));
    world.deliver_all();
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    world.pass(ms(20));
    world.deliver_all();
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
}

#[test]
fn nobody_is_promoted_if_both_hosts_are_silent_and_the_first_one_back_gives_the_other_a_chance() {
    let mut world = settled(small_cluster());
    world.silence(1);
    world.silence(0);
    let told = world.events.len();
    wait(&mut world, ms(20_000));
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    // Nothing is known of the pair, so nothing is said of it: its primary is assumed to act.
    let pair = world.view().pairs.remove(0);
    assert_eq!((pair.primary, pair.state.as_str()), (Some(app("one")), "held"), "{}", world.told());
    assert!(!world.events[told..].iter().any(|event| event.kind == EventKind::NoPrimary), "{}", world.told());
    world.unsilence(1);
    wait(&mut world, ms(4_900));
    assert_eq!(holder(&world).epoch, Epoch(1), "they were cut off together: {}", world.told());
    wait(&mut world, ms(200));
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
}

#[test]
fn a_control_server_that_was_asleep_gives_every_host_a_fresh_chance() {
    let mut world = settled(small_cluster());
    world.freeze_control(ms(4_000));
    world.silence(0);
    world.deliver_all();
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    assert!(rules(&world).contains(&Rule::OwnSleep));
    world.pass(ms(1_000));
    world.unsilence(0);
    wait(&mut world, ms(30_000));
    assert_eq!(holder(&world).epoch, Epoch(1), "it was only not listened to: {}", world.told());
    world.freeze_control(ms(4_000));
    world.silence(0);
    wait(&mut world, ms(4_100));
    assert_eq!(
        holder(&world).epoch,
        Epoch(2),
        "a host that stays silent is lost all the same: {}",
        world.told()
    );
}

#[test]
fn a_new_leadership_waits_for_a_host_that_it_never_heard() {
    let mut world = settled(small_cluster());
    world.kill_control();
    world.silence(0);
    world.start_control();
    wait(&mut world, ms(4_900));
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    wait(&mut world, ms(300));
    assert_eq!(holder(&world).epoch, Epoch(2), "{}", world.told());
}

#[test]
fn maintenance_of_a_host_keeps_its_loss_from_changing_roles() {
    let mut world = settled(small_cluster());
    world.ask(Ask::Maintenance { name: "alpha".into(), on: true });
    world.deliver_all();
    world.silence(0);
    wait(&mut world, ms(60_000));
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    world.ask(Ask::Maintenance { name: "alpha".into(), on: false });
    wait(&mut world, ms(100));
    assert_eq!(holder(&world).epoch, Epoch(2), "{}", world.told());
}

#[test]
fn a_backup_that_is_not_ready_is_not_promoted_for_a_lost_host_until_it_is() {
    let mut world = settled(small_cluster());
    world.sites[1].cannot_start = true;
    world.die("two", false);
    world.deliver_all();
    world.silence(0);
    wait(&mut world, ms(1_000));
    assert_eq!(holder(&world).epoch, Epoch(1), "{}", world.told());
    world.sites[1].cannot_start = false;
    world.ask(Ask::Start { name: "two".into() });
    wait(&mut world, ms(2_000));
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
}

#[test]
fn a_new_primary_whose_host_is_lost_during_its_promotion_gives_the_role_back() {
    let mut world = settled(small_cluster());
    world.ask(Ask::Switchover { name: "p".into(), to: None, dry_run: false, reason: None });
    while holder(&world).epoch == Epoch(1) {
        let _ = world.deliver_order(0) | world.run(0) | world.notice(0) | world.deliver_report(0);
    }
    world.silence(1);
    wait(&mut world, ms(1_000));
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(3), app("one")), "{}", world.told());
    world.unsilence(1);
    wait(&mut world, ms(1_000));
    assert_eq!(world.primaries("p"), ["one"], "{}", world.told());
}

#[test]
fn the_higher_epoch_wins_although_its_holder_has_just_fallen_silent() {
    let mut world = settled(slow(ms(5_000)));
    world.silence(0);
    wait(&mut world, ms(5_100));
    assert_eq!(world.primaries("p"), ["one", "two"], "{}", world.told());
    world.silence(1);
    world.unsilence(0);
    wait(&mut world, ms(1_000));
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}

/// A promotion that was not stored leaves nobody behind: the silent holder blocks for its whole time, as it did before.
#[test]
fn a_failover_that_could_not_be_stored_accepts_nothing() {
    let mut world = settled(small_cluster());
    world.store = Disk::Full;
    world.silence(0);
    world.silence(1);
    world.store = Disk::Works;
    world.unsilence(0);
    world.unsilence(1);
    world.connect(1);
    while world.deliver_report(1) {}
    // The first word of the other one is under way.
    world.connect(0);
    world.pass(ms(4_000));
    world.check();
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(1), app("one")), "{}", world.told());
    wait(&mut world, ms(30_000));
    assert_eq!(
        holder(&world),
        RoleEpoch::new(Epoch(1), app("one")),
        "it was there all the time: {}",
        world.told()
    );
}

/// The first word of an agent is under way: until it is heard, its host is as silent as it was.
#[test]
fn a_host_whose_first_word_is_not_heard_in_its_time_is_lost() {
    let mut world = settled(small_cluster());
    world.silence(1);
    world.silence(0);
    world.unsilence(0);
    world.unsilence(1);
    world.connect(1);
    while world.deliver_report(1) {}
    world.connect(0);
    world.pass(ms(6_000));
    assert_eq!(holder(&world), RoleEpoch::new(Epoch(2), app("two")), "{}", world.told());
    world.check();
    wait(&mut world, ms(30_000));
    assert_eq!(world.primaries("p"), ["two"], "{}", world.told());
}
