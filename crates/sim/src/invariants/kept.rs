//! G14: nobody is promoted who lacks what was acknowledged, and nobody acknowledges alone whom the store does not name alone.
//!
//! Looks at pairs that keep their data. What a member lacks is known here from what was acknowledged, never from a record. The
//! members keep the library's contract: they acknowledge alone only after the word for it came back, while they may act.

use understudy_decide::control::ControlMemory;
use understudy_model::{InSyncAnswer, InSyncAsk, InSyncWish, PairName, RoleEpoch};

use super::Objection;
use crate::cast::Cast;

/// Words that are remembered until they are answered; an older one is not looked for any more.
const MOST_WORDS: usize = 64;

/// G14.
#[derive(Debug)]
pub struct Kept {
    pub(super) objection: Objection,
    /// By part: something was acknowledged that it does not have.
    lacks: Vec<bool>,
    /// Words on their way to an answer.
    asked: Vec<InSyncAsk>,
}

impl Kept {
    pub(super) fn new(cast: &Cast) -> Self {
        Self { objection: Objection::default(), lacks: vec![false; cast.parts.len()], asked: Vec::new() }
    }

    /// A member that may act acknowledges what the other one does not have.
    pub fn acknowledges_alone(&mut self, now: u64, cast: &Cast, part: usize, store: &ControlMemory) {
        let (own, other) = (&cast.parts[part], cast.other(part));
        let pair = &cast.pairs[own.pair].name;
        let named =
            store.in_sync.get(pair).is_none_or(|record| record.members.contains_key(&cast.parts[other].name));
        if named {
            let what = || format!("{} acknowledges alone, and both may be promoted", own.name);
            self.objection.raise("G14", now, what);
        }
        self.lacks[other] = true;
    }

    /// A primary has copied everything to the other member, and acknowledges nothing more alone.
    pub fn copied(&mut self, other: usize) {
        self.lacks[other] = false;
    }

    /// A role is stored.
    pub fn role_stored(&mut self, now: u64, cast: &Cast, next: &RoleEpoch) {
        if cast.part(&next.holder).is_some_and(|part| self.lacks[part]) {
            self.objection
                .raise("G14", now, || format!("{next} is stored, and it lacks what was acknowledged"));
        }
    }

    /// A record is stored.
    pub fn record_stored(
        &mut self,
        now: u64,
        store: &ControlMemory,
        pair: &PairName,
        role: Option<&RoleEpoch>,
    ) {
        if store.roles.get(pair) != role {
            let what =
                || format!("a record of {pair} for {role:?}, and {:?} is stored", store.roles.get(pair));
            self.objection.raise("G14", now, what);
        }
    }

    /// A word reaches the control server.
    pub fn asked(&mut self, ask: &InSyncAsk) {
        if self.asked.len() >= MOST_WORDS {
            self.asked.remove(0);
        }
        self.asked.push(ask.clone());
    }

    /// The control server says that a word is durable: then it is, and its role is the stored one at this instant.
    pub fn answered(&mut self, now: u64, answer: &InSyncAnswer, store: &ControlMemory) {
        let of = |ask: &InSyncAsk| ask.incarnation == answer.incarnation && ask.number == answer.number;
        let Some(index) = self.asked.iter().position(of) else { return };
        let ask = self.asked.remove(index);
        if answer.refused.is_some() {
            return;
        }
        let named = store.in_sync.get(&ask.pair).map_or(0, |record| record.members.len());
        let wanted = match ask.wish {
            InSyncWish::LeaveOut => 1,
            InSyncWish::CaughtUp => 2,
        };
        if named != wanted || store.roles.get(&ask.pair) != Some(&ask.role) {
            let what = || {
                let (record, role) = (store.in_sync.get(&ask.pair), store.roles.get(&ask.pair));
                format!("{ask:?} is said to be durable, and the store holds {record:?} and {role:?}")
            };
            self.objection.raise("G14", now, what);
        }
    }
}
