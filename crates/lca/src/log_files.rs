//! All log files of this agent, looked at once a second by a thread of its own, and rotated when they are too long.
//!
//! Refuses to know who writes. The law: nothing that a disk does keeps the agent's machine waiting, and what is wrong
//! with a file, or with the whole disk, is said once and not every second.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use understudy_model::{ApplicationName, OutputKind, ProcessSpec};

use crate::log_file::{Looked, Rotation, look};
use crate::platform::Output;

/// Between two looks. An application may write more than its limit by what it writes in this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The next look after one that rotated something: it may be printing fast.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Looks between two questions for the room on the disk.
const ROOM_EVERY: u32 = 10;

/// The way to the thread; it ends when this is dropped.
#[derive(Debug)]
pub struct LogFiles {
    directory: PathBuf,
    watch: Mutex<Option<mpsc::Sender<(ApplicationName, Rotation)>>>,
    rotations: Arc<Mutex<BTreeMap<ApplicationName, u64>>>,
    kinds: Mutex<BTreeMap<ApplicationName, OutputKind>>,
}

impl LogFiles {
    /// Nothing is watched yet, and there is no thread.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            watch: Mutex::default(),
            rotations: Arc::default(),
            kinds: Mutex::default(),
        }
    }

    /// Where the output of an application is.
    pub fn path(&self, application: &ApplicationName) -> PathBuf {
        path_in(&self.directory, application)
    }

    /// How often its file was emptied in this life of the agent: a place in it means something only together with this.
    pub fn rotations(&self, application: &ApplicationName) -> u64 {
        count(&self.rotations).get(application).copied().unwrap_or(0)
    }

    /// Where the output of an application goes, if it is known.
    pub fn kind(&self, application: &ApplicationName) -> Option<OutputKind> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(application).copied()
    }

    /// Notes where the output of an application goes, and looks after its file if it is one.
    pub fn know(&self, application: &ApplicationName, spec: &ProcessSpec, has_journal: bool) {
        let kind = Output::of(spec, has_journal);
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(application.clone(), kind);
        if kind == OutputKind::File {
            self.watch(application, spec);
        }
    }

    /// Looks after the file of an application from now on.
    fn watch(&self, application: &ApplicationName, spec: &ProcessSpec) {
        let rotation = Rotation {
            limit_bytes: spec.output_limit_bytes.unwrap_or(ProcessSpec::OUTPUT_LIMIT_BYTES),
            keep: spec.output_keep.unwrap_or(ProcessSpec::OUTPUT_KEEP),
        };
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.is_none() {
            match self.begin() {
                Ok(sender) => *watch = Some(sender),
                Err(error) => {
                    tracing::error!(%error, "cannot make the thread that rotates log files; trying again at the next start");
                    return;
                }
            }
        }
        let gone = watch.as_ref().is_some_and(|watch| watch.send((application.clone(), rotation)).is_err());
        if gone {
            // It can only have panicked; another one is made at the next start.
            *watch = None;
        }
    }

    fn begin(&self) -> std::io::Result<mpsc::Sender<(ApplicationName, Rotation)>> {
        let (sender, heard) = mpsc::channel();
        let mut watcher = Watcher {
            directory: self.directory.clone(),
            watched: BTreeMap::new(),
            failing: BTreeSet::new(),
            full: false,
            rotations: Arc::clone(&self.rotations),
        };
        std::thread::Builder::new().name("log files".to_owned()).stack_size(256 * 1024).spawn(move || {
            let (mut looks, mut next) = (0_u32, LOOK_EVERY);
            loop {
                match heard.recv_timeout(next) {
                    Ok((application, rotation)) => {
                        watcher.watched.insert(application, rotation);
                        continue;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                next = if watcher.look_at_all() { LOOK_AGAIN } else { LOOK_EVERY };
                if looks.is_multiple_of(ROOM_EVERY) {
                    watcher.look_at_room();
                }
                looks = looks.wrapping_add(1);
            }
        })?;
        Ok(sender)
    }
}

fn path_in(directory: &Path, application: &ApplicationName) -> PathBuf {
    directory.join(format!("{application}.log"))
}

fn count(
    rotations: &Mutex<BTreeMap<ApplicationName, u64>>,
) -> MutexGuard<'_, BTreeMap<ApplicationName, u64>> {
    // A panic elsewhere leaves numbers that are still right.
    rotations.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread knows.
struct Watcher {
    directory: PathBuf,
    watched: BTreeMap<ApplicationName, Rotation>,
    /// Those of which it was said that they cannot be rotated.
    failing: BTreeSet<ApplicationName>,
    /// It was said that there is no room.
    full: bool,
    rotations: Arc<Mutex<BTreeMap<ApplicationName, u64>>>,
}

impl Watcher {
    /// True if any was rotated.
    fn look_at_all(&mut self) -> bool {
        let mut rotated = false;
        for (application, rotation) in &self.watched {
            match look(&path_in(&self.directory, application), *rotation) {
                Ok(Looked::Left) => {}
                Ok(Looked::Rotated { lost_bytes }) => {
                    rotated = true;
                    *count(&self.rotations).entry(application.clone()).or_insert(0) += 1;
                    self.failing.remove(application);
                    if lost_bytes > 0 && rotation.keep > 0 {
                        tracing::warn!(%application, lost_bytes, "it prints faster than its log can be copied");
                    }
                }
                Err(error) => {
                    if self.failing.insert(application.clone()) {
                        tracing::warn!(%application, %error,
                            "its log cannot be rotated; it runs on, and this is not said again until it can");
                    }
                }
            }
        }
        rotated
    }

    fn look_at_room(&mut self) {
        let Ok(found) = rustix::fs::statvfs(&self.directory) else { return };
        let full = found.f_bavail == 0 && found.f_blocks > 0;
        if full && !self.full {
            tracing::warn!(directory = %self.directory.display(),
                "the disk of the log files is full: what applications print is lost; they run on");
        }
        if !full && self.full {
            tracing::info!(directory = %self.directory.display(), "there is room for log files again");
        }
        self.full = full;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_watched_file_is_rotated_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let files = LogFiles::new(directory.path());
        let name = ApplicationName::new("app").unwrap();
        std::fs::write(files.path(&name), "a long line").unwrap();
        assert_eq!(files.rotations(&name), 0);
        let spec =
            ProcessSpec { output_limit_bytes: Some(9), output_keep: Some(1), ..ProcessSpec::default() };
        files.watch(&name, &spec);
        let until = Instant::now() + Duration::from_secs(20);
        while files.rotations(&name) == 0 {
            assert!(Instant::now() < until, "never rotated");
            std::thread::yield_now();
        }
        assert_eq!(std::fs::read(files.path(&name)).unwrap(), b"");
        let old = crate::log_file::old(&files.path(&name), 1);
        assert_eq!(std::fs::read(old).unwrap(), b"a long line");
    }
}
