//! Reloads: the configuration of the control server changes while it leads, as far as the lease of a pair goes.
//!
//! Refuses to judge a configuration: what is asked for here is allowed. The laws: one reload at a time; the machine is told
//! before what runs is looked at; nothing takes effect before it is stored; what was stored holds for the next life.

use std::time::Duration;

use understudy_decide::control::ControlSaw;
use understudy_model::Cluster;

use super::{World, stores};
use crate::climate::{Climate, MS};
use crate::fault::Disk;
use crate::queue::Event;

/// A reload under way.
#[derive(Debug, Clone)]
pub struct Reload {
    wanted: Cluster,
    /// Counts them.
    number: u64,
}

/// Between two looks whether the machine has been told.
const LOOK: u64 = 10 * MS;

impl World {
    /// Somebody changes the lease of a pair, or changes it back, and has the file read.
    pub(super) fn change_lease(&mut self, pair: usize, longer: bool, begins: bool) {
        let mut wanted = self.control.cluster.clone();
        let usual = self.climate.options.preset.timers();
        if let Some(spec) = wanted.pairs.get_mut(&self.cast.pairs[pair].name) {
            // The spans that go with a lease change with it, as they do with a preset.
            (spec.timers.lease, spec.timers.renew, spec.timers.fence_budget) = match (begins, longer) {
                (false, _) => (usual.lease, usual.renew, usual.fence_budget),
                // As long as all that an epoch with the usual lease has left.
                (true, true) => (longest_lease(&self.climate), usual.renew, usual.lease),
                // Three requests and a demotion still have room in it, and a restart of an agent.
                (true, false) if usual.lease < Duration::from_secs(1) => {
                    (usual.lease * 9 / 10, usual.renew, usual.fence_budget)
                }
                (true, false) => (usual.lease / 2, usual.renew / 2, usual.fence_budget / 2),
            };
        }
        self.reload(wanted);
    }

    /// What was changed and not changed back is as it was before, if the control server runs and has nothing else to read.
    pub(super) fn reload_as_before(&mut self) {
        self.reload(self.cast.cluster.clone());
    }

    fn reload(&mut self, wanted: Cluster) {
        let used = &self.control.cluster;
        if wanted == *used || self.control.reload.is_some() || !self.control.daemon.runs() {
            return;
        }
        let stays = |name, spec| wanted.pairs.get(name) == Some(spec);
        let changed = used.pairs.iter().filter(|(name, spec)| !stays(*name, *spec));
        let pairs = changed.map(|(name, _)| name.clone()).collect();
        self.control.reloads += 1;
        let number = self.control.reloads;
        self.tell_at(self.climate.control_on, |_| {
            "the control server reads its configuration anew".to_owned()
        });
        self.control.reload = Some(Reload { wanted, number });
        self.control_mail(ControlSaw::ConfigurationComes { pairs, reload: number });
        let life = self.control.daemon.life;
        let span = self.dice.reload.scaled(MS / 2, 500 * MS);
        self.queue.put(self.now + span, Event::Reloads { life });
    }

    /// Its files were read, what runs was looked at, and the store was written, or not.
    pub(super) fn reloads(&mut self, life: u32) -> bool {
        if self.control.daemon.life != life {
            return false;
        }
        let Some(Reload { number, .. }) = &self.control.reload else { return false };
        let is_this = |saw: &ControlSaw| matches!(saw, ControlSaw::ConfigurationComes { reload, .. } if reload == number);
        if self.control.daemon.mail().any(is_this) {
            self.queue.put(self.now + LOOK, Event::Reloads { life });
            return false;
        }
        let (stored, failed) = stores(self.control.disk);
        let wanted = self.control.reload.take().map(|reload| reload.wanted);
        if let Some(wanted) = wanted.filter(|_| stored) {
            self.control.cluster = wanted;
        }
        match failed {
            None => {
                self.sometimes.reloads += 1;
                let configured = self.configured();
                self.control_mail(configured);
            }
            Some(true) => self.control_mail(ControlSaw::ConfigurationStays),
            // Only a start that reads the store first can know which one holds.
            Some(false) => self.control_starts_anew(),
        }
        true
    }

    /// The control server is dead: a reload under way was stored, or was not.
    pub(super) fn reload_dies(&mut self) {
        let whole = matches!(self.control.disk, Disk::Works | Disk::Slow | Disk::StoresUnseen);
        if let Some(Reload { wanted, .. }) = self.control.reload.take()
            && whole
            && self.dice.reload.chance(500)
        {
            self.control.cluster = wanted;
        }
    }
}

/// The longest lease that any pair of these worlds may have.
pub fn longest_lease(climate: &Climate) -> Duration {
    let usual = climate.options.preset.timers().lease;
    if climate.options.reloads || climate.options.holds { usual * 2 } else { usual }
}
