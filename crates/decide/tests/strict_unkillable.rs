//! A member of a `strict` pair that was killed and never ends, as it waits for a disk that hangs: its agent asks for it no
//! more, its page says no, and it is neither waited for nor served once nobody is bound to it.

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::{Ask, *};
use understudy_model::*;

/// Killed while it acts, or while it is on its way there, and still there.
fn dying(epoch: u64, name: &str, run_mode: RunMode) -> ApplicationReport {
    let report = acting(epoch, name);
    ApplicationReport { status: ApplicationStatus::StopPending, run_mode, ..report }
}

/// Whoever is asked would promise.
fn all_would_promise(desk: &mut Desk) {
    while let Some((to, order, _)) = desk.take_pre_vote() {
        desk.answers(&to, &order, Outcome::Done);
        desk.pass(ms(1));
    }
}

/// `a` cannot be ended and is past, `b` acts in its place.
fn followed() -> Desk {
    let mut desk = Desk::settled();
    desk.reports(dying(1, "a", RunMode::Primary));
    desk.pass(ms(1_100));
    all_would_promise(&mut desk);
    let (to, order, ordered, _) = desk.take_promotion().expect("an order");
    assert_eq!(ordered, role(2, "b"));
    desk.reports(acting(2, "b"));
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
    desk.pass(ms(10));
    assert_eq!((desk.state(), desk.view().primary), ("held".to_owned(), Some(app("b"))));
    desk
}

fn raises(desk: &Desk) -> Vec<RoleEpoch> {
    let raised = |record: &ControlRecord| match record {
        ControlRecord::RaiseEpoch { next, .. } => Some(next.clone()),
        _ => None,
    };
    desk.records.iter().filter_map(raised).collect()
}

fn demoted(desk: &mut Desk) -> Option<RoleEpoch> {
    let (_, order) = desk.take(|work| matches!(work, Work::Demote { .. }))?;
    let Work::Demote { role, .. } = order.work else { return None };
    Some(role)
}

/// It waits for a disk that hangs: killed, and never gone. Nobody was ever promoted in its place.
#[test]
fn a_primary_that_cannot_be_killed_is_followed_when_the_promises_to_it_are_over() {
    for run_mode in [RunMode::Primary, RunMode::Unknown] {
        let mut desk = Desk::settled();
        let mut dying = acting(1, "a");
        (dying.status, dying.run_mode) = (ApplicationStatus::StopPending, run_mode);
        desk.reports(dying);
        desk.pass(ms(900));
        assert!(desk.take_pre_vote().is_none() && desk.take_promotion().is_none(), "{}", desk.story());
        desk.pass(ms(200));
        let (to, order, _) = desk.take_pre_vote().expect("the other agent is asked");
        desk.answers(&to, &order, Outcome::Refused(Refusal::Promised(role(1, "a"), ms(100))));
        desk.pass(ms(50));
        assert!(desk.take_promotion().is_none(), "it is bound");
        desk.pass(ms(100));
        let (to, order, _) = desk.take_pre_vote().expect("it is asked again");
        desk.answers(&to, &order, Outcome::Done);
        desk.pass(ms(1));
        let (.., ordered, _) = desk.take_promotion().expect("an order");
        assert_eq!(ordered, role(2, "b"));
        desk.reports(acting(2, "b"));
        desk.pass(ms(10_000));
        assert_eq!(desk.state(), "held", "{}", desk.story());
        assert!(!desk.told(Rule::TwoActing), "{}", desk.story());
    }
}

/// Its way to the role takes too long, it is killed for that, and stays: no answer ever comes.
#[test]
fn a_member_that_cannot_be_killed_on_its_way_to_the_role_is_given_up_for_the_former_primary() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    let (_, _, ordered, _) = desk.take_promotion().expect("an order");
    assert_eq!(ordered, role(2, "b"));
    desk.reports(idle("a", 1));
    desk.reports(dying(2, "b", RunMode::Backup));
    desk.pass(ms(900));
    assert!(desk.take_promotion().is_none(), "the promise to it runs");
    desk.pass(ms(200));
    all_would_promise(&mut desk);
    let (to, order, ordered, _) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
    assert_eq!(ordered, role(3, "a"));
    desk.reports(acting(3, "a"));
    desk.answers(&to, &order, Outcome::Done);
    desk.pass(ms(10));
    assert_eq!((desk.state(), desk.view().primary), ("held".to_owned(), Some(app("a"))), "{}", desk.story());
}

/// Two things happen to it at once: it is given another epoch, for a lease that was changed, and cannot be killed.
#[test]
fn a_primary_that_cannot_be_killed_while_it_is_given_a_new_epoch_is_followed() {
    for taken in [1, 2] {
        let mut desk = Desk::settled();
        assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
        desk.pass(ms(10));
        desk.cluster.pairs.get_mut(&pair()).unwrap().timers.lease = ms(2_000);
        desk.configure();
        desk.pass(ms(1));
        let (_, _, ordered, _) = desk.take_promotion().expect("an order");
        assert_eq!(ordered, role(2, "a"));
        desk.reports(dying(taken, "a", RunMode::Primary));
        desk.pass(ms(2_100));
        all_would_promise(&mut desk);
        let (_, _, ordered, _) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
        assert_eq!(ordered, role(3, "b"));
    }
}

/// Also where the promise to the other one ran out here meanwhile, as its requests were lost.
#[test]
fn a_new_lease_is_given_to_who_acts_and_not_to_who_cannot_be_killed() {
    for lost in [0, 3_000] {
        let mut desk = followed();
        desk.pass(ms(lost));
        desk.cluster.pairs.get_mut(&pair()).unwrap().timers.lease = ms(2_000);
        desk.configure();
        desk.pass(ms(1));
        let (.., ordered, grant) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
        assert_eq!((ordered, grant.lease), (role(3, "b"), ms(2_000)));
        assert_eq!(raises(&desk), [role(2, "b"), role(3, "b")]);
    }
}

#[test]
fn a_restored_store_is_written_for_who_acts_beside_one_that_cannot_be_killed() {
    let mut desk = Desk::with(cluster(), Some(role(2, "b")), |memory| memory.grants.restored = true);
    desk.reports.insert(app("a"), dying(1, "a", RunMode::Primary));
    desk.reports.insert(app("b"), acting(2, "b"));
    desk.link_up("alpha");
    desk.link_up("beta");
    desk.pass(ms(1_000));
    all_would_promise(&mut desk);
    desk.pass(ms(1_000));
    let (.., ordered, _) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
    assert_eq!(ordered.holder, app("b"));
    desk.reports(acting(ordered.epoch.0, "b"));
    assert_eq!(desk.asks_vote("beta", ordered), Verdict::Given);
}

/// It acts in an older role than the stored one, beside a member that cannot answer.
#[test]
fn who_is_to_step_down_is_asked_and_not_who_cannot_be_killed() {
    let mut cluster = cluster();
    cluster.pairs.get_mut(&pair()).unwrap().keep_data = true;
    let mut desk = Desk::with(cluster, Some(role(3, "a")), |memory| {
        memory.in_sync.insert(pair(), InSync::of(Epoch(3), [(&app("a"), &host("alpha"))]));
    });
    // `b` lacks what `a` acknowledged in epoch 3.
    desk.reports.insert(app("a"), dying(1, "a", RunMode::Primary));
    desk.reports.insert(app("b"), acting(2, "b"));
    desk.link_up("beta");
    desk.link_up("alpha");
    assert_eq!(demoted(&mut desk), Some(role(1, "a")), "it may act");
    desk.pass(ms(1_100));
    all_would_promise(&mut desk);
    desk.pass(ms(10));
    assert_eq!(demoted(&mut desk), Some(role(2, "b")), "{}", desk.story());
}

#[test]
fn a_primary_that_cannot_be_killed_is_no_primary_for_people_and_data_can_be_given_up_in_its_place() {
    for run_mode in [RunMode::Primary, RunMode::Unknown] {
        let mut cluster = cluster();
        cluster.pairs.get_mut(&pair()).unwrap().keep_data = true;
        let mut desk = Desk::with(cluster, Some(role(1, "a")), |memory| {
            memory.in_sync.insert(pair(), InSync::of(Epoch(1), [(&app("a"), &host("alpha"))]));
        });
        desk.settle();
        desk.reports(dying(1, "a", run_mode));
        let force = || Ask::Failover { name: "p".into(), dry_run: false, reason: None, given_up: None };
        assert!(matches!(desk.asks(force()), Reply::Refused { .. }), "the promise to it runs");
        desk.pass(ms(1_100));
        all_would_promise(&mut desk);
        assert!(desk.take_promotion().is_none(), "b lacks what a acknowledged");
        assert_eq!(desk.view().primary, None, "{}", desk.story());
        let told = |event: &Event| event.kind == EventKind::RoleChanged && event.to.is_none();
        assert!(desk.events.iter().any(told), "{}", desk.story());
        let warnings = desk.control.view(desk.now).warnings.join("; ");
        assert!(warnings.contains("scsctl failover p --force"), "{warnings}");
        let reply = desk.asks(force());
        assert!(matches!(reply, Reply::Begun(_)), "{reply:?} {}", desk.story());
        desk.pass(ms(10));
        let (.., ordered, _) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
        assert_eq!(ordered, role(2, "b"));
    }
}

/// Its agent began anew, took it over as it runs, and has heard nothing of it since: renewed, and serving nobody.
#[test]
fn a_primary_that_does_not_come_back_to_the_next_life_of_its_agent_is_followed() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Closed);
    let adopted = |status| ApplicationReport { status, run_mode: RunMode::Unknown, ..acting(1, "a") };
    desk.reports.insert(app("a"), adopted(ApplicationStatus::Started));
    desk.link_up("alpha");
    desk.pass(ms(1_000));
    assert_eq!(demoted(&mut desk), None, "it has its grace");
    desk.reports(adopted(ApplicationStatus::ServiceUnavailable));
    desk.pass(ms(10));
    assert_eq!(demoted(&mut desk), Some(role(1, "a")), "{}", desk.story());
}

/// Its agent's files were set back, so it reports an older role than the store holds; each new epoch for it would bind the control
/// server for another lease.
#[test]
fn who_acts_in_an_older_role_and_cannot_be_killed_gets_no_new_epoch() {
    let mut desk = Desk::with(cluster(), Some(role(2, "a")), |_| {});
    desk.reports.insert(app("a"), dying(1, "a", RunMode::Primary));
    desk.reports.insert(app("b"), idle("b", 0));
    desk.link_up("alpha");
    desk.link_up("beta");
    for _ in 0..100 {
        desk.pass(ms(100));
        all_would_promise(&mut desk);
    }
    assert_eq!(raises(&desk).first().map(|role| role.holder.clone()), Some(app("b")), "{}", desk.story());
}

/// An agent that was set back learned what the store holds, and so gave everything up, while what it had killed was still there.
#[test]
fn who_cannot_be_killed_and_gave_up_what_it_was_promised_is_followed_at_once() {
    let mut desk = Desk::with(cluster(), Some(role(2, "a")), |_| {});
    let mut given_up = dying(1, "a", RunMode::Primary);
    given_up.role.as_mut().unwrap().closed = Epoch(2);
    desk.reports.insert(app("a"), given_up);
    desk.reports.insert(app("b"), idle("b", 0));
    desk.link_up("alpha");
    desk.link_up("beta");
    desk.pass(ms(10));
    let (_, _, ordered, _) = desk.take_promotion().expect("an order");
    assert_eq!(ordered, role(3, "b"), "{}", desk.story());
}
