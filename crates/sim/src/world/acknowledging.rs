//! Members of pairs that keep their data: what they acknowledge, and what they have recorded of who has it.
//!
//! Refuses to know the record. The law is the library's contract: alone only after its word came back and while it may act, and
//! nothing more alone from the moment when it says that the other one has caught up.

use understudy_model::{Epoch, FromApplication, InSyncWish, RunMode};

use super::World;
use crate::climate::{MS, Way};
use crate::invariants::s1;
use crate::queue::Event;

/// What a member has said of who has everything.
#[derive(Debug, Default)]
pub struct Words {
    /// The number of its last word.
    last: u64,
    /// That one, if it was that the other is out, with the epoch that it was for.
    leaves_out: Option<Epoch>,
    /// It came back: the other one is out in this epoch.
    alone: Option<Epoch>,
}

impl World {
    fn keeps_data(&self, part: usize) -> bool {
        self.climate.options.keep_data && self.cast.parts[part].way == Way::Library
    }

    /// A member that was started acknowledges something now and then.
    pub(super) fn begin_to_acknowledge(&mut self, number: usize) {
        if self.keeps_data(self.members[number].part) {
            self.think_later(number);
        }
    }

    fn think_later(&mut self, number: usize) {
        let wait = self.dice.data.scaled(20 * MS, 3_000 * MS);
        let serial = self.members[number].serial;
        self.queue.put(self.now + wait, Event::Acknowledges { member: number as u16, serial });
    }

    /// It acknowledges alone, if it may, and changes its mind now and then.
    pub(super) fn member_acknowledges(&mut self, number: usize, serial: u32) -> bool {
        let member = &self.members[number];
        if member.serial != serial || !member.runs() {
            return false;
        }
        let (part, epoch, primary) = (member.part, member.epoch, member.mode == RunMode::Primary);
        let linked = member.link.is_some();
        self.think_later(number);
        let acting = s1::acting(self, self.cast.parts[part].pair);
        let acts = acting.acts[usize::from(acting.parts[1] == part)];
        if !primary || !acts {
            return false;
        }
        if self.members[number].words.alone == Some(epoch) {
            self.laws.kept.acknowledges_alone(self.now, &self.cast, part, &self.control.store);
            self.sometimes.alone += 1;
        }
        if !linked || self.dice.data.chance(400) {
            return true;
        }
        let words = &mut self.members[number].words;
        words.last += 1;
        let said = words.last;
        let wish = if self.dice.data.chance(500) { InSyncWish::LeaveOut } else { InSyncWish::CaughtUp };
        match wish {
            InSyncWish::LeaveOut => words.leaves_out = Some(epoch),
            InSyncWish::CaughtUp => {
                (words.leaves_out, words.alone) = (None, None);
                self.laws.kept.copied(self.cast.other(part));
            }
        }
        self.speak(number, FromApplication::InSync { number: said, epoch, wish });
        true
    }

    /// Its word came back.
    pub(super) fn word_came_back(&mut self, number: usize, said: u64, refused: bool) {
        let words = &mut self.members[number].words;
        if said == words.last && !refused && words.leaves_out.is_some() {
            words.alone = words.leaves_out;
        }
        if refused {
            self.sometimes.words_refused += 1;
        } else {
            self.sometimes.words_taken += 1;
        }
    }
}
