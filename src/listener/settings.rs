//! What can be set of the listeners.

use std::net::SocketAddr;
use std::time::Duration;

/// The listeners as configured. Defaults stand in `config::limits`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Every address and port, each served over UDP and TCP.
    pub addresses: Vec<SocketAddr>,
    /// UDP worker threads per address.
    pub udp_workers: usize,
    /// The limits of TCP.
    pub tcp: TcpLimits,
}

/// The limits of TCP service (RFC 7766 §6, RFC 9210 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections open at once.
    pub connections: usize,
    /// Connections open at once from one client address.
    pub connections_per_client: usize,
    /// Connections open at once from one client network: an IPv4 /24, an IPv6 /48.
    pub connections_per_network: usize,
    /// How long a connection may stay without a query.
    pub idle: Duration,
    /// How long the first query may take from accept.
    pub first_message: Duration,
    /// How long a message may take from its first octet.
    pub message: Duration,
    /// How long a connection may live.
    pub lifetime: Duration,
    /// Queries of one connection, after whose replies it is closed; 0 is no limit.
    pub queries: u64,
    /// Queries that wait for their replies to be written, per connection.
    pub pipelined: usize,
    /// How long a write may stall before the connection is reset.
    pub write_stall: Duration,
}
