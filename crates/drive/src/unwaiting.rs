//! Standard error of a program that must not wait: what nobody reads is dropped, and counted.
//!
//! Refuses to know what is said. The law: whoever writes never waits for whoever reads; that something was lost is said as soon
//! as somebody reads again.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a pipe that takes anything takes at least, in bytes.
const AT_ONCE_BYTES: usize = 4096;

/// Writes to `to` what that takes at once.
pub struct Unwaiting<'l, F> {
    to: F,
    lost: &'l AtomicU64,
}

impl<'l, F> Unwaiting<'l, F> {
    /// `lost` counts the pieces that were dropped and not told of yet.
    pub fn new(to: F, lost: &'l AtomicU64) -> Self {
        Self { to, lost }
    }
}

impl<F: AsFd + Write> Write for Unwaiting<'_, F> {
    /// Whether written or dropped, it counts as written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !takes_more(&self.to) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Ok(bytes.len());
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writeln!(self.to, "{lost} pieces of this log were lost here, as nobody read it")?;
            return self.write(bytes);
        }
        self.to.write(&bytes[..bytes.len().min(AT_ONCE_BYTES)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether it can be written to without waiting. What cannot be asked is written to.
fn takes_more(to: &impl AsFd) -> bool {
    let mut waiting = [PollFd::new(to, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut waiting, Some(&at_once)).map_or(true, |_| !waiting[0].revents().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn nobody_waits_for_a_reader_and_what_was_lost_is_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let lost = AtomicU64::new(0);
        let mut log = Unwaiting::new(writer.try_clone().unwrap(), &lost);
        let mut written = 0;
        while lost.load(Ordering::Relaxed) < 3 {
            log.write_all(format!("{written:>99}\n").as_bytes()).unwrap();
            written += 1;
        }
        assert!(written > 100, "a pipe takes more than that");
        let mut bytes = vec![0; (written - 3) * 100];
        reader.read_exact(&mut bytes).unwrap();
        log.write_all(b"again\n").unwrap();
        log.write_all(&[b'x'; 3 * AT_ONCE_BYTES]).unwrap();
        drop((log, writer));
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        let expected = "3 pieces of this log were lost here, as nobody read it\nagain\n";
        assert_eq!(rest.strip_prefix(expected).map(str::len), Some(3 * AT_ONCE_BYTES), "{rest}");
    }
}
