//! A control server with a `strict` pair: one story for each way in which a role goes from one member to the other, or does not.

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::*;
use understudy_model::*;

#[test]
fn a_release_fails_over_at_once_without_a_question_and_the_order_tells_of_it() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 0));
    // The process is gone, and the epoch is not given up: nobody is promoted, and nobody is told that all is well.
    desk.pass(ms(20));
    assert!(desk.records.is_empty() && desk.take_promotion().is_none(), "{}", desk.story());
    desk.reports(ended(1, "a", 1));
    let (to, order, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((to.clone(), ordered), (host("beta"), role(2, "b")));
    assert_eq!((grant.lease, grant.fenced), (ms(1_000), Some(role(1, "a"))));
    assert!(desk.take_pre_vote().is_none(), "a release needs no question");
    desk.reports(acting(2, "b"));
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!((desk.state().as_str(), desk.view().primary), ("held", Some(app("b"))));
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
}

#[test]
fn the_record_and_the_order_are_two_decisions_at_one_moment() {
    let mut desk = Desk::settled();
    let ended = ended(1, "a", 1);
    desk.step(ControlSaw::Reported { host: host("alpha"), report: ended });
    assert_eq!(desk.stored.roles[&pair()], role(2, "b"));
    assert!(desk.take_promotion().is_none(), "ordered in the decision of the record");
    assert_eq!(desk.control.next_deadline(), Some(desk.now));
    desk.step(ControlSaw::DeadlinePassed);
    assert!(desk.take_promotion().is_some());
}

#[test]
fn a_silent_primary_is_followed_when_its_promise_ran_out_and_the_other_agent_would_promise() {
    let mut desk = Desk::settled();
    desk.pass(ms(500));
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(999));
    assert!(desk.take_pre_vote().is_none() && desk.records.is_empty(), "{}", desk.story());
    desk.pass(ms(1));
    let (to, order, asked) = desk.take_pre_vote().expect("it is asked");
    assert_eq!((to.clone(), asked), (host("beta"), role(2, "b")));
    assert!(desk.records.is_empty(), "nothing is stored before the answer");
    desk.answers(&to, &order, Outcome::Done);
    let (_, _, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((ordered, grant.fenced), (role(2, "b"), None));
    assert!(desk.told(Rule::PromiseExpired), "{}", desk.story());
}

#[test]
fn a_primary_that_only_this_control_server_cannot_hear_costs_no_epoch() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(1_000));
    for _ in 0..3 {
        let (to, order, _) = desk.take_pre_vote().expect("it is asked again");
        let refused = Refusal::Promised(role(1, "a"), ms(300));
        desk.answers(&to, &order, Outcome::Refused(refused));
        let view = desk.view();
        assert_eq!((view.primary, view.primary_heard), (Some(app("a")), false));
        assert_eq!(view.alive_through, Some(app("b")));
        assert!(view.considered.nearly.iter().any(|nearly| nearly.missed.contains("alive through b")));
        desk.pass(ms(299));
        assert!(desk.take_pre_vote().is_none());
        desk.pass(ms(1));
    }
    assert!(desk.records.is_empty(), "{}", desk.story());
    desk.link_up("alpha");
    assert_eq!((desk.state().as_str(), desk.view().alive_through), ("held", None));
}

#[test]
fn nothing_is_decided_about_a_pair_of_which_nobody_is_heard_however_long() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.link_down("beta", LinkEnd::Silent);
    desk.pass(ms(60_000));
    assert!(desk.records.is_empty());
    assert_eq!(desk.view().primary, Some(app("a")), "both may renew each other: {}", desk.story());
}

#[test]
fn a_new_leadership_waits_a_lease_or_a_release() {
    let mut desk = Desk::settled();
    desk.restart();
    desk.link_up("beta");
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(999));
    assert!(desk.take_pre_vote().is_none(), "what was read counts as promised");
    desk.pass(ms(1));
    assert!(desk.take_pre_vote().is_some());

    desk.restart();
    desk.link_up("beta");
    let left = ApplicationReport { gave_up: true, ..ended(1, "a", 1) };
    desk.reports.insert(app("a"), left);
    desk.link_up("alpha");
    let (_, _, ordered, _) = desk.take_promotion().expect("a release is enough");
    assert_eq!(ordered, role(2, "b"));
}

#[test]
fn a_stored_epoch_keeps_the_lease_that_it_was_given_when_the_setting_is_shortened() {
    let given = |memory: &mut ControlMemory| {
        memory.grants.leases.insert(pair(), ms(3_000));
    };
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), given);
    desk.settle();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(2_999));
    assert!(desk.take_pre_vote().is_none());
    desk.pass(ms(1));
    let (to, order, _) = desk.take_pre_vote().unwrap();
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!(desk.take_promotion().unwrap().3.lease, ms(1_000), "the next epoch has the new one");
    assert_eq!(desk.stored.grants.leases[&pair()], ms(1_000));
}

#[test]
fn an_order_that_did_not_arrive_is_repeated_while_its_promise_binds() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    let (_, first, _, _) = desk.take_promotion().unwrap();
    desk.link_down("beta", LinkEnd::Closed);
    desk.pass(ms(100));
    desk.link_up("beta");
    let (_, again, ordered, _) = desk.take_promotion().expect("the same order again");
    assert_eq!(ordered, role(2, "b"));
    assert_ne!(first.incarnation, again.incarnation);
    assert!(desk.told(Rule::OrderRepeated));
    assert_eq!(
        desk.records.iter().filter(|record| matches!(record, ControlRecord::RaiseEpoch { .. })).count(),
        1
    );
}

#[test]
fn a_refused_order_is_rolled_back_only_after_its_epoch_is_given_up() {
    let mut desk = Desk::settled();
    desk.reports(idle("a", 1));
    let (to, order, _, _) = desk.take_promotion().unwrap();
    // The refusal comes without its report: no permission to promote.
    desk.answers(&to, &order, Outcome::Refused(Refusal::TooSlow));
    assert!(desk.take_promotion().is_none(), "{}", desk.story());
    desk.reports(idle("b", 2));
    let (back, _, ordered, _) = desk.take_promotion().expect("the way back");
    assert_eq!((back, ordered), (host("alpha"), role(3, "a")));
    assert!(desk.told(Rule::RollBack));
}

#[test]
fn an_agent_that_is_bound_to_the_silent_primary_is_asked_before_the_next_epoch() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(1_000));
    let (to, order, _) = desk.take_pre_vote().unwrap();
    desk.answers(&to, &order, Outcome::Done);
    let (to, order, _, _) = desk.take_promotion().unwrap();
    // It renewed the primary meanwhile.
    desk.reports(idle("b", 2));
    desk.answers(&to, &order, Outcome::Refused(Refusal::Promised(role(1, "a"), ms(400))));
    desk.pass(ms(399));
    assert!(desk.take_promotion().is_none() && desk.take_pre_vote().is_none(), "{}", desk.story());
    desk.pass(ms(1));
    let (to, order, asked) = desk.take_pre_vote().expect("asked again");
    assert_eq!(asked, role(3, "b"));
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!(desk.take_promotion().unwrap().2, role(3, "b"));
}

#[test]
fn a_member_that_acts_in_an_older_role_is_reaffirmed_when_the_other_gave_up() {
    let mut desk = Desk::new(Some(role(2, "b")));
    desk.reports.insert(app("a"), acting(1, "a"));
    desk.reports.insert(app("b"), ended(2, "b", 0));
    desk.link_up("alpha");
    desk.link_up("beta");
    desk.pass(ms(500));
    assert!(desk.records.is_empty(), "the promise to b binds: {}", desk.story());
    desk.reports(ended(2, "b", 2));
    let (to, _, ordered, _) = desk.take_promotion().expect("a new epoch for the one that acts");
    assert_eq!((to, ordered), (host("alpha"), role(3, "a")));
    assert!(desk.told(Rule::Reaffirm));
}

#[test]
fn votes_are_for_the_promised_role_asked_by_its_own_host() {
    let mut desk = Desk::settled();
    let refused = |verdict: Verdict| matches!(verdict, Verdict::Refused { .. });
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    assert!(refused(desk.asks_vote("beta", role(1, "a"))), "another host asks for it");
    assert!(refused(desk.asks_vote("beta", role(1, "b"))));
    assert!(refused(desk.asks_vote("alpha", role(2, "a"))));
    assert!(refused(desk.asks_vote("alpha", role(1, "nobody"))));
    let view = desk.view();
    assert_eq!((view.votes_given, view.votes_refused), (1, 2));
    desk.cluster.pairs.get_mut(&pair()).unwrap().policy = Policy::Available;
    desk.configure();
    assert!(refused(desk.asks_vote("alpha", role(1, "a"))), "there are no promises under available");
}

#[test]
fn an_epoch_that_was_certainly_not_stored_leaves_everything_as_it_was() {
    let mut desk = Desk::settled();
    desk.disk = Disk::Full;
    desk.reports(ended(1, "a", 1));
    assert!(desk.take_promotion().is_none());
    assert_eq!(desk.view().stored, Some(role(1, "a")));
    desk.disk = Disk::Works;
    desk.pass(RETRY);
    assert_eq!(desk.take_promotion().unwrap().2, role(2, "b"));
}

#[test]
fn after_an_unknown_outcome_nothing_is_voted_stored_or_ordered() {
    let mut desk = Desk::settled();
    desk.disk = Disk::Unknown;
    desk.reports(ended(1, "a", 1));
    desk.disk = Disk::Works;
    let before = desk.records.len();
    desk.pass(ms(10_000));
    assert!(desk.take_promotion().is_none() && desk.records.len() == before, "{}", desk.story());
    assert!(matches!(desk.asks_vote("alpha", role(1, "a")), Verdict::Refused { .. }));
}

#[test]
fn an_agent_without_memory_is_told_what_the_store_holds() {
    let mut desk = Desk::settled();
    let mut blank = idle("b", 0);
    if let Some(told) = &mut blank.role {
        told.strict = Some(GrantReport { unread: true, ..GrantReport::default() });
    }
    desk.reports(blank);
    let (to, order) = desk.take(|work| matches!(work, Work::Learn { .. })).expect("it is told");
    assert_eq!(
        (to.clone(), order.work.clone()),
        (host("beta"), Work::Learn { pair: pair(), stored: Epoch(1) })
    );
    desk.pass(ms(5_000));
    assert!(
        desk.take(|work| matches!(work, Work::Learn { .. })).is_none(),
        "once, while it has not answered"
    );
    desk.reports(idle("b", 1));
    desk.answers(&to, &order, Outcome::Done);
}
