//! Catalog zones (RFC 9432): lists of zones that are zones themselves, so that secondaries set themselves up.
//!
//! # Invariants
//! - Pure: a zone in, its members out; or members in, a zone out. Nothing here is served, transferred or kept.
//! - A catalog that breaks a rule has no members at all, rather than some of them.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod members;
mod produce;
mod read;

pub use members::{Assigned, Assignment, Consumed, Refused, assign};
pub use produce::{Listed, produce, unique_label};
pub use read::{Broken, Catalog, Entry, read};
