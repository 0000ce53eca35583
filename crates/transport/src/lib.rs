//! Links between the programs: the only crate that opens sockets to a peer.
//!
//! Knows bytes, addresses and time limits; refuses to know what a message means and who may say it. The law: everything
//! that a stranger can cost is bounded (how many, how long, how large), a bad frame ends its own link and no other, and
//! nothing waits for a slow peer.
//!
//! A listening program takes [`Stranger`]s from [`Listener::accept`] and hears their first message; a dialing one gets a
//! [`Connection`] from [`dial`] and speaks first. Both end up with a [`Sender`] and a [`Receiver`].
//!
//! TCP links have TLS 1.3 with certificates at both ends ([`Security`]); without it they never leave the machine. ADDP
//! watches a link as soon as its owner says so ([`Receiver::watch`]).

mod address;
mod backoff;
mod believed;
mod certificate;
mod connection;
mod credentials;
mod dial;
mod handing;
mod here;
mod listen;
mod pulse;
mod receive;
mod refusals;
mod resolve;
mod security;
mod send;
mod stream;
mod tally;
mod verify;

pub use address::{Address, AddressError};
pub use backoff::{Backoff, LONGEST_DELAY, SHORTEST_DELAY};
pub use believed::Believed;
pub use certificate::{CertificateError, Certified};
pub use connection::{Connection, Peer};
pub use credentials::{CredentialFiles, Credentials, CredentialsError, would_believe};
pub use dial::{DialError, DialFailure, dial, dial_whom};
pub use handing::Handed;
pub use here::is_of_this_machine;
pub use listen::{
    AcceptError, Admission, BindError, FIRST_MESSAGE_LIMIT_BYTES, FIRST_MESSAGE_TIMEOUT, FirstFrame,
    Listener, MOST_STRANGERS, Stranger,
};
pub use pulse::{Health, Pulse};
pub use receive::{ReceiveError, Receiver};
pub use refusals::{RefusalTally, TALLY_INTERVAL};
pub use security::{Security, TlsFailure};
pub use send::{MOST_QUEUED_BYTES, MOST_QUEUED_MESSAGES, SendError, Sender};
pub use tally::LinkTally;
