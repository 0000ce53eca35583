//! What a hostile review found in the control server's side of `strict` pairs: one sequence for each, played from the desk.

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::{Ask, *};
use understudy_model::*;

fn force() -> Ask {
    Ask::Failover { name: "p".into(), dry_run: false, given_up: None, reason: None }
}

fn raises(desk: &Desk) -> Vec<RoleEpoch> {
    let raised = |record: &ControlRecord| match record {
        ControlRecord::RaiseEpoch { next, .. } => Some(next.clone()),
        _ => None,
    };
    desk.records.iter().filter_map(raised).collect()
}

// ---- what counts as running for a new configuration -------------------------------------------------------------------

#[test]
fn a_stopped_member_on_a_silent_host_counts_as_running_until_its_promises_are_known_to_be_over() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(2_000));
    while let Some((to, order, _)) = desk.take_pre_vote() {
        desk.answers(&to, &order, Outcome::Refused(Refusal::Promised(role(1, "a"), ms(900))));
    }
    desk.asks(Ask::Stop { name: "p".into(), graceful: false });
    desk.link_down("beta", LinkEnd::Silent);
    desk.pass(ms(20_000));
    assert!(desk.control.running().contains(&app("a")), "b's agent may renew it");
    assert!(desk.control.not_given_up().contains(&app("a")));
    desk.reports.insert(app("a"), ended(1, "a", 1));
    desk.link_up("alpha");
    desk.link_down("alpha", LinkEnd::Silent);
    assert!(!desk.control.running().contains(&app("a")), "it gave its role up");
    // Another leadership did not hear that.
    desk.restart();
    desk.link_down("alpha", LinkEnd::Silent);
    assert!(desk.control.running().contains(&app("a")));
}

#[test]
fn a_stopped_member_that_was_followed_does_not_count_as_running() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(1_000));
    let (to, order, _) = desk.take_pre_vote().unwrap();
    desk.answers(&to, &order, Outcome::Done);
    let _ = desk.take_promotion().expect("an order");
    desk.asks(Ask::Stop { name: "a".into(), graceful: false });
    assert!(desk.control.running().contains(&app("a")), "b's agent has not said that it is bound to b");
    desk.reports(acting(2, "b"));
    assert!(!desk.control.running().contains(&app("a")), "{}", desk.story());
}

#[test]
fn what_was_known_of_the_former_members_promises_is_forgotten_with_them() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    let _ = desk.take_promotion().expect("an order");
    desk.reports(acting(2, "b"));
    let spec = desk.cluster.applications[&app("a")].clone();
    desk.cluster.applications.insert(app("c"), spec);
    desk.cluster.pairs.get_mut(&pair()).unwrap().primary = app("c");
    assert_eq!(desk.view().votes_given, 0);
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
    assert_eq!(desk.view().votes_given, 1);
    desk.configure();
    assert_eq!(desk.view().votes_given, 0, "its grants are read anew");
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
}

// ---- an operator's word ------------------------------------------------------------------------------------------------

/// The pre-vote is on the way, and the promise of this control server has run out.
fn pre_vote_in_flight() -> (Desk, HostName, Order) {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(1_000));
    let (to, order, _) = desk.take_pre_vote().expect("a question");
    (desk, to, order)
}

#[test]
fn a_word_that_comes_after_the_promise_fences_nothing_but_the_role_that_it_was_said_of() {
    let (mut desk, ..) = pre_vote_in_flight();
    assert!(matches!(desk.asks(force()), Reply::Begun(_)));
    let (_, _, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((ordered, grant.fenced), (role(2, "b"), Some(role(1, "a"))));
    desk.reports(acting(2, "b"));
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given, "{}", desk.story());
}

#[test]
fn after_a_word_a_bound_agent_is_asked_and_ordered_again() {
    let (mut desk, ..) = pre_vote_in_flight();
    desk.asks(force());
    let (to, order, ..) = desk.take_promotion().expect("an order");
    let mut bound = idle("b", 2);
    bound.role.as_mut().unwrap().promised = Some(role(1, "a"));
    desk.reports(bound);
    desk.answers(&to, &order, Outcome::Refused(Refusal::Promised(role(1, "a"), ms(500))));
    for _ in 0..20 {
        desk.pass(ms(100));
        if let Some((to, order, _)) = desk.take_pre_vote() {
            desk.answers(&to, &order, Outcome::Done);
        }
    }
    assert_eq!(desk.take_promotion().expect("another order").2, role(3, "b"), "{}", desk.story());
}

#[test]
fn a_word_promotes_nobody_before_it_is_durable() {
    let (mut desk, ..) = pre_vote_in_flight();
    desk.disk = Disk::Full;
    assert!(matches!(desk.asks(force()), Reply::Refused { .. }));
    assert_eq!(raises(&desk), [], "not in the decision that stores the word");
}

// ---- devices -------------------------------------------------------------------------------------------------------------

fn with_device() -> Desk {
    let mut cluster = cluster();
    let device = FenceSpec { command: vec!["/bin/true".into()], timeout: ms(5_000) };
    cluster.hosts.get_mut(&host("alpha")).unwrap().fence = Some(device);
    let mut desk = Desk::with(cluster, Some(role(1, "a")), |_| ());
    desk.settle();
    desk
}

#[test]
fn no_device_is_called_for_a_host_that_the_other_members_agent_hears() {
    let mut desk = with_device();
    let mut b = idle("b", 0);
    b.role.as_mut().unwrap().strict = Some(GrantReport { peer_heard: true, ..GrantReport::default() });
    desk.reports(b);
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(500));
    assert!(desk.fenced.is_empty());
    desk.reports(idle("b", 0));
    assert_eq!(desk.fenced, [host("alpha")], "now nobody hears it");
}

#[test]
fn a_device_that_failed_once_is_called_again_for_another_role() {
    let mut desk = with_device();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.sees(ControlSaw::FenceEnded { host: host("alpha"), confirmed: false, said: "no".into() });
    desk.link_up("alpha");
    let (to, order, ordered, _) = desk.take_promotion().expect("a new epoch");
    assert_eq!(ordered, role(2, "a"));
    desk.reports(acting(2, "a"));
    desk.answers(&to, &order, Outcome::Done);
    desk.pass(ms(60_000));
    assert_eq!(desk.asks_vote("alpha", role(2, "a")), Verdict::Given);
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(900));
    assert_eq!(desk.fenced, [host("alpha"), host("alpha")]);
}

// ---- maintenance ---------------------------------------------------------------------------------------------------------

#[test]
fn a_silent_member_under_maintenance_is_followed_by_nobody_and_nobody_is_asked() {
    for of in ["alpha", "a"] {
        let mut desk = Desk::settled();
        desk.asks(Ask::Maintenance { name: of.into(), on: true });
        desk.link_down("alpha", LinkEnd::Silent);
        for _ in 0..100 {
            desk.pass(ms(100));
            assert!(desk.take_pre_vote().is_none(), "{of}");
        }
        assert_eq!(raises(&desk), [], "{of}");
        // An operator knows better.
        assert!(matches!(desk.asks(force()), Reply::Begun(_)));
        assert_eq!(desk.take_promotion().expect("an order").2, role(2, "b"));
    }
}

#[test]
fn maintenance_that_begins_after_the_answer_holds_too() {
    let (mut desk, to, order) = pre_vote_in_flight();
    desk.asks(Ask::Maintenance { name: "a".into(), on: true });
    desk.answers(&to, &order, Outcome::Done);
    desk.pass(ms(10_000));
    assert_eq!(raises(&desk), [], "{}", desk.story());
}

// ---- a restored store ----------------------------------------------------------------------------------------------------

fn answer_words(desk: &mut Desk) {
    while let Some((to, order, _)) = desk.take_pre_vote() {
        desk.answers(&to, &order, Outcome::Done);
    }
}

#[test]
fn an_operators_word_stands_for_any_unheard_member_of_a_restored_store_also_when_it_is_given_early() {
    for (stored, early) in [(Some(role(1, "a")), 0), (Some(role(1, "a")), 60_000), (None, 500)] {
        let mut desk = Desk::with(cluster(), stored, |memory| memory.grants.restored = true);
        desk.reports.insert(app("a"), idle("a", 2));
        desk.link_up("alpha");
        desk.link_down("beta", LinkEnd::Silent);
        desk.pass(ms(early));
        answer_words(&mut desk);
        assert_eq!(raises(&desk), []);
        assert!(matches!(desk.asks(force()), Reply::Begun(_)), "{}", desk.story());
        for _ in 0..40 {
            answer_words(&mut desk);
            desk.pass(ms(100));
        }
        assert_eq!(raises(&desk), [role(3, "a")], "{}", desk.story());
    }
}

#[test]
fn an_early_word_about_the_stored_holder_is_kept_until_it_counts() {
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |memory| memory.grants.restored = true);
    desk.reports.insert(app("b"), idle("b", 3));
    desk.link_up("beta");
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(500));
    assert!(matches!(desk.asks(force()), Reply::Begun(_)));
    for _ in 0..40 {
        answer_words(&mut desk);
        desk.pass(ms(100));
    }
    assert_eq!(raises(&desk), [role(4, "b")], "{}", desk.story());
}

#[test]
fn who_speaks_after_all_is_asked_and_no_operators_word_stands_for_it() {
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |memory| memory.grants.restored = true);
    desk.reports.insert(app("b"), idle("b", 3));
    desk.link_up("beta");
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(500));
    desk.asks(force());
    desk.reports.insert(app("a"), acting(9, "a"));
    desk.link_up("alpha");
    for _ in 0..40 {
        answer_words(&mut desk);
        desk.pass(ms(100));
    }
    assert_eq!(raises(&desk), [role(10, "a")], "{}", desk.story());
}

#[test]
fn a_restored_store_waits_for_the_lease_that_it_gave_though_the_setting_is_shorter_now() {
    let given = [(pair(), ms(5_000))].into();
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |memory| {
        memory.grants = GrantMemory { restored: true, leases: given, ..GrantMemory::default() };
    });
    desk.reports.insert(app("a"), idle("a", 2));
    desk.reports.insert(app("b"), idle("b", 3));
    desk.link_up("alpha");
    desk.link_up("beta");
    desk.pass(ms(1_000));
    answer_words(&mut desk);
    desk.pass(ms(4_900));
    assert_eq!(raises(&desk), [], "{}", desk.story());
    desk.pass(ms(100));
    assert_eq!(raises(&desk).len(), 1);
}

// ---- agents of an earlier version ----------------------------------------------------------------------------------------

fn old(mut report: ApplicationReport) -> ApplicationReport {
    report.role.as_mut().unwrap().strict = None;
    report
}

#[test]
fn no_epoch_is_spent_on_an_agent_that_does_not_vote() {
    let mut desk = Desk::settled();
    desk.reports(old(idle("b", 0)));
    desk.reports(ApplicationReport { gave_up: true, ..ended(1, "a", 1) });
    desk.pass(ms(60_000));
    assert_eq!(raises(&desk), []);
    assert!(desk.story().contains("update its agent"), "{}", desk.story());
    desk.reports(idle("b", 0));
    assert_eq!(raises(&desk), [role(2, "b")]);
}

#[test]
fn a_links_own_refusal_is_no_word_for_a_restored_store() {
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |memory| memory.grants.restored = true);
    desk.reports.insert(app("a"), idle("a", 2));
    desk.reports.insert(app("b"), old(acting(3, "b")));
    desk.link_up("alpha");
    desk.link_up("beta");
    for _ in 0..100 {
        while let Some((to, order, _)) = desk.take_pre_vote() {
            desk.answers(&to, &order, Outcome::Refused(Refusal::NotVoting("too old".into())));
        }
        desk.pass(ms(100));
    }
    assert_eq!(raises(&desk), [], "{}", desk.story());
}

#[test]
fn a_primary_that_knows_no_lease_may_act_until_it_is_heard_not_to() {
    let mut desk = Desk::settled();
    desk.reports(old(acting(1, "a")));
    desk.link_down("alpha", LinkEnd::Silent);
    for _ in 0..100 {
        answer_words(&mut desk);
        desk.pass(ms(100));
    }
    assert_eq!(raises(&desk), [], "{}", desk.story());
    desk.reports.insert(app("a"), old(ended(1, "a", 1)));
    desk.link_up("alpha");
    assert_eq!(raises(&desk), [role(2, "b")], "{}", desk.story());
}

// ---- noise ---------------------------------------------------------------------------------------------------------------

#[test]
fn an_intruder_that_refuses_to_step_down_is_ordered_once_a_while() {
    let mut desk = Desk::new(Some(role(2, "b")));
    let mut a = idle("a", 0);
    a.role.as_mut().unwrap().promised = Some(role(1, "a"));
    desk.reports.insert(app("a"), a);
    desk.reports.insert(app("b"), acting(2, "b"));
    desk.link_up("alpha");
    desk.link_up("beta");
    let mut rounds = 0;
    for _ in 0..100 {
        while let Some((to, order)) = desk.take(|work| matches!(work, Work::Demote { .. })) {
            rounds += 1;
            desk.answers(&to, &order, Outcome::Refused(Refusal::NotActing(None)));
        }
        desk.pass(ms(100));
    }
    assert!((9..=11).contains(&rounds), "{rounds} in 10 s");
}

#[test]
fn a_vote_looks_at_nothing_else_when_nothing_is_due() {
    let mut desk = Desk::settled();
    // The first one of an epoch says which lease it has.
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    desk.pass(ms(50));
    let due = desk.control.next_deadline();
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    assert_eq!(desk.control.next_deadline(), due, "not even at the clock");
}

#[test]
fn refused_votes_are_told_once_of_a_kind_and_of_few_kinds() {
    let mut desk = Desk::settled();
    let mut told = 0;
    for number in 0..1_000 {
        let (name, asked) = match number % 3 {
            0 => ("q", role(1, "a")),
            1 => ("p", role(number, "b")),
            _ => ("p", RoleEpoch::new(Epoch(1), app(&format!("x{number}")))),
        };
        let ask = VoteAsk {
            pair: PairName::new(name).unwrap(),
            incarnation: Incarnation(1),
            number,
            role: asked,
            lease: ms(1_000),
        };
        let decision = desk.control.step(desk.now, ControlSaw::VoteAsked { host: host("alpha"), ask });
        told += decision.quiet.len();
    }
    assert!((2..=32).contains(&told), "{told}");
}

#[test]
fn what_is_said_of_another_pair_is_no_release_and_no_role_of_this_one() {
    let mut desk = Desk::settled();
    let other = |mut report: ApplicationReport| {
        report.role.as_mut().unwrap().pair = PairName::new("q").unwrap();
        report
    };
    desk.reports(other(ended(90, "a", 90)));
    desk.pass(ms(500));
    assert_eq!(raises(&desk), [], "{}", desk.story());
    desk.reports(ended(1, "a", 1));
    assert_eq!(raises(&desk), [role(2, "b")], "not above an epoch of another pair");
}

// ---- the store -----------------------------------------------------------------------------------------------------------

#[test]
fn an_unknown_outcome_of_any_record_ends_the_leadership() {
    let mut desk = Desk::settled();
    desk.disk = Disk::Unknown;
    desk.asks(Ask::Maintenance { name: "b".into(), on: true });
    assert!(matches!(desk.asks_vote("alpha", role(1, "a")), Verdict::Refused { .. }));
}

#[test]
fn an_epoch_that_cannot_be_stored_keeps_no_other_pair_without_a_primary() {
    let mut cluster = cluster();
    let q = PairName::new("q").unwrap();
    for (new, of) in [("c", "a"), ("d", "b")] {
        let spec = cluster.applications[&app(of)].clone();
        cluster.applications.insert(app(new), spec);
    }
    let spec = PairSpec { primary: app("c"), backup: app("d"), ..cluster.pairs[&pair()].clone() };
    cluster.pairs.insert(q.clone(), spec);
    let desk = Desk::with(cluster, Some(role(1, "a")), |memory| {
        memory.roles.insert(q.clone(), role(1, "c"));
    });
    let (mut control, mut now, mut failed, mut stored) = (desk.control, desk.now, 0, 0);
    let mut step = |control: &mut Control, now: Moment, saw: ControlSaw| {
        let mut next = Some(saw);
        while let Some(saw) = next.take() {
            let decision = control.step(now, saw);
            let raises = |name: &PairName| {
                let of = |record: &ControlRecord| matches!(record, ControlRecord::RaiseEpoch { pair, .. } if pair == name);
                decision.persist.iter().any(of)
            };
            stored += usize::from(raises(&q) && !raises(&pair()));
            if raises(&pair()) {
                failed += 1;
                next =
                    Some(Control::store_failed(decision.persist, "an epoch is out of bounds".into(), true));
            }
        }
    };
    let of_q = |mut report: ApplicationReport| {
        report.role.as_mut().unwrap().pair = PairName::new("q").unwrap();
        report
    };
    let up = |name: &str, applications: Vec<ApplicationReport>| ControlSaw::LinkUp {
        host: host(name),
        inventory: Inventory {
            host: host(name),
            agent: AgentId(1),
            incarnation: Incarnation(1),
            controller_epoch: ControllerEpoch(1),
            applications,
        },
    };
    step(&mut control, now, up("beta", vec![idle("b", 0), of_q(idle("d", 0))]));
    let gone = |report: ApplicationReport| ApplicationReport { gave_up: true, ..report };
    step(&mut control, now, up("alpha", vec![gone(ended(1, "a", 1)), of_q(gone(ended(1, "c", 1)))]));
    // It wakes late each time: both are due in the same look.
    for _ in 0..100 {
        for _ in 0..12 {
            if control.next_deadline().is_some_and(|due| due <= now) {
                step(&mut control, now, ControlSaw::DeadlinePassed);
            }
        }
        now = now + ms(100);
    }
    assert_eq!(stored, 1, "after {failed} failures");
}

/// Seed 576825713495 of the simulation: what the application refused, its agent's full disk and an order for the epoch that
/// this had cost were counted together, and the pair was left without a primary for 30 s when all was well.
#[test]
fn an_agent_that_only_needs_another_epoch_waits_for_nothing_that_its_application_refused() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    let not_today = Refusal::ApplicationRefused("not today".to_owned());
    for (epoch, wait) in [(2, ms(1_000)), (3, ms(2_000))] {
        let (to, order, ordered, _) = desk.take_promotion().expect("an order");
        assert_eq!(ordered, role(epoch, "b"));
        desk.reports(idle("b", epoch));
        desk.answers(&to, &order, Outcome::Refused(not_today.clone()));
        assert!(desk.take_promotion().is_none(), "it is tried again later: {}", desk.story());
        desk.pass(wait);
    }
    let (to, order, ordered, _) = desk.take_promotion().expect("a third order");
    assert_eq!(ordered, role(4, "b"));
    desk.answers(&to, &order, Outcome::Refused(Refusal::NotDurable("the disk is full".to_owned())));
    desk.pass(ms(125));
    let (to, order, ordered, _) = desk.take_promotion().expect("the same order, as its promise binds");
    assert_eq!(ordered, role(4, "b"));
    // The disk is well again, and the agent gave up what it could not keep, while that was on its way.
    desk.reports(idle("b", 4));
    desk.answers(&to, &order, Outcome::Refused(Refusal::ClosedEpoch(Epoch(4))));
    desk.pass(ms(250));
    let (_, _, ordered, _) = desk.take_promotion().expect("another epoch");
    assert_eq!(ordered, role(5, "b"));
}

/// Seed 156876874717: the next process was not asked for half a minute, as the one before had refused.
#[test]
fn the_process_after_one_that_died_on_its_way_to_the_role_is_asked_after_a_second() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    let refused = Refusal::ApplicationRefused("not today".to_owned());
    let died = Refusal::Died("signal 9 (KILL)".to_owned());
    // What is refused again and again is asked less and less often, ten seconds apart at most.
    let waits = [1, 2, 4, 8, 10, 10].map(|seconds| (refused.clone(), ms(1_000 * seconds)));
    for (number, (refusal, wait)) in waits.into_iter().chain([(died, ms(1_000))]).enumerate() {
        let epoch = 2 + number as u64;
        let (to, order, ordered, _) = desk.take_promotion().expect("an order");
        assert_eq!(ordered, role(epoch, "b"));
        desk.reports(idle("b", epoch));
        desk.answers(&to, &order, Outcome::Refused(refusal));
        desk.pass(wait - ms(1));
        assert!(desk.take_promotion().is_none(), "too early for epoch {epoch}: {}", desk.story());
        desk.pass(ms(1));
    }
    assert_eq!(desk.take_promotion().expect("the next process is asked").2, role(9, "b"));
}

/// Its link is well, and its disk hangs: it neither promises nor answers. The other member is well again.
#[test]
fn a_promotion_that_is_not_answered_while_the_promise_lasts_is_given_up() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    let (to, order, ordered, _) = desk.take_promotion().expect("an order");
    assert_eq!(ordered, role(2, "b"));
    desk.reports(idle("a", 1));
    desk.pass(ms(900));
    assert!(desk.take_promotion().is_none(), "{}", desk.story());
    desk.pass(ms(200));
    let (_, _, ordered, _) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
    assert_eq!(ordered, role(3, "a"));
    assert!(desk.told(Rule::PromotionRefused), "{}", desk.story());
    // Whatever comes of it later counts nothing.
    assert!(matches!(desk.asks_vote("beta", role(2, "b")), Verdict::Refused { .. }));
    desk.answers(&to, &order, Outcome::Refused(Refusal::TooSlow));
    desk.reports(acting(3, "a"));
    assert_eq!((desk.state().as_str(), desk.view().primary), ("held", Some(app("a"))), "{}", desk.story());
}

/// What it says of its own promise comes before its answer, which says why.
#[test]
fn a_promotion_that_is_released_is_waited_for_until_its_answer_says_why() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    let (to, order, ordered, _) = desk.take_promotion().expect("an order");
    assert_eq!(ordered, role(2, "b"));
    desk.reports(idle("a", 1));
    desk.reports(idle("b", 2));
    assert!(!desk.told(Rule::PromotionRefused) && desk.take_promotion().is_none(), "{}", desk.story());
    desk.answers(&to, &order, Outcome::Refused(Refusal::ApplicationRefused("not today".into())));
    let told = desk.events.iter().any(|event| event.because.reason.contains("not today"));
    assert!(told && desk.take_promotion().is_some(), "{}", desk.story());
}

/// One that has promised, and takes its time to become primary, is renewed meanwhile.
#[test]
fn a_slow_promotion_is_waited_for_while_its_agent_asks() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    assert_eq!(desk.take_promotion().expect("an order").2, role(2, "b"));
    desk.reports(idle("a", 1));
    for _ in 0..20 {
        assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
        desk.pass(ms(200));
    }
    assert!(desk.take_promotion().is_none(), "{}", desk.story());
}

/// Found by the simulator: what waited in the mailbox of a control server that was stopped is older than the deadline between.
#[test]
fn an_observation_that_is_older_than_the_last_look_is_not_before_what_was_decided_then() {
    let mut desk = Desk::settled();
    let coming = ApplicationReport { status: ApplicationStatus::Initializing, ..idle("b", 0) };
    desk.reports(coming);
    desk.now = desk.now + ms(3_000);
    desk.reports(ended(1, "a", 1));
    assert_eq!(desk.state(), "vacant", "{}", desk.story());
    let slept = desk.events.len();
    desk.now = desk.now - ms(2_000);
    desk.reports(idle("a", 1));
    desk.pass(ms(2_000));
    let (_, _, ordered, _) = desk.take_promotion().unwrap_or_else(|| panic!("{}", desk.story()));
    assert_eq!(ordered, role(2, "a"));
    let slept_again = desk.events[slept..].iter().any(|event| event.because.rule == Rule::OwnSleep);
    assert!(!slept_again, "{}", desk.story());
}
