//! Hooks: commands run for an application, each a tree of its own, with the end of what it printed.
//!
//! Refuses to know what a hook is for and how long it may take; its machine says when it is late. The law: for every
//! `RunHook` there is one `HookEnded`, and then nothing of it lives; what it prints never fills a disk or a memory.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use understudy_decide::agent::{AgentSaw, HookAct, HookKind, HookRun, Spawn, StartId};
use understudy_guard::guards::Gate;
use understudy_model::{ApplicationName, ExitCause, Signal};

use super::{KILL_AGAIN, Processes, STACK_BYTES};
use crate::output::Tail;
use crate::platform::{Launch, Platform, TreeEnd};
use crate::secrets::Secrets;
use crate::starts::StartNote;

/// What is read at a time.
const READ_BYTES: usize = 16 * 1024;

/// One hook.
enum Running<T> {
    /// Its process is being made; to be killed as soon as it runs.
    Beginning { kill: bool },
    /// It runs.
    Runs(Arc<T>),
    /// Left by an earlier life of the agent.
    Left(Arc<T>),
}

/// All hooks of this agent; one at a time for each application, so their number is bounded by what is assigned.
pub(super) struct Hooks<T>(Mutex<BTreeMap<StartId, Running<T>>>);

impl<T> Default for Hooks<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Hooks<T> {
    fn all(&self) -> MutexGuard<'_, BTreeMap<StartId, Running<T>>> {
        // Every change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is being made, and is to be killed as soon as it runs.
    pub(super) fn is_to_be_killed(&self, hook: StartId) -> bool {
        matches!(self.all().get(&hook), Some(Running::Beginning { kill: true }))
    }

    /// What lives of a hook.
    pub(super) fn tree(&self, hook: StartId) -> Option<Arc<T>> {
        match self.all().get(&hook)? {
            Running::Runs(tree) | Running::Left(tree) => Some(Arc::clone(tree)),
            Running::Beginning { .. } => None,
        }
    }

    /// Something of a hook that an earlier life ran.
    pub(super) fn insert_left(&self, hook: StartId, tree: Arc<T>) {
        self.all().insert(hook, Running::Left(tree));
    }
}

/// How a hook ended, and the end of what it printed.
#[derive(Default)]
struct HookEnd {
    failed: Option<String>,
    said: String,
}

impl<P: Platform> Processes<P> {
    /// Begins a hook. Its end is observed. One that is to be held waits at the gate.
    pub fn run_hook(self: &Arc<Self>, run: HookRun, gate: Gate) {
        match run.kind {
            HookKind::Promote => self.note_role(&run, |note| note.half = Some(run.epoch)),
            // From here on it is not known to be primary, whatever becomes of the hook or of this agent; nor a backup.
            HookKind::Demote => self.note_role(&run, |note| (note.acts, note.half) = (None, Some(run.epoch))),
            _ => {}
        }
        match &run.act {
            HookAct::Note => self.told(&run, None),
            HookAct::Signal(signal) if !run.held => {
                let failed = self.send(&run, *signal).err();
                self.told(&run, failed);
            }
            HookAct::Signal(_) | HookAct::Command(_) => {
                self.hooks.all().insert(run.hook, Running::Beginning { kill: false });
                let (application, hook) = (run.application.clone(), run.hook);
                let this = Arc::clone(self);
                let thread = std::thread::Builder::new().name("hook".to_owned()).stack_size(STACK_BYTES);
                if let Err(error) = thread.spawn(move || this.hook_thread(&run, &gate)) {
                    self.hooks.all().remove(&hook);
                    let failed = Some(format!("cannot make a thread for it: {error}"));
                    self.observe(AgentSaw::HookEnded { application, hook, failed, said: String::new() });
                }
            }
        }
    }

    fn send(&self, run: &HookRun, signal: Signal) -> Result<(), String> {
        // A promotion may follow the news of the start before that is in the table.
        let tree = self.tree(run.start).ok_or_else(|| "its process is gone".to_owned())?;
        self.platform.signal(&tree, signal).map_err(|error| format!("cannot send {signal}: {error}"))
    }

    /// What needs no process is done at once.
    fn told(&self, run: &HookRun, failed: Option<String>) {
        self.note_end(run, failed.is_none());
        let (application, hook) = (run.application.clone(), run.hook);
        self.observe(AgentSaw::HookEnded { application, hook, failed, said: String::new() });
    }

    fn hook_thread(self: Arc<Self>, run: &HookRun, gate: &Gate) {
        let ended = match &run.act {
            HookAct::Command(command) => self.try_hook(run, command, gate),
            HookAct::Signal(signal) => {
                let sent = self.let_signal_go(run, gate).and_then(|()| self.send(run, *signal));
                sent.map(|()| HookEnd::default())
            }
            HookAct::Note => Ok(HookEnd::default()),
        };
        let HookEnd { failed, said } =
            ended.unwrap_or_else(|why| HookEnd { failed: Some(why), said: String::new() });
        self.hooks.all().remove(&run.hook);
        // Before it is said: the next life must know it, or will undo what was believed.
        self.note_end(run, failed.is_none());
        let (application, hook) = (run.application.clone(), run.hook);
        self.inbox.saw_blocking(AgentSaw::HookEnded { application, hook, failed, said });
    }

    fn try_hook(self: &Arc<Self>, run: &HookRun, command: &[String], gate: &Gate) -> Result<HookEnd, String> {
        let launch = self.hook_launch(run, command)?;
        let no_pipe = |error: rustix::io::Errno| format!("cannot make a pipe for its output: {error}");
        let (output, writes) = pipe_with(PipeFlags::CLOEXEC).map_err(no_pipe)?;
        let (wakes, waker) = pipe_with(PipeFlags::CLOEXEC).map_err(no_pipe)?;
        let launched = match run.held {
            true => {
                let let_go = |grip| self.let_hook_go(run, gate, grip);
                self.platform.launch_held(&launch, Some(writes.as_fd()), &let_go)
            }
            false => self.platform.launch_hook(&launch, writes.as_fd()),
        };
        let tree = Arc::new(launched.map_err(|error| error.to_string())?);
        drop(writes);
        let former = self.hooks.all().insert(run.hook, Running::Runs(Arc::clone(&tree)));
        if matches!(former, Some(Running::Beginning { kill: true })) {
            self.kill_all(&run.application, &tree);
        }
        if !run.held {
            self.guard_if_wanted(&run.application, run.hook, gate, &tree);
        }
        let (tell, told) = mpsc::channel();
        let (this, watched) = (Arc::clone(self), Arc::clone(&tree));
        self.runtime.spawn(async move {
            let end = this.platform.ended(&watched).await;
            // Its receiver waits for this, or is gone together with the whole agent.
            let _ = tell.send(end);
            drop(waker);
        });
        let mut tail = Tail::default();
        let read = listen(&output, &wakes, &mut tail);
        let end = told.recv().map_err(|_| "the agent ends".to_owned())?;
        // Looked for here: it may take as long as there are processes.
        let end = end.map(|cause| TreeEnd { cause, others_live: self.platform.others_live(&tree) });
        let TreeEnd { cause, others_live } = end.unwrap_or_else(|error| {
            tracing::error!(application = %run.application, %error, "a hook cannot be watched; it is killed");
            TreeEnd { cause: ExitCause::Unknown, others_live: true }
        });
        if others_live {
            tracing::warn!(application = %run.application, hook = run.kind.as_str(),
                "it left processes behind; they are killed");
            self.kill_all(&run.application, &tree);
        }
        self.platform.release(&tree);
        if let Err(error) = read.and_then(|()| drain(&output, &mut tail)) {
            tracing::warn!(application = %run.application, %error, "cannot read what a hook printed");
        }
        let failed = (cause != ExitCause::Code(0)).then(|| cause.to_string());
        let secrets = Secrets::of(&launch.environment, &run.spec.options);
        Ok(HookEnd { failed, said: tail.last_lines(&secrets) })
    }

    fn hook_launch(&self, run: &HookRun, command: &[String]) -> Result<Launch, String> {
        let spawn = Spawn {
            application: run.application.clone(),
            start: run.start,
            spec: run.spec.clone(),
            pair: run.pair.clone(),
            run_mode: run.run_mode,
            epoch: run.epoch,
            restarts: 0,
            held: run.held,
        };
        self.hook_launch_of(run, &spawn, command)
    }

    /// Kills a hook; its own thread observes the end.
    pub(super) fn kill_hook(self: &Arc<Self>, application: &ApplicationName, hook: StartId) {
        let (tree, left) = match self.hooks.all().get_mut(&hook) {
            Some(Running::Beginning { kill }) => {
                *kill = true;
                return;
            }
            Some(Running::Runs(tree)) => (Arc::clone(tree), false),
            Some(Running::Left(tree)) => (Arc::clone(tree), true),
            None => return,
        };
        let (this, application) = (Arc::clone(self), application.clone());
        let name = application.clone();
        let kill = move || {
            this.kill_all(&application, &tree);
            if left {
                this.platform.release(&tree);
                this.hooks.all().remove(&hook);
                let failed = Some("its agent ended while it ran".to_owned());
                this.inbox.saw_blocking(AgentSaw::HookEnded {
                    application,
                    hook,
                    failed,
                    said: String::new(),
                });
            }
        };
        let thread = std::thread::Builder::new().name("kill".to_owned()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(kill) {
            tracing::error!(application = %name, %error, "cannot make a thread to kill a hook; trying again");
            let this = Arc::clone(self);
            self.runtime.spawn(async move {
                tokio::time::sleep(KILL_AGAIN).await;
                this.kill_hook(&name, hook);
            });
        }
    }

    fn kill_all(&self, application: &ApplicationName, tree: &P::Tree) {
        while let Err(error) = self.platform.kill(tree) {
            tracing::error!(%application, %error, "cannot kill all of a hook; trying again");
            std::thread::sleep(KILL_AGAIN);
        }
    }

    fn note_end(&self, run: &HookRun, well: bool) {
        match run.kind {
            HookKind::Promote if well => {
                self.note_role(run, |note| (note.acts, note.half) = (Some(run.epoch), None));
            }
            HookKind::Demote if well => self.note_role(run, |note| note.half = None),
            _ => {}
        }
    }

    /// Notes for the next life of the agent in which epoch a start is primary, or may be.
    fn note_role(&self, run: &HookRun, change: impl FnOnce(&mut StartNote)) {
        if let Err(error) = self.starts.change(&run.application, run.start, change) {
            // The next life then undoes a promotion that it cannot know of, which is safe.
            tracing::warn!(application = %run.application, %error, "cannot note the role of a start");
        }
    }
}

/// Reads until the hook has ended or closed its output; afterwards only waits for its end.
fn listen(output: &OwnedFd, wakes: &OwnedFd, tail: &mut Tail) -> io::Result<()> {
    let mut open = true;
    let mut buffer = [0; READ_BYTES];
    loop {
        let mut both = [PollFd::new(wakes, PollFlags::IN), PollFd::new(output, PollFlags::IN)];
        let watched = if open { &mut both[..] } else { &mut both[..1] };
        match poll(watched, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        if !both[0].revents().is_empty() {
            return Ok(());
        }
        if open && !both[1].revents().is_empty() {
            match rustix::io::read(output, &mut buffer) {
                Ok(0) => open = false,
                Ok(read) => tail.push(&buffer[..read]),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Reads what is still there; whoever could write more is dead, or is not of the hook.
fn drain(output: &OwnedFd, tail: &mut Tail) -> io::Result<()> {
    let mut buffer = [0; READ_BYTES];
    // A pipe holds no more than this.
    for _ in 0..64 {
        let mut watched = [PollFd::new(output, PollFlags::IN)];
        if poll(&mut watched, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
            break;
        }
        match rustix::io::read(output, &mut buffer) {
            Ok(0) => break,
            Ok(read) => tail.push(&buffer[..read]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
