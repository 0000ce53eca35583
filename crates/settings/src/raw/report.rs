//! Collects the problems and warnings of one file and gives each its line.
//!
//! Knows no keys. The law: every problem is kept once, in the order of the file, up to a written bound.

use crate::Checked;
use crate::problem::{Problem, ProblemKind, Problems};

/// Most problems reported of one file: nobody reads more, and a stranger's file must not fill the memory.
const MOST_PROBLEMS: usize = 200;

/// What was found so far in one file.
pub(crate) struct Report {
    file: String,
    line_starts: Vec<usize>,
    text: String,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Report {
    /// An empty report on `text`, which the caller calls `file`.
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        Self {
            file: file.to_owned(),
            line_starts,
            text: text.to_owned(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Adds what must be mended. `at` is a byte offset in the text.
    pub(crate) fn problem(&mut self, at: usize, problem: Problem) {
        let placed = self.place(at, problem);
        if self.problems.len() < MOST_PROBLEMS && !self.problems.contains(&placed) {
            self.problems.push(placed);
        }
    }

    /// Adds what should be looked at. `at` is a byte offset in the text.
    pub(crate) fn warning(&mut self, at: usize, warning: Problem) {
        let placed = self.place(at, warning);
        if self.warnings.len() < MOST_PROBLEMS && !self.warnings.contains(&placed) {
            self.warnings.push(placed);
        }
    }

    /// Adds the problem that a rule across several values is broken.
    pub(crate) fn broken(&mut self, at: usize, key: &str, why: impl Into<String>, advice: impl Into<String>) {
        self.problem(at, Problem::new(ProblemKind::BrokenRule, key, why).advise(advice));
    }

    /// Adds the problem that a key which must be there is not.
    pub(crate) fn missing(&mut self, at: usize, key: String, advice: impl Into<String>) {
        self.problem(at, Problem::new(ProblemKind::Missing, key, "this key must be there").advise(advice));
    }

    /// True while nothing must be mended.
    pub(crate) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The line, from 1, of a byte offset.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at).max(1)
    }

    /// The value with its warnings if nothing must be mended and there is a value, else everything that was found.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<Checked<T>, Problems> {
        let by_place = |one: &Problem, other: &Problem| {
            (one.line, one.column, &one.key).cmp(&(other.line, other.column, &other.key))
        };
        self.problems.sort_by(by_place);
        self.warnings.sort_by(by_place);
        match value {
            Some(value) if self.problems.is_empty() => Ok(Checked { value, warnings: self.warnings }),
            _ => Err(Problems { problems: self.problems, warnings: self.warnings }),
        }
    }

    fn place(&self, at: usize, mut problem: Problem) -> Problem {
        let line = self.line(at);
        let start = self.line_starts[line - 1];
        let end = at.min(self.text.len());
        problem.file.clone_from(&self.file);
        problem.line = line;
        problem.column = self.text.get(start..end).map_or(0, |before| before.chars().count()) + 1;
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters_from_one() {
        let mut report = Report::new("f", "ä = 1\nbß = 2\n");
        for at in [0, 7, 10, 15, 999] {
            report.problem(at, Problem::new(ProblemKind::Syntax, at.to_string(), "x"));
        }
        let Err(found) = report.finish(Some(())) else { panic!("problems were added") };
        let places: Vec<_> = found.problems.iter().map(|p| (p.key.as_str(), p.line, p.column)).collect();
        assert_eq!(places, [("0", 1, 1), ("7", 2, 1), ("10", 2, 3), ("15", 3, 1), ("999", 3, 1)]);
    }

    #[test]
    fn the_same_problem_is_kept_once() {
        let mut report = Report::new("f", "");
        report.missing(0, "a".into(), "write it");
        report.missing(0, "a".into(), "write it");
        assert_eq!(report.finish(Some(())).unwrap_err().problems.len(), 1);
    }
}
