//! The story of a pair for people: who is primary now, and who was left behind.
//!
//! Nothing is decided here. The law: a primary that cannot be heard has not gone by that, and each change is told once.

use understudy_model::{Because, Event, EventKind, Member, Moment, PairName, Rule, Severity, Subject};

use super::pairs::span;
use super::state::{LeftBehind, Pair};
use super::{Control, Out, about_pair, event};

impl Control {
    /// A member that was left behind on a lost host is heard again: how long two may have acted is said.
    pub(super) fn look_at_left_behind(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        let Some(left) = known.left_behind.clone() else { return };
        if self.app(known, left.member).is_none_or(|app| !app.heard) {
            return;
        }
        let acts = self.acts(known, left.member).is_some();
        if acts && known.holder() != Some(left.member) {
            if let Some(known) = self.pairs.get_mut(name).filter(|_| !left.seen) {
                known.two_acted = known.two_acted.saturating_add(1);
                known.left_behind = Some(LeftBehind { seen: true, ..left });
            }
            return;
        }
        let application = known.spec.application(left.member).clone();
        let for_how_long = span(now.since(left.since));
        let text = if left.seen {
            format!("{application} serves no more; two may have acted for {for_how_long}")
        } else {
            format!("{application} is heard again after {for_how_long} and does not act in its former role")
        };
        let mut because = Because::new(Rule::HostReturned, text);
        if let Some(role) = &left.role {
            because = because.fact("former role", role);
        }
        because = because.fact("found acting in this leadership", known.two_acted);
        let severity = if left.seen { Severity::Warning } else { Severity::Info };
        let about = Subject { application: Some(application), ..about_pair(name) };
        let kind = if left.seen { EventKind::Anomaly } else { EventKind::HostRunning };
        out.events.push(event(kind, severity, about, because));
        if let Some(known) = self.pairs.get_mut(name) {
            known.left_behind = None;
        }
    }

    /// Tells the story when another member is seen to be primary, or none.
    ///
    /// A holder that a new leadership finds acting is primary as before: that is told as kept, not as a change.
    pub(super) fn show_primary(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(known) = self.pairs.get(name) else { return };
        let primary = self.serving(now, known);
        let shown = known.shown_primary;
        if primary == shown {
            return;
        }
        // A primary that is silent, or whose agent has just come back, is not known to have gone.
        let may_act = |member: Member| {
            self.acts_now(now, known, member).is_some() || self.may_act_unheard(known, member)
        };
        if primary.is_none() && shown.is_some_and(may_act) {
            return;
        }
        let word = |member: Option<Member>| member.map(|member| known.spec.application(member).to_string());
        let epoch = known.stored.as_ref().map(|stored| stored.epoch);
        let because = match primary {
            Some(member) => {
                let why = known.because.clone();
                let text = format!(
                    "{} is primary in epoch {}",
                    known.spec.application(member),
                    epoch.unwrap_or_default()
                );
                let told = Because::new(Rule::SoleActing, text);
                why.map_or(told.clone(), |why| told.fact("decided by", why.rule).fact("because", why.reason))
            }
            None => match shown.filter(|member| self.app(known, *member).is_none_or(|app| !app.heard)) {
                Some(member) => self.over_unheard(known, member),
                None => Because::new(Rule::MemberDemoted, "no member acts as primary"),
            },
        };
        let severity = if primary.is_some() { Severity::Info } else { Severity::Warning };
        let kept = known.because.as_ref().is_none_or(|because| because.rule == Rule::ActingHolderKept);
        let kind = if kept && shown.is_none() { EventKind::RoleKept } else { EventKind::RoleChanged };
        let about = Subject {
            application: primary.or(shown).map(|member| known.spec.application(member).clone()),
            ..about_pair(name)
        };
        let (because_unheard, text) = (because.rule != Rule::MemberDemoted, because.reason.clone());
        let told =
            Event { from: word(shown), to: word(primary), epoch, ..event(kind, severity, about, because) };
        out.events.push(told);
        let operation = known.told_of_change();
        let step = match (primary, shown) {
            (Some(member), _) => {
                Some(format!("{} confirmed that it is primary", known.spec.application(member)))
            }
            (None, Some(_)) if because_unheard => Some(text),
            (None, Some(member)) => Some(format!("{} serves no more", known.spec.application(member))),
            (None, None) => None,
        };
        if let Some(step) = step {
            self.step_of(now, operation, step);
        }
        if let Some(known) = self.pairs.get_mut(name) {
            known.shown_primary = primary;
            known.changed |= kind == EventKind::RoleChanged;
        }
        if let Some(member) = primary {
            self.note_change(now, name, member, out);
        }
    }

    /// Why a member that is not heard is primary no more: nobody saw it end.
    fn over_unheard(&self, pair: &Pair, member: Member) -> Because {
        let name = pair.spec.application(member);
        let rule = match &pair.granting {
            Some(granting) => self.gone_rule(pair, granting, member),
            None if pair.forced.is_some() && pair.forced == pair.stored => Rule::OperatorForced,
            None => Rule::HostLost,
        };
        let text = match rule {
            Rule::OperatorForced => {
                format!("{name} is given up by an operator's word, and was not heard to end")
            }
            Rule::HostLost => format!("{name} is not heard, and its host counts as lost: it may still act"),
            Rule::FencedByDevice => format!("{name} is not heard, and its host was switched off"),
            _ => format!("{name} is not heard, and its role is over: nobody is bound to it any more"),
        };
        let because = Because::new(rule, text);
        match &pair.stored {
            Some(role) => because.fact("role", role),
            None => because,
        }
    }
}
