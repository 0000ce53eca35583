//! What an agent says of its host and of each application.
//!
//! Knows nothing of what follows from a report. The law: a report is whole; a part that is absent was absent on purpose.

use understudy_model as model;
use understudy_model::{AgentId, ControllerEpoch, Incarnation};

use super::assignment::MOST_APPLICATIONS;
use super::grant::GrantReport;
use super::order::RoleEpoch;
use super::{Body, Nothing, check, word};
use crate::error::{EncodeError, MessageError};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Inventory {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(bytes = "vec", tag = "2")]
    agent: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    incarnation: Vec<u8>,
    #[prost(uint64, tag = "4")]
    controller_epoch: u64,
    #[prost(message, repeated, tag = "5")]
    applications: Vec<ApplicationReport>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ApplicationReport {
    #[prost(string, tag = "1")]
    application: String,
    #[prost(uint32, optional, tag = "2")]
    pid: Option<u32>,
    #[prost(enumeration = "word::ApplicationStatus", tag = "3")]
    status: i32,
    #[prost(enumeration = "word::Goal", tag = "4")]
    goal: i32,
    #[prost(enumeration = "word::RunMode", tag = "5")]
    run_mode: i32,
    #[prost(string, tag = "6")]
    problem: String,
    #[prost(uint32, tag = "7")]
    restarts: u32,
    #[prost(bool, tag = "8")]
    gave_up: bool,
    #[prost(message, optional, tag = "9")]
    last_exit: Option<LastExit>,
    #[prost(message, optional, tag = "10")]
    role: Option<RoleReport>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RoleReport {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(message, optional, tag = "2")]
    promised: Option<RoleEpoch>,
    #[prost(uint64, tag = "3")]
    closed: u64,
    #[prost(message, optional, tag = "4")]
    acting: Option<RoleEpoch>,
    #[prost(message, optional, tag = "5")]
    strict: Option<GrantReport>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LastExit {
    #[prost(oneof = "ExitCause", tags = "1, 2, 3, 4")]
    cause: Option<ExitCause>,
    #[prost(bool, tag = "5")]
    wanted: bool,
    #[prost(uint64, tag = "6")]
    ran_ms: u64,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ExitCause {
    #[prost(sint32, tag = "1")]
    Code(i32),
    #[prost(sint32, tag = "2")]
    Signal(i32),
    #[prost(string, tag = "3")]
    NotStarted(String),
    #[prost(message, tag = "4")]
    Unknown(Nothing),
}

impl Body for Inventory {
    type Said = model::Inventory;

    fn write(said: &model::Inventory) -> Result<Self, EncodeError> {
        Ok(Self {
            host: said.host.to_string(),
            agent: check::write_identity(said.agent.0),
            incarnation: check::write_identity(said.incarnation.0),
            controller_epoch: said.controller_epoch.0,
            applications: check::write_list(&said.applications, MOST_APPLICATIONS, "Inventory.applications")?,
        })
    }

    fn read(self) -> Result<model::Inventory, MessageError> {
        Ok(model::Inventory {
            host: check::name(&self.host, "Inventory.host")?,
            agent: AgentId(check::read_identity(&self.agent, "Inventory.agent")?),
            incarnation: Incarnation(check::read_identity(&self.incarnation, "Inventory.incarnation")?),
            controller_epoch: ControllerEpoch(self.controller_epoch),
            applications: check::read_list(self.applications, MOST_APPLICATIONS, "Inventory.applications")?,
        })
    }
}

impl Body for ApplicationReport {
    type Said = model::ApplicationReport;

    fn write(said: &model::ApplicationReport) -> Result<Self, EncodeError> {
        Ok(Self {
            application: said.application.to_string(),
            pid: said.pid,
            status: word::ApplicationStatus::write(said.status),
            goal: word::Goal::write(said.goal),
            run_mode: word::RunMode::write(said.run_mode),
            problem: check::cut_text(&said.problem),
            restarts: said.restarts,
            gave_up: said.gave_up,
            last_exit: check::write_optional(&said.last_exit)?,
            role: check::write_optional(&said.role)?,
        })
    }

    fn read(self) -> Result<model::ApplicationReport, MessageError> {
        Ok(model::ApplicationReport {
            application: check::name(&self.application, "ApplicationReport.application")?,
            pid: self.pid,
            status: word::ApplicationStatus::read(self.status, "ApplicationReport.status")?,
            goal: word::Goal::read(self.goal, "ApplicationReport.goal")?,
            run_mode: word::RunMode::read(self.run_mode, "ApplicationReport.run_mode")?,
            problem: check::text(self.problem, "ApplicationReport.problem")?,
            restarts: self.restarts,
            gave_up: self.gave_up,
            last_exit: check::read_optional(self.last_exit)?,
            role: check::read_optional(self.role)?,
        })
    }
}

impl Body for RoleReport {
    type Said = model::RoleReport;

    fn write(said: &model::RoleReport) -> Result<Self, EncodeError> {
        Ok(Self {
            pair: said.pair.to_string(),
            promised: check::write_optional(&said.promised)?,
            closed: said.closed.0,
            acting: check::write_optional(&said.acting)?,
            strict: check::write_optional(&said.strict)?,
        })
    }

    fn read(self) -> Result<model::RoleReport, MessageError> {
        Ok(model::RoleReport {
            pair: check::name(&self.pair, "RoleReport.pair")?,
            promised: check::read_optional(self.promised)?,
            closed: check::epoch(self.closed, "RoleReport.closed")?,
            acting: check::read_optional(self.acting)?,
            strict: check::read_optional(self.strict)?,
        })
    }
}

impl Body for LastExit {
    type Said = model::LastExit;

    fn write(said: &model::LastExit) -> Result<Self, EncodeError> {
        let cause = match &said.cause {
            model::ExitCause::Code(code) => ExitCause::Code(*code),
            model::ExitCause::Signal(number) => ExitCause::Signal(*number),
            model::ExitCause::NotStarted(why) => ExitCause::NotStarted(check::cut_text(why)),
            model::ExitCause::Unknown => ExitCause::Unknown(Nothing {}),
        };
        Ok(Self { cause: Some(cause), wanted: said.wanted, ran_ms: said.ran_ms })
    }

    fn read(self) -> Result<model::LastExit, MessageError> {
        let cause = match check::required(self.cause, "LastExit.cause")? {
            ExitCause::Code(code) => model::ExitCause::Code(code),
            ExitCause::Signal(number) => model::ExitCause::Signal(number),
            ExitCause::NotStarted(why) => {
                model::ExitCause::NotStarted(check::text(why, "LastExit.not_started")?)
            }
            ExitCause::Unknown(Nothing {}) => model::ExitCause::Unknown,
        };
        Ok(model::LastExit { cause, wanted: self.wanted, ran_ms: self.ran_ms })
    }
}
