//! How an operator is told that nothing was done.
//!
//! The law: every refusal has a code for scripts, a sentence for people, and what to run next if there is such a thing.

use super::Reply;

/// Nothing was done.
pub(super) fn refused(code: &str, message: &str, because: Vec<String>, try_next: Option<String>) -> Reply {
    Reply::Refused { code: code.to_owned(), message: message.to_owned(), because, try_next }
}

/// There is nothing of that name.
pub(super) fn not_found(message: &str, try_next: &str) -> Reply {
    refused("not-found", message, Vec::new(), Some(try_next.to_owned()))
}
