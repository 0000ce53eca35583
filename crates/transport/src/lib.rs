//! Links between the programs: the only crate that opens sockets to a peer.
//!
//! Knows bytes, addresses and time limits; refuses to know what a message means and who may say it. The law: everything
//! that a stranger can cost is bounded (how many, how long, how large), a bad frame ends its own link and no other, and
//! nothing waits for a slow peer.
//!
//! A listening program takes [`Stranger`]s from [`Listener::accept`] and hears their first message; a dialing one gets a
//! [`Connection`] from [`dial`] and speaks first. Both end up with a [`Sender`] and a [`Receiver`].
//!
//! Links are plain in this version, so they never leave the machine: any address that is not loopback is refused.

mod address;
mod backoff;
mod connection;
mod dial;
mod here;
mod listen;
mod receive;
mod refusals;
mod resolve;
mod send;
mod stream;

pub use address::{Address, AddressError};
pub use backoff::{Backoff, LONGEST_DELAY, SHORTEST_DELAY};
pub use connection::{Connection, Peer};
pub use dial::{DialError, DialFailure, dial};
pub use here::is_of_this_machine;
pub use listen::{
    AcceptError, BindError, FIRST_MESSAGE_LIMIT_BYTES, FIRST_MESSAGE_TIMEOUT, Listener, MOST_STRANGERS,
    Stranger,
};
pub use receive::{ReceiveError, Receiver};
pub use refusals::{RefusalTally, TALLY_INTERVAL};
pub use send::{MOST_QUEUED_BYTES, MOST_QUEUED_MESSAGES, SendError, Sender};
