//! What `may_act()` costs, beside one look at the clock that it cannot do without.
//!
//! It knows no cluster: the page is written here, by the agent's own writer. The law: calls are timed in batches, and batches
//! of both take turns, so that whatever disturbs the machine disturbs both.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use serde_json::{Value, json};
use understudy::{Conduct, Environment, Epoch, RunMode, Understudy};
use understudy_page::{PageWriter, Standing, now};

use crate::clock::boot_ns;
use crate::{Ground, StageError};

/// Calls that are timed together: one look at the clock around them is a ten-thousandth of each.
const CALLS: u32 = 10_000;
/// How much more than a look at the clock it may cost, in nanoseconds.
const BAR_NS: f64 = 15.0;

struct Nobody;

impl Conduct for Nobody {
    fn promote(&mut self, _: Epoch) -> Result<(), String> {
        Ok(())
    }
    fn demote(&mut self, _: Epoch) {}
}

/// Measures it, and says it as one line.
pub(super) fn measure(rounds: u32, ground: &Ground) -> Result<Value, StageError> {
    let path = ground.directory().join("page");
    let unexpected = |error: &dyn std::fmt::Display| StageError::Unexpected(error.to_string());
    let page = PageWriter::open(&path).map_err(|error| unexpected(&error))?;
    let until = now() + Duration::from_secs(24 * 3_600);
    page.set(Standing { run_mode: RunMode::Primary, epoch: Epoch(7), until });
    let told = [
        ("UNDERSTUDY_LINK", format!("unix:{}", ground.directory().join("nobody").display())),
        ("UNDERSTUDY_APPLICATION", "bench-1".to_owned()),
        ("UNDERSTUDY_RUN_MODE", "primary".to_owned()),
        ("UNDERSTUDY_EPOCH", "7".to_owned()),
        ("UNDERSTUDY_ROLE_PAGE", path.display().to_string()),
    ];
    let told: BTreeMap<String, String> =
        told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let environment = Environment::from_variables(&told).map_err(|error| unexpected(&error))?;
    let environment = environment.ok_or_else(|| unexpected(&"the environment names no agent"))?;
    let link = Understudy::start(environment, Nobody).map_err(|error| unexpected(&error))?;
    let watch = link.watch();
    if !watch.may_act() {
        return Err(unexpected(&"a primary with a fresh page may not act"));
    }
    let (mut asked, mut looked) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        asked.push(batch(|| watch.may_act()));
        looked.push(batch(now));
    }
    // Otherwise it was something shorter that was measured.
    if !watch.may_act() {
        return Err(unexpected(&"it may not act at the end"));
    }
    let (may_act, clock) = (middle(&mut asked), middle(&mut looked));
    Ok(json!({
        "bench": "may_act",
        "unit": "ns",
        "n": rounds,
        "calls_each": CALLS,
        "median": may_act,
        "floor_median": clock,
        "beyond_floor": ((may_act - clock) * 10.0).round() / 10.0,
        "bar": { "beyond_floor": BAR_NS },
        "ok": may_act - clock <= BAR_NS,
    }))
}

/// Nanoseconds for one call.
fn batch<T>(call: impl Fn() -> T) -> f64 {
    let begin = boot_ns();
    for _ in 0..CALLS {
        black_box(call());
    }
    let took = boot_ns() - begin;
    took as f64 / f64::from(CALLS)
}

/// The 50th percentile by nearest rank; of two middle ones the lower.
fn middle(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.len().div_ceil(2).saturating_sub(1);
    times.get(middle).map_or(0.0, |ns| (ns * 10.0).round() / 10.0)
}
