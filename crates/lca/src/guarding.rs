//! The guard of this agent: where its program is, how it is started, and who hears of it.
//!
//! Refuses to know roles and leases. The law: a guard is never taken for a process of an application.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use understudy_decide::agent::StartId;
use understudy_guard::Start;
use understudy_guard::guards::{Ground, GuardEvent, GuardPlace, Guards, GuardsError, program_beside};
use understudy_model::AgentId;

use crate::platform::Platform;

/// Names another program than the `lca-guard` beside the agent's own: for packagers, and for tests.
pub const VARIABLE: &str = "LCA_GUARD";

/// A start, as the guard names it.
pub fn start_of(agent: AgentId, start: StartId) -> Start {
    Start { agent, incarnation: start.incarnation, number: start.number }
}

/// The same, back.
pub fn start_id(start: Start) -> StartId {
    StartId { incarnation: start.incarnation, number: start.number }
}

/// Looks for a guard that an earlier life left in the runtime directory, and attends to it. `program` is where the agent's own
/// program lies. Events come on a thread of their own, which may wait.
pub fn start<P: Platform>(
    runtime_directory: &Path,
    program: &Path,
    platform: Arc<P>,
    tell: impl Fn(GuardEvent) + Send + 'static,
) -> Result<Guards, GuardsError> {
    let place = GuardPlace {
        directory: runtime_directory.to_owned(),
        program: std::env::var_os(VARIABLE).map_or_else(|| program_beside(program), Into::into),
        group: platform.guard_container(),
    };
    Guards::start(place, Lent { platform, tell })
}

struct Lent<P, T> {
    platform: Arc<P>,
    tell: T,
}

impl<P: Platform, T: Fn(GuardEvent) + Send + 'static> Ground for Lent<P, T> {
    fn start(&self, command: &mut Command) -> io::Result<u32> {
        self.platform.launch_guard(command)
    }

    fn met(&self, pid: u32) {
        self.platform.know_guard(pid);
    }

    fn tell(&self, event: GuardEvent) {
        match &event {
            GuardEvent::Up { pid, locked, hurried } => {
                tracing::info!(pid, "the guard is up");
                if !locked {
                    tracing::warn!(
                        "the guard's memory cannot be locked: it may be late where memory is short"
                    );
                }
                if !hurried {
                    tracing::warn!("the guard has no priority: it may be late where processors are short");
                }
            }
            GuardEvent::Down { why } => tracing::warn!(why, "there is no guard; another one is started"),
            GuardEvent::Fired { application, start, kill_at, at } => {
                let late_us = u64::try_from(at.since(*kill_at).as_micros()).unwrap_or(u64::MAX);
                tracing::error!(%application, %start, late_us, "the guard killed it: its time was over");
            }
        }
        (self.tell)(event);
    }
}

#[cfg(test)]
mod tests {
    use understudy_model::{ApplicationName, Incarnation};

    use super::*;

    #[test]
    fn a_start_is_the_same_by_both_names() {
        let start = StartId { incarnation: Incarnation(7), number: 3 };
        assert_eq!(start_id(start_of(AgentId(5), start)), start);
        let application = ApplicationName::new("app").unwrap();
        let named = start_of(AgentId(5), start);
        assert_eq!(named.group_name(&application), crate::platform::group_name(&application, start));
        assert_eq!(named.to_string(), crate::platform::mark_text(AgentId(5), start));
    }
}
