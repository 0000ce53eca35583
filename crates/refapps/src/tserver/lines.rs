//! The line protocol of the call server: text to requests, answers to text (`docs/protocols/tserver-lines.md`).
//!
//! Knows no sockets and no state. The law: one line in, one line out; whatever a stranger sends is bounded before it
//! is looked at.

use std::fmt::Write;
use std::time::Duration;

use super::calls::{AgentState, CallType, Calls, Command, ConnectionId, Refusal};
use super::faults::FaultOrder;

/// The longest line, in bytes, its end not counted.
pub const LONGEST_LINE_BYTES: usize = 4096;
/// The longest word that names something, in bytes.
pub const LONGEST_WORD_BYTES: usize = 64;
/// The longest attached value, in bytes.
pub const LONGEST_VALUE_BYTES: usize = 1024;

/// One line from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Who are you, and what.
    Hello,
    /// The same, with sizes.
    Status,
    /// Something to do with calls.
    Do(Command),
    /// Something to look at.
    Query(Query),
    /// Misbehave.
    Fault(FaultOrder),
    /// Have it recorded that the other member is out.
    LeaveOutPeer,
    /// Have it recorded that the other member has everything.
    PeerCaughtUp,
}

impl Request {
    /// Whether a backup answers it too: questions who it is, registrations, and faults for tests.
    pub fn is_for_backups_too(&self) -> bool {
        match self {
            Request::Hello | Request::Status | Request::Fault(_) => true,
            Request::Query(_) | Request::LeaveOutPeer | Request::PeerCaughtUp => false,
            Request::Do(command) => matches!(
                command,
                Command::Register { .. }
                    | Command::Unregister { .. }
                    | Command::Login { .. }
                    | Command::Logout { .. }
            ),
        }
    }
}

/// What a client may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// A call.
    Call(ConnectionId),
    /// A registered DN.
    Dn(String),
    /// An agent.
    Agent(String),
    /// How many of the numbers from the first to the second are written.
    Writes(u64, u64),
}

/// Why a line is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// An empty line.
    #[error("empty-line")]
    Empty,
    /// More than [`LONGEST_LINE_BYTES`].
    #[error("line-too-long")]
    TooLong,
    /// Not UTF-8, or with control characters.
    #[error("not-text")]
    NotText,
    /// A verb that does not exist.
    #[error("unknown-verb")]
    UnknownVerb,
    /// The verb needs other words; this is how it is used.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// A word that is too long.
    #[error("word-too-long")]
    WordTooLong,
}

/// Reads one line without its end.
pub fn parse(line: &[u8]) -> Result<Request, LineError> {
    if line.len() > LONGEST_LINE_BYTES {
        return Err(LineError::TooLong);
    }
    let line = std::str::from_utf8(line).map_err(|_| LineError::NotText)?;
    if line.chars().any(char::is_control) {
        return Err(LineError::NotText);
    }
    let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    if verb == "ATTACH" {
        return parse_attach(rest);
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    if words.iter().any(|word| word.len() > LONGEST_WORD_BYTES) {
        return Err(LineError::WordTooLong);
    }
    let own = |word: &&str| (*word).to_owned();
    match verb {
        "" => Err(LineError::Empty),
        "FAULT" => parse_fault(&words).map(Request::Fault),
        "QUERY" => parse_query(&words).map(Request::Query),
        "HELLO" if words.is_empty() => Ok(Request::Hello),
        "STATUS" if words.is_empty() => Ok(Request::Status),
        "LEAVE-OUT-PEER" if words.is_empty() => Ok(Request::LeaveOutPeer),
        "PEER-CAUGHT-UP" if words.is_empty() => Ok(Request::PeerCaughtUp),
        _ => {
            let usage = usage(verb).ok_or(LineError::UnknownVerb)?;
            let wrong = || LineError::Usage(usage);
            let command = match (verb, words.as_slice()) {
                ("REGISTER", [dn]) => Command::Register { dn: own(dn) },
                ("UNREGISTER", [dn]) => Command::Unregister { dn: own(dn) },
                ("LOGIN", [agent, dn]) => Command::Login { agent: own(agent), dn: own(dn) },
                ("LOGOUT", [agent]) => Command::Logout { agent: own(agent) },
                ("READY", [agent]) => Command::SetAgent { agent: own(agent), state: AgentState::Ready },
                ("NOTREADY", [agent]) => Command::SetAgent { agent: own(agent), state: AgentState::NotReady },
                ("MAKE", ["consult", conn, from, to]) => Command::Consult {
                    conn: connection(conn).ok_or_else(wrong)?,
                    from: own(from),
                    to: own(to),
                },
                ("MAKE", [call_type, from, to]) => Command::Make {
                    call_type: made_type(call_type).ok_or_else(wrong)?,
                    from: own(from),
                    to: own(to),
                },
                ("ANSWER", [conn, dn]) => {
                    Command::Answer { conn: connection(conn).ok_or_else(wrong)?, dn: own(dn) }
                }
                ("RELEASE", [conn, dn]) => {
                    Command::Release { conn: connection(conn).ok_or_else(wrong)?, dn: own(dn) }
                }
                ("TRANSFER", [conn]) => Command::Transfer { consult: connection(conn).ok_or_else(wrong)? },
                ("WRITE", [number]) => Command::Write { number: number.parse().map_err(|_| wrong())? },
                _ => return Err(wrong()),
            };
            Ok(Request::Do(command))
        }
    }
}

fn usage(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "HELLO" => "HELLO",
        "STATUS" => "STATUS",
        "LEAVE-OUT-PEER" => "LEAVE-OUT-PEER",
        "PEER-CAUGHT-UP" => "PEER-CAUGHT-UP",
        "REGISTER" => "REGISTER DN",
        "UNREGISTER" => "UNREGISTER DN",
        "LOGIN" => "LOGIN AGENT DN",
        "LOGOUT" => "LOGOUT AGENT",
        "READY" => "READY AGENT",
        "NOTREADY" => "NOTREADY AGENT",
        "MAKE" => "MAKE inbound|outbound|internal FROM TO, or MAKE consult CONN FROM TO",
        "ANSWER" => "ANSWER CONN DN",
        "RELEASE" => "RELEASE CONN DN",
        "TRANSFER" => "TRANSFER CONSULTATION-CONN",
        "WRITE" => "WRITE NUMBER",
        _ => return None,
    })
}

fn connection(word: &str) -> Option<ConnectionId> {
    u64::from_str_radix(word, 16).ok().map(ConnectionId)
}

fn made_type(word: &str) -> Option<CallType> {
    [CallType::Inbound, CallType::Outbound, CallType::Internal].into_iter().find(|kind| kind.as_str() == word)
}

fn parse_attach(rest: &str) -> Result<Request, LineError> {
    let wrong = LineError::Usage("ATTACH CONN KEY VALUE, the value to the end of the line");
    let mut words = rest.trim_start().splitn(3, ' ');
    let (Some(conn), Some(key), Some(value)) = (words.next(), words.next(), words.next()) else {
        return Err(wrong);
    };
    if key.len() > LONGEST_WORD_BYTES || value.len() > LONGEST_VALUE_BYTES {
        return Err(LineError::WordTooLong);
    }
    // A key with `=` could not be told from its value in an answer.
    let Some(conn) = connection(conn).filter(|_| !key.is_empty() && !key.contains('=')) else {
        return Err(wrong);
    };
    Ok(Request::Do(Command::Attach { conn, key: key.to_owned(), value: value.to_owned() }))
}

fn parse_query(words: &[&str]) -> Result<Query, LineError> {
    let usage = LineError::Usage("QUERY call CONN | dn DN | agent AGENT | writes FIRST LAST");
    match words {
        ["call", conn] => connection(conn).map(Query::Call).ok_or(usage),
        ["dn", dn] => Ok(Query::Dn((*dn).to_owned())),
        ["agent", agent] => Ok(Query::Agent((*agent).to_owned())),
        ["writes", first, last] => match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if first <= last && last < u64::MAX => Ok(Query::Writes(first, last)),
            _ => Err(usage),
        },
        _ => Err(usage),
    }
}

fn parse_fault(words: &[&str]) -> Result<FaultOrder, LineError> {
    let usage = LineError::Usage(
        "FAULT crash | hang | refuse-promotion on|off | slow-promotion MS | slow-demotion MS | \
         unavailable [REASON] | available | exit CODE",
    );
    let ms = |text: &str| text.parse().ok().filter(|ms| *ms <= 3_600_000).map(Duration::from_millis);
    let order = match words {
        ["crash"] => Some(FaultOrder::Crash),
        ["hang"] => Some(FaultOrder::Hang),
        ["refuse-promotion", "on"] => Some(FaultOrder::RefusePromotion(true)),
        ["refuse-promotion", "off"] => Some(FaultOrder::RefusePromotion(false)),
        ["slow-promotion", text] => ms(text).map(FaultOrder::SlowPromotion),
        ["slow-demotion", text] => ms(text).map(FaultOrder::SlowDemotion),
        ["unavailable"] => Some(FaultOrder::Unavailable("asked to by a client".to_owned())),
        ["unavailable", reason @ ..] => Some(FaultOrder::Unavailable(reason.join(" "))),
        ["available"] => Some(FaultOrder::Available),
        ["exit", code] => code.parse::<u8>().ok().map(FaultOrder::Exit),
        _ => None,
    };
    order.ok_or(usage)
}

/// What a query found, as the end of an `OK` line, each part with a blank before it.
pub fn describe(calls: &Calls, query: &Query) -> Result<String, Refusal> {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut put = |part: std::fmt::Arguments<'_>| {
        let _ = text.write_fmt(part);
    };
    match query {
        Query::Call(conn) => {
            let call = calls.call(*conn).ok_or(Refusal::UnknownCall(*conn))?;
            put(format_args!(" conn={conn} type={}", call.call_type.as_str()));
            if let Some((main, who)) = &call.consults {
                put(format_args!(" about={main} asked-by={who}"));
            }
            for (dn, leg) in &call.parties {
                put(format_args!(" party={dn}:{}", leg.as_str()));
            }
            for (key, value) in &call.user_data {
                put(format_args!(" data={}={}", escape(key), escape(value)));
            }
        }
        Query::Dn(dn) => {
            let of = calls.calls_of(dn).ok_or_else(|| Refusal::UnknownDn(dn.clone()))?;
            let hook = if calls.is_off_hook(dn) == Some(true) { "off" } else { "on" };
            put(format_args!(" dn={dn} hook={hook}"));
            for conn in of {
                put(format_args!(" conn={conn}"));
            }
        }
        Query::Agent(name) => {
            let agent = calls.agent(name).ok_or_else(|| Refusal::UnknownAgent(name.clone()))?;
            put(format_args!(" agent={name} dn={} state={}", agent.dn, agent.state.as_str()));
        }
        Query::Writes(first, last) => put(format_args!(" held={}", calls.written().count(*first, *last))),
    }
    Ok(text)
}

/// A text as one word: `%` and blanks become `%` and two hexadecimal digits.
pub fn escape(text: &str) -> String {
    text.replace('%', "%25").replace(' ', "%20")
}

/// The value of `key=` in an answer.
pub fn field<'a>(answer: &'a str, key: &str) -> Option<&'a str> {
    answer
        .split(' ')
        .find_map(|word| word.split_once('=').filter(|(name, _)| *name == key).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_verb_is_read() {
        let dn = || "7001".to_owned();
        let conn = ConnectionId(0x12ab);
        let cases = [
            ("HELLO", Request::Hello),
            ("STATUS", Request::Status),
            ("REGISTER 7001", Request::Do(Command::Register { dn: dn() })),
            ("UNREGISTER 7001", Request::Do(Command::Unregister { dn: dn() })),
            ("LOGIN ann 7001", Request::Do(Command::Login { agent: "ann".to_owned(), dn: dn() })),
            ("LOGOUT ann", Request::Do(Command::Logout { agent: "ann".to_owned() })),
            (
                "READY ann",
                Request::Do(Command::SetAgent { agent: "ann".to_owned(), state: AgentState::Ready }),
            ),
            (
                "MAKE inbound 555 7001",
                Request::Do(Command::Make { call_type: CallType::Inbound, from: "555".to_owned(), to: dn() }),
            ),
            (
                "MAKE consult 12ab 7001 7002",
                Request::Do(Command::Consult { conn, from: dn(), to: "7002".to_owned() }),
            ),
            ("ANSWER 12ab 7001", Request::Do(Command::Answer { conn, dn: dn() })),
            ("RELEASE 12ab 7001", Request::Do(Command::Release { conn, dn: dn() })),
            ("TRANSFER 12ab", Request::Do(Command::Transfer { consult: conn })),
            (
                "ATTACH 12ab who Ann of  Leeds",
                Request::Do(Command::Attach {
                    conn,
                    key: "who".to_owned(),
                    value: "Ann of  Leeds".to_owned(),
                }),
            ),
            ("WRITE 17", Request::Do(Command::Write { number: 17 })),
            ("QUERY writes 1 5", Request::Query(Query::Writes(1, 5))),
            ("FAULT slow-demotion 250", Request::Fault(FaultOrder::SlowDemotion(Duration::from_millis(250)))),
            ("FAULT unavailable no trunk", Request::Fault(FaultOrder::Unavailable("no trunk".to_owned()))),
            ("FAULT exit 7", Request::Fault(FaultOrder::Exit(7))),
        ];
        for (line, request) in cases {
            assert_eq!(parse(line.as_bytes()), Ok(request), "{line}");
        }
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        for usage in [
            "MAKE consult 12 7001",
            "MAKE sideways 1 2",
            "WRITE -1",
            "WRITE",
            "HELLO you",
            "ANSWER xyz 1",
            "QUERY writes 5 1",
            "QUERY",
            "FAULT",
            "FAULT exit 256",
            "ATTACH 12 key",
            "ATTACH 12 a=b c",
        ] {
            assert!(matches!(parse(usage.as_bytes()), Err(LineError::Usage(_))), "{usage}");
        }
        assert_eq!(parse(b""), Err(LineError::Empty));
        assert_eq!(parse(b"hello"), Err(LineError::UnknownVerb));
        assert_eq!(parse(b"WRITE \xff"), Err(LineError::NotText));
        assert_eq!(parse(b"REGISTER a\tb"), Err(LineError::NotText));
        assert_eq!(parse(format!("REGISTER {}", "7".repeat(65)).as_bytes()), Err(LineError::WordTooLong));
        assert_eq!(parse("x".repeat(LONGEST_LINE_BYTES + 1).as_bytes()), Err(LineError::TooLong));
    }

    #[test]
    fn backups_answer_registrations_and_nothing_that_serves() {
        for line in ["HELLO", "STATUS", "REGISTER 1", "LOGIN a 1", "UNREGISTER 1", "LOGOUT a", "FAULT hang"] {
            assert!(parse(line.as_bytes()).unwrap().is_for_backups_too(), "{line}");
        }
        for line in ["READY a", "MAKE internal 1 2", "WRITE 1", "QUERY dn 1", "ATTACH 1 k v", "TRANSFER 1"] {
            assert!(!parse(line.as_bytes()).unwrap().is_for_backups_too(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }

        #[test]
        fn any_words_are_answered(
            verb in "(HELLO|STATUS|REGISTER|LOGIN|MAKE|ANSWER|ATTACH|QUERY|WRITE|FAULT|TRANSFER)",
            words in "[ a-f0-9=%]{0,40}",
        ) {
            let _ = parse(format!("{verb} {words}").as_bytes());
        }
    }

    #[test]
    fn a_field_is_found_as_a_whole_word() {
        let answer = "OK epoch=7 name=a run-mode=primary data=mode=x";
        assert_eq!(field(answer, "epoch"), Some("7"));
        assert_eq!(field(answer, "data"), Some("mode=x"));
        assert_eq!(field(answer, "mode"), None);
        assert_eq!(escape("50% off"), "50%25%20off");
    }
}
