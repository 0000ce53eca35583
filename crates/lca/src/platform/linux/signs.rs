//! What can be seen of a process from outside: whether it is stopped, and what it was doing when it hung.
//!
//! Refuses to judge. The law: looking changes nothing, reads little, and what cannot be read is said to be so.

use std::fmt::Write;
use std::fs;
use std::io::Read;

use super::Tree;
use super::{pidfd, proc};

/// Threads of which something is kept.
const MOST_THREADS: usize = 64;
/// Longest file of `/proc` that is read, in bytes.
const LONGEST_FILE_BYTES: u64 = 4096;
/// Enough of a process's `stat` for its number, name and state, read in one call: this is looked at several times a second.
const STAT_BYTES: usize = 512;

/// Whether its main process is stopped by a signal; one that a debugger holds is not. `None`: it is not there.
pub fn is_stopped(tree: &Tree) -> Option<bool> {
    if let (true, Some(main)) = (tree.child, &tree.main)
        && let Ok(stopped) = pidfd::child_is_stopped(main)
    {
        return Some(stopped);
    }
    let mut stat = [0; STAT_BYTES];
    let read = fs::File::open(format!("/proc/{}/stat", tree.number?)).ok()?.read(&mut stat).ok()?;
    says_stopped(stat.get(..read)?)
}

/// The state behind the name, which may itself hold brackets.
fn says_stopped(stat: &[u8]) -> Option<bool> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    Some(*stat[after_name..].trim_ascii_start().first()? == b'T')
}

/// What a process was doing: a summary of one line, and everything.
pub fn evidence(tree: &Tree) -> (String, String) {
    let Some(pid) = tree.number else { return ("its main process is gone".to_owned(), String::new()) };
    if proc::look(pid).is_none_or(|seen| seen.began != tree.began) {
        return ("its main process is gone".to_owned(), String::new());
    }
    let at = format!("/proc/{pid}");
    let waits = shown(&format!("{at}/wchan"));
    let call = shown(&format!("{at}/syscall"));
    let status = read(&format!("{at}/status")).unwrap_or_default();
    let state = field(&status, "State:");
    let threads = field(&status, "Threads:");
    let summary = format!("process {pid} {state}, {threads} threads, waits in {waits}, system call {call}");
    let mut all = format!("{summary}\n\nstatus:\n{status}\nstack:\n{}\n", shown(&format!("{at}/stack")));
    let mut ids: Vec<u32> = fs::read_dir(format!("{at}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    ids.sort_unstable();
    for id in ids.into_iter().take(MOST_THREADS) {
        let task = format!("{at}/task/{id}");
        let name = shown(&format!("{task}/comm"));
        let waits = shown(&format!("{task}/wchan"));
        let call = shown(&format!("{task}/syscall"));
        // Writing to a text cannot fail.
        let _ = writeln!(all, "thread {id} {name}: waits in {waits}, system call {call}");
        let _ = writeln!(all, "{}", shown(&format!("{task}/stack")));
    }
    (summary, all)
}

fn field<'t>(status: &'t str, name: &str) -> &'t str {
    status.lines().find_map(|line| line.strip_prefix(name)).map_or("?", str::trim)
}

/// A file's text without its last line end, or why there is none.
fn shown(path: &str) -> String {
    match fs::File::open(path).and_then(|file| {
        let mut text = String::new();
        file.take(LONGEST_FILE_BYTES).read_to_string(&mut text).map(|_| text)
    }) {
        Ok(text) => text.trim_end().to_owned(),
        Err(error) => format!("({error})"),
    }
}

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(LONGEST_FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::says_stopped;

    #[test]
    fn the_state_is_found_behind_any_name() {
        for (stat, stopped) in [
            ("7 (a) T 1 7", Some(true)),
            ("7 (a) S 1 7", Some(false)),
            ("7 (a) t 1 7", Some(false)),
            ("7 (a) T b) S 1 7", Some(false)),
            ("7 (a) S b) T 1 7", Some(true)),
            ("7 (a) ", None),
            ("7 (a", None),
            ("", None),
        ] {
            assert_eq!(says_stopped(stat.as_bytes()), stopped, "{stat}");
        }
    }
}
