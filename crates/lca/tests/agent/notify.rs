//! The notify interface with the programs that speak it: the real `systemd-notify`, shells, and strangers.
//!
//! The law: only an application's own processes are heard, and nothing that is sent can keep the agent from its work.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::play::{Controller, LIMIT, Place, assignment, eventually, lives};
use understudy_model::{ApplicationReport, ApplicationStatus, Assignment, Goal, Interface, RestartPolicy};
use understudy_model::{Signal, Work};

/// Not a test of its own: a program that speaks the interface without any tool, when the agent runs this one.
#[test]
fn the_program_itself() {
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    let socket = UnixDatagram::unbound().unwrap();
    let say = |what: &str| socket.send_to(what.as_bytes(), &path).map(drop);
    for what in std::env::var("SAYS").unwrap_or_default().split(';') {
        if what.starts_with("hop:") {
            // Nobody speaks before the former one has named it, and is gone.
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
        }
        match what.split_once(':') {
            Some(("flood", count)) => {
                for number in 0..count.parse::<u32>().unwrap() {
                    say(&format!("STATUS=number {number}\nWATCHDOG=1")).unwrap();
                }
            }
            Some(("garbage", count)) => {
                for number in 0..count.parse::<u8>().unwrap() {
                    socket.send_to(&vec![number.wrapping_mul(37); usize::from(number) * 20], &path).unwrap();
                }
            }
            // The next one is the main process, and this one is gone; until none is left.
            Some(("hop", count)) if count != "0" => {
                let hops = format!("hop:{}", count.parse::<u32>().unwrap() - 1);
                for number in 0..20 {
                    say(&format!("STATUS=number {number}")).unwrap();
                }
                let next = std::process::Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "notify::the_program_itself"])
                    .env("SAYS", hops)
                    .stdin(std::process::Stdio::piped())
                    .spawn()
                    .unwrap();
                say(&format!("MAINPID={}", next.id())).unwrap();
                std::process::exit(0);
            }
            Some(("hop", _)) => say("READY=1").unwrap(),
            _ => say(&what.replace('+', "\n")).unwrap(),
        }
    }
    loop {
        std::thread::park();
    }
}

fn notifier(name: &str, says: &str) -> Assignment {
    let program = std::env::current_exe().unwrap();
    let mut one = assignment(name, &[program.to_str().unwrap(), "--exact", "notify::the_program_itself"]);
    one.goal = Goal::Started;
    one.spec.interface = Interface::Notify;
    one.spec.environment = [("SAYS".to_owned(), says.to_owned())].into();
    one
}

fn script(name: &str, text: &str) -> Assignment {
    let mut one = assignment(name, &["/bin/sh", "-c", text]);
    one.goal = Goal::Started;
    one.spec.interface = Interface::Notify;
    one
}

fn is(status: ApplicationStatus) -> impl Fn(&ApplicationReport) -> bool {
    move |report| report.status == status
}

/// The socket of the one application of that agent.
fn socket(place: &Place) -> PathBuf {
    let directory = place.state().parent().unwrap().join("run/notify");
    eventually("there is a socket", || std::fs::read_dir(&directory).is_ok_and(|all| all.count() == 1));
    std::fs::read_dir(directory).unwrap().next().unwrap().unwrap().path()
}

#[tokio::test]
async fn the_real_systemd_notify_says_that_a_script_is_ready() {
    if !std::path::Path::new("/usr/bin/systemd-notify").exists() {
        eprintln!("skipped: systemd-notify is not installed on this machine");
        return;
    }
    let place = Place::new();
    let go = place.state().parent().unwrap().join("go");
    let text = format!(
        "systemd-notify --status 'reading the map'; while ! [ -e {} ]; do sleep 0.01; done; \
         systemd-notify --ready --pid=parent; exec sleep 1000",
        go.display()
    );
    let mut agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    controller.order(Work::Assign(vec![script("one", &text)])).await;
    let comes = controller.report(|report| report.problem == "reading the map").await;
    assert_eq!(comes.status, ApplicationStatus::Initializing);
    // The socket outlives the agent: what is said to the next life is heard.
    agent.kill();
    // What a start that ended meanwhile left is cleared away.
    let left = socket(&place).with_file_name("0123.4");
    drop(UnixDatagram::bind(&left).unwrap());
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    assert_eq!(controller.inventory.applications[0].status, ApplicationStatus::Initializing);
    assert_ne!(socket(&place), left);
    std::fs::write(&go, "").unwrap();
    let ready = controller.report(is(ApplicationStatus::Started)).await;
    assert_eq!(ready.pid, comes.pid);
}

/// As programs do that put themselves into the background: the main process names its child and ends at once.
#[tokio::test]
async fn a_main_process_that_names_another_one_and_ends_at_once_has_not_ended() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    controller.order(Work::Assign(vec![notifier("one", "hop:30")])).await;
    let first = controller.report(|report| report.pid.is_some()).await;
    let over = |report: &ApplicationReport| {
        report.last_exit.is_some() || report.status == ApplicationStatus::Started
    };
    let last = controller.report(over).await;
    assert_eq!(last.last_exit, None, "it was taken for ended: {last:?}");
    assert_ne!(last.pid, first.pid);
    assert!(lives(last.pid.unwrap()) && !lives(first.pid.unwrap()));
    let log = place.agent_log();
    assert!(!log.contains("cannot be watched"), "{log}");
}

/// On a socket that everybody may send to, as its application begins as root.
#[tokio::test]
async fn a_strangers_flood_takes_no_turns_of_the_application() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only an application of root has a socket for everybody");
        return;
    }
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    controller.order(Work::Assign(vec![notifier("one", "STATUS=first")])).await;
    controller.report(|report| report.problem == "first").await;
    let path = socket(&place);
    let began = Instant::now();
    let stranger = UnixDatagram::unbound().unwrap();
    // At the pace of what is heard these would take half a minute: sending waits for a place in the queue.
    for _ in 0..25_000 {
        stranger.send_to(b"STATUS=stranger", &path).unwrap();
    }
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_real_daemon_says_that_it_is_ready() {
    if !std::path::Path::new("/usr/bin/dbus-daemon").exists() {
        eprintln!("skipped: dbus-daemon is not installed on this machine");
        return;
    }
    let place = Place::new();
    let bus = place.state().parent().unwrap().join("bus");
    let address = format!("--address=unix:path={}", bus.display());
    let mut daemon =
        assignment("bus", &["/usr/bin/dbus-daemon", "--session", "--nofork", "--nopidfile", &address]);
    daemon.goal = Goal::Started;
    daemon.spec.interface = Interface::Notify;
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    controller.order(Work::Assign(vec![daemon])).await;
    let ready = controller.report(is(ApplicationStatus::Started)).await;
    assert_eq!(comm(&ready), "dbus-daemon");
    assert!(std::os::unix::net::UnixStream::connect(&bus).is_ok(), "ready is ready");
}

#[tokio::test]
async fn a_stranger_is_not_heard_and_garbage_harms_nobody() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let go = place.state().parent().unwrap().join("go");
    let text = format!("while ! [ -e {} ]; do sleep 0.01; done; exec sleep 1000", go.display());
    controller.order(Work::Assign(vec![script("one", &text)])).await;
    let comes = controller.report(is(ApplicationStatus::Initializing)).await;
    let path = socket(&place);
    let stranger = UnixDatagram::unbound().unwrap();
    for _ in 0..50 {
        stranger.send_to(format!("READY=1\nMAINPID={}", std::process::id()).as_bytes(), &path).unwrap();
    }
    eventually("the stranger is refused", || place.agent_log().contains("not-ours"));
    // An order that is answered after all of it was read: nothing changed.
    controller.order(Work::SetHandsOff { application: "one".parse().unwrap(), hands_off: false }).await;
    let now = Controller::connect(&place, 2).await.inventory.applications[0].clone();
    assert_eq!((now.status, now.pid), (ApplicationStatus::Initializing, comes.pid));
}

#[tokio::test]
async fn garbage_and_a_flood_of_one_application_leave_the_agent_and_the_others_well() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let flood = notifier("flood", "garbage:200;READY=1;flood:100000");
    controller.order(Work::Assign(vec![flood.clone()])).await;
    controller.report(is(ApplicationStatus::Started)).await;
    let began = Instant::now();
    controller.order(Work::Assign(vec![flood, notifier("calm", "READY=1+STATUS=well")])).await;
    controller
        .report(|report| report.application.as_str() == "calm" && report.status == ApplicationStatus::Started)
        .await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_main_process_that_is_another_one_of_its_own_is_watched() {
    let place = Place::new();
    let mut agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    // It forks away as daemons do: the first process ends when the second one is announced.
    let text = "(sleep 1000 & exec systemd-notify --ready MAINPID=$!); exit 0";
    let mut daemon = script("one", text);
    daemon.spec.restart = RestartPolicy::Always;
    controller.order(Work::Assign(vec![daemon])).await;
    let ready = controller
        .report(|report| report.status == ApplicationStatus::Started && comm(report) == "sleep")
        .await;
    let pid = ready.pid.unwrap();
    agent.kill();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let kept = controller.inventory.applications[0].clone();
    assert_eq!((kept.pid, kept.status), (Some(pid), ApplicationStatus::Started));
    let number = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(number, rustix::process::Signal::KILL).unwrap();
    controller.report(|report| report.status == ApplicationStatus::Started && report.pid != Some(pid)).await;
    assert!(!lives(pid));
}

fn comm(report: &ApplicationReport) -> String {
    let Some(pid) = report.pid else { return String::new() };
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn a_foreign_main_process_is_refused() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let says = format!("MAINPID={};MAINPID=1;READY=1", std::process::id());
    controller.order(Work::Assign(vec![notifier("one", &says)])).await;
    let ready = controller.report(is(ApplicationStatus::Started)).await;
    assert_ne!(ready.pid, Some(std::process::id()));
    eventually("it is refused", || place.agent_log().contains("main-not-ours"));
}

#[tokio::test]
async fn a_watchdog_that_hears_nothing_and_a_cry_for_help_end_in_a_kill_with_evidence() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let mut silent = notifier("silent", "READY=1");
    silent.spec.conduct.watchdog = Some(Duration::from_millis(300));
    let broken = notifier("broken", "READY=1;WATCHDOG=trigger");
    controller.order(Work::Assign(vec![broken, silent])).await;
    for name in ["silent", "broken"] {
        let ended = |report: &ApplicationReport| {
            report.application.as_str() == name && report.problem.contains("hung")
        };
        let ended = controller.report(ended).await;
        assert!(ended.problem.starts_with("hung: "), "{ended:?}");
        let mut again = Controller::connect(&place, 3).await;
        std::mem::swap(&mut controller, &mut again);
        let known = &controller.inventory.applications;
        if known.iter().all(|one| one.problem.contains("hung")) {
            break;
        }
    }
    let evidence = place.state().join("evidence");
    // It is told before it is written; and a file has another name until it is whole.
    eventually("evidence is kept of both", || {
        let Ok(files) = std::fs::read_dir(&evidence) else { return false };
        let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
        texts.filter(|text| text.contains("State:") && text.contains("thread ")).count() == 2
    });
}

#[tokio::test]
async fn what_it_asks_for_is_given_more_time_and_no_more() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let mut slow = notifier("slow", "EXTEND_TIMEOUT_USEC=60000000");
    slow.spec.startup_timeout = Duration::from_millis(200);
    let mut late = notifier("late", "");
    late.spec.startup_timeout = Duration::from_millis(200);
    controller.order(Work::Assign(vec![slow, late])).await;
    controller
        .report(|report| report.application.as_str() == "late" && report.problem.contains("startup"))
        .await;
    let known = Controller::connect(&place, 2).await.inventory.applications;
    let slow = known.iter().find(|one| one.application.as_str() == "slow").unwrap();
    assert_eq!((slow.status, slow.problem.as_str()), (ApplicationStatus::Initializing, ""));
}

#[tokio::test]
async fn a_stopped_plain_process_is_hung_and_one_that_runs_is_not() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let mut plain = assignment("one", &["/bin/sleep", "1000"]);
    plain.goal = Goal::Started;
    plain.spec.restart = RestartPolicy::Always;
    plain.spec.stop_signal = Signal::Term;
    plain.spec.conduct.hang_limit = Some(Duration::from_millis(400));
    controller.order(Work::Assign(vec![plain])).await;
    let runs = controller.report(is(ApplicationStatus::Started)).await;
    let number = rustix::process::Pid::from_raw(runs.pid.unwrap().cast_signed()).unwrap();
    let stopped = Instant::now();
    rustix::process::kill_process(number, rustix::process::Signal::STOP).unwrap();
    let killed = controller.report(|report| report.problem.contains("hung")).await;
    let took = stopped.elapsed();
    assert!(killed.problem.contains("stopped by a signal"), "{killed:?}");
    assert!(took >= Duration::from_millis(340) && took < LIMIT, "{took:?}");
    controller.report(|report| report.status == ApplicationStatus::Started && report.pid != runs.pid).await;
}

#[tokio::test]
async fn probes_say_when_it_is_ready_and_when_it_hangs() {
    let place = Place::new();
    let _agent = place.start_agent();
    let mut controller = Controller::connect(&place, 1).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let well = place.state().parent().unwrap().join("well");
    let probe = |ask| understudy_model::ProbeSpec {
        ask,
        interval: Duration::from_millis(50),
        timeout: Duration::from_millis(200),
        failures: 2,
    };
    let mut all = Vec::new();
    let test = ["/usr/bin/test", "-e", well.to_str().unwrap()].map(str::to_owned).to_vec();
    for (name, ask) in [
        ("asked-exec", understudy_model::Ask::Exec(test)),
        ("asked-tcp", understudy_model::Ask::Tcp(address.to_string())),
        // It listens and never answers.
        ("asked-http", understudy_model::Ask::Http(format!("http://{address}/"))),
    ] {
        let mut one = assignment(name, &["/bin/sleep", "1000"]);
        one.goal = Goal::Started;
        one.spec.conduct.probe = Some(probe(ask));
        all.push(one);
    }
    controller.order(Work::Assign(all)).await;
    let named = |name: &'static str, status| {
        move |report: &ApplicationReport| report.application.as_str() == name && report.status == status
    };
    controller.report(named("asked-tcp", ApplicationStatus::Started)).await;
    std::fs::write(&well, "").unwrap();
    controller.report(named("asked-exec", ApplicationStatus::Started)).await;
    let known = Controller::connect(&place, 2).await.inventory.applications;
    let http = known.iter().find(|one| one.application.as_str() == "asked-http").unwrap();
    assert_eq!(http.status, ApplicationStatus::Initializing);
    let mut controller = Controller::connect(&place, 3).await;
    std::fs::remove_file(&well).unwrap();
    let hung = controller
        .report(|report| report.application.as_str() == "asked-exec" && report.problem.contains("hung"))
        .await;
    assert!(hung.problem.contains("its probe failed 2 times in a row: exit code 1"), "{hung:?}");
}
