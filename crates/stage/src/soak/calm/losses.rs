//! A host that is really lost, and how long until the other member acts.
//!
//! It knows the spans of a pair and of the network. The law: the bound is made of spans that were set before, each written
//! down with what it is for; the time runs from before the first frame is dropped until the other page lets its member act.

use std::time::Duration;

use serde::Serialize;

use super::{CALLS, PAUSE_US, Timers, WELL_LIMIT, spoil};
use crate::clock::boot_ns;
use crate::demo::members;
use crate::dice::Dice;
use crate::load::{Load, LoadSummary};
use crate::net::{Lane, Station};
use crate::soak::watch::PageWatch;
use crate::{Host, Programs, Stage, StageError};

/// From the last renewal that left the host to the first answer for the new role: the renewal itself, the question to the other
/// agent before an epoch is spent and its answer, the order, the request for a vote and its answer.
const WAYS: u32 = 6;
/// The shortest time after which TCP sends again what was lost, if nothing else tells it earlier: 200 ms, and the way there and
/// back as it was measured.
const SENT_AGAIN: Duration = Duration::from_millis(200);
/// How long a program may wait for a core in all, where every core has something else to do: twelve turns of a few
/// milliseconds.
const FOR_CORES: Duration = Duration::from_millis(100);
/// The cut lasts so much longer than the bound, so that the one cut off is ended too.
const LONGER: Duration = Duration::from_secs(1);
/// Before a cut, so that it comes at any moment of the renewals.
const SERVICE: Duration = Duration::from_secs(2);

/// Until when a lost host is found, and what it is made of. In milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Bound {
    pub lease: f64,
    /// Six ways between machines, each as long as it can be.
    pub ways: f64,
    /// One of those messages is lost, and sent again.
    pub one_lost: f64,
    pub for_cores: f64,
    pub all: f64,
}

impl Bound {
    pub fn of(timers: Timers) -> Self {
        let ms = |span: Duration| span.as_secs_f64() * 1_000.0;
        let lease = ms(timers.preset().timers().lease);
        let (ways, one_lost) = (ms(timers.way() * WAYS), ms(SENT_AGAIN + timers.way() * 2));
        let for_cores = ms(FOR_CORES);
        Self { lease, ways, one_lost, for_cores, all: lease + ways + one_lost + for_cores }
    }
}

/// One loss.
#[derive(Debug)]
pub(super) struct Loss {
    pub host: Host,
    /// From the cut to the first look at which the other member might act.
    pub found_ms: Option<f64>,
    /// Looks at which both might act.
    pub both: u64,
    pub client: LoadSummary,
    pub bound_ms: f64,
}

/// Drops every frame from and to the primary's host, waits for the other member, and heals.
pub(super) fn lose(
    stage: &mut Stage,
    programs: &Programs,
    timers: Timers,
    bound: &Bound,
    dice: &mut Dice,
) -> Result<Loss, StageError> {
    let interrupt = stage.interrupt().clone();
    let before = stage.until_well(WELL_LIMIT)?;
    let primary = before.pair(CALLS).and_then(|pair| pair.primary.clone());
    let host = primary.as_deref().and_then(|name| before.application(name));
    let host = host.and_then(|one| Host::named(&one.host));
    let host = host.ok_or_else(|| StageError::Unexpected(format!("{CALLS} has no primary: {primary:?}")))?;
    let watch = PageWatch::begin(stage, CALLS)?;
    let load = Load::start(
        programs,
        &members(stage.plan(), CALLS),
        &["--pause-us", PAUSE_US],
        stage.client_place().as_deref(),
    )?;
    interrupt.let_pass(SERVICE + dice.span(timers.preset().timers().lease))?;
    let cut_ns = boot_ns();
    stage.network()?.set_around(Station::Host(host), Lane::CUT);
    interrupt.let_pass(Duration::from_secs_f64(bound.all / 1_000.0) + LONGER)?;
    spoil(stage, timers)?;
    stage.until_well(WELL_LIMIT)?;
    let seen = watch.end()?;
    let (client, _) = load.end(&interrupt)?;
    let found = seen.moved.map(|(_, at)| Duration::from_nanos(at.0.saturating_sub(cut_ns)));
    let found_ms = found.map(|span| span.as_secs_f64() * 1_000.0);
    Ok(Loss { host, found_ms, both: seen.both, client, bound_ms: bound.all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_sum_of_what_it_is_said_to_be_made_of() {
        let fast = Bound::of(Timers::Fast);
        assert_eq!((fast.lease, fast.ways, fast.one_lost, fast.for_cores), (250.0, 240.0, 280.0, 100.0));
        assert_eq!(fast.all, 870.0);
        let normal = Bound::of(Timers::Normal);
        assert_eq!((normal.lease, normal.ways, normal.one_lost), (3_000.0, 2_400.0, 1_000.0));
    }
}
