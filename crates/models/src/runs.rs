//! The explorations that are run: without a broken rule, and with each one.

use std::time::Duration;

use understudy_decide::grants::terms::Terms;

use crate::world::{Scope, UNIT};
use crate::wrong::Wrong;

const EVEN: &[u32] = &[1];
const TWO_TO_THREE: &[u32] = &[2, 3];

fn terms(lease: u32, drift_ppm: u32, leader_lease: u32) -> Terms {
    Terms {
        lease: UNIT * lease,
        drift_ppm,
        leader_lease: UNIT * leader_lease,
        renew_every: UNIT,
        fence_budget: Duration::ZERO,
        kill_budget: Duration::ZERO,
    }
}

/// Clocks that all run alike; a lease of two ticks, the leader's of one.
pub fn even(name: &'static str, epochs: u64, leaderships: u64) -> Scope {
    Scope {
        name,
        epochs,
        leaderships,
        terms: terms(2, 0, 1),
        store_lease: UNIT,
        rates: EVEN,
        reboots: false,
        fencing: false,
        wipes: false,
        restores: false,
        wrong: None,
    }
}

/// Every clock advances by two or by three a tick; a lease of six, of which a holder counts on four.
pub fn uneven(name: &'static str, epochs: u64, leaderships: u64) -> Scope {
    Scope {
        terms: terms(6, 333_334, 3),
        store_lease: UNIT * 3,
        rates: TWO_TO_THREE,
        ..even(name, epochs, leaderships)
    }
}

/// Under a minute on one core.
pub fn quick() -> Vec<Scope> {
    vec![even("even clocks, 2 epochs, 2 leaders", 2, 2)]
}

/// The smallest scope in which a broken rule shows.
pub fn broken(wrong: Wrong) -> Scope {
    let scope = match wrong {
        Wrong::ReleaseWithoutEpoch | Wrong::ClosedAnswersCount => even("", 3, 1),
        Wrong::OldView => even("", 2, 3),
        Wrong::StoreRolledBack => even("", 3, 2),
        Wrong::RestoredAsRead => Scope { restores: true, ..even("", 2, 3) },
        Wrong::DeviceIsRelease | Wrong::OrdersOfAnyLife | Wrong::DeviceForAnyLeader => {
            Scope { fencing: true, ..even("", 2, 2) }
        }
        Wrong::MemoryLost | Wrong::MemoryLostWaits => Scope { wipes: true, ..even("", 2, 2) },
        Wrong::AnswersOfFormerBoot => Scope { reboots: true, ..even("", 2, 1) },
        Wrong::NoDrift => {
            let scope = uneven("", 2, 1);
            Scope { terms: terms(6, 0, 2), ..scope }
        }
        Wrong::LeaderTooLong => Scope { terms: terms(6, 333_334, 5), ..uneven("", 2, 2) },
        _ => even("", 2, 2),
    };
    Scope { wrong: Some(wrong), ..scope }
}
