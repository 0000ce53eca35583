//! The demonstration: a cluster on this machine, a client that writes without pause, and scenarios that hurt it.
//!
//! It knows the order of a performance; what a scenario does is in `scenario`, how it looks in `voice` and `table`. The
//! law: every figure is what the client measured from outside; one that cannot be had is null.

mod scenario;
mod table;
mod voice;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::json;
use understudy_model::Policy;

pub use scenario::Scenario;
use voice::Voice;

use crate::load::{Load, LoadSummary};
use crate::ports::Ports;
use crate::stage::GROUND_PREFIX;
use crate::{ApplicationPlan, Ground, Host, Interrupt, Plan, Programs, Stage, StageError, sweep};

/// The pair of the demonstration.
pub(crate) const PAIR: &str = "tserver";
/// How long the cluster may take to be well, at the start and after a scenario.
pub(crate) const WELL_LIMIT: Duration = Duration::from_secs(60);
/// The most lines of an explanation that are shown.
const MOST_WHY_LINES: usize = 14;

/// Plays failures on this machine and measures, from outside, what a client notices.
///
/// Exit codes: 0 everything ended well, 1 something did not, 2 usage.
#[derive(Debug, Clone, Parser)]
#[command(name = "understudy-demo", version)]
pub struct Arguments {
    /// Play only this one; may be given several times
    #[arg(long, value_enum, value_name = "NAME")]
    pub scenario: Vec<Scenario>,
    /// Leave the cluster up at the end, and print how to talk to it
    #[arg(long)]
    pub keep: bool,
    /// How to print the end: for people, or as one JSON object
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Directory of the programs; by default the one in which this program lies
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
    /// End a cluster that was left up, and remove its files
    #[arg(long, value_name = "DIR", conflicts_with_all = ["scenario", "keep"])]
    pub end: Option<PathBuf>,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A story and a table
    Table,
    /// One object on standard output; the story goes to standard error
    Json,
}

/// How one scenario ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ending {
    /// Of which scenario.
    pub name: &'static str,
    /// The longest time in which no write was acknowledged; absent if none ever was.
    pub outage_ms: Option<f64>,
    /// What it may be at most.
    pub limit_ms: f64,
    /// Writes that were acknowledged to the client.
    pub writes_acknowledged: u64,
    /// How many of them are gone; absent if not all of them can be looked up.
    pub acknowledged_lost: Option<u64>,
    /// Answers that prove two primaries at once.
    pub dual_primary_observations: u64,
    /// Who took over last; absent if nobody did.
    pub new_primary: Option<String>,
    /// Everything was as it should be.
    pub ok: bool,
    /// What was not.
    pub problems: Vec<String>,
}

impl Ending {
    fn judge(scenario: Scenario, client: &LoadSummary, played: scenario::Played) -> Self {
        let mut problems = played.problems;
        let outage_ms = (client.writes_acknowledged > 0).then_some(client.longest_outage_ms);
        let limit_ms = scenario.limit_ms();
        match outage_ms {
            None => problems.push("no write was acknowledged at all".to_owned()),
            Some(outage_ms) if outage_ms > limit_ms => {
                problems.push(format!("nobody served for {outage_ms:.1} ms, allowed are {limit_ms} ms"));
            }
            Some(_) => {}
        }
        if client.dual_primary_observations > 0 {
            problems.push(format!("two primaries were seen {} times", client.dual_primary_observations));
        }
        if client.lower_epoch_answers > 0 {
            problems.push(format!("{} answers of an epoch that was over", client.lower_epoch_answers));
        }
        let acknowledged_lost = client.lost_of_all();
        if acknowledged_lost.is_some_and(|lost| lost > 0) {
            problems.push("acknowledged writes are gone".to_owned());
        }
        Self {
            name: scenario.name(),
            outage_ms,
            limit_ms,
            writes_acknowledged: client.writes_acknowledged,
            acknowledged_lost,
            dual_primary_observations: client.dual_primary_observations,
            new_primary: played.new_primary,
            ok: problems.is_empty(),
            problems,
        }
    }
}

/// Plays. `false`: at least one scenario did not end well.
pub fn run(arguments: &Arguments) -> Result<bool, StageError> {
    if let Some(directory) = &arguments.end {
        return end_left(directory).map(|()| true);
    }
    let interrupt = Interrupt::catch()?;
    let programs =
        Programs::find(arguments.programs.as_deref(), &["lca", "scs", "scsctl", "tserver", "tserver-load"])?;
    let mut voice = Voice::new(arguments.output);
    let mut ports = Ports::default();
    let plan = plan(&programs, &mut ports)?;
    let mut stage = Stage::set_up(&programs, Ground::temporary()?, plan, &mut ports, interrupt)?;
    let played = play_all(&mut stage, &programs, arguments, &mut voice);
    let endings = match played {
        Ok(endings) => endings,
        Err(StageError::Interrupted) => return Err(StageError::Interrupted),
        Err(error) => {
            voice.line(&format!("the files of this run are kept in {}", stage.keep_files().display()));
            return Err(error);
        }
    };
    let all_ok = endings.iter().all(|ending| ending.ok);
    match arguments.output {
        Output::Json => voice.result(&json!({ "scenarios": endings }).to_string())?,
        Output::Table => voice.result(&format!("\n{}", table::endings(&endings).trim_end()))?,
    }
    if arguments.keep {
        let socket = stage.api().socket().to_owned();
        let directory = stage.leave();
        voice.left_up(&programs, &socket, &directory);
    } else {
        if !all_ok {
            voice.line(&format!("the files of this run are kept in {}", stage.keep_files().display()));
        }
        stage.end()?;
    }
    Ok(all_ok)
}

fn plan(programs: &Programs, ports: &mut Ports) -> Result<Plan, StageError> {
    let mut plan = Plan::new("demo", 1_000);
    plan.timers.push(format!("hang-limit = \"{}ms\"", scenario::HANG_LIMIT.as_millis()));
    let addp = scenario::ADDP_TIMEOUT.as_millis();
    plan.timers.push(format!("addp-timeout = \"{addp}ms\"\naddp-remote-timeout = \"{addp}ms\""));
    let lease = scenario::LEASE.as_millis();
    plan.timers.push(format!("lease = \"{lease}ms\"\nrenew = \"400ms\""));
    add_tservers(&mut plan, PAIR, programs, ports)?;
    plan.set_policy(Policy::Strict);
    Ok(plan)
}

/// Adds a pair of call servers.
pub(crate) fn add_tservers(
    plan: &mut Plan,
    name: &str,
    programs: &Programs,
    ports: &mut Ports,
) -> Result<(), StageError> {
    let [alpha, beta] = [ports.free_on(Host::Alpha.address())?, ports.free_on(Host::Beta.address())?];
    let bind = Host::ALL.map(|host| plan.whereabouts(host).serve.to_string());
    plan.add_pair(name, |host, name| ApplicationPlan {
        name,
        host,
        command: vec![programs.text("tserver"), "--bind".to_owned(), bind[host.index()].clone()],
        environment: Vec::new(),
        port: Some(if host == Host::Alpha { alpha } else { beta }),
        interface: "library",
        more: Vec::new(),
    });
    Ok(())
}

/// `ADDRESS:PORT` of both members of a pair.
pub(crate) fn members(plan: &Plan, pair: &str) -> Vec<String> {
    let pair = plan.pairs.iter().find(|one| one.name == pair);
    let names = pair.into_iter().flat_map(|pair| [&pair.primary, &pair.backup]);
    let applications = names.filter_map(|name| plan.applications.iter().find(|one| one.name == *name));
    applications.filter_map(|one| Some(plan.served_at(one)?.to_string())).collect()
}

fn play_all(
    stage: &mut Stage,
    programs: &Programs,
    arguments: &Arguments,
    voice: &mut Voice,
) -> Result<Vec<Ending>, StageError> {
    voice.line(&format!(
        "two hosts, alpha ({}) and beta ({}), one control server, one pair of call servers; files in {}",
        Host::Alpha.address(),
        Host::Beta.address(),
        stage.directory().display()
    ));
    stage.start_all()?;
    let status = stage.until_well(WELL_LIMIT)?;
    if let Some(pair) = status.pair(PAIR) {
        let primary = pair.primary.as_deref().unwrap_or("nobody");
        voice.line(&format!("everything is up: {primary} is primary in epoch {}", pair.epoch));
    }
    let chosen = if arguments.scenario.is_empty() { Scenario::ALL } else { arguments.scenario.as_slice() };
    let mut endings = Vec::new();
    for &scenario in chosen {
        voice.title(scenario);
        stage.until_well(WELL_LIMIT)?;
        let mut load = Load::start(programs, &members(stage.plan(), PAIR), &[], None)?;
        voice.begin_client(load.began());
        let played = scenario::play(scenario, stage, &mut load, voice)?;
        let (client, moments) = load.end(stage.interrupt())?;
        voice.client(&moments, stage.plan());
        let ending = Ending::judge(scenario, &client, played);
        voice.ending(&ending);
        voice.quote(&why(programs, stage)?);
        endings.push(ending);
    }
    Ok(endings)
}

/// What `scsctl why` says of the pair, cut to its first lines.
fn why(programs: &Programs, stage: &Stage) -> Result<Vec<String>, StageError> {
    let program = programs.path("scsctl");
    let server = format!("unix:{}", stage.api().socket().display());
    let asked = Command::new(&program).args(["--server", &server, "--no-color", "why", PAIR]).output();
    let output = asked.map_err(|source| StageError::Start { program, source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(StageError::Unexpected(format!("`scsctl why {PAIR}` failed: {said}")));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> = vec![format!("$ scsctl why {PAIR}")];
    lines.extend(text.lines().take(MOST_WHY_LINES).map(str::to_owned));
    if text.lines().count() > MOST_WHY_LINES {
        lines.push("...".to_owned());
    }
    Ok(lines)
}

/// Ends a cluster that was left up. The directory must be one of a stage.
fn end_left(directory: &Path) -> Result<(), StageError> {
    let directory = std::fs::canonicalize(directory).map_err(StageError::file("find", directory))?;
    let socket = std::fs::read_to_string(directory.join(voice::SOCKETS_FILE))
        .map_err(StageError::file("find a stage in", &directory))?;
    let sockets = PathBuf::from(socket.trim());
    for path in [&sockets, &directory] {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with(GROUND_PREFIX) {
            return Err(StageError::Unexpected(format!("{} is not one of ours", path.display())));
        }
    }
    let ended = sweep::end_all(&directory)?;
    for path in [&sockets, &directory] {
        std::fs::remove_dir_all(path).map_err(StageError::file("remove", path))?;
    }
    Voice::new(Output::Table).result(&format!("{ended} processes ended, files removed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::Played;

    fn summary() -> LoadSummary {
        LoadSummary {
            writes_acknowledged: 1_000,
            acknowledged_checked: Some(400),
            acknowledged_lost: Some(0),
            outages: Vec::new(),
            longest_outage_ms: 12.0,
            dual_primary_observations: 0,
            lower_epoch_answers: 0,
            stale_rejected: 0,
            stale_accepted: 0,
        }
    }

    fn judge(scenario: Scenario, client: &LoadSummary) -> Ending {
        Ending::judge(scenario, client, Played { new_primary: None, problems: Vec::new() })
    }

    #[test]
    fn a_scenario_is_ok_only_within_its_limit() {
        let ending = judge(Scenario::Crash, &summary());
        assert!(ending.ok && ending.outage_ms == Some(12.0) && ending.acknowledged_lost.is_none());
        assert!(!judge(Scenario::AgentCrash, &summary()).ok, "12 ms, and nothing may happen");
    }

    #[test]
    fn whatever_the_client_proves_is_a_problem() {
        let bad: [fn(&mut LoadSummary); 4] = [
            |summary| summary.dual_primary_observations = 1,
            |summary| summary.lower_epoch_answers = 1,
            |summary| (summary.acknowledged_checked, summary.acknowledged_lost) = (Some(1_000), Some(1)),
            |summary| summary.writes_acknowledged = 0,
        ];
        for make_bad in bad {
            let mut client = summary();
            make_bad(&mut client);
            let ending = judge(Scenario::Switchover, &client);
            assert!(!ending.ok && ending.problems.len() == 1, "{ending:?}");
        }
    }

    #[test]
    fn a_directory_that_is_no_stage_is_left_alone() {
        let kept = tempfile::tempdir().unwrap();
        let directory = kept.path();
        assert!(end_left(directory).is_err(), "without the file that only a stage has");
        std::fs::write(directory.join(voice::SOCKETS_FILE), directory.to_str().unwrap()).unwrap();
        let refused = end_left(directory).unwrap_err().to_string();
        assert!(refused.contains("not one of ours") && directory.is_dir(), "{refused}");
    }

    #[test]
    fn what_cannot_be_had_is_null_in_json() {
        let mut client = summary();
        client.writes_acknowledged = 0;
        let json = serde_json::to_value(judge(Scenario::Crash, &client)).unwrap();
        for key in ["outage_ms", "acknowledged_lost", "new_primary"] {
            assert!(json[key].is_null(), "{key}");
        }
        assert_eq!((json["name"].as_str(), json["ok"].as_bool()), (Some("crash"), Some(false)));
    }
}
