//! `[[application]]` and `[template.NAME]`: supervised programs.
//!
//! Knows no pairs but the names in the seeds' form. The law: an application's own key wins over its template's;
//! variables and options are merged one by one; a mistake in a template is reported once.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::{
    ApplicationName, ApplicationSpec, ConductSpec, HostName, Interface, PortSpec, Redundancy, RestartPolicy,
    Signal,
};

use super::conduct::{self, ConductDraft};
use super::port::{self, PortDrafts};
use super::process::{self, ProcessDraft};
use super::{keep, optional_path, unknown_name};
use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report, Table, Value, View};
use crate::schema::application::interface_words;
use crate::values;

/// Most arguments of a command, the program included.
const MOST_ARGUMENTS: usize = 1_024;

/// Most variables of one application.
const MOST_VARIABLES: usize = 1_024;

/// Variables that the agent sets: one set here would be a lie or would be overwritten.
const RESERVED_VARIABLES: [&str; 3] = ["UNDERSTUDY_", "NOTIFY_SOCKET", "WATCHDOG_USEC"];

const DELAY_BOUNDS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));
const TIMEOUT_BOUNDS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(86_400));
const MOST_RESTARTS: i64 = 1_000_000;

/// An application as read.
pub(super) struct ApplicationDraft {
    /// Its name.
    pub(super) name: Found<ApplicationName>,
    /// Where it runs.
    pub(super) host: Option<Found<HostName>>,
    /// Its ports.
    pub(super) ports: PortDrafts,
    /// The seeds' form of a pair: who stands by for it.
    pub(super) backup: Option<Found<ApplicationName>>,
    /// With `backup`.
    pub(super) redundancy: Option<Found<Redundancy>>,
    /// When it is started again, with the place that says so.
    pub(super) restart: Found<RestartPolicy>,
    /// Everything else; host and ports are filled in at the end.
    rest: Rest,
}

struct Rest {
    kind: String,
    interface: Interface,
    command: Vec<String>,
    working_directory: Option<String>,
    environment: BTreeMap<String, String>,
    stop_signal: Signal,
    success_codes: Vec<i32>,
    restart_delay: Duration,
    restart_limit: u32,
    startup_timeout: Duration,
    shutdown_timeout: Duration,
    autostart: bool,
    options: BTreeMap<String, BTreeMap<String, String>>,
    process: ProcessDraft,
    conduct: ConductDraft,
}

impl ApplicationDraft {
    /// What it is told by commands and signals.
    pub(super) fn conduct(&self) -> &ConductDraft {
        &self.rest.conduct
    }

    /// How it talks to its agent.
    pub(super) fn interface(&self) -> Interface {
        self.rest.interface
    }

    /// What starts before it.
    pub(super) fn after(&self) -> &[Found<ApplicationName>] {
        &self.rest.process.after
    }

    /// The checked application; none only if its host was reported as missing or wrong.
    pub(super) fn into_spec(self, hang_limit: Option<Duration>) -> Option<ApplicationSpec> {
        let ports: Vec<PortSpec> = self.ports.ports.into_iter().map(|port| port.value).collect();
        let rest = self.rest;
        Some(ApplicationSpec {
            host: self.host?.value,
            kind: rest.kind,
            interface: rest.interface,
            command: rest.command,
            working_directory: rest.working_directory,
            environment: rest.environment,
            stop_signal: rest.stop_signal,
            restart: self.restart.value,
            success_codes: rest.success_codes,
            restart_delay: rest.restart_delay,
            restart_limit: rest.restart_limit,
            startup_timeout: rest.startup_timeout,
            shutdown_timeout: rest.shutdown_timeout,
            autostart: rest.autostart,
            ports,
            options: rest.options,
            process: rest.process.into_spec(),
            conduct: ConductSpec { hang_limit, ..rest.conduct.spec },
        })
    }
}

/// Every application of the file, each with its template behind it.
pub(super) fn read_all(report: &mut Report, file: View<'_>) -> BTreeMap<ApplicationName, ApplicationDraft> {
    let templates = read_templates(report, file);
    let mut applications = BTreeMap::new();
    for table in file.tables("application") {
        let own = View::new("application", table);
        let view = match find_template(report, own, &templates) {
            Some((path, shared)) => own.or(path, shared),
            None => own,
        };
        let advice = "commands and pairs name it";
        let Some(named) = values::name_or_stand_in(own, report, advice, &applications) else { continue };
        let draft = read(report, view, named.clone());
        keep(report, &mut applications, "application", &named, |first| first.name.at, draft);
    }
    applications
}

type Templates<'t> = BTreeMap<&'t str, (String, &'t Table)>;

/// The templates by name. Their values are read once here, so that one that nobody uses is checked as well.
fn read_templates<'t>(report: &mut Report, file: View<'t>) -> Templates<'t> {
    let mut templates = Templates::new();
    let Some(tables) = file.table("template") else { return templates };
    for (name, entry) in &tables.value.entries {
        if let Value::Table(table) = &entry.node.value {
            templates.insert(name, (format!("template.{name}"), table));
        }
    }
    for (path, table) in templates.values() {
        let view = View::new(path, table);
        values::name::<HostName>(view, report, "host");
        read_restart(report, view);
        read_ports(report, view);
        read_rest(report, view);
    }
    templates
}

fn find_template<'t>(
    report: &mut Report,
    own: View<'_>,
    templates: &'t Templates<'_>,
) -> Option<(&'t str, &'t Table)> {
    let wanted = own.text(report, "template")?;
    if let Some((path, table)) = templates.get(wanted.value) {
        return Some((path, table));
    }
    let problem = unknown_name("template", &wanted, templates.keys().copied());
    report.problem(wanted.at, problem);
    None
}

fn read(report: &mut Report, view: View<'_>, name: Found<ApplicationName>) -> ApplicationDraft {
    let own = view.own_only();
    if view.raw("command").is_none() {
        report.missing(own.at(), own.key("command"), "it is what is started");
    }
    let words: Vec<_> = Redundancy::ALL.iter().map(|word| word.as_str()).collect();
    ApplicationDraft {
        host: values::needed_name(view, report, "host", "it runs on one of the hosts of this file"),
        ports: read_ports(report, view),
        backup: values::name(own, report, "backup"),
        redundancy: own.word(report, "redundancy", &words, Redundancy::from_word),
        restart: read_restart(report, view).unwrap_or_else(|| name.with(RestartPolicy::Always)),
        rest: read_rest(report, view),
        name,
    }
}

fn read_ports(report: &mut Report, view: View<'_>) -> PortDrafts {
    let path = view.raw("port").map_or_else(|| view.key("port"), |found| found.key);
    port::read_all(report, &view.tables("port"), &path, view.at())
}

/// `restart` and `auto-restart` together: the application's own word, in either form, wins over the template's.
fn read_restart(report: &mut Report, view: View<'_>) -> Option<Found<RestartPolicy>> {
    let own = view.own_only();
    let says_it = own.raw("restart").is_some() || own.raw("auto-restart").is_some();
    let view = if says_it { own } else { view.shared_only().unwrap_or(own) };
    let words: Vec<_> = RestartPolicy::ALL.iter().map(|word| word.as_str()).collect();
    let restart = view.word(report, "restart", &words, RestartPolicy::from_word);
    let automatic = view.boolean(report, "auto-restart");
    match (&restart, &automatic) {
        (Some(restart), Some(automatic)) if automatic.value == (restart.value == RestartPolicy::Never) => {
            let why =
                format!("auto-restart = {} contradicts restart = \"{}\"", automatic.value, restart.value);
            report.broken(automatic.at, &automatic.key, why, "remove one of the two");
        }
        (None, Some(automatic)) => {
            let restart = if automatic.value { RestartPolicy::Always } else { RestartPolicy::Never };
            return Some(automatic.with(restart));
        }
        _ => {}
    }
    restart
}

fn read_rest(report: &mut Report, view: View<'_>) -> Rest {
    let signals: Vec<_> = Signal::ALL.iter().map(|word| word.as_str()).collect();
    let seconds = Duration::from_secs;
    let span = |report: &mut Report, key, bounds, default| {
        view.duration(report, key, bounds).map_or(default, |found| found.value)
    };
    let interface = read_interface(report, view);
    Rest {
        kind: view.text(report, "type").map_or("server", |found| found.value).to_owned(),
        interface,
        command: read_command(report, view),
        working_directory: optional_path(report, view, "working-directory"),
        environment: read_environment(report, view),
        stop_signal: view
            .word(report, "stop-signal", &signals, Signal::from_word)
            .map_or(Signal::Term, |found| found.value),
        success_codes: view
            .integers(report, "success-codes", 0, 255)
            .map_or(vec![0], |codes| codes.into_iter().filter_map(|code| i32::try_from(code).ok()).collect()),
        restart_delay: span(report, "restart-delay", DELAY_BOUNDS, seconds(1)),
        restart_limit: read_restart_limit(report, view),
        startup_timeout: span(report, "startup-timeout", TIMEOUT_BOUNDS, seconds(90)),
        shutdown_timeout: span(report, "shutdown-timeout", TIMEOUT_BOUNDS, seconds(10)),
        autostart: view.boolean(report, "autostart").is_none_or(|found| found.value),
        options: read_options(report, view),
        process: process::read(report, view),
        conduct: conduct::read(report, view, interface),
    }
}

fn read_restart_limit(report: &mut Report, view: View<'_>) -> u32 {
    const DEFAULT: u32 = 5;
    if let Some(Found { value: Value::Integer(Some(0)), at, key }) = view.raw("restart-limit") {
        let why = "a limit of 0 would give up before the first start";
        report.broken(
            at,
            &key,
            why,
            "write restart = \"never\" for a program that shall not be started again",
        );
        return DEFAULT;
    }
    view.integer(report, "restart-limit", 1, MOST_RESTARTS)
        .and_then(|limit| u32::try_from(limit.value).ok())
        .unwrap_or(DEFAULT)
}

fn read_interface(report: &mut Report, view: View<'_>) -> Interface {
    view.word(report, "interface", &interface_words(), Interface::from_word)
        .map_or(Interface::Plain, |found| found.value)
}

fn read_command(report: &mut Report, view: View<'_>) -> Vec<String> {
    view.texts(report, "command").map_or_else(Vec::new, |words| check_command(report, words))
}

/// A command of any kind: its words, once every one was judged.
pub(super) fn check_command(report: &mut Report, words: Found<Vec<Found<&str>>>) -> Vec<String> {
    if words.value.len() > MOST_ARGUMENTS {
        let problem = Problem::new(ProblemKind::BadValue, words.key.as_str(), "too many arguments");
        let problem = problem.found(format!("{} arguments", words.value.len()));
        report.problem(words.at, problem.allowed(format!("at most {MOST_ARGUMENTS}")));
    }
    match words.value.first() {
        None => {
            let why = "an empty command starts nothing";
            report.broken(words.at, &words.key, why, "write the program's absolute path and its arguments");
        }
        Some(program) if !program.value.starts_with('/') => {
            let problem = Problem::new(
                ProblemKind::BrokenRule,
                words.key.as_str(),
                "a program without an absolute path would be another one with another search path, and hosts could not allow it by pattern",
            );
            let problem = problem.found(format!("{:?}", program.value));
            report.problem(program.at, problem.advise("write where it is, such as \"/usr/bin/...\""));
        }
        Some(program) => {
            values::check_path(report, program, program.value);
        }
    }
    words.value.into_iter().map(|word| word.value.to_owned()).collect()
}

/// The tables under `key`, the template's first, so that the application's own entries come last and win.
pub(super) fn layers<'t>(view: View<'t>, report: &mut Report, key: &str) -> Vec<Found<&'t Table>> {
    let mut layers = Vec::new();
    for layer in view.shared_only().into_iter().chain([view.own_only()]) {
        match layer.raw(key) {
            Some(Found { value: Value::Table(table), at, key }) => {
                layers.push(Found { value: table, at, key })
            }
            Some(found) => {
                let problem =
                    Problem::new(ProblemKind::BadValue, found.key.as_str(), "the value has the wrong type");
                report.problem(found.at, problem.found(found.value.noun()).allowed("a table"));
            }
            None => {}
        }
    }
    layers
}

fn read_environment(report: &mut Report, view: View<'_>) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    for layer in layers(view, report, "environment") {
        for (variable, entry) in &layer.value.entries {
            let key = format!("{}.{variable}", layer.key);
            let bad_value = |why: &str| Problem::new(ProblemKind::BadValue, key.as_str(), why);
            if variable.is_empty() || variable.contains(['=', '\0']) {
                let allowed = "a name without \"=\" and NUL characters";
                report.problem(entry.key_at, bad_value("not the name of a variable").allowed(allowed));
            } else if RESERVED_VARIABLES.iter().any(|reserved| variable.starts_with(reserved)) {
                report.broken(entry.key_at, &key, "the agent sets this variable itself", "remove it");
            } else if let Value::Text(value) = &entry.node.value
                && !value.contains('\0')
            {
                environment.insert(variable.clone(), value.clone());
            } else {
                let problem = bad_value("not an allowed value").found(entry.node.value.noun());
                report.problem(entry.key_at, problem.allowed("a text without NUL characters"));
            }
        }
    }
    if environment.len() > MOST_VARIABLES {
        let problem = Problem::new(ProblemKind::BadValue, view.key("environment"), "too many variables")
            .found(environment.len());
        report.problem(view.at(), problem.allowed(format!("at most {MOST_VARIABLES}")));
    }
    environment
}

fn read_options(report: &mut Report, view: View<'_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut options: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for layer in layers(view, report, "options") {
        for (section, entry) in &layer.value.entries {
            let key = format!("{}.{section}", layer.key);
            let Value::Table(table) = &entry.node.value else {
                let why = "options stand in sections";
                let problem = Problem::new(ProblemKind::BadValue, key, why).found(entry.node.value.noun());
                report.problem(entry.key_at, problem.allowed("a table"));
                continue;
            };
            let kept = options.entry(section.clone()).or_default();
            for (option, entry) in &table.entries {
                let value = match &entry.node.value {
                    Value::Text(text) => text.clone(),
                    Value::Integer(Some(number)) => number.to_string(),
                    Value::Float(number) => number.clone(),
                    Value::Boolean(value) => value.to_string(),
                    other => {
                        let problem = Problem::new(
                            ProblemKind::BadValue,
                            format!("{key}.{option}"),
                            "not an allowed value",
                        )
                        .found(other.noun());
                        let allowed = "a text, an integer of 64 bits, a fraction, true or false";
                        report.problem(entry.key_at, problem.allowed(allowed));
                        continue;
                    }
                };
                kept.insert(option.clone(), value);
            }
        }
    }
    options
}
