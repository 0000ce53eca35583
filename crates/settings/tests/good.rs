//! Good settings files, and the exact values that come out of them.

use std::collections::BTreeMap;
use std::time::Duration;

use understudy_model::{
    AddpSettings, AddpTrace, ApplicationName, Ask, EnvironmentFile, FenceSpec, FlapDamping, HostName,
    Interface, ListeningMode, OnCrash, OutputKind, PairName, Policy, Preset, ProcessLimits, ProcessSpec,
    Redundancy, RestartPolicy, Signal, Terms,
};
use understudy_settings::{
    TlsFiles, parse_agent, parse_cluster, parse_cluster_on, parse_server, reference_markdown,
};

fn application(name: &str) -> ApplicationName {
    ApplicationName::new(name).unwrap()
}

/// What a control server shows of a configuration can be read, and means the same.
#[test]
fn what_is_written_is_what_was_read() {
    let odd = r#"
[cluster]
name = "a \"quoted\" \\ name"
[[host]]
name = "six"
addresses = ["fd00::6", "six.example.net"]
lca-port = 5000
fence = ["/bin/off", "six"]
addp-timeout = 0
[[application]]
name = "one"
host = "six"
command = ["/bin/one", "tab\there", "\u0001"]
umask = "007"
cpu-max = "150%"
memory-max = "3M"
output = "file"
output-limit = "1M"
hang-limit = 0
[application.limits]
nofile = 4096
core = "unlimited"
[application.environment]
"WITH.DOT" = "x"
PLAIN = "two\nlines"
[application.options."a section"]
"an option" = 7
[application.probe]
http = "http://127.0.0.1:80/x?y=\"z\""
"#;
    let good = ["demo", "programs", "seed-form", "strict"];
    let texts = good.map(|name| {
        std::fs::read_to_string(format!("{}/tests/good/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap()
    });
    for text in texts.into_iter().chain([odd.to_owned()]) {
        let read = parse_cluster("c", &text).unwrap_or_else(|wrong| panic!("{wrong}")).value;
        let written = understudy_settings::cluster_text(&read);
        let again = parse_cluster("w", &written).unwrap_or_else(|wrong| panic!("{wrong}\n{written}")).value;
        assert!(again == read, "{written}\n{read:#?}\n{again:#?}");
    }
}

#[test]
fn the_documented_example_becomes_a_cluster() {
    let checked = parse_cluster("demo.toml", include_str!("good/demo.toml")).unwrap();
    assert_eq!(checked.warnings, []);
    let cluster = checked.value;
    assert_eq!(cluster.name, "demo");
    assert_eq!(cluster.id.unwrap().to_string(), "0123abcd00004000800000000000ffff");
    let addresses = |host| &cluster.hosts[&HostName::new(host).unwrap()].addresses;
    assert_eq!(*addresses("alpha"), ["127.0.0.11:4999", "localhost:4999"]);
    assert_eq!(*addresses("beta"), ["[::1]:5999", "unix:/tmp/demo/beta.sock"]);

    let first = &cluster.applications[&application("tserver-1")];
    assert_eq!((first.kind.as_str(), first.interface), ("t-server", Interface::Library));
    assert_eq!(
        (first.restart, first.restart_limit, first.restart_delay),
        (RestartPolicy::Always, 5, Duration::from_secs(1))
    );
    assert_eq!(
        (first.startup_timeout, first.shutdown_timeout),
        (Duration::from_secs(90), Duration::from_secs(10))
    );
    assert_eq!((first.stop_signal, first.autostart), (Signal::Term, true));
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(first.environment, text(&[("LANG", "C"), ("MODE", "own")]));
    assert_eq!(first.options["log"], text(&[("level", "all")]));
    let sync = [("protocol", "addp"), ("addp-timeout", "3"), ("ratio", "0.5"), ("on", "true")];
    assert_eq!(first.options["backup-sync"], text(&sync));
    let ports: Vec<_> =
        first.ports.iter().map(|p| (p.id.as_str(), p.port, p.listening_mode, p.ha_sync)).collect();
    let plain = ListeningMode::Unsecured;
    assert_eq!(ports, [("default", 7000, plain, false), ("ha", 7001, plain, true)]);
    assert_eq!(cluster.applications[&application("tserver-2")].restart, RestartPolicy::OnFailure);

    let lone = &cluster.applications[&application("lone")];
    assert_eq!((lone.kind.as_str(), lone.interface, lone.autostart), ("server", Interface::Plain, false));
    assert_eq!((lone.restart, &lone.success_codes[..]), (RestartPolicy::Never, &[0, 3][..]));

    let pair = &cluster.pairs[&PairName::new("tserver").unwrap()];
    assert_eq!(
        (pair.redundancy, pair.policy, pair.on_crash),
        (Redundancy::HotStandby, Policy::DEFAULT, OnCrash::Failover)
    );
    let ms = Duration::from_millis;
    assert_eq!(pair.timers.switchover_timeout, ms(3_000), "set on the pair");
    assert_eq!(pair.timers.link_grace, ms(750), "set in [timers]");
    assert_eq!(pair.timers.fence_budget, ms(60), "set on one of its hosts");
    assert_eq!(pair.timers.agent_restart_grace, ms(5_000), "of the preset");
    assert_eq!(pair.timers.disconnect_switchover_timeout, ms(2_000), "set on one of its hosts");
    let damping = FlapDamping { changes: 4, within: ms(600_000) };
    assert_eq!(pair.timers.flap_damping, damping, "set in [timers]");
}

#[test]
fn programs_without_the_library_take_part() {
    let checked = parse_cluster("programs.toml", include_str!("good/programs.toml")).unwrap();
    assert_eq!(checked.warnings, []);
    let conduct = |name: &str| checked.value.applications[&application(name)].conduct.clone();
    let ms = Duration::from_millis;
    let (first, second) = (conduct("redis-1"), conduct("redis-2"));
    assert_eq!(first.start_before, ["/usr/local/bin/make-room"]);
    assert_eq!(first.stop_command, ["/usr/bin/redis-cli", "shutdown"]);
    assert_eq!(first.reload_signal, Some(Signal::Hup));
    assert_eq!(first.hooks.on_start, ["/usr/local/bin/check"]);
    assert_eq!((first.hooks.timeout, &first.hooks.on_demote), (ms(400), &second.hooks.on_demote));
    assert_eq!(first.hang_limit, Some(ms(4_000)), "of [timers]");
    let probe = first.probe.unwrap();
    assert_eq!(probe.ask, Ask::Tcp("127.0.0.1:7000".to_owned()));
    assert_eq!((probe.interval, probe.timeout, probe.failures), (ms(1_000), ms(1_000), 5));
    // Tables of hooks and probes are taken over key by key, and can be emptied.
    assert!(second.hooks.on_start.is_empty() && second.hang_limit.is_none());
    let probe = second.probe.unwrap();
    assert_eq!((probe.interval, probe.failures), (ms(200), 5));
    let daemon = conduct("daemon");
    assert_eq!((daemon.watchdog, daemon.promote_signal), (Some(ms(10_000)), Some(Signal::Usr1)));
    assert_eq!(daemon.probe.unwrap().ask, Ask::Http("http://127.0.0.1:8080/".to_owned()));
    let lone = conduct("lone");
    assert_eq!(lone.hang_limit, Some(ms(5_000)), "of its host");
    assert!(matches!(lone.probe.unwrap().ask, Ask::Exec(command) if command.len() == 3));
    let demo = parse_cluster("demo.toml", include_str!("good/demo.toml")).unwrap().value;
    assert_eq!(demo.applications[&application("lone")].conduct.hang_limit, Some(ms(1_000)), "of the preset");
}

#[test]
fn the_form_of_the_seeds_makes_the_same_pair() {
    let text = include_str!("good/seed-form.toml");
    let cluster = parse_cluster("c", text).unwrap().value;
    let (name, pair) = cluster.pairs.first_key_value().unwrap();
    assert_eq!(name.as_str(), "licence-1");
    let as_pair = text.replace("redundancy = \"hot-standby\"\nbackup = \"licence-2\"\n", "")
        + "\n[[pair]]\nname = \"licence-1\"\nprimary = \"licence-1\"\nbackup = \"licence-2\"\nredundancy = \"hot-standby\"\n";
    assert_ne!(as_pair.len(), text.len());
    assert_eq!(&parse_cluster("c", &as_pair).unwrap().value.pairs[name], pair);
}

#[test]
fn daemons_have_defaults_for_everything_but_their_name() {
    let agent = parse_agent("lca.toml", "[agent]\nhost = \"Alpha\"\n").unwrap().value;
    assert_eq!((agent.host.as_str(), &agent.listen[..]), ("alpha", &["127.0.0.1:4999".to_owned()][..]));
    assert_eq!(agent.state_directory, "/var/lib/understudy/lca");
    assert_eq!(agent.runtime_directory, "/run/understudy");
    assert_eq!(agent.log_directory, "/var/log/understudy");
    assert!(agent.policy.permits("/usr/bin/anything"));
    let text =
        "[agent]\nhost = \"a\"\nlisten = [\"[::1]:1\", \"unix:/a\"]\n[policy]\ncommands = [\"/usr/bin/*\"]\n";
    let agent = parse_agent("lca.toml", text).unwrap().value;
    assert_eq!(agent.listen, ["[::1]:1", "unix:/a"]);
    assert!(agent.policy.permits("/usr/bin/x") && !agent.policy.permits("/usr/sbin/x"));
    assert_eq!(agent.tls, None);
    assert_eq!(agent.status_listen, ["127.0.0.1:4998".parse().unwrap()]);
    let text = "[agent]\nhost = \"a\"\nstatus-listen = [\"0.0.0.0:1\", \"[::1]:2\"]\n";
    let agent = parse_agent("lca.toml", text).unwrap().value;
    assert_eq!(agent.status_listen, ["0.0.0.0:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    let agent = parse_agent("lca.toml", "[agent]\nhost = \"a\"\nstatus-listen = []\n").unwrap().value;
    assert!(agent.status_listen.is_empty());

    let server = parse_server("scs.toml", "[server]\nname = \"scs-1\"\n").unwrap().value;
    assert_eq!(server.cluster_file, "/etc/understudy/cluster.toml");
    assert_eq!(server.api_socket, "/run/understudy/scs.sock");
    assert_eq!(server.state_directory, "/var/lib/understudy/scs");
    assert_eq!(server.journal_keep, Duration::from_secs(90 * 86_400));
    assert_eq!(server.journal_max_size, 1 << 30);
    assert!(server.api_listen.is_empty());
    let text = "[server]\nname = \"s\"\napi-listen = [\"[::]:4997\"]\n[api]\nadmins = [\"Ann\"]\nhost-names = [\"Scs.example.net\"]\n";
    let missing = parse_server("scs.toml", text).unwrap_err().to_string();
    assert!(missing.contains("with TLS alone"), "{missing}");
    let tls = "[tls]\ncertificate = \"/c\"\nkey = \"/k\"\nauthorities = [\"/a\"]\n";
    let server = parse_server("scs.toml", &format!("{text}{tls}")).unwrap().value;
    assert_eq!(server.api_listen, ["[::]:4997".parse().unwrap()]);
    assert_eq!(server.api.admins, ["ann".parse().unwrap()]);
    assert_eq!(server.api.host_names, ["scs.example.net"]);
}

#[test]
fn both_daemons_read_the_same_files_of_tls() {
    let tls = "[tls]\ncertificate = \"/p/a.pem\"\nkey = \"/p/a.key\"\nauthorities = [\"/p/ca.pem\", \"/p/new.pem\"]\n";
    let mut files = TlsFiles {
        certificate: "/p/a.pem".to_owned(),
        key: "/p/a.key".to_owned(),
        authorities: vec!["/p/ca.pem".to_owned(), "/p/new.pem".to_owned()],
        revoked: Vec::new(),
    };
    let agent = parse_agent("lca.toml", &format!("[agent]\nhost = \"a\"\n{tls}")).unwrap().value;
    assert_eq!(agent.tls.as_ref(), Some(&files));
    let text = format!("[server]\nname = \"s\"\n{tls}revoked = [\"/p/gone.pem\"]\n");
    files.revoked.push("/p/gone.pem".to_owned());
    assert_eq!(parse_server("scs.toml", &text).unwrap().value.tls, Some(files));
}

#[test]
fn the_reference_lists_keys_of_every_file() {
    let text = reference_markdown();
    for wanted in [
        "### `[[host]]`",
        "### `[[application.port]]`",
        "### `[agent]`",
        "| `keep` |",
        "| `lca-port` |",
        "`hot-standby`",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing");
    }
}

#[test]
fn how_a_process_is_made_is_read_with_its_template() {
    let checked = parse_cluster("demo.toml", include_str!("good/demo.toml")).unwrap();
    let bounded = checked.value.applications[&application("bounded")].process.clone();
    let limits = ProcessLimits {
        nofile: Some(4096),
        core_bytes: Some(0),
        memlock_bytes: Some(64 << 10),
        nproc: Some(100),
    };
    let expected = ProcessSpec {
        user: Some("tserver".to_owned()),
        group: Some("telecom".to_owned()),
        groups: vec!["audio".to_owned(), "1000".to_owned()],
        umask: Some(0o027),
        limits,
        nice: Some(-5),
        oom_score_adjust: Some(-500),
        environment_file: Some(EnvironmentFile { path: "/etc/default/bounded".to_owned(), optional: true }),
        memory_max_bytes: Some(1 << 30),
        cpu_max_percent: Some(150),
        pids_max: Some(100),
        output: Some(OutputKind::File),
        output_limit_bytes: Some(1 << 20),
        output_keep: Some(2),
        after: vec![application("tserver-1")],
    };
    assert_eq!(bounded, expected);
    assert!(checked.value.applications[&application("lone")].process.is_default());
}

#[test]
fn what_a_host_permits_is_read() {
    let policy = |text: &str| parse_agent("l", &format!("[agent]\nhost='a'\n{text}")).unwrap().value.policy;
    assert_eq!(policy(""), Default::default(), "root is not allowed unless somebody says so");
    let read = policy("[policy]\nusers=['tserver','1000']\ngroups=['audio']\nallow-root=true\n");
    assert_eq!(read.users, Some(vec!["tserver".to_owned(), "1000".to_owned()]));
    assert_eq!((read.groups, read.allow_root), (vec!["audio".to_owned()], true));
}

#[test]
fn the_nearest_setting_says_how_a_link_is_watched() {
    let text = r#"
        [cluster]
        name = "demo"
        timers = "classic"
        [timers]
        addp-remote-timeout = 0
        [[host]]
        name = "bare"
        addresses = ["127.0.0.1"]
        [[host]]
        name = "own"
        addresses = ["127.0.0.2"]
        addp-timeout = "250ms"
        addp-remote-timeout = 3
        [host.addp]
        addp-timeout = 0
        addp-trace = true
        [[host]]
        name = "field"
        addresses = ["127.0.0.3"]
        [host.addp]
        addp-trace = "FULL"
    "#;
    let hosts = parse_cluster("addp.toml", text).unwrap().value.hosts;
    let addp = |host: &str| {
        let AddpSettings { timeout, remote_timeout, trace } = hosts[&HostName::new(host).unwrap()].addp;
        (timeout.as_secs(), remote_timeout.as_secs(), trace)
    };
    assert_eq!(addp("bare"), (9, 0, AddpTrace::Off));
    assert_eq!(addp("own"), (0, 3, AddpTrace::Local));
    assert_eq!(addp("field"), (9, 0, AddpTrace::Both));
}

#[test]
fn a_strict_pair_has_the_spans_that_are_safe_for_both_hosts() {
    let checked = parse_cluster("strict.toml", include_str!("good/strict.toml")).unwrap();
    assert_eq!(checked.warnings, []);
    let pair = |name: &str| &checked.value.pairs[&PairName::new(name).unwrap()];
    let ms = Duration::from_millis;
    let first = pair("of-hosts");
    assert_eq!(first.policy, Policy::Strict);
    assert_eq!(first.timers.lease, ms(4_000), "the longer one of two hosts");
    assert_eq!(first.timers.renew, ms(500), "the shorter one of two hosts");
    assert_eq!(first.timers.kill_budget, ms(60), "alpha says 10ms, beta what [timers] says");
    assert_eq!(first.timers.fence_budget, ms(500), "alpha says 400ms, beta what the preset says");
    assert_eq!(first.timers.clock_drift_ppm, 3_000, "the larger one of a host and the preset");
    let terms = Terms {
        lease: ms(4_000),
        drift_ppm: 3_000,
        leader_lease: ms(4_000),
        renew_every: ms(500),
        fence_budget: ms(500),
        kill_budget: ms(60),
    };
    assert_eq!(first.terms(), terms);
    let second = pair("own");
    assert_eq!((second.timers.lease, second.timers.clock_drift_ppm), (ms(2_400), 1_000), "set on the pair");
    assert_eq!((first.keep_data, second.keep_data), (false, true));
    assert_eq!((second.timers.kill_budget, second.timers.renew), (ms(60), ms(500)));
    let fence = |host: &str| checked.value.hosts[&HostName::new(host).unwrap()].fence.clone();
    let command = ["/usr/sbin/fence_ipmilan", "--off", "--ip=10.0.1.1"].map(str::to_owned).to_vec();
    assert_eq!(fence("alpha"), Some(FenceSpec { command, timeout: ms(10_000) }));
    let command = vec!["/usr/local/sbin/off".to_owned(), "beta".to_owned()];
    assert_eq!(fence("beta"), Some(FenceSpec { command, timeout: FenceSpec::TIMEOUT }));
}

/// One strict pair with these timers.
fn strict(timers: &str) -> Result<Vec<String>, Vec<String>> {
    let text = format!(
        "[cluster]\nname = \"c\"\n[[host]]\nname = \"a\"\naddresses = [\"10.0.0.1\"]\n\
         [[host]]\nname = \"b\"\naddresses = [\"10.0.0.2\"]\n\
         [[application]]\nname = \"one\"\nhost = \"a\"\ncommand = [\"/x\"]\n\
         [[application]]\nname = \"two\"\nhost = \"b\"\ncommand = [\"/x\"]\n\
         [[pair]]\nname = \"p\"\nprimary = \"one\"\nbackup = \"two\"\npolicy = \"strict\"\n{timers}\n"
    );
    let said = |all: &[understudy_settings::Problem]| all.iter().map(ToString::to_string).collect();
    match parse_cluster("c", &text) {
        Ok(checked) => Ok(said(&checked.warnings)),
        Err(problems) => Err(said(&problems.problems)),
    }
}

#[test]
fn every_preset_is_sound_and_what_a_relation_advises_is_just_enough() {
    for preset in Preset::ALL {
        let timers = preset.timers();
        let [lease, renew, fence, kill] =
            [timers.lease, timers.renew, timers.fence_budget, timers.kill_budget]
                .map(|span| span.as_millis());
        let text = format!(
            "lease = \"{lease}ms\"\nrenew = \"{renew}ms\"\nfence-budget = \"{fence}ms\"\nkill-budget = \"{kill}ms\"\n\
             switchover-timeout = \"1h\""
        );
        assert_eq!(strict(&text), Ok(vec![]), "{}", preset.as_str());
    }
    // The figure that the advice names holds, and a millisecond less does not.
    for (spans, relation) in [
        ("renew = \"700ms\"\nfence-budget = \"900ms\"", "renewals-fit-lease"),
        ("renew = \"10ms\"\nfence-budget = \"20ms\"\nkill-budget = \"5ms\"", "restart-fits-lease"),
        // A tenth of the lease does not count, so that the figures come out even: equal is not less.
        (
            "renew = \"10ms\"\nfence-budget = \"45ms\"\nkill-budget = \"5ms\"\nclock-drift = 100000",
            "restart-fits-lease",
        ),
    ] {
        let wrong = strict(&format!("{spans}\nlease = \"100ms\"")).unwrap_err();
        let said = wrong.iter().find(|one| one.contains(relation)).unwrap();
        let advised: u64 = said
            .split_once("raise lease to ")
            .and_then(|(_, rest)| rest.split_once("ms"))
            .unwrap()
            .0
            .parse()
            .unwrap();
        assert_eq!(strict(&format!("{spans}\nlease = \"{advised}ms\"")), Ok(vec![]), "{said}");
        let short = strict(&format!("{spans}\nlease = \"{}ms\"", advised - 1)).unwrap_err();
        assert!(short.iter().any(|one| one.contains(relation)), "{short:?}");
    }
    assert_eq!(strict("kill-budget = \"500ms\""), Ok(vec![]), "a kill may take the whole budget");
    assert!(strict("kill-budget = \"501ms\"").unwrap_err()[0].contains("kill-fits-fence"));
    assert_eq!(strict("clock-drift = 1000"), Ok(vec![]));
    assert!(strict("clock-drift = 999").unwrap_err()[0].contains("drift-covers-clocks"));
}

#[test]
fn a_host_that_is_this_machine_is_named_with_what_its_loss_would_cost_each_policy() {
    let text = include_str!("good/strict.toml");
    let mixed = text.replacen("policy = \"strict\"", "policy = \"available\"", 1);
    let warned = |text: &str, is_here: &dyn Fn(&str) -> bool| -> Vec<String> {
        parse_cluster_on("c", text, is_here).unwrap().warnings.iter().map(ToString::to_string).collect()
    };
    let on_beta = |address: &str| address == "10.0.0.2:4999";
    let strict = warned(text, &on_beta);
    assert_eq!(strict.len(), 1, "{strict:#?}");
    for part in [
        "c:18: host.name: host \"beta\" is this machine",
        "(pairs of-hosts, own)",
        "steps down within",
        "third machine",
    ] {
        assert!(strict[0].contains(part), "{part}: {strict:#?}");
    }
    let both = warned(&mixed, &on_beta);
    assert_eq!(both.len(), 2, "{both:#?}");
    assert!(both.iter().any(|one| one.contains("\"available\" (pair of-hosts)") && one.contains("goes on")));
    assert_eq!(warned(text, &|_| false), Vec::<String>::new());
    // A pair with both members there is lost with it in any case.
    let together = text.replace("host = \"alpha\"", "host = \"beta\"");
    assert!(!warned(&together, &on_beta).iter().any(|one| one.contains("this machine")));
}
