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

/// The calling thread goes before others, by real time if that is permitted, else by the usual priority, which is inherited.
/// False if neither is.
pub fn hurry() -> bool {
    // SAFETY: the structure is plain numbers; zero is a valid value of each.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = LOWEST_OF_REAL_TIME;
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: reads the structure, which outlives the call, and changes nothing but how this thread is scheduled.
    let real_time = unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } == 0;
    real_time || rustix::process::setpriority_process(None, FIRST).is_ok()
}
