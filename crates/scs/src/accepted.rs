//! The configuration that was last accepted, in the store: a control server that is started with another file keeps
//! the rules that a reload keeps.
//!
//! It knows no agents: nobody has been heard yet. The law: a changed file takes effect as a whole or not at all, and
//! whatever should run is taken to run. A member of a `strict` pair always is: nothing that is stored says that it gave its
//! role up, and it may be primary through the other one's agent (G13).

use std::collections::BTreeSet;

use understudy_model::{ApplicationName, ApplicationSpec, Cluster, Goal, Policy};
use understudy_settings::{compare, data_at_stake};
use understudy_store::{Batch, Change, CommitError, QueryError, Store};

/// The configuration to start with.
#[derive(Debug)]
pub struct Chosen {
    /// It.
    pub cluster: Cluster,
    /// Why the file is not it; empty if it is.
    pub refused: Vec<String>,
}

/// Why no configuration could be chosen or kept.
#[derive(Debug, thiserror::Error)]
pub enum AcceptedError {
    /// The stored one, or the goals, cannot be read.
    #[error("the configuration that was last accepted cannot be read: {0}")]
    Unreadable(#[from] QueryError),
    /// The stored one means nothing to this version: a member that it has elsewhere may still act (G13).
    #[error(
        "the configuration that was last accepted cannot be understood ({0}), and so not compared with the file: a member \
         that it has on another host may still be primary there. If another version wrote it, start that version. Else stop \
         both members of every pair of which a member, a host or the policy is another one now, then run: scs \
         forget-configuration"
    )]
    Foreign(serde_json::Error),
    /// The accepted one has no stored form.
    #[error("the configuration has no stored form: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// It could not be made durable; the stored one is as it was, or that is unknown.
    #[error("the accepted configuration cannot be stored: {0}")]
    NotStored(#[from] CommitError),
}

/// Chooses between the file's configuration and the stored one, and stores the file's if it is taken.
pub fn choose(store: &mut Store, file: Cluster) -> Result<Chosen, AcceptedError> {
    if let Some(stored) = understood(store)? {
        if stored == file {
            return Ok(Chosen { cluster: file, refused: Vec::new() });
        }
        let goals = store.goals()?;
        let should_run = |name: &ApplicationName, autostart: bool| {
            goals.get(name).map_or(autostart, |goal| *goal == Goal::Started)
        };
        let strict = |name: &ApplicationName| {
            stored.pair_of(name).is_some_and(|(_, pair)| pair.policy == Policy::Strict)
        };
        let running: BTreeSet<ApplicationName> = stored
            .applications
            .iter()
            .filter(|(name, spec)| should_run(name, spec.autostart) || strict(name))
            .map(|(name, _)| name.clone())
            .collect();
        if let Err(forbidden) = compare(&stored, &file, &running) {
            let mut refused: Vec<String> = forbidden.iter().map(ToString::to_string).collect();
            let stopped = |(name, spec): &(&ApplicationName, &ApplicationSpec)| {
                strict(name) && !should_run(name, spec.autostart)
            };
            refused.extend(stored.applications.iter().filter(stopped).map(|(name, _)| {
                format!(
                    "{name} counts as running although it should be stopped: it is a member of a strict pair, and no agent \
                     was heard yet; wait until both agents are, then run: scsctl config reload"
                )
            }));
            return Ok(Chosen { cluster: stored, refused });
        }
        for consequence in data_at_stake(&stored, &file) {
            tracing::warn!(consequence, "the configuration that was changed meanwhile takes effect");
        }
    }
    store.commit(batch(&file)?)?;
    Ok(Chosen { cluster: file, refused: Vec::new() })
}

/// The accepted configuration, if there is one.
fn understood(store: &Store) -> Result<Option<Cluster>, AcceptedError> {
    let Some(text) = store.configuration()? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(AcceptedError::Foreign)
}

/// Forgets what was accepted, so that the next start takes the file as it is. False if there was nothing to forget.
pub fn forget(store: &mut Store) -> Result<bool, AcceptedError> {
    let known = store.configuration()?.is_some();
    store.commit(Batch { changes: vec![Change::ForgetConfiguration], durable: true, ..Batch::default() })?;
    Ok(known)
}

/// What stores an accepted configuration.
pub fn batch(cluster: &Cluster) -> Result<Batch, serde_json::Error> {
    let kept = cluster.pairs.iter().filter(|(_, pair)| pair.keep_data).map(|(name, _)| name.clone());
    let changes = vec![
        Change::SetConfiguration(serde_json::to_string(cluster)?),
        // What is promised of their data no more is not recorded either: it would be out of date when it is promised again.
        Change::KeepInSyncOf(kept.collect()),
    ];
    Ok(Batch { changes, durable: true, ..Batch::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[cluster]
name = "demo"
[[host]]
name = "alpha"
addresses = ["127.0.0.1"]
[[host]]
name = "beta"
addresses = ["127.0.0.2"]
[[application]]
name = "one"
host = "alpha"
interface = "library"
command = ["/bin/true"]
[[application]]
name = "two"
host = "beta"
interface = "library"
command = ["/bin/true"]
[[pair]]
name = "p"
primary = "one"
backup = "two"
"#;

    /// The same, with a policy whose members stop being of interest when they should not run.
    fn available() -> String {
        format!("{TEXT}policy = \"available\"\n")
    }

    fn cluster(text: &str) -> Cluster {
        understudy_settings::parse_cluster("c", text).unwrap().value
    }

    #[test]
    fn a_changed_file_is_compared_with_what_was_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let first = choose(&mut store, cluster(&available())).unwrap();
        assert_eq!((first.cluster, first.refused), (cluster(&available()), Vec::new()));

        let faster = available().replace("name = \"demo\"", "name = \"demo\"\ntimers = \"fast\"");
        let taken = choose(&mut store, cluster(&faster)).unwrap();
        assert_eq!((taken.cluster, taken.refused), (cluster(&faster), Vec::new()), "timers change live");

        let moved = faster.replace("host = \"beta\"", "host = \"alpha\"");
        let refused = choose(&mut store, cluster(&moved)).unwrap();
        assert_eq!(refused.cluster, cluster(&faster), "all or nothing");
        assert!(refused.refused.iter().any(|why| why.contains("cannot move from host beta")), "{refused:?}");

        let stop = |name: &str| Change::SetGoal { application: name.parse().unwrap(), goal: Goal::Stopped };
        let changes = vec![stop("one"), stop("two")];
        store.commit(Batch { changes, durable: true, ..Batch::default() }).unwrap();
        let allowed = choose(&mut store, cluster(&moved)).unwrap();
        assert_eq!((allowed.cluster, allowed.refused), (cluster(&moved), Vec::new()), "nothing should run");
    }

    #[test]
    fn at_a_start_a_stopped_member_of_a_strict_pair_may_still_act() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let strict = cluster(&format!("{TEXT}policy = \"strict\"\n"));
        assert_eq!(
            choose(&mut store, strict.clone()).unwrap().refused,
            Vec::<String>::new(),
            "the first is free"
        );
        let stop = |name: &str| Change::SetGoal { application: name.parse().unwrap(), goal: Goal::Stopped };
        let changes = vec![stop("one"), stop("two")];
        store.commit(Batch { changes, durable: true, ..Batch::default() }).unwrap();
        for edited in [
            format!("{TEXT}policy = \"available\"\n"),
            format!("{TEXT}policy = \"strict\"\n").replace("host = \"beta\"", "host = \"alpha\""),
        ] {
            let chosen = choose(&mut store, cluster(&edited)).unwrap();
            assert_eq!(chosen.cluster, strict, "the accepted one is kept");
            let told = chosen.refused.iter().any(|why| why.contains("scsctl config reload"));
            assert!(told, "{:?}", chosen.refused);
        }
    }

    #[test]
    fn at_a_start_too_a_pair_that_keeps_its_data_keeps_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let text = format!("{}keep-data = true\n", available());
        assert_eq!(choose(&mut store, cluster(&text)).unwrap().refused, Vec::<String>::new());
        let stop = |name: &str| Change::SetGoal { application: name.parse().unwrap(), goal: Goal::Stopped };
        let changes = vec![stop("one"), stop("two")];
        store.commit(Batch { changes, durable: true, ..Batch::default() }).unwrap();
        let renamed = cluster(&text.replace("name = \"p\"", "name = \"p2\""));
        let chosen = choose(&mut store, renamed.clone()).unwrap();
        assert_eq!(chosen.cluster, cluster(&text), "the accepted one is kept");
        assert!(chosen.refused.iter().any(|why| why.contains("keep the name p")), "{:?}", chosen.refused);
        let mut without = renamed.clone();
        without.pairs.clear();
        assert_eq!(choose(&mut store, without.clone()).unwrap().cluster, without);
        assert_eq!(choose(&mut store, renamed.clone()).unwrap().cluster, renamed, "one after the other");
    }

    /// What the version before leases stored of [`TEXT`], word for word.
    const BEFORE_LEASES: &str = include_str!("../tests/stored/before-leases.json");

    #[test]
    fn what_was_stored_before_leases_is_still_compared_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let changes = vec![Change::SetConfiguration(BEFORE_LEASES.trim().to_owned())];
        store.commit(Batch { changes, durable: true, ..Batch::default() }).unwrap();
        let moved = available().replace("host = \"beta\"", "host = \"alpha\"");
        let refused = choose(&mut store, cluster(&moved)).unwrap();
        assert!(refused.refused.iter().any(|why| why.contains("cannot move from host beta")), "{refused:?}");
        let explicit = format!("{TEXT}policy = \"available\"\n");
        assert_eq!(refused.cluster, cluster(&explicit), "it had neither a lease nor another policy");
        let same = choose(&mut store, cluster(&explicit)).unwrap();
        assert_eq!((same.cluster, same.refused), (cluster(&explicit), Vec::new()));

        // Whoever acts took no lease: that needs a stop of both.
        let strict = cluster(&format!("{TEXT}policy = \"strict\"\n"));
        let refused = choose(&mut store, strict.clone()).unwrap().refused;
        assert!(refused.iter().any(|why| why.contains("its policy cannot change")), "{refused:?}");
        let stop = |name: &str| Change::SetGoal { application: name.parse().unwrap(), goal: Goal::Stopped };
        let changes = vec![stop("one"), stop("two")];
        store.commit(Batch { changes, durable: true, ..Batch::default() }).unwrap();
        assert_eq!(choose(&mut store, strict.clone()).unwrap().cluster, strict);
    }

    #[test]
    fn what_cannot_be_understood_is_not_replaced_before_somebody_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let changes = vec![Change::SetConfiguration("{\"name\": 3}".to_owned())];
        store.commit(Batch { changes, durable: true, ..Batch::default() }).unwrap();
        let refused = choose(&mut store, cluster(&available())).unwrap_err();
        assert!(matches!(refused, AcceptedError::Foreign(_)), "{refused}");
        assert_eq!(store.configuration().unwrap().as_deref(), Some("{\"name\": 3}"));
        assert!(forget(&mut store).unwrap() && !forget(&mut store).unwrap());
        assert_eq!(choose(&mut store, cluster(&available())).unwrap().cluster, cluster(&available()));
        let text = store.configuration().unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Cluster>(&text).unwrap(), cluster(&available()));
    }
}
