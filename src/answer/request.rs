//! What a packet asks for, and what is known of it before any data is looked at.

use std::net::IpAddr;

use super::cookies::{Checked, CookieMode, CookieOutcome};
use super::extended_error::ExtendedError;
use super::outcome::Transport;
use super::signature::Signature;
use super::snapshot::Snapshot;
use crate::wire::{Class, Edns, Keepalive, Opcode, Query, Rcode, RecordType, UDP_PAYLOAD};

/// What there is to know of a query besides the name and type it asks for.
pub(super) struct Request<'p> {
    /// Who signed it, and who signs the reply.
    pub(super) signature: Signature<'p>,
    /// What its cookie came to, and the reply's.
    pub(super) cookie: Checked,
    /// The code that it is answered with whatever the data says.
    pub(super) refused: Option<Refused>,
    /// Whether somebody else is to answer it.
    pub(super) hand_off: bool,
}

/// A response code that no data changes, and what explains it.
pub(super) type Refused = (Rcode, Option<ExtendedError>);

/// How a packet came in.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'p> {
    pub(super) packet: &'p [u8],
    pub(super) source: IpAddr,
    pub(super) transport: Transport,
    pub(super) unix_seconds: u64,
}

/// Whether the query asks for data and nothing else, as most do: no options, no signature, no type or class with rules of
/// its own. There is nothing to judge then.
#[inline]
pub(super) fn is_plain(query: &Query) -> bool {
    let asks_data = query.opcode == Opcode::QUERY && query.class == Class::IN && !query.record_type.is_meta();
    let is_bare = query.edns.as_ref().is_none_or(|edns| edns.version == 0 && !edns.has_options);
    asks_data && is_bare && query.tsig.is_none()
}

impl<'p> Request<'p> {
    /// Judges what was read of a packet: its cookie, its signature, and then what it asks for. `malformed` is the code that
    /// it is answered with when the reading went wrong.
    #[inline(never)]
    pub(super) fn judge(snapshot: &Snapshot, query: &Query, arrival: Arrival<'p>, malformed: Option<Rcode>) -> Self {
        let Arrival { packet, source, transport, unix_seconds } = arrival;
        let mut request = Self { signature: Signature::None, cookie: Checked::NONE, refused: None, hand_off: false };
        if let Some(Edns { cookie: Some(cookie), .. }) = &query.edns {
            request.cookie = snapshot.settings.edns.cookies.check(cookie, source.to_canonical(), unix_seconds);
        }
        if let Some(rcode) = malformed {
            request.refused = Some((rcode, None));
            return request;
        }
        request.signature = Signature::of(packet, query, &snapshot.settings.keys, unix_seconds);
        let refused = request.signature.refusal().or_else(|| request.option_refusal(snapshot, query, transport));
        request.hand_off = refused.is_none() && is_handed_off(query, transport);
        request.refused = refused.map(|rcode| (rcode, None)).or_else(|| refusal(query));
        request
    }

    /// The response code of a query whose options alone decide it.
    #[inline]
    fn option_refusal(&self, snapshot: &Snapshot, query: &Query, transport: Transport) -> Option<Rcode> {
        let edns = query.edns.as_ref().filter(|edns| edns.has_options)?;
        if edns.keepalive == Keepalive::WithTime && transport == Transport::Tcp {
            return Some(Rcode::FORMERR);
        }
        let cookie = self.cookie.outcome;
        if !query.has_question() {
            // RFC 7873 §5.4: nothing but a cookie is asked for.
            return Some(match cookie {
                CookieOutcome::None => Rcode::FORMERR,
                CookieOutcome::ClientOnly | CookieOutcome::Valid => Rcode::NOERROR,
                CookieOutcome::Expired | CookieOutcome::Invalid => Rcode::BADCOOKIE,
            });
        }
        let is_required = snapshot.settings.edns.cookies.mode == CookieMode::Require;
        // A stream and a signature prove more than a cookie does.
        let is_proven = transport == Transport::Tcp || matches!(self.signature, Signature::Good(_));
        let is_bad = !matches!(cookie, CookieOutcome::None | CookieOutcome::Valid);
        (is_required && !is_proven && is_bad).then_some(Rcode::BADCOOKIE)
    }
}

/// The response code of a well-formed query that no data can answer.
fn refusal(query: &Query) -> Option<Refused> {
    if query.edns.as_ref().is_some_and(|edns| edns.version > 0) {
        return Some((Rcode::BADVERS, None));
    }
    let not_supported = Some((Rcode::NOTIMP, Some(ExtendedError::NotSupported)));
    if query.opcode != Opcode::QUERY {
        return not_supported;
    }
    match (query.class, query.record_type) {
        (Class::CH, _) => None,
        (Class::IN | Class::ANY, record_type) => match record_type {
            // RFC 6891 §6.1.1 and RFC 8945 §4.2: these never stand alone in a question.
            RecordType::OPT | RecordType::TSIG => Some((Rcode::FORMERR, None)),
            RecordType::AXFR | RecordType::IXFR => Some((Rcode::REFUSED, Some(ExtendedError::Prohibited))),
            RecordType::TKEY => Some((Rcode::REFUSED, Some(ExtendedError::NotSupported))),
            RecordType::MAILA | RecordType::MAILB => not_supported,
            _ => None,
        },
        _ => Some((Rcode::REFUSED, Some(ExtendedError::NotAuthoritative))),
    }
}

/// Whether the query is about whole zones and their changes. RFC 5936 §4.2 has no AXFR by datagram; RFC 1995 §2 has IXFR.
fn is_handed_off(query: &Query, transport: Transport) -> bool {
    if query.edns.as_ref().is_some_and(|edns| edns.version > 0) {
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
#[inline]
pub(super) fn size_limit(query: &Query, transport: Transport) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => 512,
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_size.min(UDP_PAYLOAD)),
    }
}
