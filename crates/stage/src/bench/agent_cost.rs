//! What an agent costs that has fifty idle processes under it and is watched twice a second.
//!
//! It knows the stage. The law: nothing is asked of the cluster while it is measured, and at the end every process is still
//! the one that it was at the beginning.

use std::time::Duration;

use serde_json::json;

use super::cost::{Budget, Cost, watch};
use crate::ports::Ports;
use crate::{ApplicationPlan, Daemon, Ground, Host, Interrupt, Plan, Programs, Stage, StageError};

/// How many processes the agent has.
const APPLICATIONS: usize = 50;
/// An agent of this version obeys one control server at a time, so its one link is watched twice as often as each of the
/// two links of the bar would be.
const ADDP_TIMEOUT: &str = "addp-timeout = \"500ms\"";
const ADDP_REMOTE_TIMEOUT: &str = "addp-remote-timeout = \"500ms\"";
const WELL_LIMIT: Duration = Duration::from_secs(60);
/// What starting cost is not on the account.
const CALM: Duration = Duration::from_secs(10);
const RESTART_DELAY_MS: u64 = 1_000;

/// The bar of this bench.
pub const BUDGET: Budget = Budget { rss_mb: 10.0, core_percent: 0.2 };

/// Measures the agent of alpha for a stretch of time.
pub fn measure(
    stretch: Duration,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<(Cost, serde_json::Value), StageError> {
    let mut plan = Plan::new("bench", RESTART_DELAY_MS);
    plan.timers = vec![ADDP_TIMEOUT.to_owned(), ADDP_REMOTE_TIMEOUT.to_owned()];
    plan.applications = (1..=APPLICATIONS).map(idle).collect();
    let mut stage = Stage::set_up(programs, ground, plan, &mut Ports::default(), interrupt.clone())?;
    stage.start_all()?;
    let before = stage.until_well(WELL_LIMIT)?.pids();
    interrupt.let_pass(CALM)?;
    let agent = stage.daemon_pid(Daemon::Agent(Host::Alpha));
    let agent = agent.ok_or_else(|| StageError::Unexpected("the agent does not run".to_owned()))?;
    let cost = watch(agent, stretch, interrupt)?;
    let after = stage.until_well(WELL_LIMIT)?.pids();
    if before != after {
        return Err(StageError::Unexpected(format!("processes changed: {before:?}, then {after:?}")));
    }
    stage.end()?;
    Ok((cost, json!({ "applications": APPLICATIONS, "links": 1, "addp_timeout_ms": 500 })))
}

/// A process that does nothing, judged as any other: it hangs if it is stopped.
fn idle(number: usize) -> ApplicationPlan {
    ApplicationPlan {
        name: format!("idle-{number}"),
        host: Host::Alpha,
        command: vec!["/bin/sleep".to_owned(), "1000000".to_owned()],
        environment: Vec::new(),
        port: None,
        interface: "plain",
        more: Vec::new(),
    }
}
