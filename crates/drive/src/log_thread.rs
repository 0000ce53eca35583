//! The thread that writes a program's log, so that nobody who logs waits for whoever reads it, be that a terminal, a collector of
//! logs or a disk.
//!
//! Refuses to know what is said. The law: whoever logs never waits; what waits to be written is bounded and keeps its order;
//! what found no room, or could not be written, is counted, and said in its place as soon as somebody reads again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::Duration;

/// Most bytes that wait to be written, with what each line costs beside its text.
pub(crate) const MOST_WAITING_BYTES: usize = 256 * 1024;
/// What a line costs beside its text, in bytes.
const LINE_COSTS_BYTES: usize = 64;
/// It does nothing but write.
const STACK_BYTES: usize = 64 * 1024;

/// The way to the thread. It sleeps while nothing is logged.
#[derive(Debug)]
pub(crate) struct LogThread {
    work: Sender<Work>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    /// Lines that were lost and not told of yet.
    lost: AtomicU64,
}

#[derive(Debug)]
enum Work {
    /// A line, and how many were lost before it.
    Line(Box<[u8]>, u64),
    /// Everything before this was written, or could not be.
    Flush(SyncSender<()>),
}

impl LogThread {
    /// Starts it; `write` writes a line whole or says why not, and may take its time.
    pub(crate) fn start(write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let (work, todo) = mpsc::channel();
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let thread = std::thread::Builder::new().name("log".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || write_on(&todo, write, &counted))?;
        Ok(Self { work, counts })
    }

    /// Has a line written, or counts it as lost. Never waits.
    pub(crate) fn line(&self, text: &[u8]) {
        let bytes = text.len() + LINE_COSTS_BYTES;
        let waiting = self.counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > MOST_WAITING_BYTES {
            self.counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lost = self.counts.lost.swap(0, Ordering::Relaxed);
        if self.work.send(Work::Line(text.into(), lost)).is_err() {
            self.counts.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }

    /// Waits until all that was logged before is written, no longer than `limit`. False if it is not.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let (done, flushed) = mpsc::sync_channel(1);
        self.work.send(Work::Flush(done)).is_ok() && flushed.recv_timeout(limit).is_ok()
    }
}

fn write_on(todo: &Receiver<Work>, mut write: impl FnMut(&[u8]) -> io::Result<()>, counts: &Counts) {
    // What cannot be written is lost; a reader that comes back is told how much.
    let mut put = |text: &[u8], lines: u64| {
        if write(text).is_err() {
            counts.lost.fetch_add(lines, Ordering::Relaxed);
        }
    };
    let told = |lost: u64| format!("{lost} lines of this log were lost here, as nobody read it\n");
    while let Ok(work) = todo.recv() {
        let flushed = match work {
            Work::Line(text, lost) => {
                if lost > 0 {
                    put(told(lost).as_bytes(), lost);
                }
                put(&text, 1);
                counts.waiting_bytes.fetch_sub(text.len() + LINE_COSTS_BYTES, Ordering::Relaxed);
                None
            }
            Work::Flush(done) => Some(done),
        };
        // Nothing waits that would say it.
        if flushed.is_some() || counts.waiting_bytes.load(Ordering::Relaxed) == 0 {
            let lost = counts.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                put(told(lost).as_bytes(), lost);
            }
        }
        if let Some(done) = flushed {
            // Whoever asked may have given up.
            let _ = done.try_send(());
        }
    }
}

/// Writes everything, however long it takes. On an error a part of it may be written.
#[cfg(unix)]
pub(crate) fn write_whole(to: impl std::os::fd::AsFd, mut text: &[u8]) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    while !text.is_empty() {
        match rustix::io::write(&to, text) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => text = &text[written..],
            Err(Errno::INTR) => {}
            // Somebody else made it so that it does not wait.
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&to, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    /// The longest that anything may take.
    const LIMIT: Duration = Duration::from_secs(20);

    /// A log whose reader has not begun to read.
    fn unread() -> (BufReader<io::PipeReader>, LogThread) {
        let (reader, writer) = io::pipe().unwrap();
        let log = LogThread::start(move |text| write_whole(&writer, text)).unwrap();
        (BufReader::new(reader), log)
    }

    /// How many lines there are until this one, in their order, and how many were lost before it.
    fn read_until(last: &str, reader: &mut impl BufRead) -> (u64, u64) {
        let (mut count, mut lost) = (0, 0);
        for line in reader.lines().map(Result::unwrap) {
            if line.trim() == last {
                return (count, lost);
            } else if let Some((number, _)) = line.split_once(" lines of this log were lost here") {
                lost += number.parse::<u64>().unwrap();
            } else {
                assert_eq!(line.trim().parse::<u64>().unwrap(), count + lost, "the order is kept");
                count += 1;
            }
        }
        panic!("{last} was not written");
    }

    #[test]
    fn nobody_waits_for_a_reader_and_what_was_lost_is_told_in_its_place() {
        let (mut reader, log) = unread();
        // Longer than what a pipe takes in one piece, and more than it and the queue take together.
        for number in 0..1_000 {
            log.line(format!("{number:>9999}\n").as_bytes());
        }
        assert!(!log.flush(Duration::ZERO), "nobody reads");
        let waiting = log.counts.waiting_bytes.load(Ordering::Relaxed);
        assert!(waiting <= MOST_WAITING_BYTES, "{waiting}");
        assert!(log.counts.lost.load(Ordering::Relaxed) > 0);
        let reads = std::thread::spawn(move || (read_until("again", &mut reader), reader));
        while !log.flush(LIMIT) {}
        log.line(b"again\n");
        let ((written, told), mut reader) = reads.join().unwrap();
        assert_eq!(written + told, 1_000);
        // All of it was told, and once.
        log.line(b"0\n");
        log.line(b"last\n");
        assert_eq!(read_until("last", &mut reader), (1, 0));
    }

    #[test]
    fn what_could_not_be_written_is_told_when_it_can_be_again() {
        let (said, heard) = mpsc::channel();
        let (broken, mut left) = (3, 3);
        let write = move |text: &[u8]| {
            if left > 0 {
                left -= 1;
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            said.send(String::from_utf8(text.to_vec()).unwrap()).unwrap();
            Ok(())
        };
        let log = LogThread::start(write).unwrap();
        let mut lines = 0;
        let told = loop {
            log.line(b"line\n");
            lines += 1;
            assert!(log.flush(LIMIT));
            assert!(lines <= broken, "it can be written again");
            if let Ok(told) = heard.try_recv() {
                break told;
            }
        };
        let lost: u64 = told.split_once(' ').unwrap().0.parse().unwrap();
        assert_eq!(lost + heard.try_iter().count() as u64, lines, "none is told twice, and none not at all");
    }

    #[test]
    fn a_reader_that_was_made_not_to_wait_gets_everything() {
        let (reader, writer) = io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        let log = LogThread::start(move |text| write_whole(&writer, text)).unwrap();
        for number in 0..20 {
            log.line(format!("{number:>9999}\n").as_bytes());
        }
        log.line(b"last\n");
        assert_eq!(read_until("last", &mut BufReader::new(reader)), (20, 0));
    }
}
