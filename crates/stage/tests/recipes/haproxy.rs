//! The recipe for HAProxy: a real one in front of the Redis pair, which asks the agents who is primary.
//!
//! It knows the recipe's file as it is shipped; addresses and ports are replaced. The law: clients know one address only, and no
//! control server is needed for their traffic to go on.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use understudy_stage::redis::RedisClient;
use understudy_stage::{Daemon, Host, Interrupt, recipe};

use crate::ground::{LIMIT, PATIENCE, RedisGround, has};
use crate::writer::Writer;

/// Enough that a change of roles falls into the middle of writing.
const SOME: u64 = 200;

/// A running HAProxy; ended when it is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for ended in [self.child.kill(), self.child.wait().map(drop)] {
            if let Err(error) = ended {
                eprintln!("HAProxy is not ended: {error}");
            }
        }
    }
}

/// The recipe's file with the places of this cluster; every replaced text must be there.
fn settings(ground: &RedisGround, own: SocketAddr) -> PathBuf {
    let mut text = fs::read_to_string(recipe::directory("haproxy").join("haproxy.cfg")).unwrap();
    let mut replaced = vec![("bind :6380".to_owned(), format!("bind {own}"))];
    for (host, shipped) in Host::ALL.into_iter().zip(["10.77.0.11", "10.77.0.12"]) {
        let member = if host == Host::Alpha { "redis-1" } else { "redis-2" };
        let status = ground.stage.plan().status_place(host).unwrap();
        let to = format!("{} check port {}", ground.address(member), status.port());
        replaced.push((format!("{shipped}:6379 check port 4998"), to));
    }
    for (from, to) in replaced {
        assert_eq!(text.matches(&from).count(), 1, "{from}");
        text = text.replace(&from, &to);
    }
    let path = ground.stage.directory().join("haproxy.cfg");
    fs::write(&path, text).unwrap();
    path
}

/// Checks the settings, starts HAProxy, and waits until it leads to a primary.
fn start(ground: &mut RedisGround) -> Proxy {
    let address = SocketAddr::from((Host::Alpha.address(), ground.free_port()));
    let path = settings(ground, address);
    let program = ["/usr/sbin/haproxy", "/usr/bin/haproxy", "/usr/local/bin/haproxy"];
    let program = program.into_iter().find(|path| Path::new(path).is_file()).unwrap();
    let checked = Command::new(program).arg("-c").arg("-f").arg(&path).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    // In the foreground, one process.
    let child = Command::new(program)
        .args(["-db", "-f"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(fs::File::create(path.with_extension("log")).unwrap())
        .stderr(fs::File::create(path.with_extension("errors")).unwrap())
        .spawn()
        .unwrap();
    let proxy = Proxy { child, address };
    until_accepted(address);
    proxy
}

/// Waits until a new connection to that place reaches a server that takes a write.
#[track_caller]
fn until_accepted(address: SocketAddr) {
    let looked = Interrupt::default().until("a write through HAProxy is accepted", LIMIT, || {
        let client = RedisClient::connect(address, recipe::REDIS_PASSWORD, PATIENCE);
        match client.and_then(|mut client| client.set("through", "1")) {
            Ok(true) => Ok(Ok(())),
            other => Ok(Err(format!("{other:?}"))),
        }
    });
    looked.unwrap_or_else(|error| panic!("{error}"));
}

fn both_installed() -> bool {
    has("redis-server", "redis-server") && has("haproxy", "haproxy")
}

#[test]
fn clients_of_one_address_follow_the_primary() {
    if !both_installed() {
        return;
    }
    let mut ground = RedisGround::well(|_| ());
    let proxy = start(&mut ground);
    let writer = Writer::start([proxy.address; 2]);
    writer.until_more(SOME);
    ground.stage.switch_over("redis", "redis-2", LIMIT).unwrap();
    writer.until_more(SOME);
    ground.until_primary("redis-2");
    ground.until_in_step("redis-1");
    ground.stage.switch_over("redis", "redis-1", LIMIT).unwrap();
    writer.until_more(SOME);
    ground.until_primary("redis-1");
    let written = writer.finish();
    eprintln!("switchovers behind HAProxy: {written:?}");
    assert_eq!(written.lost_on(proxy.address), 0);

    let writer = Writer::start([proxy.address; 2]);
    writer.until_more(SOME);
    ground.until_in_step("redis-2");
    ground.stage.kill_application("redis-1").unwrap();
    ground.until_primary("redis-2");
    writer.until_more(SOME);
    let written = writer.finish();
    let lost = written.lost_on(ground.address("redis-2"));
    eprintln!("kill -9 behind HAProxy: {written:?}, acknowledged and lost: {lost}");
    assert_eq!(written.lost_on(proxy.address), lost, "it leads to redis-2");
}

#[test]
fn traffic_goes_on_without_a_control_server() {
    if !both_installed() {
        return;
    }
    let mut ground = RedisGround::well(|_| ());
    let proxy = start(&mut ground);
    let writer = Writer::start([proxy.address; 2]);
    writer.until_more(SOME);
    let mut open = RedisClient::connect(proxy.address, recipe::REDIS_PASSWORD, PATIENCE).unwrap();
    ground.kill(Daemon::Server);
    writer.until_more(SOME);
    // Some checks later it is as before, for old and for new connections.
    ground.stage.interrupt().let_pass(Duration::from_secs(1)).unwrap();
    until_accepted(proxy.address);
    assert!(open.set("still", "1").unwrap(), "nobody cut it off");
    ground.stage.start(Daemon::Server).unwrap();
    ground.until_primary("redis-1");
    ground.until_in_step("redis-2");
    ground.stage.kill_application("redis-1").unwrap();
    ground.until_primary("redis-2");
    writer.until_more(SOME);
    let written = writer.finish();
    assert_eq!(written.lost_on(proxy.address), written.lost_on(ground.address("redis-2")));
}

#[test]
fn clients_of_a_lost_host_are_led_to_the_other() {
    if !both_installed() {
        return;
    }
    let mut ground = RedisGround::well(|plan| {
        plan.timers.extend(["addp-timeout", "addp-remote-timeout"].map(|name| format!("{name} = \"200ms\"")));
    });
    let proxy = start(&mut ground);
    let writer = Writer::start([proxy.address; 2]);
    writer.until_more(SOME);
    let (held, _) = ground.stage.freeze(Host::Alpha).unwrap();
    ground.until_acting("redis-2");
    writer.until_more(SOME);
    ground.stage.thaw(&held).unwrap();
    ground.until_primary("redis-2");
    ground.until_in_step("redis-1");
    writer.until_more(SOME);
    let written = writer.finish();
    let lost = written.lost_on(ground.address("redis-2"));
    eprintln!("host loss behind HAProxy: {written:?}, acknowledged and lost: {lost}");
    assert_eq!(written.lost_on(proxy.address), lost, "it leads to redis-2");
}
