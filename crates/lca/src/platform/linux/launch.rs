//! A launch: everything around the fork, with an error that names what is wrong.
//!
//! Refuses to know why something is started. The law: whatever can be checked or made before the fork is, so that
//! the child has only failures left that name themselves.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fork::{Child, ForkError, Step};
use super::{Linux, Tree, fork, proc};
use crate::platform::{Launch, LaunchError};

/// Makes the process. Takes as long as loading the program takes. Without an `output` it goes where `launch` says.
pub fn launch(
    platform: &Linux,
    launch: &Launch,
    output: Option<BorrowedFd<'_>>,
) -> Result<Tree, LaunchError> {
    make_directory("working directory", &launch.directory)?;
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
    let group = platform.hierarchy.as_ref().and_then(|hierarchy| {
        // Without its group it is found by session, parent and mark; that is no reason not to start it.
        hierarchy.group(&launch.application, launch.start).ok()
    });
    let mut child = Child {
        program: &program_text,
        arguments: &arguments,
        environment: &environment,
        directory: &directory_text,
        input: platform.null.as_fd(),
        output,
        control_group: group.as_ref().map(|(_, descriptor)| descriptor.as_fd()),
    };
    let made = match fork::fork(&child) {
        // The group may not be one to be born in (removed, frozen, threaded); the process is needed more.
        Err(ForkError::Fork(_)) if child.control_group.is_some() => {
            child.control_group = None;
            fork::fork(&child)
        }
        made => made,
    };
    let contained = child.control_group.is_some();
    let (pid, main) = made.map_err(|error| {
        if let Some((group, _)) = &group {
            group.remove();
        }
        explain(error, launch, &program)
    })?;
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

fn make_directory(purpose: &'static str, path: &Path) -> Result<(), LaunchError> {
    fs::create_dir_all(path).map_err(|source| LaunchError::MakeDirectory {
        purpose,
        path: path.into(),
        source,
    })
}

fn open_output(path: &Path) -> Result<File, LaunchError> {
    let open = || File::options().append(true).create(true).mode(0o640).open(path);
    let opened = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = path.parent() {
                make_directory("log directory", directory)?;
            }
            open()
        }
        opened => opened,
    };
    opened.map_err(|source| LaunchError::OpenOutput { path: path.into(), source })
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
        ForkError::Child(Step::Session, source) => LaunchError::Prepare { step: "own session", source },
        ForkError::Child(Step::Descriptors, source) => {
            LaunchError::Prepare { step: "input and output", source }
        }
        ForkError::Child(Step::Directory, source) => {
            LaunchError::EnterDirectory { path: launch.directory.clone(), source }
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
