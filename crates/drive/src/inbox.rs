//! The way into a machine: observations and looks, in one order.
//!
//! Knows no machine. The law: what waits is bounded, and whoever brings more waits with it; but what programs say without end
//! takes no room from what keeps roles, and nobody who looks takes room from those who observe.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use understudy_model::{Lane, Machine, Moment};

use crate::now;

/// Most looks that wait at a time.
pub(crate) const MOST_LOOKS: usize = 64;
/// Most observations of [`Lane::Own`] that wait beside as many as each lane may have: those of minutes in which a disk hangs.
const MOST_OWN: usize = 4_096;

/// What can be put into a machine's inbox.
pub enum Mail<M: Machine> {
    /// Something was observed, at that moment.
    Saw(Moment, M::Saw),
    /// Somebody wants to look at the machine between two steps; it must not block.
    Look(Look<M>),
}

/// One look at a machine, or only at its loop.
pub struct Look<M>(pub(crate) Looks<M>);

pub(crate) enum Looks<M> {
    /// Told as soon as the loop has taken it.
    Loop(oneshot::Sender<()>),
    Machine(Box<dyn Looker<M>>),
}

/// Somebody who looks.
pub(crate) trait Looker<M>: Send {
    /// Whether anybody waits for what is seen.
    fn waits(&self) -> bool;
    /// Looks.
    fn look(self: Box<Self>, machine: &M);
}

struct Asked<F, R> {
    look: F,
    answer: oneshot::Sender<R>,
}

impl<M, R: Send, F: FnOnce(&M) -> R + Send> Looker<M> for Asked<F, R> {
    fn waits(&self) -> bool {
        !self.answer.is_closed()
    }

    fn look(self: Box<Self>, machine: &M) {
        // Nobody waits any more if this fails; then there is nobody to tell.
        let _ = self.answer.send((self.look)(machine));
    }
}

/// A place in a lane, given back when it is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

struct Envelope<M: Machine> {
    mail: Mail<M>,
    /// Looks have none.
    place: Option<Place>,
}

/// The free places of each lane.
struct Lanes {
    own: Arc<Semaphore>,
    programs: Arc<Semaphore>,
    repeated: Arc<Semaphore>,
    looks: Semaphore,
}

impl Lanes {
    fn of(&self, lane: Lane) -> &Arc<Semaphore> {
        match lane {
            Lane::Own => &self.own,
            Lane::Programs => &self.programs,
            Lane::Repeated => &self.repeated,
        }
    }
}

/// The way into a machine. Cloned freely; bounded, so a flood of observations slows down whoever floods.
pub struct Inbox<M: Machine> {
    mail: mpsc::UnboundedSender<Envelope<M>>,
    lanes: Arc<Lanes>,
}

impl<M: Machine> Clone for Inbox<M> {
    fn clone(&self) -> Self {
        Self { mail: self.mail.clone(), lanes: Arc::clone(&self.lanes) }
    }
}

impl<M: Machine> Inbox<M> {
    /// An inbox and its reading end; at most `bound` observations of each [`Lane`] wait in it, 4,096 more of [`Lane::Own`], and
    /// 64 looks.
    pub fn new(bound: usize) -> (Self, InboxReader<M>) {
        let (mail, received) = mpsc::unbounded_channel();
        let lane = |bound| Arc::new(Semaphore::new(bound));
        let lanes = Arc::new(Lanes {
            own: lane(bound + MOST_OWN),
            programs: lane(bound),
            repeated: lane(bound),
            looks: Semaphore::new(MOST_LOOKS),
        });
        (Self { mail, lanes: Arc::clone(&lanes) }, InboxReader { received, lanes, bound })
    }

    /// Puts an observation in, stamped with this moment, as soon as there is room. False if the machine has ended.
    pub async fn saw(&self, saw: M::Saw) -> bool {
        let at = now();
        match Arc::clone(self.lanes.of(M::lane(&saw))).acquire_owned().await {
            Ok(place) => self.put(Mail::Saw(at, saw), Some(place)),
            // Closed by the reading end.
            Err(_) => false,
        }
    }

    /// As [`Inbox::saw`], from a thread that is not part of the runtime.
    pub fn saw_blocking(&self, saw: M::Saw) -> bool {
        wait_for(self.saw(saw))
    }

    /// Looks at the machine. `None` if it has ended. Whoever stops waiting takes no room any more.
    pub async fn look<R: Send + 'static>(&self, look: impl FnOnce(&M) -> R + Send + 'static) -> Option<R> {
        let _place = self.lanes.looks.acquire().await.ok()?;
        let (answer, seen) = oneshot::channel();
        if !self.put(Mail::Look(Look(Looks::Machine(Box::new(Asked { look, answer })))), None) {
            return None;
        }
        seen.await.ok()
    }

    /// Waits until the machine's loop has taken this, which it does also while something is being made durable: it turns. False
    /// if it has ended. For one caller at a time.
    pub async fn turns(&self) -> bool {
        let (told, taken) = oneshot::channel();
        self.put(Mail::Look(Look(Looks::Loop(told))), None) && taken.await.is_ok()
    }

    fn put(&self, mail: Mail<M>, place: Option<Place>) -> bool {
        self.mail.send(Envelope { mail, place }).is_ok()
    }
}

/// The reading end of an inbox. Dropped, it ends all waiting for room.
pub struct InboxReader<M: Machine> {
    received: mpsc::UnboundedReceiver<Envelope<M>>,
    lanes: Arc<Lanes>,
    bound: usize,
}

impl<M: Machine> InboxReader<M> {
    /// The next piece of mail, whose place is free then; none if every inbox is gone.
    pub async fn recv(&mut self) -> Option<Mail<M>> {
        self.recv_in_place().await.map(|(mail, _)| mail)
    }

    /// As [`InboxReader::recv`], with its place.
    pub(crate) async fn recv_in_place(&mut self) -> Option<(Mail<M>, Option<Place>)> {
        self.received.recv().await.map(|Envelope { mail, place }| (mail, place))
    }

    /// As [`InboxReader::recv`], without waiting.
    pub fn try_recv(&mut self) -> Option<Mail<M>> {
        self.received.try_recv().ok().map(|envelope| envelope.mail)
    }

    /// How many observations of a lane may wait.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }
}

impl<M: Machine> Drop for InboxReader<M> {
    fn drop(&mut self) {
        for lane in [&*self.lanes.own, &self.lanes.programs, &self.lanes.repeated, &self.lanes.looks] {
            lane.close();
        }
    }
}

/// Wakes a thread that waits here.
struct Waiting(Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Lets this thread sleep until it is done.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            // Waking for something else is harmless.
            Poll::Pending => thread::park(),
        }
    }
}
