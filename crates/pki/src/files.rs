//! Files that are whole or not there, and keys that only their owner reads.
//!
//! Knows nothing of what they hold. The law: a file is replaced by a rename after it is on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::PkiError;

/// Who reads a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Readers {
    Everybody,
    Owner,
}

pub(crate) fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::File { act, path, source }
}

/// Reads a file; `None` if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Writes a file whole, in place of what was there.
pub(crate) fn replace(path: &Path, text: &str, readers: Readers) -> Result<(), PkiError> {
    let mode = match readers {
        Readers::Everybody => 0o644,
        Readers::Owner => 0o600,
    };
    let beside = beside(path);
    // A left-over of a command that was killed has nothing in it that is needed.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("removed", &beside)(error));
        }
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .map_err(failed("created", &beside))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed("written", &beside))?;
    fs::rename(&beside, path).map_err(failed("replaced", path))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(failed("synced", directory))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}
