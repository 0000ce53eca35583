//! A member of a strict pair and its agent, one rule of `docs/protocols/grants.md` a test.
//!
//! The law: nobody acts without a vote, nothing is said before it is durable, and a page says no before an epoch is closed.

mod member;

use member::*;
use understudy_decide::agent::*;
use understudy_model::*;

#[test]
fn an_order_is_permission_to_ask_and_the_first_yes_makes_it_primary() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(3_000);
    let order = one.promote(2, "one");
    one.pass(0);
    assert!(one.at("the promise", promises) < one.at("a request", asks));
    assert!(!one.has(tells_primary) && !one.has(page_says_yes), "nobody voted yet: {:#?}", one.log);
    let sent = one.now;
    one.pass(40);
    let ask = one.asked().unwrap();
    assert_eq!((ask.role.clone(), ask.lease), (role(2, "one"), ms(3_000)));
    one.control_says(Bench::yes(&ask));
    one.pass(0);
    let page = one.at("the page", page_says_yes);
    assert!(page < one.at("the word", tells_primary));
    assert!(one.at("the guard", guards) < one.at("the word", tells_primary));
    let Did::Done(AgentDo::ShowPage { page, .. }) = &one.log[page] else { unreachable!() };
    assert_eq!(
        (page.role.clone(), page.until),
        (Some(role(2, "one")), sent + ms(3_000)),
        "from the asking on"
    );
    assert_eq!(one.answer_to(order), None);
    one.done(RunMode::Primary, 2);
    assert_eq!(one.answer_to(order), Some(Outcome::Done));
}

#[test]
fn an_order_that_nobody_votes_for_is_given_up_and_released() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(3_000);
    let order = one.promote(2, "one");
    one.pass(0);
    let ask = one.asked().unwrap();
    one.pass(3_100);
    assert_eq!(one.answer_to(order), Some(Outcome::Refused(Refusal::NoVotes)));
    assert!(one.at("the end", closes) < one.at("the release", releases));
    // Late, and for an epoch that was given up.
    one.log.clear();
    one.peer_says(Bench::yes(&ask));
    one.pass(10_000);
    assert!(!one.has(tells_primary) && !one.has(page_says_yes) && !one.has(tells_backup), "{:#?}", one.log);
}

#[test]
fn while_another_is_promised_the_order_is_refused_with_the_time_that_is_left_and_given_up() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(1_000);
    let order = one.promote(2, "one");
    one.pass(0);
    let outcome = one.answer_to(order).unwrap();
    assert_eq!(outcome, Outcome::Refused(Refusal::Promised(role(1, "two"), ms(2_000))));
    assert!(one.has(closes) && !one.has(asks) && !one.has(promises));
    // A release of the other agent ends the promise at once.
    let release = Release { pair: pair(), role: role(1, "two") };
    one.sees(AgentSaw::PeerReleased { host: host("beta"), release });
    one.promote(3, "one");
    one.pass(0);
    assert!(one.has(asks));
}

#[test]
fn a_question_whether_it_would_promise_binds_nobody() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(1_000);
    let would = |one: &mut Bench| one.order(Work::WouldPromise { pair: pair(), role: role(2, "one") });
    let early = would(&mut one);
    assert_eq!(one.answer_to(early), Some(Outcome::Refused(Refusal::Promised(role(1, "two"), ms(2_000)))));
    one.pass(2_000);
    let late = would(&mut one);
    assert_eq!(one.answer_to(late), Some(Outcome::Done));
    assert!(!one.has(|did| matches!(did, Did::Kept(_))), "{:#?}", one.log);
}

#[test]
fn the_other_agents_vote_alone_keeps_a_primary() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.renewed_for(60_000);
    one.log.clear();
    one.pass(0);
    assert!(!one.has(page_says_no) && !one.has(tells_backup) && !one.has(kills));
    assert!(one.events.iter().all(|event| event.kind != EventKind::Fenced));
}

#[test]
fn without_any_vote_it_steps_down_in_time_and_is_killed_at_the_end_of_it() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.sees(AgentSaw::PeerLeft { host: host("beta") });
    one.pass(2_499);
    assert!(!one.has(tells_backup));
    one.pass(1);
    assert!(one.at("the page", page_says_no) < one.at("the demotion", tells_backup));
    assert!(!one.has(closes) && !one.has(kills));
    one.pass(500);
    one.at("the kill", kills);
    assert!(!one.has(closes), "something may still act");
    one.exit();
    one.pass(0);
    one.at("the end", closes);
}

#[test]
fn a_dead_primary_is_closed_before_its_release_and_its_page_says_no_before_that() {
    let mut one = Bench::primary(2);
    one.exit();
    one.pass(0);
    let (page, close) = (one.at("the page", page_says_no), one.at("the end", closes));
    assert!(page < close && close < one.at("the release", releases));
    let exit_told =
        one.at("the exit", |did| matches!(did, Did::Done(AgentDo::Report(report)) if report.pid.is_none()));
    assert!(exit_told < close, "whoever decides may prepare");
    let closed = |did: &Did| match did {
        Did::Done(AgentDo::Report(report)) => {
            report.role.as_ref().is_some_and(|role| role.closed == Epoch(2))
        }
        _ => false,
    };
    assert!(close < one.at("the release of the control server", closed));
}

#[test]
fn a_primary_that_dies_while_no_control_server_leads_is_started_in_place() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.exit();
    one.pass(50);
    assert!(one.has(page_says_no) && !one.has(closes) && !one.has(releases));
    let spawned = |did: &Did| matches!(did, Did::Done(AgentDo::Spawn(spawn)) if spawn.run_mode == RunMode::Primary && spawn.epoch == Epoch(2));
    one.at("its start as primary", spawned);
    one.log.clear();
    let start = one.start_of(&app("one"));
    one.sees(AgentSaw::Spawned { application: app("one"), start, pid: 101 });
    one.attach(&app("one"), RunMode::Primary, 2);
    assert!(one.has(page_says_yes) && !one.has(closes));
}

#[test]
fn an_order_to_be_a_backup_silences_the_page_first() {
    let mut one = Bench::primary(2);
    let order = one.order(Work::Demote { pair: pair(), role: role(2, "one"), time_limit: ms(1_000) });
    assert!(one.at("the page", page_says_no) < one.at("the word", tells_backup));
    one.pass(100);
    assert!(!one.has(closes) && one.answer_to(order).is_none());
    one.done(RunMode::Backup, 2);
    one.pass(0);
    assert!(one.at("the end", closes) < one.at("the release", releases));
    assert_eq!(one.answer_to(order), Some(Outcome::Done));
    one.log.clear();
    one.pass(10_000);
    assert!(!one.has(asks), "it holds nothing");
}

#[test]
fn a_vote_for_the_other_member_is_durable_before_it_is_said_and_a_renewal_costs_nothing() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(2, 1) });
    assert_eq!(verdict(&one, 1), Some(Verdict::Given));
    assert!(one.at("the promise", promises) == 0);
    one.log.clear();
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(2, 2) });
    assert_eq!(verdict(&one, 2), Some(Verdict::Given));
    assert!(!one.has(promises));
    // Only the agent of the other member's host is asked for it, and only for it.
    one.sees(AgentSaw::PeerAsked { host: host("gamma"), ask: ask(2, 3) });
    assert!(matches!(verdict(&one, 3), Some(Verdict::Refused { .. })));
}

#[test]
fn a_vote_that_could_not_be_kept_is_not_said_and_is_kept_with_the_next() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.broken_disk = true;
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(2, 1) });
    assert_eq!(verdict(&one, 1), None);
    one.broken_disk = false;
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(2, 2) });
    assert_eq!(verdict(&one, 2), Some(Verdict::Given));
    assert!(one.has(promises), "a renewal of what is not on the disk: {:#?}", one.log);
}

#[test]
fn a_primary_does_not_vote_for_another_and_an_overtaken_one_gives_up() {
    let mut one = Bench::primary(2);
    one.sees(AgentSaw::PeerAsked { host: host("beta"), ask: ask(3, 1) });
    assert!(matches!(verdict(&one, 1), Some(Verdict::Refused { .. })));
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(3_000);
    let order = one.promote(2, "one");
    one.pass(0);
    let asked = one.asked().unwrap();
    let verdict = Verdict::Refused { promised: Some(role(3, "two")), why: "promised".into() };
    one.peer_says(VoteAnswer { verdict, ..Bench::yes(&asked) });
    one.pass(0);
    assert!(one.has(closes) && one.has(releases));
    assert!(matches!(one.answer_to(order), Some(Outcome::Refused(_))));
}

#[test]
fn no_guard_no_renewal() {
    let mut one = Bench::primary(2);
    one.sees(AgentSaw::GuardChanged { up: false });
    one.pass(2_400);
    assert!(!one.has(asks) && !one.has(tells_backup));
    one.sees(AgentSaw::GuardChanged { up: true });
    one.pass(0);
    assert!(one.has(asks));
}

#[test]
fn a_promotion_without_a_guard_is_refused_for_that_and_not_for_votes() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(3_000);
    one.sees(AgentSaw::GuardChanged { up: false });
    let order = one.promote(2, "one");
    one.pass(3_100);
    assert!(!one.has(asks));
    assert_eq!(one.answer_to(order), Some(Outcome::Refused(Refusal::NoGuard)));
}

#[test]
fn a_dial_of_a_peer_takes_no_longer_than_half_of_the_shortest_lease_that_rests_on_it() {
    for (lease, patience) in
        [(ms(250), ms(125)), (ms(3_000), ms(1_500)), (ms(40), ms(100)), (ms(30_000), ms(2_000))]
    {
        let mut member = assignment("one", "two", "beta", Interface::Library);
        let mut place = member.pair.take().unwrap();
        place.strict.as_mut().unwrap().terms.lease = lease;
        member.pair = Some(place);
        let one = Bench::begin(kept(1, "two", 0), vec![member], 7, Vec::new(), Default::default());
        let kept = one.log.iter().find_map(|did| match did {
            Did::Done(AgentDo::KeepPeers(peers)) => Some(peers[0].patience),
            _ => None,
        });
        assert_eq!(kept, Some(patience), "{lease:?}");
    }
}

#[test]
fn with_both_members_here_the_one_vote_counts_twice() {
    let members = vec![
        assignment("one", "two", "alpha", Interface::Library),
        assignment("two", "one", "alpha", Interface::Library),
    ];
    let mut both = Bench::with(kept(1, "two", 1), members);
    both.promote(2, "one");
    both.pass(0);
    assert!(both.has(page_says_yes) && both.has(tells_primary), "{:#?}", both.log);
    both.done(RunMode::Primary, 2);
    both.leave(1);
    both.pass(60_000);
    assert!(!both.has(tells_backup), "losing the control plane stops nobody");
}

#[test]
fn a_disk_that_keeps_nothing_promotes_nobody_and_lets_promises_run_out() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(3_000);
    one.broken_disk = true;
    let order = one.promote(2, "one");
    one.pass(100);
    assert!(matches!(one.answer_to(order), Some(Outcome::Refused(Refusal::NotDurable(_)))));
    assert!(!one.has(asks) && !one.has(page_says_yes));
    one.broken_disk = false;
    one.pass(2_000);
    assert!(one.has(closes));
    // A primary that dies on a full disk asks for nothing more, so that the other may follow it in time.
    let mut one = Bench::primary(2);
    one.broken_disk = true;
    one.exit();
    one.pass(10_000);
    assert!(!one.has(asks) && !one.has(releases));
}

#[test]
fn while_a_slow_disk_is_waited_for_votes_are_asked_heard_and_renewed() {
    let mut one = Bench::primary(2);
    // Something else is being stored: a table of applications.
    let table = vec![
        assignment("one", "two", "beta", Interface::Library),
        assignment("x", "y", "beta", Interface::Plain),
    ];
    let order = Order {
        id: OrderId(90),
        incarnation: Incarnation(7),
        controller_epoch: ControllerEpoch(1),
        work: Work::Assign(table),
    };
    let pending = one.agent.step(one.now, AgentSaw::Ordered { link: LinkId(1), order });
    assert!(!pending.persist.is_empty());
    let mut until = Moment(0);
    for _ in 0..20 {
        let due = one.agent.aside_deadline().expect("a round is due");
        one.now = one.now.max(due);
        let asked = one.agent.aside_passed(one.now);
        assert!(asked.persist.is_empty());
        let ask = asked.actions.iter().find_map(|action| match action {
            AgentDo::AskPeer { ask, .. } => Some(ask.clone()),
            _ => None,
        });
        let saw = AgentSaw::PeerVoted { host: host("beta"), answer: Bench::yes(&ask.expect("it asks")) };
        let heard = one.agent.aside(one.now, &saw).expect("a vote needs nothing durable");
        let page = heard.actions.iter().find_map(|action| match action {
            AgentDo::ShowPage { page, .. } => Some(page.until),
            _ => None,
        });
        assert!(page.expect("the page is told") > until);
        until = page.unwrap();
    }
    assert!(until > Moment(100_000_000_000) + ms(12_000));
    let exit = AgentSaw::Ended {
        application: app("one"),
        start: one.start_of(&app("one")),
        cause: ExitCause::Signal(9),
        others_live: false,
        last_words: String::new(),
    };
    assert!(one.agent.aside(one.now, &exit).is_none(), "that waits for its turn");
    assert_eq!(one.agent.aside_deadline(), None, "nothing is asked for a primary that is none");
    one.sees(exit);
    one.pass(0);
    one.at("the end", closes);
}

#[test]
fn a_vote_that_is_being_stored_is_not_renewed_before_it_is() {
    let mut one = Bench::new(kept(1, "two", 0));
    let asked = |number| AgentSaw::PeerAsked { host: host("beta"), ask: ask(2, number) };
    let pending = one.agent.step(one.now, asked(1));
    assert!(!pending.persist.is_empty());
    assert!(one.agent.aside(one.now, &asked(2)).is_none(), "what is not durable is not said (S3)");
    one.agent.step(one.now, AgentSaw::DeadlinePassed);
    assert!(one.agent.aside(one.now, &asked(3)).is_some());
}

#[test]
fn word_of_a_kill_that_comes_after_the_end_leaves_nothing_behind() {
    let mut one = Bench::primary(2);
    let start = one.start_of(&app("one"));
    one.exit();
    one.sees(AgentSaw::GuardFired { application: app("one"), start });
    one.order(Work::SetHandsOff { application: app("one"), hands_off: true });
    // Comes to rest, which `pass` checks.
    one.pass(10_000);
}

fn confirms(one: &mut Bench, number: u64) {
    let start = one.start_of(&app("one"));
    let said = FromApplication::Confirm(number);
    one.sees(AgentSaw::Said { application: app("one"), start, said });
}

fn confirmed(one: &Bench, wanted: u64) -> Option<Option<Epoch>> {
    one.log.iter().find_map(|did| match did {
        Did::Done(AgentDo::Say { message: ToApplication::Confirmed { number, epoch }, .. }) => {
            (*number == wanted).then_some(*epoch)
        }
        _ => None,
    })
}

#[test]
fn a_role_is_confirmed_by_a_vote_that_was_asked_for_after_the_question() {
    let mut one = Bench::primary(2);
    one.pass(600);
    let before = one.asked().expect("a renewal");
    one.log.clear();
    confirms(&mut one, 7);
    let asked = one.asked().expect("a round of its own");
    assert!(asked.number > before.number);
    // One that comes while a round is under way waits for the next one.
    one.log.clear();
    confirms(&mut one, 8);
    assert!(!one.has(asks));
    one.peer_says(Bench::yes(&before));
    assert_eq!(confirmed(&one, 7), None, "that was asked for before");
    one.peer_says(Bench::yes(&asked));
    assert_eq!((confirmed(&one, 7), confirmed(&one, 8)), (Some(Some(Epoch(2))), None));
    let next = one.asked().expect("the next round");
    one.control_says(Bench::yes(&next));
    assert_eq!(confirmed(&one, 8), Some(Some(Epoch(2))));
}

#[test]
fn nobody_confirms_a_backup_a_primary_that_steps_down_and_too_many() {
    let mut one = Bench::new(kept(1, "two", 0));
    confirms(&mut one, 1);
    assert_eq!(confirmed(&one, 1), Some(None));
    let mut one = Bench::primary(2);
    confirms(&mut one, 2);
    one.order(Work::Demote { pair: pair(), role: role(2, "one"), time_limit: ms(1_000) });
    assert_eq!(confirmed(&one, 2), Some(None));
    let mut one = Bench::primary(2);
    (0..300).for_each(|number| confirms(&mut one, number));
    assert_eq!((confirmed(&one, 255), confirmed(&one, 256)), (None, Some(None)));
}

#[test]
fn a_member_that_steps_down_is_asked_for_no_more() {
    let mut one = Bench::primary(2);
    one.order(Work::Demote { pair: pair(), role: role(2, "one"), time_limit: ms(2_000) });
    one.log.clear();
    one.pass(1_500);
    assert!(!one.has(asks), "{:#?}", one.log);
}

#[test]
fn a_page_says_no_in_an_earlier_decision_than_the_end_of_its_epoch() {
    let mut one = Bench::primary(2);
    one.leave(1);
    one.sees(AgentSaw::PeerLeft { host: host("beta") });
    // Nobody is there to be told anything: the end could follow at once.
    one.sees(AgentSaw::Said {
        application: app("one"),
        start: one.start_of(&app("one")),
        said: FromApplication::RunModeDone { run_mode: RunMode::Backup, epoch: Epoch(2) },
    });
    let mut decisions = 0;
    while let Some(due) = one.agent.next_deadline().filter(|due| *due <= one.now) {
        let decision = one.agent.step(one.now.max(due), AgentSaw::DeadlinePassed);
        let page = decision.actions.iter().any(|action| matches!(action, AgentDo::ShowPage { .. }));
        assert!(!page || decision.persist.is_empty(), "{decision:?}");
        decisions += 1;
        assert!(decisions < 10);
        if !decision.persist.is_empty() {
            return;
        }
    }
    panic!("it is never closed");
}

#[test]
fn what_was_released_while_the_other_agent_was_away_is_said_again() {
    let mut one = Bench::primary(2);
    one.sees(AgentSaw::PeerLeft { host: host("beta") });
    one.exit();
    one.pass(0);
    one.log.clear();
    one.sees(AgentSaw::PeerJoined { host: host("beta") });
    let again = |did: &Did| match did {
        Did::Done(AgentDo::TellPeer { release, .. }) => release.role == role(2, "one"),
        _ => false,
    };
    one.at("the release", again);
}

#[test]
fn the_vote_of_a_control_server_that_is_not_obeyed_counts_nothing() {
    let mut one = Bench::new(kept(1, "two", 0));
    one.pass(3_000);
    one.promote(2, "one");
    one.pass(0);
    let ask = one.asked().unwrap();
    one.sees(AgentSaw::ControllerVoted { link: LinkId(9), answer: Bench::yes(&ask) });
    assert!(!one.has(page_says_yes));
    one.control_says(Bench::yes(&ask));
    assert!(one.has(page_says_yes));
}

#[test]
fn only_the_other_members_agent_releases_it() {
    let mut one = Bench::new(kept(1, "two", 0));
    let release = Release { pair: pair(), role: role(1, "two") };
    one.sees(AgentSaw::PeerReleased { host: host("gamma"), release: release.clone() });
    let would = |one: &mut Bench| one.order(Work::WouldPromise { pair: pair(), role: role(2, "one") });
    let asked = would(&mut one);
    assert!(matches!(one.answer_to(asked), Some(Outcome::Refused(Refusal::Promised(..)))));
    one.sees(AgentSaw::PeerReleased { host: host("beta"), release });
    let asked = would(&mut one);
    assert_eq!(one.answer_to(asked), Some(Outcome::Done));
}

fn kill_times(one: &Bench) -> Vec<Moment> {
    let time = |did: &Did| match did {
        Did::Done(AgentDo::Guard { kill_at, .. }) => Some(*kill_at),
        _ => None,
    };
    one.log.iter().filter_map(time).collect()
}

#[test]
fn a_member_that_reads_no_page_is_killed_as_much_earlier_as_a_kill_takes() {
    for (interface, early) in [(Interface::Library, ms(0)), (Interface::Plain, ms(50))] {
        let table = vec![assignment("one", "two", "beta", interface)];
        let mut one = Bench::with(kept(1, "two", 0), table);
        one.pass(3_000);
        one.promote(2, "one");
        one.pass(0);
        let sent = one.now;
        one.peer_says(Bench::yes(&one.asked().expect("it asks")));
        assert_eq!(kill_times(&one), [sent + ms(3_000) - early], "{interface:?}");
    }
}

#[test]
fn what_is_left_of_a_dead_primarys_tree_is_guarded_until_it_is_gone() {
    let mut one = Bench::primary(2);
    let start = one.start_of(&app("one"));
    let unguarded = |did: &Did| matches!(did, Did::Done(AgentDo::Unguard { .. }));
    let cause = ExitCause::Signal(9);
    let last_words = String::new();
    one.sees(AgentSaw::Ended { application: app("one"), start, cause, others_live: true, last_words });
    one.pass(100);
    assert!(one.has(page_says_no) && !one.has(unguarded) && !one.has(closes), "{:#?}", one.log);
    one.sees(AgentSaw::TreeGone { application: app("one"), start });
    one.pass(0);
    assert!(one.has(unguarded) && one.has(closes));
}

/// Found by the simulator: what could not be stored was taken back, but for that the member was left alone.
#[test]
fn what_ended_under_maintenance_stays_down_when_the_end_of_maintenance_cannot_be_stored() {
    let mut one = Bench::primary(2);
    let starts = |did: &Did| matches!(did, Did::Done(AgentDo::Spawn(_)));
    one.order(Work::SetHandsOff { application: app("one"), hands_off: true });
    one.exit();
    one.pass(100);
    one.log.clear();
    one.broken_disk = true;
    let ended = one.order(Work::SetHandsOff { application: app("one"), hands_off: false });
    assert!(matches!(one.answer_to(ended), Some(Outcome::Refused(Refusal::NotDurable(_)))));
    one.broken_disk = false;
    one.pass(10_000);
    assert!(!one.has(starts), "{:#?}", one.log);
    one.order(Work::SetHandsOff { application: app("one"), hands_off: false });
    one.pass(100);
    one.at("the start", starts);
}

/// Found by the simulator: its host was about to leave when the rest of its tree was gone, so its end was that of the leave.
#[test]
fn what_ended_under_maintenance_stays_down_when_its_host_was_to_leave_and_stays() {
    for rest_lives in [true, false] {
        let mut one = Bench::primary(2);
        let starts = |did: &Did| matches!(did, Did::Done(AgentDo::Spawn(_)));
        one.order(Work::SetHandsOff { application: app("one"), hands_off: true });
        let (cause, start) = (ExitCause::Signal(9), one.start_of(&app("one")));
        let last_words = String::new();
        one.sees(AgentSaw::Ended {
            application: app("one"),
            start,
            cause,
            others_live: rest_lives,
            last_words,
        });
        one.sees(AgentSaw::LeaveAsked { limit: ms(1_000) });
        one.pass(1_000);
        if rest_lives {
            one.sees(AgentSaw::TreeGone { application: app("one"), start });
        }
        one.sees(AgentSaw::LeaveTakenBack);
        one.log.clear();
        one.pass(10_000);
        assert!(!one.has(starts), "{:#?}", one.log);
        one.order(Work::SetHandsOff { application: app("one"), hands_off: false });
        one.pass(100);
        one.at("the start", starts);
    }
}
