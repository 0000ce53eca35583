//! The agent's socket: the one place that knows its kind. An `Ear` reads, a `Mouth` writes.
//!
//! Knows no roles. The law: reading waits for ever, writing never longer than [`LONGEST_SAYING`], and no more than
//! [`LONGEST_HEARD_BYTES`] is ever waited for.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bytes::BytesMut;
use understudy_model::{FromApplication, ToApplication};
use understudy_wire::{ApplicationHears, ApplicationSays, FrameError, Message, MessageError, SPOKEN, frame};

use crate::LONGEST_SAYING;

/// The longest frame that an agent has any reason to send, header included.
const LONGEST_HEARD_BYTES: usize = 16 * 1024;
/// Read at once; an order is far shorter.
const READ_BYTES: usize = 4096;

/// Why nothing more can be heard on this connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HearError {
    #[error("the agent closed the connection")]
    Closed,
    #[error("reading from the agent failed: {0}")]
    Read(#[source] io::Error),
    #[error("the agent sent something that is no frame: {0}")]
    Frame(#[from] FrameError),
    #[error("the agent sent a frame that cannot be understood: {0}")]
    Message(#[from] MessageError),
    #[error("the agent chose protocol version {0}; {SPOKEN} is spoken here")]
    Version(u16),
}

/// Opens the agent's socket.
pub(crate) fn open(path: &Path) -> io::Result<(Ear, Mouth)> {
    let stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(LONGEST_SAYING))?;
    let mouth = Mouth { stream: stream.try_clone()?, frame: BytesMut::new() };
    Ok((Ear { stream, bytes: BytesMut::new() }, mouth))
}

/// The reading half.
pub(crate) struct Ear {
    stream: UnixStream,
    bytes: BytesMut,
}

impl Ear {
    /// Waits for the agent's next message.
    /// With the version that the agent chose, if it is the first.
    pub(crate) fn hear(&mut self) -> Result<(ToApplication, Option<u16>), HearError> {
        loop {
            if let Some(frame) = frame::decode_within(&mut self.bytes, LONGEST_HEARD_BYTES)? {
                let heard = ApplicationHears::from_frame(&frame)?;
                return match heard.version() {
                    Some(version) if !(SPOKEN.min..=SPOKEN.max).contains(&version) => {
                        Err(HearError::Version(version))
                    }
                    version => Ok((heard.into_said(), version)),
                };
            }
            let mut piece = [0; READ_BYTES];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(HearError::Closed),
                Ok(count) => self.bytes.extend_from_slice(&piece[..count]),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(HearError::Read(why)),
            }
        }
    }
}

/// The writing half.
#[derive(Debug)]
pub(crate) struct Mouth {
    stream: UnixStream,
    frame: BytesMut,
}

impl Mouth {
    /// Says it, or answers `false`: then the connection is of no more use.
    pub(crate) fn say(&mut self, message: &FromApplication) -> bool {
        self.frame.clear();
        let message = ApplicationSays::from(message.clone());
        message.to_frame(&mut self.frame).is_ok() && self.stream.write_all(&self.frame).is_ok()
    }

    /// Closes the connection for both halves; the reading one wakes.
    pub(crate) fn hang_up(&self) {
        // It fails only on a connection that is closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
