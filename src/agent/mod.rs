//! The big3d role: reads a load balancer's virtual servers, their load and the host's, and feeds the mesh.
//!
//! # Invariants
//! - A source that cannot be read is a "source error" (availability unknown), never "down".
//! - A list of virtual servers is reported whole or not at all.

mod collector;
mod haproxy;
mod haproxy_configuration;
mod haproxy_judge;
mod haproxy_stat;
mod haproxy_view;
mod host;
mod settings;
mod static_source;

pub use collector::{Collector, SourceState};
pub use settings::{LocalVirtualServer, Settings, SourceSettings};
