//! Both members of a pair on one host (G12): one agent, whose vote counts twice, and orders that nobody keeps in order.
//!
//! Much smaller than the world of two hosts, and harsher in one thing: any order for any epoch and either member may arrive at
//! any time, as if no store kept epochs apart.

use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use understudy_decide::grants::Kept;
use understudy_decide::grants::holder::{Answer, Holder, OtherVoter, Page};
use understudy_decide::grants::voter::{Closing, Voter};
use understudy_model::{ApplicationName, Epoch, RoleEpoch};

use crate::fingerprint::Fold;
use crate::world::{NOW, Scope, THIS_LIFE, UNIT};

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// G1 and G12: an order is granted whatever is promised, and the page of the one that was granted before is forgotten.
    /// That page alone forgotten shows nowhere: its time is over when another is granted, or its epoch was closed.
    GrantsAtOnce,
    /// S3: a page says primary before the promise is durable, and a crash finds that.
    ActsBeforeDurable,
}

/// What became of the exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Distinct states.
    pub states: usize,
    /// Both pages said primary in one of them.
    pub two_primaries: bool,
    /// A page said primary to one member while the promise was to the other, or durable for neither.
    pub unpromised: bool,
    /// A member acted after the other had.
    pub changed_hands: bool,
}

#[derive(Clone)]
struct Host {
    disk: Kept,
    voter: Voter,
    holders: [Holder; 2],
    pages: [Page; 2],
}

#[derive(Clone, Copy)]
enum Step {
    Tick,
    Order(u64, usize),
    Ask(usize),
    Close(usize),
    Restart,
}

fn name(member: usize) -> ApplicationName {
    ApplicationName::new(["a", "b"][member]).expect("a good name")
}

impl Host {
    fn new(scope: &Scope) -> Self {
        let disk = Kept::default();
        let mut voter = Voter::restarted(NOW, name(0), Some(name(1)), disk.clone(), scope.terms.lease);
        voter.shift(scope.terms.lease);
        voter.learn_stored(Epoch::NONE);
        let holders = [0, 1].map(|member| Holder::new(name(member), THIS_LIFE, &disk));
        let pages = [0, 1].map(|_| Page { role: None, until: NOW });
        Self { disk, voter, holders, pages }
    }

    fn fingerprint(&self) -> u64 {
        let mut fold = Fold::new(false);
        (&self.disk, &self.voter, &self.pages).hash(&mut fold);
        for holder in &self.holders {
            (holder.held(), holder.may_act_until(), holder.order_until(), holder.given_up()).hash(&mut fold);
        }
        fold.finish()
    }

    fn take(&mut self, scope: &Scope, step: Step, broken: Option<Broken>) {
        match step {
            Step::Tick => {
                self.voter.shift(UNIT);
                for member in 0..2 {
                    self.holders[member].shift(UNIT);
                    self.pages[member].until = self.pages[member].until - UNIT;
                }
            }
            Step::Order(epoch, member) => {
                if broken == Some(Broken::GrantsAtOnce) {
                    self.voter.shift(scope.terms.lease);
                }
                let role = RoleEpoch::new(Epoch(epoch), name(member));
                let vote = self.voter.ordered(NOW, &role, scope.terms.lease, None);
                let Some(given) = vote.given() else { return };
                if given.retire.is_some() && broken != Some(Broken::GrantsAtOnce) {
                    self.pages[1 - member] = Page { role: None, until: NOW };
                }
                if let Some(keep) = &given.keep {
                    if broken != Some(Broken::ActsBeforeDurable) {
                        self.disk = keep.clone();
                    }
                    self.holders[member].take(NOW, role, scope.terms.lease, &scope.terms);
                    self.pages[member] = self.holders[member].page();
                }
            }
            Step::Ask(member) => {
                let Some(role) = self.holders[member].held().cloned() else { return };
                let own = self.voter.renew_own(NOW, &role);
                if own.given().is_none() || !self.voter.counts_twice() {
                    return;
                }
                let Some(ask) = self.holders[member].ask(NOW, &scope.terms) else { return };
                let answer = Answer { incarnation: THIS_LIFE, number: ask.number, role };
                self.holders[member].hear(NOW, OtherVoter::Twin, &answer);
                self.pages[member] = self.holders[member].page();
            }
            Step::Close(member) => {
                let Some(epoch) = self.holders[member].held().map(|role| role.epoch) else { return };
                if let Closing::Keep(keep) = self.voter.close(epoch) {
                    self.disk = keep;
                }
                self.holders[member].give_up(epoch);
                self.pages[member] = self.holders[member].page();
            }
            Step::Restart => {
                let lease = scope.terms.lease;
                self.voter = Voter::restarted(NOW, name(0), Some(name(1)), self.disk.clone(), lease);
                for member in 0..2 {
                    let found = Holder::adopt(name(member), THIS_LIFE, &self.disk, Some(&self.pages[member]));
                    self.holders[member] = found.holder;
                    self.pages[member] = self.holders[member].page();
                    if let Some(Closing::Keep(keep)) = found.close.map(|epoch| self.voter.close(epoch)) {
                        self.disk = keep;
                    }
                }
            }
        }
    }
}

/// Explores everything within `scope.epochs`.
pub fn explore(scope: &Scope, broken: Option<Broken>) -> Found {
    let first = Host::new(scope);
    let mut visited = HashSet::from([first.fingerprint()]);
    let mut waiting = VecDeque::from([first]);
    let mut found = Found { states: 0, two_primaries: false, unpromised: false, changed_hands: false };
    while let Some(host) = waiting.pop_front() {
        let orders = (1..=scope.epochs).flat_map(|epoch| [Step::Order(epoch, 0), Step::Order(epoch, 1)]);
        let others = [Step::Tick, Step::Ask(0), Step::Ask(1), Step::Close(0), Step::Close(1), Step::Restart];
        for step in orders.chain(others) {
            let mut next = host.clone();
            next.take(scope, step, broken);
            let acts = |member: usize| next.pages[member].may_act(NOW);
            found.two_primaries |= acts(0) && acts(1);
            let promised = next.disk.promised.as_ref().map(|promise| &promise.role);
            let says = |member: usize| next.pages[member].role.as_ref();
            found.unpromised |= (0..2).any(|member| acts(member) && says(member) != promised);
            let second = |member: usize| acts(member) && next.holders[1 - member].given_up() > Epoch::NONE;
            found.changed_hands |= second(0) || second(1);
            if visited.insert(next.fingerprint()) {
                waiting.push_back(next);
            }
        }
    }
    found.states = visited.len();
    found
}
