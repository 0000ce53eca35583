//! What happened in a run, line by line, for a person: when by true time, when on whose clock, who, what, and why.
//!
//! Refuses to judge. The law: a run that nobody listens to makes no words.

pub mod words;

use understudy_model::Moment;

/// The lines so far; none if nobody listens.
#[derive(Debug, Default)]
pub struct Story {
    lines: Option<Vec<String>>,
}

impl Story {
    /// From now on it is told.
    pub fn listen(&mut self) {
        self.lines.get_or_insert_default();
    }

    /// Somebody listens.
    pub fn is_told(&self) -> bool {
        self.lines.is_some()
    }

    /// One line.
    pub fn line(&mut self, time: u64, clock: Option<Moment>, words: String) {
        let Some(lines) = &mut self.lines else { return };
        let (seconds, micros) = (time / 1_000_000_000, time % 1_000_000_000 / 1_000);
        let clock = clock.map_or_else(String::new, |clock| clock.to_string());
        lines.push(format!("{seconds:>4}.{micros:06}  {clock:>13}  {words}"));
    }

    /// All of it.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
