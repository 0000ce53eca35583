//! What the kernel says of a control group: who is listed in it and below it, and whether it counts anything there.
//!
//! It kills nothing and knows no starts. The laws: a list is no moment, as one that is on it may end after it has made another;
//! and what cannot be read is not known to be empty.

use std::path::Path;
use std::{fs, io};

/// Deepest nesting of control groups that an application may make below its own and still be seen whole.
pub const DEEPEST: usize = 8;

/// Adds the processes in a group and below it; those that end meanwhile may be among them. What is gone holds none. An error says
/// that some may be missing: those that could be listed are there all the same.
pub fn list(path: &Path, found: &mut Vec<u32>) -> io::Result<()> {
    collect(path, DEEPEST, found)
}

/// Whether the kernel counts anything in it or below it. Nothing does in one that is gone.
pub fn populated(path: &Path) -> io::Result<bool> {
    match fs::read(path.join("cgroup.events")) {
        Ok(events) => Ok(events.split(|byte| *byte == b'\n').any(|line| line == b"populated 1")),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn collect(path: &Path, deeper: usize, found: &mut Vec<u32>) -> io::Result<()> {
    match fs::read_to_string(path.join("cgroup.procs")) {
        Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok())),
        Err(error) if is_gone(&error) => return Ok(()),
        // A threaded one: its processes are listed by the group that it is part of.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
        Err(error) => return Err(error),
    }
    if deeper == 0 {
        return Ok(());
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut all = Ok(());
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // One that cannot be read hides none of the others.
            all = all.and(collect(&entry.path(), deeper - 1, found));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(parent: &Path, name: &str, listed: &str, populated: u8) -> std::path::PathBuf {
        let path = parent.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("cgroup.procs"), listed).unwrap();
        fs::write(path.join("cgroup.events"), format!("populated {populated}\nfrozen 0\n")).unwrap();
        path
    }

    #[test]
    fn all_that_is_listed_is_found_and_what_is_counted_is_not_taken_for_gone() {
        let place = tempfile::tempdir().unwrap();
        let outer = group(place.path(), "a", "7\n8\n", 1);
        group(&outer, "below", "9\n", 1);
        let mut found = Vec::new();
        list(&outer, &mut found).unwrap();
        assert_eq!((found, populated(&outer).unwrap()), (vec![7, 8, 9], true));
        let counted = group(place.path(), "b", "", 1);
        assert!(populated(&counted).unwrap(), "listed is nobody, and somebody is there");
        assert!(!populated(&group(place.path(), "c", "", 0)).unwrap());
    }

    #[test]
    fn what_is_gone_holds_nobody_and_what_cannot_be_read_is_an_error_that_hides_none_of_the_others() {
        let place = tempfile::tempdir().unwrap();
        let (mut found, gone) = (Vec::new(), place.path().join("gone"));
        list(&gone, &mut found).unwrap();
        assert!(found.is_empty() && !populated(&gone).unwrap());
        let outer = group(place.path(), "a", "7\n", 1);
        let broken = group(&outer, "0", "", 1);
        group(&outer, "1", "9\n", 1);
        // A directory in the place of a file: no user may read that, root neither.
        fs::remove_file(broken.join("cgroup.procs")).unwrap();
        fs::create_dir(broken.join("cgroup.procs")).unwrap();
        fs::remove_file(broken.join("cgroup.events")).unwrap();
        fs::create_dir(broken.join("cgroup.events")).unwrap();
        assert!(list(&outer, &mut found).is_err() && populated(&broken).is_err());
        assert_eq!(found, [7, 9]);
    }
}
