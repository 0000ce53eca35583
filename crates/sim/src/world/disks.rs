//! Disks: how long a write takes, and what is there after a crash.
//!
//! Refuses to know what is written. The law (A2): what was answered as stored is there; what was not is there or not.

use understudy_decide::agent::AgentRecord;

use super::World;
use crate::climate::{MS, SECOND};
use crate::fault::Disk;

impl World {
    /// How long one durable write takes.
    pub(super) fn write_span(&mut self, disk: Disk) -> u64 {
        let (least, most) = self.climate.write;
        let dice = &mut self.dice.disk;
        match disk {
            Disk::Works | Disk::Full | Disk::StoresUnseen | Disk::LosesUnseen => dice.between(least, most),
            Disk::Slow => dice.scaled(50 * MS, 4 * SECOND),
        }
    }

    /// An agent's records reach its disk.
    pub(super) fn keep(&mut self, host: usize, records: &[AgentRecord]) {
        let memory = &mut self.agents[host].memory;
        for record in records.iter().cloned() {
            match record {
                AgentRecord::Promise { pair, role, lease } => {
                    let durable = memory.roles.entry(pair).or_default();
                    durable.promised = Some(role);
                    durable.lease = lease;
                }
                AgentRecord::Close { pair, epoch } => {
                    let durable = memory.roles.entry(pair).or_default();
                    durable.closed = durable.closed.max(epoch);
                }
                AgentRecord::ControllerEpoch { epoch, incarnation } => {
                    (memory.controller_epoch, memory.obeyed) = (epoch, incarnation);
                }
                AgentRecord::Assignments(table) => {
                    self.laws.s4.table_stored(self.now, &table);
                    memory.assignments = table;
                }
            }
        }
    }

    /// A crash within a write. Promises are one slot of a file, whole or not; the table is a file of its own, after them.
    pub(super) fn keep_some(&mut self, host: usize, records: &[AgentRecord]) {
        let is_table = |record: &&AgentRecord| matches!(record, AgentRecord::Assignments(_));
        let (table, promises): (Vec<_>, Vec<_>) = records.iter().partition(is_table);
        let stored = self.dice.disk.below(3);
        for record in
            promises.into_iter().filter(|_| stored > 0).chain(table.into_iter().filter(|_| stored > 1))
        {
            self.keep(host, std::slice::from_ref(record));
        }
    }
}
