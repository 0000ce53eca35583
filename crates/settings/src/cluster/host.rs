//! `[[host]]`: machines with agents.
//!
//! Knows no applications. The law: a host that nobody could reach is no host.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::{AddpSettings, FenceSpec, HostName, HostSpec};

use super::addp::{self, AddpDraft};
use super::application::check_command;
use super::keep;
use super::timers::{TimerDrafts, read_changes};
use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report, View};
use crate::values;

const DEFAULT_AGENT_PORT: u16 = 4999;

/// Most addresses of one host: each is tried in turn, and a reconnection must end.
const MOST_ADDRESSES: usize = 16;

/// Shortest and longest time of a command that switches a host off.
const FENCE_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3_600));

/// A host as read.
pub(super) struct HostDraft {
    /// Its name.
    pub(super) name: Found<HostName>,
    /// Where its agent is reached.
    pub(super) addresses: Vec<Found<String>>,
    /// How its link is watched, where that is set on the host.
    addp: AddpDraft,
    /// Timers set on it.
    pub(super) timers: TimerDrafts,
    /// What switches it off.
    fence: Option<FenceSpec>,
}

impl HostDraft {
    /// True if no other machine reaches any of its addresses: all are of the loopback, or sockets of this machine.
    pub(super) fn is_local(&self) -> bool {
        self.addresses.iter().all(|address| values::is_local(&address.value))
    }

    /// `base` is what holds where the host says nothing.
    pub(super) fn into_spec(self, base: AddpSettings) -> HostSpec {
        HostSpec {
            addresses: self.addresses.into_iter().map(|address| address.value).collect(),
            addp: self.addp.over(base),
            fence: self.fence,
        }
    }
}

/// Every host of the file.
pub(super) fn read_all(report: &mut Report, file: View<'_>) -> BTreeMap<HostName, HostDraft> {
    let mut hosts = BTreeMap::new();
    for table in file.tables("host") {
        let view = View::new("host", table);
        let addresses = read_addresses(report, view);
        let mut addp = addp::read(report, view);
        if let Some(table) = view.table("addp") {
            addp = addp::read(report, View::new("host.addp", table.value)).or(addp);
        }
        let timers = read_changes(report, view);
        let fence = read_fence(report, view);
        let advice = "agents and applications name it";
        let Some(named) = values::name_or_stand_in(view, report, advice, &hosts) else { continue };
        let draft = HostDraft { name: named.clone(), addresses, addp, timers, fence };
        keep(report, &mut hosts, "host", &named, |first: &HostDraft| first.name.at, draft);
    }
    hosts
}

fn read_fence(report: &mut Report, view: View<'_>) -> Option<FenceSpec> {
    let timeout = view.duration(report, "fence-timeout", FENCE_BOUNDS);
    if let Some(timeout) = view.raw("fence-timeout").filter(|_| view.raw("fence").is_none()) {
        let why = "there is no command on this host that it could bound";
        report.broken(timeout.at, &timeout.key, why, "write fence = [\"/PROGRAM\", ...], or remove it");
    }
    let words = view.texts(report, "fence")?;
    let command = check_command(report, words);
    Some(FenceSpec { command, timeout: timeout.map_or(FenceSpec::TIMEOUT, |found| found.value) })
}

fn read_addresses(report: &mut Report, view: View<'_>) -> Vec<Found<String>> {
    let port = view
        .integer(report, "lca-port", 1, i64::from(u16::MAX))
        .and_then(|port| u16::try_from(port.value).ok())
        .unwrap_or(DEFAULT_AGENT_PORT);
    if view.raw("addresses").is_none() {
        report.missing(view.at(), view.key("addresses"), "without one its agent cannot be reached");
        return Vec::new();
    }
    let Some(texts) = view.texts(report, "addresses") else { return Vec::new() };
    if texts.value.is_empty() || texts.value.len() > MOST_ADDRESSES {
        let why = "without an address its agent cannot be reached, and each is tried in turn";
        let problem = Problem::new(ProblemKind::BadValue, texts.key.as_str(), why)
            .found(format!("{} addresses", texts.value.len()));
        report.problem(texts.at, problem.allowed(format!("1 to {MOST_ADDRESSES} addresses")));
    }
    let mut addresses = Vec::new();
    for text in texts.value {
        match values::reached_at(text.value, port) {
            Ok(address) => addresses.push(text.with(address)),
            Err(why) => {
                let problem = Problem::new(ProblemKind::BadValue, text.key.as_str(), why);
                let allowed = "an IPv4 or IPv6 address, a machine's name, or unix:/PATH";
                report.problem(text.at, problem.found(format!("{:?}", text.value)).allowed(allowed));
            }
        }
    }
    addresses
}
