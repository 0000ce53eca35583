//! The links between agents, with real sockets and real certificates, and the machines played by the tests.
//!
//! Knows no votes. The law: everything is waited for with a limit, and what must not come is shown by what comes after it.

#[path = "../../../transport/tests/support/authority.rs"]
#[allow(dead_code, reason = "some of it is for tests of the transport")]
mod authority;
mod bounds;
mod clocks;
mod identity;
mod meeting;
mod play;
mod voters;
