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
    let mut parts = policy.split('+');
    let mut options = Options { policy: Policy::from_word(parts.next()?)?, ..Options::default() };
    for part in parts {
        match part {
            "reloads" => options.reloads = true,
            "holds" => options.holds = true,
            "power" => options.power = true,
            "keep-data" => options.keep_data = true,
            _ => return None,
        }
    }
    let word = words.next()?;
    options.preset = Preset::ALL.iter().copied().find(|preset| preset.as_str() == word)?;
    let seed = words.next()?.parse().ok()?;
    let why = words.collect::<Vec<_>>().join(" ");
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
        let all = &read("strict+reloads+holds+power fast 7 because").unwrap()[0].options;
        assert!(all.reloads && all.holds && all.power && all.preset == Preset::Fast);
        assert!(read("strict+luck fast 7 because").is_err());
    }
}
