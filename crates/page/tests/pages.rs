//! Pages as files: what a writer leaves, what a reader refuses, and what both do about the files of others.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use understudy_model::{Epoch, RunMode};
use understudy_page::{BYTES, NEVER, OpenError, Page, PageWriter, Standing, WriteError, now};

/// Where the version and the sequence lie (`docs/protocols/role-page.md`).
const VERSION_AT: u64 = 8;
const BOOT_AT: u64 = 16;
const NAMESPACE_AT: u64 = 24;
const SEQUENCE_AT: u64 = 32;

fn primary(epoch: u64) -> Standing {
    Standing { run_mode: RunMode::Primary, epoch: Epoch(epoch), until: now() + Duration::from_secs(3_600) }
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_page_says_what_was_set_until_it_expires() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let writer = PageWriter::open(&path).unwrap();
    let page = Page::open(&path).unwrap();
    assert_eq!(page.role(), Some(Standing::NOBODY));
    assert!(!page.may_act());
    writer.set(primary(7));
    assert_eq!((page.may_act(), page.acts_in()), (true, Some(Epoch(7))));
    writer.set(Standing { until: now(), ..primary(7) });
    assert!(!page.may_act(), "from its expiry on it says no");
    assert_eq!(page.role().unwrap().run_mode, RunMode::Primary);
    writer.set(Standing { until: NEVER, ..primary(7) });
    assert!(page.may_act());
    writer.set(Standing { run_mode: RunMode::Backup, ..primary(8) });
    assert_eq!((page.may_act(), page.acts_in()), (false, None));
}

#[test]
fn the_next_writer_keeps_the_page_and_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let says = primary(7);
    PageWriter::open(&path).unwrap().set(says);
    let before = fs::metadata(&path).unwrap();
    let page = Page::open(&path).unwrap();
    let writer = PageWriter::open(&path).unwrap();
    assert_eq!(writer.read(), says);
    assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
    assert_eq!((before.len(), before.mode() & 0o7777), (BYTES as u64, 0o644));
    writer.set(Standing::NOBODY);
    assert!(!page.may_act(), "a reader of the former life's page reads this life's words");
}

#[test]
fn a_page_that_is_removed_says_no_to_whoever_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let writer = PageWriter::open(&path).unwrap();
    writer.set(primary(7));
    let page = Page::open(&path).unwrap();
    writer.remove().unwrap();
    assert!(!page.may_act() && !path.exists());
}

#[test]
fn a_page_that_was_left_half_written_says_no_and_the_next_writer_mends_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let writer = PageWriter::open(&path).unwrap();
    writer.set(primary(7));
    let page = Page::open(&path).unwrap();
    overwrite(&path, SEQUENCE_AT, &5_u64.to_ne_bytes());
    assert_eq!((page.may_act(), page.role()), (false, None));
    drop(writer);
    let writer = PageWriter::open(&path).unwrap();
    assert_eq!((writer.read(), page.role()), (Standing::NOBODY, Some(Standing::NOBODY)));
    writer.set(primary(8));
    assert!(page.may_act());
}

#[test]
fn what_is_no_page_of_this_version_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let refused = |path: &Path| Page::open(path).unwrap_err();
    assert!(matches!(refused(&path), OpenError::Open { .. }), "missing");
    fs::write(&path, [7; BYTES - 1]).unwrap();
    assert!(matches!(refused(&path), OpenError::TooShort { found: 63, .. }));
    fs::write(&path, [0; BYTES]).unwrap();
    assert!(matches!(refused(&path), OpenError::NoPage { .. }), "made, not written");
    fs::write(&path, [7; BYTES]).unwrap();
    assert!(matches!(refused(&path), OpenError::NoPage { .. }));
    assert!(matches!(PageWriter::open(&path), Err(WriteError::Open(OpenError::NoPage { .. }))));
    assert_eq!(fs::read(&path).unwrap(), [7; BYTES]);

    fs::remove_file(&path).unwrap();
    PageWriter::open(&path).unwrap();
    overwrite(&path, VERSION_AT, &2_u32.to_ne_bytes());
    assert!(matches!(refused(&path), OpenError::Version { found: 2, .. }));
    assert!(matches!(PageWriter::open(&path), Err(WriteError::Open(OpenError::Version { found: 2, .. }))));

    let elsewhere = directory.path().join("link");
    symlink(&path, &elsewhere).unwrap();
    assert!(matches!(refused(&elsewhere), OpenError::Open { .. }), "a link is not followed");
    assert!(matches!(refused(directory.path()), OpenError::NoFile { .. }));
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(refused(&pipe), OpenError::NoFile { .. }), "and a pipe is not waited for");
}

#[test]
fn a_page_of_another_boot_or_another_clock_is_nobodys() {
    for at in [BOOT_AT, NAMESPACE_AT] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app");
        PageWriter::open(&path).unwrap().set(Standing { until: NEVER, ..primary(7) });
        overwrite(&path, at, &1_u64.to_ne_bytes());
        assert!(matches!(Page::open(&path), Err(OpenError::OtherClock { .. })));
        let writer = PageWriter::open(&path).unwrap();
        assert_eq!(writer.read(), Standing::NOBODY);
        assert!(Page::open(&path).is_ok());
    }
}

#[test]
fn a_file_that_is_cut_off_in_the_middle_says_no() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    PageWriter::open(&path).unwrap().set(primary(7));
    let page = Page::open(&path).unwrap();
    assert!(page.may_act());
    File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
    assert!(!page.may_act());
}

#[test]
fn somebody_elses_file_is_no_page_of_ours() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a file away");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    PageWriter::open(&path).unwrap();
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    assert!(matches!(PageWriter::open(&path), Err(WriteError::NotOurs { owner: 65_534, .. })));
    std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    PageWriter::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644, "nobody else may write to it");
}

/// The agent was ended by a signal where there was no room, and so was the next one.
#[test]
fn a_page_for_which_there_is_no_room_is_an_error() {
    let mounted = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        std::process::Command::new("mount")
            .args(arguments)
            .arg(mounted.path())
            .status()
            .is_ok_and(|it| it.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=16k", "none"]) {
        println!("skipped: only root can mount a file system without room");
        return;
    }
    let hole = mounted.path().join("hole");
    File::create(&hole).unwrap().set_len(64).unwrap();
    let full = fs::write(mounted.path().join("all"), vec![1; 64 * 1024]);
    let outcomes = [mounted.path().join("new"), hole].map(|path| PageWriter::open(&path).is_err());
    let unmounted = std::process::Command::new("umount").arg(mounted.path()).status().unwrap();
    assert!(full.is_err() && unmounted.success());
    assert_eq!(outcomes, [true, true]);
}
