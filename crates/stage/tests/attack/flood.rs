//! Ten thousand strangers at an agent's port: half a handshake of TLS, a whole one and then silence, and plain bytes.
//!
//! The law: what they cost the agent is bounded, in descriptors and in memory, while they are there and afterwards; and
//! whoever was connected before does not notice.

use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use understudy_stage::plan::SERVER;
use understudy_stage::{Daemon, Host};

use crate::certificates::{first_words, secured};
use crate::play::{Play, assert_undisturbed};
use crate::strangers::agent_address;

/// How many come.
const MANY: usize = 10_000;
/// How many of them stay at a time, more than an agent hears.
const STAYING: usize = 500;
/// One of so many shows a good certificate, and then says nothing.
const ONE_IN: usize = 20;
/// What an agent listens to at once before it knows who it is (`MOST_STRANGERS`), and some for what comes and goes.
const MOST_DESCRIPTORS: usize = 64 + 16;
/// What all of them together may cost, in thousands of bytes: 64 handshakes of TLS, and what an allocator keeps.
const MOST_RSS_KB: u64 = 8_000;
const LIMIT: Duration = Duration::from_secs(10);

/// Descriptors and resident memory in KiB.
fn cost(pid: u32) -> (usize, u64) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (descriptors, rss.trim().trim_end_matches(" kB").parse().unwrap())
}

#[test]
fn ten_thousand_strangers_cost_an_agent_little_and_its_links_nothing() {
    let mut play = Play::well();
    let before = play.status();
    let agent = play.stage.daemon_pid(Daemon::Agent(Host::Alpha)).unwrap();
    let (address, hello) = (agent_address(&play, Host::Alpha), first_words(&play, SERVER));
    let at_first = cost(agent);
    let (mut most, mut staying): (_, VecDeque<Box<dyn Send>>) = (at_first, VecDeque::new());
    for number in 0..MANY {
        let mut door = TcpStream::connect_timeout(&address, LIMIT).unwrap();
        door.set_read_timeout(Some(LIMIT)).unwrap();
        door.set_write_timeout(Some(LIMIT)).unwrap();
        let stays: Box<dyn Send> = if number % ONE_IN == 0 {
            let mut door = secured(&play, SERVER, door);
            // A crowd may have pushed it out before it was through.
            let _ = door.flush();
            Box::new(door)
        } else {
            let said = if number % 2 == 0 { &hello[..] } else { &b"US\x01\x01 half a frame"[..] };
            // The same.
            let _ = door.write_all(said);
            Box::new(door)
        };
        staying.push_back(stays);
        if staying.len() > STAYING {
            staying.pop_front();
        }
        if number % 100 == 0 {
            let now = cost(agent);
            most = (most.0.max(now.0), most.1.max(now.1));
        }
    }
    // Whoever is connected already is served as ever, while they stay.
    for to in ["t-2", "t-1"] {
        play.scsctl(&["switchover", "t", "--to", to]).expect(0, &[]);
    }
    let during = play.until_well();
    assert_undisturbed(&before, &during, &[]);
    drop(staying);
    play.until_so("they are forgotten", || {
        let now = cost(agent);
        if now.0 <= at_first.0 + 1 { Ok(()) } else { Err(format!("{now:?}, at first {at_first:?}")) }
    });
    let at_last = cost(agent);
    println!("descriptors and KiB: {at_first:?} at first, {most:?} at most, {at_last:?} at last");
    assert!(most.0 <= at_first.0 + MOST_DESCRIPTORS, "{most:?} descriptors and KiB, {at_first:?} at first");
    assert!(most.1 <= at_first.1 + MOST_RSS_KB, "{most:?} descriptors and KiB, {at_first:?} at first");
    let log = play.log(Daemon::Agent(Host::Alpha));
    assert!(!log.contains("control server left"), "the control server's link was lost");
    let end = play.until_well();
    assert_undisturbed(&before, &end, &[]);
}
