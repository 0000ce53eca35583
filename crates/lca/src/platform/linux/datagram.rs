//! One datagram with what the kernel says beside it: who sent it, and descriptors that came with it.
//!
//! Refuses to know what is said. The law: a sender that cannot be seen from here (of another namespace) has the number 0
//! and is nobody; every descriptor that arrives has an owner at once.
//!
//! The usual library is not used: it takes the number of a sender for one that is never 0, which whoever sends from
//! outside of this agent's namespace makes untrue.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

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

/// The next datagram, if one is there; it does not wait.
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
            let length = (one.cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
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
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

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
