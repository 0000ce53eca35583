//! What goes wrong, and when: the whole plan of a run, drawn before it begins, so that a plan with fewer faults is a run too.
//!
//! Refuses to know what becomes of it. The law: every fault has an end, and none is later than the end of the storm, but for
//! one disk that hangs for good.

use std::fmt;

use understudy_model::Policy;

use crate::cast::Cast;
use crate::climate::{Climate, Focus, Way};
use crate::random::Dice;

/// How a disk answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// As it should.
    Works,
    /// Nothing is stored, and that is certain.
    Full,
    /// It is stored, and that is said not to be known.
    StoresUnseen,
    /// It is not stored, and that is said not to be known.
    LosesUnseen,
    /// It takes very long.
    Slow,
}

/// Something that goes wrong, or that somebody wishes. Hosts, machines and parts by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the fields say whose
pub enum Fault {
    /// `kill -9`, and a new start when the fault ends.
    AgentDies {
        host: usize,
    },
    ControlDies,
    /// Power is lost; what was not synced is lost with it.
    MachineDies {
        machine: usize,
    },
    /// SIGSTOP, and SIGCONT when the fault ends.
    AgentFreezes {
        host: usize,
    },
    ControlFreezes,
    MemberFreezes {
        part: usize,
    },
    GuardFreezes {
        host: usize,
    },
    /// Everything on it, as a hypervisor does.
    MachineFreezes {
        machine: usize,
    },
    MemberDies {
        part: usize,
        others: bool,
    },
    GuardDies {
        host: usize,
    },
    /// Nothing gets through, one way.
    Cut {
        from: usize,
        to: usize,
    },
    /// To and from everybody.
    Lonely {
        machine: usize,
    },
    /// Late and lossy, one way.
    Slow {
        from: usize,
        to: usize,
    },
    /// A connection is reset.
    Reset {
        dialer: usize,
    },
    AgentDisk {
        host: usize,
        disk: Disk,
    },
    StoreDisk {
        disk: Disk,
    },
    Unready {
        part: usize,
    },
    Refuses {
        part: usize,
    },
    /// It closes its link, and opens it again.
    Leaves {
        part: usize,
    },
    /// It ends very slowly, and children of it longer still.
    Lingers {
        part: usize,
    },
    /// It waits for a disk that hangs: what ends it, or kills it, does nothing before the fault ends; and it may do nothing
    /// meanwhile.
    Clings {
        part: usize,
        hangs: bool,
    },
    /// The same for hooks, all of which hang.
    HooksCling {
        host: usize,
    },
    CannotStart {
        host: usize,
    },
    HooksFail {
        host: usize,
        half: bool,
    },
    HooksHang {
        host: usize,
    },
    /// Its host is installed anew: power is lost, the agent's files are empty and its identity is another one, which operators
    /// accept when the fault ends.
    Reinstalled {
        host: usize,
    },
    /// When the fault ends, the agent's files are what they were when it began, and the agent starts with them.
    FilesSetBack {
        host: usize,
    },
    Wish(Wish),
}

/// What an operator asks for; taken back when the fault ends, if it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the fields say whose
pub enum Wish {
    Switchover { pair: usize },
    Stop { part: usize, graceful: bool },
    StopForGood { part: usize },
    Restart { part: usize },
    Maintenance { part: usize },
    MaintenanceOfPair { pair: usize },
    Drain { host: usize },
    Rolling { pair: usize },
    HostLeaves { host: usize },
    Lease { pair: usize, longer: bool },
    Hold { host: usize },
    SayOff { pair: usize },
}

/// One entry of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// When it begins.
    pub at: u64,
    /// When it ends.
    pub until: u64,
    /// What.
    pub fault: Fault,
}

/// The plan of a seed.
pub fn plan(seed: u64, climate: &Climate, cast: &Cast) -> Vec<Planned> {
    let mut dice = Dice::new(seed, 2);
    let mut planned = Vec::new();
    // First everybody comes up in peace.
    let mut at = climate.options.preset.timers().switchover_timeout.as_nanos() as u64 / 4;
    while at < climate.stormy && planned.len() < MOST_FAULTS {
        // Now and then several things break at once.
        let together = if dice.chance(200) { dice.between(2, 4) } else { 1 };
        for _ in 0..together {
            let Some(fault) = draw_within(&mut dice, climate, cast) else { continue };
            let late = if together > 1 { dice.below(climate.longest / 8) } else { 0 };
            let begins = (at + late).min(climate.stormy);
            let until = (begins + span(&mut dice, climate, fault)).min(climate.stormy);
            planned.push(Planned { at: begins, until, fault });
        }
        at += dice.between(climate.between / 4, climate.between * 7 / 4).max(1);
    }
    planned.extend(lost_memory(seed, climate, cast));
    let clinging = clinging(seed, climate, cast, &planned);
    planned.extend(clinging);
    planned.extend(reloads(seed, climate, cast));
    planned.extend(holds(seed, climate, cast));
    planned.extend(said_off(seed, climate, cast));
    planned
}

/// Leases that change, if the campaign is about that. From dice of its own, and last in the plan.
fn reloads(seed: u64, climate: &Climate, cast: &Cast) -> Vec<Planned> {
    let mut dice = Dice::new(seed, 11);
    if !climate.options.reloads {
        return Vec::new();
    }
    let mut drawn = Vec::new();
    for _ in 0..dice.between(2, 12) {
        let fault = Fault::Wish(Wish::Lease { pair: dice.index(cast.pairs.len()), longer: dice.chance(600) });
        let at = dice.between(climate.stormy / 16, climate.stormy);
        let until = (at + span(&mut dice, climate, fault)).min(climate.stormy);
        if is_within(fault, climate, cast) {
            drawn.push(Planned { at, until, fault });
        }
    }
    drawn
}

/// Hosts that are held, if the campaign is about that. From dice of its own, and last in the plan.
fn holds(seed: u64, climate: &Climate, cast: &Cast) -> Vec<Planned> {
    let mut dice = Dice::new(seed, 13);
    if !climate.options.holds {
        return Vec::new();
    }
    let mut drawn = Vec::new();
    for _ in 0..dice.between(2, 8) {
        let fault = Fault::Wish(Wish::Hold { host: dice.index(climate.hosts) });
        let at = dice.between(climate.stormy / 16, climate.stormy);
        let until = (at + span(&mut dice, climate, fault)).min(climate.stormy);
        if is_within(fault, climate, cast) {
            drawn.push(Planned { at, until, fault });
        }
    }
    drawn
}

/// Operators who look at a machine and say that it is off, if the campaign is about that: some while after it went off. From
/// dice of its own, and last in the plan.
fn said_off(seed: u64, climate: &Climate, cast: &Cast) -> Vec<Planned> {
    let mut dice = Dice::new(seed, 14);
    if !climate.options.power {
        return Vec::new();
    }
    let mut drawn = Vec::new();
    for _ in 0..dice.between(2, 8) {
        // It is off for long enough that somebody gets there.
        let part = dice.index(cast.parts.len());
        let off = Fault::MachineDies { machine: cast.parts[part].host };
        let at = dice.between(climate.stormy / 16, climate.stormy);
        let until = (at + dice.between(climate.longest / 8, climate.longest)).min(climate.stormy);
        let says = Fault::Wish(Wish::SayOff { pair: cast.parts[part].pair });
        let said = at + dice.below(until.saturating_sub(at).max(1));
        if is_within(off, climate, cast) && is_within(says, climate, cast) {
            drawn.push(Planned { at, until, fault: off });
            drawn.push(Planned { at: said, until: said, fault: says });
        }
    }
    drawn
}

/// Now and then something cannot be killed, mostly while roles change. From dice of its own, and last in the plan.
fn clinging(seed: u64, climate: &Climate, cast: &Cast, planned: &[Planned]) -> Vec<Planned> {
    let mut dice = Dice::new(seed, 8);
    if !dice.chance(300) {
        return Vec::new();
    }
    let mut drawn = Vec::new();
    for _ in 0..dice.between(1, 3) {
        let (mut at, mut part) =
            (dice.between(climate.stormy / 8, climate.stormy), dice.index(cast.parts.len()));
        let changes = planned.iter().filter_map(|known| Some((known.at, changes_role(known.fault, cast)?)));
        let changes: Vec<(u64, usize)> = changes.collect();
        if !changes.is_empty() && dice.chance(700) {
            // One of the last as often as any: whatever else breaks later may help.
            let least = if dice.chance(500) { changes.len().saturating_sub(3) } else { 0 };
            let (begins, whose) = changes[least + dice.index(changes.len() - least)];
            // Shortly before as well: it is ordered to be primary, and nobody has noticed yet.
            let later = begins + dice.below(climate.longest / 100);
            (at, part) = (later.saturating_sub(dice.below(climate.longest / 10)), whose);
        }
        let host = cast.parts[part].host;
        let fault = match dice.below(10) {
            0..=2 => Fault::HooksCling { host },
            number => Fault::Clings { part, hangs: number < 8 },
        };
        // Often for longer than two leases.
        let until = at + dice.between(climate.longest / 8, climate.longest * 2);
        if is_within(fault, climate, cast) {
            drawn.push(Planned { at: at.min(climate.stormy), until: until.min(climate.stormy), fault });
            // Another life of its agent has to find out about it.
            let dies = Fault::AgentDies { host };
            if dice.chance(300) && is_within(dies, climate, cast) {
                let at = at + dice.below(climate.longest / 2);
                let until = at + dice.scaled(climate.longest / 2_000, climate.longest / 8);
                drawn.push(Planned {
                    at: at.min(climate.stormy),
                    until: until.min(climate.stormy),
                    fault: dies,
                });
            }
        }
    }
    // It may be for good where nobody waits for what cannot be killed: where promises run out, and another host has all data.
    let followed = climate.options.policy == Policy::Strict && !climate.options.keep_data;
    // A plain one shows no life anyway: another life of its agent does not know that it was killed, and takes it as it is.
    let seen = |part: usize| {
        let (own, other) = (&cast.parts[part], &cast.parts[cast.other(part)]);
        own.way == Way::Library && own.host != other.host
    };
    let may_last = |known: &&mut Planned| matches!(known.fault, Fault::Clings { part, .. } if seen(part));
    if let Some(last) = drawn.iter_mut().find(may_last)
        && followed
        && dice.chance(500)
    {
        last.until = u64::MAX;
    }
    drawn
}

/// Whose part changes, or may change, with a fault: who is to be primary, or primary no more.
fn changes_role(fault: Fault, cast: &Cast) -> Option<usize> {
    match fault {
        Fault::MemberDies { part, .. } | Fault::Unready { part } => Some(cast.other(part)),
        Fault::Wish(Wish::Switchover { pair }) => Some(cast.pairs[pair].members[1]),
        Fault::Lonely { machine } => cast.parts.iter().position(|part| part.host == machine),
        _ => None,
    }
}

/// Now and then an agent loses its memory. From dice of its own, and last in the plan.
fn lost_memory(seed: u64, climate: &Climate, cast: &Cast) -> Option<Planned> {
    let mut dice = Dice::new(seed, 6);
    if climate.options.policy != Policy::Strict || !dice.chance(200) {
        return None;
    }
    let host = dice.index(climate.hosts);
    let fault = if dice.chance(500) { Fault::Reinstalled { host } } else { Fault::FilesSetBack { host } };
    let at = dice.between(climate.stormy / 8, climate.stormy);
    let until = (at + span(&mut dice, climate, fault)).min(climate.stormy);
    is_within(fault, climate, cast).then_some(Planned { at, until, fault })
}

/// The most entries of a plan.
pub const MOST_FAULTS: usize = 2_000;

fn span(dice: &mut Dice, climate: &Climate, fault: Fault) -> u64 {
    let longest = climate.longest;
    match fault {
        Fault::MemberDies { .. } | Fault::GuardDies { .. } | Fault::Reset { .. } => 0,
        Fault::AgentDies { .. } | Fault::ControlDies => dice.scaled(longest / 2_000, longest),
        // Long enough that something is promised or given up meanwhile.
        Fault::FilesSetBack { .. } => dice.between(longest / 2, longest * 2),
        _ => dice.scaled(longest / 500, longest),
    }
}

/// One that the climate allows; none if chance gives none.
fn draw_within(dice: &mut Dice, climate: &Climate, cast: &Cast) -> Option<Fault> {
    (0..MOST_THROWS).map(|_| draw(dice, climate, cast)).find(|fault| is_within(*fault, climate, cast))
}

/// So often it is thrown for a fault that the climate allows.
const MOST_THROWS: usize = 200;

fn is_within(fault: Fault, climate: &Climate, cast: &Cast) -> bool {
    let is_on = |machine: usize| match climate.focus {
        Focus::All => true,
        Focus::ControlPlane => machine == climate.control_on,
        Focus::Voter(host) => machine == host,
    };
    match fault {
        Fault::ControlDies | Fault::ControlFreezes | Fault::StoreDisk { .. } => is_on(climate.control_on),
        Fault::MachineDies { machine } | Fault::MachineFreezes { machine } | Fault::Lonely { machine } => {
            is_on(machine)
        }
        Fault::Cut { from, to } | Fault::Slow { from, to } => is_on(from) || is_on(to),
        Fault::AgentDies { host }
        | Fault::AgentFreezes { host }
        | Fault::GuardFreezes { host }
        | Fault::GuardDies { host }
        | Fault::AgentDisk { host, .. }
        | Fault::CannotStart { host }
        | Fault::HooksFail { host, .. }
        | Fault::Reinstalled { host }
        | Fault::FilesSetBack { host }
        | Fault::HooksCling { host }
        | Fault::HooksHang { host } => is_on(host),
        Fault::MemberFreezes { part }
        | Fault::MemberDies { part, .. }
        | Fault::Unready { part }
        | Fault::Refuses { part }
        | Fault::Leaves { part }
        | Fault::Clings { part, .. }
        | Fault::Lingers { part } => is_on(cast.parts[part].host),
        // They cost no healthy primary its role.
        Fault::Wish(Wish::Lease { .. } | Wish::Hold { .. }) => true,
        Fault::Reset { .. } | Fault::Wish(_) => climate.focus == Focus::All,
    }
}

fn draw_disk(dice: &mut Dice) -> Disk {
    [Disk::Full, Disk::Full, Disk::StoresUnseen, Disk::LosesUnseen, Disk::Slow, Disk::Slow][dice.index(6)]
}

fn draw(dice: &mut Dice, climate: &Climate, cast: &Cast) -> Fault {
    let host = dice.index(climate.hosts);
    let machines = climate.hosts.max(climate.control_on + 1);
    let machine = dice.index(machines);
    let other = (machine + 1 + dice.index(machines - 1)) % machines;
    let part = dice.index(cast.parts.len());
    let disk = draw_disk(dice);
    match dice.below(100) {
        0..=17 => Fault::MemberDies { part, others: dice.chance(300) },
        18..=25 => Fault::AgentDies { host },
        26..=29 => Fault::ControlDies,
        30..=32 => Fault::MachineDies { machine },
        33..=37 => Fault::AgentFreezes { host },
        38..=40 => Fault::ControlFreezes,
        41..=43 => Fault::MemberFreezes { part },
        44..=45 => Fault::GuardFreezes { host },
        46..=48 => Fault::MachineFreezes { machine },
        49..=50 => Fault::GuardDies { host },
        51..=56 => Fault::Cut { from: machine, to: other },
        57..=61 => Fault::Lonely { machine },
        62..=64 => Fault::Slow { from: machine, to: other },
        65..=66 => Fault::Reset { dialer: dice.index(climate.hosts + cast.pairs.len()) },
        67..=69 => Fault::AgentDisk { host, disk },
        70..=71 => Fault::StoreDisk { disk },
        72..=74 => Fault::Unready { part },
        75..=76 => Fault::Refuses { part },
        77 => Fault::Leaves { part },
        78..=79 => Fault::Lingers { part },
        80 => Fault::CannotStart { host },
        81..=82 => Fault::HooksFail { host, half: dice.chance(500) },
        83 => Fault::HooksHang { host },
        _ => Fault::Wish(draw_wish(dice, climate, cast)),
    }
}

fn draw_wish(dice: &mut Dice, climate: &Climate, cast: &Cast) -> Wish {
    let part = dice.index(cast.parts.len());
    let pair = dice.index(cast.pairs.len());
    let host = dice.index(climate.hosts);
    match dice.below(16) {
        0..=6 => Wish::Switchover { pair },
        7..=8 => Wish::Stop { part, graceful: dice.chance(500) },
        9 if dice.chance(300) => Wish::StopForGood { part },
        9..=10 => Wish::Restart { part },
        11 => Wish::Maintenance { part },
        12 => Wish::MaintenanceOfPair { pair },
        13 => Wish::Drain { host },
        14 => Wish::Rolling { pair },
        _ => Wish::HostLeaves { host },
    }
}

/// A fault in words, with names.
pub struct Words<'a>(pub &'a Cast, pub Fault);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(cast, fault) = self;
        let part = |part: usize| cast.parts[part].name.clone();
        let at = |machine: usize| cast.machine(machine);
        match *fault {
            Fault::AgentDies { host } => write!(f, "{}'s agent is killed", at(host)),
            Fault::ControlDies => write!(f, "the control server is killed"),
            Fault::MachineDies { machine } => write!(f, "{} loses its power", at(machine)),
            Fault::AgentFreezes { host } => write!(f, "{}'s agent is stopped (SIGSTOP)", at(host)),
            Fault::ControlFreezes => write!(f, "the control server is stopped (SIGSTOP)"),
            Fault::MemberFreezes { part: number } => write!(f, "{} is stopped (SIGSTOP)", part(number)),
            Fault::GuardFreezes { host } => write!(f, "{}'s guard is stopped (SIGSTOP)", at(host)),
            Fault::MachineFreezes { machine } => write!(f, "everything on {} is frozen", at(machine)),
            Fault::MemberDies { part: number, others } => {
                write!(f, "{} is killed; children of it live on: {others}", part(number))
            }
            Fault::GuardDies { host } => write!(f, "{}'s guard is killed", at(host)),
            Fault::Cut { from, to } => write!(f, "nothing gets from {} to {}", at(from), at(to)),
            Fault::Lonely { machine } => write!(f, "nothing gets to or from {}", at(machine)),
            Fault::Slow { from, to } => write!(f, "from {} to {} it is slow and lossy", at(from), at(to)),
            Fault::Reset { dialer } => write!(f, "link {dialer} is reset"),
            Fault::AgentDisk { host, disk } => write!(f, "the disk of {}'s agent: {disk:?}", at(host)),
            Fault::StoreDisk { disk } => write!(f, "the control server's store: {disk:?}"),
            Fault::Unready { part: number } => write!(f, "{} cannot serve", part(number)),
            Fault::Refuses { part: number } => write!(f, "{} refuses promotions", part(number)),
            Fault::Leaves { part: number } => write!(f, "{} closes its link", part(number)),
            Fault::Lingers { part: number } => write!(f, "{} ends slowly", part(number)),
            Fault::Clings { part: number, hangs } => {
                write!(f, "{} waits for a disk and cannot be killed; all of it hangs: {hangs}", part(number))
            }
            Fault::HooksCling { host } => write!(f, "hooks on {} hang and cannot be killed", at(host)),
            Fault::CannotStart { host } => write!(f, "nothing can be started on {}", at(host)),
            Fault::HooksFail { host, half } => {
                write!(f, "hooks on {} fail, half done: {half}", at(host))
            }
            Fault::HooksHang { host } => write!(f, "hooks on {} hang", at(host)),
            Fault::Reinstalled { host } => write!(f, "{} is installed anew", at(host)),
            Fault::FilesSetBack { host } => {
                write!(f, "the files of {}'s agent will be set back to what they are now", at(host))
            }
            Fault::Wish(wish) => match wish {
                Wish::Switchover { pair } => write!(f, "operator: switchover {}", cast.pairs[pair].name),
                Wish::Stop { part: number, graceful } => {
                    write!(f, "operator: stop {}, graceful: {graceful}", part(number))
                }
                Wish::StopForGood { part: number } => write!(f, "operator: stop {} for good", part(number)),
                Wish::Lease { pair: number, longer } => {
                    let what = if longer { "longer" } else { "shorter" };
                    write!(f, "operator: a {what} lease for {}", cast.pairs[number].name)
                }
                Wish::Hold { host } => write!(f, "operator: hold {}", at(host)),
                Wish::SayOff { pair } => {
                    write!(f, "operator: the primary's machine of {} is off, if it is", cast.pairs[pair].name)
                }
                Wish::Restart { part: number } => write!(f, "operator: restart {}", part(number)),
                Wish::Maintenance { part: number } => write!(f, "operator: maintenance on {}", part(number)),
                Wish::MaintenanceOfPair { pair } => {
                    write!(f, "operator: maintenance on pair {}", cast.pairs[pair].name)
                }
                Wish::Drain { host } => write!(f, "operator: drain {}", at(host)),
                Wish::Rolling { pair } => write!(f, "operator: rolling restart of {}", cast.pairs[pair].name),
                Wish::HostLeaves { host } => write!(f, "operator: {} leaves", at(host)),
            },
        }
    }
}
