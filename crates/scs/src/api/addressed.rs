//! Under which name the API was asked, and from which page: the two headers that keep a browser from being used
//! against its own user.
//!
//! It knows no callers. The law: over the network only an address in numbers, `localhost`, or a name that is known to
//! be ours is answered, and a page of another origin never is.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misaddressed {
    /// It names no host, several, or nonsense.
    NoHost(&'static str),
    /// It names a host that is not us: perhaps a name that was made to lead here.
    OtherHost(String),
    /// It comes from a page of somebody else.
    OtherOrigin(String),
}

/// Checks both headers. `names` are the known ones, in lower case; none: every name will do (a Unix socket cannot be
/// reached through a name).
pub fn check(headers: &HeaderMap, uri: &Uri, names: Option<&[&str]>) -> Result<(), Misaddressed> {
    if uri.authority().is_some() {
        return Err(Misaddressed::NoHost("the path is a whole URL, as only proxies are asked"));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        (None, _) => return Err(Misaddressed::NoHost("there is no Host header")),
        (Some(_), Some(_)) => return Err(Misaddressed::NoHost("there is more than one Host header")),
    };
    if let Some(names) = names {
        let bare =
            without_port(host).ok_or(Misaddressed::NoHost("the Host header is not NAME or NAME:PORT"))?;
        if !is_ours(&bare.to_ascii_lowercase(), names) {
            return Err(Misaddressed::OtherHost(bare.chars().take(100).collect()));
        }
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let fits = |origin: &str| {
        let origin =
            origin.strip_prefix("https://").or(origin.strip_prefix("http://").filter(|_| names.is_none()));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    };
    match origins.find(|origin| !origin.to_str().is_ok_and(fits)) {
        None => Ok(()),
        Some(other) => {
            let shown = String::from_utf8_lossy(other.as_bytes()).chars().take(100).collect();
            Err(Misaddressed::OtherOrigin(shown))
        }
    }
}

/// The machine's part of `NAME`, `NAME:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
fn without_port(host: &str) -> Option<&str> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let ends = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return ends.then_some(address);
    }
    match host.split_once(':') {
        None => (!host.is_empty()).then_some(host),
        Some((name, port)) => (!name.is_empty() && is_port(port)).then_some(name),
    }
}

fn is_ours(name: &str, names: &[&str]) -> bool {
    let fits = |known: &&str| match known.strip_prefix("*.") {
        Some(rest) => name.split_once('.').is_some_and(|(first, behind)| !first.is_empty() && behind == rest),
        None => *known == name,
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok() || names.iter().any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(hosts: &[&str], origins: &[&str], names: Option<&[&str]>) -> Result<(), Misaddressed> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        check(&headers, &Uri::from_static("/v1/status"), names)
    }

    #[test]
    fn only_known_names_and_numbers_are_ours() {
        let names: &[&str] = &["scs.example.net", "*.example.org"];
        for good in
            ["127.0.0.1:4997", "[::1]:4997", "[::1]", "localhost", "SCS.example.net:1", "a.example.org"]
        {
            assert_eq!(checked(&[good], &[], Some(names)), Ok(()), "{good}");
        }
        for bad in
            ["evil.example.com", "example.org", "a.b.example.org", ".example.org", "scs.example.net.evil"]
        {
            assert!(matches!(checked(&[bad], &[], Some(names)), Err(Misaddressed::OtherHost(_))), "{bad}");
        }
        for bad in ["", "a:b", "a:", ":1", "[::1", "[::1]x", "a:1:2"] {
            assert!(matches!(checked(&[bad], &[], Some(names)), Err(Misaddressed::NoHost(_))), "{bad:?}");
        }
        assert!(checked(&[], &[], Some(names)).is_err() && checked(&["a", "a"], &[], None).is_err());
        assert_eq!(checked(&["anything"], &[], None), Ok(()));
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let host = "127.0.0.1:4997";
        assert_eq!(checked(&[host], &["https://127.0.0.1:4997"], Some(&[])), Ok(()));
        for other in
            ["https://evil", "http://127.0.0.1:4997", "null", "https://127.0.0.1:4998", "https://127.0.0.1"]
        {
            let refused = checked(&[host], &[other], Some(&[]));
            assert!(matches!(refused, Err(Misaddressed::OtherOrigin(_))), "{other}");
        }
        let both = checked(&[host], &["https://127.0.0.1:4997", "https://evil"], Some(&[]));
        assert!(both.is_err(), "one of two is enough");
    }

    #[test]
    fn a_whole_url_is_no_path() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "localhost".parse().unwrap());
        assert!(check(&headers, &Uri::from_static("http://localhost/v1/status"), Some(&[])).is_err());
    }
}
