//! What a member says of who has everything that it acknowledged: carried to the control server, and its answer back (G14).
//!
//! Refuses to know any record. The law: only the word of the member that acts in the epoch that it names is carried; whoever says
//! it gets one answer, and nothing is taken for recorded that the control server has not said to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use understudy_model::{
    ApplicationName, Epoch, InSyncAnswer, InSyncAsk, InSyncWish, Moment, PairName, RoleEpoch, ToApplication,
};

use super::out::Out;
use super::{Agent, AgentDo, LinkId, StartId};

/// Most words that wait for their answers; one beyond is refused.
const MOST_WAITING: usize = 64;

/// Words that are on their way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Words {
    /// The number of the last one.
    last: u64,
    waiting: Vec<Word>,
    /// By application: the start that spoke last, and the highest number that it counted. A link that was replaced may bring an
    /// older word after a newer one.
    heard: BTreeMap<ApplicationName, (StartId, u64)>,
    /// Words and answers that go out with the next decision that stores nothing: with one that is not stored they would be lost.
    asks: Vec<AgentDo>,
    answers: Vec<AgentDo>,
}

impl Words {
    fn answer(&mut self, name: &ApplicationName, start: StartId, number: u64, refused: Option<String>) {
        let message = ToApplication::InSyncDone { number, refused };
        self.answers.push(AgentDo::Say { application: name.clone(), start, message });
    }
}

/// A word that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Word {
    number: u64,
    link: LinkId,
    application: ApplicationName,
    start: StartId,
    /// Its number as the application counts.
    said: u64,
}

/// What a member said, as it counts.
pub(super) struct Said {
    pub number: u64,
    pub epoch: Epoch,
    pub wish: InSyncWish,
}

impl Agent {
    /// A member says who has everything.
    pub(super) fn say_in_sync(
        &mut self,
        now: Moment,
        name: &ApplicationName,
        start: StartId,
        Said { number: said, epoch, wish }: Said,
    ) {
        let before = self.words.heard.get(name).filter(|(of, _)| *of == start).map(|(_, number)| *number);
        if before.is_some_and(|before| said <= before) {
            let why = "a later word of the same process was heard before it".to_owned();
            return self.words.answer(name, start, said, Some(why));
        }
        self.words.heard.insert(name.clone(), (start, said));
        match self.carries(now, name, epoch) {
            Err(why) => self.words.answer(name, start, said, Some(why)),
            Ok((link, pair)) => {
                self.words.last += 1;
                let number = self.words.last;
                let role = RoleEpoch::new(epoch, name.clone());
                let ask = InSyncAsk { pair, incarnation: self.incarnation, number, role, wish };
                self.words.asks.push(AgentDo::SayInSync { link, ask });
                self.words.waiting.push(Word { number, link, application: name.clone(), start, said });
            }
        }
    }

    /// Where a member's word goes, and about which pair.
    fn carries(
        &self,
        now: Moment,
        name: &ApplicationName,
        epoch: Epoch,
    ) -> Result<(LinkId, PairName), String> {
        let page = self.page_of(name);
        let acts = page.may_act(now) && page.role.as_ref().is_some_and(|role| role.epoch == epoch);
        let known = self.applications.get(name).and_then(|known| known.role.as_ref());
        let Some(role) = known.filter(|_| acts) else {
            return Err(format!("{name} does not act in epoch {epoch}"));
        };
        if self.words.waiting.len() >= MOST_WAITING {
            return Err("too many words wait for their answers".to_owned());
        }
        let leading = self.controllers.iter().max_by_key(|(_, controller)| controller.epoch);
        match leading {
            Some((link, _)) => Ok((*link, role.place.pair.clone())),
            None => Err("no control server is heard: nothing can be recorded".to_owned()),
        }
    }

    /// A control server answered.
    pub(super) fn in_sync_answered(&mut self, link: LinkId, said: InSyncAnswer) {
        let fits = |word: &Word| word.link == link && word.number == said.number;
        let index = self.words.waiting.iter().position(fits).filter(|_| said.incarnation == self.incarnation);
        let Some(word) = index.map(|index| self.words.waiting.remove(index)) else { return };
        self.words.answer(&word.application, word.start, word.said, said.refused);
    }

    /// Ends the waiting of those whose answer will not come, and says the answers: of what is not known nothing is taken for
    /// recorded.
    pub(super) fn settle_words(&mut self, out: &mut Out) {
        let lives = |word: &Word| {
            self.applications.get(&word.application).is_some_and(|known| known.start == Some(word.start))
        };
        let heard = |word: &Word| self.controllers.contains_key(&word.link);
        let (waiting, over): (Vec<Word>, Vec<Word>) =
            self.words.waiting.drain(..).partition(|word| lives(word) && heard(word));
        self.words.waiting = waiting;
        let why = "the control server was lost before it answered: nobody can know what is recorded";
        for word in over.iter().filter(|word| lives(word)) {
            self.words.answer(&word.application, word.start, word.said, Some(why.to_owned()));
        }
        if out.persist.is_empty() {
            out.asks.append(&mut self.words.asks);
            out.says.append(&mut self.words.answers);
        } else {
            self.settle |= !(self.words.asks.is_empty() && self.words.answers.is_empty());
        }
    }
}
