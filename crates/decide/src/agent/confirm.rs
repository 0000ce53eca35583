//! Applications that ask whether another voter stands behind their role now, as they do not trust this machine's clock (A1).
//!
//! Refuses to know how long an application waits. The law: only a vote that was asked for after the question is an answer; one
//! round is under way at a time, however many ask.

use serde::{Deserialize, Serialize};
use understudy_model::{ApplicationName, Epoch, Moment, PairName, ToApplication};

use super::out::Out;
use super::{Agent, AgentDo, StartId};

/// Most questions of one member that wait; one beyond is answered with "nobody".
const MOST_WAITING: usize = 256;

/// A question that waits for a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Confirm {
    start: StartId,
    number: u64,
    /// A yes to this request, or a later one, is the answer; none is under way for it yet.
    asked: Option<u64>,
}

impl Agent {
    /// A member asks.
    pub(super) fn confirm(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        number: u64,
        out: &mut Out,
    ) {
        let acts = self.page_of(name).may_act(now);
        let pair = self.applications.get(name).and_then(|known| known.role.as_ref());
        let pair = pair.map(|role| role.place.pair.clone());
        let own =
            pair.and_then(|pair| self.grants.get_mut(&pair)).and_then(|grants| grants.own.get_mut(name));
        match own.filter(|own| acts && own.confirms.len() < MOST_WAITING) {
            Some(own) => own.confirms.push(Confirm { start, number, asked: None }),
            None => tell(name, start, number, None, out),
        }
    }

    /// Another voter said yes to a request: everything that was asked before it was sent is answered.
    pub(super) fn confirm_heard(&mut self, now: Moment, name: &ApplicationName, asked: u64, out: &mut Out) {
        let page = self.page_of(name);
        let epoch = page.role.as_ref().filter(|_| page.may_act(now)).map(|role| role.epoch);
        let pair = self.applications.get(name).and_then(|known| known.role.as_ref());
        let Some(pair) = pair.map(|role| role.place.pair.clone()) else { return };
        let Some(own) = self.grants.get_mut(&pair).and_then(|grants| grants.own.get_mut(name)) else {
            return;
        };
        own.confirms.retain(|confirm| {
            let answered = confirm.asked.is_some_and(|needed| needed <= asked);
            if answered {
                tell(name, confirm.start, confirm.number, epoch, out);
            }
            !answered
        });
    }

    /// Begins a round for those who wait for one, and tells those whose role is over that nobody stands behind it.
    pub(super) fn confirm_waiting(&mut self, now: Moment, out: &mut Out) {
        let members: Vec<(PairName, ApplicationName)> = self
            .grants
            .iter()
            .flat_map(|(pair, grants)| grants.own.keys().map(|name| (pair.clone(), name.clone())))
            .collect();
        for (pair, name) in members {
            let acts = self.page_of(&name).may_act(now) && self.may_ask(&pair, &name);
            let Some(own) = self.grants.get_mut(&pair).and_then(|grants| grants.own.get_mut(&name)) else {
                continue;
            };
            if !acts {
                let waited = std::mem::take(&mut own.confirms);
                waited.iter().for_each(|confirm| tell(&name, confirm.start, confirm.number, None, out));
            }
            let under_way = own.confirms.iter().any(|confirm| confirm.asked.is_some());
            let wants = own.confirms.iter().any(|confirm| confirm.asked.is_none());
            if wants && !under_way && own.holder.last_asked() == own.asked_before {
                self.ask(now, &pair, &name, out);
            }
            let Some(own) = self.grants.get_mut(&pair).and_then(|grants| grants.own.get_mut(&name)) else {
                continue;
            };
            let last = own.holder.last_asked();
            // What was asked in this step was asked after every question that waits.
            if last != own.asked_before {
                own.confirms.iter_mut().for_each(|confirm| _ = confirm.asked.get_or_insert(last));
            }
            own.asked_before = last;
        }
    }
}

fn tell(name: &ApplicationName, start: StartId, number: u64, epoch: Option<Epoch>, out: &mut Out) {
    let message = ToApplication::Confirmed { number, epoch };
    out.says.push(AgentDo::Say { application: name.clone(), start, message });
}
