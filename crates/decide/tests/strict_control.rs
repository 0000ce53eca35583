//! A control server with a `strict` pair: one story for each way in which a role goes from one member to the other, or does not.

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::{Ask, *};
use understudy_model::*;

#[test]
fn a_release_fails_over_at_once_without_a_question_and_the_order_tells_of_it() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 0));
    // The process is gone, and the epoch is not given up: nobody is promoted, and nobody is told that all is well.
    desk.pass(ms(20));
    assert!(desk.records.is_empty() && desk.take_promotion().is_none(), "{}", desk.story());
    desk.reports(ended(1, "a", 1));
    let (to, order, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((to.clone(), ordered), (host("beta"), role(2, "b")));
    assert_eq!((grant.lease, grant.fenced), (ms(1_000), Some(role(1, "a"))));
    assert!(desk.take_pre_vote().is_none(), "a release needs no question");
    desk.reports(acting(2, "b"));
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!((desk.state().as_str(), desk.view().primary), ("held", Some(app("b"))));
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
}

#[test]
fn the_record_and_the_order_are_two_decisions_at_one_moment() {
    let mut desk = Desk::settled();
    let ended = ended(1, "a", 1);
    desk.step(ControlSaw::Reported { host: host("alpha"), report: ended });
    assert_eq!(desk.stored.roles[&pair()], role(2, "b"));
    assert!(desk.take_promotion().is_none(), "ordered in the decision of the record");
    assert_eq!(desk.control.next_deadline(), Some(desk.now));
    desk.step(ControlSaw::DeadlinePassed);
    assert!(desk.take_promotion().is_some());
}

#[test]
fn a_silent_primary_is_followed_when_its_promise_ran_out_and_the_other_agent_would_promise() {
    let mut desk = Desk::settled();
    desk.pass(ms(500));
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(999));
    assert!(desk.take_pre_vote().is_none() && desk.records.is_empty(), "{}", desk.story());
    desk.pass(ms(1));
    let (to, order, asked) = desk.take_pre_vote().expect("it is asked");
    assert_eq!((to.clone(), asked), (host("beta"), role(2, "b")));
    assert!(desk.records.is_empty(), "nothing is stored before the answer");
    desk.answers(&to, &order, Outcome::Done);
    let (_, _, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((ordered, grant.fenced), (role(2, "b"), None));
    assert!(desk.told(Rule::PromiseExpired), "{}", desk.story());
}

#[test]
fn a_primary_that_only_this_control_server_cannot_hear_costs_no_epoch() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(1_000));
    for _ in 0..3 {
        let (to, order, _) = desk.take_pre_vote().expect("it is asked again");
        let refused = Refusal::Promised(role(1, "a"), ms(300));
        desk.answers(&to, &order, Outcome::Refused(refused));
        let view = desk.view();
        assert_eq!((view.primary, view.primary_heard), (Some(app("a")), false));
        assert_eq!(view.alive_through, Some(app("b")));
        assert!(view.considered.nearly.iter().any(|nearly| nearly.missed.contains("alive through b")));
        desk.pass(ms(299));
        assert!(desk.take_pre_vote().is_none());
        desk.pass(ms(1));
    }
    assert!(desk.records.is_empty(), "{}", desk.story());
    desk.link_up("alpha");
    assert_eq!((desk.state().as_str(), desk.view().alive_through), ("held", None));
}

#[test]
fn nothing_is_decided_about_a_pair_of_which_nobody_is_heard_however_long() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.link_down("beta", LinkEnd::Silent);
    desk.pass(ms(60_000));
    assert!(desk.records.is_empty());
    assert_eq!(desk.view().primary, Some(app("a")), "both may renew each other: {}", desk.story());
}

#[test]
fn a_new_leadership_waits_a_lease_or_a_release() {
    let mut desk = Desk::settled();
    desk.restart();
    desk.link_up("beta");
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(999));
    assert!(desk.take_pre_vote().is_none(), "what was read counts as promised");
    desk.pass(ms(1));
    assert!(desk.take_pre_vote().is_some());

    desk.restart();
    desk.link_up("beta");
    let left = ApplicationReport { gave_up: true, ..ended(1, "a", 1) };
    desk.reports.insert(app("a"), left);
    desk.link_up("alpha");
    let (_, _, ordered, _) = desk.take_promotion().expect("a release is enough");
    assert_eq!(ordered, role(2, "b"));
}

#[test]
fn a_stored_epoch_keeps_the_lease_that_it_was_given_when_the_setting_is_shortened() {
    let given = |memory: &mut ControlMemory| {
        memory.grants.leases.insert(pair(), ms(3_000));
    };
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), given);
    desk.settle();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(2_999));
    assert!(desk.take_pre_vote().is_none());
    desk.pass(ms(1));
    let (to, order, _) = desk.take_pre_vote().unwrap();
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!(desk.take_promotion().unwrap().3.lease, ms(1_000), "the next epoch has the new one");
    assert_eq!(desk.stored.grants.leases[&pair()], ms(3_000), "the next leader waits for the longest");
    desk.answers(&host("beta"), &order, Outcome::Done);
    desk.reports(acting(2, "b"));
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
    desk.pass(ms(1));
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
    desk.pass(ms(2));
    assert_eq!(desk.stored.grants.leases[&pair()], ms(1_000), "until the new holder asks");
}

#[test]
fn an_order_that_did_not_arrive_is_repeated_while_its_promise_binds() {
    let mut desk = Desk::settled();
    desk.reports(ended(1, "a", 1));
    let (_, first, _, _) = desk.take_promotion().unwrap();
    desk.link_down("beta", LinkEnd::Closed);
    desk.pass(ms(100));
    desk.link_up("beta");
    let (_, again, ordered, _) = desk.take_promotion().expect("the same order again");
    assert_eq!(ordered, role(2, "b"));
    assert_ne!(first.incarnation, again.incarnation);
    assert!(desk.told(Rule::OrderRepeated));
    assert_eq!(
        desk.records.iter().filter(|record| matches!(record, ControlRecord::RaiseEpoch { .. })).count(),
        1
    );
}

#[test]
fn a_refused_order_is_rolled_back_only_after_its_epoch_is_given_up() {
    let mut desk = Desk::settled();
    desk.reports(idle("a", 1));
    let (to, order, _, _) = desk.take_promotion().unwrap();
    // The refusal comes without its report: no permission to promote.
    desk.answers(&to, &order, Outcome::Refused(Refusal::TooSlow));
    assert!(desk.take_promotion().is_none(), "{}", desk.story());
    desk.reports(idle("b", 2));
    let (back, _, ordered, _) = desk.take_promotion().expect("the way back");
    assert_eq!((back, ordered), (host("alpha"), role(3, "a")));
    assert!(desk.told(Rule::RollBack));
}

#[test]
fn an_agent_that_is_bound_to_the_silent_primary_is_asked_before_the_next_epoch() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(1_000));
    let (to, order, _) = desk.take_pre_vote().unwrap();
    desk.answers(&to, &order, Outcome::Done);
    let (to, order, _, _) = desk.take_promotion().unwrap();
    // It renewed the primary meanwhile.
    desk.reports(idle("b", 2));
    desk.answers(&to, &order, Outcome::Refused(Refusal::Promised(role(1, "a"), ms(400))));
    desk.pass(ms(399));
    assert!(desk.take_promotion().is_none() && desk.take_pre_vote().is_none(), "{}", desk.story());
    desk.pass(ms(1));
    let (to, order, asked) = desk.take_pre_vote().expect("asked again");
    assert_eq!(asked, role(3, "b"));
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!(desk.take_promotion().unwrap().2, role(3, "b"));
}

#[test]
fn a_member_that_acts_in_an_older_role_is_reaffirmed_when_the_other_gave_up() {
    let mut desk = Desk::new(Some(role(2, "b")));
    desk.reports.insert(app("a"), acting(1, "a"));
    desk.reports.insert(app("b"), ended(2, "b", 0));
    desk.link_up("alpha");
    desk.link_up("beta");
    desk.pass(ms(500));
    assert!(desk.records.is_empty(), "the promise to b binds: {}", desk.story());
    desk.reports(ended(2, "b", 2));
    let (to, _, ordered, _) = desk.take_promotion().expect("a new epoch for the one that acts");
    assert_eq!((to, ordered), (host("alpha"), role(3, "a")));
    assert!(desk.told(Rule::Reaffirm));
}

#[test]
fn votes_are_for_the_promised_role_asked_by_its_own_host() {
    let mut desk = Desk::settled();
    let refused = |verdict: Verdict| matches!(verdict, Verdict::Refused { .. });
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    assert!(refused(desk.asks_vote("beta", role(1, "a"))), "another host asks for it");
    assert!(refused(desk.asks_vote("beta", role(1, "b"))));
    assert!(refused(desk.asks_vote("alpha", role(2, "a"))));
    assert!(refused(desk.asks_vote("alpha", role(1, "nobody"))));
    let view = desk.view();
    assert_eq!((view.votes_given, view.votes_refused), (1, 2));
    desk.cluster.pairs.get_mut(&pair()).unwrap().policy = Policy::Available;
    desk.configure();
    assert!(refused(desk.asks_vote("alpha", role(1, "a"))), "there are no promises under available");
}

#[test]
fn an_epoch_that_was_certainly_not_stored_leaves_everything_as_it_was() {
    let mut desk = Desk::settled();
    desk.disk = Disk::Full;
    desk.reports(ended(1, "a", 1));
    assert!(desk.take_promotion().is_none());
    assert_eq!(desk.view().stored, Some(role(1, "a")));
    desk.disk = Disk::Works;
    desk.pass(RETRY);
    assert_eq!(desk.take_promotion().unwrap().2, role(2, "b"));
}

#[test]
fn after_an_unknown_outcome_nothing_is_voted_stored_or_ordered() {
    let mut desk = Desk::settled();
    desk.disk = Disk::Unknown;
    desk.reports(ended(1, "a", 1));
    desk.disk = Disk::Works;
    let before = desk.records.len();
    desk.pass(ms(10_000));
    assert!(desk.take_promotion().is_none() && desk.records.len() == before, "{}", desk.story());
    assert!(matches!(desk.asks_vote("alpha", role(1, "a")), Verdict::Refused { .. }));
}

#[test]
fn an_agent_without_memory_is_told_what_the_store_holds() {
    let mut desk = Desk::settled();
    let mut blank = idle("b", 0);
    if let Some(told) = &mut blank.role {
        told.strict = Some(GrantReport { unread: true, ..GrantReport::default() });
    }
    desk.reports(blank);
    let (to, order) = desk.take(|work| matches!(work, Work::Learn { .. })).expect("it is told");
    assert_eq!(
        (to.clone(), order.work.clone()),
        (host("beta"), Work::Learn { pair: pair(), stored: Epoch(1), lease: ms(1_000) })
    );
    desk.pass(ms(5_000));
    assert!(
        desk.take(|work| matches!(work, Work::Learn { .. })).is_none(),
        "once, while it has not answered"
    );
    desk.reports(idle("b", 1));
    desk.answers(&to, &order, Outcome::Done);
}

// ---- what ends a promise before its time --------------------------------------------------------------------------------

/// As settled, and alpha has a command that switches it off.
fn with_device() -> Desk {
    let mut cluster = cluster();
    let device = FenceSpec { command: vec!["/bin/true".into()], timeout: ms(5_000) };
    cluster.hosts.get_mut(&host("alpha")).unwrap().fence = Some(device);
    let mut desk = Desk::with(cluster, Some(role(1, "a")), |_| ());
    desk.settle();
    desk
}

fn fence_ended(confirmed: bool) -> ControlSaw {
    ControlSaw::FenceEnded { host: host("alpha"), confirmed, said: "so it is".into() }
}

#[test]
fn a_confirmed_device_ends_the_promise_and_the_order_tells_of_it() {
    let mut desk = with_device();
    desk.link_down("alpha", LinkEnd::Silent);
    assert_eq!(desk.fenced, [host("alpha")], "{}", desk.story());
    assert!(
        matches!(desk.asks_vote("alpha", role(1, "a")), Verdict::Refused { .. }),
        "not while it is switched off"
    );
    desk.pass(ms(50));
    desk.sees(fence_ended(true));
    assert!(desk.take_pre_vote().is_none(), "its agent would not promise before it is told");
    let (_, _, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((ordered, grant.fenced), (role(2, "b"), Some(role(1, "a"))));
    assert!(desk.told(Rule::FencedByDevice), "{}", desk.story());
}

#[test]
fn a_device_that_failed_leaves_the_promise_to_time_and_is_not_called_twice() {
    let mut desk = with_device();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.sees(fence_ended(false));
    desk.pass(ms(999));
    assert!(desk.take_promotion().is_none() && desk.take_pre_vote().is_none());
    desk.pass(ms(1));
    assert!(desk.take_pre_vote().is_some());
    assert_eq!(desk.fenced.len(), 1);
    // It was voted for no more: an older call may yet be carried out. Heard again, it gets a new epoch.
    desk.link_up("alpha");
    assert_eq!(desk.take_promotion().expect("a new epoch").2, role(2, "a"), "{}", desk.story());
}

#[test]
fn what_a_device_says_later_than_the_promise_changes_nothing_of_the_next_one() {
    let mut desk = with_device();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(1_000));
    let (to, order, _) = desk.take_pre_vote().unwrap();
    desk.answers(&to, &order, Outcome::Done);
    desk.take_promotion().unwrap();
    desk.reports(acting(2, "b"));
    desk.sees(fence_ended(true));
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given);
    desk.restart();
    desk.sees(fence_ended(true));
    assert_eq!(desk.asks_vote("beta", role(2, "b")), Verdict::Given, "of an earlier leadership");
}

#[test]
fn no_device_is_called_for_a_host_that_refuses_or_is_under_maintenance_or_for_nobody() {
    let mut desk = with_device();
    desk.cluster.pairs.get_mut(&pair()).unwrap().timers.agent_restart_grace = ms(100);
    desk.configure();
    desk.link_down("alpha", LinkEnd::Refused);
    desk.pass(ms(500));
    let mut cared = with_device();
    cared.asks(Ask::Maintenance { name: "a".into(), on: true });
    cared.link_down("alpha", LinkEnd::Silent);
    cared.pass(ms(500));
    let mut alone = with_device();
    alone.link_down("beta", LinkEnd::Closed);
    alone.link_down("alpha", LinkEnd::Silent);
    alone.pass(ms(500));
    assert!(desk.fenced.is_empty() && cared.fenced.is_empty() && alone.fenced.is_empty());
}

fn force(dry_run: bool) -> Ask {
    Ask::Failover { name: "p".into(), dry_run, given_up: None, reason: None }
}

#[test]
fn an_operators_word_ends_the_promise_when_it_is_durable_and_is_told_to_the_other_agent() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(400));
    let Reply::Plan { steps, .. } = desk.asks(force(true)) else { panic!("no plan") };
    assert!(steps[0].contains("you say that this machine is off"), "{steps:?}");
    assert!(steps[0].contains("(1, a) is promised here for 0.600 s more"), "{steps:?}");
    assert!(desk.take_promotion().is_none());
    assert!(matches!(desk.asks(force(false)), Reply::Begun(_)));
    let (_, _, ordered, grant) = desk.take_promotion().expect("an order");
    assert_eq!((ordered, grant.fenced), (role(2, "b"), Some(role(1, "a"))));
    assert!(desk.told(Rule::OperatorForced));
}

#[test]
fn a_word_that_could_not_be_stored_ends_nothing() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.disk = Disk::Full;
    assert!(matches!(desk.asks(force(false)), Reply::Refused { .. }));
    desk.disk = Disk::Works;
    desk.pass(ms(900));
    assert!(desk.take_promotion().is_none() && desk.take_pre_vote().is_none(), "{}", desk.story());
    desk.link_up("alpha");
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
}

// ---- a restored store ---------------------------------------------------------------------------------------------------

/// The store says (1, a); b acts in (3, b), which the store has forgotten.
fn restored() -> Desk {
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |memory| memory.grants.restored = true);
    desk.reports.insert(app("a"), idle("a", 2));
    desk.reports.insert(app("b"), acting(3, "b"));
    desk
}

#[test]
fn a_restored_store_is_written_above_what_both_agents_said_after_a_lease_and_another() {
    let mut desk = restored();
    desk.link_up("alpha");
    desk.link_up("beta");
    desk.pass(ms(999));
    assert!(desk.take_pre_vote().is_none(), "what is said before the former leader is gone counts nothing");
    desk.pass(ms(1));
    let mut asked = Vec::new();
    while let Some((to, order, _)) = desk.take_pre_vote() {
        asked.push((to, order));
    }
    assert_eq!(asked.len(), 2);
    for (to, order) in &asked {
        assert!(matches!(desk.asks_vote("beta", role(3, "b")), Verdict::Refused { .. }));
        desk.answers(to, order, Outcome::Refused(Refusal::NotVoting("no matter".into())));
    }
    desk.pass(ms(999));
    assert!(desk.records.is_empty(), "{}", desk.story());
    desk.pass(ms(1));
    assert_eq!(desk.take_promotion().expect("the one that acts is reaffirmed").2, role(4, "b"));
    desk.reports(acting(4, "b"));
    assert_eq!(desk.asks_vote("beta", role(4, "b")), Verdict::Given);
    // The marker is gone with the first epoch: whoever reads it next believes it.
    for policy in [Policy::Available, Policy::Strict] {
        desk.cluster.pairs.get_mut(&pair()).unwrap().policy = policy;
        desk.configure();
    }
    assert_eq!(desk.asks_vote("beta", role(4, "b")), Verdict::Given);
    desk.restart();
    assert_eq!(desk.asks_vote("beta", role(4, "b")), Verdict::Given);
}

#[test]
fn the_first_leader_of_a_restored_store_waits_for_the_second_agent_or_an_operators_word() {
    let mut desk = restored();
    desk.reports.insert(app("b"), idle("b", 3));
    desk.link_up("beta");
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(30_000));
    assert!(desk.records.is_empty(), "{}", desk.story());
    while let Some((to, order, _)) = desk.take_pre_vote() {
        desk.answers(&to, &order, Outcome::Done);
    }
    assert!(matches!(desk.asks(force(false)), Reply::Begun(_)));
    desk.pass(ms(999));
    assert!(desk.take_promotion().is_none());
    desk.pass(ms(1));
    assert_eq!(desk.take_promotion().expect("an order").2, role(4, "b"), "{}", desk.story());
}

#[test]
fn only_a_restored_store_counts_on_from_what_an_agent_obeyed() {
    let outranked = |highest| ControlSaw::Outranked { host: host("beta"), highest: ControllerEpoch(highest) };
    let raised = |desk: &Desk| {
        desk.records.iter().any(|record| matches!(record, ControlRecord::RaiseLeadership { .. }))
    };
    let mut plain = Desk::settled();
    plain.sees(outranked(9));
    assert!(!raised(&plain), "another control server may lead");
    let mut desk = restored();
    desk.sees(outranked(1));
    desk.sees(outranked(u64::MAX));
    assert!(!raised(&desk), "not higher, or no count of leaderships");
    desk.sees(outranked(9));
    assert!(raised(&desk));
}

// ---- both members on one host -------------------------------------------------------------------------------------------

#[test]
fn both_members_on_one_host_are_renewed_and_followed_as_any_others() {
    let mut cluster = cluster();
    cluster.applications.get_mut(&app("b")).unwrap().host = host("alpha");
    let mut desk = Desk::with(cluster, Some(role(1, "a")), |_| ());
    desk.settle();
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    desk.reports(ended(1, "a", 1));
    assert_eq!(desk.take_promotion().unwrap().2, role(2, "b"));
}

#[test]
fn a_strict_member_is_told_who_else_votes() {
    let mut desk = Desk::settled();
    let (_, order) = desk.take(|work| matches!(work, Work::Assign(_))).unwrap();
    let Work::Assign(assigned) = order.work else { panic!() };
    let strict = assigned[0].pair.as_ref().unwrap().strict.clone().unwrap();
    assert_eq!((strict.terms.lease, strict.peer_host), (ms(1_000), host("alpha")));
    assert_eq!(strict.peer_addresses, ["10.0.0.1:4999"]);
}

// ---- what shares a decision with something that is not stored ------------------------------------------------------------

#[test]
fn an_order_that_was_dropped_with_somebody_elses_record_is_given_again() {
    let mut desk = Desk::settled();
    desk.step(ControlSaw::Reported { host: host("alpha"), report: ended(1, "a", 1) });
    desk.disk = Disk::Full;
    assert!(matches!(desk.asks(Ask::Stop { name: "a".into(), graceful: false }), Reply::Refused { .. }));
    desk.disk = Disk::Works;
    desk.pass(ms(1));
    assert_eq!(desk.take_promotion().expect("given again").2, role(2, "b"), "{}", desk.story());
}

#[test]
fn a_device_that_was_not_called_as_its_decision_was_not_stored_has_failed() {
    let mut desk = with_device();
    let spec = desk.cluster.pairs.get_mut(&pair()).unwrap();
    spec.timers.disconnect_switchover_timeout = ms(100);
    desk.configure();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(99));
    desk.now = desk.now + ms(1);
    desk.disk = Disk::Full;
    assert!(matches!(desk.asks(Ask::Start { name: "a".into() }), Reply::Refused { .. }));
    desk.disk = Disk::Works;
    assert!(desk.fenced.is_empty() && desk.told(Rule::FenceFailed), "{}", desk.story());
    desk.pass(ms(900));
    assert!(desk.take_pre_vote().is_some(), "the promise runs out by itself");
}

#[test]
fn a_new_epoch_is_above_everything_that_any_agent_has_named() {
    let mut desk = Desk::settled();
    desk.reports(idle("b", 7));
    desk.reports(ended(1, "a", 1));
    assert_eq!(desk.take_promotion().unwrap().2, role(8, "b"));
}

#[test]
fn a_vote_is_renewed_while_something_else_is_being_stored_and_no_pair_is_looked_at_for_it() {
    let mut desk = Desk::settled();
    desk.pass(ms(900));
    let ask = VoteAsk {
        pair: pair(),
        incarnation: Incarnation(1),
        number: 1,
        role: role(1, "a"),
        lease: ms(1_000),
    };
    let saw = ControlSaw::VoteAsked { host: host("alpha"), ask };
    let decision = desk.control.aside(desk.now, &saw).expect("it is not made to wait");
    let [ControlDo::Vote { answer, .. }] = &decision.actions[..] else { panic!("{decision:?}") };
    assert_eq!(answer.verdict, Verdict::Given);
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(999));
    assert!(desk.take_pre_vote().is_none(), "it binds from then on");
    assert!(desk.control.aside(desk.now, &ControlSaw::DeadlinePassed).is_none());
}

// ---- agents that have never promised anything ----------------------------------------------------------------------------

/// Of a cluster that was never used: nothing is stored, and no agent has promised anything.
fn blank(name: &str, unread: bool, silent: bool) -> ApplicationReport {
    let mut blank = idle(name, 0);
    if let Some(told) = &mut blank.role {
        told.promised = None;
        told.strict = Some(GrantReport { unread, silent, ..GrantReport::default() });
    }
    blank
}

#[test]
fn the_very_first_epoch_is_not_spent_on_an_agent_that_does_not_vote_yet() {
    let mut desk = Desk::new(None);
    for name in ["a", "b"] {
        desk.reports.insert(app(name), blank(name, true, true));
    }
    desk.link_up("alpha");
    desk.link_up("beta");
    let learn = |work: &Work| matches!(work, Work::Learn { .. });
    desk.pass(ms(900));
    assert!(desk.take(learn).is_none(), "it would not take it while it is silent");
    assert!(desk.records.is_empty() && desk.take_promotion().is_none(), "{}", desk.story());
    desk.reports(blank("a", true, false));
    let (to, order) = desk.take(learn).expect("it is told");
    assert_eq!(
        (&to, &order.work),
        (&host("alpha"), &Work::Learn { pair: pair(), stored: Epoch::NONE, lease: ms(1_000) })
    );
    desk.reports(blank("a", false, false));
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!(desk.take_promotion().expect("an order").2, role(1, "a"), "{}", desk.story());
}

#[test]
fn a_restored_store_that_holds_the_very_role_that_acts_is_written_anew_all_the_same() {
    let mut desk = Desk::with(cluster(), Some(role(1, "a")), |memory| memory.grants.restored = true);
    desk.reports.insert(app("a"), acting(1, "a"));
    desk.reports.insert(app("b"), idle("b", 0));
    desk.link_up("alpha");
    desk.link_up("beta");
    desk.pass(ms(1_000));
    while let Some((to, order, _)) = desk.take_pre_vote() {
        desk.answers(&to, &order, Outcome::Done);
    }
    desk.pass(ms(1_000));
    assert_eq!(
        desk.take_promotion().expect("else it is never voted for").2,
        role(2, "a"),
        "{}",
        desk.story()
    );
}
