//! What can be set of the mesh.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The mesh as one node or agent sees it. Defaults stand in `config::limits`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// This node's or agent's server name, as its certificate must carry it.
    pub name: Arc<str>,
    /// Where to listen; none for a node that only dials.
    pub listen: Option<SocketAddr>,
    /// The folder with `authority.pem`, `certificate.pem` and `key.pem`.
    pub state: PathBuf,
    /// The agents to dial.
    pub agents: Vec<AgentAddress>,
    /// How often an agent sends measurements; also the unit of ageing. Default 5 s.
    pub report_interval: Duration,
}

/// An agent to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAddress {
    /// The name of its server: its certificate must say `spiffe://<mesh>/lb/<server>`.
    pub server: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
}
