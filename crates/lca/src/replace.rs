//! The agent becomes its own next program, under the same process number, and keeps what it can keep whole.
//!
//! Refuses to know what the next program does. The law: nothing is ended for it before the change has happened; where it
//! fails, this program goes on as if nobody had asked. Links of control servers have TLS, whose state cannot be handed on:
//! they are closed by the change and made again, which is neither a silence nor a refusal, as every listener stays open.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use understudy_decide::agent::Agent;
use understudy_drive::{Inbox, State, Unit};
use understudy_transport::Listener;

use crate::application_links::ApplicationLinks;
use crate::inherited::Inheritance;
use crate::local::{ending, say};
use crate::platform::Platform;

/// How long links may take to come to rest; those that do not are opened again by their applications.
const REST_LIMIT: Duration = Duration::from_millis(500);

/// Links that can be brought to rest and described.
pub trait Holds: Send + Sync {
    /// Nothing more is read from now on; what was read is observed.
    fn hold(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// Every link that can be handed on whole, with a descriptor of its own.
    fn describe(&self, inheritance: &mut Inheritance);
    /// They go on.
    fn let_go(&self);
}

/// The way to become the next program.
pub struct Replace {
    program: PathBuf,
    arguments: Vec<OsString>,
    listeners: Mutex<Vec<Arc<Listener>>>,
    links: Arc<dyn Holds>,
    unit: Unit,
}

impl Replace {
    /// `program` with `arguments` is what this agent was started as.
    pub fn new<P: Platform>(
        program: PathBuf,
        arguments: Vec<OsString>,
        links: Arc<ApplicationLinks<P>>,
        unit: Unit,
    ) -> Arc<Self> {
        Arc::new(Self { program, arguments, listeners: Mutex::default(), links, unit })
    }

    /// A listener that is kept.
    pub fn keep(&self, listener: &Arc<Listener>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Arc::clone(listener));
    }

    /// The next program and its arguments, each in quotes as far as it needs them.
    pub fn shown(&self) -> String {
        let words =
            std::iter::once(self.program.as_os_str()).chain(self.arguments.iter().map(|word| &**word));
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join("\t")
    }

    /// Becomes it. Only returns if that failed, with the reason.
    pub async fn replace(
        &self,
        inbox: &Inbox<Agent>,
        out: &mut (impl AsyncWriteExt + Unpin),
    ) -> Result<Infallible, String> {
        // A reader that waits is let go when the change closes its socket; what it read before that is all it gets.
        let gone = |error: io::Error| format!("whoever asked went away: {error}");
        say(out, ending::MORE, "the program is replaced").await.map_err(gone)?;
        let _ = tokio::time::timeout(REST_LIMIT, self.links.hold()).await;
        // The machine has dealt with everything that was said until now, or it is stuck and must not be replaced so.
        let answered = tokio::time::timeout(REST_LIMIT, inbox.look(|_| ())).await;
        if !matches!(answered, Ok(Some(()))) {
            self.links.let_go();
            return Err("the machine does not answer; use a restart".to_owned());
        }
        let Err(error) = self.exec();
        self.links.let_go();
        self.unit.tell(State::Ready);
        Err(format!("cannot become {}: {error}; this program goes on", self.program.display()))
    }

    fn exec(&self) -> io::Result<Infallible> {
        let mut inheritance = Inheritance::default();
        for listener in self.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            inheritance.listeners.push((listener.address().to_string(), listener.copy()?));
        }
        self.links.describe(&mut inheritance);
        let (listeners, links) = (inheritance.listeners.len(), inheritance.links.len());
        tracing::info!(program = %self.program.display(), listeners, links, "this agent becomes its next program");
        self.unit.tell(State::Replacing);
        // The thread that writes the log ends with this program.
        understudy_drive::flush_log();
        inheritance.exec(&self.program, &self.arguments)
    }
}
