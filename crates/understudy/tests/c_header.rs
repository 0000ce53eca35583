//! The C header against pages that the Rust writer makes: the example is compiled with warnings as errors, and asked.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use understudy_model::{Epoch, RunMode};
use understudy_page::{NEVER, PageWriter, Standing, now};

/// Looking at a page that is never finished takes about a microsecond; a machine that is busy may take some more.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("c")
}

/// Compiles a source beside the header, as `language` of the standard named; nothing, said aloud, without a compiler.
fn compile(directory: &Path, compiler: &str, standard: &str) -> Option<PathBuf> {
    let program = directory.join(standard);
    let mut command = Command::new(compiler);
    if standard.contains("++") {
        command.args(["-x", "c++"]);
    }
    let warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2"];
    command.arg(format!("-std={standard}")).args(warnings).arg("-o").arg(&program);
    let compiled = command.arg(sources().join("may_act.c")).output();
    let output = match compiled {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: {compiler} is not installed, which compiles the header");
            return None;
        }
        compiled => compiled.unwrap(),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// The example, running.
struct Example {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Example {
    fn start(program: &Path, page: &Path) -> Self {
        let mut child = Command::new(program)
            .env("UNDERSTUDY_ROLE_PAGE", page)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, ask, answers }
    }

    fn may_act(&mut self) -> String {
        self.says("?")
    }

    fn says(&mut self, line: &str) -> String {
        let asked = Instant::now();
        self.ask.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(asked.elapsed() < LONGEST_ANSWER);
        answer.trim_end().to_owned()
    }

    fn end(mut self) {
        drop(self.ask.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn refusal(program: &Path, page: Option<&Path>) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    command.env_remove("UNDERSTUDY_ROLE_PAGE");
    command.envs(page.map(|page| ("UNDERSTUDY_ROLE_PAGE", page)));
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn the_example_says_what_the_page_says() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), "cc", "c11") else { return };
    let path = directory.path().join("app");
    let writer = PageWriter::open(&path).unwrap();
    let mut example = Example::start(&program, &path);
    assert_eq!(example.may_act(), "no");
    let says = Standing {
        run_mode: RunMode::Primary,
        epoch: Epoch(u64::MAX / 2),
        until: now() + LONGEST_ANSWER * 100,
    };
    writer.set(says);
    assert_eq!(example.may_act(), format!("yes {}", says.epoch));
    writer.set(Standing { until: now(), ..says });
    assert_eq!(example.may_act(), "no", "it has expired");
    writer.set(Standing { until: NEVER, ..says });
    assert_eq!(example.may_act(), format!("yes {}", says.epoch));
    for run_mode in [RunMode::Backup, RunMode::Exiting, RunMode::Unknown] {
        writer.set(Standing { run_mode, until: NEVER, ..says });
        assert_eq!(example.may_act(), "no", "{run_mode}");
    }
    writer.set(Standing { until: NEVER, ..says });
    // A writer that is stopped, or ended, in the middle.
    overwrite(&path, 32, &7_u64.to_ne_bytes());
    assert_eq!(example.may_act(), "no");
    drop(writer);
    let writer = PageWriter::open(&path).unwrap();
    assert_eq!(example.may_act(), "no");
    writer.set(Standing { until: NEVER, ..says });
    assert_eq!(example.may_act(), format!("yes {}", says.epoch));
    writer.remove().unwrap();
    assert_eq!(example.may_act(), "no", "it was taken away");
    example.end();
}

#[test]
fn work_that_was_begun_in_a_former_epoch_is_not_answered_in_the_present_one() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), "cc", "c11") else { return };
    let path = directory.path().join("app");
    let writer = PageWriter::open(&path).unwrap();
    let primary = |epoch| Standing { run_mode: RunMode::Primary, epoch: Epoch(epoch), until: NEVER };
    writer.set(primary(7));
    let mut example = Example::start(&program, &path);
    assert_eq!(example.says("work"), "begun 7");
    assert_eq!(example.says("done"), "yes 7");
    assert_eq!(example.says("work"), "begun 7");
    // While it worked, or was stopped, somebody else acted in 8.
    writer.set(Standing { run_mode: RunMode::Backup, ..primary(8) });
    writer.set(primary(9));
    assert_eq!(example.says("done"), "no");
    assert_eq!(example.may_act(), "yes 9");
    assert_eq!(example.says("work"), "begun 9");
    writer.set(Standing::NOBODY);
    assert_eq!(example.says("done"), "no");
    example.end();
}

#[test]
fn what_cannot_be_relied_on_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), "cc", "c11") else { return };
    let path = directory.path().join("app");
    assert_eq!(refusal(&program, None).0, Some(1));
    let (code, said) = refusal(&program, Some(&path));
    assert!(code == Some(2) && said.contains("cannot be opened"), "{said}");
    std::fs::write(&path, [0; 63]).unwrap();
    assert_eq!(refusal(&program, Some(&path)).0, Some(4));
    std::fs::write(&path, [0; 64]).unwrap();
    assert_eq!(refusal(&program, Some(&path)).0, Some(4));
    std::fs::remove_file(&path).unwrap();
    PageWriter::open(&path).unwrap();
    assert_eq!(refusal(&program, Some(&path)).0, Some(0));
    overwrite(&path, 8, &2_u32.to_ne_bytes());
    let (code, said) = refusal(&program, Some(&path));
    assert!(code == Some(5) && said.contains("another version"), "{said}");
    overwrite(&path, 8, &1_u32.to_ne_bytes());
    overwrite(&path, 16, &1_u64.to_ne_bytes());
    assert_eq!(refusal(&program, Some(&path)).0, Some(6), "another boot");
}

#[test]
fn a_machine_that_cannot_load_eight_bytes_without_a_store_or_a_lock_is_refused_when_it_is_compiled() {
    for (name, value) in [("__SIZEOF_POINTER__", 4), ("__GCC_ATOMIC_LLONG_LOCK_FREE", 1)] {
        let mut command = Command::new("cc");
        command.args(["-std=c11", "-fsyntax-only", &format!("-U{name}"), &format!("-D{name}={value}")]);
        let output = match command.arg(sources().join("may_act.c")).output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("skipped: cc is not installed, which compiles the header");
                return;
            }
            compiled => compiled.unwrap(),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("needs a 64-bit machine"), "{name}: {said}");
    }
}

#[test]
fn the_header_is_also_cpp() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), "c++", "c++17") else { return };
    let path = directory.path().join("app");
    let writer = PageWriter::open(&path).unwrap();
    writer.set(Standing { run_mode: RunMode::Primary, epoch: Epoch(3), until: NEVER });
    let mut example = Example::start(&program, &path);
    assert_eq!(example.may_act(), "yes 3");
    example.end();
}
