//! What control servers, the store and the fencing device do.
//!
//! The store gives compare-and-set and reads that see every finished write; nothing else is assumed of it. Each broken rule is
//! marked where it is broken.

use std::time::Duration;

use understudy_decide::grants::leader::{Leader, Leadership, WriteOutcome, Written};
use understudy_decide::grants::terms::Terms;
use understudy_decide::grants::{Objection, Vote};
use understudy_model::{ApplicationName, ControllerEpoch, Epoch, RoleEpoch};

use crate::agents::Taken;
use crate::tally::Tally;
use crate::world::{Call, Controller, NOW, OnItsWay, Ordered, Scope, Store, World};
use crate::wrong::Wrong;

fn leader_terms(scope: &Scope) -> Terms {
    if scope.is(Wrong::LeaderTooLong) { Terms { drift_ppm: 0, ..scope.terms } } else { scope.terms }
}

impl Controller {
    /// Votes on a request for `role`. Nothing: it refuses; else whether that changed anything here.
    pub(crate) fn votes(
        &mut self,
        scope: &Scope,
        role: &RoleEpoch,
        lease: Duration,
        tally: &mut Tally,
    ) -> Option<bool> {
        let (Some(leadership), Some(pair)) = (&self.leadership, &mut self.pair) else { return None };
        let before = (pair.promise_until(), pair.covers());
        let vote = if scope.is(Wrong::DeposedVotes) {
            let forged = Leadership::acquired(leadership.controller_epoch, NOW, &scope.terms);
            pair.asked(&forged, NOW, role, lease)
        } else {
            pair.asked(leadership, NOW, role, lease)
        };
        if let Vote::Refused(refused) = vote {
            let deposed = refused.because == Objection::NotLeading && pair.promised() == Some(role);
            tally.deposed_silent += u64::from(deposed);
            let writing = matches!(refused.because, Objection::Writing(_));
            if !(writing && scope.is(Wrong::RenewsWhileWriting)) {
                return None;
            }
        }
        Some((pair.promise_until(), pair.covers()) != before)
    }

    /// What an agent released reaches it.
    pub(crate) fn hears_release(&mut self, scope: &Scope, name: &ApplicationName, epoch: Epoch) -> Taken {
        let Some(pair) = self.pair.as_mut().filter(|_| epoch > Epoch::NONE) else { return Ok(false) };
        let epoch = if scope.is(Wrong::ReleaseWithoutEpoch) { Epoch(u64::MAX) } else { epoch };
        let before = pair.clone();
        pair.released(name, epoch);
        Ok(*pair != before)
    }

    /// After a restore: an agent says the highest epoch that it promised or closed.
    pub(crate) fn hears_word(&mut self, name: &ApplicationName, highest: Epoch, lease: Duration) -> Taken {
        let Some(pair) = &mut self.pair else { return Ok(false) };
        let before = pair.clone();
        pair.agent_said(NOW, name, highest, lease);
        Ok(*pair != before)
    }

    /// Its clock advances.
    pub(crate) fn tick(&mut self, by: Duration) {
        self.early = self.early - by;
        if let Some(leadership) = &mut self.leadership {
            leadership.shift(by);
        }
        if let Some(pair) = &mut self.pair {
            pair.shift(by);
        }
    }

    /// A leadership that is over by its own clock and that the store will not renew, as it counts `current` by now, is over
    /// for good.
    pub(crate) fn forget_deposed(&mut self, scope: &Scope, current: ControllerEpoch) {
        let over = |it: &Leadership| !it.leads(NOW) && it.controller_epoch != current;
        if scope.is(Wrong::DeposedVotes) || !self.leadership.as_ref().is_some_and(over) {
            return;
        }
        if scope.is(Wrong::OldView)
            && let Some(pair) = &self.pair
        {
            self.old_view = Some(pair.stored().cloned());
        }
        self.leadership = None;
        self.pair = None;
        self.early = NOW;
    }

    /// In which leadership it believes to be.
    pub(crate) fn leads_in(&self) -> ControllerEpoch {
        self.leadership.as_ref().map_or(ControllerEpoch(0), |it| it.controller_epoch)
    }
}

impl Store {
    /// Its clock advances.
    pub(crate) fn tick(&mut self, by: Duration) {
        self.leased = self.leased - by;
    }

    /// A write that can be stored no more, of a leader that does not wait for it, is nothing.
    pub(crate) fn forget_writes(&mut self, scope: &Scope, leads_in: [ControllerEpoch; 2]) {
        let current = self.controller_epoch;
        let matters = |way: &OnItsWay| {
            let may_be_stored = way.write.controller_epoch == current || scope.is(Wrong::NoCompareAndSet);
            way.stored.is_none() && may_be_stored || leads_in[way.controller] == way.write.controller_epoch
        };
        self.writes.retain(matters);
    }
}

impl World {
    /// The store gives its lease, which was free.
    pub(crate) fn lead(&mut self, scope: &Scope, c: usize) -> Taken {
        let store = &mut *self.store;
        if store.leased > NOW || store.controller_epoch.0 >= scope.leaderships {
            return Ok(false);
        }
        store.controller_epoch = ControllerEpoch(store.controller_epoch.0 + 1);
        store.leader = c;
        store.leased = NOW + scope.store_lease;
        let it = &mut *self.controllers[c];
        if scope.is(Wrong::OldView)
            && let Some(pair) = it.pair.take()
        {
            it.old_view = Some(pair.stored().cloned());
        }
        it.leadership = Some(Leadership::acquired(store.controller_epoch, NOW, &leader_terms(scope)));
        it.pair = None;
        it.early = NOW;
        store.writes.retain(|way| way.controller != c || way.stored.is_none());
        Ok(true)
    }

    pub(crate) fn extend(&mut self, scope: &Scope, c: usize) -> Taken {
        let Some(leadership) = &mut self.controllers[c].leadership else { return Ok(false) };
        if leadership.controller_epoch != self.store.controller_epoch {
            return Ok(false);
        }
        leadership.renewed(NOW, &leader_terms(scope));
        self.store.leased = NOW + scope.store_lease;
        Ok(true)
    }

    pub(crate) fn read(&mut self, scope: &Scope, c: usize) -> Taken {
        let it = &mut *self.controllers[c];
        let Some(leadership) = it.leadership.as_ref().filter(|it| it.leads(NOW)) else { return Ok(false) };
        if it.pair.is_some() {
            return Ok(false);
        }
        let stored = self.store.stored.clone();
        // A setting that is longer than what is stored counts as well.
        let lease = self.store.covers.max(scope.terms.lease);
        let mut pair = if self.store.marked && !scope.is(Wrong::RestoredAsRead) {
            let store_terms = Terms { leader_lease: scope.store_lease, lease, ..scope.terms };
            let members = [&self.agents[0].name, &self.agents[1].name].map(Clone::clone);
            Leader::read_restored(leadership, NOW, stored, &store_terms, members)
        } else {
            Leader::read(leadership, NOW, stored, lease)
        };
        if scope.is(Wrong::NoWaitAfterRead) {
            pair.shift(lease);
        }
        if let Some(view) = it.old_view.take() {
            pair = Leader::read(leadership, NOW, view, lease);
            pair.shift(lease);
        }
        it.pair = Some(pair);
        Ok(true)
    }

    /// A promotion of the member of agent `a`, or its reaffirmation.
    pub(crate) fn promote(&mut self, scope: &Scope, c: usize, a: usize, lease: Duration) -> Taken {
        let it = &mut *self.controllers[c];
        let (Some(leadership), Some(pair)) = (&it.leadership, &mut it.pair) else { return Ok(false) };
        let until = pair.promise_until();
        if scope.is(Wrong::TooSlowIsOver) || scope.is(Wrong::WritesEarly) {
            pair.shift(scope.terms.lease);
        }
        pair.set_lease(lease);
        let begun = pair.promote(leadership, NOW, &self.agents[a].name, Epoch::NONE);
        // What the setting is matters only while a write begins.
        pair.set_lease(scope.terms.lease);
        let Ok(mut write) = begun else { return Ok(false) };
        if scope.is(Wrong::StoresNewLease) {
            write.covers = lease;
        }
        if write.role.epoch.0 > scope.epochs {
            return Ok(false);
        }
        if scope.is(Wrong::WritesEarly) {
            it.early = until;
        }
        self.store.writes.push(OnItsWay { controller: c, write, stored: None });
        self.store.writes.sort_by_key(|way| way.write.controller_epoch);
        if scope.is(Wrong::StoreLate) {
            return self.acknowledge(c, WriteOutcome::Done, scope);
        }
        Ok(true)
    }

    /// The store carries a write out, or finds that it cannot.
    pub(crate) fn store_applies(&mut self, scope: &Scope, index: usize, tally: &mut Tally) -> Taken {
        let keeps_backup = scope.restores || scope.is(Wrong::StoreRolledBack);
        let store = &mut *self.store;
        let Some(way) = store.writes.get_mut(index).filter(|way| way.stored.is_none()) else {
            return Ok(false);
        };
        let fits = way.write.controller_epoch == store.controller_epoch && way.write.expected == store.stored;
        let stored = fits || scope.is(Wrong::NoCompareAndSet);
        way.stored = Some(stored);
        if stored {
            let role = way.write.role.clone();
            let other = store.stored.as_ref().is_some_and(|former| former.holder != role.holder);
            tally.after_leader_change += u64::from(other && store.controller_epoch.0 > 1);
            tally.after_restore += u64::from(store.marked);
            store.highest = store.highest.max(role.epoch);
            let covers = std::mem::replace(&mut store.covers, way.write.covers);
            let former = store.stored.replace(role);
            (store.backup, store.backup_covers) =
                if keeps_backup { (former, covers) } else { (None, Duration::ZERO) };
            store.marked = false;
        }
        Ok(true)
    }

    /// The store takes the shorter lease that its leader was asked with, if it holds the same role in the same leadership.
    pub(crate) fn shorten(&mut self, c: usize) -> Taken {
        let it = &self.controllers[c];
        let (Some(leadership), Some(pair)) = (&it.leadership, &it.pair) else { return Ok(false) };
        let same = leadership.controller_epoch == self.store.controller_epoch
            && pair.promised() == self.store.stored.as_ref()
            && !self.store.marked;
        if !same || pair.covers() >= self.store.covers {
            return Ok(false);
        }
        self.store.covers = pair.covers();
        Ok(true)
    }

    /// The outcome of a write reaches its leader.
    pub(crate) fn outcome(&mut self, scope: &Scope, c: usize) -> Taken {
        if self.controllers[c].early > NOW {
            return Ok(false);
        }
        let found = self.store.writes.iter().position(|way| way.controller == c && way.stored.is_some());
        let Some(index) = found else { return Ok(false) };
        let way = self.store.writes.remove(index);
        let current = self.controllers[c].leadership.as_ref().map(|it| it.controller_epoch);
        if current != Some(way.write.controller_epoch) {
            return Ok(true);
        }
        let outcome = if way.stored == Some(true) { WriteOutcome::Done } else { WriteOutcome::Failed };
        self.acknowledge(c, outcome, scope)
    }

    fn acknowledge(&mut self, c: usize, outcome: WriteOutcome, scope: &Scope) -> Taken {
        let it = &mut *self.controllers[c];
        let (Some(leadership), Some(pair)) = (&it.leadership, &mut it.pair) else { return Ok(true) };
        let holder = pair.promised().map(|role| role.holder.clone());
        match pair.written(leadership, NOW, outcome) {
            Written::Order(order) => {
                if scope.is(Wrong::ShrinksAtOrder) && holder.as_ref() == Some(&order.role.holder) {
                    // As if it had asked.
                    pair.asked(leadership, NOW, &order.role, order.lease);
                }
                let stored = self.store.highest >= order.role.epoch;
                if !stored && !scope.is(Wrong::StoreLate) {
                    return Err(format!("S3: {} is ordered before it is stored", order.role));
                }
                let to = self.agents.iter_mut().find(|agent| agent.name == order.role.holder);
                if let Some(agent) = to {
                    agent.put_order(scope, Ordered { order, this_life: true });
                }
            }
            Written::GiveUpLeadership => {
                it.leadership = None;
                it.pair = None;
            }
            Written::AsBefore | Written::NotMine => {}
        }
        Ok(true)
    }

    /// The order goes out again, for whichever life its agent has now.
    pub(crate) fn order(&mut self, scope: &Scope, c: usize) -> Taken {
        let it = &self.controllers[c];
        let (Some(leadership), Some(pair)) = (&it.leadership, &it.pair) else { return Ok(false) };
        let Ok(order) = pair.order(leadership, NOW) else { return Ok(false) };
        if self.store.highest < order.role.epoch {
            return Err(format!("S3: {} is ordered before it is stored", order.role));
        }
        let to = self.agents.iter_mut().find(|agent| agent.name == order.role.holder);
        Ok(to.is_some_and(|agent| agent.put_order(scope, Ordered { order, this_life: true })))
    }

    /// It crashes, or does not learn what became of its write and gives up: what it knew is forgotten.
    pub(crate) fn crash(&mut self, c: usize) -> Taken {
        let it = &mut *self.controllers[c];
        let Some(leadership) = it.leadership.take() else { return Ok(false) };
        if let Some(mut pair) = it.pair.take().filter(|pair| pair.writing().is_some())
            && pair.written(&leadership, NOW, WriteOutcome::Unknown) != Written::GiveUpLeadership
        {
            return Err("G2: a leader goes on although it does not know what the store holds".to_owned());
        }
        it.early = NOW;
        self.store.writes.retain(|way| way.controller != c || way.stored.is_none());
        Ok(true)
    }

    /// A leader calls the fencing device.
    pub(crate) fn fence(&mut self, scope: &Scope, c: usize) -> Taken {
        let it = &mut *self.controllers[c];
        let (Some(leadership), Some(pair)) = (&it.leadership, &mut it.pair) else { return Ok(false) };
        if self.call.is_some() {
            return Ok(false);
        }
        let mut aside = pair.clone();
        let pair = if scope.is(Wrong::DeviceIsRelease) { &mut aside } else { pair };
        let Ok(role) = pair.fence(leadership, NOW) else { return Ok(false) };
        let controller_epoch = leadership.controller_epoch;
        self.call = Some(Call { controller: c, controller_epoch, role, done: false });
        Ok(true)
    }

    /// The device switches the host off; it comes on again at once.
    pub(crate) fn switch_off(&mut self, scope: &Scope) -> Taken {
        let Some(call) = self.call.as_mut().filter(|call| !call.done) else { return Ok(false) };
        call.done = true;
        let Some(agent) = self.agents.iter_mut().find(|agent| agent.name == call.role.holder) else {
            return Ok(false);
        };
        if scope.is(Wrong::DeviceIsRelease) {
            agent.released = agent.released.max(call.role.epoch);
        }
        agent.reboot(scope)
    }

    pub(crate) fn device_answers(&mut self, scope: &Scope, c: usize) -> Taken {
        let Some(call) = self.call.as_ref().filter(|call| call.done) else { return Ok(false) };
        let it = &mut *self.controllers[c];
        let (Some(leadership), Some(pair)) = (&it.leadership, &mut it.pair) else { return Ok(false) };
        let before = pair.clone();
        if scope.is(Wrong::DeviceForAnyLeader) && pair.promised() == Some(&call.role) {
            if pair.fence(leadership, NOW).is_ok() {
                pair.fenced(leadership.controller_epoch, &call.role, true);
            }
        } else if call.controller == c {
            pair.fenced(call.controller_epoch, &call.role, true);
        }
        Ok(*pair != before)
    }

    /// The store is replaced by what it held before the last write. Its marker ends every leadership that it may not know.
    pub(crate) fn restore(&mut self, scope: &Scope) -> Taken {
        let store = &mut *self.store;
        if store.was_restored || store.backup == store.stored {
            return Ok(false);
        }
        if !scope.is(Wrong::StoreRolledBack) {
            if store.controller_epoch.0 >= scope.leaderships {
                return Ok(false);
            }
            store.controller_epoch = ControllerEpoch(store.controller_epoch.0 + 1);
            store.leased = NOW;
            store.marked = true;
        }
        store.stored = store.backup.take();
        store.covers = store.backup_covers;
        store.was_restored = true;
        Ok(true)
    }
}
