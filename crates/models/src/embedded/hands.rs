//! The hands of an agent that is explored: they carry a decision out as a real agent's do, and judge each act by its law.
//!
//! The law: what is to be kept is kept before anything is done; an act that breaks a rule ends the history.

use std::collections::VecDeque;

use understudy_decide::agent::{Agent, AgentDo, AgentRecord, AgentSaw};
use understudy_decide::grants::holder::Page;
use understudy_model::{ApplicationName, Epoch, FromApplication, Machine, RoleEpoch, RunMode};
use understudy_model::{ToApplication, Verdict, VoteAnswer, VoteAsk};

use super::{Fate, Host, Lawful, Lie, Member, Told, attach, ended};
use crate::small_host::LEASE;

impl Host {
    /// One observation, and whatever follows from it at once.
    pub(super) fn sees(&mut self, saw: AgentSaw, lie: Option<Lie>, told: &mut Told) -> Lawful {
        let mut waiting = VecDeque::from([saw]);
        while let Some(saw) = waiting.pop_front() {
            let decision = self.agent.step(self.now, saw);
            if !decision.persist.is_empty() {
                match std::mem::replace(&mut self.fate, Fate::Kept) {
                    Fate::DiskFails => {
                        for record in &decision.persist {
                            if let AgentRecord::Close { epoch, .. } = record {
                                self.given_up = self.given_up.max(*epoch);
                            }
                        }
                        let why = "no space left".to_owned();
                        waiting.push_front(Agent::store_failed(decision.persist, why, false));
                        continue;
                    }
                    Fate::Crashes => {
                        self.keeps(&decision.persist, lie)?;
                        return self.restarts(lie, told);
                    }
                    Fate::Kept => self.keeps(&decision.persist, lie)?,
                }
            }
            for action in decision.actions {
                self.does(action, lie, told, &mut waiting)?;
            }
            self.lawful()?;
        }
        Ok(())
    }

    pub(super) fn is_own(&self, role: &RoleEpoch) -> bool {
        self.members.iter().any(|member| member.name == role.holder)
    }

    fn member(&mut self, name: &ApplicationName) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.name == *name)
    }

    fn does(
        &mut self,
        action: AgentDo,
        lie: Option<Lie>,
        told: &mut Told,
        waiting: &mut VecDeque<AgentSaw>,
    ) -> Lawful {
        match action {
            AgentDo::ShowPage { application, page } => self.shows(&application, page, lie, told),
            AgentDo::AskPeer { ask, .. } | AgentDo::AskController { ask, .. } => return self.asks(ask),
            AgentDo::AnswerPeer { answer, .. } => return self.answers(&answer, told),
            AgentDo::TellPeer { release, .. } => {
                told.reached[3] += 1;
                if release.role.epoch > self.disk.closed {
                    return Err(format!("S3: {} is released before it is closed durably", release.role));
                }
            }
            AgentDo::Report(report) => {
                let closed = report.role.map_or(Epoch::NONE, |role| role.closed);
                if closed > self.disk.closed {
                    return Err(format!("S3: {closed} is reported as closed before it is durable"));
                }
            }
            AgentDo::Spawn(spawn) => {
                if let Some(member) = self.member(&spawn.application) {
                    member.process = Some((spawn.start, spawn.run_mode, spawn.epoch));
                }
                let (application, start) = (spawn.application, spawn.start);
                waiting.push_back(AgentSaw::Spawned { application: application.clone(), start, pid: 100 });
                waiting.push_back(attach(application, start, spawn.run_mode, spawn.epoch));
            }
            AgentDo::Say { application, start, message: ToApplication::SetRunMode { run_mode, epoch } } => {
                let now = self.now;
                let running = self.member(&application).filter(|it| it.process.is_some());
                let Some(member) = running else { return Ok(()) };
                if run_mode == RunMode::Primary && !member.page.may_act(now) {
                    return Err(format!(
                        "G3: {application} is told that it is primary, and its page says no"
                    ));
                }
                member.process = Some((start, run_mode, epoch));
                let said = FromApplication::RunModeDone { run_mode, epoch };
                waiting.push_back(AgentSaw::Said { application, start, said });
            }
            AgentDo::KillTree { application, start } | AgentDo::Signal { application, start, .. } => {
                let running = |it: &&mut Member| it.process.is_some_and(|(known, ..)| known == start);
                if let Some(member) = self.member(&application).filter(running) {
                    member.process = None;
                    waiting.push_back(ended(application, start));
                }
            }
            // Nothing of these is judged, and nobody answers them here.
            _ => {}
        }
        Ok(())
    }

    fn shows(&mut self, application: &ApplicationName, page: Page, lie: Option<Lie>, told: &mut Told) {
        let now = self.now;
        if let Some(role) = page.role.clone().filter(|_| self.members.len() > 1) {
            // The agent's own second vote: it counts from its asking, which is now at the latest (G12).
            self.heard.push((role, now + LEASE));
            self.word = self.word.max(now + LEASE);
        }
        let forgotten = lie == Some(Lie::StaysShown) && page.role.is_none();
        let mixed_up = |member: &&Member| member.name != *application;
        let other = self.members.iter().find(mixed_up).map(|member| member.name.clone());
        let application = match other.as_ref().filter(|_| lie == Some(Lie::PagesMixedUp)) {
            Some(other) => other,
            None => application,
        };
        if let Some(member) = self.member(application).filter(|_| !forgotten) {
            told.reached[0] += u64::from(page.may_act(now) && !member.page.may_act(now));
            member.page = page;
        }
    }

    fn asks(&mut self, ask: VoteAsk) -> Lawful {
        let open = self.disk.promised.as_ref() == Some(&ask.role) && ask.role.epoch > self.disk.closed;
        if !open {
            return Err(format!(
                "S3: {} is asked for, and that promise is not durable or not open",
                ask.role
            ));
        }
        self.word = self.word.max(self.now + self.disk.lease);
        let sent = (ask, self.now);
        if !self.asked.contains(&sent) {
            self.asked.push(sent);
        }
        Ok(())
    }

    fn answers(&mut self, answer: &VoteAnswer, told: &mut Told) -> Lawful {
        if answer.verdict != Verdict::Given {
            told.reached[2] += 1;
            return Ok(());
        }
        told.reached[1] += 1;
        if self.disk.promised.as_ref() != Some(&answer.role) {
            return Err(format!("S3: a yes to {} that is not durable", answer.role));
        }
        self.word = self.now + self.disk.lease;
        Ok(())
    }
}
