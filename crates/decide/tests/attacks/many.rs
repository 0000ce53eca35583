//! Several hosts that fall silent together: a cluster of bare reports, without agents behind them.

use std::collections::BTreeMap;

use understudy_decide::control::{Control, ControlDo, ControlMemory, ControlSaw, LinkEnd};
use understudy_model::*;

use crate::ms;
use crate::wide::{self, app, pair_name};

fn host(index: usize) -> HostName {
    HostName::new(&format!("h{index}")).unwrap()
}

/// So many hosts, each with the primary of one pair and the backup of the one before.
struct Many {
    control: Control,
    now: Moment,
    count: usize,
    promoted: Vec<RoleEpoch>,
    events: Vec<Event>,
}

fn cluster(count: usize) -> Cluster {
    let mut cluster = wide::small_cluster();
    cluster.hosts = (0..count)
        .map(|index| {
            (
                host(index),
                HostSpec {
                    addresses: vec![format!("127.0.0.{}:1", index + 1)],
                    addp: AddpSettings::OFF,
                    fence: None,
                },
            )
        })
        .collect();
    cluster.applications.clear();
    cluster.pairs.clear();
    for index in 0..count {
        let (primary, backup) = (format!("p{index}"), format!("b{index}"));
        wide::add(&mut cluster, &primary, 0, Interface::Library);
        wide::add(&mut cluster, &backup, 0, Interface::Library);
        cluster.applications.get_mut(&app(&primary)).unwrap().host = host(index);
        cluster.applications.get_mut(&app(&backup)).unwrap().host = host((index + 1) % count);
        wide::add_pair(&mut cluster, &format!("pair{index}"), &primary, &backup);
    }
    cluster
}

fn report(name: String, pair: &str, primary: bool) -> ApplicationReport {
    let role = RoleEpoch::new(Epoch(1), app(&name));
    let acting = primary.then_some(role);
    ApplicationReport {
        application: app(&name),
        pid: Some(7),
        status: ApplicationStatus::Started,
        goal: Goal::Started,
        run_mode: if primary { RunMode::Primary } else { RunMode::Backup },
        problem: String::new(),
        restarts: 0,
        gave_up: false,
        last_exit: None,
        role: Some(RoleReport {
            pair: pair_name(pair),
            promised: acting.clone(),
            closed: Epoch::NONE,
            acting,
            strict: None,
        }),
    }
}

impl Many {
    fn new(count: usize) -> Self {
        let roles: BTreeMap<_, _> = (0..count)
            .map(|index| {
                (pair_name(&format!("pair{index}")), RoleEpoch::new(Epoch(1), app(&format!("p{index}"))))
            })
            .collect();
        let memory = ControlMemory { roles, ..wide::empty_memory() };
        let mut many = Many {
            control: Control::new(memory),
            now: Moment(1),
            count,
            promoted: Vec::new(),
            events: Vec::new(),
        };
        many.see(ControlSaw::Configured { cluster: cluster(count), own_hosts: Default::default() });
        for index in 0..count {
            many.up(index);
        }
        assert!(many.promoted.is_empty());
        many
    }

    fn see(&mut self, saw: ControlSaw) {
        let mut saw = Some(saw);
        while let Some(next) = saw.take() {
            let decision = self.control.step(self.now, next);
            self.events.extend(decision.events);
            for action in decision.actions {
                if let ControlDo::Send { order, .. } = action
                    && let Work::Promote { role, .. } = order.work
                {
                    self.promoted.push(role);
                }
            }
            if self.control.next_deadline().is_some_and(|due| due <= self.now) {
                saw = Some(ControlSaw::DeadlinePassed);
            }
        }
    }

    fn up(&mut self, index: usize) {
        let before = (index + self.count - 1) % self.count;
        let inventory = Inventory {
            host: host(index),
            agent: AgentId(index as u128),
            incarnation: Incarnation(1),
            controller_epoch: ControllerEpoch(1),
            applications: vec![
                report(format!("p{index}"), &format!("pair{index}"), true),
                report(format!("b{before}"), &format!("pair{before}"), false),
            ],
        };
        self.see(ControlSaw::LinkUp { host: host(index), inventory });
    }

    fn silent(&mut self, index: usize) {
        self.see(ControlSaw::LinkDown { host: host(index), end: LinkEnd::Silent, why: "silence".into() });
    }

    fn pass(&mut self, span: u64) {
        for _ in 0..span / 50 {
            self.now = self.now + ms(50);
            self.see(ControlSaw::DeadlinePassed);
        }
    }
}

#[test]
fn most_of_several_hosts_that_fall_silent_together_are_held_and_one_alone_is_not() {
    let mut many = Many::new(5);
    many.silent(0);
    assert_eq!(many.promoted.len(), 1, "one host alone is lost");
    many.pass(1_000);
    many.silent(1);
    many.pass(1_000);
    let before = many.promoted.len();
    many.silent(2);
    many.pass(60_000);
    assert_eq!(many.promoted.len(), before, "three of five within ten seconds: {:?}", many.promoted);
    let warnings = many.control.view(many.now).warnings;
    assert!(
        warnings.iter().any(|warning| warning.contains("3 of 5 hosts were lost together")),
        "{warnings:?}"
    );
    // The first two were failed over before the third was silent, and then their new primaries were lost as well.
    let held = many.events.iter().filter(|event| event.because.rule == Rule::BlastRadius);
    let pairs: Vec<String> = held.map(|event| event.about.pair.as_ref().unwrap().to_string()).collect();
    assert_eq!(pairs, ["pair0", "pair1", "pair2"], "each once");
}

#[test]
fn hosts_that_fall_silent_one_after_another_are_not_held() {
    let mut many = Many::new(3);
    many.silent(0);
    many.pass(20_000);
    many.promoted.clear();
    many.silent(1);
    many.pass(1_000);
    assert_eq!(many.promoted, [RoleEpoch::new(Epoch(2), app("b1"))]);
}

#[test]
fn a_held_loss_is_given_a_fresh_chance_when_the_others_are_back() {
    let mut many = Many::new(3);
    many.now = many.now + ms(100);
    // The second one's backup is on the third, which stays.
    many.silent(1);
    many.promoted.clear();
    many.silent(0);
    many.pass(5_000);
    assert_eq!(many.promoted, [], "two of three together");
    many.up(1);
    many.pass(1_000);
    assert_eq!(many.promoted.iter().filter(|role| role.holder == app("b0")).count(), 0, "a fresh chance");
    many.pass(5_000);
    assert_eq!(many.promoted.iter().filter(|role| role.holder == app("b0")).count(), 1, "then it is lost");
}

#[test]
fn the_return_of_one_host_is_looked_at_for_pairs_that_it_has_no_part_in() {
    let mut many = Many::new(6);
    for index in [0, 1, 2, 3] {
        many.silent(index);
    }
    let held = RoleEpoch::new(Epoch(2), app("b3"));
    many.pass(5_000);
    assert!(!many.promoted.contains(&held), "four of six together: {:?}", many.promoted);
    many.up(0);
    many.pass(4_900);
    assert!(!many.promoted.contains(&held), "a fresh chance: {:?}", many.promoted);
    many.pass(200);
    assert!(many.promoted.contains(&held), "then it is lost: {:?}", many.promoted);
}
