//! Attacks on whole clusters: real agents, a real control server, real applications, and whatever may befall them.
//!
//! They know the programs as operators and strangers do: by signals, files, sockets and the command line. The law:
//! each story has a cluster, ports and a directory of its own, waits for conditions with a deadline, and ends by
//! showing that whatever was not attacked is as it was.

mod certificates;
mod cuts;
mod daemons;
mod disks;
mod failover;
mod flood;
mod frozen;
mod heirs;
mod holding;
mod hosts;
mod in_sync;
mod keeping;
mod leaving;
mod logs;
mod networks;
mod operator;
mod play;
mod programs;
mod replaced;
mod setback;
mod settings;
mod starts;
mod strangers;
mod strict;
mod switchover;
mod three;
mod twice;
