//! The control plane away: the control server dead for a minute, again and again, while clients write; and primaries that are
//! killed meanwhile.
//!
//! It knows the stage, processes and role pages, as nobody can be asked for a status. The law: what runs goes on running in its
//! role; who is killed is started again by its agent, in the epoch that it had.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use understudy_model::Policy;

use super::watch::{PageWatch, Seen};
use super::{RESTART_DELAY_MS, keep, load_average, plain_member};
use crate::demo::{add_tservers, members};
use crate::load::Load;
use crate::net::Network;
use crate::ports::Ports;
use crate::sweep::find_application;
use crate::{Daemon, Ground, Interrupt, Plan, Programs, Stage, StageError, Status};

/// The pair of call servers.
const CALLS: &str = "tserver";
/// The pair whose members know nothing of roles.
const PLAIN: &str = "plain";
const WELL_LIMIT: Duration = Duration::from_secs(90);
/// How long a killed primary may take to be there again.
const AGAIN_LIMIT: Duration = Duration::from_secs(20);
/// Between two writes of the client, in microseconds.
const PAUSE_US: &str = "5000";
const SUMMARY_FILE: &str = "docs/benchmarks/soak-away.json";

/// How to take the control plane away.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// How often
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: u32,
    /// For how long each time
    #[arg(long, default_value_t = 60, value_name = "S", value_parser = clap::value_parser!(u64).range(5..=86_400))]
    pub seconds: u64,
    /// Keep the summary in docs/benchmarks/soak-away.json
    #[arg(long)]
    pub keep_summary: bool,
    /// Directory for state; by default the system's one for temporary files
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Directory of the programs; by default the one in which this program lies
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
}

/// Whose primary is killed while the control server is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    Nobody,
    Calls,
    Plain,
}

impl Killed {
    fn in_round(round: u32) -> Self {
        match round % 3 {
            0 => Killed::Nobody,
            1 => Killed::Calls,
            _ => Killed::Plain,
        }
    }

    fn pair(self) -> Option<&'static str> {
        match self {
            Killed::Nobody => None,
            Killed::Calls => Some(CALLS),
            Killed::Plain => Some(PLAIN),
        }
    }
}

/// Runs. `false`: there was a violation.
pub fn run(asked: &Arguments) -> Result<bool, StageError> {
    let interrupt = Interrupt::catch()?;
    let needed = ["lca", "lca-guard", "scs", "tserver", "tserver-load"];
    let programs = Programs::find(asked.programs.as_deref(), &needed)?;
    let ground = match &asked.dir {
        Some(directory) => Ground::in_directory(directory)?,
        None => Ground::temporary()?,
    };
    let mut ports = Ports::default();
    // Nothing of it needs networks; where there can be some, nobody meets a port of the machine.
    let (mut plan, network) = match Network::is_impossible() {
        Some(_) => (Plan::new("away", RESTART_DELAY_MS), None),
        None => (Plan::networked("away", RESTART_DELAY_MS), Some(Network::set_up(1)?)),
    };
    add_tservers(&mut plan, CALLS, &programs, &mut ports)?;
    plan.add_pair(PLAIN, plain_member);
    plan.set_policy(Policy::Strict);
    let mut stage = Stage::set_up_on(&programs, ground, plan, &mut ports, interrupt, network)?;
    eprintln!("files in {}", stage.directory().display());
    let (mut rounds, mut violations) = (Vec::new(), Vec::new());
    match play(&mut stage, &programs, asked, &mut rounds, &mut violations) {
        // What was seen until then still counts.
        Ok(()) | Err(StageError::Interrupted) => {}
        Err(error) => violations.push(format!("the run ended early: {error}")),
    }
    let is_clean = violations.is_empty();
    if !is_clean {
        eprintln!("the files of this run are kept in {}", stage.keep_files().display());
    }
    drop(stage);
    let sum = |key: &str| rounds.iter().filter_map(|round| round[key].as_u64()).sum::<u64>();
    let shown = json!({
        "soak": "away",
        "policy": "strict",
        "rounds": rounds.len(),
        "away_s": asked.seconds,
        "writes_acknowledged": sum("writes_acknowledged"),
        "restarted_in_place": rounds.iter().filter(|round| !round["again_ms"].is_null()).count(),
        "by_round": rounds,
        "violations": violations,
        "ok": is_clean,
    });
    println!("{shown}");
    if asked.keep_summary {
        keep(&shown, Path::new(SUMMARY_FILE))?;
    }
    Ok(is_clean)
}

fn play(
    stage: &mut Stage,
    programs: &Programs,
    asked: &Arguments,
    rounds: &mut Vec<Value>,
    violations: &mut Vec<String>,
) -> Result<(), StageError> {
    stage.start_all()?;
    for round in 0..asked.rounds {
        let killed = Killed::in_round(round);
        let before = stage.until_well(WELL_LIMIT)?;
        let load = Load::start(
            programs,
            &members(stage.plan(), CALLS),
            &["--pause-us", PAUSE_US],
            stage.client_place().as_deref(),
        )?;
        let watches = [PageWatch::begin(stage, CALLS)?, PageWatch::begin(stage, PLAIN)?];
        let again = without_server(stage, &before, killed, Duration::from_secs(asked.seconds))?;
        let [calls, plain] = watches.map(PageWatch::end);
        let after = stage.until_well(WELL_LIMIT)?;
        let interrupt = stage.interrupt().clone();
        let (client, _) = load.end(&interrupt)?;
        let mut wrong = wrong_after(&before, &after, killed);
        for (pair, seen) in [(CALLS, calls?), (PLAIN, plain?)] {
            wrong.extend(wrong_on_pages(pair, &seen, killed.pair() == Some(pair)));
        }
        if client.dual_primary_observations + client.lower_epoch_answers > 0 {
            wrong.push("a client heard two primaries".to_owned());
        }
        let lost = client.lost_of_all();
        // A call server keeps writes in its memory alone: what is killed takes them along.
        if client.writes_acknowledged == 0 || (lost != Some(0) && killed != Killed::Calls) {
            wrong.push(format!("of {} acknowledged writes {lost:?} are gone", client.writes_acknowledged));
        }
        let line = json!({
            "killed": killed.pair(),
            "again_ms": again.map(|span| (span.as_secs_f64() * 1_000.0).round()),
            "writes_acknowledged": client.writes_acknowledged,
            "longest_outage_ms": client.longest_outage_ms,
            "lost_with_the_killed": lost.filter(|_| killed == Killed::Calls),
        });
        let line = with_load(line);
        eprintln!("round {}: {line}", round + 1);
        rounds.push(line);
        violations.extend(wrong.into_iter().map(|what| format!("round {}: {what}", round + 1)));
    }
    Ok(())
}

/// How busy the machine was, beside what was seen.
fn with_load(mut line: Value) -> Value {
    line["load_average"] = load_average().into();
    line
}

/// The control server is killed, and started again after `span`. In the middle a primary is killed; answers how long until it
/// ran again.
fn without_server(
    stage: &mut Stage,
    before: &Status,
    killed: Killed,
    span: Duration,
) -> Result<Option<Duration>, StageError> {
    let interrupt = stage.interrupt().clone();
    let end = Instant::now() + span;
    stage.kill(Daemon::Server)?;
    interrupt.let_pass(span / 2)?;
    let mut again = None;
    if let Some(name) = killed.pair().and_then(|pair| before.pair(pair)?.primary.clone()) {
        let held = find_application(stage.directory(), &name)?;
        let gone: Vec<u32> = held.iter().map(|one| one.pid).collect();
        let from = Instant::now();
        held.iter().try_for_each(crate::sweep::Held::kill)?;
        interrupt.until("the killed primary runs again", AGAIN_LIMIT, || {
            let found = find_application(stage.directory(), &name)?;
            let new = found.iter().any(|one| !gone.contains(&one.pid));
            Ok(if new { Ok(()) } else { Err(format!("{name} has no new process")) })
        })?;
        again = Some(from.elapsed());
    }
    interrupt.let_pass(end.saturating_duration_since(Instant::now()))?;
    stage.start(Daemon::Server)?;
    Ok(again)
}

/// Every role is where it was, in the epoch that it had; only who was killed has another process.
fn wrong_after(before: &Status, after: &Status, killed: Killed) -> Vec<String> {
    let mut found = Vec::new();
    for pair in &after.pairs {
        let had = before.pair(&pair.name).map(|had| (had.primary.clone(), had.epoch));
        let has = Some((pair.primary.clone(), pair.epoch));
        if had != has {
            found.push(format!("{}: {had:?} became {has:?}", pair.name));
        }
    }
    let killed = killed.pair().and_then(|pair| before.pair(pair)?.primary.clone());
    for ((name, had), (_, has)) in before.pids().into_iter().zip(after.pids()) {
        if (had == has) == (killed.as_ref() == Some(&name)) {
            found.push(format!("{name}: process {had:?} became {has:?}"));
        }
    }
    found
}

/// Whoever acted went on, unless it was killed.
fn wrong_on_pages(pair: &str, seen: &Seen, was_killed: bool) -> Vec<String> {
    let mut found = Vec::new();
    for (times, what, may_be) in [(seen.nobody, "nobody", was_killed), (seen.both, "both", false)] {
        if times > 0 && !may_be {
            found.push(format!("{pair}: {what} might act, at {times} of {} looks", seen.looks));
        }
    }
    if seen.renewals == 0 {
        found.push(format!("{pair}: the other agent renewed nothing"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pids: [u32; 2], epoch: u64) -> Status {
        let member = |name: &str, pid: u32| {
            json!({ "name": name, "host": "alpha", "pair": "tserver", "pid": pid, "status": "started",
                "goal": "started", "run_mode": "backup", "restarts": 0 })
        };
        let pair =
            json!({ "name": "tserver", "primary": "t-1", "backup": "t-2", "epoch": epoch, "ready": true });
        let members = [member("t-1", pids[0]), member("t-2", pids[1])];
        serde_json::from_value(json!({ "hosts": [], "applications": members, "pairs": [pair] })).unwrap()
    }

    #[test]
    fn only_who_was_killed_may_and_must_have_another_process() {
        let before = status([10, 20], 3);
        let wrong = |now: &Status, killed| wrong_after(&before, now, killed).len();
        assert_eq!(wrong(&status([10, 20], 3), Killed::Nobody), 0);
        assert_eq!(wrong(&status([11, 20], 3), Killed::Nobody), 1);
        assert_eq!(wrong(&status([11, 20], 3), Killed::Calls), 0);
        assert_eq!(wrong(&status([10, 20], 3), Killed::Calls), 1, "it was killed and is still there");
        assert_eq!(wrong(&status([11, 20], 4), Killed::Calls), 1, "its epoch moved");
    }
}
