//! Why a pair is as it is: the facts that the rules see, and by how much each of the others misses.

use understudy_model::{ApplicationStatus, Because, Goal, Member, Moment, Nearly, PairName, Rule};

use super::Control;
use super::pair::{PairState, PairTrigger};
use super::pairs::span;
use super::state::Pair;

impl Control {
    /// A reason with every fact that the pair's rules look at, and what each of the other rules misses.
    pub(super) fn considered(&self, now: Moment, pair: &Pair, rule: Rule, reason: &str) -> Because {
        let mut because = Because::new(rule, reason);
        because = because.fact(
            "stored role",
            pair.stored
                .as_ref()
                .map_or_else(|| "none: nobody was ever primary".to_owned(), ToString::to_string),
        );
        because = self.with_asker(because, pair);
        if let Some(granting) = &pair.granting {
            because = because.fact("promise", self.promise_told(now, granting));
        }
        if let Some(kept) = &pair.kept {
            because = because.fact("have everything that was acknowledged", &kept.record);
        }
        if let Some(told) = self.lease_told(now, pair) {
            because = because.fact("lease", told);
        }
        for member in Member::BOTH {
            because = self.facts_of(because, now, pair, member);
        }
        if let Some(held) = self.held_because(now, pair) {
            because = because.fact("automatic changes", held);
        }
        self.nearly(because, now, pair, rule)
    }

    fn facts_of(&self, because: Because, now: Moment, pair: &Pair, member: Member) -> Because {
        let name = pair.spec.application(member);
        let Some(known) = self.app(pair, member) else { return because };
        let mut text = format!("{}, {}", known.status(), known.run_mode());
        match known.acting() {
            Some(role) => text.push_str(&format!(", acts in epoch {}", role.epoch)),
            None => text.push_str(", does not act"),
        }
        if let Some(host) = self.hosts.get(&known.host) {
            match host.heard {
                Some(heard) if known.heard => {
                    let ago = span(now.since(heard));
                    text.push_str(&format!(", its agent is connected; its last report came {ago} ago"));
                }
                Some(_) | None => {
                    text.push_str(&format!(", its agent is not heard: {}", host.problem));
                    if let Some(silence) = self.silence_of(now, pair, member) {
                        text.push_str(&format!("; {silence}"));
                    }
                }
            }
        }
        let mut because = because.fact(name.to_string(), text);
        if let Some(last) = known.report.as_ref().and_then(|report| report.last_exit.as_ref()) {
            because = because.fact(format!("{name} last ended"), &last.cause);
        }
        let reasons = self.not_ready_because(now, pair, member);
        let ready = if reasons.is_empty() { "yes".to_owned() } else { format!("no: {}", reasons.join("; ")) };
        because.fact(format!("{name} could be primary"), ready)
    }

    /// Why nobody takes over at this moment although the pair is not at rest; none if nothing is waited for.
    pub(super) fn held_back(&self, now: Moment, name: &PairName, pair: &Pair) -> Option<Nearly> {
        let silent = pair.holder().filter(|holder| self.may_act_unheard(pair, *holder));
        if let Some(holder) = silent {
            let (rule, missed) = self.not_lost_because(now, pair, holder)?;
            return Some(Nearly { rule, missed });
        }
        let role = pair.stored.as_ref()?;
        let (rule, missed) = match pair.state {
            PairState::Promoting => {
                let said = format!(
                    "{} was ordered to be primary in epoch {} and has not answered yet",
                    role.holder, role.epoch
                );
                (Rule::AnswerOutstanding, said)
            }
            PairState::Demoting => {
                let said =
                    format!("{} was ordered to be primary no more and has not answered yet", role.holder);
                (Rule::AnswerOutstanding, said)
            }
            PairState::Learning | PairState::Vacant | PairState::Held | PairState::Withheld => {
                if self.situation(now, name) != Some(PairTrigger::AwaitsRelease) {
                    return None;
                }
                let promise = pair.granting.as_ref().map(|granting| self.promise_told(now, granting));
                let promise = promise.map(|told| format!(": {told}")).unwrap_or_default();
                (
                    Rule::AwaitsRelease,
                    format!("{} acts no more and its agent has not given its role up{promise}", role.holder),
                )
            }
        };
        Some(Nearly { rule, missed })
    }

    /// Each rule that did not fire, and what it misses.
    fn nearly(&self, mut because: Because, now: Moment, pair: &Pair, fired: Rule) -> Because {
        for rule in [
            Rule::PrimaryExited,
            Rule::PrimaryUnavailable,
            Rule::PrimaryStopped,
            Rule::OperatorAsked,
            Rule::WaitForAgents,
            Rule::AgentSilent,
            Rule::HostLost,
            Rule::FormerHolderFirst,
            Rule::NobodyReady,
            Rule::LacksData,
        ] {
            if rule != fired
                && let Some(missed) = self.missed(now, pair, rule)
            {
                because = because.nearly(rule, missed);
            }
        }
        because
    }

    fn missed(&self, now: Moment, pair: &Pair, rule: Rule) -> Option<String> {
        let holder = pair.holder();
        let app = holder.and_then(|holder| self.app(pair, holder));
        let name = holder.map(|holder| pair.spec.application(holder));
        match rule {
            Rule::PrimaryExited => {
                let pid = app?.report.as_ref()?.pid?;
                let lives = if app?.heard { "lives" } else { "was alive when last heard" };
                Some(format!("the process of {} {lives} (pid {pid})", name?))
            }
            Rule::PrimaryUnavailable => {
                let status = app?.status();
                (status == ApplicationStatus::Started).then_some(())?;
                Some(format!("{} says that it can serve", name?))
            }
            Rule::PrimaryStopped => {
                (self.goal(name?) == Goal::Started).then_some(())?;
                Some(format!("{} should run", name?))
            }
            Rule::OperatorAsked => {
                pair.operation.is_none().then(|| "no operator asked for a change".to_owned())
            }
            Rule::WaitForAgents => {
                let heard =
                    Member::BOTH.iter().all(|member| self.app(pair, *member).is_some_and(|app| app.heard));
                heard.then(|| "both agents are heard".to_owned())
            }
            Rule::AgentSilent => {
                let host = self.hosts.get(&app?.host)?;
                let ago = span(now.since(host.heard?));
                app?.heard.then(|| {
                    let host = app.map_or("", |app| app.host.as_str());
                    format!("the agent of {host} is connected; its last report came {ago} ago")
                })
            }
            Rule::HostLost => {
                let holder = holder.filter(|holder| self.may_act_unheard(pair, *holder))?;
                self.not_lost_because(now, pair, holder).map(|(rule, missed)| format!("{missed} [{rule}]"))
            }
            // Somebody acts: nobody is being chosen.
            Rule::FormerHolderFirst | Rule::NobodyReady if self.primary_of(pair).is_some() => None,
            Rule::FormerHolderFirst => {
                let holder = holder?;
                let reasons = self.not_ready_because(now, pair, holder);
                let first =
                    reasons.first().cloned().unwrap_or_else(|| "it is ready, and comes second".to_owned());
                matches!(pair.state, PairState::Held | PairState::Vacant)
                    .then(|| format!("{}: {first}", name.map_or("", |name| name.as_str())))
            }
            Rule::NobodyReady => {
                let ready = Member::BOTH
                    .into_iter()
                    .find(|member| self.not_ready_because(now, pair, *member).is_empty())?;
                Some(format!("{} is ready", pair.spec.application(ready)))
            }
            Rule::LacksData => {
                pair.kept.as_ref()?;
                let lacks = Member::BOTH.into_iter().any(|member| self.missing(pair, member).is_some());
                (!lacks).then(|| "both members have everything that was acknowledged".to_owned())
            }
            _ => None,
        }
    }
}
