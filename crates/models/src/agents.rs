//! What agents do: ask, vote, take orders, give up, crash, and come back.
//!
//! This is what the daemon around the machines will have to do, in the order in which it has to do it; each broken rule is
//! marked where it is broken.

use std::time::Duration;

use understudy_decide::grants::holder::{Answer, Heard, Holder, OtherVoter, Page};
use understudy_decide::grants::leader::GrantOrder;
use understudy_decide::grants::voter::{Closing, Voter};
use understudy_decide::grants::{Kept, Objection, Vote};
use understudy_model::{ApplicationName, Epoch, Incarnation, RoleEpoch};

use crate::tally::Tally;
use crate::world::{Agent, Answered, Asked, NOW, Ordered, Scope, THIS_LIFE};
use crate::wrong::Wrong;

/// A step that was taken, or that changed nothing, or an invariant that did not hold.
pub(crate) type Taken = Result<bool, String>;

/// A rule is broken by which an answer counts from later than its asking.
fn counts_late(scope: &Scope) -> bool {
    scope.is(Wrong::CountsFromAnswer) || scope.is(Wrong::NumbersReused)
}

impl Agent {
    /// Keeps the answer that is worth more; one that can do nothing now can do nothing later.
    pub(crate) fn answer(&mut self, scope: &Scope, asked: &Asked, voter: OtherVoter) -> bool {
        let gain = self.gain(scope, asked.epoch, asked.number, asked.this_life);
        let late_counts = counts_late(scope) && asked.this_life;
        if gain == NOW && !late_counts {
            return false;
        }
        let answered =
            Answered { epoch: asked.epoch, number: asked.number, this_life: asked.this_life, voter };
        let other = self.answered.iter().position(|other| other.epoch == asked.epoch);
        if let Some(index) = other {
            let other = &self.answered[index];
            if self.worth(other.number, other.this_life) >= gain {
                return false;
            }
            self.answered.remove(index);
        }
        self.answered.push(answered);
        self.answered.sort_by_key(|other| other.epoch);
        true
    }

    fn may_take(&self, scope: &Scope, ordered: &Ordered) -> bool {
        ordered.order.role.epoch > self.voter.kept().closed || scope.is(Wrong::EntersClosed)
    }

    pub(crate) fn forget_worthless(&mut self, scope: &Scope) {
        let mut orders = std::mem::take(&mut self.orders);
        orders.retain(|ordered| self.may_take(scope, ordered));
        self.orders = orders;
        // From this moment on it says no, so it says no.
        if self.page.until == NOW {
            self.page.role = None;
        }
        if !counts_late(scope) {
            let mut answered = std::mem::take(&mut self.answered);
            answered.retain(|it| self.gain(scope, it.epoch, it.number, it.this_life) > NOW);
            self.answered = answered;
        }
    }

    /// Forgets requests for epochs below `lowest`.
    pub(crate) fn forget_asked(&mut self, lowest: Epoch) {
        self.asked.retain(|asked| asked.epoch >= lowest);
    }

    /// The longest lease that it may have counted on or promised.
    pub(crate) fn longest(&self) -> Duration {
        let promised = self.voter.kept().promised.as_ref();
        promised.map_or(Duration::ZERO, |promise| promise.lease).max(self.holder.lease())
    }

    /// The highest epoch that it promised or closed.
    pub(crate) fn highest(&self) -> Epoch {
        self.voter.promised().map_or(Epoch::NONE, |role| role.epoch).max(self.voter.kept().closed)
    }

    /// An order is on its way. One for a closed epoch is refused for ever, so it need not be kept; of which leadership it is
    /// makes no difference here.
    pub(crate) fn put_order(&mut self, scope: &Scope, ordered: Ordered) -> bool {
        let same = |other: &Ordered| {
            let order =
                GrantOrder { controller_epoch: ordered.order.controller_epoch, ..other.order.clone() };
            order == ordered.order && other.this_life == ordered.this_life
        };
        if self.orders.iter().any(same) || !self.may_take(scope, &ordered) {
            return false;
        }
        self.orders.push(ordered);
        self.orders.sort_by(|a, b| {
            let key = |it: &Ordered| (it.order.role.epoch, it.order.fenced.is_some(), it.this_life);
            key(a).cmp(&key(b))
        });
        true
    }

    /// Retires the page, closes everything up to `epoch`, and only then says so (G5).
    fn give_up(&mut self, scope: &Scope, epoch: Epoch) -> Taken {
        let keep = match self.voter.close(epoch) {
            Closing::Keep(keep) => Some(keep),
            Closing::Already => None,
            // Released all the same: the votes for the lower epoch on which it may act are ended.
            Closing::HeldAbove(_) if scope.is(Wrong::ReleasesBelow) => {
                self.released = self.released.max(epoch);
                return Ok(true);
            }
            Closing::HeldAbove(_) => return Ok(false),
        };
        self.holder.give_up(epoch);
        if !scope.is(Wrong::PageNotRetired) {
            self.page = self.holder.page();
        }
        if let Some(keep) = keep.filter(|_| !scope.is(Wrong::ReleaseNotDurable)) {
            self.disk = keep;
        }
        self.released = self.released.max(epoch);
        if self.disk.closed < epoch && !scope.is(Wrong::ReleaseNotDurable) {
            return Err(format!("S3: {epoch} is released before it is closed durably"));
        }
        Ok(true)
    }

    /// Rule broken: gives an epoch up, and leaves the page as it is.
    fn give_up_under(&mut self, scope: &Scope, epoch: Epoch) -> Taken {
        let page = self.page.clone();
        let taken = self.give_up(scope, epoch);
        self.page = page;
        taken
    }

    fn renew_own(&mut self) -> bool {
        let Some(role) = self.holder.held().cloned() else { return false };
        self.voter.renew_own(NOW, &role).given().is_some()
    }

    pub(crate) fn ask(&mut self, scope: &Scope) -> Taken {
        if !self.renew_own() {
            return Ok(false);
        }
        let Some(ask) = self.holder.ask(NOW, &scope.terms) else { return Ok(true) };
        let asked = Asked { epoch: ask.role.epoch, number: ask.number, lease: ask.lease, this_life: true };
        match self.asked.iter_mut().find(|other| other.epoch == asked.epoch) {
            Some(other) => *other = asked,
            None => self.asked.push(asked),
        }
        self.asked.sort_by_key(|asked| asked.epoch);
        Ok(true)
    }

    pub(crate) fn hear(&mut self, scope: &Scope, index: usize) -> Taken {
        let Some(answered) = self.answered.get(index).cloned() else { return Ok(false) };
        let mut answer = Answer {
            incarnation: if answered.this_life { THIS_LIFE } else { Incarnation(0) },
            number: answered.number,
            role: self.role(answered.epoch),
        };
        if scope.is(Wrong::CountsFromAnswer) {
            // As if the request had been sent just now.
            let Some(ask) = self.holder.ask(NOW, &scope.terms) else { return Ok(false) };
            answer.number = ask.number;
        }
        if scope.is(Wrong::NumbersReused) && !answered.this_life {
            let mine = |asked: &&Asked| asked.this_life && asked.epoch == answered.epoch;
            let Some(asked) = self.asked.iter().find(mine) else { return Ok(false) };
            (answer.incarnation, answer.number) = (THIS_LIFE, asked.number);
        }
        if let Some(held) = self.holder.held().filter(|_| scope.is(Wrong::ClosedAnswersCount)) {
            answer.role = held.clone();
        }
        let heard = self.holder.hear(NOW, answered.voter, &answer);
        self.page = self.holder.page();
        Ok(heard == Heard::Extended)
    }

    /// An agent starts on what the last one left: state file, page, nothing else (G7).
    fn start(&mut self, scope: &Scope) -> Taken {
        let lease = scope.terms.lease;
        let kept = self.disk.clone();
        let memoryless = kept.promised.is_none();
        self.voter = Voter::restarted(NOW, self.name.clone(), None, kept.clone(), lease);
        if scope.is(Wrong::Forgets) || (scope.is(Wrong::MemoryLost) && memoryless) {
            self.voter.shift(lease);
            self.voter.learn_stored(Epoch::NONE);
        }
        for asked in &mut self.asked {
            asked.this_life = false;
        }
        let answered = std::mem::take(&mut self.answered);
        if scope.is(Wrong::OrdersOfAnyLife) {
            self.orders.iter_mut().for_each(|ordered| ordered.this_life = true);
        } else {
            self.orders.clear();
        }
        let page = match &self.page.role {
            Some(role) if scope.is(Wrong::AdoptsAsNew) => {
                Page { role: Some(role.clone()), until: NOW + scope.terms.share() }
            }
            Some(_) | None => self.page.clone(),
        };
        let found = Holder::adopt(self.name.clone(), THIS_LIFE, &kept, Some(&page));
        self.holder = found.holder;
        let goes_on = scope.is(Wrong::PageGoesOn) && !found.adopted;
        self.page = if goes_on { page } else { self.holder.page() };
        if scope.is(Wrong::NumbersReused) {
            self.answered = answered.iter().map(|it| Answered { this_life: false, ..it.clone() }).collect();
        }
        // An answer to the life before counts nothing, now or later; so it need not be kept on its way.
        for it in answered {
            let (incarnation, role) = (Incarnation(THIS_LIFE.0 - 1), self.role(it.epoch));
            let late = Answer { incarnation, number: it.number, role };
            if self.holder.hear(NOW, it.voter, &late) != Heard::OtherLife {
                return Err("G3: an answer to another life of the agent is taken for its own".to_owned());
            }
        }
        match found.close {
            Some(epoch) if goes_on => self.give_up_under(scope, epoch),
            Some(epoch) => self.give_up(scope, epoch),
            None => Ok(true),
        }
    }

    pub(crate) fn restart(&mut self, scope: &Scope, tally: &mut Tally) -> Taken {
        let acting = self.page.may_act(NOW);
        let taken = self.start(scope);
        tally.adopted += u64::from(acting && self.page.may_act(NOW));
        taken
    }

    pub(crate) fn reboot(&mut self, scope: &Scope) -> Taken {
        self.page = Page { role: None, until: NOW };
        if scope.is(Wrong::AnswersOfFormerBoot) {
            self.voter = Voter::restarted(NOW, self.name.clone(), None, self.disk.clone(), scope.terms.lease);
            self.behind = true;
            return Ok(true);
        }
        self.start(scope)
    }

    pub(crate) fn lose_memory(&mut self, scope: &Scope) -> Taken {
        self.disk = Kept::default();
        self.start(scope)
    }

    pub(crate) fn learn(
        &mut self,
        scope: &Scope,
        stored: Epoch,
        covers: Duration,
        tally: &mut Tally,
    ) -> Taken {
        let stored = if scope.is(Wrong::MemoryLostWaits) { Epoch::NONE } else { stored };
        let before = self.voter.clone();
        if !scope.is(Wrong::SilentForUsualLease) {
            self.voter.lengthen_silence(covers);
        }
        if NOW < self.voter.silent_until() && !scope.is(Wrong::MemoryLostWaits) {
            return Ok(self.voter != before);
        }
        let Some(keep) = self.voter.learn_stored(stored) else { return Ok(false) };
        self.disk = keep;
        self.holder.give_up(stored);
        tally.remembered += u64::from(stored > Epoch::NONE);
        Ok(true)
    }

    pub(crate) fn take_order(&mut self, scope: &Scope, index: usize, tally: &mut Tally) -> Taken {
        let Some(ordered) = self.orders.get(index).filter(|ordered| ordered.this_life) else {
            return Ok(false);
        };
        let order = ordered.order.clone();
        if scope.is(Wrong::ReaffirmsAnybody) {
            self.voter.shift(scope.terms.lease);
        }
        if scope.is(Wrong::EntersClosed) && order.role.epoch == self.voter.kept().closed {
            let kept = Kept { closed: Epoch(order.role.epoch.0 - 1), ..self.voter.kept().clone() };
            self.voter = Voter::restarted(NOW, self.name.clone(), None, kept.clone(), order.lease);
            self.disk = kept.clone();
            self.holder = Holder::new(self.name.clone(), THIS_LIFE, &kept);
        }
        let before = self.voter.kept().clone();
        let vote = self.voter.ordered(NOW, &order.role, order.lease, order.fenced.as_ref());
        let given = match vote {
            Vote::Given(given) => given,
            Vote::Refused(refused) => {
                let stale = matches!(refused.because, Objection::Higher | Objection::Closed(_));
                tally.stale_refused += u64::from(stale);
                return Ok(false);
            }
        };
        let promised = before.promised.as_ref().map(|promise| promise.role.clone());
        let lower = promised.is_some_and(|role| role.epoch >= order.role.epoch && role != order.role);
        if lower || order.role.epoch <= before.closed {
            return Err(format!("S2: {} is taken after something higher", order.role));
        }
        if let Some(keep) = given.keep.filter(|_| !scope.is(Wrong::ActsBeforeDurable)) {
            self.disk = keep;
        }
        let again = self.holder.held() == Some(&order.role);
        tally.reaffirmed += u64::from(self.page.may_act(NOW) && !again);
        tally.by_device += u64::from(order.fenced.is_some());
        if !again {
            self.holder.take(NOW, order.role.clone(), order.lease, &scope.terms);
        }
        if scope.is(Wrong::OrderIsVote) {
            let Some(ask) = self.holder.ask(NOW, &scope.terms) else { return Ok(true) };
            let answer = Answer { incarnation: THIS_LIFE, number: ask.number, role: ask.role };
            self.holder.hear(NOW, OtherVoter::Control, &answer);
        }
        // The page is cut before anything is asked.
        let page = self.holder.page();
        let cuts = page.role.is_some() && page.until < self.page.until;
        if !(cuts && scope.is(Wrong::AsksBeforeCut)) {
            self.page = page;
        }
        Ok(true)
    }

    /// The promise of an order is stored, and the agent crashes before it does anything with it. What it comes to is what
    /// [`Agent::take_order`], [`Agent::close_own`] and a restart come to, if the page is retired.
    /// It asks while its promise is being written (decision 0013), and crashes before it is there.
    pub(crate) fn ask_and_crash(&mut self, scope: &Scope, index: usize) -> Taken {
        if self.holder.held().is_some() {
            // One that acts is asked for in a higher epoch only when that is durable.
            return Ok(false);
        }
        let (page, disk) = (self.page.clone(), self.disk.clone());
        if !self.take_order(scope, index, &mut Tally::default())? || !self.ask(scope)? {
            return Ok(false);
        }
        (self.page, self.disk) = (page, disk);
        self.start(scope)
    }

    pub(crate) fn take_order_and_crash(&mut self, scope: &Scope, index: usize) -> Taken {
        let page = self.page.clone();
        if !self.take_order(scope, index, &mut Tally::default())? {
            return Ok(false);
        }
        self.page = page;
        self.start(scope)
    }

    /// Its member exits, is demoted or killed, or an order is refused: possible at any time.
    pub(crate) fn close_own(&mut self, scope: &Scope) -> Taken {
        let own = self.voter.own_role().map(|role| role.epoch);
        let held = self.holder.held().map(|role| role.epoch);
        match own.max(held) {
            Some(epoch) => self.give_up(scope, epoch),
            None => Ok(false),
        }
    }

    pub(crate) fn refuse_order(&mut self, scope: &Scope, index: usize) -> Taken {
        let closed = self.voter.kept().closed;
        match self.orders.get(index).map(|ordered| ordered.order.role.epoch).filter(|epoch| *epoch > closed) {
            Some(epoch) => self.give_up(scope, epoch),
            None => Ok(false),
        }
    }
}

impl Agent {
    /// Votes on a request for the other member's `role`. Nothing: it refuses; else whether that changed anything here.
    pub(crate) fn votes(
        &mut self,
        scope: &Scope,
        role: &RoleEpoch,
        lease: Duration,
    ) -> Result<Option<bool>, String> {
        let before = self.voter.clone();
        let vote = self.voter.asked(NOW, role, lease);
        let Some(given) = vote.given() else { return Ok(None) };
        if given.retire.is_some() {
            self.page = Page { role: None, until: NOW };
        }
        let unseen = scope.is(Wrong::NotDurableUnseen);
        if let Some(keep) = given.keep.clone().filter(|_| !unseen && !scope.is(Wrong::NotDurable)) {
            self.disk = keep;
        }
        let durable = self.disk.promised.as_ref().is_some_and(|promise| promise.role == *role);
        if !durable && !unseen {
            return Err(format!("S3: {role} is granted before it is durable"));
        }
        Ok(Some(self.voter != before))
    }

    /// What the other agent released reaches this one.
    pub(crate) fn hears_release(&mut self, scope: &Scope, name: &ApplicationName, epoch: Epoch) -> Taken {
        if epoch == Epoch::NONE {
            return Ok(false);
        }
        let epoch = if scope.is(Wrong::ReleaseWithoutEpoch) { Epoch(u64::MAX) } else { epoch };
        Ok(self.voter.released(name, epoch))
    }

    /// Its clock advances.
    pub(crate) fn tick(&mut self, by: Duration) {
        self.voter.shift(by);
        if std::mem::take(&mut self.behind) {
            return;
        }
        self.holder.shift(by);
        self.page.until = self.page.until - by;
    }
}
