//! How a member of a strict pair begins and ends around what its agent writes: what goes out beside the disk (decision 0013), and
//! what gives way to the failover.

mod member;

use member::*;
use understudy_decide::agent::*;
use understudy_model::*;

/// An order that is being stored, and the request that goes out meanwhile.
fn begun() -> (Bench, Decision<AgentRecord, AgentDo>, VoteAsk) {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(3_000);
    one.log.clear();
    let grant = Some(GrantTold { lease: ms(3_000), fenced: None });
    let work = Work::Promote { pair: pair(), role: role(2, "one"), time_limit: ms(10_000), grant };
    let (id, incarnation, controller_epoch) = (OrderId(1), Incarnation(7), ControllerEpoch(1));
    let order = Order { id, incarnation, controller_epoch, work };
    let pending = one.agent.step(one.now, AgentSaw::Ordered { link: LinkId(1), order });
    assert!(matches!(pending.persist[..], [AgentRecord::Promise { .. }]));
    assert!(one.agent.aside_deadline().is_some_and(|due| due <= one.now));
    let asked = one.agent.aside_passed(one.now);
    let [AgentDo::AskController { ask, .. }] = &asked.actions[..] else {
        panic!("the control server is asked beside the disk, and nobody else: {asked:#?}");
    };
    let ask = ask.clone();
    (one, pending, ask)
}

/// Decision 0013.
#[test]
fn a_member_that_begins_asks_while_its_promise_is_being_stored_and_acts_only_after_that() {
    let (mut one, pending, ask) = begun();
    let acts = |action: &AgentDo| {
        matches!(action, AgentDo::ShowPage { .. } | AgentDo::Guard { .. } | AgentDo::Say { .. })
    };
    assert!(!pending.actions.iter().any(acts));
    let vote = AgentSaw::ControllerVoted { link: LinkId(1), answer: Bench::yes(&ask) };
    let heard = one.agent.aside(one.now, &vote).expect("a vote needs nothing durable");
    assert!(!heard.actions.iter().any(acts), "{heard:#?}");
    one.pass(0);
    one.at("the word to the member", tells_primary);
    assert!(one.at("the page", page_says_yes) < one.at("the word", tells_primary));
    assert!(!one.has(asks), "it has its vote");
}

#[test]
fn a_vote_that_came_before_a_promise_could_not_be_stored_counts_nothing() {
    let (mut one, pending, ask) = begun();
    let vote = AgentSaw::ControllerVoted { link: LinkId(1), answer: Bench::yes(&ask) };
    one.agent.aside(one.now, &vote).expect("a vote needs nothing durable");
    one.sees(Agent::store_failed(pending.persist, "no space left".into(), false));
    one.pass(100);
    one.peer_says(Bench::yes(&ask));
    one.pass(10_000);
    assert!(!one.has(tells_primary) && !one.has(page_says_yes) && !one.has(asks), "{:#?}", one.log);
    assert!(matches!(one.answer_to(OrderId(1)), Some(Outcome::Refused(Refusal::NotDurable(_)))));
    assert!(one.at("the end", closes) < one.at("the release", releases));
}

fn asks_peer(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::AskPeer { .. }))
}

#[test]
fn the_other_agent_is_asked_as_soon_as_the_promise_is_there_if_the_control_server_has_not_answered() {
    let (mut one, _, ask) = begun();
    one.pass(0);
    one.at("a request to the other agent", asks_peer);
    assert!(!one.has(tells_primary));
    let second = one.asked().expect("a request");
    assert!(second.number > ask.number);
    one.peer_says(Bench::yes(&second));
    one.pass(0);
    one.at("the word to the member", tells_primary);
}

/// Disk and processors may be shared with the other member, which is being promoted.
#[test]
fn a_dead_primary_is_started_again_as_backup_a_moment_after_its_release() {
    let mut one = Bench::primary(2);
    let starts = |did: &Did| matches!(did, Did::Done(AgentDo::Spawn(_)));
    one.log.clear();
    one.exit();
    one.pass(0);
    assert!(one.at("the end", closes) < one.at("the release", releases));
    assert!(!one.has(starts), "{:#?}", one.log);
    one.pass(19);
    assert!(!one.has(starts), "{:#?}", one.log);
    one.pass(1);
    one.at("the start", starts);
}

#[test]
fn one_that_is_started_again_in_place_waits_for_nothing() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.log.clear();
    one.exit();
    one.pass(0);
    one.at("the start", |did| matches!(did, Did::Done(AgentDo::Spawn(_))));
}

/// It waits out its restart delay in its role, which nobody but a control server can give to the other member.
#[test]
fn one_that_waits_to_be_started_again_in_place_gives_its_role_up_when_a_control_server_is_back() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.exit();
    one.pass(0);
    for _ in 0..2 {
        let (application, start) = (app("one"), one.start_of(&app("one")));
        one.sees(AgentSaw::SpawnFailed { application, start, why: "no room".into() });
    }
    one.log.clear();
    one.pass(10);
    let starts = |did: &Did| matches!(did, Did::Done(AgentDo::Spawn(_)));
    assert!(!one.has(starts) && !one.has(closes), "it waits: {:#?}", one.log);
    one.join(2);
    one.pass(1);
    assert!(one.at("the end", closes) < one.at("the release", releases));
}

#[test]
fn a_member_that_was_killed_by_its_guard_while_its_agent_was_gone_is_told_of_once_and_has_a_last_exit() {
    let mut one = Bench::new(kept(2, "one", 2));
    let start = StartId { incarnation: Incarnation(6), number: 1 };
    one.sees(AgentSaw::GuardFired { application: app("one"), start });
    one.sees(AgentSaw::GuardFired { application: app("one"), start });
    one.pass(100);
    let told: Vec<_> = one.events.iter().filter(|event| event.kind == EventKind::Fenced).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].because.rule, &told[0].about.application), (Rule::GuardFired, &Some(app("one"))));
    let reported = one.log.iter().rev().find_map(|did| match did {
        Did::Done(AgentDo::Report(report)) => Some(report.last_exit.clone()),
        _ => None,
    });
    let exit = reported.flatten().expect("it is reported");
    assert_eq!((exit.cause, exit.wanted), (ExitCause::Signal(9), false));
}
