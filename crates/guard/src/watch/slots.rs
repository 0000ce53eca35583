//! What is armed, and what was killed.
//!
//! Knows no sockets. The laws: a slot is about one start until it is disarmed; what was fired stays fired; a word about another
//! start than the slot's changes nothing.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use understudy_model::{ApplicationName, Moment};

use super::kill::Prey;
use crate::message::{Answer, Post, Refusal};
use crate::{MOST_SLOTS, Start};

/// From one try to kill what is still there to the next, at first; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// And at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

struct Slot {
    start: Start,
    application: ApplicationName,
    kill_at: Moment,
    prey: Prey,
    state: State,
}

enum State {
    /// Until its moment.
    Armed,
    /// Something of it was alive when last looked at.
    Firing { at: Moment, again_at: Moment, pause: Duration },
    /// Nothing of it is left.
    Gone { at: Moment, gone_at: Moment },
}

impl Slot {
    fn post(&self, slot: usize) -> Post {
        // Slots are few.
        Post { slot: slot as u16, start: self.start }
    }

    /// What it is, for whoever asks.
    fn answer(&self, slot: usize) -> Answer {
        let (post, kill_at, application) = (self.post(slot), self.kill_at, self.application.clone());
        match self.state {
            State::Armed => Answer::Armed { post, kill_at, application },
            State::Firing { at, .. } => Answer::Fired { post, kill_at, at, gone_at: None, application },
            State::Gone { at, gone_at } => {
                Answer::Fired { post, kill_at, at, gone_at: Some(gone_at), application }
            }
        }
    }

    fn due_at(&self) -> Option<Moment> {
        match self.state {
            State::Armed => Some(self.kill_at),
            State::Firing { again_at, .. } => Some(again_at),
            State::Gone { .. } => None,
        }
    }

    /// Kills what is left of it, once. Returns whether there is news.
    fn fire(&mut self, now: Moment) -> bool {
        match self.state {
            State::Armed => {
                self.prey.strike();
                let again_at = crate::now() + FIRST_PAUSE;
                self.state = State::Firing { at: now, again_at, pause: FIRST_PAUSE };
                true
            }
            State::Firing { at, .. } if self.prey.kill() => {
                self.state = State::Gone { at, gone_at: crate::now() };
                true
            }
            State::Firing { at, pause, .. } => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                self.state = State::Firing { at, again_at: crate::now() + pause, pause };
                false
            }
            State::Gone { .. } => false,
        }
    }
}

/// All slots.
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: (0..MOST_SLOTS).map(|_| None).collect() }
    }

    pub(super) fn arm(
        &mut self,
        post: Post,
        kill_at: Moment,
        application: ApplicationName,
        group: Option<PathBuf>,
        descriptor: Option<OwnedFd>,
    ) -> Answer {
        let index = usize::from(post.slot);
        let refused = |why| Answer::Refused { post: post.clone(), why };
        let Some(place) = self.slots.get_mut(index) else { return refused(Refusal::NoSlot) };
        match place {
            Some(other) if other.start != post.start => return refused(Refusal::Taken),
            // Too late: what was fired stays fired.
            Some(same) if !matches!(same.state, State::Armed) => return same.answer(index),
            Some(_) | None => {}
        }
        let Some(descriptor) = descriptor else { return refused(Refusal::NoProcess) };
        match Prey::new(post.start, &application, descriptor, group) {
            Ok(prey) => {
                let (start, state) = (post.start, State::Armed);
                place.insert(Slot { start, application, kill_at, prey, state }).answer(index)
            }
            Err(why) => refused(why),
        }
    }

    fn of(&mut self, post: &Post) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(post.slot))?.as_mut().filter(|slot| slot.start == post.start)
    }

    /// Another moment, for what is armed.
    pub(super) fn move_to(&mut self, post: &Post, kill_at: Moment) {
        if let Some(slot) = self.of(post).filter(|slot| matches!(slot.state, State::Armed)) {
            slot.kill_at = kill_at;
        }
    }

    /// Frees a slot. What is being killed is killed to its end first.
    pub(super) fn disarm(&mut self, post: &Post) {
        if self.of(post).is_some_and(|slot| !matches!(slot.state, State::Firing { .. })) {
            self.slots[usize::from(post.slot)] = None;
        }
    }

    /// Everything.
    pub(super) fn list(&self) -> impl Iterator<Item = Answer> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| slot.as_ref().map(|slot| slot.answer(index)))
    }

    /// Kills whatever is due, and says what is new.
    pub(super) fn fire(&mut self, now: Moment) -> Vec<Answer> {
        let mut news = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot
                && slot.due_at().is_some_and(|due| now >= due)
                && slot.fire(now)
            {
                news.push(slot.answer(index));
            }
        }
        news
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Moment> {
        self.slots.iter().flatten().filter_map(Slot::due_at).min()
    }

    /// Something is armed or being killed.
    pub(super) fn is_busy(&self) -> bool {
        self.slots.iter().flatten().any(|slot| slot.due_at().is_some())
    }

    /// Something was killed, and nobody has said that he knows.
    pub(super) fn remembers(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }
}
