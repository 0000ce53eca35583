//! What a control server and an agent say to one another.
//!
//! The control server speaks first, with [`ToAgent::Hello`]; the agent answers with [`FromAgent::Welcome`] or
//! [`FromAgent::HelloRefused`]. After a Welcome, orders go one way; reports, answers and events the other.
//! Knows nothing of what either side does with it. The law: every message is whole in itself.

use bytes::BytesMut;
use understudy_model::{
    Answer, ApplicationReport, ClusterId, ControllerEpoch, ControllerName, Event, HostName, InSyncAnswer,
    InSyncAsk, Inventory, LeadershipId, LogAnswer, LogQuestion, Order, Outcome, Refusal, VoteAnswer, VoteAsk,
    Work,
};

use crate::body::greeting;
use crate::error::{EncodeError, MessageError};
use crate::frame::{Frame, Kind};
use crate::message::{Message, read_body, write_body};
use crate::version::{LEAVING_SINCE, SPOKEN, VOTES_SINCE, VersionRange};

/// Said by a control server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToAgent {
    /// The first message of every connection, and of it only.
    Hello(Hello),
    /// Something to do.
    Order(Order),
    /// The answer to [`FromAgent::AskVote`]; only to agents that speak [`crate::VOTES_SINCE`].
    Vote(VoteAnswer),
    /// The answer to [`FromAgent::InSync`]; only to agents that speak [`crate::IN_SYNC_SINCE`], as others never ask.
    InSync(InSyncAnswer),
    /// A question for what an application printed; only to agents that speak [`crate::LOGS_SINCE`].
    ReadLogs(LogQuestion),
}

/// How a control server introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The protocol versions it speaks.
    pub versions: VersionRange,
    /// Its name.
    pub controller: ControllerName,
    /// Its leadership. An agent that knows a higher one refuses.
    pub controller_epoch: ControllerEpoch,
    /// The cluster's name, for people; at most [`crate::application::LONGEST_TEXT_BYTES`].
    pub cluster_name: String,
    /// The cluster's identity, if it has one.
    pub cluster: Option<ClusterId>,
    /// The host that it believes to talk to. An agent of another host refuses.
    pub host: HostName,
    /// The newest leaderships of its store, its own among them, at most [`LONGEST_LINEAGE`]; none from earlier versions. An agent
    /// that obeyed another leadership with one of these numbers refuses.
    pub lineage: Vec<LeadershipId>,
}

/// The most leaderships in a [`Hello`].
pub const LONGEST_LINEAGE: usize = 64;

/// Said by an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromAgent {
    /// The Hello was accepted.
    Welcome {
        /// The version that both speak from now on.
        version: u16,
        /// Everything that the agent has.
        inventory: Inventory,
    },
    /// The Hello was not accepted; the agent closes the connection.
    HelloRefused {
        /// For people.
        reason: String,
        /// The protocol versions that the agent speaks.
        versions: VersionRange,
        /// The highest leadership that the agent ever obeyed.
        highest_controller_epoch: ControllerEpoch,
    },
    /// The whole truth of one application, sent whenever some of it changed.
    Report(ApplicationReport),
    /// What became of an order.
    Answer(Answer),
    /// What the agent did by itself, for the journal; at most [`MOST_EVENTS`] in one message. An event of a newer
    /// version that this one cannot read arrives as an anomaly with its text.
    Events(Vec<Event>),
    /// Its host is leaving: what is primary there should be handed over, and the agent waits for the order
    /// [`understudy_model::Work::LetGo`], or some time. False: the host stays after all. Only said on links of protocol
    /// version 2 or later.
    Leaving {
        /// Whether it leaves.
        leaving: bool,
    },
    /// A request for the control server's vote; only to those that speak [`crate::VOTES_SINCE`].
    AskVote(VoteAsk),
    /// The answer to a question for what an application printed.
    Logs(LogAnswer),
    /// A primary's word on who has everything that was acknowledged; only to those that speak [`crate::IN_SYNC_SINCE`].
    InSync(InSyncAsk),
}

/// The most events in one message.
pub const MOST_EVENTS: usize = 256;

/// The version from which on agents understand an order. It is not to be sent to an older one: the link would end.
pub fn understood_since(work: &Work) -> u16 {
    match work {
        Work::Promote { grant: Some(_), .. } | Work::WouldPromise { .. } | Work::Learn { .. } => VOTES_SINCE,
        Work::LetGo => LEAVING_SINCE,
        Work::Assign(_)
        | Work::SetGoal { .. }
        | Work::SetHandsOff { .. }
        | Work::Restart { .. }
        | Work::Promote { grant: None, .. }
        | Work::Demote { .. } => SPOKEN.min,
    }
}

/// The answer in words that a control server of this version knows: what it has no word for is said as text.
pub fn answer_in_words_of(version: u16, answer: Answer) -> Answer {
    match answer.outcome {
        Outcome::Refused(
            refusal @ (Refusal::Promised(..) | Refusal::NotVoting(_) | Refusal::NoVotes | Refusal::NoGuard),
        ) if version < VOTES_SINCE => {
            Answer { outcome: Outcome::Refused(Refusal::NotReady(refusal.to_string())), ..answer }
        }
        outcome => Answer { outcome, ..answer },
    }
}

impl Message for ToAgent {
    const KIND: Kind = Kind::ToAgent;

    fn to_frame(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        write_body::<greeting::ToAgent>(Self::KIND, self, out)
    }

    fn from_frame(frame: &Frame) -> Result<Self, MessageError> {
        read_body::<greeting::ToAgent>(Self::KIND, "ToAgent", frame)
    }
}

impl Message for FromAgent {
    const KIND: Kind = Kind::FromAgent;

    fn to_frame(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        write_body::<greeting::FromAgent>(Self::KIND, self, out)
    }

    fn from_frame(frame: &Frame) -> Result<Self, MessageError> {
        read_body::<greeting::FromAgent>(Self::KIND, "FromAgent", frame)
    }
}
