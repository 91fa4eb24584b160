//! The names of all limits, in one place: what refuses, cuts, closes or drops something has its row here.

/// A limit that was reached; every limit has a name here, and a row in `LIMITS.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// TCP connections open at once.
    TcpConnections,
    /// TCP connections open at once from one client address.
    TcpConnectionsPerClient,
    /// TCP connections open at once from one client network.
    TcpConnectionsPerNetwork,
    /// How long the first query of a connection may take.
    TcpFirstMessage,
    /// How long a message may take from its first octet.
    TcpMessage,
    /// How long a connection may stay without a query.
    TcpIdle,
    /// How long a connection may live.
    TcpLifetime,
    /// Queries of one connection.
    TcpQueries,
    /// Queries of one connection that wait for their replies to be written.
    TcpPipelined,
    /// Octets of replies that wait for one client.
    TcpReplyBuffer,
    /// How long a client may leave its replies unread.
    TcpWriteStall,
    /// Responses per second to one client network.
    RateLimit,
    /// Who may ask.
    QueryAccess,
    /// CNAMEs and DNAMEs followed for one question.
    Chain,
    /// Names whose addresses are added to one answer.
    AdditionalNames,
    /// File descriptors of the process or the system.
    FileDescriptors,
    /// The kernel's buffer for datagrams to send.
    UdpSendBuffer,
    /// Queries that wait for somebody else to answer them.
    HandedOff,
    /// Zone transfers under way at once.
    Transfers,
    /// Updates that wait to be carried out or passed on.
    Updates,
    /// Zone transfers from other servers under way at once.
    TransfersIn,
    /// Members of a catalog zone.
    CatalogMembers,
    /// How long one zone transfer to another server may take.
    TransferOutTime,
    /// How long one zone transfer from another server may take.
    TransferTime,
    /// Records of one zone.
    ZoneRecords,
    /// Octets of one zone.
    ZoneOctets,
    /// Octets that the journal may take for the changes of one zone.
    JournalZone,
    /// Facts that wait for the publisher.
    Facts,
    /// Lines of the log for changes of availability.
    LogChanges,
    /// The length of a mesh frame.
    MeshFrame,
    /// Mesh frames per second of one peer.
    MeshFrames,
    /// Mesh sessions open at once.
    MeshSessions,
    /// Virtual servers one agent may report.
    MeshVirtualServers,
    /// Connections to the admin address.
    AdminConnections,
    /// Series of one metric.
    Series,
}

impl Limit {
    /// Every value, in the order of the counters.
    pub const ALL: [Self; 35] = [
        Self::TcpConnections,
        Self::TcpConnectionsPerClient,
        Self::TcpConnectionsPerNetwork,
        Self::TcpFirstMessage,
        Self::TcpMessage,
        Self::TcpIdle,
        Self::TcpLifetime,
        Self::TcpQueries,
        Self::TcpPipelined,
        Self::TcpReplyBuffer,
        Self::TcpWriteStall,
        Self::RateLimit,
        Self::QueryAccess,
        Self::Chain,
        Self::AdditionalNames,
        Self::FileDescriptors,
        Self::UdpSendBuffer,
        Self::HandedOff,
        Self::Transfers,
        Self::Updates,
        Self::TransfersIn,
        Self::CatalogMembers,
        Self::TransferOutTime,
        Self::TransferTime,
        Self::ZoneRecords,
        Self::ZoneOctets,
        Self::JournalZone,
        Self::Facts,
        Self::LogChanges,
        Self::MeshFrame,
        Self::MeshFrames,
        Self::MeshSessions,
        Self::MeshVirtualServers,
        Self::AdminConnections,
        Self::Series,
    ];

    /// The label's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TcpConnections => "tcp_connections",
            Self::TcpConnectionsPerClient => "tcp_connections_per_client",
            Self::TcpConnectionsPerNetwork => "tcp_connections_per_network",
            Self::TcpFirstMessage => "tcp_first_message",
            Self::TcpMessage => "tcp_message",
            Self::TcpIdle => "tcp_idle",
            Self::TcpLifetime => "tcp_lifetime",
            Self::TcpQueries => "tcp_queries",
            Self::TcpPipelined => "tcp_pipelined",
            Self::TcpReplyBuffer => "tcp_reply_buffer",
            Self::TcpWriteStall => "tcp_write_stall",
            Self::RateLimit => "rate_limit",
            Self::QueryAccess => "query_access",
            Self::Chain => "chain",
            Self::AdditionalNames => "additional_names",
            Self::FileDescriptors => "file_descriptors",
            Self::UdpSendBuffer => "udp_send_buffer",
            Self::HandedOff => "handed_off",
            Self::Transfers => "transfers",
            Self::Updates => "updates",
            Self::TransfersIn => "transfers_in",
            Self::CatalogMembers => "catalog_members",
            Self::TransferOutTime => "transfer_out_time",
            Self::TransferTime => "transfer_time",
            Self::ZoneRecords => "zone_records",
            Self::ZoneOctets => "zone_octets",
            Self::JournalZone => "journal_zone",
            Self::Facts => "facts",
            Self::LogChanges => "log_changes",
            Self::MeshFrame => "mesh_frame",
            Self::MeshFrames => "mesh_frames",
            Self::MeshSessions => "mesh_sessions",
            Self::MeshVirtualServers => "mesh_virtual_servers",
            Self::AdminConnections => "admin_connections",
            Self::Series => "series",
        }
    }
}
