//! The two directions of the control conversation, and how it begins.
//!
//! Knows nothing of orders and reports beyond that they have bodies. The law: each direction is one choice, so that
//! a message of a newer version is seen as missing and refused, not misread.

use understudy_model as model;
use understudy_model::{ClusterId, ControllerEpoch, Incarnation};

use super::answer::Answer;
use super::assignment::MOST_APPLICATIONS;
use super::grant::{VoteAnswer, VoteAsk};
use super::in_sync::{InSyncAnswer, InSyncAsk};
use super::logs::{LogAnswer, LogQuestion};
use super::order::Order;
use super::report::{ApplicationReport, Inventory};
use super::{Body, check};
use crate::application::LONGEST_TEXT_BYTES;
use crate::control::{self, LONGEST_LINEAGE, MOST_EVENTS};
use crate::error::{EncodeError, MessageError};
use crate::version;

/// Frame kind 1.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ToAgent {
    #[prost(oneof = "ToAgentChoice", tags = "1, 2, 3, 20, 30")]
    said: Option<ToAgentChoice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ToAgentChoice {
    #[prost(message, tag = "1")]
    Hello(Hello),
    #[prost(message, tag = "2")]
    Order(Order),
    #[prost(message, tag = "3")]
    Vote(VoteAnswer),
    #[prost(message, tag = "20")]
    ReadLogs(LogQuestion),
    #[prost(message, tag = "30")]
    InSync(InSyncAnswer),
}

/// Frame kind 2.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FromAgent {
    #[prost(oneof = "FromAgentChoice", tags = "1, 2, 3, 4, 5, 6, 7, 20, 30")]
    said: Option<FromAgentChoice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum FromAgentChoice {
    #[prost(message, tag = "1")]
    Welcome(Welcome),
    #[prost(message, tag = "2")]
    HelloRefused(HelloRefused),
    #[prost(message, tag = "3")]
    Report(ApplicationReport),
    #[prost(message, tag = "4")]
    Answer(Answer),
    #[prost(message, tag = "5")]
    Events(Events),
    #[prost(message, tag = "6")]
    Leaving(Leaving),
    #[prost(message, tag = "7")]
    AskVote(VoteAsk),
    #[prost(message, tag = "20")]
    Logs(LogAnswer),
    #[prost(message, tag = "30")]
    InSync(InSyncAsk),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VersionRange {
    #[prost(uint32, tag = "1")]
    min: u32,
    #[prost(uint32, tag = "2")]
    max: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(message, optional, tag = "1")]
    versions: Option<VersionRange>,
    #[prost(string, tag = "2")]
    controller: String,
    #[prost(uint64, tag = "3")]
    controller_epoch: u64,
    #[prost(string, tag = "4")]
    cluster_name: String,
    #[prost(bytes = "vec", optional, tag = "5")]
    cluster: Option<Vec<u8>>,
    #[prost(string, tag = "6")]
    host: String,
    #[prost(message, repeated, tag = "7")]
    lineage: Vec<LeadershipId>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LeadershipId {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(bytes = "vec", tag = "2")]
    incarnation: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Welcome {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(message, optional, tag = "2")]
    inventory: Option<Inventory>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HelloRefused {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(message, optional, tag = "2")]
    versions: Option<VersionRange>,
    #[prost(uint64, tag = "3")]
    highest_controller_epoch: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Leaving {
    #[prost(bool, tag = "1")]
    leaving: bool,
}

/// Events are for people, so they travel as JSON.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Events {
    #[prost(string, repeated, tag = "1")]
    json: Vec<String>,
}

impl Body for ToAgent {
    const LARGE_LISTS: &'static [(&'static str, &'static [u32], usize)] =
        &[("Assign.assignments", &[2, 4, 1], MOST_APPLICATIONS)];
    type Said = control::ToAgent;

    fn write(said: &control::ToAgent) -> Result<Self, EncodeError> {
        let choice = match said {
            control::ToAgent::Hello(hello) => ToAgentChoice::Hello(Hello::write(hello)?),
            control::ToAgent::Order(order) => ToAgentChoice::Order(Order::write(order)?),
            control::ToAgent::Vote(answer) => ToAgentChoice::Vote(VoteAnswer::write(answer)?),
            control::ToAgent::ReadLogs(question) => ToAgentChoice::ReadLogs(LogQuestion::write(question)?),
            control::ToAgent::InSync(answer) => ToAgentChoice::InSync(InSyncAnswer::write(answer)?),
        };
        Ok(Self { said: Some(choice) })
    }

    fn read(self) -> Result<control::ToAgent, MessageError> {
        Ok(match check::required(self.said, "ToAgent.said")? {
            ToAgentChoice::Hello(hello) => control::ToAgent::Hello(hello.read()?),
            ToAgentChoice::Order(order) => control::ToAgent::Order(order.read()?),
            ToAgentChoice::Vote(answer) => control::ToAgent::Vote(answer.read()?),
            ToAgentChoice::ReadLogs(question) => control::ToAgent::ReadLogs(question.read()?),
            ToAgentChoice::InSync(answer) => control::ToAgent::InSync(answer.read()?),
        })
    }
}

impl Body for FromAgent {
    const LARGE_LISTS: &'static [(&'static str, &'static [u32], usize)] =
        &[("Inventory.applications", &[1, 2, 5], MOST_APPLICATIONS)];
    type Said = control::FromAgent;

    fn write(said: &control::FromAgent) -> Result<Self, EncodeError> {
        let choice = match said {
            control::FromAgent::Welcome { version, inventory } => FromAgentChoice::Welcome(Welcome {
                version: u32::from(*version),
                inventory: Some(Inventory::write(inventory)?),
            }),
            control::FromAgent::HelloRefused { reason, versions, highest_controller_epoch } => {
                FromAgentChoice::HelloRefused(HelloRefused {
                    reason: check::cut_text(reason),
                    versions: Some(VersionRange::write(versions)?),
                    highest_controller_epoch: highest_controller_epoch.0,
                })
            }
            control::FromAgent::Report(report) => FromAgentChoice::Report(ApplicationReport::write(report)?),
            control::FromAgent::Answer(answer) => FromAgentChoice::Answer(Answer::write(answer)?),
            control::FromAgent::Events(events) => FromAgentChoice::Events(Events::write(events)?),
            control::FromAgent::Leaving { leaving } => {
                FromAgentChoice::Leaving(Leaving { leaving: *leaving })
            }
            control::FromAgent::AskVote(ask) => FromAgentChoice::AskVote(VoteAsk::write(ask)?),
            control::FromAgent::Logs(answer) => FromAgentChoice::Logs(LogAnswer::write(answer)?),
            control::FromAgent::InSync(ask) => FromAgentChoice::InSync(InSyncAsk::write(ask)?),
        };
        Ok(Self { said: Some(choice) })
    }

    fn read(self) -> Result<control::FromAgent, MessageError> {
        Ok(match check::required(self.said, "FromAgent.said")? {
            FromAgentChoice::Welcome(welcome) => control::FromAgent::Welcome {
                version: check::small_positive(welcome.version, "Welcome.version")?,
                inventory: check::read_required(welcome.inventory, "Welcome.inventory")?,
            },
            FromAgentChoice::HelloRefused(refused) => control::FromAgent::HelloRefused {
                reason: check::text(refused.reason, "HelloRefused.reason")?,
                versions: check::read_required(refused.versions, "HelloRefused.versions")?,
                highest_controller_epoch: ControllerEpoch(refused.highest_controller_epoch),
            },
            FromAgentChoice::Report(report) => control::FromAgent::Report(report.read()?),
            FromAgentChoice::Answer(answer) => control::FromAgent::Answer(answer.read()?),
            FromAgentChoice::Events(events) => control::FromAgent::Events(events.read()?),
            FromAgentChoice::Leaving(Leaving { leaving }) => control::FromAgent::Leaving { leaving },
            FromAgentChoice::AskVote(ask) => control::FromAgent::AskVote(ask.read()?),
            FromAgentChoice::Logs(answer) => control::FromAgent::Logs(answer.read()?),
            FromAgentChoice::InSync(ask) => control::FromAgent::InSync(ask.read()?),
        })
    }
}

impl Body for VersionRange {
    type Said = version::VersionRange;

    fn write(said: &version::VersionRange) -> Result<Self, EncodeError> {
        Ok(Self { min: said.min.into(), max: said.max.into() })
    }

    fn read(self) -> Result<version::VersionRange, MessageError> {
        let max = check::small_positive(self.max, "VersionRange.max")?;
        let min = check::small_positive(self.min, "VersionRange.min")?;
        if min > max {
            let (found, most) = (min.into(), max.into());
            return Err(MessageError::OutOfRange { field: "VersionRange.min", found, least: 1, most });
        }
        Ok(version::VersionRange { min, max })
    }
}

impl Body for Hello {
    type Said = control::Hello;

    fn write(said: &control::Hello) -> Result<Self, EncodeError> {
        let (field, bytes, limit) = ("Hello.cluster_name", said.cluster_name.len(), LONGEST_TEXT_BYTES);
        if bytes > limit {
            return Err(EncodeError::TooLong { field, bytes, limit });
        }
        Ok(Self {
            versions: Some(VersionRange::write(&said.versions)?),
            controller: said.controller.to_string(),
            controller_epoch: said.controller_epoch.0,
            cluster_name: said.cluster_name.clone(),
            cluster: said.cluster.map(|id| check::write_identity(id.0)),
            host: said.host.to_string(),
            lineage: check::write_list(&said.lineage, LONGEST_LINEAGE, "Hello.lineage")?,
        })
    }

    fn read(self) -> Result<control::Hello, MessageError> {
        let identity = |bytes: Vec<u8>| check::read_identity(&bytes, "Hello.cluster").map(ClusterId);
        Ok(control::Hello {
            versions: check::read_required(self.versions, "Hello.versions")?,
            controller: check::name(&self.controller, "Hello.controller")?,
            controller_epoch: ControllerEpoch(self.controller_epoch),
            cluster_name: check::text(self.cluster_name, "Hello.cluster_name")?,
            cluster: self.cluster.map(identity).transpose()?,
            host: check::name(&self.host, "Hello.host")?,
            lineage: check::read_list(self.lineage, LONGEST_LINEAGE, "Hello.lineage")?,
        })
    }
}

impl Body for LeadershipId {
    type Said = model::LeadershipId;

    fn write(said: &model::LeadershipId) -> Result<Self, EncodeError> {
        Ok(Self { epoch: said.epoch.0, incarnation: check::write_identity(said.incarnation.0) })
    }

    fn read(self) -> Result<model::LeadershipId, MessageError> {
        let incarnation = check::read_identity(&self.incarnation, "LeadershipId.incarnation")?;
        Ok(model::LeadershipId { epoch: ControllerEpoch(self.epoch), incarnation: Incarnation(incarnation) })
    }
}

impl Body for Events {
    type Said = Vec<model::Event>;

    fn write(said: &Vec<model::Event>) -> Result<Self, EncodeError> {
        check::bound_written(said.len(), MOST_EVENTS, "Events.json")?;
        let json = said.iter().map(serde_json::to_string).collect::<Result<_, _>>();
        Ok(Self { json: json.map_err(EncodeError::Event)? })
    }

    fn read(self) -> Result<Vec<model::Event>, MessageError> {
        check::bound_read(self.json.len(), MOST_EVENTS, "Events.json")?;
        self.json.into_iter().map(read_event).collect()
    }
}

/// JSON with words that this version does not know is shown as it came: a newer agent's story must not cost its link.
fn read_event(json: String) -> Result<model::Event, MessageError> {
    match serde_json::from_str(&json) {
        Ok(event) => Ok(event),
        Err(source) if source.is_data() => Ok(model::Event {
            kind: model::EventKind::Anomaly,
            severity: model::Severity::Warning,
            about: model::Subject::default(),
            from: None,
            to: None,
            epoch: None,
            because: model::Because::new(
                model::Rule::AgentReported,
                "An event came that this version cannot read.",
            )
            .fact("event", check::cut_text(&json))
            .fact("error", source),
            actor: None,
        }),
        Err(source) => Err(MessageError::BadEvent { field: "Events.json", source }),
    }
}
