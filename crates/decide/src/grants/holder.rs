//! The holder's side: asking for votes, and until when its member may act on the answers.
//!
//! Refuses to know: how a page is written, a member demoted or killed. The laws (G3, G4, G5): a vote counts from the local
//! send time of the request that it answers, which never leaves this machine; what was not asked by this life, or is for an
//! epoch that was given up, counts nothing; an expired holder asks no more.

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
    /// The next round of asking.
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
                holder.lease = promise.lease;
                holder.page_until = page.until;
                holder.acted = true;
                Adoption { holder, adopted: true, close: None }
            }
            None => Adoption { holder, adopted: false, close: Some(promise.role.epoch) },
        }
    }

    /// The role that it asks for or acts in.
    pub fn held(&self) -> Option<&RoleEpoch> {
        self.held.as_ref()
    }

    /// Its own agent has promised it `role`, durably (G6). A higher epoch of a member that acts keeps the expiry (G8).
    pub fn take(&mut self, now: Moment, role: RoleEpoch, lease: Duration) {
        if role.holder != self.own || role.epoch <= self.given_up {
            return;
        }
        // One whose time is over begins anew: it has a lease to get an answer, not its old expiry.
        self.acted &= now < self.may_act_until();
        self.order_until = now + lease;
        self.lease = lease;
        self.held = Some(role);
        self.ask_at = now;
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
        // A changed lease takes effect with the next epoch; the shorter of both is safe with any voter.
        let lease = self.lease;
        let share = Terms { lease, ..*terms }.share();
        self.asked.push(Asked { number, expiry: now + share });
        self.ask_at = now + terms.renew_every;
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
        let expiry = asked.expiry;
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
        if self.may_act_until() > before { Heard::Extended } else { Heard::NoLonger }
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
        self.held = None;
        self.acted = false;
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

    /// What a yes to request `number` would be worth now: the moment until which it would last.
    pub fn worth(&self, number: u64) -> Option<Moment> {
        self.asked.iter().find(|asked| asked.number == number).map(|asked| asked.expiry)
    }

    /// When the guard kills: at expiry for a member that reads the page, as much earlier as a kill takes for any other (G4).
    pub fn kill_at(&self, terms: &Terms, reads_page: bool) -> Moment {
        if reads_page { self.may_act_until() } else { self.may_act_until() - terms.kill_budget }
    }

    /// What is to be done at `now`.
    pub fn due(&self, now: Moment, terms: &Terms) -> Due {
        if self.held.is_none() {
            return Due::Wait(None);
        }
        let demote_at = self.may_act_until() - terms.fence_budget;
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
        for moment in moments.into_iter().chain(self.asked.iter_mut().map(|asked| &mut asked.expiry)) {
            *moment = *moment - by;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Objection, Promise};
    use super::*;

    fn name(text: &str) -> ApplicationName {
        ApplicationName::new(text).unwrap()
    }

    fn role(epoch: u64, holder: &str) -> RoleEpoch {
        RoleEpoch::new(Epoch(epoch), name(holder))
    }

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000_000)
    }

    fn terms() -> Terms {
        let s = Duration::from_secs;
        Terms {
            lease: s(10),
            drift_ppm: 100_000,
            leader_lease: s(3),
            renew_every: s(2),
            fence_budget: s(2),
            kill_budget: s(1),
        }
    }

    fn kept(epoch: u64, holder: &str, closed: u64) -> Kept {
        let lease = terms().lease;
        Kept { promised: Some(Promise { role: role(epoch, holder), lease }), closed: Epoch(closed) }
    }

    const LIFE: Incarnation = Incarnation(7);

    /// The member `a`, ordered at 100 s to be primary in epoch 1.
    fn ordered() -> Holder {
        let mut holder = Holder::new(name("a"), LIFE, &Kept::default());
        holder.take(at(100), role(1, "a"), terms().lease);
        holder
    }

    fn yes(ask: &Ask) -> Answer {
        Answer { incarnation: ask.incarnation, number: ask.number, role: ask.role.clone() }
    }

    #[test]
    fn a_vote_counts_from_the_moment_of_asking() {
        let mut holder = ordered();
        assert!(!holder.page().may_act(at(100)), "an order is permission to ask, no more");
        let ask = holder.ask(at(100), &terms()).unwrap();
        assert_eq!(holder.hear(at(104), OtherVoter::Control, &yes(&ask)), Heard::Extended);
        assert_eq!(holder.may_act_until(), at(109));
        assert_eq!(holder.page(), Page { role: Some(role(1, "a")), until: at(109) });
        assert!(holder.page().may_act(at(108)) && !holder.page().may_act(at(109)));
        assert_eq!(holder.hear(at(105), OtherVoter::Peer, &yes(&ask)), Heard::NoLonger);
        assert_eq!(holder.granted_until(OtherVoter::Peer), at(109));
    }

    #[test]
    fn one_voter_is_enough_and_an_older_answer_takes_nothing_away() {
        let mut holder = ordered();
        let first = holder.ask(at(100), &terms()).unwrap();
        let second = holder.ask(at(102), &terms()).unwrap();
        assert_eq!(holder.hear(at(103), OtherVoter::Peer, &yes(&second)), Heard::Extended);
        assert_eq!(holder.hear(at(103), OtherVoter::Peer, &yes(&first)), Heard::NoLonger);
        assert_eq!(holder.may_act_until(), at(111));
    }

    #[test]
    fn what_this_life_did_not_ask_counts_nothing() {
        let mut holder = ordered();
        let ask = holder.ask(at(100), &terms()).unwrap();
        let other = Answer { incarnation: Incarnation(6), ..yes(&ask) };
        assert_eq!(holder.hear(at(101), OtherVoter::Peer, &other), Heard::OtherLife);
        let unknown = Answer { number: 9, ..yes(&ask) };
        assert_eq!(holder.hear(at(101), OtherVoter::Peer, &unknown), Heard::UnknownNumber);
        let foreign = Answer { role: role(1, "b"), ..yes(&ask) };
        assert_eq!(holder.hear(at(101), OtherVoter::Peer, &foreign), Heard::GivenUp);
        let future = Answer { role: role(2, "a"), ..yes(&ask) };
        assert_eq!(holder.hear(at(101), OtherVoter::Peer, &future), Heard::GivenUp);
        assert!(!holder.page().may_act(at(101)));
    }

    #[test]
    fn an_answer_for_an_epoch_that_was_given_up_counts_nothing_for_a_later_one() {
        let mut holder = ordered();
        let ask = holder.ask(at(100), &terms()).unwrap();
        holder.give_up(Epoch(1));
        assert_eq!(holder.given_up(), Epoch(1));
        holder.take(at(101), role(2, "a"), terms().lease);
        assert_eq!(holder.hear(at(102), OtherVoter::Peer, &yes(&ask)), Heard::GivenUp);
        assert!(!holder.page().may_act(at(102)));
        holder.take(at(103), role(1, "a"), terms().lease);
        assert_eq!(holder.held(), Some(&role(2, "a")), "it is never entered again");
    }

    #[test]
    fn a_reaffirmed_member_keeps_its_expiry_and_the_answers_of_its_open_epochs() {
        let mut holder = ordered();
        let first = holder.ask(at(100), &terms()).unwrap();
        let second = holder.ask(at(103), &terms()).unwrap();
        holder.hear(at(103), OtherVoter::Peer, &yes(&first));
        holder.take(at(104), role(2, "a"), terms().lease);
        assert_eq!(holder.page(), Page { role: Some(role(2, "a")), until: at(109) });
        assert_eq!(holder.hear(at(105), OtherVoter::Peer, &yes(&second)), Heard::Extended);
        holder.give_up(Epoch(1));
        assert_eq!(
            (holder.may_act_until(), holder.given_up()),
            (at(112), Epoch::NONE),
            "the higher one goes on"
        );
    }

    #[test]
    fn steps_come_in_their_order_asking_stepping_down_giving_up() {
        let (mut holder, terms) = (ordered(), terms());
        assert_eq!(holder.due(at(100), &terms), Due::Ask);
        let ask = holder.ask(at(100), &terms).unwrap();
        assert_eq!(holder.due(at(101), &terms), Due::Wait(Some(at(102))));
        holder.hear(at(101), OtherVoter::Peer, &yes(&ask));
        assert_eq!(holder.due(at(102), &terms), Due::Ask);
        holder.ask(at(106), &terms).unwrap();
        assert_eq!(holder.due(at(106), &terms), Due::Wait(Some(at(107))));
        assert_eq!(holder.due(at(107), &terms), Due::Demote);
        assert_eq!(holder.due(at(109), &terms), Due::GiveUp);
        assert_eq!(holder.ask(at(109), &terms), None, "an expired holder asks no more");
        assert_eq!((holder.kill_at(&terms, true), holder.kill_at(&terms, false)), (at(109), at(108)));
        holder.give_up(Epoch(1));
        assert_eq!(holder.due(at(109), &terms), Due::Wait(None));
    }

    #[test]
    fn an_order_that_nobody_answers_within_a_lease_is_given_up() {
        let (mut holder, terms) = (ordered(), terms());
        let ask = holder.ask(at(109), &terms).unwrap();
        assert_eq!(holder.due(at(109), &terms), Due::Wait(Some(at(110))));
        assert_eq!(holder.due(at(110), &terms), Due::GiveUp);
        assert_eq!(holder.hear(at(110), OtherVoter::Peer, &yes(&ask)), Heard::NoLonger);
        assert_eq!(holder.ask(at(110), &terms), None);
    }

    #[test]
    fn a_member_that_does_not_act_is_overtaken_by_a_higher_epoch_of_another() {
        let mut holder = ordered();
        let no = |epoch, who| Refused {
            asked: role(1, "a"),
            promised: Some(role(epoch, who)),
            because: Objection::Higher,
        };
        assert!(holder.hear_refusal(at(100), &no(2, "b")));
        assert!(!holder.hear_refusal(at(100), &no(2, "a")) && !holder.hear_refusal(at(100), &no(1, "b")));
        let ask = holder.ask(at(100), &terms()).unwrap();
        holder.hear(at(101), OtherVoter::Peer, &yes(&ask));
        assert!(!holder.hear_refusal(at(101), &no(2, "b")), "one that acts is not stopped by a word");
    }

    #[test]
    fn adoption_wants_page_and_promise_to_say_the_same_and_keeps_the_old_expiry() {
        let page = Page { role: Some(role(2, "a")), until: at(50) };
        let adopt = |kept: &Kept, page: Option<&Page>| Holder::adopt(name("a"), LIFE, kept, page);
        let found = adopt(&kept(2, "a", 1), Some(&page));
        assert!(found.adopted && found.close.is_none());
        let holder = found.holder;
        assert_eq!((holder.page(), holder.held()), (page.clone(), Some(&role(2, "a"))));
        for (kept, page, close) in [
            (kept(2, "a", 1), None, Some(Epoch(2))),
            (kept(3, "a", 1), Some(&page), Some(Epoch(3))),
            (kept(2, "a", 2), Some(&page), None),
            (kept(2, "b", 0), Some(&page), None),
            (Kept::default(), Some(&page), None),
        ] {
            let found = adopt(&kept, page);
            assert_eq!((found.adopted, found.close), (false, close), "{kept:?}");
            assert_eq!(found.holder.page().role, None);
        }
        let backup = Page { role: None, until: at(50) };
        assert_eq!(adopt(&kept(2, "a", 1), Some(&backup)).close, Some(Epoch(2)));
    }

    #[test]
    fn the_lease_of_the_epoch_is_asked_for_and_counted_with() {
        let mut holder = Holder::new(name("a"), LIFE, &Kept::default());
        holder.take(at(100), role(1, "a"), Duration::from_secs(5));
        let longer = Terms { lease: Duration::from_secs(60), ..terms() };
        let ask = holder.ask(at(100), &longer).unwrap();
        assert_eq!(ask.lease, Duration::from_secs(5));
        assert_eq!(holder.worth(ask.number), Some(Moment(104_500_000_000)));
    }

    #[test]
    fn the_list_of_requests_is_bounded() {
        let mut holder = ordered();
        let first = holder.ask(at(100), &terms()).unwrap();
        for _ in 0..MOST_ASKED {
            holder.ask(at(100), &terms()).unwrap();
        }
        assert_eq!(holder.asked.len(), MOST_ASKED);
        assert_eq!(holder.hear(at(100), OtherVoter::Peer, &yes(&first)), Heard::UnknownNumber);
    }

    #[test]
    fn moving_the_origin_moves_every_moment() {
        let mut holder = ordered();
        let ask = holder.ask(at(100), &terms()).unwrap();
        holder.shift(Duration::from_secs(100));
        assert_eq!(holder.hear(at(1), OtherVoter::Twin, &yes(&ask)), Heard::Extended);
        assert_eq!(holder.may_act_until(), at(9));
        holder.shift(Duration::MAX);
        assert_eq!(holder.may_act_until(), at(0));
    }
}
