//! What a client can know of a pair from its own questions and answers, and nothing more.
//!
//! Knows no clock, socket or thread: every observation carries the client's own times. The law: nothing is counted
//! that the observations do not prove.
//!
//! # What is proved
//!
//! An *act* is an acknowledged write, or an answer in which a member calls itself primary: a member gives both only
//! while it serves, so it served at some instant between the client's sending and receiving.
//!
//! - *Two primaries*: a member acts in epoch `e`, asked after the other's act in a higher epoch was received. Then it
//!   served, in a role that was over, after the other had begun to serve. Or both act in the same epoch at any time:
//!   one role had two holders. Two members that act at once between two questions, or whose acts overlap without such
//!   an order, are not proved and not counted: zero observations is no proof that there was never one.
//! - *Outage*: the time from the last acknowledged write before to the first one after, if meanwhile whoever served refused a
//!   write or could not be reached, or somebody else served afterwards in a higher epoch, or no write was acknowledged
//!   for the stall limit. A shorter silence without any of these is a slow answer. The measured time is never shorter
//!   than the true one; it is longer by at most one question, and the pause before it, at each end.

use std::collections::BTreeMap;

use super::summary::{Happening, Moment, Outage, Summary};
use crate::tserver::numbers::Numbers;

/// The most outages that are listed, and the most epochs that are remembered.
pub const MOST_LISTED: usize = 10_000;
/// So many lines about two primaries are told, and then one in as many; all are counted.
pub const MOST_DUAL_LINES: u64 = 100;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Store this number.
    Write(u64),
    /// What are you?
    Role,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Done, or "primary", in this epoch: an act.
    Serving(u64),
    /// The same in an epoch below one that the client had seen: an act that the client rejects, as if it were refused.
    Stale(u64),
    /// Refused, or "backup", in this epoch if one was said.
    NotServing(Option<u64>),
    /// It was asked and the answer did not come.
    Nothing,
    /// It could not be asked.
    Unreachable,
}

/// One question and its answer. Times are nanoseconds since the start, on one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Who was asked, 0 or 1.
    pub member: usize,
    /// Before the question was sent.
    pub sent_ns: u64,
    /// After the answer was received, or given up.
    pub received_ns: u64,
    /// The question.
    pub ask: Ask,
    /// The answer.
    pub said: Said,
}

#[derive(Debug, Clone, Copy)]
struct Act {
    member: usize,
    epoch: u64,
    at_ns: u64,
}

/// The measure of one run. Observations come in the order in which they were received.
#[derive(Debug)]
pub struct Measure {
    stall_ns: u64,
    /// For each member, each epoch in which it acted and when the first such act was received.
    first_acts: [BTreeMap<u64, u64>; 2],
    /// What each member last said of itself.
    roles: [Option<(&'static str, Option<u64>)>; 2],
    last_write: Option<Act>,
    outage_seen: bool,
    acknowledged: BTreeMap<u64, Numbers>,
    summary: Summary,
}

impl Measure {
    /// Silence of `stall_ns` is an outage even if nobody refused anything.
    pub fn new(stall_ns: u64) -> Self {
        let summary = Summary {
            writes_acknowledged: 0,
            writes_sent: 0,
            writes_refused: 0,
            writes_unanswered: 0,
            acknowledged_checked: None,
            acknowledged_lost: None,
            outages: Vec::new(),
            outages_not_listed: 0,
            longest_outage_ms: 0.0,
            dual_primary_observations: 0,
            epochs_seen: Vec::new(),
            lower_epoch_answers: 0,
            stale_rejected: 0,
            stale_accepted: 0,
        };
        Self {
            stall_ns,
            first_acts: [BTreeMap::new(), BTreeMap::new()],
            roles: [None; 2],
            last_write: None,
            outage_seen: false,
            acknowledged: BTreeMap::new(),
            summary,
        }
    }

    /// Takes in one observation; what is notable about it is appended to `moments`.
    pub fn observe(&mut self, seen: Observation, moments: &mut Vec<Moment>) {
        let mut tell = |happening| moments.push(Moment { at_ms: ms(seen.received_ns), happening });
        if let Said::Serving(epoch) | Said::Stale(epoch) = seen.said {
            self.judge_act(&seen, epoch, &mut tell);
        }
        match seen.ask {
            Ask::Role => self.note_role(&seen, &mut tell),
            Ask::Write(number) => self.note_write(&seen, number, &mut tell),
        }
    }

    /// The numbers that were acknowledged in `epoch`.
    pub fn acknowledged_in(&self, epoch: u64) -> Option<&Numbers> {
        self.acknowledged.get(&epoch)
    }

    /// The end, at `end_ns`. An outage that has not ended is closed there, without an epoch after it.
    pub fn finish(mut self, end_ns: u64) -> Summary {
        if let Some(last) = self.last_write {
            let silence = end_ns.saturating_sub(last.at_ns);
            if self.outage_seen || silence >= self.stall_ns {
                self.list_outage(last, end_ns, None);
            }
        }
        let mut epochs: Vec<u64> = self.first_acts.iter().flat_map(|acts| acts.keys().copied()).collect();
        epochs.sort_unstable();
        epochs.dedup();
        self.summary.epochs_seen = epochs;
        self.summary
    }

    fn judge_act(&mut self, seen: &Observation, epoch: u64, tell: &mut impl FnMut(Happening)) {
        let Observation { member, sent_ns, .. } = *seen;
        let highest = |acts: &BTreeMap<u64, u64>| acts.last_key_value().map(|(&highest, _)| highest);
        let higher_before = |acts: &BTreeMap<u64, u64>| {
            acts.range(epoch.saturating_add(1)..)
                .find(|(_, first_ns)| **first_ns < sent_ns)
                .map(|(&higher, _)| higher)
        };
        self.summary.stale_rejected += u64::from(matches!(seen.said, Said::Stale(_)));
        let others = &self.first_acts[1 - member];
        let same_role = others.contains_key(&epoch).then_some(epoch);
        if let Some(other_epoch) = same_role.or_else(|| higher_before(others)) {
            self.summary.dual_primary_observations += 1;
            let number = self.summary.dual_primary_observations;
            if number <= MOST_DUAL_LINES || number.is_multiple_of(MOST_DUAL_LINES) {
                tell(Happening::Dual { member, epoch, other_epoch });
            }
        }
        if self.first_acts.iter().any(|acts| higher_before(acts).is_some()) {
            self.summary.lower_epoch_answers += 1;
            self.summary.stale_accepted += u64::from(matches!(seen.said, Said::Serving(_)));
        }
        if self.first_acts.iter().filter_map(highest).max() < Some(epoch) {
            tell(Happening::EpochChanged { member, epoch });
        }
        let own = &mut self.first_acts[member];
        if own.len() < MOST_LISTED {
            own.entry(epoch).or_insert(seen.received_ns);
        }
    }

    fn note_role(&mut self, seen: &Observation, tell: &mut impl FnMut(Happening)) {
        let (role, epoch) = match seen.said {
            Said::Serving(epoch) | Said::Stale(epoch) => ("primary", Some(epoch)),
            Said::NotServing(epoch) => ("backup", epoch),
            Said::Nothing | Said::Unreachable => ("silent", None),
        };
        if self.roles[seen.member] != Some((role, epoch)) {
            self.roles[seen.member] = Some((role, epoch));
            tell(Happening::MemberSays { member: seen.member, role, epoch });
        }
    }

    fn note_write(&mut self, seen: &Observation, number: u64, tell: &mut impl FnMut(Happening)) {
        let summary = &mut self.summary;
        summary.writes_sent += u64::from(seen.said != Said::Unreachable);
        match seen.said {
            Said::Serving(epoch) => {
                summary.writes_acknowledged += 1;
                // A number that finds no room is only not looked up at the end.
                if self.acknowledged.len() < MOST_LISTED || self.acknowledged.contains_key(&epoch) {
                    let _ = self.acknowledged.entry(epoch).or_default().insert(number);
                }
                self.note_acknowledged(Act { member: seen.member, epoch, at_ns: seen.received_ns }, tell);
            }
            Said::NotServing(_) | Said::Stale(_) => {
                summary.writes_refused += 1;
                self.note_failed(seen, tell);
            }
            Said::Nothing => {
                summary.writes_unanswered += 1;
                self.note_failed(seen, tell);
            }
            Said::Unreachable => self.note_failed(seen, tell),
        }
    }

    /// A write failed: the sign of an outage, if it was tried where the last one succeeded, and after that.
    fn note_failed(&mut self, seen: &Observation, tell: &mut impl FnMut(Happening)) {
        let Some(last) = self.last_write else { return };
        let is_sign = last.member == seen.member && seen.received_ns >= last.at_ns;
        if is_sign && !self.outage_seen {
            self.outage_seen = true;
            tell(Happening::OutageBegan { member: last.member, epoch: last.epoch });
        }
    }

    fn note_acknowledged(&mut self, act: Act, tell: &mut impl FnMut(Happening)) {
        let Some(last) = self.last_write else {
            self.last_write = Some(act);
            return;
        };
        if act.at_ns < last.at_ns {
            return;
        }
        let taken_over = act.member != last.member && act.epoch > last.epoch;
        let stalled = act.at_ns - last.at_ns >= self.stall_ns;
        if self.outage_seen || taken_over || stalled {
            if !self.outage_seen {
                tell(Happening::OutageBegan { member: last.member, epoch: last.epoch });
            }
            let outage_ms = self.list_outage(last, act.at_ns, Some(act.epoch));
            tell(Happening::ServedAgain { member: act.member, epoch: act.epoch, outage_ms });
        }
        self.outage_seen = false;
        self.last_write = Some(act);
    }

    fn list_outage(&mut self, last: Act, until_ns: u64, epoch_after: Option<u64>) -> f64 {
        let length_ms = ms(until_ns.saturating_sub(last.at_ns));
        let summary = &mut self.summary;
        summary.longest_outage_ms = summary.longest_outage_ms.max(length_ms);
        if summary.outages.len() < MOST_LISTED {
            let outage =
                Outage { from_ms: ms(last.at_ns), ms: length_ms, epoch_before: last.epoch, epoch_after };
            summary.outages.push(outage);
        } else {
            summary.outages_not_listed += 1;
        }
        length_ms
    }
}

/// Nanoseconds as milliseconds, to the microsecond.
#[allow(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
fn ms(ns: u64) -> f64 {
    (ns / 1000) as f64 / 1000.0
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
