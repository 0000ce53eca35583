//! Times as people write them: dates and times of day of this machine's zone, made into what every server reads.
//!
//! It knows no commands. The law: what a server reads itself is handed on as it is.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::exit::{Exit, Failure};
use crate::show::own_zone;

/// A time that a command line names, as the server reads it.
pub fn since(text: Option<&str>) -> Result<Option<String>, Failure> {
    text.map(|text| read(text, &Timestamp::now().to_zoned(own_zone().clone()))).transpose()
}

fn read(text: &str, now: &Zoned) -> Result<String, Failure> {
    let text = text.trim();
    if text.parse::<Timestamp>().is_ok() || is_ago(text) {
        return Ok(text.to_owned());
    }
    let zone = now.time_zone();
    let found = local(text, now).and_then(|(local, day)| {
        let at = in_zone(local, zone)?;
        // A time of day alone is the last one that was.
        let later = day == Day::Any && at > now.timestamp();
        if later { in_zone(local.yesterday().ok()?, zone) } else { Some(at) }
    });
    found.map(|at| at.to_string()).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{text:?} is no time"))
            .because("a time is 10m, 2h or 7d ago; 11:30, today, yesterday, 2026-11-20, \"2026-11-20 08:00\"; or 2026-11-20T08:00:00Z")
    })
}

/// How long ago, as every server reads it.
fn is_ago(text: &str) -> bool {
    let digits = text.trim_end_matches(['s', 'm', 'h', 'd']);
    digits.len() + 1 == text.len() && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Day {
    /// It was named.
    Named,
    /// Only a time of day was.
    Any,
}

/// Without a zone: of this machine's.
fn local(text: &str, now: &Zoned) -> Option<(DateTime, Day)> {
    let (first, rest) =
        text.split_once([' ', 'T']).map_or((text, None), |(first, rest)| (first, Some(rest.trim())));
    let day = match first.to_ascii_lowercase().as_str() {
        "now" if rest.is_none() => return Some((now.datetime(), Day::Named)),
        "today" => now.date(),
        "yesterday" => now.date().yesterday().ok()?,
        _ if rest.is_none() && first.contains(':') => {
            return Some((now.date().to_datetime(time_of_day(first)?), Day::Any));
        }
        _ => first.parse::<Date>().ok()?,
    };
    let time = rest.map_or(Some(Time::midnight()), time_of_day)?;
    Some((day.to_datetime(time), Day::Named))
}

/// `8:30`, `08:30`, `08:30:15`.
fn time_of_day(text: &str) -> Option<Time> {
    let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() };
    let plain = padded.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    plain.then(|| padded.parse::<Time>().ok()).flatten()
}

fn in_zone(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, Failure> {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        read(text, &"2026-11-21T10:00:00Z".parse::<Timestamp>().unwrap().to_zoned(zone))
    }

    #[test]
    fn dates_and_times_of_day_are_of_this_machines_zone() {
        assert_eq!(at("2026-11-21").unwrap(), "2026-11-20T22:00:00Z");
        assert_eq!(at("2026-11-21 11:30").unwrap(), "2026-11-21T09:30:00Z");
        assert_eq!(at("2026-11-21T11:30:15").unwrap(), "2026-11-21T09:30:15Z");
        assert_eq!(at("11:30").unwrap(), "2026-11-21T09:30:00Z");
        assert_eq!(at("12:30").unwrap(), "2026-11-20T10:30:00Z", "the last one that was");
        assert_eq!(at("9:30").unwrap(), "2026-11-21T07:30:00Z");
        assert_eq!(at("today").unwrap(), "2026-11-20T22:00:00Z");
        assert_eq!(at("Yesterday").unwrap(), "2026-11-19T22:00:00Z");
        assert_eq!(at("yesterday 11:30").unwrap(), "2026-11-20T09:30:00Z");
    }

    #[test]
    fn what_a_server_reads_is_handed_on_and_nonsense_is_not() {
        for text in ["10m", "7d", "2026-11-20T08:00:00Z", "2026-11-20T08:00:00+01:00"] {
            assert_eq!(at(text).unwrap(), text);
        }
        for wrong in ["", "10", "m", "10x", "noon", "25:00", "2026-13-01", "2026-11-21 x", "-1h", "1hh"] {
            assert_eq!(at(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
    }
}
