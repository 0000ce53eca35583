//! One cluster under attack: a pair to be hurt, a pair that must not notice, and a single application.
//!
//! It knows how to set the cluster up, hurt a member and ask what is so; no story. The law: `calm` is never touched by
//! an attack, and every check of a story's end looks at it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use understudy_stage::net::{Network, Station};
use understudy_stage::ports::Ports;
use understudy_stage::status::{ApplicationLine, PairLine};
use understudy_stage::{
    ApplicationPlan, Daemon, Ground, Host, Interrupt, Plan, Programs, Stage, Status, sweep,
};

/// How long any condition may take to come true.
pub const LIMIT: Duration = Duration::from_secs(25);
/// How long a member may take to answer one line.
const LINE_LIMIT: Duration = Duration::from_secs(5);

/// Mounted over a directory; taken away again at the end.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg("-l").arg(&self.path).status();
        if !ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("{} is still mounted: {ended:?}", self.path.display());
        }
    }
}

/// What a command of ours printed, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output, then standard error.
    pub text: String,
}

impl Said {
    /// Ended with this code and said all of these words.
    #[track_caller]
    pub fn expect(&self, code: i32, words: &[&str]) -> &Self {
        let missing: Vec<&&str> = words.iter().filter(|word| !self.text.contains(**word)).collect();
        assert!(
            self.code == code && missing.is_empty(),
            "expected {code} and {words:?}, got {}: {}",
            self.code,
            self.text
        );
        self
    }
}

/// The cluster of one story.
#[derive(Debug)]
pub struct Play {
    // Before the stage, so that its directory is free of mounts when it is removed.
    pub disks: Vec<SmallDisk>,
    pub stage: Stage,
    programs: Programs,
    ports: Ports,
}

impl Drop for Play {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.scsctl(&["events", "--limit", "60"]).text);
            eprintln!("{}", self.scsctl(&["status"]).text);
            eprintln!("the files of this story are kept in {}", self.stage.keep_files().display());
        }
        for daemon in Daemon::ALL.into_iter().rev() {
            if let Err(error) = self.stage.kill(daemon) {
                eprintln!("{error}");
            }
        }
    }
}

/// Where our programs lie: beside the ones of this package.
pub fn programs() -> Programs {
    let beside = Path::new(env!("CARGO_BIN_EXE_understudy-demo")).parent().unwrap();
    Programs::find(Some(beside), &["lca", "scs", "scsctl", "tserver"]).unwrap()
}

impl Play {
    /// Writes the settings of a cluster with the pairs `t` and `calm` and the application `single`, all well.
    pub fn set_up() -> Self {
        Self::set_up_with(&[])
    }

    /// The same with more pairs of call servers.
    pub fn set_up_with(more: &[&str]) -> Self {
        Self::set_up_and(more, |_| ())
    }

    /// The same with whatever else a story needs.
    pub fn set_up_and(more: &[&str], fill: impl FnOnce(&mut Plan)) -> Self {
        Self::set_up_on(Plan::new("attacked", 100), None, more, fill)
    }

    /// The same on hosts with networks of their own; none, and said why, where there can be none. CI has to have them.
    pub fn networked(fill: impl FnOnce(&mut Plan)) -> Option<Self> {
        if let Some(why) = Network::is_impossible() {
            assert!(std::env::var_os("CI").is_none(), "CI runs everything: {why}");
            eprintln!("skipped: {why}");
            return None;
        }
        let network = Network::set_up(1).unwrap();
        Some(Self::set_up_on(Plan::networked("attacked", 100), Some(network), &[], fill))
    }

    fn set_up_on(
        mut plan: Plan,
        network: Option<Network>,
        more: &[&str],
        fill: impl FnOnce(&mut Plan),
    ) -> Self {
        let (programs, mut ports) = (programs(), Ports::default());
        let binds = Host::ALL.map(|host| plan.whereabouts(host).serve);
        for pair in ["t", "calm"].iter().chain(more) {
            let free = Host::ALL.map(|host| ports.free_on(host.address()).unwrap());
            plan.add_pair(pair, |host, name| {
                tserver(&programs, host, name, binds[host.index()], free[host.index()])
            });
        }
        let port = ports.free_on(Host::Alpha.address()).unwrap();
        plan.applications.push(tserver(&programs, Host::Alpha, "single".to_owned(), binds[0], port));
        fill(&mut plan);
        let ground = Ground::temporary().unwrap();
        let stage = Stage::set_up_on(&programs, ground, plan, &mut ports, Interrupt::default(), network);
        Self { disks: Vec::new(), stage: stage.unwrap(), programs, ports }
    }

    /// As [`Play::set_up`], running and well.
    pub fn well() -> Self {
        let mut play = Self::set_up();
        play.stage.start_all().unwrap();
        play.stage.until_well(LIMIT).unwrap();
        play
    }

    /// The networks of the hosts, in a story that has them.
    pub fn network(&self) -> &Network {
        self.stage.network().unwrap()
    }

    /// A port that is free on that host.
    pub fn free_port(&mut self, host: Host) -> u16 {
        self.ports.free_on(host.address()).unwrap()
    }

    /// Where a program of ours lies.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.path(name)
    }

    /// The cluster file.
    pub fn cluster_file(&self) -> PathBuf {
        self.stage.directory().join("cluster.toml")
    }

    /// Changes a text of the cluster file, which must be in there exactly once.
    #[track_caller]
    pub fn set(&self, from: &str, to: &str) {
        let path = self.cluster_file();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Adds a line to the settings of a pair.
    pub fn set_in_pair(&self, pair: &str, line: &str) {
        let head = format!("[[pair]]\nname = \"{pair}\"\n");
        self.set(&head, &format!("{head}{line}\n"));
    }

    /// Adds a line to the settings of an application.
    pub fn set_in_application(&self, application: &str, line: &str) {
        let head = format!("[[application]]\nname = \"{application}\"\n");
        self.set(&head, &format!("{head}{line}\n"));
    }

    /// Puts arguments in front of the others of an application's command.
    #[track_caller]
    pub fn add_arguments(&self, application: &str, arguments: &[&str]) {
        let path = self.cluster_file();
        let mut text = fs::read_to_string(&path).unwrap();
        let own = text.find(&format!("[[application]]\nname = \"{application}\"\n")).unwrap();
        let command = own + text[own..].find("command = [").unwrap();
        let first = command + text[command..].find(", ").unwrap() + 2;
        let more: String = arguments.iter().map(|one| format!("{one:?}, ")).collect();
        text.insert_str(first, &more);
        fs::write(&path, text).unwrap();
    }

    /// Puts a small file system that is full soon over a directory; `Err` says why that cannot be.
    pub fn mount_small_disk(&mut self, path: &Path, bytes: u32) -> Result<(), String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount a small file system".to_owned());
        }
        fs::create_dir_all(path).unwrap();
        let options = format!("size={bytes},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "small"]).arg(path).output();
        match mounted {
            Ok(output) if output.status.success() => {
                self.disks.push(SmallDisk { path: path.to_owned() });
                Ok(())
            }
            other => Err(format!("a small file system cannot be mounted: {other:?}")),
        }
    }

    /// Runs the operator's command line.
    pub fn scsctl(&self, arguments: &[&str]) -> Said {
        let server = format!("unix:{}", self.stage.api().socket().display());
        let mut command = Command::new(self.program("scsctl"));
        command.args(["--server", &server, "--no-color", "--timeout", "25s"]).args(arguments);
        said(&mut command)
    }

    /// The same with `-o json`, which must succeed.
    #[track_caller]
    pub fn scsctl_json(&self, arguments: &[&str]) -> Value {
        let told = self.scsctl(&[&["-o", "json"], arguments].concat());
        assert_eq!(told.code, 0, "{arguments:?}: {}", told.text);
        serde_json::from_str(&told.text).unwrap_or_else(|error| panic!("{error}: {}", told.text))
    }

    /// Every event so far that `of` selects, oldest first.
    #[track_caller]
    pub fn events(&self, of: &[&str]) -> Vec<Value> {
        let told = self.scsctl(&[&["-o", "json", "events", "--limit", "1000"], of].concat());
        assert_eq!(told.code, 0, "{}", told.text);
        told.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The events that `of` selects, from the one after `last` on.
    #[track_caller]
    pub fn events_after(&self, last: i64, of: &[&str]) -> Vec<Value> {
        let mut events = self.events(of);
        events.retain(|event| event["id"].as_i64().unwrap() > last);
        events
    }

    /// The number of the last event.
    #[track_caller]
    pub fn last_event(&self) -> i64 {
        self.events(&[]).last().map_or(0, |event| event["id"].as_i64().unwrap())
    }

    /// The rule by which a pair is as it is.
    #[track_caller]
    pub fn why(&self, name: &str) -> (String, String) {
        let why = self.scsctl_json(&["why", name]);
        let text = |what: &str| why["because"][what].as_str().unwrap_or_default().to_owned();
        (text("rule"), why.to_string())
    }

    /// Looks at status until it is so.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, look: impl FnMut(&Status) -> Result<T, String>) -> T {
        self.stage.until(what, LIMIT, look).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until nothing is wrong.
    #[track_caller]
    pub fn until_well(&mut self) -> Status {
        self.stage.until_well(LIMIT).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Looks at anything until it is so.
    #[track_caller]
    pub fn until_so<T>(&self, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
        let looked = Interrupt::default().until(what, LIMIT, || Ok(look()));
        looked.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until this member is primary and the other could take over.
    #[track_caller]
    pub fn until_primary(&mut self, name: &str) -> Status {
        self.until(&format!("{name} is primary and its pair well"), |status| {
            let pair = status.pairs.iter().find(|pair| pair.primary.as_deref() == Some(name));
            match pair {
                Some(pair) if pair.ready => Ok(status.clone()),
                _ => Err(format!("{:?}", status.pairs)),
            }
        })
    }

    /// The number of the last event, once the cluster is well.
    #[track_caller]
    pub fn last_event_when_well(&mut self) -> i64 {
        self.until_well();
        self.last_event()
    }

    /// Waits until this member is primary, whether or not anybody could take over from it.
    #[track_caller]
    pub fn until_primary_even_alone(&mut self, name: &str) -> Status {
        self.until(&format!("{name} is primary"), |status| {
            let found = status.pairs.iter().any(|pair| pair.primary.as_deref() == Some(name));
            if found { Ok(status.clone()) } else { Err(format!("{:?} {:?}", status.pairs, status.hosts)) }
        })
    }

    /// The status now.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.stage.api().status().unwrap()
    }

    /// The address that a member serves at.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.stage.plan().served_at(self.planned(name)).unwrap()
    }

    fn planned(&self, name: &str) -> &ApplicationPlan {
        self.stage.plan().applications.iter().find(|one| one.name == name).unwrap()
    }

    /// Says one line to a member and hears its answer; on its own host, so that no cut is in the way.
    pub fn ask(&self, name: &str, line: &str) -> std::io::Result<String> {
        let address = self.address(name);
        let connect = move || TcpStream::connect_timeout(&address, LINE_LIMIT);
        let mut stream = match self.stage.network() {
            Ok(network) => network.place(Station::Host(self.planned(name).host)).run(connect).unwrap()?,
            Err(_) => connect()?,
        };
        stream.set_read_timeout(Some(LINE_LIMIT))?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }

    /// Has a member do something wrong.
    #[track_caller]
    pub fn fault(&self, name: &str, fault: &str) {
        assert_eq!(self.ask(name, &format!("FAULT {fault}")).unwrap(), "OK", "{fault}");
    }

    /// Whether a member says itself that it serves.
    pub fn serves(&self, name: &str) -> bool {
        self.ask(name, "HELLO").is_ok_and(|answer| answer.contains("run-mode=primary"))
    }

    /// Asks a running process of this stage to do something by a signal.
    #[track_caller]
    pub fn signal(&self, daemon: Daemon, signal: Signal) {
        let pid = i32::try_from(self.stage.daemon_pid(daemon).unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits until a daemon's log has these words.
    pub fn until_logged(&self, daemon: Daemon, words: &str) {
        self.until_so(&format!("{} logs {words:?}", daemon.name()), || {
            let log = self.log(daemon);
            if log.contains(words) { Ok(()) } else { Err(log) }
        });
    }

    /// `lca --check` of that host's settings.
    pub fn check_agent(&self, host: Host) -> Said {
        let settings = self.stage.directory().join(format!("lca-{}.toml", host.name()));
        said(Command::new(self.program("lca")).arg("--check").arg("--config").arg(settings))
    }

    /// A command to the agent of that host, as somebody there gives it.
    pub fn lca(&self, host: Host, arguments: &[&str]) -> Said {
        let settings = self.stage.directory().join(format!("lca-{}.toml", host.name()));
        said(Command::new(self.program("lca")).args(arguments).arg("--config").arg(settings))
    }

    /// The log of a daemon.
    pub fn log(&self, daemon: Daemon) -> String {
        let name = format!("{}.log", daemon.name().replace(' ', "-"));
        fs::read_to_string(self.stage.directory().join(name)).unwrap()
    }
}

/// A call server that can be told to misbehave.
pub fn tserver(programs: &Programs, host: Host, name: String, bind: IpAddr, port: u16) -> ApplicationPlan {
    let bind = bind.to_string();
    let command = vec![programs.text("tserver"), "--faults".to_owned(), "--bind".to_owned(), bind];
    ApplicationPlan {
        name,
        host,
        command,
        environment: Vec::new(),
        port: Some(port),
        interface: "library",
        more: Vec::new(),
    }
}

/// Runs a program to its end, which must come in time.
#[track_caller]
pub fn said(command: &mut Command) -> Said {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = piped.spawn().unwrap();
    let held = sweep::Held::open(child.id()).unwrap();
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(LIMIT * 2) else {
        held.kill().unwrap();
        panic!("{command:?} does not end");
    };
    let output = output.unwrap();
    let text = [output.stdout, output.stderr].concat();
    Said { code: output.status.code().unwrap_or(-1), text: String::from_utf8_lossy(&text).into_owned() }
}

/// The named application.
#[track_caller]
pub fn app<'a>(status: &'a Status, name: &str) -> &'a ApplicationLine {
    status.application(name).unwrap_or_else(|| panic!("{name} is not in {status:?}"))
}

/// The named pair.
#[track_caller]
pub fn pair<'a>(status: &'a Status, name: &str) -> &'a PairLine {
    status.pair(name).unwrap_or_else(|| panic!("{name} is not in {status:?}"))
}

/// Everything but the applications in `attacked` has its process and its restarts as before, and the calm pair its role.
#[track_caller]
pub fn assert_undisturbed(before: &Status, after: &Status, attacked: &[&str]) {
    let kept = |status: &Status| -> Vec<_> {
        let others = status.applications.iter().filter(|one| !attacked.contains(&one.name.as_str()));
        others.map(|one| (one.name.clone(), one.pid, one.restarts)).collect()
    };
    assert_eq!(kept(before), kept(after), "a process was disturbed");
    assert_eq!(role(before, "calm"), role(after, "calm"), "a role was disturbed");
}

/// Every process and every role is as before.
#[track_caller]
pub fn assert_nothing_changed(before: &Status, after: &Status) {
    assert_undisturbed(before, after, &[]);
    assert_eq!(role(before, "t"), role(after, "t"), "a role changed");
}

/// Who is primary of a pair, and in which epoch.
pub fn role(status: &Status, name: &str) -> (Option<String>, u64) {
    let now = pair(status, name);
    (now.primary.clone(), now.epoch)
}

/// The events contain these (kind, application or "") in this order, whatever lies between.
#[track_caller]
pub fn assert_in_order(events: &[Value], wanted: &[(&str, &str)]) {
    let mut left = events.iter();
    for (kind, application) in wanted {
        let found = left.any(|event| {
            event["kind"] == *kind && (application.is_empty() || event["application"] == *application)
        });
        let told: Vec<String> = events
            .iter()
            .map(|one| format!("{} {} {}", one["kind"], one["application"], one["reason"]))
            .collect();
        assert!(found, "no {kind} of {application:?} in its place of {wanted:?}:\n{}", told.join("\n"));
    }
}
