//! What is to be guarded, shared by whoever wants it and by the thread that attends to the guard.
//!
//! Knows no processes. The law: everything is written down under the lock before it is sent, and sent under the same lock, so
//! that a guard hears words about one start in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use understudy_model::{ApplicationName, Moment};

use super::{GateError, Grip, GuardError, Left};
use crate::message::{LONGEST_BYTES, Post, Request};
use crate::{MOST_SLOTS, Start, now, socket};

/// Whoever waits at the gate looks again at least so often: the boot clock may have gone on while the machine slept.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Wanted {
    application: ApplicationName,
    slot: u16,
    kill_at: Moment,
    grip: Grip,
    /// This guard has confirmed it.
    confirmed: bool,
}

#[derive(Debug)]
struct Remaining {
    left: Left,
    slot: u16,
}

#[derive(Debug, Default)]
struct Inner {
    /// The connection to the guard, once it has said what it holds.
    connection: Option<Arc<OwnedFd>>,
    up: bool,
    needed: bool,
    looked: bool,
    ended: bool,
    wanted: BTreeMap<Start, Wanted>,
    remaining: BTreeMap<Start, Remaining>,
    /// What is to be guarded and is not made yet; at most [`MOST_SLOTS`].
    coming: BTreeMap<Start, (ApplicationName, Moment)>,
    /// What the guard is killing, and in which slot; that was told.
    dying: BTreeMap<Start, u16>,
    /// The guard took no more: it does not read.
    stuffed: bool,
    /// Where packets are written before they are sent.
    bytes: Vec<u8>,
}

/// See the file.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    looked: Condvar,
    /// Wakes whoever waits at the gate.
    confirmed: Condvar,
    /// Wakes the attendant.
    bell: OwnedFd,
}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let inner = Inner { bytes: Vec::with_capacity(LONGEST_BYTES), ..Inner::default() };
        let (looked, confirmed) = (Condvar::new(), Condvar::new());
        Ok(Self { inner: Mutex::new(inner), looked, confirmed, bell })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is whole before anything can fail.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bell(&self) -> &OwnedFd {
        &self.bell
    }

    fn ring(&self) {
        // It fails only when the count is full, and then it rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Takes all rings of the bell.
    pub(super) fn hush(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }

    // ---- for the agent -------------------------------------------------------------------------------------------------

    pub(super) fn need(&self) {
        self.lock().needed = true;
        self.ring();
    }

    pub(super) fn is_up(&self) -> bool {
        self.lock().up
    }

    pub(super) fn move_to(&self, start: Start, kill_at: Moment) -> bool {
        let mut inner = self.lock();
        if let Some((_, told)) = inner.coming.get_mut(&start) {
            *told = kill_at;
            return true;
        }
        let Some(wanted) = inner.wanted.get_mut(&start) else { return false };
        wanted.kill_at = kill_at;
        let request = Request::Move { post: Post { slot: wanted.slot, start }, kill_at };
        inner.say(&request);
        true
    }

    pub(super) fn arm(
        &self,
        application: ApplicationName,
        start: Start,
        kill_at: Moment,
        grip: Grip,
    ) -> Result<(), GuardError> {
        let mut inner = self.lock();
        inner.arm(application, start, kill_at, grip)?;
        drop(inner);
        // It sees to it that this is confirmed in time.
        self.ring();
        Ok(())
    }

    /// It will be made: when it is killed is remembered until then.
    pub(super) fn expect(
        &self,
        application: ApplicationName,
        start: Start,
        kill_at: Moment,
    ) -> Result<(), GuardError> {
        let mut inner = self.lock();
        if inner.coming.len() >= MOST_SLOTS {
            return Err(GuardError::Full);
        }
        inner.coming.insert(start, (application, kill_at));
        inner.needed = true;
        drop(inner);
        self.ring();
        Ok(())
    }

    /// It is made: it is armed as was said. False if nothing was.
    pub(super) fn arm_coming(&self, start: Start, grip: Grip) -> Result<bool, GuardError> {
        let mut inner = self.lock();
        let Some((application, kill_at)) = inner.coming.remove(&start) else { return Ok(false) };
        inner.arm(application, start, kill_at, grip)?;
        drop(inner);
        self.ring();
        Ok(true)
    }

    /// Waits until the guard that is there has confirmed all of these, none of whose time is over.
    pub(super) fn await_confirmed(&self, starts: &[Start]) -> Result<(), GateError> {
        let mut inner = self.lock();
        loop {
            if inner.ended {
                return Err(GateError::Ended);
            }
            let wanted = starts.iter().map(|start| inner.wanted.get(start)).collect::<Option<Vec<_>>>();
            let wanted = wanted.ok_or(GateError::NotWanted)?;
            let first = wanted.iter().map(|wanted| wanted.kill_at).min().unwrap_or_default();
            let left = first.since(now());
            if left.is_zero() {
                return Err(GateError::Over);
            }
            if wanted.iter().all(|wanted| wanted.confirmed) {
                return Ok(());
            }
            let waited = self.confirmed.wait_timeout(inner, left.min(LOOK_AGAIN));
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn replace_grip(&self, start: Start, grip: Grip) {
        let mut inner = self.lock();
        let Some(wanted) = inner.wanted.get_mut(&start) else { return };
        (wanted.grip, wanted.confirmed) = (grip, false);
        inner.say_arm(start);
        drop(inner);
        self.ring();
    }

    pub(super) fn release(&self, start: Start) {
        let mut inner = self.lock();
        inner.coming.remove(&start);
        let wanted = inner.wanted.remove(&start).map(|wanted| wanted.slot);
        let slot = wanted.or_else(|| inner.remaining.remove(&start).map(|remaining| remaining.slot));
        if let Some(slot) = slot {
            inner.say(&Request::Disarm { post: Post { slot, start } });
        }
        drop(inner);
        self.confirmed.notify_all();
    }

    pub(super) fn kill_at(&self, start: Start) -> Option<Moment> {
        self.lock().wanted.get(&start).map(|wanted| wanted.kill_at)
    }

    pub(super) fn is_armed(&self, start: Start) -> bool {
        self.lock().wanted.get(&start).is_some_and(|wanted| wanted.confirmed)
    }

    pub(super) fn left(&self) -> Vec<Left> {
        self.lock().remaining.values().map(|remaining| remaining.left.clone()).collect()
    }

    pub(super) fn wait_for_first_look(&self) {
        let waited = self.looked.wait_while(self.lock(), |inner| !inner.looked);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.confirmed.notify_all();
        self.ring();
    }

    // ---- for the attendant ---------------------------------------------------------------------------------------------

    pub(super) fn has_looked(&self) {
        self.lock().looked = true;
        self.looked.notify_all();
    }

    pub(super) fn is_needed(&self) -> bool {
        let inner = self.lock();
        inner.needed || !inner.remaining.is_empty()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// A guard has said what it killed. Whatever else was being killed was so by another guard.
    pub(super) fn meet_fired(&self, fired: &[Post]) {
        self.lock().dying.retain(|start, _| fired.iter().any(|post| post.start == *start));
    }

    /// A start was killed by the guard. False if that was told already.
    pub(super) fn note_fired(&self, post: &Post) -> bool {
        let mut inner = self.lock();
        inner.wanted.remove(&post.start);
        inner.remaining.remove(&post.start);
        let is_news = inner.dying.insert(post.start, post.slot).is_none();
        drop(inner);
        self.confirmed.notify_all();
        is_news
    }

    /// A guard has said what it holds. Everything that is wanted is armed there; what nobody wants is kept as left.
    pub(super) fn meet(&self, connection: Arc<OwnedFd>, held: Vec<(u16, Left)>) {
        let mut inner = self.lock();
        inner.connection = Some(connection);
        inner.remaining.clear();
        let held_slots = held.iter().map(|(slot, left)| (*slot, left.start));
        let dying = inner.dying.iter().map(|(start, slot)| (*slot, *start));
        let taken: BTreeMap<u16, Start> = held_slots.chain(dying).collect();
        for (slot, left) in held {
            match inner.wanted.get_mut(&left.start) {
                Some(wanted) => wanted.slot = slot,
                None => {
                    inner.remaining.insert(left.start, Remaining { left, slot });
                }
            }
        }
        let starts: Vec<Start> = inner.wanted.keys().copied().collect();
        for start in starts {
            let clashes = |wanted: &Wanted| taken.get(&wanted.slot).is_some_and(|other| *other != start);
            if inner.wanted.get(&start).is_some_and(clashes)
                && let Some(free) = inner.free_slot()
                && let Some(wanted) = inner.wanted.get_mut(&start)
            {
                wanted.slot = free;
            }
            if let Some(wanted) = inner.wanted.get_mut(&start) {
                wanted.confirmed = false;
            }
            inner.say_arm(start);
        }
    }

    /// The guard is gone, or is of no use. What it held for earlier lives is lost with it. True if it did not read.
    pub(super) fn part(&self) -> bool {
        let mut inner = self.lock();
        (inner.connection, inner.up) = (None, false);
        inner.remaining.clear();
        inner.wanted.values_mut().for_each(|wanted| wanted.confirmed = false);
        std::mem::take(&mut inner.stuffed)
    }

    /// The guard has armed a start.
    pub(super) fn confirm(&self, start: Start) {
        if let Some(wanted) = self.lock().wanted.get_mut(&start) {
            wanted.confirmed = true;
        }
        self.confirmed.notify_all();
    }

    /// Something is to be guarded.
    pub(super) fn guards_any(&self) -> bool {
        !self.lock().wanted.is_empty()
    }

    /// Everything that is wanted is confirmed.
    pub(super) fn is_confirmed(&self) -> bool {
        self.lock().wanted.values().all(|wanted| wanted.confirmed)
    }

    /// Whether the guard is up; true if that is news.
    pub(super) fn set_up(&self, up: bool) -> bool {
        let mut inner = self.lock();
        std::mem::replace(&mut inner.up, up) != up
    }

    /// Nothing is left of a start that the guard killed; it may forget it.
    pub(super) fn forget(&self, post: &Post) {
        let mut inner = self.lock();
        inner.dying.remove(&post.start);
        inner.say(&Request::Disarm { post: post.clone() });
    }

    /// Says something that is about no start.
    pub(super) fn say(&self, connection: &OwnedFd, request: &Request) -> io::Result<()> {
        let mut inner = self.lock();
        request.write(&mut inner.bytes);
        socket::send(connection, &inner.bytes, None)
    }
}

impl Inner {
    fn arm(
        &mut self,
        application: ApplicationName,
        start: Start,
        kill_at: Moment,
        grip: Grip,
    ) -> Result<(), GuardError> {
        if self.dying.contains_key(&start) {
            // It is being killed, and nothing undoes that.
            return Ok(());
        }
        let slot = match self.remaining.get(&start) {
            Some(remaining) => remaining.slot,
            None => self.free_slot().ok_or(GuardError::Full)?,
        };
        self.remaining.remove(&start);
        self.needed = true;
        self.wanted.insert(start, Wanted { application, slot, kill_at, grip, confirmed: false });
        self.say_arm(start);
        Ok(())
    }

    fn free_slot(&self) -> Option<u16> {
        let wanted = self.wanted.values().map(|wanted| wanted.slot);
        let remaining = self.remaining.values().map(|remaining| remaining.slot);
        let taken: BTreeSet<u16> = wanted.chain(remaining).chain(self.dying.values().copied()).collect();
        (0..MOST_SLOTS as u16).find(|slot| !taken.contains(slot))
    }

    fn say_arm(&mut self, start: Start) {
        let Some(wanted) = self.wanted.get(&start) else { return };
        let Some(connection) = self.connection.clone() else { return };
        let request = Request::Arm {
            post: Post { slot: wanted.slot, start },
            kill_at: wanted.kill_at,
            application: wanted.application.clone(),
            group: wanted.grip.group.clone(),
        };
        request.write(&mut self.bytes);
        let sent = socket::send(&*connection, &self.bytes, Some(wanted.grip.process.as_fd()));
        self.look_at(&connection, &sent);
    }

    fn say(&mut self, request: &Request) {
        let Some(connection) = self.connection.clone() else { return };
        request.write(&mut self.bytes);
        let sent = socket::send(&*connection, &self.bytes, None);
        self.look_at(&connection, &sent);
    }

    /// A guard that takes no more is gone or hangs: the connection is ended, which wakes the attendant.
    fn look_at(&mut self, connection: &OwnedFd, sent: &io::Result<()>) {
        if let Err(error) = sent {
            self.stuffed = error.kind() == io::ErrorKind::WouldBlock;
            self.connection = None;
            // It fails only where the other end is closed already.
            let _ = rustix::net::shutdown(connection, rustix::net::Shutdown::Both);
        }
    }
}
