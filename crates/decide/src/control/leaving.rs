//! Hosts that leave: an agent says that its host is shut down, and the control server hands over what is primary there.
//!
//! Knows no drain that outlives it: nothing of this is stored, as a host that comes back is a new life of its agent. The law:
//! each pair is tried once, with the checks of a switchover, and the agent is let go as soon as nothing more can be done; it
//! does not wait for what will not come.

use understudy_model::{Because, Event, EventKind, HostName, Member, Moment, PairName, Rule, Severity, Work};

use super::pair::{PairState, PairTrigger};
use super::state::{Departure, OrderedWork};
use super::{Control, Out, about_host, event};

/// What becomes of a pair of a host that leaves.
enum Prospect {
    /// Nothing more is awaited of it.
    Closed,
    /// A change of roles is under way, or its other member is coming up.
    Open,
    /// Its roles can be changed now.
    Ready,
}

impl Control {
    /// An agent said that its host leaves, or stays after all.
    pub(super) fn host_leaves(&mut self, host: &HostName, leaving: bool, out: &mut Out) {
        let Some(known) = self.hosts.get_mut(host).filter(|known| known.incarnation.is_some()) else {
            return;
        };
        if known.leaving.is_some() == leaving {
            return;
        }
        known.leaving = leaving.then(Departure::default);
        self.touch_host(host);
        let text = if leaving {
            "its host leaves: what is primary there is handed over, and nothing there is promoted"
        } else {
            "its host stays after all: members there may be promoted again"
        };
        let because = Because::new(Rule::HostLeaves, text);
        out.events.push(event(EventKind::HostLeaving, Severity::Warning, about_host(host), because));
    }

    /// Whether an agent said that its host leaves.
    pub(super) fn is_leaving(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|known| known.leaving.is_some())
    }

    /// That an agent may go was in a decision that could not be stored.
    pub(super) fn not_let_go(&mut self, host: &HostName) {
        if let Some(departure) = self.hosts.get_mut(host).and_then(|known| known.leaving.as_mut()) {
            departure.let_go = false;
        }
    }

    /// Hands over what can be, and lets go whoever need not wait any more.
    pub(super) fn go_on_leaving(&mut self, now: Moment, out: &mut Out) {
        let waits = |known: &super::Host| {
            known.incarnation.is_some() && known.leaving.as_ref().is_some_and(|departure| !departure.let_go)
        };
        let hosts: Vec<HostName> =
            self.hosts.iter().filter(|(_, known)| waits(known)).map(|(name, _)| name.clone()).collect();
        for host in hosts {
            self.hand_over(now, &host, out);
        }
    }

    fn hand_over(&mut self, now: Moment, host: &HostName, out: &mut Out) {
        let names: Vec<PairName> = self.pairs.keys().cloned().collect();
        let mut open = false;
        for name in &names {
            match self.prospect(now, host, name) {
                Prospect::Closed => {}
                Prospect::Open => open = true,
                Prospect::Ready => {
                    open = true;
                    if let Some(departure) = self.hosts.get_mut(host).and_then(|known| known.leaving.as_mut())
                    {
                        departure.tried.insert(name.clone());
                    }
                    self.fire(now, name, PairTrigger::SwitchoverAsked, out);
                }
            }
        }
        if open || !self.send(host, Work::LetGo, OrderedWork::LetGo, out) {
            return;
        }
        if let Some(departure) = self.hosts.get_mut(host).and_then(|known| known.leaving.as_mut()) {
            departure.let_go = true;
        }
        let stay: Vec<String> = self.primaries_on(host).iter().map(ToString::to_string).collect();
        let mut because =
            Because::new(Rule::HostLeaves, "nothing more can be handed over: its agent may stop what runs");
        let mut severity = Severity::Info;
        if !stay.is_empty() {
            severity = Severity::Warning;
            because = because.fact("pairs whose primary is still there", stay.join(", "));
        }
        let told = event(EventKind::HostLeaving, severity, about_host(host), because);
        out.events.push(Event { actor: None, ..told });
    }

    fn prospect(&self, now: Moment, host: &HostName, name: &PairName) -> Prospect {
        let Some(pair) = self.pairs.get(name) else { return Prospect::Closed };
        let on_it = |member: Member| self.app(pair, member).is_some_and(|app| app.host == *host);
        if !Member::BOTH.into_iter().any(on_it) {
            return Prospect::Closed;
        }
        match pair.state {
            // A change that is under way may still need its way back.
            PairState::Promoting | PairState::Demoting => return Prospect::Open,
            PairState::Learning | PairState::Vacant | PairState::Withheld => return Prospect::Closed,
            PairState::Held => {}
        }
        let Some(holder) = pair.holder().filter(|holder| on_it(*holder)) else { return Prospect::Closed };
        let tried = self.hosts.get(host).and_then(|known| known.leaving.as_ref());
        if tried.is_none_or(|departure| departure.tried.contains(name)) {
            return Prospect::Closed;
        }
        if pair.operation.is_some() {
            return Prospect::Open;
        }
        if self.drain_checks(now, host, name).iter().all(|check| check.ok) {
            return Prospect::Ready;
        }
        if !on_it(holder.other())
            && self.coming(now, pair, holder.other())
            && !self.is_ready(pair, holder.other())
        {
            return Prospect::Open;
        }
        Prospect::Closed
    }

    /// Its agent reports it ready: what then speaks against it does not pass by waiting.
    fn is_ready(&self, pair: &super::Pair, member: Member) -> bool {
        let report = self.app(pair, member).filter(|app| app.heard).and_then(|app| app.report.as_ref());
        report.is_some_and(|report| report.status == understudy_model::ApplicationStatus::Started)
    }
}
