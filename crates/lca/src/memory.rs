//! One heap for all threads of the agent.
//!
//! Refuses to know what is kept in it. The law: decided before a second thread exists. The system's allocator gives each of
//! the first threads a heap of its own, so that they need not wait for each other; an agent's threads are few and short, and
//! their heaps were a fifteenth of its memory.
#![allow(unsafe_code)]

/// Keeps everything in one heap from now on. False if that is refused, which costs memory and nothing else.
pub fn share_one_heap() -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: takes plain numbers, and nothing else runs yet that could allocate meanwhile.
        let done = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
        done != 0
    }
    #[cfg(not(target_env = "gnu"))]
    true
}
