//! Writing a zone or its changes as a stream of messages (RFC 5936 §2.2, RFC 1995 §4).

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::message::{MESSAGE_MAX, Writer};
use super::requests::Request;
use super::steered::Steered;
use crate::wire::{Rcode, RecordType};
use crate::zone::{Change, Record, Zone};

/// A message that has this many octets is sent. Half of what fits: a client starts to work sooner, and one large record
/// more always fits.
const MESSAGE_WANTED: usize = 32_768;

/// What is sent.
pub(super) enum Content {
    /// The zone as it is, with RRsets in the place of wide IPs.
    Whole(Steered),
    /// The changes from an older version.
    Changes(Vec<Arc<Change>>),
    /// The SOA alone: there is nothing newer (RFC 1995 §2), or the transport takes no more.
    Soa,
}

/// The other side is gone, or a record fits in no message.
pub(super) struct Ended;

/// A transfer under way. It runs on a thread that may wait for a slow reader.
pub(super) struct Outbound<'q> {
    zone: Arc<Zone>,
    writer: Writer<'q>,
    replies: Sender<Vec<u8>>,
    now: u64,
    apex_octets: usize,
    records: u64,
}

impl<'q> Outbound<'q> {
    /// Sends the answer to a request to `replies`; every message is signed at the time `now`.
    pub(super) fn new(request: &'q Request, zone: Arc<Zone>, replies: Sender<Vec<u8>>, now: u64) -> Self {
        let apex_octets = zone.apex().as_wire().len();
        let mut writer = request.writer(MESSAGE_MAX);
        writer.add(&request.expire(&zone, now));
        Self { zone, writer, replies, now, apex_octets, records: 0 }
    }

    /// Sends it all. Gives the number of records.
    ///
    /// # Errors
    /// [`Ended`]: the stream is cut off, which the other side takes for no transfer.
    pub(super) fn run(mut self, content: &Content) -> Result<u64, Ended> {
        let soa = self.zone.soa_record().ok_or(Ended)?;
        self.record(&soa)?;
        match content {
            Content::Soa => {}
            Content::Whole(steered) => {
                self.whole(steered)?;
                self.record(&soa)?;
            }
            Content::Changes(changes) => {
                for change in changes {
                    let Change { old_soa, new_soa, difference, .. } = &**change;
                    let removed = std::iter::once(old_soa).chain(&difference.removed);
                    let added = std::iter::once(new_soa).chain(&difference.added);
                    removed.chain(added).try_for_each(|record| self.record(record))?;
                }
                self.record(&soa)?;
            }
        }
        self.flush()?;
        Ok(self.records)
    }

    /// Every record but the SOA.
    fn whole(&mut self, steered: &Steered) -> Result<(), Ended> {
        let zone = Arc::clone(&self.zone);
        let visited = zone.try_for_each(|owner, rrset| {
            let is_replaced = !steered.is_empty() && steered.contains_key(&(owner.to_vec(), rrset.record_type));
            // RFC 1034 §3.6.2: nothing stands beside a CNAME; the alias of a wide IP gives way to what is there.
            if rrset.record_type == RecordType::SOA || is_replaced {
                return ControlFlow::Continue(());
            }
            let sent = rrset.rdatas().try_for_each(|rdata| self.put(owner, rrset.record_type, rrset.ttl, rdata));
            if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if visited.is_break() {
            return Err(Ended);
        }
        for ((owner, record_type), rrset) in steered {
            rrset.rdatas.iter().try_for_each(|rdata| self.put(owner, *record_type, rrset.ttl, rdata))?;
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) -> Result<(), Ended> {
        self.put(record.name.as_wire(), record.record_type, record.ttl, &record.rdata)
    }

    fn put(&mut self, owner: &[u8], record_type: RecordType, ttl: u32, rdata: &[u8]) -> Result<(), Ended> {
        if self.writer.len() >= MESSAGE_WANTED {
            self.flush()?;
        }
        if !self.writer.record(owner, self.apex_octets, record_type, ttl, rdata) {
            self.flush()?;
            if !self.writer.record(owner, self.apex_octets, record_type, ttl, rdata) {
                return Err(Ended);
            }
        }
        self.records += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Ended> {
        if self.writer.is_empty() {
            return Ok(());
        }
        let message = self.writer.finish(Rcode::NOERROR, true, self.now).ok_or(Ended)?;
        self.replies.blocking_send(message).map_err(|_| Ended)
    }
}
