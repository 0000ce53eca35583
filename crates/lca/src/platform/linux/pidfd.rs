//! Process descriptors: how a process ended, asked of the kernel.
//!
//! Refuses to know trees and applications. The law: a process is named by its descriptor, never by a number that
//! may already be another's.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use understudy_model::ExitCause;

/// How a child of ours ended, leaving it in place (`leave`) or letting the system forget it. `None`: it has not ended.
pub fn child_end(pidfd: impl AsFd, leave: bool) -> io::Result<Option<ExitCause>> {
    let mut options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    if leave {
        options |= WaitIdOptions::NOWAIT;
    }
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(status) => return Ok(status.map(|status| cause_of(&status))),
        }
    }
}

/// Whether a child of ours is stopped by a signal now; one that a debugger holds is not. One cheap call, as it is asked several
/// times a second. It takes nothing from whoever else waits.
pub fn child_is_stopped(pidfd: impl AsFd) -> io::Result<bool> {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Err(rustix::io::Errno::INTR) => {}
            answer => return Ok(answer?.is_some()),
        }
    }
}

fn cause_of(status: &WaitIdStatus) -> ExitCause {
    if let Some(code) = status.exit_status() {
        ExitCause::Code(code)
    } else if let Some(signal) = status.terminating_signal() {
        ExitCause::Signal(signal)
    } else {
        ExitCause::Unknown
    }
}

/// A watch on a process; it is readable once the process has ended. Only inside a runtime.
pub fn watch(pidfd: BorrowedFd<'_>) -> io::Result<AsyncFd<BorrowedFd<'_>>> {
    // SAFETY: a borrowed descriptor is open, and names the same file, for as long as the watch can live.
    unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }.map_err(Into::into)
}

/// The kernel's `struct pidfd_info`, first version.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_INFO_EXIT`: the exit code is asked for, and was given.
const WANT_EXIT: u64 = 1 << 3;
/// `PIDFD_GET_INFO`: read and write, 64 bytes, type 0xFF, number 11.
const GET_INFO: libc::c_ulong = (3 << 30) | (64 << 16) | (0xFF << 8) | 11;

/// How a process that is not our child ended, if the kernel tells (6.15 and later, once its parent has waited for it).
pub fn stranger_end(pidfd: impl AsFd) -> Option<ExitCause> {
    let mut asked = PidfdInfo { mask: WANT_EXIT, ..PidfdInfo::default() };
    const { assert!(size_of::<PidfdInfo>() == 64) };
    // SAFETY: the kernel writes at most the 64 bytes that the number of the call names, all inside `asked`.
    let answer = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), GET_INFO as _, &raw mut asked) };
    if answer < 0 || asked.mask & WANT_EXIT == 0 {
        return None;
    }
    // The same encoding as of `wait`: signal in the low seven bits, code above them.
    match asked.exit_code & 0x7F {
        0 => Some(ExitCause::Code((asked.exit_code >> 8) & 0xFF)),
        signal => Some(ExitCause::Signal(signal)),
    }
}

/// The number of some child that has ended and was not waited for yet; it stays as it is.
pub fn ended_child() -> io::Result<Option<u32>> {
    // SAFETY: the structure is plain numbers; the kernel fills in what it says, and leaves it zero if no child ended.
    let child = unsafe {
        let mut status: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        if libc::waitid(libc::P_ALL, 0, &mut status, options) < 0 {
            return Err(io::Error::last_os_error());
        }
        status.si_pid()
    };
    Ok(u32::try_from(child).ok().filter(|&pid| pid != 0))
}

/// Waits for a child by its number. Only for children that have ended: their number is theirs until this.
pub fn reap(pid: u32) -> io::Result<()> {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return Ok(()) };
    rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
    use std::time::{Duration, Instant};

    #[test]
    fn a_child_is_stopped_from_one_signal_to_the_other_however_often_it_is_asked() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let until = |wanted: bool| {
            let limit = Instant::now() + Duration::from_secs(20);
            while child_is_stopped(&descriptor).unwrap() != wanted {
                assert!(Instant::now() < limit, "it never became {wanted}");
                std::thread::yield_now();
            }
        };
        until(false);
        kill_process(pid, Signal::STOP).unwrap();
        until(true);
        assert!(child_is_stopped(&descriptor).unwrap(), "asking takes nothing away");
        kill_process(pid, Signal::CONT).unwrap();
        until(false);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(child_is_stopped(&descriptor).is_err(), "nobody knows of one that is gone");
    }
}
