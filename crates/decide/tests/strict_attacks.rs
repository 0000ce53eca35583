//! What a hostile reader found in an agent of strict pairs, each sequence as it was found.
//!
//! The law: a second lock may save a day, but each rule holds by itself.

mod member;

use std::collections::BTreeMap;

use member::*;
use understudy_decide::agent::*;
use understudy_decide::grants::holder::Page;
use understudy_model::*;

fn unguards(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::Unguard { .. }))
}

fn plain() -> Vec<Assignment> {
    vec![assignment("one", "two", "beta", Interface::Plain)]
}

fn spawns_primary(did: &Did) -> bool {
    matches!(did, Did::Done(AgentDo::Spawn(spawn)) if spawn.run_mode == RunMode::Primary)
}

fn peer_voted(ask: &VoteAsk) -> AgentSaw {
    AgentSaw::PeerVoted { host: host("beta"), answer: Bench::yes(ask) }
}

fn page_of(decision: &Decision<AgentRecord, AgentDo>) -> Option<Moment> {
    decision.actions.iter().find_map(|action| match action {
        AgentDo::ShowPage { page, .. } => Some(page.until),
        _ => None,
    })
}

fn ask_of(decision: &Decision<AgentRecord, AgentDo>) -> Option<VoteAsk> {
    decision.actions.iter().find_map(|action| match action {
        AgentDo::AskPeer { ask, .. } => Some(ask.clone()),
        _ => None,
    })
}

/// A table of applications that has to be stored.
fn table_order() -> AgentSaw {
    let mut x = assignment("x", "y", "beta", Interface::Plain);
    x.pair = None;
    let table = vec![assignment("one", "two", "beta", Interface::Library), x];
    let (incarnation, controller_epoch) = (Incarnation(7), ControllerEpoch(1));
    let order = Order { id: OrderId(90), incarnation, controller_epoch, work: Work::Assign(table) };
    AgentSaw::Ordered { link: LinkId(1), order }
}

#[test]
fn a_reaffirmation_that_comes_when_a_renewal_is_due_costs_nothing() {
    let mut one = Bench::primary(2);
    // Mail comes before the timer wakes anybody.
    one.now = one.now + ms(601);
    one.promote(3, "one");
    one.pass(0);
    assert!(!one.has(kills) && !one.has(page_says_no), "{:#?}", one.log);
    let ask = one.asked().expect("the higher epoch is asked for");
    assert_eq!(ask.role, role(3, "one"));
}

#[test]
fn an_order_for_an_epoch_that_waits_to_be_closed_is_refused_with_it() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(3_000);
    one.broken_disk = true;
    one.promote(2, "one");
    one.broken_disk = false;
    one.pass(300);
    let again = one.promote(2, "one");
    one.pass(0);
    assert!(!one.has(asks), "{:#?}", one.log);
    assert!(one.at("the end", closes) < one.at("the release", releases));
    assert!(matches!(one.answer_to(again), Some(Outcome::Refused(Refusal::ClosedEpoch(_)))));
}

#[test]
fn a_guard_lets_go_of_a_confirmed_backup_also_when_its_end_could_not_be_stored() {
    for broken in [false, true] {
        let mut one = Bench::primary(2);
        one.order(Work::Demote { pair: pair(), role: role(2, "one"), time_limit: ms(1_000) });
        one.broken_disk = broken;
        one.done(RunMode::Backup, 2);
        one.pass(0);
        one.broken_disk = false;
        one.pass(1_500);
        assert!(one.has(closes) && one.has(unguards), "{:#?}", one.log);
    }
}

#[test]
fn a_guard_of_the_life_before_lets_go_too() {
    let table = vec![assignment("one", "two", "beta", Interface::Library)];
    let start = StartId { incarnation: Incarnation(3), number: 1 };
    let found = Found {
        application: app("one"),
        start,
        pid: Some(100),
        running_for: ms(100_000),
        restarts: 0,
        acts: Some(Epoch(2)),
        half: None,
        ready: true,
    };
    let no = Page { role: None, until: Moment(0) };
    let pages = BTreeMap::from([(app("one"), no)]);
    let mut one = Bench::begin(kept(2, "one", 0), table, 8, vec![found], pages);
    one.sees(AgentSaw::GuardChanged { up: true });
    one.attach(&app("one"), RunMode::Primary, 2);
    one.pass(0);
    assert!(!one.has(unguards), "it has confirmed nothing yet");
    one.done(RunMode::Backup, 2);
    one.pass(0);
    assert!(one.has(unguards) && one.has(closes), "{:#?}", one.log);
}

#[test]
fn a_guard_stays_while_a_member_is_only_asked_to_step_down() {
    let mut one = Bench::primary(2);
    let remembered = Remembered { pair: pair(), voted: None, released: Epoch(4), lease: ms(0) };
    one.sees(AgentSaw::PeerRemembers { host: host("beta"), remembered });
    one.pass(0);
    assert!(!one.has(unguards) && !one.has(closes), "{:#?}", one.log);
    one.done(RunMode::Backup, 2);
    one.pass(0);
    assert!(one.has(unguards) && one.has(closes));
}

/// A plain member that was promoted, and is being made as primary.
fn being_made() -> Bench {
    let mut one = Bench::with(kept(1, "two", 0), plain());
    one.pass(3_000);
    one.promote(2, "one");
    one.pass(0);
    one.peer_says(Bench::yes(&one.asked().expect("it asks")));
    one.pass(0);
    one.exit();
    one.pass(0);
    one.at("its start as primary", spawns_primary);
    one
}

#[test]
fn nothing_is_released_while_a_primary_is_being_made() {
    let mut one = being_made();
    one.log.clear();
    one.pass(3_500);
    assert!(!one.has(closes) && !one.has(releases), "{:#?}", one.log);
    let start = one.start_of(&app("one"));
    one.sees(AgentSaw::Spawned { application: app("one"), start, pid: 101 });
    assert!(one.has(kills), "{:#?}", one.log);
    one.exit();
    one.pass(0);
    assert!(one.at("the end", closes) < one.at("the release", releases));
    // Nor if it cannot be made at all.
    let mut one = being_made();
    one.pass(3_500);
    let start = one.start_of(&app("one"));
    one.sees(AgentSaw::SpawnFailed { application: app("one"), start, why: "no memory".into() });
    one.pass(0);
    one.at("the end", closes);
}

#[test]
fn nothing_is_released_while_one_is_being_made_again_in_its_role() {
    let mut one = being_made();
    let start = one.start_of(&app("one"));
    one.sees(AgentSaw::Spawned { application: app("one"), start, pid: 101 });
    one.pass(0);
    one.leave(1);
    one.log.clear();
    one.exit();
    one.pass(10);
    one.at("its start in place", spawns_primary);
    one.sees(AgentSaw::PeerLeft { host: host("beta") });
    one.pass(3_500);
    assert!(!one.has(closes), "{:#?}", one.log);
}

#[test]
fn nothing_is_released_while_a_hook_of_the_life_before_lives() {
    let mut table = plain();
    table[0].spec.conduct.hooks.on_promote = vec!["/bin/promote".into()];
    let hook = StartId::of_hook(Incarnation(3), 1);
    let found = Found {
        application: app("one"),
        start: hook,
        pid: Some(77),
        running_for: ms(1_000),
        restarts: 0,
        acts: None,
        half: None,
        ready: true,
    };
    let mut one = Bench::begin(kept(2, "one", 0), table, 8, vec![found], BTreeMap::new());
    one.pass(0);
    one.sees(AgentSaw::PeerJoined { host: host("beta") });
    one.pass(1_000);
    assert!(one.has(kills) && !one.has(closes) && !one.has(releases), "{:#?}", one.log);
    one.sees(AgentSaw::HookEnded { application: app("one"), hook, failed: None, said: String::new() });
    one.pass(0);
    assert!(one.at("the end", closes) < one.at("the release", releases));
}

#[test]
fn a_refused_order_for_the_other_member_of_one_host_ends_nobody() {
    let members = vec![
        assignment("one", "two", "alpha", Interface::Library),
        assignment("two", "one", "alpha", Interface::Library),
    ];
    let mut both = Bench::with(kept(1, "two", 1), members);
    both.promote(2, "one");
    both.pass(0);
    both.done(RunMode::Primary, 2);
    both.log.clear();
    both.promote(3, "two");
    both.order(Work::Demote { pair: pair(), role: role(3, "two"), time_limit: ms(1_000) });
    both.pass(10_000);
    assert!(!both.has(kills) && !both.has(tells_backup) && !both.has(closes), "{:#?}", both.log);
}

#[test]
fn nobody_is_asked_for_a_primary_that_is_being_ended_however_long_that_takes() {
    // Its children cannot be killed.
    let mut one = Bench::primary(2);
    let start = one.start_of(&app("one"));
    let (cause, last_words) = (ExitCause::Signal(9), String::new());
    one.sees(AgentSaw::Ended { application: app("one"), start, cause, others_live: true, last_words });
    one.log.clear();
    one.pass(10_000);
    assert!(!one.has(asks) && !one.has(closes), "{:#?}", one.log);
    // It hangs where no signal reaches it.
    let mut table = vec![assignment("one", "two", "beta", Interface::Library)];
    table[0].spec.conduct.hang_limit = Some(ms(500));
    let mut one = Bench::with(kept(1, "two", 0), table);
    one.pass(3_000);
    one.promote(2, "one");
    one.pass(0);
    one.peer_says(Bench::yes(&one.asked().unwrap()));
    one.pass(0);
    one.done(RunMode::Primary, 2);
    let start = one.start_of(&app("one"));
    let running = one.now;
    one.sees(AgentSaw::Looked { application: app("one"), start, stopped: true, running });
    one.log.clear();
    one.renewed_for(2_000);
    one.log.clear();
    one.pass(10_000);
    assert!(!one.has(asks) && !one.has(closes), "{:#?}", one.log);
}

#[test]
fn a_strict_order_for_a_pair_of_another_policy_is_refused() {
    let mut table = vec![assignment("one", "two", "beta", Interface::Library)];
    table[0].pair.as_mut().unwrap().strict = None;
    let mut one = Bench::with(kept(1, "two", 0), table);
    let order = one.promote(2, "one");
    one.pass(0);
    assert!(!one.has(page_says_yes) && !one.has(tells_primary));
    assert!(matches!(one.answer_to(order), Some(Outcome::Refused(Refusal::NotVoting(_)))));
}

/// `one` as before, and a second pair of the same two hosts whose other member asks for votes.
fn two_pairs() -> (Bench, impl Fn(u64) -> AgentSaw) {
    let second = PairName::new("pair2").unwrap();
    let mut x = assignment("x", "y", "beta", Interface::Library);
    x.pair.as_mut().unwrap().pair = second.clone();
    let table = vec![assignment("one", "two", "beta", Interface::Library), x];
    let mut one = Bench::with(kept(1, "two", 0), table);
    one.pass(3_000);
    one.order(Work::Learn { pair: second.clone(), stored: Epoch(0), lease: ms(0) });
    one.promote(2, "one");
    one.pass(0);
    let ask = move |epoch| AgentSaw::PeerAsked {
        host: host("beta"),
        ask: VoteAsk {
            pair: second.clone(),
            incarnation: Incarnation(9),
            number: epoch,
            role: role(epoch, "y"),
            lease: ms(3_000),
        },
    };
    (one, ask)
}

#[test]
fn what_is_shown_with_a_stored_decision_is_not_older_than_what_was_shown_meanwhile() {
    let (mut one, ask) = two_pairs();
    let first = one.asked().unwrap();
    assert!(!one.agent.step(one.now, ask(2)).persist.is_empty());
    one.agent.aside(one.now, &peer_voted(&first)).expect("a vote needs nothing durable");
    // The first is stored; the next mail has something to store too, and the disk takes its time.
    let pending = one.agent.step(one.now, ask(3));
    assert!(!pending.persist.is_empty());
    let mut shown = Moment(0);
    for _ in 0..5 {
        one.now = one.now.max(one.agent.aside_deadline().expect("a round is due"));
        let Some(ask) = ask_of(&one.agent.aside_passed(one.now)) else { continue };
        let heard = one.agent.aside(one.now, &peer_voted(&ask)).expect("a vote needs nothing durable");
        shown = page_of(&heard).unwrap_or(shown);
    }
    assert!(page_of(&pending).is_none_or(|until| until >= shown), "{pending:?}");
    assert!(!pending.actions.iter().any(|action| matches!(action, AgentDo::Guard { .. })));
}

#[test]
fn a_first_vote_that_is_heard_aside_has_its_turn_at_once() {
    let (mut one, ask) = two_pairs();
    let first = one.asked().unwrap();
    assert!(!one.agent.step(one.now, ask(2)).persist.is_empty());
    one.agent.aside(one.now, &peer_voted(&first)).expect("a vote needs nothing durable");
    assert!(one.agent.next_deadline().is_some_and(|due| due <= one.now));
    one.pass(0);
    assert!(one.has(page_says_yes) && one.has(tells_primary));
}

#[test]
fn a_guard_that_goes_while_something_is_stored_ends_the_asking() {
    let mut one = Bench::primary(2);
    assert!(!one.agent.step(one.now, table_order()).persist.is_empty());
    assert!(one.agent.aside_deadline().is_some());
    assert!(one.agent.aside(one.now, &AgentSaw::GuardChanged { up: false }).is_some());
    assert_eq!(one.agent.aside_deadline(), None);
}

#[test]
fn a_start_that_the_guard_does_not_take_is_asked_for_no_more() {
    let mut one = Bench::primary(2);
    let start = one.start_of(&app("one"));
    one.sees(AgentSaw::GuardRefused { application: app("one"), start, why: "too many".into() });
    one.log.clear();
    one.pass(2_000);
    assert!(!one.has(asks), "{:#?}", one.log);
}

#[test]
fn a_reminder_that_was_overtaken_shortens_no_promise() {
    let mut one = Bench::new(kept(2, "two", 0));
    let t = one.now;
    one.agent.step(t, table_order());
    let ask = VoteAsk {
        pair: pair(),
        incarnation: Incarnation(9),
        number: 1,
        role: role(2, "two"),
        lease: ms(3_000),
    };
    let given = one.agent.aside(t + ms(2_000), &AgentSaw::PeerAsked { host: host("beta"), ask });
    assert!(given.is_some(), "bound until t + 5 s");
    let remembered = Remembered { pair: pair(), voted: None, released: Epoch(1), lease: ms(0) };
    one.agent.step(t, AgentSaw::PeerRemembers { host: host("beta"), remembered });
    one.now = t + ms(3_001);
    one.sees(AgentSaw::DeadlinePassed);
    one.order(Work::Learn { pair: pair(), stored: Epoch(2), lease: ms(0) });
    let would = one.order(Work::WouldPromise { pair: pair(), role: role(4, "one") });
    assert!(matches!(one.answer_to(would), Some(Outcome::Refused(Refusal::Promised(..)))), "{:#?}", one.log);
}

#[test]
fn a_control_server_is_welcomed_before_it_is_asked() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.log.clear();
    one.join(2);
    let asked = |did: &Did| matches!(did, Did::Done(AgentDo::AskController { link: LinkId(2), .. }));
    let welcomed = |did: &Did| matches!(did, Did::Done(AgentDo::Welcome { .. }));
    assert!(one.at("the welcome", welcomed) < one.at("the request", asked));
}

#[test]
fn nothing_is_given_up_while_an_agent_without_memory_is_silent() {
    let mut one = Bench::new(kept(0, "", 0));
    let learned = one.order(Work::Learn { pair: pair(), stored: Epoch(4), lease: ms(0) });
    assert!(matches!(one.answer_to(learned), Some(Outcome::Refused(Refusal::NotVoting(_)))));
    let report = one.agent.inventory().applications.remove(0).role.unwrap();
    assert_eq!(report.closed, Epoch(0));
}

#[test]
fn no_word_of_a_peer_binds_a_voter_for_ever() {
    let mut one = Bench::new(kept(1, "two", 0));
    let lease = std::time::Duration::MAX;
    let ask = VoteAsk { pair: pair(), incarnation: Incarnation(9), number: 1, role: role(2, "two"), lease };
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask });
    assert!(!one.has(promises));
    one.pass(3_000);
    let would = one.order(Work::WouldPromise { pair: pair(), role: role(3, "one") });
    assert_eq!(one.answer_to(would), Some(Outcome::Done));
}

#[test]
fn who_was_superseded_by_one_that_could_not_be_obeyed_is_told() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.broken_disk = true;
    let controller = ControllerName::new("scs-2").unwrap();
    let controller_epoch = ControllerEpoch(5);
    one.sees(AgentSaw::ControllerJoined {
        link: LinkId(2),
        controller,
        controller_epoch,
        lineage: Vec::new(),
    });
    let turned = |wanted: u64| move |did: &Did| matches!(did, Did::Done(AgentDo::TurnAway { link, .. }) if *link == LinkId(wanted));
    assert!(one.has(turned(1)) && one.has(turned(2)), "{:#?}", one.log);
}

#[test]
fn a_vote_that_came_before_a_sleep_promotes_nobody_after_it() {
    let table = vec![assignment("one", "two", "beta", Interface::Library)];
    let mut one = Bench::with(kept(1, "two", 0), table);
    one.pass(3_000);
    one.promote(2, "one");
    one.pass(0);
    let ask = one.asked().unwrap();
    // It was put into the inbox in time, and is looked at an hour later.
    one.peer_says(Bench::yes(&ask));
    assert!(!one.has(tells_primary), "{:#?}", one.log);
    one.now = one.now + ms(3_600_000);
    one.sees(AgentSaw::DeadlinePassed);
    one.pass(0);
    assert!(!one.has(tells_primary), "{:#?}", one.log);
}

/// An epoch that could not be promised waits to be closed when a higher one is promised: the start in that one waited for the
/// former, which waited for its end, and the agent asked itself about it without rest.
#[test]
fn a_start_in_a_higher_role_does_not_wait_for_an_epoch_below_it() {
    let mut one = Bench::with(kept(1, "two", 0), plain());
    one.pass(3_000);
    one.broken_disk = true;
    one.promote(2, "one");
    one.broken_disk = false;
    one.promote(3, "one");
    one.pass(0);
    one.peer_says(Bench::yes(&one.asked().expect("it asks")));
    one.pass(0);
    one.exit();
    one.pass(0);
    one.at("its start as primary", spawns_primary);
    assert!(!one.has(closes), "nothing is closed below a role that is held");
}

/// It was demoted when its promotion took too long, and killed when it did not confirm that: without a process it did neither, and
/// nothing was ever done with it again.
#[test]
fn a_promotion_that_waits_for_another_application_ends_without_a_process() {
    let mut dep = assignment("dep", "x", "beta", Interface::Plain);
    dep.pair = None;
    let mut table = plain();
    table[0].spec.process.after = vec![app("dep")];
    table.insert(0, dep);
    let mut one = Bench::voted_for(table);
    let dep = app("dep");
    let ended = AgentSaw::Ended {
        application: dep.clone(),
        start: one.start_of(&dep),
        cause: ExitCause::Signal(9),
        others_live: false,
        last_words: String::new(),
    };
    one.sees(ended);
    one.exit();
    one.renewed_for(11_000);
    one.pass(5_000);
    one.log.clear();
    let start = one.start_of(&dep);
    one.sees(AgentSaw::Spawned { application: dep, start, pid: 101 });
    one.pass(1_000);
    let starts =
        |did: &Did| matches!(did, Did::Done(AgentDo::Spawn(spawn)) if spawn.application == app("one"));
    one.at("its start", starts);
}
