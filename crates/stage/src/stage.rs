//! The stage itself: two agents and a control server as real processes, with the applications they start.
//!
//! It knows how to set it up, look at it, hurt it and clear it away, and no scenario. The law: every wait has a
//! deadline, and whatever happens, dropping the stage ends every process that belongs to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use understudy_pki::{Directory, Names, PkiError, Validity};

use crate::api::{Api, ApiError};
use crate::daemon::DaemonProcess;
use crate::heir::Heir;
use crate::net::{Network, Place, Station};
use crate::plan::{PKI, SERVER, agent_file, server_file};
use crate::ports::Ports;
use crate::sweep::{Held, end_all, find_guard, find_on_host, open_marked};
use crate::{Host, Interrupt, Plan, Programs, StageError, Status};

/// The longest path that a Unix socket may have, in bytes.
const LONGEST_SOCKET_PATH_BYTES: usize = 107;
/// Room for the names that agents give their sockets.
const SOCKET_NAME_BYTES: usize = 32;
/// How the names of the directories of every stage begin.
pub const GROUND_PREFIX: &str = "understudy-";
/// Where agents listen that have a network of their own.
const NETWORKED_PORT: u16 = 4999;
/// How long applications may take to stop at an orderly end: longer than settings give them before they are killed.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// One of the daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Daemon {
    /// The agent of a host.
    Agent(Host),
    /// The control server.
    Server,
}

impl Daemon {
    /// All three.
    pub const ALL: [Daemon; 3] = [Daemon::Agent(Host::Alpha), Daemon::Agent(Host::Beta), Daemon::Server];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Daemon::Agent(Host::Alpha) => "agent alpha",
            Daemon::Agent(Host::Beta) => "agent beta",
            Daemon::Server => "control server",
        }
    }

    /// Where it lives, if hosts have networks of their own.
    pub fn station(self) -> Station {
        match self {
            Daemon::Agent(host) => Station::Host(host),
            Daemon::Server => Station::Server,
        }
    }

    fn index(self) -> usize {
        match self {
            Daemon::Agent(Host::Alpha) => 0,
            Daemon::Agent(Host::Beta) => 1,
            Daemon::Server => 2,
        }
    }
}

/// Where the files of a stage lie: one directory for what must last, one with a short path for sockets.
#[derive(Debug)]
pub struct Ground {
    directory: TempDir,
    sockets: TempDir,
}

impl Ground {
    /// Both under the system's directory for temporary files.
    pub fn temporary() -> Result<Self, StageError> {
        Self::in_directory(&std::env::temp_dir())
    }

    /// What must last under `parent`, which is made if it is missing; sockets as above.
    pub fn in_directory(parent: &Path) -> Result<Self, StageError> {
        fs::create_dir_all(parent).map_err(StageError::file("make", parent))?;
        let parent = fs::canonicalize(parent).map_err(StageError::file("find", parent))?;
        let make = |parent: &Path| {
            let made = tempfile::Builder::new().prefix(GROUND_PREFIX).tempdir_in(parent);
            made.map_err(StageError::file("make a directory in", parent))
        };
        let ground = Self { directory: make(&parent)?, sockets: make(&std::env::temp_dir())? };
        let longest = ground.sockets.path().join("run/alpha");
        if longest.as_os_str().len() + SOCKET_NAME_BYTES > LONGEST_SOCKET_PATH_BYTES {
            return Err(StageError::PathTooLong { path: longest });
        }
        Ok(ground)
    }

    /// What must last; also the mark of every process of the stage.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Sockets.
    pub fn sockets(&self) -> &Path {
        self.sockets.path()
    }

    /// An error if somebody else removed a directory: nothing that is seen afterwards says anything of the cluster.
    fn check(&self) -> Result<(), StageError> {
        match [self.directory(), self.sockets()].into_iter().find(|path| !path.is_dir()) {
            Some(path) => Err(StageError::Removed { path: path.to_owned() }),
            None => Ok(()),
        }
    }

    fn leave(&mut self) {
        self.directory.disable_cleanup(true);
        self.sockets.disable_cleanup(true);
    }
}

/// A cluster of real processes.
#[derive(Debug)]
pub struct Stage {
    plan: Plan,
    interrupt: Interrupt,
    daemons: [DaemonProcess; 3],
    api: Api,
    /// Where hosts have networks of their own.
    network: Option<Network>,
    /// Ends everything if this program is killed.
    heir: Heir,
    /// Processes are ended when the stage is dropped.
    ends: bool,
    // Last, so that files are removed after everything else.
    ground: Ground,
}

impl Stage {
    /// Writes every settings file. Nothing is started.
    pub fn set_up(
        programs: &Programs,
        ground: Ground,
        plan: Plan,
        ports: &mut Ports,
        interrupt: Interrupt,
    ) -> Result<Self, StageError> {
        Self::set_up_on(programs, ground, plan, ports, interrupt, None)
    }

    /// The same on hosts with networks of their own, which the plan must be made for.
    pub fn set_up_on(
        programs: &Programs,
        ground: Ground,
        plan: Plan,
        ports: &mut Ports,
        interrupt: Interrupt,
        network: Option<Network>,
    ) -> Result<Self, StageError> {
        let (directory, sockets) = (ground.directory().to_owned(), ground.sockets().to_owned());
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).map_err(StageError::file("write", &path)).map(|()| path)
        };
        let mut lca_ports = [0; 2];
        for (host, port) in Host::ALL.into_iter().zip(&mut lca_ports) {
            // In a network of its own every port is free.
            *port = if network.is_some() { NETWORKED_PORT } else { ports.free_on(host.address())? };
        }
        issue_certificates(&directory.join(PKI), &plan.cluster)?;
        let cluster = write("cluster.toml", &plan.cluster_file(&directory, lca_ports))?;
        let socket = sockets.join("scs.sock");
        let server = write("scs.toml", &server_file(&cluster, &socket, &directory))?;
        let [alpha, beta] = Host::ALL.map(|host| {
            let listen = format!("{}:{}", plan.whereabouts(host).listen, lca_ports[host.index()]);
            let file = agent_file(host, &listen, plan.status_place(host), &directory, &sockets);
            write(&format!("lca-{}.toml", host.name()), &file)
        });
        let heir = Heir::appoint(programs, &ground)?;
        let daemon = |daemon: Daemon, program: &str, config: &Path| {
            let arguments = vec!["--config".to_owned(), config.to_string_lossy().into_owned()];
            let log = directory.join(format!("{}.log", daemon.name().replace(' ', "-")));
            let place = network.as_ref().map(|network| Arc::clone(network.place(daemon.station())));
            DaemonProcess::new(daemon.name(), programs.path(program), arguments, &directory, log)
                .in_place(place)
                .urgent(plan.urgent)
        };
        let daemons = [
            daemon(Daemon::Agent(Host::Alpha), "lca", &alpha?),
            daemon(Daemon::Agent(Host::Beta), "lca", &beta?),
            daemon(Daemon::Server, "scs", &server),
        ];
        Ok(Self { plan, interrupt, daemons, api: Api::at(socket), network, heir, ends: true, ground })
    }

    /// Starts every daemon that does not run.
    pub fn start_all(&mut self) -> Result<(), StageError> {
        Daemon::ALL.into_iter().try_for_each(|daemon| self.start(daemon).map(drop))
    }

    /// Starts a daemon, if it does not run; answers its process.
    pub fn start(&mut self, daemon: Daemon) -> Result<u32, StageError> {
        self.daemons[daemon.index()].start()
    }

    /// Starts a daemon from another program the next time.
    pub fn set_program(&mut self, daemon: Daemon, program: PathBuf) {
        self.daemons[daemon.index()].set_program(program);
    }

    /// Kill -9 of a daemon, and waits for its end. False if it did not run.
    pub fn kill(&mut self, daemon: Daemon) -> Result<bool, StageError> {
        self.daemons[daemon.index()].kill()
    }

    /// The process of a daemon, if it runs.
    pub fn daemon_pid(&self, daemon: Daemon) -> Option<u32> {
        self.daemons[daemon.index()].pid()
    }

    /// Kill -9 of an application's main process; answers its number and the boot time right before the signal.
    pub fn kill_application(&self, name: &str) -> Result<(u32, u64), StageError> {
        self.hurt_application(name, Held::kill)
    }

    /// SIGSTOP of an application's main process; answers as [`Stage::kill_application`] does.
    pub fn stop_application(&self, name: &str) -> Result<(u32, u64), StageError> {
        self.hurt_application(name, Held::stop)
    }

    fn hurt_application(
        &self,
        name: &str,
        hurt: impl FnOnce(&Held) -> Result<(), StageError>,
    ) -> Result<(u32, u64), StageError> {
        let status = self.api.status()?;
        let pid = status.application(name).and_then(|one| one.pid);
        let pid = pid.ok_or_else(|| StageError::Unexpected(format!("{name} has no process")))?;
        let held = open_marked(pid, self.directory()).ok_or_else(|| {
            StageError::Unexpected(format!("process {pid} of {name} does not belong to this stage"))
        })?;
        let before_ns = crate::clock::boot_ns();
        hurt(&held)?;
        Ok((pid, before_ns))
    }

    /// SIGSTOP of everything that runs on a host, its agent and its guard first: nothing is closed, nothing answers. Answers what was
    /// stopped, for [`Stage::thaw`], and the boot time right before.
    pub fn freeze(&self, host: Host) -> Result<(Vec<Held>, u64), StageError> {
        let pid = self.daemon_pid(Daemon::Agent(host));
        let agent = pid.and_then(|pid| open_marked(pid, self.directory()));
        let agent = agent
            .ok_or_else(|| StageError::Unexpected(format!("the agent of {} does not run", host.name())))?;
        let mut held = vec![agent];
        held.extend(self.guard(host)?);
        held.extend(find_on_host(self.directory(), host.name())?);
        let before_ns = crate::clock::boot_ns();
        held.iter().try_for_each(Held::stop)?;
        Ok((held, before_ns))
    }

    /// The guard of that host's agent, if it runs.
    pub fn guard(&self, host: Host) -> Result<Option<Held>, StageError> {
        find_guard(&self.ground.sockets().join("run").join(host.name()))
    }

    /// Everything that was stopped goes on.
    pub fn thaw(&self, held: &[Held]) -> Result<(), StageError> {
        held.iter().try_for_each(Held::resume)
    }

    /// The operators' API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The networks of the hosts; an error if they have none of their own.
    pub fn network(&self) -> Result<&Network, StageError> {
        let none =
            || StageError::Unexpected("the hosts of this stage share the machine's network".to_owned());
        self.network.as_ref().ok_or_else(none)
    }

    /// Where clients live; none: in the machine's network.
    pub fn client_place(&self) -> Option<Arc<Place>> {
        self.network.as_ref().map(|network| Arc::clone(network.place(Station::Client)))
    }

    /// What is played.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Notices Ctrl-C.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Where everything lies.
    pub fn directory(&self) -> &Path {
        self.ground.directory()
    }

    /// Where its sockets lie.
    pub fn sockets(&self) -> &Path {
        self.ground.sockets()
    }

    /// Looks at the status again and again until `look` is content; its error says what is there instead.
    pub fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Status) -> Result<T, String>,
    ) -> Result<T, StageError> {
        let interrupt = self.interrupt.clone();
        interrupt.until(what, limit, || {
            self.daemons.iter_mut().try_for_each(DaemonProcess::check)?;
            self.ground.check()?;
            match self.api.status() {
                Ok(status) => Ok(look(&status)),
                // It may be starting, or it was killed in the middle of an answer.
                Err(
                    error @ (ApiError::Connect { .. } | ApiError::Talk { .. } | ApiError::Refused { .. }),
                ) => Ok(Err(error.to_string())),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Waits until nothing is wrong with the cluster.
    pub fn until_well(&mut self, limit: Duration) -> Result<Status, StageError> {
        self.until("the cluster is well", limit, |status| {
            let unwell = status.unwell();
            if unwell.is_empty() { Ok(status.clone()) } else { Err(unwell.join(", ")) }
        })
    }

    /// A planned switchover, followed to its end.
    pub fn switch_over(&mut self, pair: &str, to: &str, limit: Duration) -> Result<Option<f64>, StageError> {
        let begun = self.api.switch_over(pair, to)?;
        let mut now = begun.clone();
        if begun.id > 0 {
            let interrupt = self.interrupt.clone();
            now = interrupt.until("the switchover has ended", limit, || {
                let now = self.api.follow(begun.id)?;
                Ok(if now.state == "running" { Err(now.state) } else { Ok(now) })
            })?;
        }
        match now.state.as_str() {
            "done" => Ok(now.took_ms),
            state => {
                let why = now.why.unwrap_or_default();
                Err(StageError::Unexpected(format!("the switchover of {pair} to {to} {state}: {why}")))
            }
        }
    }

    /// Lets everything run on, and its files lie, when this program ends.
    pub fn leave(mut self) -> PathBuf {
        self.ends = false;
        self.daemons.iter_mut().for_each(DaemonProcess::leave);
        self.heir.dismiss();
        self.ground.leave();
        self.ground.directory().to_owned()
    }

    /// Keeps the files, for whoever wants to know what went wrong. Processes end all the same.
    pub fn keep_files(&mut self) -> &Path {
        self.ground.leave();
        self.ground.directory()
    }

    /// An orderly end: applications are stopped by their agents, then the daemons end, then the files go.
    pub fn end(mut self) -> Result<(), StageError> {
        let names: Vec<String> = self.plan.pairs.iter().map(|pair| pair.name.clone()).collect();
        let singles = self.plan.applications.iter().filter(|one| {
            !self.plan.pairs.iter().any(|pair| pair.primary == one.name || pair.backup == one.name)
        });
        for (kind, name) in
            names.iter().map(|name| ("pairs", name)).chain(singles.map(|one| ("applications", &one.name)))
        {
            self.api.post(&format!("/v1/{kind}/{name}/stop"), &json!({}))?;
        }
        self.until("every application has stopped", STOP_LIMIT, |status| {
            let running: Vec<&str> = status
                .applications
                .iter()
                .filter(|one| one.pid.is_some())
                .map(|one| one.name.as_str())
                .collect();
            if running.is_empty() { Ok(()) } else { Err(format!("{} run", running.join(", "))) }
        })?;
        for daemon in self.daemons.iter_mut().rev() {
            daemon.finish()?;
        }
        self.clear()
    }

    fn clear(&mut self) -> Result<(), StageError> {
        self.ends = false;
        // First the control server, then the agents: nobody starts again what the others end.
        let killed: Result<(), StageError> =
            self.daemons.iter_mut().rev().try_for_each(|daemon| daemon.kill().map(drop));
        // A guard outlives its agent, which is what it is for.
        for host in Host::ALL {
            if let Some(guard) = self.guard(host)? {
                guard.kill()?;
            }
        }
        end_all(self.ground.directory())?;
        killed
    }
}

/// An authority of the stage's own, with a certificate for every daemon.
fn issue_certificates(directory: &Path, cluster: &str) -> Result<(), StageError> {
    let authority = Directory::new(directory);
    let month = Validity::days(31)?;
    authority.init(cluster, None, month)?;
    let agents = Host::ALL.map(|host| format!("agent:{}", host.name()));
    for owner in agents.into_iter().chain([format!("scs:{SERVER}")]) {
        let role = owner.parse().map_err(PkiError::from)?;
        authority.issue(&role, &Names::default(), month)?;
    }
    Ok(())
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.ends
            && let Err(error) = self.clear()
        {
            eprintln!("not everything of {} was ended: {error}", self.ground.directory().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ground_that_somebody_removed_is_noticed() {
        let ground = Ground::temporary().unwrap();
        assert!(ground.check().is_ok());
        fs::remove_dir(ground.sockets()).unwrap();
        let error = ground.check().unwrap_err().to_string();
        assert!(error.contains(&ground.sockets().display().to_string()), "{error}");
    }
}
