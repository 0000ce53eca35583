//! From the boot clock, which decides, to wall time, which people read.
//!
//! It decides nothing. The law: wall time is made at the moment of showing, so that a corrected clock corrects it.

use jiff::Timestamp;
use understudy_model::Moment;

/// Both clocks, read together.
#[derive(Debug, Clone, Copy)]
pub struct Wall {
    wall: Timestamp,
    boot: Moment,
}

impl Wall {
    /// Reads both clocks.
    pub fn now() -> Self {
        Self { wall: Timestamp::now(), boot: understudy_drive::now() }
    }

    /// Two clocks with these readings.
    pub fn with(wall: Timestamp, boot: Moment) -> Self {
        Self { wall, boot }
    }

    /// The boot clock's reading.
    pub fn moment(self) -> Moment {
        self.boot
    }

    /// The wall clock's reading, in milliseconds since 1970.
    pub fn unix_ms(self) -> i64 {
        self.wall.as_millisecond()
    }

    /// The wall time of a moment, as RFC 3339 in UTC with milliseconds.
    pub fn text(self, at: Moment) -> String {
        let span = jiff::SignedDuration::try_from(self.boot.since(at)).unwrap_or(jiff::SignedDuration::ZERO);
        show(self.wall.checked_sub(span).unwrap_or(self.wall))
    }

    /// Whole milliseconds from a moment until now.
    pub fn ms_since(self, at: Moment) -> u64 {
        u64::try_from(self.boot.since(at).as_millis()).unwrap_or(u64::MAX)
    }
}

/// A wall time as RFC 3339 in UTC with milliseconds.
pub fn show(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Milliseconds since 1970 as RFC 3339; empty if no calendar has that day.
pub fn show_unix_ms(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(show).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_moment_is_shown_by_how_long_ago_it_was() {
        let boot = Moment(0) + Duration::from_secs(100);
        let wall = Wall::with("2026-11-20T08:00:00Z".parse().unwrap(), boot);
        assert_eq!(wall.text(boot), "2026-11-20T08:00:00.000Z");
        assert_eq!(wall.text(boot - Duration::from_millis(1_500)), "2026-11-20T07:59:58.500Z");
        assert_eq!(wall.ms_since(boot - Duration::from_millis(1_500)), 1_500);
    }

    #[test]
    fn unix_milliseconds_are_shown_in_the_same_form() {
        assert_eq!(show_unix_ms(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(show_unix_ms(i64::MAX), "");
    }
}
