//! Health monitors: what is probed and how, one probe, hysteresis, and the schedule that runs them.
//!
//! # Invariants
//! - A probe that cannot be made for a reason of ours (no socket, no route table) is not a verdict on the target.
//! - Bounded: every probe has a time-out, and the number under way at once is capped.

mod connect;
pub mod damping;
pub mod hysteresis;
mod plan;
mod probe;
mod probe_http;
mod probe_tls;
mod schedule;
mod spec;
mod target;
mod timetable;

pub use probe::{ProbeResult, Prober};
pub use probe_tls::Authorities;
pub use schedule::{CONCURRENCY_DEFAULT, Driver, Schedule, ScheduleCounters, ScheduleOptions};
pub use spec::{Monitor, Probe, Tls};
pub use target::Target;
