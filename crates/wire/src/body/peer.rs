//! The conversation of two agents.
//!
//! Knows nothing of votes beyond that they have bodies. The law: one choice for both directions, so that a message of a
//! newer version is seen as missing and refused, not misread.

use understudy_model::{AgentId, Incarnation};

use super::grant::{Release, Remembered, VoteAnswer, VoteAsk};
use super::greeting::VersionRange;
use super::{Body, check};
use crate::error::{EncodeError, MessageError};
use crate::peer;

/// Frame kind 6.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PeerSaid {
    #[prost(oneof = "PeerChoice", tags = "1, 2, 3, 4, 5, 6, 7")]
    said: Option<PeerChoice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum PeerChoice {
    #[prost(message, tag = "1")]
    Hello(PeerHello),
    #[prost(message, tag = "2")]
    Welcome(PeerWelcome),
    #[prost(message, tag = "3")]
    Refused(PeerRefused),
    #[prost(message, tag = "4")]
    Ask(VoteAsk),
    #[prost(message, tag = "5")]
    Vote(VoteAnswer),
    #[prost(message, tag = "6")]
    Release(Release),
    #[prost(message, tag = "7")]
    Remembered(Remembered),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PeerHello {
    #[prost(message, optional, tag = "1")]
    versions: Option<VersionRange>,
    #[prost(string, tag = "2")]
    host: String,
    #[prost(bytes = "vec", tag = "3")]
    agent: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    incarnation: Vec<u8>,
    #[prost(string, tag = "5")]
    to_host: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PeerWelcome {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "vec", tag = "2")]
    agent: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    incarnation: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PeerRefused {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(message, optional, tag = "2")]
    versions: Option<VersionRange>,
}

impl Body for PeerSaid {
    type Said = peer::PeerSaid;

    fn write(said: &peer::PeerSaid) -> Result<Self, EncodeError> {
        let choice = match said {
            peer::PeerSaid::Hello(hello) => PeerChoice::Hello(PeerHello::write(hello)?),
            peer::PeerSaid::Welcome { version, agent, incarnation } => PeerChoice::Welcome(PeerWelcome {
                version: u32::from(*version),
                agent: check::write_identity(agent.0),
                incarnation: check::write_identity(incarnation.0),
            }),
            peer::PeerSaid::Refused { reason, versions } => PeerChoice::Refused(PeerRefused {
                reason: check::cut_text(reason),
                versions: Some(VersionRange::write(versions)?),
            }),
            peer::PeerSaid::Ask(ask) => PeerChoice::Ask(VoteAsk::write(ask)?),
            peer::PeerSaid::Vote(answer) => PeerChoice::Vote(VoteAnswer::write(answer)?),
            peer::PeerSaid::Release(release) => PeerChoice::Release(Release::write(release)?),
            peer::PeerSaid::Remembered(remembered) => PeerChoice::Remembered(Remembered::write(remembered)?),
        };
        Ok(Self { said: Some(choice) })
    }

    fn read(self) -> Result<peer::PeerSaid, MessageError> {
        Ok(match check::required(self.said, "PeerSaid.said")? {
            PeerChoice::Hello(hello) => peer::PeerSaid::Hello(hello.read()?),
            PeerChoice::Welcome(welcome) => peer::PeerSaid::Welcome {
                version: check::small_positive(welcome.version, "PeerWelcome.version")?,
                agent: AgentId(check::read_identity(&welcome.agent, "PeerWelcome.agent")?),
                incarnation: Incarnation(check::read_identity(
                    &welcome.incarnation,
                    "PeerWelcome.incarnation",
                )?),
            },
            PeerChoice::Refused(refused) => peer::PeerSaid::Refused {
                reason: check::text(refused.reason, "PeerRefused.reason")?,
                versions: check::read_required(refused.versions, "PeerRefused.versions")?,
            },
            PeerChoice::Ask(ask) => peer::PeerSaid::Ask(ask.read()?),
            PeerChoice::Vote(answer) => peer::PeerSaid::Vote(answer.read()?),
            PeerChoice::Release(release) => peer::PeerSaid::Release(release.read()?),
            PeerChoice::Remembered(remembered) => peer::PeerSaid::Remembered(remembered.read()?),
        })
    }
}

impl Body for PeerHello {
    type Said = peer::PeerHello;

    fn write(said: &peer::PeerHello) -> Result<Self, EncodeError> {
        Ok(Self {
            versions: Some(VersionRange::write(&said.versions)?),
            host: said.host.to_string(),
            agent: check::write_identity(said.agent.0),
            incarnation: check::write_identity(said.incarnation.0),
            to_host: said.to_host.to_string(),
        })
    }

    fn read(self) -> Result<peer::PeerHello, MessageError> {
        Ok(peer::PeerHello {
            versions: check::read_required(self.versions, "PeerHello.versions")?,
            host: check::name(&self.host, "PeerHello.host")?,
            agent: AgentId(check::read_identity(&self.agent, "PeerHello.agent")?),
            incarnation: Incarnation(check::read_identity(&self.incarnation, "PeerHello.incarnation")?),
            to_host: check::name(&self.to_host, "PeerHello.to_host")?,
        })
    }
}
