//! A real run is decided again from its journal, letter by letter; what was altered or is missing is found.

mod support;

use serde_json::Value;
use support::{Bench, until};
use understudy_scs::replay::{Replay, Replayed, is_beginning};
use understudy_store::{JournalQuery, Reader, StoredEntry};

/// A run with a crash of the primary, a switchover, a refused request, and two lives of the server.
fn run() -> Bench {
    let mut bench = Bench::new();
    let (alpha, beta) = bench.start_with_agents();
    alpha.crash("tserver-1");
    until("tserver-2 is primary", || (bench.pair()["primary"] == "tserver-2").then_some(()));
    alpha.recover("tserver-1");
    bench.until_primary("tserver-2");
    assert_eq!(bench.ask("POST", "/v1/pairs/tserver/switchover", "{\"to\": \"tserver-1\"}").0, 202);
    bench.until_primary("tserver-1");
    assert_eq!(bench.ask("PUT", "/v1/maintenance/nobody", "{\"on\": true}").0, 404);
    bench.signal("-TERM");
    bench.wait();
    bench.start();
    bench.until_primary("tserver-1");
    beta.drop_link();
    until("beta is heard again", || (beta.hellos().len() > 2).then_some(()));
    bench.until_primary("tserver-1");
    bench
}

fn rows(bench: &Bench) -> Vec<StoredEntry> {
    let reader = Reader::open(&bench.path("state")).unwrap();
    reader.journal(&JournalQuery { after_id: 0, since_wall_ms: i64::MIN, limit: 10_000 }).unwrap()
}

fn replay(rows: impl IntoIterator<Item = StoredEntry>) -> Replayed {
    let mut replay = Replay::default();
    // Looks for the first row that is not wanted.
    let _ = rows.into_iter().all(|row| replay.feed(row));
    replay.finish()
}

#[test]
fn a_real_run_is_decided_again_letter_by_letter_and_an_altered_decision_is_told() {
    let mut bench = run();
    let answer = bench.get("/v1/replay?from=1h");
    let all = answer["leaderships"].as_array().unwrap();
    assert_eq!((answer["same"].as_bool(), all.len()), (Some(true), 2), "{answer}");
    assert!(
        all.iter().all(|one| one["stopped"].is_null() && one["decisions"].as_u64() > Some(3)),
        "{answer}"
    );
    assert_eq!((&all[0]["epoch"], &all[1]["epoch"]), (&Value::from(1), &Value::from(2)));
    let newest = bench.get("/v1/replay");
    assert_eq!(newest["leaderships"].as_array().unwrap().len(), 1);
    bench.signal("-TERM");
    bench.wait();

    let rows = rows(&bench);
    let second = rows.iter().rposition(is_beginning).unwrap();
    let first = &rows[..second];
    let good = replay(first.to_vec());
    assert!(good.difference.is_none() && good.stopped.is_none(), "{good:?}");
    let texts: Vec<&str> = first.iter().map(|row| row.text.as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("\"quiet\":{\"count\"")), "nothing was packed: {texts:#?}");

    // One letter of one decision.
    let altered = first.iter().position(|row| row.text.contains("primary-exited")).unwrap();
    let mut wrong = first.to_vec();
    wrong[altered].text = wrong[altered].text.replacen("primary-exited", "primary-exitex", 1);
    let found = replay(wrong);
    let difference = found.difference.expect("it was passed over");
    assert!(
        difference.recorded.unwrap().contains("exitex") && difference.replayed.unwrap().contains("exited")
    );

    // A decision that nobody made, and one that nobody wrote down.
    let mut wrong = first.to_vec();
    wrong.remove(altered);
    assert!(replay(wrong).difference.is_some_and(|one| one.recorded.is_none()));

    // Another moment.
    let crash = first.iter().position(|row| row.text.contains("\"link-up\"")).unwrap();
    let mut wrong = first.to_vec();
    wrong[crash].at_boot.0 += 60_000_000_000;
    assert!(replay(wrong).difference.is_some(), "a minute later is not the same");

    // Something that is missing is not passed over, and what stands out of turn is put into it.
    let step = first.iter().position(|row| row.text.contains("\"reported\"")).unwrap();
    let mut gap = first.to_vec();
    let late = gap.remove(step);
    let n = late.text[..20].to_owned();
    let of_step = |row: &StoredEntry| row.text.starts_with(&n[..n.find(',').unwrap() + 1]);
    let mut behind = vec![late];
    behind.extend(gap.iter().filter(|row| of_step(row)).cloned().collect::<Vec<_>>());
    gap.retain(|row| !of_step(row));
    let found = replay(gap.clone());
    assert!(found.stopped.is_some_and(|why| why.contains("not in the journal")));
    let last = gap.len().min(step + 3);
    gap.splice(last..last, behind);
    assert_eq!(replay(gap), good);
}
