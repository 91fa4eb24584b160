//! One resource record as it was read.

use crate::wire::{Name, RecordType};

/// A record of class IN. RDATA is in uncompressed wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The owner.
    pub name: Name,
    /// The type.
    pub record_type: RecordType,
    /// The TTL in seconds, at most 2^31 - 1 (RFC 2181 §8).
    pub ttl: u32,
    /// The data: names in it are uncompressed, case as written.
    pub rdata: Box<[u8]>,
}
