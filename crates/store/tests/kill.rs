//! kill -9 in the middle of commits: every acknowledged epoch is there afterwards. Runs itself again as the victim, so
//! it has no test harness, and answers a test runner that asks for a list by itself.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use understudy_store::{Reader, Store};

use support::{entries, lead, pair, raise, role};

const ROUNDS: u64 = 12;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "victim") {
        commit_for_ever(Path::new(&arguments[2]));
    }
    if arguments.iter().any(|word| word == "--list") {
        if arguments.iter().all(|word| word != "--ignored") {
            println!("every_acknowledged_epoch_survives: test");
        }
        return;
    }
    every_acknowledged_epoch_survives();
    println!("every acknowledged epoch survived {ROUNDS} kills");
}

/// Raises epochs and says each one that was acknowledged.
fn commit_for_ever(directory: &Path) -> ! {
    let mut store = Store::open(directory).unwrap();
    let leading = lead(&mut store);
    let mut stored = store.roles().unwrap().remove(&pair());
    let mut out = std::io::stdout().lock();
    loop {
        let epoch = stored.as_ref().map_or(0, |role| role.epoch.0) + 1;
        let next = role(epoch, if epoch.is_multiple_of(2) { "a" } else { "b" });
        store.commit(entries(&["{}"], false)).unwrap();
        store.commit(raise(stored, next.clone(), leading)).unwrap();
        if epoch.is_multiple_of(50) {
            store.checkpoint().unwrap();
        }
        writeln!(out, "{epoch}").unwrap();
        out.flush().unwrap();
        stored = Some(next);
    }
}

fn every_acknowledged_epoch_survives() {
    let place = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=ROUNDS {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .arg("victim")
            .arg(place.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        // A different number each time, so that the kill falls on different moments.
        for _ in 0..round * 17 {
            acknowledged = lines.next().unwrap().unwrap().parse().unwrap();
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        // What it said between the last line that was read and the kill counts as well.
        for line in lines.map_while(Result::ok) {
            acknowledged = line.parse().map_or(acknowledged, |said: u64| acknowledged.max(said));
        }
        let store = Store::open(place.path()).unwrap();
        let found = store.roles().unwrap()[&pair()].clone();
        assert!(found.epoch.0 >= acknowledged, "{acknowledged} was acknowledged, {found} is stored");
        assert!(found.epoch.0 <= acknowledged + 1, "one commit at most was under way, yet {found} is stored");
        assert_eq!(found, role(found.epoch.0, if found.epoch.0.is_multiple_of(2) { "a" } else { "b" }));
        assert_eq!(store.leadership().unwrap().epoch.0, round);
        assert!(Reader::open(place.path()).unwrap().check().unwrap().is_empty());
    }
}
