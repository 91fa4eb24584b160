//! Zones between servers: transfer out (RFC 5936, RFC 1995), notification (RFC 1996), and the secondary role.
//!
//! # Invariants
//! - Nothing here runs on a UDP worker: queries come over a bounded channel, and replies leave through the listener.
//! - Who asks is judged before what it costs: the quota is for those who are allowed.
//! - A transfer reads the one zone that is served, which it holds for as long as it takes.
//! - A zone that comes in is served once it is whole and checked; until then the last version is.

mod client;
#[cfg(test)]
mod client_tests;
mod context;
mod history;
mod inbound;
mod keeper;
mod message;
mod notify;
mod outbound;
mod primaries;
mod rehearsal;
mod reply;
mod requests;
mod secondary;
#[cfg(test)]
mod secondary_tests;
mod server;
mod states;
mod steered;
mod store;
#[cfg(test)]
mod testing;
mod timetable;

pub use context::Context;
pub use rehearsal::{Rehearsal, Rehearsed};
pub use requests::Request;
pub use secondary::NewZone;
pub use server::{Server, answer};
pub use states::{InboundState, Seen, ZoneState, ZoneStates};
pub use store::{Stored, ZoneStore};
