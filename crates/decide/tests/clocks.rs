//! Comparisons of two clocks: nothing within the assumptions is ever doubted, whatever is late, and what is outside is found.
//!
//! The clocks of these tests are made of stretches of true time, each with its own rates; the samples are made as messages
//! make them, with every moment read too early or too late by any span.

use std::time::Duration;

use proptest::prelude::*;
use understudy_decide::clocks::{Compared, Comparison, WINDOW};
use understudy_model::{ClockId, ClockReading, Lapse, Moment, WhichClock};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const DRIFT: u32 = 2_000;

/// A clock: so many millionths of each true second until the next change.
#[derive(Debug, Clone)]
struct Rates(Vec<(u64, u64)>);

impl Rates {
    fn even(ppm: i64) -> Self {
        Self(vec![(u64::MAX, 1_000_000_u64.saturating_add_signed(ppm))])
    }

    /// Stands still from then on for so long.
    fn stopped(from: u64, span: u64) -> Self {
        Self(vec![(from, 1_000_000), (span, 0), (u64::MAX, 1_000_000)])
    }

    fn at(&self, time: u64) -> Moment {
        let (mut left, mut shown) = (u128::from(time), 0);
        for (span, rate) in &self.0 {
            let here = left.min(u128::from(*span));
            shown += here * u128::from(*rate);
            left -= here;
        }
        Moment((shown / 1_000_000) as u64 + 7 * SECOND)
    }
}

/// One question: when it is asked, how late its sending is, both ways, how late the other end reads its clock and this one its own.
#[derive(Debug, Clone)]
struct Round {
    pause: u64,
    sent_late: u64,
    there: u64,
    stays: u64,
    back: u64,
    heard_late: u64,
}

fn late() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..2 * MS, 2 => 0..300 * MS, 1 => 0..20 * SECOND]
}

fn round() -> impl Strategy<Value = Round> {
    let pause = prop_oneof![5 => Just(600 * MS), 1 => 0..SECOND, 1 => 0..30 * SECOND];
    (pause, late(), late(), late(), late(), late()).prop_map(
        |(pause, sent_late, there, stays, back, heard_late)| Round {
            pause,
            sent_late,
            there,
            stays,
            back,
            heard_late,
        },
    )
}

/// What is heard, in the order in which it is heard: asked, shown there, heard.
fn samples(rounds: &[Round], own: &Rates, other: &Rates) -> Vec<(Moment, Moment, Moment)> {
    let mut asked_at = 0;
    let mut heard: Vec<(u64, (Moment, Moment, Moment))> = Vec::new();
    for round in rounds {
        asked_at += round.pause;
        let arrives = asked_at + round.sent_late + round.there;
        // Anywhere between the arrival of the question and the sending of the answer.
        let read = arrives + round.stays / 2;
        let comes = arrives + round.stays + round.back + round.heard_late;
        heard.push((comes, (own.at(asked_at), other.at(read), own.at(comes))));
    }
    heard.sort_by_key(|(comes, _)| *comes);
    heard.into_iter().map(|(_, sample)| sample).collect()
}

fn compare(samples: &[(Moment, Moment, Moment)]) -> (Comparison, Vec<Compared>) {
    let mut comparison = Comparison::new(ClockId(1), DRIFT);
    let found = samples.iter().map(|(asked, there, heard)| {
        comparison.hear(*asked, ClockReading { clock: ClockId(1), at: *there }, *heard, DRIFT)
    });
    let found = found.collect();
    (comparison, found)
}

/// Rates of two clocks that are never further apart than A1 allows, and change all the time.
fn allowed() -> impl Strategy<Value = (Rates, Rates)> {
    let stretch = (1..40 * SECOND, 998_001_u64..=1_000_000, any::<bool>());
    proptest::collection::vec(stretch, 1..30).prop_map(|stretches| {
        let (mut own, mut other) = (Vec::new(), Vec::new());
        for (span, rate, swap) in stretches {
            let (fast, slow) = (1_000_000, rate);
            own.push((span, if swap { slow } else { fast }));
            other.push((span, if swap { fast } else { slow }));
        }
        for rates in [&mut own, &mut other] {
            rates.push((u64::MAX, 1_000_000));
        }
        (Rates(own), Rates(other))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_within_the_assumptions_is_doubted(
        (own, other) in allowed(),
        rounds in proptest::collection::vec(round(), 2..200),
    ) {
        let (comparison, found) = compare(&samples(&rounds, &own, &other));
        prop_assert!(found.iter().all(|found| *found == Compared::Consistent), "{found:?}");
        prop_assert_eq!(comparison.proof(), None);
    }

    #[test]
    fn a_clock_that_stood_still_for_longer_than_answers_are_late_is_found_and_so_is_which(
        stood in 50 * MS..60 * SECOND,
        from in 3 * SECOND..20 * SECOND,
        own_stops in any::<bool>(),
        delay in 0..10 * MS,
    ) {
        let (stops, runs) = (Rates::stopped(from, stood), Rates::even(0));
        let (own, other) = if own_stops { (&stops, &runs) } else { (&runs, &stops) };
        let quiet = Round { pause: 600 * MS, sent_late: 0, there: delay, stays: 0, back: delay, heard_late: 0 };
        let count = (from + stood) / (600 * MS) + 4;
        let rounds = vec![quiet; count as usize];
        let (comparison, found) = compare(&samples(&rounds, own, other));
        prop_assert_eq!(found.iter().filter(|found| **found == Compared::Apart).count() > 0, true);
        let behind = if own_stops { WhichClock::Own } else { WhichClock::Other };
        prop_assert_eq!(comparison.proof().unwrap().behind, behind);
    }

    #[test]
    fn a_clock_that_runs_slower_than_is_allowed_is_found(
        ppm in 2_500_i64..300_000,
        own_slow in any::<bool>(),
        late in proptest::collection::vec(0..3 * MS, 200),
    ) {
        let (slow, good) = (Rates::even(-ppm), Rates::even(0));
        let (own, other) = if own_slow { (&slow, &good) } else { (&good, &slow) };
        let round = |late: &u64| {
            Round { pause: 600 * MS, sent_late: 0, there: *late, stays: 0, back: 3 * MS - late, heard_late: 0 }
        };
        let rounds: Vec<Round> = late.iter().map(round).collect();
        let (comparison, found) = compare(&samples(&rounds, own, other));
        prop_assert!(found.contains(&Compared::Apart));
        let proof = comparison.proof().unwrap();
        prop_assert_eq!(proof.behind, if own_slow { WhichClock::Own } else { WhichClock::Other });
        // The bounds that are told contain what was true.
        let true_span = if own_slow { 1_000_000 - ppm } else { 1_000_000 } as f64;
        let own_span = proof.other_ns() as f64 * true_span / if own_slow { 1e6 } else { (1_000_000 - ppm) as f64 };
        prop_assert!(proof.own_least().as_nanos() as f64 <= own_span + 10.0, "{proof:?}");
        prop_assert!(proof.own_most().as_nanos() as f64 >= own_span - 10.0, "{proof:?}");
    }
}

/// A round every 600 ms, answered after 1 ms; the own clock is the true one, and the other one differs by `shift`.
fn hear(comparison: &mut Comparison, at_ms: u64, shift_ms: i64) -> Compared {
    let asked = Moment(at_ms * MS);
    let there = Moment((at_ms as i64 * MS as i64 + shift_ms * MS as i64) as u64);
    let reading = ClockReading { clock: ClockId(1), at: there };
    comparison.hear(asked, reading, asked + Duration::from_millis(1), DRIFT)
}

#[test]
fn one_lapse_is_found_once_and_is_over_after_a_window_without_another() {
    let mut comparison = Comparison::new(ClockId(1), DRIFT);
    for round in 0..10 {
        assert_eq!(hear(&mut comparison, 1_000 + round * 600, 0), Compared::Consistent);
    }
    // The other one's advanced by four seconds more.
    assert_eq!(hear(&mut comparison, 7_000, 4_000), Compared::Apart);
    let proof = *comparison.proof().unwrap();
    assert_eq!((proof.behind, proof.lapse), (WhichClock::Own, Lapse::AtOnce));
    assert_eq!(proof.other_ns(), 4_600 * MS as i64);
    assert_eq!(
        (proof.own_least(), proof.own_most()),
        (Duration::from_millis(599), Duration::from_millis(601))
    );
    let mut at = 7_600;
    while at < 7_000 + WINDOW.as_millis() as u64 {
        assert_eq!(hear(&mut comparison, at, 4_000), Compared::Doubted, "at {at}");
        at += 600;
    }
    assert_eq!(hear(&mut comparison, at, 4_000), Compared::Again);
    assert_eq!(hear(&mut comparison, at + 600, 4_000), Compared::Consistent);
    assert_eq!(comparison.proof(), None);
}

#[test]
fn a_clock_that_is_set_back_with_its_machine_is_found() {
    let mut comparison = Comparison::new(ClockId(1), DRIFT);
    for round in 0..5 {
        hear(&mut comparison, 100_000 + round * 600, 0);
    }
    assert_eq!(hear(&mut comparison, 104_000, -60_000), Compared::Apart);
    let proof = comparison.proof().unwrap();
    assert_eq!(proof.behind, WhichClock::Other);
    assert!(proof.other_ns() < 0);
}

#[test]
fn what_lasts_is_told_apart_from_what_happened_once() {
    let mut comparison = Comparison::new(ClockId(1), DRIFT);
    for round in 0..5 {
        hear(&mut comparison, 1_000 + round * 600, 0);
    }
    hear(&mut comparison, 4_000, 200);
    assert_eq!(comparison.proof().unwrap().lapse, Lapse::AtOnce);
    hear(&mut comparison, 4_600, 400);
    assert_eq!(comparison.proof().unwrap().lapse, Lapse::BitByBit);
}

#[test]
fn another_clock_in_its_place_is_compared_anew() {
    let mut comparison = Comparison::new(ClockId(1), DRIFT);
    for round in 0..5 {
        hear(&mut comparison, 1_000 + round * 600, 0);
    }
    hear(&mut comparison, 4_000, 9_000);
    let (asked, at) = (Moment(5_000 * MS), Moment(3 * MS));
    let anew = ClockReading { clock: ClockId(2), at };
    assert_eq!(comparison.hear(asked, anew, asked, DRIFT), Compared::OtherClock);
    let later = ClockReading { clock: ClockId(2), at: at + Duration::from_secs(1) };
    let asked = asked + Duration::from_secs(1);
    assert_eq!(comparison.hear(asked, later, asked, DRIFT), Compared::Consistent);
}

#[test]
fn a_third_clock_says_which_of_two_is_wrong() {
    let fed = |shifted: bool| {
        let mut comparison = Comparison::new(ClockId(1), DRIFT);
        for round in 0..5 {
            hear(&mut comparison, 1_000 + round * 600, 0);
        }
        hear(&mut comparison, 4_000, if shifted { 4_000 } else { 0 });
        comparison
    };
    let (apart, steady) = (fed(true), fed(false));
    let proof = *apart.proof().unwrap();
    assert_eq!(steady.sides_with(&proof), Some(WhichClock::Own));
    assert_eq!(apart.sides_with(&proof), Some(WhichClock::Other));
    // One that was not heard before it cannot tell.
    let mut late = Comparison::new(ClockId(1), DRIFT);
    hear(&mut late, 4_000, 0);
    assert_eq!(late.sides_with(&proof), None);
}
