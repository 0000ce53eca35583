//! Starts and hooks that wait until they are guarded, because they may act as soon as they run.
//!
//! Refuses to know which ones, and until when. The law: nothing of a held start or hook has run before a guard has confirmed
//! that it will kill it, and the member that it is for, in time; whoever is killed meanwhile is not let go on.

use understudy_decide::agent::{HookRun, StartId};
use understudy_guard::guards::{Gate, GateError, Grip};
use understudy_model::ApplicationName;

use super::Processes;
use crate::guarding;
use crate::platform::Platform;

/// It was killed while it waited.
const NOT_WANTED: &str = "it is not wanted any more";

impl<P: Platform> Processes<P> {
    /// Returns when a start that was made, and waits, is guarded.
    pub(super) fn let_start_go(&self, start: StartId, gate: &Gate, grip: Grip) -> Result<(), String> {
        let named = guarding::start_of(self.starts.agent(), start);
        let passed =
            gate.arm(named, grip).and_then(|()| gate.pass(&[named])).map_err(|error| error.to_string());
        let passed = passed.and_then(|()| match self.table.is_to_be_killed(start) {
            true => Err(NOT_WANTED.to_owned()),
            false => Ok(()),
        });
        passed.inspect_err(|_| gate.release(named))
    }

    /// The same for a command that may make a member primary; the member itself must be guarded, too, if it runs.
    pub(super) fn let_hook_go(&self, run: &HookRun, gate: &Gate, grip: Grip) -> Result<(), String> {
        let named = guarding::start_of(self.starts.agent(), run.hook);
        let passed = gate.arm(named, grip).and_then(|()| gate.pass(&self.guarded_for(run, named)));
        let passed = passed.map_err(|error| error.to_string()).and_then(|()| {
            match self.hooks.is_to_be_killed(run.hook) {
                true => Err(NOT_WANTED.to_owned()),
                false => Ok(()),
            }
        });
        passed.inspect_err(|_| gate.release(named))
    }

    /// The hook, and the process of its member if there is one.
    fn guarded_for(&self, run: &HookRun, hook: understudy_guard::Start) -> Vec<understudy_guard::Start> {
        let member = self.tree(run.start).map(|_| guarding::start_of(self.starts.agent(), run.start));
        member.into_iter().chain([hook]).collect()
    }

    /// Returns when the member is guarded that a signal is to make primary.
    pub(super) fn let_signal_go(&self, run: &HookRun, gate: &Gate) -> Result<(), String> {
        gate.pass(&[guarding::start_of(self.starts.agent(), run.start)])
            .map_err(|error| error.to_string())?;
        if self.hooks.is_to_be_killed(run.hook) { Err(NOT_WANTED.to_owned()) } else { Ok(()) }
    }

    /// Arms what need not wait, if it is to be guarded at all.
    pub(super) fn guard_if_wanted(
        &self,
        application: &ApplicationName,
        start: StartId,
        gate: &Gate,
        tree: &P::Tree,
    ) {
        let named = guarding::start_of(self.starts.agent(), start);
        let armed = self.platform.grip(tree).map(|grip| gate.arm(named, grip));
        match armed {
            Ok(Ok(()) | Err(GateError::NotWanted)) => {}
            // This agent kills it at its time all the same.
            Ok(Err(error)) => tracing::warn!(%application, %error, "it is not guarded"),
            Err(error) => tracing::warn!(%application, %error, "it is not guarded"),
        }
    }
}
