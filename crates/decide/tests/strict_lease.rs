//! An agent whose member gets an epoch of another lease (G13).
//!
//! The law: what was counted on before is cut, on page and with the guard, before anything is asked in a shorter epoch.

mod member;

use member::*;
use understudy_decide::agent::*;
use understudy_model::*;

fn promote(one: &mut Bench, epoch: u64, lease: u64) -> OrderId {
    let grant = Some(GrantTold { lease: ms(lease), fenced: None });
    one.order(Work::Promote { pair: pair(), role: role(epoch, "one"), time_limit: ms(10_000), grant })
}

fn until(one: &Bench) -> Moment {
    let page = one.log.iter().rev().find_map(|did| match did {
        Did::Done(AgentDo::ShowPage { page, .. }) => Some(page.clone()),
        _ => None,
    });
    page.expect("a page").until
}

fn killed_at(one: &Bench) -> Moment {
    let at = one.log.iter().rev().find_map(|did| match did {
        Did::Done(AgentDo::Guard { kill_at, .. }) => Some(*kill_at),
        _ => None,
    });
    at.expect("a guard")
}

/// Acting in epoch 3 with a lease of ten minutes.
fn held() -> Bench {
    let mut one = Bench::primary(2);
    promote(&mut one, 3, 600_000);
    one.pass(0);
    let ask = one.asked().expect("it asks");
    assert_eq!((ask.role.clone(), ask.lease), (role(3, "one"), ms(600_000)));
    let sent = one.now;
    one.control_says(Bench::yes(&ask));
    one.done(RunMode::Primary, 3);
    one.pass(0);
    assert_eq!((until(&one), killed_at(&one)), (sent + ms(600_000), sent + ms(600_000)));
    one.log.clear();
    one
}

#[test]
fn page_and_guard_are_cut_before_the_first_request_in_a_shorter_epoch() {
    let mut one = held();
    one.pass(100);
    one.log.clear();
    promote(&mut one, 4, 3_000);
    one.pass(0);
    let now = one.now;
    let cut =
        |did: &Did| matches!(did, Did::Done(AgentDo::ShowPage { page, .. }) if page.until == now + ms(3_000));
    let guard =
        |did: &Did| matches!(did, Did::Done(AgentDo::Guard { kill_at, .. }) if *kill_at == now + ms(3_000));
    let first = one.at("a request", asks);
    assert!(one.at("the cut page", cut) < first && one.at("the cut guard", guard) < first, "{:#?}", one.log);
    assert_eq!(one.asked().map(|ask| (ask.role, ask.lease)), Some((role(4, "one"), ms(3_000))));
}

#[test]
fn a_cut_that_waits_for_the_disk_keeps_every_request_waiting() {
    let mut one = held();
    one.log.clear();
    // The promise is durable with this observation, which brings something else to store.
    promote(&mut one, 4, 3_000);
    one.order(Work::SetHandsOff { application: app("one"), hands_off: true });
    assert!(one.has(|did| matches!(did, Did::Kept(AgentRecord::Assignments(_)))), "{:#?}", one.log);
    assert!(!one.has(asks) && !one.has(page_says_yes), "{:#?}", one.log);
    assert!(one.agent.aside_deadline().is_none(), "nor beside the disk");
    one.pass(0);
    assert!(one.at("the cut page", page_says_yes) < one.at("a request", asks), "{:#?}", one.log);
}

#[test]
fn an_answer_to_a_request_of_the_longer_epoch_lengthens_nothing() {
    let mut one = held();
    one.pass(600);
    let late = one.asked().expect("it asks again");
    assert_eq!(late.role, role(3, "one"));
    promote(&mut one, 4, 3_000);
    one.pass(0);
    let cut = until(&one);
    one.peer_says(Bench::yes(&late));
    one.pass(0);
    assert_eq!(until(&one), cut);
}

#[test]
fn the_longest_lease_is_in_its_report_and_in_what_it_reminds_the_other_agent_of() {
    let mut one = held();
    one.pass(600);
    let ask = one.asked().unwrap();
    one.peer_says(Bench::yes(&ask));
    one.sees(AgentSaw::PeerLeft { host: host("beta") });
    one.log.clear();
    one.sees(AgentSaw::PeerJoined { host: host("beta") });
    let reminded = one.log.iter().find_map(|did| match did {
        Did::Done(AgentDo::RemindPeer { remembered, .. }) => Some(remembered.lease),
        _ => None,
    });
    assert_eq!(reminded, Some(ms(600_000)));
    let report = one.log.iter().rev().find_map(|did| match did {
        Did::Done(AgentDo::Report(report)) => report.role.clone()?.strict.map(|vote| vote.lease),
        _ => None,
    });
    assert_eq!(report, Some(ms(600_000)));
}

#[test]
fn an_agent_without_memory_is_silent_for_the_longest_lease_that_the_store_names() {
    let mut one = Bench::new(kept(0, "two", 0));
    one.pass(3_000);
    let order = one.order(Work::Learn { pair: pair(), stored: Epoch(4), lease: ms(60_000) });
    let told = one.answer_to(order);
    assert!(matches!(told, Some(Outcome::Refused(Refusal::NotVoting(_)))), "{told:?}");
    one.pass(57_000);
    let order = one.order(Work::Learn { pair: pair(), stored: Epoch(4), lease: ms(60_000) });
    one.pass(0);
    assert_eq!(one.answer_to(order), Some(Outcome::Done));
}

/// The spans that go with a longer lease are told before the epoch that has it: they would take all of the present one.
#[test]
fn longer_spans_that_are_told_before_their_lease_cost_no_primary_its_role() {
    let mut one = Bench::primary(2);
    let mut table = assignment("one", "two", "beta", Interface::Library);
    let place = table.pair.as_mut().expect("a pair");
    let terms = Preset::Classic.timers().terms();
    place.fence_budget = terms.fence_budget;
    place.strict.as_mut().expect("strict").terms = terms;
    one.order(Work::Assign(vec![table]));
    one.renewed_for(6_000);
    assert!(!one.has(tells_backup) && one.events.iter().all(|event| event.kind != EventKind::Anomaly));
    promote(&mut one, 3, 30_000);
    one.pass(0);
    let ask = one.asked().expect("it asks");
    assert_eq!((ask.role, ask.lease), (role(3, "one"), ms(30_000)));
}
