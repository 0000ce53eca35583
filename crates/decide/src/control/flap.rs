//! Flap damping: a pair that changed roles too often by itself is held, loudly, and never without a way out.
//!
//! It knows no wall time. The law: only changes that were confirmed count, so that a failover which was begun and not
//! ended blocks nothing; operators' changes, and those that follow their stops and restarts, do not count and are never held; and a primary whose end is confirmed is
//! followed by the other member: at once for the first time, and after its own restart was tried for every further one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{
    Because, Event, EventKind, FlapDamping, Goal, Member, Moment, PairName, Rule, Severity,
};

use super::state::Pair;
use super::{Control, ControlRecord, Out, about_pair, event};

/// The automatic changes of one pair's roles, as far as damping needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flap {
    /// When the last ones were confirmed, oldest first; at most [`FlapDamping::MOST_CHANGES`].
    pub changes: Vec<Moment>,
    /// Further ones are held.
    pub held: Option<FlapHeld>,
}

/// Automatic changes are held.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlapHeld {
    /// Since when.
    pub since: Moment,
    /// The one failover that a confirmed end is given at once was made.
    pub spent: bool,
}

impl Flap {
    /// The same changes, moved so that the newest one is at `now`: for a clock that was started anew since. The spans
    /// between them stay, so nothing counts twice, and a hold lasts at most one span too long.
    #[must_use]
    pub fn moved_to(mut self, now: Moment) -> Self {
        let newest = self.changes.last().copied().unwrap_or(now);
        for change in &mut self.changes {
            *change = now - newest.since(*change);
        }
        if let Some(held) = &mut self.held {
            held.since = now;
        }
        self
    }

    fn within(&self, now: Moment, span: Duration) -> usize {
        self.changes.iter().filter(|change| now.since(**change) < span).count()
    }

    /// When there are few enough changes again, if nothing more changes.
    fn quiet_from(&self, damping: FlapDamping) -> Option<Moment> {
        let changes = usize::try_from(damping.changes).unwrap_or(usize::MAX);
        let counted = self.changes.len().checked_sub(changes)?;
        self.changes.get(counted).map(|change| *change + damping.within)
    }
}

impl Control {
    /// Notes that another member than before is confirmed to be primary, and holds the next change if that was one
    /// too many.
    pub(super) fn note_change(&mut self, now: Moment, name: &PairName, member: Member, out: &mut Out) {
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let before = pair.last_primary.replace(member);
        let rule = pair.because.as_ref().map(|because| because.rule);
        let asked = pair.ended_by.take().map(|(ended, _)| ended);
        let Some(before) = before.filter(|before| *before != member) else { return };
        let former = pair.spec.application(before).clone();
        // A primary that an operator stopped or restarted was followed because somebody asked for that.
        if !rule.is_some_and(is_automatic) || asked == Some(before) || self.goal(&former) == Goal::Stopped {
            return;
        }
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let damping = pair.spec.timers.flap_damping;
        pair.flap.changes.push(now);
        let most = usize::try_from(FlapDamping::MOST_CHANGES).unwrap_or(usize::MAX);
        while pair.flap.changes.len() > most {
            pair.flap.changes.remove(0);
        }
        self.unsaved_flaps.insert(name.clone());
        let counted = pair.flap.within(now, damping.within);
        if damping.changes == 0 || counted < usize::try_from(damping.changes).unwrap_or(usize::MAX) {
            return;
        }
        if pair.flap.held.is_some() {
            return;
        }
        pair.flap.held = Some(FlapHeld { since: now, spent: false });
        let text = format!(
            "{counted} automatic changes of roles within {:.0} s: further ones are held; find out why, then run: \
             scsctl flap acknowledge {name}",
            damping.within.as_secs_f64()
        );
        let because = Because::new(Rule::FlapHold, text).fact("bound", bound(damping));
        out.events.push(event(EventKind::FlapHold, Severity::Critical, about_pair(name), because));
    }

    /// Lifts a hold when the pair was quiet for long enough, or the bound was changed.
    pub(super) fn lift_hold(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(pair) = self.pairs.get_mut(name).filter(|pair| pair.flap.held.is_some()) else { return };
        let damping = pair.spec.timers.flap_damping;
        let quiet = damping.changes == 0 || pair.flap.quiet_from(damping).is_none_or(|from| from <= now);
        if !quiet {
            return;
        }
        pair.flap.held = None;
        self.unsaved_flaps.insert(name.clone());
        let because = Because::new(Rule::FlapAcknowledged, "the pair was quiet: automatic changes go on")
            .fact("bound", bound(damping));
        out.events.push(event(EventKind::FlapHold, Severity::Info, about_pair(name), because));
    }

    /// When a hold ends by itself.
    pub(super) fn hold_ends(&self, pair: &Pair) -> Option<Moment> {
        pair.flap.held.as_ref()?;
        pair.flap.quiet_from(pair.spec.timers.flap_damping)
    }

    /// Whether a confirmed end of the primary is followed by its own restart first, because the pair flaps.
    pub(super) fn flaps_on(&self, pair: &Pair, holder: Member) -> bool {
        let asked = self.goal(pair.spec.application(holder)) == Goal::Stopped;
        !asked && pair.flap.held.as_ref().is_some_and(|held| held.spent)
    }

    /// A promotion was ordered for this reason: the one at once is spent.
    pub(super) fn spend_failover(&mut self, name: &PairName, rule: Rule) {
        let Some(pair) = self.pairs.get_mut(name) else { return };
        let asked = pair.ended_by.is_some();
        if let Some(held) = pair.flap.held.as_mut().filter(|_| is_automatic(rule) && !asked) {
            held.spent = true;
            self.unsaved_flaps.insert(name.clone());
        }
    }

    /// Why changes are held; none if they are not.
    pub(super) fn held_because(&self, now: Moment, pair: &Pair) -> Option<String> {
        let held = pair.flap.held.as_ref()?;
        let damping = pair.spec.timers.flap_damping;
        let counted = pair.flap.within(now, damping.within);
        let left = self.hold_ends(pair).map_or(0.0, |ends| ends.since(now).as_secs_f64());
        let next = if held.spent {
            "a primary that ends is restarted first"
        } else {
            "one confirmed end of the primary still fails over at once"
        };
        Some(format!(
            "{counted} automatic changes of roles within {:.0} s (flap-damping is {}): further ones are held for {left:.0} s \
             or until acknowledged; {next}",
            damping.within.as_secs_f64(),
            bound(damping)
        ))
    }

    /// An operator has looked: what was is forgotten. The flap as it was, if there was anything to forget.
    pub(super) fn acknowledge(&mut self, name: &PairName, actor: &str, out: &mut Out) -> Option<Flap> {
        let pair = self.pairs.get_mut(name)?;
        if pair.flap == Flap::default() {
            return None;
        }
        let before = std::mem::take(&mut pair.flap);
        self.unsaved_flaps.remove(name);
        out.persist.push(ControlRecord::SetFlap { pair: name.clone(), flap: Flap::default() });
        let because =
            Because::new(Rule::FlapAcknowledged, "an operator acknowledged it: changes are counted anew")
                .fact("changes that were remembered", before.changes.len())
                .fact("held", if before.held.is_some() { "yes" } else { "no" });
        let told = event(EventKind::FlapHold, Severity::Info, about_pair(name), because);
        out.events.push(Event { actor: Some(actor.to_owned()), ..told });
        Some(before)
    }

    /// Stores what damping remembers, in a decision with nothing else in it: what happened is told even if this
    /// cannot be stored. Then it is stored with the next change.
    pub(super) fn save_flaps(&mut self, out: &mut Out) {
        if self.unsaved_flaps.is_empty() || !out.is_empty() {
            return;
        }
        for name in std::mem::take(&mut self.unsaved_flaps) {
            if let Some(pair) = self.pairs.get(&name) {
                out.persist.push(ControlRecord::SetFlap { pair: name, flap: pair.flap.clone() });
            }
        }
    }
}

fn bound(damping: FlapDamping) -> String {
    format!("{} in {:.0} s", damping.changes, damping.within.as_secs_f64())
}

/// Whether a promotion for this reason is one that nobody asked for.
fn is_automatic(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::PrimaryExited
            | Rule::PrimaryUnavailable
            | Rule::HostLost
            | Rule::PromiseExpired
            | Rule::PromiseReleased
            | Rule::FencedByDevice
            | Rule::OtherMemberInstead
            | Rule::MemberDemoted
    )
}
