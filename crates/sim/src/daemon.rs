//! A daemon around a machine, as `understudy_drive::run` drives it: one inbox, one step at a time, *step, persist, act*; a
//! write to disk that keeps the loop waiting; deadlines looked at after every piece of mail.
//!
//! Refuses to know which machine it is and what its actions do. The law: the order of the real loop, no other: nothing is
//! acted on before it is written, and a failed write is observed before anything else.

use std::collections::VecDeque;

use understudy_model::{Decision, Machine, Moment};

use crate::fault::Disk;
use crate::queue::Event;

/// A decision that waits for its disk.
#[derive(Debug)]
pub struct Writing<M: Machine> {
    /// It.
    pub decision: Decision<M::Persist, M::Act>,
    /// How the disk will answer.
    pub disk: Disk,
}

/// One daemon: a machine while it lives, and what stands around it.
pub struct Daemon<M: Machine> {
    /// The machine; none while the program does not run.
    pub machine: Option<M>,
    /// Counts its starts. What belongs to another life is over.
    pub life: u32,
    /// How many stops it is under.
    pub frozen: u32,
    /// What happened to it while it was frozen.
    pub put_off: Vec<Event>,
    /// What was observed and not yet decided on.
    pub mail: VecDeque<(Moment, M::Saw)>,
    /// What was observed while something was being written, and waits for that; before all other mail.
    waiting: VecDeque<(Moment, M::Saw)>,
    /// A piece of mail was taken since the last look at deadlines.
    took_mail: bool,
    /// The decision that is being written.
    pub writing: Option<Writing<M>>,
    /// The true time at which it wakes; [`u64::MAX`] if it does not.
    pub wakes: u64,
    /// Steps so far, in all lives.
    pub steps: u64,
}

impl<M: Machine> Default for Daemon<M> {
    fn default() -> Self {
        Self {
            machine: None,
            life: 0,
            frozen: 0,
            put_off: Vec::new(),
            mail: VecDeque::new(),
            waiting: VecDeque::new(),
            took_mail: false,
            writing: None,
            wakes: u64::MAX,
            steps: 0,
        }
    }
}

/// What a daemon does next.
#[derive(Debug)]
pub enum Turn<M: Machine> {
    /// It observes this.
    Sees(Moment, M::Saw),
    /// It does this while something is being written. What it observed for it, if it observed something.
    Aside(Moment, Option<M::Saw>, Decision<M::Persist, M::Act>),
    /// It sleeps until then.
    Sleeps(Option<Moment>),
    /// It does not run now.
    Waits,
}

impl<M: Machine> Daemon<M>
where
    M::Saw: Clone,
{
    /// It is this machine from now on.
    pub fn begin(&mut self, machine: M) {
        self.machine = Some(machine);
    }

    /// It is dead: what it had in hand is lost. Returns the decision that was being written.
    pub fn end(&mut self) -> Option<Writing<M>> {
        self.machine = None;
        self.life += 1;
        self.mail.clear();
        self.waiting.clear();
        self.took_mail = false;
        self.put_off.clear();
        self.wakes = u64::MAX;
        self.writing.take()
    }

    /// What is being written, if something is.
    pub fn writes(&self) -> Option<&[M::Persist]> {
        self.writing.as_ref().map(|writing| &writing.decision.persist[..])
    }

    /// What it has not decided on yet.
    pub fn mail(&self) -> impl Iterator<Item = &M::Saw> {
        self.waiting.iter().chain(&self.mail).map(|(_, saw)| saw)
    }

    /// It lives, and is not stopped.
    pub fn runs(&self) -> bool {
        self.machine.is_some() && self.frozen == 0
    }

    /// What its loop does next.
    pub fn turn(&mut self, now: Moment) -> Turn<M> {
        if self.frozen > 0 {
            return Turn::Waits;
        }
        let Some(machine) = &mut self.machine else { return Turn::Waits };
        if self.writing.is_some() {
            while let Some((at, saw)) = self.mail.pop_front() {
                match machine.aside(at, &saw) {
                    Some(decision) => return Turn::Aside(at, Some(saw), decision),
                    None => self.waiting.push_back((at, saw)),
                }
            }
            let due = machine.aside_deadline();
            return match due {
                Some(due) if due <= now => Turn::Aside(now, None, machine.aside_passed(now)),
                due => Turn::Sleeps(due),
            };
        }
        let due = machine.next_deadline();
        let is_due = due.is_some_and(|due| due <= now);
        // After what the mail led to was written: a deadline that has passed does not wait for more mail.
        if std::mem::take(&mut self.took_mail) && is_due {
            return Turn::Sees(now, M::deadline_passed());
        }
        if let Some((at, saw)) = self.waiting.pop_front().or_else(|| self.mail.pop_front()) {
            self.took_mail = true;
            return Turn::Sees(at, saw);
        }
        if is_due { Turn::Sees(now, M::deadline_passed()) } else { Turn::Sleeps(due) }
    }
}
