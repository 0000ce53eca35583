//! Values of every message: all that the model allows, for property tests, within the bounds of the wire.
#![allow(dead_code, reason = "each test program uses some of these")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option::of as option_of;
use proptest::prelude::*;
use proptest::sample::select;
use understudy_model::order::PairPlace;
use understudy_model::*;
use understudy_wire::{
    ApplicationHears, ApplicationSays, FromAgent, Hello, PeerHello, PeerSaid, ToAgent, VersionRange,
};

fn name<N: std::str::FromStr<Err = NameError> + std::fmt::Debug>() -> impl Strategy<Value = N> {
    "[a-z0-9]([a-z0-9._-]{0,8}[a-z0-9])?".prop_map(|text| text.parse().expect("the pattern is that of names"))
}

fn text() -> impl Strategy<Value = String> {
    ".{0,20}"
}

fn word<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    select(all)
}

fn span() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_nanos)
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..4)
}

pub fn versions() -> impl Strategy<Value = VersionRange> {
    (1..=u16::MAX).prop_flat_map(|max| (1..=max).prop_map(move |min| VersionRange { min, max }))
}

/// What fits beside a run mode in one word.
fn number_of_epoch() -> impl Strategy<Value = u64> {
    0..1_u64 << 62
}

fn role() -> impl Strategy<Value = RoleEpoch> {
    (number_of_epoch(), name()).prop_map(|(epoch, holder)| RoleEpoch::new(Epoch(epoch), holder))
}

fn ports() -> impl Strategy<Value = Vec<PortSpec>> {
    let port = (text(), 1..=u16::MAX, word(ListeningMode::ALL), any::<bool>());
    vec(
        port.prop_map(|(id, port, listening_mode, ha_sync)| PortSpec { id, port, listening_mode, ha_sync }),
        0..4,
    )
}

fn process() -> impl Strategy<Value = ProcessSpec> {
    let number = || option_of(any::<u64>());
    let who = (option_of(text()), option_of(text()), vec(text(), 0..3), option_of(0..=0o777_u32));
    let limits =
        (number(), number(), number(), number()).prop_map(|(nofile, core_bytes, memlock_bytes, nproc)| {
            ProcessLimits { nofile, core_bytes, memlock_bytes, nproc }
        });
    let file = (text(), any::<bool>()).prop_map(|(path, optional)| EnvironmentFile { path, optional });
    let how = (limits, option_of(any::<i32>()), option_of(any::<i32>()), option_of(file));
    let most = (number(), option_of(any::<u32>()), number());
    let output = (option_of(word(OutputKind::ALL)), number(), option_of(any::<u32>()), vec(name(), 0..3));
    (who, how, most, output).prop_map(|(who, how, most, output)| ProcessSpec {
        user: who.0,
        group: who.1,
        groups: who.2,
        umask: who.3,
        limits: how.0,
        nice: how.1,
        oom_score_adjust: how.2,
        environment_file: how.3,
        memory_max_bytes: most.0,
        cpu_max_percent: most.1,
        pids_max: most.2,
        output: output.0,
        output_limit_bytes: output.1,
        output_keep: output.2,
        after: output.3,
    })
}

fn spec() -> impl Strategy<Value = ApplicationSpec> {
    let run = (name(), text(), word(Interface::ALL), vec(text(), 1..5), option_of(text()), texts());
    let end = (word(Signal::ALL), word(RestartPolicy::ALL), vec(any::<i32>(), 0..5), span(), any::<u32>());
    let rest = (span(), span(), any::<bool>(), ports(), btree_map(text(), texts(), 0..3), process());
    (run, end, rest, conduct()).prop_map(|(run, end, rest, conduct)| ApplicationSpec {
        host: run.0,
        kind: run.1,
        interface: run.2,
        command: run.3,
        working_directory: run.4,
        environment: run.5,
        stop_signal: end.0,
        restart: end.1,
        success_codes: end.2,
        restart_delay: end.3,
        restart_limit: end.4,
        startup_timeout: rest.0,
        shutdown_timeout: rest.1,
        autostart: rest.2,
        ports: rest.3,
        options: rest.4,
        process: rest.5,
        conduct,
    })
}

fn some_span() -> impl Strategy<Value = Duration> {
    (1..=u64::MAX).prop_map(Duration::from_nanos)
}

fn conduct() -> impl Strategy<Value = ConductSpec> {
    let command = || vec(text(), 0..3);
    let hooks = (command(), command(), command(), option_of(text()), some_span()).prop_map(
        |(on_start, on_promote, on_demote, user, timeout)| HooksSpec {
            on_start,
            on_promote,
            on_demote,
            user,
            timeout,
        },
    );
    let signal = || option_of(word(Signal::ALL));
    let signals = (signal(), signal(), signal());
    let ask = prop_oneof![
        vec(text(), 1..4).prop_map(Ask::Exec),
        ".{1,20}".prop_map(Ask::Tcp),
        ".{1,20}".prop_map(Ask::Http),
    ];
    let probe = (ask, some_span(), some_span(), 1..=u32::MAX)
        .prop_map(|(ask, interval, timeout, failures)| ProbeSpec { ask, interval, timeout, failures });
    let limits = (option_of(some_span()), option_of(some_span()), option_of(probe));
    (hooks, signals, command(), command(), limits).prop_map(
        |(hooks, signals, stop_command, start_before, limits)| ConductSpec {
            hooks,
            promote_signal: signals.0,
            demote_signal: signals.1,
            reload_signal: signals.2,
            stop_command,
            start_before,
            watchdog: limits.0,
            hang_limit: limits.1,
            probe: limits.2,
        },
    )
}

fn terms() -> impl Strategy<Value = Terms> {
    (some_span(), 0..=1_000_000_u32, some_span(), some_span(), span(), span()).prop_map(
        |(lease, drift_ppm, leader_lease, renew_every, fence_budget, kill_budget)| Terms {
            lease,
            drift_ppm,
            leader_lease,
            renew_every,
            fence_budget,
            kill_budget,
        },
    )
}

fn strict() -> impl Strategy<Value = StrictPlace> {
    let traces = &[AddpTrace::Off, AddpTrace::Local, AddpTrace::Remote, AddpTrace::Both];
    let timeout = || {
        let (least, most) = (SHORTEST_ADDP_TIMEOUT.as_nanos() as u64, LONGEST_ADDP_TIMEOUT.as_nanos() as u64);
        prop_oneof![Just(Duration::ZERO), (least..=most).prop_map(Duration::from_nanos)]
    };
    let addp = (timeout(), timeout(), word(traces))
        .prop_map(|(timeout, remote_timeout, trace)| AddpSettings { timeout, remote_timeout, trace });
    (terms(), name(), vec(text(), 0..4), addp).prop_map(|(terms, peer_host, peer_addresses, peer_addp)| {
        StrictPlace { terms, peer_host, peer_addresses, peer_addp }
    })
}

fn place() -> impl Strategy<Value = PairPlace> {
    let who = (name(), name(), text(), vec((text(), 1..=u16::MAX), 0..4));
    (who, span(), span(), option_of(strict())).prop_map(
        |((pair, peer, peer_address, peer_ports), fence_budget, link_grace, strict)| PairPlace {
            pair,
            peer,
            peer_address,
            peer_ports,
            fence_budget,
            link_grace,
            strict,
        },
    )
}

fn assignment() -> impl Strategy<Value = Assignment> {
    (name(), spec(), word(Goal::ALL), any::<bool>(), option_of(place())).prop_map(
        |(application, spec, goal, hands_off, pair)| Assignment { application, spec, goal, hands_off, pair },
    )
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        vec(assignment(), 0..3).prop_map(Work::Assign),
        (name(), word(Goal::ALL), any::<bool>()).prop_map(|(application, goal, graceful)| Work::SetGoal {
            application,
            goal,
            graceful
        }),
        (name(), any::<bool>())
            .prop_map(|(application, hands_off)| Work::SetHandsOff { application, hands_off }),
        name().prop_map(|application| Work::Restart { application }),
        (name(), role(), span(), option_of(told()))
            .prop_map(|(pair, role, time_limit, grant)| { Work::Promote { pair, role, time_limit, grant } }),
        (name(), role()).prop_map(|(pair, role)| Work::WouldPromise { pair, role }),
        (name(), any::<u64>(), span()).prop_map(|(pair, stored, lease)| Work::Learn {
            pair,
            stored: Epoch(stored),
            lease
        }),
        (name(), role(), span()).prop_map(|(pair, role, time_limit)| Work::Demote { pair, role, time_limit }),
        Just(Work::LetGo),
    ]
}

fn told() -> impl Strategy<Value = GrantTold> {
    (some_span(), option_of(role())).prop_map(|(lease, fenced)| GrantTold { lease, fenced })
}

fn order() -> impl Strategy<Value = Order> {
    (any::<u64>(), any::<u128>(), any::<u64>(), work()).prop_map(|(id, life, epoch, work)| Order {
        id: OrderId(id),
        incarnation: Incarnation(life),
        controller_epoch: ControllerEpoch(epoch),
        work,
    })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        any::<u64>().prop_map(|epoch| Refusal::StaleController(ControllerEpoch(epoch))),
        Just(Refusal::OtherIncarnation),
        role().prop_map(Refusal::StaleEpoch),
        any::<u64>().prop_map(|epoch| Refusal::ClosedEpoch(Epoch(epoch))),
        Just(Refusal::UnknownApplication),
        Just(Refusal::NotRunning),
        text().prop_map(Refusal::NotReady),
        text().prop_map(Refusal::ApplicationRefused),
        Just(Refusal::TooSlow),
        text().prop_map(Refusal::Died),
        text().prop_map(Refusal::NotDurable),
        option_of(role()).prop_map(Refusal::NotActing),
        Just(Refusal::Busy),
        (role(), span()).prop_map(|(role, left)| Refusal::Promised(role, left)),
        text().prop_map(Refusal::NotVoting),
        Just(Refusal::NoVotes),
        Just(Refusal::NoGuard),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let outcome = prop_oneof![Just(Outcome::Done), refusal().prop_map(Outcome::Refused)];
    (any::<u64>(), outcome).prop_map(|(order, outcome)| Answer { order: OrderId(order), outcome })
}

fn last_exit() -> impl Strategy<Value = LastExit> {
    let cause = prop_oneof![
        any::<i32>().prop_map(ExitCause::Code),
        any::<i32>().prop_map(ExitCause::Signal),
        text().prop_map(ExitCause::NotStarted),
        Just(ExitCause::Unknown),
    ];
    (cause, any::<bool>(), any::<u64>()).prop_map(|(cause, wanted, ran_ms)| LastExit {
        cause,
        wanted,
        ran_ms,
    })
}

fn clock_doubt() -> impl Strategy<Value = ClockDoubt> {
    let which = || prop_oneof![Just(WhichClock::Own), Just(WhichClock::Other)];
    let lapse = prop_oneof![Just(Lapse::AtOnce), Just(Lapse::BitByBit)];
    let other = prop_oneof![name().prop_map(OtherClock::Host), name().prop_map(OtherClock::Controller)];
    let spans = (span(), span(), any::<i64>(), any::<u32>());
    (other, which(), lapse, spans, option_of(which())).prop_map(|(other, behind, lapse, spans, wrong)| {
        let (own_least, own_most, other_ns, drift_ppm) = spans;
        ClockDoubt { other, behind, lapse, own_least, own_most, other_ns, drift_ppm, wrong }
    })
}

fn role_report() -> impl Strategy<Value = RoleReport> {
    let strict = (any::<bool>(), any::<bool>(), number_of_epoch(), vec(clock_doubt(), 0..3), span())
        .prop_map(|(unread, peer_heard, released, clocks, lease)| GrantReport {
            unread,
            silent: !unread,
            peer_heard,
            peer_released: Epoch(released),
            clocks,
            lease,
        });
    (name(), option_of(role()), number_of_epoch(), option_of(role()), option_of(strict)).prop_map(
        |(pair, promised, closed, acting, strict)| RoleReport {
            pair,
            promised,
            closed: Epoch(closed),
            acting,
            strict,
        },
    )
}

fn report() -> impl Strategy<Value = ApplicationReport> {
    let is =
        (name(), option_of(any::<u32>()), word(ApplicationStatus::ALL), word(Goal::ALL), word(RunMode::ALL));
    let was = (text(), any::<u32>(), any::<bool>(), option_of(last_exit()), option_of(role_report()));
    (is, was).prop_map(|(is, was)| ApplicationReport {
        application: is.0,
        pid: is.1,
        status: is.2,
        goal: is.3,
        run_mode: is.4,
        problem: was.0,
        restarts: was.1,
        gave_up: was.2,
        last_exit: was.3,
        role: was.4,
    })
}

fn inventory() -> impl Strategy<Value = Inventory> {
    (name(), any::<u128>(), any::<u128>(), any::<u64>(), vec(report(), 0..4)).prop_map(
        |(host, agent, life, epoch, applications)| Inventory {
            host,
            agent: AgentId(agent),
            incarnation: Incarnation(life),
            controller_epoch: ControllerEpoch(epoch),
            applications,
        },
    )
}

fn because() -> impl Strategy<Value = Because> {
    let fact = (text(), text()).prop_map(|(what, is)| Fact { what, is });
    let nearly = (word(Rule::ALL), text()).prop_map(|(rule, missed)| Nearly { rule, missed });
    (word(Rule::ALL), text(), vec(fact, 0..3), vec(nearly, 0..3))
        .prop_map(|(rule, reason, facts, nearly)| Because { rule, reason, facts, nearly })
}

fn event() -> impl Strategy<Value = Event> {
    let kinds = &[EventKind::HostLost, EventKind::RoleChanged, EventKind::GaveUp, EventKind::Anomaly];
    let about = (option_of(name()), option_of(name()), option_of(name()))
        .prop_map(|(host, application, pair)| Subject { host, application, pair });
    let severity = word(&[Severity::Info, Severity::Warning, Severity::Critical]);
    let change = (option_of(text()), option_of(text()), option_of(any::<u64>().prop_map(Epoch)));
    (word(kinds), severity, about, change, because(), option_of(text())).prop_map(
        |(kind, severity, about, (from, to, epoch), because, actor)| Event {
            kind,
            severity,
            about,
            from,
            to,
            epoch,
            because,
            actor,
        },
    )
}

fn hello() -> impl Strategy<Value = Hello> {
    let leadership = (any::<u64>(), any::<u128>()).prop_map(|(epoch, incarnation)| LeadershipId {
        epoch: ControllerEpoch(epoch),
        incarnation: Incarnation(incarnation),
    });
    let lineage = vec(leadership, 0..3);
    (versions(), name(), any::<u64>(), text(), option_of(any::<u128>()), name(), lineage).prop_map(
        |(versions, controller, epoch, cluster_name, cluster, host, lineage)| Hello {
            versions,
            controller,
            controller_epoch: ControllerEpoch(epoch),
            cluster_name,
            cluster: cluster.map(ClusterId),
            host,
            lineage,
        },
    )
}

fn question() -> impl Strategy<Value = LogQuestion> {
    let last = (0..=10_000_u32, option_of(any::<i64>()))
        .prop_map(|(lines, since_wall_ms)| LogPlace::Last { lines, since_wall_ms });
    let from = prop_oneof![last, text().prop_map(LogPlace::After)];
    (any::<u64>(), name(), from).prop_map(|(id, application, from)| LogQuestion { id, application, from })
}

fn log_answer() -> impl Strategy<Value = LogAnswer> {
    let piece = (vec(any::<u8>(), 0..40), text(), any::<bool>(), any::<bool>())
        .prop_map(|(bytes, next, more, missing)| LogPiece { bytes, next, more, missing });
    let outcome = prop_oneof![piece.prop_map(Ok), text().prop_map(Err)];
    (any::<u64>(), outcome).prop_map(|(id, outcome)| LogAnswer { id, outcome })
}

fn vote_ask() -> impl Strategy<Value = VoteAsk> {
    (name(), any::<u128>(), any::<u64>(), role(), some_span()).prop_map(
        |(pair, life, number, role, lease)| VoteAsk {
            pair,
            incarnation: Incarnation(life),
            number,
            role,
            lease,
        },
    )
}

fn vote() -> impl Strategy<Value = VoteAnswer> {
    let refused = (option_of(role()), text()).prop_map(|(promised, why)| Verdict::Refused { promised, why });
    let verdict = prop_oneof![Just(Verdict::Given), refused];
    let clock = (any::<u128>(), any::<u64>())
        .prop_map(|(clock, at)| ClockReading { clock: ClockId(clock), at: Moment(at) });
    (name(), any::<u128>(), any::<u64>(), role(), verdict, option_of(clock)).prop_map(
        |(pair, life, number, role, verdict, clock)| {
            let incarnation = Incarnation(life);
            VoteAnswer { pair, incarnation, number, role, verdict, clock }
        },
    )
}

fn in_sync_ask() -> impl Strategy<Value = InSyncAsk> {
    (name(), any::<u128>(), any::<u64>(), role(), word(&InSyncWish::ALL)).prop_map(
        |(pair, life, number, role, wish)| InSyncAsk {
            pair,
            incarnation: Incarnation(life),
            number,
            role,
            wish,
        },
    )
}

fn in_sync_answer() -> impl Strategy<Value = InSyncAnswer> {
    (name(), any::<u128>(), any::<u64>(), option_of(text())).prop_map(|(pair, life, number, refused)| {
        InSyncAnswer { pair, incarnation: Incarnation(life), number, refused }
    })
}

pub fn peer_said() -> impl Strategy<Value = PeerSaid> {
    let hello = (versions(), name(), any::<u128>(), any::<u128>(), name()).prop_map(
        |(versions, host, agent, life, to_host)| PeerHello {
            versions,
            host,
            agent: AgentId(agent),
            incarnation: Incarnation(life),
            to_host,
        },
    );
    prop_oneof![
        hello.prop_map(PeerSaid::Hello),
        (1..=u16::MAX, any::<u128>(), any::<u128>()).prop_map(|(version, agent, life)| PeerSaid::Welcome {
            version,
            agent: AgentId(agent),
            incarnation: Incarnation(life)
        }),
        (text(), versions()).prop_map(|(reason, versions)| PeerSaid::Refused { reason, versions }),
        vote_ask().prop_map(PeerSaid::Ask),
        vote().prop_map(PeerSaid::Vote),
        (name(), role()).prop_map(|(pair, role)| PeerSaid::Release(Release { pair, role })),
        (name(), option_of(role()), any::<u64>(), span()).prop_map(|(pair, voted, released, lease)| {
            PeerSaid::Remembered(Remembered { pair, voted, released: Epoch(released), lease })
        }),
    ]
}

pub fn to_agent() -> impl Strategy<Value = ToAgent> {
    prop_oneof![
        1 => hello().prop_map(ToAgent::Hello),
        4 => order().prop_map(ToAgent::Order),
        1 => vote().prop_map(ToAgent::Vote),
        1 => question().prop_map(ToAgent::ReadLogs),
        1 => in_sync_answer().prop_map(ToAgent::InSync)
    ]
}

pub fn from_agent() -> impl Strategy<Value = FromAgent> {
    prop_oneof![
        (1..=u16::MAX, inventory())
            .prop_map(|(version, inventory)| FromAgent::Welcome { version, inventory }),
        (text(), versions(), any::<u64>()).prop_map(|(reason, versions, epoch)| FromAgent::HelloRefused {
            reason,
            versions,
            highest_controller_epoch: ControllerEpoch(epoch),
        }),
        report().prop_map(FromAgent::Report),
        answer().prop_map(FromAgent::Answer),
        vec(event(), 0..3).prop_map(FromAgent::Events),
        any::<bool>().prop_map(|leaving| FromAgent::Leaving { leaving }),
        vote_ask().prop_map(FromAgent::AskVote),
        log_answer().prop_map(FromAgent::Logs),
        in_sync_ask().prop_map(FromAgent::InSync),
    ]
}

fn readiness() -> impl Strategy<Value = Readiness> {
    prop_oneof![Just(Readiness::NotYet), Just(Readiness::Ready), text().prop_map(Readiness::Unavailable)]
}

pub fn application_says() -> impl Strategy<Value = ApplicationSays> {
    let who = (name(), any::<u32>(), word(RunMode::ALL), any::<u64>());
    let attach = (who, readiness(), any::<bool>(), any::<bool>()).prop_map(
        |((application, pid, run_mode, epoch), readiness, suspended, heartbeat)| FromApplication::Attach {
            application,
            pid,
            run_mode,
            epoch: Epoch(epoch),
            readiness,
            suspended,
            heartbeat,
        },
    );
    let change = || (word(RunMode::ALL), any::<u64>().prop_map(Epoch), text());
    prop_oneof![
        (attach, versions()).prop_map(|(said, versions)| ApplicationSays::from(said).with_versions(versions)),
        readiness().prop_map(|readiness| FromApplication::Readiness(readiness).into()),
        change().prop_map(|(run_mode, epoch, _)| FromApplication::RunModeDone { run_mode, epoch }.into()),
        change().prop_map(|(run_mode, epoch, reason)| {
            FromApplication::RunModeRefused { run_mode, epoch, reason }.into()
        }),
        Just(FromApplication::Suspended.into()),
        any::<u64>().prop_map(|number| FromApplication::Pong(number).into()),
        any::<u64>().prop_map(|number| FromApplication::Confirm(number).into()),
        (any::<u64>(), role(), word(&InSyncWish::ALL)).prop_map(|(number, role, wish)| {
            FromApplication::InSync { number, epoch: role.epoch, wish }.into()
        }),
    ]
}

pub fn application_hears() -> impl Strategy<Value = ApplicationHears> {
    prop_oneof![
        (1..=u16::MAX).prop_map(ApplicationHears::attached),
        text().prop_map(|reason| ToApplication::AttachRefused(reason).into()),
        (word(RunMode::ALL), any::<u64>()).prop_map(|(run_mode, epoch)| ToApplication::SetRunMode {
            run_mode,
            epoch: Epoch(epoch)
        }
        .into()),
        Just(ToApplication::Suspend.into()),
        any::<u64>().prop_map(|number| ToApplication::Ping(number).into()),
        (any::<u64>(), option_of(any::<u64>())).prop_map(|(number, epoch)| {
            ToApplication::Confirmed { number, epoch: epoch.map(Epoch) }.into()
        }),
        (any::<u64>(), option_of(text())).prop_map(|(number, refused)| ToApplication::InSyncDone {
            number,
            refused
        }
        .into()),
    ]
}
