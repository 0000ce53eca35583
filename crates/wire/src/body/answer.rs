//! What became of an order.
//!
//! Knows nothing of the order itself. The law: an outcome that cannot be read is an error, never a success.

use std::time::Duration;

use understudy_model as model;
use understudy_model::{ControllerEpoch, Epoch, OrderId};

use super::order::RoleEpoch;
use super::{Body, Nothing, check};
use crate::error::{EncodeError, MessageError};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Answer {
    #[prost(uint64, tag = "1")]
    order: u64,
    #[prost(oneof = "Outcome", tags = "2, 3")]
    outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Outcome {
    #[prost(message, tag = "2")]
    Done(Nothing),
    #[prost(message, tag = "3")]
    Refused(Refusal),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Refusal {
    #[prost(oneof = "RefusalCause", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17")]
    cause: Option<RefusalCause>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum RefusalCause {
    #[prost(uint64, tag = "1")]
    StaleController(u64),
    #[prost(message, tag = "2")]
    OtherIncarnation(Nothing),
    #[prost(message, tag = "3")]
    StaleEpoch(RoleEpoch),
    #[prost(uint64, tag = "4")]
    ClosedEpoch(u64),
    #[prost(message, tag = "5")]
    UnknownApplication(Nothing),
    #[prost(message, tag = "6")]
    NotRunning(Nothing),
    #[prost(string, tag = "7")]
    NotReady(String),
    #[prost(string, tag = "8")]
    ApplicationRefused(String),
    #[prost(message, tag = "9")]
    TooSlow(Nothing),
    #[prost(string, tag = "10")]
    Died(String),
    #[prost(string, tag = "11")]
    NotDurable(String),
    #[prost(message, tag = "12")]
    NotActing(NotActing),
    #[prost(message, tag = "13")]
    Busy(Nothing),
    #[prost(message, tag = "14")]
    Promised(PromisedFor),
    #[prost(string, tag = "15")]
    NotVoting(String),
    #[prost(message, tag = "16")]
    NoVotes(Nothing),
    #[prost(message, tag = "17")]
    NoGuard(Nothing),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NotActing {
    #[prost(message, optional, tag = "1")]
    acting: Option<RoleEpoch>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PromisedFor {
    #[prost(message, optional, tag = "1")]
    role: Option<RoleEpoch>,
    #[prost(uint64, tag = "2")]
    left_ns: u64,
}

impl Body for Answer {
    type Said = model::Answer;

    fn write(said: &model::Answer) -> Result<Self, EncodeError> {
        let outcome = match &said.outcome {
            model::Outcome::Done => Outcome::Done(Nothing {}),
            model::Outcome::Refused(refusal) => Outcome::Refused(Refusal::write(refusal)?),
        };
        Ok(Self { order: said.order.0, outcome: Some(outcome) })
    }

    fn read(self) -> Result<model::Answer, MessageError> {
        let outcome = match check::required(self.outcome, "Answer.outcome")? {
            Outcome::Done(Nothing {}) => model::Outcome::Done,
            Outcome::Refused(refusal) => model::Outcome::Refused(refusal.read()?),
        };
        Ok(model::Answer { order: OrderId(self.order), outcome })
    }
}

impl Body for Refusal {
    type Said = model::Refusal;

    fn write(said: &model::Refusal) -> Result<Self, EncodeError> {
        use RefusalCause as Cause;
        let cause = match said {
            model::Refusal::StaleController(known) => Cause::StaleController(known.0),
            model::Refusal::OtherIncarnation => Cause::OtherIncarnation(Nothing {}),
            model::Refusal::StaleEpoch(role) => Cause::StaleEpoch(RoleEpoch::write(role)?),
            model::Refusal::ClosedEpoch(epoch) => Cause::ClosedEpoch(epoch.0),
            model::Refusal::UnknownApplication => Cause::UnknownApplication(Nothing {}),
            model::Refusal::NotRunning => Cause::NotRunning(Nothing {}),
            model::Refusal::NotReady(why) => Cause::NotReady(check::cut_text(why)),
            model::Refusal::ApplicationRefused(why) => Cause::ApplicationRefused(check::cut_text(why)),
            model::Refusal::TooSlow => Cause::TooSlow(Nothing {}),
            model::Refusal::Died(how) => Cause::Died(check::cut_text(how)),
            model::Refusal::NotDurable(why) => Cause::NotDurable(check::cut_text(why)),
            model::Refusal::NotActing(acting) => {
                Cause::NotActing(NotActing { acting: check::write_optional(acting)? })
            }
            model::Refusal::Busy => Cause::Busy(Nothing {}),
            model::Refusal::Promised(role, left) => Cause::Promised(PromisedFor {
                role: Some(RoleEpoch::write(role)?),
                left_ns: check::write_span(*left),
            }),
            model::Refusal::NotVoting(why) => Cause::NotVoting(check::cut_text(why)),
            model::Refusal::NoVotes => Cause::NoVotes(Nothing {}),
            model::Refusal::NoGuard => Cause::NoGuard(Nothing {}),
        };
        Ok(Self { cause: Some(cause) })
    }

    fn read(self) -> Result<model::Refusal, MessageError> {
        use RefusalCause as Cause;
        Ok(match check::required(self.cause, "Refusal.cause")? {
            Cause::StaleController(known) => model::Refusal::StaleController(ControllerEpoch(known)),
            Cause::OtherIncarnation(Nothing {}) => model::Refusal::OtherIncarnation,
            Cause::StaleEpoch(role) => model::Refusal::StaleEpoch(role.read()?),
            Cause::ClosedEpoch(epoch) => model::Refusal::ClosedEpoch(Epoch(epoch)),
            Cause::UnknownApplication(Nothing {}) => model::Refusal::UnknownApplication,
            Cause::NotRunning(Nothing {}) => model::Refusal::NotRunning,
            Cause::NotReady(why) => model::Refusal::NotReady(check::text(why, "Refusal.not_ready")?),
            Cause::ApplicationRefused(why) => {
                model::Refusal::ApplicationRefused(check::text(why, "Refusal.application_refused")?)
            }
            Cause::TooSlow(Nothing {}) => model::Refusal::TooSlow,
            Cause::Died(how) => model::Refusal::Died(check::text(how, "Refusal.died")?),
            Cause::NotDurable(why) => model::Refusal::NotDurable(check::text(why, "Refusal.not_durable")?),
            Cause::NotActing(not) => model::Refusal::NotActing(check::read_optional(not.acting)?),
            Cause::Busy(Nothing {}) => model::Refusal::Busy,
            Cause::Promised(PromisedFor { role, left_ns }) => model::Refusal::Promised(
                check::read_required(role, "PromisedFor.role")?,
                Duration::from_nanos(left_ns),
            ),
            Cause::NotVoting(why) => model::Refusal::NotVoting(check::text(why, "Refusal.not_voting")?),
            Cause::NoVotes(Nothing {}) => model::Refusal::NoVotes,
            Cause::NoGuard(Nothing {}) => model::Refusal::NoGuard,
        })
    }
}
