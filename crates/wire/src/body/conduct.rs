//! How a program without the library takes part: hooks, signals, probes, limits of silence.
//!
//! Knows nothing of processes. The law: all of it may be absent and then means "not used"; every list is bounded.

use std::time::Duration;

use understudy_model as model;

use super::assignment::MOST_ARGUMENTS;
use super::{Body, check, word};
use crate::error::{EncodeError, MessageError};

/// A signal of 0, a span of 0 and an empty command are "none".
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConductSpec {
    #[prost(message, optional, tag = "1")]
    hooks: Option<HooksSpec>,
    #[prost(enumeration = "word::Signal", tag = "2")]
    promote_signal: i32,
    #[prost(enumeration = "word::Signal", tag = "3")]
    demote_signal: i32,
    #[prost(enumeration = "word::Signal", tag = "4")]
    reload_signal: i32,
    #[prost(string, repeated, tag = "5")]
    stop_command: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    start_before: Vec<String>,
    #[prost(uint64, tag = "7")]
    watchdog_ns: u64,
    #[prost(uint64, tag = "8")]
    hang_limit_ns: u64,
    #[prost(message, optional, tag = "9")]
    probe: Option<ProbeSpec>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HooksSpec {
    #[prost(string, repeated, tag = "1")]
    on_start: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    on_promote: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    on_demote: Vec<String>,
    #[prost(string, optional, tag = "4")]
    user: Option<String>,
    #[prost(uint64, tag = "5")]
    timeout_ns: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProbeSpec {
    #[prost(string, repeated, tag = "1")]
    exec: Vec<String>,
    #[prost(string, tag = "2")]
    tcp: String,
    #[prost(string, tag = "3")]
    http: String,
    #[prost(uint64, tag = "4")]
    interval_ns: u64,
    #[prost(uint64, tag = "5")]
    timeout_ns: u64,
    #[prost(uint32, tag = "6")]
    failures: u32,
}

fn write_signal(signal: Option<model::Signal>) -> i32 {
    signal.map_or(0, word::Signal::write)
}

fn read_signal(number: i32, field: &'static str) -> Result<Option<model::Signal>, MessageError> {
    if number == 0 { Ok(None) } else { word::Signal::read(number, field).map(Some) }
}

fn write_limit(limit: Option<Duration>) -> u64 {
    limit.map_or(0, check::write_span)
}

fn read_limit(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
}

fn write_command(command: &[String], field: &'static str) -> Result<Vec<String>, EncodeError> {
    check::bound_written(command.len(), MOST_ARGUMENTS, field)?;
    Ok(command.to_vec())
}

fn read_command(command: Vec<String>, field: &'static str) -> Result<Vec<String>, MessageError> {
    check::bound_read(command.len(), MOST_ARGUMENTS, field)?;
    Ok(command)
}

/// A span that must be above zero.
fn positive(nanoseconds: u64, field: &'static str) -> Result<Duration, MessageError> {
    read_limit(nanoseconds).ok_or(MessageError::Missing { field })
}

impl Body for ConductSpec {
    type Said = model::ConductSpec;

    fn write(said: &model::ConductSpec) -> Result<Self, EncodeError> {
        Ok(Self {
            hooks: Some(HooksSpec::write(&said.hooks)?),
            promote_signal: write_signal(said.promote_signal),
            demote_signal: write_signal(said.demote_signal),
            reload_signal: write_signal(said.reload_signal),
            stop_command: write_command(&said.stop_command, "ConductSpec.stop_command")?,
            start_before: write_command(&said.start_before, "ConductSpec.start_before")?,
            watchdog_ns: write_limit(said.watchdog),
            hang_limit_ns: write_limit(said.hang_limit),
            probe: check::write_optional(&said.probe)?,
        })
    }

    fn read(self) -> Result<model::ConductSpec, MessageError> {
        Ok(model::ConductSpec {
            hooks: check::read_optional(self.hooks)?.unwrap_or_default(),
            promote_signal: read_signal(self.promote_signal, "ConductSpec.promote_signal")?,
            demote_signal: read_signal(self.demote_signal, "ConductSpec.demote_signal")?,
            reload_signal: read_signal(self.reload_signal, "ConductSpec.reload_signal")?,
            stop_command: read_command(self.stop_command, "ConductSpec.stop_command")?,
            start_before: read_command(self.start_before, "ConductSpec.start_before")?,
            watchdog: read_limit(self.watchdog_ns),
            hang_limit: read_limit(self.hang_limit_ns),
            probe: check::read_optional(self.probe)?,
        })
    }
}

impl Body for HooksSpec {
    type Said = model::HooksSpec;

    fn write(said: &model::HooksSpec) -> Result<Self, EncodeError> {
        Ok(Self {
            on_start: write_command(&said.on_start, "HooksSpec.on_start")?,
            on_promote: write_command(&said.on_promote, "HooksSpec.on_promote")?,
            on_demote: write_command(&said.on_demote, "HooksSpec.on_demote")?,
            user: said.user.clone(),
            timeout_ns: check::write_span(said.timeout),
        })
    }

    fn read(self) -> Result<model::HooksSpec, MessageError> {
        Ok(model::HooksSpec {
            on_start: read_command(self.on_start, "HooksSpec.on_start")?,
            on_promote: read_command(self.on_promote, "HooksSpec.on_promote")?,
            on_demote: read_command(self.on_demote, "HooksSpec.on_demote")?,
            user: self.user,
            timeout: positive(self.timeout_ns, "HooksSpec.timeout_ns")?,
        })
    }
}

impl Body for ProbeSpec {
    type Said = model::ProbeSpec;

    fn write(said: &model::ProbeSpec) -> Result<Self, EncodeError> {
        let (mut exec, mut tcp, mut http) = (Vec::new(), String::new(), String::new());
        match &said.ask {
            model::Ask::Exec(command) => exec = write_command(command, "ProbeSpec.exec")?,
            model::Ask::Tcp(address) => tcp.clone_from(address),
            model::Ask::Http(url) => http.clone_from(url),
        }
        Ok(Self {
            exec,
            tcp,
            http,
            interval_ns: check::write_span(said.interval),
            timeout_ns: check::write_span(said.timeout),
            failures: said.failures,
        })
    }

    fn read(self) -> Result<model::ProbeSpec, MessageError> {
        let ask = match (self.exec.is_empty(), self.tcp.is_empty(), self.http.is_empty()) {
            (false, true, true) => model::Ask::Exec(read_command(self.exec, "ProbeSpec.exec")?),
            (true, false, true) => model::Ask::Tcp(check::text(self.tcp, "ProbeSpec.tcp")?),
            (true, true, false) => model::Ask::Http(check::text(self.http, "ProbeSpec.http")?),
            // None, or a question with two answers.
            _ => return Err(MessageError::Missing { field: "ProbeSpec.ask" }),
        };
        Ok(model::ProbeSpec {
            ask,
            interval: positive(self.interval_ns, "ProbeSpec.interval_ns")?,
            timeout: positive(self.timeout_ns, "ProbeSpec.timeout_ns")?,
            failures: self.failures.max(1),
        })
    }
}
