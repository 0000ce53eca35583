//! The checks that every body uses: presence, names, identities, bounds.
//!
//! Knows no single message. The law: the same bound holds for the writer and for the reader.

use std::str::FromStr;
use std::time::Duration;

use understudy_model::{Epoch, NameError};

use super::Body;
use crate::application::LONGEST_TEXT_BYTES;
use crate::error::{EncodeError, MessageError};

/// The part that must be there.
pub(super) fn required<T>(part: Option<T>, field: &'static str) -> Result<T, MessageError> {
    part.ok_or(MessageError::Missing { field })
}

/// Reads a part that must be there.
pub(super) fn read_required<B: Body>(part: Option<B>, field: &'static str) -> Result<B::Said, MessageError> {
    required(part, field)?.read()
}

/// Reads a part that may be absent.
pub(super) fn read_optional<B: Body>(part: Option<B>) -> Result<Option<B::Said>, MessageError> {
    part.map(B::read).transpose()
}

/// Writes a part that may be absent.
pub(super) fn write_optional<B: Body>(said: &Option<B::Said>) -> Result<Option<B>, EncodeError> {
    said.as_ref().map(B::write).transpose()
}

/// A name of any kind.
pub(super) fn name<N: FromStr<Err = NameError>>(text: &str, field: &'static str) -> Result<N, MessageError> {
    text.parse().map_err(|source| MessageError::BadName { field, source })
}

/// An identity as its sixteen bytes, most significant first.
pub(super) fn write_identity(identity: u128) -> Vec<u8> {
    identity.to_be_bytes().to_vec()
}

/// An identity from its sixteen bytes; an empty field is a missing one.
pub(super) fn read_identity(bytes: &[u8], field: &'static str) -> Result<u128, MessageError> {
    if bytes.is_empty() {
        return Err(MessageError::Missing { field });
    }
    let sixteen = bytes.try_into().map_err(|_| MessageError::BadIdentity { field, bytes: bytes.len() })?;
    Ok(u128::from_be_bytes(sixteen))
}

/// A text for people, cut at a whole character so that its reader accepts it: a long complaint must not cost the
/// answer that carries it.
pub(super) fn cut_text(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_TEXT_BYTES)].to_owned()
}

/// A text for people.
pub(super) fn text(text: String, field: &'static str) -> Result<String, MessageError> {
    let bytes = text.len();
    if bytes > LONGEST_TEXT_BYTES {
        return Err(MessageError::TooLong { field, bytes, limit: LONGEST_TEXT_BYTES });
    }
    Ok(text)
}

/// Nanoseconds; a span of more than 584 years is written as that.
pub(super) fn write_span(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The highest epoch that is read: the next ones above it have room, here and in a store of signed numbers.
pub(super) const HIGHEST_EPOCH: u64 = (1 << 62) - 1;

/// An epoch, which counts promotions: one that is out of all bounds was not counted, and nothing could follow it.
pub(super) fn epoch(number: u64, field: &'static str) -> Result<Epoch, MessageError> {
    if number > HIGHEST_EPOCH {
        return Err(MessageError::OutOfRange { field, found: number, least: 0, most: HIGHEST_EPOCH });
    }
    Ok(Epoch(number))
}

/// A number of sixteen bits that is at least 1: a port, a version.
pub(super) fn small_positive(number: u32, field: &'static str) -> Result<u16, MessageError> {
    match u16::try_from(number) {
        Ok(small) if small > 0 => Ok(small),
        _ => Err(MessageError::OutOfRange { field, found: number.into(), least: 1, most: u16::MAX.into() }),
    }
}

/// Refuses to write a list that its reader would refuse.
pub(super) fn bound_written(count: usize, limit: usize, field: &'static str) -> Result<(), EncodeError> {
    if count > limit { Err(EncodeError::TooMany { field, count, limit }) } else { Ok(()) }
}

/// Refuses to read a list that is too long.
pub(crate) fn bound_read(count: usize, limit: usize, field: &'static str) -> Result<(), MessageError> {
    if count > limit { Err(MessageError::TooMany { field, count, limit }) } else { Ok(()) }
}

/// Writes a list of parts.
pub(super) fn write_list<B: Body>(
    said: &[B::Said],
    limit: usize,
    field: &'static str,
) -> Result<Vec<B>, EncodeError> {
    bound_written(said.len(), limit, field)?;
    said.iter().map(B::write).collect()
}

/// Reads a list of parts.
pub(super) fn read_list<B: Body>(
    parts: Vec<B>,
    limit: usize,
    field: &'static str,
) -> Result<Vec<B::Said>, MessageError> {
    bound_read(parts.len(), limit, field)?;
    parts.into_iter().map(B::read).collect()
}
