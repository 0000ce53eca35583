//! Replacing a small file as a whole, so that a reader sees the old one or the new one.
//!
//! Refuses to know what is in it. The law: no reader ever sees half a file; with [`Keep::Always`] also none after a
//! power failure.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How long it must be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Until the machine is started again: nothing is flushed.
    ThisBoot,
    /// For ever: the file and its directory are flushed.
    Always,
}

/// Writes `content` to `path`, readable by its owner only. On an error the old content is still there.
pub fn replace(path: &Path, content: &[u8], keep: Keep) -> io::Result<()> {
    let mut making = path.as_os_str().to_owned();
    making.push(".making");
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
