//! Backups: of one moment while somebody writes, and restored only where nothing is.

use std::fs;
use std::path::Path;

use understudy_model::{ControllerEpoch, ControllerName, Epoch, PairName, RoleEpoch};
use understudy_store::{
    Batch, Change, CommitError, DATABASE_FILE, KeptFile, OpenError, RestoreError, Store, back_up, kept_files,
    restore,
};

fn controller() -> ControllerName {
    ControllerName::new("scs-1").unwrap()
}

fn raise(store: &mut Store, epoch: u64) {
    let pair = PairName::new("t").unwrap();
    let role = |epoch| RoleEpoch::new(Epoch(epoch), "t-1".parse().unwrap());
    let leadership = store.leadership().unwrap().epoch;
    let change = Change::RaiseEpoch {
        pair,
        expected: (epoch > 1).then(|| role(epoch - 1)),
        next: role(epoch),
        controller_epoch: leadership,
    };
    store.commit(Batch { changes: vec![change], durable: true, ..Batch::default() }).unwrap();
}

fn epoch_in(directory: &Path) -> u64 {
    let store = Store::open(directory).unwrap();
    store.roles().unwrap()[&PairName::new("t").unwrap()].epoch.0
}

fn settings() -> Vec<KeptFile> {
    vec![KeptFile { name: "cluster.toml".to_owned(), bytes: b"[cluster]\n".to_vec() }]
}

#[test]
fn a_backup_of_a_store_in_use_is_of_one_moment_and_is_restored_elsewhere() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(from.path()).unwrap();
    store.take_leadership(&controller()).unwrap();
    raise(&mut store, 1);
    raise(&mut store, 2);
    let backup = to.path().join("backup");
    back_up(from.path(), &backup, &settings()).unwrap();
    raise(&mut store, 3);
    assert_eq!(kept_files(&backup).unwrap(), settings());
    let state = to.path().join("state");
    restore(&backup, &state).unwrap();
    assert_eq!(epoch_in(&state), 2);
    drop(store);
    assert_eq!(epoch_in(from.path()), 3, "the store itself went on");
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_unicode_is_where_the_backup_goes_and_where_it_is_restored() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(from.path()).unwrap();
    store.take_leadership(&controller()).unwrap();
    raise(&mut store, 1);
    let backup = to.path().join(OsStr::from_bytes(b"back\xff-\xe4up"));
    back_up(from.path(), &backup, &settings()).unwrap();
    let made: Vec<_> = fs::read_dir(to.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(made, [backup.as_path()], "there and nowhere else");
    assert_eq!(kept_files(&backup).unwrap(), settings());
    let state = to.path().join(OsStr::from_bytes(b"st\xe4te"));
    restore(&backup, &state).unwrap();
    assert_eq!(epoch_in(&state), 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_a_backup_or_what_is_restored() {
    use std::os::unix::fs::PermissionsExt;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(Store::open(from.path()).unwrap());
    let (backup, state) = (to.path().join("backup"), to.path().join("state"));
    back_up(from.path(), &backup, &[]).unwrap();
    restore(&backup, &state).unwrap();
    for path in [backup, state.join(DATABASE_FILE)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(Store::open(from.path()).unwrap());
    let backup = to.path().join("backup");
    fs::write(&backup, "mine").unwrap();
    back_up(from.path(), &backup, &[]).unwrap_err();
    assert_eq!(fs::read(&backup).unwrap(), b"mine");
    fs::remove_file(&backup).unwrap();
    back_up(from.path(), &backup, &[]).unwrap();
    let there = restore(&backup, from.path()).unwrap_err();
    assert!(matches!(there, RestoreError::There { .. }), "{there}");
    // Nor is the log of a store that was moved away read into the restored one.
    fs::rename(from.path().join(DATABASE_FILE), to.path().join("old")).unwrap();
    let there = restore(&backup, from.path()).unwrap_err();
    assert!(there.to_string().contains("-wal"), "{there}");
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _running = Store::open(from.path()).unwrap();
    let backup = to.path().join("backup");
    back_up(from.path(), &backup, &[]).unwrap();
    let in_use = restore(&backup, from.path()).unwrap_err();
    assert!(matches!(in_use, RestoreError::Directory(OpenError::InUse { .. })), "{in_use}");
}

#[test]
fn what_is_no_backup_is_named_and_a_failed_backup_leaves_nothing() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup = to.path().join("backup");
    back_up(from.path(), &backup, &[]).unwrap_err();
    assert!(!backup.exists(), "there was no store");
    drop(Store::open(from.path()).unwrap());
    let text = to.path().join("text");
    fs::write(&text, "not a database at all, and long enough to have a header of one").unwrap();
    let said = |path: &Path| restore(path, &to.path().join("state")).unwrap_err().to_string();
    assert!(said(&text).contains("is no backup"), "{}", said(&text));
    let store = from.path().join(DATABASE_FILE);
    assert!(said(&store).contains("not a backup of one"), "{}", said(&store));
    let evil = KeptFile { name: "../x".to_owned(), bytes: Vec::new() };
    back_up(from.path(), &backup, &[evil]).unwrap();
    assert!(said(&backup).contains("a path for a name"), "{}", said(&backup));
    assert!(!to.path().join("state").join(DATABASE_FILE).exists());
}

#[test]
fn a_restored_store_says_which_pairs_were_stored_since_and_others_say_nothing() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(from.path()).unwrap();
    store.take_leadership(&controller()).unwrap();
    raise(&mut store, 1);
    assert_eq!(store.stored_since_restore().unwrap(), None);
    let backup = to.path().join("backup");
    back_up(from.path(), &backup, &settings()).unwrap();
    let state = to.path().join("state");
    restore(&backup, &state).unwrap();
    let mut store = Store::open(&state).unwrap();
    store.take_leadership(&controller()).unwrap();
    assert_eq!(store.stored_since_restore().unwrap(), Some(Default::default()));
    raise(&mut store, 2);
    let since = store.stored_since_restore().unwrap().unwrap();
    assert_eq!(since, [PairName::new("t").unwrap()].into());
    // A copy of that is as old as any other.
    let again = to.path().join("again");
    back_up(&state, &again, &settings()).unwrap();
    let third = to.path().join("third");
    restore(&again, &third).unwrap();
    assert_eq!(Store::open(&third).unwrap().stored_since_restore().unwrap(), Some(Default::default()));
}

#[test]
fn a_restored_store_does_not_lead_under_a_number_that_the_lost_one_or_another_restore_led_under() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(from.path()).unwrap();
    let before = store.take_leadership(&controller()).unwrap();
    let backup = to.path().join("backup");
    back_up(from.path(), &backup, &settings()).unwrap();
    let live = store.take_leadership(&controller()).unwrap();
    let lead = |state: &str| {
        let state = to.path().join(state);
        restore(&backup, &state).unwrap();
        Store::open(&state).unwrap().take_leadership(&controller()).unwrap()
    };
    let (first, second) = (lead("first"), lead("second"));
    assert!(first.0 > live.0 + (1 << 20) && second.0 > live.0 + (1 << 20), "{live} {first} {second}");
    assert!(first != second, "each restore is another leadership");
    assert!(first.0 - before.0 < 1 << 31, "agents of the one are counted on from by the other");
}

#[test]
fn the_lease_of_an_epoch_is_kept_and_leaderships_count_on_from_where_they_are_raised_to() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let own = store.take_leadership(&controller()).unwrap();
    let pair = PairName::new("t").unwrap();
    let set = |lease| Change::SetLease { pair: pair.clone(), lease, controller_epoch: own };
    let batch = |changes| Batch { changes, durable: true, ..Batch::default() };
    let second = std::time::Duration::from_secs(1);
    store.commit(batch(vec![set(second), set(second * 3)])).unwrap();
    assert_eq!(store.leases().unwrap()[&pair], second * 3);
    let far = ControllerEpoch(own.0 + 8);
    store.commit(batch(vec![Change::RaiseLeadership(far), Change::RaiseLeadership(own)])).unwrap();
    let next = RoleEpoch::new(Epoch(1), "t-1".parse().unwrap());
    let late = Change::RaiseEpoch { pair: pair.clone(), expected: None, next, controller_epoch: own };
    let refused = store.commit(batch(vec![set(second)])).unwrap_err();
    assert!(matches!(refused, CommitError::NotLeading { .. }), "{refused}");
    let refused = store.commit(batch(vec![late])).unwrap_err();
    assert!(matches!(refused, CommitError::NotLeading { .. }), "{refused}");
    let next = store.take_leadership(&controller()).unwrap();
    assert!(
        next.0 > far.0 + (1 << 20),
        "another agent may have obeyed the number after it, of another store: {next}"
    );
    assert!(next.0 - far.0 < 1 << 31, "and is counted on from");
}
