//! The loop: one machine, one owner, one inbox.

use std::time::Duration;

use tokio::sync::mpsc;
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
pub type Look<M> = Box<dyn FnOnce(&M) + Send>;

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
        let (answer, answered) = tokio::sync::oneshot::channel();
        let look = Box::new(move |machine: &M| {
            // Nobody waits any more if this fails; then there is nobody to tell.
            let _ = answer.send(look(machine));
        });
        self.mail.send(Mail::Look(look)).await.ok()?;
        answered.await.ok()
    }
}

/// What a program does for its machine.
pub trait Hands<M: Machine> {
    /// Notes an observation and the decision made on it, for the journal. Must not block, and need not be durable.
    fn record(&mut self, at: Moment, saw: &M::Saw, decision: &Decision<M::Persist, M::Act>);

    /// Makes everything durable, or says why not. `Err((why, definite))`; `definite` if certainly nothing was stored.
    fn persist(
        &mut self,
        at: Moment,
        saw: &M::Saw,
        decision: &Decision<M::Persist, M::Act>,
    ) -> impl Future<Output = Result<(), (String, bool)>>;

    /// Does one thing. Must not block: what takes time is begun here, and its outcome observed later.
    fn act(&mut self, action: M::Act);

    /// Tells people. Called after the actions, so that no failover waits for a log.
    fn tell(&mut self, machine: &M, decision: Told);
}

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
/// before those who only look; a deadline is observed as soon as it has passed and no mail is older.
pub async fn run<M, H>(
    mut machine: M,
    first: M::Saw,
    mut mail: mpsc::Receiver<Mail<M>>,
    hands: &mut H,
    stop: &Stop,
) -> M
where
    M: Machine,
    M::Saw: Clone,
    H: Hands<M>,
{
    handle(&mut machine, now(), first, hands).await;
    let stopped = stop.asked();
    tokio::pin!(stopped);
    let mut looks = Looks::default();
    loop {
        looks.serve_if_overdue(&machine);
        let wait = machine.next_deadline().map(|deadline| deadline.since(now()));
        tokio::select! {
            biased;
            () = &mut stopped => return machine,
            received = mail.recv() => match received {
                None => return machine,
                Some(Mail::Saw(at, saw)) => {
                    handle(&mut machine, at, saw, hands).await;
                    looks.overtaken += 1;
                }
                Some(Mail::Look(look)) => looks.waiting.push(look),
            },
            // Nothing is observed at this moment.
            () = std::future::ready(()), if !looks.waiting.is_empty() => looks.serve(&machine),
            () = sleep(wait) => {}
        }
        // After mail as after sleep: a flood of mail must not put off a deadline that has passed.
        if machine.next_deadline().is_some_and(|deadline| deadline <= now()) {
            handle(&mut machine, now(), M::deadline_passed(), hands).await;
        }
    }
}

/// Most looks that wait at a time.
const MOST_LOOKS: usize = 64;
/// Most observations that overtake a look.
const MOST_OVERTAKING: usize = 256;

/// Looks that wait until nothing is observed: whoever looks makes no observation wait, and is made to wait for a bounded
/// number of them. A look never comes before what was put in before it.
struct Looks<M> {
    waiting: Vec<Look<M>>,
    /// Observations since the last time that nobody waited.
    overtaken: usize,
}

impl<M> Default for Looks<M> {
    fn default() -> Self {
        Self { waiting: Vec::new(), overtaken: 0 }
    }
}

impl<M> Looks<M> {
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

async fn handle<M, H>(machine: &mut M, at: Moment, saw: M::Saw, hands: &mut H)
where
    M: Machine,
    M::Saw: Clone,
    H: Hands<M>,
{
    let mut next = Some((at, saw));
    while let Some((at, saw)) = next.take() {
        let decision = machine.step(at, saw.clone());
        if decision.persist.is_empty() {
            hands.record(at, &saw, &decision);
        } else if let Err((why, definite)) = hands.persist(at, &saw, &decision).await {
            // None of its actions is done, so none of its events happened; the machine hears of the failure before
            // anything else, and has its own words for it.
            next = Some((now(), M::store_failed(decision.persist, why, definite)));
            continue;
        }
        for action in decision.actions {
            hands.act(action);
        }
        hands.tell(machine, Told { events: decision.events, quiet: decision.quiet });
    }
}
