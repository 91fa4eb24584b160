//! Asking a primary over TCP: its serial, then what is newer, with every wait and size bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::context::Context;
use super::inbound::{Fault, Inbound, Progress};
use super::message::{request, signed};
use super::notify::read_reply;
use super::requests::serial_of;
use crate::answer::Peer;
use crate::metrics::TransferKind;
use crate::wire::tsig::{Signed, Signer, Verifier};
use crate::wire::{Key, Name, Opcode, Query, Rcode, RecordType, Records};
use crate::zone::{Zone, is_newer};

/// How long connecting may take, and each wait for the next octets.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a whole transfer may take.
const TRANSFER_MAX: Duration = Duration::from_secs(3600);

/// What a primary has for us.
pub(super) enum Fetched {
    /// Nothing newer.
    UpToDate,
    /// Another version, whole and checked, in so many records.
    Zone(Zone, u64),
}

/// Why nothing was fetched.
pub(super) enum FetchError {
    /// Changes did not fit or are not to be had: the whole zone may be.
    NoChanges(String),
    /// Anything else.
    Other(String),
}

impl From<String> for FetchError {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

/// One zone and one of its primaries.
pub(super) struct Client<'c> {
    pub(super) context: &'c Context,
    pub(super) apex: &'c Name,
    pub(super) server: &'c Peer,
    pub(super) key: Option<Arc<Key>>,
    pub(super) seed: u64,
}

impl Client<'_> {
    /// Fetches what is newer than `old`: its changes, or with `kind` AXFR or nothing to change, the whole.
    pub(super) async fn fetch(&self, old: Option<&Arc<Zone>>, kind: TransferKind) -> Result<Fetched, FetchError> {
        let connected = timeout(WAIT_MAX, TcpStream::connect(self.server.address)).await;
        let connected = connected.map_err(|_| "connecting took too long".to_owned())?;
        let mut stream = connected.map_err(|error| format!("connecting: {error}"))?;
        if let Some(old) = old {
            let serial = self.serial(&mut stream).await?;
            if !is_newer(serial, old.soa().serial) {
                return Ok(Fetched::UpToDate);
            }
        }
        let transfer = timeout(TRANSFER_MAX, self.transfer(&mut stream, old, kind));
        transfer.await.map_err(|_| "the transfer took too long".to_owned())?
    }

    /// The serial the primary has.
    async fn serial(&self, stream: &mut TcpStream) -> Result<u32, String> {
        let (id, mut verifier) = self.ask(stream, RecordType::SOA, None).await?;
        let message = receive(stream).await?;
        let (query, rcode) = self.check(&message, id, verifier.as_mut())?.0;
        if rcode != Rcode::NOERROR {
            return Err(format!("the primary answered {rcode} to a query for the SOA"));
        }
        let record = Records::new(&message, query.question_end).next_record();
        let record = record.filter(|record| record.name == *self.apex);
        record
            .and_then(|record| serial_of(record.record_type, &record.rdata))
            .ok_or("the primary has no SOA".to_owned())
    }

    async fn transfer(
        &self,
        stream: &mut TcpStream,
        old: Option<&Arc<Zone>>,
        kind: TransferKind,
    ) -> Result<Fetched, FetchError> {
        let base = old.filter(|_| kind == TransferKind::Ixfr);
        let record_type = if base.is_some() { RecordType::IXFR } else { RecordType::AXFR };
        let (id, mut verifier) = self.ask(stream, record_type, base).await?;
        let mut inbound = Inbound::new(self.apex, base.cloned(), self.seed);
        loop {
            let message = receive(stream).await?;
            let ((query, rcode), signature) = self.check(&message, id, verifier.as_mut())?;
            if rcode != Rcode::NOERROR {
                let reason = format!("the primary answered {rcode} to {record_type}");
                return Err(if base.is_some() { FetchError::NoChanges(reason) } else { FetchError::Other(reason) });
            }
            let records = answers(&message, &query)?;
            let progress = inbound.take(records).map_err(|fault| judge(fault, base.is_some()))?;
            match progress {
                Progress::More => {}
                // RFC 8945 §5.3.1: the last message is signed, and with it all before.
                _ if signature == Signed::Later => {
                    return Err("the end of the transfer is not signed".to_owned().into());
                }
                Progress::UpToDate => return Ok(Fetched::UpToDate),
                Progress::Whole => break,
            }
        }
        let records = inbound.records();
        let zone = tokio::task::spawn_blocking(move || inbound.finish()).await.map_err(|error| error.to_string())?;
        Ok(Fetched::Zone(zone.map_err(|fault| judge(fault, base.is_some()))?, records))
    }

    /// Sends a question; its id, and what checks the answers.
    async fn ask(
        &self,
        stream: &mut TcpStream,
        record_type: RecordType,
        base: Option<&Arc<Zone>>,
    ) -> Result<(u16, Option<Verifier>), String> {
        let mut random = [0; 2];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let id = u16::from_be_bytes(random);
        let ours = base.and_then(|zone| zone.soa_record());
        let ours = ours.as_ref().map(|soa| (soa.ttl, &*soa.rdata));
        let message = request(id, Opcode::QUERY, self.apex.as_wire(), record_type, ours);
        let mut signer = self.key.clone().map(Signer::request);
        let message = signed(message, signer.as_mut(), self.context.now()).ok_or("the question cannot be signed")?;
        let length = u16::try_from(message.len()).map_err(|error| error.to_string())?;
        let framed = [&length.to_be_bytes()[..], &message].concat();
        let sent =
            timeout(WAIT_MAX, stream.write_all(&framed)).await.map_err(|_| "sending took too long".to_owned())?;
        sent.map_err(|error| format!("sending: {error}"))?;
        Ok((id, signer.map(Signer::into_verifier)))
    }

    /// Holds a message against the question and its signature.
    fn check(
        &self,
        message: &[u8],
        id: u16,
        verifier: Option<&mut Verifier>,
    ) -> Result<((Query, Rcode), Signed), String> {
        let (query, rcode) = read_reply(message).ok_or("the primary's message is malformed")?;
        if query.id != id {
            return Err("the primary's message answers another question".to_owned());
        }
        let signature = match verifier {
            Some(verifier) => {
                verifier.check(message, query.tsig, self.context.now()).map_err(|error| error.to_string())?
            }
            None => Signed::Here,
        };
        Ok(((query, rcode), signature))
    }
}

/// Whether the whole zone may be had where its changes could not.
fn judge(fault: Fault, is_change: bool) -> FetchError {
    match fault {
        Fault::TooLarge(_) => FetchError::Other(fault.to_string()),
        _ if is_change => FetchError::NoChanges(fault.to_string()),
        _ => FetchError::Other(fault.to_string()),
    }
}

/// The records of the answer section.
fn answers(message: &[u8], query: &Query) -> Result<Vec<crate::wire::MessageRecord>, String> {
    let count = message.get(6..8).and_then(|count| count.try_into().ok()).map_or(0, u16::from_be_bytes);
    let mut records = Records::new(message, query.question_end);
    let next = |_| records.next_record().ok_or_else(|| "a record of the transfer is malformed".to_owned());
    (0..count).map(next).collect()
}

/// The next message of the stream.
async fn receive(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let read = async {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        Ok(message)
    };
    let read = timeout(WAIT_MAX, read).await.map_err(|_| "the primary sends nothing more".to_owned())?;
    read.map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the primary closed the connection under way".to_owned(),
        _ => format!("receiving: {error}"),
    })
}
