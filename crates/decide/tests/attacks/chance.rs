//! Long random sequences in the wide world; after the faults stop, everything is as the operators asked.

use proptest::prelude::*;
use understudy_decide::agent::AgentSaw;
use understudy_decide::control::{Ask, LinkEnd, MaintenanceOf, OperationState};
use understudy_model::*;

use crate::wide::*;
use crate::{maintenance, ms, start, stop, switchover};

const NAMES: [&str; 6] = ["one", "two", "three", "four", "five", "six"];

/// One thing that happens in a random run.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Deliver(usize),
    Back(usize),
    Notice(usize),
    Run(usize),
    Reap(usize),
    All,
    Pass(u64),
    Late(u64),
    Die(usize, bool),
    KillAgent(usize),
    StartAgent(usize),
    KillControl,
    StartControl,
    Cut(usize),
    Connect(usize),
    Switch(usize),
    Stop(usize, bool),
    Start(usize),
    Restart(usize),
    StopPair(bool),
    Hang(usize),
    SlowEnd(usize),
    Refuse(usize),
    Ready(usize, bool),
    Leave(usize),
    Store(u8),
    Disk(usize, u8),
    CannotStart(usize, bool),
    Maintain(usize, bool),
    Reconfigure(bool),
    Silence(usize),
    Unsilence(usize),
    /// The name of a host is not resolved.
    Nameless(usize),
    FreezeControl(u64),
    Acknowledge(usize),
    Drain(usize, bool),
    Rolling(usize),
    Hook(usize),
    HookFaults(usize, bool, bool, bool),
    /// A host leaves, with so much time for each half, or stays after all.
    HostLeaves(usize, u64),
    HostStays(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    use Happens as H;
    let site = 0..2_usize;
    let name = 0..6_usize;
    let time = || prop_oneof![Just(1_u64), Just(20), Just(60), Just(1100), Just(6000)];
    prop_oneof![
        12 => site.clone().prop_map(H::Deliver),
        12 => site.clone().prop_map(H::Back),
        14 => site.clone().prop_map(H::Notice),
        12 => site.clone().prop_map(H::Run),
        6 => site.clone().prop_map(H::Reap),
        2 => Just(H::All),
        6 => time().prop_map(H::Pass),
        3 => time().prop_map(H::Late),
        4 => site.clone().prop_map(H::Connect),
        3 => site.clone().prop_map(H::StartAgent),
        3 => Just(H::StartControl),
        4 => (name.clone(), any::<bool>()).prop_map(|(name, others)| H::Die(name, others)),
        2 => site.clone().prop_map(H::KillAgent),
        1 => Just(H::KillControl),
        1 => site.clone().prop_map(H::Cut),
        3 => (0..2_usize).prop_map(H::Switch),
        2 => (name.clone(), any::<bool>()).prop_map(|(name, graceful)| H::Stop(name, graceful)),
        2 => name.clone().prop_map(H::Start),
        2 => name.clone().prop_map(H::Restart),
        1 => any::<bool>().prop_map(H::StopPair),
        1 => name.clone().prop_map(H::Hang),
        1 => name.clone().prop_map(H::SlowEnd),
        1 => name.clone().prop_map(H::Refuse),
        2 => (name.clone(), any::<bool>()).prop_map(|(name, ready)| H::Ready(name, ready)),
        1 => name.clone().prop_map(H::Leave),
        2 => (0..8_u8).prop_map(H::Store),
        2 => (site.clone(), 0..8_u8).prop_map(|(site, disk)| H::Disk(site, disk)),
        1 => (site, any::<bool>()).prop_map(|(site, cannot)| H::CannotStart(site, cannot)),
        2 => (0..9_usize, any::<bool>()).prop_map(|(of, on)| H::Maintain(of, on)),
        1 => any::<bool>().prop_map(H::Reconfigure),
        2 => (0..2_usize).prop_map(H::Silence),
        3 => (0..2_usize).prop_map(H::Unsilence),
        1 => (0..2_usize).prop_map(H::Nameless),
        1 => (0..2_usize).prop_map(H::Acknowledge),
        1 => (0..2_usize, any::<bool>()).prop_map(|(site, back)| H::Drain(site, back)),
        1 => (0..2_usize).prop_map(H::Rolling),
        1 => prop_oneof![Just(700_u64), Just(4000)].prop_map(H::FreezeControl),
        10 => (0..2_usize).prop_map(H::Hook),
        2 => (0..2_usize, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(site, fail, half, hang)| H::HookFaults(site, fail, half, hang)),
        2 => (0..2_usize, time()).prop_map(|(site, limit)| H::HostLeaves(site, limit)),
        2 => (0..2_usize).prop_map(H::HostStays),
    ]
}

fn disk(number: u8) -> Disk {
    match number {
        0 | 1 => Disk::Full,
        2 => Disk::SilentlyStores,
        3 => Disk::SilentlyLoses,
        _ => Disk::Works,
    }
}

fn happen(world: &mut Wide, what: Happens) {
    use Happens as H;
    match what {
        H::Deliver(site) => drop(world.deliver_order(site)),
        H::Back(site) => drop(world.deliver_report(site)),
        H::Notice(site) => drop(world.notice(site)),
        H::Run(site) => drop(world.run(site)),
        H::Reap(site) => drop(world.reap(site)),
        H::All => world.deliver_all(),
        H::Pass(span) => world.pass(ms(span)),
        H::Late(span) => world.pass_late(ms(span)),
        H::Die(name, others) => world.die(NAMES[name], others),
        H::KillAgent(site) => world.kill_agent(site),
        H::StartAgent(site) => world.start_agent(site),
        H::KillControl => world.kill_control(),
        H::StartControl => world.start_control(),
        H::Cut(site) => world.cut(site),
        H::Connect(site) => world.connect(site),
        H::Silence(site) => world.silence(site),
        H::Unsilence(site) => world.unsilence(site),
        H::Nameless(site) if world.sites[site].link.is_none() => world.no_link(site, LinkEnd::Unresolved),
        H::Nameless(_) => {}
        H::Acknowledge(pair) => world.ask(Ask::AcknowledgeFlapping { name: ["p", "q"][pair].into() }),
        H::Drain(site, back) => world.ask(Ask::Drain { name: HOSTS[site].into(), back, dry_run: false }),
        H::Rolling(pair) => world.ask(Ask::RestartRolling { name: ["p", "q"][pair].into(), dry_run: false }),
        H::FreezeControl(span) => world.freeze_control(ms(span)),
        H::Switch(pair) => world.ask(switchover(["p", "q"][pair])),
        H::Stop(name, graceful) => world.ask(Ask::Stop { name: NAMES[name].into(), graceful }),
        H::Start(name) => world.ask(start(NAMES[name])),
        H::Restart(name) => world.ask(Ask::Restart { name: NAMES[name].into() }),
        H::StopPair(stopped) => world.ask(if stopped { stop("q") } else { start("q") }),
        H::Hang(name) => world.tree(NAMES[name]).into_iter().for_each(|tree| tree.hung = !tree.plain),
        H::SlowEnd(name) => world.tree(NAMES[name]).into_iter().for_each(|tree| tree.slow_end = true),
        H::Refuse(name) => world.tree(NAMES[name]).into_iter().for_each(|tree| tree.refuses = true),
        H::Ready(name, ready) => say_ready(world, NAMES[name], ready),
        H::Leave(name) => world.leave(NAMES[name]),
        H::Store(number) => world.store = disk(number),
        H::Disk(site, number) => world.sites[site].disk = disk(number),
        H::CannotStart(site, cannot) => world.sites[site].cannot_start = cannot,
        H::Maintain(of, on) => {
            let names = ["one", "two", "three", "four", "five", "six", "p", "q", "alpha"];
            world.ask(maintenance(names[of], on));
        }
        H::Hook(site) => drop(world.end_hook(site)),
        H::HookFaults(site, fail, half, hang) => {
            world.sites[site].hook_faults = HookFaults { fail, half, hang }
        }
        H::HostLeaves(site, limit) => world.agent_sees(site, AgentSaw::LeaveAsked { limit: ms(limit) }),
        H::HostStays(site) => world.agent_sees(site, AgentSaw::LeaveTakenBack),
        H::Reconfigure(without) => {
            let five = wide_cluster().applications.remove(&app("five"));
            world.cluster.applications.remove(&app("five"));
            if let Some(five) = five.filter(|_| !without) {
                world.cluster.applications.insert(app("five"), five);
            }
            world.configure();
        }
    }
}

fn say_ready(world: &mut Wide, name: &str, ready: bool) {
    let Some(tree) = world.tree(name).filter(|tree| tree.main && !tree.plain) else { return };
    tree.ready = if ready { Readiness::Ready } else { Readiness::Unavailable("chance".into()) };
    if tree.attached {
        tree.says.push_back(FromApplication::Readiness(tree.ready.clone()));
    }
}

/// Ends every fault. What operators asked for stays as it is.
fn heal(world: &mut Wide) {
    world.store = Disk::Works;
    for site in 0..2 {
        world.sites[site].disk = Disk::Works;
        world.sites[site].cannot_start = false;
        world.unsilence(site);
        world.sites[site].hook_faults = HookFaults::default();
        world.agent_sees(site, AgentSaw::LeaveTakenBack);
    }
    world.settle(60);
    for round in 0..3 {
        for name in NAMES {
            if let Some(tree) = world.tree(name) {
                tree.refuses = false;
                tree.slow_end = false;
                if tree.hung {
                    // Nobody looks for hung processes in this step; a person kills it.
                    world.die(name, false);
                } else {
                    say_ready(world, name, true);
                }
            }
        }
        for known in world.view().applications {
            if known.gave_up {
                world.ask(start(known.name.as_str()));
            }
        }
        world.settle(if round == 2 { 1500 } else { 100 });
    }
}

/// Everything is as the operators asked, and everybody knows it.
fn all_is_well(world: &mut Wide) {
    let view = world.view();
    let maintenance = world.stored.maintenance.clone();
    let off = |of: &MaintenanceOf| !maintenance.contains(of);
    for known in &view.applications {
        let name = known.name.as_str();
        let told = world.told();
        let stored = world.stored.goals.get(&known.name).copied().unwrap_or(Goal::Started);
        assert_eq!(known.goal, stored, "the goal of {name}:\n{told}");
        let site = world.site_of(name);
        let assigned = world.sites[site].memory.assignments.iter().find(|one| one.application == known.name);
        let assigned = assigned.unwrap_or_else(|| panic!("{name} is assigned:\n{told}"));
        assert_eq!((assigned.goal, assigned.hands_off), (stored, known.hands_off), "{name} is told:\n{told}");
        let runs = world.runs(name);
        if stored == Goal::Stopped {
            assert!(
                !runs && known.status == ApplicationStatus::Stopped,
                "{known:?} should be stopped:\n{told}"
            );
        } else if !known.hands_off {
            assert!(runs && known.status == ApplicationStatus::Started, "{known:?} should run:\n{told}");
        }
    }
    for pair in &view.pairs {
        let told = world.told();
        if !off(&MaintenanceOf::Pair(pair.name.clone())) {
            continue;
        }
        let spec = world.cluster.pairs[&pair.name].clone();
        let able = Member::BOTH.iter().any(|member| {
            let known =
                view.applications.iter().find(|known| known.name == *spec.application(*member)).unwrap();
            let drained = view.hosts.iter().any(|host| host.name == known.host && host.drained);
            known.goal == Goal::Started && !known.hands_off && !drained
        });
        let primaries = world.primaries(pair.name.as_str());
        if able {
            assert_eq!(primaries.len(), 1, "pair {} has no primary:\n{told}", pair.name);
            assert_eq!(pair.primary.as_ref().map(ToString::to_string), primaries.first().cloned(), "{told}");
            assert!(pair.primary_heard && pair.state == "held", "{pair:?}\n{told}");
        }
    }
    for operation in &view.operations {
        assert_ne!(operation.state, OperationState::Running, "{operation:?}\n{}", world.told());
    }
    for warning in &view.warnings {
        let heard = !warning.contains("refused") && !warning.contains("not heard");
        assert!(heard && !warning.contains("durable"), "{warning}\n{}", world.told());
    }
    let leftover = world.sites.iter().flat_map(|site| &site.trees);
    for tree in leftover {
        assert!(world.cluster.applications.contains_key(&tree.app), "{} lives:\n{}", tree.app, world.told());
    }
}

/// 300 sequences, or as many as `PROPTEST_CASES` asks for.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 300 };
    ProptestConfig { cases, max_shrink_iters: 20_000, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_happens_ends_well(
        restart_first: bool,
        strict: bool,
        ways in proptest::array::uniform4(0..6_u8),
        what in proptest::collection::vec(happens(), 1..400),
    ) {
        let mut cluster = told_in_ways(wide_cluster(), ways);
        if restart_first {
            for pair in cluster.pairs.values_mut() {
                pair.on_crash = OnCrash::RestartFirst;
            }
        }
        if strict {
            for pair in cluster.pairs.values_mut() {
                pair.policy = Policy::Strict;
            }
        }
        let mut world = Wide::new(cluster);
        world.shadowed = true;
        for what in what {
            happen(&mut world, what);
            world.check();
        }
        heal(&mut world);
        all_is_well(&mut world);
    }
}
