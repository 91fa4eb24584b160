//! The configured objects of traffic steering, in F5's words, with every reference resolved to an index.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::wire::{Name, Rcode, RecordType};
use crate::zone::ViewName;

/// The index of a [`Datacenter`] in its [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatacenterId(pub u32);
/// The index of a [`Server`] in its [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u32);
/// The index of a [`VirtualServer`] in its [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualServerId(pub u32);
/// The index of a [`Pool`] in its [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);
/// The index of a [`WideIp`] in its [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WideIpId(pub u32);
/// The index of a view in its [`Model`]; the first one's where nothing is said of views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ViewId(pub u32);

/// Everything configured that a decision can touch. Ids are indices into these lists.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// Sites.
    pub datacenters: Vec<Datacenter>,
    /// Load balancers and plain hosts.
    pub servers: Vec<Server>,
    /// What servers offer; those found by discovery included.
    pub virtual_servers: Vec<VirtualServer>,
    /// Sets of members that answer one record type.
    pub pools: Vec<Pool>,
    /// The steered names.
    pub wide_ips: Vec<WideIp>,
    /// The views that wide IPs stand in, in their order; none stands for the view `default` alone.
    pub views: Vec<ViewName>,
}

/// A site.
#[derive(Debug, Clone, PartialEq)]
pub struct Datacenter {
    /// Its name, unique among datacenters.
    pub name: Arc<str>,
    /// Whether the configuration wants it used.
    pub enabled: bool,
}

/// A load balancer with an agent, or a plain host that is probed from here.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name, unique among servers; an agent's certificate carries it.
    pub name: Arc<str>,
    /// The site it stands in.
    pub datacenter: DatacenterId,
    /// Whether the configuration wants it used.
    pub enabled: bool,
    /// Where its agent listens, when it has one.
    pub agent: Option<SocketAddr>,
    /// What becomes of virtual servers that the agent finds.
    pub discovery: Discovery,
}

/// What an agent's list of virtual servers may change (F5's virtual-server-discovery).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discovery {
    /// Nothing: only configured virtual servers exist.
    #[default]
    Disabled,
    /// It adds, changes and removes.
    Enabled,
    /// It adds and changes; what vanishes from the load balancer stays, offline.
    EnabledNoDelete,
}

/// An address and port that a server offers: the unit of health and load.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualServer {
    /// Its name, unique on its server.
    pub name: Arc<str>,
    /// The server that offers it.
    pub server: ServerId,
    /// What clients are given; none until discovery tells it.
    pub address: Option<SocketAddr>,
    /// Whether the configuration wants it used.
    pub enabled: bool,
    /// How many monitors of this node watch it; with none and no agent its availability is unknown.
    pub monitors: usize,
}

/// Members that answer one record type, and how one is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Its name, unique among pools.
    pub name: Arc<str>,
    /// The type of record it answers with: A, AAAA or CNAME; MX, SRV and NAPTR later.
    pub record_type: RecordType,
    /// Whether the configuration wants it used.
    pub enabled: bool,
    /// The TTL of its answers, in seconds.
    pub ttl_seconds: u32,
    /// The first method tried.
    pub preferred: PoolMethod,
    /// Tried when the preferred method finds nothing.
    pub alternate: PoolMethod,
    /// Tried last.
    pub fallback: PoolMethod,
    /// What [`PoolMethod::FallbackIp`] answers; never monitored.
    pub fallback_ip: Option<IpAddr>,
    /// How many members one answer carries at most, 1–500.
    pub max_answers: u16,
    /// Whether preferred and alternate pass over members that are not available. F5 default: yes.
    pub verify_member_availability: bool,
    /// Whether the fallback method honours availability too. F5's default is no, ours is yes.
    pub respect_fallback_dependency: bool,
    /// What a member of unknown availability counts as, once its last verdict has expired.
    pub on_unknown: OnUnknown,
    /// The fewest available members for the pool to count as available. 1 unless configured.
    pub min_members_up: u32,
    /// The members, in configured order (which is their member order).
    pub members: Vec<Member>,
}

impl Pool {
    /// An enabled pool that answers one member at a time by turns, as the configuration has it where nothing else is
    /// said.
    pub fn new(name: &str, record_type: RecordType, members: impl IntoIterator<Item = Member>) -> Self {
        Self {
            name: name.into(),
            record_type,
            enabled: true,
            ttl_seconds: 30,
            preferred: PoolMethod::RoundRobin,
            alternate: PoolMethod::RoundRobin,
            fallback: PoolMethod::None,
            fallback_ip: None,
            max_answers: 1,
            verify_member_availability: true,
            respect_fallback_dependency: true,
            on_unknown: OnUnknown::Hold,
            min_members_up: 1,
            members: members.into_iter().collect(),
        }
    }
}

/// What an expired verdict counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// As the last verdict that was known; as usable if there never was one.
    #[default]
    Hold,
    /// As available.
    Up,
    /// As offline.
    Down,
}

/// One member of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// What it answers with.
    pub target: MemberTarget,
    /// Its share under the ratio method, 0–65535; 0 is never picked by ratio.
    pub ratio: u16,
    /// Whether the configuration wants it used.
    pub enabled: bool,
}

impl Member {
    /// An enabled member that answers with a virtual server's address; its share by ratio is 0–65535.
    pub const fn virtual_server(id: VirtualServerId, ratio: u16) -> Self {
        Self { target: MemberTarget::VirtualServer(id), ratio, enabled: true }
    }
}

/// What a member stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberTarget {
    /// A virtual server: its address becomes an A or AAAA record.
    VirtualServer(VirtualServerId),
    /// A name: a CNAME's target. Always available when static; else as available as the wide IP of that name.
    Name {
        /// The target.
        name: Name,
        /// Whether it is taken as available without a wide IP of that name (F5's static-target).
        static_target: bool,
    },
}

/// How a pool chooses among its members (GTM's load-balancing modes of the pool tier).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolMethod {
    /// In turn over the usable members.
    RoundRobin,
    /// In proportion to the members' ratios.
    Ratio,
    /// The first usable member in order.
    GlobalAvailability,
    /// The highest topology score; ties in turn; no score above zero fails the method only if zero scores are not allowed.
    Topology,
    /// Rendezvous hash of the masked client address over the members; returns to the same member when it recovers.
    StaticPersistence,
    /// The fewest current connections; fails when no member's count is known.
    LeastConnections,
    /// The pool's fallback address, unmonitored.
    FallbackIp,
    /// No reply.
    DropPacket,
    /// The static zone's answer, now.
    ReturnToDns,
    /// This tier is skipped.
    None,
}

/// A steered name of one record type.
#[derive(Debug, Clone, PartialEq)]
pub struct WideIp {
    /// The name, exact or with `*` and `?`.
    pub name: Pattern,
    /// Other names for the same object.
    pub aliases: Vec<Pattern>,
    /// The view whose clients are answered by it.
    pub view: ViewName,
    /// The record type it answers.
    pub record_type: RecordType,
    /// Whether the configuration wants it used.
    pub enabled: bool,
    /// How a pool is chosen.
    pub method: WideIpMethod,
    /// The pools, in order.
    pub pools: Vec<PoolReference>,
    /// Used when no other pool gives an answer.
    pub last_resort: Option<PoolId>,
    /// What is answered when every pool, the last resort included, has failed.
    pub when_all_down: WhenAllDown,
    /// The TTL of its negative answers, in seconds (the SOA's cap still holds).
    pub negative_ttl_seconds: u32,
    /// How many leading bits of an IPv4 client address static-persistence looks at, 0–32.
    pub persist_cidr_ipv4: u8,
    /// How many leading bits of an IPv6 client address static-persistence looks at, 0–128.
    pub persist_cidr_ipv6: u8,
    /// Whether EDNS Client Subnet stands in for the source address where it is given.
    pub use_client_subnet: bool,
    /// Whether a topology score of zero may still be answered (F5's topology-allow-zero-scores, default yes).
    pub allow_zero_scores: bool,
}

impl WideIp {
    /// An enabled wide IP whose pools, of ratio 1 each, take turns; the rest is as the configuration has it where nothing
    /// else is said.
    pub fn new(name: Pattern, record_type: RecordType, pools: impl IntoIterator<Item = PoolId>) -> Self {
        Self {
            name,
            aliases: Vec::new(),
            view: ViewName::default(),
            record_type,
            enabled: true,
            method: WideIpMethod::RoundRobin,
            pools: pools.into_iter().map(|pool| PoolReference { pool, ratio: 1 }).collect(),
            last_resort: None,
            when_all_down: WhenAllDown::ServeAll,
            negative_ttl_seconds: 5,
            persist_cidr_ipv4: 32,
            persist_cidr_ipv6: 128,
            use_client_subnet: true,
            allow_zero_scores: true,
        }
    }
}

/// A pool as one wide IP uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolReference {
    /// Which pool.
    pub pool: PoolId,
    /// Its share under the ratio method, 0–65535.
    pub ratio: u16,
}

/// A wide IP's name as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Exactly this name.
    Exact(Name),
    /// `*` stands for any characters, dots among them, `?` for exactly one that is not a dot. F5's glob, not RFC 4592's wildcard.
    Glob(Name),
}

/// How a wide IP chooses among its pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WideIpMethod {
    /// In turn over the available pools.
    #[default]
    RoundRobin,
    /// In proportion to the pools' ratios.
    Ratio,
    /// The first available pool in order.
    GlobalAvailability,
    /// The highest topology score; ties in turn.
    Topology,
}

/// What a wide IP answers when nothing it has is available.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WhenAllDown {
    /// As configured, availability ignored (disabled members still left out); the reason says "all down".
    #[default]
    ServeAll,
    /// The members that were answered last.
    LastKnownGood,
    /// This address.
    FallbackIp(IpAddr),
    /// No records, with SOA.
    NoData,
    /// NXDOMAIN, SERVFAIL, REFUSED.
    Rcode(Rcode),
    /// The static zone's answer.
    ReturnToDns,
    /// No reply.
    Drop,
}
