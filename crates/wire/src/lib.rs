//! From bytes to messages and back: frames, the three conversations, and the versions they are spoken in.
//!
//! This crate refuses to know sockets, clocks, tasks and who is right: it is handed bytes and gives messages or a
//! named error. The law: whatever bytes a stranger sends, nothing here panics, and nothing larger than
//! [`frame::MAX_FRAME_BYTES`] is waited for or allocated. Old and new programs read each other: an unknown field
//! is passed over, an unknown number in a known field is an error that names the field.
//!
//! A frame is read with [`frame::decode`], its message with [`Message::from_frame`].
//! `understudy.proto` beside the sources documents the bodies; a test keeps it equal to them.

pub mod application;
mod body;
pub mod control;
pub mod error;
pub mod frame;
mod message;
pub mod notify;
pub mod peer;
mod version;

pub use application::{ApplicationHears, ApplicationSays};
pub use control::{FromAgent, Hello, LONGEST_LINEAGE, ToAgent};
pub use error::{EncodeError, MessageError};
pub use frame::{Frame, FrameError, Kind, MAX_FRAME_BYTES};
pub use message::Message;
pub use notify::{LONGEST_NOTICE_BYTES, read_notice};
pub use peer::{PeerHello, PeerSaid};
pub use version::{
    CONFIRM_SINCE, IN_SYNC_SINCE, LEAVING_SINCE, LIVENESS_SINCE, LOGS_SINCE, SPOKEN, VOTES_SINCE,
    VersionRange,
};
