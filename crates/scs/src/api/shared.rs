//! One look at the machine for everybody who waits for one.
//!
//! It knows nothing of what is seen. The law: whoever asks sees nothing older than the question, or than it says it may be;
//! and however many ask, and hang up, one look is under way at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The least time between two looks: askers in a loop share the machine's time with those who do its work.
const APART: Duration = Duration::from_millis(5);

/// What was seen last. Clones share it.
#[derive(Debug)]
pub struct Shared<T> {
    last: Arc<Mutex<Option<Seen<T>>>>,
}

#[derive(Debug)]
struct Seen<T> {
    /// When the look was asked for.
    at: Instant,
    what: Arc<T>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { last: Arc::clone(&self.last) }
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { last: Arc::default() }
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// What `look` sees, or what another asker saw no earlier than `age` before this question. `None` if there is nothing to
    /// look at any more.
    pub async fn see<F>(&self, age: Duration, look: impl FnOnce() -> F) -> Option<Arc<T>>
    where
        F: Future<Output = Option<T>> + Send + 'static,
    {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let former = last.as_ref().map(|seen| seen.at);
        if let Some(seen) = last.as_ref().filter(|seen| seen.at + age >= asked) {
            return Some(Arc::clone(&seen.what));
        }
        let looking = look();
        // A task of its own: an asker who goes away leaves no look behind that nobody counts.
        let task = tokio::spawn(async move {
            if let Some(former) = former {
                tokio::time::sleep_until(former + APART).await;
            }
            let at = Instant::now();
            let what = Arc::new(looking.await?);
            *last = Some(Seen { at, what: Arc::clone(&what) });
            Some(what)
        });
        task.await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Looks that are counted, and take a while.
    fn count(looks: &Arc<AtomicU32>) -> impl Future<Output = Option<u32>> + Send + 'static {
        let looks = Arc::clone(looks);
        async move {
            let number = looks.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some(number)
        }
    }

    #[tokio::test]
    async fn a_crowd_shares_two_looks_and_nobody_sees_what_was_before_the_question() {
        let (shared, looks) = (Shared::default(), Arc::new(AtomicU32::new(0)));
        let ask = || {
            let (shared, looks) = (shared.clone(), Arc::clone(&looks));
            tokio::spawn(async move { shared.see(Duration::ZERO, || count(&looks)).await.map(|seen| *seen) })
        };
        let crowd: Vec<_> = (0..100).map(|_| ask()).collect();
        for asker in crowd {
            assert!(asker.await.unwrap().is_some());
        }
        let of_crowd = looks.load(Ordering::Relaxed);
        assert!(of_crowd <= 2, "{of_crowd} looks");
        assert_eq!(ask().await.unwrap(), Some(of_crowd + 1), "a later question gets a look of its own");
    }

    #[tokio::test]
    async fn askers_who_hang_up_leave_one_look_under_way() {
        let (shared, looks) = (Shared::default(), Arc::new(AtomicU32::new(0)));
        for _ in 0..20 {
            let looks = Arc::clone(&looks);
            let look = || async move {
                looks.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<Option<u32>>().await
            };
            // Gone before anything was seen.
            let asker = shared.see(Duration::ZERO, look);
            assert!(tokio::time::timeout(Duration::from_millis(1), asker).await.is_err());
        }
        assert_eq!(looks.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_may_be_told_something_older_costs_no_look() {
        let (shared, looks) = (Shared::default(), Arc::new(AtomicU32::new(0)));
        for _ in 0..50 {
            let seen = shared.see(Duration::from_secs(60), || count(&looks)).await;
            assert_eq!(seen.map(|seen| *seen), Some(1));
        }
    }
}
