//! Connections as TCP has them: in order, cut off without a word, half open; and what is said on them.
//!
//! Refuses to know what a letter means to whoever gets it. The law: an end learns of the other's end only by a letter, by its
//! own ADDP, or by the answer of a machine that knows of no such connection.

use std::collections::VecDeque;

use understudy_addp::{Addp, Outcome, Signal};
use understudy_decide::agent::LinkId;
use understudy_model::{
    Answer, ApplicationReport, ControllerEpoch, InSyncAnswer, InSyncAsk, Inventory, Order, Release,
    Remembered, VoteAnswer, VoteAsk,
};

use super::World;
use crate::queue::Event;

/// Who has one end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The control server.
    Control,
    /// The agent of that host.
    Agent(usize),
}

/// What is said on connections.
#[derive(Debug, Clone)]
pub enum Letter {
    /// The control server introduces itself.
    Hello(ControllerEpoch),
    /// The agent takes it.
    Welcome(Inventory),
    /// The agent does not take it, and has obeyed this one.
    TurnedAway(ControllerEpoch),
    /// From the control server.
    Order(Order),
    /// From an agent.
    Report(ApplicationReport),
    /// From an agent.
    Answer(Answer),
    /// From an agent.
    Leaving(bool),
    /// From an agent: who has everything.
    Word(InSyncAsk),
    /// To an agent.
    WordDone(InSyncAnswer),
    /// An agent introduces itself to another.
    PeerHello,
    /// And is taken.
    PeerWelcome,
    /// To a voter.
    Ask(VoteAsk),
    /// From a voter.
    Vote(VoteAnswer),
    /// To a peer.
    Release(Release),
    /// To a peer.
    Remembered(Remembered),
    /// ADDP.
    Signal(Signal),
    /// The other end closed in order.
    Finish,
    /// The other machine knows of no such connection.
    Reset,
}

/// One end.
#[derive(Debug)]
pub struct End {
    /// Who.
    pub party: Party,
    /// In which life.
    pub life: u32,
    /// Its program believes in the connection.
    pub open: bool,
    /// Both have introduced themselves.
    pub welcomed: bool,
    /// The number that the agent's machine knows it by.
    pub number: LinkId,
    /// How this end watches the other.
    pub addp: Option<Addp>,
    /// A look is in the queue.
    looks: bool,
    /// On their way to this end, with the time of their arrival.
    pub letters: VecDeque<(Letter, u64)>,
    /// The last arrival.
    pub last: u64,
}

/// A connection; end 0 dialed, end 1 accepted.
#[derive(Debug)]
pub struct Link {
    /// Whose turn of this place in the list it is.
    pub serial: u32,
    /// Both ends.
    pub ends: [End; 2],
    /// Which dialer made it.
    pub dialer: usize,
}

impl World {
    /// The machine that somebody is on.
    pub fn machine_of(&self, party: Party) -> usize {
        match party {
            Party::Control => self.climate.control_on,
            Party::Agent(host) => host,
        }
    }

    /// The present life of somebody; none if it does not live.
    pub(super) fn life_of(&self, party: Party) -> Option<u32> {
        match party {
            Party::Control => self.control.daemon.machine.is_some().then_some(self.control.daemon.life),
            Party::Agent(host) => {
                let daemon = &self.agents[host].daemon;
                daemon.machine.is_some().then_some(daemon.life)
            }
        }
    }

    /// Opens a connection between two that live.
    pub(super) fn open_link(&mut self, dialer: usize, from: Party, to: Party) -> usize {
        let serial = self.serial();
        let end = |party, life: Option<u32>| End {
            party,
            life: life.unwrap_or_default(),
            open: true,
            welcomed: false,
            number: LinkId(u64::from(serial)),
            addp: None,
            looks: false,
            letters: VecDeque::new(),
            last: 0,
        };
        let ends = [end(from, self.life_of(from)), end(to, self.life_of(to))];
        let free = |link: &Link| link.ends.iter().all(|end| !end.open && end.letters.is_empty());
        let link = Link { serial, ends, dialer };
        match self.links.iter().position(free) {
            Some(number) => {
                self.links[number] = link;
                number
            }
            None => {
                self.links.push(link);
                self.links.len() - 1
            }
        }
    }

    /// The connection behind a number of the machine's.
    pub(super) fn door(&self, host: usize, link: LinkId) -> Option<usize> {
        self.agents[host].doors.iter().find(|(known, _)| *known == link).map(|(_, number)| *number)
    }

    /// An agent says something on that connection, if it is there.
    pub(super) fn tell_one(&mut self, host: usize, link: LinkId, letter: Letter) {
        if let Some(number) = self.door(host, link) {
            self.post(number, 0, letter);
        }
    }

    /// An agent says something to every control server that it has welcomed.
    pub(super) fn tell_every(&mut self, host: usize, letter: impl Fn(&Self) -> Letter) {
        for index in 0..self.agents[host].doors.len() {
            let (_, number) = self.agents[host].doors[index];
            if self.links[number].ends[1].welcomed {
                let letter = letter(self);
                self.post(number, 0, letter);
            }
        }
    }

    /// Sends a letter to one end. Nothing is said of its arrival.
    pub(super) fn post(&mut self, number: usize, to: usize, letter: Letter) {
        let ends = &self.links[number].ends;
        let (source, target) = (self.machine_of(ends[1 - to].party), self.machine_of(ends[to].party));
        let span = self.transit(source, target);
        let link = &mut self.links[number];
        let end = &mut link.ends[to];
        // In order, whatever the way does.
        let at = (self.now + span).max(end.last + 1);
        end.last = at;
        end.letters.push_back((letter, at));
        let event = Event::Delivers { link: number as u16, serial: link.serial, to: to as u8 };
        self.queue.put(at, event);
    }

    /// The oldest letters arrive, if the way is open and there is somebody.
    pub(super) fn delivers(&mut self, number: usize, serial: u32, to: usize) -> bool {
        let link = &self.links[number];
        if link.serial != serial {
            return false;
        }
        let (source, target) =
            (self.machine_of(link.ends[1 - to].party), self.machine_of(link.ends[to].party));
        if self.lanes[source][target].cut > 0 {
            return false;
        }
        let mut any = false;
        while self.links[number].serial == serial {
            let end = &mut self.links[number].ends[to];
            if end.letters.front().is_none_or(|(_, at)| *at > self.now) {
                break;
            }
            let Some((letter, _)) = end.letters.pop_front() else { break };
            any = true;
            self.arrives(number, to, target, letter);
        }
        any
    }

    fn arrives(&mut self, number: usize, to: usize, target: usize, letter: Letter) {
        let end = &self.links[number].ends[to];
        let lives = end.open && self.life_of(end.party) == Some(end.life);
        if !lives {
            let is_end = matches!(letter, Letter::Reset | Letter::Finish);
            if self.is_up(target) && !is_end && self.links[number].ends[1 - to].open {
                self.post(number, 1 - to, Letter::Reset);
            }
            return;
        }
        let party = end.party;
        let now = self.clock(target);
        if let Some(addp) = &mut self.links[number].ends[to].addp {
            let reply = match &letter {
                Letter::Signal(signal) => addp.signalled(now, *signal),
                _ => {
                    addp.arrived(now);
                    None
                }
            };
            if let Some(reply) = reply {
                self.post(number, 1 - to, Letter::Signal(reply));
            }
            self.plan_look(number, to);
            self.was_heard(number, to);
        }
        match party {
            Party::Control => self.control_gets(number, letter),
            Party::Agent(host) if self.links[number].ends[0].party == Party::Control => {
                self.agent_gets(host, number, letter);
            }
            Party::Agent(host) => self.peer_gets(host, number, to, letter),
        }
    }

    /// Begins to watch the other end.
    pub(super) fn watch(&mut self, number: usize, side: usize, settings: understudy_addp::Settings) {
        let now = self.clock(self.machine_of(self.links[number].ends[side].party));
        let (addp, ask) = Addp::new(now, settings);
        self.links[number].ends[side].addp = Some(addp);
        if let Some(ask) = ask {
            self.post(number, 1 - side, Letter::Signal(ask));
        }
        self.plan_look(number, side);
    }

    /// At most one look of an end waits in the queue; it plans the next itself.
    fn plan_look(&mut self, number: usize, side: usize) {
        let machine = self.machine_of(self.links[number].ends[side].party);
        let link = &mut self.links[number];
        let end = &mut link.ends[side];
        let Some(due) = end.addp.as_ref().and_then(Addp::next_deadline) else { return };
        if !end.looks {
            end.looks = true;
            let event = Event::Looks { link: number as u16, serial: link.serial, side: side as u8 };
            self.queue.put(self.machines[machine].clock.when(due).max(self.now), event);
        }
    }

    pub(super) fn looks(&mut self, number: usize, serial: u32, side: usize) -> bool {
        if self.links[number].serial != serial {
            return false;
        }
        let end = &mut self.links[number].ends[side];
        end.looks = false;
        let (party, life, open) = (end.party, end.life, end.open);
        if !open || self.life_of(party) != Some(life) {
            return false;
        }
        let machine = self.machine_of(party);
        let now = self.clock(machine);
        let Some(addp) = &mut self.links[number].ends[side].addp else { return false };
        let outcome = addp.look(now);
        match outcome {
            Outcome::Nothing => {
                self.plan_look(number, side);
                return false;
            }
            Outcome::Send(signal) => self.post(number, 1 - side, Letter::Signal(signal)),
            Outcome::Patient { .. } => {}
            Outcome::Lost => {
                self.end_is_lost(number, side);
                return true;
            }
        }
        self.plan_look(number, side);
        true
    }

    /// One end closes; the other hears of it, if the machine can still say so.
    pub(super) fn close_end(&mut self, number: usize, side: usize) {
        if !std::mem::replace(&mut self.links[number].ends[side].open, false) {
            return;
        }
        self.links[number].ends[side].addp = None;
        let machine = self.machine_of(self.links[number].ends[side].party);
        if self.is_up(machine) && self.links[number].ends[1 - side].open {
            self.post(number, 1 - side, Letter::Finish);
        }
        if !self.links[number].ends[1 - side].open {
            // Nobody waits for these.
            self.links[number].ends.iter_mut().for_each(|end| end.letters.clear());
        }
    }

    /// A program has ended, and the system closes what it had open.
    pub(super) fn close_all_of(&mut self, party: Party) {
        for number in 0..self.links.len() {
            for side in 0..2 {
                if self.links[number].ends[side].party == party && self.links[number].ends[side].open {
                    self.close_end(number, side);
                }
            }
        }
    }

    /// ADDP gave the other end up.
    fn end_is_lost(&mut self, number: usize, side: usize) {
        match (self.links[number].ends[side].party, side) {
            (_, 0) => self.dialed_link_ends(number, super::dialing::Why::Silent),
            (Party::Agent(host), _) => self.accepted_link_ends(host, number),
            (Party::Control, _) => {}
        }
    }
}
