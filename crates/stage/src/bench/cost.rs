//! What a process costs while nothing happens: memory, processor time, wake-ups, threads; as the system counts them.
//!
//! It knows `/proc` and no program. The law: processor time and wake-ups are differences of two counts of the system, never
//! sums of looks; memory is the most that any look saw; a process that ended meanwhile gives no figure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::clock::boot_ns;
use crate::{Interrupt, StageError};

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A megabyte of the bars, in bytes.
const MB: f64 = 1_000_000.0;

/// What a process may cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Budget {
    /// Resident memory at most, in millions of bytes.
    pub rss_mb: f64,
    /// Processor time at most, in percent of one core.
    pub core_percent: f64,
}

/// What a process did cost over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// How long was measured, in seconds.
    pub seconds: f64,
    /// The most resident memory that a look saw (`VmRSS`), in millions of bytes.
    pub rss_mb: f64,
    /// Its share of memory at the end (`Pss`), in millions of bytes.
    pub pss_mb: f64,
    /// Processor time, own and in the kernel, in percent of one core.
    pub core_percent: f64,
    /// How often a thread of it went to sleep and was woken, each second.
    pub wakeups_per_s: f64,
    /// The most threads that a look saw.
    pub threads: u64,
}

/// The counts of one moment.
#[derive(Debug, Clone, Copy)]
struct Counts {
    at_ns: u64,
    ticks: u64,
    wakeups: u64,
}

/// Watches one process for a stretch of time.
pub fn watch(pid: u32, stretch: Duration, interrupt: &Interrupt) -> Result<Cost, StageError> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let (mut rss_kb, mut threads) = (0, 0);
    let first = count(&process)?;
    let end_ns = first.at_ns + u64::try_from(stretch.as_nanos()).unwrap_or(u64::MAX);
    while boot_ns() < end_ns {
        let status = read(&process.join("status"))?;
        rss_kb = rss_kb.max(field(&status, "VmRSS:")?);
        threads = threads.max(field(&status, "Threads:")?);
        interrupt.let_pass(LOOK_EVERY.min(Duration::from_nanos(end_ns.saturating_sub(boot_ns()))))?;
    }
    let last = count(&process)?;
    let pss_kb = field(&read(&process.join("smaps_rollup"))?, "Pss:")?;
    Ok(between(first, last, (rss_kb, pss_kb), threads))
}

#[allow(clippy::cast_precision_loss, reason = "counts of minutes are far below 2^53")]
fn between(first: Counts, last: Counts, (rss_kb, pss_kb): (u64, u64), threads: u64) -> Cost {
    let seconds = (last.at_ns - first.at_ns) as f64 / 1e9;
    let busy = last.ticks.saturating_sub(first.ticks) as f64 / rustix::param::clock_ticks_per_second() as f64;
    let wakeups = last.wakeups.saturating_sub(first.wakeups) as f64;
    Cost {
        seconds: round(seconds),
        rss_mb: round(rss_kb as f64 * 1024.0 / MB),
        pss_mb: round(pss_kb as f64 * 1024.0 / MB),
        core_percent: round(busy / seconds * 100.0),
        wakeups_per_s: round(wakeups / seconds),
        threads,
    }
}

/// Thousandths are more than these figures are worth.
fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

fn count(process: &Path) -> Result<Counts, StageError> {
    let at_ns = boot_ns();
    let stat = read(&process.join("stat"))?;
    let mut wakeups = 0;
    let tasks = process.join("task");
    for task in std::fs::read_dir(&tasks).map_err(StageError::file("list", &tasks))? {
        let task = task.map_err(StageError::file("list", &tasks))?.path();
        // A thread that ends in this moment takes its count with it.
        if let Ok(status) = std::fs::read_to_string(task.join("status")) {
            wakeups += field(&status, "voluntary_ctxt_switches:")?;
        }
    }
    let ticks = ticks(&stat);
    let ticks =
        ticks.ok_or_else(|| StageError::Unexpected(format!("{}/stat: {stat:?}", process.display())))?;
    Ok(Counts { at_ns, ticks, wakeups })
}

fn read(path: &Path) -> Result<String, StageError> {
    std::fs::read_to_string(path).map_err(StageError::file("read", path))
}

/// User and system time, in ticks: the fields 14 and 15. A program's name may hold anything, so they are counted from its
/// end.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Result<u64, StageError> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| StageError::Unexpected(format!("the system does not say {name} of a process")))
}

/// One line of what was measured.
pub fn line(name: &str, budget: Budget, cost: &Cost, more: &serde_json::Value) -> serde_json::Value {
    let mut line = json!({
        "bench": name,
        "cost": cost,
        "bar": budget,
        "ok": cost.rss_mb <= budget.rss_mb && cost.core_percent <= budget.core_percent,
    });
    if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
        line.extend(more.clone());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 30 12 9 9 20 0 1 0 55 1000 2";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (cut) S 1 7"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn a_busy_process_costs_and_an_idle_one_does_not() {
        let interrupt = Interrupt::default();
        let mut busy =
            std::process::Command::new("/bin/sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let mut idle = std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let stretch = Duration::from_millis(500);
        let costs = [&busy, &idle].map(|child| watch(child.id(), stretch, &interrupt).unwrap());
        for child in [&mut busy, &mut idle] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(costs[0].core_percent > 5.0 && costs[1].core_percent < 5.0, "{costs:?}");
        assert!(
            costs.iter().all(|cost| cost.threads == 1 && cost.rss_mb > 0.1 && cost.seconds >= 0.5),
            "{costs:?}"
        );
        assert!(costs[0].rss_mb < 100.0 && costs[1].wakeups_per_s < 20.0, "{costs:?}");
    }

    #[test]
    fn a_process_that_is_gone_gives_no_figure() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        let error = watch(child.id(), Duration::from_millis(1), &Interrupt::default()).unwrap_err();
        assert!(matches!(error, StageError::File { .. }), "{error}");
    }

    #[test]
    fn a_budget_is_met_only_if_both_figures_meet_it() {
        let budget = Budget { rss_mb: 10.0, core_percent: 0.2 };
        let count = |ticks| Counts { at_ns: ticks * 1_000_000_000, ticks, wakeups: 10 * ticks };
        let ok = |rss_kb, core_percent| {
            let cost = between(count(0), count(10), (rss_kb, 1), 2);
            line("x", budget, &Cost { core_percent, ..cost }, &json!({ "n": 1 }))["ok"] == json!(true)
        };
        assert!(ok(9_765, 0.2));
        assert!(!ok(9_767, 0.2), "10,001,408 bytes");
        assert!(!ok(5_000, 0.201));
        let cost = between(count(0), count(10), (1, 1), 2);
        assert!((cost.wakeups_per_s - 10.0).abs() < 0.01 && (cost.seconds - 10.0).abs() < 0.01, "{cost:?}");
    }
}
