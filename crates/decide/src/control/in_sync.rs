//! Pairs with `keep-data`: who has everything that was acknowledged, and how a primary has that changed.
//!
//! It knows no data: who has what, the primary says. The law (G14): whoever the record leaves out is promoted by an operator's
//! word only; a primary's word is taken while its role is the stored one, and answered when it is durable.

use understudy_model::{
    Because, Event, EventKind, HostName, InSync, InSyncAnswer, InSyncAsk, InSyncWish, Incarnation, Member,
    Moment, PairName, RoleEpoch, Rule, Severity,
};

use super::state::Pair;
use super::{Control, ControlDo, ControlRecord, Out, about_pair, event};

/// The record of a pair whose data must not be lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kept {
    /// Who has everything.
    pub record: InSync,
    /// What the store holds of that, if anything.
    pub stored: Option<InSync>,
    /// The last wish that was heard, and of which life of an agent.
    pub last_ask: Option<(Incarnation, u64)>,
    /// An operator gave up what this member lacks; as long as that operation is under way.
    pub given_up: Option<Member>,
}

impl Control {
    /// Reads the record of every pair that has, or now gets, `keep-data`; of others nothing is remembered.
    pub(super) fn read_records(&mut self) {
        let pairs = &self.pairs;
        self.memory.in_sync.retain(|name, _| pairs.get(name).is_some_and(|pair| pair.spec.keep_data));
        for name in self.pairs.keys().cloned().collect::<Vec<_>>() {
            let Some(pair) = self.pairs.get(&name) else { continue };
            let kept = match &pair.kept {
                _ if !pair.spec.keep_data => None,
                Some(kept) => Some(kept.clone()),
                None => {
                    let stored = self.memory.in_sync.get(&name).cloned();
                    let record =
                        stored.clone().unwrap_or_else(|| self.unrecorded(&name, pair, pair.stored.as_ref()));
                    Some(Kept { record, stored, last_ask: None, given_up: None })
                }
            };
            if let Some(pair) = self.pairs.get_mut(&name) {
                pair.kept = kept;
            }
        }
    }

    /// What is so while a pair with this role has no record: before anybody was primary nothing was acknowledged, and
    /// afterwards the last holder alone is known to have everything. Of a restored store not even that.
    fn unrecorded(&self, name: &PairName, pair: &Pair, role: Option<&RoleEpoch>) -> InSync {
        let host_of = |member: &Member| {
            let name = pair.spec.application(*member);
            self.applications.get(name).map(|app| (name, &app.host))
        };
        if self.memory.grants.distrusts(name) {
            return InSync::default();
        }
        match role {
            None => InSync::of(understudy_model::Epoch::NONE, Member::BOTH.iter().filter_map(host_of)),
            Some(role) => {
                let holder = pair.spec.member_of(&role.holder);
                InSync::of(role.epoch, holder.iter().filter_map(host_of))
            }
        }
    }

    /// Why a member may not be promoted as far as data is concerned; none if it may.
    pub(super) fn lacks(&self, pair: &Pair, member: Member) -> Option<String> {
        let given_up = pair.kept.as_ref().is_some_and(|kept| kept.given_up == Some(member));
        self.missing(pair, member).filter(|_| !given_up)
    }

    /// The same, whatever an operator gave up.
    pub(super) fn missing(&self, pair: &Pair, member: Member) -> Option<String> {
        let kept = pair.kept.as_ref()?;
        let (name, host) = (pair.spec.application(member), &self.app(pair, member)?.host);
        let record = &kept.record;
        if record.has(name, host) {
            return None;
        }
        Some(match record.members.get(name) {
            Some(before) => format!("it was moved from host {before}, where what it has acknowledged is"),
            None if record.members.is_empty() => {
                "nobody is known to have everything that was acknowledged: the store was restored from a backup".to_owned()
            }
            None => format!("it lacks what {} acknowledged since epoch {}", named(record), record.since),
        })
    }

    /// What an operator gives up who promotes this member all the same; none if it lacks nothing.
    pub(super) fn lost_with(&self, pair: &Pair, member: Member) -> Option<String> {
        let why = self.missing(pair, member)?;
        Some(format!(
            "what was acknowledged and {} does not have, which may be lost: {why}",
            pair.spec.application(member)
        ))
    }

    /// Nobody is promoted, and this member would be if it had everything: which, and why it is not.
    pub(super) fn waits_for_data(&self, now: Moment, pair: &Pair) -> Option<(Member, String)> {
        let holder = pair.holder().unwrap_or(Member::First);
        let waits = |member: Member| {
            let why = self.lacks(pair, member)?;
            let ready = self.not_ready_but_for_data(now, pair, member).is_empty();
            ready.then(|| (member, format!("{}: {why}: not promoted", pair.spec.application(member))))
        };
        waits(holder).or_else(|| waits(holder.other()))
    }

    /// Nobody acts, and nobody who is silent may.
    pub(super) fn nobody_acts(&self, now: Moment, pair: &Pair) -> bool {
        let acts = |member: &Member| {
            self.acts_now(now, pair, *member).is_some() || self.may_act_unheard(pair, *member)
        };
        !Member::BOTH.iter().any(acts)
    }

    /// A member that acts in another role than the stored one, and lacks what somebody else acknowledged since.
    pub(super) fn is_outsider(&self, pair: &Pair, member: Member) -> bool {
        let known = pair.kept.as_ref().is_some_and(|kept| !kept.record.members.is_empty());
        known && self.lacks(pair, member).is_some()
    }

    /// Puts the record beside the epoch that is stored for this member, if it is to be another one than the stored one. It
    /// comes before the epoch in the same decision. `expected` is the role that is stored until then.
    pub(super) fn keep_record(
        &mut self,
        name: &PairName,
        member: Member,
        expected: Option<&RoleEpoch>,
        next: &RoleEpoch,
        out: &mut Out,
    ) {
        let Some(pair) = self.pairs.get(name) else { return };
        let (Some(kept), Some(app)) = (&pair.kept, self.app(pair, member)) else { return };
        let record = if kept.record.has(&next.holder, &app.host) {
            kept.record.clone()
        } else {
            InSync::of(next.epoch, [(&next.holder, &app.host)])
        };
        if kept.stored.as_ref() != Some(&record) {
            self.write_record(name, expected.cloned(), record, out);
        }
    }

    fn write_record(&mut self, name: &PairName, role: Option<RoleEpoch>, next: InSync, out: &mut Out) {
        let Some(kept) = self.pairs.get_mut(name).and_then(|pair| pair.kept.as_mut()) else { return };
        let expected = kept.stored.replace(next.clone());
        kept.record = next.clone();
        self.memory.in_sync.insert(name.clone(), next.clone());
        out.persist.push(ControlRecord::SetInSync { pair: name.clone(), role, expected, next });
    }

    /// A record was not stored, or may not have been: then nobody counts who is not in both.
    pub(super) fn record_not_stored(
        &mut self,
        name: &PairName,
        role: Option<&RoleEpoch>,
        expected: Option<InSync>,
        next: &InSync,
        definite: bool,
    ) {
        let Some(pair) = self.pairs.get(name) else { return };
        let before = expected.clone().unwrap_or_else(|| self.unrecorded(name, pair, role));
        match &expected {
            Some(expected) => self.memory.in_sync.insert(name.clone(), expected.clone()),
            None => self.memory.in_sync.remove(name),
        };
        if let Some(kept) = self.pairs.get_mut(name).and_then(|pair| pair.kept.as_mut()) {
            kept.record = if definite { before } else { before.common(next) };
            kept.stored = expected;
        }
    }

    // ---- a primary's word -----------------------------------------------------------------------------------------

    /// A primary says who has everything; it is answered in the decision that stores it, so when it is durable.
    pub(super) fn in_sync_asked(&mut self, host: HostName, ask: InSyncAsk, out: &mut Out) {
        let InSyncAsk { pair, incarnation, number, .. } = ask.clone();
        self.touched.insert(pair.clone());
        let refused = self.take_word(&host, ask, out).err();
        if let Some(why) = &refused {
            out.quiet.push(Because::new(Rule::InSyncRefused, format!("pair {pair}, asked by {host}: {why}")));
        }
        let answer = InSyncAnswer { pair, incarnation, number, refused };
        self.word_answered = Some((host.clone(), answer.clone()));
        out.actions.push(ControlDo::AnswerInSync { host, answer });
    }

    /// The last decision was not stored, and so its answer was not given.
    pub(super) fn word_not_stored(
        &self,
        answered: Option<(HostName, InSyncAnswer)>,
        why: &str,
        definite: bool,
        out: &mut Out,
    ) {
        let Some((host, answer)) = answered else { return };
        let certain = if definite { "it is not durable" } else { "nobody can know whether it is durable" };
        let refused = answer.refused.or_else(|| Some(format!("{certain}: {why}")));
        out.actions.push(ControlDo::AnswerInSync { host, answer: InSyncAnswer { refused, ..answer } });
    }

    fn take_word(&mut self, host: &HostName, ask: InSyncAsk, out: &mut Out) -> Result<(), String> {
        let (holder, wish) = self.check_word(host, &ask)?;
        let Some(pair) = self.pairs.get(&ask.pair) else { return Ok(()) };
        let members: &[Member] = match wish {
            InSyncWish::LeaveOut => &[holder],
            InSyncWish::CaughtUp => &Member::BOTH,
        };
        let there = members
            .iter()
            .filter_map(|member| Some((pair.spec.application(*member), &self.app(pair, *member)?.host)));
        let next = InSync::of(ask.role.epoch, there);
        let stored = pair.kept.as_ref().and_then(|kept| kept.stored.as_ref());
        if stored.is_some_and(|stored| stored.members == next.members) {
            return Ok(());
        }
        let other = pair.spec.application(holder.other());
        let (severity, text) = match wish {
            InSyncWish::LeaveOut => (
                Severity::Warning,
                format!(
                    "{} acknowledges without {other} from now on: {other} is not promoted before it has caught up",
                    ask.role.holder
                ),
            ),
            InSyncWish::CaughtUp => (
                Severity::Info,
                format!(
                    "{other} has everything that {} acknowledged: either may be primary",
                    ask.role.holder
                ),
            ),
        };
        let because =
            Because::new(Rule::InSyncSaid, text).fact("role", &ask.role).fact("has everything", &next);
        let told = event(EventKind::InSyncChanged, severity, about_pair(&ask.pair), because);
        out.events.push(Event { epoch: Some(ask.role.epoch), ..told });
        self.write_record(&ask.pair, Some(ask.role), next, out);
        Ok(())
    }

    /// Whether this is the word of the one that acts in the stored role, and its last one.
    fn check_word(&mut self, host: &HostName, ask: &InSyncAsk) -> Result<(Member, InSyncWish), String> {
        let of_holder = self.applications.get(&ask.role.holder).is_some_and(|app| app.host == *host);
        let alive = self.hosts.get(host).and_then(|host| host.incarnation) == Some(ask.incarnation);
        let Some(pair) = self.pairs.get_mut(&ask.pair) else {
            return Err("there is no such pair".to_owned());
        };
        let holder = pair.spec.member_of(&ask.role.holder).filter(|_| of_holder);
        let holder =
            holder.ok_or_else(|| format!("{} is no member of it on host {host}", ask.role.holder))?;
        let Some(kept) = &mut pair.kept else {
            return Err("nothing is recorded of its data: set keep-data = true on the pair".to_owned());
        };
        if !alive {
            return Err("it is of an earlier life of its agent".to_owned());
        }
        let last = kept.last_ask.filter(|(incarnation, _)| *incarnation == ask.incarnation);
        if last.is_some_and(|(_, number)| number >= ask.number) {
            return Err("a later word of the same agent was heard before it".to_owned());
        }
        kept.last_ask = Some((ask.incarnation, ask.number));
        if pair.stored.as_ref() != Some(&ask.role) {
            let stored = pair.stored.as_ref().map_or("none".to_owned(), ToString::to_string);
            return Err(format!("{} is not the stored role, which is {stored}", ask.role));
        }
        let granting = pair.granting.as_ref();
        if granting.is_some_and(|granting| granting.leader.is_withdrawn(&ask.role)) {
            return Err(format!("this control server votes for {} no more", ask.role));
        }
        if granting.is_some_and(|granting| granting.leader.is_restored()) {
            return Err("the store was restored, and no role of the pair is stored since".to_owned());
        }
        Ok((holder, ask.wish))
    }
}

/// The members that have everything, as a list.
fn named(record: &InSync) -> String {
    let names: Vec<&str> = record.members.keys().map(|name| name.as_str()).collect();
    names.join(" and ")
}
