//! The journal: changes of zones that came over the network, on disk before anybody is told that they were made.
//!
//! One append-only file holds the changes of every zone, and for each zone that has some the version they started from
//! (the *base*), so that a zone file that was edited meanwhile can be told from one that was not. A commit is one frame,
//! with a SHA-256 over its content, its number and a random number of the file, made durable with one `fdatasync`;
//! callers that come while one is under way share the next.
//!
//! Why a log of our own and not an embedded database: the journal is only ever appended to and read whole, at the
//! start. A log needs one sync per commit where a copy-on-write tree needs two and the rewriting of several pages; what
//! a crash can leave is one cut-off frame at the end, which tests try at every octet; and after a failed write or sync
//! everything is in memory, so the file is written anew instead of being trusted. The checksum is a cryptographic one,
//! over a secret number, because those who send updates choose what the journal holds.
//!
//! # Invariants
//! - What was acknowledged is durable; what was refused is in no later version of the journal.
//! - A frame is there whole or not at all. Damage is an error that names the file, but for what a crash may have left of
//!   the last frame ([`log`] says what that is).
//! - The changes of a zone lead without a gap from its base to the version that is served.
//! - Bounded: over the limit, the oldest changes of a zone become one; when that does not help, the change is refused.

mod error;
mod frame;
#[cfg(test)]
mod journal_tests;
mod kept;
mod log;
mod queue;

pub use error::JournalError;
pub use kept::{Kept, KeptChange};
pub use queue::{Entry, Journal, Options, Turn};
