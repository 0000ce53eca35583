//! The receiving end of a link: bytes to messages, or the reason why not.
//!
//! Knows nothing of what a message means. The law: the first thing that cannot be understood ends the link, since what
//! follows it cannot be trusted; and no more room is taken than one frame needs.

use std::io;
use std::marker::PhantomData;
use std::sync::Weak;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use understudy_wire::{Frame, FrameError, MAX_FRAME_BYTES, Message, MessageError, frame};

use crate::send::Outbox;
use crate::stream::ReadHalf;

/// Room that is made for each read, in bytes.
const READ_BYTES: usize = 8 * 1024;

/// Receives messages of one kind.
#[derive(Debug)]
pub struct Receiver<In> {
    half: ReadHalf,
    bytes: BytesMut,
    ended: bool,
    outbox: Weak<Outbox>,
    hears: PhantomData<fn() -> In>,
}

/// Why a link ended otherwise than by its peer's will. Nothing of the message at fault was acted upon.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The bytes are not a frame.
    #[error("the peer sent a bad frame")]
    Frame(#[from] FrameError),
    /// The frame is not a message of this conversation.
    #[error("the peer sent a bad message")]
    Message(#[from] MessageError),
    /// The stream ended within a frame.
    #[error("the stream ended after {bytes} bytes of an unfinished frame")]
    Truncated {
        /// How much of the frame was there.
        bytes: usize,
    },
    /// A stranger said nothing whole in time.
    #[error("no whole first message came within {limit:?}")]
    FirstMessageLate {
        /// How long it had.
        limit: Duration,
    },
    /// A stranger had to make room for a later one before it had said anything.
    #[error("more strangers came than are heard at a time, and it had said nothing for longest")]
    Crowded,
    /// A stranger left before its first message.
    #[error("the stranger left without a word")]
    LeftSilently,
    /// The system ended the stream.
    #[error("the stream was lost")]
    Lost(#[source] io::Error),
}

impl ReceiveError {
    /// One word for counters and logs.
    pub fn word(&self) -> &'static str {
        match self {
            ReceiveError::Frame(error) => error.word(),
            ReceiveError::Message(error) => error.word(),
            ReceiveError::Truncated { .. } => "truncated",
            ReceiveError::FirstMessageLate { .. } => "first-message-late",
            ReceiveError::Crowded => "crowded",
            ReceiveError::LeftSilently => "left-silently",
            ReceiveError::Lost(_) => "lost",
        }
    }

    /// Whether the peer said something that it should not have, rather than just being gone.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, ReceiveError::LeftSilently | ReceiveError::Lost(_))
    }
}

impl<In: Message> Receiver<In> {
    pub(crate) fn new(half: ReadHalf, outbox: Weak<Outbox>) -> Self {
        Self { half, bytes: BytesMut::new(), ended: false, outbox, hears: PhantomData }
    }

    /// The next message; `None` once the peer has closed the link between two frames, or after an error.
    ///
    /// May be dropped while it waits: nothing is lost, and the next call goes on. When the link ends, the [`crate::Sender`]
    /// of the same link is closed too.
    pub async fn next(&mut self) -> Result<Option<In>, ReceiveError> {
        self.next_of_at_most(MAX_FRAME_BYTES).await
    }

    /// The same, with a smaller bound on the length of the frame, header included.
    pub(crate) async fn next_of_at_most(&mut self, limit: usize) -> Result<Option<In>, ReceiveError> {
        if self.ended {
            return Ok(None);
        }
        let heard = match self.read_frame(limit).await {
            Ok(Some(frame)) => In::from_frame(&frame).map(Some).map_err(ReceiveError::from),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        if !matches!(heard, Ok(Some(_))) {
            self.end();
        }
        heard
    }

    async fn read_frame(&mut self, limit: usize) -> Result<Option<Frame>, ReceiveError> {
        loop {
            if let Some(frame) = frame::decode_within(&mut self.bytes, limit)? {
                return Ok(Some(frame));
            }
            self.bytes.reserve(READ_BYTES);
            let count = self.half.read_buf(&mut self.bytes).await.map_err(ReceiveError::Lost)?;
            match (count, self.bytes.len()) {
                (0, 0) => return Ok(None),
                (0, bytes) => return Err(ReceiveError::Truncated { bytes }),
                _ => {}
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.bytes = BytesMut::new();
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.close();
        }
    }
}
