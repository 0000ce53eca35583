//! Who waits for the answer to which question.
//!
//! It knows no questions and no answers' meaning. The law: each question gets exactly one number and at most one
//! answer, and at most [`MOST_WAITING`] wait at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use understudy_decide::control::{Reply, RequestId};

/// The most questions that may wait for their answer at a time.
pub const MOST_WAITING: usize = 256;

/// The waiting questions. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Replies {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    askers: BTreeMap<RequestId, oneshot::Sender<Reply>>,
}

/// Too many questions wait already. Nothing was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_WAITING} requests wait for their answer already")]
pub struct TooManyWaiting;

impl Replies {
    /// A number for a new question, and where its answer will come.
    pub fn open(&self) -> Result<(RequestId, oneshot::Receiver<Reply>), TooManyWaiting> {
        let mut waiting = self.lock();
        waiting.askers.retain(|_, asker| !asker.is_closed());
        if waiting.askers.len() >= MOST_WAITING {
            return Err(TooManyWaiting);
        }
        waiting.last += 1;
        let request = RequestId(waiting.last);
        let (asker, answer) = oneshot::channel();
        waiting.askers.insert(request, asker);
        Ok((request, answer))
    }

    /// Answers a question. False if nobody waits for it any more.
    pub fn answer(&self, request: RequestId, reply: Reply) -> bool {
        self.lock().askers.remove(&request).is_some_and(|asker| asker.send(reply).is_ok())
    }

    /// Every change here is one map operation, so a poisoned lock still guards a whole map.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(text: &str) -> Reply {
        Reply::Done { text: text.to_owned() }
    }

    #[test]
    fn each_answer_finds_its_question_once() {
        let replies = Replies::default();
        let (first, mut first_answer) = replies.open().unwrap();
        let (second, mut second_answer) = replies.open().unwrap();
        assert!(replies.answer(second, done("b")));
        assert!(!replies.answer(second, done("again")));
        assert!(replies.answer(first, done("a")));
        assert_eq!((first_answer.try_recv(), second_answer.try_recv()), (Ok(done("a")), Ok(done("b"))));
    }

    #[test]
    fn the_number_of_waiting_questions_is_bounded_and_gone_askers_make_room() {
        let replies = Replies::default();
        let waiting: Vec<_> = (0..MOST_WAITING).map(|_| replies.open().unwrap()).collect();
        assert_eq!(replies.open().unwrap_err(), TooManyWaiting);
        drop(waiting);
        assert!(replies.open().is_ok());
    }
}
