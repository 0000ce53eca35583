//! An agent's side in a process of its own, so that it can be killed and stopped: this test program, run once more.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use understudy_guard::guards::{Grip, GuardEvent};
use understudy_guard::now;
use understudy_model::{ApplicationName, Moment};

use crate::bench::{self, Prey, guards_at};

/// What it is to do: directory, its prey's number, process and when it is killed.
const PART: &str = "UNDERSTUDY_PLAYED_AGENT";

/// An agent that runs.
pub struct PlayedAgent {
    pub child: Child,
    said: BufReader<ChildStdout>,
}

impl PlayedAgent {
    /// Begins, and returns when everything is armed.
    pub fn start(directory: &Path, prey: &Prey, kill_at: Moment) -> Self {
        let start = prey.start;
        let part = format!(
            "{} {} {} {} {} {}",
            start.agent,
            start.incarnation,
            start.number,
            prey.child.id(),
            kill_at.0,
            directory.display()
        );
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "agent::plays_its_part_if_it_was_given_one", "--nocapture", "--test-threads=1"])
            .env(PART, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut agent = Self { child, said };
        agent.hears("armed");
        agent
    }

    /// Waits until it says something that begins so.
    pub fn hears(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "it never said {word}");
            if line.trim_end().starts_with(word) {
                return line;
            }
        }
    }
}

impl Drop for PlayedAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn plays_its_part_if_it_was_given_one() {
    match std::env::var(PART) {
        Ok(part) => play(&read(&part).unwrap()),
        // Nobody gave it one: then only that a part is read whole or not at all.
        Err(_) => {
            assert!(read("").is_none() && read("1 2 3").is_none());
            let part = read("a b 3 4 5 /tmp/with a space").unwrap();
            assert_eq!(
                (part.pid, part.kill_at, part.directory.as_str()),
                (4, Moment(5), "/tmp/with a space")
            );
        }
    }
}

struct Part {
    start: understudy_guard::Start,
    pid: i32,
    kill_at: Moment,
    directory: String,
}

fn read(text: &str) -> Option<Part> {
    let mut words = text.splitn(6, ' ').map(str::to_owned);
    let agent = words.next()?.try_into().ok()?;
    let incarnation = words.next()?.try_into().ok()?;
    let number = words.next()?.parse().ok()?;
    let start = understudy_guard::Start { agent, incarnation, number };
    let (pid, kill_at) = (words.next()?.parse().ok()?, Moment(words.next()?.parse().ok()?));
    Some(Part { start, pid, kill_at, directory: words.next()? })
}

fn play(part: &Part) {
    let (guards, events) = guards_at(Path::new(&part.directory));
    let process = pidfd_open(Pid::from_raw(part.pid).unwrap(), PidfdFlags::empty()).unwrap();
    let application = ApplicationName::new("app").unwrap();
    let grip = || Ok(Some(Grip { process: process.try_clone()?, group: None }));
    guards.guard(&application, part.start, part.kill_at, grip).unwrap();
    let mut said_armed = false;
    std::thread::spawn(|| {
        // Ends with whoever plays it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    loop {
        let event = events.recv_timeout(Duration::from_millis(1));
        if !said_armed && guards.is_up() {
            said_armed = true;
            say("armed");
        }
        if let Ok(GuardEvent::Fired { kill_at, at, .. }) = event {
            say(&format!("fired {}", at.since(kill_at).as_micros()));
        }
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout();
    // The harness has begun a line.
    writeln!(output, "\n{line}").unwrap();
    output.flush().unwrap();
}

#[test]
fn an_agent_that_is_killed_takes_nothing_with_it_and_its_start_ends_at_its_time() {
    let directory = bench::Directory::new();
    let mut prey = Prey::start(1, "sleep 1000 & wait");
    bench::until("it has made its child", || prey.marked().len() == 2);
    let kill_at = now() + bench::AWAY;
    let mut agent = PlayedAgent::start(directory.path(), &prey, kill_at);
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    assert!(now() < kill_at, "this machine is too busy for this story");
    assert!(prey.lives(), "until its time it lives");
    prey.was_killed();
    let ended = now();
    assert!(ended >= kill_at);
    bench::until("its child is gone", || prey.marked().is_empty());
    println!("its end was seen {:?} after its time", ended.since(kill_at));
    // The next life hears it.
    let next = bench::Bench::at(directory);
    assert_eq!(bench::start_of(&next.fired()), Some(prey.start));
    assert_eq!(next.guards.left(), []);
}

#[test]
fn an_agent_that_comes_back_in_time_claims_what_it_had_armed() {
    let directory = bench::Directory::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let kill_at = now() + bench::AWAY;
    let mut agent = PlayedAgent::start(directory.path(), &prey, kill_at);
    agent.child.kill().unwrap();
    agent.child.wait().unwrap();
    let next = bench::Bench::at(directory);
    let left = next.guards.left();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].start, left[0].kill_at), (prey.start, kill_at));
    next.guard(&prey, now() + Duration::from_secs(3_600)).unwrap();
    assert_eq!(next.guards.left(), []);
    bench::pass(kill_at);
    next.is_quiet(bench::SOON);
    assert!(prey.lives());
}

#[test]
fn an_agent_that_is_stopped_keeps_nothing_alive_and_hears_of_it_when_it_goes_on() {
    let directory = bench::Directory::new();
    let mut prey = Prey::start(1, "sleep 1000");
    let kill_at = now() + bench::AWAY;
    let mut agent = PlayedAgent::start(directory.path(), &prey, kill_at);
    bench::stop(agent.child.id());
    prey.was_killed();
    assert!(now() >= kill_at);
    bench::kill(agent.child.id(), rustix::process::Signal::CONT);
    let late: u64 = agent.hears("fired").split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
    println!("the kill was begun {late} us after its time");
}
