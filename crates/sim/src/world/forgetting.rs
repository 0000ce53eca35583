//! Agents that lose their memory: hosts that are installed anew, and files that are set back.
//!
//! Refuses to judge what follows from it. The law (A3): files are set back only while the other agents of its pairs can be
//! heard; what such an agent does before one of them has reminded it is marked.

use understudy_decide::agent::AgentDo;
use understudy_model::{PairName, Verdict};

use super::{World, empty_memory};

impl World {
    /// Power is lost, and what comes up has empty files and another identity.
    pub(super) fn reinstall(&mut self, host: usize, begins: bool) {
        if !begins {
            self.control.known_agents[host].1 = self.now;
            return;
        }
        self.power(host, true);
        let site = &mut self.agents[host];
        site.installed += 1;
        site.memory = empty_memory(host, site.installed);
        (site.earlier, site.unreminded) = (None, Vec::new());
        self.control.known_agents[host].1 = u64::MAX;
        self.laws.s4.files_changed(host, &self.cast);
        self.sometimes.reinstalled += 1;
        self.power(host, false);
    }

    /// The files are kept as they are now, and put back when the fault ends.
    pub(super) fn set_back(&mut self, host: usize, begins: bool) {
        if begins {
            self.agents[host].earlier = Some(self.agents[host].memory.clone());
            return;
        }
        let Some(earlier) = self.agents[host].earlier.take() else { return };
        let heard = |pair: &crate::cast::Couple| {
            let other =
                pair.members.map(|part| self.cast.parts[part].host).into_iter().find(|at| *at != host);
            other.is_some_and(|other| self.is_open(host, other) && self.agents[other].daemon.runs())
        };
        let of_host =
            |pair: &&crate::cast::Couple| pair.members.iter().any(|part| self.cast.parts[*part].host == host);
        let pairs: Vec<&crate::cast::Couple> = self.cast.pairs.iter().filter(of_host).collect();
        if !self.is_up(host) || !pairs.iter().all(|pair| heard(pair)) {
            return;
        }
        let names: Vec<PairName> = pairs.iter().map(|pair| pair.name.clone()).collect();
        self.agent_held_down(host, true);
        if earlier.roles != self.agents[host].memory.roles {
            self.sometimes.set_back += 1;
            self.agents[host].unreminded = names;
        }
        self.agents[host].memory = earlier;
        self.laws.s4.files_changed(host, &self.cast);
        self.agent_held_down(host, false);
    }

    /// One that may have forgotten something votes, or lets its member act.
    pub(super) fn forgetful_acts(&mut self, host: usize, action: &AgentDo) {
        if self.agents[host].unreminded.is_empty() {
            return;
        }
        let pair = match action {
            AgentDo::AnswerPeer { answer, .. } if answer.verdict == Verdict::Given => {
                Some(answer.pair.clone())
            }
            AgentDo::AskPeer { ask, .. } | AgentDo::AskController { ask, .. } => Some(ask.pair.clone()),
            AgentDo::ShowPage { application, page } if page.role.is_some() => {
                let part = self.cast.part(application);
                part.map(|part| self.cast.pairs[self.cast.parts[part].pair].name.clone())
            }
            _ => None,
        };
        let Some(pair) = pair.filter(|pair| self.agents[host].unreminded.contains(pair)) else { return };
        let number = self.cast.pair(&pair);
        if number.is_some_and(|number| self.laws.s1.is_unsure(number)) {
            self.sometimes.reminded_late += 1;
        }
    }
}
