//! The command line of the load client.

use std::net::SocketAddr;

use clap::Parser;

/// Writes without pause to whichever member serves, and measures from outside when nobody does and when two do.
///
/// Prints one JSON object a line: notable moments while they happen, and a summary as the last line. Ends with the
/// duration, with TERM or INT. Exit codes: 0 done, 1 failed (with --once: not exactly one member serves), 2 usage.
#[derive(Debug, Clone, Parser)]
#[command(name = "tserver-load", version)]
pub struct Arguments {
    /// ADDRESS:PORT of each member
    #[arg(required = true, num_args = 1..=2, value_name = "MEMBER")]
    pub members: Vec<SocketAddr>,
    /// End after so long
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<f64>,
    /// End when standard input is closed
    #[arg(long)]
    pub until_stdin_closes: bool,
    /// At the end, look up at the primary every write that was acknowledged in its epoch
    #[arg(long)]
    pub verify: bool,
    /// Only print who serves
    #[arg(long)]
    pub once: bool,
    /// Pause between acknowledged writes, in microseconds
    #[arg(long, default_value_t = 0, value_name = "US")]
    pub pause_us: u64,
    /// Silence that counts as an outage although nobody refused anything
    #[arg(long, default_value_t = 50, value_name = "MS")]
    pub stall_ms: u64,
    /// DN to register with both members
    #[arg(long, default_value = "load", value_name = "DN")]
    pub dn: String,
}
