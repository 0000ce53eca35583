//! Settings that are read again while everything runs.
//!
//! The law: all of a file takes effect or nothing, every reason is told, and what runs is not touched.

use rustix::process::Signal;
use understudy_stage::{Daemon, Host};

use crate::play::{Play, app, assert_nothing_changed};

#[test]
fn a_wrong_file_changes_nothing_and_every_problem_is_told() {
    let mut play = Play::well();
    let before = play.status();
    let whole = std::fs::read_to_string(play.cluster_file()).unwrap();
    play.set("name = \"calm\"\nprimary = \"calm-1\"", "name = \"calm\"\nprimary = \"nobody\"");
    play.set_in_application("t-1", "restart-dely = 5");
    let problems = ["restart-dely", "restart-delay", "nobody", "cluster.toml:"];
    play.scsctl(&["config", "reload"]).expect(78, &problems);
    assert_nothing_changed(&before, &play.status());
    play.scsctl(&["status", "--check"]).expect(1, &["was refused and an older configuration is in use"]);
    // The same by signal: told in the log, which is all that a signal can answer with.
    let seen = play.log(Daemon::Server).matches("restart-dely").count();
    play.signal(Daemon::Server, Signal::HUP);
    play.until_so("the refusal is logged", || {
        match play.log(Daemon::Server).matches("restart-dely").count() {
            now if now > seen => Ok(()),
            now => Err(format!("{now} times")),
        }
    });
    assert_nothing_changed(&before, &play.until_well());
    // A server that is started again on it does not start: it never runs on half a file.
    play.stage.kill(Daemon::Server).unwrap();
    let mut command = std::process::Command::new(play.program("scs"));
    let config = play.stage.directory().join("scs.toml");
    crate::play::said(command.arg("--config").arg(&config)).expect(78, &["restart-dely", "nobody"]);
    std::fs::write(play.cluster_file(), whole).unwrap();
    play.stage.start(Daemon::Server).unwrap();
    assert_nothing_changed(&before, &play.until_well());
    play.scsctl(&["status", "--check"]).expect(0, &[]);
}

#[test]
fn what_may_not_change_while_it_runs_is_refused_with_every_reason() {
    let mut play = Play::well();
    let before = play.status();
    let whole = std::fs::read_to_string(play.cluster_file()).unwrap();
    let port = play.address("t-1").port();
    let other = play.free_port(Host::Alpha);
    play.set(&format!("port = {port}\n"), &format!("port = {other}\n"));
    play.set_in_pair("calm", "redundancy = \"hot-standby\"");
    play.set("name = \"single\"\nhost = \"alpha\"", "name = \"single\"\nhost = \"beta\"");
    let reasons =
        ["the ports of t-1", "its redundancy cannot change", "it cannot move from host alpha to beta"];
    play.scsctl(&["config", "reload"]).expect(3, &reasons);
    assert_nothing_changed(&before, &play.until_well());
    std::fs::write(play.cluster_file(), whole).unwrap();
    play.scsctl(&["config", "reload"]).expect(0, &["nothing in it changed"]);
    play.scsctl(&["status", "--check"]).expect(0, &[]);
}

#[test]
fn a_new_application_is_started_and_a_removed_one_must_be_stopped_first() {
    let mut play = Play::well();
    let before = play.status();
    let whole = std::fs::read_to_string(play.cluster_file()).unwrap();
    let port = play.free_port(Host::Beta);
    let more = format!(
        "\n[[application]]\nname = \"extra\"\nhost = \"beta\"\ninterface = \"library\"\n\
         command = [\"{}\", \"--bind\", \"127.0.0.12\"]\nenvironment = {{ STAGE_DIRECTORY = \"{}\" }}\n\
         [[application.port]]\nid = \"default\"\nport = {port}\n",
        play.program("tserver").display(),
        play.stage.directory().display(),
    );
    std::fs::write(play.cluster_file(), format!("{whole}{more}")).unwrap();
    play.scsctl(&["config", "reload"]).expect(0, &["application extra added"]);
    play.scsctl(&["wait", "extra", "--for", "started"]).expect(0, &[]);
    let with = play.until_well();
    for one in &before.applications {
        assert_eq!(app(&with, &one.name).pid, one.pid, "{} was disturbed", one.name);
    }
    // And without it again.
    std::fs::write(play.cluster_file(), &whole).unwrap();
    play.scsctl(&["config", "reload"]).expect(3, &["it cannot be removed while it runs", "stop extra first"]);
    play.scsctl(&["stop", "extra"]).expect(0, &[]);
    play.signal(Daemon::Server, Signal::HUP);
    let end = play.until("extra is gone", |status| match status.application("extra") {
        None => Ok(status.clone()),
        Some(one) => Err(format!("{one:?}")),
    });
    assert_nothing_changed(&before, &end);
    play.scsctl(&["status", "--check"]).expect(0, &[]);
}
