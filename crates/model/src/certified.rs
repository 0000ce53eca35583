//! Who a certificate says its owner is.
//!
//! Knows no bytes of certificates: a URI in one carries the text. The law: a name is of one cluster and one role, and what
//! is not exactly such a text is nobody.

use std::fmt;
use std::str::FromStr;

use crate::{ApplicationName, ClusterId, ControllerName, HostName, NameError, OperatorName};

/// The scheme of the URI in a certificate: `understudy://CLUSTER/ROLE/NAME`.
const SCHEME: &str = "understudy://";

/// What the owner of a certificate may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A control server: commands agents.
    Scs(ControllerName),
    /// The agent of a host.
    Agent(HostName),
    /// A person, or a script of theirs.
    Operator(OperatorName),
    /// An application.
    App(ApplicationName),
}

/// One cluster's name for one of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The cluster's identity.
    pub cluster: ClusterId,
    /// What its owner is, and called.
    pub role: Role,
}

/// Why a text names no role or identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Another role than ours.
    #[error("{found:?} is not a role; scs, scs:NAME, agent:NAME, operator:NAME and app:NAME are")]
    UnknownRole {
        /// What was found.
        found: String,
    },
    /// The name in it is none.
    #[error("the name in {text:?} is none: {why}")]
    BadName {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// Not of the form `understudy://CLUSTER/ROLE/NAME`.
    #[error("{text:?} is not understudy://CLUSTER/ROLE/NAME")]
    BadForm {
        /// The whole text.
        text: String,
    },
}

impl Role {
    /// The role's word alone.
    pub fn word(&self) -> &'static str {
        match self {
            Role::Scs(_) => "scs",
            Role::Agent(_) => "agent",
            Role::Operator(_) => "operator",
            Role::App(_) => "app",
        }
    }

    /// The name alone.
    pub fn name(&self) -> &str {
        match self {
            Role::Scs(name) => name.as_str(),
            Role::Agent(name) => name.as_str(),
            Role::Operator(name) => name.as_str(),
            Role::App(name) => name.as_str(),
        }
    }

    fn of(word: &str, name: &str, text: &str) -> Result<Self, IdentityError> {
        let bad = |why| IdentityError::BadName { text: text.to_owned(), why };
        match word {
            "scs" => name.parse().map(Role::Scs).map_err(bad),
            "agent" => name.parse().map(Role::Agent).map_err(bad),
            "operator" => name.parse().map(Role::Operator).map_err(bad),
            "app" => name.parse().map(Role::App).map_err(bad),
            _ => Err(IdentityError::UnknownRole { found: word.to_owned() }),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.word(), self.name())
    }
}

impl FromStr for Role {
    type Err = IdentityError;

    /// `ROLE:NAME`; `scs` alone is the control server that is called `scs`.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        match text.split_once(':') {
            Some((word, name)) => Role::of(word, name, text),
            None if text == "scs" => Role::of("scs", "scs", text),
            None => Err(IdentityError::UnknownRole { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.role.word(), self.role.name())
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bad = || IdentityError::BadForm { text: text.to_owned() };
        let rest = text.strip_prefix(SCHEME).ok_or_else(bad)?;
        let mut parts = rest.split('/');
        let (Some(cluster), Some(word), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        if cluster.len() != 32 || !cluster.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let cluster = ClusterId::try_from(cluster.to_owned()).map_err(|_| bad())?;
        Ok(Identity { cluster, role: Role::of(word, name, text)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        for role in ["scs:scs-1", "agent:alpha", "operator:anna", "app:tserver-1"] {
            let identity = Identity { cluster: ClusterId(7), role: role.parse().unwrap() };
            assert_eq!(identity.to_string().parse(), Ok(identity.clone()), "{identity}");
            assert_eq!(identity.role.to_string(), role);
        }
        assert_eq!("scs".parse::<Role>().unwrap().to_string(), "scs:scs");
    }

    #[test]
    fn what_is_not_exactly_an_identity_is_nobody() {
        let cluster = ClusterId(7).to_string();
        for bad in [
            String::new(),
            "understudy://".to_owned(),
            format!("understudy://{cluster}/agent"),
            format!("understudy://{cluster}/agent/alpha/more"),
            format!("understudy://{cluster}/agent/"),
            format!("understudy://{cluster}/root/alpha"),
            format!("understudy://{}/agent/alpha", &cluster[1..]),
            format!("understudy://+{}/agent/alpha", &cluster[1..]),
            format!("https://{cluster}/agent/alpha"),
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
        assert!("agent".parse::<Role>().unwrap_err().to_string().contains("agent:NAME"));
    }
}
