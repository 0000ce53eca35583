//! Which start a process that speaks to us belongs to.
//!
//! Refuses to know what it says. The law: what the kernel knows of a process goes before what it says of itself. A mark
//! lies in memory that whoever runs a program fills as he likes, so it is believed only where the kernel does not
//! contradict it: within the group of the start that it names, or with the session or the user of that start.

use std::path::Path;

use understudy_decide::agent::StartId;

use super::proc;
use super::{Children, Linux, Main};

/// The start that a mark names, as far as this platform knows it.
enum Claimed {
    /// Its processes are kept in a group, and this is none of them.
    Elsewhere,
    /// It has this main process and no group.
    Loose(u32),
    /// It may be just being made.
    Coming,
    /// There is none.
    Unknown,
}

impl Children {
    /// The start in whose group that directory is, or lies.
    fn start_in(&self, directory: &Path) -> Option<StartId> {
        let is_in =
            |main: &&Main| main.group.as_ref().is_some_and(|group| directory.starts_with(group.path()));
        self.mains.values().find(is_in).map(|main| main.start)
    }

    fn claimed(&self, start: StartId) -> Claimed {
        match self.mains.iter().find(|(_, main)| main.start == start) {
            Some((_, main)) if main.group.is_some() => Claimed::Elsewhere,
            Some((number, _)) => Claimed::Loose(*number),
            None if self.begun != self.done => Claimed::Coming,
            None => Claimed::Unknown,
        }
    }
}

/// The start of a process. One that is just being made is believed for a moment: whoever must be certain asks again
/// when it runs.
pub fn start_of(platform: &Linux, pid: u32) -> Option<StartId> {
    if let Some(main) = platform.children().mains.get(&pid) {
        return Some(main.start);
    }
    if let Some(start) = held(platform, pid) {
        return Some(start);
    }
    let mark = proc::mark(pid).filter(|mark| mark.agent == platform.agent)?;
    let claimed = platform.children().claimed(mark.start);
    let believed = match claimed {
        Claimed::Elsewhere | Claimed::Unknown => false,
        Claimed::Coming => true,
        Claimed::Loose(main) => is_of_session(pid, main) || is_of_its_user(pid, main),
    };
    believed.then_some(mark.start)
}

/// The start in whose group a process lies.
pub fn held(platform: &Linux, pid: u32) -> Option<StartId> {
    let hierarchy = platform.hierarchy.as_ref()?;
    // Before the lock is taken: whoever holds it must not wait, as the thread that decides waits for him.
    let directory = hierarchy.directory_of(pid)?;
    let known = platform.children().start_in(&directory);
    known.or_else(|| hierarchy.group_at(&directory).map(|(_, start, _)| start))
}

/// Nobody can enter the session of another.
fn is_of_session(pid: u32, main: u32) -> bool {
    proc::look(pid).is_some_and(|seen| seen.session == main)
}

/// The user of a start can do as he likes with it anyway; so can root, and the user of this agent.
fn is_of_its_user(pid: u32, main: u32) -> bool {
    let own = rustix::process::getuid().as_raw();
    proc::user(pid).is_some_and(|user| user == 0 || user == own || proc::user(main) == Some(user))
}

#[cfg(test)]
mod tests {
    use understudy_model::AgentId;

    use super::*;

    /// Whoever waits for the lock here, waits for ever: it is held by this very thread.
    #[test]
    fn what_lies_in_no_group_is_known_without_the_lock() {
        let (platform, missing) = Linux::new(AgentId(crate::state::random().unwrap())).unwrap();
        if let Some(missing) = missing {
            println!("skipped: {missing}");
            return;
        }
        let held_here = platform.children();
        let platform_ref = &platform;
        let asked = std::thread::scope(|scope| {
            let asked = scope.spawn(move || held(platform_ref, u32::MAX));
            let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while !asked.is_finished() && std::time::Instant::now() < limit {
                std::thread::yield_now();
            }
            let in_time = asked.is_finished();
            drop(held_here);
            (in_time, asked.join().unwrap())
        });
        platform.remove_leftovers();
        assert_eq!(asked, (true, None), "it waited for the lock");
    }
}
