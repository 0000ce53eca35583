//! Control groups, second version: one for each application, below one for the agent.
//!
//! Refuses to know starts and processes of ours. The law: without a writable hierarchy nothing fails; the agent then
//! finds processes by session, parent and mark instead, and says so once.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use understudy_model::ApplicationName;

use super::proc;

/// Deepest nesting of control groups that an application may make below its own and still be seen whole.
const DEEPEST: usize = 8;

/// The place of this agent's groups.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    /// Where the hierarchy is mounted.
    mount: PathBuf,
    /// This agent's directory in it.
    base: PathBuf,
}

impl Hierarchy {
    /// Finds the hierarchy and makes `name` in it, beside this process.
    pub fn prepare(name: &str) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let (root, mount) = find_mount(&mounts)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no cgroup2 file system is mounted"))?;
        let own = proc::control_group(std::process::id()).unwrap_or_else(|| "/".to_owned());
        let own = own.strip_prefix(root.trim_end_matches('/')).unwrap_or("").trim_start_matches('/');
        // An earlier life may have been started from another group; its own processes are found by their notes.
        let base = mount.join(own).join(name);
        match fs::create_dir(&base) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Being allowed to make a directory is not yet being allowed to be born in it.
        File::options().write(true).open(base.join("cgroup.procs"))?;
        Ok(Self { mount, base })
    }

    /// The group of one application, made anew unless something lives in it, and a descriptor to be born in it.
    ///
    /// Anew, because a kernel may go on to kill whatever is born in a group that was killed once (seen with Linux
    /// 6.18: it compares how often the group was killed with how often the parent's was).
    pub fn group(&self, application: &str) -> io::Result<(Group, OwnedFd)> {
        let path = self.base.join(application);
        remove(&path, DEEPEST);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let opened = File::open(&path)?;
        Ok((Group { path }, opened.into()))
    }

    /// A group by its path, if that is one of an agent of this name; groups of earlier lives may lie elsewhere.
    pub fn noted(&self, path: &str) -> Option<Group> {
        let path = PathBuf::from(path);
        // Its last part must be a name: `..` would be the group of everybody.
        let named = ApplicationName::new(path.file_name()?.to_str()?).is_ok();
        let plain = !path.iter().any(|part| part == "..");
        let inside = path.starts_with(&self.mount) && path.parent()?.file_name()? == self.base.file_name()?;
        let ours = named && plain && inside;
        (ours && path.is_dir()).then_some(Group { path })
    }

    /// The group that a process is in, if it is one of ours or lies below one: its application's name comes first.
    pub fn group_of(&self, pid: u32) -> Option<(String, Group)> {
        let path = proc::control_group(pid)?;
        let full = self.mount.join(path.trim_start_matches('/'));
        let inside = full.strip_prefix(&self.base).ok()?;
        let application = inside.iter().next()?.to_str()?.to_owned();
        let path = self.base.join(&application);
        Some((application, Group { path }))
    }

    /// All groups below this agent's, by application.
    pub fn groups(&self) -> io::Result<Vec<(String, Group)>> {
        let mut groups = Vec::new();
        for entry in fs::read_dir(&self.base)? {
            let entry = entry?;
            if entry.file_type()?.is_dir()
                && let Ok(name) = entry.file_name().into_string()
            {
                groups.push((name, Group { path: entry.path() }));
            }
        }
        groups.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(groups)
    }

    /// Removes the groups that nothing lives in, and the agent's own if none is left. What is in use stays.
    pub fn remove_empty(&self) {
        for (_, group) in self.groups().unwrap_or_default() {
            remove(&group.path, DEEPEST);
        }
        let _ = fs::remove_dir(&self.base);
    }
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

/// The group of one application.
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
        match fs::read_to_string(self.path.join("cgroup.events")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            Ok(events) => Ok(events.lines().any(|line| line == "populated 1")),
        }
    }

    /// The processes in it and below it; those that end meanwhile may be among them.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        collect(&self.path, DEEPEST, &mut found)?;
        Ok(found)
    }

    /// Kills everything in it at once; false if this kernel cannot (before 5.14).
    pub fn kill(&self) -> bool {
        fs::write(self.path.join("cgroup.kill"), "1").is_ok()
    }
}

fn collect(path: &Path, deeper: usize, found: &mut Vec<u32>) -> io::Result<()> {
    match fs::read_to_string(path.join("cgroup.procs")) {
        // Removed since it was listed: nothing lives there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
        Err(error) => return Err(error),
        Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
    }
    if deeper == 0 {
        return Ok(());
    }
    let Ok(entries) = fs::read_dir(path) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), deeper - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_may_be_anywhere() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n41 31 0:31 / /sys/fs/cgroup/unified rw,a shared:1 - cgroup2 none rw\n";
        assert_eq!(find_mount(mounts), Some(("/", PathBuf::from("/sys/fs/cgroup/unified"))));
        assert_eq!(find_mount("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"), None);
    }
}
