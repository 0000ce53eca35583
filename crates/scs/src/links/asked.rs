//! Questions for output that agents were asked and have not answered.
//!
//! Refuses to know who waits. The law: they are bounded, and each is given up with its link.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use understudy_model::{ApplicationName, HostName, LogAnswer, LogPiece, LogPlace, LogQuestion};
use understudy_wire::{LOGS_SINCE, ToAgent};

use super::Links;

/// Most questions without an answer.
const MOST_ASKED: usize = 256;

/// Why an agent was not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// There is no link.
    #[error("the agent of host {0} is not heard")]
    NoLink(HostName),
    /// It would not understand.
    #[error(
        "the agent of host {host} is too old: it speaks version {version}, and output is read from version {LOGS_SINCE} on"
    )]
    TooOld {
        /// Which host.
        host: HostName,
        /// What it speaks.
        version: u16,
    },
    /// Too much waits already.
    #[error("too many questions to agents wait for an answer")]
    Busy,
}

/// All of them. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    answers: BTreeMap<u64, (HostName, oneshot::Sender<Result<LogPiece, String>>)>,
}

impl Asked {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Every change is one insertion or removal.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer came; one that nobody waits for any more is dropped.
    pub(super) fn answered(&self, host: &HostName, answer: LogAnswer) {
        let mut waiting = self.waiting();
        // An agent answers for itself only.
        if waiting.answers.get(&answer.id).is_some_and(|(asked, _)| asked == host)
            && let Some((_, sender)) = waiting.answers.remove(&answer.id)
        {
            let _ = sender.send(answer.outcome);
        }
    }

    /// The link to a host ended: nobody waits for its answers any more.
    pub(super) fn lost(&self, host: &HostName) {
        self.waiting().answers.retain(|_, (asked, _)| asked != host);
    }
}

impl Links {
    /// Asks the agent of a host for a piece of output. The answer is dropped unheard if the link ends first.
    pub fn read_logs(
        &self,
        host: &HostName,
        application: &ApplicationName,
        from: LogPlace,
    ) -> Result<oneshot::Receiver<Result<LogPiece, String>>, NotAsked> {
        let table = self.table();
        let Some(link) = table.get(host).and_then(|slot| slot.open.as_ref()) else {
            return Err(NotAsked::NoLink(host.clone()));
        };
        if link.version < LOGS_SINCE {
            return Err(NotAsked::TooOld { host: host.clone(), version: link.version });
        }
        let mut waiting = self.asked.waiting();
        // Whoever asked may have gone since.
        waiting.answers.retain(|_, (_, sender)| !sender.is_closed());
        if waiting.answers.len() >= MOST_ASKED {
            return Err(NotAsked::Busy);
        }
        waiting.last += 1;
        let id = waiting.last;
        let question = LogQuestion { id, application: application.clone(), from };
        if link.sender.try_send(&ToAgent::ReadLogs(question)).is_err() {
            return Err(NotAsked::Busy);
        }
        let (sender, answer) = oneshot::channel();
        waiting.answers.insert(id, (host.clone(), sender));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> HostName {
        HostName::new(name).unwrap()
    }

    fn ask(asked: &Asked, id: u64, name: &str) -> oneshot::Receiver<Result<LogPiece, String>> {
        let (sender, answer) = oneshot::channel();
        asked.waiting().answers.insert(id, (host(name), sender));
        answer
    }

    #[test]
    fn an_agent_answers_for_itself_and_a_lost_link_answers_nothing() {
        let asked = Asked::default();
        let (mut one, mut other) = (ask(&asked, 1, "alpha"), ask(&asked, 2, "beta"));
        let answer = |id| LogAnswer { id, outcome: Err("x".to_owned()) };
        asked.answered(&host("beta"), answer(1));
        asked.answered(&host("beta"), answer(99));
        assert!(one.try_recv().is_err());
        asked.answered(&host("alpha"), answer(1));
        assert_eq!(one.try_recv(), Ok(Err("x".to_owned())));
        asked.lost(&host("beta"));
        assert_eq!(other.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
