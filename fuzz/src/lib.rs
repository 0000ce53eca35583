//! What must hold for any bytes that a stranger sends, one function for each parser that strangers reach.
//!
//! Refuses to know how the bytes come about: `fuzz_targets` make them up, and the test `tests/tests/corpus.rs` feeds the
//! kept ones on every run of the tests. The law: a function returns for any input, within bounds; what was understood is
//! understood again, and the same, from what is written of it.

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use bytes::BytesMut;
use rustls_pki_types::CertificateDer;
use tempfile::{Builder, TempDir};
use understudy_addp::Signal;
use understudy_lca::environment_file;
use understudy_lca::promise_file::layout::{self, COPY_BYTES, Content, Copy, Header};
use understudy_lca::status::request;
use understudy_model::{AgentId, ApplicationName, Identity, Role};
use understudy_refapps::tserver::lines;
use understudy_scs::api::{addressed, caller, error::ApiError, reading};
use understudy_store::{EventQuery, JournalQuery, Reader, Store};
use understudy_transport::{Address, Certified, would_believe};
use understudy_wire::frame::{self, HEADER_BYTES};
use understudy_wire::{
    ApplicationHears, ApplicationSays, Frame, FromAgent, Kind, MAX_FRAME_BYTES, Message, PeerSaid, ToAgent,
    read_notice,
};

/// A parser: its name, which is also that of its corpus, and what must hold for it.
pub type Target = (&'static str, fn(&[u8]));

/// Every parser.
pub const TARGETS: &[Target] = &[
    ("frame", frame),
    ("to_agent", message::<ToAgent>),
    ("from_agent", message::<FromAgent>),
    ("from_application", message::<ApplicationSays>),
    ("to_application", message::<ApplicationHears>),
    ("peer", message::<PeerSaid>),
    ("signal", signal),
    ("notice", notice),
    ("settings", settings),
    ("environment", environment),
    ("promise", promise),
    ("names", names),
    ("certificate", certificate),
    ("status_request", status_request),
    ("credentials", credentials),
    ("chain", chain),
    ("api_body", api_body),
    ("api_query", api_query),
    ("api_headers", api_headers),
    ("backup", backup),
    ("call_line", call_line),
];

/// A first message of strangers is not longer.
const SMALL_LIMIT_BYTES: usize = 16 * 1024;

/// Frames are the same however their bytes arrive, never longer than allowed, and no room is taken beyond that.
pub fn frame(data: &[u8]) {
    for limit in [SMALL_LIMIT_BYTES, MAX_FRAME_BYTES] {
        let whole = frames([data], limit);
        let (one, other) = data.split_at(data.len() / 2);
        assert_eq!(whole, frames([one, other], limit), "frames depend on how their bytes arrive");
    }
    // With a right checksum it is the next check that is met.
    if let Some(right) = with_right_checksum(data) {
        frames([&right], MAX_FRAME_BYTES);
    }
}

/// Every frame of these bytes, and whether an error ended them.
fn frames<const N: usize>(pieces: [&[u8]; N], limit: usize) -> (Vec<Frame>, bool) {
    let (mut bytes, mut found) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            let before = bytes.len();
            match frame::decode_within(&mut bytes, limit) {
                Ok(Some(frame)) => {
                    assert_eq!(before - bytes.len(), HEADER_BYTES + frame.body.len());
                    assert!(HEADER_BYTES + frame.body.len() <= limit, "longer than allowed");
                    let mut again = BytesMut::new();
                    frame::encode(frame.kind, &frame.body, &mut again).expect("what fitted, fits");
                    assert_eq!(frame::decode(&mut again), Ok(Some(frame.clone())));
                    found.push(frame);
                }
                Ok(None) => {
                    assert!(bytes.capacity() <= 2 * (before + limit), "{} bytes of room", bytes.capacity());
                    break;
                }
                Err(_) => {
                    assert_eq!(before, bytes.len(), "something was taken off a bad frame");
                    return (found, true);
                }
            }
        }
    }
    (found, false)
}

fn with_right_checksum(data: &[u8]) -> Option<Vec<u8>> {
    let mut right = data.to_vec();
    let length = u32::try_from(data.len().checked_sub(HEADER_BYTES)?).ok()?;
    right[4..8].copy_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&right[3..8]), &right[HEADER_BYTES..]);
    right[8..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    Some(right)
}

/// The body of a message is refused, or understood; then it is written again, and that is understood as the same.
pub fn message<M: Message + Debug + PartialEq>(body: &[u8]) {
    let frame = Frame { kind: M::KIND, body: body.to_vec().into() };
    let Ok(message) = M::from_frame(&frame) else { return };
    let mut bytes = BytesMut::new();
    match message.to_frame(&mut bytes) {
        Ok(()) => {
            let again = frame::decode(&mut bytes).expect("a frame").expect("a whole frame");
            assert_eq!(M::from_frame(&again).ok().as_ref(), Some(&message));
            let other = Kind::ALL.iter().copied().find(|kind| *kind != M::KIND).expect("there are several");
            assert!(M::from_frame(&Frame { kind: other, body: again.body }).is_err(), "another conversation");
        }
        // Written in full, a short message can be longer than it came; one that is short enough cannot be too long.
        Err(error) => assert!(body.len() > MAX_FRAME_BYTES / 16, "{error}: {message:?}"),
    }
}

/// A liveness signal is refused, or understood and written again as the same.
pub fn signal(data: &[u8]) {
    if let Ok(signal) = Signal::from_bytes(data) {
        assert_eq!(Signal::from_bytes(&signal.to_bytes()), Ok(signal));
    }
}

/// Any datagram gives a notice, bounded and fit to be shown.
pub fn notice(data: &[u8]) {
    let notice = read_notice(data);
    assert!(notice.main_pid.is_none_or(|pid| pid > 1));
    for text in [notice.status, notice.result].into_iter().flatten() {
        assert!(text.chars().count() <= 200 && !text.chars().any(char::is_control), "{text:?}");
    }
}

/// Any text is settings, or a list of problems that is not empty and can be printed.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(problems) = understudy_settings::parse_cluster("cluster.toml", text) {
        assert!(!problems.to_string().is_empty());
    }
    if let Err(problems) = understudy_settings::parse_agent("lca.toml", text) {
        assert!(!problems.to_string().is_empty());
    }
    if let Err(problems) = understudy_settings::parse_server("scs.toml", text) {
        assert!(!problems.to_string().is_empty());
    }
}

/// A file of variables gives such as a process can have, or the line at which it is wrong.
pub fn environment(data: &[u8]) {
    match environment_file::parse(data) {
        Ok(variables) => {
            for (name, value) in variables {
                assert!(!name.is_empty() && !name.contains(['=', '\0']), "{name:?}");
                assert!(!value.contains('\0'), "{value:?}");
            }
        }
        Err((line, _)) => assert!(line <= data.split(|byte| *byte == b'\n').count(), "line {line}"),
    }
}

/// Promises are read whole and of the right agent and place, or not at all.
pub fn promise(data: &[u8]) {
    let mut copy: Copy = [0; COPY_BYTES];
    let used = data.len().min(COPY_BYTES);
    copy[..used].copy_from_slice(&data[..used]);
    read_promise(&copy);
    // With a right checksum it is the next check that is met.
    let sum = crc32c::crc32c(&copy[..COPY_BYTES - 4]);
    copy[COPY_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
    read_promise(&copy);
}

fn read_promise(copy: &Copy) {
    if let Ok(header) = Header::read(copy) {
        assert_eq!(Header::read(&header.write()).as_ref(), Ok(&header));
    }
    // Whose and where is part of what is read; taken from the bytes, they are right.
    let agent = AgentId(u128::from_le_bytes(copy[1..17].try_into().expect("sixteen")));
    let place = u64::from_le_bytes(copy[17..25].try_into().expect("eight"));
    let Ok(slot) = usize::try_from(place) else { return };
    if let Some((sequence, content)) = layout::read_slot(agent, slot, copy) {
        let again = layout::write_slot(agent, slot, sequence, &content);
        assert_eq!(layout::read_slot(agent, slot, &again), Some((sequence, content)));
        assert_eq!(layout::read_slot(AgentId(!agent.0), slot, copy), None, "another agent's");
        assert_eq!(layout::read_slot(agent, slot ^ 1, copy), None, "another place's");
    } else {
        let none: Option<(u64, Content)> = layout::read_slot(AgentId(!agent.0), slot, copy);
        assert_eq!(none, None);
    }
}

/// Names, identities, roles and addresses: refused, or shown as they are read.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    as_shown::<ApplicationName>(text);
    as_shown::<Role>(text);
    as_shown::<Identity>(text);
    as_shown::<Address>(text);
}

fn as_shown<T: FromStr + Display + Debug + PartialEq>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        let shown = read.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.parse::<T>().is_ok_and(|again| again == read), "{text:?} is shown as {shown:?}");
    }
}

/// A certificate names somebody, or is refused.
pub fn certificate(data: &[u8]) {
    if let Ok(certified) = Certified::read(&CertificateDer::from(data.to_vec())) {
        as_shown::<Identity>(&certified.identity.to_string());
    }
}

/// The head of a request at an agent's status port is refused, or asks for a path that can be shown.
pub fn status_request(data: &[u8]) {
    let Some(end) = request::end_of_head(data) else {
        assert!(request::parse(data).is_err(), "a head without an end was read");
        return;
    };
    assert!(end <= data.len() && data[..end].ends_with(b"\r\n\r\n"));
    if let Ok(head) = request::parse(&data[..end]) {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'?' && byte != b'#';
        assert!(head.path.starts_with('/') && head.path.bytes().all(plain), "{:?}", head.path);
        let lengths = data[..end]
            .split(|byte| *byte == b'\n')
            .filter(|line| line.len() > 18 && line[..18].eq_ignore_ascii_case(b"transfer-encoding:"));
        assert_eq!(lengths.count(), 0, "a body was passed over");
    }
}

/// An authority that `scsctl pki init` made for the cluster 0011...eeff, and what it has revoked: the certificate of agent beta.
/// It has signed one more, that of agent alpha; its key is thrown away.
const AUTHORITY: &[u8] = include_bytes!("../believed/authority.pem");
const REVOKED: &[u8] = include_bytes!("../believed/revoked.pem");
/// A moment at which they hold, since 1970.
const BELIEVED_AT: Duration = Duration::from_secs(1_800_000_000);

/// A chain of certificates, its owner's first, each behind its length in two bytes: whoever is believed names itself, and a
/// chain that the authority did not sign is never believed.
pub fn chain(data: &[u8]) {
    let (mut rest, mut chain) = (data, Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        chain.push(CertificateDer::from(&behind[..length]));
        rest = &behind[length..];
    }
    if let Ok(certified) = would_believe(AUTHORITY, REVOKED, &chain, BELIEVED_AT) {
        // Nobody can make up a signature, so whatever is believed is what was signed.
        assert_eq!(certified.identity.role.to_string(), "agent:alpha");
    }
}

/// Files of authorities and of revoked certificates, as somebody may have broken them: read or refused, never a crash.
pub fn credentials(data: &[u8]) {
    let (one, other) = data.split_at(data.len() / 2);
    for (authorities, revoked) in [(data, REVOKED), (AUTHORITY, data), (one, other)] {
        if let Err(why) = would_believe(authorities, revoked, &[], BELIEVED_AT) {
            assert!(!why.is_empty());
        }
    }
}

/// A refusal is the asker's own fault, and is not longer than a few times what was asked.
fn is_refusal(error: &ApiError, asked: usize) {
    assert!(error.status().is_client_error(), "{error:?}");
    let said = error.message.len() + error.because.iter().map(String::len).sum::<usize>();
    assert!(said <= 10 * asked + 1_000, "{said} bytes are said of {asked}: {error:?}");
}

/// The body of a request to the operators' API is what the table of routes says, or refused.
pub fn api_body(data: &[u8]) {
    for (_, read) in reading::BODIES {
        if let Err(error) = read(data) {
            is_refusal(&error, data.len());
        }
    }
}

/// What stands behind the `?` of a request is what the table of routes says, or refused.
pub fn api_query(data: &[u8]) {
    let Ok(uri) = Uri::try_from([b"/v1/any?".as_slice(), data].concat()) else { return };
    for (_, read) in reading::QUERIES {
        if let Err(error) = read(&uri) {
            is_refusal(&error, data.len());
        }
    }
}

/// The first line is a path, the others are headers: of all that they claim only what is ours is believed.
pub fn api_headers(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Ok(uri) = Uri::try_from(lines.next().unwrap_or_default()) else { return };
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        let (Ok(name), Ok(value)) = (name, value) else { return };
        headers.append(name, value);
    }
    match reading::headers(&headers) {
        Ok(read) => {
            assert!(read.key.is_none_or(|key| (1..=reading::LONGEST_KEY_BYTES).contains(&key.len())));
            assert!(read.token.is_none_or(|token| token.trim() == token));
        }
        Err(error) => is_refusal(&error, data.len()),
    }
    let names: &[&str] = &["scs.example.net", "*.example.org"];
    if addressed::check(&headers, &uri, Some(names)).is_ok() {
        assert!(uri.authority().is_none());
        let host = headers.get("host").and_then(|host| host.to_str().ok()).expect("there is one");
        let of_others = |origin: &HeaderValue| {
            let end = origin.as_bytes().strip_prefix(b"https://");
            !end.is_some_and(|end| end.eq_ignore_ascii_case(host.as_bytes()))
        };
        assert!(!headers.get_all("origin").iter().any(of_others), "a page of somebody else");
        assert!(addressed::check(&headers, &uri, None).is_ok(), "{host:?} is ours on the network alone");
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(name) = caller::operator_in(text.split('\n'), Some(understudy_model::ClusterId(7)))
    {
        as_shown::<Role>(&format!("operator:{name}"));
    }
}

/// A file that is restored as a backup is one, or is refused; what came of it can be opened, and read to its end.
pub fn backup(data: &[u8]) {
    let ground = ground();
    let (file, directory) = (ground.path().join("backup"), ground.path().join("state"));
    std::fs::write(&file, data).expect("room for a backup");
    let kept = understudy_store::kept_files(&file);
    let restored = understudy_store::restore(&file, &directory);
    assert!(restored.is_err() || kept.is_ok(), "what is no backup was restored");
    if restored.is_ok() {
        read_all(&directory);
    }
}

/// A directory that goes with its owner, in memory where there is a place for that.
fn ground() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    Builder::new().prefix("understudy-fuzz-").tempdir_in(parent).expect("a directory of its own")
}

/// Whatever a store says may be refused; all of it must be looked at.
fn read_all(directory: &Path) {
    let Ok(store) = Store::open(directory) else { return };
    let _ = (store.roles(), store.goals(), store.maintenance(), store.flaps(), store.configuration());
    let _ = (store.leadership(), store.last_operation(), store.cluster_id());
    let Ok(reader) = Reader::open(directory) else { return };
    let _ = (reader.tokens(), reader.check());
    let _ = reader.events(&EventQuery { limit: 1_000, ..EventQuery::default() });
    let _ = reader.journal(&JournalQuery { after_id: 0, since_wall_ms: 0, limit: 1_000 });
    drop(reader);
    let _ = store.close();
}

/// A line to the call server is a request with bounded words, or refused.
pub fn call_line(data: &[u8]) {
    match lines::parse(data) {
        Ok(request) => assert!(data.len() <= lines::LONGEST_LINE_BYTES, "{request:?}"),
        Err(why) => assert!(!why.to_string().contains('\n')),
    }
}
