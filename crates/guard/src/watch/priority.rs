//! The priority of a guard, and of the thread of an agent that asks for votes: before everything that is not in real time,
//! where that is permitted.
//!
//! Refuses to know what it is for. The law: a program that is asked to do so little may go first; what it starts does not
//! inherit that.
#![allow(unsafe_code)]

/// The lowest of real time: above every usual program, below whatever an operator put in real time.
const LOWEST_OF_REAL_TIME: libc::c_int = 1;
/// The first of the usual programs.
const FIRST: i32 = -20;

/// The calling thread goes before others, by real time if that is permitted, else by the usual priority. False if neither is.
/// What it starts begins without.
pub fn hurry() -> bool {
    schedule(libc::SCHED_FIFO, LOWEST_OF_REAL_TIME) || hurry_as_usual()
}

/// Before the other usual programs. What is started gets its part back only if that is asked for first.
fn hurry_as_usual() -> bool {
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

    fn inherits_nothing(hurry: fn() -> bool) {
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
        inherits_nothing(hurry);
    }

    #[test]
    fn what_is_started_where_real_time_is_forbidden_is_not_in_a_hurry_either() {
        inherits_nothing(hurry_as_usual);
    }
}
