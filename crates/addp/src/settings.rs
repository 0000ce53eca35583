//! What an operator can set of a link, in the words of the field.
//!
//! Knows no file format. The law: a timeout is off, or within bounds that neither busy-poll nor never find out.

use std::time::Duration;

/// The shortest timeout that is used; a peer that asks for less gets this.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);
/// The longest timeout that is used: an hour, as in the field.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

/// How one end of a link watches the other, and what it asks the other to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// `addp-timeout`: how long this end hears nothing before it polls, and again before it gives up. Zero: it never does.
    pub timeout: Duration,
    /// `addp-remote-timeout`: the timeout that the other end is asked to use. Zero: it is asked not to watch.
    pub remote_timeout: Duration,
    /// `addp-trace`: who writes down polls, replies and losses.
    pub trace: Trace,
}

impl Settings {
    /// Nobody watches; polls are still answered.
    pub const OFF: Settings =
        Settings { timeout: Duration::ZERO, remote_timeout: Duration::ZERO, trace: Trace::Off };

    /// These settings if both timeouts are off or within the bounds, else which of them is not.
    pub fn checked(self) -> Result<Self, SettingsError> {
        for (key, timeout) in [("addp-timeout", self.timeout), ("addp-remote-timeout", self.remote_timeout)] {
            if !timeout.is_zero() && !(SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&timeout) {
                return Err(SettingsError::OutOfBounds { key, timeout });
            }
        }
        Ok(self)
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Shorter than [`SHORTEST_TIMEOUT`] or longer than [`LONGEST_TIMEOUT`].
    #[error("{key} is {timeout:?}; allowed are 0 (off) and {SHORTEST_TIMEOUT:?} to {LONGEST_TIMEOUT:?}")]
    OutOfBounds {
        /// Which of them.
        key: &'static str,
        /// What it was.
        timeout: Duration,
    },
}

/// Which ends write down what ADDP does on a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Trace {
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

impl Trace {
    /// Every value with its words, the first of which is ours; the others are what configurations of the field say.
    pub const WORDS: &'static [(Trace, &'static [&'static str])] = &[
        (Trace::Off, &["off", "false", "no"]),
        (Trace::Local, &["local", "on", "true", "yes"]),
        (Trace::Remote, &["remote"]),
        (Trace::Both, &["both", "full"]),
    ];

    /// The value of a word, in any case, if it is one.
    pub fn from_word(word: &str) -> Option<Trace> {
        let says = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        Self::WORDS.iter().find(|(_, words)| says(words)).map(|(trace, _)| *trace)
    }

    /// Our word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Trace::Off => "off",
            Trace::Local => "local",
            Trace::Remote => "remote",
            Trace::Both => "both",
        }
    }

    /// Whether this end writes.
    pub fn here(self) -> bool {
        matches!(self, Trace::Local | Trace::Both)
    }

    /// Whether the other end is asked to write.
    pub fn there(self) -> bool {
        matches!(self, Trace::Remote | Trace::Both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_field_is_understood_in_any_case() {
        for (trace, words) in Trace::WORDS {
            assert_eq!(words[0], trace.as_str());
            for word in *words {
                assert_eq!(Trace::from_word(word), Some(*trace));
                assert_eq!(Trace::from_word(&word.to_uppercase()), Some(*trace));
            }
        }
        assert_eq!(Trace::from_word("maybe"), None);
    }

    #[test]
    fn zero_is_off_and_everything_else_is_bounded() {
        let with = |timeout, remote_timeout| Settings { timeout, remote_timeout, ..Settings::OFF }.checked();
        assert!(with(Duration::ZERO, Duration::ZERO).is_ok());
        assert!(with(SHORTEST_TIMEOUT, LONGEST_TIMEOUT).is_ok());
        let short = with(Duration::from_millis(9), Duration::ZERO).unwrap_err().to_string();
        assert!(short.starts_with("addp-timeout is 9ms"), "{short}");
        let long = with(Duration::ZERO, Duration::from_secs(3601)).unwrap_err().to_string();
        assert!(long.starts_with("addp-remote-timeout is 3601s"), "{long}");
    }
}
