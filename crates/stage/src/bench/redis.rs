//! The bench of the Redis recipe: kill -9 of the primary until the other member has accepted a write.
//!
//! It knows the recipe as it is shipped. The law: a round begins only when the backup has everything; the hook's own cost
//! is measured in every round, on the same machine in the same state.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Measured;
use super::rounds::{REST, RESTART_DELAY_MS, WELL_LIMIT};
use crate::clock::boot_ns;
use crate::ports::Ports;
use crate::redis::RedisClient;
use crate::{Ground, Host, Interrupt, Plan, Programs, Stage, StageError, recipe};

/// How long a server may take to answer, and the first accepted write to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to write, and so how much longer than true a figure may be.
const ASK_AGAIN: Duration = Duration::from_micros(500);

/// From `kill -9` to the first accepted write; the floor is the recipe's `promote` by itself, on a server that is primary
/// already: as many commands and processes.
pub fn redis_failover(
    rounds: u32,
    programs: &Programs,
    ground: Ground,
    interrupt: &Interrupt,
) -> Result<Measured, StageError> {
    let mut ports = Ports::default();
    let mut plan = Plan::new("bench", RESTART_DELAY_MS);
    let mut members = [SocketAddr::from((Host::Alpha.address(), 0)); 2];
    for (host, member) in Host::ALL.into_iter().zip(&mut members) {
        *member = SocketAddr::from((host.address(), ports.free_on(host.address())?));
    }
    recipe::add_redis(&mut plan, members.map(|member| member.port()))?;
    let mut stage = Stage::set_up(programs, ground, plan, &mut ports, interrupt.clone())?;
    stage.start_all()?;
    let mut measured = Measured::default();
    for round in 0..rounds {
        let (primary, backup) = rest(&mut stage, members)?;
        let mut client = connect(members[backup])?;
        let (_, before_ns) = stage.kill_application(&format!("{}-{}", recipe::REDIS, primary + 1))?;
        let deadline = Instant::now() + PATIENCE;
        let key = format!("round:{round}");
        while !client.set(&key, "1").map_err(StageError::system("write to Redis"))? {
            interrupt.check()?;
            if Instant::now() >= deadline {
                let why = stage.api().get(&format!("/v1/why/{}", recipe::REDIS))?;
                return Err(StageError::Unexpected(format!("{} accepts no write: {why}", members[backup])));
            }
            // A client that asks all the time takes a core from those who are to be measured.
            std::thread::sleep(ASK_AGAIN);
        }
        measured.times_ns.push(boot_ns().saturating_sub(before_ns));
        let (primary, _) = rest(&mut stage, members)?;
        measured.floor_ns.push(promote_again(&stage, members, primary)?);
    }
    stage.end()?;
    Ok(measured)
}

fn connect(member: SocketAddr) -> Result<RedisClient, StageError> {
    RedisClient::connect(member, recipe::REDIS_PASSWORD, PATIENCE).map_err(StageError::system("ask Redis"))
}

/// Waits until the pair is well and the backup in step; answers who is primary and who is backup, 0 or 1.
fn rest(stage: &mut Stage, members: [SocketAddr; 2]) -> Result<(usize, usize), StageError> {
    let first = format!("{}-1", recipe::REDIS);
    let found = stage.until("the backup has everything", WELL_LIMIT, |status| {
        let unwell = status.unwell();
        if !unwell.is_empty() {
            return Err(unwell.join(", "));
        }
        let is_first = status.pair(recipe::REDIS).is_some_and(|pair| pair.primary.as_ref() == Some(&first));
        let (primary, backup) = if is_first { (0, 1) } else { (1, 0) };
        let offset = |member: usize, name: &str| {
            let client = RedisClient::connect(members[member], recipe::REDIS_PASSWORD, PATIENCE);
            client.and_then(|mut client| client.replication(name)).map_err(|error| error.to_string())
        };
        let (there, here) = (offset(primary, "master_repl_offset")?, offset(backup, "slave_repl_offset")?);
        if here.is_some() && here == there {
            Ok((primary, backup))
        } else {
            Err(format!("{here:?} of {there:?}"))
        }
    })?;
    stage.interrupt().let_pass(REST)?;
    Ok(found)
}

/// How long the hook takes by itself.
fn promote_again(stage: &Stage, members: [SocketAddr; 2], primary: usize) -> Result<u64, StageError> {
    let status = stage.api().status()?;
    let epoch = status.pair(recipe::REDIS).map_or(0, |pair| pair.epoch);
    let name = |member: usize| format!("{}-{}", recipe::REDIS, member + 1);
    let script = recipe::directory(recipe::REDIS).join("promote");
    let (own, other) = (members[primary], members[1 - primary]);
    let began_ns = boot_ns();
    let ended = Command::new(&script)
        .current_dir(stage.directory())
        .env("REDIS_ADDRESS", own.ip().to_string())
        .env("REDIS_PASSWORD", recipe::REDIS_PASSWORD)
        .env("UNDERSTUDY_PORT_DEFAULT", own.port().to_string())
        .env("UNDERSTUDY_PEER_ADDRESS", other.ip().to_string())
        .env("UNDERSTUDY_PEER_PORT_DEFAULT", other.port().to_string())
        .env("UNDERSTUDY_APPLICATION", name(primary))
        .env("UNDERSTUDY_PEER", name(1 - primary))
        .env("UNDERSTUDY_EPOCH", epoch.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|source| StageError::Start { program: script.clone(), source })?;
    let took_ns = boot_ns().saturating_sub(began_ns);
    if ended.success() {
        Ok(took_ns)
    } else {
        Err(StageError::Unexpected(format!("{} ended with {ended}", script.display())))
    }
}
