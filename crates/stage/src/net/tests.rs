//! Networks made for a test: who reaches whom, and what a cut, a loss or a delay does.
//!
//! Knows no daemons of ours. The law: every network is the test's own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::*;

const ALPHA: Station = Station::Host(Host::Alpha);
const BETA: Station = Station::Host(Host::Beta);
const PATIENCE: Duration = Duration::from_secs(20);

/// A network, unless there can be none here, which is said.
fn network() -> Option<Network> {
    if let Some(why) = Network::is_impossible() {
        assert!(std::env::var_os("CI").is_none(), "CI runs everything: {why}");
        eprintln!("skipped: {why}");
        return None;
    }
    Some(Network::set_up(1).unwrap())
}

/// Sends a byte back and forth, and says how long that took.
fn round_trip(network: &Network, from: Station, to: IpAddr, at: Station) -> std::io::Result<Duration> {
    let listener = network.place(at).run(move || TcpListener::bind((to, 0))).unwrap()?;
    let address: SocketAddr = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)
    });
    let mut stream =
        network.place(from).run(move || TcpStream::connect_timeout(&address, PATIENCE)).unwrap()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let began = Instant::now();
    stream.write_all(&[1])?;
    stream.read_exact(&mut [0])?;
    let took = began.elapsed();
    echo.join().unwrap()?;
    Ok(took)
}

#[test]
fn stations_hear_each_other_by_both_kinds_of_address_and_by_name() {
    let Some(network) = network() else { return };
    round_trip(&network, ALPHA, BETA.address().into(), BETA).unwrap();
    round_trip(&network, Station::Server, ALPHA.address6().into(), ALPHA).unwrap();
    let resolved = |name: String| {
        let found = network.place(Station::Server).run(move || (name.as_str(), 1).to_socket_addrs()).unwrap();
        found.unwrap().map(|one| one.ip()).collect::<Vec<_>>()
    };
    assert!(resolved(BETA.domain_name()).contains(&IpAddr::from(BETA.address())));
    network.name_all(&[(BETA, vec![ALPHA.address6().into()])]).unwrap();
    assert_eq!(resolved(BETA.domain_name()), [IpAddr::from(ALPHA.address6())]);
    // The machine's own names are as they were.
    assert!(!fs::read_to_string("/etc/hosts").unwrap().contains("stage.test"));
}

#[test]
fn a_lane_delays_its_direction_and_a_cut_one_passes_nothing() {
    let Some(network) = network() else { return };
    let delay = Duration::from_millis(60);
    network.set(ALPHA, BETA, Lane::slow(delay, Duration::ZERO));
    let took = round_trip(&network, ALPHA, BETA.address().into(), BETA).unwrap();
    assert!(took >= delay, "{took:?}");
    network.set_around(BETA, Lane::CUT);
    let address = SocketAddr::from((BETA.address(), 9));
    let limit = Duration::from_millis(200);
    let tried = network.place(ALPHA).run(move || TcpStream::connect_timeout(&address, limit)).unwrap();
    assert_eq!(tried.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    network.heal();
    // Nobody listens, and the machine says so: it is heard.
    let tried = network.place(ALPHA).run(move || TcpStream::connect_timeout(&address, PATIENCE)).unwrap();
    assert_eq!(tried.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_firewall_stands_at_one_station_only() {
    let Some(network) = network() else { return };
    network.firewall(BETA, &[("input", "tcp dport 9 drop")]).unwrap();
    let asked = |station: Station, limit| {
        let address = SocketAddr::from((station.address(), 9));
        let place = network.place(Station::Server);
        place.run(move || TcpStream::connect_timeout(&address, limit)).unwrap().unwrap_err().kind()
    };
    assert_eq!(asked(BETA, Duration::from_millis(200)), std::io::ErrorKind::TimedOut);
    assert_eq!(asked(ALPHA, PATIENCE), std::io::ErrorKind::ConnectionRefused);
    network.firewall(BETA, &[]).unwrap();
    assert_eq!(asked(BETA, PATIENCE), std::io::ErrorKind::ConnectionRefused);
}
