//! The benches of a lost host: its packets are dropped, and nothing is closed; without leases and with them.
//!
//! It knows the stage, its networks and the words of the parts. The law: the cut comes at any moment of the link's own
//! rhythm, and the time is taken before it is made.

use std::time::Duration;

use understudy_model::{Policy, Preset};

use super::Measured;
use super::rounds::{MOMENT_LIMIT, RESTART_DELAY_MS, add_pair, begin_on, rest};
use crate::clock::boot_ns;
use crate::dice::Dice;
use crate::net::{Lane, Network, Station};
use crate::{Ground, Interrupt, Plan, Programs, StageError};

/// Both ends of every link watch with it.
const ADDP_TIMEOUT: Duration = Duration::from_millis(200);
/// The moments at which cuts are made, so that runs can be compared.
const SEED: u64 = 1;

/// With policy `available`: from the drop of everything that the primary's host sends and should hear to the call of
/// `promote` in the backup.
pub fn host_loss(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<Measured, StageError> {
    let mut plan = Plan::networked("bench", RESTART_DELAY_MS);
    let timeout = ADDP_TIMEOUT.as_millis();
    plan.timers.push(format!("addp-timeout = \"{timeout}ms\"\naddp-remote-timeout = \"{timeout}ms\""));
    measure(rounds, programs, ground, interrupt, plan, Policy::Available)
}

/// The same with policy `strict` and the preset `fast`.
pub fn host_loss_strict(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<Measured, StageError> {
    let mut plan = Plan::networked("bench", RESTART_DELAY_MS);
    plan.preset = Some(Preset::Fast);
    measure(rounds, programs, ground, interrupt, plan, Policy::Strict)
}

/// The same with the preset `normal`.
pub fn host_loss_strict_normal(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<Measured, StageError> {
    let plan = Plan::networked("bench", RESTART_DELAY_MS);
    measure(rounds, programs, ground, interrupt, plan, Policy::Strict)
}

fn measure(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
    plan: Plan,
    policy: Policy,
) -> Result<Measured, StageError> {
    let network = Network::set_up(SEED)?;
    let (mut stage, ear) = begin_on(programs, ground, interrupt, plan, Some(network), |plan, ear| {
        add_pair(plan, ear)?;
        plan.set_policy(policy);
        Ok(())
    })?;
    let mut measured = Measured::default();
    let mut dice = Dice::new(SEED);
    for _ in 0..rounds {
        let (primary, backup) = rest(&mut stage, &ear)?;
        interrupt.let_pass(dice.span(2 * ADDP_TIMEOUT))?;
        let planned = stage.plan().applications.iter().find(|one| one.name == primary);
        let host = planned.map(|one| one.host);
        let host = host.ok_or_else(|| StageError::Unexpected(format!("nobody planned {primary}")))?;
        let before_ns = boot_ns();
        stage.network()?.set_around(Station::Host(host), Lane::CUT);
        let promoted = ear.hear(interrupt, "the backup is promoted", MOMENT_LIMIT, |word| {
            word.kind == "promote" && word.name == backup
        })?;
        measured.times_ns.push(promoted.at_ns.saturating_sub(before_ns));
        stage.network()?.heal();
    }
    stage.end()?;
    Ok(measured)
}
