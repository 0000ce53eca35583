//! The bytes of the promise file: two header copies, then two copies of every slot, each in a block of its own.
//!
//! Refuses to know files and what a promise is for. The law: a copy is read only if its checksum, its place and its
//! agent are right; everything else is "not valid", never a guess.
//!
//! A block is 4096 bytes, of which a copy uses the first 512: a torn write of one block can never hurt another copy.

use std::time::Duration;

use understudy_decide::agent::DurableRole;
use understudy_model::{AgentId, ApplicationName, ControllerEpoch, Epoch, Incarnation, PairName, RoleEpoch};

/// One block: what a disk or a file system may tear at once.
pub const BLOCK_BYTES: u64 = 4096;
/// One copy, at the beginning of its block.
pub const COPY_BYTES: usize = 512;
/// The version of this layout.
pub const FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"ustpromi";
const CRC_AT: usize = COPY_BYTES - 4;

/// One copy as bytes.
pub type Copy = [u8; COPY_BYTES];

/// Where a header copy (`copy` 0 or 1) begins.
pub fn header_at(copy: usize) -> u64 {
    copy as u64 * BLOCK_BYTES
}

/// Where a copy of a slot begins.
pub fn slot_at(slot: usize, copy: usize) -> u64 {
    (2 + 2 * slot as u64 + copy as u64) * BLOCK_BYTES
}

/// Length of a file with that many slots.
pub fn length(slots: usize) -> u64 {
    slot_at(slots, 0)
}

/// Whole slots in a file of that length.
pub fn slots_in(length: u64) -> usize {
    usize::try_from((length / BLOCK_BYTES).saturating_sub(2) / 2).unwrap_or(usize::MAX)
}

/// What the file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Higher counts.
    pub sequence: u64,
    /// How many slots there are at least.
    pub slots: u32,
    /// Whose promises these are.
    pub agent: AgentId,
    /// On which host, as configured.
    pub host: String,
    /// On which machine, as the system says; empty if it does not.
    pub machine: String,
}

/// Why a header copy does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadHeader {
    /// Another kind of file.
    Magic,
    /// Written by another version.
    Format(u32),
    /// Torn or damaged.
    Checksum,
}

/// What one slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing yet.
    Free,
    /// The highest controller epoch obeyed, and which leadership had it.
    Controller(ControllerEpoch, Option<Incarnation>),
    /// The durable side of one pair.
    Pair(PairName, DurableRole),
}

/// Writes plain values one after the other into a copy.
struct Pen {
    bytes: Copy,
    at: usize,
}

impl Pen {
    fn new() -> Self {
        Self { bytes: [0; COPY_BYTES], at: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// A text of at most 63 bytes, always 64 bytes wide; longer ones are cut, which only a machine id could be.
    fn put_text(&mut self, text: &str) {
        let used = text.len().min(63);
        self.put(&[u8::try_from(used).unwrap_or(63)]);
        self.put(&text.as_bytes()[..used]);
        self.at += 63 - used;
    }

    fn finish(mut self) -> Copy {
        let sum = crc32c::crc32c(&self.bytes[..CRC_AT]);
        self.bytes[CRC_AT..].copy_from_slice(&sum.to_le_bytes());
        self.bytes
    }
}

/// Reads what a [`Pen`] wrote.
struct Eye<'a> {
    bytes: &'a Copy,
    at: usize,
}

impl Eye<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(taken)
    }

    fn text(&mut self) -> Option<String> {
        let [used] = self.take()?;
        let all: [u8; 63] = self.take()?;
        String::from_utf8(all.get(..usize::from(used))?.to_vec()).ok()
    }

    fn epoch(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

fn checksum_holds(bytes: &Copy) -> bool {
    let [a, b, c, d] = [bytes[CRC_AT], bytes[CRC_AT + 1], bytes[CRC_AT + 2], bytes[CRC_AT + 3]];
    crc32c::crc32c(&bytes[..CRC_AT]) == u32::from_le_bytes([a, b, c, d])
}

impl Header {
    /// As bytes.
    pub fn write(&self) -> Copy {
        let mut pen = Pen::new();
        pen.put(&MAGIC);
        pen.put(&FORMAT.to_le_bytes());
        pen.put(&self.sequence.to_le_bytes());
        pen.put(&self.slots.to_le_bytes());
        pen.put(&self.agent.0.to_le_bytes());
        pen.put_text(&self.host);
        pen.put_text(&self.machine);
        pen.finish()
    }

    /// From bytes. The format is told also if the rest cannot be read: that is what a person must know.
    pub fn read(bytes: &Copy) -> Result<Self, BadHeader> {
        let mut eye = Eye { bytes, at: 0 };
        if eye.take() != Some(MAGIC) {
            return Err(BadHeader::Magic);
        }
        let format = eye.take().map_or(0, u32::from_le_bytes);
        if !checksum_holds(bytes) {
            return Err(BadHeader::Checksum);
        }
        if format != FORMAT {
            return Err(BadHeader::Format(format));
        }
        let mut read = || {
            Some(Self {
                sequence: eye.epoch()?,
                slots: eye.take().map(u32::from_le_bytes)?,
                agent: AgentId(eye.take().map(u128::from_le_bytes)?),
                host: eye.text()?,
                machine: eye.text()?,
            })
        };
        read().ok_or(BadHeader::Checksum)
    }
}

/// One copy of a slot as bytes.
pub fn write_slot(agent: AgentId, slot: usize, sequence: u64, content: &Content) -> Copy {
    let mut pen = Pen::new();
    pen.put(&[match content {
        Content::Free => 0,
        Content::Controller(..) => 1,
        Content::Pair(..) => 2,
    }]);
    pen.put(&agent.0.to_le_bytes());
    pen.put(&(slot as u64).to_le_bytes());
    pen.put(&sequence.to_le_bytes());
    match content {
        Content::Free => {}
        Content::Controller(epoch, incarnation) => {
            pen.put(&epoch.0.to_le_bytes());
            // Zeros where an earlier version wrote nothing: not known.
            pen.put(&incarnation.map_or(0, |one| one.0).to_le_bytes());
        }
        Content::Pair(pair, role) => {
            pen.put_text(pair.as_str());
            pen.put(&role.closed.0.to_le_bytes());
            pen.put(&[u8::from(role.promised.is_some())]);
            if let Some(promised) = &role.promised {
                pen.put(&promised.epoch.0.to_le_bytes());
                pen.put_text(promised.holder.as_str());
                // Zeros where an earlier version wrote nothing: no lease.
                let lease_ns = u64::try_from(role.lease.as_nanos()).unwrap_or(u64::MAX);
                pen.put(&lease_ns.to_le_bytes());
            }
        }
    }
    pen.finish()
}

/// One copy of a slot from bytes: its sequence and content, if it is valid.
pub fn read_slot(agent: AgentId, slot: usize, bytes: &Copy) -> Option<(u64, Content)> {
    if !checksum_holds(bytes) {
        return None;
    }
    let mut eye = Eye { bytes, at: 0 };
    let [kind] = eye.take()?;
    if AgentId(eye.take().map(u128::from_le_bytes)?) != agent || eye.epoch()? != slot as u64 {
        return None;
    }
    let sequence = eye.epoch()?;
    let content = match kind {
        0 => Content::Free,
        1 => {
            let epoch = ControllerEpoch(eye.epoch()?);
            let incarnation = Incarnation(u128::from_le_bytes(eye.take()?));
            Content::Controller(epoch, Some(incarnation).filter(|one| one.0 != 0))
        }
        2 => {
            let pair = PairName::new(&eye.text()?).ok()?;
            let closed = Epoch(eye.epoch()?);
            let (promised, lease) = match eye.take()? {
                [0] => (None, Duration::ZERO),
                [1] => {
                    let epoch = Epoch(eye.epoch()?);
                    let holder = ApplicationName::new(&eye.text()?).ok()?;
                    (
                        Some(RoleEpoch::new(epoch, holder)),
                        Duration::from_nanos(u64::from_le_bytes(eye.take()?)),
                    )
                }
                _ => return None,
            };
            Content::Pair(pair, DurableRole { promised, lease, closed })
        }
        _ => return None,
    };
    Some((sequence, content))
}
