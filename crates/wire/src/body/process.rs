//! How an application's process is made, bounded and heard.
//!
//! Knows nothing of accounts and systems. The law: every list is bounded, and what is absent has its default.

use understudy_model as model;

use super::{Body, check, word};
use crate::error::{EncodeError, MessageError};

/// The most further groups of one application.
const MOST_GROUPS: usize = 64;
/// The most applications that one waits for.
const MOST_AFTER: usize = 64;
/// All mode bits of a umask.
const WHOLE_UMASK: u32 = 0o777;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProcessSpec {
    #[prost(string, optional, tag = "1")]
    user: Option<String>,
    #[prost(string, optional, tag = "2")]
    group: Option<String>,
    #[prost(string, repeated, tag = "3")]
    groups: Vec<String>,
    #[prost(uint32, optional, tag = "4")]
    umask: Option<u32>,
    #[prost(uint64, optional, tag = "5")]
    limit_nofile: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    limit_core_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "7")]
    limit_memlock_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "8")]
    limit_nproc: Option<u64>,
    #[prost(sint32, optional, tag = "9")]
    nice: Option<i32>,
    #[prost(sint32, optional, tag = "10")]
    oom_score_adjust: Option<i32>,
    #[prost(message, optional, tag = "11")]
    environment_file: Option<EnvironmentFile>,
    #[prost(uint64, optional, tag = "12")]
    memory_max_bytes: Option<u64>,
    #[prost(uint32, optional, tag = "13")]
    cpu_max_percent: Option<u32>,
    #[prost(uint64, optional, tag = "14")]
    pids_max: Option<u64>,
    #[prost(enumeration = "word::OutputKind", optional, tag = "15")]
    output: Option<i32>,
    #[prost(uint64, optional, tag = "16")]
    output_limit_bytes: Option<u64>,
    #[prost(uint32, optional, tag = "17")]
    output_keep: Option<u32>,
    #[prost(string, repeated, tag = "18")]
    after: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EnvironmentFile {
    #[prost(string, tag = "1")]
    path: String,
    #[prost(bool, tag = "2")]
    optional: bool,
}

impl Body for ProcessSpec {
    type Said = model::ProcessSpec;

    fn write(said: &model::ProcessSpec) -> Result<Self, EncodeError> {
        check::bound_written(said.groups.len(), MOST_GROUPS, "ProcessSpec.groups")?;
        check::bound_written(said.after.len(), MOST_AFTER, "ProcessSpec.after")?;
        Ok(Self {
            user: said.user.clone(),
            group: said.group.clone(),
            groups: said.groups.clone(),
            umask: said.umask,
            limit_nofile: said.limits.nofile,
            limit_core_bytes: said.limits.core_bytes,
            limit_memlock_bytes: said.limits.memlock_bytes,
            limit_nproc: said.limits.nproc,
            nice: said.nice,
            oom_score_adjust: said.oom_score_adjust,
            environment_file: check::write_optional(&said.environment_file)?,
            memory_max_bytes: said.memory_max_bytes,
            cpu_max_percent: said.cpu_max_percent,
            pids_max: said.pids_max,
            output: said.output.map(word::OutputKind::write),
            output_limit_bytes: said.output_limit_bytes,
            output_keep: said.output_keep,
            after: said.after.iter().map(ToString::to_string).collect(),
        })
    }

    fn read(self) -> Result<model::ProcessSpec, MessageError> {
        check::bound_read(self.groups.len(), MOST_GROUPS, "ProcessSpec.groups")?;
        check::bound_read(self.after.len(), MOST_AFTER, "ProcessSpec.after")?;
        if let Some(umask) = self.umask.filter(|umask| *umask > WHOLE_UMASK) {
            let (found, most) = (umask.into(), WHOLE_UMASK.into());
            return Err(MessageError::OutOfRange { field: "ProcessSpec.umask", found, least: 0, most });
        }
        let output = |number| word::OutputKind::read(number, "ProcessSpec.output");
        Ok(model::ProcessSpec {
            user: self.user,
            group: self.group,
            groups: self.groups,
            umask: self.umask,
            limits: model::ProcessLimits {
                nofile: self.limit_nofile,
                core_bytes: self.limit_core_bytes,
                memlock_bytes: self.limit_memlock_bytes,
                nproc: self.limit_nproc,
            },
            nice: self.nice,
            oom_score_adjust: self.oom_score_adjust,
            environment_file: check::read_optional(self.environment_file)?,
            memory_max_bytes: self.memory_max_bytes,
            cpu_max_percent: self.cpu_max_percent,
            pids_max: self.pids_max,
            output: self.output.map(output).transpose()?,
            output_limit_bytes: self.output_limit_bytes,
            output_keep: self.output_keep,
            after: self
                .after
                .iter()
                .map(|name| check::name(name, "ProcessSpec.after"))
                .collect::<Result<_, MessageError>>()?,
        })
    }
}

impl Body for EnvironmentFile {
    type Said = model::EnvironmentFile;

    fn write(said: &model::EnvironmentFile) -> Result<Self, EncodeError> {
        Ok(Self { path: said.path.clone(), optional: said.optional })
    }

    fn read(self) -> Result<model::EnvironmentFile, MessageError> {
        Ok(model::EnvironmentFile { path: self.path, optional: self.optional })
    }
}
