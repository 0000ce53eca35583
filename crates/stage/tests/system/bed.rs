//! A box: a real systemd as process 1 of its own, on a throw-away copy of this machine's files.
//!
//! It knows how to make one, switch it off and on, run a command in it and clear it away; no unit of ours. Needs root,
//! systemd and a mounted cgroup2 hierarchy; no package beyond them. The law: every wait has a deadline, and a box that is
//! dropped leaves no process, mount, group or file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a box may take to come up or go down.
const LIMIT: Duration = Duration::from_secs(60);
/// How long one command in a box may take.
const COMMAND_LIMIT: &str = "120";

/// Why there are no boxes here; none if there are.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root".to_owned());
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return Some("systemd is not installed".to_owned());
    }
    if hierarchy().is_none() {
        return Some("no cgroup2 hierarchy is mounted".to_owned());
    }
    for program in ["unshare", "nsenter", "pivot_root", "timeout"] {
        let there =
            ["/usr/bin", "/usr/sbin", "/sbin", "/bin"].iter().any(|at| Path::new(at).join(program).exists());
        if !there {
            return Some(format!("{program} is not installed"));
        }
    }
    None
}

fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    line.split(' ').nth(4).map(PathBuf::from)
}

/// A network that boxes share: only its loopback addresses.
#[derive(Debug)]
pub struct Net {
    holder: Child,
}

impl Net {
    pub fn new() -> Self {
        let script = "ip link set lo up && exec sleep 1000000";
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]).stdin(Stdio::null());
        let net = Self { holder: command.spawn().expect("a network of its own") };
        until("the network is up", || {
            let text = net.enter(&["cat", "/proc/net/fib_trie"]);
            if text.contains("127.0.0.1") { Ok(()) } else { Err(text) }
        });
        net
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    fn enter(&self, command: &[&str]) -> String {
        let out =
            Command::new("nsenter").arg(format!("--net={}", self.path())).args(command).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Killed and waited for; it holds nothing else.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// What a command in a box printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub text: String,
}

impl Said {
    #[track_caller]
    pub fn expect(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}", self.text);
        self.text
    }
}

/// One box. Its files outlive a power cut.
#[derive(Debug)]
pub struct Bed {
    name: String,
    place: PathBuf,
    group: PathBuf,
    outer: Option<Child>,
}

impl Bed {
    /// Makes the files of a box; it is off.
    pub fn new(name: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("{name}-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let place = std::env::temp_dir().join(format!("understudy-bed-{name}"));
        let group = hierarchy().expect("a hierarchy").join(format!("understudy-bed-{name}"));
        let bed = Self { name, place, group, outer: None };
        fs::create_dir_all(&bed.place).unwrap();
        bed.run("mount", &["-t", "tmpfs", "-o", "size=512m,mode=755", "understudy-bed", bed.shown()]);
        for directory in ["upper", "work", "root"] {
            fs::create_dir(bed.place.join(directory)).unwrap();
        }
        let options = format!(
            "lowerdir=/,upperdir={},workdir={}",
            bed.place.join("upper").display(),
            bed.place.join("work").display()
        );
        bed.run("mount", &["-t", "overlay", "understudy-bed", "-o", &options, bed.root().to_str().unwrap()]);
        bed.empty();
        bed
    }

    /// Nothing of this machine is started in it, and nothing of it is remembered.
    fn empty(&self) {
        let root = self.root();
        for directory in ["etc/systemd/system", "etc/init.d", "var/log/journal"] {
            let _ = fs::remove_dir_all(root.join(directory));
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("etc/fstab"), "").unwrap();
        fs::write(root.join("etc/hostname"), format!("{}\n", self.name)).unwrap();
        let identity = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().replace('-', "");
        fs::write(root.join("etc/machine-id"), identity).unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, root.join("etc/systemd/system").join(name)).unwrap();
        };
        link("/lib/systemd/system/multi-user.target", "default.target");
        for unit in [
            "getty.target",
            "console-getty.service",
            "systemd-timesyncd.service",
            "systemd-udevd.service",
            "systemd-udev-trigger.service",
            "systemd-logind.service",
            "remote-fs.target",
            "networking.service",
            "apt-daily.timer",
            "apt-daily-upgrade.timer",
            "man-db.timer",
            "fstrim.timer",
            "dpkg-db-backup.timer",
            "e2scrub_all.timer",
            "e2scrub_reap.service",
            "systemd-pstore.service",
            "systemd-networkd.service",
            "systemd-resolved.service",
            "systemd-networkd-wait-online.service",
            "snapd.service",
            "cron.service",
        ] {
            link("/dev/null", unit);
        }
    }

    fn shown(&self) -> &str {
        self.place.to_str().unwrap()
    }

    /// Its files, as seen from here.
    pub fn root(&self) -> PathBuf {
        self.place.join("root")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let out = Command::new(program).args(arguments).output().unwrap();
        assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// Switches it on, in that network, and waits until everything that should be started was.
    pub fn up(&mut self, net: &Net) {
        assert!(self.outer.is_none(), "{} is on", self.name);
        fs::create_dir_all(&self.group).unwrap();
        let init = self.place.join("inside.sh");
        fs::write(&init, include_str!("inside.sh")).unwrap();
        let script = "echo $$ > \"$1/cgroup.procs\" && exec nsenter --net=\"$2\" unshare --pid --fork --kill-child --mount \
                      --propagation private --uts --ipc --cgroup sh \"$3\" \"$4\" \"$5\"";
        let log = fs::File::create(self.place.join("log")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(&self.group).arg(net.path()).arg(&init).arg(self.root());
        command.arg(&self.name).stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        self.outer = Some(command.spawn().unwrap());
        until(&format!("{} is up", self.name), || {
            let said = self.exec(&["systemctl", "is-system-running"]).text;
            match said.trim() {
                "running" | "degraded" => Ok(()),
                _ => {
                    Err(format!("{said} {}", fs::read_to_string(self.place.join("log")).unwrap_or_default()))
                }
            }
        });
    }

    /// Process 1 of the box, by its number here.
    fn leader(&self) -> Option<u32> {
        let outer = self.outer.as_ref()?.id();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Runs a command in the box.
    pub fn exec(&self, command: &[&str]) -> Said {
        let Some(leader) = self.leader() else {
            return Said { code: -1, text: "the box is off".to_owned() };
        };
        let out = Command::new("timeout")
            .args([COMMAND_LIMIT, "nsenter", "-t", &leader.to_string(), "-a", "--"])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text =
            [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Said { code: out.status.code().unwrap_or(-1), text }
    }

    /// As its own shutdown does it; waits until nothing of it lives.
    pub fn power_off(&mut self) {
        self.begin_power_off();
        self.await_off();
    }

    /// The same, and does not wait.
    pub fn begin_power_off(&self) {
        let said = self.exec(&["systemctl", "poweroff"]);
        assert!(said.code == 0 || said.text.contains("logind"), "{}", said.text);
    }

    /// Waits until it is off.
    pub fn await_off(&mut self) {
        let outer = self.outer.as_mut().expect("a box that is on");
        let deadline = Instant::now() + LIMIT;
        while outer.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the box does not go down");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.outer = None;
    }

    /// Everything in it is gone at once.
    pub fn cut_power(&mut self) {
        if let Some(mut outer) = self.outer.take() {
            // Takes process 1 with it, and that one everything else.
            let _ = outer.kill();
            let _ = outer.wait();
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.exec(&["journalctl", "-b", "--no-pager", "-n", "120"]).text);
        }
        self.cut_power();
        for path in [self.root(), self.place.clone()] {
            let ended = Command::new("umount").arg("-l").arg(&path).status();
            if !ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
                eprintln!("{} is still mounted: {ended:?}", path.display());
            }
        }
        let _ = fs::remove_dir(&self.place);
        // The kernel takes a moment to empty a group of what was killed.
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.group.exists() && Instant::now() < deadline {
            remove_groups(&self.group);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// Waits for a condition, within the limit.
#[track_caller]
pub fn until<T>(what: &str, mut so: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        match so() {
            Ok(value) => return value,
            Err(found) if Instant::now() >= deadline => {
                panic!("not so within {LIMIT:?}: {what}; found: {found}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
