//! What goes on while an earlier decision is being made durable: votes are asked for, heard and renewed.
//!
//! Refuses everything that would have to be durable itself, and everything about a pair of which something is being stored,
//! but that a member which begins asks for its votes while its promise is.
//! The law (`docs/safety.md`, 6): a disk that takes its time costs no primary its role.

use understudy_model::{ApplicationName, Decision, Moment, PairName, Verdict, VoteAnswer};

use super::grants::Own;
use super::out::{Out, Unstored};
use super::{Agent, AgentDo, AgentRecord, AgentSaw};
use crate::grants::Promise;
use crate::grants::holder::Due;

impl Agent {
    /// Observes a vote, or a request to renew one.
    pub(super) fn take_aside(
        &mut self,
        now: Moment,
        saw: &AgentSaw,
    ) -> Option<Decision<AgentRecord, AgentDo>> {
        let mut out = Out::default();
        match saw {
            AgentSaw::ControllerVoted { link, answer } => {
                self.heeds(answer).filter(|()| self.controllers.contains_key(link))?;
                self.controller_voted(now, *link, answer.clone(), &mut out);
                self.show_longer(&answer.role.holder, &mut out);
            }
            AgentSaw::PeerVoted { host, answer } => {
                self.heeds(answer)?;
                self.peer_voted(now, host, answer.clone(), &mut out);
                self.show_longer(&answer.role.holder, &mut out);
            }
            // What follows its end waits for its turn, and that may be long: nothing is asked meanwhile for a primary that is none.
            AgentSaw::Ended { application, start, .. } => {
                if let Some(own) = self.own_mut(application) {
                    own.ended = Some(*start);
                }
                return None;
            }
            // It needs nothing durable, and nothing is asked for without a guard.
            AgentSaw::GuardChanged { up } => self.guard_changed(*up, &mut out),
            AgentSaw::PeerAsked { host, ask } => {
                let grants = self.grants.get(&ask.pair)?;
                let promised = grants.voter.kept().promised.as_ref();
                let same = |promise: &Promise| promise.role == ask.role && ask.lease <= promise.lease;
                let renews = promised.is_some_and(same) && !grants.unkept;
                if !renews || self.is_being_stored(&ask.pair) {
                    return None;
                }
                self.peer_asked(now, host.clone(), ask.clone(), &mut out);
            }
            _ => return None,
        }
        Some(self.without_inventory(out))
    }

    /// What an own member holds, as [`Agent::own`].
    pub(super) fn own_mut(&mut self, name: &ApplicationName) -> Option<&mut Own> {
        let pair = &self.applications.get(name)?.role.as_ref()?.place.pair;
        self.grants.get_mut(pair)?.own.get_mut(name)
    }

    fn heeds(&self, answer: &VoteAnswer) -> Option<()> {
        let settled = !self.is_being_stored(&answer.pair) || self.begins(&answer.pair, &answer.role.holder);
        (answer.verdict == Verdict::Given && settled).then_some(())
    }

    /// When [`Agent::ask_aside`] has something to do.
    pub(super) fn asks_aside_at(&self) -> Option<Moment> {
        self.holders_aside().map(|(_, _, at)| at).min()
    }

    /// Asks for the votes that are due.
    pub(super) fn ask_aside(&mut self, now: Moment) -> Decision<AgentRecord, AgentDo> {
        let mut out = Out::default();
        let due: Vec<(PairName, ApplicationName)> = self
            .holders_aside()
            .filter(|(_, _, at)| *at <= now)
            .map(|(pair, name, _)| (pair.clone(), name.clone()))
            .collect();
        for (pair, name) in due {
            let Some(grants) = self.grants.get_mut(&pair) else { continue };
            let Some(own) = grants.own.get_mut(&name) else { continue };
            match own.holder.due(now, &grants.place.terms) {
                Due::Ask => {
                    // One that begins has its own promise to wait for: the other agent is asked when that is there and the control
                    // server has not answered, so that two flushes do not meet on one disk.
                    if self.is_being_stored(&pair) && !self.controllers.is_empty() {
                        self.ask_control(now, &pair, &name, &mut out);
                    } else {
                        self.ask(now, &pair, &name, &mut out);
                    }
                    self.asked_aside(&pair, &name);
                }
                // It has to be demoted or ended, which waits for its turn; page and guard do not.
                Due::Demote | Due::GiveUp | Due::Wait(_) => {
                    own.holder.postpone(now + grants.place.terms.renew_every);
                }
            }
        }
        self.without_inventory(out)
    }

    /// No question that waits for its turn was there before this request.
    fn asked_aside(&mut self, pair: &PairName, name: &ApplicationName) {
        if let Some(own) = self.grants.get_mut(pair).and_then(|grants| grants.own.get_mut(name)) {
            own.asked_before = own.holder.last_asked();
        }
    }

    /// The holders that may ask although something is being stored, and when each does next.
    fn holders_aside(&self) -> impl Iterator<Item = (&PairName, &ApplicationName, Moment)> {
        let members = self
            .grants
            .iter()
            .flat_map(|(pair, grants)| grants.own.iter().map(move |(name, own)| (pair, grants, name, own)));
        members.filter_map(|(pair, grants, name, own)| {
            let open = own.holder.held().is_some() && own.holder.held() == grants.voter.own_role();
            let settled = !self.is_being_stored(pair) || self.begins(pair, name);
            let asks = open && !own.expired && settled;
            (asks && self.may_ask(pair, name)).then(|| (pair, name, own.holder.ask_at()))
        })
    }

    /// Something of this pair is being made durable.
    pub(super) fn is_being_stored(&self, pair: &PairName) -> bool {
        self.being_stored(pair).next().is_some()
    }

    /// All that is being made durable of this pair is the promise with which this member begins: others may be asked for it
    /// meanwhile, and nothing is done with their answers before the promise is there (decision 0013).
    fn begins(&self, pair: &PairName, name: &ApplicationName) -> bool {
        self.being_stored(pair).all(
            |item| matches!(item, Unstored::Promise { application, former: None, .. } if application == name),
        )
    }

    fn being_stored(&self, pair: &PairName) -> impl Iterator<Item = &Unstored> {
        let of_pair = move |name: &ApplicationName| {
            let role = self.applications.get(name).and_then(|known| known.role.as_ref());
            role.is_some_and(|role| role.place.pair == *pair)
        };
        self.unstored.iter().filter(move |item| match item {
            Unstored::Vote { pair: of } | Unstored::Learned { pair: of, .. } => of == pair,
            Unstored::Close { pair: of, .. } => of == pair,
            Unstored::Promise { application, .. } => of_pair(application),
            Unstored::Assignments { .. } | Unstored::ControllerEpoch { .. } => false,
        })
    }

    /// Page and guard of a member that goes on acting are told its new time; nothing else about it changes here.
    fn show_longer(&mut self, name: &ApplicationName, out: &mut Out) {
        let page = self.page_of(name);
        let same = page.role.is_some() && self.shown.get(name).is_some_and(|shown| shown.role == page.role);
        if same {
            self.show_member(name, out);
            self.show_hooks(out);
        } else {
            // Somebody waits for it, or it must say no: that has its turn as soon as what is being stored is.
            self.settle = true;
        }
    }

    /// A decision that greets nobody.
    fn without_inventory(&self, out: Out) -> Decision<AgentRecord, AgentDo> {
        out.decision(|| self.inventory())
    }
}
