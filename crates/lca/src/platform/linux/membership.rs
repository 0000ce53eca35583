//! Which of all processes belong to one start, where no control group says so: a pure rule over what was seen.
//!
//! Refuses to know how it was seen and what is done with the answer. The law: whoever is in the answer may be killed,
//! so a process is in it only for a reason that holds for no stranger; and the first process of the system, this
//! agent, its ancestors, and whatever is older than the start, are never in it, whatever else seems to be so.

use std::collections::{BTreeMap, BTreeSet};

use understudy_decide::agent::StartId;
use understudy_model::AgentId;

use super::proc::{Mark, Seen};

/// The start whose processes are sought.
#[derive(Debug, Clone, Copy)]
pub struct Sought {
    /// This agent.
    pub agent: AgentId,
    /// Which start.
    pub start: StartId,
    /// The number of its main process, if one was known: also its session and its group.
    pub number: Option<u32>,
    /// When the first of its processes began.
    pub began: u64,
    /// An orphan of ours without a mark can only be of this start.
    pub orphans_are_its: bool,
}

/// What was seen, and where we are in it.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Every process.
    pub all: &'a [Seen],
    /// The marks of those that have one.
    pub marks: &'a BTreeMap<u32, Mark>,
    /// The main processes of all starts.
    pub mains: &'a BTreeSet<u32>,
    /// This process.
    pub own: u32,
}

impl Scene<'_> {
    /// This process and everything above it.
    fn ancestors(&self) -> BTreeSet<u32> {
        untouchable(self.own, |pid| self.all.iter().find(|seen| seen.pid == pid).map(|seen| seen.parent))
    }
}

/// The first process of a system (or of a container), `own`, and everything above it.
pub fn untouchable(own: u32, parent: impl Fn(u32) -> Option<u32>) -> BTreeSet<u32> {
    let mut never = BTreeSet::from([0, 1]);
    let mut next = Some(own);
    while let Some(pid) = next.filter(|pid| never.insert(*pid)) {
        next = parent(pid);
    }
    never
}

/// The processes of one start, ended ones included.
pub fn members(sought: &Sought, scene: &Scene<'_>) -> BTreeSet<u32> {
    let never = scene.ancestors();
    let number = sought.number.filter(|number| {
        // Given to a later process, it says nothing any more.
        !never.contains(number)
            && scene.all.iter().all(|seen| seen.pid != *number || seen.began == sought.began)
    });
    let possible = |seen: &&Seen| {
        // Session 0 is that of the kernel's own threads, and of what was started outside of a container.
        !never.contains(&seen.pid)
            && seen.session != 0
            && seen.began >= sought.began
            && (!scene.mains.contains(&seen.pid) || Some(seen.pid) == number)
            && scene
                .marks
                .get(&seen.pid)
                .is_none_or(|mark| mark.agent != sought.agent || mark.start == sought.start)
    };
    let is_member = |seen: &&Seen| {
        let by_number = number.is_some_and(|number| seen.session == number || seen.group == number);
        match scene.marks.get(&seen.pid) {
            Some(mark) if mark.agent == sought.agent => mark.start == sought.start,
            // Another agent's application, run below one of ours: that agent's, unless it never left our session.
            Some(_) => by_number,
            None => by_number || (sought.orphans_are_its && seen.parent == scene.own),
        }
    };
    let possible: Vec<&Seen> = scene.all.iter().filter(possible).collect();
    let mut members: BTreeSet<u32> =
        possible.iter().copied().filter(is_member).map(|seen| seen.pid).collect();
    // Children of members are members, whatever they made of themselves.
    loop {
        let before = members.len();
        for seen in &possible {
            if members.contains(&seen.parent) {
                members.insert(seen.pid);
            }
        }
        if members.len() == before {
            return members;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use understudy_model::Incarnation;

    use super::*;

    const OWN: u32 = 100;
    const AGENT: AgentId = AgentId(5);

    fn start(number: u64) -> StartId {
        StartId { incarnation: Incarnation(7), number }
    }

    fn seen(pid: u32, parent: u32, session: u32, began: u64) -> Seen {
        Seen { pid, began, parent, group: session, session, ended: false }
    }

    fn mark(agent: AgentId, number: u64) -> Mark {
        Mark { agent, start: start(number), application: "app".to_owned() }
    }

    /// A small machine: the first processes, kernel threads, a shell that started us, and an application.
    fn machine() -> Vec<Seen> {
        vec![
            seen(1, 0, 0, 0),
            seen(2, 0, 0, 0),
            seen(3, 2, 0, 0),
            seen(50, 1, 50, 10),
            seen(60, 1, 0, 900),
            seen(OWN, 50, 50, 20),
            seen(200, OWN, 200, 500),
            seen(201, 200, 200, 510),
            seen(202, 201, 202, 520),
            seen(203, OWN, 203, 530),
            seen(300, 1, 300, 600),
        ]
    }

    fn found(number: Option<u32>, began: u64, orphans_are_its: bool, marks: &[(u32, Mark)]) -> Vec<u32> {
        let sought = Sought { agent: AGENT, start: start(1), number, began, orphans_are_its };
        let marks = marks.iter().cloned().collect();
        let scene = Scene { all: &machine(), marks: &marks, mains: &BTreeSet::from([200]), own: OWN };
        members(&sought, &scene).into_iter().collect()
    }

    #[test]
    fn session_descent_mark_and_orphans_find_it() {
        assert_eq!(found(Some(200), 500, false, &[]), [200, 201, 202]);
        assert_eq!(found(Some(200), 500, true, &[]), [200, 201, 202, 203]);
        assert_eq!(found(None, 500, false, &[(300, mark(AGENT, 1))]), [300]);
        assert_eq!(found(Some(200), 500, true, &[(203, mark(AGENT, 2))]), [200, 201, 202]);
        assert_eq!(found(Some(200), 500, false, &[(201, mark(AgentId(6), 1))]), [200, 201, 202]);
        assert_eq!(found(Some(300), 600, false, &[]), [300]);
    }

    #[test]
    fn without_a_number_nobody_is_found_by_number() {
        assert_eq!(found(None, 0, false, &[]), Vec::<u32>::new());
        assert_eq!(found(Some(0), 0, false, &[]), Vec::<u32>::new());
        assert_eq!(found(Some(1), 0, false, &[]), Vec::<u32>::new());
        assert_eq!(found(Some(200), 499, false, &[]), Vec::<u32>::new(), "the number is another's now");
    }

    #[test]
    fn the_session_that_we_are_in_is_not_ours_to_kill() {
        assert_eq!(found(Some(50), 10, true, &[(OWN, mark(AGENT, 1)), (1, mark(AGENT, 1))]), [203]);
    }

    #[test]
    fn the_first_process_of_a_container_may_be_the_agent() {
        let all = [seen(1, 0, 1, 5), seen(2, 1, 2, 6), seen(3, 2, 3, 7)];
        let sought =
            Sought { agent: AGENT, start: start(1), number: Some(2), began: 6, orphans_are_its: true };
        let scene = Scene { all: &all, marks: &BTreeMap::new(), mains: &BTreeSet::from([2]), own: 1 };
        assert_eq!(members(&sought, &scene), BTreeSet::from([2, 3]));
    }

    proptest! {
        /// Whatever a machine looks like and whatever is sought, these are never found.
        #[test]
        fn strangers_are_never_found(
            processes in proptest::collection::btree_map(1u32..40, (0u32..40, 0u32..40, 0u32..40, 0u64..20), 1..40),
            marks in proptest::collection::btree_map(1u32..40, (4u128..7, 0u64..3), 0..10),
            mains in proptest::collection::btree_set(1u32..40, 0..5),
            number in proptest::option::of(0u32..40),
            began in 0u64..20,
            orphans_are_its: bool,
        ) {
            let own = 20;
            // Nobody made the first process.
            let processes: BTreeMap<u32, (u32, u32, u32, u64)> = processes
                .into_iter()
                .map(|(pid, (parent, group, session, began))| {
                    (pid, (if pid == 1 { 0 } else { parent }, group, session, began))
                })
                .collect();
            let all: Vec<Seen> = processes
                .iter()
                .map(|(&pid, &(parent, group, session, began))| Seen { pid, began, parent, group, session, ended: false })
                .collect();
            let marks: BTreeMap<u32, Mark> =
                marks.into_iter().map(|(pid, (agent, number))| (pid, mark(AgentId(agent), number))).collect();
            let sought = Sought { agent: AGENT, start: start(1), number, began, orphans_are_its };
            let found = members(&sought, &Scene { all: &all, marks: &marks, mains: &mains, own });
            let mut ancestor = Some(own);
            for _ in 0..50 {
                let Some(pid) = ancestor else { break };
                prop_assert!(!found.contains(&pid), "an ancestor");
                ancestor = processes.get(&pid).map(|process| process.0);
            }
            for pid in found {
                let (_, _, session, its_begin) = processes[&pid];
                prop_assert!(pid > 1 && session != 0 && its_begin >= began);
                prop_assert!(!mains.contains(&pid) || number == Some(pid), "another start's main process");
                if let Some(mark) = marks.get(&pid) && mark.agent == AGENT {
                    prop_assert_eq!(mark.start, start(1));
                }
            }
        }
    }
}
