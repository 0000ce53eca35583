//! What a promise file may and may not lose.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use understudy_model::ApplicationName;

use super::*;

const LEASE: Duration = Duration::from_secs(3);

fn owner() -> Owner {
    Owner { host: "alpha".to_owned(), machine: "m1".to_owned() }
}

fn pair(number: usize) -> PairName {
    PairName::new(&format!("p{number}")).unwrap()
}

fn role(epoch: u64, holder: usize) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), ApplicationName::new(&format!("a{holder}")).unwrap())
}

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("promises")
    }

    fn open(&self) -> Result<(PromiseFile, Promises), OpenError> {
        PromiseFile::open(&self.path(), &owner(), AgentId(5))
    }

    fn opened(&self) -> (PromiseFile, Promises) {
        self.open().unwrap()
    }
}

#[test]
fn what_was_stored_is_read_again_by_the_next_life() {
    let place = Place::new();
    let (mut file, empty) = place.opened();
    assert_eq!((empty.agent, empty.roles.len(), empty.controller_epoch), (AgentId(5), 0, ControllerEpoch(0)));
    file.store(&[
        Change::Promise(pair(1), role(7, 1), LEASE),
        Change::Close(pair(1), Epoch(6)),
        Change::Controller(ControllerEpoch(3), Some(Incarnation(33))),
        Change::Close(pair(2), Epoch(9)),
    ])
    .unwrap();
    file.store(&[Change::Close(pair(1), Epoch(2))]).unwrap();
    let kept = PromiseFile::open(&place.path(), &owner(), AgentId(99)).unwrap().1;
    assert_eq!((kept.agent, kept.controller_epoch), (AgentId(5), ControllerEpoch(3)));
    assert_eq!((empty.obeyed, kept.obeyed), (None, Some(Incarnation(33))));
    let first = DurableRole { promised: Some(role(7, 1)), lease: LEASE, closed: Epoch(6) };
    let second = DurableRole { promised: None, lease: Duration::ZERO, closed: Epoch(9) };
    assert_eq!(kept.roles, BTreeMap::from([(pair(1), first), (pair(2), second)]));
    assert_eq!(kept.remarks, Vec::<String>::new());
}

#[test]
fn nothing_is_ever_lowered() {
    let place = Place::new();
    let (mut file, _) = place.opened();
    file.store(&[Change::Promise(pair(1), role(7, 1), LEASE), Change::Controller(ControllerEpoch(3), None)])
        .unwrap();
    let lower = [
        Change::Promise(pair(1), role(6, 1), LEASE),
        Change::Promise(pair(1), role(7, 2), LEASE),
        Change::Controller(ControllerEpoch(2), None),
    ];
    for change in lower {
        let refused = file.store(&[Change::Close(pair(3), Epoch(1)), change]).unwrap_err();
        assert!(matches!(refused, StoreError::Lowered { .. }) && refused.is_definite(), "{refused}");
    }
    file.store(&[Change::Promise(pair(1), role(7, 1), LEASE), Change::Controller(ControllerEpoch(3), None)])
        .unwrap();
    assert_eq!(place.opened().1.roles.len(), 1, "a refused store leaves nothing behind");
}

#[test]
fn the_file_grows_and_keeps_everything() {
    let place = Place::new();
    let (mut file, _) = place.opened();
    for number in 0..FIRST_SLOTS * 3 {
        file.store(&[Change::Promise(pair(number), role(number as u64 + 1, 1), LEASE)]).unwrap();
    }
    let kept = place.opened().1;
    assert_eq!(kept.roles.len(), FIRST_SLOTS * 3);
    assert_eq!(kept.roles[&pair(40)].promised, Some(role(41, 1)));
}

#[test]
fn a_file_that_was_being_made_longer_is_read() {
    let place = Place::new();
    let (mut file, _) = place.opened();
    file.store(&[Change::Promise(pair(1), role(7, 1), LEASE)]).unwrap();
    for more in [1, layout::BLOCK_BYTES, layout::BLOCK_BYTES * 5 + 7] {
        let length = layout::length(FIRST_SLOTS) + more;
        file.file.set_len(length).unwrap();
        assert_eq!(place.opened().1.roles[&pair(1)].promised, Some(role(7, 1)), "{more} bytes more");
    }
    let (mut file, _) = place.opened();
    for number in 0..FIRST_SLOTS * 2 {
        file.store(&[Change::Close(pair(number), Epoch(1))]).unwrap();
    }
    assert_eq!(place.opened().1.roles.len(), FIRST_SLOTS * 2);
}

#[test]
fn foreign_and_damaged_files_are_refused_by_name() {
    let place = Place::new();
    place.opened();
    let whole = fs::read(place.path()).unwrap();
    let open_as = |owner: &Owner| PromiseFile::open(&place.path(), owner, AgentId(9)).map(|_| ());
    let beta = Owner { host: "beta".to_owned(), ..owner() };
    assert!(matches!(open_as(&beta), Err(OpenError::OtherHost { .. })));
    let moved = Owner { machine: "m2".to_owned(), ..owner() };
    assert!(matches!(open_as(&moved), Err(OpenError::OtherMachine { .. })));

    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(place.path(), &bytes).unwrap();
        let refused = place.open().unwrap_err();
        assert_eq!(fs::read(place.path()).unwrap(), bytes, "a refused file is left as it is: {refused}");
        assert!(refused.to_string().contains(&place.path().display().to_string()), "{refused}");
        refused
    };
    let block = usize::try_from(layout::BLOCK_BYTES).unwrap();
    assert!(matches!(with(&|bytes| bytes.truncate(0)), OpenError::Truncated { found: 0, .. }));
    assert!(matches!(with(&|bytes| bytes.truncate(whole.len() - 1)), OpenError::Truncated { .. }));
    assert!(matches!(with(&|bytes| bytes[0..2 * block].fill(0)), OpenError::WrongMagic { .. }));
    assert!(matches!(
        with(&|bytes| {
            bytes[40] ^= 1;
            bytes[block + 40] ^= 1;
        }),
        OpenError::DamagedHeader { .. }
    ));
    assert!(matches!(
        with(&|bytes| {
            bytes[block * 4 + 9] ^= 1;
            bytes[block * 5 + 9] ^= 1;
        }),
        OpenError::DamagedSlot { slot: 1, .. }
    ));
    let newer = |bytes: &mut Vec<u8>| {
        bytes[8] = 2;
        let sum = crc32c::crc32c(&bytes[..layout::COPY_BYTES - 4]).to_le_bytes();
        bytes[layout::COPY_BYTES - 4..layout::COPY_BYTES].copy_from_slice(&sum);
    };
    assert!(matches!(with(&newer), OpenError::WrongFormat { found: 2, known: 1, .. }));
}

#[test]
fn a_slot_of_another_place_or_agent_is_not_valid() {
    let content = Content::Controller(ControllerEpoch(3), None);
    let copy = layout::write_slot(AgentId(5), 1, 8, &content);
    assert_eq!(layout::read_slot(AgentId(5), 1, &copy), Some((8, content)));
    assert_eq!(layout::read_slot(AgentId(5), 2, &copy), None);
    assert_eq!(layout::read_slot(AgentId(6), 1, &copy), None);
}

/// A file of which the states after each acknowledged store are known.
fn story(place: &Place, raises: &[(usize, u64)]) -> Vec<BTreeMap<PairName, DurableRole>> {
    let (mut file, first) = place.opened();
    let mut states = vec![first.roles];
    for &(which, by) in raises {
        let known = states[states.len() - 1].get(&pair(which)).and_then(|role| role.promised.clone());
        let next = known.map_or(0, |role| role.epoch.0) + by;
        file.store(&[Change::Promise(pair(which), role(next, which), LEASE)]).unwrap();
        states.push(file.promises(Vec::new()).roles);
    }
    states
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One block of the disk goes bad, or was being written when the power failed.
    #[test]
    fn one_bad_block_costs_at_most_the_last_store_of_one_pair(
        raises in proptest::collection::vec((0usize..20, 1u64..5), 1..40),
        block in 0u64..70,
        garbage in any::<u8>(),
    ) {
        let place = Place::new();
        let states = story(&place, &raises);
        let last = &states[states.len() - 1];
        let mut bytes = fs::read(place.path()).unwrap();
        let at = usize::try_from(block * layout::BLOCK_BYTES).unwrap();
        prop_assume!(at < bytes.len());
        bytes[at..at + layout::COPY_BYTES].fill(garbage);
        fs::write(place.path(), &bytes).unwrap();
        let read = place.open().expect("the other copy counts").1;
        prop_assert_eq!(read.remarks.len(), 1);
        let mut different = 0;
        for (pair, role) in last {
            let found = read.roles.get(pair).cloned().unwrap_or_default();
            if found != *role {
                different += 1;
                let before = states.iter().rev().map(|state| state.get(pair).cloned().unwrap_or_default());
                let before = before.into_iter().find(|before| before != role).unwrap();
                prop_assert_eq!(found, before, "not the state before the last one");
            }
        }
        prop_assert!(different <= 1);
    }

    #[test]
    fn a_shorter_file_is_refused(
        raises in proptest::collection::vec((0usize..20, 1u64..5), 0..10),
        cut in 1usize..200_000,
    ) {
        let place = Place::new();
        story(&place, &raises);
        let bytes = fs::read(place.path()).unwrap();
        let cut = cut.min(bytes.len());
        fs::write(place.path(), &bytes[..bytes.len() - cut]).unwrap();
        let refused = place.open().map(|_| ());
        prop_assert!(matches!(refused, Err(OpenError::Truncated { .. })), "{:?}", refused);
    }

    /// A crash during a write: the block being written holds any mixture of old and new.
    #[test]
    fn a_torn_write_leaves_what_was_acknowledged(
        raises in proptest::collection::vec((0usize..6, 1u64..5), 1..20),
        torn_at in 0usize..layout::COPY_BYTES,
    ) {
        let place = Place::new();
        let states = story(&place, &raises);
        let before = fs::read(place.path()).unwrap();
        let (mut file, _) = place.opened();
        let known = states[states.len() - 1].get(&pair(0)).and_then(|role| role.promised.clone());
        let next = role(known.map_or(0, |role| role.epoch.0) + 1, 0);
        file.store(&[Change::Promise(pair(0), next.clone(), LEASE)]).unwrap();
        let after = fs::read(place.path()).unwrap();
        let changed: Vec<usize> = (0..after.len()).filter(|&at| before.get(at) != Some(&after[at])).collect();
        let begin = changed[0] / 4096 * 4096;
        prop_assert!(changed.iter().all(|&at| at / 4096 * 4096 == begin), "one store writes one block");
        let mut torn = before.clone();
        torn[begin..begin + torn_at].copy_from_slice(&after[begin..begin + torn_at]);
        fs::write(place.path(), &torn).unwrap();
        let read = place.opened().1.roles;
        let last = &states[states.len() - 1];
        let is_new = read.get(&pair(0)).is_some_and(|role| role.promised.as_ref() == Some(&next));
        for number in usize::from(is_new)..6 {
            prop_assert_eq!(read.get(&pair(number)), last.get(&pair(number)));
        }
        // And the next life writes on without losing either.
        let (mut file, _) = place.opened();
        file.store(&[Change::Close(pair(0), Epoch(1))]).unwrap();
        let promised = |roles: &BTreeMap<PairName, DurableRole>| roles.get(&pair(0)).and_then(|role| role.promised.clone());
        prop_assert_eq!(promised(&place.opened().1.roles), promised(&read));
    }

    #[test]
    fn any_bytes_are_refused_or_read_but_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40_000)) {
        let place = Place::new();
        fs::write(place.path(), &bytes).unwrap();
        prop_assert!(place.open().is_err());
    }
}

/// A small file system of its own, where this user may mount one.
struct SmallDisk(Place);

impl SmallDisk {
    fn new() -> Option<Self> {
        let place = Place::new();
        let path = place.directory.path();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "none"])
            .arg(path)
            .output()
            .is_ok_and(|done| done.status.success());
        if !mounted {
            println!("skipped: this user may not mount a small file system");
            return None;
        }
        Some(Self(place))
    }

    /// Leaves no room.
    fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.0.directory.path().join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[1; 512]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.directory.path()).status();
    }
}

#[test]
fn a_full_disk_stops_no_known_pair_and_loses_nothing() {
    let Some(disk) = SmallDisk::new() else { return };
    let filler = disk.fill();
    assert!(
        matches!(disk.0.open(), Err(OpenError::Create { .. })),
        "no file is made without room for all of it"
    );
    fs::remove_file(&filler).unwrap();
    let (mut file, _) = disk.0.opened();
    for number in 1..FIRST_SLOTS {
        file.store(&[Change::Promise(pair(number), role(1, 1), LEASE)]).unwrap();
    }
    let filler = disk.fill();
    file.store(&[Change::Promise(pair(1), role(2, 1), LEASE)]).unwrap();
    let refused = file.store(&[Change::Promise(pair(99), role(1, 1), LEASE)]).unwrap_err();
    assert!(matches!(refused, StoreError::Grow { .. }) && refused.is_definite(), "{refused}");
    let kept = disk.0.opened().1.roles;
    assert_eq!(kept.len(), FIRST_SLOTS - 1);
    assert_eq!(kept[&pair(1)].promised, Some(role(2, 1)));
    fs::remove_file(filler).unwrap();
    file.store(&[Change::Promise(pair(99), role(1, 1), LEASE)]).unwrap();
    assert_eq!(disk.0.opened().1.roles.len(), FIRST_SLOTS);
}

/// After a flush that failed, the system shows what was written as if it were on the disk.
#[test]
fn what_counts_is_written_again_before_it_is_answered() {
    let place = Place::new();
    let (mut file, _) = place.opened();
    file.store(&[Change::Promise(pair(1), role(2, 1), LEASE)]).unwrap();
    drop(file);
    let path = place.path();
    let before = fs::read(&path).unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(place.opened().1.roles[&pair(1)].promised, Some(role(2, 1)));
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > long_ago);
    assert_eq!(fs::read(&path).unwrap(), before, "the same");
}

/// As a disk says once that it lost what an earlier life wrote: this file cannot be flushed.
#[test]
fn a_flush_that_fails_before_anything_is_read_is_no_wrong_content() {
    let refused = PromiseFile::open(Path::new("/dev/full"), &owner(), AgentId(5)).unwrap_err();
    assert!(matches!(refused, OpenError::Flush { .. }), "{refused}");
}
