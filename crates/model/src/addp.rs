//! How a link is watched (ADDP), in the words of the field.
//!
//! Knows no file format and no protocol; `docs/protocols/addp.md` has that. The law: a timeout is off, or within bounds that neither busy-poll nor never find out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The shortest timeout that is used; a peer that asks for less gets this.
pub const SHORTEST_ADDP_TIMEOUT: Duration = Duration::from_millis(10);
/// The longest timeout that is used: an hour, as in the field.
pub const LONGEST_ADDP_TIMEOUT: Duration = Duration::from_secs(3600);

/// How one end of a link watches the other, and what it asks the other to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddpSettings {
    /// `addp-timeout`: how long this end hears nothing before it polls, and again before it gives up. Zero: it never does.
    pub timeout: Duration,
    /// `addp-remote-timeout`: the timeout that the other end is asked to use. Zero: it is asked not to watch.
    pub remote_timeout: Duration,
    /// `addp-trace`: who writes down polls, replies and losses.
    pub trace: AddpTrace,
}

impl AddpSettings {
    /// Nobody watches; polls are still answered.
    pub const OFF: AddpSettings =
        AddpSettings { timeout: Duration::ZERO, remote_timeout: Duration::ZERO, trace: AddpTrace::Off };

    /// These settings if both timeouts are off or within the bounds, else which of them is not.
    pub fn checked(self) -> Result<Self, AddpSettingsError> {
        for (key, timeout) in [("addp-timeout", self.timeout), ("addp-remote-timeout", self.remote_timeout)] {
            if !timeout.is_zero() && !(SHORTEST_ADDP_TIMEOUT..=LONGEST_ADDP_TIMEOUT).contains(&timeout) {
                return Err(AddpSettingsError::OutOfBounds { key, timeout });
            }
        }
        Ok(self)
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddpSettingsError {
    /// Shorter than [`SHORTEST_ADDP_TIMEOUT`] or longer than [`LONGEST_ADDP_TIMEOUT`].
    #[error(
        "{key} is {timeout:?}; allowed are 0 (off) and {SHORTEST_ADDP_TIMEOUT:?} to {LONGEST_ADDP_TIMEOUT:?}"
    )]
    OutOfBounds {
        /// Which of them.
        key: &'static str,
        /// What it was.
        timeout: Duration,
    },
}

/// Which ends write down what ADDP does on a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddpTrace {
    /// Neither.
    #[default]
    Off,
    /// This one.
    Local,
    /// The other one.
    Remote,
    /// Both.
    Both,
}

impl AddpTrace {
    /// Every value with its words, the first of which is ours; the others are what configurations of the field say.
    pub const WORDS: &'static [(AddpTrace, &'static [&'static str])] = &[
        (AddpTrace::Off, &["off", "false", "no"]),
        (AddpTrace::Local, &["local", "on", "true", "yes"]),
        (AddpTrace::Remote, &["remote"]),
        (AddpTrace::Both, &["both", "full"]),
    ];

    /// The value of a word, in any case, if it is one.
    pub fn from_word(word: &str) -> Option<AddpTrace> {
        let says = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        Self::WORDS.iter().find(|(_, words)| says(words)).map(|(trace, _)| *trace)
    }

    /// Our word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            AddpTrace::Off => "off",
            AddpTrace::Local => "local",
            AddpTrace::Remote => "remote",
            AddpTrace::Both => "both",
        }
    }

    /// Whether this end writes.
    pub fn here(self) -> bool {
        matches!(self, AddpTrace::Local | AddpTrace::Both)
    }

    /// Whether the other end is asked to write.
    pub fn there(self) -> bool {
        matches!(self, AddpTrace::Remote | AddpTrace::Both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_field_is_understood_in_any_case() {
        for (trace, words) in AddpTrace::WORDS {
            assert_eq!(words[0], trace.as_str());
            for word in *words {
                assert_eq!(AddpTrace::from_word(word), Some(*trace));
                assert_eq!(AddpTrace::from_word(&word.to_uppercase()), Some(*trace));
            }
        }
        assert_eq!(AddpTrace::from_word("maybe"), None);
    }

    #[test]
    fn zero_is_off_and_everything_else_is_bounded() {
        let with =
            |timeout, remote_timeout| AddpSettings { timeout, remote_timeout, ..AddpSettings::OFF }.checked();
        assert!(with(Duration::ZERO, Duration::ZERO).is_ok());
        assert!(with(SHORTEST_ADDP_TIMEOUT, LONGEST_ADDP_TIMEOUT).is_ok());
        let short = with(Duration::from_millis(9), Duration::ZERO).unwrap_err().to_string();
        assert!(short.starts_with("addp-timeout is 9ms"), "{short}");
        let long = with(Duration::ZERO, Duration::from_secs(3601)).unwrap_err().to_string();
        assert!(long.starts_with("addp-remote-timeout is 3601s"), "{long}");
    }
}
