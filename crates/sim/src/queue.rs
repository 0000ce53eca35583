//! What is going to happen, in the order of true time; what is to happen at the same time happens in the order in which it
//! was put in.
//!
//! Refuses to know what an event means. The law: the order depends on nothing but what was put in, and when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that is going to happen. Numbers name who and which; `life` and `serial` tell what is over by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the fields say whose event it is
pub enum Event {
    /// A daemon looks at its deadlines.
    AgentWakes {
        host: u8,
        life: u32,
    },
    ControlWakes {
        life: u32,
    },
    /// A write to disk ends.
    AgentWrote {
        host: u8,
        life: u32,
    },
    ControlWrote {
        life: u32,
    },
    /// A daemon starts.
    AgentStarts {
        host: u8,
        life: u32,
    },
    ControlStarts {
        life: u32,
    },
    /// The control server dials an agent, or one agent the other of a pair.
    Dials {
        dialer: u8,
        life: u32,
    },
    /// The time for a dial or for a Welcome is over.
    DialLate {
        dialer: u8,
        life: u32,
        serial: u32,
    },
    /// A connection is made.
    Connects {
        dialer: u8,
        life: u32,
        serial: u32,
    },
    /// Nobody listens there.
    Refused {
        dialer: u8,
        life: u32,
        serial: u32,
    },
    /// The oldest letter of one direction arrives.
    Delivers {
        link: u16,
        serial: u32,
        to: u8,
    },
    /// One end of a link looks whether the other is silent.
    Looks {
        link: u16,
        serial: u32,
        side: u8,
    },
    /// A process comes to life, or does not.
    Spawns {
        host: u8,
        life: u32,
        number: u32,
    },
    /// A member acknowledges something, if it may.
    Acknowledges {
        member: u16,
        serial: u32,
    },
    /// What waits to be guarded may go on, or must not.
    GoesOn {
        host: u8,
        life: u32,
    },
    /// A member does the next thing of its own.
    Lives {
        member: u16,
        serial: u32,
    },
    /// A member's next word reaches its agent.
    Speaks {
        member: u16,
        serial: u32,
        link: u32,
    },
    /// A member ends, as it was asked or made to.
    Ends {
        member: u16,
        serial: u32,
        all: bool,
    },
    /// Its agent is told that something of a member ended.
    Noticed {
        host: u8,
        life: u32,
    },
    /// A hook ends.
    HookEnds {
        host: u8,
        number: u32,
    },
    /// A guard looks at its time.
    GuardWakes {
        host: u8,
    },
    /// The agent's hands start another guard.
    GuardStarts {
        host: u8,
        life: u32,
    },
    /// Whether a plain member is stopped is looked at.
    LooksAt {
        member: u16,
        serial: u32,
    },
    /// What a silent member does is known.
    SeesEvidence {
        member: u16,
        serial: u32,
    },
    /// A fault begins or ends, by its number in the plan.
    FaultBegins {
        fault: u16,
    },
    FaultEnds {
        fault: u16,
    },
    /// A fencing command takes the power of a host, which somebody gives back then.
    DevicePulls {
        host: u8,
        until: u64,
    },
    PowerReturns {
        host: u8,
    },
    /// A fencing command has ended.
    DeviceAnswers {
        life: u32,
        host: u8,
        confirmed: bool,
    },
    /// The control server has read its configuration anew.
    Reloads {
        life: u32,
    },
    /// People look at the cluster.
    OperatorLooks,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u128,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest: the earliest is to be that.
        other.key.cmp(&self.key)
    }
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    heap: BinaryHeap<Entry>,
    count: u64,
}

/// More than ever waits in a run: whatever plans that much plans without end.
const MOST_PLANNED: usize = 1 << 20;

impl Queue {
    /// What happens plans more than it ends.
    pub fn grows_without_end(&self) -> bool {
        self.heap.len() > MOST_PLANNED
    }

    /// Puts something in for a true time.
    pub fn put(&mut self, time: u64, event: Event) {
        self.count += 1;
        self.heap.push(Entry { key: u128::from(time) << 64 | u128::from(self.count), event });
    }

    /// Takes the earliest out, unless it is after `until`.
    pub fn take(&mut self, until: u64) -> Option<(u64, Event)> {
        let first = self.heap.peek()?;
        let time = (first.key >> 64) as u64;
        if time > until {
            return None;
        }
        self.heap.pop().map(|entry| (time, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_in_their_order() {
        let mut queue = Queue::default();
        for (time, fault) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            queue.put(time, Event::FaultBegins { fault });
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.take(9)).collect();
        let faults = |fault| Event::FaultBegins { fault };
        assert_eq!(order, [(3, faults(1)), (3, faults(3)), (5, faults(0)), (5, faults(2))]);
        queue.put(10, faults(4));
        assert_eq!(queue.take(9), None);
    }
}
