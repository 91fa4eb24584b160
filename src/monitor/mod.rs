//! Health monitors: what is probed and how, one probe, hysteresis, and the schedule that runs them.
//!
//! # Invariants
//! - A probe that cannot be made for a reason of ours (no socket, no route table) is not a verdict on the target.
//! - Bounded: every probe has a time-out, and the number under way at once is capped.

mod spec;

pub use spec::{Monitor, Probe};
