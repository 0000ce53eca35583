//! The daemons under a real systemd: two hosts as boxes, with the units that are shipped, certificates made by hand as the
//! guide says, and whatever may befall a unit.
//!
//! Needs root and systemd; elsewhere the stories say why they are skipped, and in CI that is a failure. The law: what systemd
//! does to a daemon is never done to an application.

mod bed;
mod hosts;

use std::time::Duration;

use bed::until;
use hosts::{ALPHA, Hosts, UNITS};

/// The two hosts, well; none if there can be none here.
fn hosts() -> Option<Hosts> {
    if let Some(why) = bed::missing() {
        assert!(std::env::var_os("CI").is_none(), "these stories must run in CI: {why}");
        eprintln!("skipped: {why}");
        return None;
    }
    Some(Hosts::well())
}

#[test]
fn whatever_systemd_does_to_an_agent_no_process_and_no_role_changes() {
    let Some(mut hosts) = hosts() else { return };
    let before = hosts.seen();
    let alpha = |hosts: &Hosts, command: &[&str]| hosts.beds[ALPHA].exec(command);

    // Nothing in a unit that systemd does not know, or would rather have otherwise.
    let verify = [&["systemd-analyze", "verify", "--man=no"][..], &UNITS[..]].concat();
    let verified = alpha(&hosts, &verify).expect(0);
    let ours = |line: &&str| UNITS.iter().any(|unit| line.contains(unit));
    let about_us: Vec<&str> = verified.lines().filter(ours).collect();
    assert!(about_us.is_empty(), "{about_us:?}");

    // It says that it is ready, and how it fares.
    until("it says how it fares", || {
        let shown = hosts.property("lca", "StatusText");
        if shown.contains("2 of 2 applications run, 1 in") && shown.contains("; a control server is heard") {
            Ok(())
        } else {
            Err(shown)
        }
    });

    // kill -9: it comes back by Restart=.
    let (pid, restarts) = hosts.unit("lca");
    alpha(&hosts, &["systemctl", "kill", "-s", "KILL", "lca"]).expect(0);
    hosts.until_another("lca", pid, restarts + 1);
    assert_eq!(hosts.until_well(), before, "after kill -9");

    // Stopped: the watchdog finds it, as its machine does not answer. The unit's time, shortened.
    hosts.shorten_watchdog("lca");
    let (pid, restarts) = hosts.unit("lca");
    alpha(&hosts, &["systemctl", "kill", "-s", "STOP", "lca"]).expect(0);
    hosts.until_another("lca", pid, restarts + 1);
    assert_eq!(hosts.until_well(), before, "after the watchdog");
    let journal = alpha(&hosts, &["journalctl", "-u", "lca", "--no-pager"]).text;
    assert!(journal.contains("atchdog timeout"), "{journal}");
    // Fed for several of its times, it is left alone.
    let (pid, _) = hosts.unit("lca");
    hosts.hold_for(Duration::from_secs(5), || assert_eq!(hosts.unit("lca").0, pid, "it is fed"));

    // A restart, and a reload.
    alpha(&hosts, &["systemctl", "restart", "lca"]).expect(0);
    assert_eq!(hosts.until_well(), before, "after a restart");
    let (pid, _) = hosts.unit("lca");
    alpha(&hosts, &["systemctl", "reload", "lca"]).expect(0);
    until("the reload is told", || {
        let journal = alpha(&hosts, &["journalctl", "-u", "lca", "--no-pager"]).text;
        if journal.contains("settings read again") { Ok(()) } else { Err(journal) }
    });
    assert_eq!(hosts.property("lca", "ActiveState").trim(), "active");
    assert_eq!(hosts.unit("lca").0, pid);

    // A package puts another program there; `lca reexec` makes it the agent, under the same number.
    alpha(&hosts, &["sh", "-c", "cp /usr/bin/lca /usr/bin/lca.new && mv /usr/bin/lca.new /usr/bin/lca"])
        .expect(0);
    let exe = |hosts: &Hosts| alpha(hosts, &["readlink", &format!("/proc/{pid}/exe")]).text;
    assert!(exe(&hosts).contains("(deleted)"), "{}", exe(&hosts));
    alpha(&hosts, &["lca", "reexec"]).expect(0);
    assert_eq!(exe(&hosts).trim(), "/usr/bin/lca");
    assert_eq!(hosts.unit("lca").0, pid);
    until("it is ready again for systemd", || {
        let state = hosts.property("lca", "ActiveState");
        if state.trim() == "active" { Ok(()) } else { Err(state) }
    });
    assert_eq!(hosts.until_well(), before, "after lca reexec");
    // systemd still supervises it: it is fed by the new program, and found if it hangs.
    hosts.hold_for(Duration::from_secs(5), || {
        assert_eq!(hosts.unit("lca").0, pid, "the new program feeds it")
    });

    // The control server's own unit.
    let (pid, restarts) = hosts.unit_of(hosts::BETA, "scs");
    hosts.beds[hosts::BETA].exec(&["systemctl", "kill", "-s", "KILL", "scs"]).expect(0);
    hosts.until_another_of(hosts::BETA, "scs", pid, restarts + 1);
    assert_eq!(hosts.until_well(), before, "after kill -9 of the control server");
    hosts.beds[hosts::BETA].exec(&["systemctl", "reload", "scs"]).expect(0);
    hosts.beds[hosts::BETA].exec(&["systemctl", "restart", "scs"]).expect(0);
    assert_eq!(hosts.until_well(), before, "after a restart of the control server");

    // A stop leaves applications as they are; a start finds them.
    alpha(&hosts, &["systemctl", "stop", "lca"]).expect(0);
    assert_eq!(hosts.property("lca", "ActiveState").trim(), "inactive");
    for (name, pid) in hosts.pids_on_alpha(&before) {
        assert_eq!(alpha(&hosts, &["test", "-d", &format!("/proc/{pid}")]).code, 0, "{name} runs on");
    }
    alpha(&hosts, &["systemctl", "start", "lca"]).expect(0);
    assert_eq!(hosts.until_well(), before, "after a stop and a start");
}

#[test]
fn a_member_of_the_group_operates_and_is_known_by_name() {
    let Some(hosts) = hosts() else { return };
    let beta = &hosts.beds[hosts::BETA];
    beta.exec(&["useradd", "--no-create-home", "--groups", "understudy", "ann"]).expect(0);
    beta.exec(&["useradd", "--no-create-home", "bob"]).expect(0);
    let as_user = |user: &str, command: &[&str]| {
        let all: Vec<&str> =
            ["runuser", "-u", user, "--"].into_iter().chain(command.iter().copied()).collect();
        beta.exec(&all)
    };
    let last = hosts.last_event();
    as_user("ann", &["scsctl", "maintenance", "on", "t"]).expect(0);
    let story = hosts.events_after(last);
    let changed = story.iter().find(|event| event["kind"] == "maintenance-changed");
    let changed = changed.unwrap_or_else(|| panic!("{story:#?}"));
    assert_eq!(changed["actor"], "ann", "{changed:#}");
    as_user("ann", &["scsctl", "maintenance", "off", "t"]).expect(0);
    // Whoever is in no such group does not even reach the socket.
    assert_ne!(as_user("bob", &["scsctl", "status"]).code, 0);
    hosts.until_well();
}

#[test]
fn settings_that_are_wrong_are_not_tried_again_and_again() {
    let Some(hosts) = hosts() else { return };
    let alpha = &hosts.beds[ALPHA];
    alpha.exec(&["sh", "-c", "echo 'nonsense = 1' >> /etc/understudy/lca.toml"]).expect(0);
    assert_ne!(alpha.exec(&["systemctl", "restart", "lca"]).code, 0);
    until("the unit has failed", || {
        let state = hosts.property("lca", "ActiveState");
        if state.trim() == "failed" { Ok(()) } else { Err(state) }
    });
    assert_eq!(hosts.property("lca", "ExecMainStatus").trim(), "78");
    hosts.hold_for(Duration::from_secs(1), || assert_eq!(hosts.unit("lca").1, 0, "not started again"));
}

#[test]
fn applications_inherit_nothing_of_the_unit() {
    let Some(hosts) = hosts() else { return };
    let before = hosts.seen();
    let alpha = &hosts.beds[ALPHA];
    let init = alpha
        .exec(&[
            "sh",
            "-c",
            "readlink /proc/1/ns/mnt; grep NoNewPrivs /proc/1/status; grep CapBnd /proc/1/status",
        ])
        .expect(0);
    for (name, pid) in hosts.pids_on_alpha(&before) {
        let text = alpha.exec(&["sh", "-c", &format!("tr '\\0' '\\n' < /proc/{pid}/environ")]).expect(0);
        for variable in [
            "NOTIFY_SOCKET=",
            "WATCHDOG_",
            "INVOCATION_ID=",
            "JOURNAL_STREAM=",
            "LISTEN_",
            "UNDERSTUDY_INHERITED=",
        ] {
            assert!(!text.lines().any(|line| line.starts_with(variable)), "{name}: {text}");
        }
        let own = format!(
            "readlink /proc/{pid}/ns/mnt; grep NoNewPrivs /proc/{pid}/status; grep CapBnd /proc/{pid}/status"
        );
        assert_eq!(alpha.exec(&["sh", "-c", &own]).expect(0), init, "{name}");
        let group = alpha.exec(&["cat", &format!("/proc/{pid}/cgroup")]).expect(0);
        assert!(
            group.contains(":/understudy.slice/") && group.contains(&name),
            "{name} has a group of its own: {group}"
        );
    }
    hosts.until_well();
}

#[test]
fn a_host_that_shuts_down_hands_over_first_and_boots_alone_as_backup() {
    let Some(mut hosts) = hosts() else { return };
    let before = hosts.seen();
    assert_eq!(hosts.primary(), Some("t-1".to_owned()));
    let last = hosts.last_event();
    hosts.beds[ALPHA].power_off();
    hosts.until_primary("t-2");
    let story = hosts.events_after(last);
    let at = |kind: &str, application: &str| {
        let so = |event: &&serde_json::Value| {
            event["kind"] == kind && (application.is_empty() || event["application"] == application)
        };
        let found = story.iter().position(|event| so(&event));
        found.unwrap_or_else(|| panic!("no {kind} of {application:?}: {story:#?}"))
    };
    // A change of roles, then the end: nobody saw a failover.
    assert!(at("demotion-ordered", "") < at("promotion-ordered", ""));
    assert!(at("promotion-ordered", "") < at("application-exited", "t-1"), "{story:#?}");
    assert!(
        story
            .iter()
            .filter(|event| event["kind"] == "application-exited")
            .all(|event| event.to_string().contains("\"yes\"")),
        "each end was wanted: {story:#?}"
    );
    assert!(
        !story.iter().any(|event| event["rule"] == "host-lost" || event["rule"] == "primary-exited"),
        "{story:#?}"
    );
    let pid = |seen: &hosts::Seen, name: &str| seen.processes.get(name).cloned().flatten();
    assert_eq!(pid(&hosts.seen(), "t-2"), pid(&before, "t-2"));

    // Back to the first member, and then the power fails while the control server is down as well.
    hosts.boot(ALPHA);
    hosts.until_well();
    hosts.scsctl(&["switchover", "t"]).expect(0);
    hosts.until_primary("t-1");
    hosts.beds[hosts::BETA].exec(&["systemctl", "stop", "scs"]).expect(0);
    hosts.beds[ALPHA].cut_power();
    hosts.boot(ALPHA);
    let runs = |hosts: &Hosts, name: &str| hosts.application(ALPHA, name);
    until("single and t-1 run again", || match (runs(&hosts, "single"), runs(&hosts, "t-1")) {
        (Some(_), Some(mode)) if mode == "backup" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // Never primary by itself.
    hosts.hold_for(Duration::from_secs(3), || assert_eq!(runs(&hosts, "t-1").as_deref(), Some("backup")));
    hosts.beds[hosts::BETA].exec(&["systemctl", "start", "scs"]).expect(0);
    hosts.until_well();
}
