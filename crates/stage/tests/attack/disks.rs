//! Full disks under the state of the control server and of an agent.
//!
//! The law: nothing is done that could be forgotten, the operator is told, what runs goes on, and room alone heals it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use understudy_stage::{Daemon, Host};

use crate::play::{LIMIT, Play, app, assert_nothing_changed, assert_undisturbed, pair, role};

/// Room for everything that the control server sets aside at its start, and little more.
const SERVER_DISK_BYTES: u32 = 16 * 1024 * 1024;
/// The same for an agent.
const AGENT_DISK_BYTES: u32 = 1024 * 1024;
/// Changes that may be asked for until what was set aside is used up.
const MOST_TRIES: u32 = 3_000;
/// Longer than the control server waits for a quiet moment to make room in its own files.
const QUIET_MOMENT: Duration = Duration::from_millis(400);
/// So many quiet moments in a row find no room: then there is none.
const QUIET_MOMENTS: u32 = 3;

/// Takes all the room that there is; given back with the file.
fn fill(directory: &Path) -> PathBuf {
    let path = directory.join("filler");
    let mut file = File::create(&path).unwrap();
    let mut piece = vec![0; 64 * 1024];
    while !piece.is_empty() {
        match file.write(&piece) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
            Err(error) => panic!("{error}"),
        }
    }
    path
}

/// Takes the room that was freed since.
fn fill_more(path: &Path) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    while file.write(&[0; 512]).is_ok() {}
}

/// Uses up what the control server set aside, until nothing could be kept for a while: now and then it finds room in
/// its own files. Answers whether maintenance of `single` is on at the end.
fn use_up(play: &mut Play, filler: &Path) -> bool {
    let mut changes = 0;
    while play.stage.switch_over("t", if changes % 2 == 0 { "t-2" } else { "t-1" }, LIMIT).is_ok() {
        changes += 1;
        assert!(changes < MOST_TRIES, "the disk is never full");
        fill_more(filler);
    }
    let (mut on, mut refused, mut last) = (false, 0, None::<Instant>);
    play.until_so("the disk stays full", || {
        if last.is_some_and(|last| last.elapsed() < QUIET_MOMENT) {
            return Err("it may be making room".to_owned());
        }
        fill_more(filler);
        let told = play.scsctl(&["maintenance", if on { "off" } else { "on" }, "single"]);
        if told.code == 0 {
            (on, refused, last) = (!on, 0, None);
            return Err("there was room".to_owned());
        }
        told.expect(3, &["durable"]);
        (refused, last) = (refused + 1, Some(Instant::now()));
        if refused > QUIET_MOMENTS { Ok(()) } else { Err(format!("refused {refused} times in a row")) }
    });
    on
}

#[test]
fn without_room_for_an_epoch_nobody_is_promoted_and_room_alone_heals_it() {
    let mut play = Play::set_up();
    let state = play.stage.directory().join("state/scs");
    if let Err(why) = play.mount_small_disk(&state, SERVER_DISK_BYTES) {
        println!("skipped: {why}");
        return;
    }
    play.stage.start_all().unwrap();
    play.until_well();
    let filler = fill(&state);
    let on = use_up(&mut play, &filler);
    let full = play.status();
    play.scsctl(&["status", "--check"]).expect(1, &["make room under the state directory"]);
    for name in ["t-1", "t-2", "calm-1", "calm-2", "single"] {
        assert_eq!(app(&full, name).status, "started", "{name}");
    }
    play.scsctl(&["stop", "single"]).expect(3, &["durable"]);
    play.scsctl(&["maintenance", "on", "t"]).expect(3, &["durable"]);
    if pair(&full, "t").primary.is_some() {
        play.scsctl(&["switchover", "t"]).expect(3, &["durable"]);
    }

    // Its primary dies now: the epoch of the next one cannot be kept, so there is none.
    let held = play.until("t has a primary or tries to have one", |status| Ok::<_, String>(status.clone()));
    if let Some(primary) = pair(&held, "t").primary.clone() {
        play.stage.kill_application(&primary).unwrap();
        let vacant = play.until("nobody is primary of t", |status| match pair(status, "t") {
            now if now.primary.is_none() => Ok(status.clone()),
            now => Err(format!("{now:?}")),
        });
        assert!(
            vacant.warnings.iter().any(|warning| warning.contains("store cannot be written")),
            "{vacant:?}"
        );
    }
    let (rule, text) = play.why("t");
    assert_eq!(rule, "store-unwritable", "{text}");
    assert!(!play.serves("t-1") && !play.serves("t-2"), "somebody serves in an epoch that was not kept");
    assert!(play.serves("calm-1"));

    std::fs::remove_file(filler).unwrap();
    let end = play.until_well();
    if on {
        play.scsctl(&["maintenance", "off", "single"]).expect(0, &[]);
    }
    play.until("status is content", |status| {
        if status.warnings.iter().any(|warning| warning.contains("room")) {
            Err(format!("{:?}", status.warnings))
        } else {
            Ok(())
        }
    });
    assert!(pair(&end, "t").epoch > pair(&full, "t").epoch);
    play.scsctl(&["status", "--check"]).expect(0, &[]);
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    assert_undisturbed(&full, &play.until_well(), &["t-1", "t-2"]);
}

#[test]
fn a_server_that_starts_on_a_full_disk_leads_with_the_room_that_was_set_aside() {
    let mut play = Play::set_up();
    let state = play.stage.directory().join("state/scs");
    if let Err(why) = play.mount_small_disk(&state, SERVER_DISK_BYTES) {
        println!("skipped: {why}");
        return;
    }
    play.stage.start_all().unwrap();
    let before = play.until_well();
    play.stage.kill(Daemon::Server).unwrap();
    let filler = fill(&state);
    play.stage.start(Daemon::Server).unwrap();
    assert_nothing_changed(&before, &play.until_well());
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    std::fs::remove_file(filler).unwrap();
    assert_undisturbed(&before, &play.until_well(), &[]);
}

#[test]
fn an_agent_without_room_goes_on_with_what_it_has_and_takes_the_rest_when_there_is_room() {
    let mut play = Play::set_up();
    let state = play.stage.directory().join("state/alpha");
    if let Err(why) = play.mount_small_disk(&state, AGENT_DISK_BYTES) {
        println!("skipped: {why}");
        return;
    }
    play.stage.start_all().unwrap();
    let before = play.until_well();
    let filler = fill(&state);
    // Promises have their room already: roles change as ever.
    play.scsctl(&["switchover", "t", "--to", "t-2"]).expect(0, &[]);
    play.scsctl(&["switchover", "t", "--to", "t-1"]).expect(0, &[]);
    // A goal has not: it cannot be kept, so it is not obeyed, and whoever asked is told.
    let told = play.scsctl(&["stop", "single", "--timeout", "1500ms"]);
    assert_ne!(told.code, 0, "{told:?}");
    let now = play.status();
    assert_eq!(
        app(&now, "single").pid,
        app(&before, "single").pid,
        "a stop was obeyed that could be forgotten"
    );
    play.scsctl(&["status", "--check"]).expect(1, &["single"]);
    play.until_logged(Daemon::Agent(Host::Alpha), "No space left");
    play.stage.kill_application("t-1").unwrap();
    let moved = play.until_primary("t-2");
    assert!(pair(&moved, "t").epoch > pair(&before, "t").epoch);

    std::fs::remove_file(filler).unwrap();
    play.scsctl(&["wait", "single", "--for", "stopped"]).expect(0, &[]);
    play.scsctl(&["start", "single"]).expect(0, &[]);
    let end = play.until_well();
    assert_eq!(role(&end, "t"), role(&moved, "t"));
    assert_undisturbed(&before, &end, &["t-1", "single"]);
}
