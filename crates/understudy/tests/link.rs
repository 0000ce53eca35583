//! The library against an agent on a real Unix socket: what it says first, what it answers, what it survives.

mod agent;
mod may_act;
mod recorder;

use std::time::Instant;

use agent::{Agent, PATIENCE};
use recorder::{Asked, Recorder};
use understudy::{Environment, Epoch, LinkChange, Readiness, Role, RunMode, Understudy};
use understudy_model::{FromApplication, ToApplication};
use understudy_wire::frame;

fn environment(agent: &Agent, run_mode: &str, epoch: u64) -> Environment {
    Environment::from_variables(&agent.variables(run_mode, epoch)).unwrap().unwrap()
}

fn set(run_mode: RunMode, epoch: u64) -> ToApplication {
    ToApplication::SetRunMode { run_mode, epoch: Epoch(epoch) }
}

fn done(run_mode: RunMode, epoch: u64) -> FromApplication {
    FromApplication::RunModeDone { run_mode, epoch: Epoch(epoch) }
}

fn role(run_mode: RunMode, epoch: u64) -> Role {
    Role { run_mode, epoch: Epoch(epoch) }
}

fn attach(run_mode: RunMode, epoch: u64, readiness: Readiness, suspended: bool) -> FromApplication {
    FromApplication::Attach {
        application: understudy::ApplicationName::new("app-1").unwrap(),
        pid: std::process::id(),
        run_mode,
        epoch: Epoch(epoch),
        readiness,
        suspended,
        heartbeat: true,
    }
}

fn assert_refused(heard: FromApplication, mode: RunMode, number: u64, because: &str) {
    match heard {
        FromApplication::RunModeRefused { run_mode, epoch, reason } => {
            assert_eq!((run_mode, epoch.0), (mode, number));
            assert!(reason.contains(because), "{reason}");
        }
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn promotion_and_demotion_are_called_and_then_acknowledged() {
    let agent = Agent::new();
    let (recorder, notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "backup", 6), recorder).unwrap();
    let (mut session, first) = agent.attach();
    assert_eq!(first, attach(RunMode::Backup, 6, Readiness::NotYet, false));
    assert_eq!(notes.next_link(), LinkChange::Attached);

    link.ready();
    link.ready();
    assert_eq!(session.hear(), FromApplication::Readiness(Readiness::Ready));

    session.say(set(RunMode::Primary, 7));
    assert_eq!(session.hear(), done(RunMode::Primary, 7));
    assert!(matches!(notes.next(), Asked::Promote(Epoch(7))));
    assert_eq!(link.role(), role(RunMode::Primary, 7));

    // The same again: answered, nobody called.
    session.say(set(RunMode::Primary, 7));
    assert_eq!(session.hear(), done(RunMode::Primary, 7));
    assert!(notes.is_quiet());

    // A new fencing token for who serves already.
    session.say(set(RunMode::Primary, 8));
    assert_eq!(session.hear(), done(RunMode::Primary, 8));
    assert!(matches!(notes.next(), Asked::Promote(Epoch(8))));

    session.say(set(RunMode::Backup, 8));
    assert_eq!(session.hear(), done(RunMode::Backup, 8));
    assert!(matches!(notes.next(), Asked::Demote(Epoch(8))));
    assert_eq!(link.role(), role(RunMode::Backup, 8));

    // A backup only learns.
    session.say(set(RunMode::Backup, 9));
    assert_eq!(session.hear(), done(RunMode::Backup, 9));
    assert!(notes.is_quiet());

    link.unavailable("no trunk");
    assert_eq!(session.hear(), FromApplication::Readiness(Readiness::Unavailable("no trunk".to_owned())));
}

#[test]
fn lower_and_left_epochs_are_refused_without_a_call() {
    let agent = Agent::new();
    let (recorder, notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "backup", 6), recorder).unwrap();
    let (mut session, _) = agent.attach();
    session.say(set(RunMode::Primary, 5));
    assert_refused(session.hear(), RunMode::Primary, 5, "lower than the present epoch 6");
    session.say(set(RunMode::Primary, 7));
    assert_eq!(session.hear(), done(RunMode::Primary, 7));
    assert!(matches!(notes.next(), Asked::Promote(Epoch(7))));
    session.say(set(RunMode::Backup, 6));
    assert_refused(session.hear(), RunMode::Backup, 6, "lower than the present epoch 7");
    assert_eq!(link.role(), role(RunMode::Primary, 7));
    session.say(set(RunMode::Backup, 7));
    assert_eq!(session.hear(), done(RunMode::Backup, 7));
    assert!(matches!(notes.next(), Asked::Demote(Epoch(7))));
    session.say(set(RunMode::Primary, 7));
    assert_refused(session.hear(), RunMode::Primary, 7, "not entered again");
    session.say(set(RunMode::Exiting, 9));
    assert_refused(session.hear(), RunMode::Exiting, 9, "primary and backup");
    assert!(notes.is_quiet());
}

#[test]
fn a_refused_promotion_stays_backup_for_that_epoch() {
    let agent = Agent::new();
    let (recorder, notes) = Recorder::new(&[7, 9]);
    let link = Understudy::start(environment(&agent, "backup", 6), recorder).unwrap();
    let (mut session, _) = agent.attach();
    session.say(set(RunMode::Primary, 7));
    assert_refused(session.hear(), RunMode::Primary, 7, "not in 7");
    assert!(matches!(notes.next(), Asked::Promote(Epoch(7))));
    assert_eq!(link.role(), role(RunMode::Backup, 6));
    session.say(set(RunMode::Primary, 7));
    assert_refused(session.hear(), RunMode::Primary, 7, "left or refused before");
    assert!(notes.is_quiet());
    session.say(set(RunMode::Primary, 8));
    assert_eq!(session.hear(), done(RunMode::Primary, 8));
    assert!(matches!(notes.next(), Asked::Promote(Epoch(8))));
    // A primary that refuses its new token is demoted before the refusal is told.
    session.say(set(RunMode::Primary, 9));
    assert_refused(session.hear(), RunMode::Primary, 9, "not in 9");
    assert!(matches!(notes.next(), Asked::Promote(Epoch(9))));
    assert!(matches!(notes.next(), Asked::Demote(Epoch(8))));
    assert_eq!(link.role(), role(RunMode::Backup, 8));
}

#[test]
fn a_dead_agent_changes_nothing_and_the_next_one_hears_the_truth() {
    let mut agent = Agent::new();
    let (recorder, notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "backup", 1), recorder).unwrap();
    let (mut session, _) = agent.attach();
    session.say(set(RunMode::Primary, 2));
    assert_eq!(session.hear(), done(RunMode::Primary, 2));
    assert!(matches!(notes.next(), Asked::Promote(Epoch(2))));
    assert_eq!(link.role(), role(RunMode::Primary, 2));

    for round in 0..3 {
        drop(session);
        agent.die();
        assert!(matches!(notes.next_link(), LinkChange::Lost(_)));
        assert_eq!(link.role(), role(RunMode::Primary, 2));
        // What changes meanwhile is said with the next attach.
        let readiness =
            if round % 2 == 0 { Readiness::Ready } else { Readiness::Unavailable("full".to_owned()) };
        match &readiness {
            Readiness::Unavailable(reason) => link.unavailable(reason.clone()),
            _ => link.ready(),
        }
        agent.come_back();
        let again;
        (session, again) = agent.attach();
        assert_eq!(again, attach(RunMode::Primary, 2, readiness, false));
        assert_eq!(notes.next_link(), LinkChange::Attached);
    }
    assert!(notes.is_quiet());
}

#[test]
fn garbage_and_early_orders_end_the_connection_and_not_the_role() {
    let agent = Agent::new();
    let (recorder, notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "backup", 3), recorder).unwrap();
    let mut oversized = bytes::BytesMut::new();
    frame::encode(frame::Kind::ToApplication, &[0; 20_000], &mut oversized).unwrap();
    let mut other_kind = bytes::BytesMut::new();
    frame::encode(frame::Kind::ToAgent, &[], &mut other_kind).unwrap();
    for (garbage, because) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "no frame"),
        (&oversized[..64], "20012 bytes"),
        (&other_kind[..], "ToAgent"),
    ] {
        let (mut session, first) = agent.attach();
        assert_eq!(first, attach(RunMode::Backup, 3, Readiness::NotYet, false));
        assert_eq!(notes.next_link(), LinkChange::Attached);
        session.say_bytes(garbage);
        assert_eq!(session.hear_or_end(), None);
        match notes.next_link() {
            LinkChange::Lost(why) => assert!(why.contains(because), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    // An order before `Attached` is none.
    let mut early = agent.accept();
    early.hear();
    early.say(set(RunMode::Primary, 4));
    assert_eq!(early.hear_or_end(), None);
    assert_eq!(link.role(), role(RunMode::Backup, 3));
    assert!(notes.is_quiet());
    // An agent that refuses is asked again.
    let mut refusing = agent.accept();
    refusing.hear();
    refusing.say(ToApplication::AttachRefused("another process has the link".to_owned()));
    assert_eq!(refusing.hear_or_end(), None);
    let (mut session, _) = agent.attach();
    session.say(set(RunMode::Primary, 4));
    assert_eq!(session.hear(), done(RunMode::Primary, 4));
}

#[test]
fn orders_in_pieces_and_in_one_piece_are_answered_in_order() {
    let agent = Agent::new();
    let (recorder, _notes) = Recorder::new(&[]);
    let _link = Understudy::start(environment(&agent, "backup", 0), recorder).unwrap();
    let (mut session, _) = agent.attach();
    let mut bytes = bytes::BytesMut::new();
    let orders = [(RunMode::Primary, 1), (RunMode::Backup, 1), (RunMode::Primary, 2), (RunMode::Backup, 3)];
    for (run_mode, epoch) in orders {
        use understudy_wire::Message;
        understudy_wire::ApplicationHears::from(set(run_mode, epoch)).to_frame(&mut bytes).unwrap();
    }
    let (one_by_one, at_once) = bytes.split_at(17);
    one_by_one.iter().for_each(|byte| session.say_bytes(&[*byte]));
    session.say_bytes(at_once);
    for (run_mode, epoch) in orders {
        assert_eq!(session.hear(), done(run_mode, epoch));
    }
}

#[test]
fn a_primary_from_the_start_serves_before_it_is_attached() {
    let agent = Agent::new();
    let (recorder, notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "primary", 5), recorder).unwrap();
    assert_eq!(link.role(), role(RunMode::Primary, 5));
    assert!(matches!(notes.next(), Asked::Promote(Epoch(5))));
    let (_session, first) = agent.attach();
    assert_eq!(first, attach(RunMode::Primary, 5, Readiness::NotYet, false));
}

#[test]
fn a_primary_from_the_start_may_refuse_and_says_so_once() {
    let agent = Agent::new();
    let (recorder, _notes) = Recorder::new(&[5]);
    let link = Understudy::start(environment(&agent, "primary", 5), recorder).unwrap();
    assert_eq!(link.role(), role(RunMode::Backup, 5));
    let (mut session, first) = agent.attach();
    assert_eq!(first, attach(RunMode::Backup, 5, Readiness::NotYet, false));
    assert_refused(session.hear(), RunMode::Primary, 5, "not in 5");
    session.say(set(RunMode::Primary, 5));
    assert_refused(session.hear(), RunMode::Primary, 5, "left or refused before");
}

#[test]
fn suspension_is_asked_once_and_told_to_every_later_agent() {
    let mut agent = Agent::new();
    let (recorder, notes) = Recorder::new(&[]);
    let _link = Understudy::start(environment(&agent, "primary", 5), recorder).unwrap();
    assert!(matches!(notes.next(), Asked::Promote(_)));
    let (mut session, _) = agent.attach();
    session.say(ToApplication::Suspend);
    session.say(ToApplication::Suspend);
    let Asked::Suspend(finished) = notes.next() else { panic!("not asked to suspend") };
    session.say(set(RunMode::Primary, 6));
    assert_refused(session.hear(), RunMode::Primary, 6, "suspend");
    assert!(notes.is_quiet());
    finished.finished();
    assert_eq!(session.hear(), FromApplication::Suspended);
    session.say(ToApplication::Suspend);
    assert_eq!(session.hear(), FromApplication::Suspended);
    drop(session);
    agent.die();
    agent.come_back();
    assert_eq!(agent.attach().1, attach(RunMode::Primary, 5, Readiness::NotYet, true));
}

#[test]
fn an_agent_that_reads_nothing_does_not_stop_the_application() {
    let agent = Agent::new();
    let (recorder, _notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "backup", 0), recorder).unwrap();
    let (session, _) = agent.attach();
    // Far more than a socket's buffers hold; without a bound on saying this would never end.
    let began = Instant::now();
    let reason = "x".repeat(understudy::LONGEST_REASON_BYTES - 10);
    for number in 0..4000 {
        link.unavailable(format!("{number} {reason}"));
    }
    assert!(began.elapsed() < PATIENCE);
    link.ready();
    let deadline = Instant::now() + PATIENCE;
    while agent.attach().1 != attach(RunMode::Backup, 0, Readiness::Ready, false) {
        assert!(Instant::now() < deadline);
    }
    drop(session);
}

#[test]
fn dropping_the_link_closes_it() {
    let agent = Agent::new();
    let (recorder, _notes) = Recorder::new(&[]);
    let link = Understudy::start(environment(&agent, "backup", 0), recorder).unwrap();
    let (mut session, _) = agent.attach();
    let watch = link.watch();
    drop(link);
    assert_eq!(session.hear_or_end(), None);
    assert_eq!(watch.role(), role(RunMode::Backup, 0));
}

/// An application that cannot be promoted without panicking.
struct Broken;

impl understudy::Conduct for Broken {
    fn promote(&mut self, _: Epoch) -> Result<(), String> {
        panic!("broken on purpose")
    }

    fn demote(&mut self, _: Epoch) {}
}

#[test]
fn a_panic_in_the_conduct_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    const INSIDE: &str = "UNDERSTUDY_TEST_INSIDE";
    const SIGABRT: i32 = 6;
    if std::env::var_os(INSIDE).is_some() {
        let agent = Agent::new();
        let _link = Understudy::start(environment(&agent, "primary", 1), Broken);
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_panic_in_the_conduct_ends_the_process", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken on purpose"), "{output:?}");
}
