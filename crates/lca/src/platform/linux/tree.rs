//! Trees: which processes belong to one start, and how all of them are killed.
//!
//! Refuses to know why. The law: a tree is gone only when a search has found nothing of it alive, and neither its main
//! process nor the kernel's word on its group says otherwise; a zombie is not alive; nothing is signalled by number alone.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use understudy_decide::agent::StartId;
use understudy_model::ApplicationName;

use super::control_group::Group;
use super::membership::{self, Scene, Sought, untouchable};
use super::proc::{self, Seen};
use super::{Linux, Orphans, whose};

/// How long a killed process may take to go before the tree is searched again.
const SEARCH_AGAIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// From one search to the next where nothing can be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// So many of the processes that were killed are waited for before the tree is searched again.
const MOST_AWAITED: usize = 64;

/// One start on this system.
#[derive(Debug)]
pub struct Tree {
    pub(super) application: ApplicationName,
    pub(super) start: StartId,
    /// The main process's number, kept while its session may live; `None` if no main process was found. Never 0: that
    /// is the session of the kernel.
    pub(super) number: Option<u32>,
    pub(super) began: u64,
    /// The main process; `None` if it was gone when the tree was found.
    pub(super) main: Option<OwnedFd>,
    /// The main process was started by this life of the agent, so that its end can be waited for.
    pub(super) child: bool,
    pub(super) group: Option<Group>,
}

impl Tree {
    /// Of which application.
    pub fn application(&self) -> &ApplicationName {
        &self.application
    }

    /// Which start.
    pub fn start(&self) -> StartId {
        self.start
    }
}

/// How often a control group is listed in which something is counted and nothing is seen to live.
const MOST_LISTS: u32 = 3;

impl Linux {
    /// Whether anything of the tree lives, apart from a main process that has ended.
    pub(super) fn anything_else_lives(&self, tree: &Tree) -> bool {
        // If it cannot be known, it is not known to be gone; whoever kills will say what the system said.
        let Some(group) = &tree.group else {
            return self.living(tree).map_or(true, |living| !living.is_empty());
        };
        // A main process that has just ended may still be counted, and is not listed any more. And the list is no moment: one that
        // is on it may end after it has made another, as programs do that go to the background. So nothing is taken for gone that
        // the kernel counts: then everything is killed, which finds out.
        for _ in 0..MOST_LISTS {
            if group.populated().is_ok_and(|populated| !populated) {
                return false;
            }
            if group.processes().map_or(true, |listed| listed.into_iter().any(proc::may_live)) {
                return true;
            }
        }
        true
    }

    /// Every living process of the tree that can be seen.
    pub(super) fn living(&self, tree: &Tree) -> io::Result<Vec<Seen>> {
        let mut living = match &tree.group {
            Some(group) => group.processes()?.into_iter().filter_map(proc::look).collect(),
            None => self.search(tree)?,
        };
        living.retain(|seen| !seen.ended);
        Ok(living)
    }

    fn search(&self, tree: &Tree) -> io::Result<Vec<Seen>> {
        let before = self.orphans(tree.start);
        let mut all = proc::all()?;
        // A child of ours, and nobody's.
        let guard = self.children().guard;
        all.retain(|seen| guard != Some((seen.pid, seen.began)));
        let marks = all.iter().filter_map(|seen| Some((seen.pid, proc::mark(seen.pid)?))).collect();
        let mains = self.mains();
        // While a child is between fork and exec it looks like an orphan.
        let orphans_are_its = before == Orphans::Of(tree.start) && before == self.orphans(tree.start);
        let (agent, start, number, began) = (self.agent, tree.start, tree.number, tree.began);
        let sought = Sought { agent, start, number, began, orphans_are_its };
        let scene = Scene { all: &all, marks: &marks, mains: &mains, own: std::process::id() };
        let members = membership::members(&sought, &scene);
        let mut found: Vec<Seen> = all.into_iter().filter(|seen| members.contains(&seen.pid)).collect();
        // What lies in the group of another start is that one's, whatever else it looks like.
        found.retain(|seen| whose::held(self, seen.pid).is_none_or(|start| start == tree.start));
        Ok(found)
    }

    /// Kills until a search finds nothing alive.
    pub(super) fn kill_all(&self, tree: &Tree) -> io::Result<()> {
        let mut found_none = 0;
        loop {
            // The one that acts first, and whatever can be seen: its descriptor is enough.
            let (main, not_main) = signal_main(tree)?;
            let living = self.living(tree)?;
            refuse_ourselves(&living)?;
            let all_at_once = tree.group.as_ref().is_some_and(Group::kill);
            let (mut killed, failed) = kill_each(&living);
            if let Some(error) = not_main.or(failed).filter(|_| !all_at_once) {
                return Err(error);
            }
            let unseen = match &tree.group {
                Some(group) if living.is_empty() => group.populated()?,
                Some(_) | None => false,
            };
            if unseen && !all_at_once {
                return Err(io::Error::other("something lives in its control group that cannot be seen"));
            }
            found_none = if living.is_empty() && main.is_none() && !unseen { found_none + 1 } else { 0 };
            // A search of all of /proc is no moment: a process may slip past it. A control group is one.
            if found_none == 2 || (found_none == 1 && tree.group.is_some()) {
                return Ok(());
            }
            killed.extend(main);
            wait_for_any_progress(&killed)?;
        }
    }
}

/// Signals the main process of a tree by its descriptor, whatever can be seen of it. A descriptor to wait with, if it has not
/// ended; and why it could not be signalled.
fn signal_main(tree: &Tree) -> io::Result<(Option<OwnedFd>, Option<io::Error>)> {
    let Some(main) = &tree.main else { return Ok((None, None)) };
    let mut ended = [PollFd::new(main, PollFlags::IN)];
    if rustix::event::poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0 {
        return Ok((None, None));
    }
    let never = untouchable_here();
    if let Some(number) = tree.number.filter(|number| never.contains(number)) {
        return Err(ourselves(number));
    }
    match rustix::process::pidfd_send_signal(main, Signal::KILL) {
        Ok(()) => Ok((Some(main.try_clone()?), None)),
        Err(rustix::io::Errno::SRCH) => Ok((None, None)),
        Err(error) => Ok((Some(main.try_clone()?), Some(error.into()))),
    }
}

/// This agent, and everything above it.
fn untouchable_here() -> BTreeSet<u32> {
    untouchable(std::process::id(), |pid| proc::look(pid).map(|seen| seen.parent))
}

fn ourselves(pid: u32) -> io::Error {
    let text = format!("process {pid} is this agent or one above it; nothing is killed");
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// A tree that holds this agent, or what it stands on, is not one of ours, however it came to look like one. This is
/// asked again here, where the signal is sent, and not only where members are found.
fn refuse_ourselves(living: &[Seen]) -> io::Result<()> {
    let never = untouchable_here();
    match living.iter().find(|seen| never.contains(&seen.pid)) {
        None => Ok(()),
        Some(seen) => Err(ourselves(seen.pid)),
    }
}

/// Signals each process that is still the one that was seen; descriptors of some of them, and the first error. One that may
/// not be signalled saves none of the others.
fn kill_each(living: &[Seen]) -> (Vec<OwnedFd>, Option<io::Error>) {
    let (mut killed, mut failed) = (Vec::new(), None);
    for seen in living {
        match kill_one(*seen) {
            // More are not waited for at once: a tree may have more processes than this program may have descriptors.
            Ok(Some(pidfd)) if killed.len() < MOST_AWAITED => killed.push(pidfd),
            Ok(_) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    (killed, failed)
}

fn kill_one(seen: Seen) -> io::Result<Option<OwnedFd>> {
    let Some(pidfd) = open(seen)? else { return Ok(None) };
    match rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) => Ok(Some(pidfd)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A descriptor of exactly that process, if it still is there.
pub(super) fn open(seen: Seen) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(seen.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let same = proc::look(seen.pid).is_some_and(|now| now.began == seen.began);
    Ok(same.then_some(pidfd))
}

/// Returns when all of them have ended, or after a while: one that the kernel cannot end now is tried again.
fn wait_for_any_progress(killed: &[OwnedFd]) -> io::Result<()> {
    if killed.is_empty() {
        // What may not be signalled one by one ends with its group.
        std::thread::sleep(LOOK_AGAIN);
    }
    for pidfd in killed {
        let mut waiting = [PollFd::new(pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut waiting, Some(&SEARCH_AGAIN)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_and_those_above_it_are_refused_where_signals_are_sent() {
        let own = proc::look(std::process::id()).unwrap();
        let parent = proc::look(own.parent);
        for seen in [Some(own), parent, proc::look(1)].into_iter().flatten() {
            let refused = refuse_ourselves(&[seen]).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
        }
        let stranger = Seen { pid: u32::MAX, ..own };
        assert!(refuse_ourselves(&[stranger]).is_ok());
    }

    #[test]
    fn a_main_process_that_is_this_process_is_not_signalled() {
        let own = proc::look(std::process::id()).unwrap();
        let tree = Tree {
            application: ApplicationName::new("app").unwrap(),
            start: StartId { incarnation: understudy_model::Incarnation(7), number: 1 },
            number: Some(own.pid),
            began: own.began,
            main: open(own).unwrap(),
            child: false,
            group: None,
        };
        assert_eq!(signal_main(&tree).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn one_that_may_not_be_signalled_saves_none_of_the_others() {
        use std::os::unix::process::{CommandExt, ExitStatusExt};

        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can become somebody else");
            return;
        }
        let nobody = super::super::accounts::find(Some("nobody"), None, &[]).unwrap();
        let sleeper = || {
            let mut command = std::process::Command::new("sleep");
            command.arg("1000");
            command
        };
        let mut closed = sleeper().spawn().unwrap();
        let mut own: Vec<_> =
            (0..MOST_AWAITED + 5).map(|_| sleeper().uid(nobody.uid).spawn().unwrap()).collect();
        let all = std::iter::once(&closed).chain(&own);
        let seen: Vec<Seen> = all.map(|child| proc::look(child.id()).unwrap()).collect();
        let killed = super::super::with_rights_of(&nobody, || {
            let (awaited, failed) = kill_each(&seen);
            assert_eq!(awaited.len(), MOST_AWAITED);
            failed.map_or(Ok(()), Err)
        });
        assert_eq!(killed.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        for child in &mut own {
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
        assert!(closed.try_wait().unwrap().is_none());
        closed.kill().unwrap();
        closed.wait().unwrap();
    }
}
