//! What a managed application sees: its environment, and its options as a file.
//!
//! Refuses to know processes. The law: nothing of the agent's own environment is handed on; a variable that the agent
//! sets cannot be overridden by settings.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use understudy_decide::agent::Spawn;
use understudy_model::{HostName, Interface};

use crate::processes::notices::socket_path;
use crate::whole_file::{self, Keep};

/// The search path that every application begins with, unless its settings say otherwise.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Longest options file that is read, in bytes.
const LONGEST_OPTIONS_BYTES: u64 = 16 * 1024 * 1024;

/// Everything that is not in the start itself.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The agent's host.
    pub host: HostName,
    /// The socket that applications connect to.
    pub link: PathBuf,
    /// The directory of the role pages.
    pub pages: PathBuf,
    /// The directory of the notify sockets.
    pub notify: PathBuf,
    /// Home of the user, if it has one.
    pub home: Option<String>,
    /// The user's name, if settings name one.
    pub user: Option<String>,
    /// What its environment file says.
    pub file: Vec<(String, String)>,
}

/// The whole environment of one start, in a fixed order.
pub fn environment(around: &Surroundings, spawn: &Spawn, options: &Path) -> Vec<(String, String)> {
    let mut all = BTreeMap::from([("PATH".to_owned(), SEARCH_PATH.to_owned())]);
    if let Some(home) = &around.home {
        all.insert("HOME".to_owned(), home.clone());
    }
    if let Some(user) = &around.user {
        all.extend(["USER", "LOGNAME"].map(|name| (name.to_owned(), user.clone())));
    }
    all.extend(spawn.spec.environment.clone());
    // As with service units, the file of the host wins over what the cluster's settings say.
    all.extend(around.file.iter().cloned());
    all.retain(|name, _| !name.starts_with("UNDERSTUDY_"));
    all.remove("NOTIFY_SOCKET");
    all.remove("WATCHDOG_USEC");
    if spawn.spec.interface == Interface::Notify {
        let socket = socket_path(&around.notify, spawn.start);
        all.insert("NOTIFY_SOCKET".to_owned(), socket.display().to_string());
        if let Some(every) = spawn.spec.conduct.watchdog {
            all.insert("WATCHDOG_USEC".to_owned(), every.as_micros().to_string());
        }
    }
    let mut set = |name: String, value: String| all.insert(format!("UNDERSTUDY_{name}"), value);
    set("APPLICATION".to_owned(), spawn.application.to_string());
    set("HOST".to_owned(), around.host.to_string());
    set("RUN_MODE".to_owned(), spawn.run_mode.to_string());
    set("EPOCH".to_owned(), spawn.epoch.to_string());
    set("LINK".to_owned(), format!("unix:{}", around.link.display()));
    set("OPTIONS_FILE".to_owned(), options.display().to_string());
    for port in &spawn.spec.ports {
        set(format!("PORT_{}", variable_part(&port.id)), port.port.to_string());
    }
    if let Some(place) = &spawn.pair {
        set("PAIR".to_owned(), place.pair.to_string());
        let page = around.pages.join(spawn.application.as_str());
        set("ROLE_PAGE".to_owned(), page.display().to_string());
        set("PEER".to_owned(), place.peer.to_string());
        set("PEER_ADDRESS".to_owned(), place.peer_address.clone());
        for (id, port) in &place.peer_ports {
            set(format!("PEER_PORT_{}", variable_part(id)), port.to_string());
        }
    }
    all.into_iter().collect()
}

/// The environment of a hook: what its application sees, with a fixed search path and without a link of its own.
pub fn of_hook(around: &Surroundings, spawn: &Spawn, hook: &str, options: &Path) -> Vec<(String, String)> {
    let mut all: BTreeMap<_, _> = environment(around, spawn, options).into_iter().collect();
    // A hook is no process of the application, and is not heard as one.
    for name in ["UNDERSTUDY_LINK", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        all.remove(name);
    }
    all.insert("PATH".to_owned(), SEARCH_PATH.to_owned());
    all.insert("UNDERSTUDY_HOOK".to_owned(), hook.to_owned());
    all.into_iter().collect()
}

/// A port id at the end of a variable's name: upper case, and `_` for all but letters and digits.
fn variable_part(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Writes the options of an application as JSON, readable by the agent's user only: they may hold secrets.
pub fn write_options(path: &Path, options: &BTreeMap<String, BTreeMap<String, String>>) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(options).map_err(io::Error::from)?;
    // A restart finds them as they were, and is not kept waiting by a busy disk.
    if fs::read(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    // Whoever could read the old one can read the new one; only root has anything to give.
    let owner = fs::symlink_metadata(path).ok().map(|found| found.uid());
    whole_file::replace(path, &text, Keep::ThisBoot)?;
    match owner {
        Some(owner) if rustix::process::geteuid().is_root() => {
            std::os::unix::fs::lchown(path, Some(owner), None)
        }
        _ => Ok(()),
    }
}

/// The options that an earlier life of the agent wrote; none if they cannot be read.
pub fn read_options(path: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let read = || -> io::Result<_> {
        let mut text = Vec::new();
        fs::File::open(path)?.take(LONGEST_OPTIONS_BYTES).read_to_end(&mut text)?;
        serde_json::from_slice(&text).map_err(io::Error::from)
    };
    read().unwrap_or_default()
}

/// Gives an options file to the user that is to read it; others may pass its directory, which is the agent's alone.
pub fn hand_over(path: &Path, uid: u32) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt, lchown};
    if let Some(directory) = path.parent() {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o711))?;
    }
    lchown(path, Some(uid), None)
}

/// Takes an options file back that was another user's before.
pub fn take_back(path: &Path) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(rustix::process::geteuid().as_raw()), None)
}

/// Home of a user, from the system's list of users.
pub fn home_of(user: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let is_it = fields.next()?.parse() == Ok(user);
        fields.nth(2).filter(|home| is_it && home.starts_with('/')).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use understudy_model::{ApplicationName, PairName, PairPlace};

    #[test]
    fn an_application_sees_what_is_documented_and_nothing_else() {
        let around = Surroundings {
            host: HostName::new("alpha").unwrap(),
            link: PathBuf::from("/run/x/lca.sock"),
            pages: PathBuf::from("/run/x/role"),
            notify: PathBuf::from("/run/x/notify"),
            home: Some("/root".to_owned()),
            user: Some("tserver".to_owned()),
            file: vec![("FROM".to_owned(), "file".to_owned()), ("B".to_owned(), "file".to_owned())],
        };
        let mut spawn = samples::spawn("tserver-1", &["/bin/true"], 1);
        spawn.spec.environment = BTreeMap::from([
            ("A".to_owned(), "b".to_owned()),
            ("B".to_owned(), "settings".to_owned()),
            ("UNDERSTUDY_EPOCH".to_owned(), "99".to_owned()),
        ]);
        spawn.pair = Some(PairPlace {
            pair: PairName::new("tserver").unwrap(),
            peer: ApplicationName::new("tserver-2").unwrap(),
            peer_address: "127.0.0.12".to_owned(),
            peer_ports: vec![("ha-sync".to_owned(), 7001)],
            fence_budget: std::time::Duration::ZERO,
            link_grace: std::time::Duration::ZERO,
            strict: None,
        });
        let environment = environment(&around, &spawn, Path::new("/run/x/o.json"));
        let shown: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "A=b",
            "B=file",
            "FROM=file",
            "HOME=/root",
            "LOGNAME=tserver",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "UNDERSTUDY_APPLICATION=tserver-1",
            "UNDERSTUDY_EPOCH=0",
            "UNDERSTUDY_HOST=alpha",
            "UNDERSTUDY_LINK=unix:/run/x/lca.sock",
            "UNDERSTUDY_OPTIONS_FILE=/run/x/o.json",
            "UNDERSTUDY_PAIR=tserver",
            "UNDERSTUDY_PEER=tserver-2",
            "UNDERSTUDY_PEER_ADDRESS=127.0.0.12",
            "UNDERSTUDY_PEER_PORT_HA_SYNC=7001",
            "UNDERSTUDY_ROLE_PAGE=/run/x/role/tserver-1",
            "UNDERSTUDY_RUN_MODE=primary",
            "USER=tserver",
        ];
        assert_eq!(shown, expected);
    }
}
