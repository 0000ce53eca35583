//! The layout of a page, and the sequence lock over it.
//!
//! Knows no files: it is given the words, wherever they are. The law: a reader gets one statement, never half of one and
//! half of another, or nothing after [`TRIES`] tries; there is one writer at a time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use understudy_model::{Epoch, Moment, RunMode};

use crate::Standing;

/// The first eight bytes of a page.
pub const MAGIC: [u8; 8] = *b"USTYROLE";
/// The layout below.
pub const VERSION: u32 = 1;
/// The length of a page: one cache line.
pub const BYTES: usize = 64;
/// How often a reader looks again at a page that is being written before it says no: about a microsecond, where writing
/// takes some nanoseconds.
pub const TRIES: u32 = 128;

/// A page as it lies in memory: native byte order, as it never leaves its machine.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// Written last when a page is made.
    pub(crate) magic: AtomicU64,
    pub(crate) version: AtomicU32,
    pub(crate) length: AtomicU32,
    /// The boot that the expiry is of.
    pub(crate) boot: AtomicU64,
    /// The time namespace that the expiry is of; 0 if the system has none.
    pub(crate) namespace: AtomicU64,
    /// Odd while what follows is being written.
    sequence: AtomicU64,
    run_mode: AtomicU64,
    epoch: AtomicU64,
    until: AtomicU64,
}

const _: () = assert!(size_of::<Words>() == BYTES);
// Of less than 64 bits a load of eight bytes may be an instruction that also stores, which ends who has a page to read only.
const _: () = assert!(size_of::<usize>() == size_of::<u64>(), "role pages need a 64-bit machine");

impl Words {
    /// What the page says; nothing if it was being written each time that this looked.
    #[inline]
    pub(crate) fn read(&self) -> Option<Standing> {
        self.read_disturbed(|| ())
    }

    /// The same, with something that happens between any two looks: so that a test can be the writer that comes in between.
    #[inline]
    fn read_disturbed(&self, mut between: impl FnMut()) -> Option<Standing> {
        for _ in 0..TRIES {
            let before = self.sequence.load(Ordering::Acquire);
            between();
            if before & 1 == 0 {
                let run_mode = self.run_mode.load(Ordering::Relaxed);
                between();
                let epoch = self.epoch.load(Ordering::Relaxed);
                between();
                let until = self.until.load(Ordering::Relaxed);
                between();
                fence(Ordering::Acquire);
                if self.sequence.load(Ordering::Relaxed) == before {
                    let run_mode = run_mode_of(run_mode);
                    return Some(Standing { run_mode, epoch: Epoch(epoch), until: Moment(until) });
                }
            }
            std::hint::spin_loop();
        }
        None
    }

    /// Says something else. Only one thread of one process at a time.
    ///
    /// A new expiry of the same role is one store: before and after it the page is a whole statement, so a writer that is
    /// stopped or killed in the middle of a renewal leaves nothing half done.
    pub(crate) fn write(&self, says: Standing) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        let run_mode = number_of(says.run_mode);
        let same_role = self.run_mode.load(Ordering::Relaxed) == run_mode
            && self.epoch.load(Ordering::Relaxed) == says.epoch.0;
        if sequence & 1 == 0 && same_role {
            self.until.store(says.until.0, Ordering::Release);
            return;
        }
        // Odd already if a writer ended in the middle; then nobody has read anything since.
        let odd = sequence | 1;
        self.sequence.store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        self.run_mode.store(run_mode, Ordering::Relaxed);
        self.epoch.store(says.epoch.0, Ordering::Relaxed);
        self.until.store(says.until.0, Ordering::Relaxed);
        self.sequence.store(odd.wrapping_add(1), Ordering::Release);
    }

    /// Leaves the page as a writer does that is stopped in the middle.
    #[cfg(test)]
    pub(crate) fn stick(&self) {
        self.sequence.fetch_or(1, Ordering::SeqCst);
    }
}

/// Zero is nobody: what a file that was cut off shows.
fn number_of(run_mode: RunMode) -> u64 {
    match run_mode {
        RunMode::Unknown => 0,
        RunMode::Primary => 1,
        RunMode::Backup => 2,
        RunMode::Exiting => 3,
    }
}

fn run_mode_of(number: u64) -> RunMode {
    match number {
        1 => RunMode::Primary,
        2 => RunMode::Backup,
        3 => RunMode::Exiting,
        _ => RunMode::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_never_see_a_mix() {
        let one = Standing { run_mode: RunMode::Primary, epoch: Epoch(7), until: Moment(700) };
        let other = Standing { run_mode: RunMode::Backup, epoch: Epoch(8), until: Moment(800) };
        let words = Words::default();
        words.write(one);
        let (mut seen_one, mut seen_other, mut mixed) = (0_u32, 0_u32, None);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    words.write(other);
                    words.write(one);
                }
            });
            let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
            while (seen_one < 20_000 || seen_other < 20_000) && std::time::Instant::now() < limit {
                match words.read() {
                    Some(seen) if seen == one => seen_one += 1,
                    Some(seen) if seen == other => seen_other += 1,
                    Some(mix) => mixed = Some(mix),
                    // The writer was put aside in the middle.
                    None => std::thread::yield_now(),
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(mixed, None);
        assert!(
            seen_one >= 20_000 && seen_other >= 20_000,
            "saw {seen_one} of one, {seen_other} of the other"
        );
    }

    #[test]
    fn a_write_between_any_two_looks_is_no_mix_and_one_between_all_is_nobody() {
        let one = Standing { run_mode: RunMode::Primary, epoch: Epoch(7), until: Moment(700) };
        let other = Standing { run_mode: RunMode::Backup, epoch: Epoch(8), until: Moment(800) };
        for at in 0..4 {
            let words = Words::default();
            words.write(one);
            let mut looks = 0;
            let seen = words.read_disturbed(|| {
                if looks == at {
                    words.write(other);
                }
                looks += 1;
            });
            assert_eq!(seen, Some(other), "written after look {at}");
        }
        let words = Words::default();
        words.write(one);
        let mut looks = 0;
        let seen = words.read_disturbed(|| {
            looks += 1;
            words.write(if looks % 2 == 0 { one } else { other });
        });
        assert_eq!((seen, looks), (None, 4 * TRIES));
    }

    #[test]
    fn a_writer_that_is_stuck_is_nobody_until_the_next_one_writes() {
        let words = Words::default();
        let says = Standing { run_mode: RunMode::Primary, epoch: Epoch(3), until: Moment(u64::MAX) };
        words.write(says);
        assert_eq!(words.read(), Some(says));
        words.stick();
        assert_eq!(words.read(), None);
        words.write(says);
        assert_eq!(words.read(), Some(says));
    }

    #[test]
    fn a_renewal_is_one_store_and_any_other_change_moves_the_sequence() {
        let words = Words::default();
        let says = Standing { run_mode: RunMode::Primary, epoch: Epoch(3), until: Moment(5) };
        words.write(says);
        let sequence = words.sequence.load(Ordering::Relaxed);
        words.write(Standing { until: Moment(9), ..says });
        assert_eq!(words.sequence.load(Ordering::Relaxed), sequence);
        assert_eq!(words.read().unwrap().until, Moment(9));
        words.write(Standing { epoch: Epoch(4), ..says });
        assert_eq!(words.sequence.load(Ordering::Relaxed), sequence + 2);
    }

    #[test]
    fn every_run_mode_is_read_as_it_was_written_and_zeros_are_nobody() {
        for &run_mode in RunMode::ALL {
            assert_eq!(run_mode_of(number_of(run_mode)), run_mode);
        }
        assert_eq!(Words::default().read(), Some(Standing::NOBODY));
        assert_eq!(run_mode_of(u64::MAX), RunMode::Unknown);
    }
}
