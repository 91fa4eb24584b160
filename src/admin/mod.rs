//! HTTP for operators and machines: metrics, liveness, readiness, status, explanations. Read only.
//!
//! # Invariants
//! - Runs on a thread and runtime of its own: it may hang or die and no answer is late.
//! - Connections, header size, body size and every wait are bounded.
//! - Knows nothing of DNS: what a page says comes through [`Pages`].

mod limits;
mod pages;
mod server;

pub use limits::Limits;
pub use pages::{Content, Explain, ExplainQuery, Page, Pages, Readiness};
pub use server::{Admin, AdminError};
