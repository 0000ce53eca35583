//! How links are watched: the preset, then `[timers]`, then the host, then its `[host.addp]`.
//!
//! Knows no protocol. The law: zero is off, and any other timeout is within bounds that neither busy-poll nor never find out.

use std::time::Duration;

use understudy_model::{AddpSettings, AddpTrace, LONGEST_ADDP_TIMEOUT, Preset, SHORTEST_ADDP_TIMEOUT};

use crate::raw::{Report, Value, View};

/// What one table sets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AddpDraft {
    timeout: Option<Duration>,
    remote_timeout: Option<Duration>,
    trace: Option<AddpTrace>,
}

impl AddpDraft {
    /// What this table sets, and for the rest what another one does.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            timeout: self.timeout.or(other.timeout),
            remote_timeout: self.remote_timeout.or(other.remote_timeout),
            trace: self.trace.or(other.trace),
        }
    }

    pub(super) fn over(self, base: AddpSettings) -> AddpSettings {
        AddpSettings {
            timeout: self.timeout.unwrap_or(base.timeout),
            remote_timeout: self.remote_timeout.unwrap_or(base.remote_timeout),
            trace: self.trace.unwrap_or(base.trace),
        }
    }
}

/// What a table sets; every problem reported.
pub(super) fn read(report: &mut Report, view: View<'_>) -> AddpDraft {
    let bounds = (SHORTEST_ADDP_TIMEOUT, LONGEST_ADDP_TIMEOUT);
    let words: Vec<&str> = AddpTrace::WORDS.iter().flat_map(|(_, words)| words.iter().copied()).collect();
    AddpDraft {
        timeout: view.duration_or_off(report, "addp-timeout", bounds).map(|found| found.value),
        remote_timeout: view.duration_or_off(report, "addp-remote-timeout", bounds).map(|found| found.value),
        trace: match view.raw("addp-trace").map(|found| found.value) {
            // The field's configurations say true and false, with or without quotes.
            Some(Value::Boolean(true)) => Some(AddpTrace::Local),
            Some(Value::Boolean(false)) => Some(AddpTrace::Off),
            _ => view.word(report, "addp-trace", &words, AddpTrace::from_word).map(|found| found.value),
        },
    }
}

/// What holds for a host that says nothing.
pub(super) fn base(report: &mut Report, file: View<'_>, preset: Preset) -> AddpSettings {
    let draft = file.table("timers").map(|table| read(report, View::new("timers", table.value)));
    draft.unwrap_or_default().over(preset.addp())
}
