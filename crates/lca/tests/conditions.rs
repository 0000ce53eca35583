//! Real processes under real conditions: users, limits, priority, through the platform alone.
//!
//! Knows no decisions. The law: one test at a time, as all of them share this process's children. What only root can
//! do says so when it is skipped.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use understudy_decide::agent::StartId;
use understudy_lca::platform::{Account, Launch, Linux, Output, Platform, find_account};
use understudy_model::{AgentId, ApplicationName, ExitCause, Incarnation, ProcessLimits, ProcessSpec};

static ALONE: Mutex<()> = Mutex::new(());

struct Bench {
    platform: Linux,
    directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = AgentId(understudy_lca::state::random().unwrap());
        let platform = Linux::new(agent).unwrap().0;
        // Others may pass: the working directories of other users are below it.
        let directory =
            tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir_in("/tmp");
        Self { platform, directory: directory.unwrap(), _alone: alone }
    }

    fn launch(&self, script: &str, spec: ProcessSpec, account: Account) -> Launch {
        Launch {
            application: ApplicationName::new("app").unwrap(),
            start: StartId { incarnation: Incarnation(7), number: 1 },
            command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            directory: self.directory.path().join("applications/app"),
            output: Output::File(self.log()),
            spec,
            directory_of: account.clone(),
            may_begin_outside: false,
            account,
            own_directory: true,
        }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("logs/app.log")
    }

    /// What the script prints, run to its end.
    fn printed(&self, launch: &Launch) -> String {
        let _ = std::fs::remove_file(self.log());
        let tree = self.platform.launch(launch).unwrap_or_else(|error| panic!("{error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = async { tokio::time::timeout(Duration::from_secs(20), self.platform.ended(&tree)).await };
        let cause = runtime.block_on(ended).expect("it ends in time").unwrap();
        let text = std::fs::read_to_string(self.log()).unwrap();
        assert_eq!(cause, ExitCause::Code(0), "{text}");
        self.platform.release(&tree);
        text
    }

    fn refused(&self, launch: &Launch) -> String {
        match self.platform.launch(launch) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it was started"),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.platform.remove_leftovers();
    }
}

fn own() -> Account {
    find_account(None, None, &[]).unwrap()
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: only root can become somebody else");
    }
    root
}

/// The words after a name in a listing such as `/proc/self/limits`.
fn words<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line[name.len()..].split_whitespace().collect()
}

const SHOW: &str =
    "umask; cat /proc/self/limits /proc/self/status /proc/self/oom_score_adj; nice; pwd; id -un";

#[test]
fn without_a_word_everything_has_its_documented_value() {
    let bench = Bench::new();
    let text = bench.printed(&bench.launch(SHOW, ProcessSpec::default(), own()));
    assert_eq!(text.lines().next(), Some("0022"));
    assert_eq!(words(&text, "Max open files")[0], "1024");
    assert_eq!(words(&text, "Max core file size")[0], "0");
    assert_eq!(words(&text, "Max stack size")[0], "8388608");
    assert_eq!(words(&text, "CapAmb:"), ["0000000000000000"]);
}

#[test]
fn what_is_asked_for_is_set() {
    let bench = Bench::new();
    let limits = ProcessLimits {
        nofile: Some(77),
        core_bytes: Some(4096),
        memlock_bytes: Some(8192),
        nproc: Some(5000),
    };
    let spec = ProcessSpec {
        umask: Some(0o027),
        limits,
        nice: Some(7),
        oom_score_adjust: Some(300),
        ..ProcessSpec::default()
    };
    let text = bench.printed(&bench.launch(SHOW, spec, own()));
    assert_eq!(text.lines().next(), Some("0027"));
    assert_eq!(words(&text, "Max open files")[..2], ["77", "77"]);
    assert_eq!(words(&text, "Max core file size")[..2], ["4096", "4096"]);
    assert_eq!(words(&text, "Max locked memory")[..2], ["8192", "8192"]);
    assert_eq!(words(&text, "Max processes")[..2], ["5000", "5000"]);
    assert!(text.contains("\n300\n7\n"), "{text}");
}

#[test]
fn what_the_system_refuses_is_named() {
    let bench = Bench::new();
    // More open files than the kernel allows anybody.
    let limits = ProcessLimits { nofile: Some(u64::MAX), ..ProcessLimits::default() };
    let spec = ProcessSpec { limits, ..ProcessSpec::default() };
    let text = bench.refused(&bench.launch("exit 0", spec, own()));
    assert!(text.contains("limits.nofile") && text.contains("Operation not permitted"), "{text}");
    let spec = ProcessSpec { oom_score_adjust: Some(5000), ..ProcessSpec::default() };
    let text = bench.refused(&bench.launch("exit 0", spec, own()));
    assert!(text.contains("oom-score-adjust") && text.contains("Invalid argument"), "{text}");
}

#[test]
fn another_user_has_nothing_of_the_agents() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let account = find_account(Some("nobody"), None, &["daemon".to_owned()]).unwrap();
    // Root in a container may be without the right to raise limits.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let rights = u64::from_str_radix(words(&status, "CapEff:")[0], 16).unwrap();
    let (score, locked) = if rights & 1 << 24 != 0 { (-300, 1_u64 << 40) } else { (300, 4096) };
    let limits = ProcessLimits { memlock_bytes: Some(locked), ..ProcessLimits::default() };
    let spec =
        ProcessSpec { nice: Some(-5), oom_score_adjust: Some(score), limits, ..ProcessSpec::default() };
    let script = format!(
        "{SHOW}; echo x > mine; id -u; id -g; id -G; cat /etc/shadow || echo refused; kill -0 $PPID || echo refused"
    );
    let text = bench.printed(&bench.launch(&script, spec, account.clone()));
    let id = account.uid.to_string();
    assert_eq!(words(&text, "Uid:"), [&id, &id, &id, &id]);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(words(&text, set), ["0000000000000000"], "{set}");
    }
    // What needs the agent's rights was done before they were given away.
    assert!(text.contains(&format!("\n{score}\n-5\n")), "{text}");
    assert_eq!(words(&text, "Max locked memory")[0], locked.to_string());
    let mut groups: Vec<u32> = words(&text, "Groups:").iter().map(|word| word.parse().unwrap()).collect();
    groups.sort_unstable();
    assert_eq!(groups, account.groups);
    assert!(text.contains("\nnobody\n") && text.matches("refused").count() == 2, "{text}");
    let mine = std::fs::metadata(bench.directory.path().join("applications/app/mine")).unwrap();
    assert_eq!((mine.uid(), mine.gid()), (account.uid, account.gid));
}

#[test]
fn a_working_directory_that_the_user_cannot_enter_is_named() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    let closed = bench.directory.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
    let account = find_account(Some("nobody"), None, &[]).unwrap();
    let mut launch = bench.launch("exit 0", ProcessSpec::default(), account);
    launch.own_directory = false;
    launch.directory = closed.clone();
    let text = bench.refused(&launch);
    assert!(text.contains("enter the working directory") && text.contains("denied"), "{text}");
    launch.directory = closed.join("below");
    let text = bench.refused(&launch);
    assert!(text.contains("below") && text.contains("nobody") && text.contains("install -d"), "{text}");
}

#[test]
fn a_bound_of_the_whole_tree_holds_or_is_refused_by_name() {
    let bench = Bench::new();
    let spec = ProcessSpec { memory_max_bytes: Some(64 << 20), pids_max: Some(9), ..ProcessSpec::default() };
    let launch =
        bench.launch("cat /sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/memory.max", spec, own());
    match bench.platform.launch(&launch) {
        Ok(tree) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let cause = runtime.block_on(bench.platform.ended(&tree)).unwrap();
            let text = std::fs::read_to_string(bench.log()).unwrap();
            assert_eq!((text.trim(), cause), ("67108864", ExitCause::Code(0)));
            bench.platform.release(&tree);
        }
        Err(error) => {
            println!("this host cannot keep it: {error}");
            let text = error.to_string();
            assert!(text.contains("memory-max") && text.contains("cgroup"), "{text}");
        }
    }
    let left = bench.platform.survivors(&[]).unwrap();
    assert!(left.is_empty(), "nothing was started");
}
