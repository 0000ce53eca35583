//! The thread that attends to the guard: finds or starts one, arms everything, hears what it says, and begins again.
//!
//! Refuses to know what is guarded. The laws: a guard that does not answer in time is killed before another is started, as
//! there is one for a directory; one that died is replaced at once; failing again and again is slowed down, and told once.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use understudy_model::Moment;

use super::patience::{Patience, Wait};
use super::table::Shared;
use super::{Ground, GuardEvent, GuardPlace, Left};
use crate::message::{Answer, LONGEST_BYTES, Request};
use crate::socket::{self, Arrived};
use crate::watch::{Rank, hurry};
use crate::{SOCKET, now};

/// A guard has this long for each answer. One that takes longer hangs, or is stopped.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A guard that guards something is asked so often whether it lives. What it is told has no answer, and a stopped one takes a
/// few minutes of that before its socket is full.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// And has this long to say so: on a machine that stalls it is no use to replace it.
const LIVES_WITHIN: Duration = Duration::from_secs(5);
/// Before the second attempt; the first one follows at once. Twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// And at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a guard that was killed may take to end.
const END_WITHIN: Duration = Duration::from_secs(1);
/// How long one that has hung up is waited for: one that ends by itself closes its sockets a moment before.
const GONE_WITHIN: Duration = Duration::from_millis(20);
/// One that stood ready for as long as this is replaced at once.
const PROVED_AFTER: Duration = Duration::from_secs(1);

/// A guard that is connected.
struct Met {
    connection: Arc<OwnedFd>,
    /// Its descriptor, to end it if it hangs.
    process: Option<OwnedFd>,
}

/// Why a guard is left.
enum Parting {
    /// The agent ends.
    Ended,
    /// It is gone.
    Gone(String),
    /// It does not answer, or answers nonsense: it must not go on.
    Useless(String),
}

impl From<io::Error> for Parting {
    fn from(error: io::Error) -> Self {
        Parting::Gone(error.to_string())
    }
}

/// See the file.
pub(super) struct Attendant {
    shared: Arc<Shared>,
    place: GuardPlace,
    ground: Box<dyn Ground>,
    /// It was told that there is none, and nothing else since.
    told_down: bool,
}

impl Attendant {
    pub(super) fn new(shared: Arc<Shared>, place: GuardPlace, ground: Box<dyn Ground>) -> Self {
        Self { shared, place, ground, told_down: false }
    }

    pub(super) fn attend(mut self) {
        // It judges a guard by its own waits, and agent and guard go before others, too.
        hurry(Rank::Agent);
        let mut pause = Duration::ZERO;
        // One that an earlier life left is met even if nothing is to be guarded yet.
        let mut only_look = true;
        while !self.shared.has_ended() {
            let began = now();
            let proved = match self.meet(only_look) {
                Ok(None) => false,
                Ok(Some(met)) => {
                    let Err(parting) = self.converse(&met);
                    let was_up = self.shared.set_up(false);
                    let did_not_read = self.shared.part();
                    self.leave(&met, parting, did_not_read);
                    was_up && now().since(began) >= PROVED_AFTER
                }
                Err(error) => {
                    let program = self.place.program.display();
                    self.tell_down(format!("cannot start {program}: {error}"));
                    false
                }
            };
            self.shared.has_looked();
            // What nobody needs is not started; and what was up a moment ago is replaced at once.
            pause = match proved || only_look {
                true => Duration::ZERO,
                false => (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
            };
            only_look = false;
            self.wait_for_need(pause);
        }
    }

    /// Waits until a guard is needed, and for as long as `pause` says.
    fn wait_for_need(&self, pause: Duration) {
        let until = now() + pause;
        while !(self.shared.has_ended() || self.shared.is_needed() && now() >= until) {
            let limit = self.shared.is_needed().then_some(until);
            let mut waiting = [PollFd::new(self.shared.bell(), PollFlags::IN)];
            if socket::wait(&mut waiting, limit).is_err() {
                // Nothing can be waited for; this keeps the thread from spinning.
                std::thread::sleep(LONGEST_PAUSE);
            }
            self.shared.hush();
        }
    }

    /// Connects to a guard that lives, or starts one.
    fn meet(&self, only_look: bool) -> io::Result<Option<Met>> {
        match socket::connect(&self.place.directory.join(SOCKET)) {
            Ok(connection) => {
                let pid = socket::peer(&connection)?;
                self.ground.met(pid);
                Ok(Some(Met::new(connection, pid)))
            }
            Err(error) if is_nobody(&error) && only_look => Ok(None),
            Err(error) if is_nobody(&error) => self.begin().map(Some),
            Err(error) => Err(error),
        }
    }

    fn begin(&self) -> io::Result<Met> {
        let (ours, its) = socket::pair()?;
        let mut command = Command::new(&self.place.program);
        command.arg("--directory").arg(&self.place.directory);
        if let Some(group) = &self.place.group {
            command.arg("--group").arg(group);
        }
        // Nothing of ours is in its environment: not the notify socket, and no mark.
        command.env_clear().stdin(its).stdout(Stdio::null());
        let pid = self.ground.start(&mut command)?;
        // The other end is the guard's alone: with it, its end would not be heard.
        drop(command);
        Ok(Met::new(ours, pid))
    }

    /// From the first word to the last.
    fn converse(&mut self, met: &Met) -> Result<Infallible, Parting> {
        let connection = &met.connection;
        let up = self.introduce(connection)?;
        // What waits to be confirmed, whether it lives, and when it is asked that next.
        let (mut unconfirmed, mut asked) = (Patience::new(ANSWER_WITHIN), Patience::new(LIVES_WITHIN));
        let mut ask_at = now() + ASK_EVERY;
        loop {
            if self.shared.is_confirmed() {
                unconfirmed.end();
                if self.shared.set_up(true) {
                    self.told_down = false;
                    self.ground.tell(up.clone());
                }
            } else {
                unconfirmed.begin(now());
            }
            let guards = self.shared.guards_any();
            if guards && !asked.waits() && ask_at <= now() {
                self.shared.say(connection, &Request::Hello)?;
                asked.begin(now());
                ask_at = now() + ASK_EVERY;
            }
            let ask_next = (guards && !asked.waits()).then_some(ask_at);
            let until = [unconfirmed.until(), asked.until(), ask_next].into_iter().flatten().min();
            let mut waiting =
                [PollFd::new(connection, PollFlags::IN), PollFd::new(self.shared.bell(), PollFlags::IN)];
            let wait = wait(&mut waiting, until)?;
            // First the bell, then what it may have been rung for.
            self.shared.hush();
            if self.shared.has_ended() {
                return Err(Parting::Ended);
            }
            while let Some(answer) = next(connection)? {
                if matches!(answer, Answer::Welcome { .. }) {
                    asked.end();
                }
                self.take(answer)?;
            }
            if self.shared.is_confirmed() {
                unconfirmed.end();
            }
            // Only now: what was said in time may have lain there while this thread, or all of its machine, stood still.
            if unconfirmed.is_over(wait) {
                return Err(Parting::Useless("the guard has not confirmed what it is to guard".to_owned()));
            }
            if asked.is_over(wait) {
                return Err(Parting::Useless("the guard does not answer".to_owned()));
            }
        }
    }

    /// Says hello, hears what the guard holds and has killed, and arms what is wanted. What is to be told when all is confirmed.
    fn introduce(&self, connection: &Arc<OwnedFd>) -> Result<GuardEvent, Parting> {
        self.shared.say(connection, &Request::Hello)?;
        let (pid, locked, hurried) = match self.answer(connection, "to a hello")? {
            Answer::Welcome { pid, locked, hurried } => (pid, locked, hurried),
            other => return Err(Parting::Useless(format!("the guard answered a hello with {other:?}"))),
        };
        self.shared.say(connection, &Request::List)?;
        let (mut held, mut fired, mut posts) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            match self.answer(connection, "with a list")? {
                Answer::Armed { post, kill_at, application } => {
                    held.push((post.slot, Left { application, start: post.start, kill_at }));
                }
                Answer::Fired { post, kill_at, at, gone_at, application } => {
                    posts.push(post.clone());
                    fired.push(Answer::Fired { post, kill_at, at, gone_at, application });
                }
                Answer::End => break,
                other => return Err(Parting::Useless(format!("the guard's list has {other:?}"))),
            }
        }
        // First what is not to be armed again.
        self.shared.meet_fired(&posts);
        let news: Vec<bool> = posts.iter().map(|post| self.shared.note_fired(post)).collect();
        self.shared.meet(Arc::clone(connection), held);
        self.shared.has_looked();
        for (answer, is_news) in fired.into_iter().zip(news) {
            self.hear_fired(answer, is_news);
        }
        Ok(GuardEvent::Up { pid, locked, hurried })
    }

    /// What a guard says while it keeps watch.
    fn take(&self, answer: Answer) -> Result<(), Parting> {
        match answer {
            Answer::Armed { post, .. } => self.shared.confirm(post.start),
            Answer::Fired { ref post, .. } => {
                let is_news = self.shared.note_fired(post);
                self.hear_fired(answer, is_news);
            }
            Answer::Refused { post, why } => {
                return Err(Parting::Useless(format!("the guard refuses start {}: {why}", post.start)));
            }
            Answer::Welcome { .. } | Answer::End => {}
        }
        Ok(())
    }

    fn hear_fired(&self, answer: Answer, is_news: bool) {
        let Answer::Fired { post, kill_at, at, gone_at, application } = answer else { return };
        if gone_at.is_some() {
            self.shared.forget(&post);
        }
        if is_news {
            self.ground.tell(GuardEvent::Fired { application, start: post.start, kill_at, at });
        }
    }

    /// The next answer, waited for.
    fn answer(&self, connection: &OwnedFd, to_what: &str) -> Result<Answer, Parting> {
        let mut patience = Patience::new(ANSWER_WITHIN);
        patience.begin(now());
        let mut waited = None;
        loop {
            if let Some(answer) = next(connection)? {
                return Ok(answer);
            }
            if waited.is_some_and(|waited| patience.is_over(waited)) {
                return Err(Parting::Useless(format!("the guard does not answer {to_what}")));
            }
            if self.shared.has_ended() {
                return Err(Parting::Ended);
            }
            let mut waiting = [PollFd::new(connection, PollFlags::IN)];
            waited = Some(wait(&mut waiting, patience.until())?);
        }
    }

    fn leave(&mut self, met: &Met, parting: Parting, did_not_read: bool) {
        let (why, kill) = match parting {
            Parting::Ended => return,
            Parting::Gone(_) if did_not_read => ("the guard does not read what it is told".to_owned(), true),
            Parting::Gone(why) => (why, false),
            Parting::Useless(why) => (why, true),
        };
        // Told first: whoever asks for renewals must know at once.
        self.tell_down(why);
        met.end(kill);
    }

    fn tell_down(&mut self, why: String) {
        if !std::mem::replace(&mut self.told_down, true) {
            self.ground.tell(GuardEvent::Down { why });
        }
    }
}

impl Met {
    fn new(connection: OwnedFd, pid: u32) -> Self {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = number.and_then(|number| rustix::process::pidfd_open(number, PidfdFlags::empty()).ok());
        // Its end of the connection was open when the descriptor was: so the number was its own.
        let process = process.filter(|_| !is_hung_up(&connection));
        Self { connection: Arc::new(connection), process }
    }

    /// Waits for its end, after killing it if it must not go on: until then its lock would keep the next one out. One that has
    /// only hung up, and lives on, is met again.
    fn end(&self, kill: bool) {
        let Some(process) = &self.process else { return };
        if kill {
            // One that is gone is no error.
            let _ = rustix::process::pidfd_send_signal(process, Signal::KILL);
        }
        let limit = now() + if kill { END_WITHIN } else { GONE_WITHIN };
        while !socket::is_readable(process) && now() < limit {
            let mut waiting = [PollFd::new(process, PollFlags::IN)];
            if socket::wait(&mut waiting, Some(limit)).is_err() {
                return;
            }
        }
        // Only a child of ours can be waited for, and somebody else of this process may have done so.
        let _ = rustix::process::waitid(
            WaitId::PidFd(process.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        );
    }
}

/// Waits, and says how that went.
fn wait(waiting: &mut [PollFd<'_>], until: Option<Moment>) -> io::Result<Wait> {
    let began = now();
    socket::wait(waiting, until)?;
    Ok(Wait { began, until, ended: now() })
}

/// What is there to be heard, if anything.
fn next(connection: &OwnedFd) -> Result<Option<Answer>, Parting> {
    let mut bytes = [0; LONGEST_BYTES];
    match socket::receive(connection, &mut bytes)? {
        Arrived::Nothing => Ok(None),
        Arrived::End => Err(Parting::Gone("the guard ended".to_owned())),
        Arrived::Garbage => Err(Parting::Useless("the guard sent what no guard sends".to_owned())),
        Arrived::Packet(packet) => match Answer::read(&bytes[..packet.length]) {
            Some(answer) => Ok(Some(answer)),
            None => Err(Parting::Useless("the guard sent what no guard of this version sends".to_owned())),
        },
    }
}

fn is_hung_up(connection: &OwnedFd) -> bool {
    let mut waiting = [PollFd::new(connection, PollFlags::empty())];
    let zero = Some(Moment(0));
    socket::wait(&mut waiting, zero).is_ok() && waiting[0].revents().contains(PollFlags::HUP)
}

/// Nobody listens there.
fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
