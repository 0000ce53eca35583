//! Policy `strict` and memories that were set back: an older copy of an agent's promises, and an older store.
//!
//! The law: what the others remember is believed, the epochs of the lost time are entered by nobody, and no two act.

use std::fs;
use std::path::Path;
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
    let (now, other) =
        (pair(&after, "t").primary.clone().unwrap(), pair(&after, "t").backup.clone().unwrap());
    switch_to(&mut play, &[&other, &now]);
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

#[test]
fn an_older_store_put_in_place_by_hand_is_obeyed_by_nobody_however_often_it_is_started() {
    let mut play = Play::set_up_and(&[], strict);
    play.stage.start_all().unwrap();
    play.until_well();
    let state = play.stage.directory().join("state/scs");
    let (older, newest) = (state.with_extension("older"), state.with_extension("newest"));
    // A copy of the whole directory while nobody leads, as a snapshot of its disk would be.
    play.stage.kill(Daemon::Server).unwrap();
    copy_files(&state, &older);
    play.stage.start(Daemon::Server).unwrap();
    play.until_well();
    switch_to(&mut play, &["t-2"]);
    let before = role(&play.status(), "t");
    let witness = watch(&play);
    play.stage.kill(Daemon::Server).unwrap();
    fs::rename(&state, &newest).unwrap();
    fs::rename(&older, &state).unwrap();
    // The first start counts to the number that the agents obey, the others beyond it.
    for start in 1..=3 {
        play.stage.start(Daemon::Server).unwrap();
        play.until("both agents turn it away, and say why", |status| {
            let away = status.hosts.iter().filter(|host| host.status == "inaccessible").count();
            if away == 2 { Ok(()) } else { Err(format!("start {start}: {:?}", status.hosts)) }
        });
        play.scsctl(&["host", "alpha"]).expect(0, &["had another store", "scsctl restore"]);
        play.stage.interrupt().let_pass(LEASE * 2).unwrap();
        play.stage.kill(Daemon::Server).unwrap();
    }
    fs::rename(&state, &older).unwrap();
    fs::rename(&newest, &state).unwrap();
    play.stage.start(Daemon::Server).unwrap();
    let after = role(&play.until_well(), "t");
    assert_eq!((after.0, true), (before.0, after.1 >= before.1), "whoever acted goes on");
    let seen = witness.end().unwrap();
    assert_one(&seen, "an older store put in place by hand");
    switch_to(&mut play, &["t-1"]);
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
