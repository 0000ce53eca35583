//! What people are told of pairs with policy `strict` whose voters share a machine, or are not heard.
//!
//! The law: a host whose loss would stop a healthy primary elsewhere is named with the reason, and no other is.

use understudy_decide::control::{ClusterView, ControlSaw};
use understudy_model::*;

use super::hosts::{holder, settled};
use crate::wide::*;

/// `one` is primary on the first host, and the control server is on these.
fn seen(policy: Policy, own: &[usize]) -> (Wide, ClusterView) {
    let mut world = settled(small_cluster());
    for pair in world.cluster.pairs.values_mut() {
        pair.policy = policy;
        pair.timers.lease = crate::ms(2_500);
    }
    let own_hosts = own.iter().map(|site| host(*site)).collect();
    let cluster = world.cluster.clone();
    world.control_sees(ControlSaw::Configured { cluster, own_hosts });
    let view = world.view();
    (world, view)
}

fn risks(view: &ClusterView, site: usize) -> String {
    view.hosts.iter().find(|known| known.name == host(site)).unwrap().loss_risks.join("; ")
}

const ALONE: &str = "its own vote alone, and steps down within its lease of 2.5s";

#[test]
fn a_control_server_beside_the_backup_is_two_voters_of_a_strict_pair() {
    let (_, view) = seen(Policy::Strict, &[1]);
    assert!(risks(&view, 1).contains(ALONE) && risks(&view, 1).contains("primary one on host"), "{view:#?}");
    assert!(!risks(&view, 0).contains(ALONE), "{view:#?}");
    let warned = |text: &str| view.warnings.iter().filter(|warning| warning.contains(text)).count();
    assert_eq!(warned("two of its three voters are on host"), 1, "{:#?}", view.warnings);
    assert_eq!(warned("its loss stops one within the lease of 2.5s"), 1, "{:#?}", view.warnings);
}

#[test]
fn the_loss_of_the_primarys_own_host_is_no_step_down_elsewhere() {
    let (_, view) = seen(Policy::Strict, &[0]);
    assert!(
        !risks(&view, 0).contains(ALONE) && risks(&view, 0).contains("nobody would promote"),
        "{view:#?}"
    );
    assert_eq!(risks(&view, 1), "");
    assert!(view.warnings.iter().any(|warning| warning.contains("its loss stops two within")));
}

#[test]
fn with_policy_available_or_a_third_machine_nobody_steps_down() {
    for (policy, own) in [(Policy::Available, &[1][..]), (Policy::Strict, &[])] {
        let (_, view) = seen(policy, own);
        let all = format!("{} {} {}", risks(&view, 0), risks(&view, 1), view.warnings.join(" "));
        assert!(!all.contains("voters") && !all.contains("own vote"), "{policy}: {all}");
    }
}

const NO_OTHER: &str = "if this control server stops, one steps down within its lease of 2.5s";

fn told(world: &Wide) -> Vec<String> {
    world.view().warnings.into_iter().filter(|warning| warning.contains(NO_OTHER)).collect()
}

#[test]
fn while_the_other_agent_is_not_heard_the_control_server_is_the_vote_that_counts() {
    let (mut world, _) = seen(Policy::Strict, &[]);
    assert_eq!(told(&world), Vec::<String>::new());
    // The primary's agent has not said yet what it hears.
    world.silence(1);
    assert!(
        told(&world)[0].contains("is not heard here, and perhaps nowhere"),
        "{:#?}",
        world.view().warnings
    );
}

/// The primary, as its agent reports it.
fn reported(world: &Wide, strict: GrantReport) -> ApplicationReport {
    let role = holder(world);
    ApplicationReport {
        application: app("one"),
        pid: Some(1),
        status: ApplicationStatus::Started,
        goal: Goal::Started,
        run_mode: RunMode::Primary,
        problem: String::new(),
        restarts: 0,
        gave_up: false,
        last_exit: None,
        role: Some(RoleReport {
            pair: pair_name("p"),
            promised: Some(role.clone()),
            closed: Epoch(0),
            acting: Some(role),
            strict: Some(strict),
        }),
    }
}

#[test]
fn clocks_that_an_agent_doubts_are_shown_at_both_hosts_and_change_nothing_else() {
    let (mut world, before) = seen(Policy::Strict, &[]);
    let doubt = ClockDoubt {
        other: OtherClock::Host(host(1)),
        behind: WhichClock::Other,
        lapse: Lapse::AtOnce,
        own_least: crate::ms(10_600),
        own_most: crate::ms(10_602),
        other_ns: 600_000_000,
        drift_ppm: 2_000,
        wrong: None,
    };
    let strict = GrantReport { peer_heard: true, clocks: vec![doubt], ..GrantReport::default() };
    let report = reported(&world, strict);
    world.control_sees(ControlSaw::Reported { host: host(0), report });
    let view = world.view();
    let warned: Vec<&String> = view.warnings.iter().filter(|text| text.contains("clock")).collect();
    assert_eq!(warned.len(), 1, "{:#?}", view.warnings);
    let facts = ["10.600 to 10.602 s", "advanced 0.600 s", "2000 ppm", "cannot tell", "paused-machines"];
    assert!(facts.iter().all(|fact| warned[0].contains(fact)), "{}", warned[0]);
    assert!(view.hosts.iter().all(|host| host.clock_doubts.len() == 1), "{:#?}", view.hosts);
    assert_eq!(view.pairs[0].stored, before.pairs[0].stored);
    assert_eq!(view.pairs[0].primary, before.pairs[0].primary);
    let report = reported(&world, GrantReport { peer_heard: true, ..GrantReport::default() });
    world.control_sees(ControlSaw::Reported { host: host(0), report });
    assert!(world.view().hosts.iter().all(|host| host.clock_doubts.is_empty()));
}

#[test]
fn what_the_primarys_own_agent_hears_counts_more_than_what_the_control_server_hears() {
    for (silent, peer_heard, warned) in
        [(true, true, 0), (true, false, 1), (false, false, 1), (false, true, 0)]
    {
        let (mut world, _) = seen(Policy::Strict, &[]);
        if silent {
            world.silence(1);
            world.deliver_all();
        }
        let report = reported(&world, GrantReport { peer_heard, ..GrantReport::default() });
        world.control_sees(ControlSaw::Reported { host: host(0), report });
        let told = told(&world);
        assert_eq!(told.len(), warned, "silent {silent}, peer heard {peer_heard}: {told:#?}");
        assert!(told.iter().all(|one| one.contains("does not hear that of host")), "{told:#?}");
    }
}

#[test]
fn a_pair_on_one_host_is_named_whatever_its_policy_and_its_agent_is_voter_enough() {
    for policy in [Policy::Strict, Policy::Available] {
        let mut world = settled(small_cluster());
        let mut cluster = world.cluster.clone();
        cluster.pairs.values_mut().for_each(|pair| pair.policy = policy);
        cluster.applications.values_mut().for_each(|one| one.host = host(0));
        world.control_sees(ControlSaw::Configured { cluster, own_hosts: [host(0)].into() });
        let view = world.view();
        assert!(view.warnings.iter().any(|warning| warning.contains("both members are on one host")));
        assert!(!view.warnings.iter().any(|warning| warning.contains("voters")), "{:#?}", view.warnings);
        assert!(!risks(&view, 0).contains("own vote"), "{view:#?}");
    }
}
