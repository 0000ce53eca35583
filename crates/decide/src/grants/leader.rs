//! The control server's side: for each pair its vote, the store writes and the orders.
//!
//! Refuses to know: which member should be primary, and the store. The laws (G2, G6 to G11): whoever does not lead by its
//! own clock votes, writes and orders nothing; nothing is promised or ordered before the store acknowledged it; an unknown
//! outcome ends the leadership; what an earlier leadership knew is forgotten.

mod leadership;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{ApplicationName, ControllerEpoch, Epoch, Moment, RoleEpoch, Rule};

pub use self::leadership::Leadership;
use super::terms::Terms;
use super::{Given, GrantRule, Objection, Promise, Refused, Vote};

/// A store write: stored only if the controller epoch is still this one, and the stored role still `expected`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Write {
    /// Of the leadership that writes.
    pub controller_epoch: ControllerEpoch,
    /// What the store held when it was read.
    pub expected: Option<RoleEpoch>,
    /// What it shall hold.
    pub role: RoleEpoch,
    /// What it shall hold beside that, in the same write: the longest that any holder may count on then (G13).
    pub covers: Duration,
}

/// What became of a store write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteOutcome {
    /// It is in the store.
    Done,
    /// It is certain that it is not, and never will be.
    Failed,
    /// Nobody can say.
    Unknown,
}

/// Permission for the holder's agent to promise itself the role and to ask. No vote: that is asked for (G3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GrantOrder {
    /// Agents obey no lower one (S2).
    pub controller_epoch: ControllerEpoch,
    /// Exactly this.
    pub role: RoleEpoch,
    /// The lease of this epoch.
    pub lease: Duration,
    /// What a device has ended (G10).
    pub fenced: Option<RoleEpoch>,
}

/// Why a role is not stored or ordered now.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blocked {
    /// This control server does not lead, or this pair was not read in this leadership (G7).
    NotLeading,
    /// A write is under way.
    Writing(RoleEpoch),
    /// The promise to the former holder is not over before this moment, unless it releases (G6, G9).
    Promised(RoleEpoch, Moment),
    /// Its host is being switched off (G10).
    Fencing(RoleEpoch),
    /// The store was restored, and this has not passed yet (G11).
    Restored,
    /// Nothing is promised, or what was is over: there is nothing to order or to fence.
    NothingPromised,
    /// The member acts in exactly the stored role, or in none: nothing to reaffirm (G8).
    NothingToReaffirm,
}

impl Blocked {
    /// The rule that stands against it.
    pub fn rule(&self) -> Rule {
        match self {
            Blocked::NotLeading => Rule::VoteRefused,
            Blocked::Writing(_) => Rule::AnswerOutstanding,
            Blocked::Promised(..) => Rule::PromiseRuns,
            Blocked::Fencing(_) => Rule::FenceCalled,
            Blocked::Restored => Rule::RestoredStore,
            Blocked::NothingPromised | Blocked::NothingToReaffirm => Rule::AlreadySo,
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocked::NotLeading => write!(f, "this control server does not lead any more"),
            Blocked::Writing(role) => write!(f, "{role} is being stored"),
            Blocked::Promised(role, until) => write!(f, "{role} is promised until {until}"),
            Blocked::Fencing(role) => write!(f, "the host of {role} is being switched off"),
            Blocked::Restored => {
                write!(f, "the store was restored: both agents have to be heard, and a lease has to pass")
            }
            Blocked::NothingPromised => write!(f, "nothing is promised"),
            Blocked::NothingToReaffirm => write!(f, "it acts in the stored role"),
        }
    }
}

/// What follows from the outcome of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Written {
    /// Promised; the order may go out.
    Order(GrantOrder),
    /// Nothing was stored: as before.
    AsBefore,
    /// The leadership is given up: its clock ran out meanwhile, or nobody knows what the store holds (G2).
    GiveUpLeadership,
    /// No such write was under way in this leadership.
    NotMine,
}

/// What stands between a restored store and the first vote (G11).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Restored {
    /// The lease of the leadership that the restored store does not know may last until then.
    former_leader_until: Moment,
    /// The highest epoch that the agent of each member has promised or closed; each is asked after the former leadership is
    /// over.
    heard: [(ApplicationName, Option<Epoch>); 2],
    /// The longest that any stored epoch may have been given: what the next one is given may be shorter (G13).
    lease: Duration,
    /// Counted from the later of both answers; nothing while one is missing.
    quiet_until: Option<Moment>,
}

/// One pair, as a leadership sees it. Made by reading the store after the lease was acquired; never carried over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leader {
    /// The leadership that read it.
    controller_epoch: ControllerEpoch,
    lease: Duration,
    /// What the store holds, as far as this leadership knows.
    stored: Option<RoleEpoch>,
    /// This voter's promise.
    promised: Option<Promise>,
    until: Moment,
    over: bool,
    /// The longest that a holder of the stored epoch, or of one before it, may count on: what the next leader waits for. Only
    /// a request of the stored holder, in the stored epoch, makes it shorter (G13).
    covers: Duration,
    /// The lease of the promise is that of the epoch: it was given here, or its holder said so.
    lease_known: bool,
    writing: Option<Promise>,
    /// The role whose host a device was asked to switch off.
    fencing: Option<RoleEpoch>,
    /// The device said that it did not. The role is not voted for again all the same: an older call may yet be answered.
    fence_failed: bool,
    /// The role that a device has ended.
    fenced: Option<RoleEpoch>,
    restored: Option<Restored>,
}

impl Leader {
    /// The store was read, linearizably, after `leadership` was acquired. The stored role counts as promised at `now`, the
    /// moment when the answer came (G7). `lease` is the longest that the stored epoch may have been given.
    pub fn read(leadership: &Leadership, now: Moment, stored: Option<RoleEpoch>, lease: Duration) -> Self {
        let promised = stored.clone().map(|role| Promise { role, lease });
        Self {
            controller_epoch: leadership.controller_epoch,
            lease,
            stored,
            promised,
            until: now + lease,
            over: false,
            covers: lease,
            lease_known: false,
            writing: None,
            fencing: None,
            fence_failed: false,
            fenced: None,
            restored: None,
        }
    }

    /// As [`Leader::read`], of a store that carries the marker of a restore: what it holds may be older than what was
    /// promised. Nothing is voted, believed or written until both agents were asked and a lease has passed (G11).
    pub fn read_restored(
        leadership: &Leadership,
        now: Moment,
        stored: Option<RoleEpoch>,
        terms: &Terms,
        members: [ApplicationName; 2],
    ) -> Self {
        let former_leader_until = now + terms.leader_lease;
        let heard = members.map(|member| (member, None));
        let restored = Some(Restored { former_leader_until, heard, lease: terms.lease, quiet_until: None });
        Self { restored, ..Self::read(leadership, now, stored, terms.lease) }
    }

    /// What the store holds, as far as this leadership knows.
    pub fn stored(&self) -> Option<&RoleEpoch> {
        self.stored.as_ref()
    }

    /// The promised role, whether or not it is over.
    pub fn promised(&self) -> Option<&RoleEpoch> {
        self.promised.as_ref().map(|promise| &promise.role)
    }

    /// When the promise runs out, unless it was ended before.
    pub fn promise_until(&self) -> Moment {
        self.until
    }

    /// The promise that binds now, if one does.
    pub fn bound(&self, now: Moment) -> Option<&RoleEpoch> {
        self.promised().filter(|_| !self.over && now < self.until)
    }

    /// The promise was ended before its time, or a device was called for it: this voter gives nothing for that role again,
    /// so a member that acts in it all the same needs a new epoch (G8).
    pub fn is_withdrawn(&self, role: &RoleEpoch) -> bool {
        (self.over && self.promised() == Some(role)) || self.fencing.as_ref() == Some(role)
    }

    /// The promise to `member` was ended before its time: it gave it up, or its host was switched off.
    pub fn has_ended(&self, member: &ApplicationName) -> bool {
        self.over && self.promised().is_some_and(|role| role.holder == *member)
    }

    /// As [`Leader::has_ended`], by a device.
    pub fn has_fenced(&self, member: &ApplicationName) -> bool {
        self.has_ended(member) && self.fenced.as_ref() == self.promised()
    }

    /// How long the promises of the next epoch last. The present one keeps its own (G13).
    pub fn set_lease(&mut self, lease: Duration) {
        self.lease = lease;
    }

    /// How long one renewal of the promised role lasts, if that is known: what was read says no more than the longest.
    pub fn promised_lease(&self) -> Option<Duration> {
        self.promised.as_ref().filter(|_| self.lease_known).map(|promise| promise.lease)
    }

    /// The promised epoch has another lease than the next one is to have.
    pub fn lease_differs(&self) -> bool {
        self.promised_lease().is_some_and(|lease| lease != self.lease)
    }

    /// The longest that any holder may count on, to be stored when it gets shorter (G13). Storing it late costs time only.
    pub fn covers(&self) -> Duration {
        self.covers
    }

    /// The role whose host a device was asked to switch off.
    pub fn fencing(&self) -> Option<&RoleEpoch> {
        self.fencing.as_ref()
    }

    /// The store was restored, and no write has been acknowledged since (G11).
    pub fn is_restored(&self) -> bool {
        self.restored.is_some()
    }

    /// Whether the waiting after a restore is over, and a new epoch can be stored (G11).
    pub fn is_writable(&self, now: Moment) -> bool {
        self.restored.as_ref().is_none_or(|restored| restored.quiet_until.is_some_and(|until| now >= until))
    }

    /// Whether the agent of this member has to be asked what it promised and closed; an answer counts from `now` on (G11).
    pub fn wants_word(&self, now: Moment, member: &ApplicationName) -> bool {
        let Some(restored) = &self.restored else { return false };
        let unheard = restored.heard.iter().any(|(known, heard)| known == member && heard.is_none());
        unheard && now >= restored.former_leader_until
    }

    /// When this leader of a restored store has something to do next, if time alone tells: to ask, or to write (G11).
    pub fn restored_until(&self) -> Option<Moment> {
        let restored = self.restored.as_ref()?;
        Some(restored.quiet_until.unwrap_or(restored.former_leader_until))
    }

    /// The role that is being stored.
    pub fn writing(&self) -> Option<&RoleEpoch> {
        self.writing.as_ref().map(|promise| &promise.role)
    }

    /// A holder asks for its renewal (G2). A control server never makes a promise by being asked: it makes one when the
    /// store has acknowledged it, and here it only renews that. `lease` is what the holder counts on in this epoch. The
    /// request is its word that it counts on no more of what it was given before: so the promise may get shorter (G13).
    pub fn asked(&mut self, leadership: &Leadership, now: Moment, role: &RoleEpoch, lease: Duration) -> Vote {
        if let Err(because) = self.may_renew(leadership, now, role, lease) {
            let promised = self.promised().cloned();
            return Vote::Refused(Refused { asked: role.clone(), promised, because });
        }
        let cut = lease < self.covers;
        let least = if cut { Moment::default() } else { self.until };
        self.until = least.max(now + lease);
        self.covers = lease;
        self.lease_known = true;
        self.promised = Some(Promise { role: role.clone(), lease });
        let (role, until) = (role.clone(), self.until);
        Vote::Given(Given { keep: None, role, until, retire: None, rule: GrantRule::G2 })
    }

    /// Begins to store a new epoch for `holder`, above the stored one and above `heard`, the highest that any agent of the
    /// pair has named. Whatever the reason is, the promise to any other holder is over (G6, G9).
    pub fn promote(
        &mut self,
        leadership: &Leadership,
        now: Moment,
        holder: &ApplicationName,
        heard: Epoch,
    ) -> Result<Write, Blocked> {
        self.begin(leadership, now, holder, heard)
    }

    /// Begins to store a new epoch for a member that acts in a role which is not the stored one (G8). The caller has heard
    /// from its agent that it acts in `acting`; the new epoch is above that and above `heard` too. One that acts in the stored
    /// role is reaffirmed only if this voter withdrew its promise for it, if its lease is not the one that the next epoch is to
    /// have, or if the store was restored.
    pub fn reaffirm(
        &mut self,
        leadership: &Leadership,
        now: Moment,
        acting: &RoleEpoch,
        heard: Epoch,
    ) -> Result<Write, Blocked> {
        let same = self.stored.as_ref() == Some(acting) && !self.lease_differs();
        if same && !self.is_withdrawn(acting) && self.restored.is_none() {
            return Err(Blocked::NothingToReaffirm);
        }
        self.begin(leadership, now, &acting.holder, acting.epoch.max(heard))
    }

    /// The store answered, or nobody knows (G6 step 4, G2).
    pub fn written(&mut self, leadership: &Leadership, now: Moment, outcome: WriteOutcome) -> Written {
        if !self.is_of(leadership) {
            return Written::NotMine;
        }
        let Some(promise) = self.writing.take() else { return Written::NotMine };
        match outcome {
            WriteOutcome::Failed => Written::AsBefore,
            WriteOutcome::Unknown => {
                // Until the leadership is gone this pair votes for nobody: the write may yet be done.
                self.writing = Some(promise);
                Written::GiveUpLeadership
            }
            WriteOutcome::Done => {
                let Promise { role, lease } = promise;
                self.stored = Some(role.clone());
                let forgotten = self.restored.as_ref().map_or(Duration::ZERO, |restored| restored.lease);
                self.covers = self.covers.max(lease).max(forgotten);
                if !leadership.leads(now) {
                    self.promised = None;
                    return Written::GiveUpLeadership;
                }
                // The same holder may act on a vote for its former epoch, which may have been given for a longer lease (G13).
                let same = |former: &Promise| former.role.holder == role.holder;
                let bound = self.promised.as_ref().is_some_and(same) && !self.over;
                let least = if bound { self.until } else { Moment::default() };
                self.promised = Some(Promise { role, lease });
                self.lease_known = true;
                self.until = least.max(now + lease);
                self.over = false;
                self.restored = None;
                match self.order(leadership, now) {
                    Ok(order) => Written::Order(order),
                    Err(_) => Written::AsBefore,
                }
            }
        }
    }

    /// The order for the stored role, also again: only while it is promised and nothing stands against it.
    pub fn order(&self, leadership: &Leadership, now: Moment) -> Result<GrantOrder, Blocked> {
        self.may_work(leadership, now)?;
        let promise = self.promised.as_ref().filter(|promise| self.stored.as_ref() == Some(&promise.role));
        let Some(promise) = promise.filter(|_| !self.over) else { return Err(Blocked::NothingPromised) };
        if let Some(role) = self
            .fencing
            .as_ref()
            .filter(|role| role.holder == promise.role.holder && role.epoch >= promise.role.epoch)
        {
            return Err(Blocked::Fencing(role.clone()));
        }
        Ok(GrantOrder {
            controller_epoch: self.controller_epoch,
            role: promise.role.clone(),
            lease: promise.lease,
            fenced: self.fenced.clone().filter(|fenced| fenced.holder != promise.role.holder),
        })
    }

    /// An agent released everything of `holder` up to `epoch`: ends the promise to it and nothing else (G5). True if that
    /// ended a promise.
    pub fn released(&mut self, holder: &ApplicationName, epoch: Epoch) -> bool {
        if self.restored.is_some() {
            return false;
        }
        let ends = self.promised().is_some_and(|role| role.holder == *holder && role.epoch <= epoch);
        self.end(ends)
    }

    /// Stops voting for and ordering the promised role, and returns it: only then the device is called (G10).
    pub fn fence(&mut self, leadership: &Leadership, now: Moment) -> Result<RoleEpoch, Blocked> {
        self.may_work(leadership, now)?;
        let Some(role) = self.promised().cloned() else { return Err(Blocked::NothingPromised) };
        self.fencing = Some(role.clone());
        self.fence_failed = false;
        Ok(role)
    }

    /// The device answered for a call that was made in the leadership of `asked_in`. Only a success, of the same
    /// leadership, ends the promise; after anything else it runs out by itself. True if that ended a promise.
    pub fn fenced(&mut self, asked_in: ControllerEpoch, role: &RoleEpoch, confirmed: bool) -> bool {
        if asked_in != self.controller_epoch || self.fencing.as_ref() != Some(role) {
            return false;
        }
        self.fence_failed = !confirmed;
        if !confirmed {
            return false;
        }
        let ends = self.promised() == Some(role);
        self.fencing = None;
        self.fenced = Some(role.clone());
        self.end(ends)
    }

    fn end(&mut self, ends: bool) -> bool {
        if ends {
            self.over = true;
            self.until = Moment::default();
        }
        ends
    }

    /// The agent of `member` was asked in this leadership for the highest epoch that it has promised or closed. Only for a
    /// restored store (G11). An answer before the former leadership is over counts nothing: it is asked again.
    /// `lease` is the longest that it has given or counts on.
    pub fn agent_said(
        &mut self,
        now: Moment,
        member: &ApplicationName,
        highest: Epoch,
        lease: Duration,
    ) -> bool {
        let Some(restored) = &mut self.restored else { return false };
        if now < restored.former_leader_until {
            return false;
        }
        let found = restored.heard.iter_mut().find(|(known, _)| known == member);
        let Some((_, heard)) = found else { return false };
        *heard = Some(highest.max(heard.unwrap_or(Epoch::NONE)));
        restored.lease = restored.lease.max(lease);
        if restored.heard.iter().all(|(_, heard)| heard.is_some()) && restored.quiet_until.is_none() {
            restored.quiet_until = Some(now + restored.lease.max(self.lease));
        }
        true
    }

    /// Moves the origin of the clock later by `by`: every moment comes nearer, and what is before the new origin becomes
    /// the origin. Explorations use it to see that two states are one; no product code does.
    pub fn shift(&mut self, by: Duration) {
        self.until = self.until - by;
        if let Some(restored) = &mut self.restored {
            restored.former_leader_until = restored.former_leader_until - by;
            restored.quiet_until = restored.quiet_until.map(|until| until - by);
        }
    }

    fn begin(
        &mut self,
        leadership: &Leadership,
        now: Moment,
        holder: &ApplicationName,
        above: Epoch,
    ) -> Result<Write, Blocked> {
        self.may_write(leadership, now)?;
        let mut highest = self.stored.as_ref().map_or(Epoch::NONE, |role| role.epoch).max(above);
        match &self.restored {
            Some(restored) => {
                if !self.is_writable(now) {
                    return Err(Blocked::Restored);
                }
                highest = restored.heard.iter().filter_map(|(_, heard)| *heard).fold(highest, Epoch::max);
            }
            None => self.is_free(now, holder)?,
        }
        let role = RoleEpoch::new(highest.next(), holder.clone());
        self.writing = Some(Promise { role: role.clone(), lease: self.lease });
        // What any holder was given before may be longer, and is until the new one asks (G13).
        let forgotten = self.restored.as_ref().map_or(Duration::ZERO, |restored| restored.lease);
        let covers = self.covers.max(self.lease).max(forgotten);
        Ok(Write { controller_epoch: self.controller_epoch, expected: self.stored.clone(), role, covers })
    }

    /// The promise allows a new epoch of `holder`: it is to this holder (G8), or over (G6).
    fn is_free(&self, now: Moment, holder: &ApplicationName) -> Result<(), Blocked> {
        let fencing = self.fencing.as_ref().filter(|role| role.holder == *holder && !self.fence_failed);
        if let Some(role) = fencing {
            return Err(Blocked::Fencing(role.clone()));
        }
        let Some(promise) = &self.promised else { return Ok(()) };
        if self.over || now >= self.until || promise.role.holder == *holder {
            return Ok(());
        }
        Err(Blocked::Promised(promise.role.clone(), self.until))
    }

    fn may_renew(
        &self,
        leadership: &Leadership,
        now: Moment,
        role: &RoleEpoch,
        lease: Duration,
    ) -> Result<(), Objection> {
        if !leadership.leads(now) {
            return Err(Objection::NotLeading);
        }
        if !self.is_of(leadership) || self.restored.is_some() {
            return Err(Objection::NotRead);
        }
        match self.promised() {
            Some(promised) if promised == role => {}
            Some(promised) if promised.epoch >= role.epoch => return Err(Objection::Higher),
            Some(_) | None => return Err(Objection::NotStored),
        }
        if self.over {
            return Err(Objection::Released);
        }
        if self.fencing.as_ref() == Some(role) {
            return Err(Objection::Fencing);
        }
        match self.writing() {
            Some(writing) if writing.holder != role.holder => {
                return Err(Objection::Writing(writing.clone()));
            }
            Some(_) | None => {}
        }
        // The leader before waited for no more than it knew of, and so would the next one.
        if lease > self.covers { Err(Objection::LongerLease(self.covers)) } else { Ok(()) }
    }

    /// Leads, has read, no write under way, nothing restored.
    fn may_work(&self, leadership: &Leadership, now: Moment) -> Result<(), Blocked> {
        self.may_write(leadership, now)?;
        if self.restored.is_some() { Err(Blocked::Restored) } else { Ok(()) }
    }

    /// Leads, has read, no write under way.
    fn may_write(&self, leadership: &Leadership, now: Moment) -> Result<(), Blocked> {
        if !leadership.leads(now) || !self.is_of(leadership) {
            return Err(Blocked::NotLeading);
        }
        match self.writing() {
            Some(role) => Err(Blocked::Writing(role.clone())),
            None => Ok(()),
        }
    }

    fn is_of(&self, leadership: &Leadership) -> bool {
        self.controller_epoch == leadership.controller_epoch
    }
}

#[cfg(test)]
mod tests;
