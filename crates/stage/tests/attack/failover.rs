//! Who is primary at the start, after crashes, after stops, and when readiness comes and goes.
//!
//! The law: there is one primary in the end, it is the one that the rules name, and nobody is moved back unasked.

use crate::play::{Play, app, assert_in_order, assert_undisturbed, pair};

#[test]
fn the_configured_primary_is_first_and_a_crash_moves_the_role_for_good() {
    let mut play = Play::well();
    let before = play.status();
    assert_eq!(pair(&before, "t").primary.as_deref(), Some("t-1"));
    assert_eq!(play.why("t").0, "first-start");
    assert!(play.serves("t-1") && !play.serves("t-2"));

    let seen = play.last_event();
    play.stage.kill_application("t-1").unwrap();
    let after = play.until_primary("t-2");
    assert!(pair(&after, "t").epoch > pair(&before, "t").epoch);
    let (rule, text) = play.why("t");
    assert_eq!(rule, "primary-exited", "{text}");
    assert!(text.contains("killed by signal") || text.contains("KILL"), "{text}");
    let again = app(&after, "t-1");
    assert!(again.run_mode == "backup" && again.pid != app(&before, "t-1").pid, "{again:?}");
    assert_eq!(again.restarts, app(&before, "t-1").restarts + 1);
    assert!(play.serves("t-2") && !play.serves("t-1"));
    assert_in_order(
        &play.events_after(seen, &["--pair", "t"]),
        &[("application-exited", "t-1"), ("promotion-ordered", ""), ("role-changed", "t-2")],
    );

    // The configured primary is well for a while, through another crash of its own: it stays a backup.
    play.stage.kill_application("t-1").unwrap();
    play.until("t-1 was restarted once more", |status| match app(status, "t-1") {
        one if one.restarts > again.restarts => Ok(()),
        one => Err(format!("{one:?}")),
    });
    let end = play.until_primary("t-2");
    assert_eq!(pair(&end, "t").epoch, pair(&after, "t").epoch, "the role was touched");
    assert_undisturbed(&before, &end, &["t-1"]);
}

#[test]
fn both_members_killed_at_once_come_back_with_one_primary() {
    let mut play = Play::well();
    let before = play.status();
    play.stage.kill_application("t-1").unwrap();
    play.stage.kill_application("t-2").unwrap();
    let after = play.until("both are other processes and one is primary", |status| {
        let fresh = |name| app(status, name).pid.is_some() && app(status, name).pid != app(&before, name).pid;
        let now = pair(status, "t");
        let well = now.ready && now.primary.is_some();
        if fresh("t-1") && fresh("t-2") && well { Ok(status.clone()) } else { Err(format!("{now:?}")) }
    });
    assert!(pair(&after, "t").epoch > pair(&before, "t").epoch);
    assert_eq!(usize::from(play.serves("t-1")) + usize::from(play.serves("t-2")), 1);
    assert_undisturbed(&before, &after, &["t-1", "t-2"]);
}

#[test]
fn after_a_stop_of_both_the_last_holder_is_first() {
    let mut play = Play::well();
    play.scsctl(&["switchover", "t", "--to", "t-2"]).expect(0, &[]);
    let before = play.until_primary("t-2");
    play.scsctl(&["stop", "t", "--yes"]).expect(0, &[]);
    let stopped = play.status();
    assert_eq!(pair(&stopped, "t").primary, None, "{stopped:?}");
    assert_eq!([app(&stopped, "t-1").pid, app(&stopped, "t-2").pid], [None, None]);
    assert_eq!(play.why("t").0, "pair-stopped");
    play.scsctl(&["start", "t"]).expect(0, &[]);
    let after = play.until_primary("t-2");
    assert!(pair(&after, "t").epoch > pair(&before, "t").epoch);
    assert_eq!(play.why("t").0, "former-holder-first");
    assert_undisturbed(&before, &after, &["t-1", "t-2"]);
}

#[test]
fn withdrawn_readiness_moves_the_role_and_its_return_does_not() {
    let mut play = Play::well();
    let before = play.status();
    play.fault("t-1", "unavailable no line to the exchange");
    let after = play.until("t-2 is primary", |status| match pair(status, "t") {
        now if now.primary.as_deref() == Some("t-2") => Ok(status.clone()),
        now => Err(format!("{now:?}")),
    });
    let withdrawn = app(&after, "t-1");
    assert_eq!((withdrawn.status.as_str(), withdrawn.run_mode.as_str()), ("service-unavailable", "backup"));
    assert!(!pair(&after, "t").ready);
    let (rule, text) = play.why("t");
    assert_eq!(rule, "primary-unavailable", "{text}");
    play.scsctl(&["app", "t-1"]).expect(0, &["service-unavailable", "no line to the exchange"]);

    play.fault("t-1", "available");
    let end = play.until_primary("t-2");
    assert_eq!(pair(&end, "t").epoch, pair(&after, "t").epoch, "the role was touched");
    assert!(play.serves("t-2") && !play.serves("t-1"));
    // Nobody was restarted for it.
    assert_undisturbed(&before, &end, &[]);
}

#[test]
fn a_primary_that_cannot_serve_keeps_its_role_while_nobody_else_could_have_it() {
    let mut play = Play::well();
    let before = play.status();
    play.fault("t-2", "unavailable");
    play.until("the backup is seen to be unavailable", |status| match app(status, "t-2") {
        one if one.status == "service-unavailable" => Ok(()),
        one => Err(format!("{one:?}")),
    });
    play.fault("t-1", "unavailable");
    let both = play.until("the primary is seen to be unavailable", |status| match app(status, "t-1") {
        one if one.status == "service-unavailable" => Ok(status.clone()),
        one => Err(format!("{one:?}")),
    });
    assert_eq!(pair(&both, "t").primary.as_deref(), Some("t-1"));
    play.scsctl(&["status", "--check"]).expect(1, &["t-1", "t-2"]);
    // The first that can serve again has the role.
    play.fault("t-2", "available");
    play.until("t-2 is primary", |status| match pair(status, "t") {
        now if now.primary.as_deref() == Some("t-2") => Ok(()),
        now => Err(format!("{now:?}")),
    });
    play.fault("t-1", "available");
    let end = play.until_primary("t-2");
    play.scsctl(&["status", "--check"]).expect(0, &["Nothing is wrong"]);
    // Calm is as it was, and no process of the attacked pair was restarted.
    let roles_moved = |name| app(&end, name).pid == app(&before, name).pid;
    assert!(roles_moved("t-1") && roles_moved("t-2"));
    assert_undisturbed(&before, &end, &["t-1", "t-2"]);
}
