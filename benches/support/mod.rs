//! What the load benches share.

#![allow(dead_code, unreachable_pub, reason = "each bench uses the helpers it needs")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

pub mod agents;
pub mod cpu;
pub mod curves;
pub mod data;
pub mod echo;

pub mod generator;
pub mod geo;
pub mod hickory;
pub mod hosting;
pub mod node;
pub mod peers;
pub mod table;
pub mod yaml;
