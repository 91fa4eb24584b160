//! The vocabulary of status: F5's two axes, the source of a verdict and what a load balancer measures.

use std::fmt;
use std::sync::Arc;

use super::Moment;

/// Whether an object can serve, as its monitors, limits and parents say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Availability {
    /// Passes its monitors and limits (F5: green).
    Available,
    /// Not at the moment: a limit is reached (F5: yellow).
    Unavailable,
    /// A monitor failed, or a parent or dependency is down (F5: red).
    Offline,
    /// No monitor, nothing reported yet, or a source that cannot be read (F5: blue); usable unless policy says otherwise.
    #[default]
    Unknown,
}

/// Whether people want the object used; a separate axis from [`Availability`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Enabled {
    /// In use.
    #[default]
    Enabled,
    /// Taken out by the configuration or an operator.
    Disabled,
    /// Taken out because an object that holds it is disabled.
    DisabledByParent,
}

/// Who gave a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Nobody yet.
    None,
    /// A monitor of this node.
    Monitor,
    /// The agent beside the load balancer.
    Agent,
    /// Another DNS node, by its name.
    Peer(Arc<str>),
    /// Worked out from other objects (a pool from its members).
    Derived,
}

/// What a load balancer measures of a virtual server; `None` where it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measurements {
    /// Pool members behind the virtual server that are up.
    pub members_up: Option<u32>,
    /// Pool members behind the virtual server, up or not.
    pub members_total: Option<u32>,
    /// Connections open now.
    pub connections: Option<u64>,
    /// New connections per second.
    pub connection_rate: Option<u64>,
    /// Bits per second towards the virtual server.
    pub bits_in: Option<u64>,
    /// Bits per second from the virtual server.
    pub bits_out: Option<u64>,
    /// Packets per second towards the virtual server.
    pub packets_in: Option<u64>,
    /// Packets per second from the virtual server.
    pub packets_out: Option<u64>,
    /// Requests waiting for a member.
    pub queue: Option<u64>,
    /// Host processor use in percent, 0–100.
    pub cpu_percent: Option<f32>,
    /// Host memory that is free, in bytes.
    pub memory_free_bytes: Option<u64>,
}

/// One source's word on one virtual server.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What the source found. `Unknown` when the source could not look ("source error"), never "down".
    pub availability: Availability,
    /// Why, in words an operator can act on.
    pub reason: Arc<str>,
    /// What was measured with it.
    pub measurements: Measurements,
}

/// The state of any object, as shown to people and used by decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Whether it can serve.
    pub availability: Availability,
    /// Whether it is wanted.
    pub enabled: Enabled,
    /// Why, in words.
    pub reason: Arc<str>,
    /// Who said so.
    pub source: Source,
    /// When availability or enabled last changed.
    pub since: Moment,
    /// When the newest report behind it came in; none before the first.
    pub reported: Option<Moment>,
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Available => "available",
            Self::Unavailable => "unavailable",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Enabled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::DisabledByParent => "disabled by parent",
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Monitor => f.write_str("monitor"),
            Self::Agent => f.write_str("agent"),
            Self::Peer(name) => write!(f, "peer {name}"),
            Self::Derived => f.write_str("derived"),
        }
    }
}
