//! What monitors, the mesh and operators tell the publisher; the only things that change status.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::{Enabled, Moment, Source, Verdict};

/// One fact on its way to the publisher. Objects are named, not numbered, so that a fact outlives a reload.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A source's verdict on a virtual server.
    Verdict {
        /// The server's name.
        server: Arc<str>,
        /// The virtual server's name on that server.
        virtual_server: Arc<str>,
        /// Who says so.
        source: Source,
        /// What it says.
        verdict: Verdict,
        /// When it was received here.
        at: Moment,
    },
    /// The full list of the virtual servers an agent found; what is missing from it is gone.
    Inventory {
        /// The server's name.
        server: Arc<str>,
        /// Everything the agent sees.
        virtual_servers: Vec<Discovered>,
        /// When it was received here.
        at: Moment,
    },
    /// The agent of a server could be reached, or no longer.
    Link {
        /// The server's name.
        server: Arc<str>,
        /// `Ok` when the session is up; the reason in plain words when it is not.
        state: Result<(), Arc<str>>,
        /// When.
        at: Moment,
    },
    /// A person enabled or disabled an object, or such an override ended.
    Override(Override),
}

/// A virtual server as an agent found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Its name on the load balancer.
    pub name: Arc<str>,
    /// The address clients are given.
    pub address: SocketAddr,
}

/// The kinds of object that can be enabled and disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A datacenter.
    Datacenter,
    /// A server.
    Server,
    /// A virtual server, named `server/virtual-server`.
    VirtualServer,
    /// A pool.
    Pool,
    /// A pool member, named `pool/server/virtual-server` or `pool/name`.
    Member,
    /// A wide IP, named `name/TYPE`.
    WideIp,
}

/// A person's word on one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// What kind of object.
    pub kind: ObjectKind,
    /// Which object.
    pub name: Arc<str>,
    /// What is wanted; `None` removes the override, so that the configuration counts again.
    pub enabled: Option<Enabled>,
    /// When it ends by itself.
    pub until: Option<Moment>,
    /// Why, as the person wrote it.
    pub reason: Arc<str>,
}

impl ObjectKind {
    /// Every kind with the word people write for it.
    pub const NAMED: [(Self, &str); 6] = [
        (Self::Datacenter, "datacenter"),
        (Self::Server, "server"),
        (Self::VirtualServer, "virtual-server"),
        (Self::Pool, "pool"),
        (Self::Member, "member"),
        (Self::WideIp, "wide-ip"),
    ];
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMED.iter().find(|(kind, _)| kind == self).map_or("", |(_, text)| text))
    }
}

impl FromStr for ObjectKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::NAMED.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or_else(|| {
            format!("unknown kind {text:?}: one of datacenter, server, virtual-server, pool, member, wide-ip")
        })
    }
}
