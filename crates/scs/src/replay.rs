//! Runs a leadership again from what was written down, and compares each decision with the recorded one, letter by letter.
//!
//! It knows no disk and no clock: rows are handed in, in the order of their numbers in the journal. The law: what is missing
//! or unreadable is said, and nothing behind it is judged.

use std::collections::BTreeMap;

use understudy_decide::control::{Control, ControlSaw};
use understudy_model::{Machine, Moment};
use understudy_store::{EntryKind, StoredEntry};

use crate::record::{ObservedRow, Piece, Recorded, Step, decided_text, is_quiet};

/// Rows that may come before one that they stand behind: those of a decision that could not be stored are written later.
const MOST_WAITING: usize = 10_000;
/// So much of a text is shown, in characters.
const SHOWN_CHARACTERS: usize = 4_000;

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Who led, and under which controller epoch.
    pub controller: String,
    /// The leadership.
    pub controller_epoch: u64,
    /// The version of the program that decided then.
    pub version: String,
    /// Observations that were played.
    pub steps: u64,
    /// Decisions among them, all of which were the same up to the first difference.
    pub decisions: u64,
    /// The first decision that is not the same.
    pub difference: Option<Difference>,
    /// Why it could not go on, if it could not.
    pub stopped: Option<String>,
}

/// A decision that is not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The number of the step.
    pub step: u64,
    /// When, in wall milliseconds.
    pub at_wall_ms: i64,
    /// On the boot clock.
    pub at: Moment,
    /// What was observed.
    pub saw: String,
    /// What was decided then; nothing if absent.
    pub recorded: Option<String>,
    /// What is decided now; nothing if absent.
    pub replayed: Option<String>,
}

/// What is known of one row, or of the packed steps behind one number.
#[derive(Debug, Default)]
struct Slot {
    at: Moment,
    at_wall_ms: i64,
    observed: Option<String>,
    decided: Option<String>,
    observed_pieces: BTreeMap<usize, String>,
    decided_pieces: BTreeMap<usize, String>,
}

/// A replay under way.
#[derive(Debug, Default)]
pub struct Replay {
    control: Option<Control>,
    next: u64,
    waiting: BTreeMap<u64, Slot>,
    found: Replayed,
    ended: bool,
}

impl Replay {
    /// Takes the next row; false if no more are wanted.
    pub fn feed(&mut self, entry: StoredEntry) -> bool {
        if self.ended {
            return false;
        }
        let Some(n) = number_of(&entry.text) else {
            self.stop(format!(
                "row {} of the journal was written by a version that could not be replayed yet",
                entry.id
            ));
            return false;
        };
        if n == 0 && self.next > 0 {
            // The next leadership.
            self.end();
            return false;
        }
        if n >= self.next {
            self.keep(n, entry);
            // A decision stands right behind what was observed: another number says that there is none.
            self.play_below(n);
        }
        if self.waiting.len() > MOST_WAITING {
            self.stop(self.missing());
        }
        !self.ended
    }

    /// There are no more rows.
    pub fn finish(mut self) -> Replayed {
        self.end();
        self.found
    }

    /// It is not gone on with, for this reason.
    pub fn stop(&mut self, why: String) {
        self.ended = true;
        self.found.stopped.get_or_insert(why);
    }

    fn missing(&self) -> String {
        format!("the rows of step {} are not in the journal", self.next)
    }

    fn end(&mut self) {
        if self.ended {
            return;
        }
        self.play_below(u64::MAX);
        if !self.ended && !self.waiting.is_empty() {
            self.stop(self.missing());
        }
        self.ended = true;
    }

    fn keep(&mut self, n: u64, entry: StoredEntry) {
        let slot = self.waiting.entry(n).or_default();
        if entry.kind == EntryKind::Observation {
            (slot.at, slot.at_wall_ms) = (entry.at_boot, entry.at_wall_ms);
        }
        let piece = is_piece(&entry.text).then(|| serde_json::from_str::<Piece>(&entry.text).ok()).flatten();
        let (whole, pieces) = match entry.kind {
            EntryKind::Observation => (&mut slot.observed, &mut slot.observed_pieces),
            EntryKind::Decision => (&mut slot.decided, &mut slot.decided_pieces),
        };
        match piece {
            None => *whole = Some(entry.text),
            Some(Piece { piece, of, text, .. }) => {
                pieces.insert(piece, text);
                if pieces.len() == of {
                    *whole = Some(std::mem::take(pieces).into_values().collect());
                }
            }
        }
    }

    /// Plays what is there, in turn, and stands before this number.
    fn play_below(&mut self, n: u64) {
        while !self.ended && self.next < n {
            let whole = |slot: &Slot| {
                slot.observed.is_some() && slot.observed_pieces.is_empty() && slot.decided_pieces.is_empty()
            };
            let Some(slot) =
                self.waiting.first_entry().filter(|slot| *slot.key() == self.next && whole(slot.get()))
            else {
                return;
            };
            let slot = slot.remove();
            self.play(slot);
        }
    }

    fn play(&mut self, slot: Slot) {
        let read = slot.observed.as_deref().map(serde_json::from_str::<ObservedRow>);
        let row = match read {
            Some(Ok(row)) => row,
            Some(Err(error)) => return self.stop(format!("step {} cannot be read: {error}", self.next)),
            None => return self.stop(self.missing()),
        };
        let at = slot.at;
        let steps = match row.is {
            Recorded::Began { memory, version } => {
                self.found.controller = memory.controller.to_string();
                self.found.controller_epoch = memory.controller_epoch.0;
                self.found.version = version;
                self.control = Some(Control::new(*memory));
                self.next = 1;
                return;
            }
            Recorded::Saw(saw) => vec![Step { at, aside: false, saw }],
            Recorded::Aside(saw) => vec![Step { at, aside: true, saw }],
            Recorded::Quiet(quiet) => match quiet.unpack(at) {
                Ok(steps) => {
                    steps.into_iter().for_each(|step| self.decide(&slot, step, true));
                    return;
                }
                Err(error) => return self.stop(error.to_string()),
            },
            Recorded::LeftOut(bytes) => {
                return self
                    .stop(format!("step {} was too long to be written down: {bytes} bytes", self.next));
            }
        };
        steps.into_iter().for_each(|step| self.decide(&slot, step, false));
    }

    /// One step, held against what was written down of it.
    fn decide(&mut self, slot: &Slot, step: Step, quiet: bool) {
        if self.ended {
            return;
        }
        let Some(control) = &mut self.control else {
            return self.stop("the beginning of the leadership is not in the journal".to_owned());
        };
        let n = self.next;
        self.next += 1;
        self.found.steps += 1;
        let Step { at, aside, saw } = step;
        let decision = if aside { control.aside(at, &saw) } else { Some(control.step(at, saw.clone())) };
        let replayed = decision.as_ref().and_then(|decision| decided_text(n, decision));
        let same = match &decision {
            None => false,
            Some(decision) if quiet => is_quiet(&saw, decision),
            Some(_) => replayed == slot.decided,
        };
        if same {
            self.found.decisions += u64::from(!quiet && replayed.is_some());
            return;
        }
        let recorded = slot.decided.as_deref().map(|text| shown(text, replayed.as_deref()));
        let difference = Difference {
            step: n,
            at_wall_ms: slot.at_wall_ms,
            at,
            saw: saw_text(&saw),
            replayed: replayed.as_deref().map(|text| shown(text, slot.decided.as_deref())),
            recorded,
        };
        self.found.difference = Some(difference);
        self.ended = true;
    }
}

fn saw_text(saw: &ControlSaw) -> String {
    let text = serde_json::to_string(saw).unwrap_or_else(|error| error.to_string());
    shown(&text, None)
}

/// The part of a text that is shown: from a little before where it begins to differ.
fn shown(text: &str, other: Option<&str>) -> String {
    let same =
        other.map_or(0, |other| text.chars().zip(other.chars()).take_while(|(one, two)| one == two).count());
    let skipped = if text.chars().count() > SHOWN_CHARACTERS { same.saturating_sub(100) } else { 0 };
    let part: String = text.chars().skip(skipped).take(SHOWN_CHARACTERS).collect();
    if skipped > 0 { format!("... {part}") } else { part }
}

/// The number with which every row begins.
fn number_of(text: &str) -> Option<u64> {
    let rest = text.strip_prefix("{\"n\":")?;
    rest[..rest.find(',')?].parse().ok()
}

fn is_piece(text: &str) -> bool {
    text.strip_prefix("{\"n\":")
        .and_then(|rest| rest.split_once(','))
        .is_some_and(|(_, rest)| rest.starts_with("\"piece\":"))
}

/// Whether a row is the one with which a leadership begins, and no later piece of it.
pub fn is_beginning(entry: &StoredEntry) -> bool {
    number_of(&entry.text) == Some(0)
        && (!is_piece(&entry.text) || entry.text.starts_with("{\"n\":0,\"piece\":0,"))
}
