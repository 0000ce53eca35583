//! What is true of this application now, and the one place from which it is said to the agent.
//!
//! Knows no roles to decide about and never reads from the link. The law: what is true is changed and said under one
//! lock, so that an agent hears changes in their order, and a new connection begins with the whole truth.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use understudy_model::{ApplicationName, Epoch, FromApplication, InSyncWish, Readiness};
use understudy_wire::{CONFIRM_SINCE, IN_SYNC_SINCE};

use crate::endpoint::Mouth;
use crate::{InSyncError, LONGEST_REASON_BYTES, Role, RoleWatch};

/// Shared by the application's threads and the library's own.
#[derive(Debug)]
pub(crate) struct Truth {
    application: ApplicationName,
    role: RoleWatch,
    inner: Mutex<Inner>,
    ended: Condvar,
    answered: Condvar,
}

#[derive(Debug)]
struct Inner {
    readiness: Readiness,
    suspension: Suspension,
    mouth: Option<Mouth>,
    ended: bool,
    /// The version that the agent chose; 0 before it has accepted this process.
    version: u16,
    /// Questions that wait for an answer, and answers that wait for whoever asked.
    confirms: BTreeMap<u64, Option<Option<Epoch>>>,
    last_confirm: u64,
    /// Words on who has everything that wait for an answer, and answers that wait for whoever said them.
    words: BTreeMap<u64, Option<Result<(), InSyncError>>>,
    last_word: u64,
    /// The last word of each sense.
    last_left_out: u64,
    last_caught_up: u64,
}

/// How far a graceful suspension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspension {
    /// Nobody asked.
    NotAsked,
    /// The application finishes what it has.
    Finishing,
    /// It has nothing left.
    Finished,
}

impl Truth {
    pub(crate) fn new(application: ApplicationName, role: RoleWatch) -> Self {
        let readiness = Readiness::NotYet;
        let inner = Inner {
            readiness,
            suspension: Suspension::NotAsked,
            mouth: None,
            ended: false,
            version: 0,
            confirms: BTreeMap::new(),
            last_confirm: 0,
            words: BTreeMap::new(),
            last_word: 0,
            last_left_out: 0,
            last_caught_up: 0,
        };
        Self { application, role, inner: Mutex::new(inner), ended: Condvar::new(), answered: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that runs under the lock can leave it half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn role(&self) -> Role {
        self.role.role()
    }

    pub(crate) fn suspension(&self) -> Suspension {
        self.lock().suspension
    }

    /// Makes `mouth` the way to the agent, beginning with the whole truth. Answers whether it could be said.
    pub(crate) fn attach(&self, mouth: Mouth) -> bool {
        let mut inner = self.lock();
        if inner.ended {
            return false;
        }
        let Role { run_mode, epoch } = self.role.role();
        inner.mouth = Some(mouth);
        let attach = FromApplication::Attach {
            application: self.application.clone(),
            pid: std::process::id(),
            run_mode,
            epoch,
            readiness: inner.readiness.clone(),
            suspended: inner.suspension == Suspension::Finished,
            heartbeat: true,
        };
        inner.say(&attach);
        inner.mouth.is_some()
    }

    /// The connection is gone.
    pub(crate) fn detach(&self) {
        let mut inner = self.lock();
        inner.mouth = None;
        inner.version = 0;
        // Nobody answers on a connection that is gone.
        inner.confirms.values_mut().for_each(|answer| _ = answer.get_or_insert(None));
        inner.words.values_mut().for_each(|answer| _ = answer.get_or_insert_with(lost));
        self.answered.notify_all();
    }

    /// The agent has accepted this process, and chose that version.
    pub(crate) fn attached(&self, version: u16) {
        self.lock().version = version;
    }

    /// Asks whether another voter stands behind the role now, and waits for the answer, `longest` at most.
    pub(crate) fn confirm(&self, longest: Duration) -> Option<Epoch> {
        let mut inner = self.lock();
        if inner.mouth.is_none() || inner.version < CONFIRM_SINCE {
            return None;
        }
        inner.last_confirm += 1;
        let number = inner.last_confirm;
        inner.confirms.insert(number, None);
        inner.say(&FromApplication::Confirm(number));
        let waits = |inner: &mut Inner| {
            inner.mouth.is_some() && inner.confirms.get(&number).is_some_and(Option::is_none)
        };
        let waited = self.answered.wait_timeout_while(inner, longest, waits);
        let mut inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        inner.confirms.remove(&number).flatten().flatten()
    }

    /// The agent answered; somebody who waited no longer is not told.
    pub(crate) fn confirmed(&self, number: u64, epoch: Option<Epoch>) {
        if let Some(answer) = self.lock().confirms.get_mut(&number) {
            *answer = Some(epoch);
        }
        self.answered.notify_all();
    }

    /// Has the control server record who has everything, and waits for its answer, `longest` at most.
    pub(crate) fn record(
        &self,
        epoch: Epoch,
        wish: InSyncWish,
        longest: Duration,
    ) -> Result<(), InSyncError> {
        let mut inner = self.lock();
        if wish == InSyncWish::CaughtUp {
            // From its first byte on the record may say so, whatever becomes of the answer.
            self.role.set_alone_in(Epoch::NONE);
        }
        if inner.mouth.is_none() || inner.version == 0 {
            return Err(InSyncError::NoAgent);
        }
        if inner.version < IN_SYNC_SINCE {
            return Err(InSyncError::OldAgent);
        }
        inner.last_word += 1;
        let number = inner.last_word;
        *inner.last_of(wish) = number;
        inner.words.insert(number, None);
        inner.say(&FromApplication::InSync { number, epoch, wish });
        let waits = |inner: &mut Inner| {
            inner.mouth.is_some() && inner.words.get(&number).is_some_and(Option::is_none)
        };
        let waited = self.answered.wait_timeout_while(inner, longest, waits);
        let mut inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        let silent = if inner.mouth.is_none() { lost() } else { Err(InSyncError::Late(longest)) };
        let answer = inner.words.remove(&number).flatten().unwrap_or(silent);
        answer?;
        // What was recorded is recorded no more, or will not be for long: whoever waited must not go by it.
        let (otherwise, is_so) = match wish {
            InSyncWish::LeaveOut => (InSyncWish::CaughtUp, "the other member has caught up"),
            InSyncWish::CaughtUp => (InSyncWish::LeaveOut, "the other member is out"),
        };
        if *inner.last_of(otherwise) > number {
            let why = format!("overtaken: another thread has said since that {is_so}");
            return Err(InSyncError::Refused(why));
        }
        // An answer of a former epoch may find somebody who comes late.
        if wish == InSyncWish::LeaveOut && epoch > self.role.alone_in() {
            self.role.set_alone_in(epoch);
        }
        Ok(())
    }

    /// The control server answered; somebody who waited no longer is not told.
    pub(crate) fn recorded(&self, number: u64, refused: Option<String>) {
        if let Some(answer) = self.lock().words.get_mut(&number) {
            *answer = Some(refused.map_or(Ok(()), |why| Err(InSyncError::Refused(why))));
        }
        self.answered.notify_all();
    }

    /// Changes the role without a word: the caller says it when the application has done its part.
    pub(crate) fn set_role(&self, role: Role) {
        // Under the lock, so that an `Attach` never mixes an old role with a newer word.
        let _inner = self.lock();
        self.role.set(role);
    }

    /// Says `message` if there is a link. What is said to nobody is in the next `Attach`.
    pub(crate) fn say(&self, message: &FromApplication) {
        self.lock().say(message);
    }

    /// Changes readiness and says so, if it is news.
    pub(crate) fn set_readiness(&self, readiness: Readiness) {
        let readiness = match readiness {
            Readiness::Unavailable(reason) => Readiness::Unavailable(shorten(reason)),
            other => other,
        };
        let mut inner = self.lock();
        if inner.readiness != readiness {
            inner.readiness = readiness.clone();
            inner.say(&FromApplication::Readiness(readiness));
        }
    }

    /// Notes that a suspension was asked for. Answers what was before.
    pub(crate) fn begin_suspension(&self) -> Suspension {
        let mut inner = self.lock();
        let before = inner.suspension;
        if before == Suspension::NotAsked {
            inner.suspension = Suspension::Finishing;
        }
        before
    }

    pub(crate) fn finish_suspension(&self) {
        let mut inner = self.lock();
        inner.suspension = Suspension::Finished;
        inner.say(&FromApplication::Suspended);
    }

    /// Ends the link for good.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        if let Some(mouth) = inner.mouth.take() {
            mouth.hang_up();
        }
        self.ended.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Waits before the next attempt to connect; returns early, with `true`, when the link is ended.
    pub(crate) fn wait_for_end(&self, longest: Duration) -> bool {
        let inner = self.lock();
        let waited = self.ended.wait_timeout_while(inner, longest, |inner| !inner.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }
}

impl Inner {
    /// The number of the last word of that sense; 0: none.
    fn last_of(&mut self, wish: InSyncWish) -> &mut u64 {
        match wish {
            InSyncWish::LeaveOut => &mut self.last_left_out,
            InSyncWish::CaughtUp => &mut self.last_caught_up,
        }
    }

    fn say(&mut self, message: &FromApplication) {
        let Some(mouth) = &mut self.mouth else { return };
        if !mouth.say(message) {
            // An agent that does not read, or is gone. Hanging up wakes the reading thread, which tells the reason,
            // and the next connection begins with the truth: nothing is lost.
            mouth.hang_up();
            self.mouth = None;
        }
    }
}

/// The link was lost while an answer was awaited.
fn lost() -> Result<(), InSyncError> {
    Err(InSyncError::Refused("the link to the agent was lost before an answer came".to_owned()))
}

/// Cuts a reason to [`LONGEST_REASON_BYTES`], at a character's end.
pub(crate) fn shorten(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(LONGEST_REASON_BYTES));
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_between_characters() {
        assert_eq!(shorten("short".to_owned()), "short");
        let cut = shorten("é".repeat(LONGEST_REASON_BYTES));
        assert!(cut.len() <= LONGEST_REASON_BYTES && cut.len() + 2 > LONGEST_REASON_BYTES, "{}", cut.len());
    }
}
