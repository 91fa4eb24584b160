//! Sockets: UDP worker threads and TCP streams, their caps, and nothing else; every packet goes to `answer::respond`.
//!
//! # Invariants
//! - UDP workers are plain threads that hold no lock and await nothing.
//! - A reply leaves from the address the query came to.
//! - Every connection, buffer and wait is bounded by [`Settings`].

mod settings;

pub use settings::{Settings, TcpLimits};
