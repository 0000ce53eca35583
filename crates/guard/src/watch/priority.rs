//! The priority of a guard, and of the threads of an agent that decide and keep promises: before everything that is not in
//! real time, where that is permitted; and a guard before every agent.
//!
//! Refuses to know what it is for. The law: a program that is asked to do so little may go first; what it starts does not
//! inherit that.
#![allow(unsafe_code)]

/// The first of the usual programs.
const FIRST: i32 = -20;

/// Who goes before usual programs. The lowest priorities of real time: above every usual program, below what an operator put
/// in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// A thread of an agent that decides, or on which one waits that does.
    Agent = 1,
    /// A guard. It goes before its agent, which has the more to do the longer both were stopped, while what has to end runs.
    Guard = 2,
}

/// The calling thread goes before others, by real time if that is permitted, else by the usual priority. False if neither is.
/// What it starts begins without.
pub fn hurry(rank: Rank) -> bool {
    let in_real_time = |rank: Rank| schedule(libc::SCHED_FIFO, rank as libc::c_int);
    in_real_time(rank) || in_real_time(Rank::Agent) || hurry_as_usual()
}

/// The calling thread goes before the other usual programs, if that is permitted. What is started gets its part back only if
/// that is asked for first.
pub fn hurry_as_usual() -> bool {
    schedule(libc::SCHED_OTHER, 0) && rustix::process::setpriority_process(None, FIRST).is_ok()
}

fn schedule(policy: libc::c_int, priority: libc::c_int) -> bool {
    // SAFETY: the structure is plain numbers; zero is a valid value of each.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    let policy = policy | libc::SCHED_RESET_ON_FORK;
    // SAFETY: reads the structure, which outlives the call, and changes nothing but how this thread is scheduled.
    unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy and priority of the calling thread.
    fn own() -> (i32, i32) {
        // SAFETY: asks about the calling thread.
        let policy = unsafe { libc::sched_getscheduler(0) };
        (policy, rustix::process::getpriority_process(None).unwrap())
    }

    fn inherits_nothing(hurry: impl FnOnce() -> bool + Send + 'static) {
        // In a thread of its own, which ends with it.
        std::thread::spawn(move || {
            if !hurry() {
                println!("skipped: this user may not go before others");
                return;
            }
            let policy = own().0 & !libc::SCHED_RESET_ON_FORK;
            assert!(policy == libc::SCHED_FIFO || own().1 == FIRST, "{:?}", own());
            assert_eq!(std::thread::spawn(own).join().unwrap(), (libc::SCHED_OTHER, 0));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_is_started_in_a_hurry_is_not() {
        inherits_nothing(|| hurry(Rank::Guard));
    }

    #[test]
    fn a_guard_goes_before_its_agent() {
        let real_time_of = |rank| {
            std::thread::spawn(move || {
                hurry(rank);
                // SAFETY: the structure is plain numbers; zero is a valid value of each.
                let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
                // SAFETY: writes the structure, which outlives the call.
                assert_eq!(unsafe { libc::sched_getparam(0, &raw mut parameters) }, 0);
                parameters.sched_priority
            })
            .join()
            .unwrap()
        };
        let (guard, agent) = (real_time_of(Rank::Guard), real_time_of(Rank::Agent));
        // A user who may not use real time has zero for both.
        assert!(guard > agent || (guard, agent) == (0, 0), "guard {guard}, agent {agent}");
    }

    #[test]
    fn what_is_started_where_real_time_is_forbidden_is_not_in_a_hurry_either() {
        inherits_nothing(hurry_as_usual);
    }
}
