//! The thread that searches for what is left of what was killed: all of `/proc` without a control group, and the members of one
//! where a kernel cannot kill a group at once.
//!
//! Refuses to know when. The law: whoever decides what is killed never waits for a search, which takes as long as there are
//! processes, and for one whose memory cannot be looked at as long as that lasts.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use understudy_model::Moment;

use super::kill::Prey;
use super::priority::hurry_as_usual;
use crate::now;

/// Stack of the thread, in bytes: all of it may be locked in memory.
const STACK_BYTES: usize = 128 * 1024;
/// A slot, and the moment at which nothing was left (0: something was), as the thread says them.
const WORD_BYTES: usize = 2 + 8;

/// What is to be searched for.
pub(super) struct Job {
    /// Its slot, of which there are few.
    pub(super) slot: u16,
    pub(super) prey: Arc<Prey>,
}

/// What a search has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Searched {
    pub(super) slot: u16,
    /// When nothing was left; nothing if something was, which has been killed again.
    pub(super) gone_at: Option<Moment>,
}

/// What the thread has said since it was last asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// This.
    Searched(Searched),
    /// Nothing.
    Nothing,
    /// It is no more, and with it what it had in work.
    Ended,
}

/// Its side of whoever decides.
pub(super) struct Searcher {
    jobs: Sender<Job>,
    words: OwnedFd,
}

impl Searcher {
    /// Makes the thread. It begins at once, and ends with this.
    pub(super) fn begin() -> io::Result<Self> {
        let (searcher, jobs, tell) = Self::parts()?;
        let thread = std::thread::Builder::new().name("search".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || {
            // What it starts with is the usual; it need not be in real time, where a long search would keep others out.
            hurry_as_usual();
            serve(&jobs, tell);
        })?;
        Ok(searcher)
    }

    /// Both sides, and nobody who searches.
    pub(super) fn parts() -> io::Result<(Self, Receiver<Job>, File)> {
        let (words, tell) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setfl(&words, OFlags::NONBLOCK)?;
        let (give, jobs) = channel();
        Ok((Self { jobs: give, words }, jobs, tell.into()))
    }

    /// Has it searched for; a job that nobody takes any more comes back.
    pub(super) fn search(&self, job: Job) -> Result<(), Job> {
        self.jobs.send(job).map_err(|refused| refused.0)
    }

    /// The next word. Waits for nothing, not even for a thread that is just saying something.
    pub(super) fn hear(&self) -> Word {
        let mut word = [0; WORD_BYTES];
        match rustix::io::read(&self.words, &mut word) {
            // Words are written whole.
            Ok(WORD_BYTES) => Word::Searched(read_word(word)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Word::Nothing,
            Ok(_) | Err(_) => Word::Ended,
        }
    }

    /// Readable when something was found.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.words.as_fd()
    }
}

fn serve(jobs: &Receiver<Job>, mut tell: File) {
    while let Ok(Job { slot, prey }) = jobs.recv() {
        let gone_at = prey.kill().then(now);
        drop(prey);
        if tell.write_all(&write_word(&Searched { slot, gone_at })).is_err() {
            return;
        }
    }
}

/// A word of the thread.
pub(super) fn write_word(searched: &Searched) -> [u8; WORD_BYTES] {
    let mut word = [0; WORD_BYTES];
    word[..2].copy_from_slice(&searched.slot.to_ne_bytes());
    word[2..].copy_from_slice(&searched.gone_at.map_or(0, |at| at.0).to_ne_bytes());
    word
}

fn read_word(word: [u8; WORD_BYTES]) -> Searched {
    let [low, high, moment @ ..] = word;
    let at = u64::from_ne_bytes(moment);
    Searched { slot: u16::from_ne_bytes([low, high]), gone_at: (at != 0).then_some(Moment(at)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_was_found() {
        for searched in
            [Searched { slot: 255, gone_at: None }, Searched { slot: 3, gone_at: Some(Moment(u64::MAX)) }]
        {
            assert_eq!(read_word(write_word(&searched)), searched);
        }
    }

    #[test]
    fn nothing_is_waited_for() {
        let (searcher, jobs, tell) = Searcher::parts().unwrap();
        assert_eq!(searcher.hear(), Word::Nothing);
        drop((jobs, tell));
        assert_eq!(searcher.hear(), Word::Ended);
    }
}
