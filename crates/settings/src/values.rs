//! Values that several files share: names, absolute paths, addresses.
//!
//! Knows no keys. The law: a text becomes a checked value or a problem, never something in between.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::problem::{Problem, ProblemKind};
use crate::raw::{Found, Report, Value, View};
use crate::size;

/// Longest path of a Unix socket, in bytes: the system's own limit, less the closing zero.
const LONGEST_SOCKET_PATH_BYTES: usize = 107;

/// As much of a wrong name is in the one that stands in for it, in characters.
const LONGEST_STAND_IN: usize = 50;

/// Longest name of an account, in bytes.
const LONGEST_ACCOUNT: usize = 256;

/// Longest name of a machine, in characters.
const LONGEST_MACHINE_NAME: usize = 253;

/// A name of one of the model's kinds.
pub(crate) fn name<N: FromStr<Err: Display>>(
    view: View<'_>,
    report: &mut Report,
    key: &str,
) -> Option<Found<N>> {
    let text = view.text(report, key)?;
    match text.value.parse() {
        Ok(name) => Some(text.with(name)),
        Err(why) => {
            let problem = Problem::new(ProblemKind::BadValue, text.key.as_str(), why.to_string());
            report.problem(text.at, problem.found(format!("{:?}", text.value)));
            None
        }
    }
}

/// A name that must be there.
pub(crate) fn needed_name<N: FromStr<Err: Display>>(
    view: View<'_>,
    report: &mut Report,
    key: &str,
    advice: &str,
) -> Option<Found<N>> {
    if view.raw(key).is_none() {
        report.missing(view.at(), view.key(key), advice);
    }
    name(view, report, key)
}

/// A name that must be there, or one that stands in for it: what is wrong with a name hides nothing else of its table. The
/// name that stands in is none of `taken`, and nothing is built with it, as a problem was reported.
pub(crate) fn name_or_stand_in<N: FromStr<Err: Display> + Ord, D>(
    view: View<'_>,
    report: &mut Report,
    advice: &str,
    taken: &BTreeMap<N, D>,
) -> Option<Found<N>> {
    const KEY: &str = "name";
    if let Some(name) = needed_name(view, report, KEY, advice) {
        return Some(name);
    }
    let raw = view.raw(KEY);
    let near: String = match raw.as_ref().map(|found| found.value) {
        Some(Value::Text(text)) => text.chars().take(LONGEST_STAND_IN).map(plain).collect(),
        _ => String::new(),
    };
    let near = near.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let near = if near.is_empty() { "unnamed" } else { near };
    let candidates = std::iter::once(near.to_owned()).chain((2..).map(|number| format!("{near}-{number}")));
    let free = candidates.map_while(|name| name.parse::<N>().ok()).find(|name| !taken.contains_key(name))?;
    let (at, key) = raw.map_or_else(|| (view.at(), view.key(KEY)), |found| (found.at, found.key));
    Some(Found { value: free, at, key })
}

fn plain(c: char) -> char {
    let lower = c.to_ascii_lowercase();
    if lower.is_ascii_alphanumeric() || matches!(lower, '.' | '_' | '-') { lower } else { '-' }
}

/// An absolute path without `..`; `default` if the key is absent.
pub(crate) fn path(view: View<'_>, report: &mut Report, key: &str, default: &str) -> Option<String> {
    if view.raw(key).is_none() {
        return Some(default.to_owned());
    }
    let text = view.text(report, key)?;
    check_path(report, &text, text.value).then(|| text.value.to_owned())
}

/// True if `path` is absolute and has no `..`; else a problem at `found`.
pub(crate) fn check_path<T>(report: &mut Report, found: &Found<T>, path: &str) -> bool {
    let why = if !path.starts_with('/') {
        "a daemon has no directory of its own that a relative path could start from"
    } else if path.split('/').any(|part| part == "..") {
        "a path with \"..\" may lead elsewhere than it says"
    } else {
        return true;
    };
    let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), why);
    report.problem(found.at, problem.found(format!("{path:?}")).allowed("an absolute path without \"..\""));
    false
}

/// A name or a number of a user or a group, as far as it can be judged without the host.
pub(crate) fn check_account(report: &mut Report, found: &Found<&str>) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ':' | '/' | ',' | '=');
    let good = !found.value.is_empty()
        && found.value.len() <= LONGEST_ACCOUNT
        && !found.value.starts_with('-')
        && found.value.chars().all(plain);
    if !good {
        let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), "not the name of an account");
        let problem = problem.found(format!("{:?}", found.value));
        report.problem(
            found.at,
            problem.allowed("a name or a number, without spaces and \":\", \"/\", \",\", \"=\""),
        );
    }
    good
}

/// True if a Unix socket can be made at that path, which stands behind `unix:`.
pub(crate) fn is_socket_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= LONGEST_SOCKET_PATH_BYTES
        && !path.chars().any(char::is_control)
        && !path.split('/').any(|part| part == "..")
}

/// Where an agent is reached: `ADDRESS:PORT` or `unix:/PATH`; the reason if the text is neither.
pub(crate) fn reached_at(text: &str, port: u16) -> Result<String, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if is_socket_path(path) { Ok(text.to_owned()) } else { Err(BAD_SOCKET) };
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]:{port}"));
    }
    if text.parse::<SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(name, _)| is_machine_name(name))
    {
        return Err("an address stands here without its port; the port is set once, with lca-port");
    }
    if is_machine_name(text) { Ok(format!("{text}:{port}")) } else { Err("neither an address nor a name") }
}

/// Whether an address as [`reached_at`] gives it leads nowhere from another machine.
pub(crate) fn is_local(address: &str) -> bool {
    let loopback = |place: SocketAddr| place.ip().is_loopback();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    address.starts_with("unix:")
        || host.eq_ignore_ascii_case("localhost")
        || address.parse::<SocketAddr>().is_ok_and(loopback)
}

/// A list of `ADDRESS:PORT` with addresses in numbers, at most `most` of them, none twice.
pub(crate) fn socket_addresses(
    view: View<'_>,
    report: &mut Report,
    key: &str,
    most: usize,
) -> Vec<SocketAddr> {
    let Some(texts) = view.texts(report, key) else { return Vec::new() };
    if texts.value.len() > most {
        let problem = Problem::new(ProblemKind::BadValue, texts.key.as_str(), "too many places to listen at");
        let problem = problem.found(format!("{} places", texts.value.len()));
        report.problem(texts.at, problem.allowed(format!("at most {most}")));
    }
    let mut addresses = Vec::new();
    for text in texts.value {
        let bad = |why| Problem::new(ProblemKind::BadValue, text.key.as_str(), why);
        match text.value.parse::<SocketAddr>() {
            Ok(address) if addresses.contains(&address) => {
                report.problem(
                    text.at,
                    bad("the same place stands there twice").found(format!("{:?}", text.value)),
                );
            }
            Ok(address) => addresses.push(address),
            Err(_) => {
                let problem = bad("not a place to listen at").found(format!("{:?}", text.value));
                report.problem(text.at, problem.allowed("ADDRESS:PORT with an address in numbers"));
            }
        }
    }
    addresses
}

/// Why a text behind `unix:` is refused.
pub(crate) const BAD_SOCKET: &str =
    "a Unix socket needs an absolute path of at most 107 bytes, without \"..\"";

pub(crate) fn is_machine_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    // Digits and dots alone are an address or a mistyped one, never a name.
    let all_digits = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.len() <= LONGEST_MACHINE_NAME
        && text.split('.').all(|part| !part.is_empty() && part.chars().all(plain))
        && (!all_digits || text.parse::<IpAddr>().is_ok())
}

/// A number of bytes within bounds: an integer, or a text with a unit.
pub(crate) fn bytes(
    report: &mut Report,
    view: View<'_>,
    key: &str,
    (least, most): (u64, u64),
) -> Option<u64> {
    let found = view.raw(key)?;
    let read = match found.value {
        Value::Integer(Some(number)) => u64::try_from(*number).ok(),
        Value::Text(text) => size::from_text(text),
        _ => None,
    };
    let allowed = match read {
        None => size::ALLOWED.to_owned(),
        Some(bytes) if bytes < least || bytes > most => {
            format!("{} to {}", size::to_text(least), size::to_text(most))
        }
        Some(bytes) => return Some(bytes),
    };
    let problem = Problem::new(ProblemKind::BadValue, found.key.as_str(), "not an allowed value")
        .found(found.value.shown())
        .allowed(allowed);
    report.problem(found.at, problem);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_sockets_are_local() {
        for local in ["127.0.0.11:4999", "[::1]:4999", "unix:/run/a.sock", "localhost:4999"] {
            assert!(is_local(local), "{local}");
        }
        for other in ["10.0.0.1:4999", "[fe80::1]:4999", "alpha:4999", "localhost.example.net:4999"] {
            assert!(!is_local(other), "{other}");
        }
    }

    #[test]
    fn addresses_get_the_port_and_sockets_do_not() {
        assert_eq!(reached_at("127.0.0.1", 4999).as_deref(), Ok("127.0.0.1:4999"));
        assert_eq!(reached_at("::1", 4999).as_deref(), Ok("[::1]:4999"));
        assert_eq!(reached_at("[fe80::2]", 1).as_deref(), Ok("[fe80::2]:1"));
        assert_eq!(reached_at("alpha.example.net", 1).as_deref(), Ok("alpha.example.net:1"));
        assert_eq!(reached_at("unix:/run/a.sock", 1).as_deref(), Ok("unix:/run/a.sock"));
        for bad in [
            "",
            "10.0.0.1:4999",
            "[::1]:4999",
            "a b",
            "10.0.0.256",
            "unix:a.sock",
            "unix:/a/../b",
            "a..b",
            "alpha:5",
        ] {
            assert!(reached_at(bad, 1).is_err(), "{bad:?}");
        }
    }
}
