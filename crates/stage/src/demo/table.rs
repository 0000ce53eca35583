//! The table at the end.
//!
//! It knows how it looks. The law: a figure that cannot be had is a dash.

use super::{Ending, Scenario};

const HEAD: [&str; 9] = [
    "scenario",
    "what was done",
    "took over",
    "nobody served",
    "limit",
    "acknowledged",
    "lost",
    "two primaries",
    "ok",
];

/// One line a scenario.
pub(super) fn endings(endings: &[Ending]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(endings.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(ending: &Ending) -> [String; 9] {
    let deed = Scenario::ALL.iter().find(|one| one.name() == ending.name).map_or("", |one| one.deed());
    let dash = || "-".to_owned();
    [
        ending.name.to_owned(),
        deed.to_owned(),
        ending.new_primary.clone().unwrap_or_else(|| "nobody".to_owned()),
        ending.outage_ms.map_or_else(dash, |ms| format!("{ms:.1} ms")),
        format!("{} ms", ending.limit_ms),
        ending.writes_acknowledged.to_string(),
        ending.acknowledged_lost.map_or_else(dash, |lost| lost.to_string()),
        ending.dual_primary_observations.to_string(),
        if ending.ok { "yes" } else { "NO" }.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_missing_figures_are_dashes() {
        let one = Ending {
            name: "crash",
            outage_ms: Some(3.25),
            limit_ms: 50.0,
            writes_acknowledged: 12_345,
            acknowledged_lost: None,
            dual_primary_observations: 0,
            new_primary: Some("tserver-2".to_owned()),
            ok: true,
            problems: Vec::new(),
        };
        let text = endings(&[one]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        for (head, cell) in
            [("took over", "tserver-2"), ("nobody served", "3.2 ms"), ("lost", "-"), ("ok", "yes")]
        {
            let at = lines[0].rfind(head).unwrap();
            assert!(lines[1][at..].starts_with(cell), "{head}: {text}");
        }
    }
}
