//! What is said of clocks: a reading beside an answer, and what a comparison has proven.
//!
//! Knows nothing of how clocks are compared. The law: both are beside the point of the message that carries them, so a reader
//! that does not know them loses nothing but the comparison.

use std::time::Duration;

use understudy_model as model;
use understudy_model::{ClockId, Moment, OtherClock};

use super::{Body, check, word};
use crate::error::{EncodeError, MessageError};

/// The most doubts of one pair: its two other voters, and control servers that came and went.
pub(super) const MOST_DOUBTS: usize = 8;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ClockReading {
    #[prost(bytes = "vec", tag = "1")]
    clock: Vec<u8>,
    #[prost(uint64, tag = "2")]
    at_ns: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ClockDoubt {
    #[prost(oneof = "Other", tags = "1, 2")]
    other: Option<Other>,
    #[prost(enumeration = "word::WhichClock", tag = "3")]
    behind: i32,
    #[prost(enumeration = "word::Lapse", tag = "4")]
    lapse: i32,
    #[prost(uint64, tag = "5")]
    own_least_ns: u64,
    #[prost(uint64, tag = "6")]
    own_most_ns: u64,
    #[prost(sint64, tag = "7")]
    other_ns: i64,
    #[prost(uint32, tag = "8")]
    drift_ppm: u32,
    #[prost(enumeration = "word::WhichClock", optional, tag = "9")]
    wrong: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Other {
    #[prost(string, tag = "1")]
    Host(String),
    #[prost(string, tag = "2")]
    Controller(String),
}

impl Body for ClockReading {
    type Said = model::ClockReading;

    fn write(said: &model::ClockReading) -> Result<Self, EncodeError> {
        Ok(Self { clock: check::write_identity(said.clock.0), at_ns: said.at.0 })
    }

    fn read(self) -> Result<model::ClockReading, MessageError> {
        let clock = ClockId(check::read_identity(&self.clock, "ClockReading.clock")?);
        Ok(model::ClockReading { clock, at: Moment(self.at_ns) })
    }
}

impl Body for ClockDoubt {
    type Said = model::ClockDoubt;

    fn write(said: &model::ClockDoubt) -> Result<Self, EncodeError> {
        let other = match &said.other {
            OtherClock::Host(host) => Other::Host(host.to_string()),
            OtherClock::Controller(name) => Other::Controller(name.to_string()),
        };
        Ok(Self {
            other: Some(other),
            behind: word::WhichClock::write(said.behind),
            lapse: word::Lapse::write(said.lapse),
            own_least_ns: check::write_span(said.own_least),
            own_most_ns: check::write_span(said.own_most),
            other_ns: said.other_ns,
            drift_ppm: said.drift_ppm,
            wrong: said.wrong.map(word::WhichClock::write),
        })
    }

    fn read(self) -> Result<model::ClockDoubt, MessageError> {
        let other = match check::required(self.other, "ClockDoubt.other")? {
            Other::Host(host) => OtherClock::Host(check::name(&host, "ClockDoubt.host")?),
            Other::Controller(name) => OtherClock::Controller(check::name(&name, "ClockDoubt.controller")?),
        };
        let wrong = self.wrong.map(|number| word::WhichClock::read(number, "ClockDoubt.wrong"));
        Ok(model::ClockDoubt {
            other,
            behind: word::WhichClock::read(self.behind, "ClockDoubt.behind")?,
            lapse: word::Lapse::read(self.lapse, "ClockDoubt.lapse")?,
            own_least: Duration::from_nanos(self.own_least_ns),
            own_most: Duration::from_nanos(self.own_most_ns),
            other_ns: self.other_ns,
            drift_ppm: self.drift_ppm,
            wrong: wrong.transpose()?,
        })
    }
}
