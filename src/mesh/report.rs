//! What an agent knows at one moment, in plain types: the agent makes it, the mesh sends it.
//!
//! The agent publishes a whole [`Report`] on a `tokio::sync::watch` channel whenever it has looked; the mesh compares it
//! with what each DNS node was told last and sends only what differs. The value a channel is created with is not sent:
//! an empty list would say that every virtual server is gone before the agent has looked once.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::status::Verdict;

/// Everything an agent sees of its load balancer at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Every virtual server, each name once; one that is missing from a report is gone.
    pub virtual_servers: Vec<VirtualServerReport>,
    /// The machine the load balancer runs on.
    pub host: Host,
}

/// One virtual server as its load balancer sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualServerReport {
    /// Its name on the load balancer.
    pub name: Arc<str>,
    /// The address clients are given.
    pub address: SocketAddr,
    /// Whether it can serve, why, and its load. The host's load is not repeated here: it stands in [`Report::host`].
    pub verdict: Verdict,
}

/// The load of the machine an agent runs on; `None` where it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Host {
    /// Processor use in percent, 0–100.
    pub cpu_percent: Option<f32>,
    /// Memory that is free, in bytes.
    pub memory_free_bytes: Option<u64>,
}
