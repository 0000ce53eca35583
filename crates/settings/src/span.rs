//! Durations as operators write them: whole seconds as integers, finer or longer ones as text with a unit.
//!
//! Knows no keys. The law: one way to read each duration, and no rounding.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// How durations are written, for messages and the reference.
pub(crate) const ALLOWED: &str =
    "whole seconds, or a text such as \"250ms\", \"3s\", \"5m\", \"12h\", \"90d\"";

/// Whole seconds; none below zero.
pub(crate) fn from_seconds(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// A number and a unit; none if it is written differently or longer than can be counted in milliseconds.
pub(crate) fn from_text(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let count: u64 = number.parse().ok()?;
    count.checked_mul(*unit_ms).map(Duration::from_millis)
}

/// The shortest exact way to write a duration of whole milliseconds.
pub(crate) fn to_text(span: Duration) -> String {
    let ms = span.as_millis();
    let (unit, unit_ms) = UNITS
        .iter()
        .rev()
        .find(|(_, unit_ms)| ms > 0 && ms.is_multiple_of(u128::from(*unit_ms)))
        .unwrap_or(&UNITS[0]);
    format!("{}{unit}", ms / u128::from(*unit_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_need_a_number_and_a_known_unit() {
        assert_eq!(from_text("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(from_text("90d"), Some(Duration::from_secs(90 * 86_400)));
        for bad in ["", "ms", "3", "3 s", "-3s", "1.5s", "3S", "3min", "99999999999999999d"] {
            assert_eq!(from_text(bad), None, "{bad:?}");
        }
        assert_eq!(from_seconds(-1), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0_u64..10_000_000_000) {
            let span = Duration::from_millis(ms);
            prop_assert_eq!(from_text(&to_text(span)), Some(span));
        }
    }
}
