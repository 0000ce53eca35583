//! `scs.toml` to checked settings of a control server.
//!
//! Knows no cluster. The law: every path is absolute, so that the place where a daemon was started changes nothing.

use std::time::Duration;

use understudy_model::ControllerName;

use crate::problem::{Problem, ProblemKind, Problems};
use crate::raw::{Report, Table, View, check_keys, parse};
use crate::schema::daemons::SERVER_FILE;
use crate::tls::{self, TlsFiles};
use crate::{Checked, values};

const DEFAULT_KEEP: Duration = Duration::from_secs(90 * 86_400);

/// Shortest and longest time that the journal is kept: an hour, ten years.
const KEEP_BOUNDS: (Duration, Duration) = (Duration::from_secs(3_600), Duration::from_secs(3_650 * 86_400));

/// The settings of one control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Its name.
    pub name: ControllerName,
    /// Absolute path of `cluster.toml`.
    pub cluster_file: String,
    /// Absolute path of the Unix socket of the API, at most 107 bytes.
    pub api_socket: String,
    /// Absolute path of epochs, goals and journal.
    pub state_directory: String,
    /// How long observations, decisions and events are kept.
    pub journal_keep: Duration,
    /// The files of TLS. Absent: there is none, neither on links nor on the API.
    pub tls: Option<TlsFiles>,
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
    let journal_keep = file
        .table("journal")
        .and_then(|table| View::new("journal", table.value).duration(report, "keep", KEEP_BOUNDS))
        .map_or(DEFAULT_KEEP, |keep| keep.value);
    let tls = tls::read(report, file);
    let Some(server) = file.table("server") else {
        if file.raw("server").is_none() {
            report.missing(0, "server".to_owned(), "write [server] with name = \"...\"");
        }
        return None;
    };
    let view = View::new("server", server.value);
    let cluster_file = values::path(view, report, "cluster-file", "/etc/understudy/cluster.toml");
    let api_socket = read_socket(report, view);
    let state_directory = values::path(view, report, "state-directory", "/var/lib/understudy/scs");
    let name = values::needed_name(view, report, "name", "events and status name it");
    Some(ServerSettings {
        name: name?.value,
        cluster_file: cluster_file?,
        api_socket: api_socket?,
        state_directory: state_directory?,
        journal_keep,
        tls,
    })
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
