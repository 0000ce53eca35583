//! The guard beside a real platform: started apart from applications, given what it needs to kill one, and left alone when
//! an application is killed.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use understudy_decide::agent::StartId;
use understudy_guard::guards::{Grip, GuardEvent, Guards};
use understudy_lca::guarding;
use understudy_lca::platform::{Launch, Linux, Output, Platform, find_account};
use understudy_model::{AgentId, ApplicationName, Incarnation, ProcessSpec};

const PATIENCE: Duration = Duration::from_secs(30);

/// One platform looks after the children of this process at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The guard's program, beside the agent's; none, said aloud, if it was not built.
fn agent_program() -> Option<PathBuf> {
    let agent = PathBuf::from(env!("CARGO_BIN_EXE_lca"));
    if understudy_guard::guards::program_beside(&agent).is_file() {
        return Some(agent);
    }
    println!("skipped: lca-guard is not built; run: cargo build -p understudy-guard");
    None
}

struct Bench {
    platform: Arc<Linux>,
    agent: AgentId,
    guards: Guards,
    events: Receiver<GuardEvent>,
    directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    fn new(with_groups: bool) -> Option<Self> {
        let program = agent_program()?;
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = AgentId(understudy_lca::state::random().unwrap());
        let platform = match with_groups {
            true => Linux::new(agent).unwrap().0,
            false => Linux::without_control_groups(agent).unwrap(),
        };
        let platform = Arc::new(platform);
        let directory = tempfile::tempdir().unwrap();
        let (tell, events) = channel();
        let tell = move |event| {
            // Whoever listened may have ended.
            let _ = tell.send(event);
        };
        let guards = guarding::start(directory.path(), &program, Arc::clone(&platform), tell).unwrap();
        Some(Self { platform, agent, guards, events, directory, _alone: alone })
    }

    fn launch(&self, number: u64, script: &str) -> (StartId, <Linux as Platform>::Tree) {
        let launch = self.launch_of(number, script);
        (launch.start, self.platform.launch(&launch).unwrap_or_else(|error| panic!("{error}")))
    }

    fn launch_of(&self, number: u64, script: &str) -> Launch {
        let start = StartId { incarnation: Incarnation(7), number };
        let account = find_account(None, None, &[]).unwrap();
        Launch {
            application: application(),
            start,
            command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            directory: self.directory.path().join("app"),
            output: Output::File(self.directory.path().join("app.log")),
            spec: ProcessSpec::default(),
            directory_of: account.clone(),
            may_begin_outside: false,
            account,
            own_directory: true,
        }
    }

    /// What was printed until now.
    fn printed(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("app.log")).unwrap_or_default()
    }

    fn next(&self) -> GuardEvent {
        self.events.recv_timeout(PATIENCE).expect("something happens")
    }
}

fn application() -> ApplicationName {
    ApplicationName::new("app").unwrap()
}

fn until(what: &str, is: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::yield_now();
    }
}

/// Waits for the end of a whole tree, as the agent does.
fn end_of(bench: &Bench, tree: &<Linux as Platform>::Tree) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = Instant::now() + PATIENCE;
    loop {
        let ended = async { tokio::time::timeout(PATIENCE, bench.platform.ended(tree)).await };
        runtime.block_on(ended).expect("it ends in time").unwrap();
        if !bench.platform.others_live(tree) {
            break;
        }
        assert!(Instant::now() < limit, "something of it lives on");
    }
    bench.platform.release(tree);
}

fn kills_a_whole_tree(with_groups: bool) {
    let Some(bench) = Bench::new(with_groups) else { return };
    bench.guards.need();
    let pid = match bench.next() {
        GuardEvent::Up { pid, .. } => pid,
        other => panic!("{other:?}"),
    };
    let (start, tree) = bench.launch(1, "sleep 1000 & setsid sleep 1000 & wait");
    let kill_at = understudy_guard::now() + Duration::from_millis(100);
    let named = guarding::start_of(bench.agent, start);
    bench.guards.guard(&application(), named, kill_at, || bench.platform.grip(&tree).map(Some)).unwrap();
    match bench.next() {
        GuardEvent::Fired { start: fired, application: whose, .. } => {
            assert_eq!((guarding::start_id(fired), whose), (start, application()));
        }
        other => panic!("{other:?}"),
    }
    end_of(&bench, &tree);

    // And the other way round: what kills an application leaves the guard alone, though it is a child of the agent too.
    let (_, tree) = bench.launch(2, "sleep 1000 & setsid sleep 1000 & wait");
    bench.platform.kill(&tree).unwrap();
    end_of(&bench, &tree);
    assert!(bench.guards.is_up());
    assert!(bench.platform.start_of(pid).is_none(), "it is no application's");
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let its = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    if bench.platform.guard_container().is_some() {
        assert_ne!(own, its, "what ends everything in the agent's group must not end the guard");
    }
    // It is told that its kill is known once it has seen the end itself; what nobody knows it would remember for a while.
    until("the guard has let go of what it killed", || {
        let held = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let is_process = |held: std::fs::DirEntry| {
            std::fs::read_link(held.path()).is_ok_and(|to| to.ends_with("anon_inode:[pidfd]"))
        };
        !held.flatten().any(is_process)
    });
    drop(bench.guards);
    until("the guard ends by itself", || {
        bench.platform.know_guard(0);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    });
    bench.platform.remove_leftovers();
}

#[test]
fn with_control_groups_it_kills_a_whole_tree_and_is_nobodys() {
    kills_a_whole_tree(true);
}

#[test]
fn without_control_groups_it_kills_a_whole_tree_and_is_nobodys() {
    kills_a_whole_tree(false);
}

fn holds_a_start(with_groups: bool) {
    let Some(bench) = Bench::new(with_groups) else { return };
    bench.guards.need();
    assert!(matches!(bench.next(), GuardEvent::Up { .. }));
    // Refused: it was made, and nothing of the program has run.
    let launch = bench.launch_of(1, "echo ran");
    let pid = std::cell::Cell::new(None);
    let refuse = |grip: Grip| {
        pid.set(Some(grip.process));
        Err("not today".to_owned())
    };
    let Err(error) = bench.platform.launch_held(&launch, None, &refuse) else { panic!("it was refused") };
    assert!(error.to_string().contains("not today"), "{error}");
    assert!(pid.take().is_some());
    // Let go on: when the guard has confirmed it, and not before.
    let launch = bench.launch_of(2, "echo ran; sleep 1000 & setsid sleep 1000 & wait");
    let (named, gate) = (guarding::start_of(bench.agent, launch.start), bench.guards.gate());
    let kill_at = understudy_guard::now() + Duration::from_millis(300);
    bench.guards.guard(&application(), named, kill_at, || Ok(None)).unwrap();
    let let_go = |grip: Grip| {
        gate.arm(named, grip).and_then(|()| gate.pass(&[named])).map_err(|error| error.to_string())?;
        assert_eq!(bench.printed(), "", "nothing of it has run");
        Ok(())
    };
    let tree = bench.platform.launch_held(&launch, None, &let_go).unwrap_or_else(|error| panic!("{error}"));
    until("it runs", || bench.printed() == "ran\n");
    assert!(matches!(bench.next(), GuardEvent::Fired { start, .. } if start == named));
    end_of(&bench, &tree);
    assert!(understudy_guard::now() >= kill_at);
    // One that is killed while it waits was a start that ended at once.
    let launch = bench.launch_of(3, "echo ran");
    let kill = |grip: Grip| {
        rustix::process::pidfd_send_signal(&grip.process, rustix::process::Signal::KILL).unwrap();
        Ok(())
    };
    match bench.platform.launch_held(&launch, None, &kill) {
        Ok(tree) => end_of(&bench, &tree),
        Err(error) => panic!("{error}"),
    }
    assert_eq!(bench.printed(), "ran\n");
    let times = |held: bool| {
        let mut all: Vec<Duration> = (0..50).map(|round| time_of(&bench, 100 + round, held)).collect();
        all.sort();
        all[25]
    };
    println!("a start, median of 50: {:?}; held until it is guarded: {:?}", times(false), times(true));
    bench.platform.remove_leftovers();
}

/// From the call to the exec of a program.
fn time_of(bench: &Bench, round: u64, held: bool) -> Duration {
    let launch = bench.launch_of(2 * round + u64::from(held), "exit 0");
    let (named, gate) = (guarding::start_of(bench.agent, launch.start), bench.guards.gate());
    let kill_at = understudy_guard::now() + Duration::from_secs(3_600);
    bench.guards.guard(&application(), named, kill_at, || Ok(None)).unwrap();
    let let_go = |grip: Grip| {
        gate.arm(named, grip).and_then(|()| gate.pass(&[named])).map_err(|error| error.to_string())
    };
    let began = Instant::now();
    let launched = match held {
        true => bench.platform.launch_held(&launch, None, &let_go),
        false => bench.platform.launch(&launch),
    };
    let took = began.elapsed();
    end_of(bench, &launched.unwrap_or_else(|error| panic!("{error}")));
    bench.guards.release(named);
    took
}

#[test]
fn with_control_groups_a_start_is_held_until_it_is_guarded() {
    holds_a_start(true);
}

#[test]
fn without_control_groups_a_start_is_held_until_it_is_guarded() {
    holds_a_start(false);
}

#[test]
fn a_guard_that_is_missing_is_named() {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let platform = Arc::new(Linux::without_control_groups(AgentId(1)).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let (tell, events) = channel();
    let nowhere = directory.path().join("lca");
    let guards =
        guarding::start(directory.path(), &nowhere, platform, move |event| tell.send(event).unwrap());
    let guards = guards.unwrap();
    guards.need();
    match events.recv_timeout(PATIENCE).unwrap() {
        GuardEvent::Down { why } => assert!(why.contains("lca-guard"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(!guards.is_up());
    drop((guards, alone));
}
