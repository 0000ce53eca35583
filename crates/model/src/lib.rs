//! The words of Understudy: names, epochs, run modes, statuses, topology, and the messages that the control
//! server, the agents and the applications say to one another.
//!
//! This crate knows no bytes, no sockets, no files, no clocks and no decisions. Everything here is a plain value
//! that can be compared, ordered, hashed and serialised, so that the machines built on it can be explored.
//! The law: a word means one thing, everywhere; `docs/glossary.md` says what.

pub mod addp;
pub mod application_link;
pub mod certified;
pub mod clock;
pub mod conduct;
pub mod differences;
pub mod epoch;
pub mod event;
pub mod grant;
pub mod identity;
pub mod in_sync;
pub mod logs;
pub mod machine;
pub mod moment;
pub mod name;
pub mod notice;
pub mod order;
pub mod process_spec;
pub mod report;
pub mod rule;
pub mod states;
pub mod terms;
pub mod timers;
pub mod topology;

pub use addp::{AddpSettings, AddpSettingsError, AddpTrace, LONGEST_ADDP_TIMEOUT, SHORTEST_ADDP_TIMEOUT};
pub use application_link::{FromApplication, ToApplication};
pub use certified::{Identity, IdentityError, Role};
pub use clock::{ClockDoubt, ClockReading, Lapse, OtherClock, WhichClock};
pub use conduct::{Ask, ConductSpec, HooksSpec, ProbeSpec, Telling};
pub use epoch::{ControllerEpoch, Epoch, LeadershipId, RoleEpoch};
pub use event::{Because, Event, EventKind, Fact, Nearly, Severity, Subject};
pub use grant::{GrantReport, GrantTold, Release, Remembered, StrictPlace, Verdict, VoteAnswer, VoteAsk};
pub use identity::{AgentId, ClockId, ClusterId, Incarnation, OperationId, OrderId};
pub use in_sync::{InSync, InSyncAnswer, InSyncAsk, InSyncWish};
pub use logs::{LogAnswer, LogPiece, LogPlace, LogQuestion};
pub use machine::{Decision, Lane, Machine};
pub use moment::Moment;
pub use name::{ApplicationName, ControllerName, HostName, NameError, OperatorName, PairName};
pub use order::{Answer, Assignment, Order, Outcome, PairPlace, Refusal, Work};
pub use process_spec::{EnvironmentFile, ProcessLimits, ProcessSpec};
pub use report::{ApplicationReport, ExitCause, Inventory, LastExit, RoleReport};
pub use rule::Rule;
pub use states::{
    ApplicationStatus, Goal, HostStatus, Interface, ListeningMode, OnCrash, OutputKind, Policy, Readiness,
    Redundancy, RestartPolicy, RunMode, Signal,
};
pub use terms::{Surroundings, Terms, Unsound};
pub use timers::{FlapDamping, Preset, Timers};
pub use topology::{ApplicationSpec, Cluster, FenceSpec, HostSpec, Member, PairSpec, PortSpec};
