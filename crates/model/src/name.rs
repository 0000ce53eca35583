//! Names of hosts, applications, pairs and controllers.
//!
//! One rule for all (`docs/reference/settings.md`): lower-case letters and digits at both ends, `.`, `_` and `-` between,
//! at most 63 characters. Names are compared without case, so parsing lowers them; `/` and `:` are kept for sites and
//! tenants of later versions.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name, in characters.
pub const LONGEST_NAME: usize = 63;

/// Why a text is not a name. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// The text is longer than [`LONGEST_NAME`].
    #[error("a name has at most {LONGEST_NAME} characters, this one has {0}")]
    TooLong(usize),
    /// A character that no name has.
    #[error("a name cannot contain {0:?}; letters, digits, '.', '_' and '-' are allowed")]
    BadCharacter(char),
    /// `.`, `_` or `-` at an end.
    #[error("a name starts and ends with a letter or a digit")]
    BadEnd,
}

fn parse(text: &str) -> Result<Arc<str>, NameError> {
    let lowered = text.to_ascii_lowercase();
    if lowered.is_empty() {
        return Err(NameError::Empty);
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if let Some(bad) = lowered.chars().find(|&c| !(plain(c) || matches!(c, '.' | '_' | '-'))) {
        return Err(NameError::BadCharacter(bad));
    }
    if lowered.len() > LONGEST_NAME {
        return Err(NameError::TooLong(lowered.len()));
    }
    if !lowered.starts_with(plain) || !lowered.ends_with(plain) {
        return Err(NameError::BadEnd);
    }
    Ok(lowered.into())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name, lowering its case. Errors say which rule is broken.
            pub fn new(text: &str) -> Result<Self, NameError> {
                parse(text).map(Self)
            }

            /// The name as text, always in lower case.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.to_string()
            }
        }
    };
}

name_type!(
    /// A machine with an agent on it.
    HostName
);
name_type!(
    /// A supervised program; as the holder of a role epoch, a member of a pair.
    ApplicationName
);
name_type!(
    /// Two applications of which one is primary.
    PairName
);
name_type!(
    /// A control server.
    ControllerName
);

name_type!(
    /// A person, or a script of theirs, that gives orders.
    OperatorName
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lowered_and_compared_without_case() {
        assert_eq!(HostName::new("Alpha").unwrap(), HostName::new("alpha").unwrap());
    }

    #[test]
    fn each_broken_rule_is_named() {
        assert_eq!(HostName::new(""), Err(NameError::Empty));
        assert_eq!(HostName::new("a/b"), Err(NameError::BadCharacter('/')));
        assert_eq!(HostName::new("-a"), Err(NameError::BadEnd));
        assert_eq!(HostName::new("a."), Err(NameError::BadEnd));
        assert_eq!(HostName::new(&"a".repeat(64)), Err(NameError::TooLong(64)));
        assert!(HostName::new(&"a".repeat(63)).is_ok());
    }
}
