//! Bounds that only a control group can keep: memory, processor time, number of processes of a whole tree.
//!
//! Refuses to know applications. The law: a bound that was asked for holds from the first instruction of a process, or
//! the process is not made and the answer says what is missing and where.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use understudy_model::ProcessSpec;

/// Where the agent goes if its own group must be empty of processes, as the kernel wants of a group that hands
/// controllers on.
pub const AGENT_GROUP: &str = "understudy-agent";
/// Over which time processor time is counted, in microseconds.
const PERIOD_US: u64 = 100_000;

/// Why a bound does not hold. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum BoundError {
    /// No hierarchy of the second version that the agent may write to.
    #[error("{key} needs a control group, and this agent has none: {why}")]
    NoGroups {
        /// The key of the settings.
        key: &'static str,
        /// As the agent found when it began.
        why: String,
    },
    /// The controller is not handed down to the agent.
    #[error("{key} needs the controller {controller}, which is not among those of {} ({found:?}): hand it to the agent (with systemd, Delegate=yes in its unit), or boot this host with cgroup v2 alone", path.display())]
    NoController {
        /// The key of the settings.
        key: &'static str,
        /// The controller.
        controller: &'static str,
        /// The group that lacks it.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A file of a group.
    #[error("{key} cannot be set: writing {text:?} to {} failed: {source}", path.display())]
    Write {
        /// The key of the settings.
        key: &'static str,
        /// What was written.
        text: String,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// One bound: key, controller, file, content.
struct Bound {
    key: &'static str,
    controller: &'static str,
    file: &'static str,
    text: String,
}

fn bounds(spec: &ProcessSpec) -> Vec<Bound> {
    let mut bounds = Vec::new();
    let mut add = |key, controller, file, text| bounds.push(Bound { key, controller, file, text });
    if let Some(bytes) = spec.memory_max_bytes {
        add("memory-max", "memory", "memory.max", bytes.to_string());
    }
    if let Some(percent) = spec.cpu_max_percent {
        let quota_us = u64::from(percent) * PERIOD_US / 100;
        add("cpu-max", "cpu", "cpu.max", format!("{quota_us} {PERIOD_US}"));
    }
    if let Some(most) = spec.pids_max {
        add("pids-max", "pids", "pids.max", most.to_string());
    }
    bounds
}

/// Whether a process of this kind needs a group: it is not made without one.
pub fn needs_group(spec: &ProcessSpec) -> bool {
    !bounds(spec).is_empty()
}

/// The refusal where there is no group at all.
pub fn refuse(spec: &ProcessSpec, why: &str) -> Option<BoundError> {
    let first = bounds(spec).into_iter().next()?;
    Some(BoundError::NoGroups { key: first.key, why: why.to_owned() })
}

/// Sets every bound of a group that nothing lives in yet. `base` is the agent's directory of groups.
pub fn set(spec: &ProcessSpec, base: &Path, group: &Path) -> Result<(), BoundError> {
    for bound in bounds(spec) {
        if !has(base, "cgroup.subtree_control", bound.controller) {
            hand_down(&bound, base)?;
        }
        write(&bound, &group.join(bound.file), &bound.text)?;
    }
    Ok(())
}

/// Makes a controller reach the groups below `base`.
fn hand_down(bound: &Bound, base: &Path) -> Result<(), BoundError> {
    let text = format!("+{}", bound.controller);
    if !has(base, "cgroup.controllers", bound.controller)
        && let Some(own) = base.parent()
    {
        if !has(own, "cgroup.controllers", bound.controller) {
            let found = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
            return Err(BoundError::NoController {
                key: bound.key,
                controller: bound.controller,
                path: own.to_owned(),
                found: found.trim().to_owned(),
            });
        }
        let path = own.join("cgroup.subtree_control");
        match write(bound, &path, &text) {
            Err(BoundError::Write { source, .. }) if source.raw_os_error() == Some(libc::EBUSY) => {
                step_aside(bound, own)?;
                write(bound, &path, &text)?;
            }
            written => written?,
        }
    }
    write(bound, &base.join("cgroup.subtree_control"), &text)
}

/// Moves the agent itself out of the way: a group with processes of its own hands nothing on.
fn step_aside(bound: &Bound, own: &Path) -> Result<(), BoundError> {
    let aside = own.join(AGENT_GROUP);
    let text = std::process::id().to_string();
    match fs::create_dir(&aside) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(BoundError::Write {
                key: bound.key,
                text: "a new group".to_owned(),
                path: aside,
                source,
            });
        }
        _ => {}
    }
    write(bound, &aside.join("cgroup.procs"), &text)
}

fn has(group: &Path, file: &str, controller: &str) -> bool {
    fs::read_to_string(group.join(file))
        .is_ok_and(|text| text.split_whitespace().any(|one| one == controller))
}

/// The kernel takes a whole value in one call, and its files are there already.
fn write(bound: &Bound, path: &Path, text: &str) -> Result<(), BoundError> {
    let written = File::options().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| BoundError::Write {
        key: bound.key,
        text: text.to_owned(),
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ProcessSpec {
        ProcessSpec {
            memory_max_bytes: Some(1 << 20),
            cpu_max_percent: Some(150),
            pids_max: Some(7),
            ..ProcessSpec::default()
        }
    }

    /// Files as the kernel has them in a group.
    fn group(path: &Path, controllers: &str, enabled: &str) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("cgroup.controllers"), controllers).unwrap();
        fs::write(path.join("cgroup.subtree_control"), enabled).unwrap();
        for file in ["cgroup.procs", "memory.max", "cpu.max", "pids.max"] {
            fs::write(path.join(file), "").unwrap();
        }
    }

    #[test]
    fn every_bound_is_written_where_the_kernel_reads_it() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().join("own/understudy-1");
        let start = base.join("app@1.1");
        group(&root.path().join("own"), "cpu memory pids\n", "");
        group(&base, "cpu memory pids\n", "cpu memory pids\n");
        group(&start, "cpu memory pids\n", "");
        set(&spec(), &base, &start).unwrap();
        let written = |file| fs::read_to_string(start.join(file)).unwrap();
        assert_eq!(written("memory.max"), "1048576");
        assert_eq!(written("cpu.max"), "150000 100000");
        assert_eq!(written("pids.max"), "7");
    }

    #[test]
    fn a_controller_is_handed_down_from_the_agents_own_group() {
        let root = tempfile::tempdir().unwrap();
        let (own, base) = (root.path().join("own"), root.path().join("own/understudy-1"));
        let start = base.join("app@1.1");
        group(&own, "pids\n", "");
        group(&base, "", "");
        group(&start, "", "");
        let spec = ProcessSpec { pids_max: Some(7), ..ProcessSpec::default() };
        set(&spec, &base, &start).unwrap();
        for path in [own, base] {
            assert_eq!(fs::read_to_string(path.join("cgroup.subtree_control")).unwrap(), "+pids");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().join("own/understudy-1");
        let start = base.join("app@1.1");
        group(&root.path().join("own"), "hugetlb\n", "");
        group(&base, "", "");
        group(&start, "", "");
        let text = set(&spec(), &base, &start).unwrap_err().to_string();
        assert!(
            ["memory-max", "memory", "hugetlb", "Delegate=yes"].iter().all(|word| text.contains(word)),
            "{text}"
        );
        fs::write(base.join("cgroup.subtree_control"), "memory cpu pids").unwrap();
        fs::remove_file(start.join("memory.max")).unwrap();
        let text = set(&spec(), &base, &start).unwrap_err().to_string();
        assert!(text.contains("memory.max") && text.contains("1048576"), "{text}");
        let text = refuse(&spec(), "no cgroup2 file system is mounted").unwrap().to_string();
        assert!(text.contains("memory-max") && text.contains("no cgroup2"), "{text}");
        assert!(refuse(&ProcessSpec::default(), "x").is_none() && !needs_group(&ProcessSpec::default()));
    }
}
