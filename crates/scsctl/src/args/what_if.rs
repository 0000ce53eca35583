//! What can be supposed. It knows nothing of what follows; the law: the words are those of the API.

use clap::Subcommand;

/// What is supposed to happen.
#[derive(Debug, Subcommand)]
pub enum WhatIf {
    /// A machine is gone, with everything on it
    HostLost {
        /// Host
        host: String,
    },
    /// The process of an application ends by itself
    AppCrashed {
        /// Application
        app: String,
    },
    /// Nothing passes any more between two hosts, or between a host and the control server
    LinkCut {
        /// Host, or scs
        one: String,
        /// Host, or scs
        other: String,
    },
    /// The control server is gone
    ScsLost,
    /// The agent of a host is gone and does not come back; its applications run on
    AgentLost {
        /// Host
        host: String,
    },
}

impl WhatIf {
    /// The word of the API, and the names that go with it.
    pub fn words(&self) -> (&'static str, Option<&str>, Option<&str>) {
        match self {
            WhatIf::HostLost { host } => ("host-lost", Some(host), None),
            WhatIf::AppCrashed { app } => ("app-crashed", Some(app), None),
            WhatIf::LinkCut { one, other } => ("link-cut", Some(one), Some(other)),
            WhatIf::ScsLost => ("scs-lost", None, None),
            WhatIf::AgentLost { host } => ("agent-lost", Some(host), None),
        }
    }
}
