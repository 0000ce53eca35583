//! What the two ends say to each other, and its bytes.
//!
//! Knows nothing of what carries the bytes. The law: what a stranger sends is understood whole or refused; a signal of a
//! later version that only adds to its end is understood.

use std::time::Duration;

use crate::{LONGEST_TIMEOUT, SHORTEST_TIMEOUT};

/// The longest signal that is read, in bytes; the ones of this version are shorter.
pub const LONGEST_SIGNAL_BYTES: usize = 64;

/// Said by one end of a link to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Are you there?
    Poll {
        /// Comes back in the reply.
        number: u64,
    },
    /// I am here.
    Reply {
        /// That of the poll.
        number: u64,
    },
    /// Watch me like this from now on.
    Ask {
        /// The timeout to use; zero: do not watch. Out of bounds: the nearest bound is used.
        timeout: Duration,
        /// Whether to write down what happens.
        trace: bool,
    },
}

const POLL: u8 = 1;
const REPLY: u8 = 2;
const ASK: u8 = 3;

/// Why bytes are not a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// Too short for what it says it is.
    #[error("a liveness signal of {bytes} bytes is too short")]
    Short {
        /// How many there were.
        bytes: usize,
    },
    /// Longer than [`LONGEST_SIGNAL_BYTES`].
    #[error("a liveness signal of {bytes} bytes is too long")]
    Long {
        /// How many there were.
        bytes: usize,
    },
    /// Of a kind that this version does not know.
    #[error("liveness signal {found} is not known")]
    Unknown {
        /// Its first byte.
        found: u8,
    },
}

impl Signal {
    /// The bytes: one that says which it is, then eight little-endian ones (the number, or the timeout in nanoseconds), and
    /// for an `Ask` one more, 1 for a trace.
    pub fn to_bytes(self) -> Vec<u8> {
        let (kind, number, trace) = match self {
            Signal::Poll { number } => (POLL, number, None),
            Signal::Reply { number } => (REPLY, number, None),
            Signal::Ask { timeout, trace } => {
                (ASK, u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX), Some(trace))
            }
        };
        let mut bytes = vec![kind];
        bytes.extend(number.to_le_bytes());
        bytes.extend(trace.map(u8::from));
        bytes
    }

    /// Understands bytes; timeouts are brought within their bounds.
    pub fn from_bytes(bytes: &[u8]) -> Result<Signal, SignalError> {
        if bytes.len() > LONGEST_SIGNAL_BYTES {
            return Err(SignalError::Long { bytes: bytes.len() });
        }
        let short = SignalError::Short { bytes: bytes.len() };
        let (kind, rest) = bytes.split_first().ok_or(short)?;
        if !(POLL..=ASK).contains(kind) {
            return Err(SignalError::Unknown { found: *kind });
        }
        let (number, rest) = rest.split_first_chunk::<8>().ok_or(short)?;
        let number = u64::from_le_bytes(*number);
        match *kind {
            POLL => Ok(Signal::Poll { number }),
            REPLY => Ok(Signal::Reply { number }),
            _ => {
                let trace = *rest.first().ok_or(short)? != 0;
                let timeout = match number {
                    0 => Duration::ZERO,
                    some => Duration::from_nanos(some).clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT),
                };
                Ok(Signal::Ask { timeout, trace })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_are_these() {
        assert_eq!(Signal::Poll { number: 258 }.to_bytes(), [1, 2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Signal::Reply { number: 1 }.to_bytes(), [2, 1, 0, 0, 0, 0, 0, 0, 0]);
        let ask = Signal::Ask { timeout: Duration::from_secs(1), trace: true };
        assert_eq!(ask.to_bytes(), [3, 0, 0xca, 0x9a, 0x3b, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn what_is_no_signal_is_refused_by_name() {
        assert_eq!(Signal::from_bytes(&[]), Err(SignalError::Short { bytes: 0 }));
        assert_eq!(Signal::from_bytes(&[1, 2, 3]), Err(SignalError::Short { bytes: 3 }));
        assert_eq!(Signal::from_bytes(&[3; 9]), Err(SignalError::Short { bytes: 9 }));
        assert_eq!(Signal::from_bytes(&[0; 9]), Err(SignalError::Unknown { found: 0 }));
        assert_eq!(Signal::from_bytes(&[9; 9]), Err(SignalError::Unknown { found: 9 }));
        assert_eq!(Signal::from_bytes(&[1; 65]), Err(SignalError::Long { bytes: 65 }));
    }

    #[test]
    fn a_timeout_that_would_busy_poll_is_brought_within_bounds() {
        let heard = |timeout| Signal::from_bytes(&Signal::Ask { timeout, trace: false }.to_bytes()).unwrap();
        let asks = |timeout| Signal::Ask { timeout, trace: false };
        assert_eq!(heard(Duration::from_nanos(1)), asks(SHORTEST_TIMEOUT));
        assert_eq!(heard(Duration::MAX), asks(LONGEST_TIMEOUT));
        assert_eq!(heard(Duration::ZERO), asks(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_signal_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(signal) = Signal::from_bytes(&bytes) {
                prop_assert_eq!(Signal::from_bytes(&signal.to_bytes()), Ok(signal));
            }
        }

        #[test]
        fn what_a_later_version_adds_to_the_end_is_passed_over(number: u64, added in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = Signal::Poll { number }.to_bytes();
            bytes.extend(added);
            prop_assert_eq!(Signal::from_bytes(&bytes), Ok(Signal::Poll { number }));
        }
    }
}
