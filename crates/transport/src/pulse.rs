//! What is known of a link's life, for whoever shows it.
//!
//! Decides nothing. The law: written by the receiving end alone, read by anybody at any time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use understudy_addp::{Addp, Counts};
use understudy_model::Moment;

/// How a link fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// When the peer was last heard, by this machine's boot clock.
    pub heard: Moment,
    /// This end's timeout; zero: it does not watch.
    pub timeout: Duration,
    /// What ADDP did since the link began.
    pub counts: Counts,
}

/// A shared view on the health of one link.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<watch::Sender<Health>>);

impl Pulse {
    pub(crate) fn of(link: &Addp) -> Self {
        Self(Arc::new(watch::Sender::new(health(link))))
    }

    pub(crate) fn write(&self, link: &Addp) {
        self.0.send_replace(health(link));
    }

    /// How the link fares now; after its end, how it fared at last.
    pub fn health(&self) -> Health {
        *self.0.borrow()
    }

    /// Whether both show the same link.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Waits until the peer is heard later than at `moment`; for ever, if it never is. May be dropped while it waits.
    pub async fn heard_after(&self, moment: Moment) {
        // Ends with an error only without a writer, and this is one.
        let _ = self.0.subscribe().wait_for(|health| health.heard > moment).await;
    }
}

fn health(link: &Addp) -> Health {
    Health { heard: link.heard(), timeout: link.timeout(), counts: link.counts() }
}
