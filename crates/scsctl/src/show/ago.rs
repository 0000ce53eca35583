//! Spans and times as people say them. It reads no clock; the law: two units at most, the larger first.

use jiff::Timestamp;

/// How long ago a time was: `12s`, `3m5s`, `2h4m`, `5d1h`; `-` if it is not known.
pub fn ago(now: Timestamp, at: Option<&str>) -> String {
    let Some(at) = at.and_then(|text| text.parse::<Timestamp>().ok()) else { return "-".to_owned() };
    let seconds = now.as_second().saturating_sub(at.as_second());
    span(u64::try_from(seconds).unwrap_or(0))
}

/// A span in its two largest units.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => two(minutes, "m", seconds % 60, "s"),
        (0, _, _) => two(hours, "h", minutes % 60, "m"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

/// Milliseconds with the digits that matter: `0.42 ms`, `12.3 ms`, `4.2 s`.
pub fn took(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 1_000.0 => format!("{ms:.1} ms"),
        ms => format!("{:.1} s", ms / 1_000.0),
    }
}

/// The time of day of an event in this zone, with milliseconds; with the date if it was not on this day.
pub fn clock(now: Timestamp, at: &str, zone: &jiff::tz::TimeZone) -> String {
    let Ok(time) = at.parse::<Timestamp>() else { return at.to_owned() };
    let (time, now) = (time.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let format = if time.date() == now.date() { "%H:%M:%S.%3f" } else { "%Y-%m-%d %H:%M:%S.%3f" };
    time.strftime(format).to_string()
}

/// Of which day times without a date are, and in which zone.
pub fn day(now: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    now.to_zoned(zone.clone()).strftime("times are of %Y-%m-%d, %Z (%:z)").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_at_most_two_units() {
        let now: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
        let cases = [
            ("2026-11-20T07:59:48Z", "12s"),
            ("2026-11-20T07:56:55Z", "3m5s"),
            ("2026-11-20T07:57:00Z", "3m"),
            ("2026-11-20T05:55:30Z", "2h4m"),
            ("2026-11-15T06:30:00Z", "5d1h"),
            ("2026-11-20T09:00:00Z", "0s"),
            ("nonsense", "-"),
        ];
        for (at, expected) in cases {
            assert_eq!(ago(now, Some(at)), expected, "{at}");
        }
        assert_eq!(ago(now, None), "-");
    }

    #[test]
    fn a_time_of_another_day_has_its_date_and_the_day_is_told_with_its_zone() {
        let now: Timestamp = "2026-11-20T08:00:00Z".parse().unwrap();
        let zone = jiff::tz::TimeZone::UTC;
        assert_eq!(clock(now, "2026-11-20T00:00:00.001Z", &zone), "00:00:00.001");
        assert_eq!(clock(now, "2026-11-19T23:59:59.999Z", &zone), "2026-11-19 23:59:59.999");
        assert_eq!(day(now, &zone), "times are of 2026-11-20, UTC (+00:00)");
    }

    #[test]
    fn spans_keep_the_digits_that_matter() {
        assert_eq!(
            (took(0.4212), took(12.34), took(4_230.0)),
            ("0.42 ms".into(), "12.3 ms".into(), "4.2 s".into())
        );
    }
}
