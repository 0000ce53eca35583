//! Long runs. `chaos`: kill -9 of everything at random moments, in every combination, with switchovers in between; in every
//! second phase also cuts, bad networks and stops. `freeze`: everything of a primary's side stopped for longer than any lease.
//!
//! It knows how a run is asked for and summed up; what a phase does is in `phase`. The law: faults, then quiet, then
//! checks; a violation is never forgotten, and a seed repeats the choices.

mod away;
mod calm;
mod faults;
mod freeze;
mod phase;
mod strains;
mod summary;
mod watch;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;
use understudy_model::Policy;

use crate::demo::add_tservers;
use crate::dice::Dice;
use crate::net::Network;
use crate::ports::Ports;
use crate::{ApplicationPlan, Ground, Host, Interrupt, Plan, Programs, Stage, StageError};
use phase::Phase;
use summary::Summary;

/// An end after a shorter run counts as one of several in a row.
const RESTART_DELAY_MS: u64 = 100;
/// Events that are asked for at once.
const EVENTS_AT_ONCE: i64 = 1_000;
/// How long the cluster may take to be well at the start.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Long runs that look for what short ones do not show. Each ends with one JSON object on standard output.
///
/// Exit codes: 0 no violation, 1 a violation or a failure, 2 usage.
#[derive(Debug, Clone, Parser)]
#[command(name = "understudy-soak", version)]
pub struct Arguments {
    /// Which run
    #[command(subcommand)]
    pub run: Run,
}

/// The runs.
#[derive(Debug, Clone, Subcommand)]
pub enum Run {
    /// kill -9 of agents, guards, control server and members at random moments; as root also cuts, delays, losses and SIGSTOP
    Chaos(Chaos),
    /// Member, agent, guard and control server stopped for 10 and 60 s, in every combination that says something, policy strict;
    /// only as root
    Freeze(freeze::Freeze),
    /// Nothing happens, on a bad network and without a free core: no role may move; then hosts are really lost; only as root
    Calm(calm::Arguments),
    /// The control server is dead for a minute, again and again, policy strict: what runs goes on, who is killed is restarted
    Away(away::Arguments),
}

/// How to make chaos.
#[derive(Debug, Clone, clap::Args)]
pub struct Chaos {
    /// How long; the last phase is finished
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub minutes: u64,
    /// Repeats the choices of an earlier run
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// What the pairs prefer when nobody can know. With `strict` no moment with two primaries is excused
    #[arg(long, value_enum, default_value_t = Prefers::Strict)]
    pub policy: Prefers,
    /// How many pairs
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub pairs: u8,
    /// Keep the summary in docs/benchmarks/soak-chaos.json, with `available` in soak-chaos-available.json
    #[arg(long)]
    pub keep_summary: bool,
    /// Directory for state; by default the system's one for temporary files
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Directory of the programs; by default the one in which this program lies
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
}

/// A policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prefers {
    /// Nobody acts rather than two
    Strict,
    /// Two act rather than nobody: what a cut leaves behind is counted
    Available,
}

impl Prefers {
    fn policy(self) -> Policy {
        match self {
            Prefers::Strict => Policy::Strict,
            Prefers::Available => Policy::Available,
        }
    }

    fn summary_file(self) -> &'static Path {
        Path::new(match self {
            Prefers::Strict => "docs/benchmarks/soak-chaos.json",
            Prefers::Available => "docs/benchmarks/soak-chaos-available.json",
        })
    }
}

/// Runs. `false`: there was a violation.
pub fn run(arguments: &Arguments) -> Result<bool, StageError> {
    let chaos = match &arguments.run {
        Run::Chaos(chaos) => chaos,
        Run::Freeze(asked) => return freeze::run(asked),
        Run::Calm(asked) => return calm::run(asked),
        Run::Away(asked) => return away::run(asked),
    };
    let interrupt = Interrupt::catch()?;
    let programs =
        Programs::find(chaos.programs.as_deref(), &["lca", "lca-guard", "scs", "tserver", "tserver-load"])?;
    let seed = match chaos.seed {
        Some(seed) => seed,
        None => getrandom::u64()
            .map_err(|error| StageError::Unexpected(format!("the system has no random number: {error}")))?,
    };
    let ground = match &chaos.dir {
        Some(directory) => Ground::in_directory(directory)?,
        None => Ground::temporary()?,
    };
    let mut ports = Ports::default();
    let without_strains = Network::is_impossible();
    let (mut plan, network) = match &without_strains {
        Some(_) => (Plan::new("soak", RESTART_DELAY_MS), None),
        None => (Plan::networked("soak", RESTART_DELAY_MS), Some(Network::set_up(seed)?)),
    };
    for number in 1..=chaos.pairs {
        add_tservers(&mut plan, &format!("pair{number}"), &programs, &mut ports)?;
    }
    plan.set_policy(chaos.policy.policy());
    let mut stage = Stage::set_up_on(&programs, ground, plan, &mut ports, interrupt, network)?;
    let mut summary = Summary::new(seed, chaos.minutes, chaos.pairs, chaos.policy.policy());
    if let Some(why) = without_strains {
        eprintln!("only kills, no cuts and stops: {why}");
        summary.without_strains(why);
    }
    eprintln!("seed {seed}, files in {}", stage.directory().display());
    let played = play(&mut stage, &programs, chaos, &mut summary, Dice::new(seed));
    match played {
        // What was seen until then still counts.
        Ok(()) | Err(StageError::Interrupted) => {}
        Err(error) => summary.violation(format!("the run ended early: {error}")),
    }
    let is_clean = summary.is_clean();
    if !is_clean {
        eprintln!("the files of this run are kept in {}", stage.keep_files().display());
    }
    drop(stage);
    let shown = summary.to_json();
    println!("{shown}");
    if chaos.keep_summary {
        keep(&shown, chaos.policy.summary_file())?;
    }
    Ok(is_clean)
}

fn play(
    stage: &mut Stage,
    programs: &Programs,
    chaos: &Chaos,
    summary: &mut Summary,
    mut dice: Dice,
) -> Result<(), StageError> {
    stage.start_all()?;
    stage.until_well(START_LIMIT)?;
    let end = Instant::now() + Duration::from_secs(chaos.minutes * 60);
    let mut strained = false;
    while Instant::now() < end {
        Phase::begin(stage, programs, strained, chaos.policy.policy())?.play(&mut dice, summary)?;
        strained = !strained && stage.network().is_ok();
        eprintln!("{}", summary.one_line());
    }
    Ok(())
}

/// An event of the journal, as far as a run judges it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    kind: String,
    rule: String,
    reason: String,
}

/// The number of the newest event.
fn newest_event(stage: &Stage) -> Result<i64, StageError> {
    Ok(stage.api().get("/v1/events?limit=1")?["last"].as_i64().unwrap_or(0))
}

/// Every event after that one.
fn events_after(stage: &Stage, mut after: i64) -> Result<Vec<Told>, StageError> {
    let mut told = Vec::new();
    loop {
        let path = format!("/v1/events?after={after}&limit={EVENTS_AT_ONCE}");
        let answer = stage.api().get(&path)?;
        let events = answer["events"].as_array().map_or(&[][..], Vec::as_slice);
        told.extend(events.iter().map(|event| {
            let text = |key: &str| event[key].as_str().unwrap_or("?").to_owned();
            Told { kind: text("kind"), rule: text("rule"), reason: text("reason") }
        }));
        let last = answer["last"].as_i64().unwrap_or(after);
        if events.is_empty() || last <= after {
            return Ok(told);
        }
        after = last;
    }
}

/// A member that knows nothing of roles.
fn plain_member(host: Host, name: String) -> ApplicationPlan {
    ApplicationPlan {
        name,
        host,
        command: vec!["/bin/sleep".to_owned(), "1000000".to_owned()],
        environment: Vec::new(),
        port: None,
        interface: "plain",
        more: vec!["hooks = { on-promote = [\"/bin/true\"], on-demote = [\"/bin/true\"] }".to_owned()],
    }
}

/// How busy the machine is, with whatever else runs on it: of the last minute.
fn load_average() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next().map(str::to_owned)
}

fn keep(shown: &Value, path: &Path) -> Result<(), StageError> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(StageError::file("make", directory))?;
    }
    std::fs::write(path, format!("{shown:#}\n")).map_err(StageError::file("write", path))
}
