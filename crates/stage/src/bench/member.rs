//! The smallest application that uses the library: it only tells when it is promoted and demoted.
//!
//! It knows the library and the bench's socket. The law: the time is taken before anything else is done.

use std::path::PathBuf;

use understudy::{Conduct, Environment, Epoch, Understudy};

use super::words::{Mouth, SOCKET_VARIABLE};
use crate::StageError;
use crate::clock::boot_ns;

/// The name of this part.
pub const PART_MEMBER: &str = "member";

struct Telling(Mouth);

impl Conduct for Telling {
    fn promote(&mut self, _: Epoch) -> Result<(), String> {
        self.0.tell("promote", boot_ns());
        Ok(())
    }

    fn demote(&mut self, _: Epoch) {
        // There is nothing to end; this is as late as it gets before the library says so.
        self.0.tell("demote", boot_ns());
    }
}

/// Serves until it is killed. `began_ns` is when `main` began.
pub fn be(began_ns: u64) -> Result<(), StageError> {
    let wrong = |why: String| StageError::Unexpected(why);
    let environment = Environment::read().map_err(|error| wrong(error.to_string()))?;
    let environment = environment.ok_or_else(|| wrong("no agent started this process".to_owned()))?;
    let socket = std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from);
    let socket = socket.ok_or_else(|| wrong(format!("{SOCKET_VARIABLE} is not set")))?;
    let name = environment.application.to_string();
    Mouth::to(&socket, &name)?.tell("main", began_ns);
    let link = Understudy::start(environment, Telling(Mouth::to(&socket, &name)?))
        .map_err(|error| wrong(error.to_string()))?;
    link.ready();
    loop {
        std::thread::park();
    }
}
