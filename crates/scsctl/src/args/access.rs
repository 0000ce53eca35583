//! The part of the command line that leads to a control server. It knows nothing of what is asked there.
//! The law: a secret never stands on a command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Where the control server is, and how to get in there. Tokens stand in files or in SCSCTL_TOKEN, never on a command
/// line, which every user of a machine can read.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Access {
    /// Where the API listens: unix:/PATH or https://HOST:PORT [default: the current context's, else
    /// unix:/run/understudy/scs.sock] [env: SCSCTL_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// A context of `scsctl context`, instead of a server [env: SCSCTL_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// File of the authority that signed the server's certificate [default: /etc/understudy/pki/ca.pem]
    /// [env: SCSCTL_CA]
    #[arg(long, global = true, value_name = "FILE")]
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

impl Access {
    /// What the environment says, where the command line says nothing. It is read here and not by the parser, which would take
    /// it for typed and show it in the usage of every command.
    pub fn or_environment(&mut self, environment: impl Fn(&str) -> Option<OsString>) {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let words = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        self.server = self.server.take().or_else(|| words("SCSCTL_SERVER"));
        self.context = self.context.take().or_else(|| words("SCSCTL_CONTEXT"));
        self.ca = self.ca.take().or_else(|| set("SCSCTL_CA").map(PathBuf::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_stands_above_the_environment() {
        let mut access = Access { server: Some("unix:/typed".into()), ..Access::default() };
        access.or_environment(|name| match name {
            "SCSCTL_SERVER" => Some("unix:/environment".into()),
            "SCSCTL_CONTEXT" => Some("".into()),
            _ => Some("/ca.pem".into()),
        });
        assert_eq!(access.server.as_deref(), Some("unix:/typed"));
        assert_eq!((access.context, access.ca), (None, Some("/ca.pem".into())));
    }
}
