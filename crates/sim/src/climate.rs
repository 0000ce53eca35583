//! What kind of world a seed is: how many hosts and pairs, how quick its networks, disks and programs, how often something
//! breaks.
//!
//! Refuses to know what the machines do with it. The law: everything that a run has of chance beside its faults is drawn here
//! or from dice that are made here, from the seed alone.

use std::time::Duration;

use understudy_model::{Policy, Preset};

use crate::random::Dice;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000 * MS;

/// What is the same for all seeds of a campaign.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The timers.
    pub preset: Preset,
    /// What is preferred when it cannot be known whether the primary still acts.
    pub policy: Policy,
    /// A machine that is stopped stops its clock too. That breaks what is assumed of clocks (A1).
    pub clocks_stop: bool,
    /// Pairs with the library keep their data: who lacks what was acknowledged is not promoted (G14).
    pub keep_data: bool,
    /// The leases of pairs are changed by reloads while roles change (G13).
    pub reloads: bool,
    /// Operators hold hosts for planned work: what acts there has a long lease (G13).
    pub holds: bool,
    /// Hosts have fencing commands, and operators say that hosts are off that are (G10).
    pub power: bool,
    /// What commands and operators say of the power is not so. That breaks what is assumed of them (G10).
    pub lies: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            preset: Preset::Normal,
            policy: Policy::Available,
            clocks_stop: false,
            keep_data: false,
            reloads: false,
            holds: false,
            power: false,
            lies: false,
        }
    }
}

/// How a member is told what it shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the library.
    Library,
    /// By hooks.
    Hooks,
    /// By being stopped and started.
    Restart,
}

/// What may break in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// Anything.
    All,
    /// Only the control server, its store, and the ways to it; it has a machine of its own.
    ControlPlane,
    /// Only what is on this host, and the ways to it; the control server is elsewhere.
    Voter(usize),
}

/// The world of one seed.
#[derive(Debug, Clone)]
pub struct Climate {
    /// What holds for the campaign.
    pub options: Options,
    /// Hosts with agents.
    pub hosts: usize,
    /// The machine of the control server; one more than the hosts if it has its own.
    pub control_on: usize,
    /// The hosts of the two members of each pair, and how they are told.
    pub pairs: Vec<([usize; 2], Way)>,
    /// How much faster than true time each machine's clock runs, in parts per million.
    pub drifts: Vec<i64>,
    /// One way between two machines, at least and at most.
    pub delay: (u64, u64),
    /// One write to a disk.
    pub write: (u64, u64),
    /// From the start of a member to its readiness.
    pub warm_up: (u64, u64),
    /// What a member takes to change its role.
    pub change: (u64, u64),
    /// Faults are drawn until here.
    pub stormy: u64,
    /// From one fault to the next, about.
    pub between: u64,
    /// The longest of them.
    pub longest: u64,
    /// What may break.
    pub focus: Focus,
}

/// A dial, a Hello and a wait between two calls, whatever the preset.
pub const CALLS: u64 = 9 * SECOND;

/// The largest difference of two clocks in these worlds, in parts per million. Terms must allow at least as much.
pub const CLOCKS_PPM: i64 = 2_000;

impl Climate {
    /// The climate of a seed.
    pub fn of(seed: u64, options: Options) -> Self {
        let mut dice = Dice::new(seed, 1);
        let hosts = if dice.chance(250) { 3 } else { 2 };
        // Mostly on a machine of its own; else on that of a member.
        let control_on = if dice.chance(700) { hosts } else { dice.index(hosts) };
        let count = 1 + dice.index(2);
        let pairs = (0..count).map(|_| draw_pair(&mut dice, hosts)).collect();
        let half = CLOCKS_PPM / 2;
        let drifts = (0..=hosts).map(|_| draw_drift(&mut dice, half)).collect();
        let unit = match options.preset {
            Preset::Fast => SECOND / 10,
            Preset::Normal => SECOND,
            Preset::Wide => 4 * SECOND,
            Preset::Classic => 8 * SECOND,
        };
        let quick = dice.scaled(50_000, 2 * MS);
        let focus = match dice.below(10) {
            0 if control_on == hosts => Focus::ControlPlane,
            1 => Some(dice.index(hosts)).filter(|host| *host != control_on).map_or(Focus::All, Focus::Voter),
            _ => Focus::All,
        };
        let calm_elsewhere = focus != Focus::All;
        let mut climate = Self {
            focus,
            options,
            hosts,
            control_on,
            pairs,
            drifts,
            delay: (quick, quick * 3),
            write: (dice.scaled(200_000, 4 * MS), 8 * MS),
            warm_up: (2 * MS, unit / 4),
            change: (MS / 10, dice.scaled(MS, unit / 20)),
            stormy: unit * dice.between(40, 120),
            between: dice.scaled(unit / 8, unit * 3),
            longest: unit * dice.between(4, 16),
        };
        if calm_elsewhere && options.preset == Preset::Fast {
            // Calls take as long as ever, and what is whole is judged after that: the storm outlasts it.
            climate.stormy = climate.stormy.max(2 * climate.long());
        }
        climate
    }

    /// A span in which everything that was broken before is forgotten: changes of roles, which the preset scales, and calls
    /// under way, which it does not.
    pub fn long(&self) -> u64 {
        let change = self.options.preset.timers().switchover_timeout.as_nanos();
        u64::try_from(change).unwrap_or(u64::MAX).saturating_mul(4).max(CALLS)
    }

    /// The longest that one round trip takes when nothing is broken.
    pub fn round_trip(&self) -> Duration {
        Duration::from_nanos(self.delay.1 * 2 + self.write.1 * 2)
    }
}

fn draw_pair(dice: &mut Dice, hosts: usize) -> ([usize; 2], Way) {
    let first = dice.index(hosts);
    // Now and then both are on one host.
    let second = if dice.chance(60) { first } else { (first + 1 + dice.index(hosts - 1)) % hosts };
    let way = match dice.below(10) {
        0..=6 => Way::Library,
        7..=8 => Way::Hooks,
        _ => Way::Restart,
    };
    ([first, second], way)
}

/// The ends of what is allowed are as likely as all between.
fn draw_drift(dice: &mut Dice, half: i64) -> i64 {
    match dice.below(3) {
        0 => half,
        1 => -half,
        _ => dice.below(half.unsigned_abs() * 2) as i64 - half,
    }
}
