//! The head of one HTTP/1.x request, read strictly.
//!
//! Knows no paths and no sockets. The law: what two readers could read in two ways is refused, and nothing longer than
//! [`LONGEST_HEAD_BYTES`] is looked at.

use super::answer::Method;

/// The longest head, in bytes with its empty line.
pub const LONGEST_HEAD_BYTES: usize = 8 * 1024;
/// The most header lines.
const MOST_HEADERS: usize = 64;

/// A request without its headers: none of them changes an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// What is asked for.
    pub method: Method,
    /// The path without its query.
    pub path: String,
}

/// Why something is no request that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is no HTTP/1.x request.
    Nonsense(&'static str),
    /// It is longer than is read.
    TooLong,
    /// It has a body.
    Body,
    /// It asks for something else than to look.
    Method,
}

/// The length of the head with its empty line, once that is there.
pub fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads a whole head, which ends in its empty line.
pub fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
    let nonsense = |why| Err(Refusal::Nonsense(why));
    let Ok(text) = std::str::from_utf8(bytes) else { return nonsense("the head is not text") };
    let Some(text) = text.strip_suffix("\r\n\r\n") else { return nonsense("the head has no end") };
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return nonsense("the first line is not METHOD PATH VERSION");
    };
    let is_newer = match version {
        "HTTP/1.0" => false,
        "HTTP/1.1" => true,
        _ => return nonsense("only HTTP/1.0 and HTTP/1.1 are spoken here"),
    };
    if method.is_empty() || !method.bytes().all(is_token) {
        return nonsense("the method is not a word");
    }
    let plain = |byte: u8| byte.is_ascii_graphic();
    if !target.starts_with('/') || !target.bytes().all(plain) {
        return nonsense("the path does not start with a slash, or holds what no path holds");
    }
    read_headers(lines, is_newer)?;
    let path = target.split(['?', '#']).next().unwrap_or_default().to_owned();
    match method {
        "GET" => Ok(Head { method: Method::Get, path }),
        "HEAD" => Ok(Head { method: Method::Head, path }),
        "OPTIONS" => Ok(Head { method: Method::Options, path }),
        _ => Err(Refusal::Method),
    }
}

fn read_headers<'t>(lines: impl Iterator<Item = &'t str>, needs_host: bool) -> Result<(), Refusal> {
    let (mut count, mut hosts) = (0, 0);
    for line in lines {
        count += 1;
        if count > MOST_HEADERS {
            return Err(Refusal::TooLong);
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(Refusal::Nonsense("a header has no colon"));
        };
        // A name with a space in or before it, or a folded line, is what smuggling is made of.
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Refusal::Nonsense("a header's name is not a word"));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Refusal::Nonsense("a header holds control characters"));
        }
        if name.eq_ignore_ascii_case("host") {
            hosts += 1;
        }
        let has_length = name.eq_ignore_ascii_case("content-length") && value.trim() != "0";
        if has_length || name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refusal::Body);
        }
    }
    match hosts {
        1 => Ok(()),
        0 if !needs_host => Ok(()),
        0 => Err(Refusal::Nonsense("HTTP/1.1 needs a Host header")),
        _ => Err(Refusal::Nonsense("there is more than one Host header")),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Head, Refusal> {
        parse(text.as_bytes())
    }

    #[test]
    fn what_load_balancers_send_is_read() {
        let head = |method, path: &str| Ok(Head { method, path: path.to_owned() });
        assert_eq!(read("OPTIONS /a HTTP/1.0\r\n\r\n"), head(Method::Options, "/a"));
        assert_eq!(
            read("GET /a/b?c=d#e HTTP/1.1\r\nHost: x:1\r\nUser-Agent: y: z\r\n\r\n"),
            head(Method::Get, "/a/b")
        );
        assert_eq!(read("HEAD / HTTP/1.1\r\nhost:\r\nContent-Length: 0\r\n\r\n"), head(Method::Head, "/"));
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_refused() {
        let host = "Host: x\r\n";
        for nonsense in [
            "\r\n\r\n".to_owned(),
            "GET\r\n\r\n".to_owned(),
            "GET /\r\n\r\n".to_owned(),
            "GET  / HTTP/1.1\r\n\r\n".to_owned(),
            "GET / HTTP/1.1 x\r\n\r\n".to_owned(),
            "GET / HTTP/2.0\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "GET x HTTP/1.0\r\n\r\n".to_owned(),
            "GET http://x/ HTTP/1.0\r\n\r\n".to_owned(),
            "GET /\u{e4} HTTP/1.0\r\n\r\n".to_owned(),
            "G@T / HTTP/1.0\r\n\r\n".to_owned(),
            format!("GET / HTTP/1.1\r\n{host}{host}\r\n"),
            format!("GET / HTTP/1.1\r\n{host}x\r\n\r\n"),
            format!("GET / HTTP/1.1\r\n{host} folded: y\r\n\r\n"),
            format!("GET / HTTP/1.1\r\n{host}a : y\r\n\r\n"),
            format!("GET / HTTP/1.1\r\n{host}a: y\nb: z\r\n\r\n"),
            format!("GET / HTTP/1.1\r\n{host}a: y\rb: z\r\n\r\n"),
            "GET / HTTP/1.0\r\n".to_owned(),
        ] {
            assert!(matches!(read(&nonsense), Err(Refusal::Nonsense(_))), "{nonsense:?}");
        }
        for body in ["Content-Length: 1", "content-length: 0, 5", "Transfer-Encoding: identity"] {
            assert_eq!(
                read(&format!("GET / HTTP/1.1\r\n{host}{body}\r\n\r\n")),
                Err(Refusal::Body),
                "{body}"
            );
        }
        assert_eq!(read("POST / HTTP/1.0\r\n\r\n"), Err(Refusal::Method));
        let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
        assert_eq!(read(&format!("GET / HTTP/1.0\r\n{many}\r\n")), Err(Refusal::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            if let Some(end) = end_of_head(&bytes) {
                let _ = parse(&bytes[..end]);
            }
            let _ = parse(&bytes);
        }
    }
}
