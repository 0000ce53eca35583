//! Calls, agents and DNs: the state of the call server and every change of it.
//!
//! Knows no lines, sockets, roles or clocks. The law: a command is applied whole or refused without a trace, every
//! collection is bounded, and a call always has at least two parties.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::numbers::Numbers;

/// The most calls at a time.
pub const MOST_CALLS: usize = 10_000;
/// The most registered DNs.
pub const MOST_DNS: usize = 10_000;
/// The most known agents.
pub const MOST_AGENTS: usize = 10_000;
/// The most keys attached to one call.
pub const MOST_USER_DATA: usize = 64;

/// A directory number or an outside number: a word of the line protocol.
pub type Dn = String;

/// A call's identity, unique over all epochs of a pair: the epoch in the upper half, a count in the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallType {
    /// An outside number calls a DN.
    Inbound,
    /// A DN calls an outside number.
    Outbound,
    /// A DN calls a DN.
    Internal,
    /// A DN that talks asks another DN for advice.
    Consult,
}

impl CallType {
    /// The word of the line protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            CallType::Inbound => "inbound",
            CallType::Outbound => "outbound",
            CallType::Internal => "internal",
            CallType::Consult => "consult",
        }
    }
}

/// What a party of a call is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leg {
    /// Calls and waits for an answer.
    Dialing,
    /// Is called.
    Ringing,
    /// Talks.
    Talking,
    /// Was set aside for a consultation.
    Held,
}

impl Leg {
    /// The word of the line protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Leg::Dialing => "dialing",
            Leg::Ringing => "ringing",
            Leg::Talking => "talking",
            Leg::Held => "held",
        }
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where it comes from.
    pub call_type: CallType,
    /// Who takes part; two at least.
    pub parties: BTreeMap<Dn, Leg>,
    /// What clients attached.
    pub user_data: BTreeMap<String, String>,
    /// For a consultation: the call that it is about, and who asked for it.
    pub consults: Option<(ConnectionId, Dn)>,
}

/// Whether an agent takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentState {
    /// Logged in, takes none.
    NotReady,
    /// Takes calls.
    Ready,
}

impl AgentState {
    /// The word of the line protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentState::NotReady => "not-ready",
            AgentState::Ready => "ready",
        }
    }
}

/// One agent that is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// At which DN.
    pub dn: Dn,
    /// Whether it takes calls.
    pub state: AgentState,
}

/// What a client can ask of the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the words of the line protocol")]
pub enum Command {
    /// Makes a DN known. Again is harmless.
    Register { dn: Dn },
    /// Forgets a DN without calls.
    Unregister { dn: Dn },
    /// Puts an agent at a DN; an agent that is elsewhere moves.
    Login { agent: String, dn: Dn },
    /// Takes an agent away.
    Logout { agent: String },
    /// Says whether an agent takes calls.
    SetAgent { agent: String, state: AgentState },
    /// A new call.
    Make { call_type: CallType, from: Dn, to: Dn },
    /// A party that talks holds the call and calls another DN.
    Consult { conn: ConnectionId, from: Dn, to: Dn },
    /// A party that rings answers.
    Answer { conn: ConnectionId, dn: Dn },
    /// A party leaves; a call with less than two parties ends.
    Release { conn: ConnectionId, dn: Dn },
    /// Who consults leaves both calls, and who was consulted takes its place.
    Transfer { consult: ConnectionId },
    /// Attaches a value to a call.
    Attach { conn: ConnectionId, key: String, value: String },
    /// Stores a number.
    Write { number: u64 },
}

/// What a command did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// It was done to this call.
    Call(ConnectionId),
}

/// Why a command was not carried out. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such DN is registered.
    #[error("unknown-dn {0}")]
    UnknownDn(Dn),
    /// No such agent is logged in.
    #[error("unknown-agent {0}")]
    UnknownAgent(String),
    /// No such call.
    #[error("unknown-call {0}")]
    UnknownCall(ConnectionId),
    /// The DN is in a call already.
    #[error("busy {0}")]
    Busy(Dn),
    /// The DN is no party of the call, or does something else in it.
    #[error("wrong-party {0}")]
    WrongParty(Dn),
    /// Both ends are the same.
    #[error("same-party {0}")]
    SameParty(Dn),
    /// The call is no consultation, or the call that it was about has ended.
    #[error("not-a-consultation {0}")]
    NotAConsultation(ConnectionId),
    /// A bound is reached.
    #[error("too-many {0}")]
    TooMany(&'static str),
}

/// The state of a call server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    dns: BTreeMap<Dn, BTreeSet<ConnectionId>>,
    agents: BTreeMap<String, Agent>,
    calls: BTreeMap<ConnectionId, Call>,
    written: Numbers,
    last_id: u64,
}

impl Calls {
    /// Carries a command out, or refuses it and changes nothing.
    pub fn apply(&mut self, command: Command) -> Result<Answer, Refusal> {
        match command {
            Command::Register { dn } => self.register(dn),
            Command::Unregister { dn } => self.unregister(&dn),
            Command::Login { agent, dn } => self.login(agent, dn),
            Command::Logout { agent } => {
                self.agents.remove(&agent).map(|_| Answer::Done).ok_or(Refusal::UnknownAgent(agent))
            }
            Command::SetAgent { agent, state } => match self.agents.get_mut(&agent) {
                Some(known) => {
                    known.state = state;
                    Ok(Answer::Done)
                }
                None => Err(Refusal::UnknownAgent(agent)),
            },
            Command::Make { call_type, from, to } => self.make(call_type, from, to),
            Command::Consult { conn, from, to } => self.consult(conn, from, to),
            Command::Answer { conn, dn } => self.answer(conn, dn),
            Command::Release { conn, dn } => self.release(conn, dn),
            Command::Transfer { consult } => self.transfer(consult),
            Command::Attach { conn, key, value } => self.attach(conn, key, value),
            Command::Write { number } => {
                if self.written.insert(number) {
                    Ok(Answer::Done)
                } else {
                    Err(Refusal::TooMany("gaps"))
                }
            }
        }
    }

    /// Begins a new epoch as primary: calls and writes of an earlier one belong to whoever served meanwhile and are
    /// forgotten (warm standby), registrations stay, and new calls get ids that no other epoch gives.
    pub fn begin_epoch(&mut self, epoch: u64) {
        self.calls.clear();
        self.written.clear();
        self.dns.values_mut().for_each(BTreeSet::clear);
        self.last_id = epoch << 32;
    }

    /// The call with that id.
    pub fn call(&self, conn: ConnectionId) -> Option<&Call> {
        self.calls.get(&conn)
    }

    /// The agent with that name.
    pub fn agent(&self, agent: &str) -> Option<&Agent> {
        self.agents.get(agent)
    }

    /// The calls of a registered DN.
    pub fn calls_of(&self, dn: &str) -> Option<&BTreeSet<ConnectionId>> {
        self.dns.get(dn)
    }

    /// Whether a registered DN is off hook: it dials, talks or holds. A DN that only rings is on hook.
    pub fn is_off_hook(&self, dn: &str) -> Option<bool> {
        let leg = |conn| self.calls.get(conn).and_then(|call| call.parties.get(dn));
        self.dns
            .get(dn)
            .map(|calls| calls.iter().any(|conn| leg(conn).is_some_and(|leg| *leg != Leg::Ringing)))
    }

    /// The numbers that were written in this epoch.
    pub fn written(&self) -> &Numbers {
        &self.written
    }

    /// How many calls, agents and DNs there are.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.calls.len(), self.agents.len(), self.dns.len())
    }

    fn register(&mut self, dn: Dn) -> Result<Answer, Refusal> {
        if self.dns.contains_key(&dn) {
            return Ok(Answer::Done);
        }
        if self.dns.len() >= MOST_DNS {
            return Err(Refusal::TooMany("dns"));
        }
        // An outside number may be in several calls, a DN may not.
        if self.calls.values().any(|call| call.parties.contains_key(&dn)) {
            return Err(Refusal::Busy(dn));
        }
        self.dns.insert(dn, BTreeSet::new());
        Ok(Answer::Done)
    }

    fn unregister(&mut self, dn: &str) -> Result<Answer, Refusal> {
        self.free(dn)?;
        self.dns.remove(dn);
        self.agents.retain(|_, agent| agent.dn != dn);
        Ok(Answer::Done)
    }

    fn login(&mut self, agent: String, dn: Dn) -> Result<Answer, Refusal> {
        if !self.dns.contains_key(&dn) {
            return Err(Refusal::UnknownDn(dn));
        }
        if self.agents.len() >= MOST_AGENTS && !self.agents.contains_key(&agent) {
            return Err(Refusal::TooMany("agents"));
        }
        self.agents.insert(agent, Agent { dn, state: AgentState::NotReady });
        Ok(Answer::Done)
    }

    /// A registered DN without any call.
    fn free(&self, dn: &str) -> Result<(), Refusal> {
        match self.dns.get(dn) {
            None => Err(Refusal::UnknownDn(dn.to_owned())),
            Some(calls) if !calls.is_empty() => Err(Refusal::Busy(dn.to_owned())),
            Some(_) => Ok(()),
        }
    }

    fn make(&mut self, call_type: CallType, from: Dn, to: Dn) -> Result<Answer, Refusal> {
        if from == to {
            return Err(Refusal::SameParty(from));
        }
        let (ours, outside): (&[&Dn], Option<&Dn>) = match call_type {
            CallType::Inbound => (&[&to], Some(&from)),
            CallType::Outbound => (&[&from], Some(&to)),
            CallType::Internal | CallType::Consult => (&[&from, &to], None),
        };
        ours.iter().try_for_each(|dn| self.free(dn))?;
        if let Some(known) = outside.filter(|dn| self.dns.contains_key(*dn)) {
            return Err(Refusal::WrongParty(known.clone()));
        }
        self.add(call_type, from, to, BTreeMap::new(), None)
    }

    fn consult(&mut self, conn: ConnectionId, from: Dn, to: Dn) -> Result<Answer, Refusal> {
        if from == to {
            return Err(Refusal::SameParty(from));
        }
        let call = self.calls.get(&conn).ok_or(Refusal::UnknownCall(conn))?;
        if call.parties.get(&from) != Some(&Leg::Talking) || !self.dns.contains_key(&from) {
            return Err(Refusal::WrongParty(from));
        }
        self.free(&to)?;
        let user_data = call.user_data.clone();
        let answer = self.add(CallType::Consult, from.clone(), to, user_data, Some((conn, from.clone())))?;
        if let Some(call) = self.calls.get_mut(&conn) {
            call.parties.insert(from, Leg::Held);
        }
        Ok(answer)
    }

    fn add(
        &mut self,
        call_type: CallType,
        from: Dn,
        to: Dn,
        user_data: BTreeMap<String, String>,
        consults: Option<(ConnectionId, Dn)>,
    ) -> Result<Answer, Refusal> {
        if self.calls.len() >= MOST_CALLS {
            return Err(Refusal::TooMany("calls"));
        }
        self.last_id += 1;
        let conn = ConnectionId(self.last_id);
        let parties = BTreeMap::from([(from, Leg::Dialing), (to, Leg::Ringing)]);
        for dn in parties.keys() {
            if let Some(calls) = self.dns.get_mut(dn) {
                calls.insert(conn);
            }
        }
        self.calls.insert(conn, Call { call_type, parties, user_data, consults });
        Ok(Answer::Call(conn))
    }

    fn answer(&mut self, conn: ConnectionId, dn: Dn) -> Result<Answer, Refusal> {
        let call = self.calls.get_mut(&conn).ok_or(Refusal::UnknownCall(conn))?;
        if call.parties.get(&dn) != Some(&Leg::Ringing) {
            return Err(Refusal::WrongParty(dn));
        }
        call.parties.insert(dn, Leg::Talking);
        for leg in call.parties.values_mut().filter(|leg| **leg == Leg::Dialing) {
            *leg = Leg::Talking;
        }
        Ok(Answer::Call(conn))
    }

    fn release(&mut self, conn: ConnectionId, dn: Dn) -> Result<Answer, Refusal> {
        let call = self.calls.get_mut(&conn).ok_or(Refusal::UnknownCall(conn))?;
        if call.parties.remove(&dn).is_none() {
            return Err(Refusal::WrongParty(dn));
        }
        let ends = call.parties.len() < 2;
        self.leave(conn, &dn);
        if ends {
            self.end(conn);
        }
        Ok(Answer::Call(conn))
    }

    fn transfer(&mut self, consult: ConnectionId) -> Result<Answer, Refusal> {
        let call = self.calls.get(&consult).ok_or(Refusal::UnknownCall(consult))?;
        let Some((main, who)) = call.consults.clone().filter(|(main, _)| self.calls.contains_key(main))
        else {
            return Err(Refusal::NotAConsultation(consult));
        };
        let mut others = call.parties.clone();
        others.remove(&who);
        let user_data = call.user_data.clone();
        self.drop_call(consult);
        // Who was consulted may have asked further; that consultation is about the main call now.
        for (about, _) in self.calls.values_mut().filter_map(|call| call.consults.as_mut()) {
            if *about == consult {
                *about = main;
            }
        }
        self.leave(main, &who);
        if let Some(call) = self.calls.get_mut(&main) {
            call.parties.remove(&who);
            for (dn, leg) in others {
                if let Some(calls) = self.dns.get_mut(&dn) {
                    calls.insert(main);
                }
                call.parties.insert(dn, leg);
            }
            // What was attached to the call itself meanwhile is newer than the consultation's copy.
            for (key, value) in user_data {
                if call.user_data.len() < MOST_USER_DATA || call.user_data.contains_key(&key) {
                    call.user_data.entry(key).or_insert(value);
                }
            }
        }
        Ok(Answer::Call(main))
    }

    fn attach(&mut self, conn: ConnectionId, key: String, value: String) -> Result<Answer, Refusal> {
        let call = self.calls.get_mut(&conn).ok_or(Refusal::UnknownCall(conn))?;
        if call.user_data.len() >= MOST_USER_DATA && !call.user_data.contains_key(&key) {
            return Err(Refusal::TooMany("user-data"));
        }
        call.user_data.insert(key, value);
        Ok(Answer::Call(conn))
    }

    /// Ends a call; who held another call for it talks there again, and its own consultation stands alone from now.
    fn end(&mut self, conn: ConnectionId) {
        let Some(call) = self.drop_call(conn) else { return };
        if let Some((main, who)) = call.consults
            && let Some(leg) = self.calls.get_mut(&main).and_then(|main| main.parties.get_mut(&who))
        {
            *leg = Leg::Talking;
        }
        for other in self.calls.values_mut() {
            other.consults.take_if(|(main, _)| *main == conn);
        }
    }

    fn drop_call(&mut self, conn: ConnectionId) -> Option<Call> {
        let call = self.calls.remove(&conn)?;
        for dn in call.parties.keys() {
            self.leave(conn, dn);
        }
        Some(call)
    }

    fn leave(&mut self, conn: ConnectionId, dn: &str) {
        if let Some(calls) = self.dns.get_mut(dn) {
            calls.remove(&conn);
        }
    }
}
