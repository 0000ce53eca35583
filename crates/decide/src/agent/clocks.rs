//! The clocks of a strict pair's voters, held against this host's own: what answers to requests for votes show of them, what
//! is told of it, and what a holder does that finds its own clock behind.
//!
//! It asks nobody anything for it: readings come with the answers that are there anyway. The law (A1): nothing is said that is
//! not proven (see [`crate::clocks`]), and a doubted clock changes no vote. Only giving up what others have is done early.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use understudy_model::{
    ApplicationName, Because, ClockDoubt, ClockId, Event, EventKind, HostName, Lapse, Moment, OtherClock,
    PairName, RoleEpoch, Rule, Severity, Subject, VoteAnswer, WhichClock,
};

use super::Agent;
use super::grants::Own;
use super::out::Out;
use super::role::{Part, RoleTrigger};
use crate::clocks::{Compared, Comparison, Proof};
use crate::grants::Refused;
use crate::grants::holder::{MOST_ASKED, OtherVoter};

/// So many doubts are reported for a pair at most.
const MOST_DOUBTS: usize = 8;

/// Every clock that the own one is compared with: one for each peer's host, and for each control server that is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Clocks {
    /// The clock of this host, if it is known which one that is.
    own: Option<ClockId>,
    compared: BTreeMap<OtherClock, Watched>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Watched {
    comparison: Comparison,
    /// What was told of it, until it is told that it is over.
    told: Option<ClockDoubt>,
}

impl Own {
    /// A request is sent.
    pub fn note_asked(&mut self, now: Moment, number: u64) {
        if self.sent.len() >= MOST_ASKED {
            self.sent.remove(0);
        }
        self.sent.push((number, now));
    }
}

impl Agent {
    /// Says which clock this host's is: a clock that other programs read too is no third one.
    #[must_use]
    pub fn on_clock(mut self, clock: Option<ClockId>) -> Self {
        self.clocks.own = clock;
        self
    }

    /// The clocks that are doubted now, as told.
    pub fn clock_doubts(&self) -> impl Iterator<Item = &ClockDoubt> {
        self.clocks.compared.values().filter_map(|watched| watched.told.as_ref())
    }

    /// Those that concern a pair with that peer.
    pub(super) fn doubts_of(&self, peer_host: &HostName) -> Vec<ClockDoubt> {
        let concerns = |doubt: &&ClockDoubt| match &doubt.other {
            OtherClock::Host(host) => host == peer_host,
            OtherClock::Controller(_) => true,
        };
        self.clock_doubts().filter(concerns).take(MOST_DOUBTS).cloned().collect()
    }

    /// Somebody answered, with what its clock shows.
    pub(super) fn compare_clocks(
        &mut self,
        now: Moment,
        other: OtherClock,
        answer: &VoteAnswer,
        out: &mut Out,
    ) {
        let Some(reading) = answer.clock.filter(|_| answer.incarnation == self.incarnation) else { return };
        let own = self.grants.get(&answer.pair).and_then(|grants| grants.own.get(&answer.role.holder));
        let sent = own.and_then(|own| own.sent.iter().find(|(number, _)| *number == answer.number));
        let Some((_, asked)) = sent.copied() else { return };
        let Some(drift) = self.drift_to(&other) else { return };
        if !self.clocks.compared.contains_key(&other) {
            self.forget_clocks();
        }
        let watched = self
            .clocks
            .compared
            .entry(other.clone())
            .or_insert_with(|| Watched { comparison: Comparison::new(reading.clock, drift), told: None });
        match watched.comparison.hear(asked, reading, now, drift) {
            Compared::Consistent | Compared::Doubted => {}
            Compared::Apart => self.tell_apart(&other, out),
            Compared::Again => {
                self.tell_together(&other, "nothing more was found for five minutes", out);
            }
            Compared::OtherClock => self.tell_together(&other, "that machine was started anew", out),
        }
        self.tell_which(out);
    }

    /// The smallest drift that is allowed to any pair that rests on that clock.
    fn drift_to(&self, other: &OtherClock) -> Option<u32> {
        let concerned = self.grants.values().filter(|grants| match other {
            OtherClock::Host(host) => grants.place.peer_host == *host,
            OtherClock::Controller(_) => true,
        });
        concerned.map(|grants| grants.place.terms.drift_ppm).min()
    }

    /// Forgets clocks of whoever is no peer and not connected any more.
    fn forget_clocks(&mut self) {
        let peers = self.grants.values().map(|grants| &grants.place.peer_host);
        let peers: Vec<&HostName> = peers.collect();
        let controllers = &self.controllers;
        self.clocks.compared.retain(|other, _| match other {
            OtherClock::Host(host) => peers.contains(&host),
            OtherClock::Controller(name) => controllers.values().any(|known| known.name == *name),
        });
    }

    /// A proof was found. It is told if nothing was, or if this is another thing or much more of it.
    fn tell_apart(&mut self, other: &OtherClock, out: &mut Out) {
        let Some(watched) = self.clocks.compared.get(other) else { return };
        let Some(proof) = watched.comparison.proof() else { return };
        let doubt = doubt_of(other, proof, self.clocks.wrong_of(other, proof));
        let is_news = watched.told.as_ref().is_none_or(|told| {
            let worse = doubt.lapse == Lapse::AtOnce && loss(&doubt) > loss(told).saturating_mul(2);
            let lasts = told.lapse == Lapse::AtOnce && doubt.lapse == Lapse::BitByBit;
            worse || lasts || told.behind != doubt.behind
        });
        if is_news {
            self.tell_doubt(doubt, out);
        }
    }

    fn tell_doubt(&mut self, doubt: ClockDoubt, out: &mut Out) {
        let because = Because::new(Rule::ClocksApart, doubt.text(&self.host))
            .fact("behind", word(Some(doubt.behind)))
            .fact("own clock, at least (ms)", doubt.own_least.as_millis())
            .fact("own clock, at most (ms)", doubt.own_most.as_millis())
            .fact("other clock (ms)", doubt.other_ns / 1_000_000)
            .fact("allowed (ppm)", doubt.drift_ppm)
            .fact("wrong, as a third clock says", word(doubt.wrong));
        let about = Subject { host: Some(self.host.clone()), ..Subject::default() };
        out.events.push(Event::new(EventKind::ClockDoubted, Severity::Critical, about, because));
        if let Some(watched) = self.clocks.compared.get_mut(&doubt.other) {
            watched.told = Some(doubt);
        }
        // What is reported of pairs says so too.
        self.settle = true;
    }

    fn tell_together(&mut self, other: &OtherClock, why: &str, out: &mut Out) {
        let told = self.clocks.compared.get_mut(other).and_then(|watched| watched.told.take());
        if told.is_none() {
            return;
        }
        let text = format!("the clocks of host {} and {other} are not doubted any more: {why}", self.host);
        let about = Subject { host: Some(self.host.clone()), ..Subject::default() };
        let because = Because::new(Rule::ClocksAgain, text);
        out.events.push(Event::new(EventKind::ClockDoubted, Severity::Info, about, because));
        self.settle = true;
    }

    /// Tells which clock is wrong, once that can be said of one that was told without.
    fn tell_which(&mut self, out: &mut Out) {
        let known = self.clocks.compared.iter().filter_map(|(other, watched)| {
            let told = watched.told.as_ref().filter(|told| told.wrong.is_none())?;
            let wrong = self.clocks.wrong_of(other, watched.comparison.proof()?)?;
            Some(ClockDoubt { wrong: Some(wrong), ..told.clone() })
        });
        for doubt in known.collect::<Vec<_>>() {
            self.tell_doubt(doubt, out);
        }
    }

    /// A voter refuses, and names a higher role of the other member: whether that proves that the time of the held role is over,
    /// although the own clock says that it is not.
    ///
    /// The other agent gives its member a role only when its own promise to this one is over, and a control server orders that
    /// only when its own is: then no vote counts any more, by any clock that A1 holds for. A control server alone may have
    /// promised the other member while that agent renews this one; it is believed if its clock shows that the own one fell
    /// behind within the last lease, so that a vote from before that may still be counted on.
    pub(super) fn is_role_lost(
        &self,
        now: Moment,
        voter: OtherVoter,
        pair: &PairName,
        refused: &Refused,
    ) -> bool {
        let Some(grants) = self.grants.get(pair) else { return false };
        let Some(own) = grants.own.get(&refused.asked.holder) else { return false };
        let held = own.holder.held() == Some(&refused.asked) && !own.expired;
        let acts = matches!(self.part_of(&refused.asked.holder), Part::Promoting | Part::Acting);
        let higher = |role: &RoleEpoch| role.holder == grants.other && role.epoch > refused.asked.epoch;
        if !held || !acts || !refused.promised.as_ref().is_some_and(higher) {
            return false;
        }
        match voter {
            OtherVoter::Peer => true,
            OtherVoter::Control => self.clocks.compared.iter().any(|(other, watched)| {
                let controller = matches!(other, OtherClock::Controller(_));
                let counts = |proof: &&Proof| now < proof.to.heard + grants.place.terms.lease;
                let proof = watched.comparison.proof().filter(|proof| proof.behind == WhichClock::Own);
                controller && proof.filter(counts).is_some()
            }),
            OtherVoter::Twin => false,
        }
    }

    /// A held role is somebody else's already: its page says no at once, and it is demoted, or killed if it reads no page.
    pub(super) fn lose_role(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        refused: &Refused,
        out: &mut Out,
    ) {
        let mut because = Because::new(Rule::RoleLost, Rule::RoleLost.says()).fact("held", &refused.asked);
        if let Some(promised) = &refused.promised {
            because = because.fact("promised", promised);
        }
        out.events.push(self.event(EventKind::Fenced, Severity::Critical, name, because));
        if self.applications.get(name).is_some_and(|known| known.speaks()) {
            self.part(now, name, RoleTrigger::GiveUp, out);
        } else {
            self.end_held(now, name, out);
        }
    }
}

impl Clocks {
    /// Which of two clocks is the wrong one, as a third clock says.
    fn wrong_of(&self, other: &OtherClock, proof: &Proof) -> Option<WhichClock> {
        let clock = self.compared.get(other)?.comparison.clock();
        let third = |watched: &&Watched| {
            let third = watched.comparison.clock();
            third != clock && Some(third) != self.own
        };
        let mut sides =
            self.compared.values().filter(third).filter_map(|watched| watched.comparison.sides_with(proof));
        let first = sides.next()?;
        // It stands beside one of both, so the other one is wrong.
        let wrong = match first {
            WhichClock::Own => WhichClock::Other,
            WhichClock::Other => WhichClock::Own,
        };
        sides.all(|side| side == first).then_some(wrong)
    }
}

fn doubt_of(other: &OtherClock, proof: &Proof, wrong: Option<WhichClock>) -> ClockDoubt {
    ClockDoubt {
        other: other.clone(),
        behind: proof.behind,
        lapse: proof.lapse,
        own_least: proof.own_least(),
        own_most: proof.own_most(),
        other_ns: proof.other_ns(),
        drift_ppm: proof.drift_ppm,
        wrong,
    }
}

/// How much was lost, about, in nanoseconds.
fn loss(doubt: &ClockDoubt) -> u128 {
    let own = i128::try_from(doubt.own_most.as_nanos()).unwrap_or(i128::MAX);
    i128::from(doubt.other_ns).saturating_sub(own).unsigned_abs()
}

fn word(which: Option<WhichClock>) -> &'static str {
    match which {
        None => "not known",
        Some(WhichClock::Own) => "this host's",
        Some(WhichClock::Other) => "the other one",
    }
}
