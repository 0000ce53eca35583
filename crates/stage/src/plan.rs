//! What is to be played: two hosts, applications, pairs; and the settings files that say so.
//!
//! It knows the keys of the settings files and no processes. The law: every application carries the stage's mark in its
//! environment, so that it can be found when its agent is gone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use understudy_model::{Policy, Preset};

use crate::net::Station;

/// The variable that holds the stage's directory, in every process that belongs to it.
pub const STAGE_MARK: &str = "STAGE_DIRECTORY";

/// The directory of the authority, within the stage's.
pub const PKI: &str = "pki";

/// The name of the control server.
pub const SERVER: &str = "scs-1";

/// One of the two hosts. Its address is the one on loopback; with networks of their own, [`Whereabouts`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// 127.0.0.11
    Alpha,
    /// 127.0.0.12
    Beta,
}

impl Host {
    /// Both.
    pub const ALL: [Host; 2] = [Host::Alpha, Host::Beta];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Host::Alpha => "alpha",
            Host::Beta => "beta",
        }
    }

    /// The loopback address that stands for it.
    pub fn address(self) -> Ipv4Addr {
        match self {
            Host::Alpha => Ipv4Addr::new(127, 0, 0, 11),
            Host::Beta => Ipv4Addr::new(127, 0, 0, 12),
        }
    }

    /// Its place in a list of both.
    pub fn index(self) -> usize {
        usize::from(self == Host::Beta)
    }

    /// The host with that name.
    pub fn named(name: &str) -> Option<Host> {
        Host::ALL.into_iter().find(|host| host.name() == name)
    }
}

/// Where a host is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its addresses in the cluster's settings, in the order in which they are tried.
    pub addresses: Vec<String>,
    /// Where its agent listens, without the port.
    pub listen: String,
    /// Where its applications serve.
    pub serve: IpAddr,
}

impl Whereabouts {
    /// On loopback.
    pub fn local(host: Host) -> Self {
        let address = host.address().to_string();
        Self { addresses: vec![address.clone()], listen: address, serve: host.address().into() }
    }

    /// In a network of its own: its agent listens everywhere.
    pub fn networked(host: Host) -> Self {
        let address = Station::Host(host).address();
        Self { addresses: vec![address.to_string()], listen: "[::]".to_owned(), serve: address.into() }
    }
}

/// An application of the play.
#[derive(Debug, Clone)]
pub struct ApplicationPlan {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub host: Host,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables of its own.
    pub environment: Vec<(String, String)>,
    /// Its port with the id `default`, if it listens.
    pub port: Option<u16>,
    /// How it talks to its agent: a word of `interface`.
    pub interface: &'static str,
    /// Further lines of its settings.
    pub more: Vec<String>,
}

/// A pair of the play.
#[derive(Debug, Clone)]
pub struct PairPlan {
    /// Its name.
    pub name: String,
    /// Primary the very first time.
    pub primary: String,
    /// The other member.
    pub backup: String,
    /// What it prefers when nobody can know; none: what settings take when they name none.
    pub policy: Option<Policy>,
}

/// The whole play.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The cluster's name.
    pub cluster: String,
    /// The named set of timers; none: what settings take when they name none.
    pub preset: Option<Preset>,
    /// Restart delay of every application: an end after a shorter run counts as one of several in a row.
    pub restart_delay_ms: u64,
    /// Where alpha and beta are found.
    pub whereabouts: [Whereabouts; 2],
    /// Lines of `[timers]`, such as `addp-timeout = "200ms"`.
    pub timers: Vec<String>,
    /// Applications.
    pub applications: Vec<ApplicationPlan>,
    /// Pairs.
    pub pairs: Vec<PairPlan>,
    /// Where the agents of alpha and beta answer load balancers, on the addresses of their hosts; by default nowhere.
    pub status_ports: Option<[u16; 2]>,
    /// Agents and control server are real-time processes (`SCHED_RR`); what they start is not.
    pub urgent: bool,
}

impl Plan {
    /// A play without applications.
    pub fn new(cluster: &str, restart_delay_ms: u64) -> Self {
        Self {
            cluster: cluster.to_owned(),
            preset: None,
            restart_delay_ms,
            whereabouts: Host::ALL.map(Whereabouts::local),
            timers: Vec::new(),
            applications: Vec::new(),
            pairs: Vec::new(),
            status_ports: None,
            urgent: false,
        }
    }

    /// The same on hosts with networks of their own.
    pub fn networked(cluster: &str, restart_delay_ms: u64) -> Self {
        Self { whereabouts: Host::ALL.map(Whereabouts::networked), ..Self::new(cluster, restart_delay_ms) }
    }

    /// Where a host is found.
    pub fn whereabouts(&self, host: Host) -> &Whereabouts {
        &self.whereabouts[host.index()]
    }

    /// Where an application serves, if it listens.
    pub fn served_at(&self, one: &ApplicationPlan) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.whereabouts(one.host).serve, one.port?))
    }

    /// Where the agent of that host answers load balancers, if anywhere.
    pub fn status_place(&self, host: Host) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.whereabouts(host).serve, self.status_ports?[host.index()]))
    }

    /// Adds a pair with the members `name-1` on alpha and `name-2` on beta.
    pub fn add_pair(&mut self, name: &str, member: impl Fn(Host, String) -> ApplicationPlan) {
        let [primary, backup] = [format!("{name}-1"), format!("{name}-2")];
        self.applications.push(member(Host::Alpha, primary.clone()));
        self.applications.push(member(Host::Beta, backup.clone()));
        self.pairs.push(PairPlan { name: name.to_owned(), primary, backup, policy: None });
    }

    /// Gives every pair that is planned until now this policy.
    pub fn set_policy(&mut self, policy: Policy) {
        for pair in &mut self.pairs {
            pair.policy = Some(policy);
        }
    }

    /// `cluster.toml`; `lca_ports` are those of alpha and beta.
    pub fn cluster_file(&self, directory: &Path, lca_ports: [u16; 2]) -> String {
        // Benches and soaks change roles again and again: what damping does is shown by its own stories.
        let preset =
            self.preset.map_or_else(String::new, |set| format!("timers = {}\n", quote(set.as_str())));
        let mut text = format!(
            "[cluster]\nname = {}\n{preset}\n[timers]\nflap-damping = \"off\"\n",
            quote(&self.cluster)
        );
        for line in &self.timers {
            text += &format!("{line}\n");
        }
        for (host, port) in Host::ALL.into_iter().zip(lca_ports) {
            let addresses: Vec<String> =
                self.whereabouts(host).addresses.iter().map(|one| quote(one)).collect();
            let (name, addresses) = (quote(host.name()), addresses.join(", "));
            text += &format!("\n[[host]]\nname = {name}\naddresses = [{addresses}]\nlca-port = {port}\n");
        }
        for one in &self.applications {
            text += &self.application(one, directory);
        }
        for pair in &self.pairs {
            let (name, primary, backup) = (quote(&pair.name), quote(&pair.primary), quote(&pair.backup));
            text += &format!("\n[[pair]]\nname = {name}\nprimary = {primary}\nbackup = {backup}\n");
            if let Some(policy) = pair.policy {
                text += &format!("policy = {}\n", quote(policy.as_str()));
            }
        }
        text
    }

    fn application(&self, one: &ApplicationPlan, directory: &Path) -> String {
        let command: Vec<String> = one.command.iter().map(|word| quote(word)).collect();
        let mark = (STAGE_MARK.to_owned(), directory.to_string_lossy().into_owned());
        let variables = one.environment.iter().chain([&mark]);
        let environment: Vec<String> =
            variables.map(|(name, value)| format!("{} = {}", quote(name), quote(value))).collect();
        let mut text = format!(
            "\n[[application]]\nname = {}\nhost = {}\ninterface = {}\ncommand = [{}]\n\
             environment = {{ {} }}\nrestart-delay = \"{}ms\"\noutput = \"file\"\n",
            quote(&one.name),
            quote(one.host.name()),
            quote(one.interface),
            command.join(", "),
            environment.join(", "),
            self.restart_delay_ms,
        );
        for line in &one.more {
            text += &format!("{line}\n");
        }
        if let Some(port) = one.port {
            text += &format!("[[application.port]]\nid = \"default\"\nport = {port}\n");
        }
        text
    }
}

/// `lca.toml` of one host, whose agent listens at `listen`. `status` is its place for load balancers; `directory` holds what
/// must last, `sockets` what needs a short path.
pub fn agent_file(
    host: Host,
    listen: &str,
    status: Option<SocketAddr>,
    directory: &Path,
    sockets: &Path,
) -> String {
    let place = |base: &Path, what: &str| quote(&base.join(what).join(host.name()).to_string_lossy());
    format!(
        "[agent]\nhost = {}\nlisten = [{}]\nstatus-listen = [{}]\nstate-directory = {}\nruntime-directory = {}\nlog-directory = {}\n\n# Whoever starts this stage may be root, and its programs then are as well.\n[policy]\nallow-root = true\n",
        quote(host.name()),
        quote(listen),
        status.map(|place| quote(&place.to_string())).unwrap_or_default(),
        place(directory, "state"),
        place(sockets, "run"),
        place(directory, "logs"),
    ) + &tls(host.name(), directory)
}

/// Which files of the stage's own authority a daemon uses.
fn tls(name: &str, directory: &Path) -> String {
    let file = |name: &str| quote(&directory.join(PKI).join(name).to_string_lossy());
    format!(
        "[tls]\ncertificate = {}\nkey = {}\nauthorities = [{}]\nrevoked = [{}]\n",
        file(&format!("{name}.pem")),
        file(&format!("{name}.key")),
        file("ca.pem"),
        file("revoked.pem"),
    )
}

/// `scs.toml`.
pub fn server_file(cluster_file: &Path, socket: &Path, directory: &Path) -> String {
    let text = |path: &Path| quote(&path.to_string_lossy());
    format!(
        "[server]\nname = \"{SERVER}\"\ncluster-file = {}\napi-socket = {}\nstate-directory = {}\n",
        text(cluster_file),
        text(socket),
        text(&directory.join("state").join("scs")),
    ) + &tls(SERVER, directory)
}

/// A text as TOML writes it; what JSON writes is read by TOML too.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_that_are_written_are_ones_that_are_read() {
        let mut plan = Plan::new("demo", 100);
        plan.add_pair("tserver", |host, name| ApplicationPlan {
            name,
            host,
            command: vec!["/a \"b\"/tserver".to_owned(), "--bind".to_owned(), host.address().to_string()],
            environment: vec![("X".to_owned(), "y z".to_owned())],
            port: Some(21_000),
            interface: "library",
            more: vec!["shutdown-timeout = \"3s\"".to_owned()],
        });
        plan.timers.push("hang-limit = \"1s\"".to_owned());
        plan.preset = Some(Preset::Fast);
        for policy in [Policy::Strict, Policy::Available] {
            plan.set_policy(policy);
            let text = plan.cluster_file(Path::new("/tmp/stage"), [21_002, 21_003]);
            let read = understudy_settings::parse_cluster("cluster.toml", &text);
            let pairs = read.unwrap_or_else(|problems| panic!("{problems}\n{text}")).value.pairs;
            assert!(pairs.values().all(|pair| pair.policy == policy), "{text}");
        }
        let text = plan.cluster_file(Path::new("/tmp/stage"), [21_002, 21_003]);
        let read = understudy_settings::parse_cluster("cluster.toml", &text);
        let read = read.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let seen = format!("{:?}", read.value);
        for word in ["tserver-1", "tserver-2", "/a \\\"b\\\"/tserver", "127.0.0.12", STAGE_MARK, "y z"] {
            assert!(seen.contains(word), "{word}: {seen}");
        }
    }

    #[test]
    fn the_files_of_the_daemons_are_read_too() {
        let (directory, sockets) = (Path::new("/d"), Path::new("/s"));
        let agent = agent_file(Host::Beta, "127.0.0.12:21000", None, directory, sockets);
        let agent = understudy_settings::parse_agent("lca.toml", &agent).unwrap().value;
        assert_eq!(agent.listen, ["127.0.0.12:21000"]);
        assert_eq!(agent.runtime_directory, "/s/run/beta");
        let server = server_file(Path::new("/d/cluster.toml"), Path::new("/s/scs.sock"), directory);
        let server = understudy_settings::parse_server("scs.toml", &server).unwrap().value;
        assert_eq!(server.api_socket, "/s/scs.sock");
        assert_eq!(server.state_directory, "/d/state/scs");
    }
}
