//! What others send on the guard's socket, and what a guard refuses.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use understudy_guard::message::{Answer, LONGEST_BYTES, Post, Refusal, Request};
use understudy_guard::socket::{self, Arrived};
use understudy_guard::{MOST_SLOTS, SOCKET, now};
use understudy_model::ApplicationName;

use crate::bench::{self, Bench, Prey, SOON, start_of, until};

struct Stranger(OwnedFd);

impl Stranger {
    fn connect(bench: &Bench) -> Self {
        Self::connect_at(bench.directory.path())
    }

    fn connect_at(directory: &Path) -> Self {
        Self(socket::connect(&directory.join(SOCKET)).unwrap())
    }

    fn send(&self, bytes: &[u8]) {
        // It may have been hung up on already.
        let _ = socket::send(&self.0, bytes, None);
    }

    fn say(&self, request: &Request, descriptor: Option<&OwnedFd>) {
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        socket::send(&self.0, &bytes, descriptor.map(AsFd::as_fd)).unwrap();
    }

    fn hear(&self) -> Option<Answer> {
        let mut bytes = [0; LONGEST_BYTES];
        until("an answer", || socket::is_readable(&self.0));
        match socket::receive(&self.0, &mut bytes).unwrap() {
            Arrived::Packet(packet) => Some(Answer::read(&bytes[..packet.length]).unwrap()),
            Arrived::End => None,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn garbage_ends_its_connection_and_nothing_else() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let kill_at = now() + SOON * 4;
    bench.guard(&prey, kill_at).unwrap();
    bench.settle();
    let path = bench.directory.path().join(SOCKET);
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!(found.mode() & 0o777, 0o600, "nobody else may connect");

    let mut disarm = Vec::new();
    Request::Disarm { post: Post { slot: 0, start: prey.start } }.write(&mut disarm);
    let long = vec![1; LONGEST_BYTES + 1];
    let cut = &disarm[..disarm.len() - 1];
    for bytes in [&b"GET / HTTP/1.0\r\n"[..], &[0; 72], &long, cut, &disarm] {
        let stranger = Stranger::connect(&bench);
        stranger.send(bytes);
        assert_eq!(stranger.hear(), None, "it was hung up on");
    }
    // More descriptors than one, beside a hello that would be right.
    let stranger = Stranger::connect(&bench);
    let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let mut hello = Vec::new();
    Request::Hello.write(&mut hello);
    let mut room = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut beside = rustix::net::SendAncillaryBuffer::new(&mut room);
    let many = [null.as_fd(), null.as_fd(), null.as_fd()];
    assert!(beside.push(rustix::net::SendAncillaryMessage::ScmRights(&many)));
    let parts = [std::io::IoSlice::new(&hello)];
    rustix::net::sendmsg(&stranger.0, &parts, &mut beside, rustix::net::SendFlags::empty()).unwrap();
    assert_eq!(stranger.hear(), None);

    assert!(prey.lives() && bench.guards.is_up());
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    assert!(now() >= kill_at);
    prey.was_killed();
}

#[test]
fn a_flood_of_connections_shuts_nobody_out_for_good() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    bench.guard(&prey, now() + SOON).unwrap();
    bench.settle();
    let strangers: Vec<_> = (0..8).map(|_| Stranger::connect(&bench)).collect();
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    prey.was_killed();
    drop(strangers);
    let next = bench.next_life();
    next.guards.need();
    // However often it is hung up on before.
    next.settle();
}

#[test]
fn what_may_not_be_armed_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut guard = Command::new(bench::PROGRAM)
        .arg("--directory")
        .arg(directory.path())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until("it listens", || socket::connect(&directory.path().join(SOCKET)).is_ok());
    let agent = Stranger::connect_at(directory.path());
    agent.say(&Request::Hello, None);
    assert!(matches!(agent.hear(), Some(Answer::Welcome { .. })));
    let mut prey = Prey::start(1, "sleep 1000");
    let process = prey.grip().process;
    let application = ApplicationName::new("app").unwrap();
    let arm = |slot, number, group: Option<&str>| Request::Arm {
        post: Post { slot, start: bench::start(number) },
        kill_at: now() + SOON * 1_000,
        application: application.clone(),
        group: group.map(Into::into),
    };
    let refused = |why, request: Request, descriptor: Option<&OwnedFd>| {
        agent.say(&request, descriptor);
        assert!(
            matches!(agent.hear(), Some(Answer::Refused { why: said, .. }) if said == why),
            "{request:?}"
        );
    };
    refused(Refusal::NoSlot, arm(MOST_SLOTS as u16, 1, None), Some(&process));
    refused(Refusal::NoProcess, arm(0, 1, None), None);
    let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    refused(Refusal::NoProcess, arm(0, 1, None), Some(&null));
    let first = pidfd_open(Pid::INIT, PidfdFlags::empty()).unwrap();
    refused(Refusal::NoProcess, arm(0, 1, None), Some(&first));
    refused(Refusal::Group, arm(0, 1, Some("/sys/fs/cgroup")), Some(&process));
    agent.say(&arm(0, 1, None), Some(&process));
    assert!(matches!(agent.hear(), Some(Answer::Armed { .. })));
    refused(Refusal::Taken, arm(0, 2, None), Some(&process));
    // The same start keeps its slot; words about another start in that slot change nothing.
    agent.say(&Request::Move { post: Post { slot: 0, start: bench::start(2) }, kill_at: now() }, None);
    agent.say(&Request::Disarm { post: Post { slot: 0, start: bench::start(2) } }, None);
    agent.say(&arm(0, 1, None), Some(&process));
    assert!(matches!(agent.hear(), Some(Answer::Armed { .. })));
    assert!(prey.lives());
    agent.say(&Request::Move { post: Post { slot: 0, start: bench::start(1) }, kill_at: now() }, None);
    prey.was_killed();
    assert!(matches!(agent.hear(), Some(Answer::Fired { .. })));
    guard.kill().unwrap();
    guard.wait().unwrap();
}
