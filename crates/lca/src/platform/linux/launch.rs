//! A launch: everything around the fork, with an error that names what is wrong.
//!
//! Refuses to know why something is started. The law: whatever can be checked or made before the fork is, so that
//! the child has only failures left that name themselves.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use understudy_guard::guards::Grip;

use super::bounds::{self, needs_group};
use super::conditions::{conditions, name_of_limit};
use super::control_group::Group;
use super::fork::{Child, ForkError, MayGoOn, Step};
use super::{Linux, Tree, directory, fork, proc};
use crate::platform::{Launch, LaunchError, LetGo, Output};
use crate::{journal, log_file};

/// Makes the process. Takes as long as loading the program takes. Without an `output` it goes where `launch` says. With
/// `let_go` it waits before it becomes its program.
pub fn launch(
    platform: &Linux,
    launch: &Launch,
    output: Option<BorrowedFd<'_>>,
    let_go: Option<LetGo<'_>>,
) -> Result<Tree, LaunchError> {
    directory::make(&launch.directory, &launch.directory_of, launch.own_directory).map_err(|source| {
        LaunchError::MakeDirectory { purpose: "working directory", path: launch.directory.clone(), source }
    })?;
    let opened = if output.is_none() { Some(open_output(&launch.output)?) } else { None };
    let output = output.or(opened.as_ref().map(AsFd::as_fd)).unwrap_or(platform.null.as_fd());
    let program = find_program(launch)?;
    let arguments = zero_ended("an argument", launch.command.iter().cloned())?;
    let mark = (proc::MARK.to_owned(), proc::mark_text(platform.agent, launch.start));
    let variables = launch.environment.iter().chain([&mark]);
    let environment =
        zero_ended("an environment variable", variables.map(|(name, value)| format!("{name}={value}")))?;
    let program_text = path_text("the program", &program)?;
    let directory_text = path_text("the working directory", &launch.directory)?;
    let group = make_group(platform, launch)?;
    let conditions = conditions(&launch.spec, &launch.account);
    let mut child = Child {
        program: &program_text,
        arguments: &arguments,
        environment: &environment,
        directory: &directory_text,
        may_begin_outside: launch.may_begin_outside,
        input: platform.null.as_fd(),
        output,
        conditions: &conditions,
        control_group: group.as_ref().map(|(_, descriptor)| descriptor.as_fd()),
    };
    let held = group.as_ref().map(|(group, _)| group.path().to_owned());
    let with_group = |main: &OwnedFd| may_go_on(let_go, main, held.clone());
    let alone = |main: &OwnedFd| may_go_on(let_go, main, None);
    let made = match fork::fork(&child, let_go.map(|_| &with_group as MayGoOn<'_>)) {
        // The group may not be one to be born in (removed, frozen, threaded); the process is needed more.
        Err(ForkError::Fork(error))
            if child.control_group.is_some() && !needs_group(&launch.spec) && may_be_of_its_group(&error) =>
        {
            say_without_group(launch, &error);
            child.control_group = None;
            fork::fork(&child, let_go.map(|_| &alone as MayGoOn<'_>))
        }
        made => made,
    };
    let contained = child.control_group.is_some() && made.is_ok();
    if let Some((group, _)) = group.as_ref().filter(|_| !contained) {
        group.remove();
    }
    let (pid, main) = made.map_err(|error| explain(error, launch, &program))?;
    // Read while the number is certainly its own: nobody has waited for it.
    let began = proc::look(pid).map_or(0, |seen| seen.began);
    Ok(Tree {
        application: launch.application.clone(),
        start: launch.start,
        number: Some(pid),
        began,
        main: Some(main),
        child: true,
        group: group.filter(|_| contained).map(|(group, _)| group),
    })
}

/// Asks for a process that waits.
fn may_go_on(let_go: Option<LetGo<'_>>, main: &OwnedFd, group: Option<PathBuf>) -> Result<(), String> {
    let Some(let_go) = let_go else { return Ok(()) };
    let process = main.try_clone().map_err(|error| format!("cannot copy its descriptor: {error}"))?;
    let_go(Grip { process, group })
}

/// Whether a process might be made without the group: not if this system has no room for one at all, whose bound may be
/// just what keeps the processes of all groups few.
fn may_be_of_its_group(error: &io::Error) -> bool {
    !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE))
}

fn say_without_group(launch: &Launch, error: &io::Error) {
    tracing::warn!(application = %launch.application, %error,
        "it gets no control group of its own: its processes are found by session, parent and mark");
}

/// The group that it is born in, with its bounds set.
fn make_group(platform: &Linux, launch: &Launch) -> Result<Option<(Group, OwnedFd)>, LaunchError> {
    let Some(hierarchy) = &platform.hierarchy else {
        return bounds::refuse(&launch.spec, &platform.no_hierarchy)
            .map_or(Ok(None), |error| Err(error.into()));
    };
    let (group, descriptor) = match hierarchy.group(&launch.application, launch.start) {
        Ok(made) => made,
        // Without its group it is found by session, parent and mark; that is no reason not to start it.
        Err(error) if !needs_group(&launch.spec) => {
            say_without_group(launch, &error);
            return Ok(None);
        }
        Err(source) => return Err(LaunchError::Prepare { step: "control group", source }),
    };
    if let Err(error) = bounds::set(&launch.spec, hierarchy.base(), group.path()) {
        group.remove();
        return Err(error.into());
    }
    Ok(Some((group, descriptor)))
}

fn open_output(output: &Output) -> Result<OwnedFd, LaunchError> {
    match output {
        Output::File(path) => log_file::open_to_append(path)
            .map(OwnedFd::from)
            .map_err(|source| LaunchError::OpenOutput { path: path.clone(), source }),
        Output::Journal { socket, identifier } => journal::connect(socket, identifier)
            .map_err(|source| LaunchError::JoinJournal { socket: socket.clone(), source }),
    }
}

/// The file to run. A name with `/` is taken as it is, from the working directory on.
fn find_program(launch: &Launch) -> Result<PathBuf, LaunchError> {
    let program =
        launch.command.first().filter(|program| !program.is_empty()).ok_or(LaunchError::NoCommand)?;
    if program.contains('/') {
        return Ok(launch.directory.join(program));
    }
    let path = launch.environment.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    let mut candidates = directories.map(|directory| Path::new(directory).join(program));
    candidates
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| LaunchError::NotInPath { program: program.clone(), path: path.to_owned() })
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn zero_ended(what: &'static str, texts: impl Iterator<Item = String>) -> Result<Vec<CString>, LaunchError> {
    texts.map(|text| CString::new(text).map_err(|_| LaunchError::ZeroByte(what))).collect()
}

fn path_text(what: &'static str, path: &Path) -> Result<CString, LaunchError> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| LaunchError::ZeroByte(what))
}

fn explain(error: ForkError, launch: &Launch, program: &Path) -> LaunchError {
    match error {
        ForkError::Fork(source) => LaunchError::Fork(source),
        ForkError::Held(why) => LaunchError::NotLetGo(why),
        ForkError::Child(Step::Wait, source) => LaunchError::Prepare { step: "wait for its guard", source },
        ForkError::Child(Step::Session, source) => LaunchError::Prepare { step: "own session", source },
        ForkError::Child(Step::Descriptors, source) => {
            LaunchError::Prepare { step: "input and output", source }
        }
        ForkError::Child(Step::Directory, source) => {
            LaunchError::EnterDirectory { path: launch.directory.clone(), source }
        }
        ForkError::Child(Step::Priority, source) => LaunchError::Prepare { step: "nice", source },
        ForkError::Child(Step::OomScore, source) => LaunchError::Prepare { step: "oom-score-adjust", source },
        ForkError::Child(Step::Groups, source) => LaunchError::Prepare { step: "groups", source },
        ForkError::Child(Step::Group, source) => LaunchError::Prepare { step: "group", source },
        ForkError::Child(Step::User, source) => LaunchError::Prepare { step: "user", source },
        ForkError::Child(Step::Limit(resource), source) => {
            LaunchError::Prepare { step: name_of_limit(resource), source }
        }
        ForkError::Child(Step::Execute, source) => {
            let why = match fs::metadata(program) {
                Err(_) => "",
                Ok(file) if file.is_dir() => "it is a directory: ",
                Ok(file) if file.permissions().mode() & 0o111 == 0 => "it is not executable: ",
                Ok(_) if source.kind() == io::ErrorKind::NotFound => {
                    "it is there, but the interpreter or loader that it names is not: "
                }
                Ok(_) => "",
            };
            LaunchError::Execute { program: program.into(), why, source }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_room_is_no_reason_to_leave_the_group_out() {
        let of_group = |number| may_be_of_its_group(&io::Error::from_raw_os_error(number));
        assert!(![libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE].into_iter().any(of_group));
        assert!([libc::ENODEV, libc::EBUSY, libc::EOPNOTSUPP, libc::ENOSYS].into_iter().all(of_group));
    }
}
