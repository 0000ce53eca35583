//! One log file of an application: opened safely, rotated by copy and truncate.
//!
//! Refuses to know when. The law: the agent may be root and the directory may be writable for others, so a log file is
//! a regular file of the agent's own user with one name, or it is not touched; no link is followed.
//!
//! The application goes on writing to the file that it was started with. What it writes between the last look at the
//! length and the truncation, some microseconds later, is lost; a writer that is faster than the disk loses what could
//! not be copied, and how much that was is told.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// An old file is longer than the limit by what was written before it was looked at; at most so many times.
const MOST_TIMES: u64 = 4;
/// How often a copy tries to catch up with a writer before it gives up.
const CATCH_UPS: usize = 16;
/// Highest number of an old file that is looked for.
pub const MOST_OLD: u32 = 100;
/// Its owner writes, its group may read.
const MODE: u32 = 0o640;

/// When a file is rotated, and how much is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// It is rotated when it is longer, in bytes.
    pub limit_bytes: u64,
    /// How many old ones are kept.
    pub keep: u32,
}

/// What a look at a file led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Looked {
    /// Short enough, or not there.
    Left,
    /// Rotated; as many bytes as this were not copied.
    Rotated {
        /// Bytes.
        lost_bytes: u64,
    },
}

/// Opens a log for an application; makes it, and its directory, if they are missing.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let open = || {
        let flags = safe_flags();
        File::options().append(true).create(true).mode(MODE).custom_flags(flags).open(path)
    };
    let opened = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
            }
            open()
        }
        opened => opened,
    };
    check(opened)
}

/// Opens a log to read it.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    check(File::options().read(true).custom_flags(safe_flags()).open(path))
}

/// No link is followed, and a pipe without a reader keeps nobody waiting. (It means nothing for a regular file.)
fn safe_flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

fn check(opened: io::Result<File>) -> io::Result<File> {
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(error.kind(), "it is a symbolic link, which is not followed"),
        _ => error,
    })?;
    let found = file.metadata()?;
    let fault = if !found.is_file() {
        "it is not a regular file"
    } else if found.nlink() != 1 {
        "it has another name as well (a hard link)"
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        "it belongs to another user than the agent's"
    } else {
        return Ok(file);
    };
    Err(io::Error::other(fault))
}

/// Where an old file is; 1 is the newest.
pub fn old(path: &Path, number: u32) -> PathBuf {
    with_suffix(path, &number.to_string())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Rotates a file that is too long. If it cannot be copied it stays as it is until it is twice too long; then it is
/// emptied all the same, as a full disk is everybody's.
pub fn look(path: &Path, rotation: Rotation) -> io::Result<Looked> {
    // Asked by name first: most are short, and that is nearly for nothing.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Looked::Left),
        Ok(found) if found.is_file() && found.len() <= rotation.limit_bytes => return Ok(Looked::Left),
        _ => {}
    }
    let flags = safe_flags();
    let log = check(File::options().read(true).write(true).custom_flags(flags).open(path))?;
    if rotation.keep == 0 {
        let lost_bytes = log.metadata()?.len();
        log.set_len(0)?;
        return Ok(Looked::Rotated { lost_bytes });
    }
    let copying = with_suffix(path, "new");
    match copy_out(&log, &copying, rotation.limit_bytes.saturating_mul(MOST_TIMES)) {
        Ok(mut copy) => {
            shift(path, &copying, rotation.keep)?;
            copy.catch_up(&log, rotation.limit_bytes.saturating_mul(2 * MOST_TIMES))?;
            // Nothing stands between this look and the truncation.
            let lost_bytes = log.metadata()?.len().saturating_sub(copy.copied);
            log.set_len(0)?;
            Ok(Looked::Rotated { lost_bytes })
        }
        Err(error) => {
            remove(&copying)?;
            if log.metadata()?.len() > rotation.limit_bytes.saturating_mul(2) {
                log.set_len(0)?;
            }
            Err(error)
        }
    }
}

/// What was copied so far.
struct Copy {
    file: File,
    /// Where the next part begins.
    next: u64,
    /// Bytes.
    copied: u64,
}

/// Copies the end of a log. What is more than `most_bytes` is left out: a writer that is much faster than we look shall not
/// fill the disk with old files.
fn copy_out(log: &File, copying: &Path, most_bytes: u64) -> io::Result<Copy> {
    remove(copying)?;
    let file = File::options().write(true).create_new(true).mode(MODE).open(copying)?;
    let length = log.metadata()?.len();
    let mut copy = Copy { file, next: length.saturating_sub(most_bytes), copied: 0 };
    copy.copy_to(log, length)?;
    Ok(copy)
}

impl Copy {
    fn copy_to(&mut self, mut log: &File, to: u64) -> io::Result<()> {
        log.seek(SeekFrom::Start(self.next))?;
        let more = io::copy(&mut log.take(to.saturating_sub(self.next)), &mut self.file)?;
        self.next += more;
        self.copied += more;
        Ok(())
    }

    /// Copies what was written while the rest was copied.
    fn catch_up(&mut self, log: &File, most_bytes: u64) -> io::Result<()> {
        for _ in 0..CATCH_UPS {
            let length = log.metadata()?.len();
            let room = most_bytes.saturating_sub(self.copied);
            // The main part is safe; what is missing is counted by the caller.
            if length <= self.next || room == 0 || self.copy_to(log, length.min(self.next + room)).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Each old file gets the next number, the copy becomes the first, and what is too many goes.
fn shift(path: &Path, copy: &Path, keep: u32) -> io::Result<()> {
    for number in keep..=MOST_OLD {
        remove(&old(path, number))?;
    }
    for number in (1..keep).rev() {
        match fs::rename(old(path, number), old(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(copy, old(path, 1))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    const ROTATION: Rotation = Rotation { limit_bytes: 8, keep: 2 };

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_long_file_is_copied_and_emptied_and_old_ones_are_few() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/app.log");
        let mut log = open_to_append(&path).unwrap();
        assert_eq!(look(&path, ROTATION).unwrap(), Looked::Left);
        for round in 0..4 {
            write!(log, "line {round}...").unwrap();
            assert_eq!(look(&path, ROTATION).unwrap(), Looked::Rotated { lost_bytes: 0 });
            assert_eq!(read(&path), "", "the writer goes on at the beginning");
        }
        assert_eq!(read(&old(&path, 1)), "line 3...");
        assert_eq!(read(&old(&path, 2)), "line 2...");
        write!(log, "another line").unwrap();
        look(&path, Rotation { keep: 1, ..ROTATION }).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["app.log", "app.log.1"], "fewer are kept now");
        write!(log, "another line").unwrap();
        assert_eq!(
            look(&path, Rotation { keep: 0, ..ROTATION }).unwrap(),
            Looked::Rotated { lost_bytes: 12 }
        );
    }

    #[test]
    fn what_is_not_the_agents_own_file_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        let text = "a line that is long enough\n";
        fs::write(&victim, text).unwrap();
        let path = directory.path().join("app.log");
        let refused = |word: &str| {
            for error in [
                open_to_append(&path).unwrap_err(),
                open_to_read(&path).unwrap_err(),
                look(&path, ROTATION).unwrap_err(),
            ] {
                assert!(error.to_string().contains(word), "{error}");
            }
            assert_eq!(read(&victim), text);
        };
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        refused("symbolic link");
        fs::remove_file(&path).unwrap();
        fs::hard_link(&victim, &path).unwrap();
        refused("hard link");
        fs::remove_file(&path).unwrap();
        if rustix::process::geteuid().is_root() {
            fs::write(&path, text).unwrap();
            std::os::unix::fs::lchown(&path, Some(65_534), None).unwrap();
            refused("another user");
            fs::remove_file(&path).unwrap();
        }
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(open_to_append(&path).is_err(), "a pipe is no log, and keeps nobody waiting");
    }

    #[test]
    fn rotation_while_somebody_writes_loses_little_and_mixes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.log");
        let (mut log, stop) = (open_to_append(&path).unwrap(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            let mut number = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                let mut lines = String::new();
                for _ in 0..64 {
                    lines.push_str(&format!("{number:0>63}\n"));
                    number += 1;
                }
                log.write_all(lines.as_bytes()).unwrap();
            }
            number
        });
        let rotation = Rotation { limit_bytes: 1 << 20, keep: 40 };
        let (mut rotated, mut told) = (0, 0);
        while rotated < 20 {
            if let Looked::Rotated { lost_bytes } = look(&path, rotation).unwrap() {
                rotated += 1;
                told += lost_bytes;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let written = writer.join().unwrap();
        let files = (1..=20).rev().map(|number| old(&path, number)).chain([path.clone()]);
        let mut numbers = Vec::new();
        for file in files {
            for line in read(&file).lines() {
                assert_eq!(line.len(), 63, "no line is torn or mixed");
                numbers.push(line.parse::<u64>().unwrap());
            }
        }
        assert!(numbers.is_sorted(), "what is there is in order");
        let lost = written - numbers.len() as u64;
        println!("{written} lines of 64 bytes, 20 rotations: {lost} lost, {} of them told", told / 64);
        assert!(lost < written / 10, "{lost} of {written} lines");
    }
}
