//! `[[application.port]]`: where an application listens.
//!
//! Knows no sockets. The law: a port has one name, one number and one answer to the question of TLS.

use understudy_model::{ListeningMode, PortSpec};

use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report, Table, View};
use crate::schema::application::PROTOCOLS;

/// Longest port id, in characters.
const LONGEST_ID: usize = 32;

/// Most ports of one application.
const MOST_PORTS: usize = 64;

/// The ports of one application.
pub(super) struct PortDrafts {
    /// Those that could be read.
    pub(super) ports: Vec<Found<PortSpec>>,
    /// None was left out, so that the two members can be compared.
    pub(super) whole: bool,
}

/// The ports in `tables`, of the application whose table starts at `at`.
pub(super) fn read_all(report: &mut Report, tables: &[&Table], path: &str, at: usize) -> PortDrafts {
    let mut drafts = PortDrafts { ports: Vec::new(), whole: true };
    if tables.len() > MOST_PORTS {
        let problem = Problem::new(ProblemKind::BadValue, path, "too many ports").found(tables.len());
        report.problem(at, problem.allowed(format!("at most {MOST_PORTS}")));
        drafts.whole = false;
    }
    for table in tables.iter().take(MOST_PORTS) {
        match read(report, View::new(path, table)) {
            Some(port) => keep(report, &mut drafts.ports, port),
            None => drafts.whole = false,
        }
    }
    let mut syncs = drafts.ports.iter().filter(|port| port.value.ha_sync).skip(1);
    if let Some(second) = syncs.next() {
        let why = "two ports have ha-sync; the backup connects to one and could not know which";
        report.broken(second.at, &format!("{path}.ha-sync"), why, "leave ha-sync on one port");
    }
    drafts
}

fn read(report: &mut Report, view: View<'_>) -> Option<Found<PortSpec>> {
    for key in ["id", "port"] {
        if view.raw(key).is_none() {
            report.missing(view.at(), view.key(key), "every port has an id and a number");
        }
    }
    let id = view.text(report, "id").filter(|id| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let good = id.value.len() <= LONGEST_ID && id.value.chars().all(plain);
        if !good {
            let why = "the id becomes part of a variable's name";
            let problem = Problem::new(ProblemKind::BadValue, id.key.as_str(), why);
            let allowed = format!("at most {LONGEST_ID} letters, digits, '-' and '_'");
            report.problem(id.at, problem.found(format!("{:?}", id.value)).allowed(allowed));
        }
        good
    });
    let number = view.integer(report, "port", 1, i64::from(u16::MAX));
    let ha_sync = view.boolean(report, "ha-sync").is_some_and(|found| found.value);
    let listening_mode = read_listening_mode(report, view);
    let number = number?;
    let port = u16::try_from(number.value).ok()?;
    Some(number.with(PortSpec { id: id?.value.to_owned(), port, listening_mode, ha_sync }))
}

fn read_listening_mode(report: &mut Report, view: View<'_>) -> ListeningMode {
    let words: Vec<_> = ListeningMode::ALL.iter().map(|word| word.as_str()).collect();
    let mode = view.word(report, "listening-mode", &words, ListeningMode::from_word);
    let from_word = |word: &str| PROTOCOLS.into_iter().find(|known| *known == word);
    let protocol = view.word(report, "protocol", &PROTOCOLS, from_word);
    let mode = mode.map(|found| found.value);
    match protocol {
        Some(found) if found.value == "addp" => {
            let problem = Problem::new(
                ProblemKind::NotInThisVersion,
                found.key.as_str(),
                "\"addp\" is known, but not in this version",
            );
            report
                .problem(found.at, problem.advise("remove it; the connection is watched without heartbeats"));
        }
        Some(found) if found.value == "tls" => {
            if mode == Some(ListeningMode::Unsecured) {
                let why = "protocol \"tls\" means a secured port, and listening-mode says unsecured";
                report.broken(found.at, &found.key, why, "remove one of the two");
            }
            return ListeningMode::Secured;
        }
        _ => {}
    }
    mode.unwrap_or(ListeningMode::Unsecured)
}

fn keep(report: &mut Report, ports: &mut Vec<Found<PortSpec>>, port: Found<PortSpec>) {
    if let Some(first) = ports.iter().find(|kept| variable(&kept.value.id) == variable(&port.value.id)) {
        let line = report.line(first.at);
        let why = format!(
            "id \"{}\" is already used by the port on line {line}: both would be UNDERSTUDY_PORT_{}",
            port.value.id,
            variable(&port.value.id)
        );
        report.broken(
            port.at,
            &port.key.replace(".port.port", ".port.id"),
            why,
            "give one of them another id",
        );
    }
    ports.push(port);
}

/// The part of a variable's name that an id becomes.
fn variable(id: &str) -> String {
    id.to_ascii_uppercase().replace('-', "_")
}
