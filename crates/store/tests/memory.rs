//! What the store remembers, and what it refuses to change.

mod support;

use understudy_model::{ApplicationName, ControllerEpoch, Goal, OperationId};
use understudy_store::{Batch, Change, CommitError, LONGEST_TEXT_BYTES, Reader, Store};

use support::{entries, entry, lead, pair, raise, role};

#[test]
fn a_role_is_raised_only_from_the_expected_one() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leading = lead(&mut store);
    store.commit(raise(None, role(1, "a"), leading)).unwrap();
    assert_eq!(store.roles().unwrap()[&pair()], role(1, "a"));
    for wrong in [None, Some(role(1, "b")), Some(role(2, "a"))] {
        let outcome = store.commit(raise(wrong, role(3, "b"), leading)).unwrap_err();
        assert!(outcome.is_definite());
        let CommitError::NotAsExpected { stored, .. } = outcome else { panic!("{outcome}") };
        assert_eq!(stored, Some(role(1, "a")), "epoch and holder count together");
    }
    for low in [0, 1] {
        let outcome = store.commit(raise(Some(role(1, "a")), role(low, "b"), leading)).unwrap_err();
        assert!(matches!(outcome, CommitError::NotRaised { .. }), "{outcome}");
    }
    let outcome = store.commit(raise(Some(role(1, "a")), role(u64::MAX, "b"), leading)).unwrap_err();
    assert!(matches!(outcome, CommitError::OutOfBounds { .. }), "{outcome}");
    assert_eq!(store.roles().unwrap()[&pair()], role(1, "a"));
    store.commit(raise(Some(role(1, "a")), role(5, "b"), leading)).unwrap();
    assert_eq!(store.roles().unwrap()[&pair()], role(5, "b"));
}

#[test]
fn a_stale_leader_changes_no_role() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let old = lead(&mut store);
    let new = lead(&mut store);
    assert_eq!((old, new), (ControllerEpoch(1), ControllerEpoch(2)));
    let outcome = store.commit(raise(None, role(1, "a"), old)).unwrap_err();
    assert!(
        matches!(outcome, CommitError::NotLeading { given, stored } if given == old && stored == new),
        "{outcome}"
    );
    assert!(store.roles().unwrap().is_empty());
    store.commit(raise(None, role(1, "a"), new)).unwrap();
}

#[test]
fn a_refused_batch_leaves_nothing_of_itself() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leading = lead(&mut store);
    let goal = Change::SetGoal { application: ApplicationName::new("a").unwrap(), goal: Goal::Stopped };
    let mut batch = raise(Some(role(1, "a")), role(2, "b"), leading);
    batch.changes.insert(0, goal);
    batch.journal.push(entry(1, "{}"));
    assert!(store.commit(batch).is_err());
    assert!(store.goals().unwrap().is_empty());
    let reader = Reader::open(place.path()).unwrap();
    let all = understudy_store::JournalQuery { after_id: 0, since_wall_ms: 0, limit: 10 };
    assert!(reader.journal(&all).unwrap().is_empty());
}

#[test]
fn everything_is_remembered_by_the_next_life() {
    let place = tempfile::tempdir().unwrap();
    let name = |text| ApplicationName::new(text).unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leading = lead(&mut store);
    let maintenance = |on| Change::SetMaintenance { subject: "pair x".into(), on, until_wall_ms: Some(9) };
    let changes = vec![
        Change::SetGoal { application: name("a"), goal: Goal::Stopped },
        Change::SetGoal { application: name("b"), goal: Goal::Started },
        Change::SetGoal { application: name("a"), goal: Goal::Started },
        Change::ForgetGoal(name("b")),
        maintenance(true),
        Change::UseOperation(OperationId(7)),
        Change::UseOperation(OperationId(3)),
        Change::SetClusterId("0f".into()),
    ];
    // A batch with changes is durable, whatever it says.
    let receipt = store.commit(Batch { changes, durable: false, ..Batch::default() }).unwrap();
    assert!(receipt.durable);
    store.commit(raise(None, role(1, "a"), leading)).unwrap();
    drop(store);

    let mut store = Store::open(place.path()).unwrap();
    assert_eq!(store.goals().unwrap().into_iter().collect::<Vec<_>>(), [(name("a"), Goal::Started)]);
    assert_eq!(store.maintenance().unwrap()["pair x"].until_wall_ms, Some(9));
    assert_eq!(store.last_operation().unwrap(), OperationId(7), "never lowered");
    assert_eq!(store.cluster_id().unwrap().as_deref(), Some("0f"));
    assert_eq!(store.roles().unwrap()[&pair()], role(1, "a"));
    assert_eq!(store.leadership().unwrap().name, "scs-1");
    assert_eq!(lead(&mut store), ControllerEpoch(2));
    store.commit(Batch { changes: vec![maintenance(false)], ..Batch::default() }).unwrap();
    assert!(store.maintenance().unwrap().is_empty());
    assert_eq!(Reader::open(place.path()).unwrap().check().unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_too_long_is_refused_before_it_is_queued() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let outcome = store.commit(entries(&[&"x".repeat(LONGEST_TEXT_BYTES + 1)], false)).unwrap_err();
    assert!(matches!(outcome, CommitError::OutOfBounds { .. }), "{outcome}");
    assert_eq!(store.queued_rows(), 0);
}

#[test]
fn each_leadership_of_each_store_is_told_from_every_other() {
    let take = |directory: &std::path::Path| {
        let mut store = Store::open(directory).unwrap();
        let epoch = store.take_leadership(&"scs-1".parse().unwrap()).unwrap();
        (epoch, store.lineage().unwrap())
    };
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, first_lineage) = take(one.path());
    let (_, second_lineage) = take(one.path());
    let (same, other_lineage) = take(other.path());
    assert_eq!((first, first_lineage.len()), (same, 1));
    assert_eq!(second_lineage[..1], first_lineage[..], "what was taken stays what it was");
    assert_ne!(other_lineage, first_lineage, "the same number, and another leadership");
    for _ in 0..100 {
        take(one.path());
    }
    let (newest, lineage) = take(one.path());
    assert_eq!((lineage.len(), lineage.last().map(|one| one.epoch)), (64, Some(newest)));
}
