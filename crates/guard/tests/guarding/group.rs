//! Starts with a control group: everything in it goes, whatever it made of itself; nothing else does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use understudy_guard::now;

use crate::bench::{self, Bench, Prey, SOON, start_of, until};

/// A control group with a name; removed when dropped.
struct Group(PathBuf);

impl Group {
    fn make(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            right.starts_with("cgroup2 ").then(|| PathBuf::from(left.split(' ').nth(4).unwrap()))
        });
        let made = mount.map(|mount| mount.join(name)).filter(|path| fs::create_dir(path).is_ok());
        if made.is_none() {
            println!("skipped: this user can make no control groups (version 2) on this machine");
        }
        made.map(Self)
    }

    fn holds(&self) -> usize {
        fs::read_to_string(self.0.join("cgroup.procs")).unwrap().lines().count()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        until("the group is empty", || fs::remove_dir(&self.0).is_ok() || !self.0.exists());
    }
}

/// Puts itself in the group and leaves a child behind that has neither its mark nor its session.
fn script(group: &Path) -> String {
    format!("echo $$ > {}/cgroup.procs; env -i setsid sleep 1000 & exec sleep 1000", group.display())
}

#[test]
fn everything_in_the_group_of_a_start_is_killed() {
    let application = understudy_model::ApplicationName::new("app").unwrap();
    let Some(group) = Group::make(&bench::start(1).group_name(&application)) else { return };
    let bench = Bench::new();
    let mut prey = Prey::start(1, &script(&group.0));
    prey.group = Some(group.0.clone());
    until("both are in it", || group.holds() == 2);
    until("one of them has no mark", || prey.marked().len() == 1);
    bench.guard(&prey, now() + SOON).unwrap();
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    prey.was_killed();
    until("the other one is gone", || group.holds() == 0);
}

#[test]
fn a_group_that_is_gone_is_no_reason_not_to_kill() {
    let bench = Bench::new();
    let mut prey = Prey::start(1, "sleep 1000");
    prey.group = Some(PathBuf::from("/sys/fs/cgroup").join(prey.start.group_name(&prey.application)));
    bench.guard(&prey, now() + SOON).unwrap();
    assert_eq!(start_of(&bench.fired()), Some(prey.start));
    prey.was_killed();
}

#[test]
fn a_guard_goes_into_the_group_that_it_is_given() {
    let Some(group) = Group::make(&format!("guard-of-{}", std::process::id())) else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut guard = Command::new(bench::PROGRAM)
        .arg("--directory")
        .arg(directory.path())
        .arg("--group")
        .arg(&group.0)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until("it is in it", || group.holds() == 1);
    guard.kill().unwrap();
    guard.wait().unwrap();
}
