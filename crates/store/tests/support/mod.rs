//! Batches, names and events that the store's tests share.

#![allow(dead_code, reason = "each test file uses its own part")]

use understudy_model::{
    ApplicationName, Because, ControllerEpoch, ControllerName, Epoch, Event, EventKind, Moment, PairName,
    RoleEpoch, Rule, Severity, Subject,
};
use understudy_store::{Batch, Change, EntryKind, JournalEntry, Store};

pub fn pair() -> PairName {
    PairName::new("pair").unwrap()
}

pub fn role(epoch: u64, holder: &str) -> RoleEpoch {
    RoleEpoch::new(Epoch(epoch), ApplicationName::new(holder).unwrap())
}

pub fn lead(store: &mut Store) -> ControllerEpoch {
    store.take_leadership(&ControllerName::new("scs-1").unwrap()).unwrap()
}

pub fn raise(expected: Option<RoleEpoch>, next: RoleEpoch, controller_epoch: ControllerEpoch) -> Batch {
    let change = Change::RaiseEpoch { pair: pair(), expected, next, controller_epoch };
    Batch { changes: vec![change], ..Batch::default() }
}

pub fn entry(at: u64, text: &str) -> JournalEntry {
    JournalEntry {
        at_boot: Moment(at),
        at_wall_ms: at as i64,
        kind: EntryKind::Observation,
        text: text.to_owned(),
    }
}

pub fn entries(texts: &[&str], durable: bool) -> Batch {
    let journal = texts.iter().enumerate().map(|(at, text)| entry(at as u64, text)).collect();
    Batch { journal, durable, ..Batch::default() }
}

pub fn event(reason: &str) -> Event {
    Event {
        kind: EventKind::RoleChanged,
        severity: Severity::Warning,
        about: Subject { pair: Some(pair()), ..Subject::default() },
        from: Some("a".into()),
        to: Some("b".into()),
        epoch: Some(Epoch(7)),
        because: Because::new(Rule::PrimaryExited, reason)
            .fact("backup", "ready")
            .nearly(Rule::FirstStart, "no"),
        actor: Some("operator:ann".into()),
    }
}
