//! `scs.toml` to checked settings of a control server.
//!
//! Knows no cluster. The law: every path is absolute, so that the place where a daemon was started changes nothing.

use std::net::SocketAddr;
use std::time::Duration;

use understudy_model::{ControllerName, OperatorName};

use crate::notify::{self, NotifySettings};
use crate::problem::{Problem, ProblemKind, Problems};
use crate::raw::{Report, Table, View, check_keys, parse};
use crate::schema::daemons::SERVER_FILE;
use crate::tls::{self, TlsFiles};
use crate::{Checked, values};

/// Most places where the API is served.
const MOST_ENTRIES: usize = 64;

const DEFAULT_KEEP: Duration = Duration::from_secs(90 * 86_400);

/// Shortest and longest time that the journal is kept: an hour, ten years.
const KEEP_BOUNDS: (Duration, Duration) = (Duration::from_secs(3_600), Duration::from_secs(3_650 * 86_400));

const DEFAULT_JOURNAL_BYTES: u64 = 1 << 30;

/// Least and most that the store may take before its oldest rows are forgotten early: 16 MiB, 1 TiB.
const JOURNAL_BYTES_BOUNDS: (u64, u64) = (16 << 20, 1 << 40);

/// The settings of one control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Its name.
    pub name: ControllerName,
    /// Absolute path of `cluster.toml`.
    pub cluster_file: String,
    /// Absolute path of the Unix socket of the API, at most 107 bytes.
    pub api_socket: String,
    /// Where the API is served over the network, with TLS; empty if nowhere.
    pub api_listen: Vec<SocketAddr>,
    /// Who may do what over the network.
    pub api: ApiAccess,
    /// Absolute path of epochs, goals and journal.
    pub state_directory: String,
    /// How long observations, decisions and events are kept.
    pub journal_keep: Duration,
    /// How many bytes the store may take; beyond it the oldest observations, decisions and events are forgotten early.
    pub journal_max_size: u64,
    /// The command that is told of events, if there is one.
    pub notify: Option<NotifySettings>,
    /// The files of TLS. Absent: there is none, neither on links nor on the API.
    pub tls: Option<TlsFiles>,
}

impl ServerSettings {
    /// What a reload of the file changes while the control server runs; else every reason why it must be started anew for
    /// it. All or nothing.
    pub fn changes_to(&self, new: &Self) -> Result<Vec<String>, Vec<String>> {
        // Taken apart, so that whoever adds a setting says here what becomes of it.
        let Self {
            name,
            cluster_file,
            api_socket,
            api_listen,
            api,
            state_directory,
            journal_keep,
            journal_max_size,
            notify,
            tls,
        } = self;
        let fixed = [
            ("server.name", *name != new.name, "it leads under this name, and its certificate has it"),
            ("server.cluster-file", *cluster_file != new.cluster_file, "another file is another cluster"),
            ("server.api-socket", *api_socket != new.api_socket, "everybody on this machine asks there"),
            ("server.state-directory", *state_directory != new.state_directory, "the store is open there"),
            ("tls", *tls != new.tls, "the files are read again, but only where they were at the start"),
        ];
        let reasons: Vec<String> = fixed
            .into_iter()
            .filter(|(_, differs, _)| *differs)
            .map(|(key, _, why)| {
                format!("{key} cannot change while the control server runs: {why}; restart it")
            })
            .collect();
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let live = [
            ("server.api-listen", *api_listen != new.api_listen),
            ("api", *api != new.api),
            ("journal.keep", *journal_keep != new.journal_keep),
            ("journal.max-size", *journal_max_size != new.journal_max_size),
            ("notify", *notify != new.notify),
        ];
        Ok(live
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| format!("{key} changed"))
            .collect())
    }
}

/// Who may do what on the API over the network, and under which names it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiAccess {
    /// Operators whose certificate makes them admins.
    pub admins: Vec<OperatorName>,
    /// Operators whose certificate lets them only look. All others are operators.
    pub viewers: Vec<OperatorName>,
    /// Names, in lower case, under which the API is asked beside those in its certificate.
    pub host_names: Vec<String>,
}

/// Checks the text of `scs.toml`; `file` is what messages call it.
pub fn parse_server(file: &str, text: &str) -> Result<Checked<ServerSettings>, Problems> {
    let mut report = Report::new(file, text);
    let settings = parse(&mut report, text).and_then(|tree| read(&mut report, &tree));
    report.finish(settings)
}

fn read(report: &mut Report, tree: &Table) -> Option<ServerSettings> {
    check_keys(report, "", tree, SERVER_FILE);
    let file = View::new("", tree);
    let journal = file.table("journal").map(|table| View::new("journal", table.value));
    let journal_keep = journal
        .and_then(|view| view.duration(report, "keep", KEEP_BOUNDS))
        .map_or(DEFAULT_KEEP, |keep| keep.value);
    let journal_max_size = journal
        .and_then(|view| values::bytes(report, view, "max-size", JOURNAL_BYTES_BOUNDS))
        .unwrap_or(DEFAULT_JOURNAL_BYTES);
    let tls = tls::read(report, file);
    let notify = notify::read(report, file);
    let Some(server) = file.table("server") else {
        if file.raw("server").is_none() {
            report.missing(0, "server".to_owned(), "write [server] with name = \"...\"");
        }
        return None;
    };
    let view = View::new("server", server.value);
    let cluster_file = values::path(view, report, "cluster-file", "/etc/understudy/cluster.toml");
    let api_socket = read_socket(report, view);
    let api_listen = values::socket_addresses(view, report, "api-listen", MOST_ENTRIES);
    if !api_listen.is_empty() && file.raw("tls").is_none() {
        let why = "over the network the API is served with TLS alone: tokens and orders pass there";
        report.broken(
            view.at(),
            "server.api-listen",
            why,
            "write [tls] with certificate, key and authorities",
        );
    }
    let api = read_api(report, file);
    let state_directory = values::path(view, report, "state-directory", "/var/lib/understudy/scs");
    let name = values::needed_name(view, report, "name", "events and status name it");
    Some(ServerSettings {
        name: name?.value,
        cluster_file: cluster_file?,
        api_socket: api_socket?,
        api_listen,
        api,
        state_directory: state_directory?,
        journal_keep,
        journal_max_size,
        notify,
        tls,
    })
}

fn read_api(report: &mut Report, file: View<'_>) -> ApiAccess {
    let Some(table) = file.table("api") else { return ApiAccess::default() };
    let view = View::new("api", table.value);
    let admins = operators(report, view, "admins");
    let viewers = operators(report, view, "viewers");
    if let Some(both) = admins.iter().find(|name| viewers.contains(name)) {
        let why = format!("{both} stands among the admins too, and one operator has one role");
        report.broken(view.at(), "api.viewers", why, "leave it in one of the lists");
    }
    let mut host_names = Vec::new();
    for text in view.texts(report, "host-names").map(|texts| texts.value).unwrap_or_default() {
        if values::is_machine_name(text.value) {
            host_names.push(text.value.to_ascii_lowercase());
        } else {
            let problem = Problem::new(ProblemKind::BadValue, text.key.as_str(), "not a machine's name");
            let problem = problem.found(format!("{:?}", text.value));
            report.problem(text.at, problem.allowed("a name without its port, such as \"scs.example.net\""));
        }
    }
    ApiAccess { admins, viewers, host_names }
}

fn operators(report: &mut Report, view: View<'_>, key: &str) -> Vec<OperatorName> {
    let mut names = Vec::new();
    for text in view.texts(report, key).map(|texts| texts.value).unwrap_or_default() {
        match OperatorName::new(text.value) {
            Ok(name) => names.push(name),
            Err(why) => {
                let problem = Problem::new(ProblemKind::BadValue, text.key.as_str(), why.to_string());
                report.problem(text.at, problem.found(format!("{:?}", text.value)));
            }
        }
    }
    names
}

fn read_socket(report: &mut Report, view: View<'_>) -> Option<String> {
    let path = values::path(view, report, "api-socket", "/run/understudy/scs.sock")?;
    if values::is_socket_path(&path) {
        return Some(path);
    }
    let found = view.raw("api-socket")?;
    let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), values::BAD_SOCKET);
    report.problem(found.at, problem.found(format!("{path:?}")));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_change_live_does_and_the_rest_is_refused_with_every_reason() {
        let settings = |more: &str| {
            let text = format!("[server]\nname = \"scs-1\"\n{more}");
            parse_server("scs.toml", &text).unwrap().value
        };
        let plain = settings("");
        assert_eq!(plain.changes_to(&plain), Ok(Vec::new()));
        let live = "[api]\nviewers = [\"vic\"]\n[journal]\nkeep = \"7d\"\nmax-size = \"64M\"\n\
                    [notify]\non = [\"gave-up\"]\ncommand = [\"/bin/true\"]";
        let changes = ["api changed", "journal.keep changed", "journal.max-size changed", "notify changed"];
        let changes = changes.map(str::to_owned);
        assert_eq!(plain.changes_to(&settings(live)), Ok(changes.to_vec()));
        let fixed = settings("state-directory = \"/a\"\napi-socket = \"/b\"\n[api]\nviewers = [\"vic\"]");
        let reasons = plain.changes_to(&fixed).unwrap_err();
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(reasons[0].contains("api-socket") && reasons[1].contains("state-directory"), "{reasons:?}");
    }
}
