//! Tests of `holder.rs`: what a holder counts on, one rule a test.

use super::super::{Objection, Promise};
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
        leader_lease: s(3),
        renew_every: s(2),
        fence_budget: s(2),
        kill_budget: s(1),
    }
}

fn kept(epoch: u64, holder: &str, closed: u64) -> Kept {
    let lease = terms().lease;
    Kept { promised: Some(Promise { role: role(epoch, holder), lease }), closed: Epoch(closed) }
}

const LIFE: Incarnation = Incarnation(7);

/// The member `a`, ordered at 100 s to be primary in epoch 1.
fn ordered() -> Holder {
    let mut holder = Holder::new(name("a"), LIFE, &Kept::default());
    holder.take(at(100), role(1, "a"), terms().lease, &terms());
    holder
}

fn yes(ask: &Ask) -> Answer {
    Answer { incarnation: ask.incarnation, number: ask.number, role: ask.role.clone() }
}

#[test]
fn a_vote_counts_from_the_moment_of_asking() {
    let mut holder = ordered();
    assert!(!holder.page().may_act(at(100)), "an order is permission to ask, no more");
    let ask = holder.ask(at(100), &terms()).unwrap();
    assert_eq!(holder.hear(at(104), OtherVoter::Control, &yes(&ask)), Heard::Extended);
    assert_eq!(holder.may_act_until(), at(109));
    assert_eq!(holder.page(), Page { role: Some(role(1, "a")), until: at(109) });
    assert!(holder.page().may_act(at(108)) && !holder.page().may_act(at(109)));
    assert_eq!(holder.hear(at(105), OtherVoter::Peer, &yes(&ask)), Heard::NoLonger);
    assert_eq!(holder.granted_until(OtherVoter::Peer), at(109));
}

#[test]
fn one_voter_is_enough_and_an_older_answer_takes_nothing_away() {
    let mut holder = ordered();
    let first = holder.ask(at(100), &terms()).unwrap();
    let second = holder.ask(at(102), &terms()).unwrap();
    assert_eq!(holder.hear(at(103), OtherVoter::Peer, &yes(&second)), Heard::Extended);
    assert_eq!(holder.hear(at(103), OtherVoter::Peer, &yes(&first)), Heard::NoLonger);
    assert_eq!(holder.may_act_until(), at(111));
}

#[test]
fn what_this_life_did_not_ask_counts_nothing() {
    let mut holder = ordered();
    let ask = holder.ask(at(100), &terms()).unwrap();
    let other = Answer { incarnation: Incarnation(6), ..yes(&ask) };
    assert_eq!(holder.hear(at(101), OtherVoter::Peer, &other), Heard::OtherLife);
    let unknown = Answer { number: 9, ..yes(&ask) };
    assert_eq!(holder.hear(at(101), OtherVoter::Peer, &unknown), Heard::UnknownNumber);
    let foreign = Answer { role: role(1, "b"), ..yes(&ask) };
    assert_eq!(holder.hear(at(101), OtherVoter::Peer, &foreign), Heard::GivenUp);
    let future = Answer { role: role(2, "a"), ..yes(&ask) };
    assert_eq!(holder.hear(at(101), OtherVoter::Peer, &future), Heard::GivenUp);
    assert!(!holder.page().may_act(at(101)));
}

#[test]
fn an_answer_for_an_epoch_that_was_given_up_counts_nothing_for_a_later_one() {
    let mut holder = ordered();
    let ask = holder.ask(at(100), &terms()).unwrap();
    holder.give_up(Epoch(1));
    assert_eq!(holder.given_up(), Epoch(1));
    holder.take(at(101), role(2, "a"), terms().lease, &terms());
    assert_eq!(holder.hear(at(102), OtherVoter::Peer, &yes(&ask)), Heard::GivenUp);
    assert!(!holder.page().may_act(at(102)));
    holder.take(at(103), role(1, "a"), terms().lease, &terms());
    assert_eq!(holder.held(), Some(&role(2, "a")), "it is never entered again");
}

#[test]
fn a_reaffirmed_member_keeps_its_expiry_and_the_answers_of_its_open_epochs() {
    let mut holder = ordered();
    let first = holder.ask(at(100), &terms()).unwrap();
    let second = holder.ask(at(103), &terms()).unwrap();
    holder.hear(at(103), OtherVoter::Peer, &yes(&first));
    holder.take(at(104), role(2, "a"), terms().lease, &terms());
    assert_eq!(holder.page(), Page { role: Some(role(2, "a")), until: at(109) });
    assert_eq!(holder.hear(at(105), OtherVoter::Peer, &yes(&second)), Heard::Extended);
    holder.give_up(Epoch(1));
    assert_eq!((holder.may_act_until(), holder.given_up()), (at(112), Epoch::NONE), "the higher one goes on");
}

#[test]
fn steps_come_in_their_order_asking_stepping_down_giving_up() {
    let (mut holder, terms) = (ordered(), terms());
    assert_eq!(holder.due(at(100), &terms), Due::Ask);
    let ask = holder.ask(at(100), &terms).unwrap();
    assert_eq!(holder.due(at(101), &terms), Due::Wait(Some(at(102))));
    holder.hear(at(101), OtherVoter::Peer, &yes(&ask));
    assert_eq!(holder.due(at(102), &terms), Due::Ask);
    holder.ask(at(106), &terms).unwrap();
    assert_eq!(holder.due(at(106), &terms), Due::Wait(Some(at(107))));
    assert_eq!(holder.due(at(107), &terms), Due::Demote);
    assert_eq!(holder.due(at(109), &terms), Due::GiveUp);
    assert_eq!(holder.ask(at(109), &terms), None, "an expired holder asks no more");
    assert_eq!((holder.kill_at(&terms, true), holder.kill_at(&terms, false)), (at(109), at(108)));
    holder.give_up(Epoch(1));
    assert_eq!(holder.due(at(109), &terms), Due::Wait(None));
}

#[test]
fn an_order_that_nobody_answers_within_a_lease_is_given_up() {
    let (mut holder, terms) = (ordered(), terms());
    let ask = holder.ask(at(109), &terms).unwrap();
    assert_eq!(holder.due(at(109), &terms), Due::Wait(Some(at(110))));
    assert_eq!(holder.due(at(110), &terms), Due::GiveUp);
    assert_eq!(holder.hear(at(110), OtherVoter::Peer, &yes(&ask)), Heard::NoLonger);
    assert_eq!(holder.ask(at(110), &terms), None);
}

#[test]
fn a_member_that_does_not_act_is_overtaken_by_a_higher_epoch_of_another() {
    let mut holder = ordered();
    let no = |epoch, who| Refused {
        asked: role(1, "a"),
        promised: Some(role(epoch, who)),
        because: Objection::Higher,
    };
    assert!(holder.hear_refusal(at(100), &no(2, "b")));
    assert!(!holder.hear_refusal(at(100), &no(2, "a")) && !holder.hear_refusal(at(100), &no(1, "b")));
    let ask = holder.ask(at(100), &terms()).unwrap();
    holder.hear(at(101), OtherVoter::Peer, &yes(&ask));
    assert!(!holder.hear_refusal(at(101), &no(2, "b")), "one that acts is not stopped by a word");
}

#[test]
fn adoption_wants_page_and_promise_to_say_the_same_and_keeps_the_old_expiry() {
    let page = Page { role: Some(role(2, "a")), until: at(50) };
    let adopt = |kept: &Kept, page: Option<&Page>| Holder::adopt(name("a"), LIFE, kept, page);
    let found = adopt(&kept(2, "a", 1), Some(&page));
    assert!(found.adopted && found.close.is_none());
    let holder = found.holder;
    assert_eq!((holder.page(), holder.held()), (page.clone(), Some(&role(2, "a"))));
    for (kept, page, close) in [
        (kept(2, "a", 1), None, Some(Epoch(2))),
        (kept(3, "a", 1), Some(&page), Some(Epoch(3))),
        (kept(2, "a", 2), Some(&page), None),
        (kept(2, "b", 0), Some(&page), None),
        (Kept::default(), Some(&page), None),
    ] {
        let found = adopt(&kept, page);
        assert_eq!((found.adopted, found.close), (false, close), "{kept:?}");
        assert_eq!(found.holder.page().role, None);
    }
    let backup = Page { role: None, until: at(50) };
    assert_eq!(adopt(&kept(2, "a", 1), Some(&backup)).close, Some(Epoch(2)));
}

#[test]
fn the_lease_of_the_epoch_is_asked_for_and_counted_with() {
    let mut holder = Holder::new(name("a"), LIFE, &Kept::default());
    holder.take(at(100), role(1, "a"), Duration::from_secs(5), &terms());
    let longer = Terms { lease: Duration::from_secs(60), ..terms() };
    let ask = holder.ask(at(100), &longer).unwrap();
    assert_eq!(ask.lease, Duration::from_secs(5));
    assert_eq!(holder.worth(ask.number), Some(Moment(104_500_000_000)));
}

#[test]
fn the_list_of_requests_is_bounded() {
    let mut holder = ordered();
    let first = holder.ask(at(100), &terms()).unwrap();
    for _ in 0..MOST_ASKED {
        holder.ask(at(100), &terms()).unwrap();
    }
    assert_eq!(holder.asked.len(), MOST_ASKED);
    assert_eq!(holder.hear(at(100), OtherVoter::Peer, &yes(&first)), Heard::UnknownNumber);
}

#[test]
fn moving_the_origin_moves_every_moment() {
    let mut holder = ordered();
    let ask = holder.ask(at(100), &terms()).unwrap();
    holder.shift(Duration::from_secs(100));
    assert_eq!(holder.hear(at(1), OtherVoter::Twin, &yes(&ask)), Heard::Extended);
    assert_eq!(holder.may_act_until(), at(9));
    holder.shift(Duration::MAX);
    assert_eq!(holder.may_act_until(), at(0));
}

#[test]
fn a_shorter_epoch_cuts_what_was_counted_on_and_what_is_yet_to_come() {
    let mut holder = ordered();
    let (first, second) = (holder.ask(at(100), &terms()).unwrap(), holder.ask(at(101), &terms()).unwrap());
    holder.hear(at(101), OtherVoter::Peer, &yes(&first));
    assert_eq!(holder.may_act_until(), at(109));
    // A lease of two seconds, of which it counts on 1.8.
    assert!(holder.take(at(102), role(2, "a"), Duration::from_secs(2), &terms()));
    assert_eq!(holder.page(), Page { role: Some(role(2, "a")), until: Moment(103_800_000_000) });
    // A yes that was on its way counts for no more than that.
    assert_eq!(holder.hear(at(102), OtherVoter::Control, &yes(&second)), Heard::NoLonger);
    let ask = holder.ask(at(103), &terms()).unwrap();
    assert_eq!(
        (ask.lease, holder.hear(at(103), OtherVoter::Control, &yes(&ask))),
        (Duration::from_secs(2), Heard::Extended)
    );
    assert_eq!(holder.may_act_until(), Moment(104_800_000_000));
}

#[test]
fn an_adopted_page_is_cut_as_well_and_a_longer_epoch_cuts_nothing() {
    let page = Page { role: Some(role(2, "a")), until: at(109) };
    let mut holder = Holder::adopt(name("a"), LIFE, &kept(2, "a", 0), Some(&page)).holder;
    assert!(!holder.take(at(100), role(3, "a"), Duration::from_secs(60), &terms()));
    assert_eq!((holder.may_act_until(), holder.lease()), (at(109), Duration::from_secs(60)));
    assert!(holder.take(at(100), role(4, "a"), Duration::from_secs(1), &terms()));
    assert_eq!(holder.may_act_until(), Moment(100_900_000_000));
}

#[test]
fn it_asks_three_times_in_a_lease_that_is_shorter_than_the_spans_told_with_the_former_one() {
    let mut holder = Holder::new(name("a"), LIFE, &Kept::default());
    holder.take(at(100), role(1, "a"), Duration::from_secs(2), &terms());
    holder.ask(at(100), &terms()).unwrap();
    assert_eq!(holder.ask_at(), Moment(100_600_000_000));
}
