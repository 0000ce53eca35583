//! What a primary may have recorded of who has everything, as its library says it (G14).
//!
//! The law: alone is only who was told so in this epoch, and has said nothing else since.

mod agent;

use std::thread;
use std::time::{Duration, Instant};

use agent::{Agent, PATIENCE, Session};
use bytes::BytesMut;
use understudy::{Conduct, Environment, Epoch, InSyncError, RunMode, Understudy};
use understudy_model::{FromApplication, InSyncWish, ToApplication};
use understudy_wire::{ApplicationHears, Message};

struct Willing;

impl Conduct for Willing {
    fn promote(&mut self, _: Epoch) -> Result<(), String> {
        Ok(())
    }
    fn demote(&mut self, _: Epoch) {}
}

/// A primary in that epoch, accepted by its agent.
fn primary(agent: &Agent, epoch: u64) -> (Understudy, Session) {
    let environment = Environment::from_variables(&agent.variables("primary", epoch)).unwrap().unwrap();
    let link = Understudy::start(environment, Willing).unwrap();
    let (session, _) = agent.attach();
    (link, session)
}

/// Hears the next word.
fn word(session: &mut Session) -> (u64, Epoch, InSyncWish) {
    match session.hear() {
        FromApplication::InSync { number, epoch, wish } => (number, epoch, wish),
        other => panic!("{other:?}"),
    }
}

fn answers(session: &mut Session, number: u64, refused: Option<&str>) {
    session.say(ToApplication::InSyncDone { number, refused: refused.map(str::to_owned) });
}

/// Says a word in a thread of its own, as often as it takes until the agent has accepted the process.
fn says<'s>(
    scope: &'s thread::Scope<'s, '_>,
    link: &'s Understudy,
    wish: InSyncWish,
) -> thread::ScopedJoinHandle<'s, Result<Epoch, InSyncError>> {
    scope.spawn(move || {
        let until = Instant::now() + PATIENCE;
        loop {
            let said = match wish {
                InSyncWish::LeaveOut => link.leave_out_peer(PATIENCE),
                InSyncWish::CaughtUp => link.peer_caught_up(PATIENCE),
            };
            if said != Err(InSyncError::NoAgent) || Instant::now() > until {
                return said;
            }
            thread::yield_now();
        }
    })
}

/// A word, and what its agent answers.
fn said(
    link: &Understudy,
    session: &mut Session,
    wish: InSyncWish,
    refused: Option<&str>,
) -> Result<Epoch, InSyncError> {
    thread::scope(|scope| {
        let said = says(scope, link, wish);
        let (number, epoch, heard) = word(session);
        assert_eq!((epoch, heard), (link.role().epoch, wish));
        answers(session, number, refused);
        said.join().unwrap()
    })
}

#[test]
fn alone_is_who_was_told_so_and_has_not_said_otherwise_since() {
    let agent = Agent::new();
    let (link, mut session) = primary(&agent, 4);
    assert!(!link.may_acknowledge_alone(), "nobody said so");
    assert_eq!(said(&link, &mut session, InSyncWish::LeaveOut, None), Ok(Epoch(4)));
    assert!(link.may_acknowledge_alone());
    // A word of the same sense that fails takes nothing back.
    assert!(said(&link, &mut session, InSyncWish::LeaveOut, Some("no")).is_err());
    assert!(link.may_acknowledge_alone());
    let refused = said(&link, &mut session, InSyncWish::CaughtUp, Some("it is not durable"));
    assert_eq!(refused, Err(InSyncError::Refused("it is not durable".to_owned())));
    assert!(!link.may_acknowledge_alone(), "it may be recorded all the same");
    assert_eq!(said(&link, &mut session, InSyncWish::LeaveOut, None), Ok(Epoch(4)));
    assert!(link.may_acknowledge_alone());
}

#[test]
fn from_the_first_byte_that_the_other_has_caught_up_nobody_is_alone() {
    let agent = Agent::new();
    let (link, mut session) = primary(&agent, 4);
    said(&link, &mut session, InSyncWish::LeaveOut, None).unwrap();
    thread::scope(|scope| {
        let caught_up = says(scope, &link, InSyncWish::CaughtUp);
        let (number, ..) = word(&mut session);
        assert!(!link.may_acknowledge_alone(), "the answer is on its way, or not");
        answers(&mut session, number, None);
        assert_eq!(caught_up.join().unwrap(), Ok(Epoch(4)));
    });
    assert!(!link.may_acknowledge_alone());
}

#[test]
fn an_answer_to_a_word_that_was_overtaken_makes_nobody_alone() {
    let agent = Agent::new();
    let (link, mut session) = primary(&agent, 4);
    thread::scope(|scope| {
        let out = says(scope, &link, InSyncWish::LeaveOut);
        let (first, ..) = word(&mut session);
        let caught_up = says(scope, &link, InSyncWish::CaughtUp);
        let (second, ..) = word(&mut session);
        assert!(second > first);
        answers(&mut session, second, None);
        caught_up.join().unwrap().unwrap();
        answers(&mut session, first, None);
        assert_overtaken(out.join().unwrap(), "has caught up");
    });
    assert!(!link.may_acknowledge_alone(), "the last word was that both have everything");
}

fn assert_overtaken(said: Result<Epoch, InSyncError>, by: &str) {
    let overtaken =
        matches!(&said, Err(InSyncError::Refused(why)) if why.contains("overtaken") && why.contains(by));
    assert!(overtaken, "{said:?}");
}

#[test]
fn who_waited_while_another_thread_said_otherwise_is_told_so_even_if_both_were_recorded() {
    let agent = Agent::new();
    let (link, mut session) = primary(&agent, 4);
    for (wish, otherwise, by) in [
        (InSyncWish::LeaveOut, InSyncWish::CaughtUp, "has caught up"),
        (InSyncWish::CaughtUp, InSyncWish::LeaveOut, "is out"),
    ] {
        thread::scope(|scope| {
            let early = says(scope, &link, wish);
            let (first, ..) = word(&mut session);
            let late = says(scope, &link, otherwise);
            let (second, ..) = word(&mut session);
            answers(&mut session, first, None);
            assert_overtaken(early.join().unwrap(), by);
            answers(&mut session, second, None);
            assert_eq!(late.join().unwrap(), Ok(Epoch(4)));
        });
        assert_eq!(link.may_acknowledge_alone(), otherwise == InSyncWish::LeaveOut);
    }
}

#[test]
fn two_threads_that_say_the_same_are_both_told_that_it_is_so() {
    let agent = Agent::new();
    let (link, mut session) = primary(&agent, 4);
    thread::scope(|scope| {
        let early = says(scope, &link, InSyncWish::LeaveOut);
        let (first, ..) = word(&mut session);
        let late = says(scope, &link, InSyncWish::LeaveOut);
        let (second, ..) = word(&mut session);
        answers(&mut session, first, None);
        assert_eq!(early.join().unwrap(), Ok(Epoch(4)));
        assert!(link.may_acknowledge_alone(), "it was told so, and nobody has said otherwise");
        answers(&mut session, second, None);
        assert_eq!(late.join().unwrap(), Ok(Epoch(4)));
    });
    assert!(link.may_acknowledge_alone());
}

#[test]
fn another_epoch_begins_with_nothing_said() {
    let agent = Agent::new();
    let (link, mut session) = primary(&agent, 4);
    said(&link, &mut session, InSyncWish::LeaveOut, None).unwrap();
    session.say(ToApplication::SetRunMode { run_mode: RunMode::Primary, epoch: Epoch(6) });
    assert!(matches!(session.hear(), FromApplication::RunModeDone { .. }));
    assert_eq!((link.role().epoch, link.may_acknowledge_alone()), (Epoch(6), false));
    said(&link, &mut session, InSyncWish::LeaveOut, None).unwrap();
    assert!(link.may_acknowledge_alone());
    session.say(ToApplication::SetRunMode { run_mode: RunMode::Backup, epoch: Epoch(6) });
    assert!(matches!(session.hear(), FromApplication::RunModeDone { .. }));
    assert!(!link.may_acknowledge_alone(), "a backup acknowledges nothing");
    assert_eq!(link.leave_out_peer(PATIENCE), Err(InSyncError::NotActing));
}

#[test]
fn who_is_demoted_while_it_waits_is_not_told_that_it_is_alone() {
    let agent = Agent::new();
    let (link, mut session) = primary(&agent, 4);
    thread::scope(|scope| {
        let out = says(scope, &link, InSyncWish::LeaveOut);
        let (number, ..) = word(&mut session);
        session.say(ToApplication::SetRunMode { run_mode: RunMode::Backup, epoch: Epoch(5) });
        assert!(matches!(session.hear(), FromApplication::RunModeDone { .. }));
        answers(&mut session, number, None);
        assert_eq!(out.join().unwrap(), Err(InSyncError::NotActing));
    });
    assert!(!link.may_acknowledge_alone());
}

#[test]
fn a_lost_link_a_silent_agent_and_an_old_one_record_nothing() {
    let mut agent = Agent::new();
    let (link, mut session) = primary(&agent, 4);
    // Accepted by now, as it is answered.
    said(&link, &mut session, InSyncWish::CaughtUp, None).unwrap();
    let short = Duration::from_millis(20);
    assert_eq!(link.leave_out_peer(short), Err(InSyncError::Late(short)));
    let _ = word(&mut session);
    thread::scope(|scope| {
        let out = says(scope, &link, InSyncWish::LeaveOut);
        let _ = word(&mut session);
        agent.die();
        drop(session);
        let lost = out.join().unwrap();
        assert!(matches!(&lost, Err(InSyncError::Refused(why)) if why.contains("lost")), "{lost:?}");
    });
    assert_eq!(link.leave_out_peer(PATIENCE), Err(InSyncError::NoAgent));
    assert!(!link.may_acknowledge_alone());

    agent.come_back();
    let mut old = agent.accept();
    let _ = old.hear();
    let mut bytes = BytesMut::new();
    ApplicationHears::attached(3).to_frame(&mut bytes).unwrap();
    old.say_bytes(&bytes);
    let until = Instant::now() + PATIENCE;
    let refused = loop {
        match link.leave_out_peer(PATIENCE) {
            Err(InSyncError::NoAgent) if Instant::now() < until => thread::yield_now(),
            other => break other,
        }
    };
    assert_eq!(refused, Err(InSyncError::OldAgent));
}
