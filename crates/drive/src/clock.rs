//! The one clock that decides: monotonic, counting suspend.

use understudy_model::{ClockId, ClockReading, Moment};

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

/// The boot clock of this process, by its name among those of other machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootClock {
    id: Option<ClockId>,
}

impl BootClock {
    /// That of this boot, as it is seen from the time namespace of this process: another namespace is another clock, as its
    /// moments are shifted.
    pub fn own() -> Self {
        Self { id: own_id() }
    }

    /// Its name; none if the system does not say which boot this is.
    pub fn id(self) -> Option<ClockId> {
        self.id
    }

    /// What it shows now; nothing if nobody could say of which clock that is.
    pub fn reading(self) -> Option<ClockReading> {
        self.id.map(|clock| ClockReading { clock, at: now() })
    }
}

#[cfg(target_os = "linux")]
fn own_id() -> Option<ClockId> {
    use std::os::unix::fs::MetadataExt;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = boot.chars().filter(char::is_ascii_hexdigit).collect();
    let boot = u128::from_str_radix(&digits, 16).ok()?;
    let namespace = std::fs::metadata("/proc/self/ns/time").map_or(0, |found| found.ino());
    Some(ClockId(boot ^ u128::from(namespace)))
}

#[cfg(not(target_os = "linux"))]
fn own_id() -> Option<ClockId> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn two_readings_in_one_process_are_of_one_clock_and_in_order() {
        let (first, second) = (BootClock::own().reading().unwrap(), BootClock::own().reading().unwrap());
        assert_eq!(first.clock, second.clock);
        assert!(first.at <= second.at && second.at <= now());
    }
}
