//! What `/proc` says of processes.
//!
//! Refuses to know control groups and decisions. The laws: a process that vanishes while it is read is simply not
//! there, and whatever else keeps it from being read does not say that it is gone; what a program may choose, such as its
//! name, is bytes and need not be text.

use std::{fs, io};

use understudy_decide::agent::StartId;
use understudy_model::{AgentId, Incarnation};

/// The variable by which a process is found again where there is no control group.
pub const MARK: &str = "UNDERSTUDY_START";

/// A number and a moment: one process, also after its number was given to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Its number.
    pub pid: u32,
    /// When it began, in clock ticks since boot.
    pub began: u64,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// It runs no more: a zombie, or dead.
    pub ended: bool,
}

/// One process; nothing if it is gone, or cannot be read.
pub fn look(pid: u32) -> Option<Seen> {
    read(pid).ok().flatten()
}

/// One process; nothing if it is gone. An error says nothing of it: no descriptor may be left to read it with, or it is hidden
/// from this user.
pub fn read(pid: u32) -> io::Result<Option<Seen>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => match parse(pid, &stat) {
            None => Err(io::Error::new(io::ErrorKind::InvalidData, format!("cannot read /proc/{pid}/stat"))),
            seen => Ok(seen),
        },
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The process ended before its file was opened, or while that was read.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Whether a process that was listed by the system may be alive. Number 0 is one that has no number here.
pub fn may_live(pid: u32) -> bool {
    pid == 0 || read(pid).map_or(true, |seen| seen.is_some_and(|seen| !seen.ended))
}

fn parse(pid: u32, stat: &[u8]) -> Option<Seen> {
    // The name in parentheses may contain anything, also parentheses, spaces and what is no text.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // What is just being taken away has none any more: the kernel shows -1.
    let mut number = || match fields.next()? {
        "-1" => Some(0),
        number => number.parse().ok(),
    };
    let (group, session): (u32, u32) = (number()?, number()?);
    // `num_threads` is field 20 and `starttime` field 22; the session was field 6.
    let threads: u64 = fields.nth(13)?.parse().ok()?;
    let began = fields.nth(1)?.parse().ok()?;
    // A main thread that ended before the others is a zombie too, of a process that runs.
    let ended = matches!(state, "Z" | "X" | "x") && threads <= 1;
    Some(Seen { pid, began, parent, group, session, ended })
}

/// Every process that this user may see.
pub fn all() -> io::Result<Vec<Seen>> {
    let mut seen = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match read(pid) {
            Ok(found) => seen.extend(found),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}

/// The mark in the environment that a process was started with, and the name beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Which agent set it.
    pub agent: AgentId,
    /// For which start.
    pub start: StartId,
    /// `UNDERSTUDY_APPLICATION`.
    pub application: String,
}

/// The value of the mark.
pub fn mark_text(agent: AgentId, start: StartId) -> String {
    format!("{agent}.{}.{}", start.incarnation, start.number)
}

/// The mark of a process, if it has one and may be read.
pub fn mark(pid: u32) -> Option<Mark> {
    read_mark(&environment(pid)?)
}

/// The environment that a process was started with, if it may be read. While a program is being loaded it is empty
/// for a moment; of a program that was given none, for ever.
pub fn environment(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

/// The mark in an environment.
pub fn read_mark(environment: &[u8]) -> Option<Mark> {
    let value = |name: &str| {
        environment.split(|&byte| byte == 0).find_map(|variable| {
            std::str::from_utf8(variable).ok()?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
        })
    };
    let text = value(MARK)?;
    let mut parts = text.split('.');
    let agent = AgentId(u128::from_str_radix(parts.next()?, 16).ok()?);
    let incarnation = Incarnation(u128::from_str_radix(parts.next()?, 16).ok()?);
    let number = parts.next()?.parse().ok()?;
    if parts.next().is_some() {
        return None;
    }
    let start = StartId { incarnation, number };
    Some(Mark { agent, start, application: value("UNDERSTUDY_APPLICATION")? })
}

/// The user that a process was started as; a program with rights of its own file's user does not change it.
pub fn user(pid: u32) -> Option<u32> {
    // Its name is in there too.
    read_user(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/status")).ok()?))
}

fn read_user(status: &str) -> Option<u32> {
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().next()?.parse().ok()
}

/// The path of its control group in the unified hierarchy, from the root of that hierarchy. Whoever may make groups may
/// call them anything but two lines.
pub fn control_group(pid: u32) -> Option<Vec<u8>> {
    let groups = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    groups.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::")).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_just_being_taken_away_has_ended() {
        let stat = b"16801 (sleep) X 0 -1 -1 0 -1 4228108 0 0 0 0 0 0 0 0 20 0 0 0 4711 0 0";
        let seen = parse(16801, stat).unwrap();
        assert!(seen.ended && seen.group == 0 && seen.session == 0, "{seen:?}");
    }

    #[test]
    fn a_name_may_contain_anything() {
        let stat = b"7 (a) R 1) S 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 5 6";
        let seen = parse(7, stat).unwrap();
        assert_eq!((seen.parent, seen.group, seen.session, seen.began, seen.ended), (1, 2, 3, 4711, false));
        let cut = b"7 (a\xc3) S 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 5 6";
        assert_eq!(parse(7, cut), Some(seen));
        assert!(parse(7, b"7 (a) Z 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 5").unwrap().ended);
        assert_eq!(parse(7, b"7 (a) S 1"), None);
    }

    #[test]
    fn a_process_that_lost_only_its_main_thread_has_not_ended() {
        let stat = |threads: u32| format!("7 (a) Z 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 4711 5 6");
        let parse = |pid, stat: &str| parse(pid, stat.as_bytes());
        assert!(!parse(7, &stat(2)).unwrap().ended);
        // The last one, or none any more: only its parent has not asked yet.
        assert!(parse(7, &stat(1)).unwrap().ended && parse(7, &stat(0)).unwrap().ended);
    }

    #[test]
    fn we_see_ourselves() {
        let own = std::process::id();
        assert!(all().unwrap().iter().any(|seen| seen.pid == own && !seen.ended));
        assert_eq!(user(own), Some(rustix::process::getuid().as_raw()));
    }

    #[test]
    fn what_is_gone_is_told_from_what_cannot_be_read() {
        // Numbers end far below.
        assert!(matches!(read(u32::MAX), Ok(None)) && !may_live(u32::MAX));
        assert!(may_live(std::process::id()));
        // One that lives where its number is not seen.
        assert!(may_live(0));
        assert!(is_gone(&io::Error::from_raw_os_error(libc::ESRCH)));
        assert!(!is_gone(&io::Error::from_raw_os_error(libc::EMFILE)));
    }

    #[test]
    fn the_user_of_a_process_is_who_started_it() {
        assert_eq!(read_user("Name:\tsudo\nUid:\t1000\t0\t0\t0\nGid:\t5\t0\t0\t0\n"), Some(1000));
        assert_eq!(read_user("Name:\tx\n"), None);
    }

    #[test]
    fn a_mark_is_read_whole_or_not_at_all() {
        let start = StartId { incarnation: Incarnation(7), number: 3 };
        let text = mark_text(AgentId(5), start);
        let environment = format!("A=B\0{MARK}={text}\0UNDERSTUDY_APPLICATION=t-1\0");
        let mark = read_mark(environment.as_bytes()).unwrap();
        assert_eq!((mark.agent, mark.start, mark.application.as_str()), (AgentId(5), start, "t-1"));
        for bad in ["X=1", "UNDERSTUDY_START=5.7", "UNDERSTUDY_START=5.7.3.1", "UNDERSTUDY_START=5.x.3"] {
            assert_eq!(read_mark(format!("{bad}\0UNDERSTUDY_APPLICATION=t\0").as_bytes()), None, "{bad}");
        }
    }
}
