//! Limits as written.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::collections::List;
use super::file::TransferLimits;
use super::values::{Octets, Written};
use crate::topology::Prefix;

/// Limits on what clients and other servers may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// UDP worker threads per address. Default: one for each processor.
    pub(crate) udp_workers: Option<usize>,
    /// The limits of TCP.
    pub(crate) tcp: Option<TcpLimits>,
    /// What zone transfers may take, over all zones.
    pub(crate) transfers: Option<TransferLimits>,
    /// How many responses a client network is sent by datagram, so that forged addresses cannot be flooded through this
    /// node. Default: no limit; `rate_limit: {}` sets the defaults below. Off because the largest resolvers ask for one
    /// name many hundred times a second with client subnets, and only who runs the node knows who they are.
    pub(crate) rate_limit: Option<RateLimit>,
    /// Dynamic updates that may wait to be carried out, as many as in BIND; further ones get SERVFAIL. Default: 100.
    pub(crate) updates: Option<usize>,
    /// Transfers and notifications, and apart from them updates, that may wait to be taken up; more get SERVFAIL.
    /// Default: 256.
    pub(crate) handed_off: Option<usize>,
    /// How large zones may be.
    pub(crate) zones: Option<ZoneSizes>,
    /// CNAMEs and DNAMEs followed for one question; longer chains are the resolver's to go on with. Default: 8.
    pub(crate) chain: Option<usize>,
    /// Names of one answer whose addresses are added to it, as many as in BIND. Default: 13.
    pub(crate) additional_names: Option<usize>,
}

/// How large zones may be, and what one name of them may hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZoneSizes {
    /// Records of a zone from a file or by update; `records_max` of a `primary` is for those by transfer. Default: 5000000.
    pub(crate) records: Option<usize>,
    /// The size of a zone file, and of each file that it includes. Default: 1GiB.
    pub(crate) file_size: Option<Written<Octets>>,
    /// Records of one RRset, in files, updates and transfers. Default: 500.
    pub(crate) rrset_records: Option<u16>,
    /// Types at one name, in files, updates and transfers. Default: 100.
    pub(crate) types: Option<u16>,
}

/// How many responses a client network is sent by datagram, in each second. 0 is no limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimit {
    /// Whether responses over the rate are kept back (`limit`) or only counted and logged (`log`). Default: limit.
    pub(crate) mode: Option<RateMode>,
    /// Answers with records, per name and type. Default: 200.
    pub(crate) answers_per_second: Option<u32>,
    /// Answers without records for a name that exists, per zone. Default: 200.
    pub(crate) no_data_per_second: Option<u32>,
    /// Answers for names that do not exist, per zone. Default: 100.
    pub(crate) nxdomains_per_second: Option<u32>,
    /// Referrals, per delegated name. Default: 200.
    pub(crate) referrals_per_second: Option<u32>,
    /// Errors, all together. Default: 100.
    pub(crate) errors_per_second: Option<u32>,
    /// Responses of every kind, all together. Default: 1000.
    pub(crate) all_per_second: Option<u32>,
    /// How long responses over the rate count against their client. Default: 15s.
    pub(crate) window: Option<Written<Duration>>,
    /// One of so many responses over the rate is sent empty and marked as truncated, so that a real client comes back over
    /// TCP: 1 all, 0 none. Default: 2.
    pub(crate) slip: Option<u32>,
    /// Leading bits of an IPv4 address that make a client network. Default: 24.
    pub(crate) ipv4_prefix: Option<u8>,
    /// Leading bits of an IPv6 address that make a client network. Default: 56.
    pub(crate) ipv6_prefix: Option<u8>,
    /// Clients that are never limited.
    #[serde(default)]
    pub(crate) exempt: List<Written<Prefix>>,
    /// Client networks and names remembered at once by each UDP worker, and by all of them together where there are several,
    /// in 8 octets of memory each: 512 KiB a worker. Only who was sent something within the last second, or is over its
    /// rate, takes a place. Default: 65536.
    pub(crate) entries: Option<usize>,
}

/// Whether responses over the rate are kept back.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RateMode {
    /// They are.
    Limit,
    /// They are sent, counted and logged.
    Log,
}

/// The limits of TCP.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TcpLimits {
    /// Connections open at once. Default: 8192.
    pub(crate) connections: Option<usize>,
    /// Connections open at once from one client address. Default: 64.
    pub(crate) connections_per_client: Option<usize>,
    /// Connections open at once from one client network, an IPv4 /24 or an IPv6 /48. Default: 256.
    pub(crate) connections_per_network: Option<usize>,
    /// How long a connection may stay without a query. Default: 10s.
    pub(crate) idle: Option<Written<Duration>>,
    /// How long the first query may take from accept. Default: 3s.
    pub(crate) first_message: Option<Written<Duration>>,
    /// How long a message may take from its first octet. Default: 1s.
    pub(crate) message: Option<Written<Duration>>,
    /// How long a connection may live. Default: 10m.
    pub(crate) lifetime: Option<Written<Duration>>,
    /// Queries of one connection, after which it is closed; 0 is no limit, since `lifetime` ends it too. Default: 0.
    pub(crate) queries: Option<u64>,
    /// Queries that wait for their replies to be written, per connection. Default: 32.
    pub(crate) pipelined: Option<usize>,
    /// How long a write may stall before the connection is reset. Default: 5s.
    pub(crate) write_stall: Option<Written<Duration>>,
}
