//! `lca.toml` to checked settings of an agent.
//!
//! Knows no cluster. The law: what an agent lets a control server do is written on its own host, and a text that would
//! open it to the network without TLS is refused.

use std::net::SocketAddr;

use understudy_model::HostName;

use crate::problem::{Problem, ProblemKind, Problems};
use crate::raw::{Found, Report, Table, View, check_keys, parse};
use crate::schema::daemons::AGENT_FILE;
use crate::tls::{self, TlsFiles};
use crate::{Checked, values};

/// Most places where an agent listens, and most patterns of commands.
const MOST_ENTRIES: usize = 64;

/// The settings of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// Its host, as `cluster.toml` has it.
    pub host: HostName,
    /// Where it listens: `ADDRESS:PORT`, on loopback unless there is TLS, or `unix:/PATH`. Never empty.
    pub listen: Vec<String>,
    /// Where load balancers ask; empty if nowhere.
    pub status_listen: Vec<SocketAddr>,
    /// Absolute path of what must outlive a reboot.
    pub state_directory: String,
    /// Absolute path of what must not.
    pub runtime_directory: String,
    /// Absolute path of the applications' output.
    pub log_directory: String,
    /// What this host lets any control server do.
    pub policy: HostPolicy,
    /// The files of TLS. Absent: links have none.
    pub tls: Option<TlsFiles>,
}

/// What a host lets any control server do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPolicy {
    /// Programs that may be started. Absent: every one.
    pub commands: Option<Vec<CommandPattern>>,
    /// Accounts that applications may name as their user, by name or number. Absent: every one but root.
    pub users: Option<Vec<String>>,
    /// Groups that an application may have although the host's lists do not give them to its user. Absent: none.
    pub groups: Vec<String>,
    /// Whether anything may run as root.
    pub allow_root: bool,
}

impl HostPolicy {
    /// True if that program may be started. A path that is not absolute, or has `.` or `..` in it, never may if there are patterns.
    pub fn permits(&self, program: &str) -> bool {
        let Some(patterns) = &self.commands else { return true };
        patterns.iter().any(|pattern| pattern.matches(program))
    }
}

/// An absolute path in which `*` stands for any characters but `/`, and `?` for one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandPattern(String);

impl CommandPattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if `program` is meant. Compares part by part, so `*` never reaches into another directory.
    pub fn matches(&self, program: &str) -> bool {
        let parts = || program.split('/');
        program.starts_with('/')
            && !parts().skip(1).any(|part| part.is_empty() || part == "." || part == "..")
            && parts().count() == self.0.split('/').count()
            && parts().zip(self.0.split('/')).all(|(part, pattern)| matches_part(part, pattern))
    }
}

/// Walks both once and goes back to the last `*` only: the cost is bounded by the product of the lengths.
fn matches_part(part: &str, pattern: &str) -> bool {
    let (part, pattern): (Vec<char>, Vec<char>) = (part.chars().collect(), pattern.chars().collect());
    let (mut at, mut wanted) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < part.len() {
        match pattern.get(wanted) {
            Some('*') => {
                star = Some((wanted, at));
                wanted += 1;
            }
            Some(c) if *c == '?' || *c == part[at] => {
                at += 1;
                wanted += 1;
            }
            _ => {
                let Some((starred, covered)) = star else { return false };
                star = Some((starred, covered + 1));
                at = covered + 1;
                wanted = starred + 1;
            }
        }
    }
    pattern[wanted..].iter().all(|c| *c == '*')
}

/// Checks the text of `lca.toml`; `file` is what messages call it.
pub fn parse_agent(file: &str, text: &str) -> Result<Checked<AgentSettings>, Problems> {
    let mut report = Report::new(file, text);
    let settings = parse(&mut report, text).and_then(|tree| read(&mut report, &tree));
    report.finish(settings)
}

fn read(report: &mut Report, tree: &Table) -> Option<AgentSettings> {
    check_keys(report, "", tree, AGENT_FILE);
    let file = View::new("", tree);
    let policy = read_policy(report, file);
    let tls = tls::read(report, file);
    let Some(agent) = file.table("agent") else {
        if file.raw("agent").is_none() {
            report.missing(0, "agent".to_owned(), "write [agent] with host = \"...\"");
        }
        return None;
    };
    let view = View::new("agent", agent.value);
    let listen = read_listen(report, view, file.raw("tls").is_some());
    let status_listen = read_status_listen(report, view);
    let state_directory = values::path(view, report, "state-directory", "/var/lib/understudy/lca");
    let runtime_directory = values::path(view, report, "runtime-directory", "/run/understudy");
    let log_directory = values::path(view, report, "log-directory", "/var/log/understudy");
    let host = values::needed_name(view, report, "host", "it is the host's name in cluster.toml");
    Some(AgentSettings {
        host: host?.value,
        listen,
        status_listen,
        state_directory: state_directory?,
        runtime_directory: runtime_directory?,
        log_directory: log_directory?,
        policy,
        tls,
    })
}

fn read_listen(report: &mut Report, view: View<'_>, secured: bool) -> Vec<String> {
    if view.raw("listen").is_none() {
        return vec!["127.0.0.1:4999".to_owned()];
    }
    let Some(texts) = view.texts(report, "listen") else { return Vec::new() };
    if texts.value.is_empty() || texts.value.len() > MOST_ENTRIES {
        let why = "an agent that listens nowhere cannot be reached";
        let problem = Problem::new(ProblemKind::BadValue, texts.key.as_str(), why);
        let problem = problem.found(format!("{} places", texts.value.len()));
        report.problem(texts.at, problem.allowed(format!("1 to {MOST_ENTRIES}")));
    }
    let mut listen = Vec::new();
    for text in texts.value {
        match refused_listen(&text, secured) {
            None => listen.push(text.value.to_owned()),
            Some(problem) => report.problem(text.at, problem.found(format!("{:?}", text.value))),
        }
    }
    listen
}

/// Any address: what is answered there changes nothing, and load balancers live on other machines.
fn read_status_listen(report: &mut Report, view: View<'_>) -> Vec<SocketAddr> {
    if view.raw("status-listen").is_none() {
        return vec![SocketAddr::from(([127, 0, 0, 1], 4998))];
    }
    values::socket_addresses(view, report, "status-listen", MOST_ENTRIES)
}

/// Why an agent does not listen there; none if it does.
fn refused_listen(text: &Found<&str>, secured: bool) -> Option<Problem> {
    let bad = |kind, why: &str| Problem::new(kind, text.key.as_str(), why);
    if let Some(path) = text.value.strip_prefix("unix:") {
        return (!values::is_socket_path(path)).then(|| bad(ProblemKind::BadValue, values::BAD_SOCKET));
    }
    match text.value.parse::<SocketAddr>() {
        Ok(address) if secured || address.ip().is_loopback() => None,
        Ok(_) => {
            let why = "whoever reaches an agent may start programs on its host, and without [tls] everybody who reaches it may";
            let problem = bad(ProblemKind::BrokenRule, why).allowed("loopback addresses, unix:/PATH");
            Some(
                problem.advise("add [tls] (scsctl pki issue makes the files), or listen on 127.0.0.1 or ::1"),
            )
        }
        Err(_) => {
            let problem = bad(ProblemKind::BadValue, "not a place to listen at");
            Some(problem.allowed("ADDRESS:PORT with an address in numbers, or unix:/PATH"))
        }
    }
}

fn read_policy(report: &mut Report, file: View<'_>) -> HostPolicy {
    let Some(policy) = file.table("policy") else { return HostPolicy::default() };
    let view = View::new("policy", policy.value);
    HostPolicy {
        commands: read_commands(report, view),
        users: read_accounts(report, view, "users"),
        groups: read_accounts(report, view, "groups").unwrap_or_default(),
        allow_root: view.boolean(report, "allow-root").is_some_and(|found| found.value),
    }
}

fn read_accounts(report: &mut Report, view: View<'_>, key: &str) -> Option<Vec<String>> {
    let texts = view.texts(report, key)?;
    if texts.value.len() > MOST_ENTRIES {
        let problem = Problem::new(ProblemKind::BadValue, texts.key.as_str(), "too many accounts");
        let problem = problem.found(texts.value.len());
        report.problem(texts.at, problem.allowed(format!("at most {MOST_ENTRIES}")));
    }
    let good = texts.value.into_iter().filter(|name| values::check_account(report, name));
    Some(good.map(|name| name.value.to_owned()).collect())
}

fn read_commands(report: &mut Report, view: View<'_>) -> Option<Vec<CommandPattern>> {
    let texts = view.texts(report, "commands")?;
    if texts.value.len() > MOST_ENTRIES {
        let problem = Problem::new(ProblemKind::BadValue, texts.key.as_str(), "too many patterns");
        let problem = problem.found(texts.value.len());
        report.problem(texts.at, problem.allowed(format!("at most {MOST_ENTRIES}")));
    }
    let mut patterns = Vec::new();
    for text in texts.value {
        let parts = || text.value.split('/').skip(1);
        if text.value.starts_with('/') && parts().all(|part| !matches!(part, "" | "." | ".." | "**")) {
            patterns.push(CommandPattern(text.value.to_owned()));
            continue;
        }
        let why = "a pattern is compared with a program's absolute path, part by part";
        let problem =
            Problem::new(ProblemKind::BadValue, text.key.as_str(), why).found(format!("{:?}", text.value));
        let allowed = "an absolute path in which * and ? stand for anything but /, such as \"/usr/bin/*\"";
        report.problem(text.at, problem.allowed(allowed));
    }
    Some(patterns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_their_directory() {
        let policy = HostPolicy {
            commands: Some(vec![
                CommandPattern("/usr/bin/*".into()),
                CommandPattern("/opt/?erver/run-*-x".into()),
            ]),
            ..HostPolicy::default()
        };
        for good in ["/usr/bin/tserver", "/opt/server/run--x", "/opt/server/run-a-x-x"] {
            assert!(policy.permits(good), "{good}");
        }
        for bad in [
            "/usr/bin/../sbin/x",
            "/usr/bin/a/b",
            "/usr/bin/",
            "usr/bin/a",
            "/opt/server/run-x",
            "/usr/./bin",
            "/usr/bin/..",
        ] {
            assert!(!policy.permits(bad), "{bad}");
        }
        assert!(HostPolicy::default().permits("/anything"));
        assert!(!HostPolicy { commands: Some(Vec::new()), ..HostPolicy::default() }.permits("/anything"));
    }

    #[test]
    fn many_stars_cost_little() {
        let pattern = CommandPattern(format!("/{}b", "*a".repeat(200)));
        assert!(!pattern.matches(&format!("/{}", "a".repeat(5_000))));
    }
}
