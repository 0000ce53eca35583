//! Operations of several steps: a host is drained, a pair restarted member by member.
//!
//! It knows no orders but those of single steps, which keep their own rules. The law: the next step begins only when
//! the one before is confirmed, a step that fails ends the whole, and what was done until then is said.

use std::time::Duration;

use understudy_model::{
    ApplicationName, Because, Epoch, Event, EventKind, HostName, Member, Moment, OperationId, PairName, Rule,
    Severity, Work,
};

use super::asked::{AskedBy, AskedOf, in_brackets, with_reason_given};
use super::operations::Asker;
use super::pair::{PairState, PairTrigger};
use super::refuse::{not_found, refused};
use super::state::{Awaits, OrderedWork, RollingPhase};
use super::{
    Check, Control, ControlRecord, GivenUp, MaintenanceOf, OperationState, Out, Reply, about_host, event,
};

impl Control {
    // ---- drain ----------------------------------------------------------------------------------------------------

    pub(super) fn drain(
        &mut self,
        asker: &Asker,
        name: &str,
        back: bool,
        dry_run: bool,
        out: &mut Out,
    ) -> Reply {
        let wanted = name.to_ascii_lowercase();
        let Some(host) = self.hosts.keys().find(|host| host.as_str() == wanted).cloned() else {
            return not_found(&format!("there is no host called {name:?}"), "scsctl hosts");
        };
        if self.is_draining(&host) {
            let message = format!("host {host} is being drained");
            return refused("busy", &message, Vec::new(), Some("scsctl operations".to_owned()));
        }
        let drained = self.memory.drained.contains(&host);
        if back {
            return self.return_drained(asker, host, drained, dry_run, out);
        }
        let pairs = self.primaries_on(&host);
        if drained && pairs.is_empty() {
            return Reply::Done { text: format!("host {host} is drained already") };
        }
        let checks: Vec<Check> =
            pairs.iter().flat_map(|pair| self.drain_checks(asker.now, &host, pair)).collect();
        if dry_run {
            return Reply::Plan { checks, steps: self.drain_steps(&host, &pairs), given_up: None };
        }
        let failed = Check::failed(&checks);
        if !failed.is_empty() {
            let message = format!("host {host} is not drained: nothing was done");
            return refused("not-ready", &message, failed, Some(format!("scsctl drain {host} --dry-run")));
        }
        let limits =
            pairs.iter().filter_map(|pair| Some(self.pairs.get(pair)?.spec.timers.switchover_timeout));
        let limit = limits.sum::<Duration>() + Duration::from_secs(5);
        let awaits = Awaits::Drained { host: host.clone(), moving: None, moved: 0 };
        let id = self.begin(asker, "drain", host.to_string(), awaits, limit, out);
        let because = Because::new(Rule::OperatorAsked, format!("drain of host {host}"))
            .fact("pairs to switch", pairs.len());
        self.tell_operation(EventKind::OperationStarted, Severity::Info, id, because, out);
        Reply::Begun(id)
    }

    fn return_drained(
        &mut self,
        asker: &Asker,
        host: HostName,
        drained: bool,
        dry_run: bool,
        out: &mut Out,
    ) -> Reply {
        if !drained {
            return Reply::Done { text: format!("host {host} is not drained") };
        }
        if dry_run {
            let steps = vec![format!("members on {host} may be primary again; no role changes by that")];
            return Reply::Plan { checks: Vec::new(), steps, given_up: None };
        }
        self.remember_undo(Some(asker.request));
        self.memory.drained.remove(&host);
        out.persist.push(ControlRecord::SetDrained { host: host.clone(), on: false });
        let text = format!("host {host} may have primaries again; roles stay where they are");
        let told = format!("{text}{}", in_brackets(asker.reason.as_ref()));
        let told = Because::new(Rule::DrainSet, told);
        let told = event(EventKind::DrainChanged, Severity::Info, about_host(&host), told);
        out.events.push(Event { actor: Some(asker.actor.clone()), ..told });
        Reply::Done { text }
    }

    /// The pairs whose primary is on a host, in the order of their names.
    pub(super) fn primaries_on(&self, host: &HostName) -> Vec<PairName> {
        let on_it = |name: &&PairName| {
            self.pairs.get(*name).is_some_and(|pair| {
                let holder = pair.holder().filter(|holder| {
                    self.acts(pair, *holder).is_some() || self.may_act_unheard(pair, *holder)
                });
                holder.and_then(|holder| self.app(pair, holder)).is_some_and(|app| app.host == *host)
            })
        };
        self.pairs.keys().filter(on_it).cloned().collect()
    }

    pub(super) fn drain_checks(&self, now: Moment, host: &HostName, name: &PairName) -> Vec<Check> {
        let Some(pair) = self.pairs.get(name) else { return Vec::new() };
        let target = pair.holder().map(Member::other);
        let mut checks = self.switchover_checks(now, name, target);
        let other = target.and_then(|target| self.app(pair, target));
        if other.is_some_and(|other| other.host == *host) {
            checks.push(Check {
                what: "its other member is on another host".to_owned(),
                ok: false,
                found: format!("both are on {host}"),
            });
        }
        for check in &mut checks {
            check.what = format!("pair {name}: {}", check.what);
        }
        checks
    }

    fn drain_steps(&self, host: &HostName, pairs: &[PairName]) -> Vec<String> {
        let mut steps: Vec<String> = pairs
            .iter()
            .filter_map(|name| {
                let pair = self.pairs.get(name)?;
                let holder = pair.holder()?;
                let (from, to) = (pair.spec.application(holder), pair.spec.application(holder.other()));
                Some(format!("switch pair {name} from {from} to {to}"))
            })
            .collect();
        steps.push(format!(
            "make it durable that nothing on {host} is promoted until: scsctl drain {host} --return"
        ));
        let stay: Vec<&str> = self
            .applications
            .iter()
            .filter(|(_, app)| app.host == *host && app.pair.is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        if !stay.is_empty() {
            steps.push(format!("applications without a pair go on where they are: {}", stay.join(", ")));
        }
        steps
    }

    /// Whether members on a host may not be promoted: it is drained, is being drained, or leaves.
    pub(super) fn is_drained(&self, host: &HostName) -> bool {
        self.memory.drained.contains(host) || self.is_draining(host) || self.is_leaving(host)
    }

    fn is_draining(&self, host: &HostName) -> bool {
        self.operations.values().any(|known| {
            known.ended.is_none() && matches!(&known.awaits, Awaits::Drained { host: of, .. } if of == host)
        })
    }

    /// Goes on with draining; one pair at a time.
    pub(super) fn go_on_draining(
        &mut self,
        now: Moment,
        id: OperationId,
        host: &HostName,
        moving: Option<PairName>,
        mut moved: usize,
        out: &mut Out,
    ) -> OperationState {
        if let Some(name) = moving {
            let Some(pair) = self.pairs.get(&name) else {
                return OperationState::Failed(format!("pair {name} was removed"));
            };
            if let Some(why) = self.nobody_comes_elsewhere(now, pair, host) {
                return OperationState::Failed(format!(
                    "pair {name}: nobody acts, and {why}; {moved} pair(s) were switched and stay so; the host is not drained"
                ));
            }
            if pair.state != PairState::Held {
                return OperationState::Running;
            }
            let Some(member) = self.primary_of(pair) else { return OperationState::Running };
            if self.app(pair, member).is_some_and(|app| app.host == *host) {
                let primary = pair.spec.application(member);
                let why = self.operations.get(&id).and_then(|known| known.trouble.clone());
                let why = why.unwrap_or_else(|| "its roles did not change".to_owned());
                return OperationState::Failed(format!(
                    "pair {name}: {why}; {primary} is still primary on {host}; {moved} pair(s) were switched and stay \
                     so; the host is not drained"
                ));
            }
            moved += 1;
            if let Some(pair) = self.pairs.get_mut(&name) {
                pair.operation = None;
            }
            self.set_moving(id, None, moved);
        }
        let Some(name) = self.primaries_on(host).into_iter().next() else {
            return self.drained(now, id, host, moved, out);
        };
        let busy = self
            .pairs
            .get(&name)
            .is_none_or(|pair| pair.state != PairState::Held || pair.operation.is_some());
        if busy {
            return OperationState::Running;
        }
        let failed = self.drain_checks(now, host, &name).into_iter().find(|check| !check.ok);
        if let Some(check) = failed {
            return OperationState::Failed(format!(
                "{}: no, {}; {moved} pair(s) were switched and stay so; the host is not drained",
                check.what, check.found
            ));
        }
        self.begin_switch(now, id, &name, out);
        self.set_moving(id, Some(name), moved);
        OperationState::Running
    }

    /// Why the pair of a host that is being drained would be without a primary until the drain is given up.
    fn nobody_comes_elsewhere(&self, now: Moment, pair: &super::Pair, host: &HostName) -> Option<String> {
        let elsewhere = Member::BOTH
            .into_iter()
            .find(|member| self.app(pair, *member).is_some_and(|app| app.host != *host))?;
        let because = self.not_ready_because(now, pair, elsewhere);
        let lost =
            pair.state == PairState::Vacant && !because.is_empty() && !self.coming(now, pair, elsewhere);
        lost.then(|| format!("{}: {}", pair.spec.application(elsewhere), because.join("; ")))
    }

    fn begin_switch(&mut self, now: Moment, id: OperationId, name: &PairName, out: &mut Out) {
        self.step_of(now, Some(id), format!("pair {name}: the change of roles begins"));
        if let Some(pair) = self.pairs.get_mut(name) {
            pair.operation = Some(id);
        }
        self.fire(now, name, PairTrigger::SwitchoverAsked, out);
    }

    fn set_moving(&mut self, id: OperationId, pair: Option<PairName>, count: usize) {
        if let Some(known) = self.operations.get_mut(&id)
            && let Awaits::Drained { moving, moved, .. } = &mut known.awaits
        {
            (*moving, *moved) = (pair, count);
        }
    }

    fn drained(
        &mut self,
        now: Moment,
        id: OperationId,
        host: &HostName,
        moved: usize,
        out: &mut Out,
    ) -> OperationState {
        if self.undo.is_some() {
            // Something else of this decision may have to be taken back: a moment later then.
            return OperationState::Running;
        }
        self.remember_undo(None);
        self.memory.drained.insert(host.clone());
        if let Some(known) = self.operations.get(&id) {
            let by =
                AskedBy { actor: known.actor.clone(), at: Some(known.began), reason: known.reason.clone() };
            self.memory.asked.insert(AskedOf::Drain(host.clone()).to_string(), by);
        }
        out.persist.push(ControlRecord::SetDrained { host: host.clone(), on: true });
        let text =
            format!("nothing on host {host} is primary, and nothing there is promoted until it is returned");
        self.step_of(now, Some(id), text.clone());
        let known = self.operations.get(&id);
        let reason = known.and_then(|known| known.reason.as_ref());
        let because = Because::new(Rule::DrainSet, format!("{text}{}", in_brackets(reason)))
            .fact("pairs that were switched", moved);
        let because = with_reason_given(because, reason);
        let told = event(EventKind::DrainChanged, Severity::Info, about_host(host), because);
        out.events.push(Event { actor: known.map(|known| known.actor.clone()), ..told });
        OperationState::Done
    }

    /// That a host is drained could not be stored: so it is not, and the operation that ended with it has failed.
    pub(super) fn drain_not_stored(&mut self, host: &HostName, why: &str, out: &mut Out) {
        let of = |known: &super::state::Operation| {
            known.state == OperationState::Done
                && matches!(&known.awaits, Awaits::Drained { host: of, .. } if of == host)
        };
        let last = self.operations.iter_mut().rev().find(|(_, known)| of(known));
        let Some((id, known)) = last else { return };
        let text =
            format!("nothing on {host} is primary, and that it is drained could not be made durable: {why}");
        known.state = OperationState::Failed(text.clone());
        let id = *id;
        let because = Because::new(Rule::StoreUnwritable, format!("drain of {host} failed: {text}"));
        self.tell_operation(EventKind::OperationFailed, Severity::Warning, id, because, out);
    }

    // ---- restart, member by member --------------------------------------------------------------------------------

    pub(super) fn restart_rolling(
        &mut self,
        asker: &Asker,
        name: &str,
        dry_run: bool,
        out: &mut Out,
    ) -> Reply {
        let Some(name) = self.pair_named(name) else {
            return self.no_pair(name);
        };
        let Some(pair) = self.pairs.get(&name) else { return not_found("no such pair", "scsctl pairs") };
        let primary = self.serving(asker.now, pair);
        let checks = self.switchover_checks(asker.now, &name, primary.map(Member::other));
        let failed = Check::failed(&checks);
        if let Some(primary) = primary.filter(|_| dry_run) {
            let (first, second) = (pair.spec.application(primary.other()), pair.spec.application(primary));
            let steps = vec![
                format!("restart {first}, and wait until it could take over again"),
                format!("change the roles: {first} is primary then"),
                format!("restart {second}, and wait until it could take over"),
            ];
            return Reply::Plan { checks, steps, given_up: None };
        }
        let Some(primary) = primary.filter(|_| failed.is_empty()) else {
            let message = format!("rolling restart of pair {name} refused: nothing was done");
            return refused("not-ready", &message, failed, Some(format!("scsctl why {name}")));
        };
        let members = [primary.other(), primary].map(|member| pair.spec.application(member).clone());
        let restarts: Duration = members.iter().map(|member| self.restart_limit(member)).sum();
        let limit = restarts + pair.spec.timers.switchover_timeout;
        let awaits =
            Awaits::Rolling { pair: name.clone(), first: primary.other(), phase: RollingPhase::Begin };
        let id = self.begin(asker, "rolling restart", name.to_string(), awaits, limit, out);
        let because = Because::new(Rule::OperatorAsked, format!("rolling restart of pair {name}"))
            .fact("first", &members[0])
            .fact("second", &members[1]);
        self.tell_operation(EventKind::OperationStarted, Severity::Info, id, because, out);
        Reply::Begun(id)
    }

    fn restart_limit(&self, application: &ApplicationName) -> Duration {
        use understudy_model::Goal;
        self.limit(application, Goal::Stopped) + self.limit(application, Goal::Started)
    }

    /// Goes on with a rolling restart.
    pub(super) fn go_on_rolling(
        &mut self,
        now: Moment,
        id: OperationId,
        name: &PairName,
        first: Member,
        phase: RollingPhase,
        out: &mut Out,
    ) -> OperationState {
        let Some(pair) = self.pairs.get(name) else {
            return OperationState::Failed(format!("pair {name} was removed"));
        };
        let primary = if pair.state == PairState::Held { self.primary_of(pair) } else { None };
        let next = match phase {
            RollingPhase::Begin => RollingPhase::First(self.order_restart(now, id, name, first, out)),
            RollingPhase::First(pid) if self.restarted_and_ready(now, name, first, pid) => {
                if primary == Some(first.other()) {
                    self.begin_switch(now, id, name, out);
                }
                RollingPhase::Switch
            }
            RollingPhase::Switch if primary == Some(first) => {
                if let Some(pair) = self.pairs.get_mut(name) {
                    pair.operation = None;
                }
                RollingPhase::Second(self.order_restart(now, id, name, first.other(), out))
            }
            RollingPhase::Switch if primary == Some(first.other()) => {
                let stays = pair.spec.application(first.other());
                let why = self.operations.get(&id).and_then(|known| known.trouble.clone());
                let why = why.unwrap_or_else(|| "the roles did not change".to_owned());
                return OperationState::Failed(format!(
                    "{why}; {stays} is primary and was not restarted; {} was",
                    pair.spec.application(first)
                ));
            }
            RollingPhase::Second(pid) if self.restarted_and_ready(now, name, first.other(), pid) => {
                return OperationState::Done;
            }
            RollingPhase::First(_) | RollingPhase::Switch | RollingPhase::Second(_) => {
                return OperationState::Running;
            }
        };
        if let Some(known) = self.operations.get_mut(&id)
            && let Awaits::Rolling { phase, .. } = &mut known.awaits
        {
            *phase = next;
        }
        OperationState::Running
    }

    /// Orders the restart of a member; its process before that.
    fn order_restart(
        &mut self,
        now: Moment,
        id: OperationId,
        name: &PairName,
        member: Member,
        out: &mut Out,
    ) -> Option<u32> {
        let application = self.pairs.get(name)?.spec.application(member).clone();
        let known = self.applications.get(&application)?;
        let (host, pid) = (known.host.clone(), known.report.as_ref().and_then(|report| report.pid));
        let about = OrderedWork::Level { application: Some(application.clone()), operation: Some(id) };
        let told = self.send(&host, Work::Restart { application: application.clone() }, about, out);
        let text = if told {
            format!("the agent of {host} is told to restart {application}")
        } else {
            format!("{application} cannot be restarted: the agent of {host} is not heard")
        };
        if let Some(known) = self.operations.get_mut(&id).filter(|_| !told) {
            known.trouble = Some(text.clone());
            known.deadline = now;
        }
        self.step_of(now, Some(id), text);
        pid
    }

    fn restarted_and_ready(&self, now: Moment, name: &PairName, member: Member, pid: Option<u32>) -> bool {
        let Some(pair) = self.pairs.get(name) else { return false };
        let report = self.app(pair, member).and_then(|app| app.report.as_ref());
        let other = report.is_some_and(|report| report.pid.is_some() && report.pid != pid);
        other && self.not_ready_because(now, pair, member).is_empty()
    }

    // ---- failover by force ----------------------------------------------------------------------------------------

    /// Promotes the backup of a pair whose primary is not heard, without the proof that it has ended.
    pub(super) fn failover(
        &mut self,
        asker: &Asker,
        asked: &str,
        dry_run: bool,
        shown: Option<GivenUp>,
        out: &mut Out,
    ) -> Reply {
        let Some(name) = self.pair_named(asked) else {
            return self.no_pair(asked);
        };
        let Some(pair) = self.pairs.get(&name) else { return not_found("no such pair", "scsctl pairs") };
        let restored = pair.granting.as_ref().is_some_and(|granting| granting.leader.is_restored());
        let unheard = |member: &Member| self.app(pair, *member).is_some_and(|app| !app.heard);
        let unheard = pair
            .holder()
            .filter(|holder| self.may_act_unheard(pair, *holder))
            .or(Member::BOTH.into_iter().find(unheard).filter(|_| restored));
        // Nobody who is silent may act, and nobody else is primary for want of data.
        let waits = self.waits_for_data(asker.now, pair).filter(|_| self.nobody_acts(asker.now, pair));
        let (Some(target), role) =
            (unheard.map(Member::other).or(waits.map(|(member, _)| member)), pair.stored.clone())
        else {
            let message = format!("no silent member of pair {name} may act: there is nothing to force");
            return refused("not-possible", &message, Vec::new(), Some(format!("scsctl switchover {name}")));
        };
        let reasons = self.not_ready_but_for_data(asker.now, pair, target);
        let to = pair.spec.application(target).clone();
        let host = self.app(pair, target.other()).map_or_else(String::new, |app| app.host.to_string());
        let strict = pair.granting.is_some();
        let proof = unheard.map(|_| match &pair.granting {
            Some(granting) => self.promise_given_up(asker.now, pair, granting, &host),
            None => format!(
                "the role {}: its agent on host {host} has not said that it ended, so two may act until {host} is heard",
                role.as_ref().map_or_else(String::new, ToString::to_string)
            ),
        });
        let lost = self.lost_with(pair, target);
        let lacks = lost.is_some();
        let would = GivenUp {
            epoch: role.as_ref().map_or(Epoch::NONE, |role| role.epoch),
            member: pair.spec.application(target.other()).clone(),
            loses_data: lacks,
        };
        if let Some(message) = another_is_given_up(asked, &name, shown.as_ref(), &would) {
            let look = Some(format!("scsctl failover {name} --dry-run"));
            return refused("not-possible", &message, Vec::new(), look);
        }
        let given_up = [proof, lost].into_iter().flatten().collect::<Vec<_>>().join("; and ");
        let maintenance = self.memory.maintenance.contains(&MaintenanceOf::Pair(name.clone()));
        let check = |what: String, ok: bool, found: String| Check { what, ok, found };
        let found = if reasons.is_empty() { "yes".to_owned() } else { reasons.join("; ") };
        let checks = vec![
            check(format!("{to} is ready"), reasons.is_empty(), found),
            check(
                "maintenance of the pair is off".to_owned(),
                !maintenance,
                if maintenance { "it is on".to_owned() } else { "off".to_owned() },
            ),
        ];
        if dry_run {
            let steps =
                vec![format!("give up {given_up}"), format!("order {to} to be primary in a new epoch")];
            return Reply::Plan { checks, steps, given_up: Some(would) };
        }
        let failed = Check::failed(&checks);
        if !failed.is_empty() {
            let message = format!("failover of pair {name} refused: nothing was done");
            return refused("not-ready", &message, failed, Some(format!("scsctl why {name}")));
        }
        let terms = pair.spec.terms();
        // A restored store waits for the leadership and then for the lease that it does not know.
        let first = if restored { terms.leader_lease + terms.lease } else { Duration::ZERO };
        let limit = pair.spec.timers.switchover_timeout + first;
        let awaits = Awaits::Holder { pair: name.clone(), member: target };
        let id = self.begin(asker, "failover", name.to_string(), awaits, limit, out);
        let because = Because::new(Rule::OperatorForced, format!("failover of pair {name} to {to}"))
            .fact("given up", &given_up);
        self.tell_operation(EventKind::OperationStarted, Severity::Critical, id, because, out);
        self.step_of(asker.now, Some(id), format!("given up: {given_up}"));
        if let Some(known) = self.pairs.get_mut(&name) {
            known.operation = Some(id);
            known.forced =
                role.filter(|role| unheard.is_some() && known.spec.member_of(&role.holder) == unheard);
            if let Some(kept) = known.kept.as_mut().filter(|_| lacks) {
                kept.given_up = Some(target);
            }
            if unheard.is_none() && known.state == PairState::Vacant {
                (known.prefer, known.prefer_until) = (Some(target), asker.now);
            }
        }
        if strict && unheard.is_some() {
            self.give_word(&name);
        }
        Reply::Begun(id)
    }
}

/// Why a failover by force would give up something else than was meant: the member that was named, or what was shown.
fn another_is_given_up(
    asked: &str,
    pair: &PairName,
    shown: Option<&GivenUp>,
    would: &GivenUp,
) -> Option<String> {
    let wanted = asked.to_ascii_lowercase();
    if wanted != pair.as_str() && wanted != would.member.as_str() {
        return Some(format!(
            "{wanted} is not the member that a failover of pair {pair} gives up now: that is {}; nothing was done",
            would.member
        ));
    }
    let shown = shown.filter(|shown| *shown != would)?;
    Some(format!("{shown} was shown to be given up, and now it would be {would}; nothing was done"))
}
