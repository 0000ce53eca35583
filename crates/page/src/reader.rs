//! Reading a page: what a member does before it acts.
//!
//! Refuses to know who wrote it. The law: everything that takes time or can fail is done when the page is opened; after that
//! a look is a few loads and one reading of the clock, in this order, so that a process that slept between them says no.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, OFlags};
use understudy_model::Epoch;

use crate::mapping::Mapping;
use crate::origin::Origin;
use crate::words::{BYTES, MAGIC, VERSION, Words};
use crate::{Standing, now};

/// Why a page cannot be relied on. Nothing is open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is missing, or may not be read.
    #[error("cannot open the role page {}: {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system would not map it.
    #[error("cannot map the role page {}: {source}", path.display())]
    Map {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a socket, or something else that cannot be mapped.
    #[error("{} is no regular file, and so no role page", path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
    },
    /// It was not written to its end.
    #[error("the role page {} has {found} bytes, {BYTES} are needed; its agent writes it before it starts a member", path.display())]
    TooShort {
        /// Which.
        path: PathBuf,
        /// How long it is.
        found: u64,
    },
    /// Another kind of file.
    #[error("{} does not begin like a role page", path.display())]
    NoPage {
        /// Which.
        path: PathBuf,
    },
    /// A page of a later or an earlier time.
    #[error("the role page {} has version {found}, this program reads {VERSION}; agent and application must fit", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Its expiry is of another clock than ours.
    #[error("the role page {} was written in another boot or another time namespace; its expiry means nothing here", path.display())]
    OtherClock {
        /// Which.
        path: PathBuf,
    },
}

/// A role page, mapped to be read. Any thread may look at any time.
#[derive(Debug)]
pub struct Page {
    mapping: Mapping<Words>,
}

impl Page {
    /// Opens and checks it. A link in the place of the file is not followed.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        // Without waiting: what lies there may be a pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let mapping = map(&File::from(file), path, false)?;
        let page = Self { mapping };
        page.check(path)?;
        Ok(page)
    }

    fn check(&self, path: &Path) -> Result<(), OpenError> {
        let words = self.mapping.words();
        // Written last: whoever sees it sees all that was written before it.
        if words.magic.load(Ordering::Acquire).to_ne_bytes() != MAGIC {
            return Err(OpenError::NoPage { path: path.to_owned() });
        }
        let found = words.version.load(Ordering::Relaxed);
        if found != VERSION || words.length.load(Ordering::Relaxed) as usize != BYTES {
            return Err(OpenError::Version { path: path.to_owned(), found });
        }
        if origin_of(&self.mapping).differs_from(Origin::own()) {
            return Err(OpenError::OtherClock { path: path.to_owned() });
        }
        Ok(())
    }

    /// Whether the member of this page may act as primary. False also if the page was being written during all tries.
    ///
    /// True means: at one instant during this call the agent's permission was there and had not expired. It says nothing of
    /// the time after the return, so whatever is to be acknowledged is acknowledged after this was asked, not before.
    #[inline]
    pub fn may_act(&self) -> bool {
        self.acts_in().is_some()
    }

    /// The same, with the epoch (the fencing token) in which it may act.
    #[inline]
    pub fn acts_in(&self) -> Option<Epoch> {
        let says = self.role()?;
        // The clock last: asleep between page and clock, the answer is no; asleep the other way round it would be yes.
        says.may_act(now()).then_some(says.epoch)
    }

    /// What the page says, whether that has expired or not; nothing if it was being written during all tries.
    #[inline]
    pub fn role(&self) -> Option<Standing> {
        self.mapping.words().read()
    }
}

/// Maps a file that is as long as a page.
pub(crate) fn map(file: &File, path: &Path, writable: bool) -> Result<Mapping<Words>, OpenError> {
    let found = file.metadata().map_err(|source| OpenError::Open { path: path.to_owned(), source })?;
    if !found.is_file() {
        return Err(OpenError::NoFile { path: path.to_owned() });
    }
    if found.len() < BYTES as u64 {
        return Err(OpenError::TooShort { path: path.to_owned(), found: found.len() });
    }
    Mapping::of(file, writable).map_err(|source| OpenError::Map { path: path.to_owned(), source })
}

/// Where the clock counts from by which a page was written.
pub(crate) fn origin_of(mapping: &Mapping<Words>) -> Origin {
    let words = mapping.words();
    Origin { boot: words.boot.load(Ordering::Relaxed), namespace: words.namespace.load(Ordering::Relaxed) }
}
