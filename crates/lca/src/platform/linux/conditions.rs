//! The conditions under which a child runs: what settings ask for, and fixed values for all else.
//!
//! Refuses to know why. The law: nothing depends on what the agent itself was started with, as far as the system lets
//! it be so; what was asked for is set or the start fails.

use std::ffi::CString;

use rustix::process::{Resource, getrlimit};
use understudy_model::ProcessSpec;

use super::accounts::Account;
use super::fork::{Asked, Conditions, Limit, Rights};

/// No limit, as the system writes it.
const NONE: u64 = u64::MAX;
/// Mode bits that new files lack.
const UMASK: u32 = 0o022;

/// What every process begins with: soft and hard. `nproc` is left as it is: a fixed one would be wrong on most machines.
const USUAL: [(Resource, u64, u64); 9] = [
    (Resource::Cpu, NONE, NONE),
    (Resource::Fsize, NONE, NONE),
    (Resource::Data, NONE, NONE),
    (Resource::Stack, 8 << 20, NONE),
    (Resource::Core, 0, NONE),
    (Resource::Rss, NONE, NONE),
    // A program that uses `select` fails with more.
    (Resource::Nofile, 1024, 524_288),
    (Resource::Memlock, 8 << 20, 8 << 20),
    (Resource::As, NONE, NONE),
];

/// Works them out.
pub fn conditions(spec: &ProcessSpec, account: &Account) -> Conditions {
    let root = rustix::process::geteuid().is_root();
    let score = spec.oom_score_adjust.unwrap_or(0).to_string();
    Conditions {
        umask: spec.umask.unwrap_or(UMASK),
        limits: limits(spec),
        nice: Asked { value: spec.nice.unwrap_or(0), asked: spec.nice.is_some() },
        // Digits and a sign have no zero byte.
        oom_score_adjust: Asked {
            value: CString::new(score).unwrap_or_default(),
            asked: spec.oom_score_adjust.is_some(),
        },
        rights: (account.asked && root).then(|| Rights {
            uid: account.uid,
            gid: account.gid,
            groups: account.groups.clone(),
        }),
    }
}

fn limits(spec: &ProcessSpec) -> Vec<Limit> {
    let asked = [
        (Resource::Nofile, spec.limits.nofile),
        (Resource::Core, spec.limits.core_bytes),
        (Resource::Memlock, spec.limits.memlock_bytes),
        (Resource::Nproc, spec.limits.nproc),
    ];
    let mut limits = Vec::new();
    for (resource, soft, hard) in USUAL {
        if asked.iter().any(|(other, value)| *other == resource && value.is_some()) {
            continue;
        }
        let highest = getrlimit(resource).maximum.unwrap_or(NONE);
        // Even root may not be let to raise a hard limit, in a container for one.
        let otherwise = (soft.min(highest), hard.min(highest));
        let value = Asked { value: (soft, hard), asked: false };
        limits.push(Limit { resource: number(resource), value, otherwise });
    }
    for (resource, value) in asked {
        if let Some(value) = value {
            let value = Asked { value: (value, value), asked: true };
            limits.push(Limit { resource: number(resource), value, otherwise: value.value });
        }
    }
    limits
}

fn number(resource: Resource) -> u8 {
    resource as u8
}

/// The key of a limit in settings.
pub fn name_of_limit(resource: u8) -> &'static str {
    match resource {
        _ if resource == number(Resource::Nofile) => "limits.nofile",
        _ if resource == number(Resource::Core) => "limits.core",
        _ if resource == number(Resource::Memlock) => "limits.memlock",
        _ if resource == number(Resource::Nproc) => "limits.nproc",
        _ => "limits",
    }
}
