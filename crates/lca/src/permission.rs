//! What this host lets a control server run, and as whom: one question for applications, hooks and probes alike.
//!
//! Refuses to know what is run and why. The law: a refusal names the key of the host's own file; nothing is permitted
//! because nobody said anything about it but what the agent's own user may do anyway.

use understudy_model::HostName;
use understudy_settings::HostPolicy;

use crate::platform::Account;

/// Why something is not run. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No pattern is for that program.
    #[error(
        "host {host} does not permit to run {program:?}: no pattern of commands under [policy] in its lca.toml is for it"
    )]
    Command {
        /// This host.
        host: HostName,
        /// The program as asked for.
        program: String,
    },
    /// The user is not in the list.
    #[error(
        "host {host} does not permit to run anything as user {user}: add it to users under [policy] in its lca.toml"
    )]
    User {
        /// This host.
        host: HostName,
        /// The user.
        user: String,
    },
    /// Root, and nobody said that this is well.
    #[error(
        "host {host} does not permit to run anything as root: give the application a user, or write allow-root = true under [policy] in its lca.toml"
    )]
    Root {
        /// This host.
        host: HostName,
    },
    /// A group that the user does not have by itself.
    #[error(
        "host {host} does not permit group {group} to user {user}, who is not a member: make it one, or add the group to groups under [policy] in its lca.toml"
    )]
    Group {
        /// This host.
        host: HostName,
        /// The group as asked for.
        group: String,
        /// The user.
        user: String,
    },
    /// The agent cannot become anybody else.
    #[error(
        "the agent of host {host} does not run as root, so it cannot run anything as user {user} with other rights than its own: remove user, group and groups, or run the agent as root"
    )]
    NotRoot {
        /// This host.
        host: HostName,
        /// The user.
        user: String,
    },
}

/// Who asks the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The agent's user.
    pub uid: u32,
    /// Its groups.
    pub groups: Vec<u32>,
}

impl Own {
    /// This program, now.
    pub fn look() -> Self {
        let gid = rustix::process::getegid().as_raw();
        let further = rustix::process::getgroups().unwrap_or_default();
        let groups = further.into_iter().map(|group| group.as_raw()).chain([gid]).collect();
        Self { uid: rustix::process::geteuid().as_raw(), groups }
    }
}

/// Whether `program` may be run with the rights of `account` on this host.
pub fn check(
    policy: &HostPolicy,
    host: &HostName,
    own: &Own,
    program: &str,
    account: &Account,
) -> Result<(), Refused> {
    let (host, user) = (host.clone(), account.name.clone());
    if !policy.permits(program) {
        return Err(Refused::Command { host, program: program.to_owned() });
    }
    if account.uid == 0 && !policy.allow_root {
        return Err(Refused::Root { host });
    }
    if account.named
        && account.uid != own.uid
        && account.uid != 0
        && policy.users.as_ref().is_some_and(|users| !lists(users, &account.name, account.uid))
    {
        return Err(Refused::User { host, user });
    }
    // Whoever is root has every group's rights anyway.
    let stranger = account.beyond.iter().find(|(name, number)| !lists(&policy.groups, name, *number));
    if let Some((group, _)) = stranger.filter(|_| account.uid != 0) {
        return Err(Refused::Group { host, group: group.clone(), user });
    }
    // The lists may have given its user more since the agent began; that is no reason not to start anything.
    let mut groups = account.beyond.iter().map(|(_, number)| *number).chain([account.gid]);
    let its_own = account.uid == own.uid && groups.all(|group| own.groups.contains(&group));
    if account.asked && own.uid != 0 && !its_own {
        return Err(Refused::NotRoot { host, user });
    }
    Ok(())
}

fn lists(list: &[String], name: &str, number: u32) -> bool {
    list.iter().any(|one| one == name || one.parse() == Ok(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, uid: u32) -> Account {
        Account {
            name: name.to_owned(),
            uid,
            gid: uid,
            groups: vec![uid],
            beyond: Vec::new(),
            home: None,
            named: true,
            asked: true,
        }
    }

    fn asked(policy: &HostPolicy, own: u32, account: &Account) -> Result<(), String> {
        let own = Own { uid: own, groups: vec![own] };
        let host = HostName::new("alpha").unwrap();
        check(policy, &host, &own, "/bin/x", account).map_err(|refused| refused.to_string())
    }

    #[track_caller]
    fn refused(answer: Result<(), String>, words: &[&str]) {
        let text = answer.unwrap_err();
        assert!(words.iter().all(|word| text.contains(word)) && text.contains("alpha"), "{text}");
    }

    #[test]
    fn root_needs_a_word_of_the_host() {
        let mut policy = HostPolicy::default();
        let silent = Account { named: false, asked: false, ..account("root", 0) };
        for root in [account("root", 0), account("toor", 0), silent] {
            policy.allow_root = false;
            refused(asked(&policy, 0, &root), &["root", "allow-root", "lca.toml"]);
            policy.allow_root = true;
            assert_eq!(asked(&policy, 0, &root), Ok(()));
        }
    }

    #[test]
    fn users_are_listed_by_name_or_number_and_the_agents_own_is_well() {
        let mut policy = HostPolicy::default();
        assert_eq!(asked(&policy, 0, &account("redis", 7)), Ok(()));
        policy.users = Some(vec!["tserver".to_owned(), "8".to_owned()]);
        refused(asked(&policy, 0, &account("redis", 7)), &["redis", "users", "lca.toml"]);
        assert_eq!(asked(&policy, 0, &account("tserver", 9)), Ok(()));
        assert_eq!(asked(&policy, 0, &account("other", 8)), Ok(()));
        assert_eq!(asked(&policy, 7, &account("redis", 7)), Ok(()), "what the agent is, it may be");
        policy.users = Some(Vec::new());
        let silent = Account { named: false, asked: false, ..account("agent", 7) };
        assert_eq!(asked(&policy, 7, &silent), Ok(()));
    }

    #[test]
    fn a_group_beyond_the_users_own_needs_a_word_of_the_host() {
        let mut policy = HostPolicy::default();
        let docker = Account { beyond: vec![("docker".to_owned(), 99)], ..account("redis", 7) };
        refused(asked(&policy, 0, &docker), &["docker", "redis", "groups", "lca.toml"]);
        for word in ["docker", "99"] {
            policy.groups = vec![word.to_owned()];
            assert_eq!(asked(&policy, 0, &docker), Ok(()));
        }
    }

    #[test]
    fn an_agent_that_is_not_root_is_nobody_else() {
        let policy = HostPolicy::default();
        refused(asked(&policy, 7, &account("redis", 8)), &["redis", "not run as root"]);
        let lists_gave_more = Account { groups: vec![7, 8], ..account("agent", 7) };
        assert_eq!(asked(&policy, 7, &lists_gave_more), Ok(()));
        let more = Account { gid: 8, ..account("agent", 7) };
        refused(asked(&policy, 7, &more), &["agent", "not run as root"]);
    }

    #[test]
    fn a_command_without_a_pattern_is_refused() {
        let policy = HostPolicy { commands: Some(Vec::new()), ..HostPolicy::default() };
        refused(asked(&policy, 7, &account("agent", 7)), &["/bin/x", "commands", "lca.toml"]);
    }
}
