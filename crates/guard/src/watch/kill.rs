//! How a start is killed: by its process descriptor and, all of it, by its control group.
//!
//! Refuses to know when. The law: a number that may have been given to another process is nobody's. Only these are signalled:
//! the process of the descriptor; what lies in the control group that bears the name of this start; without a group, what
//! carries the mark of this start, and what is in the session of its main process as long as that proves whose it is.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use understudy_model::ApplicationName;

use crate::Start;
use crate::group;
use crate::message::Refusal;
use crate::socket::is_readable;

/// What is to be killed.
pub(super) struct Prey {
    start: Start,
    main: OwnedFd,
    group: Option<Group>,
}

struct Group {
    path: PathBuf,
    /// Kills everything in it at once; none before Linux 5.14, and in hierarchies of the first version.
    kill: Option<File>,
}

impl Prey {
    /// Looks whether this may be killed, and opens what is needed for it.
    pub(super) fn new(
        start: Start,
        application: &ApplicationName,
        main: OwnedFd,
        group: Option<PathBuf>,
    ) -> Result<Self, Refusal> {
        match Numbered::of(&main) {
            Numbered::Not => return Err(Refusal::NoProcess),
            Numbered::Lives(pid) if pid == 1 || pid == std::process::id() => return Err(Refusal::NoProcess),
            Numbered::Lives(_) | Numbered::Gone => {}
        }
        let group = match group {
            Some(path) if !start.owns_group(application, &path) => return Err(Refusal::Group),
            Some(path) => Group::open(path).map_err(|_| Refusal::Group)?,
            None => None,
        };
        Ok(Self { start, main, group })
    }

    /// The first blow: its main process, which is the one that acts. Nothing is searched, as a guard goes before those that have
    /// to end now.
    pub(super) fn strike(&self) {
        // One that is gone is no error.
        let _ = pidfd_send_signal(&self.main, Signal::KILL);
    }

    /// The second: all of its group where that is one write, which may wait for other changes of groups.
    pub(super) fn strike_group(&self) {
        if let Some(Group { kill: Some(kill), .. }) = &self.group {
            // If this fails, `kill` tries again, and searches.
            let _ = { kill }.write_all(b"1");
        }
    }

    /// Kills whatever of it can be found. True if nothing of it was alive any more.
    pub(super) fn kill(&self) -> bool {
        let _ = pidfd_send_signal(&self.main, Signal::KILL);
        let others_gone = match &self.group {
            Some(group) => group.kill(),
            // A search is no moment: a process may slip past one.
            None => self.kill_found() && self.kill_found(),
        };
        others_gone && is_readable(&self.main)
    }

    /// Without a group: what is proven to be its own.
    fn kill_found(&self) -> bool {
        let mark = format!("{}={}", Start::MARK, self.start);
        // As long as its descriptor has a number, that is its own and nobody else's, and so is the session that it leads.
        let session = match Numbered::of(&self.main) {
            Numbered::Lives(pid) => {
                let session = look(pid).ok().flatten().map(|seen| seen.session);
                session.filter(|session| *session == pid)
            }
            Numbered::Gone | Numbered::Not => None,
        };
        let Ok(entries) = fs::read_dir("/proc") else { return false };
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let own = std::process::id();
        let (mut found_none, mut others) = (true, Vec::new());
        // First those that need no look into their memory, which may have to be waited for.
        for pid in numbers.filter(|pid| *pid != 1 && *pid != own) {
            match look(pid) {
                Ok(Some(seen)) if seen.ended => {}
                Ok(Some(seen)) if Some(seen.session) == session => {
                    found_none = false;
                    kill_seen(pid, seen);
                }
                Ok(Some(seen)) => others.push((pid, seen)),
                // Another user's, hidden from this one: it could not be killed either.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(_) => found_none = false,
                Ok(None) => {}
            }
        }
        for (pid, seen) in others {
            if carries(pid, &mark) {
                found_none = false;
                kill_seen(pid, seen);
            }
        }
        found_none
    }
}

impl Group {
    /// Opens it; nothing if there is none any more, as nothing lives in it then.
    fn open(path: PathBuf) -> io::Result<Option<Self>> {
        if !path.join("cgroup.procs").exists() {
            return if path.exists() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(None) };
        }
        match File::options().write(true).open(path.join("cgroup.kill")) {
            Ok(kill) => Ok(Some(Self { path, kill: Some(kill) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Self { path, kill: None })),
            Err(error) => Err(error),
        }
    }

    /// Kills everything in it. True if nothing was in it.
    fn kill(&self) -> bool {
        let all_at_once = self.kill.as_ref().is_some_and(|mut kill| kill.write_all(b"1").is_ok());
        let mut living = Vec::new();
        let all_listed = group::list(&self.path, &mut living).is_ok();
        living.retain(|pid| may_live(*pid));
        if !all_at_once {
            for pid in &living {
                self.kill_member(*pid);
            }
        }
        // A list is no moment: the kernel's count is asked as well.
        all_listed && living.is_empty() && group::populated(&self.path).is_ok_and(|populated| !populated)
    }

    /// By number, but only the one that is in this group while its descriptor is open.
    fn kill_member(&self, pid: u32) {
        let Some(descriptor) = open(pid) else { return };
        let mut now = Vec::new();
        // What could not be listed is not known to be in it.
        let _ = group::list(&self.path, &mut now);
        // Listed, and not ended: so the number was its own all the time.
        if pid != 1 && pid != std::process::id() && now.contains(&pid) && !is_readable(&descriptor) {
            let _ = pidfd_send_signal(&descriptor, Signal::KILL);
        }
    }
}

/// What the kernel says of a descriptor.
#[derive(Debug, PartialEq, Eq)]
enum Numbered {
    /// Of a process with this number, which is its own until it was waited for.
    Lives(u32),
    /// Of a process that is gone.
    Gone,
    /// Of no process.
    Not,
}

impl Numbered {
    fn of(descriptor: &OwnedFd) -> Self {
        let path = format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd());
        let Ok(text) = fs::read_to_string(path) else { return Numbered::Not };
        match text.lines().find_map(|line| line.strip_prefix("Pid:")) {
            None => Numbered::Not,
            Some(number) => match number.trim().parse::<u32>() {
                Ok(pid) if pid > 0 => Numbered::Lives(pid),
                _ => Numbered::Gone,
            },
        }
    }
}

/// A process as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    session: u32,
    /// In clock ticks since boot: another process with this number began at another time.
    began: u64,
    /// It runs no more.
    ended: bool,
}

/// One process; nothing if it is gone. An error says nothing of it: no descriptor may be left to read it with.
fn look(pid: u32) -> io::Result<Option<Seen>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => parse(&stat).ok_or(io::ErrorKind::InvalidData.into()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a process that was listed may be alive. Number 0 is one that has no number here.
fn may_live(pid: u32) -> bool {
    pid == 0 || look(pid).map_or(true, |seen| seen.is_some_and(|seen| !seen.ended))
}

fn parse(stat: &[u8]) -> Option<Seen> {
    // The name in parentheses may contain anything, also parentheses, spaces and what is no text.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let session = fields.nth(2)?;
    // `num_threads` is field 20 and `starttime` field 22; the session was field 6.
    let threads: u64 = fields.nth(13)?.parse().ok()?;
    let began = fields.nth(1)?.parse().ok()?;
    // A main thread that ended before the others is a zombie too, of a process that runs.
    let ended = matches!(state, "Z" | "X" | "x") && threads <= 1;
    if session == "-1" {
        // What is just being taken away has none any more.
        return Some(Seen { session: 0, began, ended: true });
    }
    Some(Seen { session: session.parse().ok()?, began, ended })
}

fn carries(pid: u32, mark: &str) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Signals a process if it still is the one that was seen.
fn kill_seen(pid: u32, seen: Seen) {
    let Some(descriptor) = open(pid) else { return };
    if look(pid).is_ok_and(|again| again.is_some_and(|again| again.began == seen.began)) {
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_says_whose_it_is() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let descriptor = open(child.id()).unwrap();
        assert_eq!(Numbered::of(&descriptor), Numbered::Lives(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Numbered::of(&descriptor), Numbered::Gone);
        assert_eq!(Numbered::of(&File::open("/dev/null").unwrap().into()), Numbered::Not);
    }

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = b"7 (a) R 1) S 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 5 6";
        assert_eq!(parse(stat), Some(Seen { session: 3, began: 4711, ended: false }));
        let cut = b"7 (a\xc3) S 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 5 6";
        assert_eq!(parse(cut), parse(stat));
        assert!(parse(b"7 (a) Z 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 5").unwrap().ended);
        assert_eq!(parse(b"7 (a) S 1"), None);
        let taken_away = b"7 (a) X 0 -1 -1 0 -1 0 0 0 0 0 0 0 0 0 20 0 0 0 4711 0 0";
        assert_eq!(parse(taken_away), Some(Seen { session: 0, began: 4711, ended: true }));
    }

    /// The list of a group was empty, and the kernel counts somebody: it is not told as gone.
    #[test]
    fn a_group_in_which_nobody_is_listed_and_somebody_is_counted_is_not_gone() {
        let place = tempfile::tempdir().unwrap();
        for (file, text) in [("cgroup.procs", ""), ("cgroup.kill", ""), ("cgroup.events", "populated 1\n")] {
            fs::write(place.path().join(file), text).unwrap();
        }
        let group = Group::open(place.path().to_owned()).unwrap().unwrap();
        assert!(!group.kill());
        fs::write(place.path().join("cgroup.events"), "populated 0\n").unwrap();
        assert!(group.kill());
    }

    #[test]
    fn what_was_seen_and_is_another_now_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let seen = look(child.id()).unwrap().unwrap();
        kill_seen(child.id(), Seen { began: seen.began + 1, ..seen });
        assert!(child.try_wait().unwrap().is_none());
        kill_seen(child.id(), seen);
        assert!(!child.wait().unwrap().success());
    }
}
