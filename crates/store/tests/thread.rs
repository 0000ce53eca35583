//! The store on its own thread: acknowledgements, order, soon-written rows, the end.

mod support;

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use understudy_store::{CommitError, EventQuery, JournalQuery, Notice, Reader, Store, StoreThread};

use support::{entries, event, lead, pair, raise, role};

const PATIENCE: Duration = Duration::from_secs(20);

fn start(store: Store) -> (StoreThread, Receiver<Notice>) {
    let (told, notices) = channel();
    // Nobody may listen any more when the thread ends.
    let thread = StoreThread::start(store, move |notice| drop(told.send(notice))).unwrap();
    (thread, notices)
}

#[test]
fn accepted_rows_are_written_soon_without_another_batch() {
    let place = tempfile::tempdir().unwrap();
    let (thread, notices) = start(Store::open(place.path()).unwrap());
    let (done, answers) = channel();
    let mut batch = entries(&["1"], false);
    batch.events.push((5, event("why")));
    thread.commit(batch, move |outcome| done.send(outcome).unwrap());
    assert!(!answers.recv_timeout(PATIENCE).unwrap().unwrap().durable);
    let notice = notices.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(notice, Notice::Written { last_event: 1 }), "{notice:?}");
    let reader = Reader::open(place.path()).unwrap();
    assert_eq!(reader.events(&EventQuery::default()).unwrap().len(), 1);
}

#[test]
fn batches_are_answered_in_order_and_a_refusal_harms_none_of_the_others() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leading = lead(&mut store);
    let (thread, _notices) = start(store);
    let (done, answers) = channel();
    let batches = [
        raise(None, role(1, "a"), leading),
        raise(None, role(2, "b"), leading),
        raise(Some(role(1, "a")), role(2, "b"), leading),
    ];
    for (number, batch) in batches.into_iter().enumerate() {
        let done = done.clone();
        thread.commit(batch, move |outcome| done.send((number, outcome)).unwrap());
    }
    let answered: Vec<_> = (0..3).map(|_| answers.recv_timeout(PATIENCE).unwrap()).collect();
    assert!(matches!(answered[0], (0, Ok(_))), "{answered:?}");
    assert!(matches!(answered[1], (1, Err(CommitError::NotAsExpected { .. }))), "{answered:?}");
    assert!(matches!(answered[2], (2, Ok(_))), "{answered:?}");
    thread.close().unwrap();
    assert_eq!(Store::open(place.path()).unwrap().roles().unwrap()[&pair()], role(2, "b"));
}

#[test]
fn a_flood_of_notes_leaves_room_for_what_must_be_durable() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leading = lead(&mut store);
    let (thread, _notices) = start(store);
    // The writer stands still until the flood is over.
    let (go_on, held) = channel::<()>();
    thread.commit(entries(&["first"], false), move |_| held.recv().unwrap());
    let refused = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for row in 0..5_000 {
        let refused = std::sync::Arc::clone(&refused);
        thread.commit(entries(&[&row.to_string()], false), move |outcome| {
            if let Err(error) = outcome {
                assert!(matches!(error, CommitError::Behind { .. }), "{error}");
                refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
    }
    assert!(refused.load(std::sync::atomic::Ordering::Relaxed) > 0, "the flood is larger than the room");
    let (done, answers) = channel();
    thread.commit(raise(None, role(1, "a"), leading), move |outcome| done.send(outcome).unwrap());
    go_on.send(()).unwrap();
    assert!(answers.recv_timeout(PATIENCE).unwrap().unwrap().durable);
    // The room of the flood is free again.
    let (done, answers) = channel();
    thread.commit(entries(&["later"], false), move |outcome| done.send(outcome).unwrap());
    assert!(answers.recv_timeout(PATIENCE).unwrap().is_ok());
}

#[test]
fn closing_writes_everything_that_was_handed_over() {
    let place = tempfile::tempdir().unwrap();
    let (thread, _notices) = start(Store::open(place.path()).unwrap());
    for row in 0..500 {
        thread.commit(entries(&[&row.to_string()], false), |outcome| assert!(outcome.is_ok()));
    }
    thread.close().unwrap();
    let reader = Reader::open(place.path()).unwrap();
    let all = JournalQuery { after_id: 0, since_wall_ms: 0, limit: 1_000 };
    let rows: Vec<_> = reader.journal(&all).unwrap().into_iter().map(|entry| entry.text).collect();
    assert_eq!(rows, (0..500).map(|row| row.to_string()).collect::<Vec<_>>());
}

#[test]
fn rows_that_a_full_disk_kept_waiting_are_told_of() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    store.limit_size(1).unwrap();
    let long = "x".repeat(1_000_000);
    while store.commit(entries(&[&long], true)).is_ok() {}
    let (thread, notices) = start(store);
    thread.commit(entries(&[&long], false), |outcome| assert!(outcome.is_ok()));
    let notice = notices.recv_timeout(PATIENCE).unwrap();
    assert!(
        matches!(notice, Notice::Waiting { rows: 1, dropped: 0, why: CommitError::Full { .. } }),
        "{notice:?}"
    );
    assert!(matches!(thread.close().unwrap_err(), CommitError::Full { .. }));
}

#[test]
fn many_commits_keep_the_log_at_its_size() {
    let place = tempfile::tempdir().unwrap();
    let (thread, _notices) = start(Store::open(place.path()).unwrap());
    let (done, answers) = channel();
    let long = "x".repeat(50_000);
    for _ in 0..200 {
        let done = done.clone();
        thread.commit(entries(&[&long], true), move |outcome| done.send(outcome).unwrap());
        answers.recv_timeout(PATIENCE).unwrap().unwrap();
    }
    let log = std::fs::metadata(place.path().join("scs.db-wal")).unwrap().len();
    assert!(log < 6 * 1024 * 1024, "{log} bytes");
}
