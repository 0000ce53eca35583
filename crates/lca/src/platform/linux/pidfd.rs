//! Process descriptors and senders of datagrams: how a process ended and who sent something, asked of the kernel.
//!
//! Refuses to know trees and applications. The law: a process is named by its descriptor, never by a number that
//! may already be another's; a sender that cannot be seen from here is nobody; and every descriptor that arrives with a
//! datagram has an owner at once.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;
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

/// Room for the most descriptors that the kernel lets come with one datagram (253) and for one sender, in words.
const CONTROL_WORDS: usize = 160;

/// What was received.
#[derive(Debug)]
pub struct Received {
    /// How many bytes were written.
    pub length: usize,
    /// It was short enough to be read whole.
    pub whole: bool,
    /// Who sent it, if the kernel says so and it can be seen from here.
    pub pid: Option<u32>,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// The next datagram of a socket, if one is there; it does not wait. The usual library is not used for this: it takes the
/// number of a sender for one that is never 0, which whoever sends from outside of this agent's namespace makes untrue.
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Received> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: the structure is numbers and pointers; zero is a valid value of each.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: every pointer of the message leads to memory that outlives the call and is as long as is said.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has just written the control part, and its descriptors are nobody else's.
    let (pid, descriptors) = unsafe { read_control(&message) };
    Ok(Received { length, whole: message.msg_flags & libc::MSG_TRUNC == 0, pid, descriptors })
}

/// Sender and descriptors of a control part.
///
/// # Safety
/// The control part of the message must be whole and written as the kernel writes it; each descriptor in it must be open
/// and owned by nobody.
unsafe fn read_control(message: &libc::msghdr) -> (Option<u32>, Vec<OwnedFd>) {
    let (mut pid, mut descriptors) = (None, Vec::new());
    // SAFETY: the headers are found as the system's own rules say, inside the control part; what follows each is as long
    // as it says, and is read without assuming how it lies.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(one) = header.as_ref() {
            let content = libc::CMSG_DATA(header);
            let length = one.cmsg_len.saturating_sub(libc::CMSG_LEN(0) as usize);
            match (one.cmsg_level, one.cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                    let sender = content.cast::<libc::ucred>().read_unaligned();
                    pid = u32::try_from(sender.pid).ok().filter(|pid| *pid != 0);
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for index in 0..length / size_of::<c_int>() {
                        let number = content.cast::<c_int>().add(index).read_unaligned();
                        descriptors.push(OwnedFd::from_raw_fd(number));
                    }
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    (pid, descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
    use std::os::unix::net::UnixDatagram;
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

    fn pair() -> (UnixDatagram, UnixDatagram) {
        let (sends, receives) = UnixDatagram::pair().unwrap();
        rustix::net::sockopt::set_socket_passcred(&receives, true).unwrap();
        (sends, receives)
    }

    #[test]
    fn sender_length_and_descriptors_are_told() {
        let (sends, receives) = pair();
        let mut bytes = [0; 8];
        assert_eq!(receive(receives.as_fd(), &mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        sends.send(b"123456789").unwrap();
        let cut = receive(receives.as_fd(), &mut bytes).unwrap();
        assert_eq!((cut.whole, cut.length, cut.pid), (false, 8, Some(std::process::id())));
        let both = [sends.as_fd(), receives.as_fd()];
        let mut room = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut beside = SendAncillaryBuffer::new(&mut room);
        assert!(beside.push(SendAncillaryMessage::ScmRights(&both)));
        sendmsg(&sends, &[io::IoSlice::new(b"x")], &mut beside, SendFlags::empty()).unwrap();
        let whole = receive(receives.as_fd(), &mut bytes).unwrap();
        assert_eq!((whole.whole, whole.length, bytes[0]), (true, 1, b'x'));
        assert_eq!((whole.pid, whole.descriptors.len()), (Some(std::process::id()), 2));
        for descriptor in &whole.descriptors {
            let flags = rustix::io::fcntl_getfd(descriptor).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn a_sender_of_another_namespace_is_nobody() {
        // As the kernel writes it for one: number 0.
        let mut control = [0_u64; 8];
        let sender = |pid| libc::ucred { pid, uid: 65_534, gid: 65_534 };
        let mut told = |pid| {
            // SAFETY: the message has one control part, in `control`, which is long enough and aligned for it.
            unsafe {
                let mut message: libc::msghdr = std::mem::zeroed();
                message.msg_control = control.as_mut_ptr().cast();
                message.msg_controllen = libc::CMSG_SPACE(size_of::<libc::ucred>() as u32) as _;
                let header = libc::CMSG_FIRSTHDR(&raw const message);
                (*header).cmsg_level = libc::SOL_SOCKET;
                (*header).cmsg_type = libc::SCM_CREDENTIALS;
                (*header).cmsg_len = libc::CMSG_LEN(size_of::<libc::ucred>() as u32) as _;
                libc::CMSG_DATA(header).cast::<libc::ucred>().write_unaligned(sender(pid));
                read_control(&message).0
            }
        };
        assert_eq!((told(0), told(4711), told(-1)), (None, Some(4711), None));
    }
}
