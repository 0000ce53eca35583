//! What an agent needs to know of an application: how to run it, and its place in its pair.
//!
//! Knows nothing of whether a command exists. The law: every list is bounded, every port is a port.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model as model;
use understudy_model::order::PairPlace as ModelPairPlace;

use super::conduct::ConductSpec;
use super::grant::StrictPlace;
use super::process::ProcessSpec;
use super::{Body, check, word};
use crate::error::{EncodeError, MessageError};

/// The most applications of one host.
pub(super) const MOST_APPLICATIONS: usize = 4096;
/// The most words of one command, its program included.
pub(super) const MOST_ARGUMENTS: usize = 1024;
/// The most variables of one application.
const MOST_VARIABLES: usize = 1024;
/// The most exit codes that count as success: one for every value of a byte.
const MOST_SUCCESS_CODES: usize = 256;
/// The most ports of one application.
const MOST_PORTS: usize = 256;
/// The most sections of options of one application.
const MOST_SECTIONS: usize = 256;
/// The most options of one section.
const MOST_OPTIONS: usize = 1024;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Assignment {
    #[prost(string, tag = "1")]
    application: String,
    #[prost(message, optional, tag = "2")]
    spec: Option<ApplicationSpec>,
    #[prost(enumeration = "word::Goal", tag = "3")]
    goal: i32,
    #[prost(bool, tag = "4")]
    hands_off: bool,
    #[prost(message, optional, tag = "5")]
    pair: Option<PairPlace>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ApplicationSpec {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(enumeration = "word::Interface", tag = "3")]
    interface: i32,
    #[prost(string, repeated, tag = "4")]
    command: Vec<String>,
    #[prost(string, optional, tag = "5")]
    working_directory: Option<String>,
    #[prost(btree_map = "string, string", tag = "6")]
    environment: BTreeMap<String, String>,
    #[prost(enumeration = "word::Signal", tag = "7")]
    stop_signal: i32,
    #[prost(enumeration = "word::RestartPolicy", tag = "8")]
    restart: i32,
    #[prost(sint32, repeated, tag = "9")]
    success_codes: Vec<i32>,
    #[prost(uint64, tag = "10")]
    restart_delay_ns: u64,
    #[prost(uint32, tag = "11")]
    restart_limit: u32,
    #[prost(uint64, tag = "12")]
    startup_timeout_ns: u64,
    #[prost(uint64, tag = "13")]
    shutdown_timeout_ns: u64,
    #[prost(bool, tag = "14")]
    autostart: bool,
    #[prost(message, repeated, tag = "15")]
    ports: Vec<PortSpec>,
    #[prost(btree_map = "string, message", tag = "16")]
    options: BTreeMap<String, OptionSection>,
    #[prost(message, optional, tag = "20")]
    process: Option<ProcessSpec>,
    #[prost(message, optional, tag = "40")]
    conduct: Option<ConductSpec>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PortSpec {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(uint32, tag = "2")]
    port: u32,
    #[prost(enumeration = "word::ListeningMode", tag = "3")]
    listening_mode: i32,
    #[prost(bool, tag = "4")]
    ha_sync: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OptionSection {
    #[prost(btree_map = "string, string", tag = "1")]
    values: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PairPlace {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(string, tag = "2")]
    peer: String,
    #[prost(string, tag = "3")]
    peer_address: String,
    #[prost(message, repeated, tag = "4")]
    peer_ports: Vec<PeerPort>,
    #[prost(uint64, tag = "5")]
    fence_budget_ns: u64,
    #[prost(uint64, tag = "6")]
    link_grace_ns: u64,
    #[prost(message, optional, tag = "7")]
    strict: Option<StrictPlace>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PeerPort {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(uint32, tag = "2")]
    port: u32,
}

impl Body for Assignment {
    type Said = model::Assignment;

    fn write(said: &model::Assignment) -> Result<Self, EncodeError> {
        Ok(Self {
            application: said.application.to_string(),
            spec: Some(ApplicationSpec::write(&said.spec)?),
            goal: word::Goal::write(said.goal),
            hands_off: said.hands_off,
            pair: check::write_optional(&said.pair)?,
        })
    }

    fn read(self) -> Result<model::Assignment, MessageError> {
        Ok(model::Assignment {
            application: check::name(&self.application, "Assignment.application")?,
            spec: check::read_required(self.spec, "Assignment.spec")?,
            goal: word::Goal::read(self.goal, "Assignment.goal")?,
            hands_off: self.hands_off,
            pair: check::read_optional(self.pair)?,
        })
    }
}

impl Body for ApplicationSpec {
    type Said = model::ApplicationSpec;

    fn write(said: &model::ApplicationSpec) -> Result<Self, EncodeError> {
        check::bound_written(said.command.len(), MOST_ARGUMENTS, "ApplicationSpec.command")?;
        check::bound_written(said.environment.len(), MOST_VARIABLES, "ApplicationSpec.environment")?;
        check::bound_written(said.success_codes.len(), MOST_SUCCESS_CODES, "ApplicationSpec.success_codes")?;
        check::bound_written(said.options.len(), MOST_SECTIONS, "ApplicationSpec.options")?;
        let section = |(name, values): (&String, _)| Ok((name.clone(), OptionSection::write(values)?));
        Ok(Self {
            host: said.host.to_string(),
            kind: said.kind.clone(),
            interface: word::Interface::write(said.interface),
            command: said.command.clone(),
            working_directory: said.working_directory.clone(),
            environment: said.environment.clone(),
            stop_signal: word::Signal::write(said.stop_signal),
            restart: word::RestartPolicy::write(said.restart),
            success_codes: said.success_codes.clone(),
            restart_delay_ns: check::write_span(said.restart_delay),
            restart_limit: said.restart_limit,
            startup_timeout_ns: check::write_span(said.startup_timeout),
            shutdown_timeout_ns: check::write_span(said.shutdown_timeout),
            autostart: said.autostart,
            ports: check::write_list(&said.ports, MOST_PORTS, "ApplicationSpec.ports")?,
            options: said.options.iter().map(section).collect::<Result<_, EncodeError>>()?,
            // Not said if there is nothing to say, so that frames of the first version stay as they were.
            process: (!said.process.is_default()).then(|| ProcessSpec::write(&said.process)).transpose()?,
            // What nobody uses is not said: the bytes are those of the first release.
            conduct: match &said.conduct {
                unused if *unused == model::ConductSpec::default() => None,
                used => Some(ConductSpec::write(used)?),
            },
        })
    }

    fn read(self) -> Result<model::ApplicationSpec, MessageError> {
        if self.command.is_empty() {
            return Err(MessageError::Missing { field: "ApplicationSpec.command" });
        }
        check::bound_read(self.command.len(), MOST_ARGUMENTS, "ApplicationSpec.command")?;
        check::bound_read(self.environment.len(), MOST_VARIABLES, "ApplicationSpec.environment")?;
        check::bound_read(self.success_codes.len(), MOST_SUCCESS_CODES, "ApplicationSpec.success_codes")?;
        check::bound_read(self.options.len(), MOST_SECTIONS, "ApplicationSpec.options")?;
        let section = |(name, values): (String, OptionSection)| Ok((name, values.read()?));
        Ok(model::ApplicationSpec {
            host: check::name(&self.host, "ApplicationSpec.host")?,
            kind: self.kind,
            interface: word::Interface::read(self.interface, "ApplicationSpec.interface")?,
            command: self.command,
            working_directory: self.working_directory,
            environment: self.environment,
            stop_signal: word::Signal::read(self.stop_signal, "ApplicationSpec.stop_signal")?,
            restart: word::RestartPolicy::read(self.restart, "ApplicationSpec.restart")?,
            success_codes: self.success_codes,
            restart_delay: Duration::from_nanos(self.restart_delay_ns),
            restart_limit: self.restart_limit,
            startup_timeout: Duration::from_nanos(self.startup_timeout_ns),
            shutdown_timeout: Duration::from_nanos(self.shutdown_timeout_ns),
            autostart: self.autostart,
            ports: check::read_list(self.ports, MOST_PORTS, "ApplicationSpec.ports")?,
            options: self.options.into_iter().map(section).collect::<Result<_, MessageError>>()?,
            process: check::read_optional(self.process)?.unwrap_or_default(),
            conduct: check::read_optional(self.conduct)?.unwrap_or_default(),
        })
    }
}

impl Body for PortSpec {
    type Said = model::PortSpec;

    fn write(said: &model::PortSpec) -> Result<Self, EncodeError> {
        Ok(Self {
            id: said.id.clone(),
            port: said.port.into(),
            listening_mode: word::ListeningMode::write(said.listening_mode),
            ha_sync: said.ha_sync,
        })
    }

    fn read(self) -> Result<model::PortSpec, MessageError> {
        Ok(model::PortSpec {
            id: self.id,
            port: check::small_positive(self.port, "PortSpec.port")?,
            listening_mode: word::ListeningMode::read(self.listening_mode, "PortSpec.listening_mode")?,
            ha_sync: self.ha_sync,
        })
    }
}

impl Body for OptionSection {
    type Said = BTreeMap<String, String>;

    fn write(said: &BTreeMap<String, String>) -> Result<Self, EncodeError> {
        check::bound_written(said.len(), MOST_OPTIONS, "OptionSection.values")?;
        Ok(Self { values: said.clone() })
    }

    fn read(self) -> Result<BTreeMap<String, String>, MessageError> {
        check::bound_read(self.values.len(), MOST_OPTIONS, "OptionSection.values")?;
        Ok(self.values)
    }
}

impl Body for PairPlace {
    type Said = ModelPairPlace;

    fn write(said: &ModelPairPlace) -> Result<Self, EncodeError> {
        Ok(Self {
            pair: said.pair.to_string(),
            peer: said.peer.to_string(),
            peer_address: said.peer_address.clone(),
            peer_ports: check::write_list(&said.peer_ports, MOST_PORTS, "PairPlace.peer_ports")?,
            fence_budget_ns: check::write_span(said.fence_budget),
            link_grace_ns: check::write_span(said.link_grace),
            strict: check::write_optional(&said.strict)?,
        })
    }

    fn read(self) -> Result<ModelPairPlace, MessageError> {
        Ok(ModelPairPlace {
            pair: check::name(&self.pair, "PairPlace.pair")?,
            peer: check::name(&self.peer, "PairPlace.peer")?,
            peer_address: self.peer_address,
            peer_ports: check::read_list(self.peer_ports, MOST_PORTS, "PairPlace.peer_ports")?,
            fence_budget: Duration::from_nanos(self.fence_budget_ns),
            link_grace: Duration::from_nanos(self.link_grace_ns),
            strict: check::read_optional(self.strict)?,
        })
    }
}

impl Body for PeerPort {
    type Said = (String, u16);

    fn write((id, port): &(String, u16)) -> Result<Self, EncodeError> {
        Ok(Self { id: id.clone(), port: (*port).into() })
    }

    fn read(self) -> Result<(String, u16), MessageError> {
        Ok((self.id, check::small_positive(self.port, "PeerPort.port")?))
    }
}
