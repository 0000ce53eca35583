//! An application that notes what it is asked, for tests to read.
//!
//! Knows no agent; every wait has a deadline.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use understudy::{Conduct, Epoch, LinkChange, SuspendDone};

use super::agent::PATIENCE;

/// What a [`Recorder`] was asked to do.
#[derive(Debug)]
pub enum Asked {
    Promote(Epoch),
    Demote(Epoch),
    Suspend(SuspendDone),
    Link(LinkChange),
}

/// An application that notes what it is asked, and refuses the epochs it was made to refuse.
pub struct Recorder {
    notes: Sender<Asked>,
    refuses: Vec<u64>,
}

/// The notes of a [`Recorder`], in order.
pub struct Notes(Receiver<Asked>);

impl Recorder {
    pub fn new(refuses: &[u64]) -> (Self, Notes) {
        let (notes, read) = channel();
        (Self { notes, refuses: refuses.to_vec() }, Notes(read))
    }

    fn note(&self, asked: Asked) {
        // A test that has ended reads no more.
        let _ = self.notes.send(asked);
    }
}

impl Conduct for Recorder {
    fn promote(&mut self, epoch: Epoch) -> Result<(), String> {
        self.note(Asked::Promote(epoch));
        if self.refuses.contains(&epoch.0) { Err(format!("not in {epoch}")) } else { Ok(()) }
    }

    fn demote(&mut self, epoch: Epoch) {
        self.note(Asked::Demote(epoch));
    }

    fn suspend(&mut self, done: SuspendDone) {
        self.note(Asked::Suspend(done));
    }

    fn hear_link(&mut self, change: LinkChange) {
        self.note(Asked::Link(change));
    }
}

impl Notes {
    /// The next note that is about roles or suspension.
    pub fn next(&self) -> Asked {
        loop {
            match self.0.recv_timeout(PATIENCE).expect("the application was not asked") {
                Asked::Link(_) => {}
                other => return other,
            }
        }
    }

    /// The next note that is about the link.
    pub fn next_link(&self) -> LinkChange {
        loop {
            if let Asked::Link(change) = self.0.recv_timeout(PATIENCE).expect("nothing was told of the link")
            {
                return change;
            }
        }
    }

    /// Whether nothing about roles is noted now. Used after an answer that came later than any call would have.
    pub fn is_quiet(&self) -> bool {
        loop {
            match self.0.recv_timeout(Duration::ZERO) {
                Ok(Asked::Link(_)) => {}
                Ok(_) => return false,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return true,
            }
        }
    }
}
