//! How a view is made of what is known.

use std::collections::BTreeMap;

use understudy_model::{
    ApplicationName, ApplicationStatus, ControllerEpoch, ControllerName, Goal, HostName, Member, Moment, Rule,
};

use super::pair::{PairState, PairTrigger};
use super::state::{App, Pair};
use super::{
    ApplicationState, ClusterView, Control, HostState, LinkEnd, OperationState, OperationView, PairView,
    PromiseView,
};

impl Control {
    /// Who leads, and under which leadership.
    pub fn leadership(&self) -> (&ControllerName, ControllerEpoch) {
        (&self.memory.controller, self.memory.controller_epoch)
    }

    /// Counts accepted configurations of this leadership, from 1; 0 before the first.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Everything that `status`, `hosts`, `apps` and `pairs` show.
    pub fn view(&self, now: Moment) -> ClusterView {
        let cluster = self.cluster.as_ref();
        ClusterView {
            cluster: cluster.map(|cluster| cluster.name.clone()).unwrap_or_default(),
            revision: self.revision,
            controller: Some((self.memory.controller.clone(), self.memory.controller_epoch)),
            hosts: self.host_states(now),
            applications: self.application_states(),
            pairs: self.pairs.keys().filter_map(|name| self.pair_view(now, name)).collect(),
            operations: self.operation_views(),
            maintenance: self.memory.maintenance.clone(),
            warnings: self.warnings(now),
        }
    }

    fn host_states(&self, now: Moment) -> Vec<HostState> {
        let mut risks = self.loss_risks(now);
        let address = |name| {
            let spec = self.cluster.as_ref().and_then(|cluster| cluster.hosts.get(name));
            spec.and_then(|spec| spec.addresses.first().cloned()).unwrap_or_default()
        };
        self.hosts
            .iter()
            .map(|(name, host)| (name, host, risks.remove(name).unwrap_or_default()))
            .map(|(name, host, loss_risks)| HostState {
                name: name.clone(),
                address: address(name),
                status: host.status,
                since: host.since,
                heard: host.heard,
                problem: self.problem_of(name, host),
                drained: self.memory.drained.contains(name),
                held: self.memory.holds.get(name).map(|hold| self.hold_told(now, name, hold)),
                loss_survivable: loss_risks.is_empty(),
                loss_risks,
                only_here: self.only_on(name),
                clock_doubts: self.clock_doubts_of(name),
            })
            .collect()
    }

    /// The applications without a pair that should run on a host: they are gone with it.
    pub(super) fn only_on(&self, host: &HostName) -> Vec<ApplicationName> {
        let alone = |(name, app): &(&ApplicationName, &App)| {
            app.host == *host && app.pair.is_none() && self.goal(name) == Goal::Started
        };
        self.applications.iter().filter(alone).map(|(name, _)| name.clone()).collect()
    }

    /// Why a host is not running, and who else hears it.
    fn problem_of(&self, name: &HostName, host: &super::Host) -> String {
        let through = |pair: &Pair| {
            let (silent, through) = self.alive_through(pair)?;
            (self.app(pair, silent)?.host == *name).then(|| pair.spec.application(through).clone())
        };
        match self.pairs.values().find_map(through) {
            Some(through) => format!("{}; unreachable from here, alive through {through}", host.problem),
            None => host.problem.clone(),
        }
    }

    /// What the loss of each host would take that nobody could take over now.
    fn loss_risks(&self, now: Moment) -> BTreeMap<HostName, Vec<String>> {
        let mut risks: BTreeMap<HostName, Vec<String>> = BTreeMap::new();
        for host in &self.own_hosts {
            let text = "this control server runs there: nobody would promote anyone".to_owned();
            risks.entry(host.clone()).or_default().push(text);
        }
        for (host, text) in self.risks_of_own_hosts() {
            risks.entry(host.clone()).or_default().push(text);
        }
        for (name, pair) in &self.pairs {
            let primary = self.serving(now, pair).or(self.assumed_primary(now, pair));
            let Some(host) = primary.and_then(|member| Some(self.app(pair, member)?.host.clone())) else {
                continue;
            };
            let primary = primary.unwrap_or(Member::First);
            if self.same_host(pair) {
                risks.entry(host).or_default().push(format!("both members of pair {name} are on it"));
                continue;
            }
            let reasons = self.not_ready_because(now, pair, primary.other());
            if !reasons.is_empty() {
                let standby = pair.spec.application(primary.other());
                let text = format!("pair {name}: {standby} could not take over: {}", reasons.join("; "));
                risks.entry(host).or_default().push(text);
            }
        }
        risks
    }

    fn application_states(&self) -> Vec<ApplicationState> {
        self.applications
            .iter()
            .map(|(name, known)| {
                let report = known.report.as_ref();
                let problem = match report {
                    _ if !known.heard => format!("the agent of host {} is not heard", known.host),
                    Some(report) => report.problem.clone(),
                    None => "its agent has not reported it yet".to_owned(),
                };
                ApplicationState {
                    name: name.clone(),
                    host: known.host.clone(),
                    pair: known.pair.clone(),
                    pid: report.and_then(|report| report.pid),
                    status: known.status(),
                    goal: self.goal(name),
                    run_mode: known.run_mode(),
                    epoch: known.acting().map(|role| role.epoch),
                    restarts: report.map(|report| report.restarts).unwrap_or_default(),
                    gave_up: report.is_some_and(|report| report.gave_up),
                    hands_off: self.hands_off(name),
                    restart_pending: self.restart_pending(name, known),
                    problem,
                    last_exit: report.and_then(|report| report.last_exit.clone()),
                    since: known.since,
                    as_found: known.as_found,
                }
            })
            .collect()
    }

    fn restart_pending(&self, name: &ApplicationName, known: &App) -> Vec<String> {
        let accepted = self.cluster.as_ref().and_then(|cluster| cluster.applications.get(name));
        let waiting = accepted.map(|accepted| known.waits_for_restart(accepted)).unwrap_or_default();
        waiting.into_iter().map(str::to_owned).collect()
    }

    fn pair_view(&self, now: Moment, name: &understudy_model::PairName) -> Option<PairView> {
        let pair = self.pairs.get(name)?;
        let heard = self.serving(now, pair);
        let primary = heard.or(self.assumed_primary(now, pair));
        let standby = primary.map_or(Member::Second, Member::other);
        let mut not_ready_because = self.not_ready_because(now, pair, standby);
        // A pair of which two act is not well, whatever the standby could do.
        if let Some(role) = self.acts(pair, standby).filter(|_| primary.is_some()) {
            not_ready_because.push(format!("it still acts in the older role {role}, and is being demoted"));
        }
        let last = pair.because.as_ref().map(|because| (because.rule, because.reason.clone()));
        let waits = self.waits_for_data(now, pair).filter(|_| primary.is_none());
        let held_back = self.held_back(now, name, pair);
        let (rule, reason) = match (pair.state, last) {
            _ if let Some(held) = &held_back => (held.rule, held.missed.clone()),
            (PairState::Vacant, _) if waits.is_some() => {
                (Rule::LacksData, waits.as_ref().map(|(_, why)| why.clone()).unwrap_or_default())
            }
            (PairState::Held, Some(last)) if primary.is_some() => last,
            (PairState::Held, _) => (Rule::ActingHolderKept, Rule::ActingHolderKept.says().to_owned()),
            (_, Some(last)) => last,
            (_, None) => (Rule::WaitForAgents, Rule::WaitForAgents.says().to_owned()),
        };
        Some(PairView {
            name: name.clone(),
            redundancy: pair.spec.redundancy,
            policy: pair.spec.policy,
            primary: primary.map(|member| pair.spec.application(member).clone()),
            primary_heard: heard.is_some(),
            backup: pair.spec.application(standby).clone(),
            stored: pair.stored.clone(),
            state: format!("{:?}", pair.state).to_lowercase(),
            since: pair.since,
            as_found: pair.state == PairState::Held && !pair.changed && primary.is_some(),
            ready: not_ready_because.is_empty(),
            not_ready_because,
            two_act: self.situation(now, name) == Some(PairTrigger::TwoAct),
            second_may_act: pair.left_behind.as_ref().is_some_and(|left| match &pair.granting {
                // Its own votes end it.
                Some(_) => now < left.since + pair.spec.terms().lease,
                None => self.may_act_unheard(pair, left.member),
            }),
            two_acted: pair.two_acted,
            held_because: self.held_because(now, pair),
            promise: pair.granting.as_ref().and_then(|granting| {
                let role = granting.leader.promised()?.clone();
                let left = granting.leader.bound(now).map(|_| granting.leader.promise_until().since(now));
                Some(PromiseView { role, left })
            }),
            alive_through: self
                .alive_through(pair)
                .map(|(_, through)| pair.spec.application(through).clone()),
            in_sync: pair.kept.as_ref().map(|kept| kept.record.clone()),
            waits_for_data: waits.map(|(_, why)| why),
            votes_given: pair.granting.as_ref().map_or(0, |granting| granting.votes_given),
            votes_refused: pair.granting.as_ref().map_or(0, |granting| granting.votes_refused),
            because: pair.because.clone(),
            considered: self.considered(now, pair, rule, &reason),
            held_back,
        })
    }

    fn operation_views(&self) -> Vec<OperationView> {
        self.operations
            .iter()
            .map(|(id, known)| OperationView {
                id: *id,
                kind: known.kind.to_owned(),
                subject: known.subject.clone(),
                actor: known.actor.clone(),
                reason: known.reason.clone(),
                state: known.state.clone(),
                steps: known.steps.iter().map(|(at, text)| (at.since(known.began), text.clone())).collect(),
                began: known.began,
                ended: known.ended,
            })
            .collect()
    }

    fn warnings(&self, now: Moment) -> Vec<String> {
        let mut warnings = Vec::new();
        self.warn_of_clocks(&mut warnings);
        for (name, pair) in &self.pairs {
            self.warn_of_pair(now, name, pair, &mut warnings);
        }
        for (name, host) in self.hosts.iter().filter(|(_, host)| host.incarnation.is_none()) {
            // One that answers and refuses is there.
            let refused = host.gone.is_some_and(|gone| gone.end == LinkEnd::Unwelcome);
            let next = if refused { "" } else { "; on that host run: systemctl status lca" };
            warnings.push(format!("host {name}: its agent is not heard: {}{next}", host.problem));
        }
        for (host, _) in self.hosts.iter().filter(|(_, known)| known.leaving.is_some()) {
            warnings.push(format!(
                "host {host} is leaving: nothing there is promoted; if it should stay, run there: lca handover --return"
            ));
        }
        // Said once: where it keeps a pair from failing over, it stands there, with who asked and what to run.
        let said = |warnings: &[String], text: &str| warnings.iter().any(|warning| warning.contains(text));
        for host in &self.memory.drained {
            if !said(&warnings, &self.drained_told(now, host, "")) {
                warnings.push(self.drained_told(now, host, ": nothing there is promoted"));
            }
        }
        self.warn_of_holds(now, &mut warnings);
        for host in &self.own_hosts {
            warnings.push(format!(
                "host {host}: this control server runs there, so the loss of that host fails nothing over; run the \
                 control server on a third machine"
            ));
        }
        for (name, host) in &self.hosts {
            if let Some((why, _)) = host.refused.as_ref().filter(|_| host.incarnation.is_some()) {
                warnings.push(format!("host {name}: {why}; what it should run is told again every second"));
            }
        }
        for (name, known) in &self.applications {
            let Some(report) = known.report.as_ref().filter(|_| known.heard) else { continue };
            if report.gave_up {
                warnings.push(format!(
                    "application {name}: {}; mend it, then run: scsctl start {name}",
                    report.problem
                ));
            } else if !report.problem.is_empty() && report.status != ApplicationStatus::Started {
                warnings.push(format!(
                    "application {name} is {}: {}; run: scsctl why {name}",
                    report.status, report.problem
                ));
            }
        }
        for (name, known) in self.applications.iter().filter(|(_, known)| !known.heard) {
            let told = known.report.as_ref().map(|report| report.goal);
            if self.goal(name) == Goal::Stopped && told == Some(Goal::Started) {
                let host = &known.host;
                warnings.push(format!(
                    "application {name} should be stopped, and host {host} is not heard: it is stopped as soon as {host} is; \
                     take it back: scsctl start {name}"
                ));
            }
        }
        for of in &self.memory.maintenance {
            if !said(&warnings, &self.maintained(now, of, "")) {
                warnings.push(self.maintained(now, of, ": nothing there is restarted or promoted"));
            }
        }
        for id in self
            .operations
            .iter()
            .filter(|(_, known)| matches!(known.state, OperationState::Unknown(_)))
            .map(|(id, _)| id)
        {
            warnings.push(format!("operation {id}: its outcome is not known; run: scsctl status"));
        }
        warnings
    }

    fn warn_of_pair(
        &self,
        now: Moment,
        name: &understudy_model::PairName,
        pair: &Pair,
        warnings: &mut Vec<String>,
    ) {
        let heard = self.serving(now, pair);
        let assumed = self.assumed_primary(now, pair);
        if let Some(why) = &pair.unwritable {
            warnings.push(format!(
                "pair {name}: its next epoch cannot be made durable, so nobody can be promoted: {why}"
            ));
        }
        match heard.or(assumed) {
            Some(member) if heard.is_none() => {
                let holder = pair.spec.application(member);
                let host = self.app(pair, member).map_or("", |app| app.host.as_str());
                let why = self.not_lost_because(now, pair, member).map(|(_, why)| why).unwrap_or_default();
                warnings.push(format!(
                    "pair {name}: its primary {holder} on host {host} cannot be heard and is assumed to act; nobody \
                     else is promoted yet: {why}"
                ));
            }
            None if self.stopped_on_request(pair) => {}
            None if let Some((_, why)) = self.waits_for_data(now, pair) => warnings.push(format!(
                "pair {name}: nobody is primary: {why}; bring the member back that has everything, or give that up with: \
                 scsctl failover {name} --force"
            )),
            None => {
                let why = pair.because.as_ref().map_or("", |because| because.reason.as_str());
                warnings.push(format!(
                    "pair {name}: no member is known to be primary: {why} Run: scsctl why {name}"
                ));
            }
            Some(member) => {
                let reasons = self.not_ready_because(now, pair, member.other());
                if !reasons.is_empty() {
                    let standby = pair.spec.application(member.other());
                    warnings
                        .push(format!("pair {name}: {standby} could not take over: {}", reasons.join("; ")));
                }
            }
        }
        if let Some(held) = self.held_because(now, pair) {
            warnings
                .push(format!("pair {name}: {held}; find out why, then run: scsctl flap acknowledge {name}"));
        }
        if let Some(left) = &pair.left_behind {
            let (application, span) =
                (pair.spec.application(left.member), now.since(left.since).as_secs_f64());
            let told = if pair.granting.is_some() {
                "was given up by force, and is not heard yet: whether it acted beside the new primary is said when it is"
            } else {
                "was left behind on a lost host, and may still act: it is demoted as soon as its agent is heard"
            };
            warnings.push(format!("pair {name}: {application} {told} ({span:.0} s ago)"));
        }
        self.warn_of_voters(name, pair, warnings);
        if self.same_host(pair) {
            warnings.push(format!("pair {name}: both members are on one host, whose loss nobody survives"));
        }
    }

    /// The holder, while nothing says that it has stopped acting.
    fn assumed_primary(&self, now: Moment, pair: &Pair) -> Option<Member> {
        let acts = |member: &Member| {
            self.acts_now(now, pair, *member).is_some() || self.unheard_may_act(now, pair, *member)
        };
        let holder = match self.alive_through(pair) {
            Some((member, _)) => member,
            None => pair.holder()?,
        };
        (pair.state != PairState::Promoting && acts(&holder)).then_some(holder)
    }

    pub(super) fn same_host(&self, pair: &Pair) -> bool {
        let host = |member| self.app(pair, member).map(|known| known.host.clone());
        host(Member::First).is_some() && host(Member::First) == host(Member::Second)
    }
}
