//! A client that writes without pause to whichever member accepts, and remembers everything that was acknowledged.
//!
//! It knows two addresses and asks no control server. The law: what was not acknowledged is written again under the same
//! number, and each number is counted once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use understudy_stage::redis::{RedisClient, Reply};
use understudy_stage::{Interrupt, recipe};

use crate::ground::{LIMIT, PATIENCE};

/// A member that does not answer for so long is left for the other.
const ANSWER_LIMIT: Duration = Duration::from_millis(250);
/// How many keys are looked up at a time.
const LOOKED_UP: u64 = 500;

/// It writes until it is finished.
pub struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    thread: JoinHandle<Duration>,
}

/// What it saw.
#[derive(Debug)]
pub struct Written {
    /// The numbers 0 to this one were acknowledged.
    pub acknowledged: u64,
    /// The longest time between two acknowledgements.
    pub longest_gap: Duration,
}

impl Writer {
    /// Begins.
    pub fn start(members: [SocketAddr; 2]) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || write(members, &stopped, &count));
        Self { stop, acknowledged, thread }
    }

    /// Waits until `more` writes from now on were acknowledged.
    #[track_caller]
    pub fn until_more(&self, more: u64) {
        let goal = self.acknowledged.load(Ordering::Acquire) + more;
        let reached = Interrupt::default().until("writes are acknowledged", LIMIT, || {
            let now = self.acknowledged.load(Ordering::Acquire);
            Ok(if now >= goal { Ok(()) } else { Err(format!("{now} of {goal}")) })
        });
        reached.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends it.
    pub fn finish(self) -> Written {
        self.stop.store(true, Ordering::Release);
        let longest_gap = self.thread.join().unwrap();
        Written { acknowledged: self.acknowledged.load(Ordering::Acquire), longest_gap }
    }
}

impl Written {
    /// How many of the acknowledged writes this member does not have.
    #[track_caller]
    pub fn lost_on(&self, member: SocketAddr) -> u64 {
        let mut client = RedisClient::connect(member, recipe::REDIS_PASSWORD, PATIENCE).unwrap();
        let mut there = 0;
        for from in (0..self.acknowledged).step_by(usize::try_from(LOOKED_UP).unwrap()) {
            let keys: Vec<String> = (from..self.acknowledged.min(from + LOOKED_UP)).map(key).collect();
            let words: Vec<&str> = ["EXISTS"].into_iter().chain(keys.iter().map(String::as_str)).collect();
            let Reply::Number(found) = client.ask(&words).unwrap() else { panic!("EXISTS gives a number") };
            there += u64::try_from(found).unwrap();
        }
        self.acknowledged - there
    }
}

fn key(number: u64) -> String {
    format!("written:{number}")
}

fn write(members: [SocketAddr; 2], stop: &AtomicBool, count: &AtomicU64) -> Duration {
    let mut clients: [Option<RedisClient>; 2] = [None, None];
    let (mut at, mut last, mut longest) = (0, None::<Instant>, Duration::ZERO);
    while !stop.load(Ordering::Acquire) {
        if clients[at].is_none() {
            clients[at] = RedisClient::connect(members[at], recipe::REDIS_PASSWORD, ANSWER_LIMIT).ok();
        }
        let number = count.load(Ordering::Acquire);
        let set = clients[at].as_mut().map(|client| client.set(&key(number), "1"));
        if let Some(Ok(true)) = set {
            let now = Instant::now();
            longest = longest.max(last.map_or(Duration::ZERO, |last| now.duration_since(last)));
            last = Some(now);
            count.store(number + 1, Ordering::Release);
            continue;
        }
        if !matches!(set, Some(Ok(false))) {
            clients[at] = None;
        }
        at = 1 - at;
        std::thread::yield_now();
    }
    longest
}
