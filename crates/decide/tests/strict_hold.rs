//! A host that is held for planned work: what acts there has a long lease for so long, and its usual one after that.

use std::time::Duration;

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::{Ask, *};
use understudy_model::*;

const LONG: u64 = 600_000;

fn hold(name: &str, span: Option<u64>) -> Ask {
    Ask::Hold {
        name: name.to_owned(),
        span: span.map(ms),
        dry_run: false,
        reason: Some("new agent".to_owned()),
    }
}

/// `a` acts in epoch 1 with a lease of 1 s, known to the control server by its request.
fn renewed() -> Desk {
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |memory| {
        memory.grants.leases.insert(pair(), ms(1_000));
    });
    desk.settle();
    renews(&mut desk, 1, 1_000);
    desk
}

fn renews(desk: &mut Desk, epoch: u64, lease: u64) {
    assert_eq!(desk.asks_vote_for("alpha", role(epoch, "a"), ms(lease)), Verdict::Given);
    desk.pass(ms(10));
}

fn takes(desk: &mut Desk, epoch: u64) -> Duration {
    let (to, order, ordered, grant) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
    assert_eq!((to.clone(), ordered), (host("alpha"), role(epoch, "a")));
    desk.reports(acting(epoch, "a"));
    desk.answers(&to, &order, Outcome::Done);
    grant.lease
}

fn held() -> Desk {
    let mut desk = renewed();
    assert!(matches!(desk.asks(hold("alpha", Some(LONG))), Reply::Begun(_)));
    desk.pass(ms(1));
    assert_eq!(takes(&mut desk, 2), ms(LONG));
    renews(&mut desk, 2, LONG);
    desk
}

fn operation(desk: &Desk) -> OperationState {
    desk.control.view(desk.now).operations.last().expect("an operation").state.clone()
}

fn alpha(desk: &Desk) -> Option<String> {
    let hosts = desk.control.view(desk.now).hosts;
    hosts.into_iter().find(|known| known.name == host("alpha")).and_then(|known| known.held)
}

#[test]
fn what_acts_on_a_held_host_gets_a_long_lease_and_people_are_told_what_its_loss_costs() {
    let mut desk = renewed();
    desk.asks(hold("alpha", Some(LONG)));
    assert_eq!(operation(&desk), OperationState::Running);
    desk.pass(ms(1));
    assert_eq!(takes(&mut desk, 2), ms(LONG));
    desk.pass(ms(10));
    assert_eq!(operation(&desk), OperationState::Running, "its agent has not asked with it yet");
    renews(&mut desk, 2, LONG);
    desk.pass(ms(10));
    assert_eq!(operation(&desk), OperationState::Done);
    assert_eq!(desk.stored.holds[&host("alpha")].lease, ms(LONG));
    let told = alpha(&desk).expect("it is held");
    assert!(
        told.contains("up to 10 min instead of 1 s for pair p (a)") && told.contains("(new agent)"),
        "{told}"
    );
    let warnings = desk.control.view(desk.now).warnings;
    assert!(warnings.iter().any(|text| text.contains("scsctl host hold alpha --end")), "{warnings:#?}");
    let why = format!("{:?}", desk.view().considered.facts);
    assert!(why.contains("10 min instead of 1 s"), "{why}");
    assert!(desk.told(Rule::HoldSet) && desk.told(Rule::LeaseChanges));
}

#[test]
fn its_loss_is_followed_that_late_and_a_crash_at_once() {
    let mut desk = held();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(LONG - 1_000));
    assert!(desk.take_pre_vote().is_none(), "{}", desk.story());
    desk.pass(ms(1_000));
    assert!(desk.take_pre_vote().is_some(), "{}", desk.story());

    let mut desk = held();
    desk.reports(ended(2, "a", 2));
    let (_, _, ordered, grant) = desk.take_promotion().expect("a release is enough");
    assert_eq!((ordered, grant.lease), (role(3, "b"), ms(1_000)), "beta is not held");
}

#[test]
fn the_usual_lease_comes_back_when_the_time_is_over_or_an_operator_says_so() {
    let mut desk = held();
    for _ in 0..LONG / 60_000 {
        desk.pass(ms(60_000));
        desk.asks_vote_for("alpha", role(2, "a"), ms(LONG));
    }
    assert_eq!((takes(&mut desk, 3), alpha(&desk)), (ms(1_000), None));
    assert!(desk.stored.holds.is_empty());

    let mut desk = held();
    assert!(matches!(desk.asks(hold("alpha", None)), Reply::Done { .. }));
    desk.pass(ms(1));
    assert_eq!(takes(&mut desk, 3), ms(1_000));
    renews(&mut desk, 3, 1_000);
    assert!(desk.stored.holds.is_empty() && desk.take_promotion().is_none());
    assert!(matches!(desk.asks(hold("alpha", None)), Reply::Done { text } if text.contains("is not held")));
}

#[test]
fn a_control_server_that_restarts_knows_of_the_hold() {
    let mut desk = held();
    desk.restart();
    desk.link_up("alpha");
    desk.link_up("beta");
    renews(&mut desk, 2, LONG);
    assert!(desk.take_promotion().is_none() && alpha(&desk).is_some(), "{}", desk.story());
    desk.asks(hold("alpha", None));
    desk.pass(ms(1));
    assert_eq!(takes(&mut desk, 3), ms(1_000));
}

#[test]
fn what_cannot_be_held_is_refused_with_the_reason() {
    let refused = |desk: &mut Desk, ask: Ask| match desk.asks(ask) {
        Reply::Refused { code, message, because, .. } => (code, format!("{message}: {}", because.join("; "))),
        other => panic!("{other:?}"),
    };
    let mut desk = renewed();
    assert_eq!(refused(&mut desk, hold("gamma", Some(LONG))).0, "not-found");
    let (code, text) = refused(&mut desk, hold("alpha", Some(3_600_001)));
    assert!(code == "not-possible" && text.contains("up to 1 h"), "{text}");
    assert!(refused(&mut desk, hold("beta", Some(LONG))).1.contains("nothing of a pair is primary on beta"));
    assert!(refused(&mut desk, hold("alpha", Some(900))).1.contains("usual lease is 1 s already"));
    desk.link_down("alpha", LinkEnd::Silent);
    let (code, text) = refused(&mut desk, hold("alpha", Some(LONG)));
    assert!(code == "unreachable" && text.contains("agent of host alpha"), "{text}");
    assert!(desk.stored.holds.is_empty());

    let mut available = cluster();
    available.pairs.get_mut(&pair()).unwrap().policy = Policy::Available;
    let mut desk = Desk::with(available, Some(role(1, "a")), |_| ());
    desk.settle();
    assert!(refused(&mut desk, hold("alpha", Some(LONG))).1.contains("its policy is available"));
}

#[test]
fn a_plan_changes_nothing_and_a_hold_that_cannot_be_stored_is_none() {
    let mut desk = renewed();
    let plan = Ask::Hold { name: "alpha".to_owned(), span: Some(ms(LONG)), dry_run: true, reason: None };
    let Reply::Plan { steps, checks, .. } = desk.asks(plan) else { panic!() };
    assert!(checks.iter().all(|check| check.ok) && steps[0].contains("10 min instead of 1 s"), "{steps:?}");
    desk.pass(ms(10));
    assert!(desk.take_promotion().is_none() && desk.stored.holds.is_empty());

    desk.disk = Disk::Full;
    let reply = desk.asks(hold("alpha", Some(LONG)));
    assert!(matches!(reply, Reply::Refused { .. }), "{reply:?}");
    desk.disk = Disk::Works;
    desk.pass(ms(3_000));
    assert!(alpha(&desk).is_none() && desk.take_promotion().is_none(), "{}", desk.story());
}

/// Found by the simulation: the vote waited for the epoch that was stored with it, and left below that.
#[test]
fn a_vote_that_is_asked_for_when_the_hold_is_over_waits_for_nothing_that_is_stored() {
    let mut desk = held();
    let over = desk.stored.holds[&host("alpha")].until;
    // Renewed meanwhile, and nothing else has been due.
    while desk.now + ms(300) < over {
        renews(&mut desk, 2, LONG);
        desk.pass(ms(60_000).min(over.since(desk.now) - ms(200)));
    }
    desk.records.clear();
    desk.now = over;
    let (pair, incarnation, role) = (pair(), Incarnation(1), role(2, "a"));
    let ask = VoteAsk { pair, incarnation, number: 999, role: role.clone(), lease: ms(LONG) };
    desk.step(ControlSaw::VoteAsked { host: host("alpha"), ask });
    let vote = desk.votes.pop().expect("an answer");
    assert_eq!(
        (vote.role, vote.verdict, desk.records.len()),
        (role, Verdict::Given, 0),
        "{:?}",
        desk.records
    );
    assert!(desk.control.next_deadline().is_some_and(|due| due <= desk.now), "that is next");
    desk.step(ControlSaw::DeadlinePassed);
    assert!(desk.records.iter().any(|record| matches!(record, ControlRecord::SetHold { hold: None, .. })));
}
