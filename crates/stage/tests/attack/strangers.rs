//! Strangers at every door: nonsense, half sentences, endless ones, and silence in great number.
//!
//! The law: they are refused with a reason, counted, told of once a minute, and the cluster does not notice.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use understudy_stage::plan::SERVER;
use understudy_stage::{Daemon, Host};

use crate::certificates::secured;
use crate::play::{Play, assert_undisturbed, pair};

/// How many connections stay silent at once.
const MANY: usize = 1_000;
/// A door must answer, or close, within this.
const DOOR_LIMIT: Duration = Duration::from_secs(10);

/// The checksum of frames, one bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

/// A good frame of a short body.
pub fn frame_of(kind: u8, body: &[u8]) -> Vec<u8> {
    frame(1, kind, u32::try_from(body.len()).unwrap(), body)
}

fn frame(version: u8, kind: u8, length: u32, body: &[u8]) -> Vec<u8> {
    let summed = [&[kind][..], &length.to_le_bytes(), body].concat();
    [&b"US"[..], &[version, kind], &length.to_le_bytes(), &crc32c(&summed).to_le_bytes(), body].concat()
}

/// What strangers say: each with the word for why it is refused.
fn nonsense(kind: u8) -> Vec<(&'static str, Vec<u8>)> {
    let mut wrong_sum = frame(1, kind, 4, b"abcd");
    wrong_sum[8] ^= 1;
    let mut noise = vec![0; 4096];
    getrandom::fill(&mut noise).unwrap();
    noise[0] = b'x';
    vec![
        ("magic", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("magic", noise),
        ("version", frame(9, kind, 0, b"")),
        ("kind", frame(1, 77, 0, b"")),
        ("long", frame(1, kind, 1 << 31, b"")),
        ("long", frame(1, kind, 17 * 1024, b"")),
        ("checksum", wrong_sum),
        ("message", frame(1, kind, 4, &[0xFF; 4])),
        ("message", frame(1, kind, 0, b"")),
        ("truncated", frame(1, kind, 100, b"")[..7].to_vec()),
        ("truncated", frame(1, kind, 100, b"too little")),
        ("silent", Vec::new()),
    ]
}

/// Says it, ends its own side, and waits until the other side is closed.
fn say_and_leave(mut door: impl Read + Write, said: &[u8], leave: impl Fn()) {
    // A door may be closed before everything was said.
    let _ = door.write_all(said);
    leave();
    let mut answer = Vec::new();
    match door.take(1 << 20).read_to_end(&mut answer) {
        Ok(_) => {}
        // With TLS, an end without a goodbye is one of its own kind.
        Err(error) => assert!(
            matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset
                    | std::io::ErrorKind::UnexpectedEof
                    | std::io::ErrorKind::BrokenPipe
            ),
            "{error}"
        ),
    }
}

pub fn agent_address(play: &Play, host: Host) -> SocketAddr {
    let name = format!("lca-{}.toml", host.name());
    let text = std::fs::read_to_string(play.stage.directory().join(name)).unwrap();
    let listen = text.lines().find_map(|line| line.strip_prefix("listen = [\"")).unwrap();
    listen.trim_end_matches("\"]").parse().unwrap()
}

/// The socket at which applications reach the agent of a host.
fn application_door(play: &Play, host: Host) -> PathBuf {
    let text =
        std::fs::read_to_string(play.stage.directory().join(format!("lca-{}.toml", host.name()))).unwrap();
    let runtime = text.lines().find_map(|line| line.strip_prefix("runtime-directory = \"")).unwrap();
    PathBuf::from(runtime.trim_end_matches('"')).join("lca.sock")
}

#[test]
fn nonsense_is_refused_counted_and_told_of_once() {
    let mut play = Play::well();
    let before = play.status();
    let (alpha, link) = (agent_address(&play, Host::Alpha), application_door(&play, Host::Alpha));
    for _ in 0..3 {
        for (_, said) in nonsense(1) {
            let door = TcpStream::connect(alpha).unwrap();
            door.set_read_timeout(Some(DOOR_LIMIT)).unwrap();
            let end = door.try_clone().unwrap();
            say_and_leave(door, &said, || drop(end.shutdown(std::net::Shutdown::Write)));
            // The same from somebody with the control server's own certificate.
            let door = TcpStream::connect(alpha).unwrap();
            door.set_read_timeout(Some(DOOR_LIMIT)).unwrap();
            let end = door.try_clone().unwrap();
            let door = secured(&play, SERVER, door);
            say_and_leave(door, &said, || drop(end.shutdown(std::net::Shutdown::Write)));
        }
        for (_, said) in nonsense(3) {
            let door = UnixStream::connect(&link).unwrap();
            door.set_read_timeout(Some(DOOR_LIMIT)).unwrap();
            let end = door.try_clone().unwrap();
            say_and_leave(door, &said, || drop(end.shutdown(std::net::Shutdown::Write)));
        }
        play.scsctl(&["switchover", "t"]).expect(0, &[]);
    }
    let log = play.log(Daemon::Agent(Host::Alpha));
    for kind in ["control link refused", "application link refused"] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(kind)).collect();
        let word = |line: &str| {
            line.split("word=").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned)
        };
        let mut words: Vec<String> = lines.iter().map(|line| word(line).unwrap()).collect();
        let told = words.len();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), told, "a reason was told of twice within a minute: {lines:#?}");
        assert!(told >= 6, "{kind}: too few reasons are told apart: {lines:#?}");
    }
    let end = play.until_well();
    assert_eq!(pair(&end, "t").epoch, pair(&before, "t").epoch + 3);
    assert_undisturbed(&before, &end, &[]);
}

#[test]
fn nonsense_at_the_operators_door_is_refused() {
    let mut play = Play::well();
    let before = play.status();
    let socket = play.stage.api().socket().to_owned();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let head = "POST /v1/pairs/t/switchover HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ";
    let body = "y".repeat(100 * 1024);
    let large = format!("{head}{}\r\n\r\n{body}", body.len());
    let deep = "[".repeat(10_000);
    let deep = format!("{head}{}\r\n\r\n{deep}", deep.len());
    let unknown = format!("{head}16\r\n\r\n{{\"tow\":\"t-2\"}}   ");
    let half = format!("{head}100\r\n\r\n{{\"to\"");
    for said in ["\0\0\0\0", "US\u{1}\u{1}", "GET", &long, &large, &deep, &unknown, &half, ""] {
        let door = UnixStream::connect(&socket).unwrap();
        door.set_read_timeout(Some(DOOR_LIMIT)).unwrap();
        let end = door.try_clone().unwrap();
        say_and_leave(door, said.as_bytes(), || drop(end.shutdown(std::net::Shutdown::Write)));
    }
    let end = play.until_well();
    assert_eq!(before, end, "nonsense was obeyed");
    play.scsctl(&["switchover", "t"]).expect(0, &[]);
}

/// A connection that never says anything; nothing if the door's queue is full.
fn silent_at(path: &std::path::Path) -> Option<std::os::fd::OwnedFd> {
    let address = SocketAddrUnix::new(path).unwrap();
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    rustix::net::connect(&socket, &address).ok().map(|()| socket)
}

#[test]
fn a_thousand_silent_strangers_hold_nobody_up() {
    let mut play = Play::well();
    let before = play.status();
    let (alpha, link) = (agent_address(&play, Host::Alpha), application_door(&play, Host::Alpha));
    let mut silent = Vec::new();
    for _ in 0..MANY {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        match rustix::net::connect(&socket, &alpha) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => silent.push(socket),
            Err(error) => panic!("{error}"),
        }
        silent.extend(silent_at(&link));
    }
    assert!(silent.len() >= MANY);
    // Who is connected already is served as ever.
    for to in ["t-2", "t-1", "t-2"] {
        play.scsctl(&["switchover", "t", "--to", to]).expect(0, &[]);
    }
    let during = play.until_well();
    assert_undisturbed(&before, &during, &[]);
    // And a crash is met as ever.
    play.stage.kill_application("t-2").unwrap();
    play.until_so("t-1 serves", || if play.serves("t-1") { Ok(()) } else { Err("it does not".to_owned()) });
    drop(silent);
    let end = play.until_primary("t-1");
    assert_undisturbed(&before, &end, &["t-2"]);
}

#[test]
fn a_thousand_silent_callers_keep_operators_waiting_for_a_moment_and_the_cluster_not_at_all() {
    let mut play = Play::well();
    let before = play.status();
    let socket = play.stage.api().socket().to_owned();
    // As many as are served at once, and some more before the door.
    let mut silent = Vec::new();
    play.until_so("every seat is taken", || {
        silent.extend((0..MANY).filter_map(|_| silent_at(&socket)));
        if silent.len() > 300 { Ok(()) } else { Err(format!("{} hold on", silent.len())) }
    });
    let pid = before.application("t-1").and_then(|one| one.pid).unwrap();
    understudy_stage::sweep::open_marked(pid, play.stage.directory()).unwrap().kill().unwrap();
    play.until_so("t-2 serves", || if play.serves("t-2") { Ok(()) } else { Err("it does not".to_owned()) });
    // Who says nothing is let go after a while, while all of them hold on.
    play.until_so("an operator is answered", || {
        let told = play.scsctl(&["status"]);
        if told.code == 0 { Ok(()) } else { Err(told.text) }
    });
    drop(silent);
    let end = play.until_primary("t-2");
    assert_undisturbed(&before, &end, &["t-1"]);
}
