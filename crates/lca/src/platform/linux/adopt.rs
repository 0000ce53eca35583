//! What earlier lives of this agent left running.
//!
//! Refuses to know what becomes of it. The law: a process is one of ours only if number and beginning are as noted
//! (the caller drops notes of another boot), or if it carries this agent's mark, or lies in this agent's group.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use understudy_decide::agent::StartId;
use understudy_model::ApplicationName;

use super::control_group::Group;
use super::proc::{self, Mark, Seen};
use super::{Linux, Tree, tree};
use crate::platform::{Survivor, TreeNote};

/// A process that has run for longer than this has loaded its program.
const MAY_BE_LOADING: Duration = Duration::from_secs(10);
/// How often it is looked at such processes; a program that was given no environment looks like one.
const LOOKS_AT_LOADING: u32 = 10;
/// From one look to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Everything that survived: noted, marked, or lying in a group.
pub fn survivors(
    platform: &Linux,
    notes: &[(ApplicationName, StartId, TreeNote)],
) -> io::Result<Vec<Survivor<Tree>>> {
    let mut found = Vec::new();
    for (application, start, note) in notes {
        found.extend(noted(platform, application, *start, note)?);
    }
    let known: BTreeSet<StartId> = notes.iter().map(|(_, start, _)| *start).collect();
    found.extend(marked(platform, &known)?);
    found.extend(grouped(platform, &found)?);
    Ok(found)
}

fn noted(
    platform: &Linux,
    application: &ApplicationName,
    start: StartId,
    note: &TreeNote,
) -> io::Result<Option<Survivor<Tree>>> {
    let hierarchy = platform.hierarchy.as_ref();
    let group = note.container.as_ref().and_then(|path| hierarchy?.noted(path, application, start));
    let seen = note.pid.and_then(proc::look).filter(|seen| seen.began == note.began && !seen.ended);
    // A mark may be unreadable or overwritten by the program; one of another start is a contradiction.
    let contradicts = note.pid.and_then(proc::mark).is_some_and(|mark| mark.start != start);
    let main = match seen.filter(|_| !contradicts) {
        Some(seen) => tree::open(seen)?,
        None => None,
    };
    let main_lives = main.is_some();
    let tree = Tree {
        application: application.clone(),
        start,
        number: note.pid,
        began: note.began,
        main,
        child: false,
        group,
    };
    if !main_lives && !platform.anything_else_lives(&tree) {
        return Ok(None);
    }
    let running_for = if main_lives { age(note.began) } else { Duration::ZERO };
    Ok(Some(Survivor { application: application.clone(), start, tree, main_lives, running_for }))
}

/// Starts without a note: the agent was killed between making a process and noting it.
fn marked(platform: &Linux, known: &BTreeSet<StartId>) -> io::Result<Vec<Survivor<Tree>>> {
    let mut starts: BTreeMap<StartId, (ApplicationName, Vec<Seen>)> = BTreeMap::new();
    for (seen, mark) in all_marks()?.into_iter().filter(|(_, mark)| mark.agent == platform.agent) {
        let Ok(application) = ApplicationName::new(&mark.application) else { continue };
        // Whoever runs a program may give it any mark; nobody but root can leave the group of his start.
        let lies_in = platform.hierarchy.as_ref().and_then(|hierarchy| hierarchy.group_of(seen.pid));
        if lies_in.is_some_and(|(whose, start, _)| (whose, start) != (application.clone(), mark.start)) {
            continue;
        }
        if !known.contains(&mark.start) {
            starts.entry(mark.start).or_insert_with(|| (application, Vec::new())).1.push(seen);
        }
    }
    let mut found = Vec::new();
    for (start, (application, mut members)) in starts {
        // The main process began first, and leads a session; if it is gone, the first may be any other.
        members.sort_by_key(|seen| (seen.began, seen.pid));
        let Some(seen) = members.first().copied() else { continue };
        let main = if seen.session == seen.pid { tree::open(seen)? } else { None };
        let hierarchy = platform.hierarchy.as_ref();
        let group = members.iter().find_map(|seen| hierarchy?.group_of(seen.pid)).map(|(_, _, group)| group);
        let main_lives = main.is_some();
        // Without a leader there is no number to go by; a search then goes by marks and parents only.
        let tree = Tree {
            application: application.clone(),
            start,
            number: main_lives.then_some(seen.pid),
            began: seen.began,
            main,
            child: false,
            group,
        };
        found.push(Survivor { application, start, tree, main_lives, running_for: age(seen.began) });
    }
    Ok(found)
}

/// Every living process with a mark. One that is loading its program shows none for a moment, and must not be
/// overlooked for that.
fn all_marks() -> io::Result<Vec<(Seen, Mark)>> {
    let mut look = 0;
    loop {
        look += 1;
        let (mut marks, mut loading) = (Vec::new(), false);
        for seen in proc::all()?.into_iter().filter(|seen| !seen.ended && seen.session != 0) {
            let Some(environment) = proc::environment(seen.pid) else { continue };
            loading |= environment.is_empty() && age(seen.began) < MAY_BE_LOADING;
            marks.extend(proc::read_mark(&environment).map(|mark| (seen, mark)));
        }
        if !loading || look == LOOKS_AT_LOADING {
            return Ok(marks);
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// Groups in which something lives that neither a note nor a mark explains.
fn grouped(platform: &Linux, found: &[Survivor<Tree>]) -> io::Result<Vec<Survivor<Tree>>> {
    let Some(hierarchy) = &platform.hierarchy else { return Ok(Vec::new()) };
    let explained: Vec<&Group> = found.iter().filter_map(|survivor| survivor.tree.group.as_ref()).collect();
    let mut more = Vec::new();
    for (application, start, group) in hierarchy.groups()? {
        if explained.contains(&&group) || !group.populated()? {
            continue;
        }
        let tree = Tree {
            application: application.clone(),
            start,
            number: None,
            began: 0,
            main: None,
            child: false,
            group: Some(group),
        };
        more.push(Survivor { application, start, tree, main_lives: false, running_for: Duration::ZERO });
    }
    Ok(more)
}

/// How long ago a process began, from clock ticks since boot.
fn age(began: u64) -> Duration {
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let since_boot = Duration::from_millis(began.saturating_mul(1000) / ticks);
    understudy_drive::now().since(understudy_model::Moment(0)).saturating_sub(since_boot)
}
