//! Pairs whose data must not be lost, with a control server and its agents played from the desk: who is promoted, who is not,
//! and who may change that (G14).

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::{Ask, *};
use understudy_model::*;

const OUT: InSyncWish = InSyncWish::LeaveOut;
const CAUGHT_UP: InSyncWish = InSyncWish::CaughtUp;

fn keeping() -> Cluster {
    let mut cluster = cluster();
    cluster.pairs.get_mut(&pair()).unwrap().keep_data = true;
    cluster
}

/// Acting `a` and ready `b`, both with everything.
fn settled() -> Desk {
    let both = InSync::of(Epoch(1), [(&app("a"), &host("alpha")), (&app("b"), &host("beta"))]);
    let mut desk = Desk::with(keeping(), Some(role(1, "a")), |memory| {
        memory.in_sync.insert(pair(), both);
    });
    desk.settle();
    desk
}

/// The same, and `b` is left out since epoch 1.
fn alone() -> Desk {
    let mut desk = settled();
    assert_eq!(desk.says("alpha", role(1, "a"), OUT), None);
    desk
}

fn recorded(desk: &Desk) -> Vec<&str> {
    desk.stored.in_sync[&pair()].members.keys().map(|name| name.as_str()).collect()
}

fn why_b_waits(desk: &Desk) -> String {
    desk.view().not_ready_because.join("; ")
}

/// `a` falls silent for good, and whoever is asked is free.
fn lose_a(desk: &mut Desk) {
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(1_000));
    while let Some((to, order, _)) = desk.take_pre_vote() {
        desk.answers(&to, &order, Outcome::Done);
    }
    desk.pass(ms(3_000));
}

fn force(dry_run: bool) -> Ask {
    Ask::Failover { name: "p".into(), dry_run, given_up: None, reason: None }
}

fn promoted(desk: &mut Desk) -> Option<RoleEpoch> {
    desk.take_promotion().map(|(_, _, role, _)| role)
}

#[test]
fn while_both_have_everything_a_lost_primary_is_followed() {
    let mut desk = settled();
    assert!(desk.view().ready && desk.view().waits_for_data.is_none());
    lose_a(&mut desk);
    assert_eq!(promoted(&mut desk), Some(role(2, "b")), "{}", desk.story());
    assert_eq!(recorded(&desk), ["a", "b"], "what a has acknowledged, it still has");
}

#[test]
fn a_member_that_was_left_out_follows_nobody_and_everybody_is_told_why() {
    let mut desk = alone();
    assert_eq!(recorded(&desk), ["a"]);
    assert!(!desk.view().ready && why_b_waits(&desk).contains("lacks what a acknowledged since epoch 1"));
    let risks = desk.control.view(desk.now).hosts[0].loss_risks.join("; ");
    assert!(risks.contains("b could not take over: it lacks what a acknowledged"), "{risks}");
    lose_a(&mut desk);
    assert_eq!(promoted(&mut desk), None, "{}", desk.story());
    let view = desk.view();
    let why = "b: it lacks what a acknowledged since epoch 1: not promoted";
    assert_eq!((view.primary, view.waits_for_data.as_deref()), (None, Some(why)));
    assert_eq!((view.considered.rule, view.considered.reason.as_str()), (Rule::LacksData, why));
    assert!(desk.told(Rule::LacksData), "{}", desk.story());
    let warnings = desk.control.view(desk.now).warnings.join("; ");
    assert!(warnings.contains(why) && warnings.contains("scsctl failover p --force"), "{warnings}");
}

#[test]
fn who_has_everything_is_promoted_again_when_it_is_back() {
    let mut desk = alone();
    lose_a(&mut desk);
    desk.reports.insert(app("a"), idle("a", 1));
    desk.link_up("alpha");
    assert_eq!(promoted(&mut desk), Some(role(2, "a")), "{}", desk.story());
    desk.reports(acting(2, "a"));
    assert_eq!((desk.state().as_str(), recorded(&desk)), ("held", vec!["a"]));
    // It knows nothing of an earlier epoch's word: it says it again, and need not wait for the disk.
    let before = desk.records.len();
    assert_eq!(desk.says("alpha", role(2, "a"), OUT), None);
    assert_eq!((desk.records.len(), desk.stored.in_sync[&pair()].since), (before, Epoch(1)));
}

#[test]
fn a_primary_that_ends_is_not_followed_by_who_lacks_its_data() {
    let mut desk = alone();
    desk.reports(ended(1, "a", 1));
    desk.pass(ms(10_000));
    assert_eq!(promoted(&mut desk), None, "{}", desk.story());
    desk.reports(idle("a", 1));
    assert_eq!(promoted(&mut desk), Some(role(2, "a")));
}

#[test]
fn who_has_caught_up_follows_again() {
    let mut desk = alone();
    assert_eq!(desk.says("alpha", role(1, "a"), CAUGHT_UP), None);
    assert_eq!(recorded(&desk), ["a", "b"]);
    assert!(desk.view().ready, "{:?}", desk.view().not_ready_because);
    lose_a(&mut desk);
    assert_eq!(promoted(&mut desk), Some(role(2, "b")), "{}", desk.story());
}

#[test]
fn no_switchover_and_no_way_back_leads_to_who_lacks_data() {
    let mut desk = alone();
    let switchover = Ask::Switchover { name: "p".into(), to: None, dry_run: false, reason: None };
    let Reply::Refused { because, .. } = desk.asks(switchover.clone()) else { panic!("it began") };
    assert!(because.join("; ").contains("b is ready: no, it lacks what a acknowledged"), "{because:?}");
    assert!(desk.take(|work| matches!(work, Work::Demote { .. })).is_none());

    // It leaves b out after it was ordered to step down: the change goes back.
    let mut desk = settled();
    let Reply::Begun(_) = desk.asks(switchover) else { panic!("refused: {}", desk.story()) };
    let (to, order) = desk.take(|work| matches!(work, Work::Demote { .. })).unwrap();
    assert_eq!(desk.says("alpha", role(1, "a"), OUT), None);
    desk.reports.insert(app("a"), idle("a", 1));
    desk.answers(&to, &order, Outcome::Done);
    desk.reports(idle("a", 1));
    desk.pass(ms(1));
    assert_eq!(promoted(&mut desk), Some(role(2, "a")), "{}", desk.story());
}

#[test]
fn an_operator_promotes_who_lacks_data_and_hears_what_may_be_lost() {
    let mut desk = alone();
    lose_a(&mut desk);
    let Reply::Plan { steps, given_up, .. } = desk.asks(force(true)) else {
        panic!("no plan: {}", desk.story())
    };
    let told = steps.join("; ");
    assert_eq!(given_up, Some(GivenUp { epoch: Epoch(1), member: app("a"), loses_data: true }));
    // Who was shown no loss of data does not mean one.
    let unseen = given_up.map(|given_up| GivenUp { loses_data: false, ..given_up });
    let unseen = Ask::Failover { name: "p".into(), dry_run: false, given_up: unseen, reason: None };
    let Reply::Refused { message, .. } = desk.asks(unseen) else { panic!("it began: {}", desk.story()) };
    assert!(message.contains("(1, a) was shown") && message.contains("what only it has"), "{message}");
    assert!(told.contains("may be lost: it lacks what a acknowledged since epoch 1"), "{told}");
    assert!(!told.contains("two may act"), "no promise is given up, all are over: {told}");
    let Reply::Begun(_) = desk.asks(force(false)) else { panic!("refused: {}", desk.story()) };
    desk.pass(ms(1));
    assert_eq!(promoted(&mut desk), Some(role(2, "b")), "{}", desk.story());
    assert_eq!(recorded(&desk), ["b"], "it alone counts now");
    assert!(desk.told(Rule::DataGivenUp), "{}", desk.story());
    desk.reports(acting(2, "b"));
    desk.pass(ms(1));
    let done = desk.control.view(desk.now).operations.pop().unwrap();
    assert_eq!(done.state, OperationState::Done);
    // Who was primary before is out now.
    desk.reports.insert(app("a"), idle("a", 1));
    desk.link_up("alpha");
    assert!(why_b_waits(&desk).contains("lacks what b acknowledged since epoch 2"), "{}", desk.story());
}

#[test]
fn force_against_a_silent_primary_names_both_what_is_not_proven_and_what_may_be_lost() {
    let mut desk = alone();
    desk.link_down("alpha", LinkEnd::Silent);
    let Reply::Plan { steps, .. } = desk.asks(force(true)) else { panic!("no plan: {}", desk.story()) };
    let told = steps.join("; ");
    assert!(told.contains("two may act") && told.contains("may be lost"), "{told}");
    let Reply::Begun(_) = desk.asks(force(false)) else { panic!("refused: {}", desk.story()) };
    desk.pass(ms(1));
    assert_eq!(promoted(&mut desk), Some(role(2, "b")), "{}", desk.story());
    assert_eq!(recorded(&desk), ["b"]);
    let event = desk.events.iter().find(|event| event.kind == EventKind::PromotionOrdered).unwrap();
    assert!(event.because.facts.iter().any(|fact| fact.what == "may be lost"), "{event:?}");
}

#[test]
fn what_was_given_up_is_given_up_for_that_operation_only() {
    let mut desk = alone();
    lose_a(&mut desk);
    desk.disk = Disk::Full;
    let Reply::Refused { code, .. } = desk.asks(force(false)) else { panic!("it began") };
    assert_eq!(code, "not-durable");
    desk.disk = Disk::Works;
    for _ in 0..60 {
        desk.pass(ms(1_000));
        while let Some((to, order, _)) = desk.take_pre_vote() {
            desk.answers(&to, &order, Outcome::Done);
        }
    }
    assert_eq!(promoted(&mut desk), None, "{}", desk.story());
    assert_eq!(recorded(&desk), ["a"]);
}

#[test]
fn a_forced_promotion_that_is_not_stored_leaves_the_record_as_it_was_and_is_tried_again() {
    let mut desk = alone();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.step(ControlSaw::Asked { request: RequestId(99), actor: "tester".into(), ask: force(false) });
    desk.disk = Disk::Full;
    desk.sees(ControlSaw::DeadlinePassed);
    assert!(desk.records.iter().any(|record| matches!(record, ControlRecord::RaiseEpoch { .. })));
    assert_eq!((&desk.stored.roles[&pair()], recorded(&desk)), (&role(1, "a"), vec!["a"]));
    assert_eq!(desk.view().in_sync.unwrap(), desk.stored.in_sync[&pair()]);
    desk.disk = Disk::Works;
    desk.pass(ms(2_000));
    assert_eq!(promoted(&mut desk), Some(role(2, "b")), "{}", desk.story());
    assert_eq!(recorded(&desk), ["b"]);
}

// ---- whose word is taken ------------------------------------------------------------------------------------------------

#[test]
fn only_the_one_that_acts_in_the_stored_role_is_believed() {
    let mut desk = settled();
    for (from, role, why) in [
        ("beta", role(1, "a"), "no member of it on host beta"),
        ("beta", role(1, "b"), "is not the stored role"),
        ("alpha", role(2, "a"), "is not the stored role"),
        ("alpha", role(0, "a"), "is not the stored role"),
        ("alpha", role(1, "c"), "no member of it"),
    ] {
        let refused = desk.says(from, role.clone(), OUT).expect("a refusal");
        assert!(refused.contains(why), "{role}: {refused}");
    }
    let life = desk.life_of[&host("alpha")];
    desk.link_up("alpha");
    let refused = desk.says_as("alpha", life, 900, role(1, "a"), OUT).expect("a refusal");
    assert!(refused.contains("earlier life"), "{refused}");
    assert_eq!(recorded(&desk), ["a", "b"]);
}

#[test]
fn a_word_that_was_overtaken_on_its_way_changes_nothing() {
    let mut desk = settled();
    let life = desk.life_of[&host("alpha")];
    assert_eq!(desk.says_as("alpha", life, 7, role(1, "a"), OUT), None);
    for number in [6, 7] {
        let refused = desk.says_as("alpha", life, number, role(1, "a"), CAUGHT_UP).expect("a refusal");
        assert!(refused.contains("later word"), "{refused}");
    }
    assert_eq!(recorded(&desk), ["a"]);
    assert_eq!(desk.says_as("alpha", life, 8, role(1, "a"), CAUGHT_UP), None);
}

#[test]
fn a_pair_that_keeps_no_data_has_no_record() {
    let mut desk = Desk::settled();
    let refused = desk.says("alpha", role(1, "a"), OUT).expect("a refusal");
    assert!(refused.contains("keep-data"), "{refused}");
    assert!(desk.stored.in_sync.is_empty());
    lose_a(&mut desk);
    assert_eq!(promoted(&mut desk), Some(role(2, "b")));
    assert!(desk.stored.in_sync.is_empty());
}

#[test]
fn a_word_that_could_not_be_stored_is_refused_and_changes_nothing() {
    let mut desk = settled();
    desk.disk = Disk::Full;
    let refused = desk.says("alpha", role(1, "a"), OUT).expect("a refusal");
    assert!(refused.contains("it is not durable: no room"), "{refused}");
    desk.disk = Disk::Works;
    assert!(desk.view().ready, "{:?}", desk.view().not_ready_because);
    assert_eq!(desk.says("alpha", role(1, "a"), OUT), None);
}

#[test]
fn of_a_word_that_may_be_stored_the_stricter_side_holds() {
    let mut desk = settled();
    desk.disk = Disk::Unknown;
    let refused = desk.says("alpha", role(1, "a"), OUT).expect("a refusal");
    assert!(refused.contains("nobody can know"), "{refused}");
    assert!(!desk.view().ready && recorded(&desk) == ["a", "b"]);
    // The other way round as well.
    let mut desk = alone();
    desk.disk = Disk::Unknown;
    assert!(desk.says("alpha", role(1, "a"), CAUGHT_UP).is_some());
    assert!(!desk.view().ready);
}

// ---- the race -----------------------------------------------------------------------------------------------------------

#[test]
fn a_word_that_comes_after_the_other_was_stored_is_refused() {
    let mut desk = settled();
    lose_a(&mut desk);
    assert_eq!(promoted(&mut desk), Some(role(2, "b")));
    desk.reports.insert(app("a"), acting(1, "a"));
    desk.link_up("alpha");
    for wish in InSyncWish::ALL {
        let refused = desk.says("alpha", role(1, "a"), wish).expect("a refusal");
        assert!(refused.contains("is not the stored role"), "{refused}");
    }
    assert_eq!(recorded(&desk), ["a", "b"]);
}

#[test]
fn a_word_in_the_very_moment_of_the_promotion_wins_or_loses_as_a_whole() {
    for word_first in [true, false] {
        let mut desk = settled();
        desk.link_down("alpha", LinkEnd::Silent);
        desk.pass(ms(1_000));
        let (to, order, _) = desk.take_pre_vote().expect("b's agent is asked");
        // Its link is back, and both its word and the other's vote come in now.
        let word = |desk: &mut Desk| {
            desk.reports.insert(app("a"), acting(1, "a"));
            desk.link_up("alpha");
            desk.says("alpha", role(1, "a"), OUT)
        };
        let refused = if word_first {
            let refused = word(&mut desk);
            desk.answers(&to, &order, Outcome::Done);
            refused
        } else {
            desk.answers(&to, &order, Outcome::Done);
            word(&mut desk)
        };
        desk.pass(ms(5_000));
        let followed = promoted(&mut desk).is_some_and(|role| role.holder == app("b"));
        assert_eq!(refused.is_none(), word_first, "{refused:?} {}", desk.story());
        assert_eq!(followed, !word_first, "{}", desk.story());
    }
}

#[test]
fn while_an_operator_promotes_the_other_nobody_is_alone() {
    let mut desk = alone();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.step(ControlSaw::Asked { request: RequestId(99), actor: "tester".into(), ask: force(false) });
    let life = desk.life_of[&host("alpha")];
    let ask = InSyncAsk { pair: pair(), incarnation: life, number: 950, role: role(1, "a"), wish: OUT };
    desk.step(ControlSaw::InSyncAsked { host: host("alpha"), ask });
    assert!(desk.words.pop().unwrap().refused.is_some());
}

// ---- what is so while nothing is recorded -------------------------------------------------------------------------------

#[test]
fn before_anybody_was_primary_both_have_everything() {
    let mut desk = Desk::with(keeping(), None, |_| ());
    desk.reports.insert(app("b"), RoleReport { promised: None, ..idle_role("b") }.into_report("b"));
    desk.link_up("beta");
    desk.pass(ms(120_000));
    assert_eq!(promoted(&mut desk), Some(role(1, "b")), "{}", desk.story());
    assert_eq!(recorded(&desk), ["a", "b"], "nothing was acknowledged");
}

#[test]
fn a_pair_that_gets_the_key_later_trusts_its_last_holder_alone() {
    let mut desk = Desk::with(keeping(), Some(role(4, "a")), |_| ());
    desk.reports.insert(app("a"), acting(4, "a"));
    desk.reports.insert(app("b"), idle("b", 0));
    desk.link_up("alpha");
    desk.link_up("beta");
    assert!(why_b_waits(&desk).contains("lacks what a acknowledged since epoch 4"), "{}", desk.story());
    assert_eq!(desk.says("alpha", role(4, "a"), CAUGHT_UP), None);
    assert!(desk.view().ready);
}

#[test]
fn a_record_goes_with_the_key() {
    let mut desk = alone();
    desk.cluster.pairs.get_mut(&pair()).unwrap().keep_data = false;
    desk.configure();
    assert!(desk.view().ready && desk.view().in_sync.is_none());
    // The store forgets it with the configuration.
    desk.stored.in_sync.clear();
    desk.cluster.pairs.get_mut(&pair()).unwrap().keep_data = true;
    desk.configure();
    assert!(why_b_waits(&desk).contains("lacks what a acknowledged"));
    assert_eq!(desk.says("alpha", role(1, "a"), CAUGHT_UP), None, "from what the store holds");
}

#[test]
fn a_pair_that_comes_back_under_its_name_trusts_its_last_holder_alone() {
    let mut desk = alone();
    let spec = desk.cluster.pairs.remove(&pair()).unwrap();
    desk.configure();
    // The store forgets the record with the configuration, and keeps the role.
    desk.stored.in_sync.clear();
    desk.cluster.pairs.insert(pair(), spec);
    desk.configure();
    assert!(why_b_waits(&desk).contains("lacks what a acknowledged"), "{}", desk.story());
}

#[test]
fn a_member_that_takes_the_place_of_another_has_nothing_of_what_was_acknowledged() {
    let mut desk = settled();
    assert!(desk.view().ready, "b has everything");
    let next = desk.cluster.applications.remove(&app("b")).unwrap();
    desk.cluster.applications.insert(app("c"), next);
    desk.cluster.pairs.get_mut(&pair()).unwrap().backup = app("c");
    desk.configure();
    desk.reports.remove(&app("b"));
    desk.reports(idle("c", 0));
    assert!(why_b_waits(&desk).contains("lacks what a and b acknowledged"), "{}", desk.story());
    lose_a(&mut desk);
    assert_eq!(promoted(&mut desk), None, "{}", desk.story());
}

#[test]
fn a_member_that_was_moved_left_its_data_behind() {
    let mut desk = settled();
    desk.link_down("beta", LinkEnd::Closed);
    let site = desk.cluster.hosts[&host("beta")].clone();
    desk.cluster.hosts.insert(host("gamma"), site);
    desk.cluster.applications.get_mut(&app("b")).unwrap().host = host("gamma");
    desk.configure();
    desk.link_up("gamma");
    assert!(why_b_waits(&desk).contains("moved from host beta"), "{}", desk.story());
    lose_a(&mut desk);
    assert_eq!(promoted(&mut desk), None, "{}", desk.story());
}

#[test]
fn a_restored_store_knows_of_nobody_and_who_acts_is_the_one() {
    // Its record names nobody, or it was made when there was none yet.
    for had_record in [true, false] {
        restored_store(had_record);
    }
}

fn restored_store(had_record: bool) {
    let restored = move |memory: &mut ControlMemory| {
        memory.grants.restored = true;
        if had_record {
            memory.in_sync.insert(pair(), InSync::default());
        }
    };
    // Nobody acts: nobody is promoted but by force.
    let mut desk = Desk::with(keeping(), Some(role(1, "a")), restored);
    desk.reports.insert(app("a"), idle("a", 1));
    desk.reports.insert(app("b"), idle("b", 0));
    desk.link_up("alpha");
    desk.link_up("beta");
    let answer_all = |desk: &mut Desk| {
        for _ in 0..20 {
            desk.pass(ms(500));
            while let Some((to, order, _)) = desk.take_pre_vote() {
                desk.answers(&to, &order, Outcome::Done);
            }
        }
    };
    answer_all(&mut desk);
    assert_eq!(promoted(&mut desk), None, "{}", desk.story());
    assert!(desk.view().waits_for_data.unwrap().contains("nobody is known to have everything"));
    let Reply::Begun(_) = desk.asks(force(false)) else { panic!("refused: {}", desk.story()) };
    answer_all(&mut desk);
    assert_eq!(promoted(&mut desk).map(|role| role.holder), Some(app("a")), "{}", desk.story());
    assert_eq!(recorded(&desk), ["a"]);

    // Somebody acts: it alone counts, and keeps its role.
    let mut desk = Desk::with(keeping(), Some(role(1, "a")), restored);
    desk.reports.insert(app("a"), idle("a", 1));
    desk.reports.insert(app("b"), acting(3, "b"));
    desk.link_up("alpha");
    desk.link_up("beta");
    assert!(desk.says("beta", role(3, "b"), OUT).is_some(), "its role is not stored yet");
    answer_all(&mut desk);
    assert_eq!(desk.stored.roles[&pair()].holder, app("b"), "{}", desk.story());
    assert_eq!(recorded(&desk), ["b"]);
}

// ---- available ----------------------------------------------------------------------------------------------------------

#[test]
fn with_policy_available_a_lost_host_is_not_followed_by_who_lacks_its_data() {
    for left_out in [false, true] {
        let mut cluster = keeping();
        cluster.pairs.get_mut(&pair()).unwrap().policy = Policy::Available;
        let both = InSync::of(Epoch(1), [(&app("a"), &host("alpha")), (&app("b"), &host("beta"))]);
        let mut desk = Desk::with(cluster, Some(role(1, "a")), |memory| {
            memory.in_sync.insert(pair(), both);
        });
        desk.settle();
        if left_out {
            assert_eq!(desk.says("alpha", role(1, "a"), OUT), None);
        }
        desk.link_down("alpha", LinkEnd::Silent);
        desk.pass(ms(60_000));
        assert_eq!(desk.stored.roles[&pair()] == role(1, "a"), left_out, "{}", desk.story());
        if !left_out {
            continue;
        }
        let Reply::Begun(_) = desk.asks(force(false)) else { panic!("refused: {}", desk.story()) };
        assert_eq!((&desk.stored.roles[&pair()], recorded(&desk)), (&role(2, "b"), vec!["b"]));
        // The one that was left behind acts on, and is an outsider.
        desk.reports(acting(2, "b"));
        desk.reports.insert(app("a"), acting(1, "a"));
        desk.link_up("alpha");
        let (to, order) = desk.take(|work| matches!(work, Work::Demote { .. })).expect("it is demoted");
        assert_eq!(to, host("alpha"));
        drop(order);
        assert!(desk.says("alpha", role(1, "a"), OUT).is_some(), "and nobody believes it");
    }
}

#[test]
fn an_outsider_that_acts_alone_is_demoted_and_never_confirmed() {
    let mut cluster = keeping();
    cluster.pairs.get_mut(&pair()).unwrap().policy = Policy::Available;
    let only_b = InSync::of(Epoch(2), [(&app("b"), &host("beta"))]);
    let mut desk = Desk::with(cluster, Some(role(2, "b")), |memory| {
        memory.in_sync.insert(pair(), only_b);
    });
    desk.reports.insert(app("a"), acting(1, "a"));
    desk.reports.insert(app("b"), idle("b", 2));
    desk.link_up("alpha");
    desk.link_up("beta");
    desk.pass(ms(1));
    assert!(desk.take(|work| matches!(work, Work::Demote { .. })).is_some(), "{}", desk.story());
    assert!(desk.told(Rule::OutsiderActs), "{}", desk.story());
    assert_eq!(desk.stored.roles[&pair()], role(2, "b"));
}

/// What a member says of itself that has never heard of any role.
fn idle_role(name: &str) -> RoleReport {
    idle(name, 0).role.unwrap()
}

trait IntoReport {
    fn into_report(self, name: &str) -> ApplicationReport;
}

impl IntoReport for RoleReport {
    fn into_report(self, name: &str) -> ApplicationReport {
        ApplicationReport { role: Some(self), ..idle(name, 0) }
    }
}
