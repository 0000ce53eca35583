//! What can be seen of a process from outside: whether it is stopped, and what it was doing when it hung.
//!
//! Refuses to judge. The law: looking changes nothing, reads little, and what cannot be read is said to be so.

use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::Tree;
use super::{pidfd, proc};
use crate::platform::Evidence;

/// Threads of which something is kept.
const MOST_THREADS: usize = 64;
/// A thread that can run is looked at again after no less than this.
const LOOK_TWICE: Duration = Duration::from_millis(8);
/// What a thread ran is counted at each tick of its core. Two looks lie so much further apart than two ticks.
const BEYOND_TICK: Duration = Duration::from_millis(2);
/// And at most so far: no system ticks more rarely than a hundred times a second.
const LONGEST_WAIT: Duration = Duration::from_millis(15);
/// The cores that do not tick while one thread has them to itself, as a list; none on most systems.
const WITHOUT_TICKS: &str = "/sys/devices/system/cpu/nohz_full";
/// Where the core that a thread is on stands behind its name in its `stat`: field 39, and the state there is field 3.
const CORE: usize = 36;
/// Threads are read for so long; more of them are left out. Whoever asked waits no longer than for 25 ms.
const READ_WITHIN: Duration = Duration::from_millis(10);
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

/// What a process was doing.
pub fn evidence(tree: &Tree) -> Evidence {
    let gone = || Evidence {
        summary: "its main process is gone".to_owned(),
        all: String::new(),
        waits_for_core: false,
    };
    let Some(pid) = tree.number else { return gone() };
    if proc::look(pid).is_none_or(|seen| seen.began != tree.began) {
        return gone();
    }
    let at = format!("/proc/{pid}");
    let mut ids: Vec<u32> = fs::read_dir(format!("{at}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    ids.sort_unstable();
    ids.truncate(MOST_THREADS);
    let tickless = read(WITHOUT_TICKS).unwrap_or_default();
    let ready: Vec<(u32, Ran)> =
        ids.iter().filter_map(|id| Some((*id, ready(&at, *id, &tickless)?))).collect();
    // Between the two looks everything else is read.
    let looked = Instant::now();
    let waits = shown(&format!("{at}/wchan"));
    let call = shown(&format!("{at}/syscall"));
    let status = read(&format!("{at}/status")).unwrap_or_default();
    let state = field(&status, "State:");
    let threads = field(&status, "Threads:");
    let mut summary =
        format!("process {pid} {state}, {threads} threads, waits in {waits}, system call {call}");
    let stack = shown(&format!("{at}/stack"));
    let mut each = String::new();
    for (number, id) in ids.iter().enumerate() {
        if looked.elapsed() >= READ_WITHIN {
            let _ = writeln!(each, "{} more threads were left out: reading took long", ids.len() - number);
            break;
        }
        let task = format!("{at}/task/{id}");
        let name = shown(&format!("{task}/comm"));
        let waits = shown(&format!("{task}/wchan"));
        let call = shown(&format!("{task}/syscall"));
        // Writing to a text cannot fail, here and below.
        let _ = writeln!(each, "thread {id} {name}: waits in {waits}, system call {call}");
        let _ = writeln!(each, "{}", shown(&format!("{task}/stack")));
    }
    if !ready.is_empty() {
        std::thread::sleep(between_looks(tick()).saturating_sub(looked.elapsed()));
    }
    let starving = ready.into_iter().find(|(id, ran)| ready_still(&at, *id, &tickless, ran));
    if let Some((id, _)) = &starving {
        let _ = write!(summary, "; thread {id} waits for a core");
    }
    let all = format!("{summary}\n\nstatus:\n{status}\nstack:\n{stack}\n{each}");
    Evidence { summary, all, waits_for_core: starving.is_some() }
}

/// How long a thread has run, and how often it was given a core.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ran {
    nanoseconds: u64,
    times: u64,
}

/// From one tick to the next: the clock that is read at ticks only says how finely it reads.
fn tick() -> Duration {
    let tick = rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse);
    // Neither is ever negative; what cannot be is as good as none.
    Duration::new(tick.tv_sec.try_into().unwrap_or(0), tick.tv_nsec.try_into().unwrap_or(0))
}

/// How long after the first look the second one is taken, so that one that runs was counted in between.
fn between_looks(tick: Duration) -> Duration {
    (tick + BEYOND_TICK).clamp(LOOK_TWICE, LONGEST_WAIT)
}

/// What a thread has had of the cores, if it could run now. Nothing where the system does not count that: not at all, or not
/// while it runs there.
fn ready(at: &str, id: u32, tickless: &str) -> Option<Ran> {
    let stat = read(&format!("{at}/task/{id}/stat"))?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    let core: u32 = fields.nth(CORE - 1)?.parse().ok()?;
    let counted = read(&format!("{at}/task/{id}/schedstat"))?;
    let mut figures = counted.split_ascii_whitespace().map(str::parse::<u64>);
    let (nanoseconds, _, times) = (figures.next()?.ok()?, figures.next()?.ok()?, figures.next()?.ok()?);
    (state == "R" && times > 0 && !lists(tickless, core)).then_some(Ran { nanoseconds, times })
}

/// Whether a list of cores, such as `1-3,7`, has one. What is no list, such as `(null)`, has none.
fn lists(cores: &str, core: u32) -> bool {
    cores.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((first.parse::<u32>(), last.parse::<u32>()), (Ok(first), Ok(last)) if (first..=last).contains(&core))
    })
}

fn ready_still(at: &str, id: u32, tickless: &str, before: &Ran) -> bool {
    ready(at, id, tickless).is_some_and(|after| after == *before)
}

fn field<'t>(status: &'t str, name: &str) -> &'t str {
    status.lines().find_map(|line| line.strip_prefix(name)).map_or("?", str::trim)
}

/// A file's text without its last line end, or why there is none.
fn shown(path: &str) -> String {
    match text_of(path) {
        Ok(text) => text.trim_end().to_owned(),
        Err(error) => format!("({error})"),
    }
}

fn read(path: &str) -> Option<String> {
    text_of(path).ok()
}

/// Names of threads and programs are among it, which need not be text.
fn text_of(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    /// Whether any thread of this test was seen to wait for a core, looked at until `wanted` was seen, for at most ten seconds.
    fn sees(id: u32, wanted: bool) -> bool {
        let at = format!("/proc/{}", std::process::id());
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            let before = ready(&at, id, "");
            std::thread::sleep(between_looks(tick()));
            if before.is_some_and(|before| ready_still(&at, id, "", &before)) == wanted {
                return true;
            }
        }
        false
    }

    #[test]
    fn who_waits_for_a_core_is_told_from_who_runs() {
        let over = Arc::new(AtomicBool::new(false));
        let (told, ids) = std::sync::mpsc::channel();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (over, told) = (Arc::clone(&over), told.clone());
                std::thread::spawn(move || {
                    let id: u32 = fs::read_link("/proc/thread-self")
                        .ok()
                        .and_then(|link| link.file_name()?.to_str()?.parse().ok())
                        .unwrap();
                    told.send(id).unwrap();
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        let (first, second) = (ids.recv().unwrap(), ids.recv().unwrap());
        assert!(sees(first, false), "one that runs is seen to run");
        let run = |command: &str, arguments: &[&str]| {
            assert!(Command::new(command).args(arguments).output().unwrap().status.success(), "{command}");
        };
        let core = fs::read_to_string("/proc/self/status").unwrap();
        let core = core.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        let core = core.split([',', '-']).next().unwrap().to_owned();
        for id in [first, second] {
            run("taskset", &["-p", "-c", &core, &id.to_string()]);
        }
        run("chrt", &["-i", "-p", "0", &first.to_string()]);
        assert!(sees(first, true), "one that another one keeps from its core waits for it");
        over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn two_looks_lie_further_apart_than_two_ticks() {
        for hertz in [100, 250, 300, 1000] {
            let tick = Duration::from_secs(1) / hertz;
            let between = between_looks(tick);
            assert!(tick < between && between < Duration::from_millis(20), "{hertz}: {between:?}");
        }
        assert!((Duration::from_micros(900)..=Duration::from_millis(10)).contains(&tick()), "{:?}", tick());
    }

    #[test]
    fn who_is_on_a_core_without_ticks_is_not_known_to_wait() {
        let (at, own) = (format!("/proc/{}", std::process::id()), std::process::id());
        let link = fs::read_link("/proc/thread-self").unwrap();
        let id: u32 = link.file_name().unwrap().to_str().unwrap().parse().unwrap();
        assert!(ready(&at, id, "").is_some(), "this thread of {own} runs");
        assert_eq!(ready(&at, id, "0-4095\n"), None);
        assert!(lists("1-3,7\n", 2) && lists("1-3,7\n", 7) && lists("5", 5));
        for (list, core) in [("1-3,7", 4), ("", 0), ("(null)\n", 0), ("-", 0)] {
            assert!(!lists(list, core), "{list}");
        }
    }

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
