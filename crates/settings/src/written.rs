//! A checked cluster as the text of a `cluster.toml` that means the same, with every value in its place.
//!
//! It knows no secrets and masks none: whoever shows the text does that before. The law: what is read from the text is what was
//! written; templates, presets and the seeds' forms are gone from it, as a cluster does not know them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use understudy_model::{
    AddpSettings, ApplicationName, ApplicationSpec, Ask, Cluster, ConductSpec, FlapDamping, HooksSpec,
    HostName, HostSpec, OutputKind, PairName, PairSpec, ProcessLimits, ProcessSpec, Signal, Timers,
};

use crate::{size, span};

/// The text.
pub fn cluster_text(cluster: &Cluster) -> String {
    let mut text = Text::default();
    text.heading("[cluster]");
    text.words("name", &cluster.name);
    text.maybe("id", cluster.id.map(|id| quoted(&id.to_string())));
    cluster.hosts.iter().for_each(|(name, host)| write_host(&mut text, name, host));
    cluster.applications.iter().for_each(|(name, spec)| write_application(&mut text, name, spec));
    cluster.pairs.iter().for_each(|(name, pair)| write_pair(&mut text, name, pair));
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn heading(&mut self, heading: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.line(heading);
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.line(&format!("{key} = {value}"));
    }

    fn words(&mut self, key: &str, value: &str) {
        self.plain(key, quoted(value));
    }

    fn span(&mut self, key: &str, value: Duration) {
        self.words(key, &span::to_text(value));
    }

    fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.plain(key, list(values));
        }
    }

    fn maybe(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.plain(key, value);
        }
    }

    fn table(&mut self, heading: &str, values: &BTreeMap<String, String>) {
        self.heading(heading);
        for (key, value) in values {
            self.plain(&key_of(key), quoted(value));
        }
    }
}

fn list(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", "))
}

/// A key, in quotes unless it needs none.
fn key_of(key: &str) -> String {
    let bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if bare { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                // A String takes everything.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn write_host(text: &mut Text, name: &HostName, host: &HostSpec) {
    let HostSpec { addresses, addp, fence } = host;
    text.heading("[[host]]");
    text.words("name", name.as_str());
    let (mut bare, mut port) = (Vec::new(), None);
    for address in addresses {
        match address.rsplit_once(':') {
            Some((machine, number)) if !address.starts_with("unix:") => {
                port = Some(number.to_owned());
                bare.push(machine.trim_start_matches('[').trim_end_matches(']').to_owned());
            }
            _ => bare.push(address.clone()),
        }
    }
    text.plain("addresses", list(&bare));
    text.maybe("lca-port", port);
    if let Some(fence) = fence {
        text.list("fence", &fence.command);
        text.span("fence-timeout", fence.timeout);
    }
    let AddpSettings { timeout, remote_timeout, trace } = addp;
    text.span("addp-timeout", *timeout);
    text.span("addp-remote-timeout", *remote_timeout);
    text.words("addp-trace", trace.as_str());
}

fn write_pair(text: &mut Text, name: &PairName, pair: &PairSpec) {
    let PairSpec { primary, backup, redundancy, policy, on_crash, keep_data, timers } = pair;
    text.heading("[[pair]]");
    text.words("name", name.as_str());
    text.words("primary", primary.as_str());
    text.words("backup", backup.as_str());
    text.words("redundancy", redundancy.as_str());
    text.words("policy", policy.as_str());
    text.words("on-crash", on_crash.as_str());
    if *keep_data {
        text.plain("keep-data", true);
    }
    let Timers {
        switchover_timeout,
        link_grace,
        lease,
        renew,
        fence_budget,
        kill_budget,
        clock_drift_ppm,
        agent_restart_grace,
        disconnect_switchover_timeout,
        flap_damping: FlapDamping { changes, within },
    } = timers;
    text.span("switchover-timeout", *switchover_timeout);
    text.span("link-grace", *link_grace);
    text.span("lease", *lease);
    text.span("renew", *renew);
    text.span("fence-budget", *fence_budget);
    text.span("kill-budget", *kill_budget);
    text.plain("clock-drift", clock_drift_ppm);
    text.span("agent-restart-grace", *agent_restart_grace);
    text.span("disconnect-switchover-timeout", *disconnect_switchover_timeout);
    let damping =
        if *changes == 0 { "off".to_owned() } else { format!("{changes} in {}", span::to_text(*within)) };
    text.words("flap-damping", &damping);
}

fn write_application(text: &mut Text, name: &ApplicationName, spec: &ApplicationSpec) {
    text.heading("[[application]]");
    text.words("name", name.as_str());
    text.words("host", spec.host.as_str());
    text.words("type", &spec.kind);
    text.words("interface", spec.interface.as_str());
    text.list("command", &spec.command);
    text.maybe("working-directory", spec.working_directory.as_deref().map(quoted));
    text.words("stop-signal", spec.stop_signal.as_str());
    text.words("restart", spec.restart.as_str());
    let codes: Vec<String> = spec.success_codes.iter().map(ToString::to_string).collect();
    text.plain("success-codes", format!("[{}]", codes.join(", ")));
    text.span("restart-delay", spec.restart_delay);
    text.plain("restart-limit", spec.restart_limit);
    text.span("startup-timeout", spec.startup_timeout);
    text.span("shutdown-timeout", spec.shutdown_timeout);
    text.plain("autostart", spec.autostart);
    write_process(text, &spec.process);
    write_conduct(text, &spec.conduct);
    // From here on there are only tables: a key behind one of them would be the table's.
    write_tables(text, &spec.conduct, &spec.process.limits);
    if !spec.environment.is_empty() {
        text.table("[application.environment]", &spec.environment);
    }
    for port in &spec.ports {
        text.heading("[[application.port]]");
        text.words("id", &port.id);
        text.plain("port", port.port);
        text.words("listening-mode", port.listening_mode.as_str());
        text.plain("ha-sync", port.ha_sync);
    }
    for (section, options) in &spec.options {
        text.table(&format!("[application.options.{}]", key_of(section)), options);
    }
}

fn write_process(text: &mut Text, process: &ProcessSpec) {
    let ProcessSpec {
        user,
        group,
        groups,
        umask,
        limits: _,
        nice,
        oom_score_adjust,
        environment_file,
        memory_max_bytes,
        cpu_max_percent,
        pids_max,
        output,
        output_limit_bytes,
        output_keep,
        after,
    } = process;
    text.maybe("user", user.as_deref().map(quoted));
    text.maybe("group", group.as_deref().map(quoted));
    text.list("groups", groups);
    text.maybe("umask", umask.map(|mask| format!("\"{mask:03o}\"")));
    text.maybe("nice", *nice);
    text.maybe("oom-score-adjust", *oom_score_adjust);
    text.maybe(
        "environment-file",
        environment_file.as_ref().map(|file| {
            let may_lack = if file.optional { "-" } else { "" };
            quoted(&format!("{may_lack}{}", file.path))
        }),
    );
    text.maybe("memory-max", memory_max_bytes.map(|bytes| quoted(&size::to_text(bytes))));
    text.maybe("cpu-max", cpu_max_percent.map(|percent| format!("\"{percent}%\"")));
    text.maybe("pids-max", *pids_max);
    text.maybe("output", output.map(|output| quoted(output.as_str())));
    // The journal has limits of its own; those of a template say nothing beside it.
    if *output != Some(OutputKind::Journal) {
        text.maybe("output-limit", output_limit_bytes.map(|bytes| quoted(&size::to_text(bytes))));
        text.maybe("output-keep", *output_keep);
    }
    let after: Vec<String> = after.iter().map(ToString::to_string).collect();
    text.list("after", &after);
}

fn write_conduct(text: &mut Text, conduct: &ConductSpec) {
    let ConductSpec {
        hooks: _,
        promote_signal,
        demote_signal,
        reload_signal,
        stop_command,
        start_before,
        watchdog,
        hang_limit,
        probe: _,
    } = conduct;
    let word = |signal: &Option<Signal>| signal.map(|signal| quoted(signal.as_str()));
    text.maybe("promote-signal", word(promote_signal));
    text.maybe("demote-signal", word(demote_signal));
    text.maybe("reload-signal", word(reload_signal));
    text.list("stop-command", stop_command);
    text.list("start-before", start_before);
    text.maybe("watchdog", watchdog.map(|span| quoted(&span::to_text(span))));
    text.span("hang-limit", hang_limit.unwrap_or_default());
}

fn write_tables(text: &mut Text, conduct: &ConductSpec, limits: &ProcessLimits) {
    let HooksSpec { on_start, on_promote, on_demote, user, timeout } = &conduct.hooks;
    if conduct.hooks != HooksSpec::default() {
        text.heading("[application.hooks]");
        text.list("on-start", on_start);
        text.list("on-promote", on_promote);
        text.list("on-demote", on_demote);
        text.maybe("user", user.as_deref().map(quoted));
        text.span("timeout", *timeout);
    }
    if let Some(probe) = &conduct.probe {
        text.heading("[application.probe]");
        match &probe.ask {
            Ask::Exec(command) => text.list("exec", command),
            Ask::Tcp(place) => text.words("tcp", place),
            Ask::Http(page) => text.words("http", page),
        }
        text.span("interval", probe.interval);
        text.span("timeout", probe.timeout);
        text.plain("failures", probe.failures);
    }
    if *limits != ProcessLimits::default() {
        let ProcessLimits { nofile, core_bytes, memlock_bytes, nproc } = *limits;
        text.heading("[application.limits]");
        for (key, limit) in
            [("nofile", nofile), ("core", core_bytes), ("memlock", memlock_bytes), ("nproc", nproc)]
        {
            let word =
                limit.map(|limit| if limit == u64::MAX { quoted("unlimited") } else { limit.to_string() });
            text.maybe(key, word);
        }
    }
}
