//! The control server's mind: the cluster's hosts, applications, pairs and operations.
//!
//! It knows agents only by what they report, and remembers nothing that a restart may not lose except through its
//! records. It refuses to know how a record is stored or an order is sent. The law: no order before the epoch that it
//! carries is durable, and what is not known is never guessed.

mod asked;
mod asks;
mod clocks;
mod explain;
mod fence;
mod flap;
mod gone;
mod holds;
mod hosts;
mod in_sync;
mod leases;
mod leaving;
mod loss;
mod operations;
pub mod pair;
mod pairs;
mod refuse;
mod running;
mod saw;
mod sequences;
mod situation;
mod state;
mod story;
mod strict;
mod touched;
mod view;
mod viewing;
mod voters;
mod what_if;

pub use asked::{AllAsked, AskedBy, AskedOf};
pub use flap::{Flap, FlapHeld};
pub use holds::{Hold, LONGEST_HOLD};
pub use saw::*;
pub use view::*;
pub use what_if::{Foreseen, ForeseenPair, Foresight, SupposeError, Supposed};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::grants::leader::Leadership;
use fence::Call;
use pair::{PairState, PairTrigger};
use state::{App, Host, MOST_STEPS, Operations, OrderedWork, Outstanding, Pair, Undo};
use understudy_model::{
    ApplicationName, Because, Cluster, Decision, Event, EventKind, Goal, HostName, HostStatus, InSyncAnswer,
    Lane, Machine, Member, Moment, OperationId, Order, OrderId, PairName, Rule, Severity, Subject, Work,
};

/// How long a pair waits after its epoch could not be made durable, or its reaffirmation was refused.
pub const RETRY: Duration = Duration::from_secs(1);

/// The longest wait after repeated refusals of one member: it may be the only one that can serve, and nobody sees that it would
/// not refuse any more.
pub const LONGEST_REFUSAL_WAIT: Duration = Duration::from_secs(10);

type Out = Decision<ControlRecord, ControlDo>;

/// The cluster's deciding machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Control {
    memory: ControlMemory,
    cluster: Option<Cluster>,
    revision: u64,
    hosts: BTreeMap<HostName, Host>,
    applications: BTreeMap<ApplicationName, App>,
    pairs: BTreeMap<PairName, Pair>,
    operations: Operations,
    outstanding: BTreeMap<OrderId, Outstanding>,
    last_order: OrderId,
    /// The last order of the decisions before the last one: what came after it was not sent if that one was not stored.
    sent: OrderId,
    /// An answer that the last decision gave beside what it wanted stored, and that holds whether it was or not.
    unsaid: Option<ControlDo>,
    /// What the last decision changed in memory, until the next observation says whether it was stored.
    undo: Option<Undo>,
    /// The hosts that this control server runs on.
    own_hosts: BTreeSet<HostName>,
    /// Pairs whose changes of roles are remembered otherwise than they are stored.
    unsaved_flaps: BTreeSet<PairName>,
    /// When the machine looks at its own clock next.
    pulse: Option<Moment>,
    /// It had reason to doubt itself: no host counts as lost before this.
    doubt_until: Moment,
    /// The pairs that this observation may concern.
    touched: BTreeSet<PairName>,
    /// When which pair has to be looked at although nothing is observed of it.
    due: BTreeSet<(Moment, PairName)>,
    /// Pairs in which nobody is promoted: a configuration that changes them is being judged and stored.
    left_alone: BTreeSet<PairName>,
    /// Look at every pair at every observation, as a test of the above.
    looks_at_all: bool,
    /// This leadership, as far as promises are concerned.
    leadership: Leadership,
    /// Pairs whose next epoch is being stored: it is, unless the next observation says otherwise.
    unacknowledged: BTreeSet<PairName>,
    /// Pairs whose silent holder's host is off, as an operator says; durable unless the next observation says otherwise.
    words_given: BTreeSet<PairName>,
    /// Pairs whose longest lease is being stored as a shorter one: it is, unless the next observation says otherwise.
    shortened: BTreeMap<PairName, Duration>,
    /// When something was handed over that the next observation acknowledges.
    handed_over: Option<Moment>,
    /// The latest moment of any observation.
    clock: Moment,
    /// How the last decision answered a primary's word on who has everything.
    word_answered: Option<(HostName, InSyncAnswer)>,
    /// The fencing commands that run.
    calls: BTreeMap<HostName, Call>,
    /// Those of the last decision.
    just_called: BTreeSet<HostName>,
}

impl Control {
    /// A machine at the start of a leadership; its first observation must be [`ControlSaw::Configured`].
    pub fn new(memory: ControlMemory) -> Self {
        let leadership = Leadership::held_by_lock(memory.controller_epoch);
        Self {
            memory,
            cluster: None,
            revision: 0,
            hosts: BTreeMap::new(),
            applications: BTreeMap::new(),
            pairs: BTreeMap::new(),
            operations: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            last_order: OrderId(0),
            sent: OrderId(0),
            unsaid: None,
            undo: None,
            own_hosts: BTreeSet::new(),
            unsaved_flaps: BTreeSet::new(),
            pulse: None,
            doubt_until: Moment(0),
            touched: BTreeSet::new(),
            due: BTreeSet::new(),
            looks_at_all: false,
            leadership,
            left_alone: BTreeSet::new(),
            unacknowledged: BTreeSet::new(),
            words_given: BTreeSet::new(),
            shortened: BTreeMap::new(),
            handed_over: None,
            clock: Moment::default(),
            word_answered: None,
            calls: BTreeMap::new(),
            just_called: BTreeSet::new(),
        }
    }

    /// A machine that looks at every pair at every observation. It decides the same as one that does not, slower: a
    /// test compares the two.
    pub fn new_exhaustive(memory: ControlMemory) -> Self {
        Self { looks_at_all: true, ..Self::new(memory) }
    }

    /// Reads a configuration; what runs is touched only where its goal or settings changed.
    fn configure(&mut self, now: Moment, cluster: Cluster, out: &mut Out) {
        let first = self.cluster.is_none();
        self.revision += 1;
        self.left_alone.clear();
        for name in cluster.hosts.keys() {
            self.hosts.entry(name.clone()).or_insert_with(|| Host {
                incarnation: None,
                status: HostStatus::Unknown,
                since: now,
                heard: None,
                problem: "not heard yet".to_owned(),
                refused: None,
                gone: None,
                polled_until: None,
                leaving: None,
                votes_refused: BTreeSet::new(),
            });
        }
        self.hosts.retain(|name, _| cluster.hosts.contains_key(name));
        for (name, spec) in &cluster.applications {
            let pair = cluster.pair_of(name).map(|(pair, _)| pair.clone());
            let known = self
                .applications
                .entry(name.clone())
                .or_insert_with(|| App::new(spec.host.clone(), pair.clone(), now));
            if known.host != spec.host {
                *known = App::new(spec.host.clone(), pair.clone(), now);
            }
            known.pair = pair;
            let former = self.cluster.as_ref().and_then(|cluster| cluster.applications.get(name));
            if let Some(former) = former.filter(|former| *former != spec) {
                known.accept(former);
            }
        }
        self.applications.retain(|name, _| cluster.applications.contains_key(name));
        for (name, spec) in &cluster.pairs {
            let stored = self.memory.roles.get(name).cloned();
            let flap = self.memory.flaps.get(name).cloned().unwrap_or_default();
            let known = self.pairs.entry(name.clone()).or_insert_with(|| {
                let mut pair = Pair::new(spec.clone(), stored, now);
                pair.prefer = pair.holder().or(Some(Member::First));
                pair.last_primary = pair.holder();
                pair.flap = flap;
                pair
            });
            if Member::BOTH.iter().any(|of| known.spec.application(*of) != spec.application(*of)) {
                // What is known of the former members' promises says nothing of these.
                known.granting = None;
            }
            known.spec = spec.clone();
        }
        self.pairs.retain(|name, _| cluster.pairs.contains_key(name));
        self.read_records();
        self.read_grants(now);
        self.due.retain(|(_, name)| cluster.pairs.contains_key(name));
        self.touch_all();
        let (kind, because) = if first {
            let text = format!(
                "{} leads with controller epoch {}",
                self.memory.controller, self.memory.controller_epoch
            );
            (EventKind::ControllerStarted, Because::new(Rule::LeadershipTaken, text))
        } else {
            let text = format!("configuration read, revision {}", self.revision);
            (EventKind::ConfigurationChanged, Because::new(Rule::ConfigurationRead, text))
        };
        let because = because
            .fact("hosts", cluster.hosts.len())
            .fact("applications", cluster.applications.len())
            .fact("pairs", cluster.pairs.len());
        out.events.push(event(kind, Severity::Info, Subject::default(), because));
        self.cluster = Some(cluster);
        let connected: Vec<HostName> = self
            .hosts
            .iter()
            .filter(|(_, host)| host.incarnation.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for host in connected {
            self.send_assignments(&host, out);
        }
    }

    /// The goal of an application: what an operator said, else what the configuration says.
    fn goal(&self, application: &ApplicationName) -> Goal {
        if let Some(goal) = self.memory.goals.get(application) {
            return *goal;
        }
        let spec = self.cluster.as_ref().and_then(|cluster| cluster.applications.get(application));
        if spec.is_some_and(|spec| spec.autostart) { Goal::Started } else { Goal::Stopped }
    }

    /// Maintenance of the application itself, its host or its pair.
    fn maintenance_of(&self, application: &ApplicationName) -> Option<&MaintenanceOf> {
        let known = self.applications.get(application)?;
        self.memory.maintenance.iter().find(|of| match of {
            MaintenanceOf::Host(host) => *host == known.host,
            MaintenanceOf::Application(name) => name == application,
            MaintenanceOf::Pair(pair) => Some(pair) == known.pair.as_ref(),
        })
    }

    fn hands_off(&self, application: &ApplicationName) -> bool {
        self.maintenance_of(application).is_some()
    }

    /// Sends an order if the agent is connected; remembers it until it is answered. False if it is not connected.
    fn send(&mut self, host: &HostName, work: Work, about: OrderedWork, out: &mut Out) -> bool {
        let Some(incarnation) = self.hosts.get(host).and_then(|host| host.incarnation) else { return false };
        self.last_order = OrderId(self.last_order.0 + 1);
        let order =
            Order { id: self.last_order, incarnation, controller_epoch: self.memory.controller_epoch, work };
        self.outstanding.insert(order.id, Outstanding { host: host.clone(), work: about });
        out.actions.push(ControlDo::Send { host: host.clone(), order });
        true
    }

    fn step_of(&mut self, now: Moment, operation: Option<OperationId>, text: impl Into<String>) {
        if let Some(known) = operation.and_then(|id| self.operations.get_mut(&id))
            && known.steps.len() < MOST_STEPS
        {
            known.steps.push((now, text.into()));
        }
    }

    /// The answer of a decision that has something else to store. What an operator began or changed is answered anew
    /// if it was not stored.
    fn answer_beside(&self, out: &Out) -> Option<ControlDo> {
        let changed = self.undo.as_ref().and_then(|undo| undo.request);
        let beside = |action: &&ControlDo| match action {
            ControlDo::Reply { reply: Reply::Begun(_), .. }
            | ControlDo::AnswerInSync { .. }
            | ControlDo::Send { .. }
            | ControlDo::Vote { .. }
            | ControlDo::Fence { .. } => false,
            ControlDo::Reply { request, .. } => Some(*request) != changed,
        };
        out.actions.iter().find(beside).filter(|_| !out.persist.is_empty()).cloned()
    }

    /// Orders that shared a decision with something that was not stored were not sent, and nobody will answer them.
    fn not_sent(&mut self, now: Moment, sent: OrderId, why: &str, out: &mut Out) {
        let lost = self.outstanding.split_off(&OrderId(sent.0 + 1));
        for Outstanding { host, work } in lost.into_values() {
            match work {
                OrderedWork::Level { application: None, .. } => {
                    if let Some(known) = self.hosts.get_mut(&host) {
                        known.refused = Some((format!("it was not told what to run: {why}"), now + RETRY));
                    }
                }
                OrderedWork::Demote { pair, .. } => self.fire(now, &pair, PairTrigger::StoreFailed, out),
                OrderedWork::LetGo => self.not_let_go(&host),
                // Under `strict` its epoch was stored before: it is ordered again, or, if it acts in its former epoch, given
                // another one.
                OrderedWork::Promote { pair, role } => {
                    if let Some(app) = self.applications.get_mut(&role.holder) {
                        app.ordered.take_if(|ordered| *ordered == role);
                    }
                    let stored = |known: &Pair| {
                        known.state == PairState::Promoting && known.stored.as_ref() == Some(&role)
                    };
                    if self.pairs.get(&pair).is_some_and(stored) {
                        self.enter(now, &pair, PairState::Learning);
                        self.touched.insert(pair);
                    }
                }
                // Taken back with the goal or the maintenance that was not stored.
                OrderedWork::Level { application: Some(_), .. } => {}
                // Asked and told anew: nobody waits for its answer any more.
                OrderedWork::PreVote { .. } | OrderedWork::Word { .. } | OrderedWork::Learn { .. } => {}
            }
        }
    }

    fn store_failed(
        &mut self,
        now: Moment,
        records: &[ControlRecord],
        why: &str,
        definite: bool,
        out: &mut Out,
    ) {
        let text = format!("not durable, so not done: {why}");
        let mut because = Because::new(Rule::StoreUnwritable, text).fact("records", records.len());
        because = because.fact("certain that nothing was stored", if definite { "yes" } else { "no" });
        out.events.push(event(EventKind::StoreFailed, Severity::Critical, Subject::default(), because));
        if !definite {
            // Nobody knows what the store holds, or somebody else leads (G2).
            self.leadership.give_up();
        }
        for record in records {
            match record {
                ControlRecord::RaiseEpoch { pair, expected, next } => {
                    self.epoch_not_stored(now, pair, definite);
                    self.raise_failed(now, pair, expected.clone(), next, why, out);
                }
                // With an epoch, or stored again a little later: what the store holds then is longer.
                ControlRecord::SetLease { .. }
                // The next refusal brings it again.
                | ControlRecord::RaiseLeadership { .. }
                | ControlRecord::SetGoal { .. }
                | ControlRecord::SetMaintenance { .. }
                | ControlRecord::SetFlap { .. } => {}
                ControlRecord::SetInSync { pair, role, expected, next } => {
                    self.record_not_stored(pair, role.as_ref(), expected.clone(), next, definite);
                }
                // Taken back with what was asked; or ended, whatever is stored.
                ControlRecord::SetHold { .. } => {}
                ControlRecord::SetDrained { host, .. } => self.drain_not_stored(host, why, out),
                ControlRecord::UseOperation(id) => self.operation_failed_to_begin(now, *id, why, out),
            }
        }
    }
}

impl Control {
    /// The moment of an observation, or of a later one that was looked at before: what waited in the mailbox while this program did
    /// not run is older than the deadlines between. A time that goes back would look as one that has to be waited for, and as sleep.
    fn no_earlier(&mut self, now: Moment) -> Moment {
        self.clock = self.clock.max(now);
        self.clock
    }

    /// This observation is not that the records of the decision before could not be stored: they are durable.
    fn acknowledge_stored(&mut self, now: Moment, out: &mut Out) {
        self.acknowledge_epochs(now, out);
        self.acknowledge_words(now);
        self.acknowledge_shortened();
    }
}

impl Machine for Control {
    type Saw = ControlSaw;
    type Persist = ControlRecord;
    type Act = ControlDo;

    fn step(&mut self, now: Moment, saw: ControlSaw) -> Out {
        let now = self.no_earlier(now);
        let mut out = Out::default();
        let rests = self.touched.is_empty() && self.next_deadline().is_none_or(|due| due > now);
        let undo = self.undo.take();
        let sent = std::mem::replace(&mut self.sent, self.last_order);
        let unsaid = self.unsaid.take();
        let answered = self.word_answered.take();
        self.handed_over = None;
        let called = std::mem::take(&mut self.just_called);
        if let ControlSaw::VoteAsked { host, ask } = &saw {
            // What is due has its turn next: a vote waits for no write of it, nor leaves beside a higher role that was stored with
            // it (S3).
            if !rests {
                self.acknowledge_stored(now, &mut out);
                self.notice_sleep(now, &mut out);
                self.handed_over = Some(now);
            }
            self.vote_asked(now, host.clone(), ask.clone(), &mut out);
            return out;
        }
        if !matches!(saw, ControlSaw::StoreFailed { .. }) {
            self.acknowledge_stored(now, &mut out);
        } else {
            self.words_given.clear();
            self.shortened.clear();
        }
        self.notice_sleep(now, &mut out);
        match saw {
            ControlSaw::Configured { cluster, own_hosts } => {
                self.own_hosts = own_hosts;
                self.configure(now, cluster, &mut out);
            }
            ControlSaw::ConfigurationComes { pairs, .. } => self.left_alone = pairs,
            ControlSaw::ConfigurationStays => {
                self.left_alone.clear();
                self.touch_all();
            }
            ControlSaw::LinkUp { host, inventory } => self.link_up(now, &host, inventory, &mut out),
            ControlSaw::LinkDown { host, end, why } => self.link_down(now, &host, end, why, &mut out),
            ControlSaw::LinkPolled { host } => self.link_polled(now, &host),
            ControlSaw::LinkAnswered { host } => self.link_answered(&host),
            ControlSaw::Reported { host, report } => self.reported(now, &host, report, &mut out),
            ControlSaw::Answered { host, answer } => self.answered(now, &host, answer, &mut out),
            ControlSaw::Leaving { host, leaving } => self.host_leaves(&host, leaving, &mut out),
            ControlSaw::Asked { request, actor, ask } => {
                self.touch_all();
                self.asked(now, request, actor, ask, &mut out);
            }
            ControlSaw::StoreFailed { records, why, definite } => {
                self.touch_all();
                self.store_failed(now, &records, &why, definite, &mut out);
                self.not_sent(now, sent, &why, &mut out);
                self.not_called(now, called, &mut out);
                self.word_not_stored(answered, &why, definite, &mut out);
                out.actions.extend(unsaid);
                if let Some(undo) = undo {
                    self.take_back(undo, &why, &mut out);
                }
            }
            // Answered above.
            ControlSaw::VoteAsked { .. } => {}
            ControlSaw::InSyncAsked { host, ask } => self.in_sync_asked(host, ask, &mut out),
            ControlSaw::FenceEnded { host, confirmed, said } => {
                self.fence_ended(now, &host, confirmed, &said, &mut out);
            }
            ControlSaw::Outranked { host, highest } => self.outranked(&host, highest, &mut out),
            ControlSaw::DeadlinePassed => {}
        }
        self.end_holds(now, &mut out);
        self.assign_again(now, &mut out);
        self.look_at_pairs(now, &mut out);
        self.go_on_leaving(now, &mut out);
        self.look_at_operations(now, &mut out);
        // What an operation did next.
        if !self.touched.is_empty() {
            self.look_at_pairs(now, &mut out);
        }
        self.save_flaps(&mut out);
        self.unsaid = self.answer_beside(&out);
        if !self.unacknowledged.is_empty() || !self.words_given.is_empty() || !self.shortened.is_empty() {
            self.handed_over = Some(now);
        }
        out
    }

    fn next_deadline(&self) -> Option<Moment> {
        let pairs = self.due.first().map(|(due, _)| *due);
        let operations = self
            .operations
            .values()
            .filter(|known| known.ended.is_none())
            .map(|known| self.operation_due(known));
        let again = self.hosts.values().filter(|host| host.incarnation.is_some());
        let again = again.filter_map(|host| host.refused.as_ref().map(|(_, again)| *again));
        let holds = self.holds_end();
        let times = pairs.into_iter().chain(operations).chain(again).chain(holds);
        times.chain(self.pulse).chain(self.handed_over).min()
    }

    fn lane(saw: &ControlSaw) -> Lane {
        if matches!(saw, ControlSaw::VoteAsked { .. }) { Lane::Repeated } else { Lane::Own }
    }

    /// A vote for a promise that is made already: it needs nothing durable, and the machine of grants knows what is being
    /// stored meanwhile (G2).
    fn aside(&mut self, now: Moment, saw: &ControlSaw) -> Option<Out> {
        let ControlSaw::VoteAsked { host, ask } = saw else { return None };
        let (now, mut out) = (self.no_earlier(now), Out::default());
        self.vote_asked(now, host.clone(), ask.clone(), &mut out);
        Some(out)
    }

    fn deadline_passed() -> ControlSaw {
        ControlSaw::DeadlinePassed
    }

    fn store_failed(records: Vec<ControlRecord>, why: String, definite: bool) -> ControlSaw {
        ControlSaw::StoreFailed { records, why, definite }
    }
}

/// An event without a change, an epoch or an actor.
fn event(kind: EventKind, severity: Severity, about: Subject, because: Because) -> Event {
    Event::new(kind, severity, about, because)
}

fn about_host(host: &HostName) -> Subject {
    Subject { host: Some(host.clone()), ..Subject::default() }
}

fn about_pair(pair: &PairName) -> Subject {
    Subject { pair: Some(pair.clone()), ..Subject::default() }
}
