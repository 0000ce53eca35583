//! The call server as a process: listen, take the role, be ready, end when asked.
//!
//! Knows every part and decides nothing. The law: the port is open before the agent hears "ready", and a graceful
//! end closes the gate first.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use understudy::{Environment, EnvironmentError, StartError, Understudy};

use super::command::Arguments;
use super::conduct::{Server, TserverConduct, log};
use super::gate::Serving;
use super::serve::{Reception, accept_all};

/// A child that was left behind ends by itself after this, in case nobody cleans up.
const LEFT_CHILD_LIFE: Duration = Duration::from_secs(600);

/// Why the server did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// `--fail-start`.
    #[error("told by --fail-start to fail")]
    ToldToFail,
    /// What the agent said makes no sense.
    #[error("the agent's environment cannot be used: {0}")]
    Environment(#[from] EnvironmentError),
    /// The link's thread.
    #[error(transparent)]
    Link(#[from] StartError),
    /// The port, most often because another process has it.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(#[source] io::Error),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// `--leave-child`.
    #[error("cannot start a child to leave behind: {0}")]
    Child(#[source] io::Error),
}

/// Serves until TERM or INT ends the process. Returns only if something failed, or in a child to be left behind.
pub fn run(arguments: &Arguments) -> Result<(), RunError> {
    if arguments.be_left_child {
        return be_left_child();
    }
    let environment = Environment::read()?;
    let server = Arc::new(match &environment {
        Some(environment) => {
            let serving = Serving { is_primary: false, epoch: environment.role.epoch.0 };
            Server::new(environment.application.to_string(), serving, arguments.faults)
        }
        None => Server::new("tserver".to_owned(), Serving { is_primary: true, epoch: 0 }, arguments.faults),
    });
    // From the first moment, so that a TERM during a slow start is a graceful end too.
    end_when_asked(Arc::clone(&server), arguments.ignore_term)?;
    if arguments.fail_start {
        return Err(RunError::ToldToFail);
    }
    let address = SocketAddr::new(arguments.bind, arguments.port);
    let listen_error = |source| RunError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen_error)?;
    say_address(listener.local_addr().map_err(listen_error)?);
    if arguments.leave_child {
        leave_child().map_err(RunError::Child)?;
    }
    let link = match environment {
        Some(environment) => {
            let conduct = TserverConduct(Arc::clone(&server));
            Some(Arc::new(Understudy::start(environment, conduct)?))
        }
        None => None,
    };
    std::thread::sleep(Duration::from_millis(arguments.slow_start));
    if let Some(link) = &link {
        link.ready();
    }
    accept_all(&listener, &Reception { server, link })
}

/// The address, for whoever let the system choose the port. A closed output is no reason not to serve.
fn say_address(address: SocketAddr) {
    let mut output = io::stdout();
    if writeln!(output, "listening on {address}").and_then(|()| output.flush()).is_err() {
        eprintln!("listening on {address}");
    }
}

fn end_when_asked(server: Arc<Server>, ignore_term: bool) -> Result<(), RunError> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(RunError::Signals)?;
    let end = move || {
        for signal in signals.forever() {
            server.faults.hang_if_asked();
            if ignore_term && signal == SIGTERM {
                log(&server.name, "TERM ignored, as told by --ignore-term");
                continue;
            }
            // The last acknowledgement is out before the process ends.
            server.gate.close(server.gate.pass(|serving| serving.epoch));
            log(&server.name, &format!("ended by signal {signal}"));
            std::process::exit(0);
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(end).map_err(RunError::Thread)?;
    Ok(())
}

fn leave_child() -> io::Result<()> {
    let program = std::env::current_exe()?;
    let arguments = ["--be-left-child", "--port", "0"];
    // Nobody waits for it: that is what it is for.
    let _left: Child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn()?;
    Ok(())
}

fn be_left_child() -> Result<(), RunError> {
    rustix::process::setsid().map_err(|why| RunError::Child(why.into()))?;
    std::thread::sleep(LEFT_CHILD_LIFE);
    Ok(())
}
