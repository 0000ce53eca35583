//! Planned changes of roles that go wrong at each of their steps, and requests that must not begin.
//!
//! The law: the former primary is primary again or the new one is, never nobody, and the operator is told why.

use std::time::Duration;

use serde_json::Value;

use crate::play::{Play, app, assert_in_order, assert_undisturbed, pair};

/// A limit that is short for the attacked pair only; each half may take half of it.
const SHORT: &str = "switchover-timeout = \"1500ms\"";

fn with_short_limit() -> Play {
    let mut play = Play::set_up();
    play.set_in_pair("t", SHORT);
    play.stage.start_all().unwrap();
    play.until_well();
    play
}

/// Begins a switchover to t-2 and waits until t-2 was ordered to be primary; answers its number.
fn begin_and_reach_the_promotion(play: &mut Play) -> String {
    let begun = play.scsctl(&["switchover", "t", "--to", "t-2", "--no-wait"]);
    let id = begun.expect(0, &[]).text.trim().to_owned();
    play.until_so("t-2 is being promoted", || {
        let state = play.scsctl_json(&["pair", "t"])["state"].clone();
        if state == "promoting" { Ok(()) } else { Err(state.to_string()) }
    });
    id
}

/// The operation when it has ended.
pub fn ended(play: &Play, id: &str) -> Value {
    play.until_so("the operation has ended", || {
        let operation = play.scsctl_json(&["operations", id]);
        if operation["state"] == "running" { Err(operation.to_string()) } else { Ok(operation) }
    })
}

#[test]
fn a_refused_promotion_gives_the_role_back_and_says_which_step_failed() {
    let mut play = Play::well();
    let before = play.status();
    play.fault("t-2", "refuse-promotion on");
    let seen = play.last_event();
    play.scsctl(&["switchover", "t", "--to", "t-2"]).expect(
        1,
        &["t-2 did not become primary", "told by a client to refuse promotions", "t-1 is primary again"],
    );
    let after = play.status();
    assert_eq!(pair(&after, "t").primary.as_deref(), Some("t-1"));
    assert!(pair(&after, "t").epoch >= pair(&before, "t").epoch + 2, "one epoch for each of the two");
    assert_eq!(play.why("t").0, "roll-back");
    assert!(play.serves("t-1") && !play.serves("t-2"));
    assert_in_order(
        &play.events_after(seen, &["--pair", "t"]),
        &[
            ("operation-started", ""),
            ("demotion-ordered", ""),
            ("promotion-failed", "t-2"),
            ("role-changed", "t-1"),
        ],
    );
    assert_in_order(&play.events_after(seen, &[]), &[("operation-failed", "")]);
    // Who refused a moment ago is not asked again at once, and the operator hears why.
    play.scsctl(&["switchover", "t"]).expect(3, &["it refused a promotion", "try:"]);
    play.fault("t-2", "refuse-promotion off");
    let ready = play.until_well();
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    let end = play.until_primary("t-2");
    assert_eq!(ready.pids(), end.pids());
    assert_undisturbed(&before, &end, &[]);
}

#[test]
fn a_crash_in_the_middle_of_a_promotion_gives_the_role_back_and_a_second_switchover_waits() {
    let mut play = Play::well();
    let before = play.status();
    play.fault("t-2", "slow-promotion 4000");
    let id = begin_and_reach_the_promotion(&mut play);
    play.scsctl(&["switchover", "t"]).expect(3, &["is under way", "try:"]);
    play.scsctl(&["switchover", "t", "--to", "t-1"]).expect(3, &["is under way"]);
    play.stage.kill_application("t-2").unwrap();
    let operation = ended(&play, &id);
    assert_eq!(operation["state"], "failed", "{operation}");
    let why = operation["why"].as_str().unwrap();
    assert!(why.contains("t-2 did not become primary") && why.contains("t-1 is primary again"), "{why}");
    let end = play.until_primary("t-1");
    assert!(pair(&end, "t").epoch >= pair(&before, "t").epoch + 2);
    assert_eq!(play.why("t").0, "roll-back");
    assert_undisturbed(&before, &end, &["t-2"]);
}

#[test]
fn a_promotion_beyond_its_limit_gives_the_role_back() {
    let mut play = with_short_limit();
    let before = play.status();
    play.fault("t-2", "slow-promotion 20000");
    let told = play.scsctl(&["switchover", "t"]);
    told.expect(1, &["t-2 did not become primary", "t-1 is primary again"]);
    assert!(play.serves("t-1"));
    let (rule, text) = play.why("t");
    assert_eq!(rule, "roll-back", "{text}");
    // It did not confirm that it will not serve, so it was killed and is another process.
    let end = play.until_primary("t-1");
    assert_ne!(app(&end, "t-2").pid, app(&before, "t-2").pid);
    assert_undisturbed(&before, &end, &["t-2"]);
}

#[test]
fn a_demotion_beyond_its_limit_ends_in_a_kill_and_the_switchover_is_done() {
    let mut play = with_short_limit();
    let before = play.status();
    play.fault("t-1", "slow-demotion 20000");
    let seen = play.last_event();
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    let end = play.until_primary("t-2");
    assert_ne!(app(&end, "t-1").pid, app(&before, "t-1").pid);
    assert!(play.serves("t-2") && !play.serves("t-1"));
    let overdue = play.events_after(seen, &["--app", "t-1"]);
    assert!(overdue.iter().any(|event| event["rule"] == "fence-overdue"), "{overdue:?}");
    assert_undisturbed(&before, &end, &["t-1"]);
}

#[test]
fn requests_that_cannot_be_are_refused_and_change_nothing() {
    let mut play = Play::well();
    let before = play.status();
    play.scsctl(&["switchover", "t", "--to", "t-1"]).expect(0, &["t-1 is primary already"]);
    play.scsctl(&["switchover", "T-2", "--to", "T-1"]).expect(0, &["t-1 is primary already"]);
    play.scsctl(&["switchover", "nobody"])
        .expect(3, &["no pair or member called \"nobody\"", "scsctl pairs"]);
    play.scsctl(&["switchover", "single"]).expect(3, &["single is in no pair"]);
    play.scsctl(&["switchover", "t", "--to", "calm-2"]).expect(3, &["not a member of pair t", "t-1 and t-2"]);
    play.scsctl(&["switchover", "t", "--dry-run"])
        .expect(0, &["order t-1 to be primary no more", "order t-2"]);
    assert_eq!(play.status(), before);

    play.fault("t-2", "unavailable maintenance of the line cards");
    play.until("t-2 is unavailable", |status| match app(status, "t-2") {
        one if one.status == "service-unavailable" => Ok(()),
        one => Err(format!("{one:?}")),
    });
    let reasons = ["t-2 is ready", "service-unavailable", "maintenance of the line cards", "scsctl why t"];
    play.scsctl(&["switchover", "t"]).expect(3, &reasons);
    play.scsctl(&["switchover", "t", "--dry-run"]).expect(3, &["service-unavailable"]);
    play.scsctl(&["stop", "t-2"]).expect(0, &[]);
    play.scsctl(&["switchover", "t"]).expect(3, &["scsctl start t-2"]);
    let end = play.status();
    assert_eq!(pair(&end, "t").epoch, pair(&before, "t").epoch);
    assert_undisturbed(&before, &end, &["t-2"]);
    // Each refusal is in the history, with who asked.
    let refused = play.events(&[]);
    let refused: Vec<_> = refused.iter().filter(|event| event["kind"] == "switchover-refused").collect();
    assert!(refused.len() >= 5 && refused.iter().all(|event| event["actor"].is_string()), "{refused:?}");
}

#[test]
fn switchovers_there_and_back_never_disturb_a_process() {
    let mut play = Play::well();
    let before = play.status();
    for round in 0..10_u64 {
        let to = if round % 2 == 0 { "t-2" } else { "t-1" };
        play.stage.switch_over("t", to, Duration::from_secs(20)).unwrap();
        assert!(play.serves(to));
    }
    let end = play.until_primary("t-1");
    assert_eq!(pair(&end, "t").epoch, pair(&before, "t").epoch + 10);
    assert_undisturbed(&before, &end, &[]);
}
