//! What a worker sees that its application forked: the truth of the application, not a copy of what was so at the fork.
//!
//! The law: a worker does here only what is allowed after a fork of a program with threads: it asks, reads, writes, and ends.
#![allow(unsafe_code)]

mod agent;

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::time::Duration;

use agent::{Agent, PATIENCE, Session};
use understudy::{Conduct, Environment, Epoch, InSyncError, RunMode, Understudy};
use understudy_model::{FromApplication, ToApplication};
use understudy_page::{PageWriter, Standing, now};

struct Willing;

impl Conduct for Willing {
    fn promote(&mut self, _: Epoch) -> Result<(), String> {
        Ok(())
    }
    fn demote(&mut self, _: Epoch) {}
}

/// A forked process that answers what it is asked, until it is killed.
struct Worker {
    pid: libc::pid_t,
    ask: PipeWriter,
    answers: PipeReader,
}

/// What a worker sees.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    acts_in: Option<Epoch>,
    may_act: bool,
    alone: bool,
}

impl Worker {
    fn fork(link: &Understudy) -> Self {
        let ((mut asked, ask), (answers, mut answer)) = (pipe().unwrap(), pipe().unwrap());
        // SAFETY: until it ends, the child calls nothing but read, write and the questions under test, which take no lock,
        // allocate nothing and do not panic.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid > 0 {
            return Self { pid, ask, answers };
        }
        let mut question = [0];
        while asked.read_exact(&mut question).is_ok() {
            let epoch = link.acts_in().map_or(0, |epoch| epoch.0);
            let mut says = [0; 10];
            says[..8].copy_from_slice(&epoch.to_ne_bytes());
            says[8..].copy_from_slice(&[link.may_act().into(), link.may_acknowledge_alone().into()]);
            if answer.write_all(&says).is_err() {
                break;
            }
        }
        // SAFETY: it ends at once, and runs nothing of what the parent wants to be run at its end.
        unsafe { libc::_exit(0) }
    }

    fn sees(&mut self) -> Seen {
        self.ask.write_all(b"?").unwrap();
        let mut says = [0; 10];
        self.answers.read_exact(&mut says).unwrap();
        let epoch = u64::from_ne_bytes(says[..8].try_into().unwrap());
        Seen { acts_in: (epoch > 0).then_some(Epoch(epoch)), may_act: says[8] == 1, alone: says[9] == 1 }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // SAFETY: the number is this child's until it was waited for.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

fn acts(epoch: u64, alone: bool) -> Seen {
    Seen { acts_in: Some(Epoch(epoch)), may_act: true, alone }
}

const NO: Seen = Seen { acts_in: None, may_act: false, alone: false };

fn told(session: &mut Session, run_mode: RunMode, epoch: u64) {
    let epoch = Epoch(epoch);
    session.say(ToApplication::SetRunMode { run_mode, epoch });
    assert_eq!(session.hear(), FromApplication::RunModeDone { run_mode, epoch });
}

/// Says a word about the other member, which the agent answers with "recorded".
fn recorded(session: &mut Session, word: impl Fn() -> Result<Epoch, InSyncError> + Sync) {
    std::thread::scope(|scope| {
        let said = scope.spawn(|| {
            loop {
                let said = word();
                // The library has not heard yet that it was accepted.
                if said != Err(InSyncError::NoAgent) {
                    return said;
                }
                std::thread::yield_now();
            }
        });
        let FromApplication::InSync { number, .. } = session.hear() else { panic!("no such word") };
        session.say(ToApplication::InSyncDone { number, refused: None });
        said.join().unwrap().unwrap();
    });
}

#[test]
fn a_worker_acknowledges_alone_no_longer_than_its_application() {
    let agent = Agent::new();
    let environment = Environment::from_variables(&agent.variables("primary", 4)).unwrap().unwrap();
    let link = Understudy::start(environment, Willing).unwrap();
    let (mut session, _) = agent.attach();
    let mut early = Worker::fork(&link);
    assert_eq!(early.sees(), acts(4, false));
    recorded(&mut session, || link.leave_out_peer(PATIENCE));
    let mut late = Worker::fork(&link);
    assert_eq!((early.sees(), late.sees()), (acts(4, true), acts(4, true)));
    recorded(&mut session, || link.peer_caught_up(PATIENCE));
    assert!(!link.may_acknowledge_alone());
    assert_eq!((early.sees(), late.sees()), (acts(4, false), acts(4, false)), "both are recorded");
}

#[test]
fn a_worker_of_a_former_epoch_acts_in_the_present_one_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app-1");
    let writer = PageWriter::open(&path).unwrap();
    let page = |run_mode, epoch| {
        let until = now() + Duration::from_secs(3_600);
        writer.set(Standing { run_mode, epoch: Epoch(epoch), until });
    };
    page(RunMode::Primary, 7);
    let agent = Agent::new();
    let mut variables = agent.variables("primary", 7);
    variables.insert("UNDERSTUDY_ROLE_PAGE".to_owned(), path.display().to_string());
    let environment = Environment::from_variables(&variables).unwrap().unwrap();
    let link = Understudy::start(environment, Willing).unwrap();
    let (mut session, _) = agent.attach();
    let mut worker = Worker::fork(&link);
    assert_eq!(worker.sees(), acts(7, false));
    page(RunMode::Backup, 7);
    told(&mut session, RunMode::Backup, 8);
    assert_eq!(worker.sees(), NO, "somebody else acts in 8");
    page(RunMode::Primary, 9);
    assert_eq!(worker.sees(), NO, "its application was not told yet");
    told(&mut session, RunMode::Primary, 9);
    assert_eq!(worker.sees(), acts(9, false), "with the token of 9, not with that of its fork");
}

#[test]
fn without_a_page_a_worker_acts_no_longer_than_its_application() {
    let agent = Agent::new();
    let environment = Environment::from_variables(&agent.variables("primary", 3)).unwrap().unwrap();
    let link = Understudy::start(environment, Willing).unwrap();
    let (mut session, _) = agent.attach();
    let mut worker = Worker::fork(&link);
    assert_eq!(worker.sees(), acts(3, false));
    told(&mut session, RunMode::Backup, 4);
    assert_eq!(worker.sees(), NO);
}
