//! What people are told of a pair that is looked at while something goes on: what is waited for, who asked for it, and why.
//!
//! The law: nothing is told that the rules do not see, and nobody is named who did not ask.

#[path = "strict/desk.rs"]
mod desk;

use desk::*;
use understudy_decide::control::{Ask, *};
use understudy_model::*;

#[test]
fn what_holds_a_failover_back_is_said_with_the_rule_and_the_time_that_it_takes() {
    let mut desk = Desk::settled();
    desk.pass(ms(500));
    assert_eq!(desk.view().held_back, None, "nothing is waited for");
    assert_eq!(desk.asks_vote("alpha", role(1, "a")), Verdict::Given);
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(100));
    let view = desk.view();
    let held = view.held_back.expect("its promise runs");
    assert_eq!(held.rule, Rule::PromiseRuns);
    assert!(held.missed.contains("runs for 0.900 s more"), "{}", held.missed);
    assert_eq!((view.considered.rule, &view.considered.reason), (held.rule, &held.missed));
    desk.pass(ms(900));
    let (to, order, _) = desk.take_pre_vote().expect("it is asked");
    assert_eq!(desk.view().held_back.map(|held| held.rule), Some(Rule::PreVoteAsked));
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!(desk.view().held_back.map(|held| held.rule), Some(Rule::AnswerOutstanding), "it was ordered");
    let (to, order, ..) = desk.take_promotion().expect("an order");
    desk.reports(acting(2, "b"));
    desk.answers(&to, &order, Outcome::Done);
    assert_eq!(desk.view().held_back, None);
}

#[test]
fn a_connected_agent_that_had_nothing_to_report_is_not_shown_as_silent() {
    let mut desk = Desk::settled();
    desk.pass(ms(67_000));
    let told = format!("{:?}", desk.view().considered);
    assert!(told.contains("its agent is connected; its last report came 67"), "{told}");
    assert!(!told.contains("heard 67"), "{told}");
}

#[test]
fn a_drain_names_who_asked_and_why_in_the_decisions_on_its_pairs_and_while_it_lasts() {
    let mut desk = Desk::settled();
    let drain = Ask::Drain { name: "alpha".to_owned(), back: false, dry_run: false };
    let begun = desk.asks(drain.because(Some("a new disk".to_owned())));
    assert!(matches!(begun, Reply::Begun(_)), "{begun:?}");
    let because = desk.view().because.expect("it is being demoted");
    assert_eq!(because.rule, Rule::OperatorAsked);
    assert!(because.reason.contains("(drain of alpha, operation"), "{}", because.reason);
    assert!(because.reason.ends_with(": a new disk"), "{}", because.reason);
    let operation = desk.control.view(desk.now).operations.pop().expect("it runs");
    assert_eq!(operation.reason.as_deref(), Some("a new disk"));
    desk.reports(ended(1, "a", 1));
    let (to, order, ..) = desk.take_promotion().expect("an order");
    let facts = format!("{:?}", desk.view().because.expect("it is promoted").facts);
    assert!(facts.contains("a new disk"), "{facts}");
    desk.reports(acting(2, "b"));
    desk.answers(&to, &order, Outcome::Done);
    desk.reports(idle("a", 1));
    desk.pass(ms(125_000));
    let warnings = desk.control.view(desk.now).warnings.join("\n");
    assert!(warnings.contains("2 min") && warnings.contains("ago (a new disk)"), "{warnings}");
    assert!(warnings.contains("run: scsctl drain alpha --return"), "{warnings}");
}

#[test]
fn who_stopped_a_member_and_who_switched_maintenance_on_is_said_with_what_to_run() {
    let mut desk = Desk::settled();
    desk.asks(Ask::Stop { name: "b".to_owned(), graceful: false });
    let mut stopped = idle("b", 0);
    (stopped.pid, stopped.status, stopped.goal) = (None, ApplicationStatus::Stopped, Goal::Stopped);
    desk.reports(stopped);
    desk.pass(ms(5_000));
    let not_ready = desk.view().not_ready_because;
    assert_eq!(not_ready.len(), 1, "{not_ready:?}");
    assert!(not_ready[0].contains(" stopped it 5 s ago; run: scsctl start b"), "{not_ready:?}");
    desk.asks(Ask::Maintenance { name: "beta".to_owned(), on: true }.because(Some("cabling".to_owned())));
    let warnings = desk.control.view(desk.now).warnings.join("\n");
    let maintenance = "maintenance of host beta is on, asked by tester 0.0 s ago (cabling); run: scsctl maintenance off beta";
    assert_eq!(warnings.matches("maintenance of host beta").count(), 1, "it is said once: {warnings}");
    assert!(warnings.contains(maintenance), "{warnings}");
    desk.asks(Ask::Stop { name: "a".to_owned(), graceful: false });
    desk.reports(ended(1, "a", 1));
    desk.pass(ms(2_000));
    let warnings = desk.control.view(desk.now).warnings.join("\n");
    assert!(
        warnings.contains("2 s ago (cabling): nothing there is restarted or promoted; run: "),
        "{warnings}"
    );
}

#[test]
fn a_refusal_is_about_what_was_asked_for() {
    let mut desk = Desk::settled();
    desk.link_down("beta", LinkEnd::Silent);
    desk.asks(Ask::Switchover { name: "a".to_owned(), to: None, dry_run: false, reason: None });
    let refused =
        desk.events.iter().rfind(|event| event.kind == EventKind::SwitchoverRefused).expect("it is told");
    assert_eq!((&refused.about.pair, &refused.about.application), (&Some(pair()), &Some(app("a"))));
}

#[test]
fn of_a_silent_primary_nothing_is_told_that_only_a_heard_one_can_show() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.pass(ms(100));
    let view = desk.view();
    let exited =
        view.considered.nearly.iter().find(|nearly| nearly.rule == Rule::PrimaryExited).expect("it is told");
    assert_eq!(exited.missed, "the process of a was alive when last heard (pid 10)");
    let told = format!("{:?}", view.considered.facts);
    assert!(told.contains("it is silent for 0.1 s"), "{told}");
    assert!(!told.contains("lost after"), "under strict no silence is long enough: {told}");
}

#[test]
fn an_end_of_which_nobody_knows_how_long_it_ran_is_told_without_a_time() {
    let mut desk = Desk::settled();
    let mut report = idle("b", 0);
    report.last_exit = Some(LastExit { cause: ExitCause::Signal(9), wanted: false, ran_ms: 0 });
    desk.reports(report);
    let told =
        desk.events.iter().rfind(|event| event.kind == EventKind::ApplicationExited).expect("it is told");
    assert_eq!(told.because.reason, "its process ended: signal 9 (KILL)");
}

#[test]
fn a_forced_failover_names_who_gave_the_proof_up_and_why_in_its_decision() {
    let mut desk = Desk::settled();
    desk.link_down("alpha", LinkEnd::Silent);
    desk.asks(Ask::Failover {
        name: "p".to_owned(),
        dry_run: false,
        given_up: None,
        reason: Some("I pulled the plug".to_owned()),
    });
    desk.pass(ms(10));
    desk.take_promotion().expect("an order");
    let because = format!("{:?}", desk.view().because.expect("it was decided"));
    assert!(because.contains("tester (failover of p, operation"), "{because}");
    assert!(because.contains(": I pulled the plug"), "{because}");
    let began =
        desk.events.iter().find(|event| event.kind == EventKind::OperationStarted).expect("it is told");
    assert!(began.because.reason.ends_with("(I pulled the plug)"), "{}", began.because.reason);
}
