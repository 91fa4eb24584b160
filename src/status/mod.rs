//! What is known of each virtual server: two axes (availability, enabled), measurements, who said so and how old it is;
//! and the rules that merge several sources into one verdict.
//!
//! # Invariants
//! - Pure: time is an argument ([`Moment`]), nothing is read or sent.
//! - An older report never replaces a newer one of the same source.
//! - Losing a source is not losing the service: verdicts age (fresh → stale → expired), the last one is held, and policy
//!   decides. Time alone never changes a held verdict; only a report does.

#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod ageing;
mod apply;
mod changed;
mod entry;
mod fact;
mod merge;
mod moment;
mod overrides;
mod reasons;
mod remembered;
mod table;
mod types;
mod watched;

pub use ageing::{Ageing, Freshness};
pub use changed::Changed;
pub use entry::Report;
pub use fact::{Discovered, Fact, ObjectKind, Override};
pub use moment::Moment;
pub use overrides::Overrides;
pub use remembered::{Remembered, RememberedVerdict};
pub use table::{Link, Settings, Table};
pub use types::{Availability, Enabled, Measurements, Source, Status, Verdict};
pub use watched::{Watched, WatchedServer, WatchedVirtualServer};
