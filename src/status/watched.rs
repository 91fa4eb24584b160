//! What a [`Table`](super::Table) keeps status of: the configured servers and virtual servers, by name.

use std::sync::Arc;

/// The servers and virtual servers of one configuration; the caller's ids are the indices into these lists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Watched {
    /// Every server.
    pub servers: Vec<WatchedServer>,
    /// Every virtual server.
    pub virtual_servers: Vec<WatchedVirtualServer>,
}

/// A server, as far as status depends on it.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedServer {
    /// Its name, unique among servers.
    pub name: Arc<str>,
    /// Whether the configuration wants it used.
    pub enabled: bool,
    /// The datacenter it stands in.
    pub datacenter: Arc<str>,
    /// Whether the configuration wants the datacenter used.
    pub datacenter_enabled: bool,
    /// Whether an agent reports for it.
    pub agent: bool,
}

/// A virtual server, as far as status depends on it.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedVirtualServer {
    /// The index of its server in [`Watched::servers`].
    pub server: usize,
    /// Its name, unique on its server.
    pub name: Arc<str>,
    /// Whether the configuration wants it used.
    pub enabled: bool,
    /// Whether a monitor of this node watches it.
    pub monitored: bool,
}
