//! How large a zone, a name and an RRset may be.

/// The most that one zone may hold; each can be set under `limits.zones`, and what is over one is refused, be it in a file,
/// an update or a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Records of a zone from a file or by update. Files are limited too, but `$INCLUDE` may name the same one many times.
    pub records: usize,
    /// Octets of a zone file.
    pub file_octets: u64,
    /// Records of one RRset.
    pub rrset_records: u16,
    /// Types at one name.
    pub types: u16,
}

impl Sizes {
    /// Unless configured otherwise: five times the largest zone that is measured; what fits in an answer with room to
    /// spare (BIND's limit is 100; 500 is the most answers a pool may give); and BIND's types after CVE-2024-1737.
    pub const DEFAULT: Self = Self { records: 5_000_000, file_octets: 1 << 30, rrset_records: 500, types: 100 };
    /// What a zone can hold at all: for versions that were within the sizes when they came.
    pub const MOST: Self =
        Self { records: usize::MAX, file_octets: u64::MAX, rrset_records: u16::MAX, types: u16::MAX };
}

impl Default for Sizes {
    fn default() -> Self {
        Self::DEFAULT
    }
}
