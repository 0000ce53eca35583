//! A member of a strict pair that acts as soon as it runs, and a command that makes one act, with an agent that is killed at
//! the worst moment.
//!
//! Every program here is a shell, and the control server is the test. The law: nothing that nobody guards ever runs, and what
//! was begun for a role ends with it, whether there is an agent or not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::hooks::{member, noted, pair, role, shell};
use crate::play::{Controller, LIMIT, Place, RunningAgent, eventually, limited, lives};
use understudy_model::{
    AddpSettings, AddpTrace, ApplicationStatus, Assignment, Epoch, GrantTold, Outcome, RunMode, StrictPlace,
    Terms, Work,
};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn strict(place: &Place, lease: Duration) -> Assignment {
    let mut member = member(place);
    let terms = Terms {
        lease,
        drift_ppm: 1_000,
        leader_lease: ms(1_000),
        renew_every: lease / 5,
        fence_budget: ms(200),
        kill_budget: ms(100),
    };
    let peer_addp = AddpSettings { timeout: ms(0), remote_timeout: ms(0), trace: AddpTrace::Off };
    let (peer_host, peer_addresses) = ("beta".parse().unwrap(), vec!["unix:/nowhere".to_owned()]);
    member.pair.as_mut().unwrap().strict = Some(StrictPlace { terms, peer_host, peer_addresses, peer_addp });
    member
}

/// An agent, its guard, and a backup that may be promoted to epoch 1.
struct Stage {
    place: Place,
    agent: RunningAgent,
    controller: Controller,
    guard: rustix::process::Pid,
    lease: Duration,
}

impl Stage {
    /// `None`, said aloud, if there is no guard to be had.
    async fn with(lease: Duration, change: impl FnOnce(&Place, &mut Assignment)) -> Option<Self> {
        if !Path::new(env!("CARGO_BIN_EXE_lca")).with_file_name("lca-guard").is_file() {
            println!("skipped: lca-guard is not built; run: cargo build -p understudy-guard");
            return None;
        }
        let place = Place::new();
        let agent = place.start_agent();
        let mut controller = Controller::connect(&place, 1).await;
        let mut member = strict(&place, lease);
        change(&place, &mut member);
        assert_eq!(controller.order(Work::Assign(vec![member])).await, Outcome::Done);
        controller.report(|report| report.status == ApplicationStatus::Started).await;
        // It remembers nothing yet, and is silent for a lease.
        while controller.order(Work::Learn { pair: pair(), stored: Epoch::NONE, lease: Duration::ZERO }).await
            != Outcome::Done
        {
            tokio::task::yield_now().await;
        }
        let guard = guard_of(&place);
        Some(Self { place, agent, controller, guard, lease })
    }

    fn promote(&mut self) -> understudy_model::OrderId {
        let grant = Some(GrantTold { lease: self.lease, fenced: None });
        self.controller.begin_order(Work::Promote { pair: pair(), role: role(1), time_limit: LIMIT, grant })
    }

    fn stop_guard(&self) {
        rustix::process::kill_process(self.guard, rustix::process::Signal::STOP).unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Found by the directory of this test, and started for it alone; it may be gone.
        if arguments(self.guard.as_raw_nonzero().get().cast_unsigned()).contains("lca-guard") {
            let _ = rustix::process::kill_process(self.guard, rustix::process::Signal::KILL);
        }
    }
}

fn arguments(pid: u32) -> String {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ")
}

fn processes() -> impl Iterator<Item = u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn guard_of(place: &Place) -> rustix::process::Pid {
    let directory = place.at("run").display().to_string();
    let mut found = None;
    eventually("the guard is there", || {
        found = processes().find(|pid| {
            let text = arguments(*pid);
            text.contains("lca-guard --directory") && text.contains(&directory)
        });
        found.is_some()
    });
    rustix::process::Pid::from_raw(found.unwrap().cast_signed()).unwrap()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].split(' ').nth(1)?.parse().ok()
}

/// A child of the agent that still is a copy of it: it was made, and waits. Seen for a while, as any child is one for a moment.
fn held_child(agent: u32) -> Option<u32> {
    let own = arguments(agent);
    let held = |pid: &u32| parent(*pid) == Some(agent) && lives(*pid) && arguments(*pid) == own;
    let pid = processes().find(held)?;
    let until = Instant::now() + ms(100);
    while Instant::now() < until {
        if !held(&pid) {
            return None;
        }
    }
    Some(pid)
}

fn number_in(path: &PathBuf) -> Option<u32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[tokio::test]
async fn a_start_as_primary_that_nobody_guards_never_runs_and_ends_with_its_agent() {
    let Some(mut stage) = Stage::with(ms(4_000), |_, _| {}).await else { return };
    stage.stop_guard();
    stage.promote();
    let mut held = None;
    let limit = Instant::now() + LIMIT;
    while held.is_none() {
        assert!(Instant::now() < limit, "nothing is held: {:?}", noted(&stage.place));
        // Votes, as they are asked for.
        stage.controller.vote_now().await;
        held = held_child(stage.agent.pid());
    }
    assert_eq!(noted(&stage.place), ["start backup 0"]);
    stage.agent.kill();
    eventually("it has ended by itself", || !lives(held.unwrap()));
    let _next = stage.place.start_agent();
    let mut controller = Controller::connect(&stage.place, 1).await;
    let report = controller.inventory.applications[0].clone();
    if report.status != ApplicationStatus::Started {
        controller.report(|report| report.status == ApplicationStatus::Started).await;
    }
    let all = noted(&stage.place);
    assert!(!all.iter().any(|line| line.contains("primary")), "{all:?}");
}

#[tokio::test]
async fn a_guard_that_hangs_is_replaced_and_what_waited_for_it_goes_on() {
    let Some(mut stage) = Stage::with(ms(8_000), |_, _| {}).await else { return };
    stage.stop_guard();
    let order = stage.promote();
    assert_eq!(stage.controller.answer(order).await, Outcome::Done);
    eventually("it is primary", || noted(&stage.place).last().is_some_and(|line| line == "start primary 1"));
    let next = guard_of(&stage.place);
    assert_ne!(next, stage.guard);
    stage.guard = next;
}

#[tokio::test]
async fn a_command_that_makes_it_primary_ends_with_its_role_when_its_agent_is_dead() {
    let lease = ms(1_500);
    let hook = |place: &Place| place.at("hook");
    let stage = Stage::with(lease, |place, member| {
        let script = format!("echo $$ > {}; sleep 1000 & setsid sleep 1000 & wait", hook(place).display());
        member.spec.conduct.hooks.on_promote = shell(&script);
        member.spec.conduct.hooks.on_demote = shell("true");
        member.spec.conduct.hooks.timeout = ms(600_000);
    });
    let Some(mut stage) = stage.await else { return };
    stage.promote();
    let path = hook(&stage.place);
    let limit = Instant::now() + LIMIT;
    while number_in(&path).is_none() {
        assert!(Instant::now() < limit, "the hook does not run");
        stage.controller.vote_now().await;
    }
    let hook = number_in(&path).unwrap();
    let family: Vec<u32> = {
        eventually("it has made its children", || family_of(hook).len() == 3);
        family_of(hook)
    };
    stage.agent.kill();
    let killed = Instant::now();
    eventually("it is gone with everything of it", || !family.iter().any(|pid| lives(*pid)));
    let after = killed.elapsed();
    println!("the hook and what it had begun were gone {after:?} after their agent; the lease is {lease:?}");
    assert!(after < lease + ms(3_000), "{after:?}");
}

/// A process and its children.
fn family_of(pid: u32) -> Vec<u32> {
    processes().filter(|one| *one == pid || parent(*one) == Some(pid)).collect()
}

#[tokio::test]
async fn the_next_agent_ends_a_command_of_the_former_one_before_it_does_anything_else() {
    let Some(mut stage) = Stage::with(ms(6_000), |place, member| {
        let script = format!("echo $$ > {}; exec sleep 1000", place.at("hook").display());
        member.spec.conduct.hooks.on_promote = shell(&script);
        member.spec.conduct.hooks.on_demote = shell(&format!(
            "echo demote $(cat {}) >> {}",
            place.at("hook").display(),
            place.at("notes").display()
        ));
        member.spec.conduct.hooks.timeout = ms(600_000);
    })
    .await
    else {
        return;
    };
    stage.promote();
    let path = stage.place.at("hook");
    let limit = Instant::now() + LIMIT;
    while number_in(&path).is_none() {
        assert!(Instant::now() < limit, "the hook does not run");
        stage.controller.vote_now().await;
    }
    let hook = number_in(&path).unwrap();
    stage.agent.kill();
    assert!(lives(hook), "its role lasts");
    let killed = Instant::now();
    let _next = stage.place.start_agent();
    let demoted = format!("demote {hook}");
    eventually("its member is demoted", || noted(&stage.place).contains(&demoted));
    assert!(!lives(hook) && killed.elapsed() < ms(6_000), "by the agent, long before the guard would");
    let mut controller = Controller::connect(&stage.place, 1).await;
    let is_backup = |report: &understudy_model::ApplicationReport| report.run_mode == RunMode::Backup;
    if !is_backup(&controller.inventory.applications[0]) {
        limited(controller.report(is_backup)).await;
    }
}
