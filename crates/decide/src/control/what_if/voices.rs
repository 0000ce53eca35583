//! What agents do alone: what holds a primary up, what stops it, and what becomes of each pair in the end.
//!
//! It decides nothing: it says which of the voters of a pair are left, and what the rules of grants make of that. The law: a
//! `strict` primary acts while its agent's vote and one more are renewed, and no longer.

use std::time::Duration;

use understudy_model::{Because, HostName, Member, PairName, Policy, RestartPolicy, Rule, Severity};

use super::super::about_pair;
use super::super::state::Pair;
use super::super::view::{ClusterView, PairView};
use super::{ForeseenPair, Foresight, Night};

/// What holds the present primary of a pair up.
pub(super) struct Voice {
    primary: Option<Member>,
    /// A sentence each.
    holds: Vec<String>,
    /// When it acts no more at the latest, by whom, and why.
    stops: Option<(Duration, String, String)>,
    /// It goes on although nobody here may know.
    lives: bool,
}

impl Night {
    /// Looks at the votes of a pair, before anything is decided.
    pub(super) fn voice_of(&self, name: &PairName) -> Option<Voice> {
        let pair = self.control.pairs.get(name)?;
        let acts = |member: &Member| {
            self.control.app(pair, *member).is_some_and(|app| app.acting().is_some())
                || self.control.unheard_may_act(self.began, pair, *member)
        };
        let primary = self.control.primary_of(pair).or_else(|| pair.holder().filter(acts));
        let mut voice = Voice { primary, holds: Vec::new(), stops: None, lives: false };
        let Some(member) = primary else { return Some(voice) };
        let Some(app) = self.control.app(pair, member) else { return Some(voice) };
        let (application, host) = (pair.spec.application(member), &app.host);
        let agent = format!("agent of {host}");
        if self.dead.contains(host) {
            let text = format!("{application} is gone with its host");
            voice.stops = Some((Duration::ZERO, format!("host {host}"), text));
        } else if self.crashed.as_ref() == Some(application) {
            voice.stops = Some((Duration::ZERO, agent, format!("the process of {application} has ended")));
        } else if pair.spec.policy == Policy::Available {
            voice.lives = true;
            voice.holds.push(format!("policy available: {application} goes on whoever hears it"));
        } else if self.without_agent.contains(host) {
            let text = format!(
                "nobody renews {application}: its role page runs out and its guard kills it then, unless the agent is back and \
                 renews before"
            );
            voice.stops = Some((pair.spec.terms().share(), format!("guard of {host}"), text));
        } else {
            self.hear_votes(name, pair, member, host, &mut voice);
        }
        Some(voice)
    }

    fn hear_votes(&self, name: &PairName, pair: &Pair, member: Member, host: &HostName, voice: &mut Voice) {
        let application = pair.spec.application(member);
        let Some(peer) = self.control.app(pair, member.other()).map(|app| app.host.clone()) else { return };
        let reached = self.control.app(pair, member).is_some_and(|app| app.heard);
        if self.control.same_host(pair) {
            voice.holds.push(format!("both members are on host {host}: the vote of its agent counts twice"));
        }
        if self.renewed_by_peer(pair, member) {
            voice.holds.push(format!("the agent of {peer} renews {application}"));
        }
        if reached && !self.headless && !self.cut.contains(host) {
            voice.holds.push(format!("this control server renews {application}"));
        }
        voice.lives = !voice.holds.is_empty();
        if voice.lives {
            return;
        }
        let (share, budget) = (pair.spec.terms().share(), pair.spec.terms().fence_budget);
        let text = format!(
            "{application} hears neither the agent of {peer} nor a control server: it is asked to step down {budget:?} before \
             its votes for pair {name} run out, and killed then"
        );
        voice.stops = Some((share, format!("agent of {host}"), text));
    }

    /// Tells what agents do, beside what is decided.
    pub(super) fn tell_voices(&mut self, voices: &std::collections::BTreeMap<PairName, Voice>) {
        for (name, voice) in voices {
            if let Some((after, who, what)) = &voice.stops {
                let (who, what, severity) = (who.clone(), what.clone(), Severity::Warning);
                let about = about_pair(name);
                self.tell(Foresight { after: *after, who, about, severity, what, because: None });
                if !after.is_zero() {
                    self.assume("votes were given right before: what runs out does so at its latest");
                }
            }
        }
        if let Some(step) = self.restart_in_place() {
            self.tell(step);
        }
        if self.headless {
            self.assume(
                "nobody is failed over before a control server leads again; a primary whose process ends meanwhile is started \
                 again in place by its agent, while its votes last",
            );
        }
    }

    /// What its agent does with an application whose process ended.
    fn restart_in_place(&self) -> Option<Foresight> {
        let name = self.crashed.as_ref()?;
        let host = &self.control.applications.get(name)?.host;
        let spec = self.control.cluster.as_ref()?.applications.get(name)?;
        let about = understudy_model::Subject { application: Some(name.clone()), ..Default::default() };
        let what = match spec.restart {
            RestartPolicy::Never => format!("{name} is left as it is: restart is never"),
            restart @ (RestartPolicy::Always | RestartPolicy::OnFailure) => {
                format!("{name} is started again, as restart is {restart}")
            }
        };
        let who = format!("agent of {host}");
        Some(Foresight { after: Duration::ZERO, who, about, severity: Severity::Info, what, because: None })
    }

    /// What became of a pair.
    pub(super) fn outcome(
        &self,
        name: &PairName,
        before: &ClusterView,
        after: &ClusterView,
        voice: &Voice,
    ) -> Option<ForeseenPair> {
        let find = |view: &ClusterView| -> Option<PairView> {
            view.pairs.iter().find(|pair| pair.name == *name).cloned()
        };
        let (before, after) = (find(before)?, find(after)?);
        let known = self.control.pairs.get(name)?;
        let now_primary = voice.primary.map(|member| known.spec.application(member).clone());
        let heard = after.primary.clone().filter(|_| after.primary_heard && !self.headless);
        let goes_on = now_primary.clone().filter(|_| voice.lives);
        let then = heard.clone().or_else(|| goes_on.clone());
        let beside = heard.is_some() && goes_on.is_some() && heard != goes_on;
        // What the control server cannot know is known here: whoever was left behind on a dead host does not act.
        let two_may_act = beside || after.two_act;
        let changed = self.changed.get(name).filter(|_| then != now_primary);
        let mut holds = voice.holds.clone();
        holds.extend(voice.stops.as_ref().map(|(after, _, what)| match after.is_zero() {
            true => what.clone(),
            false => format!("{what}, at the latest {after:?} after the beginning"),
        }));
        let because = if self.headless { self.without_decisions(&before) } else { after.considered };
        Some(ForeseenPair {
            pair: name.clone(),
            policy: before.policy,
            primary_now: now_primary,
            primary_then: then,
            changed_after: changed.map(|at| at.since(self.began)),
            two_may_act,
            holds,
            because,
        })
    }

    fn without_decisions(&self, pair: &PairView) -> Because {
        let text = "no control server leads: nobody is promoted";
        let because = Because::new(Rule::WaitForAgents, text);
        because.fact("backup", &pair.backup).fact("ready", if pair.ready { "yes" } else { "no" })
    }
}
