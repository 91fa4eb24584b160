//! What a packet asks for, and what is known of it before any data is looked at.

use std::net::IpAddr;

use super::cookies::{Checked, CookieMode, CookieOutcome};
use super::extended_error::ExtendedError;
use super::outcome::Transport;
use super::signature::Signature;
use super::snapshot::Snapshot;
use super::worker::Worker;
use crate::wire::{Class, Edns, Keepalive, Opcode, Query, Rcode, RecordType, Refusal, Silence, UDP_PAYLOAD};

/// A packet that gets a reply.
pub(super) struct Request<'p> {
    /// What could be read of it; the name asked for lies in [`Worker::question`].
    pub(super) query: Query,
    /// Who signed it, and who signs the reply.
    pub(super) signature: Signature<'p>,
    /// What its cookie came to, and the reply's.
    pub(super) cookie: Checked,
    /// The code that it is answered with whatever the data says.
    pub(super) refused: Option<Refused>,
    /// The most octets that the reply may take.
    pub(super) limit: usize,
    /// Whether somebody else is to answer it.
    pub(super) hand_off: bool,
}

/// A response code that no data changes, and what explains it.
pub(super) type Refused = (Rcode, Option<ExtendedError>);

impl<'p> Request<'p> {
    /// Reads the packet: its signature first of all, then its cookie.
    ///
    /// # Errors
    /// Why there is no reply.
    #[inline]
    pub(super) fn read(
        snapshot: &Snapshot,
        worker: &mut Worker,
        packet: &'p [u8],
        source: IpAddr,
        transport: Transport,
    ) -> Result<Self, Silence> {
        let (query, malformed) = match Query::parse(packet, &mut worker.question, snapshot.seed) {
            Ok(query) => (query, None),
            Err(Refusal::Reply(rcode, query)) => (query, Some(rcode)),
            Err(Refusal::Silent(silence)) => return Err(silence),
        };
        let (settings, now) = (&snapshot.settings, worker.unix_seconds);
        let mut request = Self {
            limit: size_limit(&query, transport),
            query,
            signature: Signature::None,
            cookie: Checked::NONE,
            refused: None,
            hand_off: false,
        };
        if let Some(Edns { cookie: Some(cookie), .. }) = &request.query.edns {
            request.cookie = settings.edns.cookies.check(cookie, source.to_canonical(), now);
        }
        if let Some(rcode) = malformed {
            request.refused = Some((rcode, None));
            return Ok(request);
        }
        request.signature = Signature::of(packet, &request.query, &settings.keys, now);
        let refused = request.signature.refusal().or_else(|| request.option_refusal(snapshot, transport));
        request.hand_off = refused.is_none() && is_handed_off(&request.query, transport);
        request.refused = refused.map(|rcode| (rcode, None)).or_else(|| refusal(&request.query));
        Ok(request)
    }

    /// The response code of a query whose options alone decide it.
    #[inline]
    fn option_refusal(&self, snapshot: &Snapshot, transport: Transport) -> Option<Rcode> {
        let edns = self.query.edns.as_ref().filter(|edns| edns.has_options)?;
        if edns.keepalive == Keepalive::WithTime && transport == Transport::Tcp {
            return Some(Rcode::FORMERR);
        }
        let cookie = self.cookie.outcome;
        if !self.query.has_question() {
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
fn size_limit(query: &Query, transport: Transport) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => 512,
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_size.min(UDP_PAYLOAD)),
    }
}
