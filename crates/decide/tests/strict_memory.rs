//! What an agent of a strict pair makes of what it finds, or finds missing, when it starts; one rule a test.
//!
//! The law: memory that was lost or set back costs silence, never safety; a page proves a role only together with a process.

mod member;

use std::collections::BTreeMap;

use member::*;
use understudy_decide::agent::*;
use understudy_decide::grants::holder::Page;
use understudy_model::*;

fn found(running: bool) -> Found {
    Found {
        application: app("one"),
        start: StartId { incarnation: Incarnation(3), number: 1 },
        pid: running.then_some(100),
        running_for: ms(100_000),
        restarts: 0,
        acts: Some(Epoch(2)),
        half: None,
        ready: true,
    }
}

fn reborn(page: Option<Page>) -> Bench {
    let table = vec![assignment("one", "two", "beta", Interface::Library)];
    let pages = page.map(|page| (app("one"), page)).into_iter().collect();
    Bench::begin(kept(2, "one", 0), table, 8, vec![found(true)], pages)
}

#[test]
fn a_restarted_agent_adopts_what_the_page_proves_and_leaves_its_expiry() {
    let until = Moment(100_000_000_000) + ms(1_000);
    let mut one = reborn(Some(Page { role: Some(role(2, "one")), until }));
    one.sees(AgentSaw::GuardChanged { up: true });
    one.attach(&app("one"), RunMode::Primary, 2);
    one.join(1);
    one.pass(0);
    assert!(!one.has(page_says_no) && !one.has(closes) && !one.has(tells_backup), "{:#?}", one.log);
    let asked = one.asked().expect("it asks at once");
    one.pass(499);
    assert!(!one.has(tells_backup));
    one.pass(1);
    assert!(one.has(tells_backup), "the page kept its expiry");
    let mut again = reborn(Some(Page { role: Some(role(2, "one")), until }));
    again.sees(AgentSaw::GuardChanged { up: true });
    again.attach(&app("one"), RunMode::Primary, 2);
    again.join(1);
    again.pass(0);
    again.control_says(Bench::yes(&again.asked().unwrap()));
    again.pass(2_400);
    assert!(!again.has(tells_backup));
    assert_eq!(asked.role, role(2, "one"));
}

#[test]
fn a_restarted_agent_demotes_what_no_page_proves_and_closes_its_epoch() {
    let other = Page { role: Some(role(1, "one")), until: Moment(u64::MAX) };
    for page in [None, Some(other)] {
        let mut one = reborn(page);
        one.sees(AgentSaw::GuardChanged { up: true });
        one.attach(&app("one"), RunMode::Primary, 2);
        one.pass(0);
        assert!(one.has(tells_backup) && !one.has(asks) && !one.has(page_says_yes), "{:#?}", one.log);
        one.done(RunMode::Backup, 2);
        one.pass(0);
        one.at("the end", closes);
    }
}

#[test]
fn an_agent_that_remembers_nothing_is_silent_and_closes_what_the_store_holds() {
    let mut one = Bench::new(kept(0, "", 0));
    let unread = |one: &Bench| {
        let report = one.agent.inventory().applications.remove(0);
        report.role.unwrap().strict.unwrap().unread
    };
    assert!(unread(&one));
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(5, 1) });
    assert!(matches!(verdict(&one, 1), Some(Verdict::Refused { .. })), "not before a lease has passed");
    one.log.clear();
    one.pass(3_000);
    let learned = one.order(Work::Learn { pair: pair(), stored: Epoch(4), lease: ms(0) });
    assert_eq!(one.answer_to(learned), Some(Outcome::Done));
    assert!(one.has(closes) && !unread(&one));
    let speaks = |did: &Did| match did {
        Did::Done(AgentDo::Report(report)) => !report.role.as_ref().unwrap().strict.as_ref().unwrap().silent,
        _ => false,
    };
    one.at("that it votes again", speaks);
    let told =
        |one: &Bench| one.events.iter().filter(|event| event.because.rule == Rule::MemoryWasEmpty).count();
    assert_eq!(told(&one), 1);
    let mut new = Bench::new(kept(0, "", 0));
    new.pass(3_000);
    new.order(Work::Learn { pair: pair(), stored: Epoch::NONE, lease: ms(0) });
    assert_eq!(
        (unread(&new), told(&new)),
        (false, 0),
        "a pair that never had a primary left nothing to remember"
    );
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(5, 2) });
    assert_eq!(verdict(&one, 2), Some(Verdict::Given));
}

#[test]
fn pages_of_another_life_are_told_no_before_anything_is_said() {
    let table = vec![assignment("one", "two", "beta", Interface::Library)];
    let page = Page { role: Some(role(2, "one")), until: Moment(u64::MAX) };
    let pages = BTreeMap::from([(app("one"), page)]);
    let one = Bench::begin(kept(2, "one", 0), table, 8, Vec::new(), pages);
    let said = |did: &Did| matches!(did, Did::Done(AgentDo::Report(_) | AgentDo::TellPeer { .. }));
    assert!(one.at("the page", page_says_no) < one.at("the first word", said));
    one.at("the end", closes);
}

#[test]
fn an_agent_whose_files_were_set_back_is_told_by_the_other_one_and_bound_anew() {
    // It voted for (5, two), and its files say (2, two).
    let mut one = Bench::new(kept(2, "two", 1));
    one.pass(3_000);
    let remembered =
        Remembered { pair: pair(), voted: Some(role(5, "two")), released: Epoch(4), lease: ms(0) };
    one.sees(AgentSaw::PeerRemembers { host: host("beta"), remembered: remembered.clone() });
    one.pass(0);
    assert!(one.has(promises) && one.has(closes), "{:#?}", one.log);
    one.log.clear();
    one.pass(2_900);
    let order = one.promote(6, "one");
    one.pass(0);
    assert!(
        matches!(one.answer_to(order), Some(Outcome::Refused(Refusal::NotVoting(_)))),
        "silent for a lease: {:#?}",
        one.log
    );
    one.pass(200);
    let order = one.promote(7, "one");
    one.pass(0);
    assert!(
        matches!(one.answer_to(order), Some(Outcome::Refused(Refusal::NotVoting(_)))),
        "and until it is told"
    );
    one.order(Work::Learn { pair: pair(), stored: Epoch(7), lease: ms(0) });
    let order = one.promote(8, "one");
    one.pass(0);
    assert!(one.answer_to(order).is_none() && one.has(asks));
    // One that remembers as much is not concerned.
    let mut one = Bench::new(kept(5, "two", 4));
    one.sees(AgentSaw::PeerRemembers { host: host("beta"), remembered });
    assert!(!one.has(promises) && !one.has(closes));
}

#[test]
fn agents_that_meet_say_what_they_remember_of_each_other() {
    let mut one = Bench::primary(2);
    one.sees(AgentSaw::PeerLeft { host: host("beta") });
    one.sees(AgentSaw::PeerJoined { host: host("beta") });
    let reminds = |did: &Did| match did {
        Did::Done(AgentDo::RemindPeer { remembered, .. }) => remembered.voted == Some(role(2, "one")),
        _ => false,
    };
    one.at("what it remembers", reminds);
}

#[test]
fn a_page_without_its_process_proves_nothing() {
    let table = vec![assignment("one", "two", "beta", Interface::Library)];
    let page = Page { role: Some(role(2, "one")), until: Moment(u64::MAX) };
    let pages = BTreeMap::from([(app("one"), page)]);
    let mut one = Bench::begin(kept(2, "one", 0), table, 8, Vec::new(), pages);
    one.sees(AgentSaw::GuardChanged { up: true });
    one.join(1);
    one.log.clear();
    one.pass(5_000);
    assert!(!one.has(asks), "{:#?}", one.log);
}

#[test]
fn what_could_not_be_closed_is_as_unknown_as_before() {
    let mut one = Bench::new(kept(0, "", 0));
    one.pass(3_000);
    one.broken_disk = true;
    let untold = one.order(Work::Learn { pair: pair(), stored: Epoch(4), lease: ms(0) });
    assert!(
        matches!(one.answer_to(untold), Some(Outcome::Refused(Refusal::NotDurable(_)))),
        "so it is told again"
    );
    one.broken_disk = false;
    one.pass(10_000);
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(5, 1) });
    assert!(
        matches!(verdict(&one, 1), Some(Verdict::Refused { .. })),
        "it has not heard what the store holds"
    );
    one.order(Work::Learn { pair: pair(), stored: Epoch(4), lease: ms(0) });
    one.pass(3_000);
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(5, 2) });
    assert_eq!(verdict(&one, 2), Some(Verdict::Given));
}

/// Found by the simulator: an agent that the other one had reminded of a promise took an epoch that the store held already.
#[test]
fn what_could_not_be_closed_by_an_agent_that_was_set_back_is_as_unknown_as_before() {
    let mut one = Bench::new(kept(0, "", 0));
    let remembered =
        Remembered { pair: pair(), voted: Some(role(1, "two")), released: Epoch(2), lease: ms(0) };
    one.sees(AgentSaw::PeerRemembers { host: host("beta"), remembered });
    one.pass(3_000);
    one.broken_disk = true;
    one.order(Work::Learn { pair: pair(), stored: Epoch(3), lease: ms(0) });
    one.broken_disk = false;
    one.pass(10_000);
    one.log.clear();
    let early = one.promote(3, "one");
    one.pass(0);
    let refused = Outcome::Refused(Refusal::ClosedEpoch(Epoch(3)));
    assert_eq!(
        one.answer_to(early),
        Some(refused),
        "it is closed here, whatever the disk holds: {:#?}",
        one.log
    );
    assert!(!one.has(promises) && !one.has(asks), "{:#?}", one.log);
    one.order(Work::Learn { pair: pair(), stored: Epoch(3), lease: ms(0) });
    let late = one.promote(4, "one");
    one.pass(0);
    assert!(one.answer_to(late).is_none() && one.has(asks));
}

/// Found by the simulator: the agent died when it had begun to demote, and its files were set back.
#[test]
fn a_plain_member_that_was_half_demoted_in_an_epoch_unknown_to_the_files_keeps_its_guard_until_it_is_gone() {
    let table = vec![assignment("one", "two", "beta", Interface::Plain)];
    let half = Found { acts: None, half: Some(Epoch(2)), ..found(true) };
    let mut one = Bench::begin(kept(1, "two", 0), table, 8, vec![half], BTreeMap::new());
    one.sees(AgentSaw::GuardChanged { up: true });
    one.pass(0);
    let ends = |did: &Did| matches!(did, Did::Done(AgentDo::Signal { .. } | AgentDo::KillTree { .. }));
    let lets_go = |did: &Did| matches!(did, Did::Done(AgentDo::Unguard { .. }));
    assert!(one.has(ends) && !one.has(lets_go) && !one.has(closes), "{:#?}", one.log);
    one.exit();
    one.pass(0);
    one.at("the end", closes);
}

/// Files that were set back know nothing of the role in which a plain member acts. It was taken for a backup, and its guard let
/// go of it.
#[test]
fn a_plain_member_that_acts_in_an_epoch_unknown_to_the_files_is_ended_first() {
    let table = vec![assignment("one", "two", "beta", Interface::Plain)];
    let until = Moment(100_000_000_000) + ms(1_000);
    let pages = BTreeMap::from([(app("one"), Page { role: Some(role(2, "one")), until })]);
    let mut one = Bench::begin(kept(1, "two", 0), table, 8, vec![found(true)], pages);
    one.sees(AgentSaw::GuardChanged { up: true });
    one.pass(0);
    let ends = |did: &Did| matches!(did, Did::Done(AgentDo::Signal { .. } | AgentDo::KillTree { .. }));
    let lets_go = |did: &Did| matches!(did, Did::Done(AgentDo::Unguard { .. }));
    assert!(one.has(ends) && one.has(page_says_no) && !one.has(lets_go), "{:#?}", one.log);
    assert!(!one.has(closes), "it may act until it is gone");
    one.exit();
    one.pass(0);
    one.at("the end", closes);
}

/// The epoch in which it acts is to be closed when its process is gone, and that may be never.
#[test]
fn a_process_that_is_killed_and_does_not_end_is_reported_as_being_ended_and_still_in_its_role() {
    let mut one = Bench::primary(2);
    let remembered = Remembered { pair: pair(), voted: None, released: Epoch(2), lease: ms(3_000) };
    one.sees(AgentSaw::PeerRemembers { host: host("beta"), remembered });
    one.order(Work::Demote { pair: pair(), role: role(2, "one"), time_limit: ms(1_000) });
    one.pass(3_000);
    assert!(one.has(kills), "{:#?}", one.log);
    let mut reports = one.log.iter().rev().filter_map(|did| match did {
        Did::Done(AgentDo::Report(report)) => Some(report),
        _ => None,
    });
    let last = reports.next().expect("a report");
    let acting = last.role.as_ref().and_then(|role| role.acting.clone());
    assert_eq!((last.status, acting), (ApplicationStatus::StopPending, Some(role(2, "one"))), "{last:#?}");
}

/// The other agent remembers that epoch 2 was released.
fn reminded() -> AgentSaw {
    let remembered = Remembered { pair: pair(), voted: None, released: Epoch(2), lease: ms(3_000) };
    AgentSaw::PeerRemembers { host: host("beta"), remembered }
}

/// It is being ended, to be started as primary, when its agent learns that this role was given up long ago: it waited to be
/// started in a role that waited for it to be idle, and its agent looked at that without rest.
#[test]
fn one_that_is_started_anew_to_be_primary_gives_the_role_up_that_was_released_before() {
    let mut one = Bench::voted_for(vec![assignment("one", "two", "beta", Interface::Plain)]);
    let ends = |did: &Did| matches!(did, Did::Done(AgentDo::Signal { .. }));
    one.at("the end of what ran as backup", ends);
    one.sees(reminded());
    one.exit();
    one.pass(0);
    one.at("the end", closes);
    one.pass(100);
    let as_backup = |did: &Did| match did {
        Did::Done(AgentDo::Spawn(spawn)) => spawn.run_mode == RunMode::Backup,
        _ => false,
    };
    one.at("a start as backup", as_backup);
}

/// Nothing of it runs: it is not started in a role that was given up.
#[test]
fn one_that_waits_to_be_started_in_place_gives_the_role_up_that_was_released_before() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.exit();
    one.pass(0);
    for _ in 0..2 {
        let (application, start) = (app("one"), one.start_of(&app("one")));
        one.sees(AgentSaw::SpawnFailed { application, start, why: "no room".into() });
    }
    one.log.clear();
    one.sees(reminded());
    one.pass(0);
    one.at("the end", closes);
}

/// Its process is being made: it is killed as soon as it is there, and the epoch given up then.
#[test]
fn one_that_is_being_started_in_place_gives_the_role_up_that_was_released_before() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.exit();
    one.pass(0);
    one.log.clear();
    one.sees(reminded());
    one.pass(0);
    assert!(one.has(kills) && !one.has(closes), "{:#?}", one.log);
    let (application, start) = (app("one"), one.start_of(&app("one")));
    one.sees(AgentSaw::Spawned { application, start, pid: 101 });
    one.exit();
    one.pass(0);
    one.at("the end", closes);
}
