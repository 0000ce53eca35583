//! The guard as a process of this agent, and what it is given.
//!
//! Refuses to know when it kills. The law: it is started as quietly as an application: until its number is known it must not be
//! taken for an orphan of one, and from then on never.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use understudy_guard::guards::Grip;

use super::{Linux, Tree, proc};

/// What a guard needs to kill a tree.
pub fn grip(tree: &Tree) -> io::Result<Grip> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, "its main process was gone when it was found");
    let process = tree.main.as_ref().ok_or_else(gone)?.try_clone()?;
    Ok(Grip { process, group: tree.group.as_ref().map(|group| group.path().to_owned()) })
}

/// Starts one.
pub fn launch(platform: &Linux, command: &mut Command) -> io::Result<u32> {
    platform.children().begun += 1;
    let launched = command.spawn();
    if let Ok(child) = &launched {
        know(platform, child.id());
    }
    platform.children().done += 1;
    platform.reap_orphans();
    launched.map(|child| child.id())
}

/// One that lives is nobody's.
pub fn know(platform: &Linux, pid: u32) {
    let seen = proc::look(pid).map(|seen| (pid, seen.began));
    platform.children().guard = seen;
}

/// Whether a process is in another time namespace than this one. What cannot be read is taken for the same.
pub fn has_other_clock(pid: u32) -> bool {
    let namespace = |process: &str| {
        std::fs::metadata(format!("/proc/{process}/ns/time")).ok().map(|found| (found.dev(), found.ino()))
    };
    match (namespace(&pid.to_string()), namespace("self")) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_in_a_time_namespace_of_its_own_reads_another_clock() {
        let sleeper = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).args(["sleep", "1000"]).spawn()
        };
        let mut same = sleeper("env", &[]).unwrap();
        assert!(!has_other_clock(same.id()));
        same.kill().unwrap();
        same.wait().unwrap();
        let mut other = match sleeper("unshare", &["--time", "--boottime", "1000"]) {
            Ok(child) => child,
            Err(error) => {
                println!("skipped: unshare cannot be run ({error}), which makes time namespaces");
                return;
            }
        };
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !has_other_clock(other.id()) {
            if other.try_wait().unwrap().is_some() {
                println!("skipped: this user may make no time namespaces, or unshare knows none");
                return;
            }
            assert!(std::time::Instant::now() < limit, "it is never seen");
        }
        // unshare has a child in the namespace, which ends with it.
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
