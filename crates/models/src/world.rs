//! One state of the small world: two agents, two control servers, one store, and everything that was ever sent.
//!
//! Every clock reads zero in every state: when time passes, all moments of the machines on that clock come nearer by as much.
//! So a moment is the time that is left, what is over is zero, and states repeat. Messages are kept as what can still come
//! of them; of those that differ only in age the youngest is kept, as it is worth most to whoever receives it.

use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Duration;

use understudy_decide::grants::holder::{Holder, OtherVoter, Page};
use understudy_decide::grants::leader::{GrantOrder, Leader, Leadership, Write};
use understudy_decide::grants::terms::Terms;
use understudy_decide::grants::voter::Voter;
use understudy_decide::grants::{Kept, Promise};
use understudy_model::{ApplicationName, ControllerEpoch, Epoch, Incarnation, Moment, RoleEpoch};

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
    /// Each clock may take another of the rates with every tick. That includes every run in which none does.
    pub varies: bool,
    /// Hosts may reboot.
    pub reboots: bool,
    /// An agent may also crash between the storing of a promise to its member and everything that follows it, and between a
    /// request that goes out beside the storing and its end.
    pub crashes_within: bool,
    /// A fencing device may be called, once.
    pub fencing: bool,
    /// One agent may lose its memory, once.
    pub wipes: bool,
    /// The store may be restored to what it held before, once.
    pub restores: bool,
    /// Beside that in `terms`, an epoch may be given this lease (G13).
    pub other_lease: Option<Duration>,
    /// Exactly this combination of rates, instead of all.
    pub fixed: Option<[u32; CLOCKS]>,
    /// How many clocks run at any of the rates, from the first on; the others run at the first rate.
    pub uneven_clocks: usize,
    /// Every state is also asked whether all is well once faults stop (L1 to L3).
    pub live: bool,
    /// The rule that is broken.
    pub wrong: Option<Wrong>,
}

impl Scope {
    /// The longest lease that an epoch may be given.
    pub fn longest_lease(&self) -> Duration {
        self.terms.lease.max(self.other_lease.unwrap_or_default())
    }

    /// True if exactly this rule is broken.
    pub fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// The rates of one tick: the highest for the clocks whose bit is set, the lowest for the others.
    pub fn rates_of(&self, fast: usize) -> [u32; CLOCKS] {
        let [slowest, fastest] = self.extremes();
        let mut rates = [slowest; CLOCKS];
        rates
            .iter_mut()
            .enumerate()
            .filter(|(bit, _)| fast >> bit & 1 == 1)
            .for_each(|(_, it)| *it = fastest);
        rates
    }

    /// The lowest rate, and the highest.
    pub fn extremes(&self) -> [u32; 2] {
        let extreme = |found: Option<&u32>| found.copied().unwrap_or(1);
        [extreme(self.rates.iter().min()), extreme(self.rates.iter().max())]
    }

    /// True if what was promised or stored may be forgotten, so that something lower counts again.
    pub fn can_go_back(&self, wiped: bool) -> bool {
        let broken = [
            Wrong::NotDurable,
            Wrong::NotDurableUnseen,
            Wrong::NoCompareAndSet,
            Wrong::OldView,
            Wrong::StoreRolledBack,
        ];
        let broken = broken.into_iter().any(|wrong| self.is(wrong));
        self.restores || (self.wipes && !wiped) || broken || self.keeps_all_answers()
    }

    /// True if a rule is broken by which an answer that is worth nothing is worth something.
    pub fn keeps_all_answers(&self) -> bool {
        [Wrong::CountsFromAnswer, Wrong::ClosedAnswersCount, Wrong::AnswersOfFormerBoot, Wrong::NumbersReused]
            .into_iter()
            .any(|wrong| self.is(wrong))
    }
}

/// A part of a state that many states share; it is copied when one of them changes it.
#[derive(Debug, Clone)]
pub struct Part<T>(pub(crate) Rc<T>);

impl<T> Deref for Part<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Part<T> {
    fn deref_mut(&mut self) -> &mut T {
        Rc::make_mut(&mut self.0)
    }
}

/// A request on its way, to either voter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// For which epoch of this agent's member.
    pub epoch: Epoch,
    /// Of the holder.
    pub number: u64,
    /// What it says that its holder counts on.
    pub lease: Duration,
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
    /// The highest epoch that it ever held: what may have been promised and ordered.
    pub highest: Epoch,
    /// The longest that a holder may count on (G13).
    pub covers: Duration,
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
    /// And the longest lease of then.
    pub backup_covers: Duration,
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
    pub agents: [Part<Agent>; 2],
    /// C1 and C2.
    pub controllers: [Part<Controller>; 2],
    /// The store.
    pub store: Part<Store>,
    /// The one call of the device.
    pub call: Option<Call>,
    /// An agent lost its memory.
    pub wiped: bool,
}

impl Agent {
    fn new(name: &str, scope: &Scope) -> Self {
        let name = ApplicationName::new(name).expect("a good name");
        // A pair whose last holder, of epoch 0, is no member any more: neither host is before the other, and agents that
        // restart are not taken for reinstalled ones.
        let left = RoleEpoch::new(Epoch::NONE, ApplicationName::new("former").expect("a good name"));
        let promised = Some(Promise { role: left.clone(), lease: scope.terms.lease });
        let kept = Kept { promised, closed: Epoch::NONE };
        let mut voter = Voter::restarted(NOW, name.clone(), None, kept.clone(), scope.terms.lease);
        voter.released(&left.holder, left.epoch);
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

    /// What a yes to a request of this life for `epoch` could still do: nothing if the member may act for as long already,
    /// or if the epoch was given up, of which [`Agent::look`] sees to it that the machine knows.
    pub fn gain(&self, scope: &Scope, epoch: Epoch, number: u64, this_life: bool) -> Moment {
        let worth = self.worth(number, this_life);
        let lost = worth <= self.holder.may_act_until() || epoch <= self.holder.given_up();
        if lost && !scope.keeps_all_answers() { NOW } else { worth }
    }
}

impl World {
    /// A new pair: nobody was ever primary, nobody leads.
    pub fn new(scope: &Scope, rates: [u32; CLOCKS]) -> Self {
        let controller = Controller { leadership: None, pair: None, old_view: None, early: NOW };
        let controller = Part(Rc::new(controller));
        Self {
            rates,
            agents: ["a", "b"].map(|name| Part(Rc::new(Agent::new(name, scope)))),
            controllers: [controller.clone(), controller],
            store: Part(Rc::new(Store {
                stored: None,
                highest: Epoch::NONE,
                covers: scope.terms.lease,
                controller_epoch: ControllerEpoch(0),
                leader: 0,
                leased: NOW,
                writes: Vec::new(),
                backup: None,
                backup_covers: Duration::ZERO,
                marked: false,
                was_restored: false,
            })),
            call: None,
            wiped: false,
        }
    }
}
