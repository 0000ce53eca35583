//! What is prepared before a process is made: whether this host permits it, whose rights it gets, what it is told, and
//! where its output goes.
//!
//! Refuses to know what is decided. The law: everything here may take time, and is done on the thread of the start;
//! what an application or a hook gets is opened with the rights of whoever gets it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use understudy_decide::agent::{HookRun, Spawn};
use understudy_guard::guards::Gate;
use understudy_model::{ApplicationName, Interface, OutputKind, ProcessSpec};

use super::{Printed, Processes};
use crate::accepting::cause;
use crate::doors::Doors;
use crate::environment::{self, Surroundings};
use crate::platform::{
    Account, Launch, LaunchError, LetGo, NotifySocket, Output, Platform, find_account, with_rights_of,
};
use crate::secrets::Secrets;
use crate::{environment_file, journal, output, permission};

/// Options by section and key.
type Options = BTreeMap<String, BTreeMap<String, String>>;

impl<P: Platform> Processes<P> {
    /// Sockets of applications that run as other users.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Whose rights something of an application gets, if this host permits to run `program` with them.
    pub(super) fn permit(&self, program: &str, process: &ProcessSpec) -> Result<Account, String> {
        let account = account_of(process)?;
        let policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone();
        permission::check(&policy, &self.around.host, &self.own, program, &account)
            .map_err(|refused| refused.to_string())?;
        Ok(account)
    }

    pub(super) fn try_launch(
        &self,
        spawn: &Spawn,
        gate: &Gate,
    ) -> Result<(P::Tree, Option<NotifySocket>), String> {
        let program = spawn.spec.command.first().map_or("", String::as_str);
        let account = self.permit(program, &spawn.spec.process)?;
        self.prepare_page(spawn, &account)?;
        let options = self.give_options(spawn, &account)?;
        let mut around = self.around_of(spawn, &account)?;
        if account.uid != self.own.uid {
            let opened = self.runtime.block_on(self.doors.open(&spawn.application, account.uid));
            around.link = opened.map_err(|error| cause(&error))?;
        }
        let user = account.uid;
        let launch = self.launch_of(spawn, environment::environment(&around, spawn, &options), account);
        let notifies = spawn.spec.interface == Interface::Notify;
        let socket = if notifies { Some(self.bind_notices(spawn.start, Some(user))?) } else { None };
        let let_go = |grip| self.let_start_go(spawn.start, gate, grip);
        let let_go = spawn.held.then_some(&let_go as LetGo<'_>);
        let tree = self.launch_with_output(launch, &spawn.spec.options, let_go);
        Ok((tree.map_err(|error| error.to_string())?, socket))
    }

    /// A hook of an application: its own account if settings name one, and all else as the application has it. What
    /// bounds the application's tree is not for the hook's.
    pub(super) fn hook_launch_of(
        &self,
        run: &HookRun,
        spawn: &Spawn,
        command: &[String],
    ) -> Result<Launch, String> {
        let mut process = spawn.spec.process.clone();
        if let Some(user) = &spawn.spec.conduct.hooks.user {
            (process.user, process.group, process.groups) = (Some(user.clone()), None, Vec::new());
        }
        (process.memory_max_bytes, process.cpu_max_percent, process.pids_max) = (None, None, None);
        let account = self.permit(command.first().map_or("", String::as_str), &process)?;
        // Options and directory stay the application's, whoever the hook is; it gets no link.
        let owner = account_of(&spawn.spec.process)?;
        let options = self.give_options(spawn, &owner)?;
        let around = self.around_of(spawn, &account)?;
        let environment = environment::of_hook(&around, spawn, run.kind.as_str(), &options);
        let may_begin_outside = account.uid != owner.uid;
        let launch = self.launch_of(spawn, environment, owner);
        let command = command.to_vec();
        Ok(Launch { start: run.hook, command, spec: process, account, may_begin_outside, ..launch })
    }

    fn launch_of(&self, spawn: &Spawn, environment: Vec<(String, String)>, account: Account) -> Launch {
        let other = account.uid != self.own.uid;
        let places = if other { &self.places.of_others } else { &self.places.applications };
        let own = || places.join(spawn.application.as_str());
        Launch {
            application: spawn.application.clone(),
            start: spawn.start,
            command: spawn.spec.command.clone(),
            environment,
            directory: spawn.spec.working_directory.as_ref().map_or_else(own, PathBuf::from),
            output: self.output_of(&spawn.application, &spawn.spec.process),
            directory_of: account.clone(),
            may_begin_outside: false,
            spec: spawn.spec.process.clone(),
            account,
            own_directory: spawn.spec.working_directory.is_none(),
        }
    }

    /// What a process of that account is told.
    fn around_of(&self, spawn: &Spawn, account: &Account) -> Result<Surroundings, String> {
        let mut around = self.around.clone();
        if account.named {
            around.home.clone_from(&account.home);
            around.user = Some(account.name.clone());
        }
        around.file = read_environment_file(&spawn.spec.process, account)?;
        Ok(around)
    }

    /// Writes the options of an application so that its user, and nobody else, can read them.
    fn give_options(&self, spawn: &Spawn, account: &Account) -> Result<PathBuf, String> {
        let path = self.options_of(&spawn.application);
        let given = environment::write_options(&path, &spawn.spec.options).and_then(|()| {
            match account.uid == self.own.uid {
                false => environment::hand_over(&path, account.uid),
                true if self.own.uid == 0 => environment::take_back(&path),
                true => Ok(()),
            }
        });
        given.map_err(|error| format!("cannot write the options {}: {error}", path.display()))?;
        Ok(path)
    }

    fn launch_with_output(
        &self,
        mut launch: Launch,
        options: &Options,
        let_go: Option<LetGo<'_>>,
    ) -> Result<P::Tree, LaunchError> {
        let begin = |launch: &Launch| match let_go {
            Some(let_go) => self.platform.launch_held(launch, None, let_go),
            None => self.platform.launch(launch),
        };
        self.prepare_output(&launch, options, self.places.journal.is_some());
        match begin(&launch) {
            Err(LaunchError::JoinJournal { source, .. }) if launch.spec.output.is_none() => {
                let path = self.logs.path(&launch.application);
                tracing::warn!(application = %launch.application, error = %source, log = %path.display(),
                    "the journal takes no stream; its output goes to a file this time");
                launch.output = Output::File(path);
                self.prepare_output(&launch, options, false);
                begin(&launch)
            }
            launched => launched,
        }
    }

    fn prepare_output(&self, launch: &Launch, options: &Options, has_journal: bool) {
        if let Output::File(path) = &launch.output {
            let secrets = Arc::new(Secrets::of(&launch.environment, options));
            self.printed().insert(launch.start, Printed { from: output::length(path), secrets });
        }
        self.logs.know(&launch.application, &launch.spec, has_journal);
    }

    /// Where the output of an application goes: as configured, else to the journal where there is one.
    fn output_of(&self, application: &ApplicationName, process: &ProcessSpec) -> Output {
        match Output::of(process, self.places.journal.is_some()) {
            OutputKind::File => Output::File(self.logs.path(application)),
            OutputKind::Journal => Output::Journal {
                socket: self.places.journal.clone().unwrap_or_else(|| PathBuf::from(journal::SOCKET)),
                identifier: application.to_string(),
            },
        }
    }
}

fn account_of(process: &ProcessSpec) -> Result<Account, String> {
    find_account(process.user.as_deref(), process.group.as_deref(), &process.groups)
        .map_err(|error| error.to_string())
}

/// What the file of settings says, read with the rights of whoever gets it: an agent that is root must not be a way to
/// read the files of others.
fn read_environment_file(process: &ProcessSpec, account: &Account) -> Result<Vec<(String, String)>, String> {
    let Some(file) = &process.environment_file else { return Ok(Vec::new()) };
    let path = Path::new(&file.path);
    match with_rights_of(account, || environment_file::open(path)) {
        Ok(opened) => environment_file::read(path, opened).map_err(|error| error.to_string()),
        Err(error) if file.optional && error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(format!(
            "cannot read the environment file {} with the rights of {}: {error}; let that user read it",
            path.display(),
            account.name
        )),
        Err(error) => Err(format!("cannot read the environment file {}: {error}", path.display())),
    }
}
