//! What a control server costs that has two hundred agents with two thousand applications.
//!
//! It knows the real control server and a crowd of played agents. The law: it is measured when every host is connected and
//! every pair is well, and at the end both are still so.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use understudy_pki::{Directory, Names, PkiError, Validity};

use super::PART;
use super::cost::{Budget, Cost, watch};
use super::crowd::PART_CROWD;
use crate::api::{Api, ApiError};
use crate::daemon::DaemonProcess;
use crate::heir::Heir;
use crate::plan::{PKI, SERVER, server_file};
use crate::ports::Ports;
use crate::sweep::end_all;
use crate::{Ground, Interrupt, Programs, StageError, Status};

const HOSTS: usize = 200;
/// Each with a member on two hosts: ten applications a host.
const PAIRS: usize = 1_000;
const UP_LIMIT: Duration = Duration::from_secs(120);
/// What starting cost is not on the account.
const CALM: Duration = Duration::from_secs(20);

/// The bar of this bench.
pub const BUDGET: Budget = Budget { rss_mb: 80.0, core_percent: 10.0 };

/// Measures the control server for a stretch of time.
pub fn measure(
    stretch: Duration,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<(Cost, serde_json::Value), StageError> {
    let mut large = Large::set_up(programs, ground)?;
    large.crowd.start()?;
    let began = Instant::now();
    let server = large.server.start()?;
    large.until(interrupt, "every host is connected", |status| {
        let missing = status.hosts.iter().filter(|host| host.status != "running").count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} are not")) }
    })?;
    let connected_s = began.elapsed().as_secs_f64();
    large.until(interrupt, "the cluster is well", well)?;
    let well_s = began.elapsed().as_secs_f64();
    interrupt.let_pass(CALM)?;
    let cost = watch(server, stretch, interrupt)?;
    large.until(interrupt, "the cluster is still well", well)?;
    large.server.finish()?;
    let more = json!({
        "hosts": HOSTS,
        "applications": 2 * PAIRS,
        "all_connected_s": connected_s,
        "all_well_s": well_s,
    });
    Ok((cost, more))
}

fn well(status: &Status) -> Result<(), String> {
    let unwell = status.unwell();
    let first = unwell.first().map(|first| format!("{} complaints, the first: {first}", unwell.len()));
    first.map_or(Ok(()), Err)
}

/// The control server, the process that plays its agents, and where their files lie.
struct Large {
    server: DaemonProcess,
    crowd: DaemonProcess,
    api: Api,
    /// Ends both if this program is killed.
    _heir: Heir,
    ground: Ground,
}

impl Large {
    fn set_up(programs: &Programs, ground: Ground) -> Result<Self, StageError> {
        let directory = ground.directory().to_owned();
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text).map_err(StageError::file("write", &path)).map(|()| path)
        };
        let mut ports = Ports::default();
        let addresses = (0..HOSTS).map(|_| ports.free_on(std::net::Ipv4Addr::LOCALHOST));
        let addresses = addresses.collect::<Result<Vec<u16>, StageError>>()?;
        issue(&directory.join(PKI))?;
        let list: String = (0..HOSTS).map(|n| format!("{} 127.0.0.1:{}\n", host(n), addresses[n])).collect();
        let list = write("crowd.list", &list)?;
        let cluster = write("cluster.toml", &cluster_file(&addresses))?;
        let socket = ground.sockets().join("scs.sock");
        let config = write("scs.toml", &server_file(&cluster, &socket, &directory))?;
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let own = std::env::current_exe().map_err(StageError::file("find", "this program"))?;
        let played = vec![PART.to_owned(), PART_CROWD.to_owned(), text(&list), text(&directory)];
        let daemon = |what: &str, program, arguments| {
            DaemonProcess::new(what, program, arguments, &directory, directory.join(format!("{what}.log")))
        };
        Ok(Self {
            _heir: Heir::appoint(programs, &ground)?,
            server: daemon("scs", programs.path("scs"), vec!["--config".to_owned(), text(&config)]),
            crowd: daemon("crowd", own, played),
            api: Api::at(socket),
            ground,
        })
    }

    fn until(
        &mut self,
        interrupt: &Interrupt,
        what: &str,
        look: impl Fn(&Status) -> Result<(), String>,
    ) -> Result<(), StageError> {
        interrupt.until(what, UP_LIMIT, || {
            self.server.check()?;
            self.crowd.check()?;
            // Asking costs the control server too: not more often than this.
            interrupt.let_pass(Duration::from_millis(100))?;
            match self.api.status() {
                Ok(status) => Ok(look(&status)),
                Err(
                    error @ (ApiError::Connect { .. } | ApiError::Talk { .. } | ApiError::Refused { .. }),
                ) => Ok(Err(error.to_string())),
                Err(error) => Err(error.into()),
            }
        })
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        if let Err(error) = end_all(self.ground.directory()) {
            eprintln!("not everything of {} was ended: {error}", self.ground.directory().display());
        }
    }
}

fn host(number: usize) -> String {
    format!("host-{number}")
}

/// An authority with a certificate for each agent and for the control server.
fn issue(directory: &std::path::Path) -> Result<(), StageError> {
    let authority = Directory::new(directory);
    let month = Validity::days(31)?;
    authority.init("large", None, month)?;
    let agents = (0..HOSTS).map(|number| format!("agent:{}", host(number)));
    for owner in agents.chain([format!("scs:{SERVER}")]) {
        authority.issue(&owner.parse().map_err(PkiError::from)?, &Names::default(), month)?;
    }
    Ok(())
}

/// Hosts, and pairs with their two members on neighbouring hosts.
fn cluster_file(ports: &[u16]) -> String {
    let mut text = "[cluster]\nname = \"large\"\n\n[timers]\naddp-timeout = \"1s\"\n\
                    addp-remote-timeout = \"1s\"\nflap-damping = \"off\"\n"
        .to_owned();
    for (number, port) in ports.iter().enumerate() {
        text += &format!(
            "\n[[host]]\nname = \"{}\"\naddresses = [\"127.0.0.1\"]\nlca-port = {port}\n",
            host(number)
        );
    }
    for number in 0..PAIRS {
        for member in 0..2 {
            text += &format!(
                "\n[[application]]\nname = \"p{number}-{}\"\nhost = \"{}\"\ninterface = \"library\"\n\
                 command = [\"/bin/sleep\", \"1000000\"]\n",
                member + 1,
                host((number + member) % ports.len()),
            );
        }
        text += &format!(
            "\n[[pair]]\nname = \"p{number}\"\nprimary = \"p{number}-1\"\nbackup = \"p{number}-2\"\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_of_the_large_cluster_are_ones_that_are_read() {
        let ports: Vec<u16> = (0..HOSTS).map(|number| 20_000 + u16::try_from(number).unwrap()).collect();
        let cluster =
            understudy_settings::parse_cluster("cluster.toml", &cluster_file(&ports)).unwrap().value;
        assert_eq!(
            (cluster.hosts.len(), cluster.applications.len(), cluster.pairs.len()),
            (200, 2_000, 1_000)
        );
    }
}
