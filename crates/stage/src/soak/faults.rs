//! Faults: which there are, who is meant, and how they are done.
//!
//! It knows the stage and the dice, and no checks. The law: it works also while the control server is gone, and it
//! remembers exactly which members it killed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::summary::Summary;
use crate::api::ApiError;
use crate::dice::Dice;
use crate::plan::PairPlan;
use crate::sweep::find_application;
use crate::{Daemon, Host, Stage, StageError};

/// The longest that a killed daemon stays away.
const LONGEST_AWAY: Duration = Duration::from_millis(1_500);
/// The longest pause between two kills of one combination, where there is a pause.
const LONGEST_STAGGER: Duration = Duration::from_millis(30);
/// How long a control server may take to answer while faults are made: one that is stopped must not hold up their end.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a switchover is asked for instead of, or right before, kills.
const SWITCHOVER_PERCENT: u64 = 35;

/// How often the guard of an agent that is killed, or that is not, is killed as well.
const GUARD_PERCENT: u64 = 25;

/// What is killed where roles are known, in the order of their bits in a combination.
pub(super) const ROLES: [&str; 5] =
    ["primary", "backup", "primary's agent", "backup's agent", "control server"];

const GUARD: &str = "guard";

/// The same where nobody knows who is primary.
const UNKNOWN_ROLES: [&str; 5] =
    ["a member", "its peer", "a member's agent", "its peer's agent", "control server"];

/// Whom a kill hits.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Victim {
    Daemon(Daemon),
    Guard(Host),
    Member(String),
}

/// What was done, and what is still to be undone.
#[derive(Debug, Default)]
pub(super) struct Faults {
    away: Vec<(Instant, Daemon)>,
    /// Members that were killed.
    pub killed_members: BTreeSet<String>,
}

impl Faults {
    /// One stroke: a switchover, kills in a random combination, or both at once.
    pub fn strike(
        &mut self,
        stage: &mut Stage,
        dice: &mut Dice,
        summary: &mut Summary,
    ) -> Result<(), StageError> {
        let pairs = &stage.plan().pairs;
        let chosen = usize::try_from(dice.below(pairs.len() as u64)).unwrap_or(0);
        let Some(pair) = pairs.get(chosen).cloned() else { return Ok(()) };
        let mut victims = choose_victims(stage, dice, &pair);
        let mut guards = 0;
        for host in Host::ALL {
            if dice.chance(GUARD_PERCENT) {
                victims.push((GUARD.to_owned(), Victim::Guard(host)));
            }
        }
        if dice.chance(SWITCHOVER_PERCENT) {
            summary.switchover(ask_switchover(stage, &pair)?);
            if dice.chance(50) {
                return Ok(());
            }
            stage.interrupt().let_pass(dice.span(LONGEST_STAGGER))?;
        }
        dice.shuffle(&mut victims);
        let staggered = dice.chance(50);
        let mut killed = Vec::new();
        for (name, victim) in victims {
            if staggered && !killed.is_empty() {
                stage.interrupt().let_pass(dice.span(LONGEST_STAGGER))?;
            }
            if !self.kill(stage, &victim, dice)? {
                continue;
            }
            match victim {
                Victim::Guard(_) => guards += 1,
                Victim::Daemon(_) | Victim::Member(_) => killed.push(name),
            }
        }
        summary.killed(&killed);
        summary.guards_killed(guards);
        Ok(())
    }

    fn kill(&mut self, stage: &mut Stage, victim: &Victim, dice: &mut Dice) -> Result<bool, StageError> {
        match victim {
            Victim::Daemon(daemon) => {
                let ran = stage.kill(*daemon)?;
                if ran {
                    self.away.push((Instant::now() + dice.span(LONGEST_AWAY), *daemon));
                }
                Ok(ran)
            }
            // Its agent starts another one; where no pair is strict there is none.
            Victim::Guard(host) => match stage.guard(*host)? {
                Some(guard) => guard.kill().map(|()| true),
                None => Ok(false),
            },
            Victim::Member(name) => {
                let found = find_application(stage.directory(), name)?;
                for process in &found {
                    process.kill()?;
                }
                if !found.is_empty() {
                    self.killed_members.insert(name.clone());
                }
                Ok(!found.is_empty())
            }
        }
    }

    /// Starts again every daemon that has been away for its time; with `all`, every one.
    pub fn bring_back(&mut self, stage: &mut Stage, all: bool) -> Result<(), StageError> {
        let now = Instant::now();
        let (due, later) = self.away.drain(..).partition(|(at, _)| all || *at <= now);
        self.away = later;
        let due: Vec<(Instant, Daemon)> = due;
        due.into_iter().try_for_each(|(_, daemon)| stage.start(daemon).map(drop))
    }
}

/// A random combination of members, their agents and the control server; never none. The names tell roles where the
/// control server knows them at this moment.
fn choose_victims(stage: &Stage, dice: &mut Dice, pair: &PairPlan) -> Vec<(String, Victim)> {
    // Without an answer the roles are unknown; that is one of the situations wanted here.
    let status = stage.api().hurried(PATIENCE).status().ok();
    let primary = status.as_ref().and_then(|status| status.pair(&pair.name)?.primary.clone());
    let (names, first, second) = match &primary {
        Some(primary) if *primary == pair.backup => (ROLES, &pair.backup, &pair.primary),
        Some(_) => (ROLES, &pair.primary, &pair.backup),
        None => (UNKNOWN_ROLES, &pair.primary, &pair.backup),
    };
    let [own, other] =
        if *first == pair.primary { [Host::Alpha, Host::Beta] } else { [Host::Beta, Host::Alpha] };
    let all = [
        Victim::Member(first.clone()),
        Victim::Member(second.clone()),
        Victim::Daemon(Daemon::Agent(own)),
        Victim::Daemon(Daemon::Agent(other)),
        Victim::Daemon(Daemon::Server),
    ];
    let combination = 1 + dice.below(31);
    let chosen = names.into_iter().zip(all).enumerate().filter(|(bit, _)| combination & (1 << bit) != 0);
    chosen.map(|(_, (name, victim))| (name.to_owned(), victim)).collect()
}

/// Asks for a switchover to whoever is backup; answers what came first.
fn ask_switchover(stage: &Stage, pair: &PairPlan) -> Result<&'static str, StageError> {
    let api = stage.api().hurried(PATIENCE);
    let asked = api.status().and_then(|status| {
        let backup = status.pair(&pair.name).and_then(|pair| pair.backup.clone());
        api.switch_over(&pair.name, &backup.unwrap_or_else(|| pair.backup.clone()))
    });
    match asked {
        Ok(_) => Ok("begun"),
        Err(ApiError::Refused { .. }) => Ok("refused"),
        Err(ApiError::Connect { .. }) => Ok("unreachable"),
        Err(ApiError::Talk { .. } | ApiError::Answer { .. }) => Ok("cut off"),
    }
}
