//! Figures of a program as text, in the form that Prometheus reads (text format 0.0.4).
//!
//! Knows no figure by name. The law: a family is written once, with its help, its type and then all of its samples;
//! whatever stands in a label is escaped.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Names and values of the labels of one sample.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text, as it grows.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// No family yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family whose samples only ever grow; its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Begins a family whose samples go up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Writes a histogram of seconds; its name ends in `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &str, of: &Histogram) {
        let family = self.family(name, "histogram", help);
        let text = &mut family.exposition.text;
        let mut below = 0;
        // Writing to a String cannot fail, here and below.
        for (bound, count) in of.bounds.iter().zip(&of.counts) {
            below += count.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        below += of.above.load(Ordering::Relaxed);
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {below}");
        let sum = Duration::from_nanos(of.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        let _ = writeln!(text, "{name}_sum {sum}\n{name}_count {below}");
    }

    /// What was written.
    pub fn text(self) -> String {
        self.text
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { exposition: self, name }
    }
}

/// A family that has begun.
#[derive(Debug)]
pub struct Family<'a> {
    exposition: &'a mut Exposition,
    name: &'static str,
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: Labels<'_>, value: u64) -> &mut Self {
        self.write(labels, value)
    }

    /// Adds a sample in seconds; the name of its family ends in `_seconds`.
    pub fn seconds(&mut self, labels: Labels<'_>, value: Duration) -> &mut Self {
        self.write(labels, value.as_secs_f64())
    }

    fn write(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        let text = &mut self.exposition.text;
        text.push_str(self.name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(text, "{}{label}=\"{value}\"", if index == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
        self
    }
}

/// Durations by size. Counting takes no lock.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds in seconds, growing.
    bounds: &'static [f64],
    counts: Vec<AtomicU64>,
    above: AtomicU64,
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Empty, with these upper bounds in seconds, which must grow.
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = bounds.iter().map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, above: AtomicU64::new(0), sum_ns: AtomicU64::new(0) }
    }

    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = self.bounds.iter().position(|bound| seconds <= *bound);
        let count = place.and_then(|place| self.counts.get(place)).unwrap_or(&self.above);
        count.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_with_help_type_and_escaped_labels() {
        let mut all = Exposition::new();
        all.counter("a_total", "Two\nlines.").sample(&[], 1);
        all.gauge("b", "B.").sample(&[("x", "a\"b\\c\nd"), ("y", "")], 2).sample(&[("x", "e")], 3);
        assert_eq!(
            all.text(),
            "# HELP a_total Two\\nlines.\n# TYPE a_total counter\na_total 1\n# HELP b B.\n# TYPE b gauge\n\
             b{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 2\nb{x=\"e\"} 3\n"
        );
    }

    #[test]
    fn buckets_hold_everything_up_to_their_bound() {
        let histogram = Histogram::new(&[0.01, 0.5]);
        for took in [10, 11, 500, 501] {
            histogram.observe(Duration::from_millis(took));
        }
        let mut all = Exposition::new();
        all.histogram("h_seconds", "H.", &histogram);
        assert_eq!(
            all.text(),
            "# HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"0.01\"} 1\n\
             h_seconds_bucket{le=\"0.5\"} 3\nh_seconds_bucket{le=\"+Inf\"} 4\nh_seconds_sum 1.022\nh_seconds_count 4\n"
        );
    }
}
