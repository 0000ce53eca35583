//! Hooks, signals, watchdog and probe of an application: how a program without the library takes part.
//!
//! Knows no pairs. The law: a command is judged like the application's own; an empty list means "none", so that an
//! application can do without what its template has.

use std::net::SocketAddr;
use std::time::Duration;

use understudy_model::{Ask, ConductSpec, HooksSpec, Interface, ProbeSpec, Signal, conduct::HOOK_TIMEOUT};

use super::application::check_command;
use super::process::account;
use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report, View};

const HOOK_BOUNDS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(3_600));
const WATCHDOG_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(86_400));
const PROBE_BOUNDS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(3_600));
/// From "off" to a day.
pub(super) const HANG_BOUNDS: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(86_400));
const MOST_FAILURES: i64 = 1_000;

/// Conduct as read, with the places that rules across values point to.
pub(super) struct ConductDraft {
    /// All but the hang limit, which timers decide.
    pub(super) spec: ConductSpec,
    /// Set on the application itself; zero is off.
    pub(super) hang_limit: Option<Found<Duration>>,
    /// Where the time limit of hooks was set.
    pub(super) hook_timeout: Option<Found<Duration>>,
}

/// Reads everything; `interface` says what makes sense.
pub(super) fn read(report: &mut Report, view: View<'_>, interface: Interface) -> ConductDraft {
    let signals: Vec<_> = Signal::ALL.iter().map(|word| word.as_str()).collect();
    let signal = |report: &mut Report, key| {
        view.word(report, key, &signals, Signal::from_word).map(|found| found.value)
    };
    let hooks = in_table(view, "hooks", |table| read_hooks(report, table));
    let (hooks, hook_timeout) = hooks.unwrap_or_default();
    let spec = ConductSpec {
        hooks,
        promote_signal: signal(report, "promote-signal"),
        demote_signal: signal(report, "demote-signal"),
        reload_signal: signal(report, "reload-signal"),
        stop_command: read_words(report, view, "stop-command"),
        start_before: read_words(report, view, "start-before"),
        watchdog: view.duration(report, "watchdog", WATCHDOG_BOUNDS).map(|found| found.value),
        hang_limit: None,
        probe: in_table(view, "probe", |table| read_probe(report, table)).flatten(),
    };
    check(report, view, interface, &spec);
    ConductDraft { spec, hang_limit: view.duration(report, "hang-limit", HANG_BOUNDS), hook_timeout }
}

/// Reads a table of the application with the template's behind it, key by key.
fn in_table<R>(view: View<'_>, key: &str, read: impl FnOnce(View<'_>) -> R) -> Option<R> {
    let own = view.own_only().table(key);
    let shared = view.shared_only().and_then(|shared| shared.table(key));
    match (own, shared) {
        (None, None) => None,
        (Some(only), None) | (None, Some(only)) => Some(read(View::new(&only.key, only.value))),
        (Some(own), Some(shared)) => Some(read(View::new(&own.key, own.value).or(&shared.key, shared.value))),
    }
}

fn read_words(report: &mut Report, view: View<'_>, key: &str) -> Vec<String> {
    let Some(words) = view.texts(report, key) else { return Vec::new() };
    if words.value.is_empty() { Vec::new() } else { check_command(report, words) }
}

fn read_hooks(report: &mut Report, view: View<'_>) -> (HooksSpec, Option<Found<Duration>>) {
    let timeout = view.duration(report, "timeout", HOOK_BOUNDS);
    let hooks = HooksSpec {
        on_start: read_words(report, view, "on-start"),
        on_promote: read_words(report, view, "on-promote"),
        on_demote: read_words(report, view, "on-demote"),
        user: account(report, view, "user"),
        timeout: timeout.as_ref().map_or(HOOK_TIMEOUT, |found| found.value),
    };
    (hooks, timeout)
}

fn read_probe(report: &mut Report, view: View<'_>) -> Option<ProbeSpec> {
    let exec = read_words(report, view, "exec");
    let tcp = view.text(report, "tcp");
    let http = view.text(report, "http");
    let interval = view.duration(report, "interval", PROBE_BOUNDS);
    let timeout = view.duration(report, "timeout", PROBE_BOUNDS);
    let failures = view.integer(report, "failures", 1, MOST_FAILURES);
    let ask = match (exec.is_empty(), tcp, http) {
        (false, None, None) => Ask::Exec(exec),
        (true, Some(tcp), None) => Ask::Tcp(read_place(report, &tcp, tcp.value)?.to_string()),
        (true, None, Some(http)) => Ask::Http(read_page(report, &http)?),
        _ => {
            let why = "a probe asks one question";
            let advice = "write exactly one of exec, tcp and http";
            report.broken(view.at(), &view.key("exec"), why, advice);
            return None;
        }
    };
    let second = Duration::from_secs(1);
    Some(ProbeSpec {
        ask,
        interval: interval.map_or(second, |found| found.value),
        timeout: timeout.map_or(second, |found| found.value),
        failures: failures.and_then(|found| u32::try_from(found.value).ok()).unwrap_or(3),
    })
}

/// `PORT`, which is on this host, or `ADDRESS:PORT`.
fn read_place(report: &mut Report, at: &Found<&str>, text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("localhost:").unwrap_or(text);
    let place = match text.parse::<u16>() {
        Ok(port) if port > 0 => Some(SocketAddr::from(([127, 0, 0, 1], port))),
        _ => text.parse().ok().filter(|place: &SocketAddr| place.port() > 0),
    };
    if place.is_none() {
        let problem = Problem::new(
            ProblemKind::BadValue,
            at.key.as_str(),
            "an agent asks by address, so that no name server can make an application look hung",
        );
        let allowed = "PORT, ADDRESS:PORT or localhost:PORT, with a numeric address";
        report.problem(at.at, problem.found(format!("{:?}", at.value)).allowed(allowed));
    }
    place
}

/// `http://ADDRESS:PORT/PATH`, with the address made numeric.
fn read_page(report: &mut Report, http: &Found<&str>) -> Option<String> {
    let rest = http.value.strip_prefix("http://").unwrap_or_default();
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    if rest.is_empty() || !plain {
        let problem = Problem::new(ProblemKind::BadValue, http.key.as_str(), "not an allowed value");
        let allowed = "http://ADDRESS:PORT/PATH; a program behind TLS can be asked with exec";
        report.problem(http.at, problem.found(format!("{:?}", http.value)).allowed(allowed));
        return None;
    }
    let place = read_place(report, http, place)?;
    Some(format!("http://{place}{}", if path.is_empty() { "/" } else { path }))
}

/// Rules between these keys and the interface.
fn check(report: &mut Report, view: View<'_>, interface: Interface, spec: &ConductSpec) {
    let both = [
        ("promote-signal", spec.promote_signal.is_some(), "on-promote", &spec.hooks.on_promote),
        ("demote-signal", spec.demote_signal.is_some(), "on-demote", &spec.hooks.on_demote),
    ];
    for (signal, is_set, hook, command) in both {
        let at = view.raw(signal).or_else(|| view.raw("hooks"));
        let Some(at) = at else { continue };
        if is_set && !command.is_empty() {
            let why =
                format!("it is told by {signal} and by hooks.{hook}: which one counts would not be clear");
            report.broken(at.at, &at.key, why, "remove one of the two; a hook can send the signal itself");
        }
        if interface == Interface::Library && (is_set || !command.is_empty()) {
            let why = "interface \"library\" is told of every change of role over its link";
            report.broken(at.at, &at.key, why, "remove it, or use interface \"plain\" or \"notify\"");
        }
    }
    if let Some(at) =
        view.raw("watchdog").filter(|_| spec.watchdog.is_some() && interface != Interface::Notify)
    {
        let why = "a watchdog hears WATCHDOG=1, which only interface \"notify\" can say";
        report.broken(at.at, &at.key, why, "set interface = \"notify\", or use probe or hang-limit");
    }
}
