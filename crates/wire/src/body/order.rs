//! Orders and the role epochs in them.
//!
//! Knows nothing of who may give an order. The law: an order without its incarnation or its exact role is refused.

use std::time::Duration;

use understudy_model as model;
use understudy_model::{ControllerEpoch, Epoch, Incarnation, OrderId};

use super::assignment::{Assignment, MOST_APPLICATIONS};
use super::grant::some_span;
use super::{Body, check, word};
use crate::error::{EncodeError, MessageError};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Order {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(bytes = "vec", tag = "2")]
    incarnation: Vec<u8>,
    #[prost(uint64, tag = "3")]
    controller_epoch: u64,
    #[prost(oneof = "Work", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    work: Option<Work>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Work {
    #[prost(message, tag = "4")]
    Assign(Assign),
    #[prost(message, tag = "5")]
    SetGoal(SetGoal),
    #[prost(message, tag = "6")]
    SetHandsOff(SetHandsOff),
    #[prost(message, tag = "7")]
    Restart(Restart),
    #[prost(message, tag = "8")]
    Promote(RoleChange),
    #[prost(message, tag = "9")]
    Demote(RoleChange),
    #[prost(message, tag = "10")]
    LetGo(LetGo),
    #[prost(message, tag = "11")]
    PromoteByVote(PromoteByVote),
    #[prost(message, tag = "12")]
    WouldPromise(WouldPromise),
    #[prost(message, tag = "13")]
    Learn(Learn),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Assign {
    #[prost(message, repeated, tag = "1")]
    assignments: Vec<Assignment>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetGoal {
    #[prost(string, tag = "1")]
    application: String,
    #[prost(enumeration = "word::Goal", tag = "2")]
    goal: i32,
    #[prost(bool, tag = "3")]
    graceful: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetHandsOff {
    #[prost(string, tag = "1")]
    application: String,
    #[prost(bool, tag = "2")]
    hands_off: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Restart {
    #[prost(string, tag = "1")]
    application: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LetGo {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RoleChange {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(message, optional, tag = "2")]
    role: Option<RoleEpoch>,
    #[prost(uint64, tag = "3")]
    time_limit_ns: u64,
}

/// A choice of its own and no more fields of the other promotion: an older agent passes over fields, and would act without
/// a vote.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PromoteByVote {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(message, optional, tag = "2")]
    role: Option<RoleEpoch>,
    #[prost(uint64, tag = "3")]
    time_limit_ns: u64,
    #[prost(uint64, tag = "4")]
    lease_ns: u64,
    #[prost(message, optional, tag = "5")]
    fenced: Option<RoleEpoch>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WouldPromise {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(message, optional, tag = "2")]
    role: Option<RoleEpoch>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Learn {
    #[prost(string, tag = "1")]
    pair: String,
    #[prost(uint64, tag = "2")]
    stored: u64,
    #[prost(uint64, tag = "3")]
    lease_ns: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RoleEpoch {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(string, tag = "2")]
    holder: String,
}

impl Body for Order {
    type Said = model::Order;

    fn write(said: &model::Order) -> Result<Self, EncodeError> {
        Ok(Self {
            id: said.id.0,
            incarnation: check::write_identity(said.incarnation.0),
            controller_epoch: said.controller_epoch.0,
            work: Some(write_work(&said.work)?),
        })
    }

    fn read(self) -> Result<model::Order, MessageError> {
        Ok(model::Order {
            id: OrderId(self.id),
            incarnation: Incarnation(check::read_identity(&self.incarnation, "Order.incarnation")?),
            controller_epoch: ControllerEpoch(self.controller_epoch),
            work: read_work(check::required(self.work, "Order.work")?)?,
        })
    }
}

fn write_work(work: &model::Work) -> Result<Work, EncodeError> {
    Ok(match work {
        model::Work::Assign(assignments) => Work::Assign(Assign {
            assignments: check::write_list(assignments, MOST_APPLICATIONS, "Assign.assignments")?,
        }),
        model::Work::SetGoal { application, goal, graceful } => Work::SetGoal(SetGoal {
            application: application.to_string(),
            goal: word::Goal::write(*goal),
            graceful: *graceful,
        }),
        model::Work::SetHandsOff { application, hands_off } => {
            Work::SetHandsOff(SetHandsOff { application: application.to_string(), hands_off: *hands_off })
        }
        model::Work::Restart { application } => {
            Work::Restart(Restart { application: application.to_string() })
        }
        model::Work::Promote { pair, role, time_limit, grant: None } => {
            Work::Promote(RoleChange::of(pair, role, *time_limit)?)
        }
        model::Work::Promote { pair, role, time_limit, grant: Some(told) } => {
            Work::PromoteByVote(PromoteByVote {
                pair: pair.to_string(),
                role: Some(RoleEpoch::write(role)?),
                time_limit_ns: check::write_span(*time_limit),
                lease_ns: check::write_span(told.lease),
                fenced: check::write_optional(&told.fenced)?,
            })
        }
        model::Work::WouldPromise { pair, role } => {
            Work::WouldPromise(WouldPromise { pair: pair.to_string(), role: Some(RoleEpoch::write(role)?) })
        }
        model::Work::Learn { pair, stored, lease } => Work::Learn(Learn {
            pair: pair.to_string(),
            stored: stored.0,
            lease_ns: check::write_span(*lease),
        }),
        model::Work::Demote { pair, role, time_limit } => {
            Work::Demote(RoleChange::of(pair, role, *time_limit)?)
        }
        model::Work::LetGo => Work::LetGo(LetGo {}),
    })
}

fn read_work(work: Work) -> Result<model::Work, MessageError> {
    Ok(match work {
        Work::Assign(assign) => model::Work::Assign(check::read_list(
            assign.assignments,
            MOST_APPLICATIONS,
            "Assign.assignments",
        )?),
        Work::SetGoal(set) => model::Work::SetGoal {
            application: check::name(&set.application, "SetGoal.application")?,
            goal: word::Goal::read(set.goal, "SetGoal.goal")?,
            graceful: set.graceful,
        },
        Work::SetHandsOff(set) => model::Work::SetHandsOff {
            application: check::name(&set.application, "SetHandsOff.application")?,
            hands_off: set.hands_off,
        },
        Work::Restart(restart) => {
            model::Work::Restart { application: check::name(&restart.application, "Restart.application")? }
        }
        Work::Promote(change) => {
            let (pair, role, time_limit) = change.parts()?;
            model::Work::Promote { pair, role, time_limit, grant: None }
        }
        Work::Demote(change) => {
            let (pair, role, time_limit) = change.parts()?;
            model::Work::Demote { pair, role, time_limit }
        }
        Work::LetGo(LetGo {}) => model::Work::LetGo,
        Work::PromoteByVote(promote) => model::Work::Promote {
            pair: check::name(&promote.pair, "PromoteByVote.pair")?,
            role: check::read_required(promote.role, "PromoteByVote.role")?,
            time_limit: Duration::from_nanos(promote.time_limit_ns),
            grant: Some(model::GrantTold {
                lease: some_span(promote.lease_ns, "PromoteByVote.lease_ns")?,
                fenced: check::read_optional(promote.fenced)?,
            }),
        },
        Work::WouldPromise(would) => model::Work::WouldPromise {
            pair: check::name(&would.pair, "WouldPromise.pair")?,
            role: check::read_required(would.role, "WouldPromise.role")?,
        },
        Work::Learn(learn) => model::Work::Learn {
            pair: check::name(&learn.pair, "Learn.pair")?,
            stored: Epoch(learn.stored),
            lease: Duration::from_nanos(learn.lease_ns),
        },
    })
}

impl RoleChange {
    fn of(
        pair: &model::PairName,
        role: &model::RoleEpoch,
        time_limit: Duration,
    ) -> Result<Self, EncodeError> {
        Ok(Self {
            pair: pair.to_string(),
            role: Some(RoleEpoch::write(role)?),
            time_limit_ns: check::write_span(time_limit),
        })
    }

    fn parts(self) -> Result<(model::PairName, model::RoleEpoch, Duration), MessageError> {
        let pair = check::name(&self.pair, "RoleChange.pair")?;
        let role = check::read_required(self.role, "RoleChange.role")?;
        Ok((pair, role, Duration::from_nanos(self.time_limit_ns)))
    }
}

impl Body for RoleEpoch {
    type Said = model::RoleEpoch;

    fn write(said: &model::RoleEpoch) -> Result<Self, EncodeError> {
        Ok(Self { epoch: said.epoch.0, holder: said.holder.to_string() })
    }

    fn read(self) -> Result<model::RoleEpoch, MessageError> {
        Ok(model::RoleEpoch {
            epoch: check::epoch(self.epoch, "RoleEpoch.epoch")?,
            holder: check::name(&self.holder, "RoleEpoch.holder")?,
        })
    }
}
