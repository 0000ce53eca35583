//! Votes: asked of others for own members, given to the other host's member; and what is due when they run out.
//!
//! Refuses to know how a request travels. The law (G3, G4): a vote counts from the moment at which it was asked for, and a
//! member whose votes run out is demoted while there is time for it, and ended when there is none.

use understudy_model::{
    ApplicationName, Because, Epoch, EventKind, ExitCause, HostName, LastExit, Moment, OtherClock, PairName,
    Release, RoleEpoch, Rule, Severity, ToApplication, Verdict, VoteAnswer, VoteAsk,
};

use super::application::StopReason;
use super::grants::PairGrants;
use super::lifecycle::Phase;
use super::out::{Out, Unstored};
use super::role::{Part, RoleTrigger};
use super::{Agent, AgentDo, LinkId, StartId};
use crate::grants::holder::{Answer, Due, Heard, OtherVoter};
use crate::grants::{LONGEST_LEASE, Objection, Refused, Vote};

impl Agent {
    pub(super) fn peer_joined(&mut self, host: HostName, out: &mut Out) {
        // What was released while it was not heard is said again: a promise may still bind it.
        for (pair, grants) in self.grants.iter().filter(|(_, grants)| grants.place.peer_host == host) {
            if let Some(remembered) = grants.reminder(pair) {
                out.answers.push(AgentDo::RemindPeer { host: host.clone(), remembered });
            }
            let Some(closed) = self.durable.get(pair).map(|durable| durable.closed) else { continue };
            for (name, own) in &grants.own {
                if closed > Epoch::NONE && own.holder.held().is_none() {
                    let role = RoleEpoch::new(closed, name.clone());
                    let release = Release { pair: pair.clone(), role };
                    out.answers.push(AgentDo::TellPeer { host: host.clone(), release });
                }
            }
        }
        self.hasten(Some(&host));
        self.peers.insert(host);
    }

    /// Somebody who votes is heard from now on: the other agent on that host, or a control server.
    pub(super) fn hasten(&mut self, host: Option<&HostName>) {
        let concerned = |grants: &&mut PairGrants| host.is_none_or(|host| grants.place.peer_host == *host);
        for grants in self.grants.values_mut().filter(concerned) {
            grants.own.values_mut().for_each(|own| own.holder.hasten());
        }
    }

    /// The other host's agent asks for its member (G1, G2, G8).
    pub(super) fn peer_asked(&mut self, now: Moment, host: HostName, ask: VoteAsk, out: &mut Out) {
        let VoteAsk { pair, incarnation, number, role, lease } = ask;
        let known = |grants: &&mut PairGrants| grants.place.peer_host == host && grants.other == role.holder;
        if lease > LONGEST_LEASE {
            let why = format!("a lease of {} s is longer than any", lease.as_secs());
            let verdict = Verdict::Refused { promised: None, why };
            let answer = VoteAnswer { pair, incarnation, number, role, verdict, clock: None };
            return out.answers.push(AgentDo::AnswerPeer { host, answer });
        }
        // What the clock shows is filled in when it is sent.
        let answer = |verdict| {
            let (pair, role) = (pair.clone(), role.clone());
            VoteAnswer { pair, incarnation, number, role, verdict, clock: None }
        };
        let Some(grants) = self.grants.get_mut(&pair).filter(known) else {
            let why =
                format!("{} is no member of pair {pair} on {host}, as far as is known here", role.holder);
            let answer = answer(Verdict::Refused { promised: None, why });
            return out.answers.push(AgentDo::AnswerPeer { host, answer });
        };
        match grants.voter.asked(now, &role, lease) {
            Vote::Given(given) => {
                let again = std::mem::take(&mut grants.unkept).then(|| grants.voter.kept().clone());
                if let Some(kept) = given.keep.or(again) {
                    self.keep_promise(&pair, &kept, out);
                    self.unstored.push(Unstored::Vote { pair: pair.clone() });
                }
                let answer = answer(Verdict::Given);
                out.answers.push(AgentDo::AnswerPeer { host, answer });
            }
            Vote::Refused(refused) => {
                out.quiet.push(refused_because(&refused));
                let answer =
                    answer(Verdict::Refused { promised: refused.promised, why: refused.because.to_string() });
                out.answers.push(AgentDo::AnswerPeer { host, answer });
            }
        }
    }

    pub(super) fn peer_voted(&mut self, now: Moment, host: &HostName, answer: VoteAnswer, out: &mut Out) {
        let from = self.grants.get(&answer.pair).is_some_and(|grants| grants.place.peer_host == *host);
        if from {
            self.compare_clocks(now, OtherClock::Host(host.clone()), &answer, out);
            self.voted(now, OtherVoter::Peer, answer, out);
        }
    }

    /// Only a control server that is obeyed is counted: another one may not know that it leads no more.
    pub(super) fn controller_voted(&mut self, now: Moment, link: LinkId, answer: VoteAnswer, out: &mut Out) {
        if let Some(controller) = self.controllers.get(&link) {
            let other = OtherClock::Controller(controller.name.clone());
            self.compare_clocks(now, other, &answer, out);
            self.voted(now, OtherVoter::Control, answer, out);
        }
    }

    pub(super) fn peer_released(&mut self, host: &HostName, release: Release) {
        let known =
            |grants: &&mut PairGrants| grants.place.peer_host == *host && grants.other == release.role.holder;
        let Some(grants) = self.grants.get_mut(&release.pair).filter(known) else { return };
        grants.voter.released(&release.role.holder, release.role.epoch);
        grants.peer_released = grants.peer_released.max(release.role.epoch);
    }

    pub(super) fn voted(&mut self, now: Moment, voter: OtherVoter, answer: VoteAnswer, out: &mut Out) {
        let VoteAnswer { pair, incarnation, number, role, verdict, clock: _ } = answer;
        let name = role.holder.clone();
        let Some(grants) = self.grants.get_mut(&pair) else { return };
        let Some(own) = grants.own.get_mut(&name) else { return };
        match verdict {
            Verdict::Given => {
                let answer = Answer { incarnation, number, role };
                let heard = own.holder.hear(now, voter, &answer);
                let counts = matches!(heard, Heard::Extended | Heard::NoLonger) && voter == OtherVoter::Peer;
                let more = grants.peer_voted.as_ref().is_none_or(|known| known.epoch < answer.role.epoch);
                if counts && more {
                    grants.peer_voted = Some(answer.role);
                }
                if matches!(heard, Heard::Extended | Heard::NoLonger) {
                    self.confirm_heard(now, &name, number, out);
                }
            }
            Verdict::Refused { promised, why } => {
                let refused = Refused { asked: role, promised, because: Objection::Higher };
                out.quiet.push(Because::new(Rule::VoteRefused, why).fact("asked", &refused.asked));
                if own.holder.hear_refusal(now, &refused) {
                    let because =
                        Because::new(Rule::Overtaken, Rule::Overtaken.says()).fact("asked", &refused.asked);
                    let because = match &refused.promised {
                        Some(promised) => because.fact("promised", promised),
                        None => because,
                    };
                    out.events.push(self.event(EventKind::Anomaly, Severity::Warning, &name, because));
                    self.end_held(now, &name, out);
                } else if self.is_role_lost(now, voter, &pair, &refused) {
                    self.lose_role(now, &name, &refused, out);
                }
            }
        }
    }

    /// Everything that is due for the holders of this host: asking, stepping down, giving up.
    pub(super) fn look_at_grants(&mut self, now: Moment, out: &mut Out) {
        let members: Vec<(PairName, ApplicationName)> = self
            .grants
            .iter()
            .flat_map(|(pair, grants)| grants.own.keys().map(|name| (pair.clone(), name.clone())))
            .collect();
        for (pair, name) in members {
            let Some(grants) = self.grants.get(&pair) else { continue };
            let Some(own) = grants.own.get(&name) else { continue };
            let part = self.part_of(&name);
            let runs = self.applications.get(&name).is_some_and(|known| known.pid.is_some());
            // What is being stored is asked for beside that.
            let asks =
                own.holder.ask_at() <= now && self.may_ask(&pair, &name) && !self.is_being_stored(&pair);
            match own.holder.due(now, &grants.place.terms) {
                Due::GiveUp if !own.expired && part != Part::Idle => self.expire(now, &name, out),
                Due::Demote if runs && matches!(part, Part::Promoting | Part::Acting) => {
                    self.step_down(now, &name, out)
                }
                // One that waits to be started again in its role needs no demotion: an answer may still come in time.
                Due::Ask | Due::Demote if asks => self.ask(now, &pair, &name, out),
                Due::GiveUp | Due::Demote | Due::Ask | Due::Wait(_) => {}
            }
        }
    }

    /// When [`Agent::look_at_grants`] has something to do next.
    pub(super) fn grants_deadline(&self) -> Option<Moment> {
        let members = self.grants.iter().flat_map(|(pair, grants)| {
            grants.own.iter().map(move |(name, own)| (pair, &grants.place.terms, name, own))
        });
        let next = members.filter_map(|(pair, terms, name, own)| {
            let (holder, part) = (&own.holder, self.part_of(name));
            if own.expired || part == Part::Idle || holder.held().is_none() {
                return None;
            }
            let runs = self.applications.get(name).is_some_and(|known| known.pid.is_some());
            let end = match (holder.order_until(), part) {
                (Some(until), _) => until,
                (None, Part::Promoting | Part::Acting) if runs => holder.demote_at(terms),
                (None, _) => holder.may_act_until(),
            };
            Some(if self.may_ask(pair, name) { end.min(holder.ask_at()) } else { end })
        });
        // The end of a silence is told.
        let silent = self.grants.values().map(|grants| grants.voter.silent_until());
        next.chain(silent.filter(|until| *until > self.clock)).min()
    }

    pub(super) fn part_of(&self, name: &ApplicationName) -> Part {
        let role = self.applications.get(name).and_then(|known| known.role.as_ref());
        role.map_or(Part::Idle, |role| role.part)
    }

    /// Nothing is asked for a member that is being demoted or ended, for a promise that may not be on the disk or is being
    /// stored, while no guard would end it, while its page says more than it counts on, or while nobody would hear it.
    pub(super) fn may_ask(&self, pair: &PairName, name: &ApplicationName) -> bool {
        let Some(grants) = self.grants.get(pair).filter(|grants| !grants.unkept) else { return false };
        let Some(known) = self.applications.get(name) else { return false };
        let Some(own) = grants.own.get(name) else { return false };
        let ends = matches!(known.phase, Phase::Stopping | Phase::Lingering)
            || matches!(known.stopping, Some(StopReason::Fence | StopReason::Hung));
        let unguarded = own.unguarded.is_some() && own.unguarded == known.start;
        let ended = own.ended.is_some() && own.ended == known.start && known.pid.is_some();
        // A higher epoch of it is being stored, and is asked for once it is.
        let raised = grants.voter.own_role().is_some_and(|role| Some(role) != own.holder.held());
        // Its first request in a shorter epoch says that page and guard are cut: they are before it is sent (G13).
        if ends || ended || unguarded || raised || own.uncut.is_some() {
            return false;
        }
        let heard = !self.controllers.is_empty()
            || self.peers.contains(&grants.place.peer_host)
            || grants.voter.counts_twice();
        heard && self.guard_up && matches!(self.part_of(name), Part::Promoting | Part::Acting)
    }

    /// One round of asking: the own promise first, then both others (G3).
    pub(super) fn ask(&mut self, now: Moment, pair: &PairName, name: &ApplicationName, out: &mut Out) {
        if let Some((host, ask)) = self.ask_control(now, pair, name, out)
            && host != self.host
            && self.peers.contains(&host)
        {
            out.asks.push(AgentDo::AskPeer { host, ask });
        }
    }

    /// The same without the other agent; what it is to be asked. The control server's vote is there as soon as it ordered, while
    /// the other agent's is a flush of a disk away.
    pub(super) fn ask_control(
        &mut self,
        now: Moment,
        pair: &PairName,
        name: &ApplicationName,
        out: &mut Out,
    ) -> Option<(HostName, VoteAsk)> {
        let grants = self.grants.get_mut(pair)?;
        let own = grants.own.get_mut(name)?;
        let held = own.holder.held().cloned()?;
        if let Vote::Refused(refused) = grants.voter.renew_own(now, &held) {
            out.quiet.push(refused_because(&refused));
            self.end_held(now, name, out);
            return None;
        }
        let ask = own.holder.ask(now, &grants.place.terms)?;
        let (incarnation, number) = (ask.incarnation, ask.number);
        own.note_asked(now, number);
        if grants.voter.counts_twice() {
            let twin = Answer { incarnation, number, role: ask.role.clone() };
            own.holder.hear(now, OtherVoter::Twin, &twin);
        }
        let ask = VoteAsk { pair: pair.clone(), incarnation, number, role: ask.role, lease: ask.lease };
        let host = grants.place.peer_host.clone();
        for link in self.controllers.keys() {
            out.asks.push(AgentDo::AskController { link: *link, ask: ask.clone() });
        }
        Some((host, ask))
    }

    /// Only the fence budget is left: it is demoted while there is time (G4).
    fn step_down(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let because = self.run_out(now, name, Rule::GrantRunsOut);
        out.events.push(self.event(EventKind::Anomaly, Severity::Critical, name, because));
        self.part(now, name, RoleTrigger::GiveUp, out);
    }

    /// Time is over: whatever still acts is killed, and the epoch given up when it is gone (G4, G5).
    fn expire(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let because = self.run_out(now, name, Rule::GrantExpired);
        out.events.push(self.event(EventKind::Fenced, Severity::Critical, name, because));
        self.end_held(now, name, out);
    }

    fn run_out(&self, now: Moment, name: &ApplicationName, rule: Rule) -> Because {
        let mut because = Because::new(rule, rule.says());
        let Some(own) = self.own(name) else { return because };
        if let Some(held) = own.holder.held() {
            because = because.fact("role", held);
        }
        for (voter, word) in
            [(OtherVoter::Peer, "the other agent's vote"), (OtherVoter::Control, "the control server's vote")]
        {
            let until = own.holder.granted_until(voter);
            let text = if until == Moment::default() {
                "never given for this role".to_owned()
            } else if until > now {
                format!("lasts {:.3} s more", until.since(now).as_secs_f64())
            } else {
                format!("ran out {:.3} s ago", now.since(until).as_secs_f64())
            };
            because = because.fact(word, text);
        }
        because.fact("control servers heard", self.controllers.len())
    }

    /// The held role ends now, whatever its member does.
    pub(super) fn end_held(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let pair = self.applications.get(name).and_then(|known| known.role.as_ref());
        let Some(pair) = pair.map(|role| role.place.pair.clone()) else { return };
        if let Some(own) = self.grants.get_mut(&pair).and_then(|grants| grants.own.get_mut(name)) {
            own.expired = true;
        }
        if self.give_up_untold(name) {
            // Nothing acts.
            return self.part(now, name, RoleTrigger::SaidNo, out);
        }
        let Some(known) = self.applications.get_mut(name) else { return };
        let being_made = known.phase == Phase::Spawning;
        let lives = being_made || known.pid.is_some() || known.hooked() || known.phase == Phase::Lingering;
        if !lives {
            return self.part(now, name, RoleTrigger::ProcessGone, out);
        }
        known.stopping = Some(StopReason::Fence);
        known.problem = "its grants ran out: killed".to_owned();
        if let Some(part) = known.role.as_mut() {
            part.part = Part::Demoting;
            part.confirmed = false;
            part.untold = false;
            part.deadline = None;
        }
        if being_made {
            // Nothing is closed before it is known what became of it: it is killed as soon as it is there, or not let go on.
            if let Some(start) = known.start {
                out.process.push(AgentDo::KillTree { application: name.clone(), start });
            }
            return self.kill_hook(name, out);
        }
        self.kill(name, out);
    }

    pub(super) fn guard_changed(&mut self, up: bool, out: &mut Out) {
        self.guard_up = up;
        if !up {
            let because = Because::new(Rule::GuardGone, Rule::GuardGone.says());
            out.quiet.push(because);
        }
    }

    pub(super) fn guard_fired(&mut self, name: &ApplicationName, start: StartId, out: &mut Out) {
        let own = self.incarnation;
        let Some(known) = self.applications.get_mut(name) else { return };
        if known.start != Some(start) {
            // Of its own life this agent has seen the end. Of an earlier one only the guard knows that there was a process at all.
            if start.incarnation != own && known.fenced.replace(start) != Some(start) {
                let exit = LastExit { cause: ExitCause::Signal(9), wanted: false, ran_ms: 0 };
                known.last_exit.get_or_insert(exit);
                let text = "its grants ran out while its agent was gone, and its guard killed it";
                let because = Because::new(Rule::GuardFired, text)
                    .fact("started by the agent's life", start.incarnation);
                out.events.push(self.event(EventKind::Fenced, Severity::Critical, name, because));
            }
            return;
        }
        // Its end may have been observed already.
        if known.pid.is_some() {
            known.stopping.get_or_insert(StopReason::Fence);
        }
        known.problem = "its grants ran out, and its guard killed it".to_owned();
        let because = Because::new(Rule::GuardFired, Rule::GuardFired.says());
        out.events.push(self.event(EventKind::Fenced, Severity::Critical, name, because));
    }

    /// The guard does not take a start: nothing is asked for it, so that it ends in time.
    pub(super) fn guard_refused(&mut self, name: &ApplicationName, start: StartId, why: &str, out: &mut Out) {
        let pair = self.applications.get(name).and_then(|known| known.role.as_ref());
        let Some(pair) = pair.map(|role| role.place.pair.clone()) else { return };
        let Some(own) = self.grants.get_mut(&pair).and_then(|grants| grants.own.get_mut(name)) else {
            return;
        };
        own.unguarded = Some(start);
        let because = Because::new(Rule::GuardGone, format!("its guard does not take it: {why}"));
        out.quiet.push(because);
    }

    /// Tells a member with the library that it is primary.
    pub(super) fn say_primary(&self, name: &ApplicationName, out: &mut Out) {
        let Some(known) = self.applications.get(name) else { return };
        let epoch = known.role.as_ref().and_then(|role| role.role.as_ref()).map(|role| role.epoch);
        if let (Some(start), Some(epoch)) = (known.start, epoch) {
            let message = ToApplication::SetRunMode { run_mode: understudy_model::RunMode::Primary, epoch };
            out.says.push(AgentDo::Say { application: name.clone(), start, message });
        }
    }
}

fn refused_because(refused: &Refused) -> Because {
    let mut because = Because::new(Rule::VoteRefused, refused.because.to_string());
    for fact in refused.facts() {
        because = because.fact(&fact.what, fact.is);
    }
    because
}
