//! Zones: text → records → name tree; look-up.
//!
//! # Invariants
//! - Pure: text is handed in, included files come through a function argument.
//! - A zone in use is never changed; a change makes a new value that shares all untouched parts.
//! - Owners are kept in lower case; names inside RDATA keep the case they were written in.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod ahead;
mod builder;
mod bulk;
mod bulk_build;
mod change;
pub mod check;
mod check_alias;
mod difference;
mod identity;
mod load;
mod lookup;
mod map;
pub mod master;
mod master_directive;
mod master_generate;
mod master_reader;
mod master_report;
mod master_token;
pub mod merge;
mod merge_soa;
#[cfg(test)]
mod merge_tests;
pub mod octodns;
pub mod octodns_print;
pub mod print;
pub mod rdata;
mod rdata_bitmap;
mod rdata_codec;
mod rdata_gateway;
mod rdata_layout;
mod rdata_location;
mod rdata_prefix;
mod rdata_print;
#[cfg(test)]
mod rdata_properties;
mod rdata_service;
mod rdata_text;
mod rdata_time;
mod rdata_wire;
mod record;
pub mod serial;
mod shard;
mod sizes;
mod tree;

pub use ahead::NAMES_AHEAD;
pub use builder::{AddError, ZoneBuilder};
pub use bulk::{Built, Bulk};
pub use change::{ApplyError, Change, is_newer, next_serial};
pub use difference::Difference;
pub use identity::{ViewName, ZoneId};
pub use load::{Loaded, load, load_within};
pub use lookup::Lookup;
pub use map::ZoneMap;
pub use record::Record;
pub use shard::{Added, Rrset};
pub use sizes::Sizes;
pub use tree::{Soa, Zone};
