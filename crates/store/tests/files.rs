//! Files that are not ours, not sound, not for this version, or in use: refused by name and left as they are.

mod support;

use std::fs;

use understudy_store::{Batch, Change, DATABASE_FILE, OpenError, Reader, Store, StoredToken};

use support::{entries, lead};

#[test]
fn a_second_store_on_the_directory_is_refused_and_names_the_first() {
    let place = tempfile::tempdir().unwrap();
    let first = Store::open(place.path()).unwrap();
    let refused = Store::open(place.path()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    let text = refused.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())) && text.contains("scs.lock"), "{text}");
    drop(first);
    Store::open(place.path()).unwrap();
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    for text in ["hello, this is somebody's letter\n", "short"] {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join(DATABASE_FILE);
        fs::write(&file, text).unwrap();
        let refused = Store::open(place.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
        assert!(refused.to_string().contains(DATABASE_FILE), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_kept() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join(DATABASE_FILE);
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE letters (text TEXT)").unwrap();
    drop(other);
    let before = fs::read(&file).unwrap();
    let refused = Store::open(place.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_newer_schema_is_refused_by_number() {
    let place = tempfile::tempdir().unwrap();
    drop(Store::open(place.path()).unwrap());
    let other = rusqlite::Connection::open(place.path().join(DATABASE_FILE)).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    let refused = Store::open(place.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 99, known: 8, .. }), "{refused}");
}

#[test]
fn a_file_of_the_first_schema_is_brought_to_the_present_one() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let first = lead(&mut store);
    store.close().unwrap();
    let other = rusqlite::Connection::open(place.path().join(DATABASE_FILE)).unwrap();
    other
        .execute_batch(
            "DROP TABLE leadership; DROP TABLE in_sync; DROP TABLE hold; DROP INDEX journal_beginning; DROP TABLE flap; DROP TABLE configuration; DROP TABLE token; DROP TABLE lease;
             ALTER TABLE control DROP COLUMN restored; PRAGMA user_version = 1",
        )
        .unwrap();
    drop(other);
    let mut store = Store::open(place.path()).unwrap();
    assert!(store.flaps().unwrap().is_empty() && store.configuration().unwrap().is_none());
    assert!(lead(&mut store) > first, "what it held is kept");
}

#[test]
fn a_torn_file_is_refused_as_damaged() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    lead(&mut store);
    store.commit(entries(&["{}"; 100], true)).unwrap();
    store.close().unwrap();
    let file = place.path().join(DATABASE_FILE);
    for log in ["scs.db-wal", "scs.db-shm"] {
        // The log would mend the file; it is torn only without it.
        fs::remove_file(place.path().join(log)).unwrap();
    }
    let whole = fs::read(&file).unwrap();
    for torn in [
        whole[..whole.len() / 2].to_vec(),
        whole[..100].to_vec(),
        [&whole[..100], &[0xAA; 8192][..]].concat(),
    ] {
        fs::write(&file, &torn).unwrap();
        let refused = Store::open(place.path()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        assert!(refused.to_string().contains(DATABASE_FILE), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), torn);
    }
}

#[cfg(unix)]
#[test]
fn directory_and_files_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("new/state");
    let _store = Store::open(&directory).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn tokens_are_kept_and_an_older_file_gets_room_for_them() {
    let place = tempfile::tempdir().unwrap();
    drop(Store::open(place.path()).unwrap());
    let file = rusqlite::Connection::open(place.path().join(DATABASE_FILE)).unwrap();
    file.execute_batch("DROP TABLE leadership; DROP TABLE in_sync; DROP TABLE hold; DROP INDEX journal_beginning; DROP TABLE token; DROP TABLE lease; ALTER TABLE control DROP COLUMN restored; PRAGMA user_version = 2").unwrap();
    drop(file);
    let mut store = Store::open(place.path()).unwrap();
    let token = |name: &str, hash| StoredToken {
        name: name.parse().unwrap(),
        role: "viewer".to_owned(),
        hash: [hash; 32],
        made_by: "root".to_owned(),
        made_wall_ms: 1,
        expires_wall_ms: Some(9),
        last_used_wall_ms: None,
    };
    let change = |change| Batch { changes: vec![change], ..Batch::default() };
    store.commit(change(Change::AddToken(token("ann", 1)))).unwrap();
    store.commit(change(Change::AddToken(token("bob", 2)))).unwrap();
    assert!(store.commit(change(Change::AddToken(token("ann", 3)))).is_err(), "one name, one token");
    store.commit(change(Change::UseToken { name: "ann".parse().unwrap(), at_wall_ms: 5 })).unwrap();
    store.commit(change(Change::RemoveToken("bob".parse().unwrap()))).unwrap();
    let reader = Reader::open(place.path()).unwrap();
    let used = StoredToken { last_used_wall_ms: Some(5), ..token("ann", 1) };
    assert_eq!(reader.tokens().unwrap(), [used]);
}
