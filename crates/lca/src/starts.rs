//! Notes of what runs, one small file each in the runtime directory, for the next life of the agent.
//!
//! Refuses to know how a process is proven to be the same one. The law: a note is only a hint where to look; it is lost
//! with the boot it was made in, and it is never trusted beyond what the platform can prove.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use understudy_decide::agent::StartId;
use understudy_model::{AgentId, ApplicationName, Epoch};

use crate::platform::TreeNote;
use crate::whole_file::{self, Keep};

/// Longest note that is read, in bytes.
const LONGEST_NOTE_BYTES: u64 = 16 * 1024;

/// One running start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartNote {
    /// Which agent started it.
    pub agent: AgentId,
    /// Of which application.
    pub application: ApplicationName,
    /// Which start.
    pub start: StartId,
    /// In which boot of the machine.
    pub boot: String,
    /// How often it had been restarted in a row.
    pub restarts: u32,
    /// Its processes.
    pub tree: TreeNote,
    /// The epoch in which it is primary, if it is a member without the library.
    #[serde(default)]
    pub acts: Option<Epoch>,
    /// The epoch of a promotion or demotion that was begun and did not end well: it may act in it.
    #[serde(default)]
    pub half: Option<Epoch>,
    /// It said that it is ready.
    #[serde(default)]
    pub ready: bool,
    /// It has a notify socket.
    #[serde(default)]
    pub notifies: bool,
}

/// The directory of notes.
#[derive(Debug)]
pub struct Starts {
    directory: PathBuf,
    agent: AgentId,
    /// Held while a note is read and written back: several threads know something of one start.
    changing: Mutex<()>,
}

impl Starts {
    /// Makes the directory if it is missing.
    pub fn open(directory: &Path, agent: AgentId) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.to_owned(), agent, changing: Mutex::default() })
    }

    /// Whose notes these are.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// Each start has a file of its own: removing an old one can never remove a new one.
    fn path(&self, application: &ApplicationName, start: StartId) -> PathBuf {
        self.directory.join(format!("{application}@{}.{}.json", start.incarnation, start.number))
    }

    /// Notes a start. Not flushed: it need not outlive the boot.
    pub fn note(&self, note: &StartNote) -> io::Result<()> {
        let _changing = self.changing();
        self.write(note)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // The files are whole whatever a panic elsewhere left undone.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, note: &StartNote) -> io::Result<()> {
        let text = serde_json::to_vec(note).map_err(io::Error::from)?;
        whole_file::replace(&self.path(&note.application, note.start), &text, Keep::ThisBoot)
    }

    /// Changes the note of a start; one that has none any more is left alone.
    pub fn change(
        &self,
        application: &ApplicationName,
        start: StartId,
        change: impl FnOnce(&mut StartNote),
    ) -> io::Result<()> {
        let _changing = self.changing();
        let Some(mut note) = read(&self.path(application, start)) else { return Ok(()) };
        change(&mut note);
        self.write(&note)
    }

    /// Forgets a start of which nothing lives.
    pub fn forget(&self, application: &ApplicationName, start: StartId) -> io::Result<()> {
        let _changing = self.changing();
        match fs::remove_file(self.path(application, start)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// All notes of this boot, in a fixed order; those that cannot be read, and those of other boots, are removed and
    /// counted. Notes of another agent are left to it.
    pub fn all(&self, boot: &str) -> io::Result<(Vec<StartNote>, usize)> {
        let mut notes = Vec::new();
        let mut removed = 0;
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            match read(&path).filter(|note| note.boot == boot) {
                Some(note) if note.agent != self.agent => {}
                Some(note) => notes.push(note),
                None => {
                    fs::remove_file(&path)?;
                    removed += 1;
                }
            }
        }
        notes.sort_by(|one, other| (&one.application, one.start).cmp(&(&other.application, other.start)));
        Ok((notes, removed))
    }
}

fn read(path: &Path) -> Option<StartNote> {
    let short = fs::metadata(path).is_ok_and(|found| found.len() <= LONGEST_NOTE_BYTES);
    serde_json::from_slice(&fs::read(path).ok().filter(|_| short)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_model::Incarnation;

    fn note(number: u64, boot: &str) -> StartNote {
        StartNote {
            agent: AgentId(5),
            application: ApplicationName::new("tserver-1").unwrap(),
            start: StartId { incarnation: Incarnation(7), number },
            boot: boot.to_owned(),
            restarts: 2,
            tree: TreeNote { pid: Some(4711), began: 99, container: None },
            acts: None,
            half: None,
            ready: false,
            notifies: false,
        }
    }

    #[test]
    fn what_two_threads_know_of_one_start_is_all_in_its_note() {
        const CHANGES: u32 = 300;
        let directory = tempfile::tempdir().unwrap();
        let starts = Starts::open(directory.path(), AgentId(5)).unwrap();
        let first = StartNote { restarts: 0, ..note(1, "now") };
        starts.note(&first).unwrap();
        let change = |change: fn(&mut StartNote)| {
            for _ in 0..CHANGES {
                starts.change(&first.application, first.start, change).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| change(|note| note.restarts += 1));
            change(|note| note.acts = Some(note.acts.map_or(Epoch(1), |epoch| Epoch(epoch.0 + 1))));
        });
        let both = StartNote { restarts: CHANGES, acts: Some(Epoch(u64::from(CHANGES))), ..first };
        assert_eq!(starts.all("now").unwrap(), (vec![both], 0));
    }

    #[test]
    fn notes_of_this_boot_are_read_and_all_others_go() {
        let directory = tempfile::tempdir().unwrap();
        let starts = Starts::open(directory.path(), AgentId(5)).unwrap();
        starts.note(&note(2, "now")).unwrap();
        starts.note(&note(1, "now")).unwrap();
        let foreign = Starts::open(directory.path(), AgentId(6)).unwrap();
        foreign.note(&StartNote { agent: AgentId(6), ..note(4, "now") }).unwrap();
        starts.note(&note(3, "before")).unwrap();
        fs::write(directory.path().join("x.json"), "garbage").unwrap();
        assert_eq!(starts.all("now").unwrap(), (vec![note(1, "now"), note(2, "now")], 2));
        assert_eq!(starts.all("now").unwrap().1, 0);
        starts
            .change(&note(1, "now").application, note(1, "now").start, |note| note.acts = Some(Epoch(4)))
            .unwrap();
        starts.change(&note(9, "now").application, note(9, "now").start, |note| note.ready = true).unwrap();
        let acting = StartNote { acts: Some(Epoch(4)), ..note(1, "now") };
        assert_eq!(starts.all("now").unwrap().0, [acting, note(2, "now")], "and no note is made by a change");
        starts.forget(&note(1, "now").application, note(1, "now").start).unwrap();
        assert_eq!(starts.all("now").unwrap().0, [note(2, "now")]);
        assert_eq!(foreign.all("now").unwrap().0.len(), 1, "another agent's note is left to it");
    }
}
