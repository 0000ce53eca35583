//! The bodies of frames: protocol buffers that mirror the model, with the conversion both ways.
//!
//! Knows no bytes of its own; prost writes and reads them. The law: nothing leaves [`Body::read`] that the model
//! would not accept, and field numbers are never used again for something else (see `understudy.proto`).

pub(crate) mod answer;
pub(crate) mod application;
pub(crate) mod assignment;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod conduct;
pub(crate) mod grant;
pub(crate) mod greeting;
pub(crate) mod in_sync;
pub(crate) mod logs;
pub(crate) mod order;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod word;

use crate::error::{EncodeError, MessageError};

/// One body and what it says.
pub(crate) trait Body: prost::Message + Default + Sized {
    /// What it says, in checked words.
    type Said;

    /// Lists whose parts are large once they are read: name, the numbers of the fields that lead there, and how many parts
    /// all of them may have together. They are counted first: a part of two bytes would become one of a thousand.
    const LARGE_LISTS: &'static [(&'static str, &'static [u32], usize)] = &[];

    /// Puts it into fields. Fails if its reader would refuse it.
    fn write(said: &Self::Said) -> Result<Self, EncodeError>;

    /// Checks every field.
    fn read(self) -> Result<Self::Said, MessageError>;
}

/// Says nothing but that it is there.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Nothing {}
