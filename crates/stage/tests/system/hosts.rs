//! Two hosts as an operator sets them up by the guide: alpha with an agent, beta with an agent and the control server; a pair
//! `t` and an application `single`.
//!
//! It knows the shipped units, settings and the command line; no story. The law: what it looks at it asks `scsctl`, as
//! everybody does, or the application itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bed::{Bed, Net, Said, until};

pub const ALPHA: usize = 0;
pub const BETA: usize = 1;
const NAMES: [&str; 2] = ["alpha", "beta"];
const ADDRESSES: [&str; 2] = ["127.0.0.11", "127.0.0.12"];

pub const UNITS: [&str; 4] = ["lca.service", "lca-handover.service", "scs.service", "understudy.slice"];

/// What must not change: every process, and every role with its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub processes: BTreeMap<String, Option<u64>>,
    pub roles: BTreeMap<String, (Option<String>, u64)>,
}

pub struct Hosts {
    pub beds: [Bed; 2],
    net: Net,
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_understudy-demo")).parent().unwrap().to_owned()
}

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/systemd")
}

impl Hosts {
    /// Everything installed, enabled, started and well.
    pub fn well() -> Self {
        let net = Net::new();
        let mut hosts = Self { beds: NAMES.map(Bed::new), net };
        let authority = tempfile::tempdir().unwrap();
        make_certificates(authority.path());
        for index in [ALPHA, BETA] {
            hosts.install(index, authority.path());
            hosts.boot(index);
            hosts.beds[index].exec(&["systemd-sysusers", "/usr/lib/sysusers.d/understudy.conf"]).expect(0);
            hosts.beds[index]
                .exec(&["systemd-tmpfiles", "--create", "/usr/lib/tmpfiles.d/understudy.conf"])
                .expect(0);
        }
        let key = "/etc/understudy/pki/scs-1.key";
        hosts.beds[BETA].exec(&["chown", "understudy:understudy", key]).expect(0);
        hosts.beds[BETA].exec(&["systemctl", "enable", "--now", "scs"]).expect(0);
        for bed in &hosts.beds {
            bed.exec(&["systemctl", "enable", "--now", "lca", "lca-handover"]).expect(0);
        }
        hosts.until_well();
        hosts
    }

    pub fn boot(&mut self, index: usize) {
        self.beds[index].up(&self.net);
    }

    fn install(&self, index: usize, authority: &Path) {
        let root = self.beds[index].root();
        let put = |from: PathBuf, to: &str| {
            let to = root.join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        };
        let write = |to: &str, text: &str| {
            let to = root.join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, text).unwrap();
        };
        for program in ["lca", "lca-guard", "scs", "scsctl", "tserver"] {
            put(programs().join(program), &format!("usr/bin/{program}"));
        }
        for unit in UNITS {
            put(units().join(unit), &format!("etc/systemd/system/{unit}"));
        }
        put(units().join("understudy.sysusers.conf"), "usr/lib/sysusers.d/understudy.conf");
        put(units().join("understudy.tmpfiles.conf"), "usr/lib/tmpfiles.d/understudy.conf");
        let names: &[&str] = if index == BETA { &["beta", "scs-1"] } else { &["alpha"] };
        for name in names {
            for kind in ["pem", "key"] {
                put(authority.join(format!("{name}.{kind}")), &format!("etc/understudy/pki/{name}.{kind}"));
            }
        }
        write("usr/lib/sysusers.d/tserver.conf", "u tserver - \"A call server\"\n");
        put(authority.join("ca.pem"), "etc/understudy/pki/ca.pem");
        let tls = |name: &str| {
            format!(
                "[tls]\ncertificate = \"/etc/understudy/pki/{name}.pem\"\nkey = \"/etc/understudy/pki/{name}.key\"\n\
                 authorities = [\"/etc/understudy/pki/ca.pem\"]\n"
            )
        };
        let (name, address) = (NAMES[index], ADDRESSES[index]);
        write(
            "etc/understudy/lca.toml",
            &format!(
                "[agent]\nhost = \"{name}\"\nlisten = [\"{address}:4999\"]\n{}[policy]\nusers = [\"tserver\"]\n",
                tls(name)
            ),
        );
        if index == BETA {
            let server = "[server]\nname = \"scs-1\"\napi-socket = \"/run/understudy-scs/scs.sock\"\n";
            write("etc/understudy/scs.toml", &format!("{server}{}", tls("scs-1")));
            write("etc/understudy/cluster.toml", &cluster());
        }
    }

    // ---- units ------------------------------------------------------------------------------------------------------

    pub fn property(&self, unit: &str, name: &str) -> String {
        self.property_of(ALPHA, unit, name)
    }

    fn property_of(&self, index: usize, unit: &str, name: &str) -> String {
        self.beds[index].exec(&["systemctl", "show", unit, "-P", name]).text
    }

    /// Main process, and how often systemd started it again by itself.
    pub fn unit(&self, unit: &str) -> (u32, u32) {
        self.unit_of(ALPHA, unit)
    }

    pub fn unit_of(&self, index: usize, unit: &str) -> (u32, u32) {
        let number = |name| self.property_of(index, unit, name).trim().parse().unwrap_or(0);
        (number("MainPID"), number("NRestarts"))
    }

    pub fn until_another(&self, unit: &str, pid: u32, restarts: u32) {
        self.until_another_of(ALPHA, unit, pid, restarts);
    }

    pub fn until_another_of(&self, index: usize, unit: &str, pid: u32, restarts: u32) {
        until(&format!("{unit} was started again"), || {
            let now = self.unit_of(index, unit);
            let active = self.property_of(index, unit, "ActiveState");
            if now.0 != 0 && now.0 != pid && now.1 == restarts && active.trim() == "active" {
                Ok(())
            } else {
                Err(format!("{now:?} {active}"))
            }
        });
    }

    /// The unit's watchdog waits for two seconds from now on.
    pub fn shorten_watchdog(&mut self, unit: &str) {
        let bed = &self.beds[ALPHA];
        let directory = bed.root().join(format!("etc/systemd/system/{unit}.service.d"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("test.conf"), "[Service]\nWatchdogSec=2s\n").unwrap();
        bed.exec(&["systemctl", "daemon-reload"]).expect(0);
        bed.exec(&["systemctl", "restart", unit]).expect(0);
        self.until_well();
    }

    // ---- the cluster ------------------------------------------------------------------------------------------------

    pub fn scsctl(&self, arguments: &[&str]) -> Said {
        let command: Vec<&str> = ["scsctl"].into_iter().chain(arguments.iter().copied()).collect();
        self.beds[BETA].exec(&command)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value, String> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
        let said = self.scsctl(&arguments);
        serde_json::from_str(&said.text).map_err(|error| format!("{error}: {}", said.text))
    }

    fn look(&self) -> Result<(Seen, Vec<String>), String> {
        let status = self.json(&["status"])?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
        let processes = list("applications")
            .iter()
            .map(|one| (text(&one["name"]).unwrap_or_default(), one["pid"].as_u64()))
            .collect();
        let roles = list("pairs")
            .iter()
            .map(|one| {
                let role = (text(&one["primary"]), one["epoch"].as_u64().unwrap_or(0));
                (text(&one["name"]).unwrap_or_default(), role)
            })
            .collect();
        let mut unwell = Vec::new();
        for host in list("hosts").iter().filter(|host| host["status"] != "running") {
            unwell.push(host.to_string());
        }
        for one in list("applications").iter().filter(|one| one["status"] != "started") {
            unwell.push(one.to_string());
        }
        for pair in list("pairs").iter().filter(|pair| pair["ready"] != true) {
            unwell.push(pair.to_string());
        }
        Ok((Seen { processes, roles }, unwell))
    }

    pub fn seen(&self) -> Seen {
        self.look().unwrap().0
    }

    /// Waits until all hosts are heard, all applications started, and all pairs ready.
    #[track_caller]
    pub fn until_well(&self) -> Seen {
        until("all is well", || match self.look()? {
            (seen, unwell) if unwell.is_empty() && !seen.roles.is_empty() => Ok(seen),
            (_, unwell) => Err(unwell.join("\n")),
        })
    }

    pub fn primary(&self) -> Option<String> {
        self.seen().roles.get("t").and_then(|(primary, _)| primary.clone())
    }

    #[track_caller]
    pub fn until_primary(&self, member: &str) {
        until(&format!("{member} is primary"), || match self.look()?.0.roles.get("t") {
            Some((Some(primary), _)) if primary == member => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    pub fn pids_on_alpha(&self, seen: &Seen) -> Vec<(String, u64)> {
        ["t-1", "single"].iter().map(|name| ((*name).to_owned(), seen.processes[*name].unwrap())).collect()
    }

    pub fn last_event(&self) -> u64 {
        let events = self.events();
        events.iter().filter_map(|event| event["id"].as_u64()).max().unwrap_or(0)
    }

    pub fn events_after(&self, last: u64) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["id"].as_u64() > Some(last));
        events
    }

    fn events(&self) -> Vec<Value> {
        let text = self.scsctl(&["events", "--limit", "500", "-o", "json"]).expect(0);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a call server of a host says that it is, without any of our daemons.
    pub fn application(&self, index: usize, name: &str) -> Option<String> {
        let port = if name == "single" { 7003 } else { 7001 };
        let script = format!(
            "exec 3<>/dev/tcp/{}/{port} && echo HELLO >&3 && IFS= read -r -t 5 line <&3 && echo \"$line\"",
            ADDRESSES[index]
        );
        let said = self.beds[index].exec(&["bash", "-c", &script]);
        let mode = said.text.split_whitespace().find_map(|word| word.strip_prefix("run-mode="))?;
        Some(mode.to_owned())
    }

    /// It stays so for that long.
    pub fn hold_for(&self, span: Duration, so: impl Fn()) {
        let end = Instant::now() + span;
        while Instant::now() < end {
            so();
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.scsctl(&["events", "--limit", "60"]).text);
            eprintln!("{}", self.scsctl(&["status"]).text);
        }
    }
}

fn make_certificates(directory: &Path) {
    let shown = directory.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(programs().join("scsctl"));
        let out = command.arg("pki").args(arguments).args(["--directory", shown]).output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    run(&["init", "--name", "boxes"]);
    for role in ["agent:alpha", "agent:beta", "scs:scs-1"] {
        run(&["issue", role]);
    }
}

fn cluster() -> String {
    let mut text = "[cluster]\nname = \"boxes\"\ntimers = \"normal\"\n".to_owned();
    for (name, address) in NAMES.into_iter().zip(ADDRESSES) {
        // A stopped agent is found by its watchdog before its host counts as lost: a story is about one of both.
        text += &format!(
            "\n[[host]]\nname = \"{name}\"\naddresses = [\"{address}\"]\n[host.addp]\naddp-timeout = \"4s\"\n"
        );
    }
    for (name, index, port) in [("t-1", ALPHA, 7001), ("t-2", BETA, 7002), ("single", ALPHA, 7003)] {
        text += &format!(
            "\n[[application]]\nname = \"{name}\"\nhost = \"{}\"\ninterface = \"library\"\nuser = \"tserver\"\n\
             command = [\"/usr/bin/tserver\", \"--bind\", \"{}\"]\n[[application.port]]\nid = \"default\"\nport = {port}\n",
            NAMES[index], ADDRESSES[index]
        );
    }
    text + "\n[[pair]]\nname = \"t\"\nprimary = \"t-1\"\nbackup = \"t-2\"\n"
}
