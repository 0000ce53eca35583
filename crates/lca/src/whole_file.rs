//! Replacing a small file as a whole, so that a reader sees the old one or the new one.
//!
//! Refuses to know what is in it. The law: no reader ever sees half a file; with [`Keep::Always`] also none after a
//! power failure.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How long it must be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Until the machine is started again: nothing is flushed.
    ThisBoot,
    /// For ever: the file and its directory are flushed.
    Always,
}

/// The numbers of those who write now.
static WRITERS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// One who writes. The lowest number that is free: two never write to one file, and what one who was killed left is
/// written over soon.
struct Writer(u32);

impl Writer {
    fn begin() -> Self {
        let mut writers = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
        let mut number = 0;
        while !writers.insert(number) {
            number += 1;
        }
        Self(number)
    }

    /// The name under which it makes the file of that name.
    fn making(&self, path: &Path) -> PathBuf {
        let mut making = path.as_os_str().to_owned();
        making.push(format!(".making{}", self.0));
        making.into()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        WRITERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Writes `content` to `path`, readable by its owner only. On an error the old content is still there.
pub fn replace(path: &Path, content: &[u8], keep: Keep) -> io::Result<()> {
    let writer = Writer::begin();
    let making = writer.making(path);
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&making)?;
    let written = file.write_all(content).and_then(|()| match keep {
        Keep::ThisBoot => Ok(()),
        Keep::Always => file.sync_all(),
    });
    drop(file);
    if let Err(error) = written.and_then(|()| fs::rename(&making, path)) {
        // What is left is under another name and is written over the next time.
        let _ = fs::remove_file(&making);
        return Err(error);
    }
    match (keep, path.parent()) {
        (Keep::Always, Some(directory)) => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_writes_at_once_a_reader_sees_a_whole_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let write = |byte: u8| {
            for length in 1..300 {
                replace(&path, &vec![byte; length * 50], Keep::ThisBoot).unwrap();
                let read = fs::read(&path).unwrap();
                assert!(read.len().is_multiple_of(50) && read.iter().all(|found| *found == read[0]));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| write(b'a'));
            scope.spawn(|| write(b'b'));
            write(b'c');
        });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
