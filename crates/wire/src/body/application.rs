//! The two directions of the conversation between an application and its agent.
//!
//! Knows nothing of control servers. The law: the first message of each side says which versions it speaks, or which
//! one was chosen.

use understudy_model as model;
use understudy_model::Epoch;

use super::greeting::VersionRange;
use super::{Body, Nothing, check, word};
use crate::application::{ApplicationHears, ApplicationSays};
use crate::error::{EncodeError, MessageError};
use crate::version::SPOKEN;

/// Frame kind 3.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FromApplication {
    #[prost(oneof = "FromApplicationChoice", tags = "1, 2, 3, 4, 5, 6, 7, 30")]
    said: Option<FromApplicationChoice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum FromApplicationChoice {
    #[prost(message, tag = "1")]
    Attach(Attach),
    #[prost(message, tag = "2")]
    Readiness(Readiness),
    #[prost(message, tag = "3")]
    RunModeDone(RunModeDone),
    #[prost(message, tag = "4")]
    RunModeRefused(RunModeRefused),
    #[prost(message, tag = "5")]
    Suspended(Nothing),
    #[prost(uint64, tag = "6")]
    Pong(u64),
    #[prost(uint64, tag = "7")]
    Confirm(u64),
    #[prost(message, tag = "30")]
    InSync(InSync),
}

/// Frame kind 4.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ToApplication {
    #[prost(oneof = "ToApplicationChoice", tags = "1, 2, 3, 4, 5, 6, 30")]
    said: Option<ToApplicationChoice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ToApplicationChoice {
    #[prost(message, tag = "1")]
    Attached(Attached),
    #[prost(string, tag = "2")]
    AttachRefused(String),
    #[prost(message, tag = "3")]
    SetRunMode(SetRunMode),
    #[prost(message, tag = "4")]
    Suspend(Nothing),
    #[prost(uint64, tag = "5")]
    Ping(u64),
    #[prost(message, tag = "6")]
    Confirmed(Confirmed),
    #[prost(message, tag = "30")]
    InSyncDone(InSyncDone),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InSync {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(enumeration = "word::InSyncWish", tag = "3")]
    wish: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InSyncDone {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(string, optional, tag = "2")]
    refused: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Confirmed {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(uint64, optional, tag = "2")]
    epoch: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Attach {
    #[prost(message, optional, tag = "1")]
    versions: Option<VersionRange>,
    #[prost(string, tag = "2")]
    application: String,
    #[prost(uint32, tag = "3")]
    pid: u32,
    #[prost(enumeration = "word::RunMode", tag = "4")]
    run_mode: i32,
    #[prost(uint64, tag = "5")]
    epoch: u64,
    #[prost(message, optional, tag = "6")]
    readiness: Option<Readiness>,
    #[prost(bool, tag = "7")]
    suspended: bool,
    #[prost(bool, tag = "8")]
    heartbeat: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Readiness {
    #[prost(oneof = "ReadinessChoice", tags = "1, 2, 3")]
    is: Option<ReadinessChoice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ReadinessChoice {
    #[prost(message, tag = "1")]
    NotYet(Nothing),
    #[prost(message, tag = "2")]
    Ready(Nothing),
    #[prost(string, tag = "3")]
    Unavailable(String),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RunModeDone {
    #[prost(enumeration = "word::RunMode", tag = "1")]
    run_mode: i32,
    #[prost(uint64, tag = "2")]
    epoch: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RunModeRefused {
    #[prost(enumeration = "word::RunMode", tag = "1")]
    run_mode: i32,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(string, tag = "3")]
    reason: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Attached {
    #[prost(uint32, tag = "1")]
    version: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SetRunMode {
    #[prost(enumeration = "word::RunMode", tag = "1")]
    run_mode: i32,
    #[prost(uint64, tag = "2")]
    epoch: u64,
}

impl Body for FromApplication {
    type Said = ApplicationSays;

    fn write(says: &ApplicationSays) -> Result<Self, EncodeError> {
        use FromApplicationChoice as Choice;
        let choice = match says.said() {
            model::FromApplication::Attach {
                application,
                pid,
                run_mode,
                epoch,
                readiness,
                suspended,
                heartbeat,
            } => Choice::Attach(Attach {
                versions: Some(VersionRange::write(&says.versions().unwrap_or(SPOKEN))?),
                application: application.to_string(),
                pid: *pid,
                run_mode: word::RunMode::write(*run_mode),
                epoch: epoch.0,
                readiness: Some(Readiness::write(readiness)?),
                suspended: *suspended,
                heartbeat: *heartbeat,
            }),
            model::FromApplication::Readiness(readiness) => Choice::Readiness(Readiness::write(readiness)?),
            model::FromApplication::RunModeDone { run_mode, epoch } => {
                Choice::RunModeDone(RunModeDone { run_mode: word::RunMode::write(*run_mode), epoch: epoch.0 })
            }
            model::FromApplication::RunModeRefused { run_mode, epoch, reason } => {
                Choice::RunModeRefused(RunModeRefused {
                    run_mode: word::RunMode::write(*run_mode),
                    epoch: epoch.0,
                    reason: check::cut_text(reason),
                })
            }
            model::FromApplication::Suspended => Choice::Suspended(Nothing {}),
            model::FromApplication::Pong(number) => Choice::Pong(*number),
            model::FromApplication::Confirm(number) => Choice::Confirm(*number),
            model::FromApplication::InSync { number, epoch, wish } => {
                let wish = word::InSyncWish::write(*wish);
                Choice::InSync(InSync { number: *number, epoch: epoch.0, wish })
            }
        };
        Ok(Self { said: Some(choice) })
    }

    fn read(self) -> Result<ApplicationSays, MessageError> {
        use FromApplicationChoice as Choice;
        let said = match check::required(self.said, "FromApplication.said")? {
            Choice::Attach(attach) => return attach.read(),
            Choice::Readiness(readiness) => model::FromApplication::Readiness(readiness.read()?),
            Choice::RunModeDone(done) => model::FromApplication::RunModeDone {
                run_mode: word::RunMode::read(done.run_mode, "RunModeDone.run_mode")?,
                epoch: Epoch(done.epoch),
            },
            Choice::RunModeRefused(refused) => model::FromApplication::RunModeRefused {
                run_mode: word::RunMode::read(refused.run_mode, "RunModeRefused.run_mode")?,
                epoch: Epoch(refused.epoch),
                reason: check::text(refused.reason, "RunModeRefused.reason")?,
            },
            Choice::Suspended(Nothing {}) => model::FromApplication::Suspended,
            Choice::Pong(number) => model::FromApplication::Pong(number),
            Choice::Confirm(number) => model::FromApplication::Confirm(number),
            Choice::InSync(InSync { number, epoch, wish }) => model::FromApplication::InSync {
                number,
                epoch: check::epoch(epoch, "InSync.epoch")?,
                wish: word::InSyncWish::read(wish, "InSync.wish")?,
            },
        };
        Ok(said.into())
    }
}

impl Attach {
    fn read(self) -> Result<ApplicationSays, MessageError> {
        let versions = check::read_required(self.versions, "Attach.versions")?;
        let said = model::FromApplication::Attach {
            application: check::name(&self.application, "Attach.application")?,
            pid: self.pid,
            run_mode: word::RunMode::read(self.run_mode, "Attach.run_mode")?,
            epoch: Epoch(self.epoch),
            readiness: check::read_required(self.readiness, "Attach.readiness")?,
            suspended: self.suspended,
            heartbeat: self.heartbeat,
        };
        Ok(ApplicationSays::from(said).with_versions(versions))
    }
}

impl Body for ToApplication {
    type Said = ApplicationHears;

    fn write(hears: &ApplicationHears) -> Result<Self, EncodeError> {
        use ToApplicationChoice as Choice;
        let choice = match hears.said() {
            model::ToApplication::Attached => {
                Choice::Attached(Attached { version: hears.version().unwrap_or(SPOKEN.max).into() })
            }
            model::ToApplication::AttachRefused(reason) => Choice::AttachRefused(check::cut_text(reason)),
            model::ToApplication::SetRunMode { run_mode, epoch } => {
                Choice::SetRunMode(SetRunMode { run_mode: word::RunMode::write(*run_mode), epoch: epoch.0 })
            }
            model::ToApplication::Suspend => Choice::Suspend(Nothing {}),
            model::ToApplication::Ping(number) => Choice::Ping(*number),
            model::ToApplication::Confirmed { number, epoch } => {
                Choice::Confirmed(Confirmed { number: *number, epoch: epoch.map(|epoch| epoch.0) })
            }
            model::ToApplication::InSyncDone { number, refused } => {
                let refused = refused.as_deref().map(check::cut_text);
                Choice::InSyncDone(InSyncDone { number: *number, refused })
            }
        };
        Ok(Self { said: Some(choice) })
    }

    fn read(self) -> Result<ApplicationHears, MessageError> {
        use ToApplicationChoice as Choice;
        Ok(match check::required(self.said, "ToApplication.said")? {
            Choice::Attached(attached) => {
                ApplicationHears::attached(check::small_positive(attached.version, "Attached.version")?)
            }
            Choice::AttachRefused(reason) => {
                let reason = check::text(reason, "ToApplication.attach_refused")?;
                model::ToApplication::AttachRefused(reason).into()
            }
            Choice::SetRunMode(set) => model::ToApplication::SetRunMode {
                run_mode: word::RunMode::read(set.run_mode, "SetRunMode.run_mode")?,
                epoch: Epoch(set.epoch),
            }
            .into(),
            Choice::Suspend(Nothing {}) => model::ToApplication::Suspend.into(),
            Choice::Ping(number) => model::ToApplication::Ping(number).into(),
            Choice::Confirmed(confirmed) => model::ToApplication::Confirmed {
                number: confirmed.number,
                epoch: confirmed.epoch.map(Epoch),
            }
            .into(),
            Choice::InSyncDone(InSyncDone { number, refused }) => {
                let refused = refused.map(|why| check::text(why, "InSyncDone.refused")).transpose()?;
                model::ToApplication::InSyncDone { number, refused }.into()
            }
        })
    }
}

impl Body for Readiness {
    type Said = model::Readiness;

    fn write(said: &model::Readiness) -> Result<Self, EncodeError> {
        let choice = match said {
            model::Readiness::NotYet => ReadinessChoice::NotYet(Nothing {}),
            model::Readiness::Ready => ReadinessChoice::Ready(Nothing {}),
            model::Readiness::Unavailable(why) => ReadinessChoice::Unavailable(check::cut_text(why)),
        };
        Ok(Self { is: Some(choice) })
    }

    fn read(self) -> Result<model::Readiness, MessageError> {
        Ok(match check::required(self.is, "Readiness.is")? {
            ReadinessChoice::NotYet(Nothing {}) => model::Readiness::NotYet,
            ReadinessChoice::Ready(Nothing {}) => model::Readiness::Ready,
            ReadinessChoice::Unavailable(why) => {
                model::Readiness::Unavailable(check::text(why, "Readiness.unavailable")?)
            }
        })
    }
}
