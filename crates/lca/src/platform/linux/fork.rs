//! The room in which a new process is made: `clone3` into a control group, and the few calls between that and `exec`.
//!
//! Refuses to know applications, paths and errors for people. The law: between `clone3` and `execve` the child makes
//! only calls that are safe after a fork of a program with threads: no allocation, no lock, no panic.
//!
//! The standard library's `Command` is not used: it cannot place the child in a control group while making it, and
//! moving a process later waits for every processor (about 6 ms measured, twice the time a whole restart may take).
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_char, c_int};

/// What the child becomes. Everything is allocated before the child exists.
pub struct Child<'a> {
    /// File to run.
    pub program: &'a CStr,
    /// Its arguments, the first one included.
    pub arguments: &'a [CString],
    /// `NAME=value`.
    pub environment: &'a [CString],
    /// Where it begins.
    pub directory: &'a CStr,
    /// It begins in `/` if it may not enter `directory`.
    pub may_begin_outside: bool,
    /// Becomes its descriptor 0.
    pub input: BorrowedFd<'a>,
    /// Becomes its descriptors 1 and 2.
    pub output: BorrowedFd<'a>,
    /// Under which conditions it runs.
    pub conditions: &'a Conditions,
    /// The control group it is born in.
    pub control_group: Option<BorrowedFd<'a>>,
}

/// What the child sets before it becomes the program.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// Mode bits that new files lack.
    pub umask: libc::mode_t,
    /// Each limit in order.
    pub limits: Vec<Limit>,
    /// Priority.
    pub nice: Asked<c_int>,
    /// What is written to the kernel's file of that name.
    pub oom_score_adjust: Asked<CString>,
    /// Whose rights it gets; absent: those of this process.
    pub rights: Option<Rights>,
}

/// A value, and whether its failing is an error: what nobody asked for is set as far as the system lets it be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<T> {
    /// The value.
    pub value: T,
    /// Somebody asked for it.
    pub asked: bool,
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of what: the system's own number, below 64.
    pub resource: u8,
    /// Soft and hard.
    pub value: Asked<(u64, u64)>,
    /// What is set if nobody asked for that and the system refuses it.
    pub otherwise: (u64, u64),
}

/// A user and groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// Born in the control group whose directory is named.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Asked when a process is made and waits: whether it may become its program, and if not, why not.
pub type MayGoOn<'a> = &'a dyn Fn(&OwnedFd) -> Result<(), String>;

/// Which step of a child failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Own session.
    Session,
    /// Signals, descriptors.
    Descriptors,
    /// Working directory.
    Directory,
    /// The program itself.
    Execute,
    /// Priority.
    Priority,
    /// How readily it is killed when memory runs out.
    OomScore,
    /// Further groups.
    Groups,
    /// Its group.
    Group,
    /// Its user.
    User,
    /// To wait, and to let go of what it need not have for that.
    Wait,
    /// The limit with that number.
    Limit(u8),
}

/// What lets a child go on that waits.
const GO_ON: u8 = 1;
/// The byte that stands for limit 0; those of the other steps are below.
const FIRST_LIMIT: u8 = 64;

impl Step {
    fn from_byte(byte: u8) -> Step {
        match byte {
            1 => Step::Session,
            2 => Step::Descriptors,
            3 => Step::Directory,
            5 => Step::Priority,
            6 => Step::OomScore,
            7 => Step::Groups,
            8 => Step::Group,
            9 => Step::User,
            10 => Step::Wait,
            limit @ FIRST_LIMIT.. => Step::Limit(limit - FIRST_LIMIT),
            _ => Step::Execute,
        }
    }
}

/// Why there is no child that runs the program.
#[derive(Debug)]
pub enum ForkError {
    /// No process was made.
    Fork(io::Error),
    /// One was made, and ended before it ran the program.
    Child(Step, io::Error),
    /// One was made, and was not let go on.
    Held(String),
}

/// Makes a process and returns when it runs the program: its number and a descriptor for it.
///
/// With `may_go_on` the child waits right after it was made, until that has said yes and one byte has come through a pipe. If
/// it says no, or if this program ends first, the child reads the end of the pipe and ends: nothing of the program has run.
pub fn fork(child: &Child<'_>, may_go_on: Option<MayGoOn<'_>>) -> Result<(u32, OwnedFd), ForkError> {
    let arguments = pointers(child.arguments);
    let environment = pointers(child.environment);
    let (told, tells) = pipe()?;
    let leave = may_go_on.map(|may| pipe().map(|(reads, writes)| (may, reads, writes))).transpose()?;
    let awaits = leave.as_ref().map(|(_, reads, _)| reads.as_raw_fd());
    let (pid, pidfd) = {
        let _blocked = Blocked::all_signals().map_err(ForkError::Fork)?;
        match clone(child.control_group).map_err(ForkError::Fork)? {
            // SAFETY: this is the child; all pointers live as long as `child` and the two vectors above.
            None => unsafe { become_program(child, &arguments, &environment, tells.as_raw_fd(), awaits) },
            Some(made) => made,
        }
    };
    drop(tells);
    if let Some((may_go_on, reads, writes)) = leave {
        drop(reads);
        if let Err(why) = may_go_on(&pidfd) {
            drop(writes);
            // It ends by itself, unless somebody has stopped it.
            let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
            wait_for_end(&pidfd);
            return Err(ForkError::Held(why));
        }
        // One that has ended reads it no more: why is in its report, or observed as the end of any other process.
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&writes, &[GO_ON]));
    }
    let mut report = [0_u8; 5];
    let read = loop {
        match rustix::io::read(&told, &mut report) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other.map_err(|source| ForkError::Fork(source.into()))?,
        }
    };
    if read == 0 {
        return Ok((pid, pidfd));
    }
    wait_for_end(&pidfd);
    let number = i32::from_le_bytes([report[1], report[2], report[3], report[4]]);
    Err(ForkError::Child(Step::from_byte(report[0]), io::Error::from_raw_os_error(number)))
}

fn pipe() -> Result<(OwnedFd, OwnedFd), ForkError> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    pipe.map_err(|source| ForkError::Fork(source.into()))
}

/// For a child that ends by itself. Nobody else waits for it, as it was never known to anybody.
fn wait_for_end(pidfd: &OwnedFd) {
    let _ = rustix::process::waitid(
        rustix::process::WaitId::PidFd(rustix::fd::AsFd::as_fd(pidfd)),
        rustix::process::WaitIdOptions::EXITED,
    );
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// All signals are kept from this thread, and so from the child, until it is dropped: a handler of this program must
/// never run in the child.
struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    fn all_signals() -> io::Result<Self> {
        // SAFETY: both sets are local and written by the calls before they are read.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) {
                0 => Ok(Self { before }),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: `before` was written by the kernel; setting a mask that was in force cannot fail.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}

/// Makes a copy of this process; `None` is the answer in the copy.
fn clone(control_group: Option<BorrowedFd<'_>>) -> io::Result<Option<(u32, OwnedFd)>> {
    let mut pidfd: c_int = -1;
    // SAFETY: the structure is plain numbers; zero is a valid value of each.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = libc::CLONE_PIDFD as u64;
    arguments.pidfd = (&raw mut pidfd) as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(group) = control_group {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = group.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is a fork: the child has its own copy of everything, and its own stack.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    match pid {
        0 => Ok(None),
        // SAFETY: the kernel has just stored a new descriptor that nobody else owns.
        pid if pid > 0 => Ok(Some((pid as u32, unsafe { OwnedFd::from_raw_fd(pidfd) }))),
        _ => match io::Error::last_os_error() {
            // Some containers forbid the call; the older one makes the same copy.
            error if error.raw_os_error() == Some(libc::ENOSYS) && control_group.is_none() => plain_fork(),
            error => Err(error),
        },
    }
}

/// Makes a copy without `clone3`.
fn plain_fork() -> io::Result<Option<(u32, OwnedFd)>> {
    // SAFETY: as above; what the child does next is the same.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        return Ok(None);
    }
    let Some(child) = rustix::process::Pid::from_raw(pid).filter(|_| pid > 0) else {
        return Err(io::Error::last_os_error());
    };
    // The number is the child's until we have waited for it.
    let pidfd = rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty())?;
    Ok(Some((child.as_raw_nonzero().get().cast_unsigned(), pidfd)))
}

/// The child's whole life in our code.
///
/// # Safety
/// Only to be called in a child that is a copy of this process; both lists must end with a null pointer.
unsafe fn become_program(
    child: &Child<'_>,
    arguments: &[*const c_char],
    environment: &[*const c_char],
    tells: RawFd,
    awaits: Option<RawFd>,
) -> ! {
    // SAFETY: every call is async-signal-safe; no value that needs dropping is made.
    unsafe {
        if libc::setsid() < 0 {
            fail(tells, 1);
        }
        // Asked of the kernel itself: the C library does not let go of two signals that it keeps for threads. What
        // cannot be changed (KILL, STOP) is default already.
        let default = [0_u64; 4];
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u64>(), 8);
        }
        libc::umask(child.conditions.umask);
        if libc::dup2(child.input.as_raw_fd(), 0) < 0
            || libc::dup2(child.output.as_raw_fd(), 1) < 0
            || libc::dup2(child.output.as_raw_fd(), 2) < 0
        {
            fail(tells, 2);
        }
        // Nothing of the agent is kept open here, as all that follows may take its time: a program that lies on a disk that
        // hangs would hold the locks and the listeners of an agent that is gone, and keep the next one out.
        let closed = close_all_but(awaits.unwrap_or(tells), tells);
        if let Some(awaits) = awaits {
            if !closed {
                fail(tells, 10);
            }
            wait_for_leave(awaits);
        }
        set_conditions(child.conditions, tells);
        if libc::chdir(child.directory.as_ptr()) < 0 {
            let closed = *libc::__errno_location() == libc::EACCES;
            if !(closed && child.may_begin_outside) || libc::chdir(c"/".as_ptr()) < 0 {
                fail(tells, 3);
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        libc::execve(child.program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        fail(tells, 4)
    }
}

/// Lets go of every descriptor but the first three and these two. False where a container forbids the call; then everything
/// is closed when the program begins.
///
/// # Safety
/// Only in the child.
unsafe fn close_all_but(one: RawFd, other: RawFd) -> bool {
    let (low, high) = (one.min(other).cast_unsigned(), one.max(other).cast_unsigned());
    let ranges = [(3, low - 1), (low + 1, high - 1), (high + 1, libc::c_uint::MAX)];
    // SAFETY: system calls without pointers.
    ranges.into_iter().all(|(first, last)| {
        first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0
    })
}

/// Returns when this child may go on, and ends it if it may not. With a copy of the end that the agent writes to, its own or
/// that of another child that waits, nobody would ever see the end of the agent: nothing else is open here any more.
///
/// # Safety
/// Only in the child.
unsafe fn wait_for_leave(awaits: RawFd) {
    // SAFETY: system calls; the only pointer leads to this stack.
    unsafe {
        let mut byte = 0_u8;
        loop {
            match libc::read(awaits, (&raw mut byte).cast(), 1) {
                1 if byte == GO_ON => return,
                -1 if *libc::__errno_location() == libc::EINTR => {}
                _ => libc::_exit(127),
            }
        }
    }
}

/// Priority, limits, and last the rights: what comes before may need those of the agent.
///
/// The C library's own calls to change rights would ask every thread of this program to do the same, and the child has
/// none of them; the kernel's change those of the caller alone.
///
/// # Safety
/// Only in the child.
unsafe fn set_conditions(conditions: &Conditions, tells: RawFd) {
    // SAFETY: every call is async-signal-safe, and every pointer leads to memory of `conditions` or of this stack.
    unsafe {
        // What the agent may have been given to keep its own time is not handed on.
        let usual: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const usual);
        let nice = &conditions.nice;
        if libc::setpriority(libc::PRIO_PROCESS, 0, nice.value) < 0 && nice.asked {
            fail(tells, 5);
        }
        let score = &conditions.oom_score_adjust;
        if !write_oom_score(&score.value) && score.asked {
            fail(tells, 6);
        }
        for limit in &conditions.limits {
            if !set_limit(limit.resource, limit.value.value) {
                if limit.value.asked {
                    fail(tells, FIRST_LIMIT + limit.resource);
                }
                set_limit(limit.resource, limit.otherwise);
            }
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        let Some(rights) = &conditions.rights else { return };
        if libc::syscall(libc::SYS_setgroups, rights.groups.len(), rights.groups.as_ptr()) < 0 {
            fail(tells, 7);
        }
        if libc::syscall(libc::SYS_setresgid, rights.gid, rights.gid, rights.gid) < 0 {
            fail(tells, 8);
        }
        if libc::syscall(libc::SYS_setresuid, rights.uid, rights.uid, rights.uid) < 0 {
            fail(tells, 9);
        }
    }
}

/// Sets a limit of this process.
///
/// # Safety
/// Only in the child.
unsafe fn set_limit(resource: u8, (soft, hard): (u64, u64)) -> bool {
    let value = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let old = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: a system call; the pointer leads to this stack.
    unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::c_uint::from(resource), &raw const value, old) == 0 }
}

/// Writes this process's score.
///
/// # Safety
/// Only in the child.
unsafe fn write_oom_score(score: &CStr) -> bool {
    // SAFETY: opening, writing and closing are async-signal-safe; the length is that of the text.
    unsafe {
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let length = score.count_bytes();
        let written = libc::write(file, score.as_ptr().cast(), length);
        let number = *libc::__errno_location();
        libc::close(file);
        *libc::__errno_location() = number;
        usize::try_from(written) == Ok(length)
    }
}

/// Tells the parent which step failed and ends.
///
/// # Safety
/// Only in the child.
unsafe fn fail(tells: RawFd, step: u8) -> ! {
    // SAFETY: reading errno, writing five bytes of this stack to a pipe, and ending are async-signal-safe.
    unsafe {
        let number = (*libc::__errno_location()).to_le_bytes();
        let report = [step, number[0], number[1], number[2], number[3]];
        libc::write(tells, report.as_ptr().cast(), report.len());
        libc::_exit(127)
    }
}
