//! Requests for votes, their answers, releases, and what a strict pair needs to know of its grants.
//!
//! Knows nothing of who may ask. The law: no moment of a lease travels, only spans; a lease of nothing is refused, as a promise that is
//! over when it is made binds nobody.

use std::time::Duration;

use understudy_model as model;
use understudy_model::{Epoch, Incarnation, LONGEST_ADDP_TIMEOUT, SHORTEST_ADDP_TIMEOUT};

use super::clock::{ClockDoubt, ClockReading, MOST_DOUBTS};
use super::order::RoleEpoch;
use super::{Body, Nothing, check, word};
use crate::application::LONGEST_TEXT_BYTES;
use crate::error::{EncodeError, MessageError};

/// The most addresses of one host.
const MOST_ADDRESSES: usize = 16;
/// A clock cannot lose more than all of its time.
const WHOLE_PPM: u32 = 1_000_000;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VoteAsk {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(bytes = "vec", tag = "2")]
    incarnation: Vec<u8>,
    #[prost(uint64, tag = "3")]
    number: u64,
    #[prost(message, optional, tag = "4")]
    role: Option<RoleEpoch>,
    #[prost(uint64, tag = "5")]
    lease_ns: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VoteAnswer {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(bytes = "vec", tag = "2")]
    incarnation: Vec<u8>,
    #[prost(uint64, tag = "3")]
    number: u64,
    #[prost(message, optional, tag = "4")]
    role: Option<RoleEpoch>,
    #[prost(oneof = "Verdict", tags = "5, 6")]
    verdict: Option<Verdict>,
    #[prost(message, optional, tag = "7")]
    clock: Option<ClockReading>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Verdict {
    #[prost(message, tag = "5")]
    Given(Nothing),
    #[prost(message, tag = "6")]
    Refused(VoteRefused),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct VoteRefused {
    #[prost(message, optional, tag = "1")]
    promised: Option<RoleEpoch>,
    #[prost(string, tag = "2")]
    why: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Release {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(message, optional, tag = "2")]
    role: Option<RoleEpoch>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GrantReport {
    #[prost(bool, tag = "1")]
    unread: bool,
    #[prost(bool, tag = "2")]
    peer_heard: bool,
    #[prost(uint64, tag = "3")]
    peer_released: u64,
    #[prost(bool, tag = "4")]
    silent: bool,
    #[prost(message, repeated, tag = "5")]
    clocks: Vec<ClockDoubt>,
    #[prost(uint64, tag = "6")]
    lease_ns: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StrictPlace {
    #[prost(message, optional, tag = "1")]
    terms: Option<Terms>,
    #[prost(string, tag = "2")]
    peer_host: String,
    #[prost(string, repeated, tag = "3")]
    peer_addresses: Vec<String>,
    #[prost(message, optional, tag = "4")]
    peer_addp: Option<AddpSettings>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Terms {
    #[prost(uint64, tag = "1")]
    lease_ns: u64,
    #[prost(uint32, tag = "2")]
    drift_ppm: u32,
    #[prost(uint64, tag = "3")]
    leader_lease_ns: u64,
    #[prost(uint64, tag = "4")]
    renew_every_ns: u64,
    #[prost(uint64, tag = "5")]
    fence_budget_ns: u64,
    #[prost(uint64, tag = "6")]
    kill_budget_ns: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AddpSettings {
    #[prost(uint64, tag = "1")]
    timeout_ns: u64,
    #[prost(uint64, tag = "2")]
    remote_timeout_ns: u64,
    #[prost(enumeration = "word::AddpTrace", tag = "3")]
    trace: i32,
}

/// A span that must not be nothing.
pub(super) fn some_span(nanoseconds: u64, field: &'static str) -> Result<Duration, MessageError> {
    if nanoseconds == 0 {
        return Err(MessageError::OutOfRange { field, found: 0, least: 1, most: u64::MAX });
    }
    Ok(Duration::from_nanos(nanoseconds))
}

impl Body for VoteAsk {
    type Said = model::VoteAsk;

    fn write(said: &model::VoteAsk) -> Result<Self, EncodeError> {
        Ok(Self {
            pair: said.pair.to_string(),
            incarnation: check::write_identity(said.incarnation.0),
            number: said.number,
            role: Some(RoleEpoch::write(&said.role)?),
            lease_ns: check::write_span(said.lease),
        })
    }

    fn read(self) -> Result<model::VoteAsk, MessageError> {
        Ok(model::VoteAsk {
            pair: check::name(&self.pair, "VoteAsk.pair")?,
            incarnation: Incarnation(check::read_identity(&self.incarnation, "VoteAsk.incarnation")?),
            number: self.number,
            role: check::read_required(self.role, "VoteAsk.role")?,
            lease: some_span(self.lease_ns, "VoteAsk.lease_ns")?,
        })
    }
}

impl Body for VoteAnswer {
    type Said = model::VoteAnswer;

    fn write(said: &model::VoteAnswer) -> Result<Self, EncodeError> {
        let verdict = match &said.verdict {
            model::Verdict::Given => Verdict::Given(Nothing {}),
            model::Verdict::Refused { promised, why } => Verdict::Refused(VoteRefused {
                promised: check::write_optional(promised)?,
                why: check::cut_text(why),
            }),
        };
        Ok(Self {
            pair: said.pair.to_string(),
            incarnation: check::write_identity(said.incarnation.0),
            number: said.number,
            role: Some(RoleEpoch::write(&said.role)?),
            verdict: Some(verdict),
            clock: check::write_optional(&said.clock)?,
        })
    }

    fn read(self) -> Result<model::VoteAnswer, MessageError> {
        let verdict = match check::required(self.verdict, "VoteAnswer.verdict")? {
            Verdict::Given(Nothing {}) => model::Verdict::Given,
            Verdict::Refused(refused) => model::Verdict::Refused {
                promised: check::read_optional(refused.promised)?,
                why: check::text(refused.why, "VoteRefused.why")?,
            },
        };
        Ok(model::VoteAnswer {
            pair: check::name(&self.pair, "VoteAnswer.pair")?,
            incarnation: Incarnation(check::read_identity(&self.incarnation, "VoteAnswer.incarnation")?),
            number: self.number,
            role: check::read_required(self.role, "VoteAnswer.role")?,
            verdict,
            clock: check::read_optional(self.clock)?,
        })
    }
}

impl Body for Release {
    type Said = model::Release;

    fn write(said: &model::Release) -> Result<Self, EncodeError> {
        Ok(Self { pair: said.pair.to_string(), role: Some(RoleEpoch::write(&said.role)?) })
    }

    fn read(self) -> Result<model::Release, MessageError> {
        Ok(model::Release {
            pair: check::name(&self.pair, "Release.pair")?,
            role: check::read_required(self.role, "Release.role")?,
        })
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Remembered {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(message, optional, tag = "2")]
    voted: Option<RoleEpoch>,
    #[prost(uint64, tag = "3")]
    released: u64,
    #[prost(uint64, tag = "4")]
    lease_ns: u64,
}

impl Body for Remembered {
    type Said = model::Remembered;

    fn write(said: &model::Remembered) -> Result<Self, EncodeError> {
        Ok(Self {
            pair: said.pair.to_string(),
            voted: check::write_optional(&said.voted)?,
            released: said.released.0,
            lease_ns: check::write_span(said.lease),
        })
    }

    fn read(self) -> Result<model::Remembered, MessageError> {
        Ok(model::Remembered {
            pair: check::name(&self.pair, "Remembered.pair")?,
            voted: check::read_optional(self.voted)?,
            released: Epoch(self.released),
            lease: Duration::from_nanos(self.lease_ns),
        })
    }
}

impl Body for GrantReport {
    type Said = model::GrantReport;

    fn write(said: &model::GrantReport) -> Result<Self, EncodeError> {
        Ok(Self {
            unread: said.unread,
            peer_heard: said.peer_heard,
            peer_released: said.peer_released.0,
            silent: said.silent,
            clocks: check::write_list(&said.clocks, MOST_DOUBTS, "GrantReport.clocks")?,
            lease_ns: check::write_span(said.lease),
        })
    }

    fn read(self) -> Result<model::GrantReport, MessageError> {
        Ok(model::GrantReport {
            unread: self.unread,
            silent: self.silent,
            peer_heard: self.peer_heard,
            peer_released: check::epoch(self.peer_released, "GrantReport.peer_released")?,
            clocks: check::read_list(self.clocks, MOST_DOUBTS, "GrantReport.clocks")?,
            lease: Duration::from_nanos(self.lease_ns),
        })
    }
}

impl Body for StrictPlace {
    type Said = model::StrictPlace;

    fn write(said: &model::StrictPlace) -> Result<Self, EncodeError> {
        let field = "StrictPlace.peer_addresses";
        check::bound_written(said.peer_addresses.len(), MOST_ADDRESSES, field)?;
        if let Some(bytes) =
            said.peer_addresses.iter().map(String::len).find(|bytes| *bytes > LONGEST_TEXT_BYTES)
        {
            return Err(EncodeError::TooLong { field, bytes, limit: LONGEST_TEXT_BYTES });
        }
        Ok(Self {
            terms: Some(Terms::write(&said.terms)?),
            peer_host: said.peer_host.to_string(),
            peer_addresses: said.peer_addresses.clone(),
            peer_addp: Some(AddpSettings::write(&said.peer_addp)?),
        })
    }

    fn read(self) -> Result<model::StrictPlace, MessageError> {
        let field = "StrictPlace.peer_addresses";
        check::bound_read(self.peer_addresses.len(), MOST_ADDRESSES, field)?;
        let addresses = self.peer_addresses.into_iter().map(|address| check::text(address, field));
        Ok(model::StrictPlace {
            terms: check::read_required(self.terms, "StrictPlace.terms")?,
            peer_host: check::name(&self.peer_host, "StrictPlace.peer_host")?,
            peer_addresses: addresses.collect::<Result<_, MessageError>>()?,
            peer_addp: check::read_required(self.peer_addp, "StrictPlace.peer_addp")?,
        })
    }
}

impl Body for Terms {
    type Said = model::Terms;

    fn write(said: &model::Terms) -> Result<Self, EncodeError> {
        Ok(Self {
            lease_ns: check::write_span(said.lease),
            drift_ppm: said.drift_ppm,
            leader_lease_ns: check::write_span(said.leader_lease),
            renew_every_ns: check::write_span(said.renew_every),
            fence_budget_ns: check::write_span(said.fence_budget),
            kill_budget_ns: check::write_span(said.kill_budget),
        })
    }

    fn read(self) -> Result<model::Terms, MessageError> {
        if self.drift_ppm > WHOLE_PPM {
            let (found, most) = (self.drift_ppm.into(), WHOLE_PPM.into());
            return Err(MessageError::OutOfRange { field: "Terms.drift_ppm", found, least: 0, most });
        }
        Ok(model::Terms {
            lease: some_span(self.lease_ns, "Terms.lease_ns")?,
            drift_ppm: self.drift_ppm,
            leader_lease: some_span(self.leader_lease_ns, "Terms.leader_lease_ns")?,
            renew_every: some_span(self.renew_every_ns, "Terms.renew_every_ns")?,
            fence_budget: Duration::from_nanos(self.fence_budget_ns),
            kill_budget: Duration::from_nanos(self.kill_budget_ns),
        })
    }
}

impl Body for AddpSettings {
    type Said = model::AddpSettings;

    fn write(said: &model::AddpSettings) -> Result<Self, EncodeError> {
        Ok(Self {
            timeout_ns: check::write_span(said.timeout),
            remote_timeout_ns: check::write_span(said.remote_timeout),
            trace: word::AddpTrace::write(said.trace),
        })
    }

    fn read(self) -> Result<model::AddpSettings, MessageError> {
        let (least, most) =
            (check::write_span(SHORTEST_ADDP_TIMEOUT), check::write_span(LONGEST_ADDP_TIMEOUT));
        let timeout = |found: u64, field| match found {
            0 => Ok(Duration::ZERO),
            found if (least..=most).contains(&found) => Ok(Duration::from_nanos(found)),
            found => Err(MessageError::OutOfRange { field, found, least, most }),
        };
        Ok(model::AddpSettings {
            timeout: timeout(self.timeout_ns, "AddpSettings.timeout_ns")?,
            remote_timeout: timeout(self.remote_timeout_ns, "AddpSettings.remote_timeout_ns")?,
            trace: word::AddpTrace::read(self.trace, "AddpSettings.trace")?,
        })
    }
}
