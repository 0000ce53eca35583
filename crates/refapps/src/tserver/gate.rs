//! Who may be answered now: the wall between "primary" and "not primary", with nobody left standing in it.
//!
//! Knows no requests and no sockets. The law: when [`Gate::close`] has returned, nothing that was let through is
//! still on its way to an acknowledgement, and nothing more is let through.

use std::sync::{PoisonError, RwLock};

/// The role as requests see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    /// Requests other than registrations are answered.
    pub is_primary: bool,
    /// The fencing token in every answer.
    pub epoch: u64,
}

/// The wall.
#[derive(Debug)]
pub struct Gate {
    serving: RwLock<Serving>,
}

impl Gate {
    /// A gate that begins as said.
    pub fn new(serving: Serving) -> Self {
        Self { serving: RwLock::new(serving) }
    }

    /// Does `act` while the role cannot change: from looking at the role to the acknowledgement. It must not block on
    /// anything that a client decides, or a demotion waits for that client.
    pub fn pass<T>(&self, act: impl FnOnce(Serving) -> T) -> T {
        // A thread that panicked in here has not changed the role.
        let serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        act(*serving)
    }

    /// Begins to serve in `epoch`. `first` runs when nobody is inside, before anybody is let through as primary, and
    /// is told what the role was.
    pub fn open(&self, epoch: u64, first: impl FnOnce(Serving)) {
        let mut serving = self.serving.write().unwrap_or_else(PoisonError::into_inner);
        first(*serving);
        *serving = Serving { is_primary: true, epoch };
    }

    /// Ends serving; returns when the last one inside has acknowledged.
    pub fn close(&self, epoch: u64) {
        *self.serving.write().unwrap_or_else(PoisonError::into_inner) = Serving { is_primary: false, epoch };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    #[test]
    fn nothing_is_acknowledged_after_close_has_returned() {
        let gate = Gate::new(Serving { is_primary: true, epoch: 1 });
        let closed = AtomicBool::new(false);
        let (late, passed) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let goes_on = gate.pass(|serving| {
                            if serving.is_primary {
                                std::thread::yield_now();
                                passed.fetch_add(1, Ordering::SeqCst);
                                late.fetch_add(u64::from(closed.load(Ordering::SeqCst)), Ordering::SeqCst);
                            }
                            serving.is_primary
                        });
                        if !goes_on {
                            return;
                        }
                    }
                });
            }
            while passed.load(Ordering::SeqCst) < 1000 {
                std::thread::yield_now();
            }
            gate.close(2);
            closed.store(true, Ordering::SeqCst);
        });
        assert_eq!(late.load(Ordering::SeqCst), 0);
        assert_eq!(gate.pass(|serving| serving), Serving { is_primary: false, epoch: 2 });
    }

    #[test]
    fn opening_tells_what_was_before() {
        let gate = Gate::new(Serving { is_primary: false, epoch: 3 });
        let mut before = None;
        gate.open(4, |was| before = Some(was));
        assert_eq!(before, Some(Serving { is_primary: false, epoch: 3 }));
        assert_eq!(gate.pass(|serving| serving), Serving { is_primary: true, epoch: 4 });
    }
}
