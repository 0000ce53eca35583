//! The envelope: twelve bytes of header, then one body. Sans-IO: bytes in, frames out.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 2 | magic, `US` |
//! | 2 | 1 | frame version, 1 |
//! | 3 | 1 | kind: who speaks to whom |
//! | 4 | 4 | length of the body in bytes, little endian |
//! | 8 | 4 | CRC-32C of bytes 3 to 7 and the body, little endian |
//! | 12 | | body |
//!
//! Knows nothing of what a body says. The law: every header byte is judged as soon as it is there, so that a stranger
//! who speaks another protocol is refused at once and no length is believed before it is checked.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest frame, header included, in bytes.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// The length of a frame's header, in bytes.
pub const HEADER_BYTES: usize = 12;

/// The first two bytes of every frame.
pub const MAGIC: [u8; 2] = *b"US";

/// The layout of the header that this build reads and writes. Bodies have versions of their own.
pub const FRAME_VERSION: u8 = 1;

/// Who speaks to whom; a frame of another conversation is refused before its body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A control server to an agent.
    ToAgent,
    /// An agent to a control server.
    FromAgent,
    /// An application to its agent.
    FromApplication,
    /// An agent to one of its applications.
    ToApplication,
    /// Either end of a link to the other, about the link itself (`docs/protocols/addp.md`); from protocol version 2 on.
    Link,
    /// An agent to the agent of another host; from protocol version 3 on.
    Peer,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: &'static [Kind] =
        &[Kind::ToAgent, Kind::FromAgent, Kind::FromApplication, Kind::ToApplication, Kind::Link, Kind::Peer];

    /// The number in the header.
    pub fn number(self) -> u8 {
        match self {
            Kind::ToAgent => 1,
            Kind::FromAgent => 2,
            Kind::FromApplication => 3,
            Kind::ToApplication => 4,
            Kind::Link => 5,
            Kind::Peer => 6,
        }
    }

    /// The kind with that number, if any.
    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.number() == number)
    }
}

/// One whole frame whose checksum was right. Its body may still say nonsense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Who speaks to whom.
    pub kind: Kind,
    /// What is said, not yet understood.
    pub body: Bytes,
}

/// Why bytes are not a frame, or why a body does not fit in one. After one of these on reading, the position of the
/// next frame is not known, and the link is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first two bytes are not those of a frame.
    #[error("a frame starts with {MAGIC:02x?}, this starts with {found:02x?}")]
    BadMagic {
        /// As much of the magic as was there, one or two bytes.
        found: Vec<u8>,
    },
    /// A header layout of another build.
    #[error("frame version {found} is not known, only {FRAME_VERSION} is")]
    UnknownFrameVersion {
        /// The version byte.
        found: u8,
    },
    /// A conversation that this build does not have.
    #[error("frame kind {found} is not known, 1 to {known} are", known = Kind::ALL.len())]
    UnknownKind {
        /// The kind byte.
        found: u8,
    },
    /// Longer than allowed.
    #[error("a frame of {bytes} bytes, at most {limit} are allowed")]
    Oversized {
        /// Its length, header included.
        bytes: u64,
        /// The longest allowed, header included.
        limit: usize,
    },
    /// Something was changed on the way.
    #[error("the frame's checksum is {found:08x}, its bytes give {expected:08x}")]
    BadChecksum {
        /// What the header says.
        found: u32,
        /// What the bytes give.
        expected: u32,
    },
}

impl FrameError {
    /// One word for counters and logs.
    pub fn word(&self) -> &'static str {
        match self {
            FrameError::BadMagic { .. } => "bad-magic",
            FrameError::UnknownFrameVersion { .. } => "unknown-frame-version",
            FrameError::UnknownKind { .. } => "unknown-kind",
            FrameError::Oversized { .. } => "oversized",
            FrameError::BadChecksum { .. } => "bad-checksum",
        }
    }
}

/// Appends one frame to `out`. On an error `out` is as it was.
pub fn encode(kind: Kind, body: &[u8], out: &mut BytesMut) -> Result<(), FrameError> {
    encode_with(kind, body.len(), out, |out| out.put_slice(body))
}

/// Appends one frame whose body `write` appends itself, so that nothing is copied twice. `write` must append exactly
/// `body_bytes` bytes.
pub(crate) fn encode_with(
    kind: Kind,
    body_bytes: usize,
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut),
) -> Result<(), FrameError> {
    let bytes = (HEADER_BYTES as u64).saturating_add(body_bytes as u64);
    let oversized = FrameError::Oversized { bytes, limit: MAX_FRAME_BYTES };
    if bytes > MAX_FRAME_BYTES as u64 {
        return Err(oversized);
    }
    let Ok(length) = u32::try_from(body_bytes) else { return Err(oversized) };
    out.reserve(HEADER_BYTES + body_bytes);
    let start = out.len();
    out.put_slice(&MAGIC);
    out.put_u8(FRAME_VERSION);
    out.put_u8(kind.number());
    out.put_u32_le(length);
    out.put_u32_le(0);
    write(out);
    debug_assert_eq!(out.len() - start, HEADER_BYTES + body_bytes, "a body has the length it announced");
    let checksum = checksum(&out[start + 3..start + 8], &out[start + HEADER_BYTES..]);
    out[start + 8..start + HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// Takes the first frame of at most [`MAX_FRAME_BYTES`] off `bytes`; see [`decode_within`].
pub fn decode(bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    decode_within(bytes, MAX_FRAME_BYTES)
}

/// Takes the first frame off `bytes`, header included at most `limit` bytes long.
///
/// `None` means that more bytes are needed; room for the announced frame is then reserved, which is at most `limit`.
/// On an error nothing is taken.
pub fn decode_within(bytes: &mut BytesMut, limit: usize) -> Result<Option<Frame>, FrameError> {
    let limit = limit.min(MAX_FRAME_BYTES);
    let Some((kind, length)) = check_header(bytes, limit)? else { return Ok(None) };
    let whole = HEADER_BYTES + length;
    if bytes.len() < whole {
        bytes.reserve(whole - bytes.len());
        return Ok(None);
    }
    let found = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    let expected = checksum(&bytes[3..8], &bytes[HEADER_BYTES..whole]);
    if found != expected {
        return Err(FrameError::BadChecksum { found, expected });
    }
    bytes.advance(HEADER_BYTES);
    Ok(Some(Frame { kind, body: bytes.split_to(length).freeze() }))
}

/// Judges every header byte that is there; gives kind and body length once the header is whole.
fn check_header(bytes: &[u8], limit: usize) -> Result<Option<(Kind, usize)>, FrameError> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if start != &MAGIC[..start.len()] {
        return Err(FrameError::BadMagic { found: start.to_vec() });
    }
    match bytes.get(2) {
        None | Some(&FRAME_VERSION) => {}
        Some(&found) => return Err(FrameError::UnknownFrameVersion { found }),
    }
    let Some(&number) = bytes.get(3) else { return Ok(None) };
    let Some(kind) = Kind::from_number(number) else { return Err(FrameError::UnknownKind { found: number }) };
    let Some(&[a, b, c, d]) = bytes.get(4..8) else { return Ok(None) };
    let length = u32::from_le_bytes([a, b, c, d]);
    let whole = HEADER_BYTES as u64 + u64::from(length);
    if whole > limit as u64 {
        return Err(FrameError::Oversized { bytes: whole, limit });
    }
    Ok((bytes.len() >= HEADER_BYTES).then_some((kind, length as usize)))
}

fn checksum(kind_and_length: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(kind_and_length), body)
}
