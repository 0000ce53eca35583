//! The one clock that decides: monotonic, counting suspend.

use understudy_model::Moment;

/// This moment on the boot clock of this machine.
#[cfg(target_os = "linux")]
pub fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // The boot clock is never negative and its nanoseconds are below one thousand million.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Moment(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// This moment on the monotonic clock; where the system has no boot clock for programs, suspend is not counted.
#[cfg(not(target_os = "linux"))]
pub fn now() -> Moment {
    use std::sync::OnceLock;
    use std::time::Instant;
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = BEGIN.get_or_init(Instant::now);
    Moment(1) + begin.elapsed()
}
