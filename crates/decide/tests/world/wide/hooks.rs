//! Hooks of the wide world: they take time, fail, do half of what they should, hang, and outlive their agent.

use understudy_decide::agent::{AgentSaw, HookAct, HookKind, HookRun, StartId};
use understudy_model::*;

use super::Wide;

/// A hook under way.
#[derive(Debug, Clone)]
pub struct Hook {
    pub run: HookRun,
    pub killed: bool,
}

/// How hooks behave on a host.
#[derive(Debug, Clone, Copy, Default)]
pub struct HookFaults {
    /// They end with an error.
    pub fail: bool,
    /// Those that fail or are killed have done what they should all the same.
    pub half: bool,
    /// They never end by themselves.
    pub hang: bool,
}

impl Wide {
    pub fn run_hook(&mut self, site: usize, run: HookRun) {
        assert!(
            !self.sites[site].hooks.iter().any(|other| other.run.application == run.application),
            "one hook at a time of {}:\n{}",
            run.application,
            self.told()
        );
        self.tell(format!("{} of {} begins, epoch {}", run.kind.as_str(), run.application, run.epoch));
        if run.kind == HookKind::Demote
            && let Some(tree) = self.sites[site].trees.iter_mut().find(|tree| tree.start == run.start)
        {
            tree.noted = None;
        }
        self.sites[site].hooks.push(Hook { run, killed: false });
    }

    pub fn doom_hook(&mut self, site: usize, start: StartId) {
        for hook in self.sites[site].hooks.iter_mut().filter(|hook| hook.run.hook == start) {
            hook.killed = true;
        }
    }

    /// One hook does its work, or ends by a kill; its agent, if there is one, sees that.
    pub fn end_hook(&mut self, site: usize) -> bool {
        let known = &mut self.sites[site];
        let faults = known.hook_faults;
        let is_command = |hook: &Hook| matches!(hook.run.act, HookAct::Command(_));
        let ends = known.hooks.iter().position(|hook| hook.killed || !(faults.hang && is_command(hook)));
        let Some(index) = ends else { return false };
        let Hook { run, killed } = known.hooks.remove(index);
        let fails = killed || (faults.fail && matches!(run.act, HookAct::Command(_)));
        let mode = match run.kind {
            HookKind::Promote => Some(RunMode::Primary),
            HookKind::Demote => Some(RunMode::Backup),
            HookKind::Before | HookKind::Start | HookKind::Stop | HookKind::Probe => None,
        };
        let tree = known.trees.iter_mut().find(|tree| tree.start == run.start && tree.main);
        if let (Some(tree), Some(mode)) = (tree, mode)
            && (!fails || faults.half)
        {
            if run.act != HookAct::Note {
                tree.mode = mode;
            }
            tree.epoch = run.epoch;
            if !fails && mode == RunMode::Primary && known.agent.is_some() {
                tree.noted = Some(run.epoch);
            }
        }
        let failed = fails.then(|| if killed { "killed".to_owned() } else { "exit code 1".to_owned() });
        self.tell(format!("{} of {} ends: {failed:?}", run.kind.as_str(), run.application));
        if self.sites[site].agent.is_some() {
            let (application, hook) = (run.application, run.hook);
            self.agent_sees(site, AgentSaw::HookEnded { application, hook, failed, said: String::new() });
        }
        true
    }
}
