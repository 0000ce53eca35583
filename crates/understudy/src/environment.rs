//! What the agent tells an application through its environment, checked once at the start.
//!
//! Knows no sockets. The law: a variable that is there and makes no sense is an error that names it, never a default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use understudy_model::{ApplicationName, Epoch, HostName, NameError, PairName, RunMode};

use crate::{HIGHEST_EPOCH, Role};

/// Why the environment cannot be used. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable that must be there when `UNDERSTUDY_LINK` is.
    #[error("{variable} is not set, but UNDERSTUDY_LINK is: the agent sets both")]
    Missing {
        /// Its name.
        variable: &'static str,
    },
    /// A variable that is not Unicode.
    #[error("{variable} is not valid Unicode")]
    NotUnicode {
        /// Its name.
        variable: String,
    },
    /// A variable that should be a name.
    #[error("{variable} is {found:?}: {source}")]
    BadName {
        /// Its name.
        variable: &'static str,
        /// Its value.
        found: String,
        /// Which rule of names it breaks.
        source: NameError,
    },
    /// A link of a kind that this library does not know, or without a path.
    #[error("UNDERSTUDY_LINK is {found:?}; unix:/PATH is allowed")]
    BadLink {
        /// Its value.
        found: String,
    },
    /// A run mode that is neither of the two an application starts in.
    #[error("UNDERSTUDY_RUN_MODE is {found:?}; primary and backup are allowed")]
    BadRunMode {
        /// Its value.
        found: String,
    },
    /// An epoch that is no number, or too high.
    #[error("UNDERSTUDY_EPOCH is {found:?}; a number from 0 to {HIGHEST_EPOCH} is allowed")]
    BadEpoch {
        /// Its value.
        found: String,
    },
    /// A role page that is not named by a whole path.
    #[error("UNDERSTUDY_ROLE_PAGE is {found:?}; an absolute path is allowed")]
    BadRolePage {
        /// Its value.
        found: String,
    },
    /// A port that is none.
    #[error("{variable} is {found:?}; a port from 1 to 65535 is allowed")]
    BadPort {
        /// Its name.
        variable: String,
        /// Its value.
        found: String,
    },
}

/// Everything the agent told this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its own name.
    pub application: ApplicationName,
    /// The host it runs on, if it was said.
    pub host: Option<HostName>,
    /// Its pair; absent for a single application.
    pub pair: Option<PairName>,
    /// The other member.
    pub peer: Option<ApplicationName>,
    /// Where the other member's host is reached.
    pub peer_address: Option<String>,
    /// Its options as JSON.
    pub options_file: Option<PathBuf>,
    /// What it is at the start. A member that is primary at the start was restarted in place. Where nothing is said, a
    /// member is backup and a single application is primary, in epoch 0.
    pub role: Role,
    /// The page that says until when it may act as primary; absent for a single application.
    pub role_page: Option<PathBuf>,
    /// The agent's Unix socket.
    pub(crate) link: PathBuf,
    ports: BTreeMap<String, u16>,
    peer_ports: BTreeMap<String, u16>,
}

impl Environment {
    /// Reads the environment of this process. `Ok(None)`: no agent started it (`UNDERSTUDY_LINK` is not set), and it
    /// is on its own.
    pub fn read() -> Result<Option<Self>, EnvironmentError> {
        let mut variables = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("UNDERSTUDY_")) else { continue };
            let value = value
                .into_string()
                .map_err(|_| EnvironmentError::NotUnicode { variable: name.to_owned() })?;
            variables.insert(name.to_owned(), value);
        }
        Self::from_variables(&variables)
    }

    /// The same, from variables that are given: for tests, and for programs that hide their environment.
    pub fn from_variables(variables: &BTreeMap<String, String>) -> Result<Option<Self>, EnvironmentError> {
        // An empty variable is one that somebody tried to unset.
        let get = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let need = |variable| get(variable).ok_or(EnvironmentError::Missing { variable });
        let Some(link) = get("UNDERSTUDY_LINK") else { return Ok(None) };
        let path = link.strip_prefix("unix:").filter(|path| path.starts_with('/'));
        let Some(path) = path.map(PathBuf::from) else {
            return Err(EnvironmentError::BadLink { found: link });
        };
        let application = need("UNDERSTUDY_APPLICATION")?;
        let application = named("UNDERSTUDY_APPLICATION", application, ApplicationName::new)?;
        let pair = optional("UNDERSTUDY_PAIR", get("UNDERSTUDY_PAIR"), PairName::new)?;
        Ok(Some(Self {
            application,
            host: optional("UNDERSTUDY_HOST", get("UNDERSTUDY_HOST"), HostName::new)?,
            peer: optional("UNDERSTUDY_PEER", get("UNDERSTUDY_PEER"), ApplicationName::new)?,
            peer_address: get("UNDERSTUDY_PEER_ADDRESS"),
            options_file: get("UNDERSTUDY_OPTIONS_FILE").map(PathBuf::from),
            role_page: role_page(get("UNDERSTUDY_ROLE_PAGE"))?,
            role: starting_role(&pair, get("UNDERSTUDY_RUN_MODE"), get("UNDERSTUDY_EPOCH"))?,
            pair,
            link: path,
            ports: ports_named("UNDERSTUDY_PORT_", variables)?,
            peer_ports: ports_named("UNDERSTUDY_PEER_PORT_", variables)?,
        }))
    }

    /// The configured port with that id (`default`, `ha`), if there is one.
    pub fn port(&self, id: &str) -> Option<u16> {
        self.ports.get(&variable_part(id)).copied()
    }

    /// The other member's port with that id, if there is one.
    pub fn peer_port(&self, id: &str) -> Option<u16> {
        self.peer_ports.get(&variable_part(id)).copied()
    }
}

/// A port id as it stands at the end of a variable's name: upper case, and `_` for all but letters and digits.
pub fn variable_part(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

fn named<T>(
    variable: &'static str,
    found: String,
    parse: fn(&str) -> Result<T, NameError>,
) -> Result<T, EnvironmentError> {
    parse(&found).map_err(|source| EnvironmentError::BadName { variable, found, source })
}

fn optional<T>(
    variable: &'static str,
    found: Option<String>,
    parse: fn(&str) -> Result<T, NameError>,
) -> Result<Option<T>, EnvironmentError> {
    found.map(|found| named(variable, found, parse)).transpose()
}

fn starting_role(
    pair: &Option<PairName>,
    run_mode: Option<String>,
    epoch: Option<String>,
) -> Result<Role, EnvironmentError> {
    let run_mode = match run_mode {
        // A member of a pair waits until it is told; a single application has nobody to wait for.
        None if pair.is_some() => RunMode::Backup,
        None => RunMode::Primary,
        Some(word) => match RunMode::from_word(&word) {
            Some(mode @ (RunMode::Primary | RunMode::Backup)) => mode,
            _ => return Err(EnvironmentError::BadRunMode { found: word }),
        },
    };
    let epoch = match epoch {
        None => Epoch::NONE,
        Some(text) => match text.parse() {
            Ok(number) if number <= HIGHEST_EPOCH.0 => Epoch(number),
            _ => return Err(EnvironmentError::BadEpoch { found: text }),
        },
    };
    Ok(Role { run_mode, epoch })
}

fn role_page(found: Option<String>) -> Result<Option<PathBuf>, EnvironmentError> {
    match found {
        Some(found) if !found.starts_with('/') => Err(EnvironmentError::BadRolePage { found }),
        found => Ok(found.map(PathBuf::from)),
    }
}

fn ports_named(
    prefix: &str,
    variables: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, u16>, EnvironmentError> {
    let mut ports = BTreeMap::new();
    for (variable, found) in variables {
        let Some(id) = variable.strip_prefix(prefix) else { continue };
        match found.parse() {
            Ok(port) if port > 0 => ports.insert(id.to_owned(), port),
            _ => return Err(EnvironmentError::BadPort { variable: variable.clone(), found: found.clone() }),
        };
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(extra: &[(&str, &str)]) -> BTreeMap<String, String> {
        let base = [("UNDERSTUDY_LINK", "unix:/run/x"), ("UNDERSTUDY_APPLICATION", "tserver-1")];
        base.iter().chain(extra).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn without_a_link_there_is_no_agent() {
        let mut alone = variables(&[("UNDERSTUDY_RUN_MODE", "nonsense")]);
        alone.remove("UNDERSTUDY_LINK");
        assert_eq!(Environment::from_variables(&alone), Ok(None));
        alone.insert("UNDERSTUDY_LINK".to_owned(), String::new());
        assert_eq!(Environment::from_variables(&alone), Ok(None));
    }

    #[test]
    fn everything_said_is_read() {
        let read = Environment::from_variables(&variables(&[
            ("UNDERSTUDY_RUN_MODE", "primary"),
            ("UNDERSTUDY_EPOCH", "7"),
            ("UNDERSTUDY_HOST", "alpha"),
            ("UNDERSTUDY_PAIR", "tserver"),
            ("UNDERSTUDY_PEER", "tserver-2"),
            ("UNDERSTUDY_PEER_ADDRESS", "127.0.0.12"),
            ("UNDERSTUDY_PEER_PORT_HA_SYNC", "7001"),
            ("UNDERSTUDY_PORT_DEFAULT", "7000"),
            ("UNDERSTUDY_OPTIONS_FILE", "/run/o.json"),
            ("UNDERSTUDY_ROLE_PAGE", "/run/role/tserver-1"),
        ]));
        let read = read.unwrap().unwrap();
        assert_eq!(read.application.as_str(), "tserver-1");
        assert_eq!(read.role, Role { run_mode: RunMode::Primary, epoch: Epoch(7) });
        assert_eq!(read.pair.as_ref().unwrap().as_str(), "tserver");
        assert_eq!(read.peer.as_ref().unwrap().as_str(), "tserver-2");
        assert_eq!(read.peer_address.as_deref(), Some("127.0.0.12"));
        assert_eq!((read.port("default"), read.port("ha")), (Some(7000), None));
        assert_eq!((read.peer_port("ha-sync"), read.peer_port("default")), (Some(7001), None));
        assert_eq!(read.options_file, Some(PathBuf::from("/run/o.json")));
        assert_eq!(read.role_page, Some(PathBuf::from("/run/role/tserver-1")));
        assert_eq!(read.link, PathBuf::from("/run/x"));
    }

    #[test]
    fn nothing_said_of_a_role_makes_a_member_wait_and_a_single_application_serve() {
        let member =
            Environment::from_variables(&variables(&[("UNDERSTUDY_PAIR", "tserver")])).unwrap().unwrap();
        assert_eq!(member.role, Role { run_mode: RunMode::Backup, epoch: Epoch::NONE });
        let single = Environment::from_variables(&variables(&[])).unwrap().unwrap();
        assert_eq!(single.role, Role { run_mode: RunMode::Primary, epoch: Epoch::NONE });
        assert_eq!((single.host, single.pair, single.peer, single.role_page), (None, None, None, None));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let cases = [
            ("UNDERSTUDY_LINK", "tcp:127.0.0.1:1"),
            ("UNDERSTUDY_LINK", "unix:relative"),
            ("UNDERSTUDY_APPLICATION", "a/b"),
            ("UNDERSTUDY_RUN_MODE", "exiting"),
            ("UNDERSTUDY_EPOCH", "-1"),
            ("UNDERSTUDY_EPOCH", "4611686018427387904"),
            ("UNDERSTUDY_PEER", "-"),
            ("UNDERSTUDY_ROLE_PAGE", "role/tserver-1"),
            ("UNDERSTUDY_PORT_DEFAULT", "0"),
            ("UNDERSTUDY_PEER_PORT_HA", "70000"),
        ];
        for (variable, value) in cases {
            let problem = Environment::from_variables(&variables(&[(variable, value)])).unwrap_err();
            assert!(problem.to_string().starts_with(variable), "{variable}={value}: {problem}");
            assert!(problem.to_string().contains(value), "{variable}={value}: {problem}");
        }
        let mut nameless = variables(&[]);
        nameless.remove("UNDERSTUDY_APPLICATION");
        assert_eq!(
            Environment::from_variables(&nameless),
            Err(EnvironmentError::Missing { variable: "UNDERSTUDY_APPLICATION" })
        );
    }
}
