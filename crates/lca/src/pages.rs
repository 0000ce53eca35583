//! The role pages of this host's members: what they look at before they act (`docs/protocols/role-page.md`).
//!
//! Refuses to decide who may act. The laws: one agent writes the pages of a runtime directory; a page outlives its agent and
//! keeps its words until somebody decides; a page is taken away only after it has said "not primary".

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use understudy_decide::grants::holder;
use understudy_model::{ApplicationName, Epoch, Moment, RoleEpoch, RunMode};
use understudy_page::{PageWriter, Standing, WriteError};

/// Below the runtime directory.
const DIRECTORY: &str = "role";
/// Held by the agent that writes the pages. Not among them: whoever may read a page could lock it.
const LOCK: &str = "role.lock";
/// Everybody may look, only the agent's user may make and remove.
const MODE: u32 = 0o755;

/// The pages of all members on this host.
#[derive(Debug)]
pub struct Pages {
    directory: PathBuf,
    pages: Mutex<BTreeMap<ApplicationName, PageWriter>>,
    /// Held as long as this is.
    _lock: File,
}

impl Pages {
    /// Makes the directory if it is missing, and opens every page that an earlier life left in it. A page that cannot be used
    /// (of another version, somebody else's) is named in the log and left alone; its application is not started over it.
    pub fn open(runtime_directory: &Path) -> io::Result<Self> {
        let directory = runtime_directory.join(DIRECTORY);
        make_directory(&directory)?;
        let lock = lock(&runtime_directory.join(LOCK))?;
        let mut pages = BTreeMap::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(application) = name.to_str().and_then(|name| {
                ApplicationName::new(name).ok().filter(|application| application.as_str() == name)
            }) else {
                continue;
            };
            match PageWriter::open(&entry.path()) {
                Ok(page) => drop(pages.insert(application, page)),
                Err(error) => {
                    tracing::error!(%application, %error, "its role page is not used; stop it and remove the file");
                }
            }
        }
        Ok(Self { directory, pages: Mutex::new(pages), _lock: lock })
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<ApplicationName, PageWriter>> {
        // Every change is one insertion or removal.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the page of an application is.
    pub fn path(&self, application: &ApplicationName) -> PathBuf {
        self.directory.join(application.as_str())
    }

    /// What the pages say: right after [`Pages::open`], what an earlier life of this boot left. A page that was left half
    /// written, or is of another boot, says "not primary".
    pub fn found(&self) -> BTreeMap<ApplicationName, holder::Page> {
        let said = |(name, page): (&ApplicationName, &PageWriter)| (name.clone(), said(name, page.read()));
        self.pages().iter().map(said).collect()
    }

    /// Whether an application has a page.
    pub fn has(&self, application: &ApplicationName) -> bool {
        self.pages().contains_key(application)
    }

    /// Makes the page of an application if it has none: before the application is started, which opens it.
    pub fn prepare(&self, application: &ApplicationName) -> Result<(), WriteError> {
        self.with(application, |_| ())
    }

    /// Says something else, at once, to everybody who looks. Makes the page if there is none.
    pub fn set(&self, application: &ApplicationName, says: &holder::Page) -> Result<(), WriteError> {
        let role = says.role.as_ref();
        let run_mode = if role.is_some() { RunMode::Primary } else { RunMode::Backup };
        let epoch = role.map_or(Epoch::NONE, |role| role.epoch);
        // An epoch of somebody else is nobody's here.
        let says = match role.is_none_or(|role| role.holder == *application) {
            true => Standing { run_mode, epoch, until: says.until },
            false => Standing::NOBODY,
        };
        self.with(application, |page| page.set(says))
    }

    /// The application is no member any more: its page says "not primary", then it is removed.
    pub fn forget(&self, application: &ApplicationName) -> Result<(), WriteError> {
        match self.pages().remove(application) {
            Some(page) => page.remove(),
            None => Ok(()),
        }
    }

    fn with<T>(
        &self,
        application: &ApplicationName,
        act: impl Fn(&PageWriter) -> T,
    ) -> Result<T, WriteError> {
        let mut pages = self.pages();
        if let Some(page) = pages.get(application) {
            return Ok(act(page));
        }
        let page = PageWriter::open(&self.path(application))?;
        let done = act(&page);
        pages.insert(application.clone(), page);
        Ok(done)
    }
}

/// What a page says, in the words of a holder.
fn said(application: &ApplicationName, says: Standing) -> holder::Page {
    match says.run_mode {
        RunMode::Primary => {
            holder::Page { role: Some(RoleEpoch::new(says.epoch, application.clone())), until: says.until }
        }
        RunMode::Backup | RunMode::Unknown | RunMode::Exiting => {
            holder::Page { role: None, until: Moment::default() }
        }
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    if let Some(above) = path.parent() {
        // As for sockets of other users: they may pass, and look for nothing.
        make_passable(above, 0o711)?;
    }
    make_passable(path, MODE)
}

/// Makes a directory of the agent's own, or adds to the mode of the one that is there.
fn make_passable(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    let own = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != own || found.mode() & 0o022 != 0 {
        let text = format!(
            "{} is not a directory of the agent's user that only that user can write to",
            path.display()
        );
        return Err(io::Error::other(text));
    }
    if found.mode() & mode != mode {
        fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o777 | mode))?;
    }
    Ok(())
}

fn lock(path: &Path) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let text = format!("another agent writes role pages there: {} is locked", path.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ApplicationName {
        ApplicationName::new(text).unwrap()
    }

    fn primary(epoch: u64, holder: &str) -> holder::Page {
        let role = Some(RoleEpoch::new(Epoch(epoch), name(holder)));
        holder::Page { role, until: understudy_page::NEVER }
    }

    #[test]
    fn what_an_earlier_life_said_is_found_and_still_holds() {
        let runtime = tempfile::tempdir().unwrap();
        let pages = Pages::open(runtime.path()).unwrap();
        assert!(pages.found().is_empty());
        pages.prepare(&name("a")).unwrap();
        pages.set(&name("b"), &primary(7, "b")).unwrap();
        let reader = understudy_page::Page::open(&pages.path(&name("b"))).unwrap();
        assert!(reader.may_act());
        let nobody = holder::Page { role: None, until: Moment::default() };
        let expected = BTreeMap::from([(name("a"), nobody.clone()), (name("b"), primary(7, "b"))]);
        assert_eq!(pages.found(), expected);
        drop(pages);
        assert!(reader.may_act(), "the end of an agent is not the end of a role");

        fs::write(runtime.path().join("role/No Name"), "x").unwrap();
        fs::write(runtime.path().join("role/c"), [7; 64]).unwrap();
        let pages = Pages::open(runtime.path()).unwrap();
        assert_eq!(pages.found(), expected);
        assert!(pages.prepare(&name("c")).is_err(), "what is no page is not written over");
        pages.set(&name("b"), &nobody).unwrap();
        assert!(!reader.may_act());
        pages.set(&name("b"), &primary(8, "b")).unwrap();
        pages.forget(&name("b")).unwrap();
        assert!(!reader.may_act() && !pages.path(&name("b")).exists());
        pages.forget(&name("b")).unwrap();
    }

    #[test]
    fn a_role_of_somebody_else_is_nobodys_on_this_page() {
        let runtime = tempfile::tempdir().unwrap();
        let pages = Pages::open(runtime.path()).unwrap();
        pages.set(&name("a"), &primary(7, "b")).unwrap();
        assert_eq!(pages.found()[&name("a")].role, None);
    }

    #[test]
    fn members_of_other_users_may_look_and_nobody_else_may_write() {
        let runtime = tempfile::tempdir().unwrap();
        let pages = Pages::open(runtime.path()).unwrap();
        pages.prepare(&name("a")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&runtime.path().join("role")), 0o755);
        assert_eq!(mode(&pages.path(&name("a"))), 0o644);
        assert_eq!(mode(runtime.path()) & 0o011, 0o011);
        drop(pages);
        fs::set_permissions(runtime.path().join("role"), Permissions::from_mode(0o777)).unwrap();
        let refused = Pages::open(runtime.path()).unwrap_err().to_string();
        assert!(refused.contains("only that user can write"), "{refused}");
    }

    #[test]
    fn two_agents_do_not_write_the_same_pages() {
        let runtime = tempfile::tempdir().unwrap();
        let pages = Pages::open(runtime.path()).unwrap();
        assert!(Pages::open(runtime.path()).unwrap_err().to_string().contains("another agent"));
        drop(pages);
        Pages::open(runtime.path()).unwrap();
    }
}
