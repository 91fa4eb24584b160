//! Datacenters, servers, pools and wide IPs as written.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::{List, Named, OneOrMore, TextOr};
use super::values::{Seconds, Written};

/// A site.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("type" = ["object", "null"]))]
pub(crate) struct Datacenter {
    /// Whether it is used. Default: true.
    pub(crate) enabled: Option<bool>,
}

/// A load balancer with an agent, or a plain host that is probed from here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// The site it stands in.
    pub(crate) datacenter: String,
    /// Whether it is used. Default: true.
    pub(crate) enabled: Option<bool>,
    /// Where its agent listens.
    pub(crate) agent: Option<Written<SocketAddr>>,
    /// What becomes of virtual servers that the agent finds. Default: disabled.
    pub(crate) discovery: Option<Discovery>,
    /// The monitors of its virtual servers, where they name none of their own.
    pub(crate) monitors: Option<OneOrMore<String>>,
    /// What it offers.
    #[serde(default)]
    pub(crate) virtual_servers: Named<VirtualServer>,
}

/// What an agent's list of virtual servers may change.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Discovery {
    /// Nothing.
    Disabled,
    /// It adds, changes and removes.
    Enabled,
    /// It adds and changes.
    EnabledNoDelete,
}

/// An address and port that a server offers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VirtualServer {
    /// The address clients are given; with an agent it may be left out and is then learned.
    pub(crate) address: Option<Written<IpAddr>>,
    /// The port.
    pub(crate) port: Option<u16>,
    /// Whether it is used. Default: true.
    pub(crate) enabled: Option<bool>,
    /// Its monitors, instead of its server's.
    pub(crate) monitors: Option<OneOrMore<String>>,
}

/// Members that answer one record type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pool {
    /// The type of record it answers with.
    #[serde(rename = "type")]
    pub(crate) record_type: PoolType,
    /// Whether it is used. Default: true.
    pub(crate) enabled: Option<bool>,
    /// The TTL of its answers. Default: 30s.
    pub(crate) ttl: Option<Written<Seconds>>,
    /// How a member is chosen. Default: round-robin, then round-robin, then none.
    pub(crate) load_balancing: Option<TextOr<PoolMethod, PoolLoadBalancing>>,
    /// What the fallback-ip method answers; never monitored.
    pub(crate) fallback_ip: Option<Written<IpAddr>>,
    /// How many members one answer carries at most, 1 to 500. Default: 1.
    pub(crate) max_answers: Option<u16>,
    /// Whether preferred and alternate pass over members that are not available. Default: true.
    pub(crate) verify_member_availability: Option<bool>,
    /// Whether the fallback method honours availability too. Default: true.
    pub(crate) respect_fallback_dependency: Option<bool>,
    /// What a member counts as whose last verdict has expired. Default: hold.
    pub(crate) on_unknown: Option<OnUnknown>,
    /// The fewest available members for the pool to be available. Default: 1.
    pub(crate) min_members_up: Option<u32>,
    /// The members in order; a text is short for a map with `virtual_server` alone.
    #[serde(default)]
    pub(crate) members: List<TextOr<String, Member>>,
}

/// The record types that pools and wide IPs answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum PoolType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Other names.
    #[serde(rename = "CNAME")]
    Cname,
}

/// The chain of methods a pool tries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolLoadBalancing {
    /// The first method tried. Default: round-robin.
    pub(crate) preferred: Option<PoolMethod>,
    /// Tried when the preferred method finds nothing. Default: round-robin.
    pub(crate) alternate: Option<PoolMethod>,
    /// Tried last. Default: none.
    pub(crate) fallback: Option<PoolMethod>,
}

/// How a pool chooses a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PoolMethod {
    /// In turn.
    RoundRobin,
    /// In proportion to the members' ratios.
    Ratio,
    /// The first usable member.
    GlobalAvailability,
    /// The highest topology score.
    Topology,
    /// By a hash of the client's address.
    StaticPersistence,
    /// The fewest current connections.
    LeastConnections,
    /// The pool's fallback_ip.
    FallbackIp,
    /// No reply.
    DropPacket,
    /// The static zone's answer.
    ReturnToDns,
    /// This tier is skipped.
    None,
}

/// What a member counts as whose last verdict has expired.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnUnknown {
    /// As its last verdict.
    Hold,
    /// As available.
    Up,
    /// As offline.
    Down,
}

/// One member of a pool.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    /// `server/virtual-server`, in pools of type A and AAAA.
    pub(crate) virtual_server: Option<String>,
    /// The target, in pools of type CNAME.
    pub(crate) name: Option<Written<crate::wire::Name>>,
    /// Whether the target is taken as available without a wide IP of that name. Default: false.
    pub(crate) static_target: Option<bool>,
    /// Its share under the ratio method, 0 to 65535. Default: 1.
    pub(crate) ratio: Option<u16>,
    /// Whether it is used. Default: true.
    pub(crate) enabled: Option<bool>,
}

/// A steered name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WideIp {
    /// The name; `*` stands for any characters, `?` for one.
    pub(crate) name: Written<crate::wire::Name>,
    /// The record type it answers.
    #[serde(rename = "type")]
    pub(crate) record_type: PoolType,
    /// Other names for the same object.
    pub(crate) aliases: Option<OneOrMore<Written<crate::wire::Name>>>,
    /// Whether it is used. Default: true.
    pub(crate) enabled: Option<bool>,
    /// How a pool is chosen. Default: round-robin.
    pub(crate) load_balancing: Option<WideIpMethod>,
    /// The pools in order; a text is short for a map with `pool` alone.
    #[serde(default)]
    pub(crate) pools: List<TextOr<String, PoolReference>>,
    /// The pool used when no other gives an answer.
    pub(crate) last_resort: Option<String>,
    /// What is answered when every pool has failed. Default: serve-all.
    pub(crate) when_all_down: Option<TextOr<WhenAllDown, FallbackIp>>,
    /// The TTL of its negative answers; the SOA's minimum still bounds it. Default: 5s.
    pub(crate) negative_ttl: Option<Written<Seconds>>,
    /// How many leading bits of an IPv4 client address persistence looks at. Default: 32.
    pub(crate) persist_cidr_ipv4: Option<u8>,
    /// How many leading bits of an IPv6 client address persistence looks at. Default: 128.
    pub(crate) persist_cidr_ipv6: Option<u8>,
    /// Whether EDNS Client Subnet stands in for the source address. Default: true.
    pub(crate) use_client_subnet: Option<bool>,
    /// Whether a topology score of zero may still be answered. Default: true.
    pub(crate) allow_zero_scores: Option<bool>,
}

/// A pool as one wide IP uses it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PoolReference {
    /// Its name.
    pub(crate) pool: String,
    /// Its share under the ratio method, 0 to 65535. Default: 1.
    pub(crate) ratio: Option<u16>,
}

/// How a wide IP chooses a pool.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WideIpMethod {
    /// In turn.
    RoundRobin,
    /// In proportion to the pools' ratios.
    Ratio,
    /// The first available pool.
    GlobalAvailability,
    /// The highest topology score.
    Topology,
}

/// What a wide IP answers when nothing it has is available.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhenAllDown {
    /// As configured, availability ignored.
    ServeAll,
    /// The members that were answered last.
    LastKnownGood,
    /// No records.
    #[serde(rename = "nodata")]
    NoData,
    /// NXDOMAIN.
    #[serde(rename = "nxdomain")]
    NxDomain,
    /// SERVFAIL.
    #[serde(rename = "servfail")]
    ServFail,
    /// REFUSED.
    Refused,
    /// The static zone's answer.
    ReturnToDns,
    /// No reply.
    Drop,
}

/// An address to answer when nothing is available.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FallbackIp {
    /// The address; never monitored.
    pub(crate) fallback_ip: Written<IpAddr>,
}
