//! Wires everything once: the clock, the tasks, the one publisher, reload, the control socket and the drain.
//!
//! # Invariants
//! - `publisher` is the only writer of the snapshot; everything else sends it facts or asks it.
//! - A failed reload leaves the running node exactly as it was.
//! - Any task that ends by itself ends the process, with its name in the log.

pub mod backend;
pub mod clock;
pub mod control;
pub mod state;
pub mod tasks;
pub mod watch;
