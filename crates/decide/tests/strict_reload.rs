//! A control server whose configuration gives a `strict` pair another lease while its members run (G13).

use std::time::Duration;

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::Ask;
use understudy_decide::control::*;
use understudy_model::*;

/// `a` acts in epoch 1 with a lease of 1 s, known to the control server by its request.
fn renewed() -> Desk {
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |memory| {
        memory.grants.leases.insert(pair(), ms(1_000));
    });
    desk.settle();
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    desk.pass(ms(10));
    desk
}

fn reloads(desk: &mut Desk, lease: u64) {
    desk.cluster.pairs.get_mut(&pair()).unwrap().timers.lease = ms(lease);
    desk.configure();
    desk.pass(ms(1));
}

fn takes(desk: &mut Desk, epoch: u64) -> Duration {
    let (to, order, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((to.clone(), ordered), (host("alpha"), role(epoch, "a")));
    desk.reports(acting(epoch, "a"));
    desk.answers(&to, &order, Outcome::Done);
    grant.lease
}

#[test]
fn a_reload_that_changes_the_lease_gives_the_acting_member_a_new_epoch_for_it() {
    let mut desk = renewed();
    reloads(&mut desk, 1_000);
    assert!(desk.take_promotion().is_none(), "the same lease costs no epoch");
    reloads(&mut desk, 5_000);
    assert_eq!(takes(&mut desk, 2), ms(5_000));
    assert!(desk.told(Rule::LeaseChanges), "{}", desk.story());
    assert_eq!(desk.stored.grants.leases[&pair()], ms(5_000), "stored with the epoch");
    assert_eq!(desk.asks_vote_for("alpha", role(2, "a"), ms(5_000)), Verdict::Given);
    desk.pass(ms(10));

    // And back: nobody is promoted sooner than the longer lease allows, until the holder asked in the shorter epoch.
    reloads(&mut desk, 1_000);
    let (_, _, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((ordered, grant.lease), (role(3, "a"), ms(1_000)));
    assert_eq!(desk.stored.grants.leases[&pair()], ms(5_000), "what a restart waits for");
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(4_900));
    assert!(desk.take_pre_vote().is_none(), "its page may run that long");
    desk.reports.insert(app("a"), acting(3, "a"));
    desk.link_up("alpha");
    assert_eq!(desk.asks_vote("alpha", role(3, "a")), Verdict::Given);
    desk.pass(ms(10));
    desk.link_down("alpha", LinkEnd::Silent);
    assert_eq!(desk.stored.grants.leases[&pair()], ms(1_000), "its request says that its page is cut");
    desk.pass(ms(1_000));
    assert!(desk.take_pre_vote().is_some());
    assert!(
        desk.records.iter().filter(|record| matches!(record, ControlRecord::RaiseEpoch { .. })).count() == 2
    );
}

#[test]
fn a_control_server_that_restarts_waits_for_the_longer_lease_until_the_holder_asked_in_the_shorter_epoch() {
    let mut desk = renewed();
    reloads(&mut desk, 5_000);
    takes(&mut desk, 2);
    assert_eq!(desk.asks_vote_for("alpha", role(2, "a"), ms(5_000)), Verdict::Given);
    desk.pass(ms(10));
    reloads(&mut desk, 1_000);
    desk.take_promotion().expect("an order");
    desk.restart();
    desk.link_up("beta");
    desk.pass(ms(4_900));
    assert!(desk.take_pre_vote().is_none(), "{}", desk.story());
    desk.pass(ms(200));
    assert!(desk.take_pre_vote().is_some(), "{}", desk.story());
}

#[test]
fn a_shorter_lease_that_cannot_be_stored_costs_no_vote_and_is_stored_later() {
    let mut desk = renewed();
    reloads(&mut desk, 5_000);
    takes(&mut desk, 2);
    assert_eq!(desk.asks_vote_for("alpha", role(2, "a"), ms(5_000)), Verdict::Given);
    desk.pass(ms(10));
    reloads(&mut desk, 1_000);
    takes(&mut desk, 3);
    desk.disk = Disk::Full;
    for _ in 0..5 {
        assert_eq!(desk.asks_vote("alpha", role(3, "a")), Verdict::Given);
        desk.pass(ms(100));
    }
    assert_eq!(desk.stored.grants.leases[&pair()], ms(5_000));
    desk.disk = Disk::Works;
    for _ in 0..50 {
        assert_eq!(desk.asks_vote("alpha", role(3, "a")), Verdict::Given);
        desk.pass(ms(100));
    }
    assert_eq!(desk.stored.grants.leases[&pair()], ms(1_000));
}

/// An order to act in a higher epoch shared a decision with what could not be stored, and was never given again.
#[test]
fn a_new_epoch_whose_order_was_dropped_is_given_again_or_followed() {
    for ends in [false, true] {
        let mut desk = renewed();
        desk.cluster.pairs.get_mut(&pair()).unwrap().timers.lease = ms(5_000);
        let cluster = desk.cluster.clone();
        desk.step(ControlSaw::Configured { cluster, own_hosts: Default::default() });
        desk.disk = Disk::Full;
        let stop = Ask::Stop { name: "b".into(), graceful: false };
        assert!(matches!(desk.asks(stop), Reply::Refused { .. }));
        desk.disk = Disk::Works;
        if ends {
            desk.reports(ended(1, "a", 1));
        }
        let mut given = None;
        for _ in 0..600 {
            desk.pass(ms(100));
            given = given.or(desk.take_promotion());
        }
        let (_, _, ordered, _) = given.unwrap_or_else(|| panic!("{}", desk.story()));
        assert!(ordered.epoch >= Epoch(2) && (ends || ordered.holder == app("a")), "{ordered}");
    }
}

/// Both are stopped, and said that they gave their role up.
fn stopped() -> Desk {
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |_| {});
    desk.settle();
    let two = ApplicationReport { pid: None, run_mode: RunMode::Unknown, ..idle("b", 1) };
    desk.reports(ApplicationReport { status: ended(1, "a", 1).status, ..two });
    desk.reports(ended(1, "a", 1));
    desk.pass(ms(5_000));
    assert!(desk.take_promotion().is_none(), "{}", desk.story());
    assert_eq!(desk.control.running(), [].into());
    desk
}

#[test]
fn nobody_is_promoted_between_the_look_at_what_runs_and_the_configuration_that_was_judged_by_it() {
    let ends: [fn(&mut Desk); 2] = [Desk::configure, |desk| desk.sees(ControlSaw::ConfigurationStays)];
    for ends in ends {
        let mut desk = stopped();
        desk.sees(ControlSaw::ConfigurationComes { pairs: [pair()].into(), reload: 1 });
        // Somebody starts both while it is being stored.
        desk.reports(idle("a", 1));
        desk.reports(idle("b", 1));
        desk.pass(ms(5_000));
        assert!(desk.take_promotion().is_none(), "{}", desk.story());
        ends(&mut desk);
        desk.pass(ms(1));
        assert!(desk.take_promotion().is_some(), "it is looked at again: {}", desk.story());
    }
}

/// Found by the simulator: the pair was not looked at while its order was lost with the link, and waited for an answer for ever.
#[test]
fn an_order_that_is_lost_during_a_reload_is_not_waited_for() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    assert_eq!(desk.take_promotion().expect("an order").2, role(2, "b"));
    desk.sees(ControlSaw::ConfigurationComes { pairs: [pair()].into(), reload: 1 });
    desk.link_down("beta", LinkEnd::Closed);
    desk.link_up("beta");
    desk.pass(ms(5_000));
    assert!(desk.take_promotion().is_none(), "{}", desk.story());
    desk.sees(ControlSaw::ConfigurationStays);
    desk.pass(ms(2_000));
    let (_, _, ordered, _) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
    assert_eq!(ordered, role(3, "b"));
}

/// The same of an order to step down.
#[test]
fn a_switchover_whose_first_order_is_lost_during_a_reload_is_over() {
    let mut desk = Desk::settled();
    let ask = Ask::Switchover { name: "p".into(), to: None, dry_run: false, reason: None };
    assert!(matches!(desk.asks(ask.clone()), Reply::Begun(_)));
    assert_eq!(desk.state(), "demoting");
    desk.sees(ControlSaw::ConfigurationComes { pairs: [pair()].into(), reload: 1 });
    desk.link_down("alpha", LinkEnd::Closed);
    desk.link_up("alpha");
    desk.sees(ControlSaw::ConfigurationStays);
    desk.pass(ms(1_000));
    assert_eq!((desk.state().as_str(), desk.view().primary), ("held", Some(app("a"))), "{}", desk.story());
    assert!(matches!(desk.asks(ask), Reply::Begun(_)));
}

/// The same under `available`, where a host that is silent counts as lost at once.
#[test]
fn a_switchover_whose_order_is_lost_with_its_host_during_a_reload_is_over() {
    let mut cluster = cluster();
    cluster.pairs.get_mut(&pair()).unwrap().policy = Policy::Available;
    let mut desk = Desk::with(cluster, Some(role(1, "a")), |_| ());
    desk.settle();
    let ask = Ask::Switchover { name: "p".into(), to: None, dry_run: false, reason: None };
    assert!(matches!(desk.asks(ask), Reply::Begun(_)));
    assert_eq!(desk.state(), "demoting");
    desk.sees(ControlSaw::ConfigurationComes { pairs: [pair()].into(), reload: 1 });
    desk.link_down("alpha", LinkEnd::Silent);
    desk.link_up("alpha");
    desk.sees(ControlSaw::ConfigurationStays);
    desk.pass(ms(1_000));
    assert_eq!((desk.state().as_str(), desk.view().primary), ("held", Some(app("a"))), "{}", desk.story());
}
