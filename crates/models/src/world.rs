//! One state of the small world: two agents, two control servers, one store, and everything that was ever sent.
//!
//! Every clock reads zero in every state: when time passes, all moments of the machines on that clock come nearer by as much.
//! So a moment is the time that is left, what is over is zero, and states repeat. Messages are kept as what can still come
//! of them; of those that differ only in age the youngest is kept, as it is worth most to whoever receives it.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use understudy_decide::grants::Kept;
use understudy_decide::grants::holder::{Holder, OtherVoter, Page};
use understudy_decide::grants::leader::{GrantOrder, Leader, Leadership, Write};
use understudy_decide::grants::terms::Terms;
use understudy_decide::grants::voter::Voter;
use understudy_model::{ApplicationName, ControllerEpoch, Epoch, Incarnation, Moment, RoleEpoch};

use crate::fingerprint::Fold;
use crate::wrong::Wrong;

/// What every clock reads.
pub const NOW: Moment = Moment(0);

/// The smallest span of the world.
pub const UNIT: Duration = Duration::from_millis(1);

/// The life that an agent lives now; messages of earlier ones are marked.
pub const THIS_LIFE: Incarnation = Incarnation(1);

/// Clocks: both agents', both control servers', the store's.
pub const CLOCKS: usize = 5;

/// The bounds of one exploration.
#[derive(Debug, Clone)]
pub struct Scope {
    /// What it is called in tables.
    pub name: &'static str,
    /// No epoch above this one is stored.
    pub epochs: u64,
    /// How many leaderships there may be.
    pub leaderships: u64,
    /// The terms of holder and voters.
    pub terms: Terms,
    /// Lc in the store; that in `terms` is what leaders count on, before drift.
    pub store_lease: Duration,
    /// Units by which a clock may advance in a tick. Every combination of clocks is explored.
    pub rates: &'static [u32],
    /// Hosts may reboot.
    pub reboots: bool,
    /// A fencing device may be called, once.
    pub fencing: bool,
    /// One agent may lose its memory, once.
    pub wipes: bool,
    /// The store may be restored to what it held before, once.
    pub restores: bool,
    /// The rule that is broken.
    pub wrong: Option<Wrong>,
}

impl Scope {
    /// True if exactly this rule is broken.
    pub fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }
}

/// A request on its way, to either voter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// For which epoch of this agent's member.
    pub epoch: Epoch,
    /// Of the holder.
    pub number: u64,
    /// Sent by the life that runs now.
    pub this_life: bool,
}

/// A yes on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// For which epoch of this agent's member.
    pub epoch: Epoch,
    /// Of the request.
    pub number: u64,
    /// Answers the life that runs now.
    pub this_life: bool,
    /// From whom.
    pub voter: OtherVoter,
}

/// An order on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// What was ordered.
    pub order: GrantOrder,
    /// Made for the life that runs now.
    pub this_life: bool,
}

/// An agent with its host, and all messages that only it sends or receives.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The member.
    pub name: ApplicationName,
    /// What was fsynced.
    pub disk: Kept,
    /// The machine.
    pub voter: Voter,
    /// The machine.
    pub holder: Holder,
    /// The role page: survives the agent, dies with the host.
    pub page: Page,
    /// By epoch, the youngest of each.
    pub asked: Vec<Asked>,
    /// By epoch, the one that is worth most.
    pub answered: Vec<Answered>,
    /// Orders, each once.
    pub orders: Vec<Ordered>,
    /// The highest release that was sent.
    pub released: Epoch,
    /// Rule broken: how often the clock of the next boot is behind.
    pub behind: bool,
}

/// A control server.
#[derive(Debug, Clone)]
pub struct Controller {
    /// If it has acquired the store's lease.
    pub leadership: Option<Leadership>,
    /// Once it has read.
    pub pair: Option<Leader>,
    /// Rule broken: what was read in an earlier leadership.
    pub old_view: Option<Option<RoleEpoch>>,
    /// Rule broken: the order waits until this promise is over.
    pub early: Moment,
}

/// A write on its way, or its outcome on the way back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OnItsWay {
    /// From whom.
    pub controller: usize,
    /// What.
    pub write: Write,
    /// Not stored yet; or stored; or certain not to be.
    pub stored: Option<bool>,
}

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    /// What it holds.
    pub stored: Option<RoleEpoch>,
    /// Counts leaderships.
    pub controller_epoch: ControllerEpoch,
    /// Who has the lease, or had it last.
    pub leader: usize,
    /// Until when nobody else gets it.
    pub leased: Moment,
    /// At most one for each leadership.
    pub writes: Vec<OnItsWay>,
    /// What a backup of it holds: the role before the present one.
    pub backup: Option<RoleEpoch>,
    /// It was restored, and carries the marker.
    pub marked: bool,
    /// It was restored once.
    pub was_restored: bool,
}

/// A call of the fencing device.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// By whom.
    pub controller: usize,
    /// In which leadership.
    pub controller_epoch: ControllerEpoch,
    /// Whom to switch off.
    pub role: RoleEpoch,
    /// It was switched off.
    pub done: bool,
}

/// A state.
#[derive(Debug, Clone)]
pub struct World {
    /// Units a tick, clock by clock.
    pub rates: [u32; CLOCKS],
    /// A and B.
    pub agents: [Agent; 2],
    /// C1 and C2.
    pub controllers: [Controller; 2],
    /// The store.
    pub store: Store,
    /// The one call of the device.
    pub call: Option<Call>,
    /// An agent lost its memory.
    pub wiped: bool,
}

impl Agent {
    fn new(name: &str, scope: &Scope) -> Self {
        let name = ApplicationName::new(name).expect("a good name");
        let kept = Kept::default();
        let mut voter = Voter::restarted(NOW, name.clone(), None, kept.clone(), scope.terms.lease);
        // A new pair, after its agents' first lease and their first contact with a leader.
        voter.shift(scope.terms.lease);
        voter.learn_stored(Epoch::NONE);
        let holder = Holder::new(name.clone(), THIS_LIFE, &kept);
        let page = Page { role: None, until: NOW };
        let released = Epoch::NONE;
        Self {
            name,
            disk: kept,
            voter,
            holder,
            page,
            asked: Vec::new(),
            answered: Vec::new(),
            orders: Vec::new(),
            released,
            behind: false,
        }
    }

    /// What a yes to request `number` of this life is worth: time left.
    pub fn worth(&self, number: u64, this_life: bool) -> Moment {
        if this_life { self.holder.worth(number).unwrap_or(NOW) } else { NOW }
    }

    /// The role of this agent's member in `epoch`.
    pub fn role(&self, epoch: Epoch) -> RoleEpoch {
        RoleEpoch::new(epoch, self.name.clone())
    }

    /// All that its behaviour depends on. Of the holder: what it holds, until when it may act (each voter's answer matters
    /// only through the latest), until when an order lasts, what was given up; of its requests those that are on their
    /// way, by worth: their numbers only tell them apart.
    fn feed(&self, fold: &mut Fold) {
        (&self.disk, &self.voter, self.released, &self.page).hash(fold);
        (self.holder.held(), self.holder.may_act_until(), self.holder.order_until()).hash(fold);
        (self.holder.given_up(), self.behind).hash(fold);
        for asked in &self.asked {
            (1_u8, asked.epoch, self.worth(asked.number, asked.this_life)).hash(fold);
        }
        for answered in &self.answered {
            (2_u8, answered.epoch, answered.this_life).hash(fold);
            self.worth(answered.number, answered.this_life).hash(fold);
        }
        for ordered in &self.orders {
            (3_u8, &ordered.order.role, &ordered.order.fenced, ordered.this_life).hash(fold);
        }
    }
}

impl World {
    /// A new pair: nobody was ever primary, nobody leads.
    pub fn new(scope: &Scope, rates: [u32; CLOCKS]) -> Self {
        let controller = Controller { leadership: None, pair: None, old_view: None, early: NOW };
        Self {
            rates,
            agents: [Agent::new("a", scope), Agent::new("b", scope)],
            controllers: [controller.clone(), controller],
            store: Store {
                stored: None,
                controller_epoch: ControllerEpoch(0),
                leader: 0,
                leased: NOW,
                writes: Vec::new(),
                backup: None,
                marked: false,
                was_restored: false,
            },
            call: None,
            wiped: false,
        }
    }

    /// The two hosts are equals and so are the two control servers: the smallest of the four fingerprints is that of all
    /// four states. A leader keeps what agents said after a restore by index, so there the hosts are not taken as equals.
    pub fn fingerprint(&self, scope: &Scope) -> u64 {
        let turns = [(false, false), (false, true), (true, false), (true, true)];
        let turns = &turns[..if scope.restores { 2 } else { 4 }];
        turns.iter().map(|(hosts, controllers)| self.turned(*hosts, *controllers)).min().unwrap_or_default()
    }

    fn turned(&self, hosts: bool, controllers: bool) -> u64 {
        let mut fold = Fold::new(hosts);
        let host = |index: usize| if hosts { 1 - index } else { index };
        let controller = |index: usize| if controllers { 1 - index } else { index };
        for index in 0..2 {
            self.rates[host(index)].hash(&mut fold);
            self.agents[host(index)].feed(&mut fold);
        }
        for index in 0..2 {
            self.rates[2 + controller(index)].hash(&mut fold);
            let it = &self.controllers[controller(index)];
            (&it.leadership, &it.old_view, it.early).hash(&mut fold);
            match &it.pair {
                Some(pair) => pair.hash(&mut fold),
                None => 0_u8.hash(&mut fold),
            }
        }
        let store = &self.store;
        self.rates[4].hash(&mut fold);
        (&store.stored, store.controller_epoch, controller(store.leader), store.leased).hash(&mut fold);
        (&store.backup, store.marked, store.was_restored, self.wiped).hash(&mut fold);
        for way in &store.writes {
            (controller(way.controller), &way.write, way.stored).hash(&mut fold);
        }
        if let Some(call) = &self.call {
            (controller(call.controller), call.controller_epoch, &call.role, call.done).hash(&mut fold);
        }
        fold.finish()
    }
}
