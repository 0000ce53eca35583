//! Journal and events: their order, their queries, their retention, and a full disk.

mod support;

use understudy_model::Epoch;
use understudy_store::{Batch, CommitError, EventQuery, JournalQuery, MOST_QUEUED_ROWS, Reader, Store};

use support::{entries, event, lead, pair, raise, role};

const ALL: JournalQuery = JournalQuery { after_id: 0, since_wall_ms: i64::MIN, limit: 10_000 };

fn texts(reader: &Reader) -> Vec<String> {
    reader.journal(&ALL).unwrap().into_iter().map(|entry| entry.text).collect()
}

fn tell(reasons: &[&str], at_wall_ms: i64) -> Batch {
    let events = reasons.iter().map(|reason| (at_wall_ms, event(reason))).collect();
    Batch { events, durable: true, ..Batch::default() }
}

#[test]
fn accepted_rows_are_written_before_the_durable_batch_that_follows() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let reader = Reader::open(place.path()).unwrap();
    assert!(!store.commit(entries(&["1", "2"], false)).unwrap().durable);
    assert!(!store.commit(entries(&["3"], false)).unwrap().durable);
    assert!(texts(&reader).is_empty());
    assert!(store.commit(entries(&["4"], true)).unwrap().durable);
    assert_eq!(texts(&reader), ["1", "2", "3", "4"]);
    assert_eq!(store.queued_rows(), 0);
}

#[test]
fn accepted_rows_survive_a_refused_batch() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leading = lead(&mut store);
    store.commit(entries(&["1"], false)).unwrap();
    assert!(store.commit(raise(Some(role(9, "a")), role(10, "a"), leading)).is_err());
    store.flush().unwrap();
    assert_eq!(texts(&Reader::open(place.path()).unwrap()), ["1"]);
}

#[test]
fn events_come_back_whole_and_in_order() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let reader = Reader::open(place.path()).unwrap();
    store.commit(tell(&["one", "two"], 10)).unwrap();
    let receipt = store.commit(tell(&["three"], 20)).unwrap();
    assert_eq!((receipt.last_event, reader.last_event().unwrap()), (3, 3));
    let reasons = |query: EventQuery| -> Vec<String> {
        reader.events(&query).unwrap().into_iter().map(|event| event.reason).collect()
    };
    let query = EventQuery::default;
    assert_eq!(reasons(query()), ["one", "two", "three"]);
    assert_eq!(reasons(EventQuery { newest_first: true, limit: 2, ..query() }), ["three", "two"]);
    assert_eq!(reasons(EventQuery { after_id: Some(1), ..query() }), ["two", "three"]);
    assert_eq!(reasons(EventQuery { since_wall_ms: Some(20), ..query() }), ["three"]);
    assert_eq!(reasons(EventQuery { pair: Some("pair".into()), ..query() }).len(), 3);
    assert!(reasons(EventQuery { pair: Some("other".into()), ..query() }).is_empty());
    assert!(
        reasons(EventQuery { kinds: vec![understudy_model::EventKind::HoldChanged], ..query() }).is_empty()
    );
    assert!(reasons(EventQuery { host: Some("alpha".into()), ..query() }).is_empty());

    let stored = reader.event(2).unwrap().unwrap();
    let json = serde_json::to_value(&stored).unwrap();
    let mut expected = serde_json::to_value(event("two")).unwrap();
    let added = serde_json::json!({"id": 2, "at_wall_ms": 10, "host": null, "application": null});
    expected.as_object_mut().unwrap().extend(added.as_object().unwrap().clone());
    assert_eq!(json, expected, "what is read back is what was told");
    assert_eq!(reader.event(99).unwrap(), None);
}

#[test]
fn old_rows_go_in_small_steps_and_the_newest_stays() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let reader = Reader::open(place.path()).unwrap();
    store.commit(tell(&["old"; 5], 10)).unwrap();
    store.commit(tell(&["new"; 2], 30)).unwrap();
    let first = store.forget_before(20, 3).unwrap();
    assert_eq!((first.rows, first.more), (3, true));
    let second = store.forget_before(20, 3).unwrap();
    assert_eq!((second.rows, second.more), (2, false));
    let left = reader.events(&EventQuery::default()).unwrap();
    assert_eq!(left.iter().map(|event| event.reason.as_str()).collect::<Vec<_>>(), ["new", "new"]);
    let used = store.forget_before(20, 3).unwrap().used_bytes;
    let file = std::fs::metadata(store.path()).unwrap().len();
    assert!(used > 0 && used <= file, "{used} of {file}");
    // Everything is old now; the newest stays, so that its number is not used again.
    store.forget_before(100, 50).unwrap();
    assert_eq!(reader.last_event().unwrap(), 7);
    assert_eq!(store.commit(tell(&["next"], 200)).unwrap().last_event, 8);
}

#[test]
fn a_full_disk_is_named_rows_wait_and_nothing_is_half_written() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leading = lead(&mut store);
    store.commit(raise(None, role(1, "a"), leading)).unwrap();
    store.limit_size(1).unwrap();
    let long = "x".repeat(500_000);
    let mut full = None;
    // The file has free pages for some of them, and no more.
    for _ in 0..100 {
        if let Err(why) = store.commit(entries(&[&long], true)) {
            full = Some(why);
            break;
        }
    }
    let Some(CommitError::Full { .. }) = full else { panic!("{full:?}") };
    let reader = Reader::open(place.path()).unwrap();
    let written = reader.journal(&ALL).unwrap().len();

    // Accepted rows wait through it, and do not keep an epoch from being written.
    store.commit(entries(&[&long], false)).unwrap();
    assert!(matches!(store.flush().unwrap_err(), CommitError::Full { .. }));
    assert_eq!((store.queued_rows(), reader.journal(&ALL).unwrap().len()), (1, written));
    store.commit(raise(Some(role(1, "a")), role(2, "b"), leading)).unwrap();
    assert_eq!(store.queued_rows(), 1);
    // And neither does a reason of its own, for which there is no room: it waits too.
    let with_reason = Batch {
        journal: entries(&[&long], true).journal,
        ..raise(Some(role(2, "b")), role(3, "a"), leading)
    };
    store.commit(with_reason).unwrap();
    assert_eq!((store.queued_rows(), store.roles().unwrap()[&pair()].epoch), (2, Epoch(3)));

    // Space is back: they are written.
    store.limit_size(1 << 30).unwrap();
    store.flush().unwrap();
    assert_eq!((store.queued_rows(), reader.journal(&ALL).unwrap().len()), (0, written + 2));
    assert_eq!(store.dropped_rows(), 0);
}

#[test]
fn what_waits_is_bounded_and_the_oldest_go() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    for row in 0..MOST_QUEUED_ROWS + 3 {
        store.commit(entries(&[&row.to_string()], false)).unwrap();
    }
    assert_eq!((store.queued_rows(), store.dropped_rows()), (MOST_QUEUED_ROWS, 3));
    store.flush().unwrap();
    let reader = Reader::open(place.path()).unwrap();
    assert_eq!(texts(&reader).first().map(String::as_str), Some("3"));
}

#[test]
fn the_rows_with_which_leaderships_begin_are_found_newest_first() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let texts = ["{\"n\":0,\"is\":1}", "{\"n\":1,\"is\":2}", "{\"n\":0,\"is\":3}", "{\"n\":0,\"is\":4}"];
    for (at_wall_ms, text) in texts.into_iter().enumerate() {
        let mut batch = entries(&[text], true);
        batch.journal[0].at_wall_ms = at_wall_ms as i64;
        store.commit(batch).unwrap();
    }
    let reader = Reader::open(place.path()).unwrap();
    let found = |until, limit| -> Vec<i64> {
        reader.beginnings(until, limit).unwrap().into_iter().map(|entry| entry.at_wall_ms).collect()
    };
    assert_eq!(found(i64::MAX, 10), [3, 2, 0]);
    assert_eq!((found(2, 10), found(2, 1)), (vec![2, 0], vec![2]));
}
