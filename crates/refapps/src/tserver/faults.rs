//! Misbehaviour on request, so that tests can see what a supervisor makes of it.
//!
//! Knows no lines and no calls. The law: nothing here happens unless the program was started with `--faults`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// One thing to do wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultOrder {
    /// Abort at once, without an answer.
    Crash,
    /// Answer nobody any more, neither clients nor the agent, nor TERM; only KILL ends it.
    Hang,
    /// Refuse every promotion from now, or no more.
    RefusePromotion(bool),
    /// Wait so long in every promotion before serving.
    SlowPromotion(Duration),
    /// Go on serving for so long in every demotion.
    SlowDemotion(Duration),
    /// Withdraw readiness, for this reason.
    Unavailable(String),
    /// Be ready again.
    Available,
    /// End with this code, without an answer.
    Exit(u8),
}

/// What is wrong now.
#[derive(Debug, Default)]
pub struct Faults {
    hanging: AtomicBool,
    refusing: AtomicBool,
    slow_promotion_ms: AtomicU64,
    slow_demotion_ms: AtomicU64,
}

impl Faults {
    /// Begins or ends a lasting fault. The others are acts of the caller.
    pub fn note(&self, order: &FaultOrder) {
        let ms = |span: &Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        match order {
            FaultOrder::Hang => self.hanging.store(true, Ordering::SeqCst),
            FaultOrder::RefusePromotion(on) => self.refusing.store(*on, Ordering::SeqCst),
            FaultOrder::SlowPromotion(span) => self.slow_promotion_ms.store(ms(span), Ordering::SeqCst),
            FaultOrder::SlowDemotion(span) => self.slow_demotion_ms.store(ms(span), Ordering::SeqCst),
            FaultOrder::Crash | FaultOrder::Unavailable(_) | FaultOrder::Available | FaultOrder::Exit(_) => {}
        }
    }

    /// Whether promotions are refused.
    pub fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::SeqCst)
    }

    /// How long a promotion takes longer.
    pub fn slow_promotion(&self) -> Duration {
        Duration::from_millis(self.slow_promotion_ms.load(Ordering::SeqCst))
    }

    /// How long a demotion takes longer.
    pub fn slow_demotion(&self) -> Duration {
        Duration::from_millis(self.slow_demotion_ms.load(Ordering::SeqCst))
    }

    /// Returns at once, or never if the program hangs.
    pub fn hang_if_asked(&self) {
        while self.hanging.load(Ordering::SeqCst) {
            std::thread::park();
        }
    }
}
