//! Runs as tests: the same seed is the same run, kept seeds hold, fresh ones reach something, and a law that is broken is seen.

use understudy_model::{Policy, Preset, Rule};
use understudy_sim::climate::Options;
use understudy_sim::run::{Wanted, run};
use understudy_sim::seeds;
use understudy_sim::sometimes::Sometimes;

fn options(policy: Policy, preset: Preset) -> Options {
    Options { preset, policy, ..Options::default() }
}

#[test]
fn one_seed_is_one_run_bit_for_bit() {
    let wanted = Wanted { fingerprint: true, ..Wanted::default() };
    let mut seen = Vec::new();
    for seed in 1..=6 {
        let options = options(Policy::Available, if seed % 2 == 0 { Preset::Fast } else { Preset::Normal });
        let (one, other) = (run(seed, options, &wanted), run(seed, options, &wanted));
        assert_eq!(one.fingerprint, other.fingerprint, "seed {seed}");
        assert_eq!((one.events, one.steps, one.time), (other.events, other.steps, other.time), "seed {seed}");
        seen.push(one.fingerprint);
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 6, "seeds differ");
}

#[test]
fn a_run_that_is_told_is_the_same_run() {
    let options = options(Policy::Available, Preset::Normal);
    let told = Wanted { fingerprint: true, story: true, ..Wanted::default() };
    let silent = Wanted { fingerprint: true, ..Wanted::default() };
    let (told, silent) = (run(3, options, &told), run(3, options, &silent));
    assert_eq!(told.fingerprint, silent.fingerprint);
    assert!(silent.story.is_empty());
    let says = |words: &str| told.story.iter().any(|line| line.contains(words));
    assert!(says("promote (1, ") && says("because [first-start]"), "who, which epoch, and why");
}

#[test]
fn kept_seeds_hold() {
    for kept in seeds::read(seeds::TEXT).unwrap() {
        let outcome = run(kept.seed, kept.options, &Wanted::default());
        assert_eq!(outcome.violation, None, "seed {}: {}", kept.seed, kept.why);
    }
}

#[test]
fn the_first_seeds_hold_and_get_somewhere() {
    for policy in [Policy::Available, Policy::Strict] {
        let mut sometimes = Sometimes::default();
        for seed in 1..=60 {
            let outcome = run(seed, options(policy, Preset::Normal), &Wanted::default());
            assert_eq!(outcome.violation, None, "./scripts/sim --seed {seed} --policy {policy} --trace");
            assert!(outcome.healed.is_some(), "seed {seed}");
            sometimes.add(&outcome.sometimes);
        }
        assert!(sometimes.failovers > 60 && sometimes.switchovers > 30, "{policy}: {:?}", sometimes.lines());
    }
}

/// Calls take as long with quick timers as with slow ones: L2 and L3 were empty there once.
#[test]
fn quick_timers_are_put_to_every_test() {
    let mut sometimes = Sometimes::default();
    for seed in 1..=60 {
        let outcome = run(seed, options(Policy::Strict, Preset::Fast), &Wanted::default());
        assert_eq!(
            outcome.violation, None,
            "./scripts/sim --seed {seed} --preset fast --policy strict --trace"
        );
        sometimes.add(&outcome.sometimes);
    }
    assert!(sometimes.judged_l2 > 0 && sometimes.judged_l3 > 0, "{:?}", sometimes.lines());
}

/// Clocks that stop with their machine break what is assumed of clocks, and then a page outlives its time: a simulator that
/// never finds that would not find anything else.
#[test]
fn a_clock_that_stops_with_its_machine_is_found_to_give_two_primaries() {
    let options = Options { clocks_stop: true, ..options(Policy::Strict, Preset::Normal) };
    let mut found = (1..=600).filter_map(|seed| run(seed, options, &Wanted::default()).violation);
    assert!(found.any(|violation| violation.law == "S1"));
}

/// The same clocks are found out by the agents that read them with each vote.
#[test]
fn clocks_that_stop_with_their_machines_are_doubted() {
    let options = Options { clocks_stop: true, ..options(Policy::Strict, Preset::Normal) };
    let mut sometimes = Sometimes::default();
    for seed in 1..=60 {
        sometimes.add(&run(seed, options, &Wanted::default()).sometimes);
    }
    assert!(sometimes.of_rule(Rule::ClocksApart) > 0, "{:?}", sometimes.lines());
}

#[test]
fn a_run_without_some_of_its_faults_is_a_run() {
    let options = options(Policy::Available, Preset::Normal);
    let whole = run(4, options, &Wanted::default());
    let less = run(4, options, &Wanted { without: (0..whole.faults / 2).collect(), ..Wanted::default() });
    assert_eq!(less.faults, whole.faults - whole.faults / 2);
    assert_eq!(less.violation, None);
}

/// Who lacks what was acknowledged is promoted in no run; and there was something to lack, and somebody to be promoted.
#[test]
fn pairs_that_keep_their_data_lose_nothing_and_heal() {
    for policy in [Policy::Available, Policy::Strict] {
        let mut sometimes = Sometimes::default();
        for seed in 1..=40 {
            let options = Options { keep_data: true, ..options(policy, Preset::Normal) };
            let outcome = run(seed, options, &Wanted::default());
            assert_eq!(
                outcome.violation, None,
                "./scripts/sim --seed {seed} --policy {policy} --keep-data --trace"
            );
            sometimes.add(&outcome.sometimes);
        }
        let reached = sometimes.alone > 60 && sometimes.words_refused > 5 && sometimes.failovers > 20;
        assert!(reached && sometimes.of_rule(Rule::LacksData) > 3, "{policy}: {:?}", sometimes.lines());
    }
}

/// Leases get longer and shorter while roles change, and nothing gives (G13); and acting members were given epochs for that.
#[test]
fn pairs_whose_leases_change_have_one_primary_and_heal() {
    let mut sometimes = Sometimes::default();
    for seed in 1..=60 {
        let options = Options { reloads: true, ..options(Policy::Strict, Preset::Normal) };
        let outcome = run(seed, options, &Wanted::default());
        assert_eq!(outcome.violation, None, "./scripts/sim --seed {seed} --policy strict --reloads --trace");
        sometimes.add(&outcome.sometimes);
    }
    let given = sometimes.of_rule(Rule::LeaseChanges);
    assert!(sometimes.reloads > 200 && given > 50, "{:?}", sometimes.lines());
}

/// Hosts are held for planned work, fencing commands take the power of silent ones, and operators say that hosts are off that
/// are (G10, G13): promises end before their time, and nobody acts beside anybody.
#[test]
fn pairs_whose_hosts_are_held_and_switched_off_have_one_primary_and_heal() {
    let mut sometimes = Sometimes::default();
    for seed in 1..=80 {
        let options = Options { holds: true, power: true, ..options(Policy::Strict, Preset::Normal) };
        let outcome = run(seed, options, &Wanted::default());
        assert_eq!(
            outcome.violation, None,
            "./scripts/sim --seed {seed} --policy strict --holds --power --trace"
        );
        sometimes.add(&outcome.sometimes);
    }
    let seen =
        [Rule::HoldSet, Rule::FencedByDevice, Rule::FenceFailed, Rule::OperatorForced, Rule::LeaseChanges];
    for rule in seen {
        assert!(sometimes.of_rule(rule) > 5, "{rule}: {:?}", sometimes.lines());
    }
}

/// A device that confirms and has done nothing breaks what is assumed of devices, and then two act: a simulator that never finds
/// that would not find anything else about them.
#[test]
fn a_device_that_lies_is_found_to_give_two_primaries() {
    let options = Options { power: true, lies: true, ..options(Policy::Strict, Preset::Normal) };
    let mut found = (1..=600).filter_map(|seed| run(seed, options, &Wanted::default()).violation);
    assert!(found.any(|violation| violation.law == "S1"));
}
