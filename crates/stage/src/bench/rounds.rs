//! The rounds of each bench: make everything well, let it come to rest, do it, hear when it happened.
//!
//! It knows the stage and the words of the parts. The law: between two rounds the cluster is well and a short rest has
//! passed, so that the work of starting again is not on the clock.

use std::time::Duration;

use super::floor::Floor;
use super::member::PART_MEMBER;
use super::plain::{PART_HOOK, PART_PLAIN};
use super::words::{Ear, SOCKET_VARIABLE};
use super::{Measured, PART};
use crate::net::Network;
use crate::ports::Ports;
use crate::{ApplicationPlan, Ground, Host, Interrupt, Plan, Programs, Stage, StageError};

const PAIR: &str = "bench";
const SINGLE: &str = "single";
/// How long the cluster may take to be well.
pub(super) const WELL_LIMIT: Duration = Duration::from_secs(30);
/// How long a measured moment may take to come.
pub(super) const MOMENT_LIMIT: Duration = Duration::from_secs(20);
/// Rest after the cluster is well. More than the restart delay, so that no restart counts as one of several in a row.
pub(super) const REST: Duration = Duration::from_millis(40);
/// The shortest that settings allow.
pub(super) const RESTART_DELAY_MS: u64 = 10;

fn part_of_bench(name: String, host: Host, ear: &Ear) -> Result<ApplicationPlan, StageError> {
    let own = std::env::current_exe().map_err(StageError::file("find", "this program"))?;
    let command = vec![own.to_string_lossy().into_owned(), PART.to_owned(), PART_MEMBER.to_owned()];
    let socket = ear.path().to_string_lossy().into_owned();
    Ok(ApplicationPlan {
        name,
        host,
        command,
        environment: vec![(SOCKET_VARIABLE.to_owned(), socket)],
        port: None,
        interface: "library",
        more: Vec::new(),
    })
}

/// A pair of members without the library, each promoted by a hook.
fn add_plain_pair(plan: &mut Plan, ear: &Ear) -> Result<(), StageError> {
    let own = std::env::current_exe().map_err(StageError::file("find", "this program"))?;
    let own = own.to_string_lossy().into_owned();
    let words = |part: &str| vec![own.clone(), PART.to_owned(), part.to_owned()];
    // The hook to promote is measured; to be a backup there is nothing to do.
    let promote = serde_json::Value::from(words(PART_HOOK));
    let hooks = format!("hooks = {{ on-promote = {promote}, on-demote = [\"/bin/true\"] }}");
    let socket = ear.path().to_string_lossy().into_owned();
    plan.add_pair(PAIR, |host, name| ApplicationPlan {
        name,
        host,
        command: words(PART_PLAIN),
        environment: vec![(SOCKET_VARIABLE.to_owned(), socket.clone())],
        port: None,
        interface: "plain",
        more: vec![hooks.clone(), "hang-limit = \"1s\"".to_owned()],
    });
    Ok(())
}

/// From SIGSTOP of a plain primary to `main` of the hook that promotes the backup.
pub fn hang_failover(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<Measured, StageError> {
    let (mut stage, ear) = begin(programs, ground, interrupt, add_plain_pair)?;
    let mut measured = Measured::default();
    for _ in 0..rounds {
        let (primary, backup) = rest(&mut stage, &ear)?;
        let (_, before_ns) = stage.stop_application(&primary)?;
        let promoted = ear.hear(interrupt, "the backup is promoted", MOMENT_LIMIT, |word| {
            word.kind == "promote" && word.name == backup
        })?;
        measured.times_ns.push(promoted.at_ns.saturating_sub(before_ns));
    }
    stage.end()?;
    Ok(measured)
}

/// A stage on which everything runs, and an ear for its members.
fn begin(
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
    fill: impl FnOnce(&mut Plan, &Ear) -> Result<(), StageError>,
) -> Result<(Stage, Ear), StageError> {
    begin_on(programs, ground, interrupt, Plan::new("bench", RESTART_DELAY_MS), None, fill)
}

/// The same on hosts with networks of their own, if there is one.
pub(super) fn begin_on(
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
    mut plan: Plan,
    network: Option<Network>,
    fill: impl FnOnce(&mut Plan, &Ear) -> Result<(), StageError>,
) -> Result<(Stage, Ear), StageError> {
    let ear = Ear::in_directory(ground.sockets())?;
    fill(&mut plan, &ear)?;
    let ports = &mut Ports::default();
    let mut stage = Stage::set_up_on(programs, ground, plan, ports, interrupt.clone(), network)?;
    stage.start_all()?;
    stage.until_well(WELL_LIMIT)?;
    Ok((stage, ear))
}

pub(super) fn add_pair(plan: &mut Plan, ear: &Ear) -> Result<(), StageError> {
    let [alpha, beta] = Host::ALL.map(|host| part_of_bench(String::new(), host, ear));
    let (alpha, beta) = (alpha?, beta?);
    plan.add_pair(PAIR, |host, name| {
        let part = if host == Host::Alpha { &alpha } else { &beta };
        ApplicationPlan { name, ..part.clone() }
    });
    Ok(())
}

/// Waits until a round can begin; answers who is primary and who is backup.
pub(super) fn rest(stage: &mut Stage, ear: &Ear) -> Result<(String, String), StageError> {
    let status = stage.until_well(WELL_LIMIT)?;
    stage.interrupt().let_pass(REST)?;
    ear.forget()?;
    let pair = status.pair(PAIR);
    let both = pair.and_then(|pair| Some((pair.primary.clone()?, pair.backup.clone()?)));
    both.ok_or_else(|| StageError::Unexpected(format!("pair {PAIR} has not both members: {pair:?}")))
}

/// From kill -9 of the primary to the call of `promote` in the backup, with a floor after each round.
pub fn crash_failover(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<Measured, StageError> {
    let (mut stage, ear) = begin(programs, ground, interrupt, add_pair)?;
    let mut floor = Floor::start(stage.directory(), ear.path(), interrupt)?;
    let mut measured = Measured::default();
    for _ in 0..rounds {
        let (primary, backup) = rest(&mut stage, &ear)?;
        let (_, before_ns) = stage.kill_application(&primary)?;
        let promoted = ear.hear(interrupt, "the backup is promoted", MOMENT_LIMIT, |word| {
            word.kind == "promote" && word.name == backup
        })?;
        measured.times_ns.push(promoted.at_ns.saturating_sub(before_ns));
        rest(&mut stage, &ear)?;
        measured.floor_ns.push(floor.measure(&ear, interrupt)?);
    }
    stage.end()?;
    Ok(measured)
}

/// From the end of `demote` in the one member to the call of `promote` in the other.
pub fn switchover_gap(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<Measured, StageError> {
    let (mut stage, ear) = begin(programs, ground, interrupt, add_pair)?;
    let mut measured = Measured::default();
    for _ in 0..rounds {
        let (primary, backup) = rest(&mut stage, &ear)?;
        stage.switch_over(PAIR, &backup, WELL_LIMIT)?;
        let demoted = ear.hear(interrupt, "the primary is demoted", MOMENT_LIMIT, |word| {
            word.kind == "demote" && word.name == primary
        })?;
        let promoted = ear.hear(interrupt, "the backup is promoted", MOMENT_LIMIT, |word| {
            word.kind == "promote" && word.name == backup
        })?;
        measured.times_ns.push(promoted.at_ns.saturating_sub(demoted.at_ns));
    }
    stage.end()?;
    Ok(measured)
}

/// From kill -9 of a single application to `main` of its successor, which is a little after its exec.
pub fn local_restart(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<Measured, StageError> {
    let (mut stage, ear) = begin(programs, ground, interrupt, |plan, ear| {
        plan.applications.push(part_of_bench(SINGLE.to_owned(), Host::Alpha, ear)?);
        Ok(())
    })?;
    let mut measured = Measured::default();
    for _ in 0..rounds {
        stage.until_well(WELL_LIMIT)?;
        interrupt.let_pass(REST)?;
        ear.forget()?;
        let (killed, before_ns) = stage.kill_application(SINGLE)?;
        let began = ear.hear(interrupt, "the successor begins", MOMENT_LIMIT, |word| {
            word.kind == "main" && word.pid != killed
        })?;
        measured.times_ns.push(began.at_ns.saturating_sub(before_ns));
        // The status may still show the one that was killed.
        stage.until("the successor is seen", WELL_LIMIT, |status| {
            let now = status.application(SINGLE).and_then(|one| one.pid);
            if now == Some(began.pid) { Ok(()) } else { Err(format!("process {now:?}")) }
        })?;
    }
    stage.end()?;
    Ok(measured)
}
