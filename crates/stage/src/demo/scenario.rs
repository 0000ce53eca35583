//! The scenarios: what is done to the cluster, and what must be so afterwards.
//!
//! It knows the stage and one pair. The law: a scenario begins and ends with a cluster that is well.

use std::time::Duration;

use clap::ValueEnum;

use super::voice::Voice;
use super::{PAIR, WELL_LIMIT};
use crate::load::Load;
use crate::{Daemon, Host, Stage, StageError, Status};

/// Undisturbed service before and after each act, for the client to measure.
const SERVICE: Duration = Duration::from_millis(700);
/// How long a daemon is away.
const AWAY: Duration = Duration::from_millis(800);
/// How long a process may show no life in the demonstration's cluster.
pub(super) const HANG_LIMIT: Duration = Duration::from_secs(1);
/// How long a link of the demonstration's cluster may be silent before it is polled.
pub(super) const ADDP_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a voter of the demonstration's cluster is bound: longer than an agent is away, so that nobody is fenced for it.
pub(super) const LEASE: Duration = Duration::from_secs(2);
/// How long the client may take to see that somebody serves.
const SERVED_LIMIT: Duration = Duration::from_secs(30);

/// One of the scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// kill -9 of the primary
    Crash,
    /// Planned, there and back
    Switchover,
    /// kill -9 of the primary's agent, which comes back
    AgentCrash,
    /// kill -9 of the control server, which comes back
    ControlPlaneLoss,
    /// SIGSTOP of the primary
    Hang,
    /// Everything of the primary's host falls silent, and comes back later
    HostLoss,
}

impl Scenario {
    /// All, in the order in which they are played.
    pub const ALL: &'static [Scenario] = &[
        Scenario::Crash,
        Scenario::Switchover,
        Scenario::AgentCrash,
        Scenario::ControlPlaneLoss,
        Scenario::Hang,
        Scenario::HostLoss,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Crash => "crash",
            Scenario::Switchover => "switchover",
            Scenario::AgentCrash => "agent-crash",
            Scenario::ControlPlaneLoss => "control-plane-loss",
            Scenario::Hang => "hang",
            Scenario::HostLoss => "host-loss",
        }
    }

    /// What is done, for people.
    pub fn deed(self) -> &'static str {
        match self {
            Scenario::Crash => "kill -9 of the primary",
            Scenario::Switchover => "planned, there and back",
            Scenario::AgentCrash => "kill -9 of its agent",
            Scenario::ControlPlaneLoss => "kill -9 of the scs",
            Scenario::Hang => "SIGSTOP of the primary",
            Scenario::HostLoss => "its host falls silent",
        }
    }

    /// The longest that nobody may serve, in milliseconds; 0: nothing may happen.
    pub fn limit_ms(self) -> f64 {
        match self {
            Scenario::Crash | Scenario::Switchover => 50.0,
            Scenario::AgentCrash | Scenario::ControlPlaneLoss => 0.0,
            Scenario::Hang => HANG_LIMIT.as_secs_f64() * 1_000.0 + 200.0,
            Scenario::HostLoss => LEASE.as_secs_f64() * 1_000.0 + 200.0,
        }
    }
}

/// What came of a scenario, beside what the client saw.
#[derive(Debug)]
pub(super) struct Played {
    /// Who took over last.
    pub new_primary: Option<String>,
    /// What is not as it should be.
    pub problems: Vec<String>,
}

/// What must stay as it is when nothing may happen.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    pids: Vec<(String, Option<u32>)>,
    primary: Option<String>,
    epoch: Option<u64>,
}

impl Standing {
    fn of(status: &Status) -> Self {
        let pair = status.pair(PAIR);
        Self {
            pids: status.pids(),
            primary: pair.and_then(|pair| pair.primary.clone()),
            epoch: pair.map(|pair| pair.epoch),
        }
    }

    fn problems(&self, now: &Self) -> Vec<String> {
        if self == now { Vec::new() } else { vec![format!("something changed: {self:?} became {now:?}")] }
    }
}

/// Plays one, while the client writes.
pub(super) fn play(
    scenario: Scenario,
    stage: &mut Stage,
    load: &mut Load,
    voice: &mut Voice,
) -> Result<Played, StageError> {
    let interrupt = stage.interrupt().clone();
    load.until(&interrupt, "the client is served", SERVED_LIMIT, |moment| moment.event == "epoch-changed")?;
    interrupt.let_pass(SERVICE)?;
    voice.client(load.moments()?, stage.plan());
    let played = match scenario {
        Scenario::Crash => crash(stage, load, voice),
        Scenario::Switchover => switchover(stage, load, voice),
        Scenario::AgentCrash => agent_crash(stage, voice),
        Scenario::ControlPlaneLoss => control_plane_loss(stage, voice),
        Scenario::Hang => hang(stage, load, voice),
        Scenario::HostLoss => host_loss(stage, load, voice),
    }?;
    interrupt.let_pass(SERVICE)?;
    Ok(played)
}

/// Primary, backup and epoch of the pair.
fn roles(status: &Status) -> Result<(String, String, u64), StageError> {
    let pair = status.pair(PAIR);
    let both = pair.and_then(|pair| Some((pair.primary.clone()?, pair.backup.clone()?, pair.epoch)));
    both.ok_or_else(|| StageError::Unexpected(format!("pair {PAIR} has not both members: {pair:?}")))
}

fn crash(stage: &mut Stage, load: &mut Load, voice: &mut Voice) -> Result<Played, StageError> {
    taken_over(stage, load, voice, "kill -9", Stage::kill_application)
}

fn hang(stage: &mut Stage, load: &mut Load, voice: &mut Voice) -> Result<Played, StageError> {
    taken_over(stage, load, voice, "SIGSTOP", Stage::stop_application)
}

/// The host comes back only after its primary was replaced: its time is over by then, so its member serves nobody, and it is
/// started anew as the backup.
fn host_loss(stage: &mut Stage, load: &mut Load, voice: &mut Voice) -> Result<Played, StageError> {
    let status = stage.until_well(WELL_LIMIT)?;
    let (primary, backup, epoch) = roles(&status)?;
    let host = host_of(&status, &primary)?;
    let at = voice.now();
    let (held, _) = stage.freeze(host)?;
    voice.act_at(
        at,
        &format!(
            "host {} falls silent: {} processes are stopped, nothing is closed",
            host.name(),
            held.len()
        ),
    );
    let interrupt = stage.interrupt().clone();
    load.until(&interrupt, "somebody serves in a later epoch", SERVED_LIMIT, |moment| {
        moment.event == "served-again" && moment.epoch > Some(epoch)
    })?;
    voice.client(load.moments()?, stage.plan());
    interrupt.let_pass(AWAY)?;
    voice.act(&format!("host {} goes on, and believes that {primary} is primary", host.name()));
    stage.thaw(&held)?;
    let (now, _, _) = roles(&stage.until_well(WELL_LIMIT)?)?;
    voice.act(&format!("{primary} is backup; {now} is primary"));
    let problems = if now == backup { Vec::new() } else { vec![format!("{now} is primary, not {backup}")] };
    Ok(Played { new_primary: Some(now), problems })
}

fn host_of(status: &Status, application: &str) -> Result<Host, StageError> {
    let host = status.application(application).and_then(|one| Host::named(&one.host));
    host.ok_or_else(|| StageError::Unexpected(format!("nobody knows the host of {application}")))
}

/// The primary is hurt, and the other member takes over.
fn taken_over(
    stage: &mut Stage,
    load: &mut Load,
    voice: &mut Voice,
    deed: &str,
    hurt: impl FnOnce(&Stage, &str) -> Result<(u32, u64), StageError>,
) -> Result<Played, StageError> {
    let (primary, backup, epoch) = roles(&stage.until_well(WELL_LIMIT)?)?;
    let at = voice.now();
    let (pid, _) = hurt(stage, &primary)?;
    voice.act_at(at, &format!("{deed} of {primary} (process {pid}), primary in epoch {epoch}"));
    let interrupt = stage.interrupt().clone();
    load.until(&interrupt, "somebody serves in a later epoch", SERVED_LIMIT, |moment| {
        moment.event == "served-again" && moment.epoch > Some(epoch)
    })?;
    voice.client(load.moments()?, stage.plan());
    let status = stage.until_well(WELL_LIMIT)?;
    voice.act(&format!("{primary} is back as backup"));
    let (now, _, _) = roles(&status)?;
    let problems = if now == backup { Vec::new() } else { vec![format!("{now} is primary, not {backup}")] };
    Ok(Played { new_primary: Some(now), problems })
}

fn switchover(stage: &mut Stage, load: &mut Load, voice: &mut Voice) -> Result<Played, StageError> {
    let (first, second, _) = roles(&stage.until_well(WELL_LIMIT)?)?;
    let interrupt = stage.interrupt().clone();
    let mut problems = Vec::new();
    for to in [&second, &first] {
        let (_, _, epoch) = roles(&stage.until_well(WELL_LIMIT)?)?;
        voice.act(&format!("planned switchover to {to}"));
        let took_ms = stage.switch_over(PAIR, to, WELL_LIMIT)?;
        load.until(&interrupt, "somebody serves in a later epoch", SERVED_LIMIT, |moment| {
            moment.event == "served-again" && moment.epoch > Some(epoch)
        })?;
        voice.client(load.moments()?, stage.plan());
        if let Some(took_ms) = took_ms {
            voice.act(&format!("the whole operation took {took_ms:.1} ms, checks included"));
        }
        let (now, _, _) = roles(&stage.until_well(WELL_LIMIT)?)?;
        if now != *to {
            problems.push(format!("{now} is primary, not {to}"));
        }
        interrupt.let_pass(SERVICE)?;
    }
    Ok(Played { new_primary: Some(first), problems })
}

fn agent_crash(stage: &mut Stage, voice: &mut Voice) -> Result<Played, StageError> {
    let before = stage.until_well(WELL_LIMIT)?;
    let (primary, _, _) = roles(&before)?;
    let host = host_of(&before, &primary)?;
    lose(stage, Daemon::Agent(host), voice)?;
    stage.until("the control server has noticed", WELL_LIMIT, |status| {
        let found = status.hosts.iter().find(|one| one.name == host.name());
        found.filter(|one| one.status != "running").map(drop).ok_or_else(|| "it counts as running".to_owned())
    })?;
    bring_back(stage, Daemon::Agent(host), &before, voice)
}

fn control_plane_loss(stage: &mut Stage, voice: &mut Voice) -> Result<Played, StageError> {
    let before = stage.until_well(WELL_LIMIT)?;
    lose(stage, Daemon::Server, voice)?;
    bring_back(stage, Daemon::Server, &before, voice)
}

fn lose(stage: &mut Stage, daemon: Daemon, voice: &mut Voice) -> Result<(), StageError> {
    let pid = stage.daemon_pid(daemon).unwrap_or(0);
    let at = voice.now();
    stage.kill(daemon)?;
    voice
        .act_at(at, &format!("kill -9 of the {} (process {pid}); the client goes on writing", daemon.name()));
    Ok(())
}

/// The daemon stays away for a while and comes back; then everything must be as it was.
fn bring_back(
    stage: &mut Stage,
    daemon: Daemon,
    before: &Status,
    voice: &mut Voice,
) -> Result<Played, StageError> {
    stage.interrupt().clone().let_pass(AWAY)?;
    let pid = stage.start(daemon)?;
    voice.act(&format!("the {} is started again (process {pid})", daemon.name()));
    let after = stage.until_well(WELL_LIMIT)?;
    let problems = Standing::of(before).problems(&Standing::of(&after));
    if problems.is_empty() {
        let (primary, _, epoch) = roles(&after)?;
        voice.act(&format!("it knows everything: {primary} is primary in epoch {epoch}, same processes"));
    }
    Ok(Played { new_primary: None, problems })
}
