//! Control groups, second version: one for each start of an application, below one for the agent.
//!
//! Refuses to know processes of ours. The law: without a writable hierarchy nothing fails; the agent then
//! finds processes by session, parent and mark instead, and says so once.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use understudy_decide::agent::StartId;
use understudy_guard::group::{self, DEEPEST};
use understudy_model::{ApplicationName, Incarnation};

use super::{bounds, proc};

/// Where the groups of applications lie on a host that runs the agent as a service of systemd: outside of the agent's own unit,
/// as a signal to "everything of that unit" must not reach them. systemd makes it, for the unit of this name.
const SLICE: &str = "understudy.slice";

/// The group of the guard, beside those of the starts: what ends the agent with everything in its unit must not end it too.
const GUARD: &str = "guard";

/// The place of this agent's groups.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    /// Where the hierarchy is mounted.
    mount: PathBuf,
    /// Which of its groups is seen there: all of them, unless this is a container with a hierarchy of its own.
    root: String,
    /// This agent's directory in it.
    base: PathBuf,
}

impl Hierarchy {
    /// Finds the hierarchy and makes `name` in it: in the slice for applications if this process is a service and there is one,
    /// else beside this process.
    pub fn prepare(name: &str) -> io::Result<Self> {
        // Among them may be what somebody mounted under a name that is no text.
        let mounts = fs::read("/proc/self/mountinfo")?;
        let mounts = String::from_utf8_lossy(&mounts);
        let (root, mount) = find_mount(&mounts)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no cgroup2 file system is mounted"))?;
        let own = proc::control_group(std::process::id()).and_then(|own| String::from_utf8(own).ok());
        let own = own.unwrap_or_else(|| "/".to_owned());
        // It may have had to step aside in an earlier life.
        let own = own.strip_suffix(bounds::AGENT_GROUP).unwrap_or(&own).trim_end_matches('/');
        let own = own.strip_prefix(root.trim_end_matches('/')).unwrap_or("").trim_start_matches('/');
        // An earlier life may have been started from another group; its own processes are found by their notes.
        let base = place(&mount, own).join(name);
        match fs::create_dir(&base) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Being allowed to make a directory is not yet being allowed to be born in it.
        File::options().write(true).open(base.join("cgroup.procs"))?;
        Ok(Self { mount, root: root.to_owned(), base })
    }

    /// The directory of this agent's groups.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The group of one start, made now, and a descriptor to be born in it.
    ///
    /// One for each start, never used again: what a note says of an earlier start must not lead to a later one, and a
    /// kernel may go on to kill whatever is born in a group that was killed once (seen with Linux 6.18: it compares how
    /// often the group was killed with how often the parent's was).
    pub fn group(&self, application: &ApplicationName, start: StartId) -> io::Result<(Group, OwnedFd)> {
        let path = self.base.join(name_of(application, start));
        match fs::create_dir(&path) {
            // The slice was stopped, and took what was empty with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(&path)?,
            made => made?,
        }
        let opened = File::open(&path)?;
        Ok((Group { path }, opened.into()))
    }

    /// The group of a start by its path, if that is one of an agent of this name; groups of earlier lives may lie
    /// elsewhere.
    pub fn noted(&self, path: &str, application: &ApplicationName, start: StartId) -> Option<Group> {
        let path = PathBuf::from(path);
        let its_own = path.file_name()?.to_str()? == name_of(application, start);
        // A path through `..` could be the group of everybody.
        let plain = !path.iter().any(|part| part == "..");
        let inside = path.starts_with(&self.mount) && path.parent()?.file_name()? == self.base.file_name()?;
        let ours = its_own && plain && inside;
        (ours && path.is_dir()).then_some(Group { path })
    }

    /// The group that a process is in, if it is one of ours or lies below one, and whose it is.
    pub fn group_of(&self, pid: u32) -> Option<(ApplicationName, StartId, Group)> {
        self.group_at(&self.directory_of(pid)?)
    }

    /// The group that a directory is, or lies below, if that is one of ours, and whose it is.
    pub fn group_at(&self, directory: &Path) -> Option<(ApplicationName, StartId, Group)> {
        let inside = directory.strip_prefix(&self.base).ok()?;
        let name = inside.iter().next()?.to_str()?;
        let (application, start) = read_name(name)?;
        Some((application, start, Group { path: self.base.join(name) }))
    }

    /// The directory of the group that a process is in, if it can be seen from here.
    pub fn directory_of(&self, pid: u32) -> Option<PathBuf> {
        // What is below a start's own group may be called anything; that is not asked for.
        seen_at(&self.mount, &self.root, &String::from_utf8_lossy(&proc::control_group(pid)?))
    }

    /// All groups below this agent's, and whose they are, in the order of their names.
    pub fn groups(&self) -> io::Result<Vec<(ApplicationName, StartId, Group)>> {
        let mut groups = Vec::new();
        for entry in fs::read_dir(&self.base)? {
            let entry = entry?;
            if entry.file_type()?.is_dir()
                && let Some((application, start)) = entry.file_name().to_str().and_then(read_name)
            {
                groups.push((application, start, Group { path: entry.path() }));
            }
        }
        groups.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        Ok(groups)
    }

    /// The group of the guard, made if it is missing; none if it cannot be had.
    pub fn guard_group(&self) -> Option<PathBuf> {
        let path = self.base.join(GUARD);
        match fs::create_dir_all(&path) {
            Ok(()) => Some(path),
            Err(error) => {
                tracing::warn!(%error, "the guard has no control group of its own: what ends the agent's ends it too");
                None
            }
        }
    }

    /// Removes the groups that nothing lives in, and the agent's own if none is left. What is in use stays.
    pub fn remove_empty(&self) {
        for (_, _, group) in self.groups().unwrap_or_default() {
            group.remove();
        }
        let _ = fs::remove_dir(self.base.join(GUARD));
        let _ = fs::remove_dir(&self.base);
    }
}

/// The directory in which this agent's own is made. `own` is the group of this process, below the mount.
fn place(mount: &Path, own: &str) -> PathBuf {
    let slice = mount.join(SLICE);
    if own.ends_with(".service") && slice.is_dir() { slice } else { mount.join(own) }
}

/// Where a group lies in the file system; none if it is not below what is mounted.
fn seen_at(mount: &Path, root: &str, group: &str) -> Option<PathBuf> {
    let below = group.strip_prefix(root.trim_end_matches('/'))?;
    let outside = !below.is_empty() && !below.starts_with('/') || below.split('/').any(|part| part == "..");
    (!outside).then(|| mount.join(below.trim_start_matches('/')))
}

/// What the group of a start is called; no name of an application has an `@`.
pub(crate) fn name_of(application: &ApplicationName, start: StartId) -> String {
    format!("{application}@{}.{}", start.incarnation, start.number)
}

fn read_name(name: &str) -> Option<(ApplicationName, StartId)> {
    let (application, start) = name.split_once('@')?;
    let (incarnation, number) = start.split_once('.')?;
    let incarnation = Incarnation::try_from(incarnation.to_owned()).ok()?;
    let start = StartId { incarnation, number: number.parse().ok()? };
    let application = ApplicationName::new(application).ok()?;
    (name_of(&application, start) == name).then_some((application, start))
}

/// Removes a group and those below it. The kernel refuses where something lives, which is exactly right.
fn remove(path: &Path, deeper: usize) {
    if fs::remove_dir(path).is_ok() || deeper == 0 {
        return;
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path(), deeper - 1);
        }
    }
    let _ = fs::remove_dir(path);
}

fn find_mount(mounts: &str) -> Option<(&str, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next()? != "cgroup2" {
            return None;
        }
        let mut fields = left.split(' ').skip(3);
        Some((fields.next()?, PathBuf::from(fields.next()?)))
    })
}

/// The group of one start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    /// Its path, for a note.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anything in it, or below it, lives. The kernel keeps this; nothing is searched.
    pub fn populated(&self) -> io::Result<bool> {
        group::populated(&self.path)
    }

    /// The processes in it and below it; those that end meanwhile may be among them.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        group::list(&self.path, &mut found)?;
        Ok(found)
    }

    /// Gives it back, if nothing lives in it.
    pub fn remove(&self) {
        remove(&self.path, DEEPEST);
    }

    /// Kills everything in it at once; false if this kernel cannot (before 5.14).
    pub fn kill(&self) -> bool {
        fs::write(self.path.join("cgroup.kill"), "1").is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_says_whose_it_is() {
        let application = ApplicationName::new("t-server.1").unwrap();
        let start = StartId { incarnation: Incarnation(0xabc), number: 7 };
        let name = name_of(&application, start);
        assert_eq!(read_name(&name), Some((application, start)));
        for other in ["t-server.1", "t-server.1@", "t-server.1@abc.7", "@abc.7", "a@x.1", ".."] {
            assert_eq!(read_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_service_uses_the_slice_for_applications_and_nobody_else_does() {
        let mount = tempfile::tempdir().unwrap();
        let own = "system.slice/lca.service";
        assert_eq!(place(mount.path(), own), mount.path().join(own), "there is none");
        fs::create_dir(mount.path().join(SLICE)).unwrap();
        assert_eq!(place(mount.path(), own), mount.path().join(SLICE));
        let session = "user.slice/user-0.slice/session-1.scope";
        assert_eq!(place(mount.path(), session), mount.path().join(session));
    }

    #[test]
    fn a_group_is_seen_below_what_is_mounted_or_not_at_all() {
        let seen = |root, group| seen_at(Path::new("/m"), root, group).map(|path| path.display().to_string());
        assert_eq!(seen("/", "/a/b").as_deref(), Some("/m/a/b"));
        assert_eq!(seen("/box/1", "/box/1/a").as_deref(), Some("/m/a"));
        assert_eq!(
            (seen("/box/1", "/box/12/a"), seen("/", "/../a"), seen("/box/1", "/a")),
            (None, None, None)
        );
    }

    #[test]
    fn the_mount_may_be_anywhere() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n41 31 0:31 / /sys/fs/cgroup/unified rw,a shared:1 - cgroup2 none rw\n";
        assert_eq!(find_mount(mounts), Some(("/", PathBuf::from("/sys/fs/cgroup/unified"))));
        assert_eq!(find_mount("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"), None);
    }
}
