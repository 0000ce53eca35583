//! The bytes of version 1, kept for ever: later programs must read what this one wrote, and write what it read.
//!
//! With `UNDERSTUDY_WRITE_GOLDEN=1` in the environment the files are written anew; a change of one that was released
//! breaks running clusters.

use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use understudy_model::order::PairPlace;
use understudy_model::*;
use understudy_wire::*;

fn name<N: std::str::FromStr<Err = NameError>>(text: &str) -> N {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn role() -> RoleEpoch {
    RoleEpoch::new(Epoch(8), name("tserver-2"))
}

fn report() -> ApplicationReport {
    ApplicationReport {
        application: name("tserver-2"),
        pid: Some(4711),
        status: ApplicationStatus::Started,
        goal: Goal::Started,
        run_mode: RunMode::Primary,
        problem: String::new(),
        restarts: 2,
        gave_up: false,
        last_exit: Some(LastExit { cause: ExitCause::Signal(9), wanted: false, ran_ms: 86_400_000 }),
        role: Some(RoleReport {
            pair: name("tserver"),
            promised: Some(role()),
            closed: Epoch(6),
            acting: Some(role()),
            strict: None,
        }),
    }
}

fn order(work: Work) -> ToAgent {
    ToAgent::Order(Order {
        id: OrderId(300),
        incarnation: Incarnation(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        controller_epoch: ControllerEpoch(3),
        work,
    })
}

fn assignment() -> Assignment {
    let section = [("protocol".to_owned(), "addp".to_owned()), ("addp-timeout".to_owned(), "3".to_owned())];
    let spec = ApplicationSpec {
        host: name("alpha"),
        kind: "t-server".to_owned(),
        interface: Interface::Library,
        command: ["/usr/bin/tserver", "--port", "7000"].map(str::to_owned).to_vec(),
        working_directory: Some("/var/lib/tserver".to_owned()),
        environment: [("LANG".to_owned(), "C".to_owned()), ("TZ".to_owned(), "UTC".to_owned())].into(),
        stop_signal: Signal::Term,
        restart: RestartPolicy::OnFailure,
        success_codes: vec![0, 143, -1],
        restart_delay: Duration::from_millis(100),
        restart_limit: 5,
        startup_timeout: Duration::from_secs(30),
        shutdown_timeout: Duration::from_secs(10),
        autostart: true,
        ports: vec![PortSpec {
            id: "default".to_owned(),
            port: 7000,
            listening_mode: ListeningMode::Unsecured,
            ha_sync: false,
        }],
        options: [("backup-sync".to_owned(), section.into())].into(),
        process: ProcessSpec::default(),
        conduct: ConductSpec::default(),
    };
    let pair = PairPlace {
        pair: name("tserver"),
        peer: name("tserver-2"),
        peer_address: "127.0.0.12".to_owned(),
        peer_ports: vec![("default".to_owned(), 7000), ("ha".to_owned(), 7001)],
        fence_budget: Duration::from_millis(500),
        link_grace: Duration::from_secs(2),
        strict: None,
    };
    Assignment {
        application: name("tserver-1"),
        spec,
        goal: Goal::Started,
        hands_off: true,
        pair: Some(pair),
    }
}

fn process() -> ProcessSpec {
    ProcessSpec {
        user: Some("tserver".to_owned()),
        group: Some("telecom".to_owned()),
        groups: vec!["audio".to_owned(), "1000".to_owned()],
        umask: Some(0o027),
        limits: ProcessLimits {
            nofile: Some(4096),
            core_bytes: Some(u64::MAX),
            memlock_bytes: Some(65536),
            nproc: Some(0),
        },
        nice: Some(-5),
        oom_score_adjust: Some(-500),
        environment_file: Some(EnvironmentFile { path: "/etc/default/tserver".to_owned(), optional: true }),
        memory_max_bytes: Some(1 << 30),
        cpu_max_percent: Some(150),
        pids_max: Some(100),
        output: Some(OutputKind::File),
        output_limit_bytes: Some(1 << 20),
        output_keep: Some(0),
        after: vec![name("db")],
    }
}

fn path_of(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file).with_extension("bin")
}

/// Compares `message` with the file of that name, and reads the file's bytes back. What version 1 said in this way is
/// still said so.
fn compare<M: Message + PartialEq + std::fmt::Debug>(file: &str, message: M) {
    compare_in(&format!("v1/{file}"), message);
}

fn compare_in<M: Message + PartialEq + std::fmt::Debug>(file: &str, message: M) {
    let path = path_of(file);
    let mut bytes = BytesMut::new();
    message.to_frame(&mut bytes).unwrap();
    if std::env::var_os("UNDERSTUDY_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(kept, bytes, "{file} is written as it was");
    let frame = frame::decode(&mut BytesMut::from(&kept[..])).unwrap().unwrap();
    assert_eq!(M::from_frame(&frame).unwrap(), message, "{file} is read as it was");
}

#[test]
fn what_a_control_server_says() {
    let hello = Hello {
        versions: VersionRange { min: 1, max: 1 },
        controller: name("scs-1"),
        controller_epoch: ControllerEpoch(3),
        cluster_name: "demo".to_owned(),
        cluster: Some(ClusterId(0xfeed_0000_0000_0000_0000_0000_0000_0001)),
        host: name("alpha"),
    };
    let (pair, time_limit) = (name("tserver"), Duration::from_millis(2500));
    compare("hello", ToAgent::Hello(hello));
    compare("assign", order(Work::Assign(vec![assignment()])));
    let mut with_process = assignment();
    with_process.spec.process = process();
    let from = LogPlace::Last { lines: 50, since_wall_ms: Some(1_800_000_000_000) };
    let question = LogQuestion { id: 7, application: name("tserver-1"), from };
    compare_in("v2/read-logs", ToAgent::ReadLogs(question));
    compare_in("v2/assign-process", order(Work::Assign(vec![with_process])));
    let application: ApplicationName = name("tserver-1");
    let graceful = true;
    compare(
        "set-goal",
        order(Work::SetGoal { application: application.clone(), goal: Goal::Stopped, graceful }),
    );
    compare("set-hands-off", order(Work::SetHandsOff { application: application.clone(), hands_off: true }));
    compare("restart", order(Work::Restart { application }));
    compare("promote", order(Work::Promote { pair, role: role(), time_limit, grant: None }));
    compare("demote", order(Work::Demote { pair: name("tserver"), role: role(), time_limit }));
    compare_in("v2/let-go", order(Work::LetGo));
}

#[test]
fn what_an_agent_says() {
    let inventory = Inventory {
        host: name("beta"),
        agent: AgentId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        incarnation: Incarnation(5),
        controller_epoch: ControllerEpoch(2),
        applications: vec![report()],
    };
    let event = Event {
        kind: EventKind::RoleChanged,
        severity: Severity::Info,
        about: Subject {
            host: Some(name("beta")),
            application: Some(name("tserver-2")),
            pair: Some(name("tserver")),
        },
        from: Some("backup".to_owned()),
        to: Some("primary".to_owned()),
        epoch: Some(Epoch(8)),
        because: Because::new(Rule::OrderObeyed, "It was ordered.")
            .fact("controller epoch", 3)
            .nearly(Rule::RestartInPlace, "a control server is heard"),
        actor: None,
    };
    let refused = Outcome::Refused(Refusal::StaleEpoch(role()));
    compare("welcome", FromAgent::Welcome { version: 1, inventory });
    compare(
        "hello-refused",
        FromAgent::HelloRefused {
            reason: "a control server with epoch 4 was heard".to_owned(),
            versions: VersionRange { min: 1, max: 1 },
            highest_controller_epoch: ControllerEpoch(4),
        },
    );
    compare("report", FromAgent::Report(report()));
    compare("answer-done", FromAgent::Answer(Answer { order: OrderId(300), outcome: Outcome::Done }));
    compare("answer-refused", FromAgent::Answer(Answer { order: OrderId(300), outcome: refused }));
    let piece =
        LogPiece { bytes: b"hello\xff\n".to_vec(), next: "file:1:7".to_owned(), more: true, missing: true };
    compare_in("v2/logs", FromAgent::Logs(LogAnswer { id: 7, outcome: Ok(piece) }));
    compare("events", FromAgent::Events(vec![event]));
    compare_in("v2/leaving", FromAgent::Leaving { leaving: true });
}

#[test]
fn what_an_application_says_and_hears() {
    let (run_mode, epoch, reason) = (RunMode::Primary, Epoch(8), "no licence".to_owned());
    let attach = FromApplication::Attach {
        application: name("tserver-2"),
        pid: 4711,
        run_mode: RunMode::Backup,
        epoch: Epoch(7),
        readiness: Readiness::Ready,
        suspended: false,
        heartbeat: false,
    };
    let v1 = VersionRange { min: 1, max: 1 };
    compare("attach", ApplicationSays::from(attach.clone()).with_versions(v1));
    compare_in("v2/attach", ApplicationSays::from(attach));
    let unavailable = FromApplication::Readiness(Readiness::Unavailable("no lines".to_owned()));
    compare("readiness", ApplicationSays::from(unavailable));
    compare("run-mode-done", ApplicationSays::from(FromApplication::RunModeDone { run_mode, epoch }));
    let refused = FromApplication::RunModeRefused { run_mode, epoch, reason };
    compare("run-mode-refused", ApplicationSays::from(refused));
    compare("suspended", ApplicationSays::from(FromApplication::Suspended));
    compare("attached", ApplicationHears::attached(1));
    let not_yours = ToApplication::AttachRefused("another process is attached".to_owned());
    compare("attach-refused", ApplicationHears::from(not_yours));
    compare("set-run-mode", ApplicationHears::from(ToApplication::SetRunMode { run_mode, epoch }));
    compare("suspend", ApplicationHears::from(ToApplication::Suspend));
}
