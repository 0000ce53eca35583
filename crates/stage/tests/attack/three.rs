//! Three hosts with networks of their own: most of them silent at once look like the control server's own network.
//!
//! The law: most of several hosts that fall silent together are held until they are back; one alone is failed over.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use understudy_model::Policy;
use understudy_pki::{Directory, Names, Validity};
use understudy_stage::daemon::DaemonProcess;
use understudy_stage::net::{Lane, Station};
use understudy_stage::{Host, Interrupt};

use crate::play::{Play, assert_nothing_changed, role};

const ALPHA: Station = Station::Host(Host::Alpha);
/// Where the third host lives.
const GAMMA: Station = Station::Client;

/// Writes the settings of a host `gamma`, and answers its agent, which does not run yet.
fn third_host(play: &Play) -> DaemonProcess {
    let directory = play.stage.directory();
    let month = Validity::days(31).unwrap();
    let owner = "agent:gamma".parse().unwrap();
    Directory::new(directory.join("pki")).issue(&owner, &Names::default(), month).unwrap();
    let mut cluster = OpenOptions::new().append(true).open(play.cluster_file()).unwrap();
    let host =
        format!("\n[[host]]\nname = \"gamma\"\naddresses = [\"{}\"]\nlca-port = 4999\n", GAMMA.address());
    cluster.write_all(host.as_bytes()).unwrap();
    let own = fs::read_to_string(directory.join("lca-alpha.toml")).unwrap().replace("alpha", "gamma");
    let path = directory.join("lca-gamma.toml");
    fs::write(&path, own).unwrap();
    let arguments = vec!["--config".to_owned(), path.to_string_lossy().into_owned()];
    let log = directory.join("agent-gamma.log");
    DaemonProcess::new("agent gamma", play.program("lca"), arguments, directory, log)
        .in_place(Some(Arc::clone(play.network().place(GAMMA))))
}

fn until_hosts(play: &mut Play, wanted: [&str; 3]) {
    play.until(&format!("the hosts are {wanted:?}"), |status| {
        let found: Vec<&str> = status.hosts.iter().map(|host| host.status.as_str()).collect();
        if found == wanted { Ok(()) } else { Err(format!("{:?}", status.hosts)) }
    });
}

#[test]
fn most_hosts_silent_at_once_are_held_and_one_alone_is_failed_over() {
    let Some(mut play) = Play::networked(|plan| {
        plan.timers.push("addp-timeout = \"400ms\"\naddp-remote-timeout = \"400ms\"".to_owned());
        plan.timers.push("disconnect-switchover-timeout = \"2s\"".to_owned());
        // With `strict` an expired promise is proof, and nothing needs to be held.
        plan.set_policy(Policy::Available);
    }) else {
        return;
    };
    let mut gamma = third_host(&play);
    gamma.start().unwrap();
    play.stage.start_all().unwrap();
    let before = play.until_well();
    until_hosts(&mut play, ["running", "running", "running"]);
    // The control server's own network, but for one host: the primary of every pair is on the other side.
    for lost in [ALPHA, GAMMA] {
        play.network().set_between(Station::Server, lost, Lane::CUT);
    }
    until_hosts(&mut play, ["unreachable", "running", "unreachable"]);
    play.until_so("it is said that they are held", || {
        let events = play.events(&["--pair", "t"]);
        let held = events.iter().any(|event| event["rule"] == "blast-radius");
        if held { Ok(()) } else { Err(format!("{events:?}")) }
    });
    // More than twice the time after which each alone would count as lost.
    Interrupt::default().let_pass(Duration::from_secs(5)).unwrap();
    assert_eq!(role(&play.status(), "t"), role(&before, "t"), "somebody was promoted");
    assert!(play.serves("t-1") && !play.serves("t-2"));
    let warned = play.scsctl_json(&["status"])["warnings"].to_string();
    assert!(warned.contains("2 of 3 hosts were lost together"), "{warned}");
    play.network().heal();
    assert_nothing_changed(&before, &play.until_well());
    until_hosts(&mut play, ["running", "running", "running"]);
    // One host alone is lost.
    play.network().set_around(ALPHA, Lane::CUT);
    play.until_primary_even_alone("t-2");
    assert_eq!(play.why("t").0, "host-lost");
    play.network().heal();
    play.until_well();
    gamma.kill().unwrap();
}
