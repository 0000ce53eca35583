//! One thing that is wrong with a settings file, said so that a person can mend it without asking.
//!
//! Knows no TOML and no topology. The law: a problem names the file, the line and the key, says what was found, what
//! is allowed and why the rule exists, and never shows the value of an environment variable or an option.

use std::fmt;

use serde::Serialize;

/// Longest piece of a file that a problem repeats, in characters.
const LONGEST_QUOTE: usize = 80;

/// Of which sort a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The text is not TOML, or too long to be read.
    Syntax,
    /// No version knows this key.
    UnknownKey,
    /// A later version knows this key or value; this one refuses it rather than ignore it.
    NotInThisVersion,
    /// A key that must be there is not.
    Missing,
    /// The value is not one of the allowed ones.
    BadValue,
    /// The value names something that does not exist.
    UnknownName,
    /// A rule across several values is broken.
    BrokenRule,
}

/// One problem, or one warning, of one settings file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Problem {
    /// The file as the caller named it.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The dotted path of the key, without the numbers of repeated tables (the line tells those); empty for the whole file.
    pub key: String,
    /// Of which sort.
    pub kind: ProblemKind,
    /// What is wrong, or which rule is broken and why it exists.
    pub why: String,
    /// What stands in the file, shortened.
    pub found: Option<String>,
    /// What may stand there.
    pub allowed: Option<String>,
    /// The nearest thing that would be right.
    pub nearest: Option<String>,
    /// What to do.
    pub advice: Option<String>,
}

impl Problem {
    /// A problem without place and details; the report that collects it adds file, line and column.
    pub(crate) fn new(kind: ProblemKind, key: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            file: String::new(),
            line: 0,
            column: 0,
            key: key.into(),
            kind,
            why: why.into(),
            found: None,
            allowed: None,
            nearest: None,
            advice: None,
        }
    }

    /// Adds what stands in the file.
    pub(crate) fn found(mut self, found: impl fmt::Display) -> Self {
        self.found = Some(shorten(&found.to_string()));
        self
    }

    /// Adds what may stand there.
    pub(crate) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// Adds the nearest right thing, if there is one.
    pub(crate) fn nearest(mut self, nearest: Option<&str>) -> Self {
        self.nearest = nearest.map(str::to_owned);
        self
    }

    /// Adds what to do.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    fn nearest_noun(&self) -> &'static str {
        match self.kind {
            ProblemKind::UnknownKey => "nearest known key",
            ProblemKind::UnknownName => "nearest known name",
            ProblemKind::Syntax
            | ProblemKind::NotInThisVersion
            | ProblemKind::Missing
            | ProblemKind::BadValue
            | ProblemKind::BrokenRule => "nearest allowed value",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.why)?;
        if let Some(found) = &self.found {
            write!(f, "; found {found}")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "; allowed: {allowed}")?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "; {} is {nearest:?}", self.nearest_noun())?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with one file. Never empty; nothing of the file is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problems {
    /// What must be mended, in the order of the file.
    pub problems: Vec<Problem>,
    /// What should be looked at as well, in the order of the file.
    pub warnings: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

fn shorten(text: &str) -> String {
    if text.chars().count() <= LONGEST_QUOTE {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LONGEST_QUOTE).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_quotes_are_cut_between_characters() {
        let short = shorten(&"ä".repeat(200));
        assert_eq!(short.chars().count(), LONGEST_QUOTE + 1);
        assert!(short.ends_with('…'));
    }
}
