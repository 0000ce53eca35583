//! What agents told of clocks that ran apart (A1): for those who look, and nothing else.
//!
//! Refuses to compare clocks: an agent does that, with the answers to its own questions. The law: a doubted clock changes
//! nothing that is decided here, as what was promised is over when this machine's own clock says so, and a role that was given
//! to another is not given back for a clock's sake.

use std::collections::BTreeMap;

use understudy_model::{ClockDoubt, HostName, OtherClock};

use super::Control;

impl Control {
    /// What agents that are heard doubt now: whose agent, and what; each doubt once.
    fn clock_doubts(&self) -> BTreeMap<(&HostName, &OtherClock), &ClockDoubt> {
        let heard = self.applications.values().filter(|app| app.heard);
        let told = heard.filter_map(|app| Some((&app.host, app.role()?.strict.as_ref()?)));
        let doubts = told.flat_map(|(host, strict)| strict.clocks.iter().map(move |doubt| (host, doubt)));
        doubts.map(|(host, doubt)| ((host, &doubt.other), doubt)).collect()
    }

    /// The doubts that one host's clock has a part in, for people.
    pub(super) fn clock_doubts_of(&self, name: &HostName) -> Vec<String> {
        let concerns = |host: &HostName, other: &OtherClock| {
            host == name || matches!(other, OtherClock::Host(other) if other == name)
        };
        let doubts = self.clock_doubts().into_iter().filter(|((host, other), _)| concerns(host, other));
        doubts.map(|((host, _), doubt)| doubt.text(host)).collect()
    }

    /// A warning for each doubt.
    pub(super) fn warn_of_clocks(&self, warnings: &mut Vec<String>) {
        for ((host, _), doubt) in self.clock_doubts() {
            warnings.push(format!(
                "host {host}: {}: while that lasts, two members may act at once; see the runbook paused-machines",
                doubt.text(host)
            ));
        }
    }
}
