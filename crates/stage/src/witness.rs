//! Who acts, seen from outside: each member is asked to store a number, again and again, whatever happens to it.
//!
//! It knows the line protocol of the call server and the boot clock, and nothing of agents. The laws: members are asked on
//! their own hosts, so that no cut is in the way; a question that nobody answers is kept and heard whenever the answer comes,
//! so a member that wakes is caught by what it says then; nothing is counted that the answers do not prove.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::boot_ns;
use crate::net::{Place, Station};
use crate::{Stage, StageError};

/// How long an answer is waited for before the next question is asked on a connection of its own.
const PATIENCE: Duration = Duration::from_millis(20);
/// Questions that may wait for their answers; of more, the ones in the middle are given up.
const MOST_WAITING: usize = 128;

/// An answer that only a primary gives.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// Who answered: 0 or 1.
    pub member: usize,
    /// In which epoch.
    pub epoch: u64,
    /// Right before the question was sent, on the boot clock.
    pub sent_ns: u64,
    /// Right after the answer came.
    pub received_ns: u64,
}

/// A question without an answer yet.
#[derive(Debug)]
struct Asked {
    stream: TcpStream,
    sent_ns: u64,
    answer: Vec<u8>,
}

impl Asked {
    /// The whole answer, or none yet; an error if there will be none.
    fn hear(&mut self) -> std::io::Result<Option<String>> {
        let mut some = [0; 256];
        match self.stream.read(&mut some) {
            Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.answer.extend_from_slice(&some[..count]);
                let whole = self.answer.ends_with(b"\n");
                Ok(whole.then(|| String::from_utf8_lossy(&self.answer).trim_end().to_owned()))
            }
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// What was seen of both members.
#[derive(Debug, Default)]
pub struct Seen {
    /// In the order in which the answers came.
    pub acts: Vec<Act>,
    /// Answers of members that do not act.
    pub refusals: u64,
    /// Refusals to questions that had waited for longer than [`PATIENCE`]: what a member said first when it woke.
    pub late_refusals: u64,
}

/// The watch over one pair.
#[derive(Debug)]
pub struct Witness {
    ends: Arc<AtomicBool>,
    watches: Vec<JoinHandle<Seen>>,
}

impl Witness {
    /// Between two questions, if nobody wishes otherwise.
    pub const PAUSE: Duration = Duration::from_micros(500);

    /// Begins to ask both members, each from within its own network if it has one.
    fn begin(members: [(SocketAddr, Option<Arc<Place>>); 2], pause: Duration) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let watch = |(member, (address, place)): (usize, (SocketAddr, Option<Arc<Place>>))| {
            let ends = Arc::clone(&ends);
            std::thread::spawn(move || watch((member, address), place.as_deref(), pause, &ends))
        };
        Self { watches: members.into_iter().enumerate().map(watch).collect(), ends }
    }

    /// Begins to watch the call servers of a pair.
    pub fn over(stage: &Stage, pair: &str) -> Result<Self, StageError> {
        Self::asking_every(stage, pair, Self::PAUSE)
    }

    /// The same with another pause between two questions.
    pub fn asking_every(stage: &Stage, pair: &str, pause: Duration) -> Result<Self, StageError> {
        let plan = stage.plan();
        let unknown = || StageError::Unexpected(format!("nobody planned call servers of pair {pair}"));
        let planned = plan.pairs.iter().find(|one| one.name == pair).ok_or_else(unknown)?;
        let member = |name: &str| -> Result<_, StageError> {
            let one = plan.applications.iter().find(|one| one.name == name).ok_or_else(unknown)?;
            let place = stage.network().ok().map(|net| Arc::clone(net.place(Station::Host(one.host))));
            Ok((plan.served_at(one).ok_or_else(unknown)?, place))
        };
        Ok(Self::begin([member(&planned.primary)?, member(&planned.backup)?], pause))
    }

    /// Ends it; answers what was seen.
    pub fn end(self) -> Result<Seen, StageError> {
        self.ends.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for watch in self.watches {
            let panicked = |_| StageError::Unexpected("a thread that asks a member has panicked".to_owned());
            let seen = watch.join().map_err(panicked)?;
            all.acts.extend(seen.acts);
            all.refusals += seen.refusals;
            all.late_refusals += seen.late_refusals;
        }
        all.acts.sort_by_key(|act| act.received_ns);
        Ok(all)
    }
}

fn watch(
    (member, address): (usize, SocketAddr),
    place: Option<&Place>,
    pause: Duration,
    ends: &AtomicBool,
) -> Seen {
    let (mut seen, mut waiting, mut open, mut number) = (Seen::default(), Vec::<Asked>::new(), None, 0u64);
    let connect = move || TcpStream::connect_timeout(&address, PATIENCE);
    while !ends.load(Ordering::Relaxed) {
        waiting.retain_mut(|asked| !judge(member, asked, true, &mut seen));
        std::thread::sleep(pause);
        let stream = open.take().or_else(|| match place {
            Some(place) => place.run(connect).ok()?.ok(),
            None => connect().ok(),
        });
        let Some(mut stream) = stream else { continue };
        number += 1;
        let sent_ns = boot_ns();
        if stream.write_all(format!("WRITE {number}\n").as_bytes()).is_err()
            || stream.set_read_timeout(Some(PATIENCE)).is_err()
        {
            continue;
        }
        let mut asked = Asked { stream, sent_ns, answer: Vec::new() };
        if judge(member, &mut asked, false, &mut seen) {
            open = Some(asked.stream);
        } else if asked.stream.set_nonblocking(true).is_ok() {
            if waiting.len() == MOST_WAITING {
                waiting.remove(MOST_WAITING / 2);
            }
            waiting.push(asked);
        }
    }
    seen
}

/// Whether the question is over: it was answered, or never will be.
fn judge(member: usize, asked: &mut Asked, late: bool, seen: &mut Seen) -> bool {
    let Ok(heard) = asked.hear() else { return true };
    let received_ns = boot_ns();
    let Some(answer) = heard else { return false };
    let epoch = answer.split(' ').find_map(|word| word.strip_prefix("epoch=")?.parse().ok());
    match epoch {
        Some(epoch) if answer.starts_with("OK ") => {
            seen.acts.push(Act { member, epoch, sent_ns: asked.sent_ns, received_ns });
        }
        _ => {
            seen.refusals += 1;
            seen.late_refusals += u64::from(late);
        }
    }
    true
}

impl Seen {
    /// S1: nobody acted in an epoch that was over, and no epoch had two holders. Says what else was proved.
    pub fn two_acted(&self) -> Vec<String> {
        let mut found = Vec::new();
        // When the first act in each epoch was received, and whose it was.
        let mut first = BTreeMap::<u64, (usize, u64)>::new();
        for act in &self.acts {
            let (holder, _) = *first.entry(act.epoch).or_insert((act.member, act.received_ns));
            if holder != act.member {
                found.push(format!("both members act in epoch {}: {act:?}", act.epoch));
            }
            let over = first.range(act.epoch + 1..).find(|(_, (_, since_ns))| *since_ns < act.sent_ns);
            if let Some((higher, (by, since_ns))) = over {
                let late_ms = (act.sent_ns - since_ns) / 1_000_000;
                found.push(format!("{act:?}, {late_ms} ms after member {by} acted in epoch {higher}"));
            }
        }
        found
    }

    /// Every epoch in which somebody acted, with who it was.
    pub fn epochs(&self) -> BTreeMap<u64, usize> {
        self.acts.iter().map(|act| (act.epoch, act.member)).collect()
    }

    /// The longest time within `from_ns` and `to_ns` in which nobody acted, from answer to answer.
    pub fn longest_gap(&self, from_ns: u64, to_ns: u64) -> Duration {
        let moments = self.acts.iter().map(|act| act.received_ns).filter(|at| (from_ns..=to_ns).contains(at));
        let (mut last, mut longest) = (from_ns, 0);
        for at in moments.chain([to_ns]) {
            longest = longest.max(at.saturating_sub(last));
            last = at;
        }
        Duration::from_nanos(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_in_an_epoch_that_was_over_is_found_and_a_late_answer_alone_is_none() {
        let act = |member, epoch, sent_ns, received_ns| Act { member, epoch, sent_ns, received_ns };
        let seen = |acts: &[Act]| Seen { acts: acts.to_vec(), ..Seen::default() };
        assert!(seen(&[act(0, 1, 0, 1), act(1, 2, 2, 3), act(0, 1, 0, 9)]).two_acted().is_empty());
        assert_eq!(seen(&[act(0, 1, 0, 1), act(1, 2, 2, 3), act(0, 1, 4, 9)]).two_acted().len(), 1);
        assert_eq!(seen(&[act(0, 1, 0, 1), act(1, 1, 2, 3)]).two_acted().len(), 1);
        let gap = seen(&[act(0, 1, 0, 5), act(1, 2, 9, 25)]).longest_gap(0, 30);
        assert_eq!(gap, Duration::from_nanos(20));
    }
}
