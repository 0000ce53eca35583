//! The boot clock, which all processes of one machine share: a time taken in one can be compared with one of another.
//!
//! It knows nothing else. The law: only differences of it mean anything.

/// Nanoseconds since the machine was started.
pub fn boot_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The boot clock is never negative.
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}
