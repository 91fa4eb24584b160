//! Query bytes and a snapshot in, reply bytes out: wide IP, else zone, else negative.
//!
//! # Invariants
//! - Pure, and nothing else answers: every transport calls [`respond`].
//! - Nothing is locked and nothing allocated per query; what a query may change is its [`Worker`].

use std::net::SocketAddr;

use crate::status::Moment;
use crate::wire::{Rcode, RecordType};

/// How a query came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram: the reply is bounded by EDNS and may be truncated.
    Udp,
    /// A TCP stream.
    Tcp,
}

/// What the reply was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerSource {
    /// A wide IP decided it.
    WideIp,
    /// A static zone.
    Zone,
    /// Neither: refused, malformed, unmatched, or our own names in class CHAOS.
    None,
}

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Octets of the reply in the output buffer; 0 when no reply is sent.
    pub length: usize,
    /// The reply's response code.
    pub rcode: Rcode,
    /// The type asked for; none when no question could be read.
    pub record_type: Option<RecordType>,
    /// What the reply was taken from.
    pub source: AnswerSource,
    /// Whether the reply was cut to fit and carries TC.
    pub truncated: bool,
}

/// All that answers depend on, as one value: built by the publisher, shared by every worker, never changed.
pub struct Snapshot {
    /// Grows by one with every publish.
    pub generation: u64,
}

/// What one listener thread's queries may change: its cursors, random source and counters.
pub struct Worker {}

/// Answers one packet into `out` (at least 65,535 octets for TCP, 4,096 for UDP).
pub fn respond(
    _snapshot: &Snapshot,
    _worker: &mut Worker,
    _packet: &[u8],
    _source: SocketAddr,
    _transport: Transport,
    _now: Moment,
    _out: &mut [u8],
) -> Outcome {
    Outcome { length: 0, rcode: Rcode::NOERROR, record_type: None, source: AnswerSource::None, truncated: false }
}
