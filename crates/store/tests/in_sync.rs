//! Who has everything that was acknowledged: what changes the record, and whom it keeps from a role.

mod support;

use std::collections::BTreeSet;

use support::{lead, pair, raise, role};
use understudy_model::{ApplicationName, ControllerEpoch, Epoch, HostName, InSync, PairName, RoleEpoch};
use understudy_store::{Batch, Change, CommitError, DATABASE_FILE, Store, back_up, restore};

fn record(since: u64, members: &[&str]) -> InSync {
    let named = |name: &&str| {
        (ApplicationName::new(name).unwrap(), HostName::new(&format!("host-of-{name}")).unwrap())
    };
    InSync { since: Epoch(since), members: members.iter().map(named).collect() }
}

fn set(
    role: Option<RoleEpoch>,
    expected: Option<InSync>,
    next: InSync,
    controller_epoch: ControllerEpoch,
) -> Change {
    Change::SetInSync { pair: pair(), role, expected, next, controller_epoch }
}

fn batch(changes: Vec<Change>) -> Batch {
    Batch { changes, ..Batch::default() }
}

#[test]
fn a_record_changes_only_under_the_stored_role_from_the_expected_one_and_by_who_leads() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leader = lead(&mut store);
    let (both, alone) = (record(0, &["a", "b"]), record(1, &["a"]));
    store.commit(batch(vec![set(None, None, both.clone(), leader)])).unwrap();
    store.commit(raise(None, role(1, "a"), leader)).unwrap();
    let now = || Some(role(1, "a"));

    for stale in [None, Some(role(1, "b")), Some(role(2, "a"))] {
        let refused = store.commit(batch(vec![set(stale, Some(both.clone()), alone.clone(), leader)]));
        assert!(matches!(refused, Err(CommitError::NotAsExpected { .. })), "{refused:?}");
    }
    for other in [None, Some(alone.clone()), Some(record(1, &["a", "b"]))] {
        let refused = store.commit(batch(vec![set(now(), other, alone.clone(), leader)]));
        assert!(matches!(refused, Err(CommitError::OtherInSync { .. })), "{refused:?}");
    }
    let later = lead(&mut store);
    let refused = store.commit(batch(vec![set(now(), Some(both.clone()), alone.clone(), leader)]));
    assert!(matches!(refused, Err(CommitError::NotLeading { .. })), "{refused:?}");
    assert_eq!(store.in_sync().unwrap()[&pair()], both, "nothing of it was written");

    store.commit(batch(vec![set(now(), Some(both), alone.clone(), later)])).unwrap();
    drop(store);
    assert_eq!(Store::open(place.path()).unwrap().in_sync().unwrap()[&pair()], alone, "the next life knows");
}

#[test]
fn exactly_one_wins_of_being_alone_and_of_promoting_the_other() {
    for alone_first in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let mut store = Store::open(place.path()).unwrap();
        let leader = lead(&mut store);
        let (both, alone) = (record(0, &["a", "b"]), record(1, &["a"]));
        store.commit(batch(vec![set(None, None, both.clone(), leader)])).unwrap();
        store.commit(raise(None, role(1, "a"), leader)).unwrap();
        let ask = batch(vec![set(Some(role(1, "a")), Some(both), alone.clone(), leader)]);
        let promotion = raise(Some(role(1, "a")), role(2, "b"), leader);
        if alone_first {
            store.commit(ask).unwrap();
            let refused = store.commit(promotion).unwrap_err();
            assert!(matches!(refused, CommitError::NotInSync { .. }) && refused.is_definite(), "{refused}");
            store.commit(raise(Some(role(1, "a")), role(2, "a"), leader)).unwrap();
        } else {
            store.commit(promotion).unwrap();
            let refused = store.commit(ask).unwrap_err();
            assert!(matches!(refused, CommitError::NotAsExpected { .. }), "{refused}");
        }
    }
}

#[test]
fn a_promotion_by_force_goes_with_its_record_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leader = lead(&mut store);
    let alone = record(1, &["a"]);
    store.commit(raise(None, role(1, "a"), leader)).unwrap();
    store.commit(batch(vec![set(Some(role(1, "a")), None, alone.clone(), leader)])).unwrap();
    let forced = |expected| {
        let mut both = vec![set(Some(role(1, "a")), expected, record(2, &["b"]), leader)];
        both.extend(raise(Some(role(1, "a")), role(2, "b"), leader).changes);
        batch(both)
    };
    assert!(store.commit(forced(None)).is_err());
    assert_eq!(store.roles().unwrap()[&pair()], role(1, "a"));
    store.commit(forced(Some(alone))).unwrap();
    assert_eq!(store.roles().unwrap()[&pair()], role(2, "b"));
    assert_eq!(store.in_sync().unwrap()[&pair()], record(2, &["b"]));
}

#[test]
fn a_pair_whose_data_is_kept_no_more_has_no_record() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leader = lead(&mut store);
    store.commit(batch(vec![set(None, None, record(0, &["a"]), leader)])).unwrap();
    let kept = |pairs: &[PairName]| batch(vec![Change::KeepInSyncOf(pairs.iter().cloned().collect())]);
    store.commit(kept(&[pair(), PairName::new("q").unwrap()])).unwrap();
    assert_eq!(store.in_sync().unwrap().len(), 1);
    store.commit(kept(&[])).unwrap();
    assert!(store.in_sync().unwrap().is_empty());
    store.commit(batch(vec![Change::KeepInSyncOf(BTreeSet::new())])).unwrap();
    store.commit(raise(None, role(1, "b"), leader)).unwrap();
}

#[test]
fn a_restored_record_names_nobody() {
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    let mut store = Store::open(&first).unwrap();
    let leader = lead(&mut store);
    store.commit(batch(vec![set(None, None, record(0, &["a", "b"]), leader)])).unwrap();
    store.commit(raise(None, role(1, "a"), leader)).unwrap();
    let backup = place.path().join("backup");
    back_up(&first, &backup, &[]).unwrap();
    restore(&backup, &second).unwrap();
    let mut restored = Store::open(&second).unwrap();
    assert_eq!(restored.in_sync().unwrap()[&pair()], record(0, &[]));
    let leader = lead(&mut restored);
    let refused = restored.commit(raise(Some(role(1, "a")), role(2, "b"), leader)).unwrap_err();
    assert!(matches!(refused, CommitError::NotInSync { .. }), "{refused}");
}

#[test]
fn a_record_that_nobody_can_read_names_nobody_and_is_told() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let leader = lead(&mut store);
    store.commit(batch(vec![set(None, None, record(0, &["a"]), leader)])).unwrap();
    store.close().unwrap();
    let file = rusqlite::Connection::open(place.path().join(DATABASE_FILE)).unwrap();
    file.execute("UPDATE in_sync SET members = 'a and b'", []).unwrap();
    drop(file);
    let mut store = Store::open(place.path()).unwrap();
    assert!(store.in_sync().unwrap_err().to_string().contains("a and b"));
    assert!(store.commit(raise(None, role(1, "a"), leader)).is_err());
}
