//! An agent's vote in one pair: what it promised, to whom, until when, and what holds its vote back.
//!
//! Refuses to know: whether a member runs, who else votes, and what its vote is worth to whoever asks. The laws (G1, G2,
//! G7, G8, G11 to G13): a promise binds until it is over; it is durable before it is said; memory that was lost costs
//! silence, never safety; only the holder's own request in a new epoch makes a promise to it shorter.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{ApplicationName, Epoch, Moment, RoleEpoch};

use super::{Given, GrantRule, Kept, Objection, Promise, Refused, Vote};

/// What closing an epoch comes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Closing {
    /// Made durable, and only then the release is said.
    Keep(Kept),
    /// It was closed before; the release may be said again.
    Already,
    /// An own member is promised this higher role: nothing is closed, and no release is said.
    HeldAbove(RoleEpoch),
}

/// The vote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Voter {
    /// The member on this host.
    own: ApplicationName,
    /// The other member, if it is on this host too (G12).
    also_own: Option<ApplicationName>,
    kept: Kept,
    /// The promise binds before this moment.
    until: Moment,
    /// The promise is over for good: its holder released it, or a device switched the holder's host off.
    over: bool,
    /// No vote before this moment (G7, G11).
    silent_until: Moment,
    /// How long that silence lasts in all.
    silence: Duration,
    /// The store's epoch has to be learned before any vote (G11).
    unread: bool,
}

impl Voter {
    /// The agent starts. Every promise that it finds counts as made now (G7). If it finds none, it is new or was
    /// reinstalled, which it cannot tell apart: then it votes for nobody for `lease`, the longest that an earlier promise
    /// of this pair may have had, and not before it closed whatever the store holds (G7, G11). That it is silent is not
    /// kept: another restart before the first promise begins the silence anew.
    pub fn restarted(
        now: Moment,
        own: ApplicationName,
        also_own: Option<ApplicationName>,
        kept: Kept,
        lease: Duration,
    ) -> Self {
        let unread = kept.promised.is_none();
        let (until, silent_until) = match &kept.promised {
            Some(promise) => (now + promise.lease, Moment::default()),
            None => (Moment::default(), now + lease),
        };
        // One to an own member that gave it up is over, also right after a restart.
        let given_up = kept.promised.as_ref().is_some_and(|promise| {
            let holder = &promise.role.holder;
            (own == *holder || also_own.as_ref() == Some(holder)) && promise.role.epoch <= kept.closed
        });
        let until = if given_up { Moment::default() } else { until };
        Self { own, also_own, kept, until, over: false, silent_until, silence: lease, unread }
    }

    /// What is, or is about to be, durable.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The promised role, whoever holds it and whether or not it is over.
    pub fn promised(&self) -> Option<&RoleEpoch> {
        self.kept.promised.as_ref().map(|promise| &promise.role)
    }

    /// Until when the promise binds, if it does now.
    pub fn bound_until(&self, now: Moment) -> Option<Moment> {
        self.kept.promised.as_ref().filter(|promise| !self.is_over(now, promise)).map(|_| self.until)
    }

    /// True if both members are on this host: this one vote is then the majority (G12).
    pub fn counts_twice(&self) -> bool {
        self.also_own.is_some()
    }

    /// Before this moment it votes for nobody, as it remembers nothing (G7, G11).
    pub fn silent_until(&self) -> Moment {
        self.silent_until
    }

    /// True if it has to learn what the store holds before it may vote (G11).
    pub fn is_unread(&self) -> bool {
        self.unread
    }

    /// The role in which an own member may act as far as this agent's own promise goes: promised and not closed (G3).
    pub fn own_role(&self) -> Option<&RoleEpoch> {
        self.promised().filter(|role| self.is_own(&role.holder) && role.epoch > self.kept.closed)
    }

    /// Another agent asks for its member. In a new epoch of the promised holder that is also the word that the holder counts
    /// on no more than `lease` from the asking on, whatever it was given before (`Holder::take`): so the promise may get
    /// shorter (G13).
    pub fn asked(&mut self, now: Moment, role: &RoleEpoch, lease: Duration) -> Vote {
        let longer =
            self.kept.promised.as_ref().filter(|promise| promise.role == *role && promise.lease < lease);
        let longer = longer.is_some();
        let mut vote = self.vote(now, role, lease, true);
        // One epoch has one lease. A voter that took it for a shorter one is mended, and says so after that is durable.
        if let (Vote::Given(given), Some(promise), true) = (&mut vote, &mut self.kept.promised, longer) {
            promise.lease = lease;
            self.until = self.until.max(now + lease);
            given.until = self.until;
            given.keep = Some(self.kept.clone());
        }
        vote
    }

    /// The leading control server orders an own member to be primary. `fenced`: what a device has ended, told only here,
    /// after the store holds the new role (G10). The caller has checked that the order was made for this life.
    pub fn ordered(
        &mut self,
        now: Moment,
        role: &RoleEpoch,
        lease: Duration,
        fenced: Option<&RoleEpoch>,
    ) -> Vote {
        if !self.is_own(&role.holder) {
            return self.refuse(role, Objection::NotOwn);
        }
        let ended = fenced.filter(|ended| ended.epoch < role.epoch && !self.is_own(&ended.holder));
        if let Some(ended) = ended {
            self.end(&ended.holder, ended.epoch);
        }
        self.vote(now, role, lease, false)
    }

    /// An own member is about to ask the other voters: this renews its own agent's promise, and nothing else (G3).
    pub fn renew_own(&mut self, now: Moment, role: &RoleEpoch) -> Vote {
        if !self.is_own(&role.holder) {
            return self.refuse(role, Objection::NotOwn);
        }
        match self.kept.promised.as_ref().filter(|promise| promise.role == *role) {
            Some(promise) => {
                let lease = promise.lease;
                self.vote(now, role, lease, false)
            }
            None => self.refuse(role, Objection::Higher),
        }
    }

    /// The other agent released everything of `holder` up to `epoch`. Ends the promise to it and nothing else (G5).
    /// True if that ended a promise.
    pub fn released(&mut self, holder: &ApplicationName, epoch: Epoch) -> bool {
        !self.is_own(holder) && self.end(holder, epoch)
    }

    /// Gives `epoch` up for an own member. The page says "not primary" and the member is gone or demoted before this is
    /// called, and the release is said after what is returned is durable (G5).
    ///
    /// While an own member is promised a higher epoch, nothing is closed and nothing may be released: it may act on votes
    /// that were given for the lower one (G8), and the release would end them.
    pub fn close(&mut self, epoch: Epoch) -> Closing {
        if let Some(role) = self.own_role().filter(|role| role.epoch > epoch) {
            return Closing::HeldAbove(role.clone());
        }
        if epoch <= self.kept.closed {
            return Closing::Already;
        }
        self.kept.closed = epoch;
        if self.promised().is_some_and(|role| self.is_own(&role.holder) && role.epoch <= epoch) {
            self.until = Moment::default();
        }
        Closing::Keep(self.kept.clone())
    }

    /// The store says that a promise which this agent forgot may have been for as long as `lease`: its silence lasts as long,
    /// counted from the same moment (G11, G13).
    pub fn lengthen_silence(&mut self, lease: Duration) {
        if self.unread && lease > self.silence {
            self.silent_until = self.silent_until + (lease - self.silence);
            self.silence = lease;
        }
    }

    /// What the store held when it was read after the first contact with this agent became known (G11). Only an agent
    /// that found nothing needs it. What is returned is durable before the next vote.
    pub fn learn_stored(&mut self, stored: Epoch) -> Option<Kept> {
        if !self.unread {
            return None;
        }
        self.unread = false;
        self.kept.closed = self.kept.closed.max(stored);
        Some(self.kept.clone())
    }

    /// What was learned could not be made durable: it has to be learned again. What is closed here stays closed: that may be more
    /// than what is durable, and is never less.
    pub fn unlearn(&mut self) {
        self.unread = true;
    }

    /// The other agent remembers that this one voted for `voted`, or released everything up to `released`. If this one does
    /// not, its memory was set back (A3): what it voted for binds it anew, what it released is closed, and it is as silent
    /// as one that remembers nothing (G11). What is returned is durable before the next vote.
    pub fn reminded(
        &mut self,
        now: Moment,
        voted: Option<&RoleEpoch>,
        released: Epoch,
        lease: Duration,
    ) -> Option<Kept> {
        let known = self.promised().map_or(Epoch::NONE, |role| role.epoch);
        let forgotten = voted.filter(|voted| !self.is_own(&voted.holder) && voted.epoch > known);
        if forgotten.is_none() && released <= self.kept.closed {
            return None;
        }
        if let Some(voted) = forgotten {
            self.kept.promised = Some(Promise { role: voted.clone(), lease });
        }
        self.kept.closed = self.kept.closed.max(released);
        self.over = false;
        self.until = self.until.max(now + lease);
        self.silent_until = self.silent_until.max(now + lease);
        self.silence = self.silence.max(lease);
        self.unread = true;
        Some(self.kept.clone())
    }

    /// Moves the origin of the clock later by `by`: every moment comes nearer, and what is before the new origin becomes
    /// the origin. Explorations use it to see that two states are one; no product code does.
    pub fn shift(&mut self, by: Duration) {
        self.until = self.until - by;
        self.silent_until = self.silent_until - by;
    }

    /// `cut`: its holder counts on no more than `lease` from some moment before now on.
    fn vote(&mut self, now: Moment, role: &RoleEpoch, lease: Duration, cut: bool) -> Vote {
        if let Err(objection) = self.may_vote(now, role) {
            return self.refuse(role, objection);
        }
        let rule = match &self.kept.promised {
            Some(promise) if promise.role == *role => {
                self.until = self.until.max(now + promise.lease);
                let role = role.clone();
                return Vote::Given(Given {
                    keep: None,
                    role,
                    until: self.until,
                    retire: None,
                    rule: GrantRule::G2,
                });
            }
            Some(promise) if promise.role.holder == role.holder => GrantRule::G8,
            Some(_) | None => GrantRule::G1,
        };
        let former =
            self.promised().filter(|former| self.is_own(&former.holder) && former.holder != role.holder);
        let retire = former.cloned();
        // The same holder may act on an answer for its former epoch, which may have been given for a longer lease (G13).
        let least = if rule == GrantRule::G8 && !self.over && !cut { self.until } else { Moment::default() };
        self.kept.promised = Some(Promise { role: role.clone(), lease });
        self.until = least.max(now + lease);
        self.over = false;
        let keep = Some(self.kept.clone());
        Vote::Given(Given { keep, role: role.clone(), until: self.until, retire, rule })
    }

    /// G1, G2 and G8, with what G7 and G11 hold back.
    fn may_vote(&self, now: Moment, role: &RoleEpoch) -> Result<(), Objection> {
        if self.is_own(&role.holder) && role.epoch <= self.kept.closed {
            return Err(Objection::Closed(self.kept.closed));
        }
        if now < self.silent_until {
            return Err(Objection::Silent(self.silent_until));
        }
        if self.unread {
            return Err(Objection::Unread);
        }
        let Some(promise) = &self.kept.promised else {
            return if role.epoch > Epoch::NONE { Ok(()) } else { Err(Objection::Higher) };
        };
        if promise.role == *role {
            return if self.over { Err(Objection::Released) } else { Ok(()) };
        }
        if role.epoch <= promise.role.epoch {
            return Err(Objection::Higher);
        }
        if promise.role.holder == role.holder || self.is_over(now, promise) {
            return Ok(());
        }
        Err(Objection::Promised(self.until))
    }

    /// A promise to an own member whose epoch is closed is over, also right after a restart.
    fn is_over(&self, now: Moment, promise: &Promise) -> bool {
        let closed = self.is_own(&promise.role.holder) && promise.role.epoch <= self.kept.closed;
        closed || self.over || now >= self.until
    }

    fn end(&mut self, holder: &ApplicationName, epoch: Epoch) -> bool {
        let ends =
            self.promised().is_some_and(|promised| promised.holder == *holder && promised.epoch <= epoch);
        if ends {
            self.over = true;
            self.until = Moment::default();
        }
        ends
    }

    fn is_own(&self, member: &ApplicationName) -> bool {
        self.own == *member || self.also_own.as_ref() == Some(member)
    }

    fn refuse(&self, role: &RoleEpoch, because: Objection) -> Vote {
        Vote::Refused(Refused { asked: role.clone(), promised: self.promised().cloned(), because })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: Duration = Duration::from_secs(3);

    fn name(text: &str) -> ApplicationName {
        ApplicationName::new(text).unwrap()
    }

    fn role(epoch: u64, holder: &str) -> RoleEpoch {
        RoleEpoch::new(Epoch(epoch), name(holder))
    }

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000_000)
    }

    fn kept(epoch: u64, holder: &str, closed: u64) -> Kept {
        Kept { promised: Some(Promise { role: role(epoch, holder), lease: L }), closed: Epoch(closed) }
    }

    /// The agent of `b`, started at 10 s.
    fn voter(kept: Kept) -> Voter {
        Voter::restarted(at(10), name("b"), None, kept, L)
    }

    fn objection(vote: Vote) -> Objection {
        match vote {
            Vote::Given(given) => panic!("given: {given:?}"),
            Vote::Refused(refused) => refused.because,
        }
    }

    fn rule(vote: Vote) -> GrantRule {
        vote.given().unwrap_or_else(|| panic!("refused: {vote:?}")).rule
    }

    #[test]
    fn a_restarted_voter_counts_its_promise_as_made_now() {
        let mut voter = voter(kept(1, "a", 0));
        assert_eq!(objection(voter.ordered(at(12), &role(2, "b"), L, None)), Objection::Promised(at(13)));
        let vote = voter.ordered(at(13), &role(2, "b"), L, None);
        let given = vote.given().unwrap();
        assert_eq!(given.keep, Some(kept(2, "b", 0)));
        assert_eq!((given.until, given.rule), (at(16), GrantRule::G1));
    }

    #[test]
    fn a_renewal_keeps_nothing_and_counts_from_now() {
        let mut voter = voter(kept(1, "a", 0));
        let vote = voter.asked(at(12), &role(1, "a"), Duration::from_secs(1));
        let given = vote.given().unwrap();
        assert_eq!((given.keep.clone(), given.until, given.rule), (None, at(15), GrantRule::G2));
        // Even a promise that ran out is renewed, as long as nobody else has got it.
        assert_eq!(rule(voter.asked(at(99), &role(1, "a"), L)), GrantRule::G2);
    }

    #[test]
    fn a_lower_epoch_and_another_holder_of_the_same_are_refused_naming_the_higher() {
        let mut voter = voter(kept(2, "a", 0));
        for asked in [role(1, "a"), role(2, "b"), role(1, "b")] {
            let Vote::Refused(refused) = voter.asked(at(99), &asked, L) else { panic!("given") };
            assert_eq!((refused.because, refused.promised), (Objection::Higher, Some(role(2, "a"))));
        }
    }

    #[test]
    fn the_promised_holder_takes_a_higher_epoch_at_once() {
        let mut voter = voter(kept(1, "a", 0));
        assert_eq!(rule(voter.asked(at(10), &role(3, "a"), L)), GrantRule::G8);
        assert_eq!(voter.promised(), Some(&role(3, "a")));
        assert_eq!(objection(voter.asked(at(10), &role(4, "b"), L)), Objection::Promised(at(13)));
    }

    #[test]
    fn a_release_ends_promises_of_its_holder_up_to_its_epoch_and_nothing_else() {
        let mut voter = voter(kept(2, "a", 0));
        assert!(!voter.released(&name("a"), Epoch(1)));
        assert!(!voter.released(&name("c"), Epoch(9)));
        assert!(matches!(objection(voter.asked(at(10), &role(3, "b"), L)), Objection::Promised(_)));
        assert!(voter.released(&name("a"), Epoch(2)));
        assert_eq!(objection(voter.asked(at(10), &role(2, "a"), L)), Objection::Released);
        assert_eq!(rule(voter.ordered(at(10), &role(3, "b"), L, None)), GrantRule::G1);
        assert!(voter.bound_until(at(10)).is_some(), "the new promise is not over");
    }

    #[test]
    fn nobody_releases_an_own_member_from_outside() {
        let mut voter = voter(kept(1, "b", 0));
        assert!(!voter.released(&name("b"), Epoch(9)));
        assert_eq!(objection(voter.asked(at(10), &role(2, "a"), L)), Objection::Promised(at(13)));
    }

    #[test]
    fn a_closed_epoch_is_never_entered_again_and_its_promise_is_over_also_after_a_restart() {
        let mut voter = voter(kept(1, "b", 0));
        assert_eq!(voter.own_role(), Some(&role(1, "b")));
        assert_eq!(voter.close(Epoch(1)), Closing::Keep(kept(1, "b", 1)));
        assert_eq!(voter.close(Epoch(1)), Closing::Already);
        assert_eq!(voter.own_role(), None);
        assert_eq!(objection(voter.ordered(at(10), &role(1, "b"), L, None)), Objection::Closed(Epoch(1)));
        assert_eq!(objection(voter.renew_own(at(10), &role(1, "b"))), Objection::Closed(Epoch(1)));
        let mut again = Voter::restarted(at(11), name("b"), None, voter.kept().clone(), L);
        assert_eq!(again.bound_until(at(11)), None);
        assert_eq!(rule(again.asked(at(11), &role(2, "a"), L)), GrantRule::G1);
    }

    #[test]
    fn nothing_is_released_below_a_role_that_is_held() {
        // The order (1, b) comes again after (2, b) was taken: refused, and nothing else. The member may act in epoch 2 on a
        // vote for epoch 1, which a release of epoch 1 would end.
        let mut voter = voter(kept(1, "b", 0));
        assert_eq!(rule(voter.ordered(at(10), &role(2, "b"), L, None)), GrantRule::G8);
        assert_eq!(objection(voter.ordered(at(10), &role(1, "b"), L, None)), Objection::Higher);
        assert_eq!(voter.close(Epoch(1)), Closing::HeldAbove(role(2, "b")));
        assert_eq!(voter.kept().closed, Epoch::NONE);
        assert_eq!(voter.close(Epoch(2)), Closing::Keep(kept(2, "b", 2)));
        assert_eq!(voter.close(Epoch(1)), Closing::Already);
    }

    #[test]
    fn asking_renews_the_own_promise_and_makes_none() {
        let mut voter = voter(kept(1, "b", 0));
        assert_eq!(rule(voter.renew_own(at(12), &role(1, "b"))), GrantRule::G2);
        assert_eq!(voter.bound_until(at(12)), Some(at(15)));
        assert_eq!(objection(voter.renew_own(at(12), &role(2, "b"))), Objection::Higher);
        assert_eq!(objection(voter.renew_own(at(12), &role(1, "a"))), Objection::NotOwn);
    }

    #[test]
    fn lost_memory_is_silent_for_a_lease_and_until_the_store_is_known() {
        let mut voter = voter(Kept { promised: None, closed: Epoch(1) });
        assert_eq!(objection(voter.asked(at(12), &role(5, "a"), L)), Objection::Silent(at(13)));
        assert_eq!(objection(voter.asked(at(13), &role(5, "a"), L)), Objection::Unread);
        assert_eq!(voter.learn_stored(Epoch(5)), Some(Kept { promised: None, closed: Epoch(5) }));
        assert_eq!(voter.learn_stored(Epoch(7)), None, "only once");
        assert_eq!(objection(voter.ordered(at(13), &role(5, "b"), L, None)), Objection::Closed(Epoch(5)));
        assert_eq!(rule(voter.ordered(at(13), &role(6, "b"), L, None)), GrantRule::G1);
    }

    #[test]
    fn what_could_not_be_kept_of_what_was_learned_opens_no_epoch_again() {
        let mut voter = voter(kept(5, "b", 0));
        assert!(voter.reminded(at(10), None, Epoch(6), L).is_some());
        assert_eq!(voter.own_role(), None, "it was released");
        assert_eq!(voter.learn_stored(Epoch(7)).map(|kept| kept.closed), Some(Epoch(7)));
        voter.unlearn();
        assert_eq!((voter.own_role(), voter.is_unread()), (None, true));
        assert_eq!(voter.learn_stored(Epoch(7)).map(|kept| kept.closed), Some(Epoch(7)), "and is kept again");
    }

    #[test]
    fn what_was_learned_does_not_shorten_the_silence_of_the_next_life() {
        let mut first = voter(Kept::default());
        let learned = first.learn_stored(Epoch(2)).unwrap();
        let mut second = Voter::restarted(at(11), name("b"), None, learned, L);
        assert_eq!(objection(second.asked(at(13), &role(3, "a"), L)), Objection::Silent(at(14)));
        assert_eq!(objection(second.asked(at(14), &role(3, "a"), L)), Objection::Unread);
    }

    #[test]
    fn what_a_device_ended_is_told_in_the_order_and_only_ends_what_it_names() {
        let order = role(3, "b");
        let mut first = voter(kept(2, "a", 0));
        let older = first.ordered(at(10), &order, L, Some(&role(1, "a")));
        assert_eq!(objection(older), Objection::Promised(at(13)));
        assert_eq!(rule(first.ordered(at(10), &order, L, Some(&role(2, "a")))), GrantRule::G1);
        // It does not end a promise to a member of this very host, nor one at or above the order.
        let mut own = voter(kept(2, "b", 0));
        assert_eq!(rule(own.ordered(at(10), &order, L, Some(&role(2, "b")))), GrantRule::G8);
        let mut higher = voter(kept(4, "a", 0));
        assert_eq!(objection(higher.ordered(at(10), &order, L, Some(&role(4, "a")))), Objection::Higher);
        assert!(higher.bound_until(at(10)).is_some());
    }

    #[test]
    fn both_members_on_one_host_have_one_promise() {
        let mut voter = Voter::restarted(at(10), name("a"), Some(name("b")), kept(1, "a", 0), L);
        assert!(voter.counts_twice());
        assert_eq!(objection(voter.ordered(at(10), &role(2, "b"), L, None)), Objection::Promised(at(13)));
        let vote = voter.ordered(at(13), &role(2, "b"), L, None);
        assert_eq!(vote.given().unwrap().retire, Some(role(1, "a")));
        voter.close(Epoch(2));
        assert_eq!(rule(voter.ordered(at(13), &role(3, "a"), L, None)), GrantRule::G1);
    }

    #[test]
    fn an_order_of_a_shorter_epoch_takes_nothing_from_what_was_promised_before() {
        let mut voter = voter(kept(1, "b", 0));
        assert_eq!(rule(voter.ordered(at(10), &role(2, "b"), Duration::from_secs(1), None)), GrantRule::G8);
        assert_eq!(rule(voter.renew_own(at(11), &role(2, "b"))), GrantRule::G2);
        assert_eq!(objection(voter.asked(at(12), &role(3, "a"), L)), Objection::Promised(at(13)));
    }

    #[test]
    fn the_request_of_its_holder_makes_a_promise_shorter_also_for_the_next_life() {
        let (second, mut voter) = (Duration::from_secs(1), voter(kept(1, "a", 0)));
        let vote = voter.asked(at(10), &role(2, "a"), second);
        let given = vote.given().unwrap();
        assert_eq!((given.rule, given.until), (GrantRule::G8, at(11)));
        let kept = given.keep.clone().expect("kept");
        assert_eq!(kept.promised, Some(Promise { role: role(2, "a"), lease: second }));
        let mut again = Voter::restarted(at(20), name("b"), None, kept, L);
        assert_eq!(objection(again.ordered(at(20), &role(3, "b"), L, None)), Objection::Promised(at(21)));
        // A request of the epoch before, which comes late, makes nothing longer.
        assert_eq!(objection(voter.asked(at(10), &role(1, "a"), L)), Objection::Higher);
        assert_eq!(rule(voter.ordered(at(11), &role(3, "b"), L, None)), GrantRule::G1);
    }

    #[test]
    fn a_longer_lease_than_was_known_for_the_same_epoch_is_durable_before_the_yes() {
        let (long, mut voter) = (Duration::from_secs(60), voter(kept(1, "a", 0)));
        let vote = voter.asked(at(10), &role(1, "a"), long);
        let given = vote.given().unwrap();
        assert_eq!(
            given.keep.as_ref().and_then(|kept| kept.promised.clone()),
            Some(Promise { role: role(1, "a"), lease: long })
        );
        assert_eq!((given.until, voter.bound_until(at(69))), (at(70), Some(at(70))));
        let vote = voter.asked(at(11), &role(1, "a"), long);
        assert_eq!(vote.given().unwrap().keep, None, "once");
    }

    #[test]
    fn lost_memory_is_silent_for_as_long_as_the_store_says_that_somebody_may_count() {
        let mut voter = voter(Kept::default());
        voter.lengthen_silence(Duration::from_secs(60));
        voter.lengthen_silence(Duration::from_secs(60));
        assert_eq!(voter.silent_until(), at(70), "counted from the start, once");
        voter.learn_stored(Epoch(1));
        assert_eq!(objection(voter.asked(at(69), &role(2, "a"), L)), Objection::Silent(at(70)));
        voter.lengthen_silence(Duration::from_secs(600));
        assert_eq!(rule(voter.asked(at(70), &role(2, "a"), L)), GrantRule::G1, "it has learned");
    }

    #[test]
    fn epoch_none_is_never_given() {
        let mut voter = voter(Kept::default());
        voter.learn_stored(Epoch::NONE);
        assert_eq!(objection(voter.asked(at(99), &role(0, "a"), L)), Objection::Higher);
    }

    #[test]
    fn moving_the_origin_changes_no_answer() {
        let (mut late, mut early) = (voter(kept(1, "a", 0)), voter(kept(1, "a", 0)));
        early.shift(Duration::from_secs(10));
        for seconds in 0..5 {
            let (one, two) = (role(2, "b"), role(2, "b"));
            let a = late.clone().ordered(at(10 + seconds), &one, L, None);
            let b = early.clone().ordered(at(seconds), &two, L, None);
            assert_eq!(a.given().is_some(), b.given().is_some(), "{seconds}");
        }
        late.shift(Duration::MAX);
        assert_eq!(late.bound_until(at(0)), None);
    }
}
