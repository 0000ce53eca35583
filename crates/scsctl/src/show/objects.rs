//! Hosts, applications and pairs: as rows and one at a time. It knows no server; the law: absent is shown as `-`.

use super::Show;
use super::ago::{ago, clock, span, took};
use super::table::{Cell, Table, cell, toned};
use super::why::reason_lines;
use crate::answers::{Application, Host, LastExit, Pair};
use crate::out::Tone;

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The tone of a run mode.
pub fn mode_tone(mode: &str) -> Tone {
    match mode {
        "primary" => Tone::Good,
        "backup" => Tone::Plain,
        _ => Tone::Faint,
    }
}

/// The longest problem in a row unless there is room for more, in characters.
const LONGEST_PROBLEM: usize = 60;

/// A problem as a cell: its beginning, unless there is room for all of it.
fn problem_cell(text: String, show: Show) -> Cell {
    if show.wide || text.chars().count() <= LONGEST_PROBLEM {
        return toned(text, Tone::Warn);
    }
    let beginning: String = text.chars().take(LONGEST_PROBLEM - 1).collect();
    toned(format!("{}…", beginning.trim_end()), Tone::Warn)
}

/// The run mode of a member; without a pair there is nobody to be primary of.
fn mode_cell(application: &Application) -> Cell {
    match application.pair {
        Some(_) => toned(application.run_mode.clone(), mode_tone(&application.run_mode)),
        None => toned("-", Tone::Faint),
    }
}

fn status_cell(application: &Application) -> Cell {
    let tone = match (application.status.as_str(), application.goal.as_str()) {
        _ if application.gave_up => Tone::Bad,
        ("started", "started") => Tone::Good,
        ("stopped", "stopped") => Tone::Faint,
        ("stopped" | "unknown" | "service-unavailable", _) => Tone::Bad,
        _ => Tone::Warn,
    };
    toned(application.status.clone(), tone)
}

fn problem_of(application: &Application) -> String {
    let mut parts = Vec::new();
    if application.gave_up {
        parts.push("gave up restarting".to_owned());
    }
    if !application.problem.is_empty() {
        parts.push(application.problem.clone());
    }
    if application.hands_off {
        parts.push("maintenance".to_owned());
    }
    parts.join("; ")
}

/// The same for a row: with what waits for its next start.
fn noted(application: &Application) -> String {
    let pending = (!application.restart_pending.is_empty()).then(|| "a restart is pending".to_owned());
    let problem = Some(problem_of(application)).filter(|problem| !problem.is_empty());
    problem.into_iter().chain(pending).collect::<Vec<_>>().join("; ")
}

fn pending(application: &Application) -> String {
    match &application.restart_pending[..] {
        [] => String::new(),
        words => format!(
            "a restart is pending: {} changed since it was started; run: scsctl restart {}",
            words.join(", "),
            application.name
        ),
    }
}

/// One application as a row: name, host, mode, status, epoch, pid, restarts, since, problem.
pub fn application_row(application: &Application, indent: &str, show: Show) -> Vec<Cell> {
    vec![
        cell(format!("{indent}{}", application.name)),
        cell(application.host.clone()),
        mode_cell(application),
        status_cell(application),
        cell(or_dash(application.epoch)),
        cell(or_dash(application.pid)),
        cell(application.restarts.to_string()),
        cell(ago(show.now, application.since.as_deref())),
        problem_cell(noted(application), show),
    ]
}

fn pair_readiness(pair: &Pair) -> (&'static str, Tone) {
    let stopped = pair.because.as_ref().is_some_and(|because| because.rule == "pair-stopped");
    match (&pair.primary, pair.ready) {
        (None, _) if stopped => ("stopped", Tone::Faint),
        (None, _) => ("no primary", Tone::Bad),
        (Some(_), _) if pair.primary_heard == Some(false) => ("primary not heard", Tone::Bad),
        (Some(_), true) => ("ready", Tone::Good),
        (Some(_), false) => ("not ready", Tone::Warn),
    }
}

/// One pair as a row with the columns of [`application_row`].
pub fn pair_row(pair: &Pair, show: Show) -> Vec<Cell> {
    let (word, tone) = pair_readiness(pair);
    vec![
        toned(pair.name.clone(), Tone::Heading),
        cell(""),
        toned(pair.redundancy.clone(), Tone::Faint),
        toned(word, tone),
        cell(pair.epoch.to_string()),
        cell(""),
        cell(""),
        cell(ago(show.now, pair.since.as_deref())),
        problem_cell(pair.not_ready_because.join("; "), show),
    ]
}

/// Hosts as a table.
pub fn host_table(hosts: &[Host], show: Show) -> Table {
    let mut table =
        Table::new(&["NAME", "ADDRESS", "STATUS", "HEARD", "SINCE", "LOSS SURVIVABLE", "PROBLEM"]);
    for host in hosts {
        let tone = if host.status == "running" { Tone::Good } else { Tone::Bad };
        table.row(vec![
            cell(host.name.clone()),
            cell(host.address.clone()),
            toned(host.status.clone(), tone),
            cell(host.heard_ms_ago.map_or_else(|| "never".to_owned(), heard)),
            cell(ago(show.now, host.since.as_deref())),
            cell(survivable(host)),
            problem_cell(host.problem.clone(), show),
        ]);
    }
    table
}

/// Whether the loss of a host would interrupt nothing for long. Of one that is not heard there is nothing to promise.
fn survivable(host: &Host) -> String {
    match &host.only_here[..] {
        _ if !host.loss_survivable => "no".to_owned(),
        _ if host.status != "running" => "-".to_owned(),
        [] => "yes".to_owned(),
        [one] => format!("{one} runs only here"),
        [one, others @ ..] => format!("{one} and {} more run only here", others.len()),
    }
}

fn would_be_lost(host: &Host) -> String {
    let alone = host.only_here.iter().map(|name| format!("{name} runs only here: it is in no pair"));
    host.loss_risks.iter().cloned().chain(alone).collect::<Vec<_>>().join("; ")
}

fn heard(ms_ago: u64) -> String {
    if ms_ago < 1_000 { format!("{ms_ago} ms ago") } else { format!("{} ago", span(ms_ago / 1_000)) }
}

/// All hosts.
pub fn hosts(hosts: &[Host], show: Show) -> String {
    host_table(hosts, show).text(show.paint)
}

/// All applications.
pub fn applications(applications: &[Application], show: Show) -> String {
    let mut heading = vec!["NAME", "HOST", "MODE", "STATUS", "EPOCH", "PID", "RESTARTS", "SINCE"];
    if show.wide {
        heading.extend(["PAIR", "GOAL", "LAST EXIT"]);
    }
    heading.push("PROBLEM");
    let mut table = Table::new(&heading);
    for application in applications {
        let mut row = application_row(application, "", show);
        if show.wide {
            let exit = application.last_exit.as_ref().map(|exit| exit.text.as_str());
            let further = [
                cell(or_dash(application.pair.as_deref())),
                cell(application.goal.clone()),
                cell(or_dash(exit)),
            ];
            let problem = row.len() - 1;
            row.splice(problem..problem, further);
        }
        table.row(row);
    }
    table.text(show.paint)
}

/// All pairs.
pub fn pairs(pairs: &[Pair], show: Show) -> String {
    let mut heading = vec!["NAME", "PRIMARY", "BACKUP", "EPOCH", "STATUS", "SINCE"];
    if show.wide {
        heading.extend(["STATE", "REDUNDANCY", "POLICY"]);
    }
    heading.push("PROBLEM");
    let mut table = Table::new(&heading);
    for pair in pairs {
        let (word, tone) = pair_readiness(pair);
        let mut row = vec![
            cell(pair.name.clone()),
            toned(or_dash(pair.primary.as_deref()), Tone::Good),
            cell(pair.backup.clone()),
            cell(pair.epoch.to_string()),
            toned(word, tone),
            cell(ago(show.now, pair.since.as_deref())),
        ];
        if show.wide {
            row.extend([cell(pair.state.clone()), cell(pair.redundancy.clone()), cell(pair.policy.clone())]);
        }
        row.push(problem_cell(pair.not_ready_because.join("; "), show));
        table.row(row);
    }
    table.text(show.paint)
}

/// One line for each value that is there, names aligned.
fn sheet(title: &str, lines: &[(&str, String)], show: Show) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = format!("{}\n", show.paint.tone(Tone::Heading, title));
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("  {name:width$}   {value}\n"));
    }
    text
}

/// One host and what is on it.
pub fn host(host: &Host, show: Show) -> String {
    let mut text = sheet(
        &format!("host {}", host.name),
        &[
            ("address", host.address.clone()),
            ("status", format!("{}, since {}", host.status, ago(show.now, host.since.as_deref()))),
            ("heard", host.heard_ms_ago.map_or_else(|| "never".to_owned(), heard)),
            ("loss survivable", survivable(host)),
            ("would be lost", would_be_lost(host)),
            ("clock", host.clock_doubts.join("; ")),
            ("drained", if host.drained { "yes: nothing on it is promoted" } else { "" }.to_owned()),
            ("held", host.held.clone().unwrap_or_default()),
            ("problem", host.problem.clone()),
        ],
        show,
    );
    if !host.applications.is_empty() {
        text.push_str(&format!("\n{}", applications(&host.applications, show)));
    }
    text
}

/// How a process ended, when, and after how long.
fn ended(exit: &LastExit, show: Show) -> String {
    // Display only, so the precision lost above 2^52 ms does not matter.
    #[allow(clippy::cast_precision_loss)]
    let ran = Some(exit.ran_ms).filter(|ms| *ms > 0).map(|ms| took(ms as f64));
    // Of an end that its agent did not see it does not know how long that took to come.
    let after = ran.map(|ran| format!(", after {ran}")).unwrap_or_default();
    let at = exit.at.as_deref().map(|at| format!(" at {}", clock(show.now, at, show.zone)));
    let at = at.unwrap_or_default();
    let how = match exit.killed_because.as_ref().map(|why| why.rule.as_str()) {
        Some("hung") => "killed by its agent as hung".to_owned(),
        Some("guard-fired") => "killed by its guard".to_owned(),
        Some(_) => "killed by its agent".to_owned(),
        None => format!("{}, {}", exit.text, if exit.wanted { "as asked" } else { "unexpected" }),
    };
    format!("{how}{at}{after}")
}

/// One application.
pub fn application(application: &Application, show: Show) -> String {
    let exit = application.last_exit.as_ref().map(|exit| ended(exit, show));
    let killed = application.last_exit.as_ref().and_then(|exit| exit.killed_because.as_ref());
    let killed = killed.map(|why| format!("{} (scsctl why --event {})", why.reason, why.event));
    sheet(
        &format!("application {}", application.name),
        &[
            ("host", application.host.clone()),
            ("pair", application.pair.clone().unwrap_or_default()),
            ("status", format!("{} (goal: {})", application.status, application.goal)),
            (
                "run mode",
                application.pair.as_ref().map_or_else(|| "-".to_owned(), |_| application.run_mode.clone()),
            ),
            ("epoch", or_dash(application.epoch)),
            ("pid", or_dash(application.pid)),
            ("restarts", application.restarts.to_string()),
            ("since", ago(show.now, application.since.as_deref())),
            ("last exit", exit.unwrap_or_default()),
            ("because", killed.unwrap_or_default()),
            ("pending", pending(application)),
            ("problem", problem_of(application)),
        ],
        show,
    )
}

/// Who has everything that was acknowledged; empty if the pair does not keep its data.
fn have_everything(pair: &Pair) -> String {
    match pair.in_sync.as_deref() {
        None => String::new(),
        Some([]) => "nobody is known to".to_owned(),
        Some([one]) => format!("{one} alone, since epoch {}", pair.in_sync_since.unwrap_or_default()),
        Some(names) => names.join(", "),
    }
}

/// One pair, its members, and why it is as it is.
pub fn pair(pair: &Pair, show: Show) -> String {
    let (word, _) = pair_readiness(pair);
    let mut text = sheet(
        &format!("pair {}", pair.name),
        &[
            ("primary", or_dash(pair.primary.as_deref())),
            ("backup", pair.backup.clone()),
            ("epoch", pair.epoch.to_string()),
            ("status", word.to_owned()),
            ("not ready because", pair.not_ready_because.join("; ")),
            ("changes held", pair.held_because.clone().unwrap_or_default()),
            ("have everything", have_everything(pair)),
            ("waits for", pair.waits_for_data.clone().unwrap_or_default()),
            ("alive through", pair.alive_through.clone().unwrap_or_default()),
            ("state", format!("{}, since {}", pair.state, ago(show.now, pair.since.as_deref()))),
            ("redundancy", pair.redundancy.clone()),
            ("policy", pair.policy.clone()),
            ("which means", pair.policy_means.clone()),
        ],
        show,
    );
    if !pair.members.is_empty() {
        text.push_str(&format!("\n{}", applications(&pair.members, show)));
    }
    if let Some(reason) = &pair.because {
        text.push_str(&format!("\n{}", reason_lines("last decision", reason, show)));
    }
    text
}
