//! Pairs of programs that nobody here wrote: told by hooks or by a new start, ready by notice, hung, and judged fairly.
//!
//! The law: they are failed over, switched and kept as those with the library are, and nobody else notices.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use understudy_model::Policy;
use understudy_stage::{ApplicationPlan, Daemon, Host, Plan};

use crate::play::{Play, app, assert_nothing_changed, assert_undisturbed, pair};

/// How long anything may show no life in these stories.
const HANG_LIMIT: Duration = Duration::from_millis(800);

/// What the hooks of a story write down, one line each.
struct Notes(tempfile::TempDir);

impl Notes {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("notes")
    }

    /// A hook that writes down what it was told, and then does the rest.
    fn hook(&self, rest: &str) -> String {
        let script = format!(
            "echo $UNDERSTUDY_APPLICATION $UNDERSTUDY_HOOK $UNDERSTUDY_RUN_MODE $UNDERSTUDY_EPOCH >> {}; {rest}",
            self.path().display()
        );
        serde_json::json!(["/bin/sh", "-c", script]).to_string()
    }

    fn hooks(&self) -> String {
        format!("hooks = {{ on-promote = {0}, on-demote = {0} }}", self.hook("true"))
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(self.path()).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn program(
    host: Host,
    name: String,
    interface: &'static str,
    script: &str,
    more: &[String],
) -> ApplicationPlan {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    ApplicationPlan {
        name,
        host,
        command,
        environment: Vec::new(),
        port: None,
        interface,
        more: more.to_vec(),
    }
}

/// The usual cluster with a pair `x` of such programs, running and well.
fn with_pair(interface: &'static str, script: &str, more: &[String]) -> Play {
    let fill = |plan: &mut Plan| {
        plan.timers.push(format!("hang-limit = \"{}ms\"", HANG_LIMIT.as_millis()));
        // An agent that is stopped for a while is no lost host in these stories.
        plan.timers.push("addp-timeout = \"60s\"".to_owned());
        plan.add_pair("x", |host, name| program(host, name, interface, script, more));
        // And with leases its guard would end what it left behind, as `frozen` shows.
        plan.set_policy(Policy::Available);
    };
    let mut play = Play::set_up_and(&[], fill);
    play.stage.start_all().unwrap();
    play.until_well();
    play.until_primary("x-1");
    play
}

#[test]
fn a_plain_pair_with_hooks_is_switched_and_failed_over() {
    let notes = Notes::new();
    let mut play = with_pair("plain", "exec sleep 1000", &[notes.hooks()]);
    let before = play.status();
    play.scsctl(&["switchover", "x", "--to", "x-2"]).expect(0, &[]);
    let switched = play.until_primary("x-2");
    assert_undisturbed(&before, &switched, &[]);
    let epoch = pair(&switched, "x").epoch;
    assert_eq!(
        notes.lines(),
        [
            format!("x-1 on-promote primary {}", pair(&before, "x").epoch),
            format!("x-1 on-demote backup {}", pair(&before, "x").epoch),
            format!("x-2 on-promote primary {epoch}"),
        ]
    );
    play.stage.kill_application("x-2").unwrap();
    let after = play.until_primary("x-1");
    assert_eq!(play.why("x").0, "primary-exited");
    assert_eq!(notes.lines().last().unwrap(), &format!("x-1 on-promote primary {}", pair(&after, "x").epoch));
    assert_undisturbed(&before, &after, &["x-2"]);
}

#[test]
fn a_plain_pair_without_hooks_is_started_anew_with_its_modes() {
    let notes = Notes::new();
    let script = format!(
        "echo $UNDERSTUDY_APPLICATION $UNDERSTUDY_RUN_MODE >> {}; exec sleep 1000",
        notes.path().display()
    );
    let mut play = with_pair("plain", &script, &[]);
    let before = play.status();
    assert_eq!(app(&before, "x-1").restarts, 0, "a new start with a new mode is no restart");
    play.scsctl(&["switchover", "x", "--to", "x-2"]).expect(0, &[]);
    let after = play.until_primary("x-2");
    let of = |name: &str| {
        let lines = notes.lines();
        lines
            .iter()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
            .collect::<Vec<_>>()
    };
    // The shell writes its line a little after its process exists.
    play.until_so("every start was with its mode", || {
        let found = (of("x-1"), of("x-2"));
        let wanted = found.0 == ["backup", "primary", "backup"] && found.1 == ["backup", "primary"];
        if wanted { Ok(()) } else { Err(format!("{found:?}")) }
    });
    assert_undisturbed(&before, &after, &["x-1", "x-2"]);
}

#[test]
fn a_stopped_plain_primary_is_hung_and_what_it_did_is_kept() {
    let notes = Notes::new();
    let mut play = with_pair("plain", "exec sleep 1000", &[notes.hooks()]);
    let before = play.status();
    let seen = play.last_event();
    let began = Instant::now();
    play.stage.stop_application("x-1").unwrap();
    let after = play.until_primary("x-2");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let events = play.events_after(seen, &["--app", "x-1"]);
    let hung = events.iter().find(|event| event["rule"] == "hung").unwrap_or_else(|| panic!("{events:?}"));
    let text = hung.to_string();
    assert!(text.contains("stopped by a signal for 0.8 s") && text.contains("T (stopped)"), "{text}");
    assert!(text.contains("evidence"), "{text}");
    assert_undisturbed(&before, &after, &["x-1"]);
}

#[test]
fn a_stopped_library_primary_is_hung_too() {
    let mut play = with_pair("plain", "exec sleep 1000", &[]);
    let before = play.status();
    play.stage.stop_application("t-1").unwrap();
    let after = play.until_primary("t-2");
    assert!(play.serves("t-2"));
    assert_undisturbed(&before, &after, &["t-1"]);
}

#[test]
fn a_frozen_agent_that_wakes_blames_nobody_for_its_own_silence() {
    let script = "systemd-notify --ready; while :; do systemd-notify WATCHDOG=1; sleep 0.1; done";
    if !std::path::Path::new("/usr/bin/systemd-notify").exists() {
        eprintln!("skipped: systemd-notify is not installed on this machine");
        return;
    }
    let mut play = with_pair("notify", script, &["watchdog = \"700ms\"".to_owned()]);
    let before = play.status();
    play.signal(Daemon::Agent(Host::Alpha), Signal::STOP);
    // The freeze itself: several limits long.
    play.stage.interrupt().let_pass(HANG_LIMIT * 4).unwrap();
    play.signal(Daemon::Agent(Host::Alpha), Signal::CONT);
    // And as long again, in which a wrong judgement would fall.
    play.stage.interrupt().let_pass(HANG_LIMIT * 3).unwrap();
    let after = play.until_well();
    assert_undisturbed(&before, &after, &[]);
    assert_eq!(pair(&before, "x").epoch, pair(&after, "x").epoch);
    assert!(!play.log(Daemon::Agent(Host::Alpha)).contains("hung"), "somebody was blamed");
}

#[test]
fn a_member_that_stood_still_with_its_agent_and_a_little_longer_is_not_hung() {
    let limit = Duration::from_secs(2);
    let fill = |plan: &mut Plan| {
        plan.timers.push(format!("hang-limit = \"{}s\"", limit.as_secs()));
        plan.timers.push("addp-timeout = \"60s\"".to_owned());
    };
    let mut play = Play::set_up_and(&[], fill);
    play.stage.start_all().unwrap();
    let before = play.until_well();
    // In the first round it is chance when the last question fell.
    for _ in 0..4 {
        play.signal(Daemon::Agent(Host::Alpha), Signal::STOP);
        let (pid, _) = play.stage.stop_application("t-1").unwrap();
        play.stage.interrupt().let_pass(limit * 49 / 100).unwrap();
        play.signal(Daemon::Agent(Host::Alpha), Signal::CONT);
        // The machine is busy after such a stall: the member comes later than its agent.
        play.stage.interrupt().let_pass(limit * 30 / 100).unwrap();
        let member = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(member, Signal::CONT).unwrap();
        // It answers; the next question falls into the next stall.
        play.stage.interrupt().let_pass(limit * 35 / 100).unwrap();
    }
    assert_nothing_changed(&before, &play.until_well());
    assert!(!play.log(Daemon::Agent(Host::Alpha)).contains("hung"), "somebody was blamed");
}

#[test]
fn a_backup_whose_hook_fails_refuses_and_the_former_primary_comes_back() {
    let notes = Notes::new();
    // Only the member on beta cannot be promoted.
    let promote = notes.hook("[ $UNDERSTUDY_HOST = alpha ]");
    let hooks = format!("hooks = {{ on-promote = {promote}, on-demote = {} }}", notes.hook("true"));
    let mut play = with_pair("plain", "exec sleep 1000", &[hooks]);
    let before = play.status();
    play.stage.kill_application("x-1").unwrap();
    let after = play.until("x-1 is primary again", |status| match pair(status, "x") {
        now if now.primary.as_deref() == Some("x-1") && now.epoch > pair(&before, "x").epoch => {
            Ok(status.clone())
        }
        now => Err(format!("{now:?}")),
    });
    let lines = notes.lines();
    let refused = lines.iter().position(|line| line.starts_with("x-2 on-promote")).unwrap();
    assert!(lines[refused + 1].starts_with("x-2 on-demote"), "undone before it is refused: {lines:?}");
    assert_undisturbed(&before, &after, &["x-1"]);
}
