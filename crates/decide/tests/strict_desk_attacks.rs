//! What a hostile review found in the control server's side of `strict` pairs: one sequence for each, played from the desk.

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::{Ask, *};
use understudy_model::*;

fn force() -> Ask {
    Ask::Failover { name: "p".into(), dry_run: false, reason: None }
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
