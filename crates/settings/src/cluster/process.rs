//! The keys of an application that say how its process is made, bounded and heard.
//!
//! Knows no accounts: whether a user exists is known on the host alone. The law: what comes out of here needs no
//! further check of its form; a number stays within what the system takes.

use understudy_model::{ApplicationName, EnvironmentFile, OutputKind, ProcessLimits, ProcessSpec};

use super::application::layers;
use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report, Value, View};
use crate::{size, values};

/// Most further groups, and most applications to wait for.
const MOST_NAMES: usize = 64;
/// "No limit".
const UNLIMITED: &str = "unlimited";
/// Least and most size of a log file before it is rotated, in bytes.
const OUTPUT_LIMITS: (u64, u64) = (64 << 10, 1 << 40);
/// Most old log files.
const MOST_KEPT: i64 = 100;
/// Most processor time: that of as many processors, in percent of one.
const MOST_PERCENT: u32 = 100 * 4096;

/// A process as read, with the places that later rules name.
pub(super) struct ProcessDraft {
    /// Everything but `after`.
    spec: ProcessSpec,
    /// What it waits for, each name with its place.
    pub(super) after: Vec<Found<ApplicationName>>,
}

impl ProcessDraft {
    /// The checked value.
    pub(super) fn into_spec(self) -> ProcessSpec {
        ProcessSpec { after: self.after.into_iter().map(|name| name.value).collect(), ..self.spec }
    }
}

/// Reads all of them.
pub(super) fn read(report: &mut Report, view: View<'_>) -> ProcessDraft {
    let number = |report: &mut Report, key, least, most| {
        let found = view.integer(report, key, least, most)?;
        i32::try_from(found.value).ok()
    };
    let words: Vec<_> = OutputKind::ALL.iter().map(|word| word.as_str()).collect();
    let spec = ProcessSpec {
        user: account(report, view, "user"),
        group: account(report, view, "group"),
        groups: read_groups(report, view),
        umask: read_umask(report, view),
        limits: read_limits(report, view),
        nice: number(report, "nice", -20, 19),
        oom_score_adjust: number(report, "oom-score-adjust", -1000, 1000),
        environment_file: read_environment_file(report, view),
        memory_max_bytes: values::bytes(report, view, "memory-max", (1 << 20, 1 << 50)),
        cpu_max_percent: read_cpu_max(report, view),
        pids_max: view
            .integer(report, "pids-max", 1, 1 << 22)
            .and_then(|found| u64::try_from(found.value).ok()),
        output: view.word(report, "output", &words, OutputKind::from_word).map(|found| found.value),
        output_limit_bytes: values::bytes(report, view, "output-limit", OUTPUT_LIMITS),
        output_keep: view
            .integer(report, "output-keep", 0, MOST_KEPT)
            .and_then(|found| u32::try_from(found.value).ok()),
        after: Vec::new(),
    };
    check_output(report, view, spec.output);
    ProcessDraft { spec, after: read_after(report, view) }
}

/// The name or number of an account.
pub(super) fn account(report: &mut Report, view: View<'_>, key: &str) -> Option<String> {
    let found = view.text(report, key)?;
    values::check_account(report, &found).then(|| found.value.to_owned())
}

fn read_groups(report: &mut Report, view: View<'_>) -> Vec<String> {
    let Some(found) = view.texts(report, "groups") else { return Vec::new() };
    bound(report, &found, "too many groups");
    let good = found.value.into_iter().filter(|name| values::check_account(report, name));
    good.map(|name| name.value.to_owned()).collect()
}

fn bound(report: &mut Report, found: &Found<Vec<Found<&str>>>, why: &str) {
    if found.value.len() > MOST_NAMES {
        let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), why).found(found.value.len());
        report.problem(found.at, problem.allowed(format!("at most {MOST_NAMES}")));
    }
}

fn read_umask(report: &mut Report, view: View<'_>) -> Option<u32> {
    let found = view.raw("umask")?;
    let octal = |text: &str| text.len() <= 4 && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let read = match found.value {
        Value::Text(text) if octal(text) => u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777),
        // An integer would be read as a decimal one by some and as an octal one by others.
        _ => None,
    };
    if read.is_none() {
        wrong(report, &found, "octal digits from \"000\" to \"777\", as a text");
    }
    read
}

fn wrong(report: &mut Report, found: &Found<&Value>, allowed: &str) {
    let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), "not an allowed value")
        .found(found.value.shown())
        .allowed(allowed);
    report.problem(found.at, problem);
}

/// The application's own limits win one by one over its template's.
fn read_limits(report: &mut Report, view: View<'_>) -> ProcessLimits {
    let mut limits = ProcessLimits::default();
    for layer in layers(view, report, "limits") {
        let table = View::new(&layer.key, layer.value);
        for (key, limit) in [
            ("nofile", &mut limits.nofile),
            ("core", &mut limits.core_bytes),
            ("memlock", &mut limits.memlock_bytes),
            ("nproc", &mut limits.nproc),
        ] {
            if let Some(found) = table.raw(key) {
                *limit = read_limit(report, &found).or(*limit);
            }
        }
    }
    limits
}

fn read_limit(report: &mut Report, found: &Found<&Value>) -> Option<u64> {
    let counts_bytes = found.key.ends_with("core") || found.key.ends_with("memlock");
    let read = match found.value {
        Value::Integer(Some(number)) => u64::try_from(*number).ok(),
        Value::Text(text) if text == UNLIMITED => Some(u64::MAX),
        Value::Text(text) if counts_bytes => size::from_text(text),
        _ => None,
    };
    // The system refuses a process without any descriptor in ways that say nothing.
    let read = read.filter(|number| !found.key.ends_with("nofile") || *number >= 8);
    if read.is_none() {
        let allowed = match found.key.rsplit('.').next() {
            Some("nofile") => "a number from 8 on, or \"unlimited\"".to_owned(),
            _ if counts_bytes => format!("{}, or \"unlimited\"", size::ALLOWED),
            _ => "a number, or \"unlimited\"".to_owned(),
        };
        wrong(report, found, &allowed);
    }
    read
}

fn read_environment_file(report: &mut Report, view: View<'_>) -> Option<EnvironmentFile> {
    let found = view.text(report, "environment-file")?;
    let (path, optional) = match found.value.strip_prefix('-') {
        Some(path) => (path, true),
        None => (found.value, false),
    };
    values::check_path(report, &found, path).then(|| EnvironmentFile { path: path.to_owned(), optional })
}

fn read_cpu_max(report: &mut Report, view: View<'_>) -> Option<u32> {
    let found = view.text(report, "cpu-max")?;
    let read = found.value.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok());
    let read = read.filter(|percent| (1..=MOST_PERCENT).contains(percent));
    if read.is_none() {
        let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), "not an allowed value");
        let problem = problem.found(format!("{:?}", found.value));
        report.problem(found.at, problem.allowed("percent of one processor, such as \"50%\" or \"250%\""));
    }
    read
}

/// The journal has limits of its own.
fn check_output(report: &mut Report, view: View<'_>, output: Option<OutputKind>) {
    if output != Some(OutputKind::Journal) {
        return;
    }
    for key in ["output-limit", "output-keep"] {
        if let Some(found) = view.own_only().raw(key) {
            let why = "output = \"journal\" has no file that could be rotated";
            report.broken(found.at, &found.key, why, "remove it, or write output = \"file\"");
        }
    }
}

fn read_after(report: &mut Report, view: View<'_>) -> Vec<Found<ApplicationName>> {
    let Some(found) = view.texts(report, "after") else { return Vec::new() };
    bound(report, &found, "too many applications");
    let mut names: Vec<Found<ApplicationName>> = Vec::new();
    for text in found.value {
        match text.value.parse::<ApplicationName>() {
            Ok(name) if names.iter().any(|other| other.value == name) => {}
            Ok(name) => names.push(text.with(name)),
            Err(why) => {
                let problem = Problem::new(ProblemKind::BadValue, text.key.as_str(), why.to_string());
                report.problem(text.at, problem.found(format!("{:?}", text.value)));
            }
        }
    }
    names
}
