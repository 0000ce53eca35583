//! Files that are whole or not there, and keys that only their owner reads.
//!
//! Knows nothing of what they hold. The law: a file is replaced by a rename after it is on the disk, and by one command at a
//! time.

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

/// The file whose lock keeps commands apart.
const LOCK: &str = ".lock";
/// The end of the name of a file that is being written.
const UNFINISHED: &str = ".new";

/// The right to change a directory, until it is dropped.
pub(crate) struct Changing {
    _file: File,
}

/// Waits until no other command changes the directory, and removes what killed ones left unfinished.
pub(crate) fn change(directory: &Path) -> Result<Changing, PkiError> {
    let path = directory.join(LOCK);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(failed("opened", &path))?;
    file.lock().map_err(failed("locked", &path))?;
    for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
        let left = entry.map_err(failed("read", directory))?.path();
        if is_unfinished(&left) {
            fs::remove_file(&left).map_err(failed("removed", &left))?;
        }
    }
    Ok(Changing { _file: file })
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

/// A name of this process alone, for file systems that know no locks.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}{UNFINISHED}", std::process::id()));
    path.with_file_name(name)
}

/// Whether it is a file of [`beside`].
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(UNFINISHED));
    let pid = name.and_then(|name| name.rsplit_once('.')).map(|(_, pid)| pid);
    pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
}
