//! Wires everything once: the clock, the tasks, the one publisher, reload, the control socket and the drain.
//!
//! # Invariants
//! - `publisher` is the only writer of the snapshot; everything else sends it facts or asks it.
//! - A failed reload leaves the running node exactly as it was.
//! - Any task that ends by itself ends the process, with its name in the log.

pub mod agent;
pub mod backend;
mod background;
mod board;
mod catalogs;
pub mod clock;
pub mod control;
pub mod demo;
pub mod descriptors;
mod explain;
mod explain_view;
mod files;
mod flips;
mod flush;
mod guard;
mod ledger;
mod memory;
mod mesh;
mod names;
mod node;
pub mod operations;
mod paced;
mod prepare;
mod publisher;
mod readiness;
mod reload;
#[cfg(test)]
mod sample;
mod saver;
pub mod state;
pub mod tasks;
mod tree;
mod vantage;
mod view;
pub mod watch;
mod zone_tree;
mod zones;

pub use files::{check, explain_files, load};
pub use node::{Node, StartError};
