//! Why a message cannot be written, or a body cannot be read.
//!
//! Knows nothing of frames' positions on a link. The law: an error names the field, in the words of
//! `understudy.proto`, and what was found there.

use understudy_model::NameError;

use crate::frame::{FrameError, Kind};

/// Why a message was not written. Nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The whole is longer than a frame may be.
    #[error("the message does not fit in a frame")]
    Frame(#[from] FrameError),
    /// A list is longer than its reader accepts.
    #[error("{field} has {count} entries, at most {limit} are allowed")]
    TooMany {
        /// Message and field.
        field: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A text is longer than its reader accepts.
    #[error("{field} has {bytes} bytes, at most {limit} are allowed")]
    TooLong {
        /// Message and field.
        field: &'static str,
        /// How many.
        bytes: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// An event that cannot be put into JSON.
    #[error("an event cannot be written as JSON")]
    Event(#[source] serde_json::Error),
}

/// Why a body is not a message. The frame around it was whole, so the next frame could be read; but whoever sent this
/// cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// A frame of another conversation.
    #[error("a frame of kind {found:?}, {expected:?} is spoken here")]
    WrongKind {
        /// What is spoken on this link.
        expected: Kind,
        /// What came.
        found: Kind,
    },
    /// The body is not a protocol buffer of this message.
    #[error("the body is not a {message}")]
    Unreadable {
        /// Which message it should have been.
        message: &'static str,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// A field without which the message says nothing. A choice that only a newer version knows looks like this too.
    #[error("{field} is missing, or of a newer version")]
    Missing {
        /// Message and field.
        field: &'static str,
    },
    /// A number that no value of this field has.
    #[error("{field} has the unknown number {number}")]
    UnknownNumber {
        /// Message and field.
        field: &'static str,
        /// What was found.
        number: i32,
    },
    /// A number outside of its bounds.
    #[error("{field} is {found}, {least} to {most} are allowed")]
    OutOfRange {
        /// Message and field.
        field: &'static str,
        /// What was found.
        found: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// A list longer than allowed.
    #[error("{field} has {count} entries, at most {limit} are allowed")]
    TooMany {
        /// Message and field.
        field: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A text longer than allowed.
    #[error("{field} has {bytes} bytes, at most {limit} are allowed")]
    TooLong {
        /// Message and field.
        field: &'static str,
        /// How many.
        bytes: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A text that is not a name.
    #[error("{field} is not a name")]
    BadName {
        /// Message and field.
        field: &'static str,
        /// Which rule it breaks.
        source: NameError,
    },
    /// An identity of another length.
    #[error("{field} has {bytes} bytes, an identity has 16")]
    BadIdentity {
        /// Message and field.
        field: &'static str,
        /// How many.
        bytes: usize,
    },
    /// An event's text is not JSON.
    #[error("{field} has an event that is not JSON")]
    BadEvent {
        /// Message and field.
        field: &'static str,
        /// What the reader says.
        source: serde_json::Error,
    },
}

impl MessageError {
    /// One word for counters and logs.
    pub fn word(&self) -> &'static str {
        match self {
            MessageError::WrongKind { .. } => "wrong-kind",
            MessageError::Unreadable { .. } => "unreadable",
            MessageError::Missing { .. } => "missing-field",
            MessageError::UnknownNumber { .. } => "unknown-number",
            MessageError::OutOfRange { .. } => "out-of-range",
            MessageError::TooMany { .. } => "too-many",
            MessageError::TooLong { .. } => "too-long",
            MessageError::BadName { .. } => "bad-name",
            MessageError::BadIdentity { .. } => "bad-identity",
            MessageError::BadEvent { .. } => "bad-event",
        }
    }
}
