//! The grants of this host's members: one [`PairGrants`] for each pair with `policy = "strict"`.
//!
//! Embeds the explored machines [`Voter`] and [`Holder`]; refuses to know links, pages and guards. The law
//! (`docs/protocols/grants.md`): a promise is durable before anything is done with it, what could not be kept binds all the
//! same, and nothing is released before it is closed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{
    ApplicationName, Because, ClockDoubt, Epoch, Event, EventKind, GrantReport, GrantTold, HostName, Moment,
    Outcome, PairName, PairPlace, Refusal, Release, Remembered, RoleEpoch, Rule, Severity, StrictPlace,
    Subject,
};

use super::confirm::Confirm;
use super::out::{Out, Unstored};
use super::role::{Part, RoleTrigger, Waiting};
use super::{Agent, AgentDo, AgentRecord, DurableRole, Peer, StartId};
use crate::grants::holder::{Holder, Page};
use crate::grants::voter::{Closing, Voter};
use crate::grants::{Given, Kept, LONGEST_LEASE, Objection, Promise, Refused, Vote};

/// A dial is given up after half of the shortest lease that rests on the link, as a call that was begun during a cut would
/// otherwise outlast it; but a busy machine and a long way have this long, whatever the lease.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
/// Whoever has not answered after this will not.
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// One pair's grants, as this agent has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct PairGrants {
    pub place: StrictPlace,
    /// The member on the other host; with both here, the second one.
    pub other: ApplicationName,
    pub voter: Voter,
    pub own: BTreeMap<ApplicationName, Own>,
    /// What the voter keeps may not be on the disk: it is stored again with its next yes.
    pub unkept: bool,
    /// The highest epoch that the other agent released.
    pub peer_released: Epoch,
    /// The highest role that the other agent voted for.
    pub peer_voted: Option<RoleEpoch>,
}

/// A member of this host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Own {
    pub holder: Holder,
    /// Its time was over, and it is being ended for it.
    pub expired: bool,
    /// Who waits for another voter's word.
    pub confirms: Vec<Confirm>,
    /// The last request before this step.
    pub asked_before: u64,
    /// The start that the guard does not take.
    pub unguarded: Option<StartId>,
    /// The start whose end was seen while something was being stored.
    pub ended: Option<StartId>,
    /// When its last requests were sent, by their numbers: as many as its holder remembers.
    pub sent: Vec<(u64, Moment)>,
    /// It counts on less than before, which was given for this lease, and page and guard do not say so yet: nothing is asked
    /// before they do (G13).
    pub uncut: Option<Duration>,
}

impl PairGrants {
    /// What an agent's files say of a pair, as the machines want it. A promise without a lease was made under `available`:
    /// it counts for the longest that the pair has now.
    fn kept(durable: Option<&DurableRole>, place: &StrictPlace) -> Kept {
        let Some(durable) = durable else { return Kept::default() };
        let lease = if durable.lease.is_zero() { place.terms.lease } else { durable.lease };
        let promised = durable.promised.clone().map(|role| Promise { role, lease });
        Kept { promised, closed: durable.closed }
    }

    /// The longest that it has promised for, or that one of its own members counts on (G13).
    fn longest_lease(&self) -> Duration {
        let promised = self.voter.kept().promised.as_ref().map(|promise| promise.lease);
        let counted = self.own.values().flat_map(|own| {
            let held = own.holder.held().map(|_| own.holder.lease());
            held.into_iter().chain(own.uncut)
        });
        counted.chain(promised).max().unwrap_or_default()
    }

    /// What the other agent is reminded of when it is met, if there is anything.
    pub(super) fn reminder(&self, pair: &PairName) -> Option<Remembered> {
        let (voted, released) = (self.peer_voted.clone(), self.peer_released);
        let any = voted.is_some() || released > Epoch::NONE;
        any.then(|| Remembered { pair: pair.clone(), voted, released, lease: self.longest_lease() })
    }

    /// How its vote stands, for whoever is told.
    fn report(&self, now: Moment, peer_heard: bool, clocks: Vec<ClockDoubt>) -> GrantReport {
        GrantReport {
            unread: self.voter.is_unread(),
            silent: now < self.voter.silent_until(),
            peer_heard,
            peer_released: self.peer_released,
            clocks,
            lease: self.longest_lease(),
        }
    }
}

/// A refusal in the words of an answer to an order.
fn refusal(now: Moment, refused: Refused) -> Refusal {
    let Refused { promised, because, .. } = refused;
    match (because, promised) {
        (Objection::Closed(epoch), _) => Refusal::ClosedEpoch(epoch),
        (Objection::Promised(until), Some(role)) => Refusal::Promised(role, until.since(now)),
        (Objection::Higher | Objection::Released, Some(role)) => Refusal::StaleEpoch(role),
        (Objection::NotOwn, _) => Refusal::UnknownApplication,
        (Objection::Silent(until), _) => Refusal::NotVoting(format!(
            "its memory was empty; it votes for nobody for {:.1} s more",
            until.since(now).as_secs_f64()
        )),
        (other, _) => Refusal::NotVoting(other.to_string()),
    }
}

impl Agent {
    /// Makes the grants of every strict pair of this host those of its present place, and forgets what is gone.
    pub(super) fn settle_grants(&mut self, now: Moment, out: &mut Out) {
        if self.grants_are_settled() {
            return;
        }
        let mut places: BTreeMap<PairName, Vec<(ApplicationName, PairPlace)>> = BTreeMap::new();
        for (name, known) in &self.applications {
            let Some(role) = known.role.as_ref().filter(|role| role.place.strict.is_some()) else { continue };
            places.entry(role.place.pair.clone()).or_default().push((name.clone(), role.place.clone()));
        }
        self.grants.retain(|pair, _| places.contains_key(pair));
        for (pair, members) in &places {
            let Some((first, place)) = members.first() else { continue };
            let Some(strict) = &place.strict else { continue };
            let names: Vec<&ApplicationName> = members.iter().map(|(name, _)| name).collect();
            match self.grants.get_mut(pair) {
                Some(grants)
                    if grants.own.keys().eq(names.iter().copied())
                        && grants.other == place.peer
                        && grants.place.peer_host == strict.peer_host =>
                {
                    grants.place = strict.clone();
                }
                // A pair that is new here, became strict, or has other members: as after a restart (G7).
                Some(_) | None => {
                    let first = first.clone();
                    let pages = BTreeMap::new();
                    self.begin_grants(now, pair, &first, members, &pages);
                    for name in names {
                        self.retire(now, name, out);
                    }
                }
            }
        }
        self.keep_peers(out);
    }

    /// Every strict pair of this host has its grants, as its present place says. Looked at in every step.
    fn grants_are_settled(&self) -> bool {
        let mut members = 0;
        for (name, known) in &self.applications {
            let Some(place) = known.role.as_ref().map(|role| &role.place) else { continue };
            let Some(strict) = &place.strict else { continue };
            let Some(grants) = self.grants.get(&place.pair) else { return false };
            let is_first = grants.own.keys().next() == Some(name);
            let fits = grants.own.contains_key(name) && grants.place == *strict;
            if !fits || (is_first && grants.other != place.peer) {
                return false;
            }
            members += 1;
        }
        let told = self.grants.is_empty() || (self.guard_needed && self.kept_peers.is_some());
        told && members == self.grants.values().map(|grants| grants.own.len()).sum::<usize>()
    }

    /// First observation of a life (G7): what the files and pages of the life before say.
    pub(super) fn awake_grants(
        &mut self,
        now: Moment,
        pages: BTreeMap<ApplicationName, Page>,
        out: &mut Out,
    ) {
        let mut places: BTreeMap<PairName, Vec<(ApplicationName, PairPlace)>> = BTreeMap::new();
        for (name, known) in &self.applications {
            let Some(role) = known.role.as_ref().filter(|role| role.place.strict.is_some()) else { continue };
            places.entry(role.place.pair.clone()).or_default().push((name.clone(), role.place.clone()));
        }
        for (pair, members) in &places {
            if let Some((first, _)) = members.first() {
                self.begin_grants(now, pair, first, members, &pages);
            }
            for (name, _) in members {
                self.retire(now, name, out);
            }
        }
        self.shown = pages;
        // What a guard of the life before was told is not known: it is told again, or lets go.
        for (name, known) in &self.applications {
            if let (Some(start), true) = (known.start, self.own(name).is_some()) {
                self.guarded.insert(name.clone(), (start, Moment::default()));
            }
            if self.own(name).is_some() {
                let left = known.hooks_left.iter().map(|hook| (*hook, (name.clone(), Moment::default())));
                self.guarded_hooks.extend(left);
            }
        }
        self.keep_peers(out);
    }

    fn begin_grants(
        &mut self,
        now: Moment,
        pair: &PairName,
        first: &ApplicationName,
        members: &[(ApplicationName, PairPlace)],
        pages: &BTreeMap<ApplicationName, Page>,
    ) {
        let Some((_, place)) = members.first() else { return };
        let Some(strict) = place.strict.clone() else { return };
        let kept = PairGrants::kept(self.durable.get(pair), &strict);
        let also = members.get(1).map(|(name, _)| name.clone());
        let longest = kept.promised.as_ref().map_or(strict.terms.lease, |promise| promise.lease);
        let voter = Voter::restarted(now, first.clone(), also, kept.clone(), longest.max(strict.terms.lease));
        let own = members.iter().map(|(name, _)| {
            let runs = self.applications.get(name).is_some_and(|known| known.pid.is_some());
            let page = pages.get(name).filter(|_| runs);
            let holder = Holder::adopt(name.clone(), self.incarnation, &kept, page).holder;
            (
                name.clone(),
                Own {
                    holder,
                    expired: false,
                    confirms: Vec::new(),
                    asked_before: 0,
                    unguarded: None,
                    ended: None,
                    sent: Vec::new(),
                    uncut: None,
                },
            )
        });
        let grants = PairGrants {
            place: strict,
            other: place.peer.clone(),
            voter,
            own: own.collect(),
            unkept: false,
            peer_released: Epoch::NONE,
            peer_voted: None,
        };
        self.grants.insert(pair.clone(), grants);
    }

    /// A member that acts, or may, and holds nothing: its page says no from now on, and it is demoted (G7). One that reads no page
    /// acts until it is gone, its time may be over, and the guard that knew it may have died with the former life: it is killed.
    /// So is what is just being made, and one of which nothing runs is not started in that role.
    fn retire(&mut self, now: Moment, name: &ApplicationName, out: &mut Out) {
        let holds = self.own(name).is_some_and(|own| own.holder.held().is_some());
        let acts = matches!(self.part_of(name), Part::Acting | Part::Promoting);
        let Some(known) = self.applications.get(name).filter(|_| acts && !holds) else { return };
        let (runs, reads) = (known.pid.is_some(), known.speaks());
        let text = match (runs, reads) {
            (true, true) => {
                "it ran in a role that its page does not prove: it is demoted, and that epoch given up"
            }
            (true, false) => {
                "it ran in a role of which nothing proves that it lasts: it is killed, and that epoch given up"
            }
            (false, _) => "it was to be started in a role that it does not hold: that epoch is given up",
        };
        let because = Because::new(Rule::PageNotAdopted, text);
        out.events.push(self.event(EventKind::Anomaly, Severity::Warning, name, because));
        if runs && reads {
            self.part(now, name, RoleTrigger::GiveUp, out);
        } else {
            self.end_held(now, name, out);
        }
    }

    /// Tells that a guard is needed, and which agents this one keeps a link to, if that changed.
    fn keep_peers(&mut self, out: &mut Out) {
        if !self.grants.is_empty() && !std::mem::replace(&mut self.guard_needed, true) {
            out.pages.push(AgentDo::NeedGuard);
        }
        let mut wanted: BTreeMap<HostName, Peer> = BTreeMap::new();
        for grants in self.grants.values().filter(|grants| grants.place.peer_host != self.host) {
            let place = &grants.place;
            let patience = (place.terms.lease / 2).clamp(LEAST_PATIENCE, MOST_PATIENCE);
            let peer = wanted.entry(place.peer_host.clone()).or_insert_with(|| Peer {
                host: place.peer_host.clone(),
                addresses: place.peer_addresses.clone(),
                addp: place.peer_addp,
                patience,
            });
            // The pair with the shortest lease can wait the least.
            peer.patience = peer.patience.min(patience);
        }
        let wanted: Vec<Peer> = wanted.into_values().collect();
        if self.kept_peers.as_ref() != Some(&wanted) && !(self.kept_peers.is_none() && wanted.is_empty()) {
            self.kept_peers = Some(wanted.clone());
            out.pages.push(AgentDo::KeepPeers(wanted));
        }
    }

    pub(super) fn own(&self, name: &ApplicationName) -> Option<&Own> {
        let pair = &self.applications.get(name)?.role.as_ref()?.place.pair;
        self.grants.get(pair)?.own.get(name)
    }

    /// Page and guard of this member say what its holder counts on: it may ask.
    pub(super) fn cut_is_told(&mut self, name: &ApplicationName) {
        let cut = self.own_mut(name).is_some_and(|own| own.uncut.take().is_some());
        self.settle |= cut;
    }

    /// How the vote of a member's pair stands, for its report.
    pub(super) fn grant_report(&self, name: &ApplicationName) -> Option<GrantReport> {
        let role = self.applications.get(name)?.role.as_ref()?;
        let grants = self.grants.get(&role.place.pair)?;
        let host = &grants.place.peer_host;
        Some(grants.report(self.clock, self.peers.contains(host), self.doubts_of(host)))
    }

    /// An own member may be told that it is primary: nobody votes for its pair, or somebody voted for this role.
    pub(super) fn granted(&self, now: Moment, name: &ApplicationName, role: Option<&RoleEpoch>) -> bool {
        let Some(known) = self.applications.get(name).and_then(|known| known.role.as_ref()) else {
            return false;
        };
        if !self.grants.contains_key(&known.place.pair) {
            return true;
        }
        self.own(name).is_some_and(|own| {
            let page = own.holder.page();
            page.role.as_ref() == role && page.may_act(now)
        })
    }

    /// The role in which a member acts is held, and its time is not over: it may be started again in it (G5).
    pub(super) fn role_lasts(&self, now: Moment, name: &ApplicationName) -> bool {
        let role = self.applications.get(name).and_then(|known| known.role.as_ref());
        let Some(role) = role.filter(|role| self.grants.contains_key(&role.place.pair)) else { return true };
        self.own(name).is_some_and(|own| {
            let holder = &own.holder;
            !own.expired && holder.held() == role.role.as_ref() && now < holder.may_act_until()
        })
    }

    /// Promises a role to an own member, on an order (G1, G8, G10). `None`: the pair is not strict.
    pub(super) fn grant(
        &mut self,
        now: Moment,
        pair: &PairName,
        role: &RoleEpoch,
        told: Option<&GrantTold>,
    ) -> Option<Result<Given, Refusal>> {
        let grants = self.grants.get_mut(pair)?;
        let Some(told) = told else {
            let why = "the order is for another policy than this pair has here".to_owned();
            return Some(Err(Refusal::NotVoting(why)));
        };
        if told.lease > LONGEST_LEASE {
            let why = format!("a lease of {} s is longer than any", told.lease.as_secs());
            return Some(Err(Refusal::NotVoting(why)));
        }
        Some(match grants.voter.ordered(now, role, told.lease, told.fenced.as_ref()) {
            Vote::Given(given) => {
                let former = given.retire.as_ref().and_then(|former| grants.own.get_mut(&former.holder));
                if let (Some(own), Some(former)) = (former, &given.retire) {
                    own.holder.give_up(former.epoch);
                }
                Ok(given)
            }
            Vote::Refused(refused) => Err(refusal(now, refused)),
        })
    }

    /// Whether it would promise a role now. Changes nothing.
    pub(super) fn would_grant(&self, now: Moment, pair: &PairName, role: &RoleEpoch) -> Result<(), Refusal> {
        let Some(grants) = self.grants.get(pair) else { return Err(Refusal::UnknownApplication) };
        match grants.voter.clone().ordered(now, role, grants.place.terms.lease, None) {
            Vote::Given(_) => Ok(()),
            Vote::Refused(refused) => Err(refusal(now, refused)),
        }
    }

    /// A promise to an own member: it is asked for, and acted on when it is durable.
    pub(super) fn take(&mut self, now: Moment, application: &ApplicationName, role: RoleEpoch) {
        let Some(pair) = self.applications.get(application).and_then(|known| known.role.as_ref()) else {
            return;
        };
        let pair = pair.place.pair.clone();
        let Some(grants) = self.grants.get_mut(&pair) else { return };
        let lease = grants.voter.kept().promised.as_ref().map_or(grants.place.terms.lease, |kept| kept.lease);
        if let Some(own) = grants.own.get_mut(application) {
            let former = own.holder.lease();
            let taken = own.holder.held() == Some(&role);
            if !taken && own.holder.take(now, role, lease, &grants.place.terms) {
                own.uncut = own.uncut.max(Some(former));
            }
            own.expired = false;
        }
    }

    /// A promise to an own member could not be kept: what was heard for it counts nothing.
    pub(super) fn take_back(&mut self, application: &ApplicationName, epoch: Epoch) {
        let role = RoleEpoch::new(epoch, application.clone());
        let mut own = self.grants.values_mut().filter_map(|grants| grants.own.get_mut(application));
        if let Some(own) = own.next() {
            own.holder.take_back(&role);
        }
    }

    /// What the store holds is closed, for an agent that remembers nothing (G11).
    pub(super) fn learn(
        &mut self,
        now: Moment,
        pair: PairName,
        (stored, lease): (Epoch, Duration),
        waiting: Waiting,
        out: &mut Out,
    ) {
        let Some(grants) = self.grants.get_mut(&pair) else {
            return out.answer(waiting, Outcome::Refused(Refusal::UnknownApplication));
        };
        grants.voter.lengthen_silence(lease.min(LONGEST_LEASE));
        if now < grants.voter.silent_until() {
            // What an earlier life left may act for so long: nothing is given up, and so released, before (G5).
            let left = grants.voter.silent_until().since(now).as_secs_f64();
            let why = format!("its memory was empty; it votes for nobody for {left:.1} s more");
            return out.answer(waiting, Outcome::Refused(Refusal::NotVoting(why)));
        }
        if let Some(kept) = grants.voter.learn_stored(stored) {
            let durable = self.durable.entry(pair.clone()).or_default();
            let former = std::mem::replace(&mut durable.closed, kept.closed);
            out.persist.push(AgentRecord::Close { pair: pair.clone(), epoch: kept.closed });
            self.unstored.push(Unstored::Learned { pair: pair.clone(), former, waiting });
            let text = "this agent remembered nothing of the pair: it gives up everything up to what the store holds";
            let because = Because::new(Rule::MemoryWasEmpty, text).fact("stored", stored);
            let about = Subject { host: Some(self.host.clone()), pair: Some(pair), ..Subject::default() };
            match stored {
                // Of a pair that never had a primary there was nothing to remember.
                Epoch::NONE => out.quiet.push(because),
                _ => out.events.push(Event::new(EventKind::Anomaly, Severity::Info, about, because)),
            }
        }
        out.answer(waiting, Outcome::Done);
    }

    /// The other agent remembers more of this one than this one does: its files were set back (A3, G11).
    pub(super) fn peer_remembers(
        &mut self,
        now: Moment,
        host: &HostName,
        remembered: Remembered,
        out: &mut Out,
    ) {
        let Remembered { pair, voted, released, lease } = remembered;
        let known = |grants: &&mut PairGrants| {
            let of_peer = voted.as_ref().is_none_or(|voted| voted.holder == grants.other);
            grants.place.peer_host == *host && of_peer
        };
        let Some(grants) = self.grants.get_mut(&pair).filter(known) else { return };
        let lease = grants.place.terms.lease.max(lease.min(LONGEST_LEASE));
        let Some(kept) = grants.voter.reminded(now, voted.as_ref(), released, lease) else { return };
        let own: Vec<ApplicationName> = grants.own.keys().cloned().collect();
        for own in grants.own.values_mut() {
            own.holder.give_up(kept.closed);
        }
        let mut because =
            Because::new(Rule::MemorySetBack, Rule::MemorySetBack.says()).fact("released", released);
        if let Some(voted) = &voted {
            because = because.fact("voted for", voted);
        }
        let about = Subject { host: Some(self.host.clone()), pair: Some(pair.clone()), ..Subject::default() };
        out.events.push(Event::new(EventKind::Anomaly, Severity::Critical, about, because));
        let former = self.durable.get(&pair).map(|durable| durable.closed).unwrap_or_default();
        self.keep_promise(&pair, &kept, out);
        self.unstored.push(Unstored::Vote { pair });
        for name in own {
            self.retire(now, &name, out);
            // Closed, and so released, when nothing of it acts (G5).
            let role = self.applications.get_mut(&name).and_then(|known| known.role.as_mut());
            if let Some(role) = role.filter(|_| kept.closed > former) {
                role.close(kept.closed, now, []);
            }
        }
    }

    /// Gives an epoch up for an own member. False: it holds a higher one, and nothing is closed or released (G5).
    pub(super) fn close_grant(
        &mut self,
        pair: &PairName,
        application: &ApplicationName,
        epoch: Epoch,
        out: &mut Out,
    ) -> bool {
        let Some(grants) = self.grants.get_mut(pair) else { return true };
        // With both members here: what one of them gives up is not the role that the other one holds (G12).
        if grants.voter.own_role().is_some_and(|role| role.holder != *application) {
            return false;
        }
        match grants.voter.close(epoch) {
            Closing::HeldAbove(_) => return false,
            Closing::Keep(_) | Closing::Already => {}
        }
        if let Some(own) = grants.own.get_mut(application) {
            own.holder.give_up(epoch);
            own.expired = false;
        }
        let host = grants.place.peer_host.clone();
        if host != self.host && epoch > Epoch::NONE {
            let role = RoleEpoch::new(epoch, application.clone());
            out.answers.push(AgentDo::TellPeer { host, release: Release { pair: pair.clone(), role } });
        }
        true
    }

    /// What a voter wants kept, as records. Its closed epoch is stored where it is closed.
    pub(super) fn keep_promise(&mut self, pair: &PairName, kept: &Kept, out: &mut Out) {
        let Some(promise) = &kept.promised else { return };
        let durable = self.durable.entry(pair.clone()).or_default();
        durable.promised = Some(promise.role.clone());
        durable.lease = promise.lease;
        out.persist.push(AgentRecord::Promise {
            pair: pair.clone(),
            role: promise.role.clone(),
            lease: promise.lease,
        });
    }

    /// What the last decision wanted stored is on the disk.
    pub(super) fn stored(&mut self, now: Moment, stored: &[Unstored]) {
        for item in stored {
            match item {
                Unstored::Promise { application, .. } => {
                    let role = self.applications.get(application).and_then(|known| known.role.as_ref());
                    let Some(place) = role.map(|role| role.place.pair.clone()) else { continue };
                    let Some(grants) = self.grants.get_mut(&place) else { continue };
                    grants.unkept = false;
                    if let Some(role) = grants.voter.own_role().cloned() {
                        self.take(now, application, role);
                    }
                    let own = self.grants.get_mut(&place).and_then(|grants| grants.own.get_mut(application));
                    if let Some(own) = own.filter(|own| own.holder.may_act_until() <= now) {
                        own.holder.hasten();
                    }
                }
                Unstored::Vote { .. }
                | Unstored::Learned { .. }
                | Unstored::Assignments { .. }
                | Unstored::Close { .. }
                | Unstored::ControllerEpoch { .. } => {}
            }
        }
    }

    /// The promise to an own member may not be on the disk: nothing is asked for it.
    pub(super) fn not_kept(&mut self, application: &ApplicationName) {
        let role = self.applications.get(application).and_then(|known| known.role.as_ref());
        let pair = role.map(|role| role.place.pair.clone());
        if let Some(grants) = pair.and_then(|pair| self.grants.get_mut(&pair)) {
            grants.unkept = true;
        }
    }

    /// What the store holds could not be closed durably: this agent votes for nobody until it is told again (G11).
    pub(super) fn unlearn(&mut self, pair: &PairName, former: Epoch) {
        self.durable.entry(pair.clone()).or_default().closed = former;
        if let Some(grants) = self.grants.get_mut(pair) {
            grants.voter.unlearn();
        }
    }

    /// Its promotion is late, it was never told of it, and was not started for it: it need not be demoted.
    pub(super) fn give_up_untold(&mut self, name: &ApplicationName) -> bool {
        let refused = self.own(name).and_then(|own| own.unguarded);
        let start = self.applications.get(name).and_then(|known| known.start);
        let guarded = self.guard_up && (refused.is_none() || refused != start);
        let Some(known) = self.applications.get_mut(name) else { return false };
        // What was started as primary may act, whatever it was told since.
        let primary = [known.run_mode, known.started_as].contains(&understudy_model::RunMode::Primary);
        let Some(part) = known.role.as_mut() else { return false };
        let untold = part.place.strict.is_some() && part.untold && part.part == Part::Promoting && !primary;
        if untold {
            part.failed.get_or_insert(if guarded { Refusal::NoVotes } else { Refusal::NoGuard });
        }
        untold
    }

    /// The table of applications is durable, or was not changed.
    pub(super) fn assignments_hold(&self) -> bool {
        !self.unstored.iter().any(|item| matches!(item, Unstored::Assignments { .. }))
    }
}
