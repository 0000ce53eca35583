//! Networks that are bad but alive: losses, delays, dead addresses, names that come to mean another address.
//!
//! The law: a host that can be reached by any of its addresses is reached in bounded time, and no role changes because of
//! a network that is only bad.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use understudy_model::{Policy, Preset};
use understudy_stage::net::{Lane, Station};
use understudy_stage::{Host, Interrupt, Plan};

use crate::play::{Play, assert_nothing_changed, pair, role};

const ALPHA: Station = Station::Host(Host::Alpha);
/// A further address of alpha, at which nothing is answered.
const DEAD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 99);
/// The same of the kind that resolvers put first.
const DEAD6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x99);

fn addresses(plan: &mut Plan, host: Host, addresses: &[String]) {
    plan.whereabouts[host.index()].addresses = addresses.to_vec();
}

/// Gives alpha an address at which everything is dropped that is meant for its agent.
fn kill_address(play: &Play, address: &str, matches: &str) {
    let place = play.network().place(ALPHA);
    let family = if address.contains(':') { &["nodad"][..] } else { &[] };
    place.command("ip", &[&["address", "add", address, "dev", "eth0"], family].concat()).unwrap();
    play.network().firewall(ALPHA, &[("input", &format!("{matches} tcp dport 4999 drop"))]).unwrap();
}

#[test]
fn losses_and_jitter_change_nothing() {
    let Some(mut play) = Play::networked(|_| ()) else { return };
    play.stage.start_all().unwrap();
    let before = play.until_well();
    let seen = play.last_event();
    let bad = Lane::slow(Duration::ZERO, Duration::from_millis(20)).losing(10);
    for station in Station::ALL {
        play.network().set_around(station, bad);
    }
    Interrupt::default().let_pass(Duration::from_secs(12)).unwrap();
    assert_nothing_changed(&before, &play.until_well());
    let lost: Vec<_> = play
        .events_after(seen, &["--host", "alpha"])
        .into_iter()
        .filter(|one| one["kind"] == "host-lost")
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn a_way_that_is_slower_than_the_timers_allow_is_given_up_once_and_not_again_and_again() {
    let Some(mut play) = Play::networked(|plan| {
        plan.preset = Some(Preset::Fast);
        plan.set_policy(Policy::Available);
    }) else {
        return;
    };
    play.stage.start_all().unwrap();
    let before = play.until_well();
    // There and back takes 600 ms; fast timers give up after 200.
    play.network().set_around(ALPHA, Lane::slow(Duration::from_millis(300), Duration::ZERO));
    let slow = play.until_primary_even_alone("t-2");
    assert!(role(&slow, "t").1 > role(&before, "t").1);
    let told = play.scsctl(&["events", "--host", "alpha"]).text;
    assert!(told.contains("poll was not answered"), "ADDP says what it missed: {told}");
    Interrupt::default().let_pass(Duration::from_secs(5)).unwrap();
    let now = role(&play.status(), "t");
    assert_eq!(now, role(&slow, "t"), "the role stays where it can be reached");
    play.network().heal();
    play.until_well();
    assert_eq!(role(&play.status(), "t"), now);
}

#[test]
fn a_dead_first_address_costs_bounded_time_and_a_host_may_have_ipv6_alone() {
    let Some(mut play) = Play::networked(|plan| {
        addresses(plan, Host::Alpha, &[DEAD.to_string(), ALPHA.address().to_string()]);
        addresses(plan, Host::Beta, &[Station::Host(Host::Beta).address6().to_string()]);
    }) else {
        return;
    };
    kill_address(&play, &format!("{DEAD}/24"), &format!("ip daddr {DEAD}"));
    let began = Instant::now();
    play.stage.start_all().unwrap();
    play.until_well();
    eprintln!("well after {:?} with a dead first address", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[test]
fn a_host_that_is_lost_together_with_its_name_is_replaced() {
    let Some(mut play) = Play::networked(|plan| {
        addresses(plan, Host::Alpha, &[ALPHA.domain_name()]);
        plan.timers.push("disconnect-switchover-timeout = \"4s\"".to_owned());
        plan.set_policy(Policy::Available);
        plan.timers.push("addp-timeout = \"400ms\"\naddp-remote-timeout = \"400ms\"".to_owned());
    }) else {
        return;
    };
    play.stage.start_all().unwrap();
    let before = play.until_well();
    // Whoever told its address is gone with it: no call is even begun.
    let began = Instant::now();
    play.network().name_all(&[(ALPHA, Vec::new())]).unwrap();
    play.network().set_around(ALPHA, Lane::CUT);
    let after = play.until_primary_even_alone("t-2");
    eprintln!("replaced after {:?} with disconnect-switchover-timeout 4 s", began.elapsed());
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(role(&after, "t").1 > role(&before, "t").1);
    assert_eq!(play.why("t").0, "host-lost");
    let alpha = &play.scsctl_json(&["status"])["hosts"][0];
    assert_eq!(alpha["status"], "unreachable", "{alpha}");
    assert!(alpha.to_string().contains("its name is not resolved"), "no call was begun: {alpha}");
    play.network().name_all(&[]).unwrap();
    play.network().heal();
    play.until_well();
}

#[test]
fn a_name_that_comes_to_mean_another_address_is_followed() {
    let Some(mut play) = Play::networked(|plan| {
        addresses(plan, Host::Alpha, &[ALPHA.domain_name()]);
        // The host is away for a moment, and nothing else is looked at here.
        plan.timers.push("disconnect-switchover-timeout = \"20s\"".to_owned());
        plan.set_policy(Policy::Available);
    }) else {
        return;
    };
    // What is sent to the first of its addresses is dropped from the beginning: the second is tried.
    kill_address(&play, &format!("{DEAD6}/64"), &format!("ip6 daddr {DEAD6}"));
    play.network().name_all(&[(ALPHA, vec![DEAD6.into(), ALPHA.address().into()])]).unwrap();
    let began = Instant::now();
    play.stage.start_all().unwrap();
    let before = play.until_well();
    eprintln!("well after {:?} with a name whose first address is dead", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    // The host moves: nobody answers at the old address any more.
    let (old, new) = (ALPHA.address(), Ipv4Addr::new(10, 77, 0, 21));
    let moved = Instant::now();
    let place = play.network().place(ALPHA).clone();
    place.command("ip", &["address", "del", &format!("{old}/24"), "dev", "eth0"]).unwrap();
    place.command("ip", &["address", "add", &format!("{new}/24"), "dev", "eth0"]).unwrap();
    let names: Vec<IpAddr> = vec![new.into()];
    play.network().name_all(&[(ALPHA, names)]).unwrap();
    play.until("alpha was missed", |status| {
        if status.hosts[0].status == "unreachable" { Ok(()) } else { Err(format!("{:?}", status.hosts)) }
    });
    let after = play.until_well();
    eprintln!("found at its new address after {:?}", moved.elapsed());
    assert!(moved.elapsed() < Duration::from_secs(15), "{:?}", moved.elapsed());
    assert_nothing_changed(&before, &after);
    assert_eq!(pair(&after, "t").primary.as_deref(), Some("t-1"));
}
