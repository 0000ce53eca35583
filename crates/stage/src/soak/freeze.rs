//! Long freezes: a primary's member, agent, guard and the control server stopped for 10 and then for 60 seconds, alone, together,
//! and together with a cut of their host.
//!
//! It knows the stage and the witness of who acts. The law: whoever wakes in an epoch that is over acknowledges nothing; what a
//! member without the library does until it is killed is measured, not hidden.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use understudy_model::Policy;

use super::{keep, load_average, plain_member};
use crate::demo::add_tservers;
use crate::net::{Lane, Network, Station};
use crate::ports::Ports;
use crate::sweep::{Held, find_application, is_alive, open_marked};
use crate::witness::Witness;
use crate::{Daemon, Ground, Host, Interrupt, Plan, Programs, Stage, StageError, Status};

/// The pair of call servers.
const PAIR: &str = "tserver";
/// The pair whose members know nothing of roles.
const PLAIN: &str = "plain";
const RESTART_DELAY_MS: u64 = 100;
const SPANS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];
const WELL_LIMIT: Duration = Duration::from_secs(90);
/// How long a plain member that woke too late may live; longer is a violation.
const KILLED_LIMIT: Duration = Duration::from_secs(2);
/// Between two questions to a member where several clusters are asked at once for a long time.
const AT_ONCE_PAUSE: Duration = Duration::from_millis(10);
/// Service before each freeze.
const SERVICE: Duration = Duration::from_secs(1);

/// How to freeze.
#[derive(Debug, Clone, clap::Args)]
pub struct Freeze {
    /// How long; the last freeze is finished
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub minutes: u64,
    /// Instead, once: everything that matters most is stopped at the same time, for so many seconds, each on a cluster of its own
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub at_once: Option<u64>,
    /// Keep the summary in docs/benchmarks/soak-freeze.json, of `--at-once` in soak-freeze-long.json
    #[arg(long)]
    pub keep_summary: bool,
    /// Directory for state; by default the system's one for temporary files
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Directory of the programs; by default the one in which this program lies
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
}

/// Who is stopped, and whether their host is cut off as well.
#[derive(Debug, Clone, Copy)]
struct Who {
    name: &'static str,
    member: bool,
    agent: bool,
    guard: bool,
    server: bool,
    cut: bool,
}

const fn who(name: &'static str, which: [bool; 4], cut: bool) -> Who {
    let [member, agent, guard, server] = which;
    Who { name, member, agent, guard, server, cut }
}

const ALL: [Who; 11] = [
    who("member", [true, false, false, false], false),
    who("agent", [false, true, false, false], false),
    who("guard", [false, false, true, false], false),
    who("control server", [false, false, false, true], false),
    who("member and agent", [true, true, false, false], false),
    who("agent and guard", [false, true, true, false], false),
    who("agent and control server", [false, true, false, true], false),
    who("member, agent and guard", [true, true, true, false], false),
    who("everything", [true, true, true, true], false),
    who("agent and guard, host cut off", [false, true, true, false], true),
    who("member, agent and guard, host cut off", [true, true, true, false], true),
];

/// Those that are stopped at once: each alone, all of the host, all there is, and with a cut.
const AT_ONCE: [Who; 7] = [ALL[0], ALL[1], ALL[2], ALL[3], ALL[7], ALL[8], ALL[10]];

/// What was seen in all freezes.
#[derive(Debug, Default)]
struct Total {
    freezes: Vec<Value>,
    violations: Vec<String>,
    plain_windows_ms: Vec<f64>,
    load_averages: Vec<String>,
}

/// Runs. `false`: there was a violation.
pub fn run(asked: &Freeze) -> Result<bool, StageError> {
    if let Some(why) = Network::is_impossible() {
        return Err(StageError::Unexpected(format!("freezes need hosts with networks of their own: {why}")));
    }
    let interrupt = Interrupt::catch()?;
    let programs = Programs::find(asked.programs.as_deref(), &["lca", "lca-guard", "scs", "tserver"])?;
    let total = match asked.at_once {
        Some(seconds) => at_once(asked, &programs, &interrupt, Duration::from_secs(seconds))?,
        None => {
            let mut stage = set_up(asked, &programs, &interrupt)?;
            judged(&mut stage, |stage, total| play(stage, asked, total))
        }
    };
    let is_clean = total.violations.is_empty();
    let longest = total.plain_windows_ms.iter().copied().fold(0.0, f64::max);
    let shown = json!({
        "soak": "freeze",
        "minutes": asked.at_once.is_none().then_some(asked.minutes),
        "at_once_s": asked.at_once,
        "load_averages": total.load_averages,
        "freezes": total.freezes,
        "plain_windows_ms": total.plain_windows_ms,
        "plain_window_longest_ms": longest,
        "violations": total.violations,
        "ok": is_clean,
    });
    println!("{shown}");
    if asked.keep_summary {
        let name = if asked.at_once.is_some() { "soak-freeze-long" } else { "soak-freeze" };
        keep(&shown, Path::new(&format!("docs/benchmarks/{name}.json")))?;
    }
    Ok(is_clean)
}

fn set_up(asked: &Freeze, programs: &Programs, interrupt: &Interrupt) -> Result<Stage, StageError> {
    let ground = match &asked.dir {
        Some(directory) => Ground::in_directory(directory)?,
        None => Ground::temporary()?,
    };
    let (mut ports, mut plan) = (Ports::default(), Plan::networked("freeze", RESTART_DELAY_MS));
    add_tservers(&mut plan, PAIR, programs, &mut ports)?;
    plan.add_pair(PLAIN, plain_member);
    plan.set_policy(Policy::Strict);
    let network = Network::set_up(1)?;
    let stage = Stage::set_up_on(programs, ground, plan, &mut ports, interrupt.clone(), Some(network))?;
    eprintln!("files in {}", stage.directory().display());
    Ok(stage)
}

/// Plays on a stage, and keeps its files if there was a violation.
fn judged(stage: &mut Stage, play: impl FnOnce(&mut Stage, &mut Total) -> Result<(), StageError>) -> Total {
    let mut total = Total::default();
    match play(stage, &mut total) {
        // What was seen until then still counts.
        Ok(()) | Err(StageError::Interrupted) => {}
        Err(error) => total.violations.push(format!("the run ended early: {error}")),
    }
    if !total.violations.is_empty() {
        eprintln!("the files of this run are kept in {}", stage.keep_files().display());
    }
    total
}

/// One long freeze of each, side by side.
fn at_once(
    asked: &Freeze,
    programs: &Programs,
    interrupt: &Interrupt,
    span: Duration,
) -> Result<Total, StageError> {
    let mut stages = Vec::new();
    for who in AT_ONCE {
        stages.push((who, set_up(asked, programs, interrupt)?));
    }
    let mut all = Total::default();
    std::thread::scope(|scope| {
        let one = |(who, mut stage): (Who, Stage)| {
            scope.spawn(move || {
                judged(&mut stage, |stage, total| {
                    stage.start_all()?;
                    freeze(stage, who, span, AT_ONCE_PAUSE, total)
                })
            })
        };
        let running: Vec<_> = stages.into_iter().map(one).collect();
        for (who, running) in AT_ONCE.iter().zip(running) {
            match running.join() {
                Ok(total) => {
                    all.freezes.extend(total.freezes);
                    all.violations.extend(total.violations);
                    all.plain_windows_ms.extend(total.plain_windows_ms);
                    all.load_averages.extend(total.load_averages);
                }
                Err(_) => all.violations.push(format!("{}: its thread has panicked", who.name)),
            }
        }
    });
    Ok(all)
}

fn play(stage: &mut Stage, asked: &Freeze, total: &mut Total) -> Result<(), StageError> {
    stage.start_all()?;
    stage.until_well(WELL_LIMIT)?;
    let end = Instant::now() + Duration::from_secs(asked.minutes * 60);
    for span in SPANS.into_iter().chain(std::iter::repeat(SPANS[1])) {
        for who in ALL {
            if Instant::now() >= end {
                return Ok(());
            }
            freeze(stage, who, span, Witness::PAUSE, total)?;
        }
    }
    Ok(())
}

fn role(status: &Status, pair: &str) -> Result<(String, u64), StageError> {
    let now = status.pair(pair).and_then(|pair| Some((pair.primary.clone()?, pair.epoch)));
    now.ok_or_else(|| StageError::Unexpected(format!("pair {pair} has no primary")))
}

fn hold(stage: &Stage, who: Who, host: Host, members: [&str; 2]) -> Result<Vec<Held>, StageError> {
    let mut held = Vec::new();
    if who.member {
        for name in members {
            held.extend(find_application(stage.directory(), name)?);
        }
    }
    let daemons = [(who.agent, Daemon::Agent(host)), (who.server, Daemon::Server)];
    for (_, daemon) in daemons.into_iter().filter(|(stopped, _)| *stopped) {
        held.extend(stage.daemon_pid(daemon).and_then(|pid| open_marked(pid, stage.directory())));
    }
    if who.guard {
        held.extend(stage.guard(host)?);
    }
    Ok(held)
}

fn freeze(
    stage: &mut Stage,
    who: Who,
    span: Duration,
    ask_every: Duration,
    total: &mut Total,
) -> Result<(), StageError> {
    let interrupt = stage.interrupt().clone();
    let before = stage.until_well(WELL_LIMIT)?;
    let ((primary, epoch), (plain, plain_epoch)) = (role(&before, PAIR)?, role(&before, PLAIN)?);
    let on = |name: &str| before.application(name).and_then(|one| Host::named(&one.host));
    let host = on(&primary).ok_or_else(|| StageError::Unexpected(format!("{primary} has no host")))?;
    let plain_pid = before.application(&plain).and_then(|one| one.pid).filter(|_| on(&plain) == Some(host));
    let witness = Witness::asking_every(stage, PAIR, ask_every)?;
    interrupt.let_pass(SERVICE)?;
    let held =
        hold(stage, who, host, [primary.as_str(), if plain_pid.is_some() { &plain } else { &primary }])?;
    if who.cut {
        stage.network()?.set_around(Station::Host(host), Lane::CUT);
    }
    held.iter().try_for_each(Held::stop)?;
    interrupt.let_pass(span)?;
    // What nobody killed while it was stopped runs from the first signal on until it is killed.
    let (woke, lived) = (Instant::now(), plain_pid.filter(|pid| who.member && is_alive(*pid)));
    held.iter().try_for_each(Held::resume)?;
    while lived.is_some_and(is_alive) && woke.elapsed() < KILLED_LIMIT {
        std::thread::sleep(Duration::from_micros(200));
    }
    let window = woke.elapsed();
    stage.network()?.heal();
    let after = stage.until_well(WELL_LIMIT)?;
    let seen = witness.end()?;
    let (moved, plain_moved) = (role(&after, PAIR)?.1 > epoch, role(&after, PLAIN)?.1 > plain_epoch);
    let mut line = json!({
        "stopped": who.name, "s": span.as_secs(), "epoch_moved": moved, "acts": seen.acts.len(),
        "refused_on_waking": seen.late_refusals,
    });
    if let Some(pid) = lived.filter(|_| plain_moved) {
        let window_ms = window.as_secs_f64() * 1_000.0;
        line["plain_window_ms"] = window_ms.into();
        total.plain_windows_ms.push(window_ms);
        if window >= KILLED_LIMIT {
            total.violations.push(format!("{}: process {pid} of {plain} was not killed", who.name));
        }
    }
    for found in seen.two_acted() {
        total.violations.push(format!("{}, {} s: {found}", who.name, span.as_secs()));
    }
    eprintln!("{line}");
    total.load_averages.extend(load_average());
    total.freezes.push(line);
    Ok(())
}
