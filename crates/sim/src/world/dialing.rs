//! Who calls whom, and again: the tasks of `scs/links/talk.rs`, and the calls between agents of a pair.
//!
//! Refuses to know what is said after the introduction. The law: the end of a link is said once, and again only if its reason
//! changes; silence, refusal and a closed link are kept apart.

use std::time::Duration;

use understudy_decide::agent::AgentSaw;
use understudy_decide::control::{ControlSaw, LinkEnd};
use understudy_model::AddpSettings;

use super::World;
use super::links::{Letter, Party};
use crate::climate::{MS, SECOND};
use crate::queue::Event;

/// How long one address may take to answer.
const DIAL_LIMIT: u64 = 2 * SECOND;
/// How long the answer to a Hello may take.
const WELCOME_LIMIT: u64 = 5 * SECOND;
/// Waits between two calls.
const BACKOFF: (u64, u64) = (10 * MS, SECOND);

/// Why there is no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing is heard.
    Silent,
    /// The other end closed it.
    Closed,
    /// Nobody listens there.
    Refused,
    /// It was turned away.
    Unwelcome,
}

impl Why {
    fn end(self) -> LinkEnd {
        match self {
            Why::Silent => LinkEnd::Silent,
            Why::Closed => LinkEnd::Closed,
            Why::Refused => LinkEnd::Refused,
            Why::Unwelcome => LinkEnd::Unwelcome,
        }
    }
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Between two calls.
    Rests,
    /// The network is asked; the number tells calls apart.
    Dials(u32),
    /// The Hello is said, on this connection.
    Introduces(u32, usize),
    /// Both know each other.
    Talks(usize),
}

/// One who calls another for as long as it lives.
#[derive(Debug, Clone)]
pub struct Dialer {
    /// Who calls.
    pub from: Party,
    /// The host whose agent is called.
    pub to: usize,
    /// How far it is.
    pub call: Call,
    /// It is wanted: always by a control server, by agents if their pairs need it.
    pub wanted: bool,
    /// How the link is watched.
    pub addp: AddpSettings,
    said: Option<Why>,
    backoff: u64,
    /// The control server was told that this agent is being asked, and awaits its answer until then.
    asked_until: u64,
}

impl World {
    /// All who may ever call.
    pub(super) fn all_dialers(&self) -> Vec<Dialer> {
        let addp = self.climate.options.preset.addp();
        let dialer = |from, to| Dialer {
            from,
            to,
            call: Call::Rests,
            wanted: from == Party::Control,
            addp,
            said: None,
            backoff: BACKOFF.0,
            asked_until: 0,
        };
        let hosts = self.climate.hosts;
        let control = (0..hosts).map(|to| dialer(Party::Control, to));
        let peers = (0..hosts).flat_map(|from| (from + 1..hosts).map(move |to| (from, to)));
        control.chain(peers.map(|(from, to)| dialer(Party::Agent(from), to))).collect()
    }

    /// The dialer between two agents; the one whose name sorts first calls.
    pub(super) fn peer_dialer(&self, one: usize, other: usize) -> Option<usize> {
        let (from, to) = (one.min(other), one.max(other));
        self.dialers.iter().position(|dialer| dialer.from == Party::Agent(from) && dialer.to == to)
    }

    /// Whoever calls has begun a new life: it calls at once.
    pub(super) fn begin_dialing(&mut self, from: Party) {
        let Some(life) = self.life_of(from) else { return };
        for number in 0..self.dialers.len() {
            let dialer = &mut self.dialers[number];
            if dialer.from == from {
                (dialer.call, dialer.said, dialer.backoff) = (Call::Rests, None, BACKOFF.0);
                dialer.asked_until = 0;
                self.queue.put(self.now, Event::Dials { dialer: number as u8, life });
            }
        }
    }

    pub(super) fn dials(&mut self, number: usize, life: u32) -> bool {
        let Dialer { from, to, call, wanted, .. } = self.dialers[number];
        if self.life_of(from) != Some(life) || call != Call::Rests || !wanted {
            return false;
        }
        let serial = self.serial();
        self.dialers[number].call = Call::Dials(serial);
        let (here, there) = (self.machine_of(from), to);
        let dialer = number as u8;
        let hears = self.is_up(there) && self.machines[there].frozen == 0 && self.is_open(here, there);
        let daemon = &self.agents[there].daemon;
        let (lives, frozen) = (daemon.machine.is_some(), daemon.frozen > 0);
        if !hears || (lives && frozen) {
            self.queue.put(self.now + DIAL_LIMIT, Event::DialLate { dialer, life, serial });
        } else if !lives {
            let span = self.transit(here, there) + self.transit(there, here);
            self.queue.put(self.now + span, Event::Refused { dialer, life, serial });
        } else {
            // The connection, and the handshake of TLS.
            let span = (0..2).map(|_| self.transit(here, there) + self.transit(there, here)).sum::<u64>();
            self.queue.put(self.now + span, Event::Connects { dialer, life, serial });
        }
        true
    }

    pub(super) fn refused(&mut self, number: usize, life: u32, serial: u32) -> bool {
        let current = self.life_of(self.dialers[number].from) == Some(life);
        if !current || self.dialers[number].call != Call::Dials(serial) {
            return false;
        }
        self.down(number, Why::Refused);
        true
    }

    pub(super) fn connects(&mut self, number: usize, life: u32, serial: u32) -> bool {
        let Dialer { from, to, call, .. } = self.dialers[number];
        if self.life_of(from) != Some(life) || call != Call::Dials(serial) {
            return false;
        }
        let here = self.machine_of(from);
        if !self.is_up(to) || !self.is_open(here, to) || self.agents[to].daemon.frozen > 0 {
            self.queue.put(self.now + DIAL_LIMIT, Event::DialLate { dialer: number as u8, life, serial });
            return false;
        }
        if self.agents[to].daemon.machine.is_none() {
            self.down(number, Why::Refused);
            return true;
        }
        let link = self.open_link(number, from, Party::Agent(to));
        let hello = match from {
            Party::Control => Letter::Hello(self.control.store.controller_epoch),
            Party::Agent(_) => Letter::PeerHello,
        };
        self.post(link, 1, hello);
        self.dialers[number].call = Call::Introduces(serial, link);
        self.queue.put(self.now + WELCOME_LIMIT, Event::DialLate { dialer: number as u8, life, serial });
        true
    }

    pub(super) fn dial_late(&mut self, number: usize, life: u32, serial: u32) -> bool {
        if self.life_of(self.dialers[number].from) != Some(life) {
            return false;
        }
        match self.dialers[number].call {
            Call::Dials(own) if own == serial => self.down(number, Why::Silent),
            Call::Introduces(own, link) if own == serial => {
                self.close_end(link, 0);
                self.down(number, Why::Silent);
            }
            Call::Rests | Call::Dials(_) | Call::Introduces(..) | Call::Talks(_) => return false,
        }
        true
    }

    /// The other end took the call.
    pub(super) fn welcomed(&mut self, link: usize) {
        let number = self.links[link].dialer;
        let dialer = &mut self.dialers[number];
        (dialer.call, dialer.said, dialer.backoff) = (Call::Talks(link), None, BACKOFF.0);
        dialer.asked_until = 0;
        let addp = dialer.addp;
        self.links[link].ends[0].welcomed = true;
        self.watch(link, 0, addp);
    }

    /// A link that was dialed from here is over.
    pub(super) fn dialed_link_ends(&mut self, link: usize, why: Why) {
        let number = self.links[link].dialer;
        self.close_end(link, 0);
        let is_its = match self.dialers[number].call {
            Call::Introduces(_, own) | Call::Talks(own) => own == link,
            Call::Rests | Call::Dials(_) => false,
        };
        if is_its {
            self.down(number, why);
        }
    }

    fn down(&mut self, number: usize, why: Why) {
        let talked = matches!(self.dialers[number].call, Call::Talks(_));
        self.dialers[number].call = Call::Rests;
        let Dialer { from, to, said, backoff, .. } = self.dialers[number];
        match from {
            Party::Control => {
                if why == Why::Silent {
                    self.say_who_is_asked(number);
                }
                if said != Some(why) {
                    self.dialers[number].said = Some(why);
                    let host = self.cast.hosts[to].clone();
                    self.control_mail(ControlSaw::LinkDown { host, end: why.end(), why: String::new() });
                }
            }
            Party::Agent(host) if talked => {
                let peer = self.cast.hosts[to].clone();
                self.agent_mail(host, AgentSaw::PeerLeft { host: peer });
            }
            Party::Agent(_) => {}
        }
        let Some(life) = self.life_of(from) else { return };
        let wait = backoff / 2 + self.dice.net.below(backoff / 2 + 1);
        self.dialers[number].backoff = (backoff * 2).min(BACKOFF.1);
        self.queue.put(self.now + wait, Event::Dials { dialer: number as u8, life });
    }

    /// Every other agent that is being asked right now whether it lives is no witness of this one's silence.
    fn say_who_is_asked(&mut self, silent: usize) {
        let now = self.clock(self.climate.control_on);
        for number in 0..self.climate.hosts {
            let Call::Talks(link) = self.dialers[number].call else { continue };
            let Some(addp) = self.links[link].ends[0].addp.as_ref().filter(|_| number != silent) else {
                continue;
            };
            let timeout = addp.timeout();
            if timeout.is_zero() || now.since(addp.heard()) < timeout {
                continue;
            }
            self.dialers[number].asked_until = self.now + nanos(timeout * 2);
            let host = self.cast.hosts[self.dialers[number].to].clone();
            self.control_mail(ControlSaw::LinkPolled { host });
        }
    }

    /// Something arrived at one end.
    pub(super) fn was_heard(&mut self, link: usize, side: usize) {
        let number = self.links[link].dialer;
        let dialer = &mut self.dialers[number];
        if side == 0 && dialer.from == Party::Control && dialer.asked_until > 0 {
            let in_time = self.now <= dialer.asked_until;
            dialer.asked_until = 0;
            if in_time {
                let host = self.cast.hosts[dialer.to].clone();
                self.control_mail(ControlSaw::LinkAnswered { host });
            }
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
