//! The log of a whole program: whoever reads it or does not, the program decides when it ends, and its last words are there.
//!
//! The test starts itself as that program. The law: the program never waits for its reader without a bound.
#![cfg(unix)]

use std::io::{BufRead, BufReader, PipeReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use understudy_drive::begin_log;

/// The longest that anything may take.
const LIMIT: Duration = Duration::from_secs(20);
/// In the environment of the program, how many lines it logs before it panics.
const LINES: &str = "UNDERSTUDY_TEST_LINES";

/// Logs, and panics.
fn be_the_program(lines: u32) {
    let _log = begin_log("UNDERSTUDY_TEST_LOG").unwrap();
    for number in 0..lines {
        tracing::info!("line {number:>999}");
    }
    panic!("the last word");
}

/// Starts the program; its log and itself.
fn start(lines: u32) -> (PipeReader, std::process::Child) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "a_program_ends_whoever_reads_its_log", "--nocapture"])
        .env(LINES, lines.to_string());
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    (reader, child)
}

fn ends(mut child: std::process::Child) {
    let until = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it waits for its reader");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_program_ends_whoever_reads_its_log() {
    if let Ok(lines) = std::env::var(LINES) {
        return be_the_program(lines.parse().unwrap());
    }
    // Nobody reads, and it logs more than finds room.
    let (unread, child) = start(2_000);
    ends(child);
    let lines: Vec<String> = BufReader::new(unread).lines().map(Result::unwrap).collect();
    let in_order =
        lines.iter().take(10).enumerate().all(|(number, line)| line.ends_with(&format!(" {number}")));
    assert!(in_order && lines.len() < 2_000, "{lines:?}");
    // Somebody reads: nothing is missing, and what was said last stands last.
    let (reader, child) = start(100);
    let lines: Vec<String> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    ends(child);
    let last = lines.iter().position(|line| line.ends_with(" 99")).unwrap();
    assert_eq!(last, 99, "{lines:?}");
    assert!(lines[100].starts_with("thread ") && lines[100].contains("panicked at"), "{lines:?}");
    assert_eq!(lines[101], "the last word");
}
