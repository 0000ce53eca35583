//! The explorations that are run: without a broken rule, and with each one.

use std::time::Duration;

use understudy_decide::grants::terms::Terms;

use crate::world::{CLOCKS, Scope, UNIT};
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
        varies: false,
        reboots: false,
        crashes_within: false,
        fencing: false,
        wipes: false,
        restores: false,
        other_lease: None,
        fixed: None,
        uneven_clocks: CLOCKS,
        live: false,
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

/// As [`uneven`], with a lease of three, and those clocks uneven that matter with one leader: both agents' and C1's.
fn short_uneven(name: &'static str, epochs: u64, leaderships: u64) -> Scope {
    Scope { terms: terms(3, 333_334, 3), uneven_clocks: 3, ..uneven(name, epochs, leaderships) }
}

/// Clocks of 3:4, a lease of twelve of which a holder counts on nine, the leader's of four of which it counts on three.
pub fn finer(name: &'static str, epochs: u64, leaderships: u64) -> Scope {
    Scope {
        terms: terms(12, 250_000, 4),
        store_lease: UNIT * 4,
        rates: &[3, 4],
        ..even(name, epochs, leaderships)
    }
}

fn varying(scope: Scope) -> Scope {
    Scope { varies: true, ..scope }
}

/// As [`even`], with a lease of one tick, and epochs that are given one of two instead, as a leader likes (G13).
fn two_leases(name: &'static str, epochs: u64, leaderships: u64) -> Scope {
    Scope { terms: terms(1, 0, 1), other_lease: Some(UNIT * 2), ..even(name, epochs, leaderships) }
}

/// Under a minute on one core that has nothing else to do.
pub fn quick() -> Vec<Scope> {
    vec![
        Scope { live: true, ..even("even clocks, 2 epochs, 2 leaders, L1 to L3", 2, 2) },
        Scope { fencing: true, ..even("even, 2 epochs, 1 leader, device", 2, 1) },
        short_uneven("clocks 2:3, a short lease, 2 epochs, 1 leader", 2, 1),
        two_leases("even, two leases, 2 epochs, 1 leader", 2, 1),
        Scope { crashes_within: true, ..even("even, 2 epochs, 2 leaders, crashes within", 2, 2) },
    ]
}

/// Minutes to hours, below 4 GB.
pub fn full() -> Vec<Scope> {
    let all = |name, fencing, wipes, restores, scope| Scope { name, fencing, wipes, restores, ..scope };
    let mut runs = quick();
    runs.extend([
        uneven("clocks 2:3, 2 epochs, 1 leader", 2, 1),
        Scope { reboots: true, crashes_within: true, ..even("even, 2 epochs, 2 leaders, reboots", 2, 2) },
        all("even, 2 epochs, 2 leaders, device", true, false, false, even("", 2, 2)),
        all("even, 2 epochs, 2 leaders, reinstalled agent", false, true, false, even("", 2, 2)),
        all("even, 2 epochs, 3 leaders, restored store", false, false, true, even("", 2, 3)),
        even("even, 3 epochs, 1 leader", 3, 1),
        even("even, 2 epochs, 3 leaders", 2, 3),
        even("even, 3 epochs, 2 leaders", 3, 2),
        uneven("clocks 2:3, 2 epochs, 2 leaders", 2, 2),
        finer("clocks 3:4, 2 epochs, 1 leader", 2, 1),
        uneven("clocks 2:3, 3 epochs, 1 leader", 3, 1),
        uneven("clocks 2:3, 3 epochs, 2 leaders", 3, 2),
        finer("clocks 3:4, 2 epochs, 2 leaders", 2, 2),
        varying(uneven("clocks 2:3 that change, 2 epochs, 2 leaders", 2, 2)),
        varying(uneven("clocks 2:3 that change, 3 epochs, 2 leaders", 3, 2)),
        varying(finer("clocks 3:4 that change, 2 epochs, 2 leaders", 2, 2)),
        two_leases("even, two leases, 2 epochs, 2 leaders", 2, 2),
        Scope {
            crashes_within: true,
            ..two_leases("even, two leases, 2 epochs, 2 leaders, crashes within", 2, 2)
        },
        Scope {
            crashes_within: true,
            ..two_leases("even, two leases, 3 epochs, 1 leader, crashes within", 3, 1)
        },
        two_leases("even, two leases, 3 epochs, 1 leader", 3, 1),
        all(
            "even, two leases, 2 epochs, 2 leaders, reinstalled agent",
            false,
            true,
            false,
            two_leases("", 2, 2),
        ),
    ]);
    runs
}

/// What was asked for: two members, a control server that restarts and is taken over, epochs to three, and clocks in quarters
/// of a lease with a skew of one. Crashes, reboots, cuts and freezes are not counted: any number of each, at any moment.
pub fn stated() -> Vec<Scope> {
    let name = "clocks 3:4 that change, 3 epochs, 2 leaders, reboots";
    vec![Scope { reboots: true, ..varying(finer(name, 3, 2)) }]
}

/// The smallest scope in which a broken rule shows.
pub fn broken(wrong: Wrong) -> Scope {
    let scope = match wrong {
        Wrong::ReleaseWithoutEpoch
        | Wrong::ClosedAnswersCount
        | Wrong::NotDurableUnseen
        | Wrong::ReleasesBelow => even("", 3, 1),
        // The late write overwrites what a later leader stored, and the one after that reads it.
        Wrong::NoCompareAndSet => even("", 1, 3),
        Wrong::OldView => even("", 2, 3),
        Wrong::StoreRolledBack => even("", 3, 2),
        Wrong::RestoredAsRead => Scope { restores: true, ..even("", 2, 3) },
        Wrong::DeviceIsRelease | Wrong::OrdersOfAnyLife | Wrong::DeviceForAnyLeader => {
            Scope { fencing: true, ..even("", 2, 2) }
        }
        Wrong::PageGoesOn => Scope { crashes_within: true, ..even("", 3, 1) },
        Wrong::MemoryLost | Wrong::MemoryLostWaits => Scope { wipes: true, ..even("", 2, 2) },
        Wrong::AnswersOfFormerBoot => Scope { reboots: true, ..even("", 2, 1) },
        Wrong::ShrinksAtOrder | Wrong::AsksBeforeCut => two_leases("", 3, 1),
        // The former leader's lease passes before the next one reads: what is counted on has to be longer than both.
        Wrong::StoresNewLease => Scope { other_lease: Some(UNIT * 3), ..two_leases("", 3, 2) },
        Wrong::SilentForUsualLease => Scope { wipes: true, ..two_leases("", 3, 1) },
        Wrong::NoDrift => {
            let scope = uneven("", 2, 1);
            Scope { terms: terms(6, 0, 2), fixed: Some([2, 2, 2, 3, 2]), ..scope }
        }
        Wrong::LeaderTooLong => {
            Scope { terms: terms(6, 333_334, 5), fixed: Some([2, 2, 2, 3, 3]), ..uneven("", 2, 2) }
        }
        _ => even("", 2, 2),
    };
    Scope { wrong: Some(wrong), ..scope }
}
