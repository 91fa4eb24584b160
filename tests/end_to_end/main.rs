//! The whole program as its users run it: real processes, sockets, certificates and load balancers.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at what it did not expect, and says so")]
#![allow(clippy::disallowed_methods, reason = "deadlines of real processes are measured on the real clock")]

mod commands;
mod peers;
mod process;
mod reload;
mod steering;
#[path = "../support/mod.rs"]
mod support;
