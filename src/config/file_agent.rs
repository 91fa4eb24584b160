//! An agent's configuration as written.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::{Named, OneOrMore};
use super::values::Written;

use super::file::{Admin, Monitor};

/// The configuration of a Fairlead agent (`fairlead agent`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Fairlead agent", extend("patternProperties" = { "^x-": true }))]
pub(crate) struct Agent {
    /// The server it reports for, as the DNS nodes name it; its mesh certificate carries the name.
    pub(crate) server: String,
    /// The mesh.
    pub(crate) mesh: Option<AgentMesh>,
    /// A HAProxy beside it.
    pub(crate) haproxy: Option<Haproxy>,
    /// Virtual servers that are probed from here.
    #[serde(rename = "static")]
    pub(crate) static_source: Option<StaticSource>,
    /// How health is probed.
    #[serde(default)]
    pub(crate) monitors: Named<Monitor>,
    /// Metrics and health over HTTP. Default: none.
    pub(crate) admin: Option<Admin>,
}

/// The mesh as an agent sees it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentMesh {
    /// Where DNS nodes reach it. Default: port 4353 of every address.
    pub(crate) listen: Option<Written<SocketAddr>>,
    /// The folder with authority.pem, certificate.pem and key.pem. Default: /var/lib/fairlead/mesh.
    pub(crate) state: Option<PathBuf>,
    /// How often measurements are sent. Default: 5s.
    pub(crate) report_interval: Option<Written<Duration>>,
}

/// HAProxy's Runtime API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Haproxy {
    /// The stats socket.
    pub(crate) socket: PathBuf,
    /// How often it is read. Default: 1s.
    pub(crate) interval: Option<Written<Duration>>,
    /// HAProxy's configuration file or folder, which tells the frontends' backends. Default: that of the running HAProxy.
    pub(crate) configuration: Option<PathBuf>,
    /// The frontends to report, with the address clients are given. Default: every frontend with a bind address.
    #[serde(default)]
    pub(crate) frontends: Named<Frontend>,
}

/// A frontend to report.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frontend {
    /// The address clients are given.
    pub(crate) address: Written<IpAddr>,
    /// The port.
    pub(crate) port: u16,
    /// The backends behind it. Default: those that HAProxy's configuration says.
    pub(crate) backends: Option<OneOrMore<String>>,
}

/// Virtual servers that are probed from here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StaticSource {
    /// What is probed.
    pub(crate) virtual_servers: Named<LocalVirtualServer>,
}

/// A virtual server that is probed from here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalVirtualServer {
    /// The address clients are given.
    pub(crate) address: Written<IpAddr>,
    /// The port.
    pub(crate) port: u16,
    /// The address and port probed, when not the same.
    pub(crate) probe_address: Option<Written<SocketAddr>>,
    /// The monitors that watch it.
    pub(crate) monitors: OneOrMore<String>,
}
