//! Policy `strict` and memories that were set back: an older copy of an agent's promises, and an older store.
//!
//! The law: what the others remember is believed, the epochs of the lost time are entered by nobody, and no two act.

use std::fs;
use std::process::Command;
use std::time::Duration;

use understudy_stage::{Daemon, Host};

use crate::play::{Play, pair, role, said};
use crate::strict::{LEASE, assert_one, strict, until_linked, watch};

const ALPHA: Daemon = Daemon::Agent(Host::Alpha);

/// Switches `t` to one after the other.
fn switch_to(play: &mut Play, members: &[&str]) {
    for to in members {
        play.scsctl(&["switchover", "t"]).expect(0, &[]);
        play.until_primary(to);
    }
    play.until_well();
}

#[test]
fn an_agent_whose_promises_were_set_back_hears_it_from_the_other_and_is_healed() {
    let mut play = Play::set_up_and(&[], strict);
    play.stage.start_all().unwrap();
    let first = play.until_well();
    let promises = play.stage.directory().join("state/alpha/promises");
    let old = fs::read(&promises).unwrap();
    switch_to(&mut play, &["t-2", "t-1"]);
    until_linked(&play);
    let before = role(&play.status(), "t");
    assert!(before.1 > role(&first, "t").1 + 1, "{before:?}");
    let seen = play.last_event();
    let witness = watch(&play);
    play.stage.interrupt().let_pass(Duration::from_millis(500)).unwrap();
    // The machine is set back to a snapshot while its agent is away; its members run on.
    play.stage.kill(ALPHA).unwrap();
    fs::write(&promises, &old).unwrap();
    play.stage.start(ALPHA).unwrap();
    play.until_so("it is said that its memory was set back", || {
        let events = play.events_after(seen, &[]);
        let told = events.iter().any(|one| one["rule"] == "memory-set-back" && one["pair"] == "t");
        if told { Ok(()) } else { Err(format!("{events:#?}")) }
    });
    let after = play.until_well();
    assert!(pair(&after, "t").epoch > before.1, "an epoch of the lost time is entered again: {after:?}");
    let seen = witness.end().unwrap();
    assert_one(&seen, "promises set back");
    // It is a whole voter again, when the lease is over for which it voted for nobody.
    play.stage.interrupt().let_pass(LEASE * 2).unwrap();
    switch_to(&mut play, &["t-2", "t-1"]);
}

#[test]
fn a_restored_older_store_is_counted_on_from_what_the_agents_know() {
    let mut play = Play::set_up_and(&[], strict);
    play.stage.start_all().unwrap();
    let first = play.until_well();
    let (config, kept) = (play.stage.directory().join("scs.toml"), play.stage.directory().join("kept"));
    let keeping = |play: &Play, arguments: &[&str]| {
        said(Command::new(play.program("scsctl")).args(arguments).arg(&kept).arg("--config").arg(&config))
    };
    keeping(&play, &["backup"]).expect(0, &[]);
    // Three, so that the kept store names a holder that is none any longer.
    switch_to(&mut play, &["t-2", "t-1", "t-2"]);
    let before = play.status();
    assert!(role(&before, "t").1 > role(&first, "t").1 + 1);
    let witness = watch(&play);
    play.stage.kill(Daemon::Server).unwrap();
    let state = play.stage.directory().join("state/scs");
    fs::rename(&state, state.with_extension("lost")).unwrap();
    keeping(&play, &["--yes", "restore"]).expect(0, &["has the store of"]);
    play.stage.start(Daemon::Server).unwrap();
    let after = play.until("a role above everything is stored", |status| {
        let now = role(status, "t");
        let so = now.1 > role(&before, "t").1 && now.0.is_some() && pair(status, "t").ready;
        if so { Ok(status.clone()) } else { Err(format!("{now:?} {:?}", status.unwell())) }
    });
    assert_eq!(role(&after, "t").0.as_deref(), Some("t-2"), "whoever acts goes on");
    play.until_well();
    let seen = witness.end().unwrap();
    assert_one(&seen, "store set back");
    switch_to(&mut play, &["t-1", "t-2"]);
}
