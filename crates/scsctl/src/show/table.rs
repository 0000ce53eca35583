//! Plain columns: no frames, three spaces between, nothing after the last word of a line.
//!
//! It knows no meaning of what it aligns. The law: columns are as wide as their widest cell, counted in characters.

use crate::out::{Paint, Tone};

/// One cell and how it is meant.
#[derive(Debug, Clone)]
pub struct Cell(pub String, pub Tone);

/// A plain cell.
pub fn cell(text: impl Into<String>) -> Cell {
    Cell(text.into(), Tone::Plain)
}

/// A cell with a tone.
pub fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    Cell(text.into(), tone)
}

/// Rows under a heading.
#[derive(Debug)]
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; missing cells at its end are empty.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether there is nothing under the heading.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, each line ended.
    pub fn text(&self, paint: Paint) -> String {
        let mut widths: Vec<usize> = self.heading.iter().map(|title| title.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.0.chars().count());
            }
        }
        let heading: Vec<Cell> = self.heading.iter().map(|title| toned(*title, Tone::Heading)).collect();
        std::iter::once(&heading).chain(&self.rows).map(|row| line(row, &widths, paint)).collect()
    }
}

fn line(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut text = String::new();
    let mut gap = 0;
    for (Cell(content, tone), width) in row.iter().zip(widths) {
        // The gap is written only before the next word, so no line ends in spaces.
        if !content.is_empty() {
            text.push_str(&" ".repeat(gap));
            text.push_str(&paint.tone(*tone, content));
            gap = 0;
        }
        gap += width - content.chars().count() + 3;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_do_not_end_in_spaces() {
        let mut table = Table::new(&["NAME", "PID", "PROBLEM"]);
        table.row(vec![cell("tserver-1"), cell("7"), cell("")]);
        table.row(vec![cell("b"), cell(""), cell("it ended")]);
        assert_eq!(
            table.text(Paint::OFF),
            "NAME        PID   PROBLEM\ntserver-1   7\nb                 it ended\n"
        );
    }
}
