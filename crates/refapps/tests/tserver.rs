//! The real call server under an agent made of a test's own hands, and alone.

#[path = "../../understudy/tests/agent/mod.rs"]
mod agent;
mod running;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use agent::{Agent, Session};
use running::{Tserver, command, until, wait};
use rustix::process::Signal;
use understudy_model::{Epoch, FromApplication, Readiness, RunMode, ToApplication};

fn order(session: &mut Session, run_mode: RunMode, epoch: u64) {
    session.say(ToApplication::SetRunMode { run_mode, epoch: Epoch(epoch) });
}

fn done(run_mode: RunMode, epoch: u64) -> FromApplication {
    FromApplication::RunModeDone { run_mode, epoch: Epoch(epoch) }
}

/// A server that its agent has accepted and that has said that it is ready.
fn ready(agent: &Agent, run_mode: &str, epoch: u64, arguments: &[&str]) -> (Tserver, Session) {
    let server = Tserver::start(&agent.variables(run_mode, epoch), arguments);
    let (mut session, first) = agent.attach();
    let FromApplication::Attach { pid, readiness, .. } = first else { panic!("{first:?}") };
    assert_eq!(pid, server.child.id());
    if readiness != Readiness::Ready {
        assert_eq!(session.hear(), FromApplication::Readiness(Readiness::Ready));
    }
    (server, session)
}

#[test]
fn a_backup_registers_and_only_a_primary_serves() {
    let agent = Agent::new();
    let (server, mut session) = ready(&agent, "backup", 6, &[]);
    let mut client = server.connect();
    let mut ask = |line: &str| client.ask(&format!("{line}\n")).unwrap();
    assert_eq!(ask("HELLO"), "OK epoch=6 name=app-1 run-mode=backup");
    assert_eq!(ask("REGISTER 7001"), "OK epoch=6");
    assert_eq!(ask("LOGIN ann 7001"), "OK epoch=6");
    for serving in ["WRITE 1", "MAKE inbound 555 7001", "QUERY dn 7001", "READY ann"] {
        assert_eq!(ask(serving), "ERR not-primary run-mode=backup epoch=6", "{serving}");
    }
    order(&mut session, RunMode::Primary, 7);
    assert_eq!(session.hear(), done(RunMode::Primary, 7));
    assert_eq!(ask("WRITE 1"), "OK epoch=7");
    assert_eq!(ask("READY ann"), "OK epoch=7");
    let made = ask("MAKE inbound 555 7001");
    assert_eq!(made, "OK epoch=7 conn=700000001");
    assert_eq!(ask("ATTACH 700000001 why billing question"), "OK epoch=7 conn=700000001");
    assert_eq!(
        ask("QUERY call 700000001"),
        "OK epoch=7 conn=700000001 type=inbound party=555:dialing party=7001:ringing data=why=billing%20question"
    );
    assert_eq!(ask("MAKE inbound 556 7001"), "ERR busy 7001 epoch=7");
    assert_eq!(ask("QUERY agent ann"), "OK epoch=7 agent=ann dn=7001 state=ready");
    assert_eq!(ask("STATUS"), "OK epoch=7 name=app-1 run-mode=primary calls=1 agents=1 dns=1 writes=1");
    // A new token keeps everything, another time as primary forgets what somebody else may have changed.
    order(&mut session, RunMode::Primary, 8);
    assert_eq!(session.hear(), done(RunMode::Primary, 8));
    assert_eq!(ask("QUERY writes 1 5"), "OK epoch=8 held=1");
    order(&mut session, RunMode::Backup, 8);
    assert_eq!(session.hear(), done(RunMode::Backup, 8));
    assert_eq!(ask("WRITE 2"), "ERR not-primary run-mode=backup epoch=8");
    order(&mut session, RunMode::Primary, 9);
    assert_eq!(session.hear(), done(RunMode::Primary, 9));
    assert_eq!(ask("STATUS"), "OK epoch=9 name=app-1 run-mode=primary calls=0 agents=1 dns=1 writes=0");
    assert_eq!(ask("FAULT crash"), "ERR faults are off; start with --faults");
}

#[test]
fn its_agent_may_die_and_it_goes_on() {
    let mut agent = Agent::new();
    let (server, session) = ready(&agent, "primary", 3, &[]);
    assert_eq!(server.ask("WRITE 1"), "OK epoch=3");
    drop(session);
    agent.die();
    assert_eq!(server.ask("WRITE 2"), "OK epoch=3");
    agent.come_back();
    let (_session, first) = agent.attach();
    let FromApplication::Attach { run_mode, epoch, readiness, .. } = first else { panic!("{first:?}") };
    assert_eq!((run_mode, epoch, readiness), (RunMode::Primary, Epoch(3), Readiness::Ready));
    assert_eq!(server.ask("QUERY writes 1 2"), "OK epoch=3 held=2");
}

#[test]
fn faults_refuse_withdraw_and_delay() {
    let agent = Agent::new();
    let (server, mut session) = ready(&agent, "backup", 1, &["--faults"]);
    assert_eq!(server.ask("FAULT refuse-promotion on"), "OK");
    order(&mut session, RunMode::Primary, 2);
    assert!(matches!(session.hear(), FromApplication::RunModeRefused { epoch: Epoch(2), .. }));
    assert_eq!(server.ask("FAULT refuse-promotion off"), "OK");
    assert_eq!(server.ask("FAULT unavailable no trunk"), "OK");
    let withdrawn = Readiness::Unavailable("no trunk".to_owned());
    assert_eq!(session.hear(), FromApplication::Readiness(withdrawn));
    assert_eq!(server.ask("FAULT available"), "OK");
    assert_eq!(session.hear(), FromApplication::Readiness(Readiness::Ready));
    order(&mut session, RunMode::Primary, 3);
    assert_eq!(session.hear(), done(RunMode::Primary, 3));
    // In a slow demotion it may not act any more, and says so, before it is done.
    assert_eq!(server.ask("FAULT slow-demotion 300"), "OK");
    let mut client = server.connect();
    assert_eq!(client.ask("WRITE 1\n").unwrap(), "OK epoch=3");
    order(&mut session, RunMode::Backup, 3);
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.ask("WRITE 2\n").unwrap() != "ERR not-primary run-mode=backup epoch=3" {
        assert!(Instant::now() < deadline, "it goes on serving");
    }
    assert_eq!(session.hear(), done(RunMode::Backup, 3));
    assert_eq!(client.ask("WRITE 2\n").unwrap(), "ERR not-primary run-mode=backup epoch=3");
}

#[test]
fn faults_end_it() {
    use std::os::unix::process::ExitStatusExt;
    const SIGABRT: i32 = 6;
    let mut crashing = Tserver::start(&BTreeMap::new(), &["--faults"]);
    assert!(crashing.connect().ask("FAULT crash\n").is_err());
    assert_eq!(crashing.wait().signal(), Some(SIGABRT));
    let mut exiting = Tserver::start(&BTreeMap::new(), &["--faults"]);
    assert!(exiting.connect().ask("FAULT exit 42\n").is_err());
    assert_eq!(exiting.wait().code(), Some(42));
}

#[test]
fn a_hanging_server_answers_nobody_and_lives() {
    let agent = Agent::new();
    let (mut server, mut session) = ready(&agent, "primary", 1, &["--faults"]);
    let mut before = server.connect();
    assert_eq!(before.ask("WRITE 1\n").unwrap(), "OK epoch=1");
    assert!(server.connect().ask("FAULT hang\n").is_err());
    order(&mut session, RunMode::Backup, 1);
    server.signal(Signal::TERM);
    assert!(before.ask("WRITE 2\n").is_err());
    assert_eq!(server.child.try_wait().unwrap(), None);
    drop(server);
    // It never confirmed its demotion.
    assert_eq!(session.hear_or_end(), None);
}

#[test]
fn a_suspended_server_finishes_its_calls_and_takes_no_new_ones() {
    let agent = Agent::new();
    let (server, mut session) = ready(&agent, "primary", 1, &[]);
    server.ask("REGISTER 7001");
    assert_eq!(server.ask("MAKE inbound 555 7001"), "OK epoch=1 conn=100000001");
    session.say(ToApplication::Suspend);
    until(|| server.ask("MAKE outbound 7002 555") == "ERR suspending epoch=1");
    assert_eq!(server.ask("ANSWER 100000001 7001"), "OK epoch=1 conn=100000001");
    assert_eq!(server.ask("RELEASE 100000001 7001"), "OK epoch=1 conn=100000001");
    assert_eq!(session.hear(), FromApplication::Suspended);
}

#[test]
fn it_ends_gracefully_unless_told_to_ignore_it() {
    let mut polite = Tserver::start(&BTreeMap::new(), &[]);
    assert_eq!(polite.ask("HELLO"), "OK epoch=0 name=tserver run-mode=primary");
    polite.signal(Signal::TERM);
    assert_eq!(polite.wait().code(), Some(0));
    let mut stubborn = Tserver::start(&BTreeMap::new(), &["--ignore-term"]);
    stubborn.signal(Signal::TERM);
    assert_eq!(stubborn.ask("WRITE 1"), "OK epoch=0");
    stubborn.signal(Signal::INT);
    assert_eq!(stubborn.wait().code(), Some(0));
}

#[test]
fn a_start_that_fails_says_why() {
    let holder = Tserver::start(&BTreeMap::new(), &[]);
    let port = holder.address.port().to_string();
    let alone = BTreeMap::new();
    let nonsense = BTreeMap::from([("UNDERSTUDY_LINK".to_owned(), "tcp:somewhere".to_owned())]);
    for (variables, port, arguments, code, because) in [
        (&alone, port.as_str(), &[][..], 1, format!("cannot listen on 127.0.0.1:{port}")),
        (&alone, "0", &["--fail-start"][..], 1, "--fail-start".to_owned()),
        (&nonsense, "0", &[][..], 1, "UNDERSTUDY_LINK is \"tcp:somewhere\"".to_owned()),
        (&alone, "70000", &[][..], 2, "70000".to_owned()),
    ] {
        let output = command(variables, port, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(&because), "{said}");
    }
}

#[test]
fn a_left_child_has_a_session_of_its_own() {
    let server = Tserver::start(&BTreeMap::new(), &["--leave-child"]);
    let pid = server.child.id();
    let mut child = String::new();
    until(|| {
        child =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().trim().to_owned();
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // After the command in brackets: state, parent, group, session.
        let session = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3).map(str::to_owned));
        !child.is_empty() && session.as_ref() == Some(&child)
    });
    let left = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
    rustix::process::kill_process(left, Signal::KILL).unwrap();
}

#[test]
fn a_slow_start_is_not_ready_before_its_time() {
    let agent = Agent::new();
    let mut slow = command(&agent.variables("backup", 1), "0", &["--slow-start", "300"]);
    let began = std::time::Instant::now();
    let mut child = slow.stdout(Stdio::null()).spawn().unwrap();
    let (mut session, first) = agent.attach();
    assert!(matches!(first, FromApplication::Attach { readiness: Readiness::NotYet, .. }), "{first:?}");
    assert_eq!(session.hear(), FromApplication::Readiness(Readiness::Ready));
    assert!(began.elapsed().as_millis() >= 300);
    child.kill().unwrap();
    wait(&mut child);
}

#[test]
fn strangers_are_answered_within_bounds() {
    let server = Tserver::start(&BTreeMap::new(), &[]);
    let mut stranger = TcpStream::connect(server.address).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stranger.write_all(&vec![b'x'; 5000]).unwrap();
    let mut heard = String::new();
    stranger.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "ERR unknown-verb\nERR empty-line\nERR line-too-long\n");
    // A client that never reads loses its connection and holds up nobody.
    let mut deaf = TcpStream::connect(server.address).unwrap();
    let flood = "HELLO\n".repeat(1000);
    until(|| deaf.write_all(flood.as_bytes()).is_err());
    assert_eq!(server.ask("WRITE 1"), "OK epoch=0");
}

#[test]
fn the_largest_answer_arrives_whole() {
    use understudy_refapps::tserver::calls::MOST_USER_DATA;
    use understudy_refapps::tserver::lines::LONGEST_VALUE_BYTES;
    let server = Tserver::start(&BTreeMap::new(), &[]);
    server.ask("REGISTER 7001");
    assert_eq!(server.ask("MAKE inbound 555 7001"), "OK epoch=0 conn=1");
    let value = "% ".repeat(LONGEST_VALUE_BYTES / 2 - 1) + "%%";
    for key in 0..MOST_USER_DATA {
        assert_eq!(server.ask(&format!("ATTACH 1 {key:064} {value}")), "OK epoch=0 conn=1");
    }
    let mut client = TcpStream::connect(server.address).unwrap();
    client.write_all(b"QUERY call 1\n").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    assert!(
        heard.ends_with("%20%25%25\n") && heard.starts_with("OK epoch=0 conn=1"),
        "{} bytes",
        heard.len()
    );
    assert!(heard.len() > MOST_USER_DATA * LONGEST_VALUE_BYTES * 3);
}
