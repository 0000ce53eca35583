//! The loop: one machine, one owner, one inbox.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use understudy_model::{Decision, Machine, Moment};

use crate::{Stop, now};

/// What can be put into a machine's inbox.
pub enum Mail<M: Machine> {
    /// Something was observed, at that moment.
    Saw(Moment, M::Saw),
    /// Somebody wants to look at the machine between two steps; it must not block.
    Look(Look<M>),
}

/// One look at a machine.
pub struct Look<M> {
    /// Told as soon as the loop has taken it, which is before the look itself if something is being made durable.
    taken: oneshot::Sender<()>,
    look: Seeing<M>,
}

/// What a look does.
type Seeing<M> = Box<dyn FnOnce(&M) + Send>;

/// What comes of a look that has begun.
pub struct Looking<R> {
    /// The machine's loop turns. An error: it has ended.
    pub taken: oneshot::Receiver<()>,
    /// What was seen. An error: it has ended.
    pub seen: oneshot::Receiver<R>,
}

/// The way into a machine. Cloned freely; bounded, so a flood of observations slows down whoever floods.
pub struct Inbox<M: Machine> {
    mail: mpsc::Sender<Mail<M>>,
}

impl<M: Machine> Clone for Inbox<M> {
    fn clone(&self) -> Self {
        Self { mail: self.mail.clone() }
    }
}

impl<M: Machine> Inbox<M> {
    /// An inbox and its reading end; at most `bound` pieces of mail wait in it.
    pub fn new(bound: usize) -> (Self, mpsc::Receiver<Mail<M>>) {
        let (mail, receiver) = mpsc::channel(bound);
        (Self { mail }, receiver)
    }

    /// Puts an observation in, stamped with this moment. False if the machine has ended.
    pub async fn saw(&self, saw: M::Saw) -> bool {
        self.mail.send(Mail::Saw(now(), saw)).await.is_ok()
    }

    /// As [`Inbox::saw`], from a thread that is not part of the runtime.
    pub fn saw_blocking(&self, saw: M::Saw) -> bool {
        self.mail.blocking_send(Mail::Saw(now(), saw)).is_ok()
    }

    /// Looks at the machine. `None` if it has ended.
    pub async fn look<R: Send + 'static>(&self, look: impl FnOnce(&M) -> R + Send + 'static) -> Option<R> {
        self.begin_look(look).await?.seen.await.ok()
    }

    /// Begins to look at the machine, for whoever wants to know also whether its loop turns. `None` if it has ended.
    pub async fn begin_look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&M) -> R + Send + 'static,
    ) -> Option<Looking<R>> {
        let (told, taken) = oneshot::channel();
        let (answer, seen) = oneshot::channel();
        let look = Box::new(move |machine: &M| {
            // Nobody waits any more if this fails; then there is nobody to tell.
            let _ = answer.send(look(machine));
        });
        self.mail.send(Mail::Look(Look { taken: told, look })).await.ok()?;
        Some(Looking { taken, seen })
    }
}

/// What a program does for its machine.
pub trait Hands<M: Machine> {
    /// Notes an observation and the decision made on it, for the journal. Must not block, and need not be durable.
    fn record(&mut self, at: Moment, saw: &M::Saw, decision: &Decision<M::Persist, M::Act>);

    /// Begins to make everything durable. Must not block; what is given back holds nothing of these hands, as they go on
    /// with what needs nothing durable.
    fn persist(&mut self, at: Moment, saw: &M::Saw, decision: &Decision<M::Persist, M::Act>) -> Persisting;

    /// It was made durable, or not.
    fn persisted(&mut self, kept: &Kept) {
        let _ = kept;
    }

    /// Does one thing. Must not block: what takes time is begun here, and its outcome observed later.
    fn act(&mut self, action: M::Act);

    /// Tells people. Called after the actions, so that no failover waits for a log.
    fn tell(&mut self, machine: &M, decision: Told);
}

/// Whether something is durable: `Err((why, definite))`; `definite` if certainly nothing was stored.
pub type Kept = Result<(), (String, bool)>;

/// Something that is being made durable.
pub type Persisting = Pin<Box<dyn Future<Output = Kept>>>;

/// What is left of a decision when its actions are done.
pub struct Told {
    /// The events.
    pub events: Vec<understudy_model::Event>,
    /// The quiet reasons.
    pub quiet: Vec<understudy_model::Because>,
}

/// Runs `machine` until `stop` is asked or every inbox is gone, then returns it.
///
/// `first` is observed before anything else. Observations are handled one at a time, in the order of their arrival, and
/// before those who only look; a deadline is observed as soon as it has passed and no mail is older. Only what the machine
/// takes [aside](Machine::aside) does not wait for the disk.
pub async fn run<M, H>(
    machine: M,
    first: M::Saw,
    mail: mpsc::Receiver<Mail<M>>,
    hands: &mut H,
    stop: &Stop,
) -> M
where
    M: Machine,
    M::Saw: Clone,
    H: Hands<M>,
{
    let mut turn = Turn { machine, hands, mail, waiting: VecDeque::new(), looks: Looks::default() };
    turn.handle(now(), first).await;
    let stopped = stop.asked();
    tokio::pin!(stopped);
    loop {
        turn.looks.serve_if_overdue(&turn.machine);
        let wait = turn.machine.next_deadline().map(|deadline| deadline.since(now()));
        let waited = turn.waiting.pop_front();
        tokio::select! {
            biased;
            () = &mut stopped => return turn.machine,
            // It came before what is in the inbox now.
            Some((at, saw)) = std::future::ready(waited) => turn.observe(at, saw).await,
            received = turn.mail.recv() => match received {
                None => return turn.machine,
                Some(Mail::Saw(at, saw)) => turn.observe(at, saw).await,
                Some(Mail::Look(look)) => turn.looks.take(look),
            },
            // Nothing is observed at this moment.
            () = std::future::ready(()), if !turn.looks.waiting.is_empty() => turn.looks.serve(&turn.machine),
            () = sleep(wait) => {}
        }
        // After mail as after sleep: a flood of mail must not put off a deadline that has passed.
        if turn.machine.next_deadline().is_some_and(|deadline| deadline <= now()) {
            turn.handle(now(), M::deadline_passed()).await;
        }
    }
}

/// Most observations that wait while something is being made durable; those behind them wait in the inbox.
const MOST_WAITING: usize = 4_096;

/// A write that takes longer is said to do so.
const SLOW: Duration = Duration::from_secs(5);

/// A machine, its owner, and what they have to do.
struct Turn<'h, M: Machine, H> {
    machine: M,
    hands: &'h mut H,
    mail: mpsc::Receiver<Mail<M>>,
    /// What was observed while something was being made durable, oldest first; at most [`MOST_WAITING`].
    waiting: VecDeque<(Moment, M::Saw)>,
    looks: Looks<M>,
}

impl<M, H> Turn<'_, M, H>
where
    M: Machine,
    M::Saw: Clone,
    H: Hands<M>,
{
    async fn observe(&mut self, at: Moment, saw: M::Saw) {
        self.handle(at, saw).await;
        self.looks.overtaken += 1;
    }

    async fn handle(&mut self, at: Moment, saw: M::Saw) {
        let mut next = Some((at, saw));
        while let Some((at, saw)) = next.take() {
            let decision = self.machine.step(at, saw.clone());
            if decision.persist.is_empty() {
                self.hands.record(at, &saw, &decision);
            } else {
                let kept = self.persist(at, &saw, &decision).await;
                self.hands.persisted(&kept);
                if let Err((why, definite)) = kept {
                    // None of its actions is done, so none of its events happened; the machine hears of the failure
                    // before anything else, and has its own words for it.
                    next = Some((now(), M::store_failed(decision.persist, why, definite)));
                    continue;
                }
            }
            self.carry_out(decision);
        }
    }

    /// Makes a decision durable, and meanwhile lets the machine do what needs nothing durable.
    async fn persist(&mut self, at: Moment, saw: &M::Saw, decision: &Decision<M::Persist, M::Act>) -> Kept {
        let mut persisting = self.hands.persist(at, saw, decision);
        let mut open = true;
        let mut told = false;
        let slow = tokio::time::sleep(SLOW);
        tokio::pin!(slow);
        loop {
            let due = self.machine.aside_deadline();
            let wait = due.map(|due| due.since(now()));
            let heeds = open && self.waiting.len() < MOST_WAITING;
            tokio::select! {
                biased;
                kept = &mut persisting => return kept,
                received = self.mail.recv(), if heeds => match received {
                    // Seen again when this is durable.
                    None => open = false,
                    Some(Mail::Look(look)) => self.looks.take(look),
                    Some(Mail::Saw(at, saw)) => match self.machine.aside(at, &saw) {
                        Some(decision) => {
                            self.hands.record(at, &saw, &decision);
                            self.carry_out(decision);
                        }
                        None => self.waiting.push_back((at, saw)),
                    },
                },
                () = sleep(wait), if due.is_some() => {
                    let decision = self.machine.aside_passed(now());
                    self.carry_out(decision);
                }
                () = &mut slow, if !told => {
                    told = true;
                    tracing::warn!("a write has been on its way to the disk for {SLOW:?}; until it is there nothing is decided");
                }
            }
        }
    }

    fn carry_out(&mut self, decision: Decision<M::Persist, M::Act>) {
        for action in decision.actions {
            self.hands.act(action);
        }
        self.hands.tell(&self.machine, Told { events: decision.events, quiet: decision.quiet });
    }
}

/// Most looks that wait at a time.
const MOST_LOOKS: usize = 64;
/// Most observations that overtake a look.
const MOST_OVERTAKING: usize = 256;

/// Looks that wait until nothing is observed: whoever looks makes no observation wait, and is made to wait for a bounded
/// number of them. A look never comes before what was put in before it.
struct Looks<M> {
    waiting: Vec<Seeing<M>>,
    /// Observations since the last time that nobody waited.
    overtaken: usize,
}

impl<M> Default for Looks<M> {
    fn default() -> Self {
        Self { waiting: Vec::new(), overtaken: 0 }
    }
}

impl<M> Looks<M> {
    fn take(&mut self, look: Look<M>) {
        // Most who look do not ask whether it was taken.
        let _ = look.taken.send(());
        self.waiting.push(look.look);
    }

    fn serve_if_overdue(&mut self, machine: &M) {
        if self.waiting.is_empty() {
            self.overtaken = 0;
        } else if self.waiting.len() >= MOST_LOOKS || self.overtaken >= MOST_OVERTAKING {
            self.serve(machine);
        }
    }

    fn serve(&mut self, machine: &M) {
        for look in self.waiting.drain(..) {
            look(machine);
        }
        self.overtaken = 0;
    }
}

/// Longest sleep in one piece. The runtime's timer does not count suspend, the machine's clock does; waking now and
/// then keeps a deadline from being missed for longer than this after a suspend.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

async fn sleep(wait: Option<Duration>) {
    match wait {
        None => tokio::time::sleep(LONGEST_SLEEP).await,
        Some(wait) if wait.is_zero() => tokio::task::yield_now().await,
        Some(wait) => tokio::time::sleep(wait.min(LONGEST_SLEEP)).await,
    }
}
