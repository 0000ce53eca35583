//! What applications print, read from their hosts through the control server.
//!
//! The law: whoever reads, fast or slow or not at all, touches nothing that runs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use understudy_stage::{Daemon, Host};

use crate::play::{Play, assert_nothing_changed};

/// As if `single` printed it: its own descriptor appends too.
fn print(play: &Play, bytes: &[u8]) {
    let path = play.stage.directory().join("logs/alpha/single.log");
    let mut log = std::fs::File::options().append(true).open(path).unwrap();
    log.write_all(bytes).unwrap();
}

#[test]
fn the_last_lines_are_shown_and_new_ones_are_followed() {
    let mut play = Play::well();
    let before = play.until_well();
    print(&play, b"one\ntwo \xff\n\x1b[2Jthree\n");
    play.scsctl(&["logs", "single", "--lines", "2"]).expect(0, &["two \u{fffd}\n\u{1b}[2Jthree\n"]);
    play.scsctl(&["logs", "nobody"]).expect(3, &["no application", "scsctl apps"]);
    play.scsctl(&["logs", "single", "--since", "5m"]).expect(3, &["have no time", "--lines"]);
    let mut follower = Command::new(play.program("scsctl"));
    follower.arg("--server").arg(format!("unix:{}", play.stage.api().socket().display()));
    follower.args(["logs", "single", "-n", "1", "-f"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut follower = follower.spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "\u{1b}[2Jthree");
    print(&play, b"four\n");
    assert_eq!(lines.next().unwrap().unwrap(), "four");
    let mut flood = Vec::new();
    for number in 0..100_000 {
        flood.extend_from_slice(format!("line {number}\n").as_bytes());
    }
    print(&play, &flood);
    for number in 0..100_000 {
        assert_eq!(lines.next().unwrap().unwrap(), format!("line {number}"));
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_nothing_changed(&before, &play.until_well());
    play.stage.kill(Daemon::Agent(Host::Alpha)).unwrap();
    play.until_so("the agent is missed", || {
        let said = play.scsctl(&["logs", "single"]);
        if said.code == 3 && said.text.contains("not heard") { Ok(()) } else { Err(said.text) }
    });
}
