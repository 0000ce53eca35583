//! The promise file: what this agent promised and gave up, durable before it is answered (invariant S3).
//!
//! Refuses to know why something is promised, and threads. The law: nothing new is ever written over the copy that was last
//! acknowledged, but over the other one of the two. So a crash leaves the last acknowledged state or the one being written,
//! and a copy that cannot be read was either never acknowledged or has the state before it beside it. Only at a start is the
//! copy that counts written once more, with the same bytes, so that it is on the disk before it is answered. Both copies of
//! one slot damaged means a damaged disk, and the agent does not start.

mod error;
pub mod layout;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use understudy_decide::agent::DurableRole;
use understudy_model::{AgentId, ControllerEpoch, Epoch, Incarnation, PairName, RoleEpoch};

pub use self::error::{OpenError, StoreError};
use self::layout::{BadHeader, Content, Copy, FORMAT, Header};

/// Slots of a new file: one for the controller epoch, the others for pairs.
const FIRST_SLOTS: usize = 16;

/// Whose file it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The host, as configured.
    pub host: String,
    /// The machine, as the system says; empty if it does not.
    pub machine: String,
}

/// What a file held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promises {
    /// The agent's own identity.
    pub agent: AgentId,
    /// The highest controller epoch obeyed.
    pub controller_epoch: ControllerEpoch,
    /// Which leadership had it; none if that is not known.
    pub obeyed: Option<Incarnation>,
    /// Every pair.
    pub roles: BTreeMap<PairName, DurableRole>,
    /// What was wrong and could be read anyway, as sentences for people.
    pub remarks: Vec<String>,
}

/// One thing to make durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Raise a promise, with the lease of its epoch.
    Promise(PairName, RoleEpoch, Duration),
    /// Raise what is given up.
    Close(PairName, Epoch),
    /// Raise the controller epoch, or say which leadership has it.
    Controller(ControllerEpoch, Option<Incarnation>),
}

/// An open promise file. Calls take as long as the disk takes.
#[derive(Debug)]
pub struct PromiseFile {
    file: File,
    path: PathBuf,
    header: Header,
    slots: Vec<Slot>,
    places: BTreeMap<PairName, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    /// Above every sequence that was ever written to this slot.
    next: u64,
    /// Which copy was last acknowledged.
    good: usize,
    content: Content,
}

impl PromiseFile {
    /// Opens the file, or makes it whole if there is none; `new_identity` is used only then.
    pub fn open(path: &Path, owner: &Owner, new_identity: AgentId) -> Result<(Self, Promises), OpenError> {
        let read = |source| OpenError::Read { path: path.to_owned(), source };
        match File::options().read(true).write(true).open(path) {
            Ok(file) => {
                let flush = |source| OpenError::Flush { path: path.to_owned(), source };
                // Says once what an earlier life did not hear of.
                file.sync_all().map_err(flush)?;
                let (this, promises) = Self::read(path, file, owner)?;
                this.write_again().map_err(flush)?;
                Ok((this, promises))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let create = |source| OpenError::Create { path: path.to_owned(), source };
                make(path, owner, new_identity).map_err(create)?;
                let file = File::options().read(true).write(true).open(path).map_err(read)?;
                Self::read(path, file, owner)
            }
            Err(source) => Err(read(source)),
        }
    }

    fn read(path: &Path, file: File, owner: &Owner) -> Result<(Self, Promises), OpenError> {
        let unreadable = |source| OpenError::Read { path: path.to_owned(), source };
        let found = file.metadata().map_err(unreadable)?.len();
        if found < layout::length(1) {
            return Err(OpenError::Truncated { path: path.to_owned(), found, expected: layout::length(1) });
        }
        let mut remarks = Vec::new();
        let header = read_header(path, &file, &mut remarks)?;
        check_owner(path, &header, owner)?;
        let promised = usize::try_from(header.slots).unwrap_or(usize::MAX);
        let expected = layout::length(promised);
        if found < expected {
            return Err(OpenError::Truncated { path: path.to_owned(), found, expected });
        }
        let mut this =
            Self { file, path: path.to_owned(), header, slots: Vec::new(), places: BTreeMap::new() };
        // More slots than the header says: it was being made longer. What is valid there counts.
        for index in 0..layout::slots_in(found) {
            match this.read_slot(index, &mut remarks).map_err(unreadable)? {
                Some(slot) => this.take_slot(index, slot)?,
                None if index < promised => {
                    return Err(OpenError::DamagedSlot { path: this.path, slot: index });
                }
                None => break,
            }
        }
        let promises = this.promises(remarks);
        Ok((this, promises))
    }

    /// Writes what counts once more where it lies. After a flush that failed, the system shows what was written as if it were on
    /// the disk, and a later flush says nothing of it: what an earlier life wrote must not be answered before it is there. No
    /// other copy is touched, so nothing can be lost by it.
    fn write_again(&self) -> io::Result<()> {
        for (index, slot) in self.slots.iter().enumerate() {
            self.copy_in_place(layout::slot_at(index, slot.good))?;
        }
        self.copy_in_place(layout::header_at(usize::try_from(self.header.sequence % 2).unwrap_or(0)))?;
        self.file.sync_all()
    }

    fn copy_in_place(&self, at: u64) -> io::Result<()> {
        let mut bytes: Copy = [0; layout::COPY_BYTES];
        self.file.read_exact_at(&mut bytes, at)?;
        self.file.write_all_at(&bytes, at)
    }

    fn read_slot(&self, index: usize, remarks: &mut Vec<String>) -> io::Result<Option<Slot>> {
        let copies = [self.read_copy(index, 0)?, self.read_copy(index, 1)?];
        let good = match &copies {
            [Some(first), Some(second)] => usize::from(second.0 > first.0),
            [Some(_), None] => 0,
            [None, Some(_)] => 1,
            [None, None] => return Ok(None),
        };
        if let Some(torn) = copies.iter().position(Option::is_none) {
            remarks.push(format!(
                "copy {torn} of slot {index} of the promise file is not valid, as after a crash while it was \
                 written; what it held was never answered, the other copy counts"
            ));
        }
        let [first, second] = copies;
        // A torn copy may hold a sequence one above its neighbour's; the next is above that.
        Ok(if good == 0 { first } else { second }.map(|(sequence, content)| Slot {
            next: sequence.saturating_add(2),
            good,
            content,
        }))
    }

    fn read_copy(&self, index: usize, copy: usize) -> io::Result<Option<(u64, Content)>> {
        let mut bytes: Copy = [0; layout::COPY_BYTES];
        self.file.read_exact_at(&mut bytes, layout::slot_at(index, copy))?;
        Ok(layout::read_slot(self.header.agent, index, &bytes))
    }

    fn take_slot(&mut self, index: usize, slot: Slot) -> Result<(), OpenError> {
        if let Content::Pair(pair, _) = &slot.content
            && self.places.insert(pair.clone(), index).is_some()
        {
            return Err(OpenError::Twice { path: self.path.clone(), pair: pair.to_string() });
        }
        self.slots.push(slot);
        Ok(())
    }

    fn promises(&self, remarks: Vec<String>) -> Promises {
        let roles = self.slots.iter().filter_map(|slot| match &slot.content {
            Content::Pair(pair, role) => Some((pair.clone(), role.clone())),
            Content::Free | Content::Controller(..) => None,
        });
        let epoch = self.slots.iter().find_map(|slot| match slot.content {
            Content::Controller(epoch, obeyed) => Some((epoch, obeyed)),
            Content::Free | Content::Pair(..) => None,
        });
        let (controller_epoch, obeyed) = epoch.unwrap_or_default();
        Promises { agent: self.header.agent, controller_epoch, obeyed, roles: roles.collect(), remarks }
    }

    /// Makes all changes durable, with one flush. After an error of the disk some of them may be durable, each whole.
    pub fn store(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut written: BTreeMap<usize, Content> = BTreeMap::new();
        for change in changes {
            let index = self.place_of(change, &mut written)?;
            let content = written.get(&index).unwrap_or(&self.slots[index].content);
            let content = raise(content, change)?;
            written.insert(index, content);
        }
        let failed = |source| StoreError::Write { path: self.path.clone(), source };
        for (&index, content) in &written {
            let slot = &mut self.slots[index];
            let sequence = slot.next;
            slot.next += 1;
            let copy = layout::write_slot(self.header.agent, index, sequence, content);
            self.file.write_all_at(&copy, layout::slot_at(index, 1 - slot.good)).map_err(failed)?;
        }
        self.file.sync_data().map_err(failed)?;
        for (index, content) in written {
            let slot = &mut self.slots[index];
            slot.good = 1 - slot.good;
            if let Content::Pair(pair, _) = &content {
                self.places.insert(pair.clone(), index);
            }
            slot.content = content;
        }
        Ok(())
    }

    /// The slot that a change goes to; a pair without one is given a free one.
    fn place_of(
        &mut self,
        change: &Change,
        taken: &mut BTreeMap<usize, Content>,
    ) -> Result<usize, StoreError> {
        let pair = match change {
            Change::Controller(..) => return Ok(0),
            Change::Promise(pair, ..) | Change::Close(pair, _) => pair,
        };
        let is_it = |content: &Content| matches!(content, Content::Pair(held, _) if held == pair);
        if let Some(&index) = self.places.get(pair) {
            return Ok(index);
        }
        if let Some((&index, _)) = taken.iter().find(|(_, content)| is_it(content)) {
            return Ok(index);
        }
        let free = |index: &usize| self.slots[*index].content == Content::Free && !taken.contains_key(index);
        let index = match (1..self.slots.len()).find(free) {
            Some(index) => index,
            None => self.grow()?,
        };
        taken.insert(index, Content::Pair(pair.clone(), DurableRole::default()));
        Ok(index)
    }

    /// Doubles the file; the index of the first new slot. What is durable stays as it was whatever fails.
    fn grow(&mut self) -> Result<usize, StoreError> {
        let old = self.slots.len();
        let failed = |source| StoreError::Grow { path: self.path.clone(), source };
        let new = old * 2;
        write_free_slots(&self.file, self.header.agent, old..new).map_err(failed)?;
        self.file.sync_all().map_err(failed)?;
        let slots = u32::try_from(new).unwrap_or(u32::MAX);
        // One after the other, so that one of them is whole at every moment.
        for _ in 0..2 {
            self.header.sequence += 1;
            self.header.slots = slots;
            let copy = usize::try_from(self.header.sequence % 2).unwrap_or(0);
            self.file.write_all_at(&self.header.write(), layout::header_at(copy)).map_err(failed)?;
            self.file.sync_all().map_err(failed)?;
        }
        self.slots.resize(new, Slot { next: 1, good: 0, content: Content::Free });
        Ok(old)
    }
}

/// The content after a change, which must not lower anything.
fn raise(content: &Content, change: &Change) -> Result<Content, StoreError> {
    let lowered = |what: String, known: String, asked: String| StoreError::Lowered { what, known, asked };
    match (content, change) {
        (Content::Controller(known, _), Change::Controller(asked, _)) if asked < known => {
            Err(lowered("the controller epoch".to_owned(), known.to_string(), asked.to_string()))
        }
        (_, Change::Controller(asked, incarnation)) => Ok(Content::Controller(*asked, *incarnation)),
        (content, Change::Promise(pair, asked, lease)) => {
            let role = role_of(content);
            if let Some(known) = &role.promised
                && known != asked
                && asked.epoch <= known.epoch
            {
                return Err(lowered(
                    format!("the promise of pair {pair}"),
                    known.to_string(),
                    asked.to_string(),
                ));
            }
            Ok(Content::Pair(
                pair.clone(),
                DurableRole { promised: Some(asked.clone()), lease: *lease, ..role },
            ))
        }
        (content, Change::Close(pair, asked)) => {
            let role = role_of(content);
            let closed = role.closed.max(*asked);
            Ok(Content::Pair(pair.clone(), DurableRole { closed, ..role }))
        }
    }
}

fn role_of(content: &Content) -> DurableRole {
    match content {
        Content::Pair(_, role) => role.clone(),
        Content::Free | Content::Controller(..) => DurableRole::default(),
    }
}

fn read_header(path: &Path, file: &File, remarks: &mut Vec<String>) -> Result<Header, OpenError> {
    let mut valid = Vec::new();
    let mut faults = Vec::new();
    for copy in 0..2 {
        let mut bytes: Copy = [0; layout::COPY_BYTES];
        file.read_exact_at(&mut bytes, layout::header_at(copy))
            .map_err(|source| OpenError::Read { path: path.to_owned(), source })?;
        match Header::read(&bytes) {
            Ok(header) => valid.push(header),
            Err(fault) => faults.push(fault),
        }
    }
    let path = path.to_owned();
    // A whole header of another format is not a torn one.
    if let Some(BadHeader::Format(found)) = faults.iter().find(|fault| matches!(fault, BadHeader::Format(_)))
    {
        return Err(OpenError::WrongFormat { path, found: *found, known: FORMAT });
    }
    match valid.into_iter().max_by_key(|header| header.sequence) {
        Some(header) => {
            if !faults.is_empty() {
                remarks.push("one header of the promise file is not valid; the other one counts".to_owned());
            }
            Ok(header)
        }
        None if faults.iter().all(|fault| *fault == BadHeader::Magic) => Err(OpenError::WrongMagic { path }),
        None => Err(OpenError::DamagedHeader { path }),
    }
}

fn check_owner(path: &Path, header: &Header, owner: &Owner) -> Result<(), OpenError> {
    if header.host != owner.host {
        let (found, configured) = (header.host.clone(), owner.host.clone());
        return Err(OpenError::OtherHost { path: path.to_owned(), found, configured });
    }
    if header.machine != owner.machine {
        let (found, here) = (header.machine.clone(), owner.machine.clone());
        return Err(OpenError::OtherMachine { path: path.to_owned(), found, here });
    }
    Ok(())
}

/// Writes every block in full, so that a later write changes data only and its flush needs no journal.
fn write_free_slots(file: &File, agent: AgentId, slots: std::ops::Range<usize>) -> io::Result<()> {
    for index in slots {
        let mut block = vec![0; usize::try_from(layout::BLOCK_BYTES).unwrap_or(4096)];
        block[..layout::COPY_BYTES].copy_from_slice(&layout::write_slot(agent, index, 0, &Content::Free));
        for copy in 0..2 {
            file.write_all_at(&block, layout::slot_at(index, copy))?;
        }
    }
    Ok(())
}

/// Makes a whole file under another name first, so that the right name never names half of one.
fn make(path: &Path, owner: &Owner, agent: AgentId) -> io::Result<()> {
    let making = path.with_extension("making");
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&making)?;
    let slots = u32::try_from(FIRST_SLOTS).unwrap_or(u32::MAX);
    for copy in 0..2_u64 {
        let header =
            Header { sequence: copy, slots, agent, host: owner.host.clone(), machine: owner.machine.clone() };
        let copy = usize::try_from(copy).unwrap_or(0);
        file.write_all_at(&header.write(), layout::header_at(copy))?;
    }
    write_free_slots(&file, agent, 0..FIRST_SLOTS)?;
    file.sync_all()?;
    std::fs::rename(&making, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
