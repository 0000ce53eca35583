//! Users and groups of this system, found through its own name services.
//!
//! Refuses to know what an account may do here. The law: everything is asked before a process is made, on a thread that
//! may wait (a directory server may be asked); what comes out is plain numbers.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;

use libc::{c_char, c_int, gid_t};

/// Longest entry of a list of accounts, in bytes.
const LONGEST_ENTRY_BYTES: usize = 1 << 20;
/// Most groups of one user that are taken; the system's own limit.
const MOST_GROUPS: usize = 65_536;

/// Whose rights a process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user's name, or its number if it has none.
    pub name: String,
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// All groups; nothing but its own if nothing was asked for.
    pub groups: Vec<u32>,
    /// Groups that were asked for although the system does not give them to this user, as asked and by number.
    pub beyond: Vec<(String, u32)>,
    /// Home directory.
    pub home: Option<String>,
    /// The user was asked for by name, and is not just the agent's own.
    pub named: bool,
    /// Whether anything was asked for; if not, a process keeps what the agent has.
    pub asked: bool,
}

/// Why there is no such account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The system does not know the user.
    #[error("this host has no user {0:?}")]
    NoUser(String),
    /// The system does not know the group.
    #[error("this host has no group {0:?}")]
    NoGroup(String),
    /// A number without an entry has no group of its own.
    #[error("user {0} has no entry on this host, and so no group: set `group`")]
    NoOwnGroup(u32),
    /// It could not be asked.
    #[error("cannot look up {0:?} among this host's accounts: {1}")]
    Search(String, #[source] io::Error),
}

/// One line of the list of users.
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

/// The account that settings ask for. May take as long as the system's name services take.
pub fn find(user: Option<&str>, group: Option<&str>, groups: &[String]) -> Result<Account, AccountError> {
    let own = rustix::process::geteuid().as_raw();
    let (entry, uid) = match user {
        Some(name) => find_user(name)?,
        None => (user_by_number(own).map_err(|error| AccountError::Search(own.to_string(), error))?, own),
    };
    let gid = match (group, &entry, user) {
        (Some(group), _, _) => find_group(group)?,
        (None, _, None) => rustix::process::getegid().as_raw(),
        (None, Some(entry), Some(_)) => entry.gid,
        (None, None, Some(_)) => return Err(AccountError::NoOwnGroup(uid)),
    };
    let asked = user.is_some() || group.is_some() || !groups.is_empty();
    // What the system gives to this user, which is what nobody needs to permit. It is not looked up for nothing: that
    // loads every name service of this host into the agent.
    let given = match &entry {
        Some(entry) if asked => groups_of(&entry.name, entry.gid)
            .map_err(|error| AccountError::Search(entry.name.clone(), error))?,
        Some(_) | None => Vec::new(),
    };
    let mut beyond = Vec::new();
    if let Some(group) = group.filter(|_| !given.contains(&gid)) {
        beyond.push((group.to_owned(), gid));
    }
    let mut all = Vec::new();
    for name in groups {
        let number = find_group(name)?;
        if !given.contains(&number) {
            beyond.push((name.clone(), number));
        }
        all.push(number);
    }
    if groups.is_empty() {
        all = given;
    }
    all.push(gid);
    all.sort_unstable();
    all.dedup();
    let name = entry.as_ref().map_or_else(|| uid.to_string(), |entry| entry.name.clone());
    let home = entry.map(|entry| entry.home).filter(|home| home.starts_with('/'));
    Ok(Account { name, uid, gid, groups: all, beyond, home, named: user.is_some(), asked })
}

fn find_user(name: &str) -> Result<(Option<User>, u32), AccountError> {
    let failed = |error| AccountError::Search(name.to_owned(), error);
    if let Some(user) = user_by_name(name).map_err(failed)? {
        let uid = user.uid;
        return Ok((Some(user), uid));
    }
    let uid = number(name).ok_or_else(|| AccountError::NoUser(name.to_owned()))?;
    Ok((user_by_number(uid).map_err(failed)?, uid))
}

fn find_group(name: &str) -> Result<u32, AccountError> {
    let found = group_by_name(name).map_err(|error| AccountError::Search(name.to_owned(), error))?;
    found.or_else(|| number(name)).ok_or_else(|| AccountError::NoGroup(name.to_owned()))
}

/// The highest number means "unchanged" to the system, so that it is nobody's.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != u32::MAX)
}

fn user_by_name(name: &str) -> io::Result<Option<User>> {
    let name = CString::new(name)?;
    with_buffer(|buffer| {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: the name ends with a zero; entry and buffer are writable and outlive the call; the length is the
        // buffer's own.
        let code = unsafe {
            libc::getpwnam_r(name.as_ptr(), entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut found)
        };
        // SAFETY: `found` is null, or points to `entry`, whose texts lie in `buffer`.
        (code, unsafe { read_user(found) })
    })
}

fn user_by_number(uid: u32) -> io::Result<Option<User>> {
    with_buffer(|buffer| {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: entry and buffer are writable and outlive the call; the length is the buffer's own.
        let code = unsafe {
            libc::getpwuid_r(uid, entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut found)
        };
        // SAFETY: `found` is null, or points to `entry`, whose texts lie in `buffer`.
        (code, unsafe { read_user(found) })
    })
}

fn group_by_name(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    with_buffer(|buffer| {
        let mut entry = MaybeUninit::<libc::group>::uninit();
        let mut found: *mut libc::group = std::ptr::null_mut();
        // SAFETY: as for users.
        let code = unsafe {
            libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut found)
        };
        // SAFETY: `found` is null, or points to `entry`.
        (code, unsafe { found.as_ref() }.map(|group| group.gr_gid))
    })
}

/// Copies an entry out of its buffer.
///
/// # Safety
/// `found` must be null, or point to an entry whose texts are whole.
unsafe fn read_user(found: *const libc::passwd) -> Option<User> {
    // SAFETY: promised by the caller.
    let entry = unsafe { found.as_ref() }?;
    let text = |text: *const c_char| {
        if text.is_null() {
            return String::new();
        }
        // SAFETY: a text of an entry ends with a zero.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    Some(User { name: text(entry.pw_name), uid: entry.pw_uid, gid: entry.pw_gid, home: text(entry.pw_dir) })
}

/// Asks again with more room as long as there was too little.
fn with_buffer<T>(mut ask: impl FnMut(&mut [c_char]) -> (c_int, Option<T>)) -> io::Result<Option<T>> {
    let mut bytes = 1024;
    loop {
        let mut buffer: Vec<c_char> = vec![0; bytes];
        match ask(&mut buffer) {
            (libc::ERANGE, _) if bytes < LONGEST_ENTRY_BYTES => bytes *= 4,
            (libc::EINTR, _) => {}
            // How systems say that there is no such entry.
            (0 | libc::ENOENT | libc::ESRCH, found) => return Ok(found),
            (code, _) => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// All groups that the system gives to a user.
fn groups_of(name: &str, gid: u32) -> io::Result<Vec<u32>> {
    let name = CString::new(name)?;
    let mut room = 64;
    loop {
        let mut groups: Vec<gid_t> = vec![0; room];
        let mut count = c_int::try_from(room).unwrap_or(c_int::MAX);
        // SAFETY: the name ends with a zero; the list has room for `count` numbers, and both outlive the call.
        let answer = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        if answer >= 0 {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return Ok(groups);
        }
        if room >= MOST_GROUPS {
            return Err(io::Error::other(format!("more than {MOST_GROUPS} groups")));
        }
        room *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_number_and_strangers_are_named() {
        let root = find(Some("root"), None, &[]).unwrap();
        assert_eq!((root.name.as_str(), root.uid, root.gid, root.named), ("root", 0, 0, true));
        assert!(root.beyond.is_empty() && root.groups.contains(&0));
        let number = find(Some("0"), None, &[]).unwrap();
        assert_eq!((number.name.as_str(), number.home), ("root", root.home));
        let nobody = find(Some("nobody"), Some("0"), &["root".to_owned()]).unwrap();
        assert_eq!((nobody.gid, nobody.groups.as_slice()), (0, [0].as_slice()));
        assert_eq!(nobody.beyond, [("0".to_owned(), 0), ("root".to_owned(), 0)], "nobody is not in it");
        let lone = find(Some("3999999"), Some("3999998"), &[]).unwrap();
        assert_eq!(
            (lone.name.as_str(), lone.uid, lone.groups.as_slice()),
            ("3999999", 3_999_999, [3_999_998].as_slice())
        );
        let text = |user, group| find(Some(user), group, &[]).unwrap_err().to_string();
        assert!(text("no such user", None).contains("no user \"no such user\""));
        assert!(text("root", Some("no such group")).contains("no group"));
        assert!(text("3999999", None).contains("set `group`"));
        assert!(text("4294967295", None).contains("no user"), "it means \"unchanged\" to the system");
    }

    #[test]
    fn nothing_asked_is_the_agents_own() {
        let own = find(None, None, &[]).unwrap();
        assert_eq!(own.uid, rustix::process::geteuid().as_raw());
        assert!(!own.asked && !own.named && own.beyond.is_empty());
    }
}
