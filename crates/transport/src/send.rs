//! The sending end of a link: a bounded queue that is nearly always empty.
//!
//! Knows nothing of what is sent. The law: sending never waits, and frames leave in the order in which they were
//! accepted. While nothing is queued, the caller writes to the socket itself, so that an urgent order wakes no other task
//! on its way; only what the system does not take at once is left to the writer task.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::Notify;
use tokio::time::Instant;
use understudy_addp::Signal;
use understudy_wire::{EncodeError, Kind, Message, frame};

use crate::pulse::Pulse;
use crate::stream::{Stream, Wrote};

/// The most messages that may wait for a slow peer.
pub const MOST_QUEUED_MESSAGES: usize = 1024;
/// The most bytes that may wait for a slow peer, unless it is a single message.
pub const MOST_QUEUED_BYTES: usize = 8 * 1024 * 1024;
/// How long queued frames may still be written after the last [`Sender`] is gone.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(5);

/// Sends messages of one kind. Clones send into the same queue. When the last one is dropped, what is queued is still
/// written for up to five seconds; then the peer sees the end.
#[derive(Debug)]
pub struct Sender<Out> {
    open: Arc<OpenEnd>,
    pulse: Pulse,
    says: PhantomData<fn(Out)>,
}

impl<Out> Clone for Sender<Out> {
    fn clone(&self) -> Self {
        Self { open: Arc::clone(&self.open), pulse: self.pulse.clone(), says: PhantomData }
    }
}

/// Why a message was not sent. It is not queued either, and the ones before it are not affected.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The peer reads too slowly.
    #[error("{messages} messages with {bytes} bytes wait for a slow peer")]
    Full {
        /// How many wait.
        messages: usize,
        /// How long they are together.
        bytes: usize,
    },
    /// The link has ended.
    #[error("the link has ended")]
    Closed,
    /// The message cannot be put in a frame; the link goes on.
    #[error("the message cannot be sent")]
    Encode(#[from] EncodeError),
}

impl<Out> Sender<Out> {
    /// The same end, for messages of another kind.
    pub(crate) fn of<Other>(self) -> Sender<Other> {
        Sender { open: self.open, pulse: self.pulse, says: PhantomData }
    }
}

impl<Out: Message> Sender<Out> {
    /// Sends, or queues, or says why not. Never waits; may be called from any thread.
    ///
    /// `Ok` says that the message left or will leave this program as long as the link lives. That it arrived, only an
    /// answer says.
    pub fn try_send(&self, message: &Out) -> Result<(), SendError> {
        self.open.outbox.send(|bytes| message.to_frame(bytes))
    }

    /// How the link fares.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// How many messages wait for the peer to read.
    pub(crate) fn waits(&self) -> usize {
        self.open.outbox.queue().ends.len()
    }

    /// Whether the link has ended, so far as is known here.
    pub fn is_closed(&self) -> bool {
        self.open.outbox.queue().closed
    }
}

/// Dropped with the last [`Sender`].
#[derive(Debug)]
struct OpenEnd {
    outbox: Arc<Outbox>,
}

impl Drop for OpenEnd {
    fn drop(&mut self) {
        self.outbox.queue().finishing = true;
        self.outbox.wake.notify_one();
    }
}

/// What senders, writer task and receiver of one link share.
#[derive(Debug)]
pub(crate) struct Outbox {
    stream: Arc<Stream>,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whole frames that wait, the first of them perhaps partly written.
    bytes: BytesMut,
    /// What is left of each of them, in bytes.
    ends: VecDeque<usize>,
    /// Nobody will send any more: end after what waits.
    finishing: bool,
    /// The link has ended: end now.
    closed: bool,
}

enum Written {
    Everything,
    NoRoom,
    Failed,
}

impl Outbox {
    /// A queue can hold no half-done change: each is a few assignments that cannot panic. So a poisoned lock is usable.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one frame into the queue and writes what the system takes at once.
    fn send(&self, encode: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>) -> Result<(), SendError> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(SendError::Closed);
        }
        let (messages, bytes) = (queue.ends.len(), queue.bytes.len());
        if messages >= MOST_QUEUED_MESSAGES || bytes >= MOST_QUEUED_BYTES {
            return Err(SendError::Full { messages, bytes });
        }
        encode(&mut queue.bytes)?;
        let length = queue.bytes.len() - bytes;
        queue.ends.push_back(length);
        if bytes > 0 {
            // The writer task is already waiting for room: writing here would only find none.
            return Ok(());
        }
        match self.write_queued(&mut queue) {
            Written::Everything => Ok(()),
            Written::NoRoom => {
                drop(queue);
                self.wake.notify_one();
                Ok(())
            }
            Written::Failed => Err(SendError::Closed),
        }
    }

    /// Sends a signal of liveness, behind what waits. One that finds no room is lost: a peer that does not read is silent
    /// in any case.
    pub(crate) fn signal(&self, signal: Signal) {
        let body = signal.to_bytes();
        let sent = self.send(|bytes| Ok(frame::encode(Kind::Link, &body, bytes)?));
        if let Err(error) = sent {
            tracing::debug!(%error, "a liveness signal was not sent");
        }
    }

    /// Writes as much as the system takes, all waiting frames in one call.
    fn write_queued(&self, queue: &mut Queue) -> Written {
        let Queue { bytes, ends, .. } = &mut *queue;
        match self.stream.write(bytes, |count| forget(ends, count)) {
            Ok(Wrote::Everything) => Written::Everything,
            Ok(Wrote::NoRoom) => Written::NoRoom,
            Err(_) => queue.fail(),
        }
    }

    /// Ends the link for its senders: what waits is thrown away.
    pub(crate) fn close(&self) {
        self.queue().fail();
        self.wake.notify_one();
    }

    /// The writer task: sleeps until something could not be written at once, and ends with the link.
    async fn write_on(&self) {
        let mut last_moment = None;
        loop {
            let (written, finishing) = {
                let mut queue = self.queue();
                if queue.closed {
                    break;
                }
                (self.write_queued(&mut queue), queue.finishing)
            };
            if finishing && last_moment.is_none() {
                last_moment = Some(Instant::now() + LAST_WORDS_LIMIT);
            }
            match written {
                // Nothing is left to say after the last sender.
                Written::Everything if finishing => break,
                Written::Everything => self.wake.notified().await,
                Written::NoRoom => self.wait_for_room(last_moment).await,
                Written::Failed => break,
            }
        }
        self.stream.finish();
    }

    async fn wait_for_room(&self, last_moment: Option<Instant>) {
        let too_late = async {
            match last_moment {
                Some(moment) => tokio::time::sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = self.stream.writable() => {
                if ready.is_err() {
                    self.queue().fail();
                }
            }
            // The link has ended, or the last sender is gone.
            () = self.wake.notified() => {}
            () = too_late => {
                self.queue().fail();
            }
        }
    }
}

/// Makes the sending end of a link and starts its writer task; must be called inside a tokio runtime.
pub(crate) fn start<Out>(stream: Arc<Stream>, pulse: Pulse) -> (Sender<Out>, Weak<Outbox>) {
    let outbox = Arc::new(Outbox { stream, queue: Mutex::default(), wake: Notify::new() });
    let seen_by_receiver = Arc::downgrade(&outbox);
    let writer = Arc::clone(&outbox);
    tokio::spawn(async move { writer.write_on().await });
    (Sender { open: Arc::new(OpenEnd { outbox }), pulse, says: PhantomData }, seen_by_receiver)
}

/// Takes what was written off the lengths of the frames that wait.
fn forget(ends: &mut VecDeque<usize>, mut count: usize) {
    while let Some(first) = ends.front_mut() {
        if *first > count {
            *first -= count;
            return;
        }
        count -= *first;
        ends.pop_front();
    }
}

impl Queue {
    /// The error itself is not kept: the receiving end of the same link meets it too and tells it.
    fn fail(&mut self) -> Written {
        self.closed = true;
        self.bytes.clear();
        self.ends.clear();
        Written::Failed
    }
}
