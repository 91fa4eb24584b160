//! What is known of each virtual server: two axes (availability, enabled), measurements, who said so and how old it is;
//! and the rules that merge several sources into one verdict.
//!
//! # Invariants
//! - Pure: time is an argument ([`Moment`]), nothing is read or sent.
//! - An older report never replaces a newer one of the same source.
//! - Losing a source is not losing the service: verdicts age (fresh → stale → expired), and policy decides.

mod fact;
mod moment;
mod types;

pub use fact::{Discovered, Fact, ObjectKind, Override};
pub use moment::Moment;
pub use types::{Availability, Enabled, Measurements, Source, Status, Verdict};
