//! The iQuery role: DNS nodes and agents talk health over mutual TLS on TCP 4353.
//!
//! # Invariants
//! - The peer state machine has no sockets and no clock; it is driven by frames and moments.
//! - A peer is believed only for what its certificate names; frames are bounded and hostile until parsed.
//! - Losing a session loses no verdict: it ages.

mod clock;
mod report;
mod settings;

pub use clock::Clock;
pub use report::{Host, Report, VirtualServerReport};
pub use settings::{AgentAddress, Settings};
