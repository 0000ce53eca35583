//! The part of the command line that leads to a control server. It knows nothing of what is asked there.
//! The law: a secret never stands on a command line.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Where the control server is, and how to get in there. Tokens stand in files or in SCSCTL_TOKEN, never on a command
/// line, which every user of a machine can read.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Access {
    /// Where the API listens: unix:/PATH or https://HOST:PORT [default: the current context's, else
    /// unix:/run/understudy/scs.sock]
    #[arg(long, global = true, env = "SCSCTL_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// A context of `scsctl context`, instead of a server
    #[arg(long, global = true, env = "SCSCTL_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// File of the authority that signed the server's certificate [default: /etc/understudy/pki/ca.pem]
    #[arg(long, global = true, env = "SCSCTL_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// File of certificates that were revoked; may be given several times [default: /etc/understudy/pki/revoked.pem
    /// beside the usual --ca, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub revoked: Vec<PathBuf>,
    /// File of your certificate
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// File of its key
    #[arg(long, global = true, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// File of your token; SCSCTL_TOKEN holds a token itself
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}
