//! The clocks of a strict pair's voters as its agent sees them: what is told, and when a holder gives up at once (A1).
//!
//! The law: nothing is told of clocks that keep up, and a doubted clock alone ends no role.

mod member;

use member::*;
use understudy_decide::agent::*;
use understudy_model::*;

const PEER: ClockId = ClockId(2);
const CONTROL: ClockId = ClockId(3);

/// What a clock shows that runs as the agent's own does, and is ahead of it.
fn reading(one: &Bench, clock: ClockId, ahead_ms: u64) -> Option<ClockReading> {
    Some(ClockReading { clock, at: one.now + ms(ahead_ms) })
}

/// The next round of asking, answered by both: each with its verdict, and how far its clock is ahead.
fn answered(one: &mut Bench, peer: (Verdict, u64), control: (Verdict, u64)) {
    one.log.clear();
    one.pass(600);
    let ask = one.asked().expect("it asks");
    let clock = reading(one, CONTROL, control.1);
    one.control_says(VoteAnswer { verdict: control.0, clock, ..Bench::yes(&ask) });
    let clock = reading(one, PEER, peer.1);
    one.peer_says(VoteAnswer { verdict: peer.0, clock, ..Bench::yes(&ask) });
}

fn given(one: &mut Bench, peer_ms: u64, control_ms: u64) {
    answered(one, (Verdict::Given, peer_ms), (Verdict::Given, control_ms));
}

fn higher() -> Verdict {
    Verdict::Refused { promised: Some(role(3, "two")), why: "promised".into() }
}

/// A primary whose clock kept up with both others for a while.
fn primary() -> Bench {
    let mut one = Bench::primary(2);
    for _ in 0..5 {
        given(&mut one, 0, 0);
    }
    one.events.clear();
    one
}

fn told(one: &Bench) -> Vec<(Rule, Severity)> {
    let clocks = one.events.iter().filter(|event| event.kind == EventKind::ClockDoubted);
    clocks.map(|event| (event.because.rule, event.severity)).collect()
}

fn doubts(one: &Bench) -> Vec<(OtherClock, WhichClock, Option<WhichClock>)> {
    one.agent.clock_doubts().map(|doubt| (doubt.other.clone(), doubt.behind, doubt.wrong)).collect()
}

fn peer() -> OtherClock {
    OtherClock::Host(host("beta"))
}

fn control() -> OtherClock {
    OtherClock::Controller(ControllerName::new("scs-1").unwrap())
}

fn kept_role(one: &Bench) -> bool {
    !one.has(page_says_no) && !one.has(tells_backup) && !one.has(kills)
}

#[test]
fn clocks_that_keep_up_are_not_told_of() {
    let mut one = primary();
    for _ in 0..50 {
        given(&mut one, 0, 0);
    }
    assert_eq!((told(&one), doubts(&one)), (vec![], vec![]));
}

#[test]
fn a_clock_of_which_two_others_say_that_it_stood_still_is_named_and_its_role_kept_by_new_votes() {
    let mut one = primary();
    given(&mut one, 10_000, 10_000);
    // Neither voter had given its vote to another meanwhile: both are bound anew, by their own clocks.
    assert!(kept_role(&one), "{:#?}", one.log);
    let own = Some(WhichClock::Own);
    assert_eq!(doubts(&one), [(peer(), WhichClock::Own, own), (control(), WhichClock::Own, own)]);
    assert!(told(&one).iter().all(|told| *told == (Rule::ClocksApart, Severity::Critical)));
    // Each is told once, and once more when it is known which of both is wrong.
    assert_eq!(told(&one).len(), 3, "{:#?}", one.events);
    one.pass(0);
    let reported = one.log.iter().rev().find_map(|did| match did {
        Did::Done(AgentDo::Report(report)) => report.role.as_ref().and_then(|role| role.strict.clone()),
        _ => None,
    });
    assert_eq!(reported.expect("it is reported").clocks.len(), 2);
    for _ in 0..600 {
        given(&mut one, 10_000, 10_000);
    }
    assert_eq!(doubts(&one), []);
    let over = told(&one).split_off(3);
    assert_eq!(over, vec![(Rule::ClocksAgain, Severity::Info); 2]);
    assert!(kept_role(&one));
}

#[test]
fn one_odd_clock_is_named_by_the_two_that_agree() {
    let mut one = primary();
    given(&mut one, 10_000, 0);
    given(&mut one, 10_000, 0);
    assert_eq!(doubts(&one), [(peer(), WhichClock::Own, Some(WhichClock::Other))]);
    assert!(kept_role(&one));
}

#[test]
fn with_two_clocks_nobody_says_which_is_wrong() {
    let mut one = primary();
    one.leave(1);
    for _ in 0..3 {
        one.log.clear();
        one.pass(600);
        let ask = one.asked().expect("it asks");
        let clock = reading(&one, PEER, 10_000);
        one.peer_says(VoteAnswer { clock, ..Bench::yes(&ask) });
    }
    assert_eq!(doubts(&one), [(peer(), WhichClock::Own, None)]);
    assert_eq!(told(&one), [(Rule::ClocksApart, Severity::Critical)]);
}

#[test]
fn two_clocks_of_one_machine_are_one_witness() {
    let mut one = primary();
    let same = |one: &Bench| Some(ClockReading { clock: PEER, at: one.now });
    // The control server runs beside the other member from now on: the same clock.
    for ahead in [0, 0, 0, 10_000, 10_000] {
        one.log.clear();
        one.pass(600);
        let ask = one.asked().expect("it asks");
        let clock = same(&one).map(|reading| ClockReading { at: reading.at + ms(ahead), ..reading });
        one.control_says(VoteAnswer { clock, ..Bench::yes(&ask) });
        one.peer_says(VoteAnswer { clock, ..Bench::yes(&ask) });
    }
    assert_eq!(doubts(&one), [(peer(), WhichClock::Own, None), (control(), WhichClock::Own, None)]);
}

#[test]
fn a_primary_whose_peer_has_promised_its_own_member_a_higher_role_says_no_at_once() {
    let mut one = primary();
    answered(&mut one, (higher(), 0), (Verdict::Given, 0));
    let page = one.at("the page", page_says_no);
    assert!(page < one.at("the word", tells_backup), "{:#?}", one.log);
    assert!(!one.has(kills), "a member that reads its page is asked first");
    one.done(RunMode::Backup, 2);
    one.pass(0);
    assert!(one.has(closes) && one.has(releases));
    assert!(one.events.iter().any(|event| event.because.rule == Rule::RoleLost));
}

#[test]
fn a_member_that_reads_no_page_is_killed_instead() {
    let plain = vec![assignment("one", "two", "beta", Interface::Plain)];
    let mut one = Bench::with(kept(1, "two", 0), plain);
    one.pass(3_000);
    one.promote(2, "one");
    one.pass(0);
    one.peer_says(Bench::yes(&one.asked().expect("it asks")));
    one.pass(0);
    // It is told by being stopped, and started as primary.
    one.exit();
    one.pass(0);
    let start = one.start_of(&app("one"));
    one.sees(AgentSaw::Spawned { application: app("one"), start, pid: 101 });
    one.log.clear();
    one.pass(600);
    let ask = one.asked().expect("it asks");
    one.peer_says(VoteAnswer { verdict: higher(), ..Bench::yes(&ask) });
    assert!(one.has(page_says_no) && one.has(kills), "{:#?}", one.log);
}

#[test]
fn a_control_server_alone_is_believed_only_if_its_clock_shows_that_the_own_one_fell_behind() {
    // It promised the other member while that one's agent renews this one: it is given a higher epoch again (G8).
    let mut one = primary();
    answered(&mut one, (Verdict::Given, 0), (higher(), 0));
    assert!(kept_role(&one), "{:#?}", one.log);
    // Its clock shows that this machine stood still: what the other agent voted for before that counts no more.
    let mut one = primary();
    answered(&mut one, (Verdict::Given, 0), (higher(), 10_000));
    assert!(one.has(page_says_no) && one.has(tells_backup), "{:#?}", one.log);
    // A lease later every vote that counts was asked for after it.
    let mut one = primary();
    for _ in 0..6 {
        given(&mut one, 10_000, 10_000);
    }
    answered(&mut one, (Verdict::Given, 10_000), (higher(), 10_000));
    assert!(kept_role(&one), "{:#?}", one.log);
}

#[test]
fn what_was_asked_in_another_life_or_never_is_no_sample() {
    let mut one = primary();
    let ask = one.asked().expect("it asks");
    for wrong in [
        VoteAnswer { incarnation: Incarnation(99), ..Bench::yes(&ask) },
        VoteAnswer { number: 9_999, ..Bench::yes(&ask) },
        VoteAnswer { pair: PairName::new("other").unwrap(), ..Bench::yes(&ask) },
    ] {
        let clock = reading(&one, PEER, 50_000);
        one.peer_says(VoteAnswer { clock, ..wrong });
    }
    assert_eq!(doubts(&one), []);
}
