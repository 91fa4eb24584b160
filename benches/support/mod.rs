//! What the load benches share.

#![allow(dead_code, unreachable_pub, reason = "each bench uses the helpers it needs")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench stops at what it did not expect")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

pub mod cpu;
pub mod data;
pub mod echo;
pub mod generator;
pub mod hickory;
pub mod hosting;
pub mod node;
pub mod peers;
pub mod table;
