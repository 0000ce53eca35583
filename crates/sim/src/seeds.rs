//! Seeds that are kept, each with a sentence.
//!
//! Refuses to know where a file is: its text is part of the program. The law: a line is whole and has its reason, or it is an
//! error.

use understudy_model::{Policy, Preset};

use crate::climate::Options;

/// One of them.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The run.
    pub seed: u64,
    /// How it is run.
    pub options: Options,
    /// What it was about.
    pub why: String,
}

/// The text of the file.
pub const TEXT: &str = include_str!("../seeds/kept.txt");

/// Reads such a text; an error is the line that makes no sense.
pub fn read(text: &str) -> Result<Vec<Kept>, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| kept(line).ok_or_else(|| line.to_owned())).collect()
}

fn kept(line: &str) -> Option<Kept> {
    let mut words = line.split_whitespace();
    let policy = words.next()?;
    let (policy, reloads) = match policy.strip_suffix("+reloads") {
        Some(policy) => (policy, true),
        None => (policy, false),
    };
    let policy = Policy::from_word(policy)?;
    let word = words.next()?;
    let preset = Preset::ALL.iter().copied().find(|preset| preset.as_str() == word)?;
    let seed = words.next()?.parse().ok()?;
    let why = words.collect::<Vec<_>>().join(" ");
    let options = Options { preset, policy, reloads, ..Options::default() };
    (!why.is_empty()).then_some(Kept { seed, options, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kept_seed_is_whole_and_a_line_without_a_reason_is_an_error() {
        assert!(!read(TEXT).unwrap().is_empty());
        assert_eq!(read("available normal 7").unwrap_err(), "available normal 7");
        assert!(read("sometimes normal 7 because").is_err());
        assert!(read("strict+reloads fast 7 because").unwrap()[0].options.reloads);
    }
}
