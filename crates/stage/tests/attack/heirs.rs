//! A play that is killed itself: nobody is left to end its cluster but its heir.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use understudy_stage::{GROUND_PREFIX, Interrupt, sweep};

use crate::play::{LIMIT, programs};

/// The directories of stages below `parent`.
fn grounds(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let is_ground = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(GROUND_PREFIX);
    entries.filter(is_ground).collect()
}

#[test]
fn a_play_that_is_killed_leaves_no_process_and_no_file() {
    for signal in [Signal::KILL, Signal::TERM] {
        let parent = tempfile::Builder::new().prefix("h").tempdir().unwrap();
        let mut play = Command::new(programs().path("understudy-demo"))
            .env("TMPDIR", parent.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Two agents, the control server, and members that agents started in sessions of their own.
        let mark = Interrupt::default().until("members run", LIMIT, || {
            let marked = grounds(parent.path()).into_iter().find(|ground| {
                sweep::find_application(ground, "tserver-1").is_ok_and(|members| !members.is_empty())
            });
            Ok(marked.ok_or_else(|| format!("{:?}", grounds(parent.path()))))
        });
        let mark = mark.unwrap();
        assert!(sweep::find(&mark).unwrap().len() >= 4);
        kill_process(Pid::from_child(&play), signal).unwrap();
        play.wait().unwrap();
        let all_gone = Interrupt::default().until("nothing is left", LIMIT, || {
            let (processes, files) = (sweep::find(&mark)?.len(), grounds(parent.path()));
            let left = format!("after {signal:?}: {processes} processes, {files:?}");
            Ok(if processes == 0 && files.is_empty() { Ok(()) } else { Err(left) })
        });
        if all_gone.is_err() {
            // What this test shows to be left must not stay.
            sweep::end_all(&mark).unwrap();
        }
        all_gone.unwrap();
    }
}
