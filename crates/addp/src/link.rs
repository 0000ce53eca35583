//! One end of one link: quiet, polled, lost.
//!
//! Knows only moments. The law: whatever arrives begins the silence anew, time in which this end itself was not awake is
//! not held against the other, and a lost link stays lost.

use std::time::Duration;

use understudy_model::Moment;

use crate::{LONGEST_TIMEOUT, SHORTEST_TIMEOUT, Settings, Signal};

/// A look that comes later than this after its deadline shows that this end was not awake: the machine was busy, or
/// stopped. Timers of an idle machine are later by one or two milliseconds.
pub const LATE_TOLERANCE: Duration = Duration::from_millis(5);

/// How far a silence has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// Nothing special: something arrived not long ago.
    Quiet,
    /// The other end was asked, and has not been heard since.
    Polled,
    /// The other end is given up.
    Lost,
}

/// What a look at the link found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is not time yet.
    Nothing,
    /// It was silent for the timeout: say this.
    Send(Signal),
    /// This end looked too late, and gives the other end more time before it does what was due.
    Patient {
        /// By how much it was late.
        late_by: Duration,
    },
    /// Two timeouts of silence: the other end is gone, or cannot be reached.
    Lost,
}

/// What happened on a link since its beginning; for people and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Polls sent.
    pub polls_sent: u64,
    /// Polls of the other end that were answered.
    pub polls_answered: u64,
    /// Looks that came too late.
    pub late_looks: u64,
    /// The latest of them.
    pub latest: Duration,
    /// From the last poll that was answered to its reply.
    pub round_trip: Option<Duration>,
}

impl Counts {
    /// Of this link and of another, which came later or lives beside it.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            polls_sent: self.polls_sent.saturating_add(later.polls_sent),
            polls_answered: self.polls_answered.saturating_add(later.polls_answered),
            late_looks: self.late_looks.saturating_add(later.late_looks),
            latest: self.latest.max(later.latest),
            round_trip: later.round_trip.or(self.round_trip),
        }
    }
}

/// The machine. Clone, compare and hash it freely: it is a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Addp {
    timeout: Duration,
    trace: bool,
    stage: Stage,
    heard: Moment,
    due: Option<Moment>,
    /// Time given in this silence because this end was late; at most one timeout.
    given: Duration,
    /// The last poll: its number and when it was sent.
    polled: (u64, Moment),
    counts: Counts,
}

/// Brings a timeout within its bounds; zero stays off.
fn bounded(timeout: Duration) -> Duration {
    if timeout.is_zero() { timeout } else { timeout.clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT) }
}

impl Addp {
    /// Begins to watch a link that was heard at `now`, and says what to ask of the other end, if anything. Timeouts out of
    /// their bounds count as the nearest bound; [`Settings::checked`] says it to people before.
    pub fn new(now: Moment, settings: Settings) -> (Self, Option<Signal>) {
        let mut link = Self {
            timeout: bounded(settings.timeout),
            trace: settings.trace.here(),
            stage: Stage::Quiet,
            heard: now,
            due: None,
            given: Duration::ZERO,
            polled: (0, now),
            counts: Counts::default(),
        };
        link.arrived(now);
        let asks = !settings.remote_timeout.is_zero() || settings.trace.there();
        (link, asks.then(|| ask(settings)))
    }

    /// Something arrived, whatever it was. Cheap enough to call for every read.
    pub fn arrived(&mut self, now: Moment) {
        if self.stage == Stage::Lost {
            return;
        }
        self.stage = Stage::Quiet;
        self.heard = self.heard.max(now);
        self.given = Duration::ZERO;
        self.due = (!self.timeout.is_zero()).then(|| self.heard + self.timeout);
    }

    /// A signal of the other end arrived; says what to answer, if anything. Polls are answered also by an end that does not
    /// watch.
    pub fn signalled(&mut self, now: Moment, signal: Signal) -> Option<Signal> {
        self.arrived(now);
        match signal {
            Signal::Poll { number } => {
                self.counts.polls_answered += 1;
                Some(Signal::Reply { number })
            }
            Signal::Reply { number } => {
                // A reply to an earlier poll is life, but says nothing of the way there and back.
                if number == self.polled.0 {
                    self.counts.round_trip = Some(now.since(self.polled.1));
                }
                None
            }
            Signal::Ask { timeout, trace } => {
                self.timeout = bounded(timeout);
                self.trace = trace;
                self.arrived(now);
                None
            }
        }
    }

    /// New settings for a live link, and what to tell the other end of them. A silence that has begun goes on with the new
    /// timeout, from when the other end was last heard; a poll that is out gets a whole new timeout.
    pub fn change(&mut self, now: Moment, settings: Settings) -> Signal {
        self.timeout = bounded(settings.timeout);
        self.trace = settings.trace.here();
        let on = !self.timeout.is_zero();
        match self.stage {
            Stage::Quiet => self.due = on.then(|| self.heard + self.timeout),
            Stage::Polled if on => self.due = Some(now + self.timeout),
            Stage::Polled => {
                self.stage = Stage::Quiet;
                self.due = None;
            }
            Stage::Lost => {}
        }
        ask(settings)
    }

    /// When to look at the link, unless something arrives before. `None`: never.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.due
    }

    /// Looks at the link. Read everything that has arrived before: what waits to be read is life. Too early is harmless.
    pub fn look(&mut self, now: Moment) -> Outcome {
        let Some(due) = self.due.filter(|due| now >= *due) else { return Outcome::Nothing };
        let late_by = now.since(due);
        let more = late_by.min(self.timeout.saturating_sub(self.given));
        if late_by > LATE_TOLERANCE && !more.is_zero() {
            self.counts.late_looks += 1;
            self.counts.latest = self.counts.latest.max(late_by);
            self.given += more;
            self.due = Some(now + more);
            return Outcome::Patient { late_by };
        }
        match self.stage {
            Stage::Quiet => {
                self.stage = Stage::Polled;
                self.polled = (self.polled.0.wrapping_add(1), now);
                self.counts.polls_sent += 1;
                self.due = Some(now + self.timeout);
                Outcome::Send(Signal::Poll { number: self.polled.0 })
            }
            Stage::Polled => {
                self.stage = Stage::Lost;
                self.due = None;
                Outcome::Lost
            }
            // A lost link has no deadline.
            Stage::Lost => Outcome::Nothing,
        }
    }

    /// When the other end was last heard.
    pub fn heard(&self) -> Moment {
        self.heard
    }

    /// Whether the other end was given up.
    pub fn is_lost(&self) -> bool {
        self.stage == Stage::Lost
    }

    /// The timeout in use at this end; zero: it does not watch.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether this end should write down what happens.
    pub fn traces(&self) -> bool {
        self.trace
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

fn ask(settings: Settings) -> Signal {
    Signal::Ask { timeout: bounded(settings.remote_timeout), trace: settings.trace.there() }
}
