//! Runs the command that switches a host off, and has the machine observe what became of it.
//!
//! It refuses to know why. The law: a command is run for a host of the configuration that is in use, with its own bound on time;
//! whatever is not exit code 0 in time is no confirmation.

use understudy_decide::control::{Control, ControlSaw};
use understudy_drive::Inbox;
use understudy_model::HostName;

use crate::command::run_command;
use crate::standing::Standing;

/// Runs fencing commands. The machine asks for one at a time for each host.
#[derive(Clone)]
pub struct Fencing {
    inbox: Inbox<Control>,
    standing: Standing,
}

impl Fencing {
    /// Commands are those of the configuration in use; outcomes go to the machine.
    pub fn new(inbox: Inbox<Control>, standing: Standing) -> Self {
        Self { inbox, standing }
    }

    /// Begins the command of a host. Never waits.
    pub fn call(&self, host: HostName) {
        let spec = self.standing.cluster().hosts.get(&host).and_then(|spec| spec.fence.clone());
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let outcome = match spec {
                Some(spec) => {
                    let environment = vec![("UNDERSTUDY_HOST", host.to_string())];
                    run_command(&spec.command, environment, format!("{host}\n"), spec.timeout).await
                }
                None => Err(("the host has no fencing command any more".to_owned(), String::new())),
            };
            let (confirmed, said) = match outcome {
                Ok(said) => (true, said),
                Err((why, said)) if said.is_empty() => (false, why),
                Err((why, said)) => (false, format!("{why}; it said: {said}")),
            };
            tracing::info!(%host, confirmed, said, "the fencing command ended");
            // Nobody waits for it any more if the program is ending.
            inbox.saw(ControlSaw::FenceEnded { host, confirmed, said }).await;
        });
    }
}
