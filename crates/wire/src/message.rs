//! The one shape that all messages of all conversations have: to a frame, and from a frame.
//!
//! Knows nothing of any single message. The law: what [`Message::to_frame`] wrote of a value that keeps the model's own
//! rules, [`Message::from_frame`] reads.

use bytes::BytesMut;
use prost::decode_length_delimiter;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};

use crate::body::{Body, check};
use crate::error::{EncodeError, MessageError};
use crate::frame::{self, Frame, Kind};

/// Something that is said on a link.
pub trait Message: Sized + Send + 'static {
    /// The kind of the frames that carry it.
    const KIND: Kind;

    /// Appends the message to `out` as one frame. On an error `out` is as it was.
    fn to_frame(&self, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// Understands a frame. Every field is checked; the error names the first one that is wrong.
    fn from_frame(frame: &Frame) -> Result<Self, MessageError>;
}

pub(crate) fn write_body<B: Body>(kind: Kind, said: &B::Said, out: &mut BytesMut) -> Result<(), EncodeError> {
    let body = B::write(said)?;
    frame::encode_with(kind, body.encoded_len(), out, |out| body.encode_raw(out))?;
    Ok(())
}

pub(crate) fn read_body<B: Body>(
    kind: Kind,
    name: &'static str,
    frame: &Frame,
) -> Result<B::Said, MessageError> {
    if frame.kind != kind {
        return Err(MessageError::WrongKind { expected: kind, found: frame.kind });
    }
    for (field, path, limit) in B::LARGE_LISTS {
        check::bound_read(occurrences(&frame.body, path), *limit, field)?;
    }
    B::decode(frame.body.clone()).map_err(|source| MessageError::Unreadable { message: name, source })?.read()
}

/// How often the field at the end of a path of field numbers occurs in all. Bytes that are no fields end the count: the
/// decoder refuses them.
fn occurrences(mut body: &[u8], path: &[u32]) -> usize {
    let Some((number, rest)) = path.split_first() else { return 1 };
    let mut count = 0;
    while let Ok((found, kind)) = decode_key(&mut body) {
        if found == *number && kind == WireType::LengthDelimited {
            let length = decode_length_delimiter(&mut body).unwrap_or(usize::MAX);
            let Some((part, behind)) = body.split_at_checked(length) else { break };
            count += occurrences(part, rest);
            body = behind;
        } else if skip_field(kind, found, &mut body, DecodeContext::default()).is_err() {
            break;
        }
    }
    count
}
