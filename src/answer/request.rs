//! What a packet asks for, and what is known of it before any data is looked at.

use super::outcome::Transport;
use super::signature::Signature;
use super::snapshot::Snapshot;
use super::worker::Worker;
use crate::wire::{Class, Opcode, Query, Rcode, RecordType, Refusal, Silence, UDP_PAYLOAD};

/// A packet that gets a reply.
pub(super) struct Request<'p> {
    /// What could be read of it; the name asked for lies in [`Worker::question`].
    pub(super) query: Query,
    /// Who signed it, and who signs the reply.
    pub(super) signature: Signature<'p>,
    /// The code that it is answered with whatever the data says.
    pub(super) refused: Option<Rcode>,
    /// The most octets that the reply may take.
    pub(super) limit: usize,
    /// Whether somebody else is to answer it.
    pub(super) hand_off: bool,
}

impl<'p> Request<'p> {
    /// Reads the packet, its signature first of all.
    ///
    /// # Errors
    /// Why there is no reply.
    #[inline]
    pub(super) fn read(
        snapshot: &Snapshot,
        worker: &mut Worker,
        packet: &'p [u8],
        transport: Transport,
    ) -> Result<Self, Silence> {
        match Query::parse(packet, &mut worker.question, snapshot.seed) {
            Ok(query) => {
                let signature = Signature::of(packet, &query, &snapshot.settings.keys, worker.unix_seconds);
                let forged = signature.refusal();
                let hand_off = forged.is_none() && is_handed_off(&query, transport);
                let refused = forged.or_else(|| refusal(&query));
                Ok(Self { query, signature, refused, limit: size_limit(&query, transport), hand_off })
            }
            Err(Refusal::Reply(rcode, query)) => {
                let limit = size_limit(&query, transport);
                Ok(Self { query, signature: Signature::None, refused: Some(rcode), limit, hand_off: false })
            }
            Err(Refusal::Silent(silence)) => Err(silence),
        }
    }
}

/// The response code of a well-formed query that no data can answer.
fn refusal(query: &Query) -> Option<Rcode> {
    if query.edns.is_some_and(|edns| edns.version > 0) {
        return Some(Rcode::BADVERS);
    }
    if query.opcode != Opcode::QUERY {
        return Some(Rcode::NOTIMP);
    }
    match (query.class, query.record_type) {
        (Class::CH, _) => None,
        (Class::IN | Class::ANY, record_type) => match record_type {
            // RFC 6891 §6.1.1 and RFC 8945 §4.2: these never stand alone in a question.
            RecordType::OPT | RecordType::TSIG => Some(Rcode::FORMERR),
            RecordType::AXFR | RecordType::IXFR | RecordType::TKEY => Some(Rcode::REFUSED),
            RecordType::MAILA | RecordType::MAILB => Some(Rcode::NOTIMP),
            _ => None,
        },
        _ => Some(Rcode::REFUSED),
    }
}

/// Whether the query is about whole zones and their changes. RFC 5936 §4.2 has no AXFR by datagram; RFC 1995 §2 has IXFR.
fn is_handed_off(query: &Query, transport: Transport) -> bool {
    if query.edns.is_some_and(|edns| edns.version > 0) {
        return false;
    }
    // RFC 2136 §3.1: a zone of another class is not ours, and who takes updates says so.
    if query.opcode == Opcode::UPDATE {
        return true;
    }
    if query.class != Class::IN {
        return false;
    }
    match (query.opcode, query.record_type) {
        (Opcode::QUERY, RecordType::AXFR) => transport == Transport::Tcp,
        (Opcode::QUERY, RecordType::IXFR) | (Opcode::NOTIFY, RecordType::SOA) => true,
        _ => false,
    }
}

/// The most octets the reply may take.
fn size_limit(query: &Query, transport: Transport) -> usize {
    match (transport, query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => 512,
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_size.min(UDP_PAYLOAD)),
    }
}
