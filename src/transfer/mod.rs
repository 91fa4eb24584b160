//! Zones between servers: transfer out (RFC 5936, RFC 1995) and notification of secondaries (RFC 1996).
//!
//! # Invariants
//! - Nothing here runs on a UDP worker: queries come over a bounded channel, and replies leave through the listener.
//! - Who asks is judged before what it costs: the quota is for those who are allowed.
//! - A transfer reads the one zone that is served, which it holds for as long as it takes.

mod context;
mod history;
mod message;
mod notify;
mod outbound;
mod requests;
mod server;
mod steered;

pub use context::Context;
pub use server::Server;
