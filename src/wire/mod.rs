//! DNS on the wire: names, type numbers, the bounded question parser and the reply writer.
//!
//! # Invariants
//! - Pure: no clock, files, sockets or randomness.
//! - Parsing and writing a message allocate nothing; [`Name`] is the owned form used when data is loaded.
//! - Every loop over input has a fixed bound; nothing recurses.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod compress;
mod edns;
mod key;
mod map;
mod name;
mod query;
mod records;
mod reply;
mod reply_options;
mod siphash;
pub mod tsig;
mod tsig_key;
mod types;

pub use compress::Suffixes;
pub use edns::{ClientSubnet, Cookie, Edns, Keepalive, ServerCookie, option};
pub use key::NameKey;
pub use map::{Levels, NameMap};
pub use name::{MAX_NAME_LENGTH, Name, NameError};
pub use query::{HEADER_LENGTH, Query, Refusal, Silence};
pub use records::{MessageRecord, Records};
pub use reply::{Ending, Full, Mark, Owner, Reply, Section, UDP_PAYLOAD};
pub use reply_options::ReplyOptions;
pub use siphash::siphash24;
pub use tsig_key::{Algorithm, Key, Keys, Mac};
pub use types::{Class, Opcode, ParseTypeError, Rcode, RecordType};
