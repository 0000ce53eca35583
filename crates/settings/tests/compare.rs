//! What a reload may change while it runs, and what it may not.

use std::collections::BTreeSet;

use understudy_model::{ApplicationName, Cluster, HostName, PairName, Policy};
use understudy_settings::{Change, compare, data_at_stake, parse_cluster};

const TEXT: &str = include_str!("good/demo.toml");

fn cluster(text: &str) -> Cluster {
    parse_cluster("c", text).unwrap().value
}

fn running(names: &[&str]) -> BTreeSet<ApplicationName> {
    names.iter().map(|name| ApplicationName::new(name).unwrap()).collect()
}

/// What changes if `from` is written as `to`, while those run.
fn outcome(from: &str, to: &str, names: &[&str]) -> Result<Vec<Change>, Vec<String>> {
    let text = TEXT.replacen(from, to, 1);
    assert_ne!(text, TEXT, "{from} does not stand in the file");
    compare(&cluster(TEXT), &cluster(&text), &running(names))
        .map_err(|forbidden| forbidden.iter().map(ToString::to_string).collect())
}

fn changed(name: &str) -> Change {
    Change::ApplicationChanged(ApplicationName::new(name).unwrap())
}

fn pair() -> PairName {
    PairName::new("tserver").unwrap()
}

const PAIR: &str = "[[pair]]\nname = \"tserver\"\nprimary = \"tserver-1\"\nbackup = \"tserver-2\"\nredundancy = \"hot-standby\"\nswitchover-timeout = \"3s\"\n";

#[test]
fn nothing_changed_is_no_change() {
    let same = cluster(TEXT);
    assert_eq!(compare(&same, &same, &running(&["tserver-1", "tserver-2", "lone"])), Ok(vec![]));
}

#[test]
fn redundancy_waits_until_no_member_runs() {
    let (from, to) = ("redundancy = \"hot-standby\"", "redundancy = \"warm-standby\"");
    assert_eq!(outcome(from, to, &[]), Ok(vec![Change::PairChanged(pair())]));
    for one in ["tserver-1", "tserver-2"] {
        let why = outcome(from, to, &[one]).unwrap_err();
        assert_eq!(why.len(), 1);
        assert!(
            why[0].starts_with("pair tserver: its redundancy cannot change while")
                && why[0].contains("; stop "),
            "{why:?}"
        );
    }
    assert!(outcome(from, to, &["lone"]).is_ok(), "others may run");
}

#[test]
fn a_policy_waits_until_no_member_runs() {
    let other = match Policy::DEFAULT {
        Policy::Available => Policy::Strict,
        Policy::Strict => Policy::Available,
    };
    let (from, to) = ("name = \"tserver\"\n", format!("name = \"tserver\"\npolicy = \"{other}\"\n"));
    assert_eq!(outcome(from, &to, &["lone"]), Ok(vec![Change::PairChanged(pair())]));
    for one in ["tserver-1", "tserver-2"] {
        let why = outcome(from, &to, &[one]).unwrap_err();
        let keep = format!("write policy = \"{}\" to keep it", Policy::DEFAULT);
        assert!(
            why.len() == 1 && why[0].contains("its policy cannot change") && why[0].contains(&keep),
            "{why:?}"
        );
    }
}

#[test]
fn a_lease_gets_longer_and_shorter_at_any_time() {
    let text = include_str!("good/strict.toml");
    let set = |lease: &str| cluster(&text.replacen("lease = \"2400ms\"", &format!("lease = \"{lease}\""), 1));
    let change = |from: &str, to: &str, names: &[&str]| compare(&set(from), &set(to), &running(names));
    let own = Ok(vec![Change::PairChanged(PairName::new("own").unwrap())]);
    assert_eq!(change("3s", "4s", &["three", "four"]), own);
    // The acting member gets a new epoch for it, and nobody is promoted sooner than the longer one allows (G13).
    assert_eq!(change("4s", "3s", &["three", "four"]), own);
    // Without leases nobody counts on one.
    let available = |lease: &str| {
        let strict = text.replacen("lease = \"2400ms\"", &format!("lease = \"{lease}\""), 1);
        cluster(&strict.replace("policy = \"strict\"", "policy = \"available\""))
    };
    assert_eq!(compare(&available("4s"), &available("3s"), &running(&["three", "four"])), own);
}

#[test]
fn keeping_data_begins_and_ends_when_no_member_runs() {
    let text = include_str!("good/strict.toml");
    let (kept, not_kept) = (cluster(text), cluster(&text.replace("keep-data = true", "keep-data = false")));
    let own = Ok(vec![Change::PairChanged(PairName::new("own").unwrap())]);
    for (from, to) in [(&kept, &not_kept), (&not_kept, &kept)] {
        assert_eq!(compare(from, to, &running(&["one", "two"])), own, "others may run");
        for one in ["three", "four"] {
            let why = compare(from, to, &running(&[one])).unwrap_err();
            assert!(why.len() == 1 && why[0].why.contains("keep-data cannot change"), "{why:?}");
        }
    }
}

#[test]
fn a_pair_that_keeps_its_data_keeps_its_name() {
    let text = include_str!("good/strict.toml");
    let kept = cluster(text);
    let renamed = |text: &str| cluster(&text.replacen("name = \"own\"", "name = \"its-own\"", 1));
    let unkept = text.replace("keep-data = true", "keep-data = false");
    for (old, new) in [(&kept, renamed(text)), (&kept, renamed(&unkept)), (&cluster(&unkept), renamed(text))]
    {
        let why = compare(old, &new, &running(&[])).unwrap_err();
        assert_eq!(why.len(), 1, "{why:?}");
        let said = why[0].to_string();
        assert!(said.starts_with("pair its-own: ") && said.contains("keep the name own"), "{said}");
    }
    assert!(
        compare(&cluster(&unkept), &renamed(&unkept), &running(&[])).is_ok(),
        "nothing is promised of data"
    );
}

#[test]
fn whoever_removes_or_adds_a_pair_that_keeps_its_data_hears_what_becomes_of_the_record() {
    let text = include_str!("good/strict.toml");
    let (kept, unkept) = (cluster(text), cluster(&text.replace("keep-data = true", "keep-data = false")));
    let mut removed = kept.clone();
    removed.pairs.remove(&PairName::new("own").unwrap());
    for without in [&removed, &unkept] {
        let said = data_at_stake(&kept, without);
        assert!(said.len() == 1 && said[0].contains("pair own keeps its data no more"), "{said:?}");
    }
    let said = data_at_stake(&removed, &kept);
    assert!(
        said.len() == 1 && said[0].contains("four and three both count as having everything"),
        "{said:?}"
    );
    // With the name the last primary is remembered.
    assert_eq!(data_at_stake(&unkept, &kept), Vec::<String>::new());
    assert_eq!(data_at_stake(&kept, &kept), Vec::<String>::new());
}

#[test]
fn a_port_of_either_member_waits_until_no_member_runs() {
    for (from, to, name) in
        [("port = 7001", "port = 7002", "tserver-1"), ("port = 7011", "port = 7012", "tserver-2")]
    {
        assert_eq!(outcome(from, to, &[]), Ok(vec![changed(name)]));
        for one in ["tserver-1", "tserver-2"] {
            assert!(outcome(from, to, &[one]).unwrap_err()[0].contains("ports"));
        }
    }
}

#[test]
fn a_host_of_either_member_waits_until_no_member_runs() {
    let (from, to) = ("host = \"beta\"", "host = \"alpha\"");
    assert_eq!(outcome(from, to, &[]), Ok(vec![changed("tserver-2")]));
    assert!(outcome(from, to, &["tserver-1"]).unwrap_err()[0].contains("its peer was told"));
    assert!(outcome(from, to, &["tserver-2"]).unwrap_err()[0].contains("it would run on both"));
}

#[test]
fn a_backup_may_be_removed_while_one_runs_and_not_while_both_run() {
    assert_eq!(outcome(PAIR, "", &["tserver-1"]), Ok(vec![Change::PairRemoved(pair())]));
    let why = outcome(PAIR, "", &["tserver-1", "tserver-2"]).unwrap_err();
    assert!(why.len() == 1 && why[0].contains("two primaries"), "{why:?}");
}

#[test]
fn members_that_change_places_wait_and_single_programs_join_stopped() {
    let swapped =
        PAIR.replace("tserver-1", "x").replace("tserver-2", "tserver-1").replace("\"x\"", "\"tserver-2\"");
    assert!(outcome(PAIR, &swapped, &["tserver-1"]).unwrap_err()[0].contains("members cannot change"));
    let old = cluster(&TEXT.replacen(PAIR, "", 1));
    let join = |names: &[&str]| compare(&old, &cluster(TEXT), &running(names));
    assert!(join(&["tserver-1"]).unwrap_err()[0].why.contains("not started as one"));
    assert_eq!(join(&["lone"]), Ok(vec![Change::PairAdded(pair())]));
}

#[test]
fn single_values_change_live() {
    let all = ["tserver-1", "tserver-2", "lone"];
    assert_eq!(outcome("startup-timeout = 5", "startup-timeout = 6", &all), Ok(vec![changed("lone")]));
    assert_eq!(
        outcome("switchover-timeout = \"3s\"", "switchover-timeout = \"4s\"", &all),
        Ok(vec![Change::PairChanged(pair())])
    );
    let beta = HostName::new("beta").unwrap();
    assert_eq!(outcome("lca-port = 5999", "lca-port = 5998", &all), Ok(vec![Change::HostChanged(beta)]));
    assert_eq!(outcome("name = \"demo\"", "name = \"other\"", &all), Ok(vec![Change::ClusterChanged]));
}

#[test]
fn a_running_program_is_not_removed_and_the_identity_stays() {
    let lone = TEXT.split("[[application]]\nname = \"lone\"").nth(1).unwrap();
    let lone = format!("[[application]]\nname = \"lone\"{}", lone.split("[[pair]]").next().unwrap());
    assert!(outcome(&lone, "", &["lone"]).unwrap_err()[0].contains("cannot be removed while it runs"));
    let gone = ApplicationName::new("lone").unwrap();
    assert_eq!(outcome(&lone, "", &[]), Ok(vec![Change::ApplicationRemoved(gone)]));
    assert!(outcome("00ffff\"", "00fffe\"", &[]).unwrap_err()[0].contains("identity"));
}
