//! What another server asks of us, read once: query, signature, the zone it is about.

use crate::answer::{Origin, Snapshot};
use crate::listener::{HandedOff, Replies};
use crate::wire::tsig::{Check, Signer, check};
use crate::wire::{Name, NameKey, Query, RecordType, Records};
use crate::zone::ZoneId;

/// Octets of a signature that tell it from all others: the fewest that RFC 8945 §5.2.2.1 lets a MAC have.
const SIGNATURE_OCTETS: usize = 10;

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
}

impl Request {
    /// Reads a packet that the answer path let through; none when its signature is not good any more.
    pub fn read(handed_off: HandedOff, snapshot: &Snapshot, now: u64) -> Option<(Self, Replies)> {
        let HandedOff { packet, source, listener, replies } = handed_off;
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
        Some((Self { packet, query, zone, has_view, signer }, replies))
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

/// The serial in an SOA's RDATA.
pub(super) fn serial_of(record_type: RecordType, rdata: &[u8]) -> Option<u32> {
    if record_type != RecordType::SOA {
        return None;
    }
    rdata.last_chunk::<20>()?.first_chunk::<4>().map(|serial| u32::from_be_bytes(*serial))
}
