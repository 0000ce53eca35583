//! The receiving end of a link: bytes to messages, or the reason why not; and whether the peer lives.
//!
//! Knows nothing of what a message means. The law: the first thing that cannot be understood ends the link, since what
//! follows it cannot be trusted; no more room is taken than one frame needs; what has arrived is read before silence is
//! judged; a peer that never stops talking does not keep this thread from others.

use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;
use understudy_addp::{Addp, Outcome, Settings, Signal, SignalError};
use understudy_drive::now;
use understudy_model::{Identity, Moment};
use understudy_wire::{Frame, FrameError, Kind, MAX_FRAME_BYTES, Message, MessageError, frame};

use crate::certificate::Certified;
use crate::connection::Peer;
use crate::pulse::Pulse;
use crate::security::TlsFailure;
use crate::send::Outbox;
use crate::stream::Stream;

/// Most liveness signals that are heard within [`SIGNALS_WITHIN`]. With the shortest timeouts at both ends a link has two
/// hundred; more serve nobody.
const MOST_SIGNALS: u32 = 1_000;
const SIGNALS_WITHIN: Duration = Duration::from_secs(1);

/// Receives messages of one kind.
#[derive(Debug)]
pub struct Receiver<In> {
    stream: Arc<Stream>,
    bytes: BytesMut,
    ended: bool,
    outbox: Weak<Outbox>,
    link: Addp,
    /// The ends agreed on signals.
    signals_allowed: bool,
    /// Signals since this moment.
    signals: (Moment, u32),
    pulse: Pulse,
    peer: Peer,
    certified: Option<Certified>,
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
    /// The frame is of no liveness signal.
    #[error("the peer sent a bad liveness signal")]
    Signal(#[from] SignalError),
    /// The ends have not agreed on liveness signals, or never do on a link of this kind.
    #[error("the peer sent a liveness signal, which was not agreed upon")]
    SignalUnasked,
    /// More signals than any settings of ADDP need.
    #[error("the peer sent more than {MOST_SIGNALS} liveness signals within {} ms", SIGNALS_WITHIN.as_millis())]
    SignalFlood,
    /// TLS failed: a certificate was refused, by this end or by the peer.
    #[error(transparent)]
    Tls(#[from] TlsFailure),
    /// ADDP: two timeouts of silence. The peer, or the way to it, is gone.
    #[error("nothing was heard for {} ms, and a poll was not answered (addp-timeout {} ms)", silence.as_millis(), timeout.as_millis())]
    Silent {
        /// How long.
        silence: Duration,
        /// This end's timeout.
        timeout: Duration,
    },
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
            ReceiveError::Signal(_) => "bad-signal",
            ReceiveError::SignalUnasked => "unasked-signal",
            ReceiveError::SignalFlood => "signal-flood",
            ReceiveError::Tls(failure) => failure.word,
            ReceiveError::Silent { .. } => "silent",
            ReceiveError::Truncated { .. } => "truncated",
            ReceiveError::FirstMessageLate { .. } => "first-message-late",
            ReceiveError::Crowded => "crowded",
            ReceiveError::LeftSilently => "left-silently",
            ReceiveError::Lost(_) => "lost",
        }
    }

    /// Whether the peer said something that it should not have, rather than just being gone.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, ReceiveError::LeftSilently | ReceiveError::Lost(_) | ReceiveError::Silent { .. })
    }
}

impl From<io::Error> for ReceiveError {
    fn from(error: io::Error) -> Self {
        TlsFailure::behind(&error).map_or_else(|| ReceiveError::Lost(error), ReceiveError::Tls)
    }
}

impl<In> Receiver<In> {
    pub(crate) fn new(
        stream: Arc<Stream>,
        outbox: Weak<Outbox>,
        (link, pulse): (Addp, Pulse),
        (peer, certified): (Peer, Option<Certified>),
    ) -> Self {
        Self {
            stream,
            bytes: BytesMut::new(),
            ended: false,
            outbox,
            link,
            signals_allowed: false,
            signals: (now(), 0),
            pulse,
            peer,
            certified,
            hears: PhantomData,
        }
    }

    /// Who is at the other end, as the system says.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Who is at the other end, as its certificate says; `None` on a plain link.
    pub fn identity(&self) -> Option<&Identity> {
        self.certified.as_ref().map(|certified| &certified.identity)
    }

    /// What its certificate says; `None` on a plain link.
    pub fn certified(&self) -> Option<&Certified> {
        self.certified.as_ref()
    }

    /// Hears liveness signals from now on; before this, one ends the link. For links whose ends agreed on protocol version 2
    /// or later.
    pub fn allow_signals(&mut self) {
        self.signals_allowed = true;
    }

    /// Watches the peer like this from now on, and asks it to watch this end; allows signals. Only on links whose ends agreed
    /// on protocol version 2 or later: an older one does not know them. Takes effect with the next call of
    /// [`Receiver::next`].
    pub fn watch(&mut self, settings: Settings) {
        self.allow_signals();
        let ask = self.link.change(now(), settings);
        self.pulse.write(&self.link);
        self.say(ask);
    }

    /// The same end, for messages of another kind.
    pub(crate) fn of<Other>(self) -> Receiver<Other> {
        Receiver {
            stream: self.stream,
            bytes: self.bytes,
            ended: self.ended,
            outbox: self.outbox,
            link: self.link,
            signals_allowed: self.signals_allowed,
            signals: self.signals,
            pulse: self.pulse,
            peer: self.peer,
            certified: self.certified,
            hears: PhantomData,
        }
    }

    /// The stream, and what was read of an unfinished frame; none once it has ended.
    pub(crate) fn parts(&self) -> Option<(&Stream, &[u8])> {
        (!self.ended).then_some((&*self.stream, &self.bytes[..]))
    }

    /// Takes these bytes for the first that arrived.
    pub(crate) fn prepend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame that is a message, not yet understood; at most so long, header included.
    pub(crate) async fn next_frame(&mut self, limit: usize) -> Result<Option<Frame>, ReceiveError> {
        if self.ended {
            return Ok(None);
        }
        // What is read already costs no waiting: without this a peer that talks on would have the thread for itself.
        tokio::task::consume_budget().await;
        let heard = self.read_frame(limit).await;
        if !matches!(heard, Ok(Some(_))) {
            self.end();
        }
        heard
    }

    /// The next frame that is a message. Signals are heard on the way.
    async fn read_frame(&mut self, limit: usize) -> Result<Option<Frame>, ReceiveError> {
        loop {
            match frame::decode_within(&mut self.bytes, limit)? {
                Some(frame) if frame.kind == Kind::Link => {
                    self.admit_signal()?;
                    self.hear(Signal::from_bytes(&frame.body)?);
                    tokio::task::consume_budget().await;
                }
                Some(frame) => return Ok(Some(frame)),
                None => match (self.read_more().await?, self.bytes.len()) {
                    (0, 0) => return Ok(None),
                    (0, bytes) => return Err(ReceiveError::Truncated { bytes }),
                    _ => {}
                },
            }
        }
    }

    /// Waits until something arrives, looking after the link meanwhile; 0 at the end.
    async fn read_more(&mut self) -> Result<usize, ReceiveError> {
        // Reading what waits in the socket is no waiting either.
        tokio::task::consume_budget().await;
        loop {
            let wait = self.link.next_deadline().map(|deadline| deadline.since(now()));
            let time_to_look = async {
                match wait {
                    // A timer that sleeps in the dead of a suspend is late, which the look notices.
                    Some(wait) => tokio::time::sleep_until(Instant::now() + wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                count = self.stream.read(&mut self.bytes) => {
                    let count = count?;
                    self.link.arrived(now());
                    self.pulse.write(&self.link);
                    return Ok(count);
                }
                () = time_to_look => self.look()?,
            }
        }
    }

    /// The link was silent for its time.
    fn look(&mut self) -> Result<(), ReceiveError> {
        let at = now();
        let outcome = self.link.look(at);
        let (peer, silence) = (&self.peer, at.since(self.link.heard()));
        if self.link.traces() && outcome != Outcome::Nothing {
            tracing::info!(target: "addp", %peer, ?silence, ?outcome, "link is silent");
        }
        self.pulse.write(&self.link);
        match outcome {
            Outcome::Nothing => {}
            Outcome::Send(signal) => self.say(signal),
            Outcome::Patient { late_by } => {
                tracing::debug!(%peer, ?late_by, "this program was not awake; the peer is given as much more time");
            }
            Outcome::Lost => return Err(ReceiveError::Silent { silence, timeout: self.link.timeout() }),
        }
        Ok(())
    }

    /// Whether one more signal may be heard.
    fn admit_signal(&mut self) -> Result<(), ReceiveError> {
        if !self.signals_allowed {
            return Err(ReceiveError::SignalUnasked);
        }
        let at = now();
        let (since, count) = &mut self.signals;
        if at.since(*since) >= SIGNALS_WITHIN {
            (*since, *count) = (at, 0);
        }
        *count += 1;
        if *count > MOST_SIGNALS { Err(ReceiveError::SignalFlood) } else { Ok(()) }
    }

    fn hear(&mut self, signal: Signal) {
        let answer = self.link.signalled(now(), signal);
        if self.link.traces() {
            tracing::info!(target: "addp", peer = %self.peer, ?signal, "heard");
        }
        self.pulse.write(&self.link);
        if let Some(answer) = answer {
            self.say(answer);
        }
    }

    fn say(&self, signal: Signal) {
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.signal(signal);
        }
    }

    /// Ends the link: what follows something that cannot be understood cannot be trusted.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.bytes = BytesMut::new();
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.close();
        }
    }
}

impl<In: Message> Receiver<In> {
    /// The next message; `None` once the peer has closed the link between two frames, or after an error.
    ///
    /// May be dropped while it waits: nothing is lost, and the next call goes on. When the link ends, the [`crate::Sender`]
    /// of the same link is closed too. Liveness signals are answered in here, so it should be called again soon.
    pub async fn next(&mut self) -> Result<Option<In>, ReceiveError> {
        let Some(frame) = self.next_frame(MAX_FRAME_BYTES).await? else { return Ok(None) };
        let heard = In::from_frame(&frame);
        if heard.is_err() {
            self.end();
        }
        Ok(Some(heard?))
    }
}
