//! Tests of `leader.rs`: what a leader votes, stores and orders, one rule a test.

use super::*;

fn name(text: &str) -> ApplicationName {
    ApplicationName::new(text).unwrap()
}

fn role(epoch: u64, holder: &str) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), name(holder))
}

fn at(seconds: u64) -> Moment {
    Moment(seconds * 1_000_000_000)
}

fn terms() -> Terms {
    let s = Duration::from_secs;
    Terms {
        lease: s(10),
        drift_ppm: 100_000,
        leader_lease: s(20),
        renew_every: s(2),
        fence_budget: s(2),
        kill_budget: s(1),
    }
}

/// Acquired on a request of 100 s: it leads until 118 s. The store was read at 101 s.
fn leading(stored: Option<RoleEpoch>) -> (Leadership, Leader) {
    let leadership = Leadership::acquired(ControllerEpoch(3), at(100), &terms());
    let leader = Leader::read(&leadership, at(101), stored, terms().lease);
    (leadership, leader)
}

fn objection(vote: Vote) -> Objection {
    match vote {
        Vote::Given(given) => panic!("given: {given:?}"),
        Vote::Refused(refused) => refused.because,
    }
}

#[test]
fn a_leadership_lasts_less_than_the_store_keeps_it_and_counts_from_sending() {
    let (mut leadership, _) = leading(None);
    assert!(leadership.leads(at(117)) && !leadership.leads(at(118)));
    leadership.renewed(at(105), &terms());
    leadership.renewed(at(103), &terms());
    assert!(leadership.leads(at(122)) && !leadership.leads(at(123)));
}

#[test]
fn what_was_read_counts_as_promised_then() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    assert_eq!(
        leader.promote(&leadership, at(110), &name("b"), Epoch::NONE),
        Err(Blocked::Promised(role(4, "a"), at(111)))
    );
    let write = leader.promote(&leadership, at(111), &name("b"), Epoch::NONE).unwrap();
    assert_eq!((write.expected, write.role), (Some(role(4, "a")), role(5, "b")));
}

#[test]
fn only_exactly_the_promised_role_is_renewed() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    assert_eq!(
        leader.asked(&leadership, at(105), &role(4, "a"), terms().lease).given().unwrap().until,
        at(115)
    );
    assert_eq!(
        objection(leader.asked(&leadership, at(105), &role(3, "a"), terms().lease)),
        Objection::Higher
    );
    assert_eq!(
        objection(leader.asked(&leadership, at(105), &role(4, "b"), terms().lease)),
        Objection::Higher
    );
    assert_eq!(
        objection(leader.asked(&leadership, at(105), &role(5, "a"), terms().lease)),
        Objection::NotStored
    );
    assert_eq!(
        objection(leader.asked(&leadership, at(118), &role(4, "a"), terms().lease)),
        Objection::NotLeading
    );
    let next = Leadership::acquired(ControllerEpoch(4), at(105), &terms());
    assert_eq!(objection(leader.asked(&next, at(106), &role(4, "a"), terms().lease)), Objection::NotRead);
}

#[test]
fn nothing_is_promised_or_ordered_before_the_store_acknowledged_it() {
    let (leadership, mut leader) = leading(None);
    let write = leader.promote(&leadership, at(102), &name("a"), Epoch::NONE).unwrap();
    assert_eq!((write.expected, write.role.clone()), (None, role(1, "a")));
    assert_eq!(leader.order(&leadership, at(102)), Err(Blocked::Writing(role(1, "a"))));
    assert_eq!(
        objection(leader.asked(&leadership, at(102), &role(1, "a"), terms().lease)),
        Objection::NotStored
    );
    let Written::Order(order) = leader.written(&leadership, at(103), WriteOutcome::Done) else { panic!() };
    assert_eq!((order.role, order.fenced, order.controller_epoch), (role(1, "a"), None, ControllerEpoch(3)));
    assert_eq!(
        leader.asked(&leadership, at(104), &role(1, "a"), terms().lease).given().unwrap().until,
        at(114)
    );
    assert_eq!(leader.written(&leadership, at(104), WriteOutcome::Done), Written::NotMine);
}

#[test]
fn the_former_holder_is_not_renewed_while_a_write_for_another_is_under_way() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    leader.promote(&leadership, at(111), &name("b"), Epoch::NONE).unwrap();
    let refused = objection(leader.asked(&leadership, at(112), &role(4, "a"), terms().lease));
    assert_eq!(refused, Objection::Writing(role(5, "b")));
    assert_eq!(leader.written(&leadership, at(113), WriteOutcome::Failed), Written::AsBefore);
    assert!(leader.asked(&leadership, at(113), &role(4, "a"), terms().lease).given().is_some());
    // A write for the same holder takes nothing from it.
    leader.promote(&leadership, at(114), &name("a"), Epoch::NONE).unwrap();
    assert!(leader.asked(&leadership, at(114), &role(4, "a"), terms().lease).given().is_some());
}

#[test]
fn an_unknown_outcome_or_a_late_one_ends_the_leadership() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    leader.promote(&leadership, at(111), &name("b"), Epoch::NONE).unwrap();
    let mut late = leader.clone();
    let unknown = leader.written(&leadership, at(112), WriteOutcome::Unknown);
    assert_eq!(unknown, Written::GiveUpLeadership);
    assert!(matches!(
        objection(leader.asked(&leadership, at(112), &role(4, "a"), terms().lease)),
        Objection::Writing(_)
    ));
    assert_eq!(late.written(&leadership, at(118), WriteOutcome::Done), Written::GiveUpLeadership);
    assert!(late.order(&leadership, at(118)).is_err());
}

#[test]
fn a_release_ends_what_it_names_and_too_slow_ends_nothing() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    assert!(!leader.released(&name("a"), Epoch(3)) && !leader.released(&name("b"), Epoch(9)));
    assert!(leader.promote(&leadership, at(102), &name("b"), Epoch::NONE).is_err());
    assert!(leader.released(&name("a"), Epoch(4)));
    assert_eq!(
        objection(leader.asked(&leadership, at(102), &role(4, "a"), terms().lease)),
        Objection::Released
    );
    assert_eq!(leader.order(&leadership, at(102)), Err(Blocked::NothingPromised));
    leader.promote(&leadership, at(102), &name("b"), Epoch::NONE).unwrap();
    leader.written(&leadership, at(103), WriteOutcome::Done);
    // G9: back only after the new member's agent gave it up.
    assert!(matches!(
        leader.promote(&leadership, at(104), &name("a"), Epoch::NONE),
        Err(Blocked::Promised(..))
    ));
    leader.released(&name("b"), Epoch(5));
    assert_eq!(leader.promote(&leadership, at(104), &name("a"), Epoch::NONE).unwrap().role, role(6, "a"));
}

#[test]
fn an_acting_member_is_reaffirmed_above_what_it_acts_in() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    let same = leader.reaffirm(&leadership, at(102), &role(4, "a"), Epoch::NONE);
    assert_eq!(same, Err(Blocked::NothingToReaffirm));
    let mut other = leader.clone();
    assert_eq!(leader.reaffirm(&leadership, at(102), &role(7, "a"), Epoch::NONE).unwrap().role, role(8, "a"));
    // The stored holder is the other one: only once the promise to it is over.
    assert!(matches!(
        other.reaffirm(&leadership, at(102), &role(3, "b"), Epoch::NONE),
        Err(Blocked::Promised(..))
    ));
    other.released(&name("a"), Epoch(4));
    assert_eq!(other.reaffirm(&leadership, at(102), &role(3, "b"), Epoch::NONE).unwrap().role, role(5, "b"));
}

#[test]
fn a_device_ends_a_promise_only_in_the_leadership_that_called_it_and_is_told_only_in_the_next_order() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    assert_eq!(leader.fence(&leadership, at(102)), Ok(role(4, "a")));
    assert_eq!(
        objection(leader.asked(&leadership, at(102), &role(4, "a"), terms().lease)),
        Objection::Fencing
    );
    assert_eq!(leader.order(&leadership, at(102)), Err(Blocked::Fencing(role(4, "a"))));
    assert!(matches!(
        leader.promote(&leadership, at(102), &name("a"), Epoch::NONE),
        Err(Blocked::Fencing(_))
    ));
    assert!(matches!(
        leader.promote(&leadership, at(102), &name("b"), Epoch::NONE),
        Err(Blocked::Promised(..))
    ));
    assert!(!leader.fenced(ControllerEpoch(2), &role(4, "a"), true), "of an earlier leadership");
    assert!(!leader.fenced(ControllerEpoch(3), &role(3, "a"), true), "of another role");
    assert!(!leader.fenced(ControllerEpoch(3), &role(4, "a"), false));
    assert_eq!(
        objection(leader.asked(&leadership, at(103), &role(4, "a"), terms().lease)),
        Objection::Fencing,
        "a failed call does not bring the vote back"
    );
    assert!(leader.fenced(ControllerEpoch(3), &role(4, "a"), true));
    leader.promote(&leadership, at(104), &name("b"), Epoch::NONE).unwrap();
    let Written::Order(order) = leader.written(&leadership, at(105), WriteOutcome::Done) else { panic!() };
    assert_eq!((order.role, order.fenced), (role(5, "b"), Some(role(4, "a"))));
}

#[test]
fn a_device_that_never_answers_holds_nothing_up_for_longer_than_the_promise() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    leader.fence(&leadership, at(102)).unwrap();
    leader.promote(&leadership, at(111), &name("b"), Epoch::NONE).unwrap();
    let written = leader.written(&leadership, at(112), WriteOutcome::Done);
    assert!(matches!(written, Written::Order(order) if order.fenced.is_none()));
    assert!(leader.asked(&leadership, at(113), &role(5, "b"), terms().lease).given().is_some());
}

#[test]
fn a_restored_store_waits_asks_both_and_writes_above_everything() {
    let leadership = Leadership::acquired(
        ControllerEpoch(9),
        at(100),
        &Terms { leader_lease: Duration::from_secs(999), ..terms() },
    );
    let mut leader =
        Leader::read_restored(&leadership, at(100), Some(role(2, "a")), &terms(), ["a", "b"].map(name));
    assert_eq!(
        objection(leader.asked(&leadership, at(101), &role(2, "a"), terms().lease)),
        Objection::NotRead
    );
    assert!(!leader.released(&name("a"), Epoch(9)));
    assert!(
        !leader.agent_said(at(119), &name("a"), Epoch(9), Duration::ZERO),
        "the former leader may still vote"
    );
    assert!(leader.agent_said(at(120), &name("a"), Epoch(6), Duration::ZERO));
    assert_eq!(leader.promote(&leadership, at(199), &name("b"), Epoch::NONE), Err(Blocked::Restored));
    assert!(leader.agent_said(at(200), &name("b"), Epoch(4), Duration::ZERO));
    assert_eq!(leader.promote(&leadership, at(209), &name("b"), Epoch::NONE), Err(Blocked::Restored));
    let write = leader.promote(&leadership, at(210), &name("b"), Epoch::NONE).unwrap();
    assert_eq!((write.expected, write.role), (Some(role(2, "a")), role(7, "b")));
    assert!(matches!(leader.written(&leadership, at(211), WriteOutcome::Done), Written::Order(_)));
    assert!(leader.asked(&leadership, at(212), &role(7, "b"), terms().lease).given().is_some());
}

#[test]
fn who_does_not_lead_does_nothing() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    assert_eq!(leader.promote(&leadership, at(118), &name("a"), Epoch::NONE), Err(Blocked::NotLeading));
    assert_eq!(leader.order(&leadership, at(118)), Err(Blocked::NotLeading));
    assert_eq!(leader.fence(&leadership, at(118)), Err(Blocked::NotLeading));
}

#[test]
fn moving_the_origin_moves_every_moment() {
    let (mut leadership, mut leader) = leading(Some(role(4, "a")));
    leadership.shift(Duration::from_secs(100));
    leader.shift(Duration::from_secs(100));
    assert!(leadership.leads(at(17)) && !leadership.leads(at(18)));
    assert!(leader.promote(&leadership, at(10), &name("b"), Epoch::NONE).is_err());
    assert!(leader.promote(&leadership, at(11), &name("b"), Epoch::NONE).is_ok());
}

#[test]
fn a_reaffirmed_holder_stays_bound_for_what_a_longer_lease_before_gave_it() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    assert!(leader.asked(&leadership, at(105), &role(4, "a"), terms().lease).given().is_some());
    leader.set_lease(Duration::from_secs(1));
    leader.reaffirm(&leadership, at(106), &role(3, "a"), Epoch(6)).unwrap();
    assert!(matches!(leader.written(&leadership, at(106), WriteOutcome::Done), Written::Order(_)));
    // A vote of 105 s for 10 s is worth that long to it, whatever the next epoch is given.
    let early = leader.promote(&leadership, at(114), &name("b"), Epoch::NONE);
    assert_eq!(early, Err(Blocked::Promised(role(7, "a"), at(115))));
    assert!(leader.promote(&leadership, at(115), &name("b"), Epoch::NONE).is_ok());
}

#[test]
fn a_leadership_by_lock_lasts_until_it_is_given_up() {
    let mut leadership = Leadership::held_by_lock(ControllerEpoch(3));
    let mut leader = Leader::read(&leadership, at(1), Some(role(4, "a")), terms().lease);
    assert!(leader.asked(&leadership, at(9_000_000), &role(4, "a"), terms().lease).given().is_some());
    leadership.give_up();
    assert_eq!(
        objection(leader.asked(&leadership, at(9_000_001), &role(4, "a"), terms().lease)),
        Objection::NotLeading
    );
}

#[test]
fn what_the_next_leader_waits_for_gets_shorter_only_by_the_request_of_the_stored_holder() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    let second = Duration::from_secs(1);
    assert!(leader.asked(&leadership, at(105), &role(4, "a"), terms().lease).given().is_some());
    leader.set_lease(second);
    assert!(leader.lease_differs());
    let write = leader.reaffirm(&leadership, at(106), &role(4, "a"), Epoch(4)).unwrap();
    assert_eq!((write.role, write.covers), (role(5, "a"), terms().lease));
    let Written::Order(order) = leader.written(&leadership, at(106), WriteOutcome::Done) else { panic!() };
    assert_eq!((order.lease, leader.covers()), (second, terms().lease));
    assert!(!leader.lease_differs());
    // Its request in the epoch before is no such word, and is refused.
    assert_eq!(
        objection(leader.asked(&leadership, at(106), &role(4, "a"), terms().lease)),
        Objection::Higher
    );
    assert_eq!((leader.covers(), leader.promise_until()), (terms().lease, at(115)));
    assert!(leader.asked(&leadership, at(107), &role(5, "a"), second).given().is_some());
    assert_eq!((leader.covers(), leader.promise_until()), (second, at(108)));
    let blocked = leader.reaffirm(&leadership, at(107), &role(5, "a"), Epoch(5));
    assert_eq!(blocked, Err(Blocked::NothingToReaffirm));
    assert!(leader.promote(&leadership, at(108), &name("b"), Epoch::NONE).is_ok());
}

#[test]
fn another_holder_is_stored_with_the_longest_lease_until_it_asks() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    leader.set_lease(Duration::from_secs(1));
    assert!(leader.released(&name("a"), Epoch(4)));
    let write = leader.promote(&leadership, at(102), &name("b"), Epoch::NONE).unwrap();
    assert_eq!(
        write.covers,
        terms().lease,
        "an agent that forgot its vote for a is told to be silent for as long"
    );
    leader.written(&leadership, at(102), WriteOutcome::Done);
    assert_eq!(leader.promise_until(), at(103), "nobody but b counts on this promise");
    leader.asked(&leadership, at(103), &role(5, "b"), Duration::from_secs(1));
    assert_eq!(leader.covers(), Duration::from_secs(1));
}

#[test]
fn what_was_read_is_the_longest_and_says_nothing_of_the_lease_of_the_epoch() {
    let (leadership, mut leader) = leading(Some(role(4, "a")));
    let second = Duration::from_secs(1);
    leader.set_lease(second);
    assert_eq!((leader.promised_lease(), leader.lease_differs()), (None, false));
    let longer = leader.asked(&leadership, at(102), &role(4, "a"), Duration::from_secs(11));
    assert_eq!(objection(longer), Objection::LongerLease(terms().lease));
    assert!(leader.asked(&leadership, at(102), &role(4, "a"), second).given().is_some());
    assert_eq!((leader.promised_lease(), leader.promise_until()), (Some(second), at(103)));
}

#[test]
fn a_restored_store_waits_for_the_longest_lease_that_an_agent_names() {
    let (leadership, long) = (leading(None).0, Duration::from_secs(600));
    let members = [name("a"), name("b")];
    let mut leader = Leader::read_restored(&leadership, at(100), Some(role(4, "a")), &terms(), members);
    assert!(leader.agent_said(at(120), &name("a"), Epoch(6), long));
    assert!(leader.agent_said(at(120), &name("b"), Epoch(4), Duration::ZERO));
    assert!(!leader.is_writable(at(719)) && leader.is_writable(at(720)));
}
