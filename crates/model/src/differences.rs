//! Which settings differ between two configurations, by the words that a file has for them.
//!
//! It knows no file. The law: every field of a specification is compared here, and a new one does not compile unless it is.

use crate::{ApplicationSpec, ConductSpec, HostSpec, PairSpec, ProcessSpec, Timers};

/// The words of those that differ.
fn differing<const N: usize>(settings: [(&'static str, bool); N]) -> impl Iterator<Item = &'static str> {
    settings.into_iter().filter_map(|(word, same)| (!same).then_some(word))
}

impl HostSpec {
    /// What is another value in `other`, in the words of `cluster.toml`.
    pub fn differs_in(&self, other: &HostSpec) -> Vec<&'static str> {
        let HostSpec { addresses, addp, fence } = self;
        differing([
            ("addresses", *addresses == other.addresses),
            ("addp", *addp == other.addp),
            ("fence", *fence == other.fence),
        ])
        .collect()
    }
}

impl PairSpec {
    /// What is another value in `other`, in the words of `cluster.toml`.
    pub fn differs_in(&self, other: &PairSpec) -> Vec<&'static str> {
        let PairSpec { primary, backup, redundancy, policy, on_crash, keep_data, timers } = self;
        let own = differing([
            ("primary", *primary == other.primary),
            ("backup", *backup == other.backup),
            ("redundancy", *redundancy == other.redundancy),
            ("policy", *policy == other.policy),
            ("on-crash", *on_crash == other.on_crash),
            ("keep-data", *keep_data == other.keep_data),
        ]);
        own.chain(timers.differs_in(&other.timers)).collect()
    }
}

impl Timers {
    fn differs_in(&self, other: &Timers) -> impl Iterator<Item = &'static str> {
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
            flap_damping,
        } = self;
        differing([
            ("switchover-timeout", *switchover_timeout == other.switchover_timeout),
            ("link-grace", *link_grace == other.link_grace),
            ("lease", *lease == other.lease),
            ("renew", *renew == other.renew),
            ("fence-budget", *fence_budget == other.fence_budget),
            ("kill-budget", *kill_budget == other.kill_budget),
            ("clock-drift", *clock_drift_ppm == other.clock_drift_ppm),
            ("agent-restart-grace", *agent_restart_grace == other.agent_restart_grace),
            (
                "disconnect-switchover-timeout",
                *disconnect_switchover_timeout == other.disconnect_switchover_timeout,
            ),
            ("flap-damping", *flap_damping == other.flap_damping),
        ])
    }
}

impl ApplicationSpec {
    /// What is another value in `other`, in the words of `cluster.toml`.
    pub fn differs_in(&self, other: &ApplicationSpec) -> Vec<&'static str> {
        let ApplicationSpec {
            host,
            kind,
            interface,
            command,
            working_directory,
            environment,
            stop_signal,
            restart,
            success_codes,
            restart_delay,
            restart_limit,
            startup_timeout,
            shutdown_timeout,
            autostart,
            ports,
            options,
            process,
            conduct,
        } = self;
        let own = differing([
            ("host", *host == other.host),
            ("type", *kind == other.kind),
            ("interface", *interface == other.interface),
            ("command", *command == other.command),
            ("working-directory", *working_directory == other.working_directory),
            ("environment", *environment == other.environment),
            ("stop-signal", *stop_signal == other.stop_signal),
            ("restart", *restart == other.restart),
            ("success-codes", *success_codes == other.success_codes),
            ("restart-delay", *restart_delay == other.restart_delay),
            ("restart-limit", *restart_limit == other.restart_limit),
            ("startup-timeout", *startup_timeout == other.startup_timeout),
            ("shutdown-timeout", *shutdown_timeout == other.shutdown_timeout),
            ("autostart", *autostart == other.autostart),
            ("port", *ports == other.ports),
            ("options", *options == other.options),
        ]);
        own.chain(process.differs_in(&other.process)).chain(conduct.differs_in(&other.conduct)).collect()
    }

    /// What a process that was started with this has to be started again for, if `accepted` is what holds now.
    pub fn waits_for_restart(&self, accepted: &ApplicationSpec) -> Vec<&'static str> {
        let told = accepted.conduct.reload_signal.is_some() && self.conduct == accepted.conduct;
        let mut waiting = self.differs_in(accepted);
        // A goal is no matter of a process.
        waiting.retain(|word| *word != "autostart");
        // Options alone are told to whoever can be told.
        if told && waiting == ["options"] {
            waiting.clear();
        }
        waiting
    }
}

impl ProcessSpec {
    fn differs_in(&self, other: &ProcessSpec) -> impl Iterator<Item = &'static str> {
        let ProcessSpec {
            user,
            group,
            groups,
            umask,
            limits,
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
        } = self;
        differing([
            ("user", *user == other.user),
            ("group", *group == other.group),
            ("groups", *groups == other.groups),
            ("umask", *umask == other.umask),
            ("limits", *limits == other.limits),
            ("nice", *nice == other.nice),
            ("oom-score-adjust", *oom_score_adjust == other.oom_score_adjust),
            ("environment-file", *environment_file == other.environment_file),
            ("memory-max", *memory_max_bytes == other.memory_max_bytes),
            ("cpu-max", *cpu_max_percent == other.cpu_max_percent),
            ("pids-max", *pids_max == other.pids_max),
            ("output", *output == other.output),
            ("output-limit", *output_limit_bytes == other.output_limit_bytes),
            ("output-keep", *output_keep == other.output_keep),
            ("after", *after == other.after),
        ])
    }
}

impl ConductSpec {
    fn differs_in(&self, other: &ConductSpec) -> impl Iterator<Item = &'static str> {
        let ConductSpec {
            hooks,
            promote_signal,
            demote_signal,
            reload_signal,
            stop_command,
            start_before,
            watchdog,
            hang_limit,
            probe,
        } = self;
        differing([
            ("hooks", *hooks == other.hooks),
            ("promote-signal", *promote_signal == other.promote_signal),
            ("demote-signal", *demote_signal == other.demote_signal),
            ("reload-signal", *reload_signal == other.reload_signal),
            ("stop-command", *stop_command == other.stop_command),
            ("start-before", *start_before == other.start_before),
            ("watchdog", *watchdog == other.watchdog),
            ("hang-limit", *hang_limit == other.hang_limit),
            ("probe", *probe == other.probe),
        ])
    }
}
