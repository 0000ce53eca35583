//! Writing a page: the agent's side.
//!
//! Refuses to know why a role is given. The laws: there is one writer, which whoever opens pages sees to; a page that exists
//! is written again where it lies, and says what it said until then; a page of another boot, of another clock or left half
//! written says "not primary" before anybody is told of it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::Standing;
use crate::mapping::Mapping;
use crate::origin::Origin;
use crate::reader::{OpenError, map, origin_of};
use crate::words::{BYTES, MAGIC, VERSION, Words};

/// Readable by all, writable by the agent's user.
const MODE: u32 = 0o644;

/// Why a page cannot be written or taken away.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It could not be opened or mapped. A file may have been made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Somebody else's file lies in its place. Nothing was changed.
    #[error("{} belongs to user {owner}; a role page is its agent's alone", path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// There is no room for it, or its mode could not be set. A file may have been made, which no reader takes for a page.
    #[error("cannot make the role page {}: {source}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be removed. It says "not primary".
    #[error("cannot remove the role page {}: {source}", path.display())]
    Remove {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A role page, mapped to be written.
#[derive(Debug)]
pub struct PageWriter {
    mapping: Mapping<Words>,
    path: PathBuf,
}

/// Makes it as long as a page, only ever longer, and takes its room: where there is none, the first touch of the mapping would
/// end this process.
fn reserve(file: &File, length: u64, mut allocate: impl FnMut() -> rustix::io::Result<()>) -> io::Result<()> {
    // On tmpfs it gives up for any signal that waits, and leaves nothing behind.
    match rustix::io::retry_on_intr(&mut allocate) {
        // A file system that reserves nothing is written to; what is there already has its room.
        Err(Errno::OPNOTSUPP) => {
            let missing = (BYTES as u64).saturating_sub(length) as usize;
            file.write_all_at(&[0; BYTES][..missing], length)
        }
        reserved => reserved.map_err(io::Error::from),
    }
}

impl PageWriter {
    /// Opens the page at `path`, or makes one that says "not primary". The directory must be there, and the agent's alone.
    pub fn open(path: &Path) -> Result<Self, WriteError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file =
            rustix::fs::open(path, flags, Mode::from_raw_mode(MODE)).map_err(|error| failed(error.into()))?;
        let file = File::from(file);
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() {
            return Err(OpenError::NoFile { path: path.to_owned() }.into());
        }
        let owner = found.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(WriteError::NotOurs { path: path.to_owned(), owner });
        }
        let make = |source| WriteError::Make { path: path.to_owned(), source };
        // Whatever the mask of this process took away.
        if found.mode() & 0o7777 != MODE {
            file.set_permissions(Permissions::from_mode(MODE)).map_err(make)?;
        }
        let allocate = || rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BYTES as u64);
        reserve(&file, found.len(), allocate).map_err(make)?;
        let mapping = map(&file, path, true)?;
        let writer = Self { mapping, path: path.to_owned() };
        writer.begin(found.len() < BYTES as u64)?;
        Ok(writer)
    }

    fn begin(&self, new: bool) -> Result<(), WriteError> {
        let words = self.mapping.words();
        let own = Origin::own();
        let magic = words.magic.load(Ordering::Acquire);
        // A life that ended before the last word of a new page left zeros there, and no reader took it for a page.
        if new || magic == 0 {
            words.write(Standing::NOBODY);
            words.version.store(VERSION, Ordering::Relaxed);
            words.length.store(BYTES as u32, Ordering::Relaxed);
            words.boot.store(own.boot, Ordering::Relaxed);
            words.namespace.store(own.namespace, Ordering::Relaxed);
            words.magic.store(u64::from_ne_bytes(MAGIC), Ordering::Release);
            return Ok(());
        }
        if magic.to_ne_bytes() != MAGIC {
            return Err(OpenError::NoPage { path: self.path.clone() }.into());
        }
        let found = words.version.load(Ordering::Relaxed);
        if found != VERSION || words.length.load(Ordering::Relaxed) as usize != BYTES {
            return Err(OpenError::Version { path: self.path.clone(), found }.into());
        }
        if words.read().is_none() || origin_of(&self.mapping).differs_from(own) {
            words.write(Standing::NOBODY);
            words.boot.store(own.boot, Ordering::Relaxed);
            words.namespace.store(own.namespace, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Says something else, at once, to everybody who looks.
    pub fn set(&self, says: Standing) {
        self.mapping.words().write(says);
    }

    /// What the page says.
    pub fn read(&self) -> Standing {
        // Only this writer writes, so the page is whole whenever it reads.
        self.mapping.words().read().unwrap_or(Standing::NOBODY)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says "not primary", then takes the file away. Who has it mapped goes on reading "not primary".
    pub fn remove(self) -> Result<(), WriteError> {
        self.set(Standing::NOBODY);
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(WriteError::Remove { path: self.path, source })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_waits_keeps_no_page_from_being_made() {
        let file = tempfile::tempfile().unwrap();
        let mut answers = vec![Ok(()), Err(Errno::INTR), Err(Errno::INTR)];
        reserve(&file, 0, || answers.pop().unwrap()).unwrap();
        assert!(answers.is_empty());
        let full = reserve(&file, 0, || Err(Errno::NOSPC)).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        // A file system that reserves nothing is written to.
        reserve(&file, 0, || Err(Errno::OPNOTSUPP)).unwrap();
        assert_eq!(file.metadata().unwrap().len(), BYTES as u64);
    }
}
