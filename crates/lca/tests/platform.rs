//! Real processes on this machine, through the platform alone.
//!
//! Knows no decisions. The law: one test at a time, as all of them share this process's children; everything has a
//! limit, and only what a test started is killed.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use understudy_decide::agent::StartId;
use understudy_lca::platform::{
    Launch, LaunchError, Linux, Output, Platform, TreeEnd, TreeNote, find_account,
};
use understudy_model::{AgentId, ApplicationName, ExitCause, Incarnation, ProcessSpec, Signal};

const LIMIT: Duration = Duration::from_secs(20);
static ALONE: Mutex<()> = Mutex::new(());

type Tree = <Linux as Platform>::Tree;

struct Bench {
    platform: Linux,
    agent: AgentId,
    directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        for survivor in self.platform.survivors(&[]).unwrap() {
            self.platform.kill(&survivor.tree).unwrap();
        }
        self.platform.remove_leftovers();
    }
}

fn agent_id() -> AgentId {
    AgentId(understudy_lca::state::random().unwrap())
}

impl Bench {
    fn new(contained: bool) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let agent = agent_id();
        let platform = Self::platform(agent, contained);
        Self { platform, agent, directory: tempfile::tempdir().unwrap(), _alone: alone }
    }

    fn platform(agent: AgentId, contained: bool) -> Linux {
        if contained { Linux::new(agent).unwrap().0 } else { Linux::without_control_groups(agent).unwrap() }
    }

    /// With and without control groups, the second only where this machine has them.
    fn both(test: impl Fn(&Bench)) {
        test(&Bench::new(false));
        let with = Bench::new(true);
        let tree = with.run(1, "exit 0");
        let contained = with.platform.note(&tree).container.is_some();
        with.end(&tree);
        if contained {
            test(&with);
        } else {
            println!("skipped with control groups: this machine has no writable cgroup2");
        }
    }

    fn launch(&self, number: u64, command: &[&str]) -> Launch {
        let path = |name: &str| self.directory.path().join(name);
        Launch {
            application: ApplicationName::new("app").unwrap(),
            start: StartId { incarnation: Incarnation(7), number },
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            environment: vec![
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("UNDERSTUDY_APPLICATION".to_owned(), "app".to_owned()),
            ],
            directory: path("work"),
            output: Output::File(path("logs").join("app.log")),
            spec: ProcessSpec::default(),
            account: find_account(None, None, &[]).unwrap(),
            directory_of: find_account(None, None, &[]).unwrap(),
            may_begin_outside: false,
            own_directory: false,
        }
    }

    fn run(&self, number: u64, script: &str) -> Tree {
        self.platform.launch(&self.launch(number, &["/bin/sh", "-c", script])).unwrap()
    }

    fn fail(&self, change: impl FnOnce(&mut Launch)) -> LaunchError {
        let mut launch = self.launch(1, &["/bin/sh", "-c", "exit 0"]);
        change(&mut launch);
        match self.platform.launch(&launch) {
            Err(error) => error,
            Ok(_) => panic!("it was started"),
        }
    }

    fn pid(&self, tree: &Tree) -> u32 {
        self.platform.pid(tree).unwrap()
    }

    /// Waits for the end of the main process and forgets the tree if nothing of it is left.
    fn end(&self, tree: &Tree) -> TreeEnd {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = async { tokio::time::timeout(LIMIT, self.platform.ended(tree)).await };
        let cause = runtime.block_on(ended).expect("it ends in time").unwrap();
        let end = TreeEnd { cause, others_live: self.platform.others_live(tree) };
        if !end.others_live {
            self.platform.release(tree);
        }
        end
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("logs/app.log")).unwrap_or_default()
    }

    /// A number that a script wrote to a file of its working directory.
    fn number_in(&self, file: &str) -> u32 {
        let path = self.directory.path().join("work").join(file);
        let mut number = None;
        eventually(file, || {
            number = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            number.is_some()
        });
        number.unwrap()
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::yield_now();
    }
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| {
        let after_name = stat.iter().rposition(|byte| *byte == b')').unwrap();
        !stat[after_name..].starts_with(b") Z")
    })
}

/// A script that gives itself a name that is no text, writes its number to `odd`, and waits without any other process.
const ODD: &str = "mkfifo never; printf '\\303' > /proc/$$/comm; echo $$ > odd; read line < never";

#[test]
fn code_and_signal_are_known() {
    Bench::both(|bench| {
        let end = bench.end(&bench.run(2, "exit 3"));
        assert_eq!(end, TreeEnd { cause: ExitCause::Code(3), others_live: false });
        let tree = bench.run(3, "kill -SEGV $$");
        assert_eq!(bench.end(&tree).cause, ExitCause::Signal(11));
        let tree = bench.run(4, "exec sleep 600");
        bench.platform.signal(&tree, Signal::Usr1).unwrap();
        assert_eq!(bench.end(&tree), TreeEnd { cause: ExitCause::Signal(10), others_live: false });
        bench.platform.signal(&tree, Signal::Kill).unwrap();
    });
}

#[test]
fn where_there_is_no_group_all_processes_are_searched_and_nowhere_else() {
    Bench::both(|bench| {
        let tree = bench.run(2, "exit 0");
        assert_eq!(bench.platform.must_search(&tree), bench.platform.note(&tree).container.is_none());
        bench.end(&tree);
    });
}

#[test]
fn what_hid_in_a_session_of_its_own_is_killed_too() {
    Bench::both(|bench| {
        let tree = bench.run(2, "setsid sh -c 'echo $$ > hidden; exec sleep 600' & wait");
        let hidden = bench.number_in("hidden");
        bench.platform.signal(&tree, Signal::Kill).unwrap();
        assert_eq!(bench.end(&tree), TreeEnd { cause: ExitCause::Signal(9), others_live: true });
        assert!(lives(hidden));
        bench.platform.kill(&tree).unwrap();
        assert!(!lives(hidden));
        bench.platform.release(&tree);
    });
}

#[test]
fn what_forked_twice_and_forgot_its_environment_is_killed_too() {
    Bench::both(|bench| {
        let script = "(setsid env -i /bin/sh -c 'echo $$ > hidden; exec sleep 600' &) ; while [ ! -s hidden ]; do :; done; exit 0";
        let tree = bench.run(2, script);
        let hidden = bench.number_in("hidden");
        assert_eq!(bench.end(&tree), TreeEnd { cause: ExitCause::Code(0), others_live: true });
        bench.platform.kill(&tree).unwrap();
        assert!(!lives(hidden));
        bench.platform.release(&tree);
        std::fs::remove_file(bench.directory.path().join("work/hidden")).unwrap();
    });
}

#[test]
fn a_whole_tree_is_killed_with_its_main_process() {
    Bench::both(|bench| {
        let tree = bench.run(2, "sleep 600 & sleep 600 & setsid sleep 600 & echo $! > last; wait");
        let last = bench.number_in("last");
        bench.platform.kill(&tree).unwrap();
        assert!(!lives(last) && !lives(bench.pid(&tree)));
        assert_eq!(bench.end(&tree), TreeEnd { cause: ExitCause::Signal(9), others_live: false });
        std::fs::remove_file(bench.directory.path().join("work/last")).unwrap();
    });
}

/// The kernel cuts a name at 15 bytes, in the middle of a letter too, and a program may give itself any.
#[test]
fn a_process_is_killed_whatever_its_name_is() {
    Bench::both(|bench| {
        let tree = bench.run(2, ODD);
        let odd = bench.number_in("odd");
        assert!(String::from_utf8(std::fs::read(format!("/proc/{odd}/comm")).unwrap()).is_err());
        bench.platform.kill(&tree).unwrap();
        assert!(!lives(odd));
        assert_eq!(bench.end(&tree), TreeEnd { cause: ExitCause::Signal(9), others_live: false });
    });
}

#[test]
fn what_is_left_of_a_start_is_seen_whatever_its_name_is() {
    Bench::both(|bench| {
        let tree = bench.run(2, &format!("setsid sh -c '{}' & wait", ODD.replace('\'', "\"")));
        let odd = bench.number_in("odd");
        bench.platform.signal(&tree, Signal::Kill).unwrap();
        assert_eq!(bench.end(&tree), TreeEnd { cause: ExitCause::Signal(9), others_live: true });
        bench.platform.kill(&tree).unwrap();
        assert!(!lives(odd));
        bench.platform.release(&tree);
    });
}

#[test]
fn a_noted_process_is_adopted_whatever_its_name_is() {
    Bench::both(|bench| {
        let tree = bench.run(2, ODD);
        bench.number_in("odd");
        let note = bench.platform.note(&tree);
        let next = Bench::platform(bench.agent, note.container.is_some());
        let found = next.survivors(&[(tree.application().clone(), tree.start(), note)]).unwrap();
        let alive: Vec<_> = found.iter().map(|survivor| (survivor.start, survivor.main_lives)).collect();
        assert_eq!(alive, [(tree.start(), true)]);
        bench.platform.kill(&tree).unwrap();
        bench.end(&tree);
    });
}

#[test]
fn the_start_after_a_kill_is_left_alone() {
    Bench::both(|bench| {
        let tree = bench.run(2, "exec sleep 600");
        bench.platform.kill(&tree).unwrap();
        assert_eq!(bench.end(&tree).cause, ExitCause::Signal(9));
        assert_eq!(bench.end(&bench.run(3, "exit 3")).cause, ExitCause::Code(3));
    });
}

#[test]
fn other_starts_are_not_touched() {
    Bench::both(|bench| {
        let other = bench.run(2, "exec sleep 600");
        // In the same group it would be the same tree: an application has one start at a time.
        if bench.platform.note(&other).container.is_none() {
            let tree = bench.run(3, "sleep 600 & sleep 600");
            bench.platform.kill(&tree).unwrap();
            bench.end(&tree);
            assert!(lives(bench.pid(&other)));
        }
        bench.platform.kill(&other).unwrap();
        bench.end(&other);
    });
}

#[test]
fn every_cause_of_a_failed_start_is_named() {
    let bench = Bench::new(true);
    let work = bench.directory.path().to_owned();
    let file = |name: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let path = work.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let says = |error: LaunchError, parts: &[&str]| {
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    let command = |first: &str| {
        let first = first.to_owned();
        bench.fail(move |launch| launch.command = vec![first])
    };
    says(command("/nowhere/program"), &["/nowhere/program", "No such file"]);
    says(command("no-such-program"), &["no-such-program", "PATH", "/usr/bin:/bin"]);
    says(command(&file("plain", "x", 0o644)), &["plain", "not executable", "denied"]);
    says(command(work.to_str().unwrap()), &["directory", "denied"]);
    says(command(&file("lost", "#!/nowhere/interpreter\n", 0o755)), &["lost", "interpreter"]);
    says(command(&file("nothing", "", 0o755)), &["nothing", "format"]);
    says(bench.fail(|launch| launch.command.clear()), &["empty"]);
    says(bench.fail(|launch| launch.command.push("a\0b".to_owned())), &["zero byte"]);
    let in_file = work.join("plain").join("below");
    let below = in_file.clone();
    says(
        bench.fail(move |launch| launch.directory = below),
        &["working directory", "below", "Not a directory"],
    );
    says(bench.fail(move |launch| launch.output = Output::File(in_file)), &["log", "below"]);
    assert!(bench.platform.survivors(&[]).unwrap().is_empty(), "nothing is left of a failed start");
}

#[test]
fn a_child_begins_clean() {
    let bench = Bench::new(true);
    // Descriptors that are not closed on exec, as a careless ancestor leaves them.
    let (left, right) = rustix::pipe::pipe().unwrap();
    assert!(!rustix::io::fcntl_getfd(&left).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    assert!(left.as_raw_fd() > 3 && right.as_raw_fd() > 3);
    let script = "cat; for fd in /proc/$$/fd/*; do echo fd ${fd##*/}; done; umask; pwd; \
                  tr '\\0' '\\n' < /proc/$$/environ; \
                  cut -d' ' -f5,6 /proc/$$/stat; echo end";
    let tree = bench.run(9, script);
    let pid = bench.pid(&tree);
    bench.end(&tree);
    let log = bench.log();
    let lines: Vec<&str> = log.lines().collect();
    let begins = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    // The fourth is the directory that the shell itself is reading.
    assert_eq!((begins("fd "), begins("fd 3")), (4, 1), "{log}");
    assert!(lines.contains(&"0022"), "{log}");
    assert!(lines.iter().any(|line| line.ends_with("/work")), "{log}");
    let mark = format!("UNDERSTUDY_START={}.{}.9", bench.agent, Incarnation(7));
    let variables: Vec<&&str> = lines.iter().filter(|line| line.contains('=')).collect();
    assert_eq!(variables, [&"PATH=/usr/bin:/bin", &"UNDERSTUDY_APPLICATION=app", &mark.as_str()], "{log}");
    assert!(lines.contains(&format!("{pid} {pid}").as_str()), "its own group and session: {log}");
    // Asked of a program that, unlike a shell, changes nothing of it.
    let signals = bench.launch(10, &["cat", "/proc/self/status"]);
    bench.end(&bench.platform.launch(&signals).unwrap());
    let both = bench.log();
    let status = both.strip_prefix(&log).expect("output is appended");
    for kind in ["SigBlk", "SigIgn", "SigCgt"] {
        assert!(status.contains(&format!("{kind}:\t0000000000000000\n")), "{status}");
    }
}

#[test]
fn a_noted_process_is_adopted_and_its_end_is_heard() {
    Bench::both(|bench| {
        let tree = bench.run(2, "exec sleep 600");
        let note = bench.platform.note(&tree);
        let (application, start) = (tree.application().clone(), tree.start());
        let next = Bench::platform(bench.agent, note.container.is_some());
        let found = next.survivors(&[(application.clone(), start, note.clone())]).unwrap();
        assert_eq!(found.len(), 1);
        let adopted = &found[0];
        assert!(adopted.main_lives && adopted.start == start && adopted.application == application);
        assert_eq!(next.pid(&adopted.tree), bench.platform.pid(&tree));
        assert!(adopted.running_for < LIMIT);
        assert_eq!(next.start_of(note.pid.unwrap()), Some(start));
        let path = ("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        // While one program becomes another it is empty for a moment: the shell may be on its way to `sleep`.
        eventually("its secrets are known from it", || next.environment(&adopted.tree).contains(&path));
        next.signal(&adopted.tree, Signal::Term).unwrap();
        assert!(!bench.end(&tree).others_live);

        let gone = next.survivors(&[(application, start, note)]).unwrap();
        assert!(gone.is_empty());
    });
}

/// Found by the soak: an agent that was killed before it forgot the note of an ended start took what ran under the
/// next start for what the first had left behind, and killed it.
#[test]
fn a_note_of_an_ended_start_does_not_lead_to_a_later_one() {
    Bench::both(|bench| {
        let first = bench.run(2, "exec sleep 600");
        let old = (first.application().clone(), first.start(), bench.platform.note(&first));
        bench.platform.kill(&first).unwrap();
        bench.end(&first);
        bench.platform.release(&first);
        let second = bench.run(3, "exec sleep 600");
        let note = (second.application().clone(), second.start(), bench.platform.note(&second));
        // While a process is loading its program it shows no mark, and a child of ours without one could be anybody's.
        let environment = format!("/proc/{}/environ", bench.pid(&second));
        eventually("its program is loaded", || std::fs::read(&environment).is_ok_and(|all| !all.is_empty()));
        let next = Bench::platform(bench.agent, note.2.container.is_some());
        let found = next.survivors(&[old, note]).unwrap();
        let starts: Vec<_> = found.iter().map(|survivor| (survivor.start, survivor.main_lives)).collect();
        assert_eq!(starts, [(second.start(), true)]);
        next.kill(&found[0].tree).unwrap();
        bench.end(&second);
    });
}

#[test]
fn another_process_with_the_same_number_is_not_adopted() {
    let bench = Bench::new(false);
    let own = std::process::id();
    let name = ApplicationName::new("app").unwrap();
    let start = StartId { incarnation: Incarnation(7), number: 1 };
    let note = TreeNote { pid: Some(own), began: 1, container: None };
    assert!(bench.platform.survivors(&[(name, start, note)]).unwrap().is_empty());
}

#[test]
fn what_was_never_noted_is_found() {
    Bench::both(|bench| {
        let tree = bench.run(2, "sleep 600 & echo $! > last; wait");
        bench.number_in("last");
        let next = Bench::platform(bench.agent, bench.platform.note(&tree).container.is_some());
        let found = next.survivors(&[]).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].main_lives && found[0].start == tree.start());
        assert_eq!(next.pid(&found[0].tree), bench.platform.pid(&tree));
        let stranger = Bench::platform(agent_id(), false);
        assert!(stranger.survivors(&[]).unwrap().is_empty(), "another agent's mark is not ours");
        next.kill(&found[0].tree).unwrap();
        bench.end(&tree);
        std::fs::remove_file(bench.directory.path().join("work/last")).unwrap();
    });
}

#[test]
fn what_outlived_its_main_process_and_its_agent_is_found_and_killed() {
    Bench::both(|bench| {
        let tree = bench.run(2, "setsid sleep 600 & echo $! > last; exit 0");
        let last = bench.number_in("last");
        let note = bench.platform.note(&tree);
        assert!(bench.end(&tree).others_live);
        bench.platform.release(&tree);
        let next = Bench::platform(bench.agent, note.container.is_some());
        for notes in [vec![(tree.application().clone(), tree.start(), note)], vec![]] {
            let found = next.survivors(&notes).unwrap();
            assert_eq!(found.len(), 1, "{notes:?}");
            assert!(found[0].start == tree.start());
            if !notes.is_empty() {
                assert!(!found[0].main_lives);
                continue;
            }
            next.kill(&found[0].tree).unwrap();
        }
        assert!(!lives(last));
        std::fs::remove_file(bench.directory.path().join("work/last")).unwrap();
    });
}

#[test]
fn whose_process_it_is_is_known_by_tree_only() {
    Bench::both(|bench| {
        let tree = bench.run(2, "sleep 600 & echo $! > child; wait");
        let child = bench.number_in("child");
        assert_eq!(bench.platform.start_of(bench.pid(&tree)), Some(tree.start()));
        // While a process is loading a program its environment cannot be read for a moment.
        eventually("its child is known", || bench.platform.start_of(child) == Some(tree.start()));
        assert_eq!(bench.platform.start_of(std::process::id()), None);
        assert_eq!(bench.platform.start_of(1), None);
        bench.platform.kill(&tree).unwrap();
        bench.end(&tree);
        std::fs::remove_file(bench.directory.path().join("work/child")).unwrap();
    });
}

#[test]
fn a_process_of_another_user_that_claims_to_be_of_a_start_is_not() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let as_user = |bench: &Bench, number: u64, user: &str, script: &str| {
        let mut launch = bench.launch(number, &["/bin/sh", "-c", script]);
        launch.account = find_account(Some(user), None, &[]).unwrap();
        launch.directory = "/".into();
        bench.platform.launch(&launch).unwrap()
    };
    Bench::both(|bench| {
        let victim = as_user(bench, 2, "daemon", "sleep 600 & wait");
        let mark = |number: u64| format!("UNDERSTUDY_START={}.{}.{number}", bench.agent, Incarnation(7));
        let script = format!("{} setsid sleep 601 & {} setsid sleep 602 & wait", mark(2), mark(9));
        let claims = as_user(bench, 3, "nobody", &script);
        let child = |tree: &Tree, seconds: &str| {
            let mut found = None;
            eventually("its child runs", || {
                let all = std::fs::read_dir("/proc").unwrap().flatten();
                let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
                found = pids.find(|pid| {
                    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
                    let is_it = read("cmdline").is_ok_and(|line| line == format!("sleep\0{seconds}\0"));
                    let parent = format!("PPid:\t{}\n", bench.pid(tree));
                    is_it && read("status").is_ok_and(|status| status.contains(&parent))
                });
                found.is_some()
            });
            found.unwrap()
        };
        assert_eq!(bench.platform.start_of(child(&victim, "600")), Some(victim.start()));
        let contained = bench.platform.note(&victim).container.is_some();
        for seconds in ["601", "602"] {
            // Its group says whose it is; without one nobody is believed.
            let whose = contained.then_some(claims.start());
            assert_eq!(bench.platform.start_of(child(&claims, seconds)), whose);
        }
        assert!(bench.platform.other_main(&victim, child(&claims, "601")).unwrap().is_none());
        if contained {
            // Nor does the next life of the agent take it for a start that it forgot to note.
            let notes = [&victim, &claims]
                .map(|tree| (tree.application().clone(), tree.start(), bench.platform.note(tree)));
            let found = Bench::platform(bench.agent, true).survivors(&notes).unwrap();
            let mut starts: Vec<_> = found.iter().map(|survivor| survivor.start).collect();
            starts.sort();
            assert_eq!(starts, [victim.start(), claims.start()]);
        }
        for tree in [&claims, &victim] {
            bench.platform.kill(tree).unwrap();
            bench.end(tree);
        }
    });
}

/// A start may have had to go without a group; its search is then by parents, and all orphans have the same.
#[test]
fn what_lies_in_the_group_of_another_start_is_never_killed() {
    let bench = Bench::new(true);
    // First, as nothing that is older than a start is taken for its own.
    let without = Bench::platform(bench.agent, false);
    let loose = without.launch(&bench.launch(3, &["/bin/sleep", "600"])).unwrap();
    let hides = "(setsid env -i /bin/sh -c 'echo $$ > hidden; exec sleep 600' &) ; exec sleep 600";
    let contained = bench.run(2, hides);
    if bench.platform.note(&contained).container.is_none() {
        println!("skipped: this machine has no writable cgroup2");
        for (platform, tree) in [(&bench.platform, &contained), (&without, &loose)] {
            platform.kill(tree).unwrap();
        }
        return;
    }
    let hidden = bench.number_in("hidden");
    let note = (loose.application().clone(), loose.start(), without.note(&loose));
    let notes = [note, (contained.application().clone(), contained.start(), bench.platform.note(&contained))];
    let found = bench.platform.survivors(&notes).unwrap();
    let adopted = found.iter().find(|survivor| survivor.start == loose.start()).unwrap();
    // Its parent has ended, and it is ours now.
    eventually("it is an orphan", || {
        let status = std::fs::read_to_string(format!("/proc/{hidden}/status")).unwrap();
        status.contains(&format!("PPid:\t{}\n", std::process::id()))
    });
    bench.platform.kill(&adopted.tree).unwrap();
    assert!(lives(hidden) && lives(bench.pid(&contained)) && !lives(without.pid(&loose).unwrap()));
    bench.platform.release(&adopted.tree);
    bench.platform.kill(&contained).unwrap();
    assert!(!lives(hidden));
    bench.end(&contained);
}

#[test]
fn adopted_orphans_are_waited_for_and_main_processes_are_left_to_their_watch() {
    let bench = Bench::new(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let main = bench.run(2, "(setsid sh -c 'echo $$ > orphan; exit 0' &); exit 5");
        let orphan = bench.number_in("orphan");
        let reaped = async {
            let until = Instant::now() + LIMIT;
            while Path::new("/proc").join(orphan.to_string()).exists() {
                assert!(Instant::now() < until, "the orphan stays a zombie");
                tokio::task::yield_now().await;
            }
        };
        // The main process ends first and is not released before its own watch has seen how.
        tokio::select! {
            served = bench.platform.serve() => panic!("{served:?}"),
            () = async {
                assert_eq!(bench.platform.ended(&main).await.unwrap(), ExitCause::Code(5));
                bench.platform.release(&main);
                reaped.await;
            } => {}
        }
    });
}
