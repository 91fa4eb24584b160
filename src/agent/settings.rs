//! An agent as configured.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{mesh, monitor::Monitor};

/// Everything an agent needs. Defaults stand in `config::limits`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The mesh: name (the server it reports for), listen address, certificates, report interval.
    pub mesh: mesh::Settings,
    /// Where virtual servers are found.
    pub sources: Vec<SourceSettings>,
    /// Where `/metrics`, `/livez` and `/readyz` are served, if anywhere.
    pub admin: Option<SocketAddr>,
}

/// One place where virtual servers are found.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceSettings {
    /// HAProxy's Runtime API.
    Haproxy {
        /// The stats socket: a Unix socket path.
        socket: PathBuf,
        /// How often it is read. Default 1 s.
        interval: Duration,
        /// HAProxy's configuration file or folder, which tells a frontend's backends and addresses; found through the
        /// running process when not given.
        configuration: Option<PathBuf>,
        /// The frontends to report, with the address clients are given; all frontends with a bind address when empty.
        frontends: Vec<LocalVirtualServer>,
    },
    /// Virtual servers that are probed from here.
    Static {
        /// What is probed.
        virtual_servers: Vec<LocalVirtualServer>,
    },
}

/// A virtual server as written in an agent's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalVirtualServer {
    /// Its name: the HAProxy frontend's name, or any.
    pub name: Arc<str>,
    /// The address clients are given.
    pub address: SocketAddr,
    /// The address probed when it is not the same.
    pub probe_address: Option<SocketAddr>,
    /// The HAProxy backends behind it; found in HAProxy's configuration when empty.
    pub backends: Vec<Arc<str>>,
    /// The monitors that watch it (static virtual servers).
    pub monitors: Vec<Monitor>,
}
