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
        lineage: Vec::new(),
    };
    let lineage = vec![LeadershipId { epoch: ControllerEpoch(3), incarnation: Incarnation(0xabcd) }];
    compare_in("v4/hello-lineage", ToAgent::Hello(Hello { lineage, ..hello.clone() }));
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

fn strict() -> StrictPlace {
    let ms = Duration::from_millis;
    StrictPlace {
        terms: Terms {
            lease: ms(3_000),
            drift_ppm: 1_000,
            leader_lease: ms(1_000),
            renew_every: ms(600),
            fence_budget: ms(500),
            kill_budget: ms(50),
        },
        peer_host: name("beta"),
        peer_addresses: vec!["127.0.0.12:4999".to_owned(), "[::1]:4999".to_owned()],
        peer_addp: AddpSettings { timeout: ms(1_000), remote_timeout: ms(2_000), trace: AddpTrace::Both },
    }
}

fn ask() -> VoteAsk {
    VoteAsk {
        pair: name("tserver"),
        incarnation: Incarnation(5),
        number: 12,
        role: role(),
        lease: Duration::from_secs(3),
    }
}

fn vote(verdict: Verdict) -> VoteAnswer {
    let VoteAsk { pair, incarnation, number, role, lease: _ } = ask();
    VoteAnswer { pair, incarnation, number, role, verdict, clock: None }
}

fn doubts() -> Vec<ClockDoubt> {
    let doubt = ClockDoubt {
        other: OtherClock::Host(name("alpha")),
        behind: WhichClock::Own,
        lapse: Lapse::AtOnce,
        own_least: Duration::from_millis(600),
        own_most: Duration::from_millis(602),
        other_ns: 10_600_000_000,
        drift_ppm: 2_000,
        wrong: None,
    };
    let back = ClockDoubt {
        other: OtherClock::Controller(name("scs-1")),
        behind: WhichClock::Other,
        lapse: Lapse::BitByBit,
        other_ns: -5,
        wrong: Some(WhichClock::Other),
        ..doubt.clone()
    };
    vec![doubt, back]
}

#[test]
fn what_is_said_of_votes() {
    let mut member = assignment();
    member.pair.as_mut().unwrap().strict = Some(strict());
    compare_in("v3/assign-strict", order(Work::Assign(vec![member])));
    let (pair, time_limit): (PairName, _) = (name("tserver"), Duration::from_millis(2500));
    let former = RoleEpoch::new(Epoch(7), name("tserver-1"));
    let grant = Some(GrantTold { lease: Duration::from_secs(3), fenced: Some(former.clone()) });
    compare_in("v3/promote", order(Work::Promote { pair: pair.clone(), role: role(), time_limit, grant }));
    compare_in("v3/would-promise", order(Work::WouldPromise { pair: pair.clone(), role: role() }));
    compare_in(
        "v3/learn",
        order(Work::Learn { pair: pair.clone(), stored: Epoch(7), lease: Duration::ZERO }),
    );
    compare_in("v3/vote", ToAgent::Vote(vote(Verdict::Given)));
    compare_in("v3/ask-vote", FromAgent::AskVote(ask()));
    let mut report = report();
    let clocks = Vec::new();
    let (peer_released, lease) = (Epoch(7), Duration::ZERO);
    let strict = GrantReport { unread: true, silent: true, peer_heard: true, peer_released, clocks, lease };
    report.role.as_mut().unwrap().strict = Some(strict.clone());
    compare_in("v3/report", FromAgent::Report(report.clone()));
    let doubts = GrantReport { clocks: doubts(), ..strict };
    report.role.as_mut().unwrap().strict = Some(doubts);
    compare_in("v3/report-clocks", FromAgent::Report(report));
    let clock = Some(ClockReading { clock: ClockId(6), at: Moment(86_400_000_000_001) });
    compare_in("v3/vote-clock", ToAgent::Vote(VoteAnswer { clock, ..vote(Verdict::Given) }));
    for (file, refusal) in [
        ("v3/refused-promised", Refusal::Promised(former.clone(), Duration::from_millis(1_200))),
        ("v3/refused-not-voting", Refusal::NotVoting("its memory was empty".to_owned())),
        ("v3/refused-no-votes", Refusal::NoVotes),
        ("v3/refused-no-guard", Refusal::NoGuard),
    ] {
        let outcome = Outcome::Refused(refusal);
        compare_in(file, FromAgent::Answer(Answer { order: OrderId(300), outcome }));
    }
}

#[test]
fn what_is_said_of_who_has_everything() {
    let (pair, incarnation) = (name("tserver"), Incarnation(5));
    let ask = InSyncAsk { pair, incarnation, number: 12, role: role(), wish: InSyncWish::LeaveOut };
    compare_in("v4/in-sync", FromAgent::InSync(ask));
    let answer = |refused| InSyncAnswer { pair: name("tserver"), incarnation, number: 12, refused };
    compare_in("v4/in-sync-done", ToAgent::InSync(answer(None)));
    let why = "(8, tserver-2) is not the stored role".to_owned();
    compare_in("v4/in-sync-refused", ToAgent::InSync(answer(Some(why.clone()))));
    let (number, epoch, wish) = (3, Epoch(8), InSyncWish::CaughtUp);
    compare_in("v4/said", ApplicationSays::from(FromApplication::InSync { number, epoch, wish }));
    for (file, refused) in [("v4/said-done", None), ("v4/said-refused", Some(why))] {
        compare_in(file, ApplicationHears::from(ToApplication::InSyncDone { number, refused }));
    }
}

#[test]
fn what_agents_say_to_one_another() {
    let (agent, incarnation) = (AgentId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10), Incarnation(5));
    let versions = VersionRange { min: 3, max: 3 };
    let hello = PeerHello { versions, host: name("alpha"), agent, incarnation, to_host: name("beta") };
    compare_in("v3/peer-hello", PeerSaid::Hello(hello));
    compare_in("v3/peer-welcome", PeerSaid::Welcome { version: 3, agent, incarnation });
    let reason = "this is host gamma, not host beta".to_owned();
    compare_in("v3/peer-refused", PeerSaid::Refused { reason, versions });
    compare_in("v3/peer-ask", PeerSaid::Ask(ask()));
    compare_in("v3/peer-vote", PeerSaid::Vote(vote(Verdict::Given)));
    let refused = Verdict::Refused { promised: Some(role()), why: "it is promised".to_owned() };
    compare_in("v3/peer-vote-refused", PeerSaid::Vote(vote(refused)));
    let remembered =
        Remembered { pair: name("tserver"), voted: Some(role()), released: Epoch(6), lease: Duration::ZERO };
    compare_in("v3/peer-remembered", PeerSaid::Remembered(remembered));
    compare_in("v3/peer-release", PeerSaid::Release(Release { pair: name("tserver"), role: role() }));
}

#[test]
fn an_older_agent_does_not_take_a_promotion_by_vote_for_one_without() {
    let promote = |grant| {
        order(Work::Promote { pair: name("tserver"), role: role(), time_limit: Duration::ZERO, grant })
    };
    // Two bytes before the order; number, incarnation and controller epoch take 3, 18 and 2; then comes the choice.
    let choice = |message: ToAgent| {
        let mut bytes = BytesMut::new();
        message.to_frame(&mut bytes).unwrap();
        bytes[frame::HEADER_BYTES + 25] >> 3
    };
    assert_eq!(choice(promote(None)), 8, "what version 1 acts upon");
    let told = GrantTold { lease: Duration::from_secs(3), fenced: None };
    assert_eq!(choice(promote(Some(told))), 11, "what version 1 does not know, and refuses");
}

#[test]
fn what_an_older_reader_has_no_words_for_is_not_sent_or_said_as_text() {
    let promote = |grant| Work::Promote { pair: name("p"), role: role(), time_limit: Duration::ZERO, grant };
    let told = GrantTold { lease: Duration::from_secs(3), fenced: None };
    assert_eq!(control::understood_since(&promote(None)), 1);
    assert_eq!(control::understood_since(&promote(Some(told))), VOTES_SINCE);
    assert_eq!(control::understood_since(&Work::LetGo), LEAVING_SINCE);
    assert_eq!(
        control::understood_since(&Work::Learn { pair: name("p"), stored: Epoch(1), lease: Duration::ZERO }),
        VOTES_SINCE
    );
    let answer = |refusal| Answer { order: OrderId(1), outcome: Outcome::Refused(refusal) };
    let plain = answer(Refusal::NotReady("no other voter said yes in time".to_owned()));
    assert_eq!(control::answer_in_words_of(2, answer(Refusal::NoVotes)), plain);
    assert_eq!(control::answer_in_words_of(3, answer(Refusal::NoVotes)), answer(Refusal::NoVotes));
    let said = control::answer_in_words_of(2, answer(Refusal::NoGuard));
    assert_eq!(said, answer(Refusal::NotReady(Refusal::NoGuard.to_string())));
    assert_eq!(control::answer_in_words_of(1, answer(Refusal::Busy)), answer(Refusal::Busy));
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
    let v2 = VersionRange { min: 1, max: 2 };
    compare_in("v2/attach", ApplicationSays::from(attach.clone()).with_versions(v2));
    let v3 = VersionRange { min: 1, max: 3 };
    compare_in("v3/attach", ApplicationSays::from(attach.clone()).with_versions(v3));
    compare_in("v4/attach", ApplicationSays::from(attach));
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
