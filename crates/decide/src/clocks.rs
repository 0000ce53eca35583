//! One comparison of two clocks: how far each advanced between questions and their answers, and what that proves.
//!
//! It has no clock of its own and knows no links. The law: only what is certain is found. Every moment of a sample may have
//! been read earlier or later than the message went or came, and each such lateness makes the bounds wider, never narrower;
//! so delay, ways of unequal length, lost, doubled or overtaken answers and programs that did not run prove nothing.
//!
//! The argument (A1 of `docs/safety.md`). A sample says: the other clock showed `there` at some instant when the own one showed
//! something from `asked` to `heard`, as the question was sent after `asked` was read, the answer was made after that and
//! arrived before `heard` was read. So between the instants of two samples the other clock advanced by the difference of
//! `there`, exactly, and the own one by `heard` of the later less `asked` of the earlier at most, and by `asked` of the later
//! less `heard` of the earlier at least. A1 says that of two clocks each advances at least (1-δ) times as far as the other,
//! over every span. If not even the bound that is kindest to A1 allows that, A1 does not hold.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{ClockId, ClockReading, Lapse, Moment, WhichClock};

/// For how long a sample is held against later ones, and how long nothing must be found until all counts as well again.
pub const WINDOW: Duration = Duration::from_secs(300);
/// Samples are kept by the span in which they were heard, three of each.
const STRETCH: Duration = Duration::from_secs(20);
/// So many spans at most.
const MOST_STRETCHES: usize = 15;
/// Questions that are sent as closely together as this, for several pairs, are one sample.
const CLOSE: Duration = Duration::from_millis(10);
/// A moment is read in whole nanoseconds, so a difference of two is wrong by less than two.
const ROUNDING_NS: i128 = 2;
/// Parts per million in one.
const WHOLE: i128 = 1_000_000;

/// One question and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sample {
    /// The own clock, before the question was sent.
    pub asked: Moment,
    /// The other clock, between the arrival of the question and the sending of the answer.
    pub there: Moment,
    /// The own clock, after the answer arrived.
    pub heard: Moment,
}

/// What two samples say of the two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proof {
    /// The clock that fell behind.
    pub behind: WhichClock,
    /// How.
    pub lapse: Lapse,
    /// The earlier one.
    pub from: Sample,
    /// The later one.
    pub to: Sample,
    /// What was allowed.
    pub drift_ppm: u32,
}

/// What a sample changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// Nothing is proven, and nothing was. Also for a sample that says nothing new.
    Consistent,
    /// Nothing new is proven; what was proven is less than [`WINDOW`] ago.
    Doubted,
    /// This sample proves that the clocks ran apart.
    Apart,
    /// Nothing was proven for a whole [`WINDOW`]: the doubt is over.
    Again,
    /// The other one is another clock now, and is compared anew. What was proven of the former one is over.
    OtherClock,
}

/// The samples of a stretch that say most: the one before which the own clock was fastest, and the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Stretch {
    /// The first one, by which a third clock is placed.
    first: Sample,
    /// A later sample that finds the own clock behind any sample of the stretch finds it behind this one.
    for_own: Sample,
    /// The same for the other clock.
    for_other: Sample,
}

/// The comparison of the own clock with another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Comparison {
    clock: ClockId,
    drift_ppm: u32,
    /// Oldest first, at most [`MOST_STRETCHES`].
    stretches: Vec<Stretch>,
    last: Option<Sample>,
    /// The one before the last.
    former: Option<Sample>,
    /// Samples since the beginning, or since the last proof, as far as they are told apart.
    steady: u8,
    proof: Option<Proof>,
}

impl Comparison {
    /// One that knows nothing yet of the other clock.
    pub fn new(clock: ClockId, drift_ppm: u32) -> Self {
        Self { clock, drift_ppm, stretches: Vec::new(), last: None, former: None, steady: 0, proof: None }
    }

    /// Which clock the own one is compared with.
    pub fn clock(&self) -> ClockId {
        self.clock
    }

    /// The last proof, for as long as it is held against the clocks.
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// An answer was heard: `drift_ppm` is what is allowed now.
    pub fn hear(&mut self, asked: Moment, reading: ClockReading, heard: Moment, drift_ppm: u32) -> Compared {
        if reading.clock != self.clock {
            let doubted = self.proof.is_some();
            *self = Self::new(reading.clock, drift_ppm);
            self.keep(Sample { asked, there: reading.at, heard });
            return if doubted { Compared::OtherClock } else { Compared::Consistent };
        }
        if self.drift_ppm != drift_ppm {
            // What was kept was chosen for the former bound.
            self.drift_ppm = drift_ppm;
            self.stretches.clear();
            (self.last, self.former) = (None, None);
            self.steady = 0;
        }
        let sample = Sample { asked, there: reading.at, heard };
        if !self.is_new(&sample) {
            return self.as_before();
        }
        let proof = self.prove(&sample);
        if let Some(proof) = proof {
            // What comes after is held against what comes after: one lapse is found once.
            self.stretches.clear();
            self.steady = 0;
            self.proof = Some(proof);
        }
        self.keep(sample);
        if proof.is_some() {
            return Compared::Apart;
        }
        if self.proof.is_some_and(|proof| heard.since(proof.to.heard) >= WINDOW) {
            self.proof = None;
            return Compared::Again;
        }
        self.as_before()
    }

    fn as_before(&self) -> Compared {
        if self.proof.is_some() { Compared::Doubted } else { Compared::Consistent }
    }

    /// Asked after the last one by more than a moment, and heard after it. One that was overtaken says nothing that the one
    /// that overtook it did not.
    fn is_new(&self, sample: &Sample) -> bool {
        let ordered = sample.asked <= sample.heard;
        ordered
            && self.last.is_none_or(|last| sample.asked >= last.asked + CLOSE && sample.heard >= last.heard)
    }

    fn prove(&self, sample: &Sample) -> Option<Proof> {
        let last = self.last.as_ref()?;
        let proof = |from: &Sample, behind: WhichClock, lapse: Lapse| Proof {
            behind,
            lapse,
            from: *from,
            to: *sample,
            drift_ppm: self.drift_ppm,
        };
        for behind in [WhichClock::Own, WhichClock::Other] {
            // Between these two answers, after it had kept up over others.
            if self.steady >= 2 && lost(last, sample, behind, self.drift_ppm) > 0 {
                return Some(proof(last, behind, Lapse::AtOnce));
            }
        }
        let kept = self.stretches.iter().flat_map(|stretch| {
            [(&stretch.for_own, WhichClock::Own), (&stretch.for_other, WhichClock::Other)]
        });
        let strongest = kept
            .map(|(from, behind)| (lost(from, sample, behind, self.drift_ppm), from, behind))
            .max_by_key(|(lost, _, _)| *lost);
        strongest
            .filter(|(lost, _, _)| *lost > 0)
            .map(|(_, from, behind)| proof(from, behind, Lapse::BitByBit))
    }

    fn keep(&mut self, sample: Sample) {
        self.former = self.last.replace(sample);
        self.steady = self.steady.saturating_add(1);
        self.stretches.retain(|stretch| sample.heard.since(stretch.first.heard) <= WINDOW);
        match self.stretches.last_mut() {
            Some(stretch) if sample.heard.since(stretch.first.heard) < STRETCH => {
                let drift = self.drift_ppm;
                if weight(&sample, WhichClock::Own, drift) > weight(&stretch.for_own, WhichClock::Own, drift)
                {
                    stretch.for_own = sample;
                }
                if weight(&sample, WhichClock::Other, drift)
                    > weight(&stretch.for_other, WhichClock::Other, drift)
                {
                    stretch.for_other = sample;
                }
            }
            Some(_) | None => {
                if self.stretches.len() >= MOST_STRETCHES {
                    self.stretches.remove(0);
                }
                self.stretches.push(Stretch { first: sample, for_own: sample, for_other: sample });
            }
        }
    }

    /// Which of the two clocks of `proof`, which was found with a third one, this one stands beside. `None`: it was not heard
    /// around that time, or cannot tell.
    ///
    /// This is no proof: it takes one wrong clock for more likely than two. It is held how far this clock moved against the own one
    /// while the other one moved that far.
    pub fn sides_with(&self, proof: &Proof) -> Option<WhichClock> {
        let (change, span) = self.change_around(proof)?;
        let theirs = proof.change();
        let (least, most, moved) = match proof.behind {
            WhichClock::Own => (change.0, change.1, theirs.0),
            WhichClock::Other => (-change.1, -change.0, -theirs.1),
        };
        // Good clocks may have drifted apart as far as this, with what was before and after: then nothing is told apart.
        let allowed = span * i128::from(self.drift_ppm.max(proof.drift_ppm)) / WHOLE;
        if moved <= 3 * allowed {
            None
        } else if most * 2 < moved {
            Some(WhichClock::Own)
        } else if least * 2 > moved {
            Some(WhichClock::Other)
        } else {
            None
        }
    }

    /// By how much the other clock advanced more than the own one from before `proof` until after it, at least and at most; and
    /// over how long a span, by the clock that went further.
    fn change_around(&self, proof: &Proof) -> Option<((i128, i128), i128)> {
        let known = || {
            let kept = self.stretches.iter().map(|stretch| stretch.first);
            let proven = self.proof.iter().flat_map(|own| [own.from, own.to]);
            kept.chain(proven).chain(self.former).chain(self.last)
        };
        let from = known().filter(|one| one.asked <= proof.from.asked).max_by_key(|one| one.asked)?;
        let to = known().filter(|one| one.asked >= proof.to.asked).min_by_key(|one| one.asked)?;
        let around = Proof { from, to, ..*proof };
        let own = i128::try_from(around.own_most().as_nanos()).unwrap_or(i128::MAX);
        Some((around.change(), own.max(around.other_ns().into())))
    }
}

impl Proof {
    /// What the own clock advanced at least, meanwhile.
    pub fn own_least(&self) -> Duration {
        self.to.asked.since(self.from.heard)
    }

    /// What the own clock advanced at most, meanwhile.
    pub fn own_most(&self) -> Duration {
        self.to.heard.since(self.from.asked)
    }

    /// What the other clock advanced, meanwhile, in nanoseconds; negative if it went back.
    pub fn other_ns(&self) -> i64 {
        let advance = i128::from(self.to.there.0) - i128::from(self.from.there.0);
        i64::try_from(advance).unwrap_or(if advance < 0 { i64::MIN } else { i64::MAX })
    }

    /// By how much the other clock advanced more than the own one: at least, at most; in nanoseconds.
    fn change(&self) -> (i128, i128) {
        let offset = |there: Moment, here: Moment| i128::from(there.0) - i128::from(here.0);
        let (from, to) = (self.from, self.to);
        (
            offset(to.there, to.heard) - offset(from.there, from.asked),
            offset(to.there, to.asked) - offset(from.there, from.heard),
        )
    }
}

/// By how much one clock fell behind what A1 demands from one sample to a later one, at least, in millionths of
/// nanoseconds; not above nothing if that is not certain.
fn lost(from: &Sample, to: &Sample, behind: WhichClock, drift_ppm: u32) -> i128 {
    let span = |from: Moment, to: Moment| i128::from(to.0) - i128::from(from.0);
    let other = span(from.there, to.there);
    let share = WHOLE - i128::from(drift_ppm);
    let (demanded, found) = match behind {
        // However late the later one was heard and however early the first one asked.
        WhichClock::Own => (other, span(from.asked, to.heard)),
        WhichClock::Other => (span(from.heard, to.asked), other),
    };
    // A span of nothing demands nothing: the two samples may be of one instant, or in the other order.
    if demanded <= 0 { 0 } else { demanded * share - (found + ROUNDING_NS) * WHOLE }
}

/// The greater, the more a later sample can find `behind` to have lost since this one. From [`lost`], what depends on it.
fn weight(from: &Sample, behind: WhichClock, drift_ppm: u32) -> i128 {
    let share = WHOLE - i128::from(drift_ppm);
    match behind {
        WhichClock::Own => i128::from(from.asked.0) * WHOLE - i128::from(from.there.0) * share,
        WhichClock::Other => i128::from(from.there.0) * WHOLE - i128::from(from.heard.0) * share,
    }
}
