//! A bounded room for connections that nobody knows yet.
//!
//! Knows no sockets. The law: whoever comes to a full room is let in, and the one that came first has to leave, so
//! that a crowd of silent strangers keeps nobody waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The room. Clones share it.
#[derive(Debug, Clone)]
pub struct Crowd {
    most: usize,
    inside: Arc<Mutex<VecDeque<Arc<Notify>>>>,
}

impl Crowd {
    /// An empty room for at most `most` strangers.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), inside: Arc::default() }
    }

    /// Takes one in; if there is no room, the first one is told to leave.
    pub fn enter(&self) -> CrowdPlace {
        let leave = Arc::new(Notify::new());
        let mut inside = self.lock();
        if inside.len() >= self.most
            && let Some(first) = inside.pop_front()
        {
            first.notify_one();
        }
        inside.push_back(Arc::clone(&leave));
        CrowdPlace { crowd: self.clone(), leave }
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.lock().len()
    }

    /// Every change here is one insertion or removal, so a poisoned lock still guards a whole list.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stranger's place; given back when it is dropped, which is also how a stranger stops being one.
#[derive(Debug)]
pub struct CrowdPlace {
    crowd: Crowd,
    leave: Arc<Notify>,
}

impl CrowdPlace {
    /// Ends when the place is needed by somebody else. What asked for it before the place was dropped goes on waiting
    /// for ever after that.
    pub fn must_leave(&self) -> impl Future<Output = ()> + Send + 'static {
        let leave = Arc::clone(&self.leave);
        async move { leave.notified().await }
    }
}

impl Drop for CrowdPlace {
    fn drop(&mut self) {
        self.crowd.lock().retain(|other| !Arc::ptr_eq(other, &self.leave));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn is_told(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn the_first_one_makes_room_and_those_who_left_do_not_count() {
        let crowd = Crowd::new(2);
        let (first, second) = (crowd.enter(), crowd.enter());
        drop(second);
        let third = crowd.enter();
        assert!(!is_told(first.must_leave()));
        let fourth = crowd.enter();
        assert!(is_told(first.must_leave()));
        assert!(!is_told(third.must_leave()) && !is_told(fourth.must_leave()));
        assert_eq!(crowd.inside(), 2);
    }
}
