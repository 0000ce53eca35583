//! What the commands for certificates take. It knows no certificate; the law: nothing here needs a server.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use understudy_model::ClusterId;

/// Certificates. Nothing here needs a server.
#[derive(Debug, Subcommand)]
pub enum Pki {
    /// Make the authority of a cluster
    Init {
        #[command(flatten)]
        place: PkiPlace,
        /// The cluster's name, for people
        #[arg(long, default_value = "understudy")]
        name: String,
        /// The cluster's identity, for a second authority of the same cluster: 32 hexadecimal digits [default: a new one]
        #[arg(long, value_parser = cluster_id)]
        id: Option<ClusterId>,
        /// How long it holds
        #[arg(long, default_value_t = 3650)]
        days: u32,
    },
    /// Issue a certificate with its key
    Issue(PkiIssue),
    /// Issue another certificate, with a new key, to an owner that has one; its names are kept unless new ones are given
    Renew(PkiIssue),
    /// Revoke certificates and write the new list
    #[command(group = clap::ArgGroup::new("what").required(true).args(["role", "serial"]))]
    Revoke {
        #[command(flatten)]
        place: PkiPlace,
        /// All of this owner that still hold: agent:HOST, scs:NAME, operator:NAME, app:NAME
        role: Option<String>,
        /// Only the one with this number
        #[arg(long)]
        serial: Option<String>,
    },
    /// What was issued, and what it is worth
    Show {
        #[command(flatten)]
        place: PkiPlace,
        /// Only of this owner
        role: Option<String>,
        /// Exit 1 if one that was not revoked or renewed ends within thirty days, or has ended
        #[arg(long)]
        check: bool,
    },
}

/// Where the authority is.
#[derive(Debug, ClapArgs)]
pub struct PkiPlace {
    /// The authority's directory
    #[arg(long, short, value_name = "DIR", default_value = "/etc/understudy/pki")]
    pub directory: PathBuf,
}

/// To whom, and how long it holds.
#[derive(Debug, ClapArgs)]
pub struct PkiIssue {
    #[command(flatten)]
    pub place: PkiPlace,
    /// agent:HOST, scs:NAME, operator:NAME or app:NAME
    pub role: String,
    /// A name under which browsers and curl reach it; may be given again
    #[arg(long, value_name = "NAME")]
    pub dns: Vec<String>,
    /// An address under which browsers and curl reach it; may be given again
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Vec<IpAddr>,
    /// How long it holds
    #[arg(long, default_value_t = 365)]
    pub days: u32,
}

/// Reads the identity of a cluster, hyphens allowed.
fn cluster_id(text: &str) -> Result<ClusterId, String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let right = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = right.then(|| ClusterId::try_from(digits).ok()).flatten();
    id.ok_or_else(|| "expected 32 hexadecimal digits".to_owned())
}
