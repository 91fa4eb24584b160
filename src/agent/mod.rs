//! The big3d role: reads a load balancer's virtual servers, their load and the host's, and feeds the mesh.
//!
//! # Invariants
//! - A source that cannot be read is a "source error" (availability unknown), never "down".

mod settings;

pub use settings::{LocalVirtualServer, Settings, SourceSettings};
