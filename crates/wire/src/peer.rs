//! What the agents of the two hosts of a pair say to one another.
//!
//! The one that connects speaks first, with [`PeerSaid::Hello`]; the other answers with [`PeerSaid::Welcome`] or
//! [`PeerSaid::Refused`]. From then on both say the same things, and any number of pairs share the link. Knows nothing of who
//! may vote. The law: every message is whole in itself, and an answer repeats what it answers.

use bytes::BytesMut;
use understudy_model::{AgentId, HostName, Incarnation, Release, Remembered, VoteAnswer, VoteAsk};

use crate::body::peer;
use crate::error::{EncodeError, MessageError};
use crate::frame::{Frame, Kind};
use crate::message::{Message, read_body, write_body};
use crate::version::VersionRange;

/// Said by either agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerSaid {
    /// The first message of every connection, said by the agent that connected, and of it only.
    Hello(PeerHello),
    /// The Hello was accepted; said by the other agent.
    Welcome {
        /// The version that both speak from now on.
        version: u16,
        /// The agent that answers.
        agent: AgentId,
        /// Its life.
        incarnation: Incarnation,
    },
    /// The Hello was not accepted; whoever says it closes the connection.
    Refused {
        /// For people.
        reason: String,
        /// The protocol versions that the agent speaks.
        versions: VersionRange,
    },
    /// A request for a vote.
    Ask(VoteAsk),
    /// The answer to one.
    Vote(VoteAnswer),
    /// The speaker's own member gave a role up for good.
    Release(Release),
    /// What the speaker remembers of the other's votes and releases.
    Remembered(Remembered),
}

/// How an agent introduces itself to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerHello {
    /// The protocol versions it speaks; those before [`crate::VOTES_SINCE`] have no words for an agent.
    pub versions: VersionRange,
    /// Its host.
    pub host: HostName,
    /// Its identity.
    pub agent: AgentId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The host that it believes to talk to. An agent of another host refuses.
    pub to_host: HostName,
}

impl Message for PeerSaid {
    const KIND: Kind = Kind::Peer;

    fn to_frame(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        write_body::<peer::PeerSaid>(Self::KIND, self, out)
    }

    fn from_frame(frame: &Frame) -> Result<Self, MessageError> {
        read_body::<peer::PeerSaid>(Self::KIND, "PeerSaid", frame)
    }
}
