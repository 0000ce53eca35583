//! A second program on what belongs to a first one.
//!
//! The law: it is refused by name, and the first one does not notice.

use std::fs;
use std::path::Path;
use std::process::Command;

use understudy_stage::{Daemon, Host};

use crate::play::{Play, Said, assert_nothing_changed, said};

fn start(play: &Play, program: &str, config: &Path) -> Said {
    said(Command::new(play.program(program)).arg("--config").arg(config))
}

#[test]
fn a_second_server_and_a_second_agent_are_refused_by_name() {
    let mut play = Play::well();
    let before = play.status();
    let directory = play.stage.directory().to_owned();
    start(&play, "scs", &directory.join("scs.toml")).expect(1, &["is in use by", "scs.lock"]);
    start(&play, "lca", &directory.join("lca-alpha.toml"))
        .expect(1, &["another agent is running", "state/alpha"]);
    assert_nothing_changed(&before, &play.until_well());

    // With a state of its own, and the address or socket of the first.
    let with = |name: &str, from: &str, to: &str| {
        let text = fs::read_to_string(directory.join(name)).unwrap();
        assert!(text.contains(from), "{text}");
        let path = directory.join(format!("other-{name}"));
        fs::write(&path, text.replace(from, to)).unwrap();
        path
    };
    let agent = with("lca-alpha.toml", "state/alpha", "state/other");
    start(&play, "lca", &agent).expect(1, &["another agent writes role pages there", "run/alpha"]);
    let server = with("scs.toml", "state/scs", "state/other-scs");
    start(&play, "scs", &server).expect(1, &["the API socket", "in use by another program"]);
    assert_nothing_changed(&before, &play.until_well());
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
}

#[test]
fn the_state_of_another_host_is_refused_by_name_and_kept() {
    let mut play = Play::well();
    let before = play.status();
    let directory = play.stage.directory().to_owned();
    let alpha = Daemon::Agent(Host::Alpha);
    play.stage.kill(alpha).unwrap();
    let text = fs::read_to_string(directory.join("lca-alpha.toml")).unwrap();
    let path = directory.join("wrong.toml");
    let text = text.replace("host = \"alpha\"", "host = \"beta\"").replace("pki/alpha.", "pki/beta.");
    fs::write(&path, text).unwrap();
    start(&play, "lca", &path).expect(78, &["belongs to host alpha", "this agent is host beta"]);

    // A damaged or foreign promise file is refused as well, and not repaired.
    let promises = directory.join("state/alpha/promises");
    let kept = fs::read(&promises).unwrap();
    for damaged in [kept[..kept.len() / 2].to_vec(), b"not a promise file at all".to_vec(), Vec::new()] {
        fs::write(&promises, &damaged).unwrap();
        start(&play, "lca", &directory.join("lca-alpha.toml")).expect(78, &["promise", "state/alpha"]);
        assert_eq!(fs::read(&promises).unwrap(), damaged);
    }
    fs::write(&promises, kept).unwrap();
    play.stage.start(alpha).unwrap();
    assert_nothing_changed(&before, &play.until_well());
}

#[test]
fn a_damaged_store_is_refused_by_name_and_nothing_that_runs_notices() {
    let mut play = Play::well();
    let before = play.status();
    let directory = play.stage.directory().to_owned();
    play.stage.kill(Daemon::Server).unwrap();
    let database = directory.join("state/scs/scs.db");
    let kept: Vec<(std::path::PathBuf, Vec<u8>)> = fs::read_dir(directory.join("state/scs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    fs::write(&database, "not a database at all, and long enough to be looked at".repeat(100)).unwrap();
    let told = start(&play, "scs", &directory.join("scs.toml"));
    assert!(told.code == 1 && told.text.contains("scs.db"), "{told:?}");
    assert!(play.serves("t-1") && play.serves("calm-1"));
    for (path, bytes) in kept {
        fs::write(path, bytes).unwrap();
    }
    play.stage.start(Daemon::Server).unwrap();
    assert_nothing_changed(&before, &play.until_well());
}
