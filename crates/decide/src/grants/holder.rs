//! The holder's side: asking for votes, and until when its member may act on the answers.
//!
//! Refuses to know: how a page is written, a member demoted or killed. The laws (G3, G4, G5): a vote counts from the local
//! send time of the request that it answers, which never leaves this machine; what was not asked by this life, or is for an
//! epoch that was given up, counts nothing; an expired holder asks no more; in a new epoch it counts on no more than that
//! epoch's lease from its beginning on, also of what it was given before (G13).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{ApplicationName, Epoch, Incarnation, Moment, RoleEpoch};

use super::terms::Terms;
use super::{Kept, Refused};

/// How many unanswered requests are remembered. An answer to an older one counts nothing.
pub const MOST_ASKED: usize = 16;

/// Who else votes for a pair, besides the agent of the holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherVoter {
    /// The agent of the other member's host.
    Peer,
    /// The leading control server.
    Control,
    /// This agent's own second vote, if both members are on its host (G12).
    Twin,
}

/// What the role page of a member says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Page {
    /// Primary in this role; nothing is "not primary".
    pub role: Option<RoleEpoch>,
    /// From this moment on it says no, whatever else it says.
    pub until: Moment,
}

impl Page {
    /// The check that an application makes.
    pub fn may_act(&self, now: Moment) -> bool {
        self.role.is_some() && now < self.until
    }
}

/// A request to both other voters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// This life, and the number in it: what an answer has to repeat.
    pub incarnation: Incarnation,
    /// Rises with every request of this life.
    pub number: u64,
    /// What is asked for.
    pub role: RoleEpoch,
    /// How long a voter is bound by a yes, if the epoch is new to it (G13).
    pub lease: Duration,
}

/// A yes to a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// Of the request.
    pub incarnation: Incarnation,
    /// Of the request.
    pub number: u64,
    /// What was granted or renewed.
    pub role: RoleEpoch,
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heard {
    /// The member may act for longer; tell page and guard.
    Extended,
    /// Nothing changes.
    NoLonger,
    /// To a request of another life.
    OtherLife,
    /// No such request, or too long ago.
    UnknownNumber,
    /// For another role than one that this holder holds or held, or for one that was given up.
    GivenUp,
}

/// What a holder has to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Due {
    /// Nothing before this moment, if any.
    Wait(Option<Moment>),
    /// Ask the voters.
    Ask,
    /// Begin to step down: only the fence budget is left. An answer that comes in time still undoes the need for it.
    Demote,
    /// Retire the page, end the member, close the epoch and release it: time is over.
    GiveUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Asked {
    number: u64,
    /// What a yes to it is worth: local send time + L(1-δ).
    expiry: Moment,
    /// After a yes to it, when the next round is due: local send time + the interval.
    next: Moment,
    /// The lease that it was asked for with.
    lease: Duration,
}

/// What an agent makes of what it finds when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Adoption {
    /// The holder's side from now on.
    pub holder: Holder,
    /// The member goes on under its page. If not, page and member are retired.
    pub adopted: bool,
    /// The epoch to close before the first message, after page and member were retired.
    pub close: Option<Epoch>,
}

/// The holder's side of one member.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    own: ApplicationName,
    incarnation: Incarnation,
    /// What its own agent promised it, durably.
    held: Option<RoleEpoch>,
    /// How long this agent's own promise lasts for that role: the lease of the epoch (G13).
    lease: Duration,
    /// The lease of the answers that it counts on, which may be those of an epoch before: what is left of them is measured by it.
    earned: Duration,
    /// The highest epoch given up; answers for it and lower ones count nothing.
    given_up: Epoch,
    next_number: u64,
    /// At most [`MOST_ASKED`], oldest first.
    asked: Vec<Asked>,
    /// By voter: until when its answer lasts.
    peer_until: Moment,
    control_until: Moment,
    twin_until: Moment,
    /// What an adopted page had left.
    page_until: Moment,
    /// It acted in the held role, or may have.
    acted: bool,
    /// An order that has got no answer by this moment is given up (G5).
    order_until: Moment,
    /// When it asks again: soon if nobody has answered yet, else an interval after the last request that was answered.
    ask_at: Moment,
}

impl Holder {
    /// A holder of nothing. `kept` is what the agent found; its epochs up to the closed one were given up.
    pub fn new(own: ApplicationName, incarnation: Incarnation, kept: &Kept) -> Self {
        let zero = Moment::default();
        Self {
            own,
            incarnation,
            held: None,
            lease: Duration::ZERO,
            earned: Duration::ZERO,
            given_up: kept.closed,
            next_number: 1,
            asked: Vec::new(),
            peer_until: zero,
            control_until: zero,
            twin_until: zero,
            page_until: zero,
            acted: false,
            order_until: zero,
            ask_at: zero,
        }
    }

    /// The agent starts and finds a page. A running member is adopted only if its page says primary in exactly the role
    /// that is promised and not closed; the page keeps its old expiry (G7).
    pub fn adopt(
        own: ApplicationName,
        incarnation: Incarnation,
        kept: &Kept,
        page: Option<&Page>,
    ) -> Adoption {
        let mut holder = Self::new(own, incarnation, kept);
        let promise = kept.promised.as_ref();
        let Some(promise) = promise.filter(|p| p.role.holder == holder.own && p.role.epoch > kept.closed)
        else {
            return Adoption { holder, adopted: false, close: None };
        };
        match page.filter(|page| page.role.as_ref() == Some(&promise.role)) {
            Some(page) => {
                holder.held = Some(promise.role.clone());
                (holder.lease, holder.earned) = (promise.lease, promise.lease);
                holder.page_until = page.until;
                holder.acted = true;
                Adoption { holder, adopted: true, close: None }
            }
            None => Adoption { holder, adopted: false, close: Some(promise.role.epoch) },
        }
    }

    /// The promise of `role` could not be kept: as if it had not been taken. Answers to requests for it count nothing.
    pub fn take_back(&mut self, role: &RoleEpoch) {
        if self.held.as_ref() == Some(role) {
            self.forget_votes();
        }
    }

    /// The role that it asks for or acts in.
    pub fn held(&self) -> Option<&RoleEpoch> {
        self.held.as_ref()
    }

    /// Its own agent promises it `role` (G6). One that does not act may ask while the promise is being stored; it acts on what
    /// it hears only after that (decision 0013). A higher epoch of a member that acts is taken only when the promise is
    /// durable, and keeps the expiry (G8), but for one thing: it counts on nothing beyond this epoch's lease from now on, also
    /// not on answers that are yet to come to requests of before (G13). True if the member had counted on more: then page and
    /// guard say the new time before anything is asked in this epoch, as a voter takes the first request for that word.
    pub fn take(&mut self, now: Moment, role: RoleEpoch, lease: Duration, terms: &Terms) -> bool {
        if role.holder != self.own || role.epoch <= self.given_up {
            return false;
        }
        let counted = self.may_act_until();
        let most = now + Terms { lease, ..*terms }.share();
        let answers =
            [&mut self.peer_until, &mut self.control_until, &mut self.twin_until, &mut self.page_until];
        for until in answers.into_iter().chain(self.asked.iter_mut().map(|asked| &mut asked.expiry)) {
            *until = most.min(*until);
        }
        // One whose time is over begins anew: it has a lease to get an answer, not its old expiry.
        self.acted &= now < self.may_act_until();
        self.earned = if self.acted { self.earned.min(lease) } else { lease };
        self.order_until = now + lease;
        self.lease = lease;
        self.held = Some(role);
        self.ask_at = now;
        self.may_act_until() < counted
    }

    /// How long one renewal of the held role lasts; zero before anything was held.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Numbers a request that is sent now. Its own agent's promise was renewed just before (`Voter::renew_own`).
    /// Nothing if there is nothing to ask for, or if time is over: then see [`Holder::due`].
    pub fn ask(&mut self, now: Moment, terms: &Terms) -> Option<Ask> {
        let role = self.held.clone().filter(|_| !self.is_finished(now))?;
        self.asked.retain(|asked| now < asked.expiry);
        if self.asked.len() == MOST_ASKED {
            self.asked.remove(0);
        }
        let number = self.next_number;
        self.next_number += 1;
        // A changed lease takes effect with the next epoch.
        let (lease, terms) = (self.lease, terms.within(self.lease));
        let share = terms.share();
        let next = now + terms.renew_every;
        self.asked.push(Asked { number, expiry: now + share, next, lease });
        // Until somebody answers it is said again soon: what was lost is noticed by what is sent after it.
        self.ask_at = now + terms.again_every();
        Some(Ask { incarnation: self.incarnation, number, role, lease })
    }

    /// A yes arrived. It counts from the moment when its request was sent, and only if this life sent it.
    pub fn hear(&mut self, now: Moment, voter: OtherVoter, answer: &Answer) -> Heard {
        if answer.incarnation != self.incarnation {
            return Heard::OtherLife;
        }
        let Some(held) = &self.held else { return Heard::GivenUp };
        let fits = answer.role.holder == self.own
            && answer.role.epoch > self.given_up
            && answer.role.epoch <= held.epoch;
        if !fits {
            return Heard::GivenUp;
        }
        let Some(asked) = self.asked.iter().find(|asked| asked.number == answer.number) else {
            return Heard::UnknownNumber;
        };
        let (expiry, next, lease) = (asked.expiry, asked.next, asked.lease);
        // One that was hastened since stays so, and a higher epoch waits for no answer to a lower one.
        if self.ask_at > Moment::default() && answer.role == *held {
            self.ask_at = self.ask_at.max(next);
        }
        if self.is_finished(now) || now >= expiry {
            return Heard::NoLonger;
        }
        let before = self.may_act_until();
        let until = match voter {
            OtherVoter::Peer => &mut self.peer_until,
            OtherVoter::Control => &mut self.control_until,
            OtherVoter::Twin => &mut self.twin_until,
        };
        *until = expiry.max(*until);
        self.acted = true;
        if self.may_act_until() <= before {
            return Heard::NoLonger;
        }
        self.earned = lease;
        Heard::Extended
    }

    /// A no arrived. True if the held role was overtaken: another holder has a higher epoch, and this member does not
    /// act. Then the epoch is closed and released (G5).
    pub fn hear_refusal(&self, now: Moment, refused: &Refused) -> bool {
        let overtakes = |higher: &RoleEpoch, held: &RoleEpoch| {
            refused.asked == *held && higher.holder != self.own && higher.epoch > held.epoch
        };
        let overtaken = refused
            .promised
            .as_ref()
            .zip(self.held.as_ref())
            .is_some_and(|(higher, held)| overtakes(higher, held));
        overtaken && now >= self.may_act_until()
    }

    /// `epoch` and everything below is given up: nothing is asked for it, and late answers count nothing. While a higher
    /// epoch is held nothing is given up: see `Voter::close`, which decides.
    pub fn give_up(&mut self, epoch: Epoch) {
        if self.held.as_ref().is_some_and(|held| held.epoch > epoch) {
            return;
        }
        self.given_up = self.given_up.max(epoch);
        self.forget_votes();
    }

    fn forget_votes(&mut self) {
        self.held = None;
        self.acted = false;
        self.earned = Duration::ZERO;
        let zero = Moment::default();
        self.peer_until = zero;
        self.control_until = zero;
        self.twin_until = zero;
        self.page_until = zero;
    }

    /// The highest epoch that was given up.
    pub fn given_up(&self) -> Epoch {
        self.given_up
    }

    /// Until when the member may act: the latest answer of any other voter, or what an adopted page had left.
    pub fn may_act_until(&self) -> Moment {
        self.peer_until.max(self.control_until).max(self.twin_until).max(self.page_until)
    }

    /// Until when the answers of one voter last, for `status`.
    pub fn granted_until(&self, voter: OtherVoter) -> Moment {
        match voter {
            OtherVoter::Peer => self.peer_until,
            OtherVoter::Control => self.control_until,
            OtherVoter::Twin => self.twin_until,
        }
    }

    /// What the page must say.
    pub fn page(&self) -> Page {
        let role = self.held.clone().filter(|_| self.acted);
        let until = if role.is_some() { self.may_act_until() } else { Moment::default() };
        Page { role, until }
    }

    /// When an order that nobody answered is given up; nothing once the member acted, or if it holds nothing.
    pub fn order_until(&self) -> Option<Moment> {
        (self.held.is_some() && !self.acted).then_some(self.order_until)
    }

    /// It acted in the held role, or may have.
    pub fn acted(&self) -> bool {
        self.acted
    }

    /// The number of the last request; 0 before the first one.
    pub fn last_asked(&self) -> u64 {
        self.next_number - 1
    }

    /// When the next round of asking is due.
    pub fn ask_at(&self) -> Moment {
        self.ask_at
    }

    /// Somebody can be asked who could not be asked before: the next round is due at once.
    pub fn hasten(&mut self) {
        self.ask_at = Moment::default();
    }

    /// The next round is not due before `at`.
    pub fn postpone(&mut self, at: Moment) {
        self.ask_at = at;
    }

    /// What a yes to request `number` would be worth now: the moment until which it would last.
    pub fn worth(&self, number: u64) -> Option<Moment> {
        self.asked.iter().find(|asked| asked.number == number).map(|asked| asked.expiry)
    }

    /// When the guard kills: at expiry for a member that reads the page, as much earlier as a kill takes for any other (G4).
    pub fn kill_at(&self, terms: &Terms, reads_page: bool) -> Moment {
        let kill_budget = if reads_page { Duration::ZERO } else { terms.within(self.earned).kill_budget };
        self.may_act_until() - kill_budget
    }

    /// When a member that acts begins to step down: only the fence budget is left.
    pub fn demote_at(&self, terms: &Terms) -> Moment {
        self.may_act_until() - terms.within(self.earned).fence_budget
    }

    /// What is to be done at `now`.
    pub fn due(&self, now: Moment, terms: &Terms) -> Due {
        if self.held.is_none() {
            return Due::Wait(None);
        }
        let demote_at = self.demote_at(terms);
        if self.is_finished(now) {
            Due::GiveUp
        } else if self.acted && now >= demote_at {
            Due::Demote
        } else if now >= self.ask_at {
            Due::Ask
        } else if self.acted {
            Due::Wait(Some(self.ask_at.min(demote_at)))
        } else {
            Due::Wait(Some(self.ask_at.min(self.order_until)))
        }
    }

    /// It acted and its time is over, or it never got an answer to its order within a lease (G4, G5).
    fn is_finished(&self, now: Moment) -> bool {
        self.held.is_some() && now >= if self.acted { self.may_act_until() } else { self.order_until }
    }

    /// Moves the origin of the clock later by `by`: every moment comes nearer, and what is before the new origin becomes
    /// the origin. Explorations use it to see that two states are one; no product code does.
    pub fn shift(&mut self, by: Duration) {
        let moments = [
            &mut self.peer_until,
            &mut self.control_until,
            &mut self.twin_until,
            &mut self.page_until,
            &mut self.order_until,
            &mut self.ask_at,
        ];
        let asked = self.asked.iter_mut().flat_map(|asked| [&mut asked.expiry, &mut asked.next]);
        for moment in moments.into_iter().chain(asked) {
            *moment = *moment - by;
        }
    }
}

#[cfg(test)]
mod tests;
