//! The command line of the call server.

use std::net::IpAddr;

use clap::Parser;

/// A small call server that can be supervised: calls, user data, agents and DNs over a line protocol.
///
/// Started by an agent it takes its name, port and role from the environment; started by hand it serves alone, as
/// primary in epoch 0. Exit codes: 0 after TERM or INT, 1 failed, 2 usage.
#[derive(Debug, Clone, Parser)]
#[command(name = "tserver", version)]
pub struct Arguments {
    /// TCP port for clients; 0 lets the system choose, and the first line on standard output names it
    #[arg(long, env = "UNDERSTUDY_PORT_DEFAULT", value_name = "PORT")]
    pub port: u16,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub bind: IpAddr,
    /// Wait so long before being ready
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub slow_start: u64,
    /// Fail at the start, with exit code 1
    #[arg(long)]
    pub fail_start: bool,
    /// Let clients ask for faults (FAULT ...)
    #[arg(long)]
    pub faults: bool,
    /// Start a child that leaves the session and stays, as a badly written server would
    #[arg(long)]
    pub leave_child: bool,
    /// Do not end on TERM
    #[arg(long)]
    pub ignore_term: bool,
    /// Be that child
    #[arg(long, hide = true)]
    pub be_left_child: bool,
}
