//! Histories as a client may see them, and what must be concluded from each.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const STALL_NS: u64 = 50 * MS;

/// A question of 0.1 ms, answered at `at_ms`.
fn seen(member: usize, at_ms: u64, ask: Ask, said: Said) -> Observation {
    let received_ns = at_ms * MS;
    Observation { member, sent_ns: received_ns.saturating_sub(MS / 10), received_ns, ask, said }
}

fn write(member: usize, at_ms: u64, said: Said) -> Observation {
    seen(member, at_ms, Ask::Write(at_ms), said)
}

fn run(history: &[Observation], end_ms: u64) -> (Summary, Vec<Moment>) {
    let (mut measure, mut moments) = (Measure::new(STALL_NS), Vec::new());
    history.iter().for_each(|one| measure.observe(*one, &mut moments));
    (measure.finish(end_ms * MS), moments)
}

fn names(moments: &[Moment]) -> Vec<String> {
    let json = |moment| serde_json::to_value(moment).unwrap();
    moments.iter().map(|moment| json(moment)["event"].as_str().unwrap().to_owned()).collect()
}

use Said::{NotServing, Nothing, Serving, Unreachable};

#[test]
fn a_crash_is_one_outage_from_acknowledgement_to_acknowledgement() {
    let (summary, moments) = run(
        &[
            write(0, 1, Serving(6)),
            write(1, 2, NotServing(Some(5))),
            write(0, 10, Serving(6)),
            write(0, 11, Nothing),
            write(0, 12, Unreachable),
            write(1, 13, NotServing(Some(5))),
            write(1, 16, Serving(7)),
            write(0, 17, Unreachable),
            write(1, 18, Serving(7)),
        ],
        19,
    );
    assert_eq!(summary.outages, [Outage { from_ms: 10.0, ms: 6.0, epoch_before: 6, epoch_after: Some(7) }]);
    assert_eq!(summary.longest_outage_ms, 6.0);
    assert_eq!((summary.writes_sent, summary.writes_acknowledged), (7, 4));
    assert_eq!((summary.writes_refused, summary.writes_unanswered), (2, 1));
    assert_eq!(summary.epochs_seen, [6, 7]);
    assert_eq!((summary.dual_primary_observations, summary.lower_epoch_answers), (0, 0));
    assert_eq!(names(&moments), ["epoch-changed", "outage-began", "epoch-changed", "served-again"]);
    assert_eq!((moments[1].at_ms, moments[3].at_ms), (11.0, 16.0));
}

#[test]
fn a_switchover_without_a_seen_refusal_is_an_outage_too() {
    let (summary, moments) = run(&[write(0, 1, Serving(6)), write(1, 3, Serving(7))], 4);
    assert_eq!(summary.outages, [Outage { from_ms: 1.0, ms: 2.0, epoch_before: 6, epoch_after: Some(7) }]);
    assert_eq!(names(&moments), ["epoch-changed", "epoch-changed", "outage-began", "served-again"]);
}

#[test]
fn a_backup_that_refuses_or_dies_is_no_outage() {
    let (summary, _) = run(
        &[
            write(0, 1, Serving(6)),
            write(1, 2, NotServing(Some(6))),
            write(1, 3, Nothing),
            write(1, 4, Unreachable),
            write(0, 40, Serving(6)),
        ],
        41,
    );
    assert_eq!((summary.outages.len(), summary.longest_outage_ms), (0, 0.0));
}

#[test]
fn a_new_token_for_the_same_member_is_no_outage() {
    let (summary, moments) = run(&[write(0, 1, Serving(6)), write(0, 2, Serving(8))], 3);
    assert!(summary.outages.is_empty());
    assert_eq!(names(&moments), ["epoch-changed", "epoch-changed"]);
}

#[test]
fn a_silence_counts_from_the_stall_limit_on() {
    let (short, _) = run(&[write(0, 1, Serving(6)), write(0, 50, Serving(6))], 51);
    assert!(short.outages.is_empty());
    let (long, _) = run(&[write(0, 1, Serving(6)), write(0, 51, Serving(6))], 52);
    assert_eq!(long.longest_outage_ms, 50.0);
}

#[test]
fn an_outage_that_does_not_end_is_told_without_an_epoch_after() {
    let (summary, _) = run(&[write(0, 1, Serving(6)), write(0, 2, Nothing)], 31);
    assert_eq!(summary.outages, [Outage { from_ms: 1.0, ms: 30.0, epoch_before: 6, epoch_after: None }]);
    let (silent, _) = run(&[write(0, 1, Serving(6))], 61);
    assert_eq!(silent.longest_outage_ms, 60.0);
    let (nothing, _) = run(&[write(0, 1, NotServing(Some(1)))], 1000);
    assert!(nothing.outages.is_empty() && nothing.writes_acknowledged == 0);
}

#[test]
fn two_primaries_are_proved_by_an_old_epoch_after_a_newer_one() {
    let history = [write(0, 1, Serving(6)), write(1, 3, Serving(7)), write(0, 5, Serving(6))];
    let (summary, moments) = run(&history, 6);
    assert_eq!((summary.dual_primary_observations, summary.lower_epoch_answers), (1, 1));
    assert!(names(&moments).contains(&"dual".to_owned()));
    // A claim proves as much as a write.
    let (claimed, _) = run(&[history[0], history[1], seen(0, 5, Ask::Role, Serving(6))], 6);
    assert_eq!(claimed.dual_primary_observations, 1);
}

#[test]
fn an_answer_that_was_asked_for_before_proves_nothing() {
    let mut slow = write(0, 5, Serving(6));
    slow.sent_ns = 2 * MS;
    let (summary, _) = run(&[write(0, 1, Serving(6)), write(1, 3, Serving(7)), slow], 6);
    assert_eq!((summary.dual_primary_observations, summary.lower_epoch_answers), (0, 0));
}

#[test]
fn one_epoch_with_two_holders_is_proof_at_any_time() {
    let (summary, _) = run(&[write(0, 1, Serving(6)), seen(1, 2, Ask::Role, Serving(6))], 3);
    assert_eq!((summary.dual_primary_observations, summary.lower_epoch_answers), (1, 0));
}

#[test]
fn a_member_that_falls_back_by_itself_is_a_lower_epoch_and_not_two_primaries() {
    let (summary, _) = run(&[write(0, 1, Serving(7)), write(0, 3, Serving(6))], 4);
    assert_eq!((summary.dual_primary_observations, summary.lower_epoch_answers), (0, 1));
}

#[test]
fn what_a_member_says_of_itself_is_told_when_it_changes() {
    let role = |member, at, said| seen(member, at, Ask::Role, said);
    let (_, moments) = run(
        &[
            role(1, 1, NotServing(Some(6))),
            role(1, 2, NotServing(Some(6))),
            role(1, 3, Unreachable),
            role(1, 4, Nothing),
            role(1, 5, NotServing(Some(0))),
        ],
        6,
    );
    assert_eq!(names(&moments), ["member-says"; 3]);
    let line = serde_json::to_string(&moments[1]).unwrap();
    assert_eq!(line, r#"{"at_ms":3.0,"event":"member-says","member":1,"role":"silent","epoch":null}"#);
}

proptest! {
    /// Roles given out properly: in each epoch one member acts, and no act is asked for after a later epoch began.
    #[test]
    fn a_proper_history_never_proves_two_primaries(steps in proptest::collection::vec((0usize..2, 1u64..20), 1..60)) {
        let (mut history, mut now, mut epoch) = (Vec::new(), 1, 0);
        for (member, acts) in steps {
            epoch += 1;
            for _ in 0..acts {
                now += 1;
                history.push(write(member, now, Serving(epoch)));
                history.push(seen(1 - member, now, Ask::Role, NotServing(Some(epoch - 1))));
            }
        }
        let (summary, _) = run(&history, now);
        prop_assert_eq!((summary.dual_primary_observations, summary.lower_epoch_answers), (0, 0));
        prop_assert_eq!(summary.writes_acknowledged, history.len() as u64 / 2);
        let total: f64 = summary.outages.iter().map(|outage| outage.ms).sum();
        prop_assert!(total <= ms(now * MS), "outages never overlap");
    }
}
