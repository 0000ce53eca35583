//! The life of one application on its host, as a table: what an agent does in each phase on each trigger.
//!
//! Guards are worked out before and have names: whether an ended process is started again is in the trigger, not in the
//! table. The law: a goal of "stopped" is never undone by an end of the process (invariant S4).

use crate::table::axis;

axis! {
    /// Where the process of one application is.
    pub enum Phase {
        Stopped => "no process, and none is wanted yet",
        Waiting => "no process; one is started when the restart delay is over",
        Spawning => "a start was ordered and the system has not answered",
        Initializing => "the process runs and is not ready yet",
        Started => "the process runs and is ready",
        Unavailable => "the process runs and cannot serve",
        Yielding => "it is to be stopped, and gives its role up first",
        Suspending => "it is to be stopped, and finishes what it has",
        Stopping => "it was sent a signal, and must end within its time",
        Lingering => "the main process ended; the rest of its tree is being killed",
    }
}

axis! {
    /// What happens to one application.
    pub enum Trigger {
        Wanted => "it should run",
        StopActing => "it should not run, or be restarted, and may act as primary",
        StopGracefully => "it should not run, or be restarted, does not act, and is to finish what it has",
        StopFirmly => "it should not run, or be restarted, and does not act",
        Spawned => "the system started the process",
        Ready => "it said that it can serve, or runs and needs not say so",
        NotReady => "it said that it cannot serve, or its link was gone for too long",
        SuspendedSaid => "it said that it has finished what it had",
        OthersLive => "the main process ended, others of its tree live",
        GoneStartNow => "no process is left (or none could be started), and it is started again at once",
        GoneStartLater => "no process is left (or none could be started), and it is started again after a delay",
        GoneForGood => "no process is left (or none could be started), and none is wanted or allowed",
        Deadline => "the time of this phase is over",
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Nothing: it is so already, or will be looked at when the present phase ends.
    Stay,
    /// Nothing: it cannot be true any more, or not yet.
    Ignore,
    /// Start the process.
    Start,
    /// Wait for the restart delay.
    Delay,
    /// There is no process and none is wanted.
    Rest,
    /// The process runs; it has until its startup timeout to be ready.
    Initialize,
    /// It is ready.
    BecomeStarted,
    /// It cannot serve.
    BecomeUnavailable,
    /// Tell it to be a backup before it is stopped.
    Yield,
    /// Tell it to finish what it has.
    Suspend,
    /// Send it its stop signal.
    Terminate,
    /// Kill the whole tree.
    Kill,
    /// Kill what the main process left behind.
    Linger,
}

/// The table.
pub fn next(phase: Phase, trigger: Trigger) -> Move {
    use {Move as M, Phase as P, Trigger as T};
    match (phase, trigger) {
        // It should run.
        (P::Stopped, T::Wanted) => M::Start,
        (P::Waiting | P::Spawning | P::Initializing | P::Started | P::Unavailable, T::Wanted) => M::Stay,
        // Already on its way down: what follows is decided when the tree is gone.
        (P::Yielding | P::Suspending | P::Stopping | P::Lingering, T::Wanted) => M::Stay,

        // It should not run, or be restarted. A process that does not exist needs no stop.
        (P::Stopped | P::Waiting, T::StopActing | T::StopGracefully | T::StopFirmly) => M::Rest,
        // The system's answer is near, and only then is there something to stop.
        (P::Spawning, T::StopActing | T::StopGracefully | T::StopFirmly) => M::Stay,
        (P::Initializing | P::Started | P::Unavailable, T::StopActing) => M::Yield,
        (P::Started | P::Unavailable, T::StopGracefully) => M::Suspend,
        (P::Initializing, T::StopGracefully) => M::Terminate,
        (P::Initializing | P::Started | P::Unavailable, T::StopFirmly) => M::Terminate,
        (P::Yielding, T::StopActing) => M::Stay,
        (P::Yielding, T::StopGracefully) => M::Suspend,
        (P::Yielding, T::StopFirmly) => M::Terminate,
        (P::Suspending, T::StopFirmly) => M::Terminate,
        (P::Suspending, T::StopActing | T::StopGracefully) => M::Stay,
        (P::Stopping | P::Lingering, T::StopActing | T::StopGracefully | T::StopFirmly) => M::Stay,

        // The process runs.
        (P::Spawning, T::Spawned) => M::Initialize,
        (
            P::Stopped
            | P::Waiting
            | P::Initializing
            | P::Started
            | P::Unavailable
            | P::Yielding
            | P::Suspending
            | P::Stopping
            | P::Lingering,
            T::Spawned,
        ) => M::Ignore,
        (P::Initializing | P::Unavailable, T::Ready) => M::BecomeStarted,
        (P::Started, T::Ready) => M::Stay,
        (P::Initializing | P::Started, T::NotReady) => M::BecomeUnavailable,
        (P::Unavailable, T::NotReady) => M::Stay,
        (
            P::Stopped | P::Waiting | P::Spawning | P::Yielding | P::Suspending | P::Stopping | P::Lingering,
            T::Ready | T::NotReady,
        ) => M::Ignore,
        (P::Suspending, T::SuspendedSaid) => M::Terminate,
        (
            P::Stopped
            | P::Waiting
            | P::Spawning
            | P::Initializing
            | P::Started
            | P::Unavailable
            | P::Yielding
            | P::Stopping
            | P::Lingering,
            T::SuspendedSaid,
        ) => M::Ignore,

        // The process ended.
        (
            P::Spawning
            | P::Initializing
            | P::Started
            | P::Unavailable
            | P::Yielding
            | P::Suspending
            | P::Stopping,
            T::OthersLive,
        ) => M::Linger,
        (P::Lingering, T::OthersLive) => M::Stay,
        (P::Stopped | P::Waiting, T::OthersLive) => M::Ignore,
        (
            P::Spawning
            | P::Initializing
            | P::Started
            | P::Unavailable
            | P::Yielding
            | P::Suspending
            | P::Stopping
            | P::Lingering,
            T::GoneStartNow,
        ) => M::Start,
        (
            P::Spawning
            | P::Initializing
            | P::Started
            | P::Unavailable
            | P::Yielding
            | P::Suspending
            | P::Stopping
            | P::Lingering,
            T::GoneStartLater,
        ) => M::Delay,
        (
            P::Spawning
            | P::Initializing
            | P::Started
            | P::Unavailable
            | P::Yielding
            | P::Suspending
            | P::Stopping
            | P::Lingering,
            T::GoneForGood,
        ) => M::Rest,
        (P::Stopped | P::Waiting, T::GoneStartNow | T::GoneStartLater | T::GoneForGood) => M::Ignore,

        // The time of a phase is over.
        (P::Waiting, T::Deadline) => M::Start,
        (P::Initializing, T::Deadline) => M::Kill,
        (P::Suspending, T::Deadline) => M::Terminate,
        (P::Stopping, T::Deadline) => M::Kill,
        // How long a member may take to yield is the role's own time.
        (P::Yielding, T::Deadline) => M::Stay,
        (P::Stopped | P::Spawning | P::Started | P::Unavailable | P::Lingering, T::Deadline) => M::Stay,
    }
}
