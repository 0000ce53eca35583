//! What is written down comes back as it was, packed or cut; what is damaged is told.

use std::time::Duration;

use understudy_decide::control::LinkEnd;
use understudy_model::{Epoch, VoteAnswer};

use super::*;

fn asked(number: u64, epoch: u64) -> (ControlSaw, ControlDecision) {
    let host: HostName = "alpha".parse().unwrap();
    let pair: PairName = "p".parse().unwrap();
    let (incarnation, role) = (Incarnation(u128::MAX), RoleEpoch::new(Epoch(epoch), "a".parse().unwrap()));
    let lease = Duration::from_millis(250);
    let ask = VoteAsk { pair: pair.clone(), incarnation, number, role: role.clone(), lease };
    let answer = VoteAnswer { pair, incarnation, number, role, verdict: Verdict::Given, clock: None };
    let actions = vec![ControlDo::Vote { host: host.clone(), answer }];
    (ControlSaw::VoteAsked { host, ask }, Decision { actions, ..Decision::default() })
}

fn read_back(rows: &[JournalEntry]) -> (u64, Vec<Step>) {
    let [row] = rows else { panic!("{} rows", rows.len()) };
    let ObservedRow { n, is: Recorded::Quiet(quiet) } = serde_json::from_str(&row.text).unwrap() else {
        panic!("{}", row.text)
    };
    (n, quiet.unpack(row.at_boot).unwrap())
}

#[test]
fn packed_steps_come_back_to_the_nanosecond_also_when_the_clock_of_one_is_behind() {
    let mut recorder = Recorder { next: 7, ..Recorder::default() };
    let mut steps = Vec::new();
    let moments = [5_000_000_001, 5_050_000_123, 5_049_999_999, 90_000_000_000, 90_000_000_000, u64::MAX / 4];
    for (index, at) in moments.into_iter().enumerate() {
        let (saw, decision) = match index % 3 {
            0 => (ControlSaw::DeadlinePassed, Decision::default()),
            _ => asked(40 + index as u64 * 2, index as u64 / 4 + 1),
        };
        let step = Step { at: Moment(at), aside: index == 2, saw };
        steps.push(step.clone());
        // Each row is as it is, whatever is full.
        recorder.pack(&step);
        assert!(is_quiet(&step.saw, &decision));
    }
    assert_eq!(read_back(&recorder.flush()), (7, steps));
    assert_eq!(recorder.next, 13);
    assert!(recorder.flush().is_empty());
}

#[test]
fn a_day_of_two_pairs_takes_the_megabytes_that_the_documents_say() {
    for (renew_ms, lease_ms, most_mb) in [(600, 3_000, 5.0), (50, 250, 35.0)] {
        let mut recorder = Recorder { next: 1, ..Recorder::default() };
        let (mut bytes, minute) = (0, 60_000);
        for ms in 0..minute {
            let at = Moment(1_000_000_000_000 + ms * 1_000_000 + (ms * 7_919) % 100_000);
            let mut note = |saw, decision: &ControlDecision| {
                let rows = recorder.note(Step { at, aside: false, saw }, decision);
                // What SQLite adds to a row is less than fifty bytes.
                bytes += rows.iter().map(|row| row.text.len() + 50).sum::<usize>();
            };
            for pair in 0..2 {
                if ms % renew_ms == pair * 17 {
                    let (saw, decision) = asked(ms * 2 + pair, pair + 1);
                    note(saw, &decision);
                }
                if ms % lease_ms == pair * 13 {
                    note(ControlSaw::DeadlinePassed, &Decision::default());
                }
            }
            if ms % 500 == 0 {
                note(ControlSaw::DeadlinePassed, &Decision::default());
            }
        }
        bytes += recorder.flush().iter().map(|row| row.text.len() + 50).sum::<usize>();
        let day_mb = bytes as f64 * 24.0 * 60.0 / 1e6;
        assert!(
            day_mb < most_mb && day_mb > most_mb / 3.0,
            "renewed every {renew_ms} ms: {day_mb:.1} MB a day"
        );
    }
}

#[test]
fn damaged_steps_are_told_and_never_guessed() {
    let mut recorder = Recorder::default();
    for number in 0..4 {
        recorder.pack(&Step { at: Moment(number * 50_000_000), aside: false, saw: asked(number, 1).0 });
    }
    let good = recorder.quiet.clone();
    assert!(good.unpack(Moment(0)).is_ok());
    for wrong in [
        Quiet { count: 5, ..good.clone() },
        Quiet { askers: Vec::new(), ..good.clone() },
        Quiet { steps: good.steps[1..].to_owned(), ..good.clone() },
        Quiet { steps: format!("{}!", good.steps), ..good.clone() },
        Quiet { steps: "_".repeat(100), ..good },
    ] {
        assert!(wrong.unpack(Moment(0)).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_long_text_is_cut_and_put_together_again_and_one_without_measure_is_named() {
    let saw = |bytes: usize| ControlSaw::LinkDown {
        host: "alpha".parse().unwrap(),
        end: LinkEnd::Closed,
        why: "ü".repeat(bytes / 2),
    };
    let mut recorder = Recorder { next: 3, ..Recorder::default() };
    let long = saw(3 * PIECE_BYTES);
    let rows = recorder.note(Step { at: Moment(1), aside: false, saw: long.clone() }, &Decision::default());
    assert!(rows.len() > 2 && rows.iter().all(|row| row.text.len() <= PIECE_BYTES + 1_000));
    let pieces = rows.iter().map(|row| serde_json::from_str::<Piece>(&row.text).unwrap());
    let text: String = pieces.map(|piece| piece.text).collect();
    let expected = ObservedRow { n: 3, is: Recorded::Saw(long) };
    assert_eq!(serde_json::from_str::<ObservedRow>(&text).unwrap(), expected);
    let rows = recorder
        .note(Step { at: Moment(1), aside: false, saw: saw(LONGEST_RECORD_BYTES) }, &Decision::default());
    assert_eq!(rows.len(), 1);
    assert!(rows[0].text.contains("left-out"), "{}", rows[0].text);
}
