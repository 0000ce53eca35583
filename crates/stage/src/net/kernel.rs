//! The two calls to the kernel that Rust cannot check: namespaces for this thread, and an interface of our own.
//!
//! It knows no addresses and no switch. The law: one unsafe block a call, each with its reason, and nothing else in here.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::ioctl::{Opcode, Setter, ioctl};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Where interfaces of programs are made.
pub(super) const TUN: &str = "/dev/net/tun";
/// `TUNSETIFF` of `linux/if_tun.h`.
const SET_INTERFACE: Opcode = 0x4004_54ca;
/// `IFF_TAP | IFF_NO_PI`: whole Ethernet frames, and nothing before them.
const FRAMES_ONLY: u16 = 0x0002 | 0x1000;
/// `IFNAMSIZ`.
const NAME_BYTES: usize = 16;

/// `struct ifreq`, as far as `TUNSETIFF` reads it.
#[repr(C)]
#[derive(Debug)]
struct InterfaceRequest {
    name: [u8; NAME_BYTES],
    flags: u16,
    rest: [u8; 22],
}

/// Gives the calling thread, and what it starts from now on, a network and a table of mounts of its own.
pub(super) fn leave_for_own_network() -> io::Result<()> {
    // SAFETY: what is unsafe of it is a table of file descriptors of one's own, which is not asked for.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }?;
    Ok(())
}

/// Makes an Ethernet interface in the network of the calling thread; its frames are read and written here, one each, without
/// waiting. It is gone when the file is closed. Names of 16 bytes and more are refused.
pub(super) fn make_interface(name: &str) -> io::Result<File> {
    let mut request = InterfaceRequest { name: [0; NAME_BYTES], flags: FRAMES_ONLY, rest: [0; 22] };
    if name.len() >= NAME_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(TUN)?;
    // SAFETY: the number is TUNSETIFF's, which reads one `struct ifreq` of 40 bytes, as `InterfaceRequest` is, and
    // writes into the kernel's copy of it only.
    unsafe { ioctl(&file, Setter::<SET_INTERFACE, InterfaceRequest>::new(request)) }?;
    Ok(file)
}
