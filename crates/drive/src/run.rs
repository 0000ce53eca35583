//! The loop: one machine, one owner, one inbox.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use understudy_model::{Decision, Lane, Machine, Moment};

use crate::inbox::{InboxReader, Looker, Looks, MOST_LOOKS, Mail, Place};
use crate::{Stop, now};

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
/// takes [aside](Machine::aside) does not wait for the disk; however much else waits for it, that is read.
pub async fn run<M, H>(machine: M, first: M::Saw, mail: InboxReader<M>, hands: &mut H, stop: &Stop) -> M
where
    M: Machine,
    M::Saw: Clone,
    H: Hands<M>,
{
    let mut turn =
        Turn { machine, hands, mail, waiting: VecDeque::new(), repeated: 0, looks: Waiting::default() };
    turn.handle(now(), first).await;
    let stopped = stop.asked();
    tokio::pin!(stopped);
    loop {
        turn.looks.serve_if_overdue(&turn.machine);
        let wait = turn.machine.next_deadline().map(|deadline| deadline.since(now()));
        let waited = turn.next_waiting();
        tokio::select! {
            biased;
            () = &mut stopped => return turn.machine,
            // It came before what is in the inbox now.
            Some((at, saw, _place)) = std::future::ready(waited) => turn.observe(at, saw).await,
            received = turn.mail.recv_in_place() => match received {
                None => return turn.machine,
                Some((Mail::Saw(at, saw), _place)) => turn.observe(at, saw).await,
                Some((Mail::Look(look), _)) => turn.looks.take(look.0),
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

/// A write that takes longer is said to do so.
const SLOW: Duration = Duration::from_secs(5);

/// A machine, its owner, and what they have to do.
struct Turn<'h, M: Machine, H> {
    machine: M,
    hands: &'h mut H,
    mail: InboxReader<M>,
    /// What was observed while something was being made durable, oldest first. Each has a place in the inbox, so there are no
    /// more than that has.
    waiting: VecDeque<(Moment, M::Saw, Option<Place>)>,
    /// How many of these are of [`Lane::Repeated`]: at most half of its places, so that there are always some for what the
    /// machine takes aside.
    repeated: usize,
    looks: Waiting<M>,
}

impl<M, H> Turn<'_, M, H>
where
    M: Machine,
    M::Saw: Clone,
    H: Hands<M>,
{
    fn next_waiting(&mut self) -> Option<(Moment, M::Saw, Option<Place>)> {
        let next = self.waiting.pop_front()?;
        if M::lane(&next.1) == Lane::Repeated {
            self.repeated -= 1;
        }
        Some(next)
    }

    /// Lets it wait for its turn; false if there is no room and it will be said again.
    fn let_wait(&mut self, at: Moment, saw: M::Saw, place: Option<Place>) -> bool {
        if M::lane(&saw) == Lane::Repeated {
            if self.repeated >= self.mail.bound() / 2 {
                return false;
            }
            self.repeated += 1;
        }
        self.waiting.push_back((at, saw, place));
        true
    }

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
        let mut left_out = 0_u64;
        let slow = tokio::time::sleep(SLOW);
        tokio::pin!(slow);
        loop {
            let due = self.machine.aside_deadline();
            let wait = due.map(|due| due.since(now()));
            tokio::select! {
                biased;
                kept = &mut persisting => {
                    if left_out > 0 {
                        tracing::warn!(left_out, "votes that waited for the disk were too many; they are asked for again");
                    }
                    return kept;
                }
                received = self.mail.recv_in_place(), if open => match received {
                    // Seen again when this is durable.
                    None => open = false,
                    Some((Mail::Look(look), _)) => self.looks.take(look.0),
                    Some((Mail::Saw(at, saw), place)) => match self.machine.aside(at, &saw) {
                        Some(decision) => {
                            self.hands.record(at, &saw, &decision);
                            self.carry_out(decision);
                        }
                        None => left_out += u64::from(!self.let_wait(at, saw, place)),
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

/// Most observations that overtake a look.
const MOST_OVERTAKING: usize = 256;

/// Looks that wait until nothing is observed: whoever looks makes no observation wait, and is made to wait for a bounded
/// number of them. A look never comes before what was put in before it.
struct Waiting<M> {
    /// At most twice [`MOST_LOOKS`], as no more are waited for.
    waiting: Vec<Box<dyn Looker<M>>>,
    /// Observations since the last time that nobody waited.
    overtaken: usize,
}

impl<M> Default for Waiting<M> {
    fn default() -> Self {
        Self { waiting: Vec::new(), overtaken: 0 }
    }
}

impl<M> Waiting<M> {
    fn take(&mut self, look: Looks<M>) {
        match look {
            // Who asked may have gone.
            Looks::Loop(told) => drop(told.send(())),
            Looks::Machine(looker) => {
                if self.waiting.len() >= 2 * MOST_LOOKS {
                    self.waiting.retain(|looker| looker.waits());
                }
                self.waiting.push(looker);
            }
        }
    }

    fn serve_if_overdue(&mut self, machine: &M) {
        if self.waiting.is_empty() {
            self.overtaken = 0;
        } else if self.waiting.len() >= MOST_LOOKS || self.overtaken >= MOST_OVERTAKING {
            self.serve(machine);
        }
    }

    fn serve(&mut self, machine: &M) {
        for looker in self.waiting.drain(..).filter(|looker| looker.waits()) {
            looker.look(machine);
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
