//! What an agent makes of what the program before it left open, when that is not what it expects.
//!
//! The program before is this test program itself. The law: whatever was left, the agent lives, and nobody is kept
//! waiting at a place where nobody listens.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::FdFlags;
use serde_json::json;

use super::play::{Controller, Place, eventually};

/// Not a test of its own: leaves a listener open, describes it, and becomes the agent.
#[test]
fn the_program_before() {
    let Ok(place) = std::env::var("LEAVES_OPEN") else { return };
    let listener = UnixListener::bind(&place).unwrap();
    rustix::io::fcntl_setfd(&listener, FdFlags::empty()).unwrap();
    let flags = rustix::fs::MemfdFlags::empty();
    let mut memory = std::fs::File::from(rustix::fs::memfd_create("left", flags).unwrap());
    let own = json!([[format!("unix:{place}"), listener.as_raw_fd()]]);
    let said = match std::env::var("SAYS").unwrap().as_str() {
        "well" => json!({ "form": 1, "pid": std::process::id(), "listeners": own, "links": [] }).to_string(),
        "other form" => json!({ "form": 2, "pid": std::process::id(), "everything": own }).to_string(),
        "other process" => json!({ "form": 1, "pid": 1, "listeners": own, "links": [] }).to_string(),
        _ => "{\"form\": 1, \"pid".to_owned(),
    };
    memory.write_all(said.as_bytes()).unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_lca"));
    agent.arg("--config").arg(std::env::var("SETTINGS").unwrap());
    agent.env("UNDERSTUDY_INHERITED", memory.as_raw_fd().to_string());
    panic!("{}", agent.exec());
}

fn before(place: &Place, open: &Path, says: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "inherited::the_program_before", "--nocapture"]);
    command.env("LEAVES_OPEN", open).env("SAYS", says).env("SETTINGS", place.settings());
    command
}

#[tokio::test]
async fn what_was_left_and_cannot_be_understood_is_closed() {
    for says in ["other form", "other process", "no JSON"] {
        let place = Place::new();
        let agent = place.start_agent_by(before(&place, &place.listen(), says));
        eventually("it listens itself", || place.agent_log().contains("listening for control servers"));
        Controller::connect(&place, 1).await;
        let log = place.agent_log();
        assert!(log.contains("begins as after a restart") && log.contains("1 sockets"), "{says}: {log}");
        drop(agent);
    }
}

#[tokio::test]
async fn where_nobody_listens_any_more_whoever_connects_is_refused() {
    let place = Place::new();
    let old = place.at("old.sock");
    let _agent = place.start_agent_by(before(&place, &old, "well"));
    Controller::connect(&place, 1).await;
    let refused = UnixStream::connect(&old).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    eventually("it says so", || place.agent_log().contains("not listening there any more"));
}
