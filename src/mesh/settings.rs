//! What can be set of the mesh.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::credentials::CredentialFiles;
use super::identity::Role;
use super::outbound::Sequence;
use super::peer::{Local, VERSIONS};

/// The mesh as one node or agent sees it. Defaults stand in `config::limits`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// This node's or agent's server name, as its certificate must carry it.
    pub name: Arc<str>,
    /// Where to listen; none for a node that only dials.
    pub listen: Option<SocketAddr>,
    /// The folder with `authority.pem`, `certificate.pem` and `key.pem`.
    pub state: PathBuf,
    /// The agents and DNS nodes to dial.
    pub peers: Vec<PeerAddress>,
    /// How often an agent sends measurements; also the unit of ageing. Default 5 s.
    pub report_interval: Duration,
}

impl Settings {
    /// This side of every session, for a process whose `boot_id` was drawn at random.
    pub fn local(&self, boot_id: u64) -> Local {
        let (name, interval) = (Arc::clone(&self.name), self.report_interval);
        Local { name, boot_id, interval, sequence: Sequence::default(), versions: VERSIONS }
    }

    /// The files of this side's certificate, which must be for `role`.
    pub fn credentials(&self, role: Role, clock: Clock) -> Arc<CredentialFiles> {
        Arc::new(CredentialFiles::new(&self.state, Arc::clone(&self.name), role, clock))
    }
}

/// An agent or a DNS node to dial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress {
    /// What it is.
    pub role: Role,
    /// The name of an agent's server, or of a DNS node: the certificate must say `spiffe://<mesh>/<role>/<name>`.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: SocketAddr,
}
