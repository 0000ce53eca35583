//! Backups of a control server: made while it works, restored where it is not, and refused where that would do harm.
//!
//! The law: what was kept is there again, applications do not notice, and nobody restores by mistake.

use std::path::Path;
use std::process::Command;

use understudy_stage::Daemon;

use crate::play::{Play, Said, assert_nothing_changed, said};

fn keeping(play: &Play, arguments: &[&str]) -> Said {
    let config = play.stage.directory().join("scs.toml");
    said(Command::new(play.program("scsctl")).args(arguments).arg("--config").arg(config))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_was_kept_is_there_again_and_nobody_notices() {
    let mut play = Play::well();
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
    play.until_primary("t-2");
    play.scsctl(&["maintenance", "on", "single"]).expect(0, &[]);
    let before = play.until_well();
    let backup = play.stage.directory().join("kept");
    keeping(&play, &["backup", text(&backup)]).expect(0, &["scs.toml", "cluster.toml"]);
    keeping(&play, &["backup", text(&backup)]).expect(1, &["cannot make"]);

    // While it runs, nothing is restored; nor without having read what it means, nor over what is there.
    keeping(&play, &["restore", text(&backup)]).expect(6, &["stop both members", "--yes"]);
    keeping(&play, &["--yes", "restore", text(&backup)])
        .expect(3, &["already runs with this state directory"]);
    assert!(play.stage.kill(Daemon::Server).unwrap());
    keeping(&play, &["--yes", "restore", text(&backup)]).expect(3, &["is there already", "move it away"]);

    // The disk is lost, and nothing happened since the backup.
    let state = play.stage.directory().join("state/scs");
    std::fs::rename(&state, state.with_extension("lost")).unwrap();
    keeping(&play, &["--yes", "restore", text(&backup)]).expect(0, &["has the store of"]);
    play.stage.start(Daemon::Server).unwrap();
    let after = play.until_well();
    assert_nothing_changed(&before, &after);
    let app = play.scsctl_json(&["app", "single"]);
    assert!(app.to_string().contains("maintenance") || app["hands_off"] == true, "{app}");
}

#[test]
fn the_settings_come_along_and_keys_only_if_asked_for() {
    let play = Play::well();
    let directory = play.stage.directory();
    let (plain, whole) = (directory.join("plain"), directory.join("whole"));
    keeping(&play, &["backup", text(&plain)]).expect(0, &[]);
    keeping(&play, &["backup", text(&whole), "--with-keys"]).expect(0, &[".key"]);
    let key = std::fs::read_dir(directory.join("pki")).unwrap().flatten().map(|entry| entry.path());
    let key = key.into_iter().find(|path| text(path).ends_with("scs-1.key")).expect("a key");
    let secret = std::fs::read(key).unwrap();
    let holds = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(64).any(|window| window == &secret[32..96])
    };
    assert!(!holds(&plain) && holds(&whole));
    let into = directory.join("etc");
    // The store is not restored, as one is there; the settings were written before that.
    keeping(&play, &["--yes", "restore", text(&plain), "--files", text(&into)]).expect(3, &["restored into"]);
    for name in ["cluster.toml", "scs.toml"] {
        assert_eq!(std::fs::read(into.join(name)).unwrap(), std::fs::read(directory.join(name)).unwrap());
    }
    keeping(&play, &["--yes", "restore", text(&plain), "--files", text(&into)])
        .expect(1, &["nothing was overwritten"]);
}
