//! How each step of the machine is written down, so that a replay decides the same again: what was observed, at which moment
//! of the boot clock, and what was decided.
//!
//! It knows no rules and no disk. The law: every step has a number, so that a row that is missing, doubled or written out of
//! turn is found; steps that decide nothing are packed into a few characters each, and never left out.

use serde::{Deserialize, Serialize};
use understudy_decide::control::{ControlDo, ControlMemory, ControlRecord, ControlSaw};
use understudy_model::{Decision, HostName, Incarnation, Moment, PairName, RoleEpoch, Verdict, VoteAsk};
use understudy_store::{EntryKind, JournalEntry};

use crate::journal::now_ms;

/// Packed steps become a row when they are so long, in characters.
const QUIET_CHARACTERS: usize = 8 * 1024;
/// Or when the first of them is so old, in nanoseconds.
const QUIET_SPAN_NS: u64 = 60_000_000_000;
/// The most askers of votes in one row of packed steps.
const MOST_ASKERS: usize = 256;
/// A text that is longer is cut into pieces of at most this.
const PIECE_BYTES: usize = 256 * 1024;
/// A text that is longer is named and left out; a replay ends there.
pub const LONGEST_RECORD_BYTES: usize = 16 * 1024 * 1024;

type ControlDecision = Decision<ControlRecord, ControlDo>;

/// What one row holds, or several with the pieces of one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recorded {
    /// A leadership began, with what the store held. Number 0.
    Began {
        /// What the machine was made of.
        memory: Box<ControlMemory>,
        /// Of the program that decided.
        version: String,
    },
    /// A step.
    Saw(ControlSaw),
    /// A step that was taken while an earlier decision was being made durable.
    Aside(ControlSaw),
    /// Steps that decided nothing that anybody sees.
    Quiet(Quiet),
    /// A step whose text was too long, with its length in bytes.
    LeftOut(usize),
}

/// One row of observations, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedRow {
    /// Number of the step, or of the first one.
    pub n: u64,
    /// What.
    pub is: Recorded,
}

/// Packed steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// How many.
    pub count: u64,
    /// Who asked for votes in them.
    pub askers: Vec<Asker>,
    /// Each step as numbers in digits of five bits: how long after the one before and of which kind, and of a vote the asker
    /// and how much higher its number is.
    pub steps: String,
}

/// All of a request for a vote but its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    host: HostName,
    pair: PairName,
    incarnation: Incarnation,
    role: RoleEpoch,
    lease_ns: u64,
}

/// One step as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When, on the boot clock.
    pub at: Moment,
    /// It was taken aside.
    pub aside: bool,
    /// What was observed.
    pub saw: ControlSaw,
}

/// Why packed steps cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packed steps are damaged behind the first {0}")]
pub struct DamagedSteps(usize);

const DEADLINE: u128 = 0;
const VOTE: u128 = 1;
const VOTE_ASIDE: u128 = 2;

/// Writes steps down.
#[derive(Debug, Default)]
pub struct Recorder {
    /// The number of the next step.
    next: u64,
    quiet: Quiet,
    /// Of the first and of the last packed step.
    span: Option<(Moment, Moment)>,
    /// The last number of each asker.
    numbers: Vec<u64>,
}

impl Recorder {
    /// A leadership begins.
    pub fn begin(&mut self, at: Moment, memory: &ControlMemory) -> Vec<JournalEntry> {
        *self = Self { next: 1, ..Self::default() };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let is = Recorded::Began { memory: Box::new(memory.clone()), version };
        rows(at, 0, EntryKind::Observation, &ObservedRow { n: 0, is })
    }

    /// A step; the rows that are to be written now.
    pub fn note(&mut self, step: Step, decision: &ControlDecision) -> Vec<JournalEntry> {
        let mut written = Vec::new();
        if is_quiet(&step.saw, decision) {
            if self.is_full(step.at) {
                written = self.flush();
            }
            self.pack(&step);
            return written;
        }
        written = self.flush();
        let (n, at) = (self.next, step.at);
        self.next += 1;
        let is = if step.aside { Recorded::Aside(step.saw) } else { Recorded::Saw(step.saw) };
        written.extend(rows(at, n, EntryKind::Observation, &ObservedRow { n, is }));
        if !decision.is_empty() {
            written.extend(rows(at, n, EntryKind::Decision, &DecidedRow { n, is: decision }));
        }
        written
    }

    /// The packed steps that wait, as a row.
    pub fn flush(&mut self) -> Vec<JournalEntry> {
        let Some((first, _)) = self.span.take() else { return Vec::new() };
        let quiet = std::mem::take(&mut self.quiet);
        self.numbers.clear();
        let n = self.next - quiet.count;
        rows(first, n, EntryKind::Observation, &ObservedRow { n, is: Recorded::Quiet(quiet) })
    }

    fn is_full(&self, at: Moment) -> bool {
        let old = self.span.is_some_and(|(first, _)| at.0.saturating_sub(first.0) > QUIET_SPAN_NS);
        old || self.quiet.steps.len() >= QUIET_CHARACTERS || self.quiet.askers.len() >= MOST_ASKERS
    }

    fn pack(&mut self, step: &Step) {
        let (first, last) = self.span.unwrap_or((step.at, step.at));
        self.span = Some((first, step.at));
        self.quiet.count += 1;
        self.next += 1;
        let kind = match (&step.saw, step.aside) {
            (ControlSaw::VoteAsked { .. }, true) => VOTE_ASIDE,
            (ControlSaw::VoteAsked { .. }, false) => VOTE,
            _ => DEADLINE,
        };
        write(&mut self.quiet.steps, (fold(step.at.0, last.0) << 2) | kind);
        if let ControlSaw::VoteAsked { host, ask } = &step.saw {
            let lease_ns = u64::try_from(ask.lease.as_nanos()).unwrap_or(u64::MAX);
            let asker = Asker {
                host: host.clone(),
                pair: ask.pair.clone(),
                incarnation: ask.incarnation,
                role: ask.role.clone(),
                lease_ns,
            };
            let known = self.quiet.askers.iter().position(|one| *one == asker);
            let index = known.unwrap_or_else(|| {
                self.quiet.askers.push(asker);
                self.numbers.push(0);
                self.numbers.len() - 1
            });
            write(&mut self.quiet.steps, index as u128);
            if let Some(number) = self.numbers.get_mut(index) {
                write(&mut self.quiet.steps, fold(ask.number, *number));
                *number = ask.number;
            }
        }
    }
}

impl Quiet {
    /// The steps, the first of which was at `first`.
    pub fn unpack(&self, first: Moment) -> Result<Vec<Step>, DamagedSteps> {
        let mut digits = self.steps.bytes();
        let mut numbers = vec![0; self.askers.len()];
        let (mut steps, mut last) = (Vec::new(), first.0);
        while digits.len() > 0 {
            let damaged = DamagedSteps(steps.len());
            let head = read(&mut digits).ok_or(damaged)?;
            last = unfold(head >> 2, last);
            let kind = head & 3;
            let saw = if kind == DEADLINE {
                ControlSaw::DeadlinePassed
            } else {
                let index = read(&mut digits).and_then(|index| usize::try_from(index).ok()).ok_or(damaged)?;
                let folded = read(&mut digits).ok_or(damaged)?;
                let (asker, number) = self.askers.get(index).zip(numbers.get_mut(index)).ok_or(damaged)?;
                *number = unfold(folded, *number);
                let (host, pair, role) = (asker.host.clone(), asker.pair.clone(), asker.role.clone());
                let lease = std::time::Duration::from_nanos(asker.lease_ns);
                let ask = VoteAsk { pair, incarnation: asker.incarnation, number: *number, role, lease };
                ControlSaw::VoteAsked { host, ask }
            };
            steps.push(Step { at: Moment(last), aside: kind == VOTE_ASIDE, saw });
        }
        if steps.len() as u64 == self.count { Ok(steps) } else { Err(DamagedSteps(steps.len())) }
    }
}

/// A step that nobody sees: a look at the clock that found nothing, or a vote that was given again, several times a second
/// for each pair.
pub fn is_quiet(saw: &ControlSaw, decision: &ControlDecision) -> bool {
    let given = |action: &ControlDo| matches!(action, ControlDo::Vote { answer, .. } if answer.verdict == Verdict::Given);
    match saw {
        ControlSaw::DeadlinePassed => decision.is_empty(),
        ControlSaw::VoteAsked { .. } => {
            decision.actions.len() == 1
                && decision.actions.iter().all(given)
                && decision.persist.is_empty()
                && decision.events.is_empty()
                && decision.quiet.is_empty()
        }
        _ => false,
    }
}

/// A decision and the number of its step.
#[derive(Serialize)]
struct DecidedRow<'a> {
    n: u64,
    is: &'a ControlDecision,
}

/// The decision of a step as it is written, for a comparison letter by letter; none if nothing was decided.
pub fn decided_text(n: u64, decision: &ControlDecision) -> Option<String> {
    (!decision.is_empty()).then(|| json(&DecidedRow { n, is: decision }))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"unwritable\":{:?}}}", error.to_string()))
}

/// A value as one row, or as several with the pieces of its text.
fn rows(at: Moment, n: u64, kind: EntryKind, value: &impl Serialize) -> Vec<JournalEntry> {
    let at_wall_ms = now_ms();
    let entry = |text| JournalEntry { at_boot: at, at_wall_ms, kind, text };
    let text = json(value);
    if text.len() <= PIECE_BYTES {
        return vec![entry(text)];
    }
    if text.len() > LONGEST_RECORD_BYTES {
        let is = Recorded::LeftOut(text.len());
        return vec![entry(json(&ObservedRow { n, is }))];
    }
    let pieces = cut(&text);
    let of = pieces.len();
    let piece =
        |(index, text): (usize, &str)| entry(json(&Piece { n, piece: index, of, text: text.to_owned() }));
    pieces.into_iter().enumerate().map(piece).collect()
}

/// A piece of a long text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The number of its step.
    pub n: u64,
    /// From 0.
    pub piece: usize,
    /// How many there are.
    pub of: usize,
    /// A part of the JSON.
    pub text: String,
}

fn cut(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while rest.len() > PIECE_BYTES {
        let end = (0..=PIECE_BYTES).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(0);
        let (piece, tail) = rest.split_at(end);
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

/// A difference as a number that is small if the difference is, whichever way it goes.
fn fold(now: u64, before: u64) -> u128 {
    if now >= before { u128::from(now - before) << 1 } else { (u128::from(before - now) << 1) | 1 }
}

fn unfold(folded: u128, before: u64) -> u64 {
    let span = u64::try_from(folded >> 1).unwrap_or(u64::MAX);
    if folded & 1 == 0 { before.saturating_add(span) } else { before.saturating_sub(span) }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Five bits a character, the lowest first; the sixth says that there are more.
fn write(text: &mut String, mut value: u128) {
    loop {
        let bits = (value & 31) as usize;
        value >>= 5;
        let more = if value > 0 { 32 } else { 0 };
        text.push(char::from(DIGITS[bits | more]));
        if more == 0 {
            return;
        }
    }
}

fn read(digits: &mut impl Iterator<Item = u8>) -> Option<u128> {
    let (mut value, mut shift) = (0_u128, 0);
    loop {
        let digit = digits.next()?;
        let bits = DIGITS.iter().position(|one| *one == digit)? as u128;
        if shift > 100 {
            return None;
        }
        value |= (bits & 31) << shift;
        shift += 5;
        if bits & 32 == 0 {
            return Some(value);
        }
    }
}

#[cfg(test)]
mod tests;
