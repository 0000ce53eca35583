//! The host leaves: roles are handed over first, then everything is stopped, one after the other: what others came `after`
//! last, and else what was started last first.
//!
//! Refuses to know why (a shutdown, a person). The law: as long as a role may still be handed over nothing is stopped, and
//! no wait is without bound. It is never durable: the next life of the agent does what its goals say.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use understudy_model::{
    ApplicationName, Because, Event, EventKind, Moment, Outcome, Rule, Severity, Subject,
};

use super::lifecycle::Phase;
use super::out::Out;
use super::role::Waiting;
use super::{Agent, AgentDo};

/// How far a leave is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Leave {
    /// How long each half may take.
    limit: Duration,
    /// When the present half is over.
    until: Moment,
    /// The second half: applications are stopped.
    stops: bool,
}

/// What a leave still waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaving {
    /// The first half goes on: these may act as primary.
    pub primaries: Vec<ApplicationName>,
    /// Of these something lives.
    pub running: Vec<ApplicationName>,
    /// Nothing is handed over any more.
    pub stops: bool,
}

impl Leaving {
    /// Nothing runs, and nothing will be started.
    pub fn is_over(&self) -> bool {
        self.stops && self.running.is_empty()
    }
}

impl Agent {
    /// What the leave under way still waits for; none if the host does not leave.
    pub fn leaving(&self) -> Option<Leaving> {
        let leave = self.leave.as_ref()?;
        let named = |wanted: fn(&super::Application) -> bool| {
            self.applications
                .values()
                .filter(|known| wanted(known))
                .map(|known| known.name().clone())
                .collect()
        };
        Some(Leaving {
            primaries: named(super::Application::may_act),
            running: named(|known| !is_down(known)),
            stops: leave.stops,
        })
    }

    /// The host is to leave. Asked again, nothing changes.
    pub(super) fn begin_leave(&mut self, now: Moment, limit: Duration, out: &mut Out) {
        if self.leave.is_some() {
            return;
        }
        self.leave = Some(Leave { limit, until: now + limit, stops: false });
        let acting = self.applications.values().filter(|known| known.may_act()).count();
        let because = Because::new(
            Rule::HostLeaves,
            "this host is leaving: what is primary here is handed over, then everything is stopped",
        )
        .fact("primaries", acting)
        .fact("control servers heard", self.controllers.len())
        .fact("time for each half", format!("{:.1} s", limit.as_secs_f64()));
        out.events.push(self.leave_event(because));
        out.reports.push(AgentDo::TellLeaving { leaving: true });
        self.settle = true;
    }

    /// The host stays after all: what should run is started again.
    pub(super) fn end_leave(&mut self, out: &mut Out) {
        if self.leave.take().is_none() {
            return;
        }
        for known in self.applications.values_mut() {
            if std::mem::take(&mut known.leaving) {
                known.graceful = false;
            }
        }
        let because = Because::new(Rule::HostLeaves, "this host stays: what should run is started again");
        out.events.push(self.leave_event(because));
        out.reports.push(AgentDo::TellLeaving { leaving: false });
        self.settle = true;
    }

    /// A control server says that nothing more can be handed over.
    pub(super) fn let_go(&mut self, now: Moment, waiting: Waiting, out: &mut Out) {
        if let Some(leave) = self.leave.as_mut().filter(|leave| !leave.stops) {
            leave.until = now;
        }
        out.answer(waiting, Outcome::Done);
    }

    /// Whoever connects, or was not told because of a full disk, is told.
    pub(super) fn tell_leave(&self, out: &mut Out) {
        if self.leave.is_some() {
            out.reports.push(AgentDo::TellLeaving { leaving: true });
        }
    }

    /// Promotions come too late.
    pub(super) fn stops_all(&self) -> bool {
        self.leave.as_ref().is_some_and(|leave| leave.stops)
    }

    /// When the present half is over.
    pub(super) fn leave_deadline(&self) -> Option<Moment> {
        let leave = self.leave.as_ref()?;
        let waits = !leave.stops || self.applications.values().any(|known| !known.leaving);
        waits.then_some(leave.until)
    }

    /// Goes on from the first half to the second, and from one application to the next.
    pub(super) fn go_on_leaving(&mut self, now: Moment) {
        let nobody_hears = self.controllers.is_empty();
        let Some(leave) = &mut self.leave else { return };
        if !leave.stops {
            let acts = self.applications.values().any(|known| known.may_act() || known.closing());
            if acts && !nobody_hears && now < leave.until {
                return;
            }
            leave.stops = true;
            leave.until = now + leave.limit;
        }
        let at_once = leave.until <= now;
        let mut waits_for_one = false;
        let mut rest = Vec::new();
        for (name, known) in &mut self.applications {
            if known.leaving {
                waits_for_one |= !is_down(known);
            } else if at_once || is_down(known) || known.phase == Phase::Waiting {
                known.leave();
                self.settle = true;
            } else {
                rest.push((known.began, known.start, name.clone()));
            }
        }
        if waits_for_one {
            return;
        }
        // What something that still runs came after is stopped later, however late it was started again.
        let needed: BTreeSet<ApplicationName> = rest
            .iter()
            .filter_map(|(_, _, name)| self.applications.get(name))
            .flat_map(|known| known.spec().process.after.iter().cloned())
            .collect();
        let free = rest.iter().filter(|(_, _, name)| !needed.contains(name)).max();
        let next = free.or(rest.iter().max()).map(|(_, _, name)| name.clone());
        if let Some(known) = next.and_then(|name| self.applications.get_mut(&name)) {
            known.leave();
            self.settle = true;
        }
    }

    fn leave_event(&self, because: Because) -> Event {
        let about = Subject { host: Some(self.host.clone()), ..Subject::default() };
        let (kind, severity) = (EventKind::HostLeaving, Severity::Warning);
        Event::new(kind, severity, about, because)
    }
}

impl super::Application {
    /// From now on it should not run, whatever its goal.
    fn leave(&mut self) {
        self.leaving = true;
        self.graceful = true;
    }
}

/// Nothing of it lives, and its role is given up for good.
fn is_down(known: &super::Application) -> bool {
    known.phase == Phase::Stopped && !known.hooked() && !known.closing()
}
