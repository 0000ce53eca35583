//! The benches: how long roles take to change, with the shipped programs as separate processes and state on a disk.
//!
//! It knows what is measured from where to where; the measuring itself is in the parts. The law: a time is taken in the
//! process in which the moment happens, all on the boot clock; nothing is asserted, everything is printed.
//!
//! # Figures
//!
//! Percentiles are nearest ranks: the smallest measured time that is at least as long as that share of all. The
//! median is the 50th, so of two middle ones the lower. Nothing is left out, also no first round.

mod agent_cost;
mod cost;
mod crowd;
mod floor;
mod loss;
mod may_act;
mod member;
mod plain;
mod redis;
mod rounds;
mod scs_cost;
mod words;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::json;

use self::cost::{Budget, Cost};
use crate::disk::lasting_file_system;
use crate::figures::{Figures, Summed};
use crate::net::Network;
use crate::{Ground, Interrupt, Programs, StageError, recipe};

/// First argument of this program when it plays a part in a bench.
pub const PART: &str = "--be";

/// Measures how long roles take to change. Prints one JSON object a line.
///
/// Exit codes: 0 everything was measured, 1 something failed, 2 usage.
#[derive(Debug, Clone, Parser)]
#[command(name = "understudy-bench", version)]
pub struct Arguments {
    /// Which; by default all
    #[arg(value_enum, value_name = "NAME")]
    pub benches: Vec<Bench>,
    /// How often each is measured; by default 200 times, those of a lost host 30 or 5 times
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rounds: Option<u32>,
    /// How long what a program costs is measured
    #[arg(long, default_value_t = 10.0, value_parser = minutes)]
    pub minutes: f64,
    /// Directory on a disk for state and floor; by default beside the programs
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Directory of the programs; by default the one in which this program lies
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
}

/// One of the benches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Bench {
    /// From kill -9 of the primary to the call of promote() in the backup; with a floor
    CrashFailover,
    /// Planned: from the end of demote() in the one member to the call of promote() in the other
    SwitchoverGap,
    /// From kill -9 of a single application to main() of its successor
    LocalRestart,
    /// From SIGSTOP of a plain primary to the promotion of the backup by its hook, with a hang limit of 1 s
    HangFailover,
    /// From kill -9 of a Redis primary to the first write that the other member accepts; with the hook by itself as floor
    RedisFailover,
    /// From when every packet of the primary's host is dropped to the call of promote() in the backup, with ADDP timeouts of
    /// 200 ms and policy `available`; only as root
    HostLoss,
    /// The same with policy `strict` and the preset `fast`; only as root
    HostLossStrict,
    /// The same with policy `strict` and the preset `normal`; only as root
    HostLossStrictNormal,
    /// Memory and processor time of an agent with 50 idle processes
    AgentCost,
    /// Memory and processor time of a control server with 200 agents and 2,000 applications
    ScsCost,
    /// One call of may_act() in a primary, beside one look at the boot clock
    MayAct,
}

/// How long a cost may be measured: less than a second counts nothing, more than a day nobody waits for.
fn minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.02..=1440.0).contains(&minutes) { Ok(minutes) } else { Err("0.02 to 1440".to_owned()) }
}

/// Measures what a program costs over a stretch of time; gives what else should be known beside it.
type MeasureCost =
    fn(Duration, &Programs, Ground, &Interrupt) -> Result<(Cost, serde_json::Value), StageError>;

/// What is measured: how, and against which bar.
enum Aim {
    /// How long something takes.
    Time(Bar, fn(u32, &Programs, Ground, &Interrupt) -> Result<Measured, StageError>),
    /// What a program costs, and what else should be known of it.
    Cost(Budget, MeasureCost),
    /// What one call takes, far below a millisecond; gives the whole line.
    Call(fn(u32, &Ground) -> Result<serde_json::Value, StageError>),
}

/// What a figure should not exceed, in milliseconds. For people: nothing is asserted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Bar {
    median: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<f64>,
    /// And how many floors, where there is a floor; the p99 may be whichever is more.
    #[serde(skip_serializing_if = "Option::is_none")]
    floors: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
}

impl Bench {
    const ALL: [Bench; 11] = [
        Bench::CrashFailover,
        Bench::SwitchoverGap,
        Bench::LocalRestart,
        Bench::HangFailover,
        Bench::RedisFailover,
        Bench::HostLoss,
        Bench::HostLossStrict,
        Bench::HostLossStrictNormal,
        Bench::AgentCost,
        Bench::ScsCost,
        Bench::MayAct,
    ];

    fn name(self) -> &'static str {
        match self {
            Bench::CrashFailover => "crash_failover",
            Bench::SwitchoverGap => "switchover_gap",
            Bench::LocalRestart => "local_restart",
            Bench::HangFailover => "hang_failover",
            Bench::RedisFailover => "redis_failover",
            Bench::HostLoss => "host_loss",
            Bench::HostLossStrict => "host_loss_strict",
            Bench::HostLossStrictNormal => "host_loss_strict_normal",
            Bench::AgentCost => "agent_cost",
            Bench::ScsCost => "scs_cost",
            Bench::MayAct => "may_act",
        }
    }

    fn aim(self) -> Aim {
        match self {
            Bench::CrashFailover => {
                let bar = Bar { median: 2.5, p99: Some(20.0), floors: Some(3.0), max: None };
                Aim::Time(bar, rounds::crash_failover)
            }
            Bench::SwitchoverGap => {
                let bar = Bar { median: 2.0, p99: Some(15.0), floors: None, max: None };
                Aim::Time(bar, rounds::switchover_gap)
            }
            Bench::LocalRestart => {
                Aim::Time(Bar { median: 3.0, p99: None, floors: None, max: None }, rounds::local_restart)
            }
            // The hang limit and 50 ms.
            Bench::HangFailover => {
                let bar = Bar { median: 1_050.0, p99: Some(1_050.0), floors: None, max: None };
                Aim::Time(bar, rounds::hang_failover)
            }
            Bench::RedisFailover => {
                let bar = Bar { median: 30.0, p99: Some(100.0), floors: None, max: None };
                Aim::Time(bar, redis::redis_failover)
            }
            // Two timeouts and 50 ms, two timeouts and 150 ms.
            Bench::HostLoss => {
                let bar = Bar { median: 450.0, p99: None, floors: None, max: Some(550.0) };
                Aim::Time(bar, loss::host_loss)
            }
            // The lease of 250 ms and 50 ms.
            Bench::HostLossStrict => {
                let bar = Bar { median: 300.0, p99: None, floors: None, max: None };
                Aim::Time(bar, loss::host_loss_strict)
            }
            // The lease of 3 s and 100 ms.
            Bench::HostLossStrictNormal => {
                let bar = Bar { median: 3_100.0, p99: None, floors: None, max: Some(3_100.0) };
                Aim::Time(bar, loss::host_loss_strict_normal)
            }
            Bench::AgentCost => Aim::Cost(agent_cost::BUDGET, agent_cost::measure),
            Bench::ScsCost => Aim::Cost(scs_cost::BUDGET, scs_cost::measure),
            Bench::MayAct => Aim::Call(may_act::measure),
        }
    }

    /// How often a time is measured if nobody says.
    fn rounds(self) -> u32 {
        match self {
            Bench::RedisFailover => 50,
            Bench::HostLoss | Bench::HostLossStrict => 30,
            Bench::HostLossStrictNormal => 5,
            Bench::CrashFailover
            | Bench::SwitchoverGap
            | Bench::LocalRestart
            | Bench::HangFailover
            | Bench::AgentCost
            | Bench::ScsCost
            | Bench::MayAct => 200,
        }
    }

    /// Why it cannot be measured here; none if it can.
    fn is_impossible(self) -> Option<String> {
        match self {
            Bench::RedisFailover => recipe::missing("redis-server", "redis-server"),
            Bench::HostLoss | Bench::HostLossStrict | Bench::HostLossStrictNormal => Network::is_impossible(),
            Bench::CrashFailover
            | Bench::SwitchoverGap
            | Bench::LocalRestart
            | Bench::HangFailover
            | Bench::AgentCost
            | Bench::ScsCost
            | Bench::MayAct => None,
        }
    }
}

/// What a bench measured, in nanoseconds.
#[derive(Debug, Default)]
struct Measured {
    times_ns: Vec<u64>,
    floor_ns: Vec<u64>,
}

/// Runs the benches, one after the other, each on a stage of its own.
pub fn run(arguments: &Arguments) -> Result<(), StageError> {
    let interrupt = Interrupt::catch()?;
    let programs = Programs::find(arguments.programs.as_deref(), &["lca", "scs"])?;
    let parent = arguments.dir.clone().unwrap_or_else(|| programs.path("bench-state"));
    std::fs::create_dir_all(&parent).map_err(StageError::file("make", &parent))?;
    let file_system = lasting_file_system(&parent)?;
    say(&machine())?;
    let chosen = if arguments.benches.is_empty() { &Bench::ALL[..] } else { &arguments.benches };
    for &bench in chosen {
        if let Some(why) = bench.is_impossible() {
            say(&json!({ "bench": bench.name(), "skipped": why }))?;
            continue;
        }
        let ground = Ground::in_directory(&parent)?;
        let line = match bench.aim() {
            Aim::Time(bar, measure) => {
                let rounds = arguments.rounds.unwrap_or(bench.rounds());
                let measured = measure(rounds, &programs, ground, &interrupt)?;
                line(bench.name(), bar, &measured, &file_system)?
            }
            Aim::Cost(budget, measure) => {
                let stretch = Duration::from_secs_f64(arguments.minutes * 60.0);
                let (cost, more) = measure(stretch, &programs, ground, &interrupt)?;
                cost::line(bench.name(), budget, &cost, &more)
            }
            Aim::Call(measure) => measure(arguments.rounds.unwrap_or(bench.rounds()), &ground)?,
        };
        say(&line)?;
    }
    Ok(())
}

fn say(line: &serde_json::Value) -> Result<(), StageError> {
    let mut output = std::io::stdout();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(StageError::system("print a result"))
}

fn line(
    name: &str,
    bar: Bar,
    measured: &Measured,
    file_system: &str,
) -> Result<serde_json::Value, StageError> {
    let nothing = || StageError::Unexpected(format!("{name} measured nothing"));
    let summed = Figures::of_ns(&measured.times_ns).summed().ok_or_else(nothing)?;
    let floor = Figures::of_ns(&measured.floor_ns).summed();
    let mut line = json!({
        "bench": name,
        "unit": "ms",
        "n": summed.n,
        "min": summed.min,
        "median": summed.median,
        "p99": summed.p99,
        "max": summed.max,
        "file_system": file_system,
        "bar": bar,
        "ok": is_within(bar, summed, floor),
    });
    if let Some(floor) = floor {
        line["floor_median"] = floor.median.into();
        line["floor_p99"] = floor.p99.into();
    }
    Ok(line)
}

fn is_within(bar: Bar, summed: Summed, floor: Option<Summed>) -> bool {
    let floors = |figure: fn(&Summed) -> f64| Some(bar.floors? * figure(floor.as_ref()?));
    let median = floors(|floor| floor.median).map_or(bar.median, |floors| bar.median.min(floors));
    let p99 = bar.p99.map(|p99| floors(|floor| floor.p99).map_or(p99, |floors| p99.max(floors)));
    summed.median <= median
        && p99.is_none_or(|p99| summed.p99 <= p99)
        && bar.max.is_none_or(|max| summed.max <= max)
}

/// What the figures were measured on.
fn machine() -> serde_json::Value {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = cpuinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    json!({
        "machine": {
            "cores": std::thread::available_parallelism().ok(),
            "processor": processor,
            "kernel": rustix::system::uname().release().to_string_lossy(),
            "optimized": !cfg!(debug_assertions),
        }
    })
}

/// Plays a part in a bench: `arguments` are those after [`PART`]. Returns only if something failed or the part is over.
pub fn be(arguments: &[String]) -> Result<(), StageError> {
    let began_ns = crate::clock::boot_ns();
    match arguments {
        [part] if part == member::PART_MEMBER => member::be(began_ns),
        [part] if part == plain::PART_PLAIN => plain::be(began_ns),
        [part] if part == plain::PART_HOOK => plain::promote(began_ns),
        [part, list, directory] if part == crowd::PART_CROWD => {
            crowd::be(Path::new(list), Path::new(directory))
        }
        [part, rest @ ..] => floor::be(part, rest),
        [] => Err(StageError::Unexpected(format!("{PART} needs the name of a part"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(median: f64, p99: f64) -> Summed {
        Summed { n: 200, min: 0.1, median, p99, max: 99.0 }
    }

    #[test]
    fn a_bar_with_floors_is_the_stricter_for_the_median_and_the_looser_for_the_p99() {
        let Aim::Time(bar, _) = Bench::CrashFailover.aim() else { panic!("it is a time") };
        let within = |median, p99, floor_median, floor_p99| {
            is_within(bar, summed(median, p99), Some(summed(floor_median, floor_p99)))
        };
        assert!(within(2.5, 20.0, 1.0, 1.0));
        assert!(!within(2.6, 20.0, 1.0, 1.0), "above the bar");
        assert!(!within(2.0, 20.0, 0.5, 1.0), "more than three floors");
        assert!(within(2.0, 29.0, 1.0, 10.0), "three slow floors");
        assert!(!within(2.0, 31.0, 1.0, 10.0));
    }

    #[test]
    fn a_bar_for_the_longest_is_kept_by_the_longest() {
        let Aim::Time(bar, _) = Bench::HostLoss.aim() else { panic!("it is a time") };
        let within = |median, max| is_within(bar, Summed { max, ..summed(median, 440.0) }, None);
        assert!(within(450.0, 550.0));
        assert!(!within(451.0, 550.0));
        assert!(!within(400.0, 551.0));
    }

    #[test]
    fn a_line_has_what_was_promised() {
        let measured = Measured { times_ns: vec![1_000_000, 3_000_000], floor_ns: vec![500_000] };
        let bar = Bar { median: 2.5, p99: Some(20.0), floors: Some(3.0), max: None };
        let line = line("crash_failover", bar, &measured, "ext4").unwrap();
        assert_eq!((line["bench"].as_str(), line["n"].as_u64()), (Some("crash_failover"), Some(2)));
        assert_eq!((line["median"].as_f64(), line["floor_p99"].as_f64()), (Some(1.0), Some(0.5)));
        let bar = Bar { median: 3.0, p99: None, floors: None, max: None };
        let bare = super::line("x", bar, &Measured { times_ns: vec![1], floor_ns: vec![] }, "xfs");
        assert!(bare.unwrap().get("floor_median").is_none());
        assert!(super::line("x", bar, &Measured::default(), "xfs").is_err());
    }
}
