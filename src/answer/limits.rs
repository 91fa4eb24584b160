//! What one answer may take, who gets how many, and how many updates may wait.

use std::sync::Arc;

use super::access::Queriers;
use super::rate_limit::RateLimit;
use crate::zone::Sizes;

/// The most that [`Limits::chain`] may be.
pub const CHAIN_MAX: usize = 16;
/// CNAMEs and DNAMEs followed unless configured otherwise. BIND follows 11, NSD 18, Knot 5.
pub const CHAIN_DEFAULT: usize = 8;
/// Names whose addresses are added unless configured otherwise, as in BIND.
pub const ADDITIONAL_NAMES_DEFAULT: usize = 13;
/// Updates that may wait to be carried out where nothing else is configured: as many as BIND queues.
pub const UPDATES_DEFAULT: usize = 100;
/// The most that may be configured to wait; each holds a message of up to 64 KiB.
pub const UPDATES_MAX: usize = 1000;

/// The limits of the answer path.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The CNAMEs and DNAMEs followed inside our data, [`CHAIN_MAX`] at most; the resolver goes on from what it has then.
    pub chain: usize,
    /// The most names of one RRset that addresses are added for.
    pub additional_names: usize,
    /// How many responses a client network gets; none is no limit.
    pub rate: Option<Arc<RateLimit>>,
    /// Who may ask.
    pub access: Queriers,
    /// The most updates that may wait to be carried out.
    pub updates: usize,
    /// How large zones may become by update and by transfer.
    pub sizes: Sizes,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chain: CHAIN_DEFAULT,
            additional_names: ADDITIONAL_NAMES_DEFAULT,
            rate: None,
            access: Queriers::default(),
            updates: UPDATES_DEFAULT,
            sizes: Sizes::DEFAULT,
        }
    }
}
