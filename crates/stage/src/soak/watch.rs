//! Who may act, as the role pages of both members of a pair say it, looked at again and again.
//!
//! It knows pages and the boot clock, and nothing of agents. The laws: what is between two looks is told as a least and a most,
//! never guessed; a look at both pages that finds two who may act is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use understudy_model::Moment;
use understudy_page::{Page, Standing, now};

use crate::{Stage, StageError};

/// Between two looks.
const PAUSE: Duration = Duration::from_micros(500);

/// The page of one member.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
}

/// Both members of a pair, in the order of the plan.
pub(super) fn places(stage: &Stage, pair: &str) -> Result<[Place; 2], StageError> {
    let plan = stage.plan();
    let unknown = || StageError::Unexpected(format!("nobody planned pair {pair}"));
    let planned = plan.pairs.iter().find(|one| one.name == pair).ok_or_else(unknown)?;
    let place = |name: &String| -> Result<Place, StageError> {
        let one = plan.applications.iter().find(|one| one.name == *name).ok_or_else(unknown)?;
        let path = stage.sockets().join("run").join(one.host.name()).join("role").join(name);
        Ok(Place { path })
    };
    Ok([place(&planned.primary)?, place(&planned.backup)?])
}

/// What the pages of one pair said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    pub looks: u64,
    /// The longest time between two looks.
    pub longest_between: Duration,
    /// How often the primary was given more time.
    pub renewals: u64,
    /// By renewal: how much was left at least, in milliseconds. It was given between two looks; this is of the later one.
    pub left_ms: Vec<f64>,
    /// The same of the look before: no more was left than this.
    pub most_left_ms: Vec<f64>,
    /// Looks at which nobody might act.
    pub nobody: u64,
    /// Looks at which both might act: one is a violation.
    pub both: u64,
    /// When a member of this number was first seen in a higher epoch than before.
    pub moved: Option<(usize, Moment)>,
    /// Time left at the last look.
    until: Moment,
    looked: Moment,
    epoch: u64,
}

impl Seen {
    /// One look at both pages, at `now`; a page that cannot be read says nothing.
    fn look(&mut self, now: Moment, pages: [Option<Standing>; 2]) {
        self.looks += 1;
        if self.looked > Moment::default() {
            self.longest_between = self.longest_between.max(now.since(self.looked));
        }
        let acting: Vec<(usize, Standing)> = pages
            .into_iter()
            .enumerate()
            .filter_map(|(member, page)| Some((member, page.filter(|page| page.may_act(now))?)))
            .collect();
        match acting.as_slice() {
            [] => self.nobody += 1,
            [(member, page)] => self.one_acts(now, *member, *page),
            _ => self.both += 1,
        }
        self.looked = now;
    }

    fn one_acts(&mut self, now: Moment, member: usize, page: Standing) {
        if page.epoch.0 > self.epoch {
            if self.epoch > 0 {
                self.moved.get_or_insert((member, now));
            }
            self.epoch = page.epoch.0;
        } else if page.until > self.until {
            self.renewals += 1;
            self.left_ms.push(ms(self.until.since(now)));
            self.most_left_ms.push(ms(self.until.since(self.looked)));
        }
        self.until = page.until;
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// The running watch over one pair. Dropped, it ends too.
#[derive(Debug)]
pub(super) struct PageWatch {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

impl PageWatch {
    /// Begins to look at the pages of both members.
    pub fn begin(stage: &Stage, pair: &str) -> Result<Self, StageError> {
        let places = places(stage, pair)?;
        let ends = Arc::<AtomicBool>::default();
        let asked = Arc::clone(&ends);
        let thread = std::thread::Builder::new()
            .name(format!("pages of {pair}"))
            .spawn(move || watch(&places, &asked))
            .map_err(StageError::system("start a thread"))?;
        Ok(Self { ends, thread: Some(thread) })
    }

    /// Ends it; answers what was seen.
    pub fn end(mut self) -> Result<Seen, StageError> {
        self.ends.store(true, Ordering::Relaxed);
        let panicked = || StageError::Unexpected("the thread that looks at pages has panicked".to_owned());
        self.thread.take().and_then(|thread| thread.join().ok()).ok_or_else(panicked)
    }
}

impl Drop for PageWatch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

fn watch(places: &[Place; 2], ends: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut open: [Option<Page>; 2] = [None, None];
    while !ends.load(Ordering::Relaxed) {
        for (place, page) in places.iter().zip(&mut open).filter(|(_, page)| page.is_none()) {
            // A page that is not there yet says nothing; its agent makes it before it tells anybody of a role.
            *page = Page::open(&place.path).ok();
        }
        let mut pages = read(&open);
        if pages.iter().flatten().filter(|page| page.may_act(now())).count() == 2 {
            // The first may have ended before the second was read. Two looks that agree leave an instant between them.
            let again = read(&open);
            let same = |one: &Option<Standing>, other: &Option<Standing>| {
                one.map(|page| page.epoch) == other.map(|page| page.epoch)
            };
            if !pages.iter().zip(&again).all(|(one, other)| same(one, other)) {
                continue;
            }
            pages = again;
        }
        seen.look(now(), pages);
        std::thread::sleep(PAUSE);
    }
    seen
}

fn read(open: &[Option<Page>; 2]) -> [Option<Standing>; 2] {
    [0, 1].map(|member| open[member].as_ref().and_then(Page::role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use understudy_model::{Epoch, RunMode};

    fn page(epoch: u64, until_ms: u64) -> Option<Standing> {
        let until = Moment(until_ms * 1_000_000);
        Some(Standing { run_mode: RunMode::Primary, epoch: Epoch(epoch), until })
    }

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    #[test]
    fn what_was_left_at_a_renewal_lies_between_two_looks() {
        let mut seen = Seen::default();
        seen.look(at(1_000), [page(3, 1_200), None]);
        seen.look(at(1_040), [page(3, 1_200), None]);
        seen.look(at(1_050), [page(3, 1_250), Some(Standing::NOBODY)]);
        assert_eq!((seen.renewals, seen.nobody, seen.both, seen.moved), (1, 0, 0, None));
        assert_eq!((seen.left_ms.as_slice(), seen.most_left_ms.as_slice()), (&[150.0][..], &[160.0][..]));
        assert_eq!(seen.longest_between, Duration::from_millis(40));
    }

    #[test]
    fn nobody_both_and_a_move_are_seen() {
        let mut seen = Seen::default();
        seen.look(at(1_000), [page(3, 1_200), None]);
        seen.look(at(1_200), [page(3, 1_200), None]);
        assert_eq!(seen.nobody, 1, "a page that has run out lets nobody act");
        seen.look(at(1_210), [page(3, 1_200), page(4, 1_400)]);
        assert_eq!((seen.moved, seen.both), (Some((1, at(1_210))), 0));
        seen.look(at(1_220), [page(3, 1_300), page(4, 1_400)]);
        assert_eq!(seen.both, 1);
    }
}
