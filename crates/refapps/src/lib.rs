//! Reference applications in the spirit of a call-control server: small, real, and honest from outside.
//!
//! `tserver` is a call server that is supervised through the `understudy` library; `load` is what its client is made of.
//! Neither knows the control server or the agents. The law: what decides (calls, lines, measuring) is pure and stands
//! apart from threads and sockets.

pub mod load;
pub mod tserver;
