//! What another server asks of us, read once: query, signature, the zone it is about.

use super::message::Writer;
use crate::answer::{Circumstances, ExtendedError, Origin, Snapshot};
use crate::listener::{HandedOff, Replies};
use crate::wire::tsig::{Check, Signer, check};
use crate::wire::{Name, NameKey, Query, RecordType, Records, ReplyOptions, UDP_PAYLOAD};
use crate::zone::{Zone, ZoneId};

/// Octets of a signature that tell it from all others: the fewest that RFC 8945 §5.2.2.1 lets a MAC have.
const SIGNATURE_OCTETS: usize = 10;
/// The most octets of a reply by datagram to a client without EDNS (RFC 1035 §4.2.1).
const DATAGRAM_MAX: u16 = 512;

/// The most octets of an explanation.
const EXPLAINED_MAX: usize = 160;

/// A query that was handed off.
pub struct Request {
    pub(super) packet: Vec<u8>,
    pub(super) query: Query,
    /// The zone asked for, in the view of who asks.
    pub(super) zone: ZoneId,
    /// Whether a view takes the query; without one there is nothing to be asked for.
    pub(super) has_view: bool,
    /// Signs the replies, when the query was signed.
    pub(super) signer: Option<Signer>,
    /// The options of the first reply.
    options: Vec<u8>,
    /// Whether replies say why they are what they are.
    explains: bool,
}

impl Request {
    /// Reads a packet that the answer path let through; none when its signature is not good any more.
    pub fn read(handed_off: HandedOff, snapshot: &Snapshot, now: u64) -> Option<(Self, Replies)> {
        let HandedOff { packet, source, listener, idle, replies } = handed_off;
        let mut key = NameKey::root(snapshot.seed());
        let query = Query::parse(&packet, &mut key, snapshot.seed()).ok()?;
        let signer = match query.tsig.map(|at| check(&packet, at, snapshot.keys(), now)) {
            None => None,
            Some(Check::Good(signer)) => Some(signer),
            Some(Check::Malformed | Check::Failed(_)) => return None,
        };
        let signed_by = signer.as_ref().map(|signer| signer.key().name());
        let view = snapshot.select(&Origin { client: source.ip(), listener: Some(listener), key: signed_by });
        let name = view.map(|view| view.name().clone()).unwrap_or_default();
        let zone = ZoneId::new(name, Name::from_wire(key.as_wire()).ok()?);
        let has_view = view.is_some();
        let mut options = Vec::new();
        if let Some(edns) = &query.edns {
            let at = Circumstances { source: source.ip(), idle, unix_seconds: now };
            snapshot.reply_options(edns, &at).append_to(&mut options);
        }
        let explains = query.edns.is_some() && snapshot.explains();
        Some((Self { packet, query, zone, has_view, signer, options, explains }, replies))
    }

    /// Writes replies of at most `limit` octets each.
    pub(super) fn writer(&self, limit: usize) -> Writer<'_> {
        Writer::new(&self.packet, &self.query, self.signer.clone(), limit, self.options.clone())
    }

    /// Writes a reply that may go out by datagram.
    pub(super) fn short_writer(&self) -> Writer<'_> {
        let offered = self.query.edns.as_ref().map_or(DATAGRAM_MAX, |edns| edns.udp_size.min(UDP_PAYLOAD));
        self.writer(usize::from(offered))
    }

    /// Why the answer is what it is, where the client can read it and may be told.
    pub(super) fn explained<'e>(&self, explanation: Option<(ExtendedError, &'e str)>) -> ReplyOptions<'e> {
        let explanation = explanation.filter(|_| self.explains);
        ReplyOptions {
            extended_error: explanation.map(|(error, text)| (error.code(), cut(text))),
            ..Default::default()
        }
    }

    /// For how long the zone may be served, where that is asked.
    pub(super) fn expire(&self, zone: &Zone, now: u64) -> ReplyOptions<'static> {
        let is_asked = self.query.edns.as_ref().is_some_and(|edns| edns.wants_expire);
        ReplyOptions { expire: zone.expires_in(now).filter(|_| is_asked), ..Default::default() }
    }

    /// The name of the key that signed it.
    pub fn key_name(&self) -> Option<&Name> {
        self.signer.as_ref().map(|signer| signer.key().name())
    }

    /// What tells the signed message from every other, however much of its MAC was sent.
    pub fn signature(&self) -> Option<&[u8]> {
        self.signer.as_ref()?.request_mac().get(..SIGNATURE_OCTETS)
    }

    /// Whether a view takes the query; without one there is nothing to be asked for.
    pub const fn has_view(&self) -> bool {
        self.has_view
    }

    /// The message.
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// What was read of it.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// The zone asked for.
    pub const fn zone(&self) -> &ZoneId {
        &self.zone
    }

    /// The serial of the SOA behind the question: what an IXFR starts from, or what a NOTIFY tells.
    pub(super) fn serial(&self) -> Option<u32> {
        let record = Records::new(&self.packet, self.query.question_end).next_record()?;
        serial_of(record.record_type, &record.rdata).filter(|_| record.name == self.zone.apex)
    }
}

/// An explanation that is no longer than it should be.
fn cut(text: &str) -> &str {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= EXPLAINED_MAX).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The serial in an SOA's RDATA.
pub(super) fn serial_of(record_type: RecordType, rdata: &[u8]) -> Option<u32> {
    if record_type != RecordType::SOA {
        return None;
    }
    rdata.last_chunk::<20>()?.first_chunk::<4>().map(|serial| u32::from_be_bytes(*serial))
}
