//! When a host counts as lost under policy `available`: silence, refusal and a closed link kept apart, and doubt in oneself.
//!
//! It knows no sockets: how a link ended is observed. The law (policy `available`): a host is lost only by its own
//! silence or refusal for its whole time, never by what it says, never while this control server has reason to doubt
//! itself, and never for a pair whose other member is not heard.

use std::time::Duration;

use understudy_model::{Because, EventKind, HostName, Member, Moment, PairName, Rule, Severity, Subject};

use super::state::{Gone, Pair};
use super::{Control, LinkEnd, Out, about_pair, event};

/// The machine looks at its own clock at least this often.
pub(super) const PULSE: Duration = Duration::from_millis(500);

/// A look that is later than this was missed: the program, or its machine, did not run.
pub(super) const LATE: Duration = Duration::from_millis(500);

/// How long every host may speak after such a sleep: as long as the sleep, within these bounds.
const DOUBT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// Hosts that fell silent within this span fell silent together.
pub(super) const TOGETHER: Duration = Duration::from_secs(10);

/// With fewer hosts than this, one silent host may be half of the cluster: nothing is held for it.
const FEWEST_FOR_HOLD: usize = 3;

/// What follows from one more observation of a host that is not connected.
pub(super) fn gone(before: Option<Gone>, ever_heard: bool, end: LinkEnd, now: Moment) -> Gone {
    match (before, end) {
        (None, _) => Gone { end, since: now, fresh: !ever_heard },
        // What was known of it is as old as before, and goes on.
        (Some(before), LinkEnd::Unresolved) => before,
        (Some(before), end) if before.end == end => before,
        // It was last heard when it closed the link.
        (Some(Gone { end: LinkEnd::Closed, since, fresh }), LinkEnd::Silent) => Gone { end, since, fresh },
        // An agent that accepts and closes at once has not come back yet.
        (Some(before @ Gone { end: LinkEnd::Refused, .. }), LinkEnd::Closed) => before,
        (Some(before), _) => Gone { end, since: now, fresh: before.fresh },
    }
}

impl Control {
    /// Notices that this program did not run for a while: then the silence of others proves nothing.
    pub(super) fn notice_sleep(&mut self, now: Moment, out: &mut Out) {
        let due = self.pulse.replace(now + PULSE);
        let Some(late) = due.map(|due| now.since(due)).filter(|late| *late > LATE) else { return };
        self.doubt_until = self.doubt_until.max(now + late.clamp(DOUBT.0, DOUBT.1));
        let gone: Vec<HostName> =
            self.hosts.iter().filter(|(_, host)| host.gone.is_some()).map(|(name, _)| name.clone()).collect();
        for name in &gone {
            if let Some(gone) = self.hosts.get_mut(name).and_then(|host| host.gone.as_mut()) {
                gone.since = gone.since + late;
            }
            self.touch_host(name);
        }
        let text = format!(
            "this control server did not run for {:.1} s: no host counts as lost before it has had {:.1} s to speak",
            late.as_secs_f64(),
            self.doubt_until.since(now).as_secs_f64()
        );
        let because = Because::new(Rule::OwnSleep, text).fact("hosts not heard", gone.len());
        out.events.push(event(EventKind::Anomaly, Severity::Warning, Subject::default(), because));
    }

    /// It lives: whoever is silent beside it is silent by itself.
    pub(super) fn link_answered(&mut self, host: &HostName) {
        if let Some(known) = self.hosts.get_mut(host) {
            known.polled_until = None;
        }
        self.touch_gone_hosts();
    }

    /// An agent is being asked whether it lives. Its answer or its loss comes within its timeout; until then it is no witness
    /// of another's silence.
    pub(super) fn link_polled(&mut self, now: Moment, host: &HostName) {
        let spec = self.cluster.as_ref().and_then(|cluster| cluster.hosts.get(host));
        let timeout = spec.map_or(Duration::ZERO, |spec| spec.addp.timeout);
        if let Some(known) = self.hosts.get_mut(host).filter(|known| known.incarnation.is_some()) {
            // Timers of a busy machine are late.
            known.polled_until = Some(now + timeout + timeout / 4);
        }
    }

    /// Until when the other member's agent is asked whether it lives.
    fn other_polled_until(&self, pair: &Pair, member: Member) -> Option<Moment> {
        let other = self.app(pair, member.other())?;
        self.hosts.get(&other.host)?.polled_until
    }

    /// The host of a member, if it is not connected.
    fn gone_host(&self, pair: &Pair, member: Member) -> Option<(&HostName, Gone)> {
        let app = self.app(pair, member).filter(|app| !app.heard)?;
        let gone = self.hosts.get(&app.host)?.gone?;
        Some((&app.host, gone))
    }

    /// How long a host may be gone in this way before it counts as lost; none if it never does.
    fn patience_with(&self, pair: &Pair, gone: Gone) -> Option<Duration> {
        let timers = &pair.spec.timers;
        match gone.end {
            LinkEnd::Silent if gone.fresh => {
                Some(timers.disconnect_switchover_timeout.max(timers.agent_restart_grace))
            }
            LinkEnd::Silent => Some(timers.disconnect_switchover_timeout),
            LinkEnd::Refused => Some(timers.agent_restart_grace),
            LinkEnd::Closed | LinkEnd::Unwelcome | LinkEnd::Unresolved => None,
        }
    }

    /// From when on a member's host counts as lost, if nothing else stands against it.
    pub(super) fn lost_from(&self, pair: &Pair, member: Member) -> Option<Moment> {
        let (_, gone) = self.gone_host(pair, member)?;
        let patience = self.patience_with(pair, gone)?;
        let from = (gone.since + patience).max(self.doubt_until);
        Some(self.other_polled_until(pair, member).map_or(from, |until| from.max(until)))
    }

    /// How many hosts are silent or refuse since about the same time as this one, if they are most of several.
    pub(super) fn fell_with_most(&self, gone: Gone) -> Option<(usize, usize)> {
        let total = self.hosts.len();
        let together = self.fell_together(gone).count();
        (total >= FEWEST_FOR_HOLD && together * 2 > total).then_some((together, total))
    }

    fn fell_together(&self, gone: Gone) -> impl Iterator<Item = &HostName> {
        let with = move |other: &Gone| {
            matches!(other.end, LinkEnd::Silent | LinkEnd::Refused)
                && other.since.since(gone.since).max(gone.since.since(other.since)) <= TOGETHER
        };
        self.hosts.iter().filter(move |(_, host)| host.gone.as_ref().is_some_and(with)).map(|(name, _)| name)
    }

    /// Why a member's host does not count as lost; none if it does.
    pub(super) fn not_lost_because(
        &self,
        now: Moment,
        pair: &Pair,
        member: Member,
    ) -> Option<(Rule, String)> {
        let name = pair.spec.application(member);
        if let Some(granting) = &pair.granting
            && self.app(pair, member).is_some_and(|app| !app.heard)
        {
            return self.not_gone_because(now, pair, granting, member);
        }
        let Some((host, gone)) = self.gone_host(pair, member) else {
            return Some((Rule::HostSilent, "its agent is heard, or nothing is known of it yet".to_owned()));
        };
        if pair.forced.is_some() && pair.forced == pair.stored && pair.holder() == Some(member) {
            return None;
        }
        let silent_for = now.since(gone.since).as_secs_f64();
        let Some(from) = self.lost_from(pair, member) else {
            let (rule, text) = match gone.end {
                LinkEnd::Unwelcome => (Rule::AgentUnwelcome, "an agent that answers has not lost its host"),
                LinkEnd::Unresolved => (Rule::HostSilent, gone.end.says()),
                LinkEnd::Closed | LinkEnd::Silent | LinkEnd::Refused => {
                    (Rule::HostSilent, "the link was closed, and the next try will tell")
                }
            };
            return Some((rule, format!("{host}: {text}")));
        };
        if self.hands_off(name) {
            return Some((Rule::HandsOff, format!("maintenance is on for {name} or its host {host}")));
        }
        if now < from {
            if self.other_polled_until(pair, member) == Some(from) {
                let text = "the other member's agent is silent too, and is being asked whether it is there";
                return Some((Rule::WaitForAgents, text.to_owned()));
            }
            let rule = if from == self.doubt_until { Rule::OwnSleep } else { Rule::HostSilent };
            let left = from.since(now).as_secs_f64();
            let text =
                format!("{host}: {} for {silent_for:.1} s; lost after {left:.1} s more", gone.end.says());
            return Some((rule, text));
        }
        if let Some((together, total)) = self.fell_with_most(gone) {
            let text = format!(
                "{together} of {total} hosts were lost together, which looks like this control server's own network; \
                 if {host} is down, run: scsctl failover {name} --force"
            );
            return Some((Rule::BlastRadius, text));
        }
        if let Some(held) = self.held_because(now, pair).filter(|_| pair.holder() == Some(member)) {
            return Some((
                Rule::FlapHold,
                format!("{host} is lost, which is no proof, and the pair flaps: {held}"),
            ));
        }
        let other = self.app(pair, member.other()).is_some_and(|other| other.heard);
        (!other).then(|| (Rule::WaitForAgents, "the other member's agent is not heard either".to_owned()))
    }

    /// Tells people once that a primary's host would count as lost, had not most hosts been lost with it: who is to act is
    /// theirs to say.
    pub(super) fn tell_held_with_most(&mut self, now: Moment, name: &PairName, out: &mut Out) {
        let Some(pair) = self.pairs.get(name) else { return };
        let holder = pair.holder().filter(|holder| self.may_act_unheard(pair, *holder));
        let missed = holder.and_then(|holder| self.not_lost_because(now, pair, holder));
        let held = missed.filter(|(rule, _)| *rule == Rule::BlastRadius);
        let told = pair.held_with_most;
        if let Some(pair) = self.pairs.get_mut(name) {
            pair.held_with_most = held.is_some();
        }
        if let Some((rule, text)) = held.filter(|_| !told) {
            let because = Because::new(rule, text);
            out.events.push(event(EventKind::Anomaly, Severity::Critical, about_pair(name), because));
        }
    }

    /// The member's host counts as lost.
    pub(super) fn lost(&self, now: Moment, pair: &Pair, member: Member) -> bool {
        self.not_lost_because(now, pair, member).is_none()
    }

    /// Hosts that fell silent with one that is back were perhaps only cut off with it: each has a fresh chance.
    pub(super) fn give_fresh_chance(&mut self, now: Moment, back: Gone) {
        if !matches!(back.end, LinkEnd::Silent | LinkEnd::Refused) {
            return;
        }
        let others: Vec<HostName> = self.fell_together(back).cloned().collect();
        for name in others {
            if let Some(gone) = self.hosts.get_mut(&name).and_then(|host| host.gone.as_mut()) {
                gone.since = now;
                gone.fresh = true;
            }
        }
    }

    /// How a host without a link stands, as a fact for people.
    pub(super) fn silence_of(&self, now: Moment, pair: &Pair, member: Member) -> Option<String> {
        let (host, gone) = self.gone_host(pair, member)?;
        if pair.granting.is_some() {
            // Under `strict` no silence is long enough: a promise that runs out is.
            let been = now.since(gone.since).as_secs_f64();
            return Some(format!("{host}: {} for {been:.1} s", gone.end.says()));
        }
        let patience = self.patience_with(pair, gone).map_or_else(
            || "never lost by that".to_owned(),
            |patience| format!("lost after {:.1} s", patience.as_secs_f64()),
        );
        let been = now.since(gone.since).as_secs_f64();
        Some(format!("{host}: {} for {been:.1} s; {patience}", gone.end.says()))
    }
}
