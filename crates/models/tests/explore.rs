//! The smallest explorations, on every test run; wider ones are `understudy-models quick`, `full` and `broken`.

use understudy_models::embedded::{self, Lie};
use understudy_models::one_host::{self, Broken};
use understudy_models::runs;
use understudy_models::search::explore;
use understudy_models::world::Scope;
use understudy_models::wrong::Wrong;

const MOST: usize = 1_000_000;

#[test]
fn one_epoch_and_one_leader_have_no_second_primary_and_settle() {
    let scope = Scope { live: true, ..runs::even("smallest", 1, 1) };
    let outcome = explore(&scope, MOST);
    assert!(outcome.objection.is_none(), "{:#?}", outcome.objection);
    assert!(outcome.exhausted && outcome.states > 500, "{} states", outcome.states);
    assert!(outcome.tally.acting > 0 && outcome.tally.adopted > 0);
    let missing = outcome.tally.missing(&scope);
    assert!(missing.contains(&"failovers by expiry"), "one epoch has no failover, and the counters say so");
}

#[test]
fn two_epochs_reach_what_they_should_and_never_two_primaries() {
    let scope = runs::even("two epochs, one leader", 2, 1);
    let outcome = explore(&scope, MOST);
    assert!(outcome.objection.is_none(), "{:#?}", outcome.objection);
    assert!(outcome.exhausted);
    assert_eq!(outcome.tally.missing(&scope), [""; 0]);
}

#[test]
fn a_run_that_hits_its_bound_is_not_exhausted() {
    let outcome = explore(&runs::even("bounded", 2, 1), 100);
    assert!(!outcome.exhausted && outcome.objection.is_none());
}

#[test]
fn broken_rules_are_caught_and_told_step_by_step() {
    for (wrong, invariant) in
        [(Wrong::NotDurable, "S3"), (Wrong::StoreLate, "S3"), (Wrong::OrderIsVote, "S1")]
    {
        let outcome = explore(&runs::broken(wrong), MOST);
        let objection = outcome.objection.unwrap_or_else(|| panic!("{wrong:?} was not caught"));
        assert!(objection.what.starts_with(invariant), "{wrong:?}: {}", objection.what);
        assert_eq!(objection.trace.len(), outcome.depth + 1, "{:#?}", objection.trace);
        assert!(objection.trace[1].contains("takes the leadership"), "{:#?}", objection.trace);
    }
}

#[test]
fn every_rule_is_broken_in_a_scope_of_its_own() {
    for wrong in Wrong::ALL {
        assert_eq!(runs::broken(*wrong).wrong, Some(*wrong));
        let (rule, instead) = wrong.says();
        assert!(!rule.is_empty() && instead.len() > 10);
    }
    assert!(runs::quick().iter().chain(&runs::full()).all(|scope| scope.wrong.is_none()));
}

#[test]
fn both_members_on_one_host_never_act_at_once() {
    let found = one_host::explore(&runs::even("one host", 4, 0), None);
    assert!(!found.two_primaries && !found.unpromised && found.changed_hands, "{found:?}");
    assert!(found.states > 500, "{found:?}");
    for broken in [Broken::GrantsAtOnce, Broken::ActsBeforeDurable] {
        let found = one_host::explore(&runs::even("one host, broken", 2, 0), Some(broken));
        assert!(found.two_primaries || found.unpromised, "{broken:?}: {found:?}");
    }
}

#[test]
fn the_whole_agent_keeps_the_laws_in_every_short_history() {
    for both_here in [false, true] {
        let told = embedded::explore(both_here, None, 2);
        assert_eq!(told.objection, None);
        assert!(told.situations > 200, "{}", told.situations);
        assert!(told.reached[0] > 0 && told.reached[4] > 0, "{:?}", told.reached);
        assert!(both_here || told.reached.iter().all(|count| *count > 0), "{:?}", told.reached);
    }
}

#[test]
fn what_is_done_wrong_around_the_whole_agent_is_objected_to() {
    for lie in Lie::ALL {
        let objects = |both_here| embedded::explore(both_here, Some(lie), 3).objection.is_some();
        assert!(objects(false) || objects(true), "{lie:?} was not caught");
    }
}
