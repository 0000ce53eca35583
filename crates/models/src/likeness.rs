//! Which states count as the same: what of each part can still matter, and which parts are equals of one another.
//!
//! The law: whatever the behaviour of a part depends on is fed here, or the comment says why it need not be. Each part is
//! fed for itself, upright and with the two members swapped, so that a state is known by the few words of its parts.

use std::hash::{Hash, Hasher};

use crate::fingerprint::Fold;
use crate::world::{Agent, CLOCKS, Call, Controller, Scope, Store, World};

/// A part as it is, and as its mirror image.
pub type Both = [u64; 2];

/// A part that also says something about one of the two control servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Marked {
    /// What it is, whichever control server it speaks of.
    pub both: Both,
    /// What it says of each control server.
    pub of: [u64; 2],
}

fn both(feed: impl Fn(&mut Fold)) -> Both {
    [false, true].map(|mirrored| {
        let mut fold = Fold::new(mirrored);
        feed(&mut fold);
        fold.finish()
    })
}

fn word(feed: impl Fn(&mut Fold)) -> u64 {
    let mut fold = Fold::new(false);
    feed(&mut fold);
    fold.finish()
}

impl Agent {
    /// Of the holder: what it holds, until when it may act (each voter's answer matters only through the latest), until when
    /// an order lasts, what was given up. Of requests that are on their way, what a yes could still do: their numbers only
    /// tell them apart.
    pub(crate) fn likeness(&self, scope: &Scope) -> Both {
        both(|fold| {
            (&self.disk.promised, self.disk.closed, &self.voter, self.released, &self.page).hash(fold);
            (self.holder.held(), self.holder.may_act_until(), self.holder.order_until()).hash(fold);
            (self.holder.given_up(), self.holder.lease(), self.behind).hash(fold);
            for asked in &self.asked {
                (
                    1_u8,
                    asked.epoch,
                    asked.lease,
                    self.gain(scope, asked.epoch, asked.number, asked.this_life),
                )
                    .hash(fold);
            }
            for answered in &self.answered {
                (2_u8, answered.epoch, answered.this_life).hash(fold);
                self.worth(answered.number, answered.this_life).hash(fold);
            }
            for ordered in &self.orders {
                (3_u8, &ordered.order.role, &ordered.order.fenced, ordered.this_life).hash(fold);
                ordered.order.lease.hash(fold);
            }
        })
    }
}

impl Controller {
    pub(crate) fn likeness(&self) -> Both {
        both(|fold| (&self.leadership, &self.pair, &self.old_view, self.early).hash(fold))
    }
}

impl Store {
    pub(crate) fn likeness(&self) -> Marked {
        let whole = both(|fold| {
            (&self.stored, self.controller_epoch, self.leased).hash(fold);
            (self.covers, self.backup_covers).hash(fold);
            (&self.backup, self.highest, self.marked, self.was_restored).hash(fold);
            for way in &self.writes {
                (&way.write, way.stored).hash(fold);
            }
        });
        let of = [0, 1].map(|c| {
            word(|fold| {
                (self.leader == c).hash(fold);
                self.writes.iter().for_each(|way| (way.controller == c).hash(fold));
            })
        });
        Marked { both: whole, of }
    }
}

/// The likeness of the device's call, and of the memory that was lost.
pub(crate) fn of_rest(call: Option<&Call>, wiped: bool) -> Marked {
    let whole = both(|fold| {
        wiped.hash(fold);
        call.map(|call| (call.controller_epoch, &call.role, call.done)).hash(fold);
    });
    let of = [0, 1].map(|c| word(|fold| call.map(|call| call.controller == c).hash(fold)));
    Marked { both: whole, of }
}

/// All parts of a state.
pub struct Likeness {
    /// Units a tick, clock by clock.
    pub rates: [u32; CLOCKS],
    /// A and B.
    pub agents: [Both; 2],
    /// C1 and C2.
    pub controllers: [Both; 2],
    /// The store.
    pub store: Marked,
    /// The rest.
    pub rest: Marked,
}

impl Likeness {
    /// The two hosts are equals and so are the two control servers: the smallest of the four fingerprints is that of all
    /// four states. A leader keeps what agents said after a restore by index, so there the hosts are not taken as equals.
    pub fn fingerprint(&self, scope: &Scope) -> u64 {
        let upright = self.turned(0);
        if scope.restores { upright } else { upright.min(self.turned(1)) }
    }

    /// The fingerprint, `mirrored` or not.
    fn turned(&self, mirrored: usize) -> u64 {
        let mut whole = Fold::new(false);
        for index in [mirrored, 1 - mirrored] {
            whole.write_u32(self.rates[index]);
            whole.write_u64(self.agents[index][mirrored]);
        }
        whole.write_u32(self.rates[4]);
        whole.write_u64(self.store.both[mirrored]);
        whole.write_u64(self.rest.both[mirrored]);
        let [one, two] = [0, 1].map(|c| {
            let mut fold = Fold::new(false);
            fold.write_u32(self.rates[2 + c]);
            fold.write_u64(self.controllers[c][mirrored]);
            fold.write_u64(self.store.of[c]);
            fold.write_u64(self.rest.of[c]);
            fold.finish()
        });
        whole.write_u64(one.min(two));
        whole.write_u64(one.max(two));
        whole.finish()
    }
}

impl World {
    fn likeness(&self, scope: &Scope) -> Likeness {
        Likeness {
            rates: self.rates,
            agents: [0, 1].map(|a| self.agents[a].likeness(scope)),
            controllers: [0, 1].map(|c| self.controllers[c].likeness()),
            store: self.store.likeness(),
            rest: of_rest(self.call.as_ref(), self.wiped),
        }
    }

    /// Sixty-four bits that this state shares with those that count as the same.
    pub fn fingerprint(&self, scope: &Scope) -> u64 {
        self.likeness(scope).fingerprint(scope)
    }

    /// As [`World::fingerprint`], and another one for its mirror image.
    pub(crate) fn upright(&self, scope: &Scope) -> u64 {
        self.likeness(scope).turned(0)
    }
}
