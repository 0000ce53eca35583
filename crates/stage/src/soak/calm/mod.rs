//! False failovers: strict pairs for a long time on a network that delays and loses, on a machine without a free core; and
//! now and then a host that is really lost.
//!
//! It knows the stage, the pages and the bound of a lost host. The laws: while nothing is lost no role moves, nobody steps down
//! and no guard kills, or it is a violation; a lost host is found within a bound that is worked out before, from spans alone.

mod busy;
mod figures;
mod losses;
mod told;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use understudy_model::{Policy, Preset};

use self::busy::Busy;
use self::figures::Counted;
use self::losses::Bound;
use self::told::{Calm, Told};
use super::watch::PageWatch;
use super::{newest_event, plain_member};
use crate::demo::{add_tservers, members};
use crate::dice::Dice;
use crate::load::Load;
use crate::net::{Lane, Network, Station};
use crate::ports::Ports;
use crate::{Ground, Host, Interrupt, Plan, Programs, Stage, StageError};

/// The pair of call servers; its members look at their pages.
const CALLS: &str = "tserver";
/// The pair whose members know nothing of roles; its primary is on the other host.
const PLAIN: &str = "plain";
const PAIRS: [&str; 2] = [CALLS, PLAIN];
const RESTART_DELAY_MS: u64 = 100;
/// Where agents answer for their figures, each in a network of its own.
const STATUS_PORT: u16 = 5_080;
/// So many of a thousand frames are lost, in each direction.
const LOSS_PERMILLE: u16 = 10;
const WELL_LIMIT: Duration = Duration::from_secs(120);
/// Between two writes of the client, in microseconds.
const PAUSE_US: &str = "10000";
/// How often busy processes and clients are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Losses at the end, after the ones in between.
const LAST_LOSSES: u32 = 5;

/// How to look for false failovers.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Which timers, and with them which network
    #[arg(long, value_enum, default_value_t = Timers::Fast)]
    pub preset: Timers,
    /// How long nothing is lost, all stretches together; by default 30 with `fast`, 10 with `normal`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub minutes: Option<u64>,
    /// A host is lost after each so many minutes, and some times more at the end
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub loss_every: u64,
    /// Agents and control server are processes like all others, and not real-time ones
    #[arg(long)]
    pub not_urgent: bool,
    /// Repeats the choices of an earlier run
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Keep the summary in docs/benchmarks/soak-calm-PRESET.json
    #[arg(long)]
    pub keep_summary: bool,
    /// Directory for state; by default the system's one for temporary files
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Directory of the programs; by default the one in which this program lies
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
}

/// A preset and the network that it must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Timers {
    /// A lease of 250 ms; each frame takes 0 to 40 ms: 20 ms, give or take 20
    Fast,
    /// A lease of 3 s; each frame takes 0 to 400 ms: 200 ms, give or take 200
    Normal,
}

impl Timers {
    fn preset(self) -> Preset {
        match self {
            Timers::Fast => Preset::Fast,
            Timers::Normal => Preset::Normal,
        }
    }

    /// By how much a frame's time differs from the middle, up or down; the middle is as long.
    fn jitter(self) -> Duration {
        match self {
            Timers::Fast => Duration::from_millis(20),
            Timers::Normal => Duration::from_millis(200),
        }
    }

    fn minutes(self) -> u64 {
        match self {
            Timers::Fast => 30,
            Timers::Normal => 10,
        }
    }

    /// The longest that a frame takes.
    fn way(self) -> Duration {
        self.jitter() * 2
    }

    fn lane(self) -> Lane {
        Lane::slow(Duration::ZERO, self.way()).losing(LOSS_PERMILLE)
    }
}

/// Runs. `false`: there was a violation.
pub fn run(asked: &Arguments) -> Result<bool, StageError> {
    if let Some(why) = Network::is_impossible() {
        return Err(StageError::Unexpected(format!("this needs hosts with networks of their own: {why}")));
    }
    let interrupt = Interrupt::catch()?;
    let needed = ["lca", "lca-guard", "scs", "tserver", "tserver-load"];
    let programs = Programs::find(asked.programs.as_deref(), &needed)?;
    let ground = match &asked.dir {
        Some(directory) => Ground::in_directory(directory)?,
        None => Ground::temporary()?,
    };
    let (mut ports, mut plan) = (Ports::default(), Plan::networked("calm", RESTART_DELAY_MS));
    plan.preset = Some(asked.preset.preset());
    plan.status_ports = Some([STATUS_PORT; 2]);
    plan.urgent = !asked.not_urgent;
    add_tservers(&mut plan, CALLS, &programs, &mut ports)?;
    plan.add_pair(PLAIN, plain_member);
    plan.set_policy(Policy::Strict);
    let network = Network::set_up(asked.seed)?;
    network.make_urgent()?;
    let mut stage = Stage::set_up_on(&programs, ground, plan, &mut ports, interrupt, Some(network))?;
    eprintln!("files in {}", stage.directory().display());
    let minutes = asked.minutes.unwrap_or(asked.preset.minutes());
    let mut told = Told::new(asked, minutes);
    match play(&mut stage, &programs, asked, minutes, &mut told) {
        // What was seen until then still counts.
        Ok(()) | Err(StageError::Interrupted) => {}
        Err(error) => told.violation(format!("the run ended early: {error}")),
    }
    if !told.is_clean() {
        eprintln!("the files of this run are kept in {}", stage.keep_files().display());
    }
    drop(stage);
    let shown = told.to_json();
    println!("{shown}");
    if asked.keep_summary {
        let name = format!("docs/benchmarks/soak-calm-{}.json", asked.preset.preset().as_str());
        super::keep(&shown, Path::new(&name))?;
    }
    Ok(told.is_clean())
}

fn play(
    stage: &mut Stage,
    programs: &Programs,
    asked: &Arguments,
    minutes: u64,
    told: &mut Told,
) -> Result<(), StageError> {
    stage.start_all()?;
    stage.until_well(WELL_LIMIT)?;
    // A primary on each host: whatever one direction of a link does, some role depends on it.
    let plain = stage.plan().pairs.iter().find(|one| one.name == PLAIN).map(|one| one.backup.clone());
    stage.switch_over(PLAIN, &plain.unwrap_or_default(), WELL_LIMIT)?;
    stage.until_well(WELL_LIMIT)?;
    let mut busy = Busy::on_every_core(stage.directory())?;
    told.busy_processes = busy.count();
    spoil(stage, asked.preset)?;
    let mut dice = Dice::new(asked.seed);
    let bound = Bound::of(asked.preset);
    let (stretch, mut left) = (Duration::from_secs(asked.loss_every * 60), Duration::from_secs(minutes * 60));
    while !left.is_zero() {
        let span = left.min(stretch);
        left -= span;
        told.calm(be_calm(stage, programs, &mut busy, span)?);
        let losses = if left.is_zero() { LAST_LOSSES } else { 1 };
        for _ in 0..losses {
            told.loss(losses::lose(stage, programs, asked.preset, &bound, &mut dice)?);
        }
    }
    Ok(())
}

/// Every link between two of the machines becomes bad; clients hear members without delay, so that what they miss is the pair's.
fn spoil(stage: &Stage, timers: Timers) -> Result<(), StageError> {
    let machines = [Station::Host(Host::Alpha), Station::Host(Host::Beta), Station::Server];
    let network = stage.network()?;
    network.heal();
    for (number, one) in machines.into_iter().enumerate() {
        machines[..number].iter().for_each(|other| network.set_between(one, *other, timers.lane()));
    }
    Ok(())
}

/// A stretch in which nothing is lost.
fn be_calm(
    stage: &mut Stage,
    programs: &Programs,
    busy: &mut Busy,
    span: Duration,
) -> Result<Calm, StageError> {
    let interrupt = stage.interrupt().clone();
    let before = stage.until_well(WELL_LIMIT)?;
    let (after, counted) = (newest_event(stage)?, Counted::now(stage)?);
    let load = Load::start(
        programs,
        &members(stage.plan(), CALLS),
        &["--pause-us", PAUSE_US],
        stage.client_place().as_deref(),
    )?;
    let watches = PAIRS.map(|pair| PageWatch::begin(stage, pair));
    let [calls, plain] = watches;
    let (calls, plain) = (calls?, plain?);
    let end = Instant::now() + span;
    while Instant::now() < end {
        interrupt.let_pass(LOOK.min(end.saturating_duration_since(Instant::now())))?;
        busy.check()?;
    }
    let seen = [calls.end()?, plain.end()?];
    let now = stage.until("the control server answers", WELL_LIMIT, |status| Ok(status.clone()))?;
    let (client, _) = load.end(&interrupt)?;
    let counts = Counted::now(stage)?.since(&counted);
    let events = super::events_after(stage, after)?;
    Ok(Calm { span, before, now, seen: PAIRS.into_iter().zip(seen).collect(), client, counts, events })
}
