//! What is armed, and what was killed.
//!
//! Knows no sockets. The laws: a slot is about one start until it is disarmed; what was fired stays fired; a word about another
//! start than the slot's changes nothing; what is due is struck before anything is searched for, and nobody waits for a search.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use understudy_model::{ApplicationName, Moment};

use super::kill::Prey;
use super::search::{Job, Searched, Searcher, Word};
use crate::message::{Answer, Post, Refusal};
use crate::{MOST_SLOTS, Start};

/// From one try to kill what is still there to the next, at first; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// And at most: one that the kernel cannot end now must not cost a core for ever.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

struct Slot {
    start: Start,
    application: ApplicationName,
    kill_at: Moment,
    prey: Arc<Prey>,
    state: State,
}

enum State {
    /// Until its moment.
    Armed,
    /// Something of it was alive when last looked at. Searched for again at a moment, or now where there is none.
    Firing { at: Moment, again_at: Option<Moment>, pause: Duration },
    /// Nothing of it is left.
    Gone { at: Moment, gone_at: Moment },
}

impl Slot {
    fn post(&self, slot: usize) -> Post {
        // Slots are few.
        Post { slot: slot as u16, start: self.start }
    }

    /// What it is, for whoever asks.
    fn answer(&self, slot: usize) -> Answer {
        let (post, kill_at, application) = (self.post(slot), self.kill_at, self.application.clone());
        match self.state {
            State::Armed => Answer::Armed { post, kill_at, application },
            State::Firing { at, .. } => Answer::Fired { post, kill_at, at, gone_at: None, application },
            State::Gone { at, gone_at } => {
                Answer::Fired { post, kill_at, at, gone_at: Some(gone_at), application }
            }
        }
    }

    fn due_at(&self) -> Option<Moment> {
        match self.state {
            State::Armed => Some(self.kill_at),
            State::Firing { again_at, .. } => again_at,
            State::Gone { .. } => None,
        }
    }

    /// The first blow. Returns whether there is news.
    fn strike(&mut self, now: Moment) -> bool {
        if !matches!(self.state, State::Armed) || now < self.kill_at {
            return false;
        }
        self.prey.strike();
        let again_at = Some(crate::now() + FIRST_PAUSE);
        self.state = State::Firing { at: now, again_at, pause: FIRST_PAUSE };
        true
    }

    /// What is to be searched for now.
    fn due_search(&mut self, slot: usize, now: Moment) -> Option<Job> {
        let State::Firing { again_at, .. } = &mut self.state else { return None };
        again_at.take_if(|again_at| now >= *again_at)?;
        Some(Job { slot: slot as u16, prey: Arc::clone(&self.prey) })
    }

    /// Whoever searched for it has ended.
    fn search_again(&mut self, now: Moment) {
        if let State::Firing { again_at: again_at @ None, .. } = &mut self.state {
            *again_at = Some(now);
        }
    }

    /// It was searched for. Returns whether there is news.
    fn learn(&mut self, gone_at: Option<Moment>) -> bool {
        let State::Firing { at, again_at: None, pause } = self.state else { return false };
        match gone_at {
            Some(gone_at) => self.state = State::Gone { at, gone_at },
            None => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                self.state = State::Firing { at, again_at: Some(crate::now() + pause), pause };
            }
        }
        gone_at.is_some()
    }
}

/// All slots.
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    /// None where no thread could be had: it is searched where it is decided then, after everything that is due was struck.
    searcher: Option<Searcher>,
}

impl Slots {
    pub(super) fn new(searcher: Option<Searcher>) -> Self {
        Self { slots: (0..MOST_SLOTS).map(|_| None).collect(), searcher }
    }

    /// Readable when something was found that [`Self::fire`] should know.
    pub(super) fn bell(&self) -> Option<BorrowedFd<'_>> {
        self.searcher.as_ref().map(Searcher::bell)
    }

    pub(super) fn arm(
        &mut self,
        post: Post,
        kill_at: Moment,
        application: ApplicationName,
        group: Option<PathBuf>,
        descriptor: Option<OwnedFd>,
    ) -> Answer {
        let index = usize::from(post.slot);
        let refused = |why| Answer::Refused { post: post.clone(), why };
        let Some(place) = self.slots.get_mut(index) else { return refused(Refusal::NoSlot) };
        match place {
            Some(other) if other.start != post.start => return refused(Refusal::Taken),
            // Too late: what was fired stays fired.
            Some(same) if !matches!(same.state, State::Armed) => return same.answer(index),
            Some(_) | None => {}
        }
        let Some(descriptor) = descriptor else { return refused(Refusal::NoProcess) };
        match Prey::new(post.start, &application, descriptor, group) {
            Ok(prey) => {
                let (start, state, prey) = (post.start, State::Armed, Arc::new(prey));
                place.insert(Slot { start, application, kill_at, prey, state }).answer(index)
            }
            Err(why) => refused(why),
        }
    }

    fn of(&mut self, post: &Post) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(post.slot))?.as_mut().filter(|slot| slot.start == post.start)
    }

    /// Another moment, for what is armed.
    pub(super) fn move_to(&mut self, post: &Post, kill_at: Moment) {
        if let Some(slot) = self.of(post).filter(|slot| matches!(slot.state, State::Armed)) {
            slot.kill_at = kill_at;
        }
    }

    /// Frees a slot. What is being killed is killed to its end first.
    pub(super) fn disarm(&mut self, post: &Post) {
        if self.of(post).is_some_and(|slot| !matches!(slot.state, State::Firing { .. })) {
            self.slots[usize::from(post.slot)] = None;
        }
    }

    /// Everything.
    pub(super) fn list(&self) -> impl Iterator<Item = Answer> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| slot.as_ref().map(|slot| slot.answer(index)))
    }

    /// Kills whatever is due, and says what is new.
    pub(super) fn fire(&mut self, now: Moment) -> Vec<Answer> {
        let mut news = Vec::new();
        let mut struck = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot
                && slot.strike(now)
            {
                struck.push(Arc::clone(&slot.prey));
                news.push(slot.answer(index));
            }
        }
        // Every main process first: nobody's waits for another one's group.
        struck.iter().for_each(|prey| prey.strike_group());
        self.hear_searcher(now, &mut news);
        for index in 0..self.slots.len() {
            let job = self.slots[index].as_mut().and_then(|slot| slot.due_search(index, now));
            if let Some(Job { slot, prey }) = job.and_then(|job| self.hand_over(job)) {
                let gone_at = prey.kill().then(crate::now);
                news.extend(self.learn(&Searched { slot, gone_at }));
            }
        }
        news
    }

    fn hear_searcher(&mut self, now: Moment, news: &mut Vec<Answer>) {
        while let Some(searcher) = &self.searcher {
            match searcher.hear() {
                Word::Searched(searched) => news.extend(self.learn(&searched)),
                Word::Nothing => return,
                Word::Ended => {
                    self.searcher = None;
                    self.slots.iter_mut().flatten().for_each(|slot| slot.search_again(now));
                }
            }
        }
    }

    /// Has it searched for; a job that nobody takes comes back.
    fn hand_over(&self, job: Job) -> Option<Job> {
        match &self.searcher {
            Some(searcher) => searcher.search(job).err(),
            None => Some(job),
        }
    }

    fn learn(&mut self, searched: &Searched) -> Option<Answer> {
        let index = usize::from(searched.slot);
        let slot = self.slots.get_mut(index)?.as_mut()?;
        slot.learn(searched.gone_at).then(|| slot.answer(index))
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Moment> {
        self.slots.iter().flatten().filter_map(Slot::due_at).min()
    }

    /// Something is armed or being killed.
    pub(super) fn is_busy(&self) -> bool {
        self.slots.iter().flatten().any(|slot| !matches!(slot.state, State::Gone { .. }))
    }

    /// Something was killed, and nobody has said that he knows.
    pub(super) fn remembers(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Child, Command};

    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use understudy_model::{AgentId, Incarnation};

    use super::super::search::write_word;
    use super::*;

    fn post(number: u64) -> Post {
        let start = Start { agent: AgentId(7), incarnation: Incarnation(9), number };
        Post { slot: number as u16, start }
    }

    /// Arms the slot of that number with a process that would live for long.
    fn arm(slots: &mut Slots, number: u64, kill_at: Moment) -> Child {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        let application = ApplicationName::new("app").unwrap();
        let armed = slots.arm(post(number), kill_at, application, None, Some(process));
        assert!(matches!(armed, Answer::Armed { .. }), "{armed:?}");
        child
    }

    fn slots_of(news: &[Answer]) -> Vec<u16> {
        let slot = |answer: &Answer| match answer {
            Answer::Fired { post, .. } => post.slot,
            other => panic!("{other:?}"),
        };
        news.iter().map(slot).collect()
    }

    #[test]
    fn whoever_is_due_is_struck_while_another_is_searched_for() {
        // The other side takes jobs, and never comes to an end with one.
        let (searcher, jobs, _tell) = Searcher::parts().unwrap();
        let mut slots = Slots::new(Some(searcher));
        let first_at = crate::now();
        let later = first_at + Duration::from_secs(3_600);
        let (mut first, mut second) = (arm(&mut slots, 1, first_at), arm(&mut slots, 2, later));
        assert_eq!(slots_of(&slots.fire(first_at)), [1]);
        assert!(!first.wait().unwrap().success());
        // Only now, though it was due: whatever else is due goes before any search.
        assert_eq!(jobs.try_iter().count(), 0);
        assert_eq!(slots_of(&slots.fire(later - Duration::from_nanos(1))), []);
        assert_eq!(jobs.try_iter().map(|job| job.slot).collect::<Vec<_>>(), [1]);
        assert!(second.try_wait().unwrap().is_none());
        assert_eq!(slots_of(&slots.fire(later)), [2]);
        assert!(!second.wait().unwrap().success());
        assert!(slots.is_busy());
        // Searched for by one at a time: it is in work.
        slots.fire(later + Duration::from_secs(60));
        assert_eq!(jobs.try_iter().map(|job| job.slot).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_cannot_be_killed_is_searched_for_more_and_more_rarely() {
        let (searcher, jobs, mut tell) = Searcher::parts().unwrap();
        let mut slots = Slots::new(Some(searcher));
        let mut child = arm(&mut slots, 1, Moment(1));
        assert_eq!(slots_of(&slots.fire(crate::now())), [1]);
        child.wait().unwrap();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            // Whenever that is: it is asked for at a moment that has come.
            slots.fire(slots.next().unwrap());
            assert_eq!(jobs.try_iter().count(), 1);
            assert_eq!(slots.next(), None, "nothing is to be done before it was searched for");
            tell.write_all(&write_word(&Searched { slot: 1, gone_at: None })).unwrap();
            let before = crate::now();
            assert_eq!(slots.fire(Moment(0)), []);
            let next = slots.next().unwrap();
            let most = next.since(before);
            let least = next.since(crate::now());
            pauses.push((least, most));
        }
        for (number, (least, most)) in pauses.into_iter().enumerate() {
            let pause = (FIRST_PAUSE * 2_u32.pow(number as u32 + 1)).min(LONGEST_PAUSE);
            assert!(least <= pause && pause <= most, "{number}: {least:?}, {most:?}");
        }
        assert!(LONGEST_PAUSE >= Duration::from_secs(1));
        slots.fire(slots.next().unwrap());
        tell.write_all(&write_word(&Searched { slot: 1, gone_at: Some(Moment(77)) })).unwrap();
        let news = slots.fire(Moment(0));
        assert!(matches!(news[..], [Answer::Fired { gone_at: Some(Moment(77)), .. }]), "{news:?}");
        assert!(!slots.is_busy() && slots.remembers());
    }

    #[test]
    fn where_nobody_searches_it_is_done_here() {
        let (searcher, jobs, tell) = Searcher::parts().unwrap();
        let mut nobody = Some((jobs, tell));
        for searcher in [None, Some(searcher)] {
            let mut slots = Slots::new(searcher);
            let mut child = arm(&mut slots, 1, Moment(1));
            assert_eq!(slots_of(&slots.fire(crate::now())), [1]);
            assert!(!child.wait().unwrap().success());
            let later = crate::now() + Duration::from_secs(60);
            let mut news = slots.fire(later);
            let limit = std::time::Instant::now() + Duration::from_secs(20);
            while news.is_empty() && std::time::Instant::now() < limit {
                // It was handed over, and then whoever took it ended. A child of another test may hold the other end of the pipe
                // for the moment before it becomes its program.
                drop(nobody.take());
                std::thread::yield_now();
                news = slots.fire(later);
            }
            assert!(matches!(news[..], [Answer::Fired { gone_at: Some(_), .. }]), "{news:?}");
        }
        assert!(nobody.is_none());
    }
}
